"""A broker's durable exchanges, queues, bindings and messages in one SQLite file, to outlive the process.

What happens in a turn of the broker is one transaction, which ends before any client is told: a message that was
confirmed is there after the process has been killed at any moment. The machine's own end may cost the last moments,
since nothing waits for the disk.
"""

from __future__ import annotations

import errno
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nova_fakes.rabbit import tables
from nova_fakes.rabbit.message import Entry, Message
from nova_fakes.rabbit.properties import Properties
from nova_fakes.sqlite_file import Kind, open_alone

if TYPE_CHECKING:
    from nova_fakes.rabbit.bindings import Binding
    from nova_fakes.rabbit.broker import Broker
    from nova_fakes.rabbit.exchange import Exchange
    from nova_fakes.rabbit.queue import Queue

__all__ = ["SqliteStore"]

LOG = logging.getLogger(__name__)

#: What SQLite says where a file cannot grow; on some file systems it is an error of writing.
_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE}

TABLES = """
CREATE TABLE exchanges (
    vhost TEXT, name TEXT, type TEXT, auto_delete INTEGER, internal INTEGER, arguments BLOB, PRIMARY KEY (vhost, name)
);
CREATE TABLE queues (
    vhost TEXT, name TEXT, auto_delete INTEGER, arguments BLOB, PRIMARY KEY (vhost, name)
);
CREATE TABLE bindings (
    vhost TEXT, source TEXT, kind TEXT, destination TEXT, routing_key TEXT, arguments BLOB,
    PRIMARY KEY (vhost, source, kind, destination, routing_key, arguments)
);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY, vhost TEXT, queue TEXT, position INTEGER, expires_at_s REAL,
    exchange TEXT, routing_key TEXT, properties BLOB, body BLOB
);
CREATE INDEX of_queue ON messages (vhost, queue);
"""
BROKER = Kind("broker", application_id=0x6E66_7262, version=1, tables=TABLES)
ADD = "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


class SqliteStore:
    """The file of one broker; a :class:`nova_fakes.rabbit.store.Store`. Give it to the broker by :meth:`load`.

    :param path: of the file; it is made where there is none
    :raises InvalidInput: it cannot be used, another process uses it, or it is another program's
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._broker: Broker | None = None
        self._is_loading = False
        self._added: dict[int, tuple[object, ...]] = {}
        self._removed: list[tuple[int]] = []
        #: What has happened besides since the last time, in its order.
        self._statements: list[tuple[str, list[tuple[object, ...]]]] = []
        self._file = open_alone(path, BROKER)
        self._last = self._file.execute("SELECT coalesce(max(id), 0) FROM messages").fetchone()[0]

    def __enter__(self) -> SqliteStore:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the file go, with what has happened since there was no room on the disk lost."""
        try:
            self.commit()
        except OSError as error:
            LOG.error("the latest of the broker is lost: %s", error)
        finally:
            self._file.close()

    # What was there before.

    def load(self, broker: Broker) -> None:
        """Let a broker that is new have what the file has, and keep from now on what is durable there."""
        self._broker = broker
        self._is_loading = True
        try:
            with broker:
                self._load_places(broker)
                self._load_messages(broker)
        finally:
            self._is_loading = False
        broker.store = self

    def _load_places(self, broker: Broker) -> None:
        for vhost, name, type_, auto_delete, internal, arguments in self._file.execute("SELECT * FROM exchanges"):
            broker.add_vhost(vhost).declare_exchange(
                name,
                type_,
                durable=True,
                auto_delete=bool(auto_delete),
                internal=bool(internal),
                arguments=tables.decode(arguments),
            )
        for vhost, name, auto_delete, arguments in self._file.execute("SELECT * FROM queues"):
            broker.add_vhost(vhost).declare_queue(
                name, durable=True, auto_delete=bool(auto_delete), owner=None, arguments=tables.decode(arguments)
            )
        for vhost, source, kind, name, routing_key, arguments in self._file.execute("SELECT * FROM bindings"):
            place = broker.vhosts[vhost]
            destination = place.queues[name] if kind == "queue" else place.exchanges[name]
            place.bind(place.exchanges[source], destination, routing_key, tables.decode(arguments))

    def _load_messages(self, broker: Broker) -> None:
        for vhost in broker.vhosts.values():
            for queue in vhost.queues.values():
                queue.restore(list(self._entries(broker, vhost.name, queue.name)))

    def _entries(self, broker: Broker, vhost: str, queue: str) -> Iterator[Entry]:
        rows = self._file.execute(
            "SELECT * FROM messages WHERE vhost = ? AND queue = ? ORDER BY position", (vhost, queue)
        )
        ahead_s = broker.clock.now() - broker.clock.monotonic()
        for number, _vhost, _queue, position, expires_at_s, exchange, routing_key, properties, body in rows:
            message = Message(exchange, routing_key, Properties(properties), body)
            entry = Entry(message, position, None if expires_at_s is None else expires_at_s - ahead_s)
            entry.record = number
            yield entry

    # What happens.

    def exchange_declared(self, exchange: Exchange) -> None:
        """Keep an exchange; RabbitMQ's own are there anyway."""
        if exchange.name and not exchange.name.startswith("amq."):
            arguments = tables.encode(exchange.arguments)
            row = (
                exchange.vhost.name,
                exchange.name,
                exchange.type,
                exchange.auto_delete,
                exchange.internal,
                arguments,
            )
            self._execute("INSERT INTO exchanges VALUES (?, ?, ?, ?, ?, ?)", row)

    def exchange_deleted(self, exchange: Exchange) -> None:
        """Forget an exchange and the bindings of which it is the source."""
        row = (exchange.vhost.name, exchange.name)
        self._execute("DELETE FROM exchanges WHERE vhost = ? AND name = ?", row)
        self._execute("DELETE FROM bindings WHERE vhost = ? AND source = ?", row)
        self._execute("DELETE FROM bindings WHERE vhost = ? AND kind = 'exchange' AND destination = ?", row)

    def queue_declared(self, queue: Queue) -> None:
        """Keep a queue."""
        row = (queue.vhost.name, queue.name, queue.auto_delete, tables.encode(queue.arguments))
        self._execute("INSERT INTO queues VALUES (?, ?, ?, ?)", row)

    def queue_deleted(self, queue: Queue) -> None:
        """Forget a queue, its bindings and its messages."""
        self._collect()  # what comes and goes before is not of a queue that is declared anew
        row = (queue.vhost.name, queue.name)
        self._execute("DELETE FROM queues WHERE vhost = ? AND name = ?", row)
        self._execute("DELETE FROM messages WHERE vhost = ? AND queue = ?", row)
        self._execute("DELETE FROM bindings WHERE vhost = ? AND kind = 'queue' AND destination = ?", row)

    def bound(self, binding: Binding) -> None:
        """Keep a binding."""
        self._execute("INSERT INTO bindings VALUES (?, ?, ?, ?, ?, ?)", _binding_row(binding))

    def unbound(self, binding: Binding) -> None:
        """Forget a binding."""
        where = "vhost = ? AND source = ? AND kind = ? AND destination = ? AND routing_key = ? AND arguments = ?"
        self._execute(f"DELETE FROM bindings WHERE {where}", _binding_row(binding))

    def entry_added(self, queue: Queue, entry: Entry) -> None:
        """Keep a message."""
        self._last = number = self._last + 1
        entry.record = number
        message, clock = entry.message, queue.vhost.broker.clock
        expires_at_s = None if entry.expires_s is None else clock.now() + entry.expires_s - clock.monotonic()
        self._added[number] = (
            number,
            queue.vhost.name,
            queue.name,
            entry.position,
            expires_at_s,
            message.exchange,
            message.routing_key,
            message.properties.raw,
            message.body,
        )

    def entry_removed(self, queue: Queue, entry: Entry) -> None:
        """Forget a message; one that came in the same turn has never been in the file."""
        number = entry.record
        if isinstance(number, int) and self._added.pop(number, None) is None:
            self._removed.append((number,))

    def commit(self) -> None:
        """Write what has happened since the last time: all of it, or nothing where that fails, and the next time again.

        :raises OSError: there is no room on the disk
        """
        self._collect()
        if not self._statements:
            return
        try:
            self._file.execute("BEGIN")
            for statement, rows in self._statements:
                self._file.executemany(statement, rows)
            self._file.execute("COMMIT")
        except BaseException as error:
            if self._file.in_transaction:
                self._file.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode in _NO_ROOM:
                raise OSError(errno.ENOSPC, str(error), str(self.path)) from error
            raise
        self._statements.clear()

    def _collect(self) -> None:
        if self._added:
            self._statements.append((ADD, list(self._added.values())))
            self._added.clear()
        if self._removed:
            self._statements.append(("DELETE FROM messages WHERE id = ?", list(self._removed)))
            self._removed.clear()

    def _execute(self, statement: str, row: tuple[object, ...]) -> None:
        if not self._is_loading:
            self._statements.append((statement, [row]))


def _binding_row(binding: Binding) -> tuple[object, ...]:
    return (
        binding.source.vhost.name,
        binding.source.name,
        binding.destination.kind,
        binding.destination.name,
        binding.routing_key,
        tables.sorted_octets(binding.arguments),
    )
