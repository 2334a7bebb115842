"""Backups: what a volume held at one moment, kept apart from its pool, and put back."""

from __future__ import annotations

from collections.abc import Iterator

from nova_fakes.exceptions import InvalidInput
from nova_fakes.volume.attachments import AttachmentShelf
from nova_fakes.volume.disk import SparseDisk
from nova_fakes.volume.errors import BackupNotFound, VolumeBusy, VolumeExists, WrongState
from nova_fakes.volume.medium import CHUNK_BYTES, Medium, copy, whole_chunks
from nova_fakes.volume.records import Backup
from nova_fakes.volume.volumes import STEADY

__all__ = ["BackupShelf"]


class BackupShelf(AttachmentShelf):
    """A store that keeps backups. They take no room in any pool, and outlive their volumes."""

    def create_backup(
        self,
        volume_id: str,
        *,
        backup_id: str | None = None,
        snapshot_id: str | None = None,
        parent_id: str | None = None,
    ) -> Backup:
        """Keep what a volume, attached or not, or one of its snapshots holds at this moment.

        :param snapshot_id: one of the volume's, which is kept in its place
        :param parent_id: backup of the same volume; only what differs from it is copied
        :raises InvalidInput: snapshot or parent are another volume's
        :raises WrongState: the volume or the snapshot is on its way from one state to another
        :raises VolumeExists: something has that id
        """
        volume = self.volume(volume_id)
        parent = None if parent_id is None else self.backup(parent_id)
        snapshot = None if snapshot_id is None else self.snapshot(snapshot_id)
        for name, original in (("parent_id", parent), ("snapshot_id", snapshot)):
            if original is not None and original.volume_id != volume_id:
                raise InvalidInput(name, original.id, f"it is one of volume {original.volume_id}")
        source, allowed = (volume, STEADY) if snapshot is None else (snapshot, ("available",))
        if source.status not in allowed:
            raise WrongState(f"{source.kind} {source.id} is {source.status}: it has to be {' or '.join(allowed)}")
        self._check("backup.create", volume, volume.pool)
        identifier = backup_id or self._new_id()
        with self.lock:
            self._require_new(identifier)
            for original in (one for one in (snapshot, parent) if one is not None):
                self._require_there(original)
            still = self._still(volume) if snapshot is None else snapshot.disk.clone(f"{identifier}@backup")
            disk = (
                self._disk(identifier, 0, self.backup_meter)
                if parent is None
                else parent.disk.clone(identifier, self.backup_meter)
            )
        disk.resize(still.size_bytes)
        try:
            copied = 0
            for _piece in changes(still, disk):
                self._check("volume.copy", volume, volume.pool)
                copied += 1
            backup = Backup(
                id=identifier,
                volume_id=volume_id,
                size_bytes=still.size_bytes,
                created_at=self.clock.now(),
                parent_id=parent_id,
                pieces=copied,
                disk=disk,
            )
            with self.lock:
                self._require_new(identifier)
                if parent is not None:
                    self._require_there(parent)
                self._add(backup)
        except BaseException:
            self._drop_disk(disk)
            raise
        finally:
            self._drop_disk(still)
        return backup

    def restore_backup(self, backup_id: str, volume_id: str) -> None:
        """Put what a backup keeps on an available volume; where that fails midway the volume is in error.

        :raises InvalidInput: the volume is shorter
        :raises WrongState: it is not available
        """
        backup, volume = self.backup(backup_id), self.volume(volume_id)
        if volume.size_bytes < backup.size_bytes:
            raise InvalidInput("volume_id", volume_id, f"it is shorter than the backup's {backup.size_bytes} bytes")
        touched = False
        try:
            with self._passing(volume, "restoring-backup", "available"):
                self._check("backup.restore", volume, volume.pool)
                with self.lock:
                    self._require_there(backup)
                    still = backup.disk.clone(f"{volume_id}@restore")
                try:
                    for _copied in copy(still, volume.disk):
                        touched = True
                        self._check("volume.copy", volume, volume.pool)
                finally:
                    self._drop_disk(still)
        except BaseException:
            if touched:
                self.set_status(volume_id, "error")
            raise

    def delete_backup(self, backup_id: str) -> None:
        """Delete a backup.

        :raises BackupNotFound: there is none
        :raises VolumeBusy: others were made as what differs from it
        """
        with self.lock:
            backup = self.backup(backup_id)
            if any(one.parent_id == backup_id for one in self.backups.values()):
                raise VolumeBusy(f"incremental backups depend on backup {backup_id}: delete them first")
            self._remove(backup)

    def _require_new(self, identifier: str) -> None:
        if identifier in self.backups or identifier in self.volumes or identifier in self.snapshots:
            raise VolumeExists(f"there is something called {identifier} in this store already")

    def backup(self, backup_id: str) -> Backup:
        """Return the backup.

        :raises BackupNotFound: there is none
        """
        if backup_id not in self.backups:
            raise BackupNotFound(f"there is no backup {backup_id} in this store")
        return self.backups[backup_id]


def changes(source: Medium, target: SparseDisk) -> Iterator[int]:
    """Make a target's content that of a source of its length; yield the bytes of each piece that was another."""
    done = 0
    for offset, length in source.extents():
        target.discard(done, offset - done)
        for index, within, piece in whole_chunks(offset, length):
            position = index * CHUNK_BYTES + within
            data = source.read(position, piece)
            if data != target.read(position, piece):
                target.write(position, data)
                yield piece
        done = offset + length
    target.discard(done, target.size_bytes - done)
