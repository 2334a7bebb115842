"""What a host is apart from its guests' lives: identity, capacity, what it keeps, its dying and coming back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import NAMESPACE_DNS, uuid5

from nova_fakes.clock import Clock, SystemClock
from nova_fakes.exceptions import (
    GuestNotFound,
    HostDown,
    InvalidInput,
)
from nova_fakes.faults import Faults
from nova_fakes.virt import consoles, stats
from nova_fakes.virt.disks import Volume
from nova_fakes.virt.guest import Claim, Guest, GuestSpec
from nova_fakes.virt.inventory import Capacity, Inventory
from nova_fakes.virt.journal import Change, Journal
from nova_fakes.virt.migration import LiveMigration
from nova_fakes.virt.nic import Nic, VIFReader, Wiring
from nova_fakes.virt.workload import WORKLOADS, Workload

if TYPE_CHECKING:
    from nova_fakes.virt.fleet import Fleet

__all__ = ["Arrival", "Host"]

LOG = logging.getLogger(__name__)

#: Realizers that make nothing. The model does not read nova's network descriptions for them before somebody asks.
_PASSIVE = frozenset({"null"})


class Arrival(NamedTuple):
    """What a host keeps ready for a guest that is being live-migrated to it."""

    spec: GuestSpec
    claim: Claim
    nics: dict[str, Nic]
    volumes: tuple[Volume, ...]


class Host:
    """The part of a hypervisor that does not touch its guests' lives.

    :param name: of the host, which is its node's name too
    :param inventory: what it is equipped with
    :param realizer: makes its guests' interfaces; None: they have none but in the model
    :param node_uuid: identity of its node; None: the one kept in the journal, else one that follows from fleet and name
    """

    def __init__(
        self,
        name: str,
        inventory: Inventory | None = None,
        realizer: Wiring | None = None,
        node_uuid: str | None = None,
    ) -> None:
        if not name:
            raise InvalidInput("name", name, "give the host a name")
        self.name = name
        self.inventory = inventory or Inventory()
        self.realizer = realizer
        self.fleet: Fleet | None = None
        self.clock: Clock = SystemClock()
        self.faults = Faults(self.clock)
        self.journal = Journal()
        self.seed = 0
        #: Reads nova's VIF descriptions for the realizer; set by the adapter that knows their format.
        self.read_vif: VIFReader = dict
        #: Guests by UUID. Look, but change through the methods.
        self.guests: dict[str, Guest] = {}
        #: Guests as they were before a resize on this same host, until it is confirmed or reverted.
        self.retained: dict[str, Guest] = {}
        #: What the disks of guests that are gone still take up.
        self.left_disks: dict[str, Claim] = {}
        self.arrivals: dict[str, Arrival] = {}
        self.migrations: dict[str, LiveMigration] = {}
        #: When each image in the cache was last used, seconds since the epoch.
        self.cached_images: dict[str, float] = {}
        #: Mounted shares and the guests that use them.
        self.shares: dict[str, set[str]] = {}
        self.down = False
        self.enabled = True
        self.maintenance = False
        self.booted_at_s = self.clock.now()
        self.capacity = Capacity(self.inventory, self.booted_at_s)
        self.lock = threading.RLock()
        self._given_node_uuid = node_uuid
        self._consoles = consoles.Consoles()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {len(self.guests)} guests{', down' if self.down else ''}>"

    def join(self, fleet: Fleet) -> None:
        """Take the fleet's clock, faults and journal, and find again what the journal kept."""
        self.fleet = fleet
        self.clock, self.faults, self.journal, self.seed = fleet.clock, fleet.faults, fleet.journal, fleet.seed
        self.booted_at_s = self.clock.now()
        self.capacity = Capacity(self.inventory, self.booted_at_s)
        if self.journal.persistent:
            self._restore()

    @property
    def node_uuid(self) -> str:
        """Identity of the host's node: stable over restarts."""
        return self._given_node_uuid or str(uuid5(NAMESPACE_DNS, f"{self.seed}.{self.name}.nova-fakes"))

    def workload(self, name: str) -> Workload:
        """Return a workload that the fleet knows.

        :raises InvalidInput: it knows none of that name
        """
        known = WORKLOADS if self.fleet is None else self.fleet.workloads
        try:
            return known[name]
        except KeyError:
            raise InvalidInput("workload", name, f"use one of {', '.join(sorted(known))}") from None

    def _restore(self) -> None:
        kept = self.journal.host(self.name)
        if kept is None:
            self.journal.save_host(self.name, {"node_uuid": self.node_uuid, "booted_at_s": self.booted_at_s})
        else:
            self._given_node_uuid = self._given_node_uuid or kept["node_uuid"]
            self.booted_at_s = kept["booted_at_s"]
        for role, guests in (("guest", self.guests), ("retained", self.retained)):
            for uuid, record in self.journal.guests(self.name, role).items():
                guest = guests[uuid] = Guest.from_record(record)
                if guest.spec.workload is not None:
                    guest.workload = self.workload(guest.spec.workload)
                self.capacity.restore(guest.claim)
        for uuid, record in self.journal.guests(self.name, "disks").items():
            claim = self.left_disks[uuid] = Claim(0, 0, record["disk_gb"])
            self.capacity.restore(claim)

    def crash(self) -> None:
        """Lose power: every guest dies, nothing answers until :meth:`recover`.

        :raises JournalError: that cannot be kept; nothing has happened
        """
        with self.lock:
            if self.down:
                return
            now_s = self.clock.now()
            guests = list(self.guests.values())
            self._lose_power(guests, now_s)
            self.down = True
            arrivals = self.arrivals_lost()
            for migration in self.migrations.values():
                migration.abort()
        for guest in guests:
            try:
                # A dead host's agent reports nothing: no vif_unplugged here.
                if guest.wired and self._active_realizer is not None:
                    self._active_realizer.unplug(guest.uuid)
            except Exception:
                LOG.exception("interfaces of guest %s stay behind on crashed host %s", guest.uuid, self.name)
            guest.wired = frozenset()
        for arrival in arrivals:
            try:
                if arrival.nics and self._active_realizer is not None:
                    vifs = [nic.vif(self.read_vif) for nic in arrival.nics.values()]
                    self._active_realizer.abort_migration(arrival.spec.uuid, vifs)
            except Exception:
                LOG.exception("what was prepared for guest %s stays on crashed host %s", arrival.spec.uuid, self.name)
        self.journal.record(now_s, self.name, None, "host_crash", details={"guests": len(guests)})

    def _lose_power(self, guests: list[Guest], now_s: float) -> None:
        """Shut these guests down, all or none; the caller holds the lock."""
        marks = [guest.marks() for guest in guests]
        for guest in guests:
            guest.apply("power_loss", now_s)
        try:
            if self.journal.persistent:
                self.journal.change(*(Change(self.name, guest.uuid, guest.to_record()) for guest in guests))
        except BaseException:
            for guest, before in zip(guests, marks, strict=True):
                guest.restore(before)
            raise

    def arrivals_lost(self) -> list[Arrival]:
        """Forget every guest that was on its way here, and return what was ready for them."""
        lost = list(self.arrivals.values())
        for arrival in lost:
            self.capacity.release(arrival.claim, self.clock.now())
        self.arrivals.clear()
        return lost

    def recover(self) -> None:
        """Come back after a crash: disks and definitions are there, every guest is shut down.

        :raises JournalError: that cannot be kept; the host is still down
        """
        with self.lock:
            if not self.down:
                return
            booted_at_s = self.clock.now()
            self.journal.save_host(self.name, {"node_uuid": self.node_uuid, "booted_at_s": booted_at_s})
            self.booted_at_s = booted_at_s
            self.down = False
        self.journal.record(self.booted_at_s, self.name, None, "host_recover")

    def uptime_s(self) -> float:
        """Return the seconds since the host booted."""
        self.check("uptime")
        return self.clock.now() - self.booted_at_s

    def cpu_stats(self) -> dict[str, int]:
        """Return the host's processor times since it booted, ns, and its frequency, MHz."""
        self.check("cpu_stats")
        now_s = self.clock.now()
        guests_ns = int(0.12 * 1_000_000_000 * self.capacity.vcpu_s(now_s))
        return stats.host_cpu(self.seed, self.inventory.vcpus, now_s - self.booted_at_s, guests_ns)

    def check(self, operation: str, guest: Guest | GuestSpec | None = None) -> None:
        """Let an operation begin, unless the host is dead or a fault rule objects.

        :raises HostDown: the host has crashed
        :raises BaseException: what the rule says
        """
        self.require_up(operation)
        if self.faults.active:
            if guest is None:
                self.faults.check(operation, self.name)
            else:
                self.faults.check(operation, self.name, guest.uuid, guest.name)

    def guest(self, uuid: str, operation: str = "find") -> Guest:
        """Return a guest for an operation that is about to begin.

        :raises GuestNotFound: it is not on this host
        :raises HostDown: the host has crashed
        """
        guest = self.guests.get(uuid)
        if guest is None:
            self.check(operation)
            raise GuestNotFound(f"guest {uuid} is not on host {self.name}")
        if self.down or self.faults.active:
            self.check(operation, guest)
        return guest

    def drop_disks(self, uuid: str) -> bool:
        """Delete the disks that a destroyed guest left; tell whether there were any."""
        self.check("drop_disks")
        with self.lock:
            return self._drop_disks(uuid)

    def mount_share(self, uuid: str, share_id: str) -> None:
        """Mount a share, unless it is mounted, and remember that the guest uses it."""
        self.check("mount_share")
        with self.lock:
            self.shares.setdefault(share_id, set()).add(uuid)

    def umount_share(self, uuid: str, share_id: str) -> bool:
        """Forget that the guest uses a share; without users it is unmounted. Tell whether it has users still."""
        self.check("umount_share")
        with self.lock:
            users = self.shares.get(share_id, set())
            users.discard(uuid)
            if not users:
                self.shares.pop(share_id, None)
            return bool(users)

    @property
    def _active_realizer(self) -> Wiring | None:
        realizer = self.realizer
        return None if realizer is None or realizer.name in _PASSIVE else realizer

    def report_vifs(self, operation: str, uuid: str, nics: Iterable[Nic], **details: Any) -> None:
        """Tell the observers, the layer-2 agent among them, of interfaces: ``vif_plugged`` or ``vif_unplugged``."""
        now_s = self.clock.now()
        for nic in nics:
            self.journal.record(now_s, self.name, uuid, operation, details={"vif_id": nic.id, **details})

    def keep(self, guest: Guest, operation: str, *changes: Change) -> None:
        """Let an operation on a guest hold from here on: the journal keeps the guest as it is, with further changes.

        :raises HostDown: the host has crashed meanwhile
        :raises GuestNotFound: the guest is no longer here
        :raises JournalError: the journal cannot be written
        """
        with self.lock:
            self.require_up(operation)
            self.require_here(guest)
            if self.journal.persistent:
                self.journal.change(Change(self.name, guest.uuid, guest.to_record()), *changes)

    def require_up(self, operation: str) -> None:
        """Refuse an operation of a host that has crashed.

        :raises HostDown: it has
        """
        if self.down:
            raise HostDown(f"host {self.name} has crashed and does nothing ({operation}): recover it first")

    def require_here(self, guest: Guest) -> None:
        """Refuse an operation on a guest that has gone meanwhile.

        :raises GuestNotFound: it has
        """
        if self.guests.get(guest.uuid) is not guest:
            raise GuestNotFound(f"guest {guest.uuid} is no longer on host {self.name}")

    def _drop_disks(self, uuid: str) -> bool:
        if uuid not in self.left_disks:
            return False
        self.journal.change(Change(self.name, uuid, None, "disks"))
        self._release_disks(uuid)
        return True

    def _release_disks(self, uuid: str) -> None:
        """Count the disks that a destroyed guest left no longer; the caller holds the lock."""
        left = self.left_disks.pop(uuid, None)
        if left is not None:
            self.capacity.release(left, self.clock.now())
