"""Volumes as sparse files, which other programs may open: what the protocol `local` hands out."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from nova_fakes.exceptions import InvalidInput
from nova_fakes.virt.vif.ledger import Entry, Ledger
from nova_fakes.volume.file_disk import FileDisk, make_sparse
from nova_fakes.volume.images import export_image
from nova_fakes.volume.store import VolumeStore

__all__ = ["LocalFiles"]


class LocalFiles:
    """The files of a store's volumes in one directory.

    A volume's bytes lie in its file alone while it has one: what a program writes there is what its server reads.

    :param store: whose volumes they are
    :param directory: made where it is not there
    :param ledger: where files are written down before they are made
    """

    def __init__(self, store: VolumeStore, directory: str | os.PathLike[str], ledger: Ledger | None = None) -> None:
        self.directory = Path(directory).absolute()
        self._store = store
        self._ledger = ledger or Ledger()
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, volume_id: str) -> Path | None:
        """Return where a volume's file is; None where it has none."""
        disk = self._store.volume(volume_id).disk
        return disk.path if isinstance(disk, FileDisk) else None

    def publish(self, volume_id: str) -> Path:
        """Put a volume into a file and return its path; one that lies there already stays.

        :raises VolumeNotFound: there is no such volume
        :raises WrongState: somebody has it in use already, without a file
        """
        with self._lock:
            there = self.path(volume_id)
            if there is not None:
                return there
            if Path(volume_id).name != volume_id or volume_id == "..":
                raise InvalidInput("volume_id", volume_id, "it cannot be the name of a file")
            path = self.directory / volume_id
            size_bytes = self._store.volume(volume_id).size_bytes
            entry = self._ledger.add("file", str(path), volume=volume_id)
            made = False
            try:
                make_sparse(path, size_bytes)
                made = True
                entry = self._ledger.note(entry, inode=path.stat().st_ino)
                self._store.put_in_file(volume_id, path)
                # From here on the file is the volume.
                self._entries[volume_id] = self._ledger.note(entry, published=True)
            except BaseException:
                if made:
                    path.unlink()
                self._ledger.done(entry)
                raise
        return path

    def withdraw(self, volume_id: str) -> None:
        """Take a volume back out of its file, which goes; one without a file is no error.

        :raises WrongState: somebody has it in use
        """
        with self._lock:
            path = self.path(volume_id)
            if path is None:
                return
            self._store.take_from_file(volume_id)
            path.unlink(missing_ok=True)
            entry = self._entries.pop(volume_id, None)
            if entry is not None:
                self._ledger.done(entry)

    def publish_snapshot(self, snapshot_id: str) -> Path:
        """Put a copy of a snapshot into a file for reading and return its path; one that lies there already stays.

        :raises SnapshotNotFound: there is no such snapshot
        """
        with self._lock:
            disk = self._store.snapshot(snapshot_id).disk
            path = self.directory / f"snapshot-{snapshot_id}"
            if snapshot_id not in self._entries:
                entry = self._ledger.add("file", str(path))
                try:
                    export_image(disk, path)
                    path.chmod(0o400)
                except BaseException:
                    path.unlink(missing_ok=True)
                    self._ledger.done(entry)
                    raise
                self._entries[snapshot_id] = self._ledger.note(entry, inode=path.stat().st_ino)
        return path

    def withdraw_snapshot(self, snapshot_id: str) -> None:
        """Remove a snapshot's file; one without a file is no error."""
        with self._lock:
            entry = self._entries.pop(snapshot_id, None)
            if entry is not None:
                Path(entry.name).unlink(missing_ok=True)
                self._ledger.done(entry)

    def recover(self) -> list[str]:
        """Take back what files of a process that was killed hold; return the volumes' ids.

        A volume that is attached stays in its file. The ledger names them; a clean-up that goes first removes the
        files, and what was written there with them.
        """
        recovered = []
        for entry in self._ledger.entries("file"):
            volume_id, path = entry.attributes.get("volume"), Path(entry.name)
            if not isinstance(volume_id, str) or path.parent != self.directory:
                continue
            ours = path.exists() and path.stat().st_ino == entry.attributes.get("inode")
            if ours and entry.attributes.get("published") and volume_id in self._store.volumes:
                recovered.append(volume_id)
                if self._store.attachments_of(volume_id):
                    self._store.resume_file(volume_id, path)
                    self._entries[volume_id] = entry
                    continue
                self._store.load_file(volume_id, path)
            if ours:
                path.unlink()
            self._ledger.done(entry)
        return recovered

    def close(self) -> None:
        """Take every volume back that nobody has in use; the others' files stay, and so does the ledger's word."""
        for identifier in list(self._entries):
            if identifier not in self._store.volumes:
                self.withdraw_snapshot(identifier)
            elif not self._store.attachments_of(identifier):
                self.withdraw(identifier)
