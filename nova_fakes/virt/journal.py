"""What happened, in order; and, given a path, what must be found again after a restart.

Without a path the journal is a bounded list in memory. With one, events, guests and hosts are rows of an SQLite file
that several processes may share, each for its own hosts. An event and what it changed are written in one transaction:
SQLite's write-ahead log keeps what was acknowledged when the process is killed, and nothing that was half done.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nova_fakes.exceptions import InvalidInput, JournalError
from nova_fakes.virt.event import NOTHING, OK, Event

__all__ = ["Event", "Journal", "Write"]

LOG = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS hosts (name TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS guests (
    host TEXT NOT NULL, uuid TEXT NOT NULL, role TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (host, uuid, role)
);
CREATE TABLE IF NOT EXISTS images (
    host TEXT NOT NULL, image TEXT NOT NULL, used_s REAL NOT NULL, PRIMARY KEY (host, image)
);
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, host TEXT NOT NULL, guest TEXT,
    operation TEXT NOT NULL, outcome TEXT NOT NULL, details TEXT NOT NULL
);
"""

#: After how many events those that are too many are dropped from the file.
_DROP_EVERY = 256

Observer = Callable[[Event], None]
#: A statement and its values.
Write = tuple[str, tuple[Any, ...]]


class Journal:
    """The events of a fleet, its observers, and the state that outlives it.

    :param path: of the SQLite file; None keeps nothing beyond the process
    :param keep: how many events are kept
    :raises InvalidInput: the file cannot be opened as a journal
    """

    def __init__(self, path: str | Path | None = None, keep: int = 10_000) -> None:
        if keep < 1:
            raise InvalidInput("keep", keep, "give how many events to keep, 1 or more")
        self._events: deque[Event] = deque(maxlen=keep)
        self._keep = keep
        self._observers: tuple[Observer, ...] = ()
        self._lock = threading.Lock()
        # The event in memory that was numbered last: numbers are given when somebody asks, and cost nobody else.
        self._numbered: tuple[Event | None, int] = (None, 0)
        self.path = None if path is None else Path(path)
        self._store = None if self.path is None else _open(self.path)
        #: Whether guests are found again after a restart.
        self.persistent = self._store is not None

    def record(
        self,
        time: float,
        host: str,
        guest: str | None,
        operation: str,
        outcome: str = OK,
        details: Mapping[str, Any] = NOTHING,
    ) -> None:
        """Add an event and tell the observers.

        :raises JournalError: the file cannot be written
        """
        # Event(...) at half the price: this is on the way of every operation.
        event = tuple.__new__(Event, (time, host, guest, operation, outcome, details))
        if self._store is None:
            self._events.append(event)
        else:
            self.note(event)
        if self._observers:
            self.tell(event)

    def record_failure(self, time: float, host: str, guest: str | None, operation: str, error: BaseException) -> None:
        """Add the event of an attempt that failed. That it cannot be written is logged: the attempt's error counts."""
        try:
            self.record(time, host, guest, operation, type(error).__name__, {"message": str(error)})
        except JournalError:
            LOG.exception("the failure of %s of guest %s on %s is not in the journal", operation, guest, host)

    def note(self, event: Event, writes: Iterable[Write] = ()) -> None:
        """Add an event, and write what it changed, all or nothing; the observers are not told yet.

        :raises JournalError: the file cannot be written; it is as before
        """
        if self._store is None:
            self._events.append(event)
            return
        details = json.dumps(event.to_record()["details"], default=str) if event.details else "{}"
        with self._transaction(self._store) as store:
            for statement, values in writes:
                store.execute(statement, values)
            number = store.execute(
                "INSERT INTO events (time, host, guest, operation, outcome, details) VALUES (?, ?, ?, ?, ?, ?)",
                (*event[:-1], details),
            ).lastrowid
            if number is not None and number % _DROP_EVERY == 0:
                store.execute("DELETE FROM events WHERE number <= ?", (number - self._keep,))

    def correct(self, writes: Iterable[Write]) -> None:
        """Write what has become of something that the file knows otherwise, all or nothing.

        :raises JournalError: the file cannot be written; it is as before
        """
        if self._store is not None:
            with self._transaction(self._store) as store:
                for statement, values in writes:
                    store.execute(statement, values)

    @contextmanager
    def _transaction(self, store: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock, store as opened:
                yield opened
        except sqlite3.Error as error:
            raise JournalError(f"the journal {self.path} cannot be written: {error}; nothing in it changed") from error

    def tell(self, event: Event) -> None:
        """Tell the observers of an event.

        An observer's error is logged: what happened has happened.
        """
        for observer in self._observers:
            try:
                observer(event)
            except Exception:
                LOG.exception("an observer failed on %s of guest %s on %s", event.operation, event.guest, event.host)

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

    def events(
        self,
        *,
        host: str | None = None,
        guest: str | None = None,
        operation: str | None = None,
        since_s: float | None = None,
    ) -> list[Event]:
        """Return the events that are still kept, oldest first; with a path, those before a restart too.

        :param since_s: only those of this time and later, seconds since the epoch
        """
        return self.events_after(0, host=host, guest=guest, operation=operation, since_s=since_s)[1]

    def events_after(
        self,
        number: int,
        *,
        host: str | None = None,
        guest: str | None = None,
        operation: str | None = None,
        since_s: float | None = None,
    ) -> tuple[int, list[Event]]:
        """Return the number of the latest event, and those of the events after that `number` that are asked for.

        Whoever asks again with the number that was returned misses none, unless more happened than are kept.
        """
        wanted = {"host": host, "guest": guest, "operation": operation}
        chosen = {name: value for name, value in wanted.items() if value is not None}
        if self._store is not None:
            return self._stored(number, chosen, since_s)
        latest, events = self._kept_after(number)
        return latest, [
            event
            for event in events
            if all(getattr(event, name) == value for name, value in chosen.items())
            and (since_s is None or event.time >= since_s)
        ]

    def _stored(self, after: int, chosen: Mapping[str, str], since_s: float | None) -> tuple[int, list[Event]]:
        ((latest,),) = self._read("SELECT coalesce(max(number), 0) FROM events", ())
        conditions = ["number > ?", "number <= ?", *(f"{name} = ?" for name in chosen)]
        values: list[Any] = [max(after, latest - self._keep), latest, *chosen.values()]
        if since_s is not None:
            conditions.append("time >= ?")
            values.append(since_s)
        rows = self._read(
            "SELECT time, host, guest, operation, outcome, details FROM events "
            f"WHERE {' AND '.join(conditions)} ORDER BY number",
            tuple(values),
        )
        records = (dict(zip(Event._fields, (*row[:-1], json.loads(row[-1])), strict=True)) for row in rows)
        return latest, [Event.from_record(record) for record in records]

    def _kept_after(self, number: int) -> tuple[int, list[Event]]:
        with self._lock:
            kept = self._snapshot()
            if not kept:
                return 0, []
            known, latest = self._numbered
            fresh = next((index for index, event in enumerate(reversed(kept)) if event is known), len(kept))
            latest += fresh
            self._numbered = (kept[-1], latest)
        return latest, kept[max(0, len(kept) - (latest - number)) :] if latest > number else []

    def _snapshot(self) -> list[Event]:
        while True:
            try:
                return list(self._events)
            except RuntimeError:  # another thread appended meanwhile
                continue

    @staticmethod
    def host_row(name: str, record: Mapping[str, Any]) -> Write:
        """Return what keeps a host's record."""
        return "INSERT OR REPLACE INTO hosts VALUES (?, ?)", (name, json.dumps(record))

    @staticmethod
    def guest_row(host: str, uuid: str, role: str, record: Mapping[str, Any] | None) -> Write:
        """Return what keeps a guest's record, or drops it where it is None.

        :param role: ``guest``, or what else of it lies on the host: ``retained`` or ``disks``
        """
        if record is None:
            return "DELETE FROM guests WHERE host = ? AND uuid = ? AND role = ?", (host, uuid, role)
        return "INSERT OR REPLACE INTO guests VALUES (?, ?, ?, ?)", (host, uuid, role, json.dumps(record))

    @staticmethod
    def image_row(host: str, image: str, used_s: float | None) -> Write:
        """Return what keeps when a cached image was last used, or drops it where that is None."""
        if used_s is None:
            return "DELETE FROM images WHERE host = ? AND image = ?", (host, image)
        return "INSERT OR REPLACE INTO images VALUES (?, ?, ?)", (host, image, used_s)

    def host(self, name: str) -> dict[str, Any] | None:
        """Return a host's record; None when there is none."""
        rows = self._read("SELECT record FROM hosts WHERE name = ?", (name,))
        return json.loads(rows[0][0]) if rows else None

    def guests(self, host: str, role: str = "guest") -> dict[str, dict[str, Any]]:
        """Return the records of a host by UUID."""
        rows = self._read("SELECT uuid, record FROM guests WHERE host = ? AND role = ?", (host, role))
        return {uuid: json.loads(record) for uuid, record in rows}

    def images(self, host: str) -> dict[str, float]:
        """Return when each image that a host caches was last used, seconds since the epoch."""
        return dict(self._read("SELECT image, used_s FROM images WHERE host = ?", (host,)))

    def close(self) -> None:
        """Close the file. What was recorded is in it."""
        if self._store is not None:
            with self._lock:
                self._store.close()
            self._store = None
            self.persistent = False

    def _read(self, query: str, values: tuple[Any, ...]) -> list[Any]:
        if self._store is None:
            return []
        with self._lock:
            return self._store.execute(query, values).fetchall()


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
