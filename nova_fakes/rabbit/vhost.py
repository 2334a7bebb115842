"""A virtual host: its exchanges, queues and bindings, and the rules by which they come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nova_fakes.rabbit.arguments import QUEUE_ARGUMENTS, check_queue, queue_type
from nova_fakes.rabbit.bindings import ROUTERS, Binding
from nova_fakes.rabbit.deaths import bury, is_cycle
from nova_fakes.rabbit.equivalence import check_arguments, check_field
from nova_fakes.rabbit.errors import HardError, SoftError
from nova_fakes.rabbit.exchange import ALTERNATE, Exchange
from nova_fakes.rabbit.message import Message
from nova_fakes.rabbit.queue import Queue
from nova_fakes.rabbit.quorum import QuorumQueue
from nova_fakes.rabbit.stream import StreamQueue
from nova_fakes.rabbit.tables import TYPE_NAMES, Table

if TYPE_CHECKING:
    from nova_fakes.rabbit.broker import Broker
    from nova_fakes.rabbit.session import Session

__all__ = ["VirtualHost"]

PREDECLARED = {
    "": "direct",
    "amq.direct": "direct",
    "amq.fanout": "fanout",
    "amq.headers": "headers",
    "amq.match": "headers",
    "amq.rabbitmq.trace": "topic",
    "amq.topic": "topic",
}
QUEUE_CLASSES: dict[str, type[Queue]] = {"classic": Queue, "quorum": QuorumQueue, "stream": StreamQueue}


class VirtualHost:
    """One virtual host of a broker."""

    def __init__(self, broker: Broker, name: str) -> None:
        self.broker = broker
        self.name = name
        self.exchanges: dict[str, Exchange] = {}
        self.queues: dict[str, Queue] = {}
        #: Exchanges that remember where messages went.
        self.routed: set[Exchange] = set()
        for exchange, type_ in PREDECLARED.items():
            internal = exchange == "amq.rabbitmq.trace"
            self.exchanges[exchange] = Exchange(self, exchange, type_, durable=True, internal=internal)

    def _changed(self) -> None:
        for exchange in self.routed:
            exchange.forget_routes()
        self.routed.clear()

    # Exchanges.

    def exchange(self, name: str) -> Exchange:
        """Return an exchange.

        :raises SoftError: there is none of that name
        """
        found = self.exchanges.get(name)
        if found is None:
            raise SoftError("NOT_FOUND", f"no exchange '{name}' in vhost '{self.name}'")
        return found

    def check_exchange_type(self, type_: str) -> None:
        """Refuse a type of exchange that is not there."""
        if type_ not in ROUTERS:
            raise HardError("COMMAND_INVALID", f"{'unknown' if type_ else 'invalid'} exchange type '{type_}'")

    def declare_exchange(
        self, name: str, type_: str, *, durable: bool, auto_delete: bool, internal: bool, arguments: Table
    ) -> Exchange:
        """Make an exchange, or find that it is there and as it should be."""
        found = self.exchanges.get(name)
        if found is None:
            return self._make_exchange(name, type_, durable, auto_delete, internal, arguments)
        where = str(found)
        check_field("type", where, found.type, type_)
        check_field("durable", where, found.durable, durable)
        check_field("auto_delete", where, found.auto_delete, auto_delete)
        check_field("internal", where, found.internal, internal)
        check_arguments((ALTERNATE,), where, found.arguments, arguments)
        return found

    def _make_exchange(
        self, name: str, type_: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table
    ) -> Exchange:
        _check_name("exchange", name)
        alternate = arguments.get(ALTERNATE)
        if alternate is not None and alternate[0] != "S":
            kind = TYPE_NAMES[alternate[0]]
            text = f"invalid type '{kind}' for arg '{ALTERNATE}' in exchange '{name}' in vhost '{self.name}'"
            raise SoftError("PRECONDITION_FAILED", text)
        made = Exchange(
            self, name, type_, durable=durable, auto_delete=auto_delete, internal=internal, arguments=arguments
        )
        self.exchanges[name] = made
        self._changed()
        if durable and self.broker.store is not None:
            self.broker.store.exchange_declared(made)
        return made

    def delete_exchange(self, exchange: Exchange, if_unused: bool = False) -> None:
        """Take an exchange away, with the bindings at both of its ends."""
        if if_unused and exchange.bindings:
            raise SoftError("PRECONDITION_FAILED", f"{exchange} in use")
        if self.exchanges.pop(exchange.name, None) is None:
            return
        for binding in list(exchange.bindings.values()):
            binding.destination.incoming.discard(binding)
        self._changed()
        if exchange.durable and self.broker.store is not None:
            self.broker.store.exchange_deleted(exchange)
        self._unbind_all(exchange)

    # Queues.

    def queue(self, name: str) -> Queue:
        """Return a queue.

        :raises SoftError: there is none of that name
        """
        found = self.queues.get(name)
        if found is None:
            raise SoftError("NOT_FOUND", f"no queue '{name}' in vhost '{self.name}'")
        return found

    def declare_queue(
        self, name: str, *, durable: bool, auto_delete: bool, owner: Session | None, arguments: Table
    ) -> Queue:
        """Make a queue, or find that it is there and as it should be."""
        found = self.queues.get(name)
        if found is None:
            return self._make_queue(name, durable, auto_delete, owner, arguments)
        if found.owner is not owner:
            found.check_access(owner, strict=True)  # type: ignore[arg-type]
        where = str(found)
        check_field("durable", where, found.durable, durable)
        check_field("auto_delete", where, found.auto_delete, auto_delete)
        check_arguments(QUEUE_ARGUMENTS[found.type], where, found.arguments, arguments)
        return found

    def _make_queue(
        self, name: str, durable: bool, auto_delete: bool, owner: Session | None, arguments: Table
    ) -> Queue:
        where = f"queue '{name}' in vhost '{self.name}'"
        exchange = arguments.get("x-dead-letter-exchange")
        if exchange is not None and exchange[0] != "S":
            text = f"invalid type '{TYPE_NAMES[exchange[0]]}' for arg 'x-dead-letter-exchange' in {where}"
            raise SoftError("PRECONDITION_FAILED", text)
        check_queue(where, arguments, exclusive=owner is not None)
        kind = queue_type(arguments)
        if kind != "classic":
            _check_replicated(where, durable, auto_delete, owner)
        made = QUEUE_CLASSES[kind](
            self, name, durable=durable, auto_delete=auto_delete, owner=owner, arguments=arguments
        )
        self.queues[name] = made
        self._changed()
        if owner is not None:
            owner.exclusive[name] = made
        elif durable and self.broker.store is not None:
            self.broker.store.queue_declared(made)
        return made

    def delete_queue(self, queue: Queue) -> int:
        """Take a queue away with its bindings and messages; its consumers are told. Return how many messages waited."""
        count = queue.deleted_count()
        if self.queues.get(queue.name) is not queue:
            return 0
        del self.queues[queue.name]
        self._changed()
        if queue.owner is not None:
            queue.owner.exclusive.pop(queue.name, None)
        elif queue.durable and self.broker.store is not None:
            self.broker.store.queue_deleted(queue)
        queue.close()
        for consumer in queue.consumers:
            consumer.channel.lose(consumer)
        self._unbind_all(queue)
        return count

    # Bindings.

    def bind(self, source: Exchange, destination: Queue | Exchange, routing_key: str, arguments: Table) -> None:
        """Make a way between two; one that is there already stays."""
        source.check_binding(arguments)
        binding = Binding(source, destination, routing_key, arguments)
        if binding.key in source.bindings:
            return
        source.add(binding)
        destination.incoming.add(binding)
        self._changed()
        if binding.is_durable and self.broker.store is not None:
            self.broker.store.bound(binding)

    def unbind(self, source: Exchange, destination: Queue | Exchange, routing_key: str, arguments: Table) -> None:
        """Take a way away, if it is there; with the last one goes an auto-delete exchange."""
        binding = source.bindings.get(Binding(source, destination, routing_key, arguments).key)
        if binding is not None:
            destination.incoming.discard(binding)
            self._remove(binding)

    def _remove(self, binding: Binding) -> None:
        source = binding.source
        if self.exchanges.get(source.name) is not source:
            return
        source.remove(binding)
        self._changed()
        if binding.is_durable and self.broker.store is not None:
            self.broker.store.unbound(binding)
        if source.auto_delete and not source.bindings:
            self.delete_exchange(source)

    def _unbind_all(self, destination: Queue | Exchange) -> None:
        incoming, destination.incoming = destination.incoming, set()
        for binding in incoming:
            self._remove(binding)

    def forget_transient(self) -> None:
        """Keep what is durable alone, as a broker does that has been lost and comes back."""
        for queue in list(self.queues.values()):
            if queue.durable and queue.owner is None:
                queue.restore(queue.survivors())
            else:
                self.delete_queue(queue)
        for exchange in list(self.exchanges.values()):
            if not exchange.durable:
                self.delete_exchange(exchange)

    # Messages.

    def dead_letter(self, queue: Queue, message: Message, reason: str) -> None:
        """Publish a message anew to its queue's dead-letter exchange, unless that leads it round in a circle."""
        limits = queue.settings
        exchange = self.exchanges.get(limits.dead_letter_exchange or "")
        if limits.dead_letter_exchange is None or exchange is None:
            return
        now_s = self.broker.clock.now()
        dead = bury(message, queue.name, reason, exchange.name, limits.dead_letter_routing_key, now_s)
        for target in exchange.route(dead):
            if reason == "rejected" or not is_cycle(target.name, dead.properties.headers):
                target.publish(dead)


def _check_name(kind: str, name: str) -> None:
    if name.startswith("amq."):
        raise SoftError("ACCESS_REFUSED", f"{kind} name '{name}' contains reserved prefix 'amq.*'")


def _check_replicated(where: str, durable: bool, auto_delete: bool, owner: Session | None) -> None:
    wrong = (("auto-delete", auto_delete), ("exclusive-owner", owner is not None), ("non-durable", not durable))
    for name, is_wrong in wrong:
        if is_wrong:
            raise SoftError("PRECONDITION_FAILED", f"invalid property '{name}' for {where}")
