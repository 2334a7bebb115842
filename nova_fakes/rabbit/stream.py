"""Streams: logs that consumers read from where they please; nothing goes but by age or size.

Source: RabbitMQ 3.10, `rabbit_stream_queue`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque

from nova_fakes.rabbit.arguments import stream_offset
from nova_fakes.rabbit.consumers import Consumer
from nova_fakes.rabbit.errors import HardError, SoftError, internal_error
from nova_fakes.rabbit.message import Entry, Message
from nova_fakes.rabbit.queue import Queue

__all__ = ["StreamQueue"]

OFFSET_HEADER = "x-stream-offset"
CHUNK_MESSAGES = 128
STATISTICS_S = 5.0


class StreamQueue(Queue):
    """A queue of the type stream."""

    type = "stream"

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self._log: deque[tuple[float, Entry]] = deque()
        #: Offset of the first message that is still there.
        self.first_offset = 0
        #: Where the chunks begin: what is written in one turn is delivered together.
        self._chunks: deque[int] = deque()
        self._is_writing = False
        self._places: dict[Consumer, int] = {}

    @property
    def end_offset(self) -> int:
        """Offset that the next message gets."""
        return self.first_offset + len(self._log)

    def is_kept(self, message: Message) -> bool:
        """Whether the message outlives the broker here: every one does."""
        return True

    def publish(self, message: Message) -> bool:
        """Write a message to the log."""
        self.published += 1
        if not self._is_writing or self.end_offset - self._chunks[-1] >= CHUNK_MESSAGES:
            self._chunks.append(self.end_offset)
        if not self._is_writing:
            self._is_writing = True
            self.vhost.broker.later(self._written)
        entry = Entry(message, self.end_offset)
        self._keep(entry)
        self._log.append((self.vhost.broker.clock.now(), entry))
        self.ready_bytes += len(message.body)
        self._retain()
        self.dispatch()
        return True

    def _written(self) -> None:
        self._is_writing = False

    def _retain(self) -> None:
        """Let go what is too old or too much; the last message stays, as the last segment does."""
        limits = self.settings
        oldest_s = None if limits.max_age_s is None else self.vhost.broker.clock.now() - limits.max_age_s
        while len(self._log) > 1:
            is_old = oldest_s is not None and self._log[0][0] < oldest_s
            is_much = limits.max_bytes is not None and self.ready_bytes > limits.max_bytes
            if not is_old and not is_much:
                return
            entry = self._log.popleft()[1]
            self._forget(entry)
            self.ready_bytes -= len(entry.message.body)
            self.first_offset += 1
            while len(self._chunks) > 1 and self._chunks[1] <= self.first_offset:
                self._chunks.popleft()

    def check_consumer(self, exclusive: bool, no_ack: bool, prefetch: int, limit: int) -> None:
        """Refuse a consumer without a prefetch of its own or without acknowledgements."""
        if not prefetch:
            raise SoftError("PRECONDITION_FAILED", f"consumer prefetch count is not set for '{self}'")
        if no_ack:
            raise HardError("NOT_IMPLEMENTED", f"automatic acknowledgement not supported by stream queues {self}")
        if limit:
            raise HardError("NOT_IMPLEMENTED", f"{self} does not support global qos")

    def check_get(self) -> None:
        """Refuse basic.get."""
        raise HardError("NOT_IMPLEMENTED", f"basic.get not supported by stream queues {self}")

    def check_delete(self, if_unused: bool, if_empty: bool) -> None:
        """Take any condition for fulfilled, as the type does."""

    def add_consumer(self, consumer: Consumer) -> None:
        """Let a consumer read from where it asked."""
        super().add_consumer(consumer)
        offset = consumer.arguments.get(OFFSET_HEADER)
        self._places[consumer] = self._place(("next", 0) if offset is None else stream_offset(offset))

    def _place(self, offset: tuple[str, int]) -> int:
        kind, number = offset
        if kind == "first":
            return self.first_offset
        if kind == "last":
            return max(self.first_offset, self._chunks[-1] if self._chunks else 0)
        if kind == "offset":
            return max(self.first_offset, number)
        if kind == "next":
            return self.end_offset
        begin_s = number if kind == "timestamp" else self.vhost.broker.clock.now() - number
        return self.first_offset + bisect_left(self._log, begin_s, key=lambda item: item[0])

    def remove_consumer(self, consumer: Consumer) -> None:
        """Let a consumer go."""
        self._places.pop(consumer, None)
        super().remove_consumer(consumer)

    def dispatch(self) -> None:
        """Deliver to each consumer what it has not had and can take."""
        for consumer, place in list(self._places.items()):
            place = max(place, self.first_offset)
            while place < self.end_offset and consumer.can_take:
                for offset in range(place, self._chunk_end(place)):
                    self._hand_over(consumer, self._entry(offset))
                place = self._chunk_end(place)
            if place < self.end_offset:
                consumer.is_parked = True
            self._places[consumer] = place

    def _chunk_end(self, offset: int) -> int:
        index = bisect_right(self._chunks, offset)
        return self._chunks[index] if index < len(self._chunks) else self.end_offset

    def _entry(self, offset: int) -> Entry:
        old = self._log[offset - self.first_offset][1].message
        properties = old.properties.replace(headers=old.properties.headers | {OFFSET_HEADER: ("l", offset)})
        return Entry(Message(old.exchange, old.routing_key, properties, old.body, old.address), offset)

    def check_reject(self) -> None:
        """Refuse: nothing leaves a stream so."""
        raise HardError("NOT_IMPLEMENTED", f"basic.nack and basic.reject not supported by stream queues {self}")

    def check_recover(self) -> None:
        """Refuse: RabbitMQ's channel crashes over it."""
        raise internal_error()

    def requeue(self, entries: list[Entry]) -> None:
        """Forget deliveries: the log has the messages."""
        self.unacked -= len(entries)

    def purge(self) -> int:
        """Refuse."""
        raise HardError("NOT_IMPLEMENTED", f"queue.purge not supported by stream queues {self}")

    def count(self) -> int:
        """Return how many messages there are, as far as the statistics know, which are some seconds late."""
        counted_s = self.vhost.broker.clock.now() - STATISTICS_S
        return bisect_right(self._log, counted_s, key=lambda item: item[0])

    def deleted_count(self) -> int:
        """Return 0, as the type does."""
        return 0

    def consumer_count(self) -> int:
        """Return 0, as the type does."""
        return 0

    def __len__(self) -> int:
        self._retain()
        return len(self._log)

    def survivors(self) -> list[Entry]:
        """Return the log."""
        return [entry for _time_s, entry in self._log]

    def restore(self, entries: list[Entry]) -> None:
        """Hold this log: the broker is back."""
        now_s = self.vhost.broker.clock.now()
        self._log = deque((now_s, entry) for entry in entries)
        self.first_offset = entries[0].position if entries else 0
        self._chunks = deque(range(self.first_offset, self.end_offset + 1, CHUNK_MESSAGES))
        self.ready_bytes = sum(len(entry.message.body) for entry in entries)

    def close(self) -> None:
        """Stop: the queue is deleted."""
        super().close()
        self._log.clear()
        self._places.clear()
