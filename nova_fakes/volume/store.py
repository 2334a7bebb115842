"""The volume store as a whole: what others use."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from nova_fakes.exceptions import InvalidInput
from nova_fakes.volume import errors, images
from nova_fakes.volume.backups import BackupShelf
from nova_fakes.volume.disk import SparseDisk
from nova_fakes.volume.errors import TransferNotFound, TransferRefused, VolumeBusy, WrongState
from nova_fakes.volume.file_disk import FileDisk
from nova_fakes.volume.medium import copy
from nova_fakes.volume.records import Snapshot, Transfer, Volume

__all__ = ["VolumeStore"]

#: In which a volume may give its place to another.
TAKEN_OVER = ("available", "reserved", "attaching", "in-use", "detaching")


class VolumeStore(BackupShelf):
    """Volumes, snapshots, groups, backups and attachments over pools; safe to use from many threads.

    What takes a real service time happens while the caller waits, outside the store's lock: others see the volume on
    its way meanwhile, and are refused. Whatever fails leaves everything as it was.

    Fault rules are asked by the names ``volume.create``, ``volume.delete``, ``volume.extend``, ``volume.revert``,
    ``volume.connect``, ``volume.detach``, ``volume.migrate``, ``volume.copy`` (once for each MiB that is copied),
    ``volume.upload``, ``volume.download``, ``volume.read``, ``volume.write``, ``volume.discard``, ``volume.flush``,
    ``snapshot.create``, ``snapshot.delete``, ``backup.create`` and
    ``backup.restore``; their ``guest`` is the volume's id or name, their ``flavor`` its type.
    """

    # Images

    def load_image(self, volume_id: str, pieces: Iterable[bytes], image_format: str = "raw") -> Volume:
        """Put an image's content on an available volume; where that fails midway the volume is in error.

        :param image_format: see :data:`nova_fakes.volume.images.FORMATS`
        :raises ImageUnreadable: it is not of that format, or larger than the volume
        :raises WrongState: the volume is attached, or otherwise not available
        """
        volume = self.volume(volume_id)
        touched = False
        try:
            with self._passing(volume, "downloading", "available", "reserved"):
                self._check("volume.download", volume, volume.pool)
                for _written in images.write_image(pieces, volume.disk, image_format):
                    touched = True
                    self._check("volume.copy", volume, volume.pool)
        except BaseException:
            if touched:
                self.set_status(volume_id, "error")
            raise
        return volume

    def save_image(self, volume_id: str, path: str | os.PathLike[str], image_format: str = "raw") -> None:
        """Write a volume's content, as it is at this moment, into a new image file.

        :raises ImageUnreadable: nothing here writes that format
        """
        volume = self.volume(volume_id)
        self._check("volume.upload", volume, volume.pool)
        still = self._still(volume)
        try:
            images.export_image(still, path, image_format)
        finally:
            self._drop_disk(still)

    # Moves

    def migrate(self, volume_id: str, pool: str) -> Volume:
        """Move an available volume, its snapshots with it, to another pool; every byte is copied.

        :raises PoolNotFound: there is no such pool
        :raises PoolFull: it has no room
        :raises WrongState: the volume is not available
        """
        volume, target = self.volume(volume_id), self.pool(pool)
        if volume.pool == pool:
            raise InvalidInput("pool", pool, "the volume lies there already")
        self._require_no_file(volume)
        with ExitStack() as held:
            with self.lock:
                held.enter_context(self._passing(volume, "migrating", "available"))
                for snapshot in self.snapshots_of(volume_id):
                    held.enter_context(self._passing(snapshot, "migrating", "available", "error"))
                target.promise(volume.size_bytes)
            moved: list[tuple[Volume | Snapshot, SparseDisk]] = []
            try:
                self._check("volume.migrate", volume, volume.pool)
                records: list[Volume | Snapshot] = [volume, *self.snapshots_of(volume_id)]
                for record in records:
                    fresh = self._disk(f"{record.id}@{pool}", record.disk.size_bytes, target.meter)
                    moved.append((record, fresh))
                    for _copied in copy(record.disk, fresh):
                        self._check("volume.copy", volume, volume.pool)
                self._settle(volume, pool, moved)
            except BaseException:
                with self.lock:
                    target.promise(-volume.size_bytes)
                for _record, fresh in moved:
                    self._drop_disk(fresh)
                raise
        return volume

    def take_over(self, volume_id: str, other_id: str) -> Volume:
        """Let a volume have the place, the bytes, the size and the attachments of another, which is gone then.

        So ends the migration of a volume in use, whose server has been given the other meanwhile.

        :raises WrongState: the other is on its way from one state to another, or offered to somebody
        :raises VolumeBusy: the volume is attached itself, one of them has snapshots or is in a group, or lies in a file
        """
        with self.lock:
            volume, other = self.volume(volume_id), self.volume(other_id)
            self._require_unused(volume)
            self._require_no_file(other)
            if other.status not in TAKEN_OVER:
                raise WrongState(f"volume {other_id} is {other.status}: it has to be {' or '.join(TAKEN_OVER)}")
            if other.group_id is not None or self.snapshots_of(volume_id) or self.snapshots_of(other_id):
                raise VolumeBusy(f"volume {volume_id} or {other_id} has snapshots, or is in a group: neither may")
            source, freed_bytes = self.pools[volume.pool], volume.size_bytes
            attachments = self.attachments_of(other_id)
            # Who writes to the other meanwhile waits, and writes to what stays.
            gone = replace(other, disk=volume.disk)
            assert isinstance(other.disk, SparseDisk)
            with other.disk.held():
                volume.disk = other.disk
                try:
                    values = {"pool": other.pool, "size_bytes": other.size_bytes, "status": other.status}
                    moved = [(one, {"volume_id": volume_id}) for one in attachments]
                    self._commit([(volume, values), *moved], removed=[gone], shared=[(other_id, volume_id)])
                except BaseException:
                    volume.disk = gone.disk
                    raise
                other.disk.name = volume_id
            if attachments:
                self._attachments_of[volume_id] = self._attachments_of.pop(other_id)
            source.promise(-freed_bytes)
        return volume

    def copy_volume(self, source_id: str, target_id: str) -> Iterator[int]:
        """Copy a volume's bytes onto another that is as long or longer, attached or not; yield the bytes of each piece.

        Nothing else changes, and nothing happens until the pieces are asked for.

        :raises InvalidInput: the target is shorter
        """
        source, target = self.volume(source_id), self.volume(target_id)
        still = self._still(source)
        try:
            for copied in copy(still, target.disk):
                self._check("volume.copy", target, target.pool)
                yield copied
        finally:
            self._drop_disk(still)

    # Files

    def put_in_file(self, volume_id: str, path: Path) -> None:
        """Let a volume lie in an empty file of its size from now on (see :class:`LocalFiles`).

        :raises WrongState: it is in use
        """
        volume = self.volume(volume_id)
        with self._passing(volume, "exporting", "available", "reserved", "attaching"):
            disk = FileDisk(path)
            try:
                self._fill_disk(volume, disk, volume.disk)
            except BaseException:
                disk.close()
                raise
            left, volume.disk = volume.disk, disk
            if isinstance(left, SparseDisk):
                left.release()

    def take_from_file(self, volume_id: str) -> None:
        """Let a volume lie in its pool again, with what its file holds.

        :raises WrongState: it is in use
        :raises InvalidInput: it lies there already
        """
        volume = self.volume(volume_id)
        disk = volume.disk
        if not isinstance(disk, FileDisk):
            raise InvalidInput("volume_id", volume_id, "it lies in no file")
        with self._passing(volume, "exporting", "available", "reserved", "attaching", "error"):
            self._take(volume, disk)
        disk.close()

    def load_file(self, volume_id: str, path: Path) -> None:
        """Take what a volume's file holds that a process has left which was killed."""
        volume = self.volume(volume_id)
        with FileDisk(path) as disk:
            self._take(volume, disk)

    def resume_file(self, volume_id: str, path: Path) -> None:
        """Let a volume that is attached lie on in the file which a process has left that was killed."""
        volume = self.volume(volume_id)
        disk = FileDisk(path)
        with self.lock:
            left, volume.disk = volume.disk, disk
            if isinstance(left, SparseDisk):
                left.release()

    def _take(self, volume: Volume, disk: FileDisk) -> None:
        fresh = self._disk(f"{volume.id}@file", disk.size_bytes, self.pools[volume.pool].meter)
        try:
            self._fill_disk(volume, fresh, disk)
            fresh.resize(volume.size_bytes)
            with self.lock:
                self._commit(shared=[(fresh.name, volume.id)])
                left, volume.disk = volume.disk, fresh
                fresh.name = volume.id
                if isinstance(left, SparseDisk):
                    left.release()
        except BaseException:
            self._drop_disk(fresh)
            raise

    def _fill_disk(self, volume: Volume, target: SparseDisk | FileDisk, source: SparseDisk | FileDisk) -> None:
        for _copied in copy(source, target):
            self._check("volume.copy", volume, volume.pool)

    def _settle(self, volume: Volume, pool: str, moved: list[tuple[Volume | Snapshot, SparseDisk]]) -> None:
        """Let a volume and its snapshots lie where their content has been copied to."""
        source = self.pools[volume.pool]
        with self.lock:
            shared = [(fresh.name, record.id) for record, fresh in moved]
            self._commit([(volume, {"pool": pool})], shared=shared)
            for record, fresh in moved:
                left, record.disk = record.disk, fresh
                fresh.name = record.id
                if isinstance(left, SparseDisk):
                    left.release()
            source.promise(-volume.size_bytes)

    # Transfers

    def offer(self, volume_id: str, *, name: str = "") -> tuple[Transfer, str]:
        """Offer a volume to whoever has the key, which is returned with the offer and kept nowhere.

        :raises WrongState: the volume is not available
        :raises VolumeBusy: it has snapshots or is in a group
        """
        with self.lock:
            volume = self.volume(volume_id)
            self._require_unused(volume)
            if volume.status != "available" or self.snapshots_of(volume_id):
                raise VolumeBusy(f"volume {volume_id} is {volume.status}, or has snapshots: it cannot be offered")
            key, salt = secrets.token_hex(8), secrets.token_hex(4)
            transfer = Transfer(
                id=self._new_id(),
                volume_id=volume_id,
                created_at=self.clock.now(),
                salt=salt,
                key_digest=_key_digest(salt, key),
                name=name,
            )
            self._commit([(volume, {"status": "awaiting-transfer"})], added=[transfer])
        return transfer, key

    def accept(self, transfer_id: str, key: str, owner: str) -> Volume:
        """Take over a volume that is offered.

        :raises TransferNotFound: it is not
        :raises TransferRefused: the key is another's
        """
        with self.lock:
            transfer = self._transfer(transfer_id)
            if not hmac.compare_digest(transfer.key_digest, _key_digest(transfer.salt, key)):
                raise TransferRefused(f"the key does not open transfer {transfer_id}")
            volume = self.volume(transfer.volume_id)
            self._end(transfer, volume, {"owner": owner})
        return volume

    def withdraw(self, transfer_id: str) -> None:
        """Take an offer back.

        :raises TransferNotFound: there is none
        """
        with self.lock:
            transfer = self._transfer(transfer_id)
            self._end(transfer, self.volume(transfer.volume_id), {})

    def _transfer(self, transfer_id: str) -> Transfer:
        if transfer_id not in self.transfers:
            raise TransferNotFound(f"nobody offers transfer {transfer_id}")
        return self.transfers[transfer_id]

    def _end(self, transfer: Transfer, volume: Volume, changes: dict[str, Any]) -> None:
        self._commit([(volume, {"status": "available", **changes})], removed=[transfer])

    # Capacity

    def statistics(self) -> list[dict[str, Any]]:
        """Return what Cinder's scheduler is told of each pool."""
        with self.lock:
            counts = dict.fromkeys(self.pools, 0)
            for volume in self.volumes.values():
                counts[volume.pool] += 1
            return [{**pool.statistics(), "total_volumes": counts[name]} for name, pool in self.pools.items()]

    # Other ids

    def rename(self, volume_id: str, new_id: str) -> Volume:
        """Give an unused volume another id, as a service does that takes over one which it did not make.

        Its snapshots stay its own.

        :raises VolumeExists: something has that id
        :raises VolumeBusy: it is in use
        """
        with self.lock:
            volume = self.volume(volume_id)
            self._require_unused(volume)
            self._require_free(new_id)
            assert isinstance(volume.disk, SparseDisk)
            fresh = Volume(**(volume.to_record() | {"id": new_id}), disk=volume.disk.clone(new_id))
            snapshots = self.snapshots_of(volume_id)
            self._commit([(one, {"volume_id": new_id}) for one in snapshots], added=[fresh], removed=[volume])
            if snapshots:
                self._snapshots_of[new_id] = self._snapshots_of.pop(volume_id)
        return fresh

    def rename_snapshot(self, snapshot_id: str, new_id: str) -> Snapshot:
        """Give a snapshot another id, likewise.

        :raises VolumeExists: something has that id
        :raises VolumeBusy: it is one of a group's
        """
        with self.lock:
            snapshot = self.snapshot(snapshot_id)
            self._require_free(new_id)
            if snapshot.group_snapshot_id is not None or snapshot.status != "available":
                raise VolumeBusy(f"snapshot {snapshot_id} is {snapshot.status}, or one of a group's: it keeps its id")
            fresh = Snapshot(**(snapshot.to_record() | {"id": new_id}), disk=snapshot.disk.clone(new_id))
            self._commit(added=[fresh], removed=[snapshot])
        return fresh

    def _require_free(self, identifier: str) -> None:
        if identifier in self.volumes or identifier in self.snapshots:
            raise errors.VolumeExists(f"there is a volume or snapshot {identifier} in this store already")


def _key_digest(salt: str, key: str) -> str:
    return hashlib.scrypt(key.encode(), salt=salt.encode(), n=2, r=8, p=1).hex()
