"""The hosts that can reach each other: one clock, one set of faults, one journal."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING

from nova_fakes.clock import Clock, SystemClock
from nova_fakes.exceptions import (
    GuestNotFound,
    HostExists,
    HostNotFound,
    InvalidInput,
)
from nova_fakes.faults import Faults
from nova_fakes.virt.equipment import Equipment
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.journal import Journal
from nova_fakes.virt.live_migrations import LiveMigrations
from nova_fakes.virt.workload import WORKLOADS, Workload

if TYPE_CHECKING:
    from nova_fakes.volume.store import VolumeStore

__all__ = ["DEFAULT_BANDWIDTH_MB_S", "Fleet", "current_fleet"]

LOG = logging.getLogger(__name__)

#: Of a 100 Gb/s network; a guest of 512 MiB moves in a twentieth of a second.
DEFAULT_BANDWIDTH_MB_S = 10_000.0

_ACTIVE: ContextVar[tuple[Fleet, ...]] = ContextVar("nova_fakes_fleets", default=())


def current_fleet() -> Fleet | None:
    """Return the fleet that :meth:`Fleet.activate` has put in force here, if any."""
    return next(reversed(_ACTIVE.get()), None)


class Fleet:
    """Hosts under one clock, one set of faults and one journal.

    :param clock: by which everything passes; the machine's by default
    :param faults: rules in force
    :param journal: events, and with a path the state that outlives the process
    :param seed: of every statistic, and of node identities that nobody gave
    :param migration_bandwidth_mb_s: of live migrations, MiB a second
    :param shared_storage: whether every host sees every guest's disks, as with Ceph
    :param workloads: that guests may choose besides those of :data:`nova_fakes.virt.workload.WORKLOADS`
    """

    def __init__(
        self,
        clock: Clock | None = None,
        faults: Faults | None = None,
        journal: Journal | None = None,
        seed: int = 0,
        *,
        migration_bandwidth_mb_s: float = DEFAULT_BANDWIDTH_MB_S,
        shared_storage: bool = True,
        workloads: Iterable[Workload] = (),
    ) -> None:
        if migration_bandwidth_mb_s <= 0:
            raise InvalidInput("migration_bandwidth_mb_s", migration_bandwidth_mb_s, "give MiB a second, above 0")
        self.clock: Clock = clock or SystemClock()
        self.faults = faults or Faults(self.clock, seed)
        self.journal = journal or Journal()
        self.seed = seed
        self.migration_bandwidth_mb_s = migration_bandwidth_mb_s
        self.shared_storage = shared_storage
        #: What guests may be busy with, by name.
        self.workloads: Mapping[str, Workload] = {**WORKLOADS, **{workload.name: workload for workload in workloads}}
        #: Where the bytes of volumes lie; None: they have none.
        self.volume_store: VolumeStore | None = None
        self._hosts: dict[str, Hypervisor] = {}
        self._lock = threading.Lock()
        self.migrations = LiveMigrations(self)
        # Another one for every guest that changes hosts: whoever looks through the hosts meanwhile looks again.
        self._last_move = object()

    @property
    def hosts(self) -> Mapping[str, Hypervisor]:
        """The hypervisors by name."""
        return MappingProxyType(self._hosts)

    def add(self, hypervisor: Hypervisor) -> Hypervisor:
        """Take a host in, with what the journal kept of it, and return it.

        :raises HostExists: there is one of that name
        :raises InvalidInput: it belongs to a fleet, or has guests already
        """
        with self._lock:
            if hypervisor.name in self._hosts:
                raise HostExists(f"the fleet has a host {hypervisor.name} already: give the new one another name")
            if hypervisor.fleet is not None or hypervisor.guests:
                raise InvalidInput("hypervisor", hypervisor, "add it once, before its first guest")
            hypervisor.join(self)
            self._hosts[hypervisor.name] = hypervisor
        return hypervisor

    def hypervisor(self, name: str) -> Hypervisor:
        """Return a host.

        :raises HostNotFound: naming the hosts that there are
        """
        try:
            return self._hosts[name]
        except KeyError:
            known = ", ".join(sorted(self._hosts)) or "none yet"
            raise HostNotFound(f"the fleet has no host {name!r}; its hosts: {known}") from None

    def find(self, uuid: str) -> Hypervisor:
        """Return the host on which a guest is.

        :raises GuestNotFound: it is nowhere
        """
        host = self._first(lambda host: uuid in host.guests)
        if host is None:
            raise GuestNotFound(f"guest {uuid} is on no host of the fleet")
        return host

    def _first(self, wanted: Callable[[Hypervisor], bool]) -> Hypervisor | None:
        """Return a host of which that is true; a guest that moves meanwhile is not missed."""
        while True:
            last_move = self._last_move
            found = next((host for host in list(self._hosts.values()) if wanted(host)), None)
            if found is not None or last_move is self._last_move:
                return found

    def note_move(self) -> None:
        """Remember that a guest changes hosts just now; the caller holds the locks of both."""
        self._last_move = object()

    def equipment(self, uuid: str) -> Equipment | None:
        """Return what a guest has beyond processors, memory and disks; None too where it is on no host."""
        for host in list(self._hosts.values()):
            guest = host.guests.get(uuid)
            if guest is not None:
                return guest.spec.equipment
        return None

    def sees_disks(self, uuid: str, besides: Hypervisor | None = None) -> bool:
        """Tell whether a guest's disks lie where every host can see them.

        :param besides: a host whose own do not count
        """
        if not self.shared_storage:
            return False
        has = self._first(lambda host: host is not besides and (uuid in host.guests or uuid in host.left_disks))
        return has is not None

    @contextmanager
    def activate(self) -> Iterator[Fleet]:
        """Put the fleet in force: a driver made inside joins it instead of making a fleet of its own.

        The latest that is still in force holds, in whatever order they end.
        """
        _ACTIVE.set((*_ACTIVE.get(), self))
        try:
            yield self
        finally:
            latest_first = list(reversed(_ACTIVE.get()))
            if self in latest_first:
                latest_first.remove(self)
            _ACTIVE.set(tuple(reversed(latest_first)))

    def close(self) -> None:
        """Close every realizer and the journal. Guests that a journal keeps are found again later."""
        for host in self._hosts.values():
            if host.realizer is not None:
                host.realizer.close()
        self.journal.close()
