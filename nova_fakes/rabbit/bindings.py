"""Bindings, and by what each type of exchange finds those that a message follows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from nova_fakes.rabbit import erlang
from nova_fakes.rabbit.errors import SoftError
from nova_fakes.rabbit.message import Message
from nova_fakes.rabbit.tables import TYPE_NAMES, Table, sorted_octets
from nova_fakes.rabbit.topics import TopicTrie

if TYPE_CHECKING:
    from nova_fakes.rabbit.exchange import Exchange
    from nova_fakes.rabbit.queue import Queue

__all__ = ["ROUTERS", "Binding", "Key", "Router"]

Key = tuple[str, str, str, bytes]

MATCHES = ("all", "any", "all-with-x", "any-with-x")


class Binding:
    """A way from an exchange to a queue or to another exchange."""

    __slots__ = ("arguments", "destination", "key", "routing_key", "source")

    def __init__(self, source: Exchange, destination: Queue | Exchange, routing_key: str, arguments: Table) -> None:
        self.source = source
        self.destination = destination
        self.routing_key = routing_key
        self.arguments = arguments
        #: What tells it from the others of its source.
        self.key: Key = (destination.kind, destination.name, routing_key, sorted_octets(arguments))

    @property
    def is_durable(self) -> bool:
        """Whether it outlives the broker: where both of its ends do."""
        return self.source.durable and self.destination.durable


class Router(Protocol):
    """Finds the bindings that a message follows."""

    #: Whether nothing but the routing key decides.
    by_key: bool

    def check(self, arguments: Table) -> None:
        """Refuse arguments that no binding of the kind can have."""

    def add(self, binding: Binding) -> None:
        """Take a binding in."""

    def remove(self, binding: Binding) -> None:
        """Leave a binding out."""

    def match(self, routing_key: str, message: Message) -> Iterable[Binding]:
        """Return the bindings for a message under one of its routing keys."""


class _DirectRouter:
    """By the routing key itself."""

    by_key = True

    def __init__(self) -> None:
        self._by_key: dict[str, dict[Key, Binding]] = {}

    def check(self, arguments: Table) -> None:
        pass

    def add(self, binding: Binding) -> None:
        self._by_key.setdefault(binding.routing_key, {})[binding.key] = binding

    def remove(self, binding: Binding) -> None:
        same = self._by_key[binding.routing_key]
        del same[binding.key]
        if not same:
            del self._by_key[binding.routing_key]

    def match(self, routing_key: str, message: Message) -> Iterable[Binding]:
        return self._by_key.get(routing_key, {}).values()


class _FanoutRouter:
    """All of them."""

    by_key = True

    def __init__(self) -> None:
        self._all: dict[Key, Binding] = {}

    def check(self, arguments: Table) -> None:
        pass

    def add(self, binding: Binding) -> None:
        self._all[binding.key] = binding

    def remove(self, binding: Binding) -> None:
        del self._all[binding.key]

    def match(self, routing_key: str, message: Message) -> Iterable[Binding]:
        return self._all.values()


class _TopicRouter:
    """By patterns of words."""

    by_key = True

    def __init__(self) -> None:
        self._trie = TopicTrie()

    def check(self, arguments: Table) -> None:
        pass

    def add(self, binding: Binding) -> None:
        self._trie.add(binding.routing_key, binding.key, binding)

    def remove(self, binding: Binding) -> None:
        self._trie.remove(binding.routing_key, binding.key)

    def match(self, routing_key: str, message: Message) -> Iterable[Binding]:
        return self._trie.match(routing_key)


class _HeadersRouter(_FanoutRouter):
    """By the message's headers, as `rabbit_exchange_type_headers` compares them."""

    by_key = False

    def check(self, arguments: Table) -> None:
        value = arguments.get("x-match", ("S", "all"))
        shown = erlang.content(value)
        if value[0] != "S":
            text = f"Invalid x-match field type {TYPE_NAMES[value[0]]} (value {shown}); expected longstr"
            raise SoftError("PRECONDITION_FAILED", text)
        if value[1] not in MATCHES:
            text = f"Invalid x-match field value {shown}; expected all, any, all-with-x, or any-with-x"
            raise SoftError("PRECONDITION_FAILED", text)

    def match(self, routing_key: str, message: Message) -> Iterable[Binding]:
        headers = message.properties.headers
        return [binding for binding in self._all.values() if _agrees(binding.arguments, headers)]


def _agrees(wanted: Table, headers: Table) -> bool:
    match = wanted.get("x-match", ("S", "all"))[1]
    hits = []
    for name, (kind, content) in wanted.items():
        if name == "x-match" or (name.startswith("x-") and not match.endswith("-with-x")):
            continue
        found = headers.get(name)
        hits.append(found is not None and (kind == "V" or _equal(content, found[1])))
    return all(hits) if match.startswith("all") else any(hits)


def _equal(one: object, other: object) -> bool:
    # Erlang's true is no number, and its texts are octets.
    if isinstance(one, bytes) != isinstance(other, bytes):
        one, other = (item.encode() if isinstance(item, str) else item for item in (one, other))
    return isinstance(one, bool) == isinstance(other, bool) and _ordered(one) == _ordered(other)


def _ordered(content: object) -> object:
    """Return something that is equal to another's only where the fields of tables are in the same order."""
    if isinstance(content, dict):
        return [(name, kind, _ordered(inside)) for name, (kind, inside) in content.items()]
    if isinstance(content, list):
        return [(kind, _ordered(inside)) for kind, inside in content]
    return content


#: By type of exchange.
ROUTERS: dict[str, type[Router]] = {
    "direct": _DirectRouter,
    "fanout": _FanoutRouter,
    "topic": _TopicRouter,
    "headers": _HeadersRouter,
}
