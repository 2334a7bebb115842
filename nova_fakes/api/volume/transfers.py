"""Volumes that one project offers and another takes over."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from nova_fakes.api.auth import Token
from nova_fakes.api.volume.quotas import Quotas
from nova_fakes.api.volume.records import Transfer
from nova_fakes.api.volume.refusals import invalid_snapshot, invalid_volume
from nova_fakes.api.volume.store import Store
from nova_fakes.api.volume.volumes import Volumes
from nova_fakes.exceptions import ApiError

__all__ = ["Transfers"]


class Transfers:
    """The transfers of one volume service. Of the key that opens one, only a digest is kept.

    Args:
        store: the records.
        quotas: what projects may use.
        volumes: what is offered.
    """

    def __init__(self, store: Store, quotas: Quotas, volumes: Volumes) -> None:
        self._store = store
        self._quotas = quotas
        self._volumes = volumes

    def get(self, token: Token, transfer_id: str) -> Transfer:
        """Return the transfer.

        Raises:
            ApiError: 404, there is none, or it is another project's.
        """
        transfer = self._store.transfers.get(transfer_id)
        if transfer is None or not (token.is_admin or transfer.source_project_id == token.project_id):
            raise _not_found(transfer_id)
        return transfer

    def visible(self, token: Token, *, all_projects: bool = False) -> list[Transfer]:
        """Return the project's transfers, the newest first; every project's if an administrator asks for that."""
        everywhere = all_projects and token.is_admin
        with self._store.lock:
            found = [
                one for one in self._store.transfers.values() if everywhere or one.source_project_id == token.project_id
            ]
        return found[::-1]

    def create(
        self,
        token: Token,
        volume_id: str,
        *,
        name: str | None = None,
        no_snapshots: bool = False,
        encrypted: bool = False,
    ) -> tuple[Transfer, str]:
        """Offer a volume; return the transfer and the key that opens it, which is told once.

        Args:
            token: who asks.
            volume_id: the volume.
            name: free text.
            no_snapshots: whether its snapshots stay with the project; else they go along.
            encrypted: whether the API version (3.70 and later) allows that for an encrypted volume.

        Raises:
            ApiError: 404, unknown volume; 400, it is not available, or encrypted where that is not allowed or its
                snapshots would stay.
        """
        with self._store.lock:
            volume = self._volumes.get(token, volume_id)
            if volume.status != "available" or volume.migrating:
                raise invalid_volume("status must be available")
            if volume.encryption_key_id is not None and not encrypted:
                raise invalid_volume("transferring encrypted volume is not supported")
            if volume.encryption_key_id is not None and no_snapshots:
                raise invalid_volume("transferring an encrypted volume without its snapshots is not supported")
            stuck = [one for one in self._store.snapshots_of(volume_id) if one.status != "available"]
            if stuck and not no_snapshots:
                raise invalid_snapshot(f"snapshot: {stuck[0].id} status must be available")
            key, salt = secrets.token_hex(8), secrets.token_hex(4)
            transfer = Transfer(
                id=self._store.new_id(),
                volume_id=volume_id,
                name=name,
                created_at=self._store.clock.now(),
                salt=salt,
                digest=_digest(salt, key),
                source_project_id=volume.project_id,
                no_snapshots=no_snapshots,
            )
            self._store.transfers[transfer.id] = transfer
            volume.status = "awaiting-transfer"
            return transfer, key

    def delete(self, token: Token, transfer_id: str) -> None:
        """Take an offer back.

        Raises:
            ApiError: 404, unknown transfer.
        """
        with self._store.lock:
            transfer = self.get(token, transfer_id)
            self._end(transfer)

    def accept(self, token: Token, transfer_id: str, key: str) -> Transfer:
        """Take a volume over.

        Args:
            token: who asks; the volume becomes his project's.
            transfer_id: the transfer.
            key: opens it.

        Raises:
            ApiError: 404, unknown transfer; 400, the key is another's; 413, a quota of the new project.
        """
        with self._store.lock:
            transfer = self._store.transfers.get(transfer_id)
            if transfer is None:
                raise _not_found(transfer_id)
            if not hmac.compare_digest(transfer.digest, _digest(transfer.salt, key)):
                raise ApiError(400, f"Invalid auth key: Attempt to transfer {transfer_id} with invalid auth key.")
            assert token.project_id is not None
            volume = self._store.volumes[transfer.volume_id]
            snapshots = [] if transfer.no_snapshots else self._store.snapshots_of(volume.id)
            self._quotas.check_size(token.project_id, volume.size_gb)
            kind = self._store.types[volume.type_id].name
            gigabytes = volume.size_gb + sum(one.size_gb for one in snapshots)
            self._quotas.charge(token.project_id, kind, volumes=1, gigabytes=gigabytes, snapshots=len(snapshots))
            self._quotas.charge(volume.project_id, kind, volumes=-1, gigabytes=-volume.size_gb)
            for one in snapshots:  # which an administrator may have taken
                self._quotas.charge(one.project_id, kind, snapshots=-1, gigabytes=-one.size_gb)
            self._store.change_owner(volume, snapshots, token.project_id, token.user_id)
            self._store.content.change(volume, self._store.types[volume.type_id])
            self._end(transfer)
            return transfer

    def _end(self, transfer: Transfer) -> None:
        del self._store.transfers[transfer.id]
        volume = self._store.volumes[transfer.volume_id]
        if volume.status == "awaiting-transfer":
            volume.status = "available"
        volume.updated_at = self._store.clock.now()


def _not_found(transfer_id: str) -> ApiError:
    return ApiError(404, f"Transfer {transfer_id} could not be found.")


def _digest(salt: str, key: str) -> str:
    return hashlib.sha256(f"{salt}:{key}".encode()).hexdigest()
