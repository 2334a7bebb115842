"""A live migration on its way: how far it has come follows from its sizes, its bandwidth and the clock."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from nova_fakes.clock import Clock
from nova_fakes.exceptions import InvalidInput, MigrationAborted
from nova_fakes.virt.disks import MIB

__all__ = ["LiveMigration", "Progress"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How much has been carried over, bytes."""

    memory_total: int
    memory_processed: int
    disk_total: int
    disk_processed: int

    @property
    def memory_remaining(self) -> int:
        """Memory still to come."""
        return self.memory_total - self.memory_processed

    @property
    def disk_remaining(self) -> int:
        """Disk still to come."""
        return self.disk_total - self.disk_processed

    @property
    def percent(self) -> int:
        """Share that has been carried over."""
        total = self.memory_total + self.disk_total
        return 100 if total == 0 else (self.memory_processed + self.disk_processed) * 100 // total


class LiveMigration:
    """One guest on its way from one host to another. Disks go first, then memory.

    :param uuid: of the guest
    :param source: name of the host that it leaves
    :param destination: name of the host that it goes to
    :param memory_mb: of the guest
    :param disk_bytes: of its local disks; 0 where both hosts see them
    :param bandwidth_mb_s: between the hosts, MiB a second
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
        self._began_s = clock.now()
        self._woken = clock.alarm()
        self._lock = threading.Lock()
        self._aborted = False
        self._forced = False
        self._switched = False

    @property
    def duration_s(self) -> float:
        """How long it takes unless somebody forces it, seconds."""
        return (self._memory_bytes + self._disk_bytes) / self._rate

    def remaining_s(self) -> float:
        """Return the seconds until the switch-over."""
        if self._forced:
            return 0.0
        return max(0.0, self._began_s + self.duration_s - self._clock.now())

    def progress(self) -> Progress:
        """Return how far it has come."""
        if self._forced:
            done = self._disk_bytes + self._memory_bytes
        else:
            done = min(int((self._clock.now() - self._began_s) * self._rate), self._disk_bytes + self._memory_bytes)
        disk = min(done, self._disk_bytes)
        return Progress(self._memory_bytes, done - disk, self._disk_bytes, disk)

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
        """End it; tell whether that came in time, before the switch-over."""
        with self._lock:
            if self._switched:
                return False
            self._aborted = True
        self._woken.set()
        return True

    def force(self) -> None:
        """Switch over at once, carrying the rest while the guest stands still."""
        self._forced = True
        self._woken.set()

    def commit(self) -> None:
        """Begin the switch-over: from here on it cannot be aborted.

        :raises MigrationAborted: it has been
        """
        with self._lock:
            self.check()
            self._switched = True
