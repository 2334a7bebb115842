"""What shall happen later, by a clock that is given: nothing here waits.

For one thread at a time: a broker's are for whoever has a turn. Whoever drives the broker calls :meth:`Timers.run_due`;
:attr:`Timers.on_earlier` tells it when that is due sooner.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

from nova_fakes.clock import Clock

__all__ = ["Timer", "Timers"]


class Timer:
    """One thing to be done."""

    __slots__ = ("action", "due_s")

    def __init__(self, due_s: float, action: Callable[[], None]) -> None:
        self.due_s = due_s
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Let it not happen."""
        self.action = None


class Timers:
    """A heap of timers by one clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        #: Called where a new timer is due before all others.
        self.on_earlier: list[Callable[[], None]] = []
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()

    def after(self, delay_s: float, action: Callable[[], None]) -> Timer:
        """Let something happen once that many seconds have passed."""
        return self.at(self.clock.monotonic() + delay_s, action)

    def at(self, due_s: float, action: Callable[[], None]) -> Timer:
        """Let something happen at a reading of the clock's :meth:`monotonic`."""
        timer = Timer(due_s, action)
        is_first = not self._heap or due_s < self._heap[0][0]
        heapq.heappush(self._heap, (due_s, next(self._count), timer))
        if is_first:
            for tell in self.on_earlier:
                tell()
        return timer

    @property
    def next_due_s(self) -> float | None:
        """When the next timer is due; None where there is none."""
        heap = self._heap
        while heap and heap[0][2].action is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def run_due(self) -> None:
        """Do what is due by now, in the order of the times."""
        heap = self._heap
        if not heap:
            return
        now_s = self.clock.monotonic()
        while heap and heap[0][0] <= now_s:
            action = heapq.heappop(heap)[2].action
            if action is not None:
                action()

    def clear(self) -> None:
        """Forget everything."""
        self._heap.clear()
