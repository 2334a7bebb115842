"""SQLite files in which one process keeps its state."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from nova_fakes.exceptions import InvalidInput

__all__ = ["Kind", "open_alone", "unusable"]

#: How long another process may take to let the file go.
BUSY_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file holds.

    :param name: as messages call it
    :param application_id: stands in the file's header, a number of 31 bits
    :param version: of the tables, from 1
    :param tables: SQL that makes them
    """

    name: str
    application_id: int
    version: int
    tables: str


def open_alone(path: Path, kind: Kind, field: str = "persist") -> sqlite3.Connection:
    """Open a file for this process alone; make it where it is not there.

    What was written survives the process; a power cut may cost the last transactions.

    :param field: what the file's name was given as
    :returns: a connection for any thread, without transactions of its own
    :raises InvalidInput: it cannot be used, or holds something else
    """
    with contextlib.ExitStack() as undo:
        try:
            file = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S)
            undo.callback(file.close)
            for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL"):
                file.execute(f"PRAGMA {pragma}")
            _prepare(file, path, kind, field)
        except sqlite3.Error as error:
            raise unusable(path, error, field) from None
        undo.pop_all()
    return file


def unusable(path: Path, error: sqlite3.Error, field: str = "persist") -> InvalidInput:
    """Return the refusal of a file with which SQLite had an error."""
    is_busy = "locked" in str(error)
    cure = (
        "another process uses it: end that first"
        if is_busy
        else f"give a writable file, or give another name ({error})"
    )
    return InvalidInput(field, str(path), cure)


def _prepare(file: sqlite3.Connection, path: Path, kind: Kind, field: str) -> None:
    """Make the tables, or see whether they are of the kind."""
    (application_id,), (version,), (tables,) = (
        file.execute(query).fetchone()
        for query in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    )
    if not (application_id or version or tables):
        header = f"PRAGMA application_id = {kind.application_id}; PRAGMA user_version = {kind.version};"
        file.executescript(f"BEGIN IMMEDIATE; {kind.tables} {header} COMMIT;")
    elif application_id != kind.application_id:
        raise InvalidInput(
            field, str(path), f"it is another program's SQLite file and holds no {kind.name}: give another name"
        )
    elif version != kind.version:
        raise InvalidInput(field, str(path), f"version {version}, and this is for {kind.version}: make it anew")
