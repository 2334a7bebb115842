"""The messages that wait in a queue, with constant-time ends."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Protocol

from nova_fakes.rabbit.message import Entry

__all__ = ["Backlog", "Fifo", "Priorities"]

_POSITION = attrgetter("position")


class Backlog(Protocol):
    """Waiting entries, the next one first."""

    def append(self, entry: Entry, /) -> None:
        """Put a new entry at the end."""

    def popleft(self) -> Entry:
        """Take the next entry."""

    def put_back(self, entries: list[Entry]) -> None:
        """Put entries back to their places."""

    def clear(self) -> None:
        """Forget all entries."""

    def head(self) -> Entry:
        """Return the next entry, which stays."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Entry]: ...


class Fifo(deque[Entry]):
    """Entries in the order in which they came."""

    def head(self) -> Entry:
        """Return the next entry, which stays."""
        return self[0]

    def put_back(self, entries: list[Entry]) -> None:
        """Put entries back to their places: at once where those are before all that wait."""
        entries.sort(key=_POSITION)
        if not self or entries[-1].position < self[0].position:
            self.extendleft(reversed(entries))
            return
        merged = list(heapq.merge(entries, self, key=_POSITION))
        self.clear()
        self.extend(merged)


class Priorities:
    """Entries by priority, and in the order in which they came within one.

    :param highest: the highest priority; what has more counts as that, what has none as 0
    """

    def __init__(self, highest: int) -> None:
        self._levels: dict[int, Fifo] = {}
        self._order: list[int] = []
        self._highest = highest
        self._count = 0

    def _level(self, entry: Entry) -> Fifo:
        priority = min(entry.message.properties.priority or 0, self._highest)
        level = self._levels.get(priority)
        if level is None:
            level = self._levels[priority] = Fifo()
            self._order = sorted(self._levels, reverse=True)
        return level

    def append(self, entry: Entry, /) -> None:
        """Put a new entry behind those of its priority."""
        self._level(entry).append(entry)
        self._count += 1

    def popleft(self) -> Entry:
        """Take the first entry of the highest priority that has one."""
        for priority in self._order:
            if self._levels[priority]:
                self._count -= 1
                return self._levels[priority].popleft()
        raise IndexError("no entry waits")

    def head(self) -> Entry:
        """Return what :meth:`popleft` would take."""
        return next(iter(self))

    def put_back(self, entries: Iterable[Entry]) -> None:
        """Put entries back to their places."""
        for entry in entries:
            self._level(entry).put_back([entry])
            self._count += 1

    def clear(self) -> None:
        """Forget all entries."""
        self._levels.clear()
        self._order.clear()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        for priority in self._order:
            yield from self._levels[priority]
