"""A live migration on its way: how far it has come follows from its sizes, its rates and the clock.

Disks go first, then memory in passes, as QEMU's pre-copy does it: while a pass goes on the guest writes to pages that
have gone already, and the next pass carries these again. When what is left takes no longer than the guest may stand
still, it is switched over. A guest that writes faster than the network carries never gets there: somebody has to force
the switch-over, or abort.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate

from nova_fakes.clock import Clock
from nova_fakes.exceptions import InvalidInput, MigrationAborted
from nova_fakes.virt.disks import MIB

__all__ = ["DOWNTIME_S", "LiveMigration", "Progress"]


#: For how long a guest may stand still while it is switched over, seconds (libvirt's driver: live_migration_downtime).
DOWNTIME_S = 0.5

#: QEMU's auto-converge (``cpu-throttle-initial`` and so on): it takes processor time from the guest, first 20 %, then
#: 10 % more, when a pass dirties more than half of what it carries, for the first time after two passes.
_FIRST_THROTTLE, _THROTTLE_STEP, _MOST_THROTTLE = 0.2, 0.1, 0.99
_TOO_DIRTY = 0.5
_PASSES_BEFORE_THROTTLE = 2
#: A guest of which something is left after so many passes never gets there.
_MOST_PASSES = 10_000


@dataclass(frozen=True, slots=True)
class Progress:
    """How much has been carried over, bytes. What is processed grows past the total where memory is carried again.

    :param iteration: the pass over the memory, from 1; 0 while disks are carried
    """

    memory_total: int
    memory_processed: int
    memory_remaining: int
    disk_total: int
    disk_processed: int
    iteration: int

    @property
    def disk_remaining(self) -> int:
        """Disk still to come."""
        return self.disk_total - self.disk_processed

    @property
    def percent(self) -> int:
        """Share of what has to be there that is there."""
        total = self.memory_total + self.disk_total
        return 100 if total == 0 else 100 - (self.memory_remaining + self.disk_remaining) * 100 // total


class LiveMigration:
    """One guest on its way from one host to another.

    :param uuid: of the guest
    :param source: name of the host that it leaves
    :param destination: name of the host that it goes to
    :param memory_mb: of the guest
    :param disk_bytes: of its local disks; 0 where both hosts see them
    :param bandwidth_mb_s: between the hosts, MiB a second
    :param dirty_bytes_s: memory that the guest writes to meanwhile, bytes a second
    :param auto_converge: slow the guest down, pass by pass, while it writes too fast
    """

    def __init__(
        self,
        clock: Clock,
        uuid: str,
        source: str,
        destination: str,
        memory_mb: int,
        disk_bytes: int,
        bandwidth_mb_s: float,
        dirty_bytes_s: float = 0.0,
        *,
        auto_converge: bool = False,
    ) -> None:
        self.uuid = uuid
        self.source = source
        self.destination = destination
        #: Whether the guest stands still only because the migration was forced, and goes on at its end.
        self.stands_still = False
        self._clock = clock
        self._memory_bytes = memory_mb * MIB
        self._disk_bytes = disk_bytes
        self._rate = _bytes_s(bandwidth_mb_s)
        self._sizes, self._converges = _passes(self._memory_bytes, self._rate, dirty_bytes_s, auto_converge)
        self._ends = list(accumulate(self._sizes))
        #: When it began, seconds since the epoch.
        self.began_s = clock.now()
        self._woken = clock.alarm()
        self._lock = threading.Lock()
        self._aborted = False
        self._forced: _Forced | None = None
        self._switched = False

    @property
    def passes(self) -> int | None:
        """How many passes it takes until what is left fits into the downtime; None: it never does."""
        return len(self._sizes) if self._converges else None

    @property
    def duration_s(self) -> float:
        """How long it takes unless somebody forces it, seconds; infinite where it never converges."""
        return (self._disk_bytes + self._ends[-1]) / self._rate if self._converges else math.inf

    @property
    def elapsed_s(self) -> float:
        """For how long it has been going on, seconds."""
        return self._clock.now() - self.began_s

    @property
    def forced(self) -> bool:
        """Whether somebody has brought it to its end."""
        return self._forced is not None

    @property
    def post_copy(self) -> bool:
        """Whether the guest goes on at the destination before all of its memory is there."""
        return self._forced is not None and self._forced.post_copy

    def remaining_s(self) -> float:
        """Return the seconds until the switch-over."""
        forced = self._forced
        if forced is None:
            return max(0.0, self.duration_s - self.elapsed_s)
        due_s = forced.disk_s if forced.post_copy else forced.disk_s + forced.memory_s
        return max(0.0, forced.at_s + due_s - self._clock.now())

    def tail_s(self) -> float:
        """Return the seconds until all of the memory is there, which is after the switch-over of a post-copy."""
        forced = self._forced
        if forced is None or not forced.post_copy:
            return self.remaining_s()
        return max(0.0, forced.at_s + forced.disk_s + forced.memory_s - self._clock.now())

    def progress(self) -> Progress:
        """Return how far it has come."""
        forced = self._forced
        if forced is not None:
            return forced.progress(self._clock.now())
        return self._pre_copy(min(self.elapsed_s, self.duration_s) * self._rate)

    def _pre_copy(self, carried: float) -> Progress:
        """Return how far it has come with that many bytes carried."""
        disk = min(int(carried), self._disk_bytes)
        if carried < self._disk_bytes:
            return Progress(self._memory_bytes, 0, self._memory_bytes, self._disk_bytes, disk, 0)
        memory = carried - self._disk_bytes
        number = bisect_right(self._ends, memory)
        if number < len(self._ends):
            left = self._ends[number] - memory
        elif self._converges:
            number, left = number - 1, 0.0
        else:
            further, done = divmod(memory - self._ends[-1], self._sizes[-1])
            number, left = number + int(further), self._sizes[-1] - done
        return Progress(self._memory_bytes, int(memory), int(left), self._disk_bytes, disk, number + 1)

    def wait(self, timeout_s: float) -> bool:
        """Wait for the switch-over's time, at most that many seconds; tell whether it has come.

        :raises MigrationAborted: somebody ended it
        """
        self._woken.wait(min(timeout_s, self.remaining_s()))
        if self._forced is not None:
            # Whoever forced it has woken us; now its own time passes.
            self._woken.clear()
        self.check()
        return self.remaining_s() <= 0.0

    def wait_tail(self, timeout_s: float) -> bool:
        """Wait, at most that many seconds, for the memory that a post-copy carries; tell whether it is there."""
        self._clock.sleep(min(timeout_s, self.tail_s()))
        return self.tail_s() <= 0.0

    def check(self) -> None:
        """Refuse to go on with a migration that has been ended.

        :raises MigrationAborted: it has
        """
        if self._aborted:
            raise MigrationAborted(f"the live migration of guest {self.uuid} to {self.destination} was aborted")

    def abort(self) -> bool:
        """End it; tell whether that came in time: before the switch-over, and before anybody forced that."""
        with self._lock:
            if self._switched or self._forced is not None:
                return False
            self._aborted = True
        self._woken.set()
        return True

    def force(self, *, post_copy: bool = False, bandwidth_mb_s: float | None = None) -> None:
        """Bring it to its end: what is left is carried once more, and no more of it comes.

        :param post_copy: switch over at once, and carry the memory that is left afterwards; else the guest stands
            still until all is there
        :param bandwidth_mb_s: from now on, MiB a second; None: as before
        """
        rate = self._rate if bandwidth_mb_s is None else _bytes_s(bandwidth_mb_s)
        with self._lock:
            if self._forced is None:
                found = self.progress()
                self._forced = _Forced(self._clock.now(), post_copy, rate, found)
        self._woken.set()

    def let_run(self) -> None:
        """Forget that the guest stands still for it: it does not."""
        self.stands_still = False

    def commit(self) -> None:
        """Begin the switch-over: from here on it cannot be aborted.

        :raises MigrationAborted: it has been
        """
        with self._lock:
            self.check()
            self._switched = True


class _Forced:
    """How a migration goes on that was forced."""

    __slots__ = ("_rate", "_then", "at_s", "disk_s", "memory_s", "post_copy")

    def __init__(self, at_s: float, post_copy: bool, rate: float, then: Progress) -> None:
        self.at_s = at_s
        self.post_copy = post_copy
        self.disk_s = then.disk_remaining / rate
        self.memory_s = then.memory_remaining / rate
        self._rate = rate
        self._then = then

    def progress(self, now_s: float) -> Progress:
        then, carried = self._then, int((now_s - self.at_s) * self._rate)
        disk = min(carried, then.disk_remaining)
        memory = min(max(0, carried - disk), then.memory_remaining)
        return replace(
            then,
            disk_processed=then.disk_processed + disk,
            memory_processed=then.memory_processed + memory,
            memory_remaining=then.memory_remaining - memory,
            iteration=max(then.iteration, 1) if disk == then.disk_remaining else 0,
        )


def _bytes_s(bandwidth_mb_s: float) -> float:
    if bandwidth_mb_s <= 0:
        raise InvalidInput("bandwidth_mb_s", bandwidth_mb_s, "give MiB a second, above 0")
    return bandwidth_mb_s * MIB


def _passes(memory_bytes: int, rate: float, dirty_bytes_s: float, auto_converge: bool) -> tuple[list[float], bool]:
    """Return what each pass carries, bytes, and whether the last leaves no more than the downtime allows.

    Where it does not, the last repeats for ever.
    """
    fits = rate * DOWNTIME_S
    sizes, throttle = [float(memory_bytes)], 0.0
    most_throttle = _MOST_THROTTLE if auto_converge else 0.0
    while sizes[-1] > fits and dirty_bytes_s:
        ratio = dirty_bytes_s * (1.0 - throttle) / rate
        if (ratio >= 1.0 and throttle == most_throttle) or len(sizes) == _MOST_PASSES:
            return sizes, False
        sizes.append(sizes[-1] * min(ratio, 1.0))
        if ratio > _TOO_DIRTY and len(sizes) > _PASSES_BEFORE_THROTTLE:
            throttle = min(most_throttle, throttle + _THROTTLE_STEP if throttle else _FIRST_THROTTLE)
    return sizes, True
