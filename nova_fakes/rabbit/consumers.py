"""Consumers, and whose turn it is: by priority, then in turn, leaving out those that can take nothing now."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nova_fakes.rabbit.tables import Table, short_string

if TYPE_CHECKING:
    from nova_fakes.rabbit.channel import Channel
    from nova_fakes.rabbit.queue import Queue

__all__ = ["Consumer", "Rotation"]


class Consumer:
    """One subscription of a channel to a queue.

    :param prefetch: how many deliveries may wait for their acknowledgement; 0: any number
    """

    __slots__ = (
        "arguments", "channel", "encoded_tag", "is_exclusive", "is_parked", "no_ack", "prefetch", "priority", "queue",
        "tag", "unacked",
    )  # fmt: skip

    def __init__(
        self,
        channel: Channel,
        queue: Queue,
        tag: str,
        *,
        no_ack: bool,
        is_exclusive: bool,
        prefetch: int,
        arguments: Table,
    ) -> None:
        self.channel = channel
        self.queue = queue
        self.tag = tag
        self.encoded_tag = short_string(tag)
        self.no_ack = no_ack
        self.is_exclusive = is_exclusive
        self.prefetch = prefetch
        self.arguments = arguments
        self.priority = int(arguments.get("x-priority", ("I", 0))[1])
        #: Deliveries that wait for their acknowledgement.
        self.unacked = 0
        #: Whether it left the rotation because it could take nothing.
        self.is_parked = False

    @property
    def can_take(self) -> bool:
        """Whether it can take a delivery now."""
        channel = self.channel
        if channel.is_paused:
            return False
        if self.no_ack:
            return True
        if self.prefetch and self.unacked >= self.prefetch:
            return False
        return not channel.limit or channel.limited < channel.limit


class Rotation:
    """The consumers of a queue.

    :param single: only the oldest is served; the others wait for their time
    """

    __slots__ = ("_all", "_exclusive", "_levels", "_order", "_single")

    def __init__(self, single: bool = False) -> None:
        self._all: dict[tuple[Channel, str], Consumer] = {}
        self._levels: dict[int, OrderedDict[Consumer, None]] = {}
        self._order: tuple[int, ...] = ()
        self._single = single
        self._exclusive = 0

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Consumer]:
        return iter(list(self._all.values()))

    @property
    def active(self) -> Consumer | None:
        """The one that is served where only one is."""
        return next(iter(self._all.values()), None) if self._single else None

    @property
    def is_exclusive(self) -> bool:
        """Whether one of them wants no others."""
        return self._exclusive > 0

    def is_served(self, consumer: Consumer) -> bool:
        """Whether the consumer is not merely waiting for its time."""
        return not self._single or self.active is consumer

    def add(self, consumer: Consumer) -> None:
        """Let a consumer take part."""
        self._all[consumer.channel, consumer.tag] = consumer
        self._exclusive += consumer.is_exclusive
        if self.is_served(consumer):
            self._enter(consumer)

    def remove(self, consumer: Consumer) -> None:
        """Let a consumer go."""
        was_served = self.is_served(consumer)
        if self._all.pop((consumer.channel, consumer.tag), None) is None:
            return
        self._exclusive -= consumer.is_exclusive
        level = self._levels.get(consumer.priority)
        if level is not None:
            level.pop(consumer, None)
            if not level:
                del self._levels[consumer.priority]
                self._order = tuple(sorted(self._levels, reverse=True))
        consumer.is_parked = False
        if self._single and was_served and self.active is not None:
            self._enter(self.active)

    def _enter(self, consumer: Consumer) -> None:
        level = self._levels.get(consumer.priority)
        if level is None:
            level = self._levels[consumer.priority] = OrderedDict()
            self._order = tuple(sorted(self._levels, reverse=True))
        level[consumer] = None

    def unpark(self, consumer: Consumer) -> None:
        """Let a consumer take part again that could take nothing for a while."""
        consumer.is_parked = False
        if (consumer.channel, consumer.tag) in self._all and self.is_served(consumer):
            self._enter(consumer)

    def next(self) -> Consumer | None:
        """Return whose turn it is; None where nobody can take anything."""
        for priority in self._order:
            level = self._levels[priority]
            while level:
                consumer = next(iter(level))
                if consumer.can_take:
                    if len(level) > 1:
                        level.move_to_end(consumer)
                    return consumer
                del level[consumer]
                consumer.is_parked = True
        return None
