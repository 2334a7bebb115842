"""The part of a channel that declares, binds and deletes: names, permissions, and what RabbitMQ refuses there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nova_fakes.rabbit.arguments import queue_type
from nova_fakes.rabbit.errors import SoftError, internal_error
from nova_fakes.rabbit.exchange import ALTERNATE, Exchange
from nova_fakes.rabbit.queue import Queue
from nova_fakes.rabbit.reply_to import REPLY_TO
from nova_fakes.rabbit.tables import Table

if TYPE_CHECKING:
    from nova_fakes.rabbit.session import Session

__all__ = ["Declarations", "Declared"]

_NO_LINES = str.maketrans("", "", "\r\n")


class Declared(NamedTuple):
    """A queue's name, the messages that wait there, its consumers."""

    queue: str
    message_count: int
    consumer_count: int


class Declarations:
    """What a channel says about exchanges, queues and bindings."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.broker = session.broker
        self.vhost = session.vhost
        self.user = session.user
        #: The queue that an empty name means; empty: none yet.
        self.last_queue = ""

    def _observe(self, operation: str, **arguments: object) -> None:
        broker = self.broker
        if broker.faults.active or broker.history is not None:
            broker.observe(self.session, operation, arguments)

    def _check(self, action: str, kind: str, name: str) -> None:
        self.user.check(action, self.vhost.name, kind, name)

    def _check_topic(self, action: str, exchange: Exchange | None, routing_key: str) -> None:
        if exchange is not None and exchange.type == "topic" and self.user.topic_permissions:
            self.user.check_topic(action, self.vhost.name, exchange.name, routing_key)

    def queue_name(self, name: str) -> str:
        """Return the name, or that of the queue last declared on the channel where it is empty."""
        if not name and not self.last_queue:
            raise SoftError("NOT_FOUND", "no previously declared queue")
        return name or self.last_queue

    def _open_queue(self, name: str) -> Queue:
        queue = self.vhost.queue(name)
        queue.check_access(self.session)
        return queue

    # Exchanges.

    def exchange_declare(
        self,
        name: str,
        type: str = "direct",
        *,
        passive: bool = False,
        durable: bool = False,
        auto_delete: bool = False,
        internal: bool = False,
        arguments: Table | None = None,
    ) -> None:
        """Make an exchange, or see to it that it is there and as it should be (exchange.declare)."""
        self._observe("exchange.declare", exchange=name, type=type)
        name = name.translate(_NO_LINES)
        arguments = arguments or {}
        if passive:
            _check_not_default(name)
            self.vhost.exchange(name)
            return
        self.vhost.check_exchange_type(type)
        _check_not_default(name)
        self._check("configure", "exchange", name)
        alternate = arguments.get(ALTERNATE)
        if alternate is not None and alternate[0] == "S" and name not in self.vhost.exchanges:
            self._check("read", "exchange", name)
            self._check("write", "exchange", alternate[1])
        self.vhost.declare_exchange(
            name, type, durable=durable, auto_delete=auto_delete, internal=internal, arguments=arguments
        )

    def exchange_delete(self, name: str, *, if_unused: bool = False) -> None:
        """Delete an exchange; one that is not there is no error (exchange.delete)."""
        self._observe("exchange.delete", exchange=name)
        name = name.translate(_NO_LINES)
        _check_not_default(name)
        if name.startswith("amq."):
            where = f"exchange '{name}' in vhost '{self.vhost.name}'"
            raise SoftError("ACCESS_REFUSED", f"deletion of system {where} not allowed")
        self._check("configure", "exchange", name)
        found = self.vhost.exchanges.get(name)
        if found is not None:
            self.vhost.delete_exchange(found, if_unused)

    def exchange_bind(
        self, destination: str, source: str, routing_key: str = "", *, arguments: Table | None = None
    ) -> None:
        """Bind an exchange to another (exchange.bind)."""
        self._observe("exchange.bind", destination=destination, source=source, routing_key=routing_key)
        destination, source = destination.translate(_NO_LINES), source.translate(_NO_LINES)
        self._check_binding("exchange", destination, source, routing_key)
        self.vhost.bind(self.vhost.exchange(source), self.vhost.exchange(destination), routing_key, arguments or {})

    def exchange_unbind(
        self, destination: str, source: str, routing_key: str = "", *, arguments: Table | None = None
    ) -> None:
        """Take a binding between exchanges away (exchange.unbind)."""
        self._observe("exchange.unbind", destination=destination, source=source, routing_key=routing_key)
        destination, source = destination.translate(_NO_LINES), source.translate(_NO_LINES)
        self._check_binding("exchange", destination, source, routing_key)
        self._unbind(self.vhost.exchanges.get(source), self.vhost.exchanges.get(destination), routing_key, arguments)

    def _check_binding(self, kind: str, destination: str, source: str, routing_key: str) -> None:
        self._check("write", kind, destination)
        if kind == "exchange":
            _check_not_default(destination)
        _check_not_default(source)
        self._check("read", "exchange", source)
        self._check_topic("read", self.vhost.exchanges.get(source), routing_key)

    def _unbind(
        self, source: Exchange | None, destination: Queue | Exchange | None, routing_key: str, arguments: Table | None
    ) -> None:
        if source is not None and destination is not None:
            self.vhost.unbind(source, destination, routing_key, arguments or {})

    # Queues.

    def queue_declare(
        self,
        name: str = "",
        *,
        passive: bool = False,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: Table | None = None,
    ) -> Declared:
        """Make a queue, or see to it that it is there and as it should be (queue.declare)."""
        self._observe("queue.declare", queue=name)
        name = name.translate(_NO_LINES)
        if name.startswith(REPLY_TO):
            if not self.broker.replies.exists(name):
                raise SoftError("NOT_FOUND", f"no queue '{name}' in vhost '{self.vhost.name}'")
            self.last_queue = name
            return Declared(name, 0, 1)
        if passive:
            queue = self._open_queue(name)
        else:
            name = self._new_queue_name(name, arguments or {})
            queue = self._declare(name, durable, exclusive, auto_delete, arguments or {})
        queue.touch()
        self.last_queue = name
        return Declared(name, queue.count(), queue.consumer_count())

    def _new_queue_name(self, name: str, arguments: Table) -> str:
        if not name:
            kind = queue_type(arguments)
            if kind == "classic":
                return self.broker.unique_name("amq.gen")
            if kind not in ("quorum", "stream"):
                raise internal_error()  # RabbitMQ looks up what the type forbids before it checks the type
            text = f"Cannot declare a server-named queue for type rabbit_{queue_type(arguments)}_queue"
            raise SoftError("PRECONDITION_FAILED", text)
        if name.startswith("amq."):
            raise SoftError("ACCESS_REFUSED", f"queue name '{name}' contains reserved prefix 'amq.*'")
        return name

    def _declare(self, name: str, durable: bool, exclusive: bool, auto_delete: bool, arguments: Table) -> Queue:
        self._check("configure", "queue", name)
        exchange = arguments.get("x-dead-letter-exchange")
        if exchange is not None and exchange[0] == "S" and name not in self.vhost.queues:
            self._check("read", "queue", name)
            self._check("write", "exchange", exchange[1])
        return self.vhost.declare_queue(
            name,
            durable=durable and not exclusive,
            auto_delete=auto_delete,
            owner=self.session if exclusive else None,
            arguments=arguments,
        )

    def queue_bind(self, queue: str, exchange: str, routing_key: str = "", *, arguments: Table | None = None) -> None:
        """Bind a queue to an exchange (queue.bind)."""
        self._observe("queue.bind", queue=queue, exchange=exchange, routing_key=routing_key)
        name, routing_key = self._shortcuts(queue, routing_key)
        exchange = exchange.translate(_NO_LINES)
        self._check_binding("queue", name, exchange, routing_key)
        source = self.vhost.exchange(exchange)
        self.vhost.bind(source, self._open_queue(name), routing_key, arguments or {})

    def queue_unbind(self, queue: str, exchange: str, routing_key: str = "", *, arguments: Table | None = None) -> None:
        """Take a binding of a queue away (queue.unbind)."""
        self._observe("queue.unbind", queue=queue, exchange=exchange, routing_key=routing_key)
        name, routing_key = self._shortcuts(queue, routing_key)
        exchange = exchange.translate(_NO_LINES)
        self._check_binding("queue", name, exchange, routing_key)
        found = self.vhost.queues.get(name)
        if found is not None:
            found.check_access(self.session)
        self._unbind(self.vhost.exchanges.get(exchange), found, routing_key, arguments)

    def _shortcuts(self, queue: str, routing_key: str) -> tuple[str, str]:
        name = self.queue_name(queue)
        return name.translate(_NO_LINES), routing_key if queue or routing_key else name

    def queue_purge(self, queue: str = "") -> int:
        """Forget what waits in a queue; return how much that was (queue.purge)."""
        self._observe("queue.purge", queue=queue)
        name = self.queue_name(queue)
        self._check("read", "queue", name)
        return self._open_queue(name).purge()

    def queue_delete(self, queue: str = "", *, if_unused: bool = False, if_empty: bool = False) -> int:
        """Delete a queue; return how many messages waited there. One that is not there is no error (queue.delete)."""
        self._observe("queue.delete", queue=queue)
        name = self.queue_name(queue).translate(_NO_LINES)
        self._check("configure", "queue", name)
        found = self.vhost.queues.get(name)
        if found is None:
            return 0
        found.check_access(self.session)
        found.check_delete(if_unused, if_empty)
        return self.vhost.delete_queue(found)


def _check_not_default(exchange: str) -> None:
    if not exchange:
        raise SoftError("ACCESS_REFUSED", "operation not permitted on the default exchange")
