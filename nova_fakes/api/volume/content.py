"""The bytes behind the records of the volume service: a store of volumes that follows them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nova_fakes.api.auth import Token
from nova_fakes.api.volume.records import Attachment, Backup, Snapshot, Volume, VolumeType
from nova_fakes.exceptions import ApiError, NovaFakesError
from nova_fakes.temporary import TemporaryDirectory
from nova_fakes.volume.connections import Portal
from nova_fakes.volume.errors import PoolFull
from nova_fakes.volume.medium import CHUNK_BYTES
from nova_fakes.volume.pool import GIB
from nova_fakes.volume.store import VolumeStore

__all__ = ["Content", "ImageBytes"]

LOG = logging.getLogger(__name__)

# The bytes of an image, by its id, for whoever bears the token.
ImageBytes = Callable[[str, Token], Iterable[bytes]]


class Content:
    """What the service's volumes hold. Where there is no store, they hold nothing, and every method does nothing.

    Args:
        store: keeps the bytes; None for none.
        image_bytes: where those of images come from; None: volumes from images stay empty.
    """

    def __init__(self, store: VolumeStore | None = None, image_bytes: ImageBytes | None = None) -> None:
        self.store = store
        self._image_bytes = image_bytes

    def pools(self, host: str) -> list[str]:
        """Return the names of the pools of host@backend: the store's, where it is the store's; else the backend's."""
        if self.store is not None and self.store.backend == host:
            return list(self.store.pools)
        return [host.rpartition("@")[2]]

    def has_room(self, place: str, size_bytes: int) -> bool:
        """Tell whether host@backend#pool takes a volume of that size."""
        pool = self._pool(place)
        if self.store is None or pool is None:
            return True
        with self.store.lock:
            try:
                self.store.pools[pool].promise(size_bytes)
            except PoolFull:
                return False
            self.store.pools[pool].promise(-size_bytes)
        return True

    def statistics(self, place: str) -> dict[str, Any]:
        """Return what is known of the room at host@backend#pool."""
        pool = self._pool(place)
        if self.store is None or pool is None:
            return {"total_capacity_gb": "infinite", "free_capacity_gb": "infinite", "reserved_percentage": 0}
        return self.store.pools[pool].statistics()

    def _pool(self, place: str) -> str | None:
        """Return the store's pool at host@backend#pool; None where it has none of that name."""
        host, _, pool = place.partition("#")
        return pool if self.store is not None and host == self.store.backend and pool in self.store.pools else None

    def create(
        self,
        volume: Volume,
        kind: VolumeType,
        token: Token,
        image: Mapping[str, Any] | None = None,
        backup_id: str | None = None,
    ) -> bool:
        """Make what a new volume holds, of its snapshot, source, image or backup; tell whether that succeeded."""
        if self.store is None:
            return True
        try:
            self.store.create_volume(
                volume.size_gb * GIB,
                volume_id=volume.id,
                snapshot_id=volume.snapshot_id,
                source_id=volume.source_id,
                pool=self._pool(volume.host or ""),
                **_traits(volume, kind),
            )
            if image is not None:
                self.load_image(volume.id, image, token)
            if backup_id is not None:
                self.store.restore_backup(backup_id, volume.id)
        except NovaFakesError as error:
            LOG.warning("volume %s: %s", volume.id, error)
            return False
        return True

    def load_image(self, volume_id: str, image: Mapping[str, Any], token: Token) -> None:
        """Put an image's bytes on a volume.

        Raises:
            ImageUnreadable: it is not of the format that it says.
        """
        if self.store is not None and self._image_bytes is not None:
            image_format = str(image.get("disk_format") or "raw")
            self.store.load_image(volume_id, self._image_bytes(image["id"], token), image_format)

    def image(self, volume_id: str, image_format: str) -> Iterator[bytes]:
        """Yield what a volume holds at this moment as an image of that format; nothing where it holds nothing.

        Raises:
            ImageUnreadable: nothing here writes that format.
        """
        if self.store is None or volume_id not in self.store.volumes:
            return
        with TemporaryDirectory.of_kind("images") as directory:
            path = Path(directory, "image")
            self.store.save_image(volume_id, path, image_format)
            with path.open("rb") as file:
                while piece := file.read(CHUNK_BYTES):
                    yield piece

    def revert(self, volume_id: str, snapshot_id: str) -> None:
        """Let a volume hold what a snapshot keeps."""
        if self.store is not None and volume_id in self.store.volumes:
            self.store.revert(volume_id, snapshot_id)

    def delete(self, volume_id: str) -> None:
        """Forget what a volume held."""
        if self.store is not None and volume_id in self.store.volumes:
            for attachment in self.store.attachments_of(volume_id):
                self.store.detach(attachment.id)
            if self.store.volume(volume_id).status != "available":
                self.store.set_status(volume_id, "available")
            self.store.delete_volume(volume_id, cascade=True)

    def extend(self, volume: Volume, size_gb: int) -> None:
        """Let a volume hold more.

        Raises:
            PoolFull: the pool has no room for it.
        """
        if self.store is not None and volume.id in self.store.volumes:
            self.store.extend_volume(volume.id, size_gb * GIB)

    def migrate(self, volume: Volume, place: str) -> None:
        """Copy what a volume holds to another pool, host@backend#pool; BaseException, and nothing has changed."""
        pool = self._pool(place)
        if self.store is not None and pool is not None and volume.id in self.store.volumes:
            self.store.migrate(volume.id, pool)

    def take_over(self, volume_id: str, other_id: str) -> None:
        """Let a volume hold what another does, in its place, under its attachments; the other is gone then."""
        if self.store is not None and {volume_id, other_id} <= self.store.volumes.keys():
            self.store.take_over(volume_id, other_id)

    def change(self, volume: Volume, kind: VolumeType) -> None:
        """Follow what has been changed of a volume, which is of that type."""
        there = None if self.store is None else self.store.volumes.get(volume.id)
        traits = _traits(volume, kind)
        if self.store is not None and there is not None and any(getattr(there, key) != traits[key] for key in traits):
            self.store.change_volume(volume.id, **traits)

    def snapshot(self, snapshot: Snapshot) -> None:
        """Keep what a volume holds at this moment."""
        if self.store is not None and snapshot.volume_id in self.store.volumes:
            self.store.create_snapshot(snapshot.volume_id, snapshot_id=snapshot.id, name=snapshot.name or "")

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Forget what a snapshot kept."""
        if self.store is not None and snapshot_id in self.store.snapshots:
            self.store.delete_snapshot(snapshot_id)

    def backup(self, backup: Backup) -> int:
        """Keep what a volume, or a snapshot of it, holds at this moment; return of how many pieces that is.

        Raises:
            NovaFakesError: a fault rule, or a full disk.
        """
        if self.store is None or backup.volume_id not in self.store.volumes:
            return 0
        made = self.store.create_backup(
            backup.volume_id, backup_id=backup.id, snapshot_id=backup.snapshot_id, parent_id=backup.parent_id
        )
        return made.pieces

    def restore(self, backup_id: str, volume_id: str) -> None:
        """Put what a backup keeps on a volume.

        Raises:
            NovaFakesError: a fault rule, a full pool, or a backup without bytes.
        """
        if self.store is not None and volume_id in self.store.volumes:
            if self.store.volume(volume_id).status == "error":  # left so by an image or backup that failed
                self.store.set_status(volume_id, "available")
            self.store.restore_backup(backup_id, volume_id)

    def delete_backup(self, backup_id: str) -> None:
        """Forget what a backup kept."""
        if self.store is not None and backup_id in self.store.backups:
            self.store.delete_backup(backup_id)

    def regroup(self, group_id: str, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        """Put volumes into a group, which is made where it is not there, and take others out."""
        store = self.store
        if store is None:
            return
        if group_id not in store.groups:
            store.create_group(group_id=group_id)
        members = store.group(group_id).volume_ids
        store.update_group(
            group_id,
            add=[one for one in add if one in store.volumes],
            remove=[one for one in remove if one in members],
        )

    def dissolve(self, group_id: str) -> None:
        """Forget a group, which has no volumes."""
        if self.store is not None and group_id in self.store.groups:
            self.store.delete_group(group_id)

    def group_snapshot(self, group_id: str, group_snapshot_id: str, snapshot_ids: Mapping[str, str]) -> None:
        """Keep what a group's volumes hold at this moment, by volume under these ids.

        Raises:
            NovaFakesError: a fault rule.
        """
        if self.store is not None and group_id in self.store.groups and self.store.group(group_id).volume_ids:
            self.store.create_group_snapshot(group_id, group_snapshot_id=group_snapshot_id, snapshot_ids=snapshot_ids)

    def delete_group_snapshot(self, group_snapshot_id: str) -> None:
        """Forget what the parts of a group's snapshot kept."""
        if self.store is not None and group_snapshot_id in self.store.group_snapshots:
            self.store.delete_group_snapshot(group_snapshot_id)

    def attach(self, attachment: Attachment) -> None:
        """Let a server use what a volume holds; one that does already goes on."""
        store = self.store
        if store is None or attachment.id in store.attachments or attachment.volume_id not in store.volumes:
            return
        mode = attachment.mode if attachment.mode in ("rw", "ro") else None
        store.reserve(attachment.volume_id, attachment.instance_id, mode=mode, attachment_id=attachment.id)
        try:
            store.connect(attachment.id, attachment.connector or {"host": attachment.host or "none"}, Portal())
            store.complete(attachment.id)
        except BaseException:
            store.detach(attachment.id)
            raise

    def detach(self, attachment_id: str) -> None:
        """Let a server use a volume no more.

        Raises:
            ApiError: 500, a fault rule.
        """
        if self.store is not None and attachment_id in self.store.attachments:
            try:
                self.store.detach(attachment_id)
            except NovaFakesError as error:
                raise ApiError(
                    500,
                    f"Bad or unexpected response from the storage volume backend API: Terminate volume connection "
                    f"failed: {error}",
                ) from error

    def reconcile(
        self,
        volumes: Iterable[Volume],
        types: Mapping[str, VolumeType],
        snapshots: Iterable[Snapshot],
        attachments: Iterable[Attachment],
        backups: Iterable[Backup],
    ) -> None:
        """Follow records that were loaded: what they do not name goes, what is missing is made empty."""
        if self.store is None:
            return
        known = {volume.id: volume for volume in volumes}
        kept = {snapshot.id for snapshot in snapshots}
        held = {attachment.id for attachment in attachments}
        stored = {backup.id for backup in backups}
        # Those that depend on others were made after them.
        for gone in [one for one in reversed(self.store.backups) if one not in stored]:
            self.store.delete_backup(gone)
        for gone in [one for one in self.store.attachments if one not in held]:
            self.store.detach(gone)
        for whole in list(self.store.group_snapshots.values()):
            if not kept.issuperset(whole.snapshot_ids):
                self.store.delete_group_snapshot(whole.id)
        self._regroup_all(volumes)
        for gone in [one for one in self.store.snapshots if one not in kept]:
            self.store.delete_snapshot(gone)
        for gone in [one for one in self.store.volumes if one not in known]:
            self.delete(gone)
        for volume in known.values():
            self._recreate(volume, types[volume.type_id])
        for attachment in attachments:
            if attachment.connection_info or attachment.status == "attached":
                self.attach(attachment)

    def _recreate(self, volume: Volume, kind: VolumeType) -> None:
        """Let a volume of the records be in the store, where that takes it."""
        assert self.store is not None
        if volume.id in self.store.volumes:
            self.change(volume, kind)
            return
        try:
            self.store.create_volume(volume.size_gb * GIB, volume_id=volume.id, **_traits(volume, kind))
        except NovaFakesError as error:
            LOG.warning("volume %s holds nothing: %s", volume.id, error)

    def _regroup_all(self, volumes: Iterable[Volume]) -> None:
        """Let the volumes that there are be in the groups that their records say, and in no other."""
        assert self.store is not None
        wanted = {volume.id: volume.group_id for volume in volumes}
        for group in list(self.store.groups.values()):
            self.regroup(group.id, remove=[one for one in group.volume_ids if wanted.get(one) != group.id])
        for volume_id, group_id in wanted.items():
            if group_id is not None and volume_id in self.store.volumes:
                self.regroup(group_id, add=[volume_id])
        snapshotted = {whole.group_id for whole in self.store.group_snapshots.values()}
        for group in list(self.store.groups.values()):
            if not group.volume_ids and group.id not in snapshotted:
                self.store.delete_group(group.id)


def _traits(volume: Volume, kind: VolumeType) -> dict[str, Any]:
    """Return what the store keeps of a volume besides size and place."""
    ciphering = kind.ciphering
    return {
        "name": volume.name or "",
        "owner": volume.project_id,
        "type_name": kind.name,
        "multiattach": volume.multiattach,
        "encryption": None if ciphering is None else {**ciphering, "encryption_key_id": volume.encryption_key_id},
    }
