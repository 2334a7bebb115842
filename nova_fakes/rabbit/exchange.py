"""Exchanges: where messages come in, and the ways that they take from there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nova_fakes.rabbit.bindings import ROUTERS, Binding, Key, Router
from nova_fakes.rabbit.message import Message
from nova_fakes.rabbit.tables import Table

if TYPE_CHECKING:
    from nova_fakes.rabbit.queue import Queue
    from nova_fakes.rabbit.vhost import VirtualHost

__all__ = ["ALTERNATE", "Exchange"]

ALTERNATE = "alternate-exchange"
CACHE_LIMIT = 4096


class Exchange:
    """One exchange of a virtual host; :class:`nova_fakes.rabbit.vhost.VirtualHost` makes it.

    :param type: direct, fanout, topic or headers
    """

    kind = "exchange"

    def __init__(
        self,
        vhost: VirtualHost,
        name: str,
        type: str,
        *,
        durable: bool = False,
        auto_delete: bool = False,
        internal: bool = False,
        arguments: Table | None = None,
    ) -> None:
        self.vhost = vhost
        self.name = name
        self.type = type
        self.durable = durable
        self.auto_delete = auto_delete
        self.internal = internal
        self.arguments = arguments or {}
        #: Those of which it is the source.
        self.bindings: dict[Key, Binding] = {}
        #: Those of which it is the destination.
        self.incoming: set[Binding] = set()
        self.published = 0
        self._router: Router = ROUTERS[type]()
        self._cache: dict[str, tuple[Queue, ...]] = {}

    def __str__(self) -> str:
        return f"exchange '{self.name}' in vhost '{self.vhost.name}'"

    @property
    def alternate(self) -> Exchange | None:
        """Where messages go that it has no way for; None: nowhere, as by the default exchange, which has none."""
        kind, name = self.arguments.get(ALTERNATE, ("V", None))
        return self.vhost.exchanges.get(name) if kind == "S" and name else None

    def check_binding(self, arguments: Table) -> None:
        """Refuse arguments that no binding of such an exchange can have."""
        self._router.check(arguments)

    def add(self, binding: Binding) -> None:
        """Take a binding in."""
        self.bindings[binding.key] = binding
        self._router.add(binding)

    def remove(self, binding: Binding) -> None:
        """Leave a binding out."""
        del self.bindings[binding.key]
        self._router.remove(binding)

    def forget_routes(self) -> None:
        """Work out anew where messages go: something has changed."""
        self._cache.clear()

    def route(self, message: Message) -> tuple[Queue, ...]:
        """Return the queues that a message reaches from here, each once."""
        key = message.routing_key
        if not message.properties.carries_routes:
            found = self._cache.get(key)
            if found is not None:
                return found
        queues, by_key = self._reached(message)
        if by_key:
            if len(self._cache) >= CACHE_LIMIT:
                self._cache.clear()
            self._cache[key] = queues
            self.vhost.routed.add(self)
        return queues

    def _reached(self, message: Message) -> tuple[tuple[Queue, ...], bool]:
        """Return the queues, and whether the routing key alone decided about them."""
        keys = message.routing_keys
        by_key = not message.properties.carries_routes
        queues: dict[Queue, None] = {}
        pending: list[Exchange] = [self]
        seen = {self}
        while pending:
            exchange = pending.pop(0)
            by_key = by_key and exchange._router.by_key
            targets = exchange._targets(keys, message)
            for target in targets:
                if not isinstance(target, Exchange):
                    queues[target] = None
                elif target not in seen:
                    seen.add(target)
                    pending.append(target)
        return tuple(queues), by_key

    def _targets(self, keys: list[str], message: Message) -> list[Queue | Exchange]:
        if not self.name:
            found = self.vhost.queues
            targets: list[Queue | Exchange] = [found[key] for key in keys if key in found]
        else:
            targets = [binding.destination for key in keys for binding in self._router.match(key, message)]
        if not targets and self.alternate is not None:
            return [self.alternate]
        return targets
