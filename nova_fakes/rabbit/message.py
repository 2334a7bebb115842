"""A message, and its place in one queue."""

from __future__ import annotations

from nova_fakes.rabbit.properties import Properties
from nova_fakes.rabbit.tables import short_string

__all__ = ["Entry", "Message"]


class Message:
    """What a publisher sent; immutable, and shared by the queues that hold it.

    :param exchange: to which it was published
    :param routing_key: with which
    :param properties: as octets
    :param body: the octets
    :param address: exchange and routing key as a delivery writes them, where the caller has them already
    """

    __slots__ = ("address", "body", "exchange", "properties", "routing_key")

    def __init__(
        self, exchange: str, routing_key: str, properties: Properties, body: bytes, address: bytes | None = None
    ) -> None:
        self.exchange = exchange
        self.routing_key = routing_key
        self.properties = properties
        self.body = body
        self.address = address or short_string(exchange) + short_string(routing_key)

    @property
    def routing_keys(self) -> list[str]:
        """The routing key and those that the headers CC and BCC add."""
        keys = [self.routing_key]
        if self.properties.carries_routes:
            for name in ("CC", "BCC"):
                keys += carried_routes(self, name)
        return keys


def carried_routes(message: Message, name: str) -> list[str]:
    """Return the routing keys that a header, CC or BCC, carries."""
    kind, items = message.properties.headers.get(name, ("A", []))
    return [content for kind_, content in items if kind_ == "S"] if kind == "A" else []


class Entry:
    """A message in one queue.

    :param position: its place among all that the queue ever took; a message that comes back goes there
    :param expires_s: when it ends, by the clock's :meth:`monotonic`; None: never
    """

    __slots__ = ("deliveries", "expires_s", "message", "original", "position", "record", "redelivered")

    def __init__(self, message: Message, position: int, expires_s: float | None = None) -> None:
        self.message = message
        self.position = position
        self.expires_s = expires_s
        self.redelivered = False
        #: How often it came back from a consumer; quorum queues count it.
        self.deliveries = 0
        #: The message without what its queue writes into it; None: it is as it was published.
        self.original: Message | None = None
        #: What a store that keeps it knows it by; None: it is in memory alone.
        self.record: object = None
