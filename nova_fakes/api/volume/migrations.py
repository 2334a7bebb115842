"""Volumes that move to another place, alone or under the server that uses them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from nova_fakes.api.auth import Token
from nova_fakes.api.volume.backends import Backends
from nova_fakes.api.volume.quotas import Quotas
from nova_fakes.api.volume.records import Volume, VolumeType
from nova_fakes.api.volume.refusals import invalid_input, invalid_volume
from nova_fakes.api.volume.store import Store
from nova_fakes.api.volume.volume_types import VolumeTypes
from nova_fakes.api.volume.volumes import Volumes
from nova_fakes.exceptions import ApiError, NovaFakesError

__all__ = ["Migrations", "ServerSwap"]

LOG = logging.getLogger(__name__)

# Asks nova to put a volume in another's place: (server id, old volume id, new volume id). nova calls `complete` when
# the bytes have been copied. It raises whatever it likes where nova refuses.
ServerSwap = Callable[[str, str, str], None]


class Migrations:
    """Moves of volumes, and changes of their types, which may be moves too (cinder/volume/manager.py, 29).

    What no server uses is copied here. What a server uses, nova copies: a second volume is made at the new place, nova
    is asked to swap the two, and tells when it has; the volume then takes the other's place and attachments and keeps
    its id.

    Args:
        store: the records.
        quotas: what projects may use.
        types: the volume types.
        volumes: what moves.
        backends: where to.
        swap: asks nova; None: volumes in use cannot move.
    """

    def __init__(
        self,
        store: Store,
        quotas: Quotas,
        types: VolumeTypes,
        volumes: Volumes,
        backends: Backends,
        *,
        swap: ServerSwap | None = None,
    ) -> None:
        self._store = store
        self._quotas = quotas
        self._types = types
        self._volumes = volumes
        self._backends = backends
        self._swap = swap

    def migrate(self, token: Token, volume_id: str, place: str, *, lock_volume: bool = False) -> None:
        """Move a volume to another pool; where that fails, its migration_status is "error" and nothing else changes.

        Args:
            token: who asks.
            volume_id: the volume.
            place: host@backend#pool.
            lock_volume: whether a volume that no server uses is in "maintenance" meanwhile.

        Raises:
            ApiError: 404, unknown volume; 400, there is no such service, or the volume cannot move now.
        """
        with self._store.lock:
            volume = self._volumes.get(token, volume_id)
            service = self._backends.service(place)
            if service is None or service.disabled:
                raise ApiError(400, f"Invalid host: No available service named '{place}'")
            if not _idle(volume) or self._store.snapshots_of(volume_id) or volume.host == place:
                raise invalid_volume(
                    f"Volume {volume_id} status must be available or in-use, must not be migrating, have snapshots, be "
                    f"replicated, be part of a group and destination host/cluster must be different than the current "
                    f"one"
                )
            volume.previous_status = volume.status
            if lock_volume and volume.status == "available":
                volume.status = "maintenance"
            kind = self._store.types[volume.type_id]
            if place not in self._backends.places() or not self._backends.suits(place, kind):
                LOG.warning("volume %s: no valid backend at %s", volume_id, place)
                self._give_up(volume)
                return
        self._move(token, volume, place, kind)

    def retype(self, token: Token, volume_id: str, type_reference: str, *, may_move: bool = False) -> None:
        """Make a volume one of another type; move it where its place does not suit the type.

        Args:
            token: who asks.
            volume_id: the volume.
            type_reference: id or name of the type.
            may_move: whether it may be moved (migration_policy "on-demand"); else it stays as it is then.

        Raises:
            ApiError: 404, unknown volume or type; 400, the same type, the wrong status, or the types disagree about
                multiattach while the volume is attached; 413, a quota of the new type.
        """
        with self._store.lock:
            volume = self._volumes.get(token, volume_id)
            kind = self._types.find(token, type_reference)
            if kind.id == volume.type_id:
                raise invalid_input(f"New volume_type same as original: {type_reference}.")
            if not _idle(volume):
                raise invalid_volume(
                    "Retype needs volume to be in available or in-use state, not be part of an active migration or a "
                    "consistency group, requested type has to be different that the one from the volume, and for "
                    "in-use volumes front-end qos specs cannot change."
                )
            if volume.status == "in-use" and kind.multiattach != volume.multiattach:
                raise invalid_input(
                    f"Invalid volume_type passed, retypes affecting multiattach are only allowed on available volumes, "
                    f"the specified volume however currently has a status of: {volume.status}."
                )
            if kind.encryption is not None and kind.multiattach:
                raise invalid_input("Retype requested both encryption and multi-attach, which is not supported.")
            place = volume.host
            if place is not None and not self._backends.suits(place, kind):
                place = self._backends.choose(volume.availability_zone, kind, volume.size_gb, leaving=place)
            # What is encrypted otherwise has to be written anew, be it to the place where it lies.
            moves = place != volume.host or self._store.types[volume.type_id].ciphering != kind.ciphering
            if moves and (place is None or not may_move or self._store.snapshots_of(volume_id)):
                LOG.warning("volume %s: no valid backend for type %s without a migration", volume_id, kind.name)
                return
            self._charge(volume, self._store.types[volume.type_id], kind)
            if not moves:
                self._become(volume, kind, volume.encryption_key_id)
                return
            assert place is not None
            volume.previous_status, volume.status = volume.status, "retyping"
        self._move(token, volume, place, kind)

    def complete(self, token: Token, volume_id: str, new_id: str, *, failed: bool) -> str:
        """Take nova's word that it has swapped a volume for another, or has not; return the id that nova is to keep.

        Raises:
            ApiError: 404, unknown volume; 400, the two have nothing to do with each other.
        """
        with self._store.lock:
            volume, new = self._volumes.get(token, volume_id), self._volumes.get(token, new_id)
            if not volume.migration_status and not new.migration_status:
                return new.id
            for one, role in ((volume, "Source"), (new, "Destination")):
                if not one.migration_status:
                    raise invalid_volume(f"{role} volume not mid-migration.")
            expected = f"target:{volume.id}"
            if new.migration_status != expected:
                raise invalid_volume(f"Destination has migration_status {new.migration_status}, expected {expected}.")
            if failed:
                self._abandon(volume, new)
            else:
                self._take_over(volume, new)
        return volume.id

    def _move(self, token: Token, volume: Volume, place: str, kind: VolumeType) -> None:
        servers = {one.instance_id for one in self._store.attachments_of(volume.id)}
        if not servers:
            self._copy(volume, place, kind)
            return
        with self._store.lock:
            volume.migration_status = "migrating"
            new = self._second(volume, place, kind)
            if not self._store.content.create(new, kind, token):
                self._abandon(volume, new)
                return
            new.status = "available"
        try:
            # Without the lock: nova comes back with questions before it answers.
            for server in servers:
                if self._swap is None or server is None:
                    raise ApiError(503, "There is no compute service that could copy it.")
                self._swap(server, volume.id, new.id)
        except Exception as error:
            LOG.warning("volume %s: nova does not swap it for %s: %s", volume.id, new.id, error)
            with self._store.lock:
                if new.id in self._store.volumes:
                    self._abandon(volume, new)

    def _copy(self, volume: Volume, place: str, kind: VolumeType) -> None:
        """Move what no server uses."""
        with self._store.lock:
            volume.migration_status = "migrating"
            try:
                if place != volume.host:
                    self._store.content.migrate(volume, place)
            except Exception as error:
                LOG.warning("volume %s stays at %s: %s", volume.id, volume.host, error)
                self._charge(volume, kind, self._store.types[volume.type_id])
                self._give_up(volume)
                return
            volume.host, volume.migration_status = place, "success"
            self._become(volume, kind, self._key(volume, kind))
            self._restore(volume)

    def _second(self, volume: Volume, place: str, kind: VolumeType) -> Volume:
        """Make the volume that is to take the place of another; it counts against no quota."""
        new = replace(
            volume,
            id=self._store.new_id(),
            status="creating",
            attach_status="detached",
            host=place,
            type_id=kind.id,
            migration_status=f"target:{volume.id}",
            snapshot_id=None,
            source_id=None,
            metadata=dict(volume.metadata),
            image_metadata=dict(volume.image_metadata),
            encryption_key_id=self._key(volume, kind),
        )
        self._store.add_volume(new)
        return new

    def _take_over(self, volume: Volume, new: Volume) -> None:
        kind = self._store.types[new.type_id]
        for left in self._store.attachments_of(volume.id):
            self._store.remove_attachment(left)
        try:
            self._store.content.take_over(volume.id, new.id)
        except NovaFakesError as error:
            LOG.warning("volume %s does not take the place of %s: %s", volume.id, new.id, error)
            self._abandon(volume, new)
            return
        self._store.move_attachments(new.id, volume.id)
        volume.host, volume.name_id, volume.attach_status = new.host, new.id, new.attach_status
        volume.migration_status = "success"
        self._become(volume, kind, new.encryption_key_id)
        self._restore(volume)
        self._store.remove_volume(new)

    def _abandon(self, volume: Volume, new: Volume) -> None:
        """Forget the second volume of a migration that has failed."""
        self._charge(volume, self._store.types[new.type_id], self._store.types[volume.type_id])
        try:
            self._store.remove_volume(new)
        except NovaFakesError as error:
            LOG.warning("volume %s, which was to be %s, stays: %s", new.id, volume.id, error)
            new.status, new.migration_status = "error_deleting", "deleting"
        self._give_up(volume)

    def _give_up(self, volume: Volume) -> None:
        volume.migration_status = "error"
        self._restore(volume)

    def _restore(self, volume: Volume) -> None:
        """Give a volume the status again that it had before it moved."""
        if volume.previous_status is not None:
            volume.status, volume.previous_status = volume.previous_status, volume.status
        volume.updated_at = self._store.clock.now()

    def _key(self, volume: Volume, kind: VolumeType) -> str | None:
        """Return the id of a volume's key as one of a type: another where it is encrypted otherwise."""
        if self._store.types[volume.type_id].ciphering == kind.ciphering:
            return volume.encryption_key_id
        return None if kind.ciphering is None else self._store.new_id()

    def _become(self, volume: Volume, kind: VolumeType, key_id: str | None) -> None:
        if kind.id != volume.type_id:
            old = self._store.types[volume.type_id].name
            for snapshot in self._store.snapshots_of(volume.id):
                self._quotas.move_snapshot(snapshot.project_id, old, kind.name, snapshot.size_gb)
                snapshot.type_id = kind.id
            self._store.change_type(volume, kind.id)
            volume.multiattach, volume.encryption_key_id = kind.multiattach, key_id
            self._store.content.change(volume, kind)
        volume.updated_at = self._store.clock.now()

    def _charge(self, volume: Volume, old: VolumeType, new: VolumeType) -> None:
        """Let a volume count as one of another type; ApiError 413, and nothing is changed, where a quota forbids it."""
        if old.id == new.id:
            return
        self._quotas.charge(volume.project_id, old.name, volumes=-1, gigabytes=-volume.size_gb)
        try:
            self._quotas.charge(volume.project_id, new.name, volumes=1, gigabytes=volume.size_gb)
        except ApiError:
            self._quotas.charge(volume.project_id, old.name, volumes=1, gigabytes=volume.size_gb)
            raise


def _idle(volume: Volume) -> bool:
    return volume.status in ("available", "in-use") and not volume.migrating and volume.group_id is None
