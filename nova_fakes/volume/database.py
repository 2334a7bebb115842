"""The file of a store: records and bytes, so that a store that is opened again finds all of it.

SQLite's write-ahead log keeps what was acknowledged when the process is killed, and nothing that was half done. Chunks
lie there once each, however many disks have them; a table tells which disk has which.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nova_fakes.exceptions import InvalidInput
from nova_fakes.sqlite_file import Kind, open_alone
from nova_fakes.volume.errors import StoreUnwritable
from nova_fakes.volume.medium import Buffer

__all__ = ["Database"]

_TABLES = """
CREATE TABLE records (kind TEXT NOT NULL, id TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (kind, id));
CREATE TABLE chunks (key INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE disks (
    disk TEXT NOT NULL, place INTEGER NOT NULL, chunk INTEGER NOT NULL, PRIMARY KEY (disk, place)
) WITHOUT ROWID;
CREATE INDEX disks_by_chunk ON disks (chunk);
"""
_STORE = Kind("volume store", application_id=0x6E66_766F, version=1, tables=_TABLES)
#: An update keeps the place in the order of creation.
_SAVE = "INSERT INTO records VALUES (?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET record = excluded.record"
#: Which of these chunks no disk has any more.
_ORPHANS = "DELETE FROM chunks WHERE key = ? AND NOT EXISTS (SELECT 1 FROM disks WHERE chunk = key)"


class Database:
    """An open file. It is the backing of its disks too (see :class:`nova_fakes.volume.chunks.Backing`).

    :param path: made where it is not there; one process at a time
    :raises InvalidInput: it cannot be opened as a store
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        # Reentrant: what writes a record may write bytes in the same transaction.
        self._lock = threading.RLock()
        self._depth = 0
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput("path", str(path), f"{error}; give the file of a store, or a new one") from error
        # Whoever opened it while another process has it would change what that one keeps in memory.
        self._file = open_alone(self.path, _STORE, field="path")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all that is done inside, or nothing of it; one inside another belongs to it.

        :raises StoreUnwritable: the file cannot be written; it is as before
        """
        with self._lock:
            self._depth += 1
            try:
                if self._depth == 1:
                    self._file.execute("BEGIN IMMEDIATE")
                yield
                if self._depth == 1:
                    self._file.execute("COMMIT")
            except BaseException as error:
                if self._depth == 1 and self._file.in_transaction:
                    self._file.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise StoreUnwritable(f"the store {self.path} cannot be written: {error}") from error
                raise
            finally:
                self._depth -= 1

    def save(self, kind: str, identifier: str, record: Mapping[str, Any] | None) -> None:
        """Keep a record, or drop it where it is None."""
        with self.transaction():
            if record is None:
                self._file.execute("DELETE FROM records WHERE kind = ? AND id = ?", (kind, identifier))
            else:
                self._file.execute(_SAVE, (kind, identifier, json.dumps(record)))

    def records(self, kind: str) -> list[dict[str, Any]]:
        """Return the records of a kind in the order in which they were first kept."""
        with self._lock:
            rows = self._file.execute("SELECT record FROM records WHERE kind = ? ORDER BY rowid", (kind,)).fetchall()
        return [json.loads(record) for (record,) in rows]

    def put(self, disk: str, index: int, data: Buffer) -> int:
        """Keep a chunk as the disk's, in place of what was there; return its key."""
        with self.transaction():
            before = self._keys(disk, index, index)
            key = self._file.execute("INSERT INTO chunks (data) VALUES (?)", (data,)).lastrowid
            assert key is not None
            self._file.execute("INSERT OR REPLACE INTO disks VALUES (?, ?, ?)", (disk, index, key))
            self._file.executemany(_ORPHANS, before)
        return key

    def overwrite(self, key: int, offset: int, data: Buffer) -> None:
        """Change part of a chunk that one disk alone has."""
        with self.transaction(), self._file.blobopen("chunks", "data", key) as blob:
            blob.seek(offset)
            blob.write(data)

    def load(self, key: int) -> bytes:
        """Return a chunk's bytes."""
        with self._lock:
            ((data,),) = self._file.execute("SELECT data FROM chunks WHERE key = ?", (key,)).fetchall()
        return bytes(data)

    def drop(self, disk: str, first: int, last: int) -> None:
        """Forget the chunks of a disk from one to another, both included."""
        with self.transaction():
            keys = self._keys(disk, first, last)
            self._file.execute("DELETE FROM disks WHERE disk = ? AND place BETWEEN ? AND ?", (disk, first, last))
            self._file.executemany(_ORPHANS, keys)

    def share(self, source: str, target: str) -> None:
        """Let a disk have the chunks of another, in place of its own."""
        with self.transaction():
            keys = self._keys(target)
            self._file.execute("DELETE FROM disks WHERE disk = ?", (target,))
            self._file.execute(
                "INSERT INTO disks SELECT ?, place, chunk FROM disks WHERE disk = ?",
                (target, source),
            )
            self._file.executemany(_ORPHANS, keys)

    def forget(self, disk: str) -> None:
        """Drop a disk with what it alone has."""
        with self.transaction():
            keys = self._keys(disk)
            self._file.execute("DELETE FROM disks WHERE disk = ?", (disk,))
            self._file.executemany(_ORPHANS, keys)

    def places(self, disk: str) -> list[tuple[int, int]]:
        """Return the number and the key of each of a disk's chunks."""
        with self._lock:
            return self._file.execute("SELECT place, chunk FROM disks WHERE disk = ?", (disk,)).fetchall()

    def disks(self) -> list[str]:
        """Return the names of all disks that have chunks."""
        with self._lock:
            return [name for (name,) in self._file.execute("SELECT DISTINCT disk FROM disks")]

    def close(self) -> None:
        """Close the file; twice is no error."""
        with self._lock:
            self._file.close()

    def _keys(self, disk: str, first: int = 0, last: int = 1 << 62) -> list[tuple[int]]:
        return self._file.execute(
            "SELECT chunk FROM disks WHERE disk = ? AND place BETWEEN ? AND ?", (disk, first, last)
        ).fetchall()
