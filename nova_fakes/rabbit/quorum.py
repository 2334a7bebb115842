"""Quorum queues, with one replica: everything in them is durable, and what comes back too often is poison.

Source: RabbitMQ 3.10, `rabbit_quorum_queue` and `rabbit_fifo`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from nova_fakes.rabbit.errors import HardError, SoftError
from nova_fakes.rabbit.message import Entry, Message
from nova_fakes.rabbit.queue import Queue

__all__ = ["QuorumQueue"]

COUNT_HEADER = "x-delivery-count"


class _Returning:
    """Entries in the order in which they came; what came back goes before them, in the order of its return."""

    def __init__(self) -> None:
        self._new: deque[Entry] = deque()
        self._returned: deque[Entry] = deque()
        self.append = self._new.append

    def popleft(self) -> Entry:
        return (self._returned or self._new).popleft()

    def head(self) -> Entry:
        return (self._returned or self._new)[0]

    def put_back(self, entries: list[Entry]) -> None:
        self._returned.extend(entries)

    def clear(self) -> None:
        self._new.clear()
        self._returned.clear()

    def __len__(self) -> int:
        return len(self._new) + len(self._returned)

    def __iter__(self) -> Iterator[Entry]:
        yield from self._returned
        yield from self._new


class QuorumQueue(Queue):
    """A queue of the type quorum."""

    type = "quorum"

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.backlog = _Returning()

    def is_kept(self, message: Message) -> bool:
        """Whether the message outlives the broker here: every one does."""
        return True

    def requeue(self, entries: list[Entry]) -> None:
        """Put entries back before the others, counted; one that came back too often goes."""
        limit = self.settings.delivery_limit
        poison: list[Entry] = []
        good: list[Entry] = []
        for entry in entries:
            entry.deliveries += 1
            (poison if limit is not None and entry.deliveries > limit else good).append(entry)
        self.unacked -= len(poison)
        if not self.is_deleted:
            for entry in poison:
                self._bury(entry, "delivery_limit")
        for entry in good:
            headers = entry.message.properties.headers | {COUNT_HEADER: ("l", entry.deliveries)}
            old = entry.message
            entry.message = Message(
                old.exchange, old.routing_key, old.properties.replace(headers=headers), old.body, old.address
            )
        super().requeue(good)

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
