"""What happened, in order; and, given a path, what must be found again after a restart.

Without a path the journal is a bounded list in memory. With one, guests and hosts are rows of an SQLite file that
several processes may share, each for its own hosts. SQLite's write-ahead log keeps what was acknowledged when the
process is killed.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from nova_fakes.exceptions import InvalidInput, JournalError

__all__ = ["Change", "Event", "Journal"]

LOG = logging.getLogger(__name__)

_NOTHING: Mapping[str, Any] = MappingProxyType({})

_SCHEMA = """
CREATE TABLE IF NOT EXISTS hosts (name TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS guests (
    host TEXT NOT NULL, uuid TEXT NOT NULL, role TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (host, uuid, role)
);
"""


class Event(NamedTuple):
    """Something that happened.

    :param time: seconds since the epoch, by the fleet's clock
    :param host: where
    :param guest: UUID; None when it concerns the host
    :param operation: ``spawn``, ``pause``, ``vif_plugged`` …
    :param outcome: ``ok``, or the name of the error
    :param details: what else there is to say, by operation: ``vif_id`` for VIFs
    """

    time: float
    host: str
    guest: str | None
    operation: str
    outcome: str = "ok"
    details: Mapping[str, Any] = _NOTHING


Observer = Callable[[Event], None]


class Change(NamedTuple):
    """A guest's record to keep on a host, or to drop there.

    :param record: ready for JSON; None drops it
    :param role: ``guest``, or what else of it lies on the host: ``retained`` or ``disks``
    """

    host: str
    uuid: str
    record: Mapping[str, Any] | None
    role: str = "guest"


class Journal:
    """The events of a fleet, its observers, and the state that outlives it.

    :param path: of the SQLite file; None keeps nothing beyond the process
    :param keep: how many events are kept in memory
    :raises InvalidInput: the file cannot be opened as a journal
    """

    def __init__(self, path: str | Path | None = None, keep: int = 10_000) -> None:
        self._events: deque[Event] = deque(maxlen=keep)
        self._observers: tuple[Observer, ...] = ()
        self._lock = threading.Lock()
        self.path = None if path is None else Path(path)
        self._store = None if self.path is None else _open(self.path)

    @property
    def persistent(self) -> bool:
        """Whether guests are found again after a restart."""
        return self._store is not None

    def record(
        self,
        time: float,
        host: str,
        guest: str | None,
        operation: str,
        outcome: str = "ok",
        details: Mapping[str, Any] = _NOTHING,
    ) -> None:
        """Add an event and tell the observers.

        An observer's error is logged: what happened has happened.
        """
        event = Event(time, host, guest, operation, outcome, details)
        self._events.append(event)
        for observer in self._observers:
            try:
                observer(event)
            except Exception:
                LOG.exception("an observer failed on %s of guest %s on %s", operation, guest, host)

    def subscribe(self, observer: Observer) -> Callable[[], None]:
        """Call the observer with every event from now on, in the thread in which it happens.

        :returns: a function that ends the subscription
        """
        with self._lock:
            self._observers = (*self._observers, observer)

        def unsubscribe() -> None:
            with self._lock:
                self._observers = tuple(one for one in self._observers if one is not observer)

        return unsubscribe

    def events(self, *, host: str | None = None, guest: str | None = None, operation: str | None = None) -> list[Event]:
        """Return the events that are still kept, oldest first."""
        while True:
            try:
                kept = list(self._events)
                break
            except RuntimeError:  # another thread appended meanwhile
                continue
        return [
            event
            for event in kept
            if (host is None or event.host == host)
            and (guest is None or event.guest == guest)
            and (operation is None or event.operation == operation)
        ]

    def save_host(self, name: str, record: Mapping[str, Any]) -> None:
        """Keep a host's record.

        :raises JournalError: the file cannot be written
        """
        self._write([("INSERT OR REPLACE INTO hosts VALUES (?, ?)", (name, json.dumps(record)))])

    def host(self, name: str) -> dict[str, Any] | None:
        """Return a host's record; None when there is none."""
        rows = self._read("SELECT record FROM hosts WHERE name = ?", (name,))
        return json.loads(rows[0][0]) if rows else None

    def change(self, *changes: Change) -> None:
        """Keep and drop guests' records, all of them or none.

        :raises JournalError: the file cannot be written; it is as before
        """
        if self._store is not None:
            self._write([_statement(change) for change in changes])

    def guests(self, host: str, role: str = "guest") -> dict[str, dict[str, Any]]:
        """Return the records of a host by UUID."""
        rows = self._read("SELECT uuid, record FROM guests WHERE host = ? AND role = ?", (host, role))
        return {uuid: json.loads(record) for uuid, record in rows}

    def close(self) -> None:
        """Close the file. What was recorded is in it."""
        if self._store is not None:
            with self._lock:
                self._store.close()
            self._store = None

    def _write(self, statements: list[tuple[str, tuple[str, ...]]]) -> None:
        if self._store is None:
            return
        try:
            with self._lock, self._store:
                for statement, values in statements:
                    self._store.execute(statement, values)
        except sqlite3.Error as error:
            raise JournalError(f"the journal {self.path} cannot be written: {error}; nothing in it changed") from error

    def _read(self, query: str, values: tuple[Any, ...]) -> list[Any]:
        if self._store is None:
            return []
        with self._lock:
            return self._store.execute(query, values).fetchall()


def _statement(change: Change) -> tuple[str, tuple[str, ...]]:
    if change.record is None:
        statement = "DELETE FROM guests WHERE host = ? AND uuid = ? AND role = ?"
        return statement, (change.host, change.uuid, change.role)
    statement = "INSERT OR REPLACE INTO guests VALUES (?, ?, ?, ?)"
    return statement, (change.host, change.uuid, change.role, json.dumps(change.record))


def _open(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        store = sqlite3.connect(path, check_same_thread=False, timeout=30.0)
        store.execute("PRAGMA journal_mode = WAL")
        # Enough against the death of the process; against a power cut the fake need not stand.
        store.execute("PRAGMA synchronous = NORMAL")
        store.executescript(_SCHEMA)
    except (OSError, sqlite3.Error) as error:
        raise InvalidInput(
            "state_path", str(path), f"{error}; give a writable file of a journal, or a new one"
        ) from error
    return store
