"""A live migration on its way: how far it has come follows from its sizes, its rates and the clock.

Disks go first, then memory in passes, as QEMU's pre-copy does it: while a pass goes on the guest writes to pages that
have gone already, and the next pass carries these again. When what is left takes no longer than the guest may stand
still, it is switched over. A guest that writes faster than the network carries never gets there: somebody has to force
the switch-over, or abort.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

from nova_fakes.clock import Clock
from nova_fakes.exceptions import InvalidInput, MigrationAborted
from nova_fakes.virt.disks import MIB

__all__ = ["DOWNTIME_S", "LiveMigration", "Progress"]


#: For how long a guest may stand still while it is switched over, seconds (libvirt's driver: live_migration_downtime).
DOWNTIME_S = 0.5


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
    ) -> None:
        if bandwidth_mb_s <= 0:
            raise InvalidInput("bandwidth_mb_s", bandwidth_mb_s, "give MiB a second, above 0")
        self.uuid = uuid
        self.source = source
        self.destination = destination
        self._clock = clock
        self._memory_bytes = memory_mb * MIB
        self._disk_bytes = disk_bytes
        self._rate = bandwidth_mb_s * MIB
        # What is left after a pass, as a share of what it began with; all of the memory at most.
        self._left = min(dirty_bytes_s / self._rate, 1.0)
        #: When it began, seconds since the epoch.
        self.began_s = clock.now()
        self._woken = clock.alarm()
        self._lock = threading.Lock()
        self._aborted = False
        self._forced = False
        self._switched = False

    @property
    def passes(self) -> int | None:
        """How many passes it takes until what is left fits into the downtime; None: it never does."""
        fits = self._rate * DOWNTIME_S
        if self._memory_bytes <= fits or self._left == 0.0:
            return 1
        if self._left >= 1.0:
            return None
        return 1 + math.ceil(math.log(fits / self._memory_bytes) / math.log(self._left))

    @property
    def duration_s(self) -> float:
        """How long it takes unless somebody forces it, seconds; infinite where it never converges."""
        passes = self.passes
        return math.inf if passes is None else (self._disk_bytes + self._carried_before(passes)) / self._rate

    @property
    def elapsed_s(self) -> float:
        """For how long it has been going on, seconds."""
        return self._clock.now() - self.began_s

    def remaining_s(self) -> float:
        """Return the seconds until the switch-over."""
        return 0.0 if self._forced else max(0.0, self.duration_s - self.elapsed_s)

    def progress(self) -> Progress:
        """Return how far it has come."""
        carried = min(self.elapsed_s, self.duration_s) * self._rate
        disk = min(int(carried), self._disk_bytes)
        memory = max(0.0, carried - self._disk_bytes)
        if self._forced or self.remaining_s() == 0.0:
            passes = self.passes or self._pass_at(memory)
            processed = max(int(memory), self._memory_bytes)
            return Progress(self._memory_bytes, processed, 0, self._disk_bytes, self._disk_bytes, passes)
        if disk < self._disk_bytes:
            return Progress(self._memory_bytes, 0, self._memory_bytes, self._disk_bytes, disk, 0)
        number = self._pass_at(memory)
        left = self._memory_bytes * self._left ** (number - 1) - (memory - self._carried_before(number - 1))
        return Progress(self._memory_bytes, int(memory), max(0, int(left)), self._disk_bytes, disk, number)

    def _carried_before(self, passes: int) -> float:
        """Return the bytes of memory that so many passes carry together."""
        if self._left >= 1.0:
            return float(self._memory_bytes * passes)
        return self._memory_bytes * (1.0 - self._left**passes) / (1.0 - self._left)

    def _pass_at(self, carried: float) -> int:
        """Return the pass in which that many bytes of memory have been carried, from 1."""
        if self._left == 0.0:
            return 1
        if self._left >= 1.0:
            return 1 + int(carried // self._memory_bytes)
        share = 1.0 - carried * (1.0 - self._left) / self._memory_bytes
        return 1 + int(math.log(max(share, 1e-12)) / math.log(self._left))

    def wait(self, timeout_s: float) -> bool:
        """Wait for the switch-over's time, at most that many seconds; tell whether it has come.

        :raises MigrationAborted: somebody ended it
        """
        self._woken.wait(min(timeout_s, self.remaining_s()))
        self.check()
        return self.remaining_s() <= 0.0

    def check(self) -> None:
        """Refuse to go on with a migration that has been ended.

        :raises MigrationAborted: it has
        """
        if self._aborted:
            raise MigrationAborted(f"the live migration of guest {self.uuid} to {self.destination} was aborted")

    def abort(self) -> bool:
        """End it; tell whether that came in time: before the switch-over, and before anybody forced that."""
        with self._lock:
            if self._switched or self._forced:
                return False
            self._aborted = True
        self._woken.set()
        return True

    def force(self) -> None:
        """Switch over at once; what is left is carried while the guest stands still, or after it (post-copy)."""
        with self._lock:
            self._forced = True
        self._woken.set()

    def commit(self) -> None:
        """Begin the switch-over: from here on it cannot be aborted.

        :raises MigrationAborted: it has been
        """
        with self._lock:
            self.check()
            self._switched = True
