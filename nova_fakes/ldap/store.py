"""A directory's entries in an SQLite file, to outlive the process: one transaction per operation.

SQLite's write-ahead log keeps what was acknowledged when the process is killed at any moment, and nothing half done.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap.entry import Entry, Values
from nova_fakes.ldap.results import LdapError, ResultCode
from nova_fakes.ldap.schema import Attribute

if TYPE_CHECKING:
    from nova_fakes.ldap.directory import Directory

__all__ = ["Store"]

VERSION = 1
TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE entries (
    id INTEGER PRIMARY KEY, parent INTEGER, rdn BLOB NOT NULL, key BLOB NOT NULL, attributes TEXT NOT NULL,
    uuid TEXT NOT NULL, creator BLOB NOT NULL, created_s REAL NOT NULL,
    modifier BLOB NOT NULL, modified_s REAL NOT NULL, change INTEGER NOT NULL
);
"""
COLUMNS = "id, parent, rdn, key, attributes, uuid, creator, created_s, modifier, modified_s, change"
PUT = "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
# In JSON each byte of a value is a character.
BYTES = "latin-1"


class Store:
    """The file of one directory.

    :param path: of the file; it is made where there is none
    :raises InvalidInput: it cannot be used, another process uses it, or it has another directory's entries, or such as
        the directory's schema does not know
    """

    def __init__(self, path: Path, directory: Directory) -> None:
        self.path = path
        self._directory = directory
        self._file = _opened(path)
        try:
            self._prepare()
            self._load()
        except sqlite3.Error as error:
            self._file.close()
            raise _unusable(path, error) from None
        except InvalidInput:
            self._file.close()
            raise

    def _prepare(self) -> None:
        """Make the tables, or see whether they are this directory's."""
        version = self._file.execute("PRAGMA user_version").fetchone()[0]
        has_tables = self._file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not version and has_tables:
            raise InvalidInput("persist", str(self.path), "it is another program's SQLite file: give another name")
        if not version:
            self._file.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
            with self._file:
                self._file.execute("INSERT INTO facts VALUES ('suffix', ?)", (self._directory.suffix.key,))
        elif version != VERSION:
            raise InvalidInput("persist", str(self.path), f"version {version}, and this is for {VERSION}: make it anew")
        suffix = self._file.execute("SELECT value FROM facts WHERE name = 'suffix'").fetchone()[0]
        if suffix != self._directory.suffix.key:
            raise InvalidInput("persist", str(self.path), f"it has the entries of {suffix}: give that suffix")

    def _load(self) -> None:
        """Let the directory have the entries of the file."""
        entries: dict[int, Entry] = {}
        above: dict[int, int | None] = {}
        for row in self._file.execute(f"SELECT {COLUMNS} FROM entries ORDER BY id"):
            entry = self._entry(*row)
            entries[entry.id] = entry
            above[entry.id] = row[1]
        for number, parent in above.items():
            entries[number].parent = entries[parent] if parent is not None else None
        self._directory.adopt(entries.values())

    def _entry(
        self,
        number: int,
        _parent: int | None,
        rdn: bytes,
        key: bytes,
        attributes: str,
        uuid: str,
        creator: bytes,
        created_s: float,
        modifier: bytes,
        modified_s: float,
        change: int,
    ) -> Entry:
        read = {self._attribute(name): _values(values) for name, values in json.loads(attributes).items()}
        text = rdn.decode("utf-8", "surrogateescape")
        entry = Entry(number, text, text if key == rdn else key.decode("utf-8", "surrogateescape"), read)
        interned = self._directory.interned
        entry.uuid, entry.change = uuid, change
        entry.creator, entry.created_s = interned(creator), created_s
        entry.modifier, entry.modified_s = interned(modifier), modified_s
        return entry

    def _attribute(self, name: str) -> Attribute:
        try:
            return self._directory.schema.attribute(name)
        except LdapError:
            cure = f"its entries have the attribute {name}: give the schema that defines it"
            raise InvalidInput("persist", str(self.path), cure) from None

    def write(self, entries: Iterable[tuple[Entry, bool]]) -> None:
        """Write entries as they are, and whether they are in the tree; all or nothing.

        :raises LdapError: OTHER, the file cannot be written
        """
        there: list[tuple[Any, ...]] = []
        gone: list[tuple[int]] = []
        for entry, is_there in entries:
            if is_there:
                there.append(_row(entry))
            else:
                gone.append((entry.id,))
        try:
            self._file.execute("BEGIN")
            with self._file:
                self._file.executemany("DELETE FROM entries WHERE id = ?", gone)
                self._file.executemany(PUT, there)
        except sqlite3.Error as error:
            raise LdapError(ResultCode.OTHER, f"{self.path} cannot be written: {error}") from error

    def close(self) -> None:
        """Close the file; another process may use it then."""
        self._file.close()


def _opened(path: Path) -> sqlite3.Connection:
    """Open a file for this process alone.

    :raises InvalidInput: it cannot be used
    """
    file = None
    try:
        file = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        file.execute("PRAGMA locking_mode = EXCLUSIVE")
        file.execute("PRAGMA journal_mode = WAL")
        # What was written survives the process; a power cut may cost the last operations.
        file.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error as error:
        if file is not None:
            file.close()
        raise _unusable(path, error) from None
    return file


def _unusable(path: Path, error: sqlite3.Error) -> InvalidInput:
    is_busy = "locked" in str(error)
    cure = "another process uses it: give each its own" if is_busy else f"give a writable file ({error})"
    return InvalidInput("persist", str(path), cure)


def _row(entry: Entry) -> tuple[Any, ...]:
    attributes = {held.name: [value.decode(BYTES) for value in values] for held, values in entry.attributes.items()}
    return (
        entry.id,
        entry.parent.id if entry.parent is not None else None,
        entry.rdn.encode("utf-8", "surrogateescape"),
        entry.key.encode("utf-8", "surrogateescape"),
        json.dumps(attributes, ensure_ascii=False, separators=(",", ":")),
        entry.uuid,
        entry.creator,
        entry.created_s,
        entry.modifier,
        entry.modified_s,
        entry.change,
    )


def _values(texts: list[str]) -> Values:
    return tuple([text.encode(BYTES) for text in texts])
