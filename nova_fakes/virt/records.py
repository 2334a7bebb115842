"""What is kept of a host: its identity and fields, and how an operation comes into the journal with what it changed."""

from __future__ import annotations

import copy
import functools
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast
from uuid import NAMESPACE_DNS, uuid5

from nova_fakes.clock import Clock, SystemClock
from nova_fakes.exceptions import GuestNotFound, HostDown, InvalidInput, JournalError
from nova_fakes.faults import Faults
from nova_fakes.virt import consoles
from nova_fakes.virt.capacity import Claims, capacity_of
from nova_fakes.virt.disks import Volume
from nova_fakes.virt.event import NOTHING, OK
from nova_fakes.virt.guest import Claim, Guest, GuestSpec
from nova_fakes.virt.hang import Hang
from nova_fakes.virt.inventory import Inventory
from nova_fakes.virt.journal import Event, Journal, Write
from nova_fakes.virt.migration import LiveMigration
from nova_fakes.virt.nic import Nic, VIFReader, Wiring
from nova_fakes.virt.workload import WORKLOADS, Workload

if TYPE_CHECKING:
    from nova_fakes.virt.fleet import Fleet
    from nova_fakes.volume.store import VolumeStore

__all__ = ["Arrival", "RecordedHost", "failure_recorded", "failures_recorded"]

LOG = logging.getLogger(__name__)

Method = TypeVar("Method", bound=Callable[..., Any])


@contextmanager
def failure_recorded(host: RecordedHost, uuid: str | None, operation: str) -> Iterator[None]:
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
        def attempt(self: RecordedHost, uuid: str, *args: Any, **kwargs: Any) -> Any:
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


class RecordedHost:
    """A host's state, and what the journal keeps of it.

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

    def _end_hang(self) -> None:
        hang, self._hang = self._hang, None
        if hang is not None:
            hang.end()

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
