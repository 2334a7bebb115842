"""Quorum queues, with one replica: everything in them is durable, and what comes back too often is poison.

Source: RabbitMQ 3.10, `rabbit_quorum_queue` and `rabbit_fifo`.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

from nova_fakes.rabbit.errors import HardError, SoftError
from nova_fakes.rabbit.message import Entry, Message
from nova_fakes.rabbit.queue import Queue

if TYPE_CHECKING:
    from nova_fakes.rabbit.vhost import VirtualHost

__all__ = ["QuorumQueue"]

COUNT_HEADER = "x-delivery-count"
TICK_S = 5.0


class _Appending(deque[Entry]):
    """Entries in the order in which they came; what comes back goes behind them."""

    def head(self) -> Entry:
        """Return the next entry, which stays."""
        return self[0]

    def put_back(self, entries: list[Entry]) -> None:
        """Put entries back, in the order in which they were taken."""
        self.extend(entries)


class QuorumQueue(Queue):
    """A queue of the type quorum."""

    type = "quorum"

    def __init__(self, vhost: VirtualHost, name: str, **options: Any) -> None:
        self._declared_s = vhost.broker.clock.monotonic()
        super().__init__(vhost, name, **options)
        self.backlog = _Appending()
        self._gotten: set[Entry] = set()
        #: Whether it has told publishers that it takes nothing.
        self._is_full = False

    def is_kept(self, message: Message) -> bool:
        """Whether the message outlives the broker here: every one does."""
        return True

    def _would_overflow(self, message: Message) -> bool:
        """Tell whether publishers are to be refused: from above the limit on, down to four fifths of it."""
        limits = self.settings
        pairs = ((limits.max_length, len(self.backlog)), (limits.max_bytes, self.ready_bytes))
        measured = [(most, there) for most, there in pairs if most is not None]
        if self._is_full:
            self._is_full = any(there > most * 4 // 5 for most, there in measured)
        else:
            self._is_full = any(there > most for most, there in measured)
        return self._is_full

    def _idle_due_s(self) -> float:
        """Return when the queue may end: it is looked at at every tick only."""
        ticks = (super()._idle_due_s() - self._declared_s) / TICK_S
        return self._declared_s + math.ceil(ticks) * TICK_S

    def get(self, no_ack: bool) -> Entry | None:
        """Take the next entry for basic.get, with the count of its deliveries."""
        entry = super().get(no_ack)
        if entry is not None:
            _count(entry)
            if not no_ack:
                self._gotten.add(entry)
        return entry

    def consumer_count(self) -> int:
        """Return how many consumers there are; a message that was got and not answered has one of its own."""
        return len(self.consumers) + len(self._gotten)

    def settle(self, entry: Entry) -> None:
        """Let an entry go that has been acknowledged."""
        self._gotten.discard(entry)
        super().settle(entry)

    def reject(self, entry: Entry) -> None:
        """Let an entry go that has been rejected for good."""
        self._gotten.discard(entry)
        super().reject(entry)

    def requeue(self, entries: list[Entry]) -> None:
        """Put entries back behind the others, counted; one that came back too often goes."""
        limit = self.settings.delivery_limit
        poison: list[Entry] = []
        good: list[Entry] = []
        for entry in entries:
            self._gotten.discard(entry)
            entry.deliveries += 1
            (poison if limit is not None and entry.deliveries > limit else good).append(entry)
        self.unacked -= len(poison)
        if not self.is_deleted:
            for entry in poison:
                self._bury(entry, "delivery_limit")
        for entry in good:
            _count(entry)
        super().requeue(good)

    def _bury(self, entry: Entry, reason: str) -> None:
        """Let an entry go, without the count."""
        entry.message = entry.original or entry.message
        super()._bury(entry, reason)

    def check_consumer(self, exclusive: bool, no_ack: bool, prefetch: int, limit: int) -> None:
        """Refuse a consumer of a channel whose prefetch counts over all its consumers."""
        if limit:
            raise HardError("NOT_IMPLEMENTED", f"{self} does not support global qos")

    def check_get(self) -> None:
        """Refuse basic.get where one consumer is served alone."""
        if self.settings.single_active_consumer:
            text = (
                f"cannot obtain access to locked {self}. basic.get operations are not supported by quorum queues with "
                "single active consumer"
            )
            raise SoftError("RESOURCE_LOCKED", text)

    def check_delete(self, if_unused: bool, if_empty: bool) -> None:
        """Refuse conditions, which the type does not know."""
        for name, is_set in (("if-unused", if_unused), ("if-empty", if_empty)):
            if is_set:
                what = f"queue.delete operations with {name} flag set are not supported by quorum queues"
                raise HardError("NOT_IMPLEMENTED", f"cannot delete {self}. {what}")


def _count(entry: Entry) -> None:
    """Write into an entry's message how often it came back."""
    old = entry.original = entry.original or entry.message
    headers = old.properties.headers | {COUNT_HEADER: ("l", entry.deliveries)}
    properties = old.properties.replace(headers=headers)
    entry.message = Message(old.exchange, old.routing_key, properties, old.body, old.address)
