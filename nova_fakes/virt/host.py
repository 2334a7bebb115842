"""What a host is apart from its guests' lives: identity, capacity, what it keeps, its dying and coming back."""

from __future__ import annotations

import copy
import functools
import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast
from uuid import NAMESPACE_DNS, uuid5

from nova_fakes.clock import Clock, SystemClock
from nova_fakes.exceptions import (
    GuestNotFound,
    HostDown,
    HostHangs,
    InvalidInput,
    JournalError,
)
from nova_fakes.faults import Faults
from nova_fakes.virt import consoles, stats
from nova_fakes.virt.capacity import Claims, capacity_of
from nova_fakes.virt.disks import Volume
from nova_fakes.virt.event import NOTHING, OK
from nova_fakes.virt.guest import Claim, Guest, GuestSpec
from nova_fakes.virt.hang import DEFAULT_DEADLINE_S, Hang
from nova_fakes.virt.inventory import Inventory
from nova_fakes.virt.journal import Event, Journal, Write
from nova_fakes.virt.migration import LiveMigration
from nova_fakes.virt.nic import Nic, VIFReader, Wiring
from nova_fakes.virt.workload import WORKLOADS, Workload

if TYPE_CHECKING:
    from nova_fakes.virt.fleet import Fleet
    from nova_fakes.volume.store import VolumeStore

__all__ = ["Arrival", "Host", "failure_recorded", "failures_recorded"]

LOG = logging.getLogger(__name__)

#: Realizers that make nothing. The model does not read nova's network descriptions for them before somebody asks.
_PASSIVE = frozenset({"null"})


Method = TypeVar("Method", bound=Callable[..., Any])


@contextmanager
def failure_recorded(host: Host, uuid: str | None, operation: str) -> Iterator[None]:
    """Let the journal know of an attempt at that operation which fails."""
    try:
        yield
    except BaseException as error:
        host.record_failure(uuid, operation, error)
        raise


def failures_recorded(operation: str) -> Callable[[Method], Method]:
    """Let the journal know when a method fails, whose first argument is a guest's UUID, as that operation."""

    def decorate(method: Method) -> Method:
        @functools.wraps(method)
        def attempt(self: Host, uuid: str, *args: Any, **kwargs: Any) -> Any:
            with failure_recorded(self, uuid, operation):
                return method(self, uuid, *args, **kwargs)

        return cast(Method, attempt)

    return decorate


class Arrival(NamedTuple):
    """What a host keeps ready for a guest that is being live-migrated to it."""

    spec: GuestSpec
    claim: Claim
    nics: dict[str, Nic]
    volumes: tuple[Volume, ...]


class Host:
    """The part of a hypervisor that does not touch its guests' lives.

    :param name: of the host, which is its node's name too where it has one
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
        count = self.inventory.nodes
        #: Names of its compute nodes: its own, or ``NAME-node1`` and so on.
        self.nodes = (name,) if count == 1 else tuple(f"{name}-node{number}" for number in range(1, count + 1))
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
        #: Whether it answers late or not at all, since it is down or hangs: who is in a hurry looks here first.
        self.silent = False
        self.enabled = True
        self.maintenance = False
        self.booted_at_s = self.clock.now()
        self.capacity: Claims = capacity_of(self.inventory, self.nodes, self.booted_at_s)
        self.lock = threading.RLock()
        self._given_node_uuid = node_uuid
        self._consoles = consoles.Consoles()
        self._hang: Hang | None = None

    def __repr__(self) -> str:
        state = ", down" if self.down else ", hangs" if self.silent else ""
        return f"<{type(self).__name__} {self.name}: {len(self.guests)} guests{state}>"

    @property
    def volume_store(self) -> VolumeStore | None:
        """Where the bytes of volumes lie; None: they have none."""
        return None if self.fleet is None else self.fleet.volume_store

    def join(self, fleet: Fleet) -> None:
        """Take the fleet's clock, faults and journal, and find again what the journal kept."""
        self.fleet = fleet
        self.clock, self.faults, self.journal, self.seed = fleet.clock, fleet.faults, fleet.journal, fleet.seed
        now_s = self.clock.now()
        kept = self.journal.host(self.name)
        if kept is not None:
            self._restore(kept)
        # A process that starts on a host which was down: the host has booted.
        self.begin(now_s, now_s if kept is None or kept.get("down") else kept["booted_at_s"])
        details = {"booted_at_s": self.booted_at_s, "again": kept is not None}
        self.journal.tell(self.note(now_s, None, "host_add", details, self.rows()))

    def begin(self, now_s: float, booted_at_s: float) -> None:
        """Hold what guests and disks hold that are here, and nothing that only the process before this one knew."""
        with self.lock:
            self.booted_at_s = booted_at_s
            self.down = self.silent = False
            self._end_hang()
            self.arrivals.clear()
            for migration in self.migrations.values():
                migration.abort()
            self.migrations.clear()
            self._consoles = consoles.Consoles()
            self.capacity = capacity_of(self.inventory, self.nodes, now_s)
            for guest in (*self.guests.values(), *self.retained.values()):
                self.capacity.restore(guest.claim)
            for claim in self.left_disks.values():
                self.capacity.restore(claim)

    @property
    def node_uuid(self) -> str:
        """Identity of the host's node: stable over restarts."""
        return self._given_node_uuid or self._uuid_of(self.name)

    def node_uuids(self) -> dict[str, str]:
        """Return the nodes' names by their identities, stable over restarts."""
        if len(self.nodes) == 1:
            return {self.node_uuid: self.nodes[0]}
        return {self._uuid_of(node): node for node in self.nodes}

    def _uuid_of(self, node: str) -> str:
        return str(uuid5(NAMESPACE_DNS, f"{self.seed}.{node}.nova-fakes"))

    def workload(self, name: str) -> Workload:
        """Return a workload that the fleet knows.

        :raises InvalidInput: it knows none of that name
        """
        known = WORKLOADS if self.fleet is None else self.fleet.workloads
        try:
            return known[name]
        except KeyError:
            raise InvalidInput("workload", name, f"use one of {', '.join(sorted(known))}") from None

    def _restore(self, kept: Mapping[str, Any]) -> None:
        self._given_node_uuid = self._given_node_uuid or kept["node_uuid"]
        self.enabled = kept.get("enabled", True)
        self.maintenance = kept.get("maintenance", False)
        self.shares = {share: set(users) for share, users in kept.get("shares", {}).items()}
        self.cached_images = self.journal.images(self.name)
        for role, guests in (("guest", self.guests), ("retained", self.retained)):
            for uuid, record in self.journal.guests(self.name, role).items():
                guest = guests[uuid] = Guest.from_record(record)
                if guest.spec.workload is not None:
                    guest.workload = self.workload(guest.spec.workload)
        for uuid, record in self.journal.guests(self.name, "disks").items():
            self.left_disks[uuid] = Claim(0, 0, record["disk_gb"])

    def note(
        self,
        now_s: float,
        uuid: str | None,
        operation: str,
        details: Mapping[str, Any] = NOTHING,
        writes: Iterable[Write] = (),
    ) -> Event:
        """Write that an operation has succeeded, and what it changed, all or nothing.

        The caller holds the lock, and tells the observers when it no longer does.

        :raises JournalError: the journal cannot be written; it is as before
        """
        # Event(...) at half the price: this is on the way of every operation.
        event: Event = tuple.__new__(Event, (now_s, self.name, uuid, operation, OK, details))
        self.journal.note(event, writes)
        return event

    def keep(
        self,
        guest: Guest,
        now_s: float,
        operation: str,
        details: Mapping[str, Any] = NOTHING,
        writes: Iterable[Write] = (),
    ) -> Event:
        """Let an operation on a guest hold from here on: the journal has its event and the guest as it is.

        The caller holds the lock.

        :param writes: what else it is to write
        :returns: the event, of which the observers do not know yet
        :raises HostDown: the host has crashed meanwhile
        :raises GuestNotFound: the guest is no longer here
        :raises JournalError: the journal cannot be written; it is as before
        """
        uuid = guest.spec.uuid
        if self.down or self.guests.get(uuid) is not guest:
            self.require_up(operation)
            self.require_here(guest)
        if self.journal.persistent:
            writes = (self.guest_row(guest), *writes)
        return self.note(now_s, uuid, operation, details, writes)

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
        if self.guests.get(guest.spec.uuid) is not guest:
            raise GuestNotFound(f"guest {guest.uuid} is no longer on host {self.name}")

    def record_anyway(self, uuid: str, operation: str) -> None:
        """Record what nobody can undo. That it cannot be written is logged."""
        try:
            self.journal.record(self.clock.now(), self.name, uuid, operation)
        except JournalError:
            LOG.exception("%s of guest %s on %s is not in the journal", operation, uuid, self.name)

    def record_failure(self, uuid: str | None, operation: str, error: BaseException) -> None:
        """Record that an attempt has failed."""
        self.journal.record_failure(self.clock.now(), self.name, uuid, operation, error)

    def correct(self, uuid: str) -> None:
        """Let the journal know what has become of a guest that a crash has found in the midst of an operation."""
        try:
            with self.lock:
                self.journal.correct(self.guest_rows(uuid))
        except JournalError:
            LOG.exception("the journal keeps guest %s of host %s as it no longer is", uuid, self.name)

    @contextmanager
    def whole(self, *names: str) -> Iterator[None]:
        """Hold the lock, and put these fields back where what is done meanwhile fails."""
        with self.lock:
            before = {name: copy.copy(getattr(self, name)) for name in names}
            try:
                yield
            except BaseException:
                for name, value in before.items():
                    setattr(self, name, value)
                raise

    def rows(self) -> list[Write]:
        """Return what keeps the host, without its guests; the caller holds the lock."""
        record = {
            "node_uuid": self.node_uuid,
            "booted_at_s": self.booted_at_s,
            "down": self.down,
            "enabled": self.enabled,
            "maintenance": self.maintenance,
            "shares": {share: sorted(users) for share, users in self.shares.items()},
        }
        return [self.journal.host_row(self.name, record)]

    def guest_rows(self, uuid: str) -> list[Write]:
        """Return what keeps everything of a guest that is on this host; the caller holds the lock."""
        guest, retained, left = self.guests.get(uuid), self.retained.get(uuid), self.left_disks.get(uuid)
        records = {
            "guest": None if guest is None else guest.to_record(),
            "retained": None if retained is None else retained.to_record(),
            "disks": None if left is None else {"disk_gb": left.disk_gb},
        }
        return [self.row(uuid, role, record) for role, record in records.items()]

    def guest_row(self, guest: Guest, role: str = "guest") -> Write:
        """Return what keeps a guest."""
        return self.row(guest.uuid, role, guest.to_record())

    def row(self, uuid: str, role: str, record: Mapping[str, Any] | None) -> Write:
        """Return what keeps something of a guest on this host, or drops it where there is no record of it."""
        return self.journal.guest_row(self.name, uuid, role, record)

    def crash(self) -> None:
        """Lose power: every guest dies, nothing answers until :meth:`recover`.

        :raises JournalError: that cannot be kept; nothing has happened
        """
        with self.whole("down", "silent"):
            if self.down:
                return
            self.down = self.silent = True
            now_s = self.clock.now()
            guests = list(self.guests.values())
            event = self._lose_power(guests, now_s)
            self._end_hang()
            arrivals = self._lose_arrivals(now_s)
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
        self.journal.tell(event)

    def _lose_power(self, guests: Collection[Guest], now_s: float) -> Event:
        """Shut these guests down, all or none; the caller holds the lock."""
        marks = [guest.marks() for guest in guests]
        for guest in guests:
            guest.apply("power_loss", now_s)
        try:
            rows = [*self.rows(), *map(self.guest_row, guests)] if self.journal.persistent else ()
            return self.note(now_s, None, "host_crash", {"guests": len(guests)}, rows)
        except BaseException:
            for guest, before in zip(guests, marks, strict=True):
                guest.restore(before)
            raise

    def _lose_arrivals(self, now_s: float) -> list[Arrival]:
        """Forget every guest that was on its way here, and return what was ready for them."""
        lost = list(self.arrivals.values())
        for arrival in lost:
            self.capacity.release(arrival.claim, now_s)
        self.arrivals.clear()
        return lost

    def hang(self, deadline_s: float = DEFAULT_DEADLINE_S) -> None:
        """Stop to answer: guests go on, operations wait until :meth:`recover`; those under way, at their next step.

        :param deadline_s: how long an operation waits before it fails with :class:`HostHangs`, seconds
        :raises HostDown: it has crashed
        :raises JournalError: that cannot be kept; it still answers
        """
        with self.lock:
            if self.down:
                raise HostDown(f"host {self.name} has crashed, so it cannot hang: recover it first")
            if self._hang is not None:
                return
            hang = Hang(self.clock, deadline_s)
            event = self.note(self.clock.now(), None, "host_hang", {"deadline_s": deadline_s})
            self._hang = hang
            self.silent = True
        self.journal.tell(event)

    def recover(self) -> None:
        """Come back: after a crash with every guest shut down, on its disks; after a hang as if nothing had been.

        :raises JournalError: that cannot be kept; it is not back
        """
        with self.whole("down", "booted_at_s"):
            if not self.silent:
                return
            now_s = self.clock.now()
            if self.down:
                self.down = False
                self.booted_at_s = now_s
            event = self.note(now_s, None, "host_recover", NOTHING, self.rows())
            self._end_hang()
            self.silent = False
        self.journal.tell(event)

    def _end_hang(self) -> None:
        hang, self._hang = self._hang, None
        if hang is not None:
            hang.end()

    def set_maintenance(self, mode: bool) -> None:
        """Begin or end maintenance, during which nova's driver refuses new guests."""
        self._switch("host_maintenance_mode", "maintenance", mode)

    def set_enabled(self, enabled: bool) -> None:
        """Let nova's driver take new guests, or not."""
        self._switch("set_host_enabled", "enabled", enabled)

    def _switch(self, operation: str, name: str, value: bool) -> None:
        with failure_recorded(self, None, operation):
            self.check(operation)
            with self.whole(name):
                setattr(self, name, value)
                event = self.note(self.clock.now(), None, operation, {name: value}, self.rows())
        self.journal.tell(event)

    def cache_image(self, image: str) -> bool:
        """Put an image into the cache; tell whether it was not there yet."""
        with failure_recorded(self, None, "cache_image"):
            self.check("cache_image")
            now_s = self.clock.now()
            with self.lock:
                if image in self.cached_images:
                    return False
                row = self.journal.image_row(self.name, image, now_s)
                event = self.note(now_s, None, "cache_image", {"image": image}, [row])
                self.cached_images[image] = now_s
        self.journal.tell(event)
        return True

    def drop_images(self, images: Collection[str]) -> None:
        """Delete images from the cache; what is not there is no error."""
        with failure_recorded(self, None, "manage_image_cache"):
            self.check("manage_image_cache")
            with self.lock:
                gone = [image for image in dict.fromkeys(images) if image in self.cached_images]
                if not gone:
                    return
                rows = [self.journal.image_row(self.name, image, None) for image in gone]
                event = self.note(self.clock.now(), None, "manage_image_cache", {"images": gone}, rows)
                for image in gone:
                    del self.cached_images[image]
        self.journal.tell(event)

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
        """Let an operation begin, unless the host is dead or a fault rule objects; wait while it hangs.

        :raises HostDown: the host has crashed
        :raises HostHangs: it hangs, and the deadline has passed
        :raises BaseException: what the rule says
        """
        if self.silent:
            self._await_answer(operation)
        if self.faults.active:
            self.faults.check(operation, self.name, guest)
            if self.silent:
                self._await_answer(operation)

    def _await_answer(self, operation: str) -> None:
        """Wait until the host answers; who holds its lock does so only where it is down, which takes no time."""
        while (hang := self._hang) is not None:
            if not hang.wait():
                raise HostHangs(
                    f"host {self.name} hangs: {operation} had no answer within {hang.deadline_s:g} s; recover it first"
                )
        self.require_up(operation)

    def guest(self, uuid: str, operation: str = "find") -> Guest:
        """Return a guest for an operation that is about to begin.

        :raises GuestNotFound: it is not on this host
        :raises HostDown: the host has crashed, or hangs for too long
        """
        guest = self.guests.get(uuid)
        if guest is None:
            self.check(operation)
            raise GuestNotFound(f"guest {uuid} is not on host {self.name}")
        if self.silent or self.faults.active:
            self.check(operation, guest)
            # What took its time to begin finds what is there then.
            guest = self.guests.get(uuid)
            if guest is None:
                raise GuestNotFound(f"guest {uuid} has left host {self.name} while {operation} was waiting")
        return guest

    @failures_recorded("drop_disks")
    def drop_disks(self, uuid: str) -> bool:
        """Delete the disks that a destroyed guest left; tell whether there were any."""
        self.check("drop_disks")
        with self.lock:
            if uuid not in self.left_disks:
                return False
            now_s = self.clock.now()
            event = self.note(now_s, uuid, "drop_disks", NOTHING, [self.row(uuid, "disks", None)])
            self._release_disks(uuid, now_s)
        self.journal.tell(event)
        return True

    @failures_recorded("mount_share")
    def mount_share(self, uuid: str, share_id: str) -> None:
        """Mount a share, unless it is mounted, and remember that the guest uses it."""
        self.check("mount_share", self.guests.get(uuid))
        self._change_users(uuid, "mount_share", share_id, {uuid}.union)

    @failures_recorded("umount_share")
    def umount_share(self, uuid: str, share_id: str) -> bool:
        """Forget that the guest uses a share; without users it is unmounted. Tell whether it has users still."""
        self.check("umount_share", self.guests.get(uuid))
        return bool(self._change_users(uuid, "umount_share", share_id, lambda users: users - {uuid}))

    def _change_users(
        self, uuid: str, operation: str, share_id: str, change: Callable[[set[str]], set[str]]
    ) -> set[str]:
        with self.whole("shares"):
            users = change(self.shares.get(share_id, set()))
            if users:
                self.shares[share_id] = users
            else:
                self.shares.pop(share_id, None)
            event = self.note(self.clock.now(), uuid, operation, {"share_id": share_id}, self.rows())
        self.journal.tell(event)
        return users

    @property
    def _active_realizer(self) -> Wiring | None:
        realizer = self.realizer
        return None if realizer is None or realizer.name in _PASSIVE else realizer

    def report_vifs(self, operation: str, uuid: str, nics: Iterable[Nic], **details: Any) -> None:
        """Tell the observers, the layer-2 agent among them, of interfaces: ``vif_plugged`` or ``vif_unplugged``."""
        now_s = self.clock.now()
        for nic in nics:
            self.journal.record(now_s, self.name, uuid, operation, details={"vif_id": nic.id, **details})

    def _leave_disks(self, uuid: str, left: Claim, now_s: float) -> None:
        """Count what the disks of a guest that is gone take up, whatever the limits are: they are there."""
        self._release_disks(uuid, now_s)
        self.left_disks[uuid] = left
        self.capacity.restore(left)

    def _release_disks(self, uuid: str, now_s: float) -> None:
        """Count the disks that a destroyed guest left no longer; the caller holds the lock."""
        left = self.left_disks.pop(uuid, None)
        if left is not None:
            self.capacity.release(left, now_s)
