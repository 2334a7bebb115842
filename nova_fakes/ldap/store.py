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
from nova_fakes.sqlite_file import Kind, open_alone, unusable

if TYPE_CHECKING:
    from nova_fakes.ldap.directory import Directory

__all__ = ["Store"]

TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE entries (
    id INTEGER PRIMARY KEY, parent INTEGER, rdn BLOB NOT NULL, key BLOB NOT NULL, attributes TEXT NOT NULL,
    uuid TEXT NOT NULL, creator BLOB NOT NULL, created_s REAL NOT NULL,
    modifier BLOB NOT NULL, modified_s REAL NOT NULL, change INTEGER NOT NULL
);
"""
DIRECTORY = Kind("directory", application_id=0x6E66_6C64, version=1, tables=TABLES)
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
        self._file = open_alone(path, DIRECTORY)
        try:
            self._recognise()
            self._load()
        except sqlite3.Error as error:
            self._file.close()
            raise unusable(path, error) from None
        except InvalidInput:
            self._file.close()
            raise

    def _recognise(self) -> None:
        """Let a new file be this directory's, or see whether it is.

        :raises InvalidInput: it is another's
        """
        own = self._directory.suffix.key
        self._file.execute("INSERT OR IGNORE INTO facts VALUES ('suffix', ?)", (own,))
        suffix = self._file.execute("SELECT value FROM facts WHERE name = 'suffix'").fetchone()[0]
        if suffix != own:
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
