"""The hosts that can reach each other, and what crosses between them: live migration.

At every moment of a live migration each host tells the truth: the destination holds a claim from the preparation on,
the source lists the guest until the switch-over and not afterwards, and the switch-over is one step for both.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from types import MappingProxyType

from nova_fakes.clock import Clock, SystemClock
from nova_fakes.exceptions import (
    Conflict,
    GuestExists,
    GuestNotFound,
    HostExists,
    HostNotFound,
    InvalidInput,
    MigrationNotFound,
)
from nova_fakes.faults import Faults
from nova_fakes.virt import stats
from nova_fakes.virt.disks import Volume, local_disks
from nova_fakes.virt.equipment import Equipment
from nova_fakes.virt.event import OK
from nova_fakes.virt.guest import Guest, GuestSpec, State
from nova_fakes.virt.host import failure_recorded
from nova_fakes.virt.hypervisor import Arrival, Hypervisor
from nova_fakes.virt.journal import Event, Journal
from nova_fakes.virt.migration import LiveMigration
from nova_fakes.virt.nic import Nic
from nova_fakes.virt.workload import WORKLOADS, Workload

__all__ = ["DEFAULT_BANDWIDTH_MB_S", "Fleet", "current_fleet"]

#: Of a 100 Gb/s network; a guest of 512 MiB moves in a twentieth of a second.
DEFAULT_BANDWIDTH_MB_S = 10_000.0

_ACTIVE: ContextVar[Fleet | None] = ContextVar("nova_fakes_fleet", default=None)


def current_fleet() -> Fleet | None:
    """Return the fleet that :meth:`Fleet.activate` has put in force here, if any."""
    return _ACTIVE.get()


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
        self._hosts: dict[str, Hypervisor] = {}
        self._lock = threading.Lock()

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
        for host in list(self._hosts.values()):
            if uuid in host.guests:
                return host
        raise GuestNotFound(f"guest {uuid} is on no host of the fleet")

    def equipment(self, uuid: str) -> Equipment | None:
        """Return what a guest has beyond processors, memory and disks; None too where it is on no host."""
        for host in list(self._hosts.values()):
            guest = host.guests.get(uuid)
            if guest is not None:
                return guest.spec.equipment
        return None

    def sees_disks(self, uuid: str) -> bool:
        """Tell whether a guest's disks lie where every host can see them."""
        return self.shared_storage and any(
            uuid in host.guests or uuid in host.left_disks for host in list(self._hosts.values())
        )

    @contextmanager
    def activate(self) -> Iterator[Fleet]:
        """Put the fleet in force: a driver made inside joins it instead of making a fleet of its own."""
        token = _ACTIVE.set(self)
        try:
            yield self
        finally:
            _ACTIVE.reset(token)

    def close(self) -> None:
        """Close every realizer and the journal. Guests that a journal keeps are found again later."""
        for host in self._hosts.values():
            if host.realizer is not None:
                host.realizer.close()
        self.journal.close()

    # Live migration, in the order in which it happens

    def prepare_migration(
        self, destination: Hypervisor, spec: GuestSpec, nics: dict[str, Nic], volumes: Iterable[Volume] = ()
    ) -> None:
        """Make ready for a guest on the host that it goes to: capacity, interfaces. All or nothing.

        :raises GuestExists: the guest is there already, or on its way there
        :raises InsufficientCapacity: the host refuses the claim
        :raises RealizerError: its interfaces could not be prepared
        """
        uuid = spec.uuid
        arrival = Arrival(spec, spec.claim(), nics, tuple(volumes))
        with failure_recorded(destination, uuid, "pre_live_migration"):
            destination.check("pre_live_migration", spec)
            now_s = destination.clock.now()
            with destination.lock:
                if uuid in destination.guests or uuid in destination.arrivals:
                    raise GuestExists(f"guest {uuid} is on host {destination.name} or on its way there already")
                destination.capacity.claim(destination.name, arrival.claim, now_s)
                destination.arrivals[uuid] = arrival
            try:
                destination.prepare_nics(uuid, nics.values())
            except BaseException:
                self._drop_arrival(destination, uuid, destination.clock.now())
                raise
        destination.report_vifs("vif_plugged", uuid, nics.values(), migrating=True)
        details = {"spec": spec, "nics": nics, "volumes": arrival.volumes}
        destination.record(now_s, uuid, "pre_live_migration", details)

    def begin_migration(
        self, source: Hypervisor, uuid: str, destination: str, *, block: bool = False, auto_converge: bool = False
    ) -> LiveMigration:
        """Start a live migration.

        :param destination: name of the host, which need not be one of this fleet
        :param block: carry the local disks too
        :param auto_converge: slow the guest down while it writes to its memory too fast
        :raises GuestNotFound: the guest is not on the source
        :raises Conflict: it does not run, or is on its way already
        """
        with failure_recorded(source, uuid, "live_migration_start"):
            guest = source.guest(uuid, "live_migration")
            if guest.state not in (State.RUNNING, State.PAUSED):
                raise Conflict(f"guest {uuid} is {guest.state}: only a running or paused guest can be live-migrated")
            disk_bytes = sum(disk.size_bytes for disk in local_disks(guest.spec)) if block else 0
            with source.lock:
                if uuid in source.migrations:
                    raise Conflict(
                        f"guest {uuid} is being live-migrated to {source.migrations[uuid].destination} already"
                    )
                migration = LiveMigration(
                    source.clock,
                    uuid,
                    source.name,
                    destination,
                    guest.spec.memory_mb,
                    disk_bytes,
                    self.migration_bandwidth_mb_s,
                    stats.dirty_bytes_s(guest.workload, guest.seed) if guest.state is State.RUNNING else 0.0,
                    auto_converge=auto_converge,
                )
                source.migrations[uuid] = migration
        details = {"destination": destination, "block": block, "auto_converge": auto_converge}
        source.record(migration.began_s, uuid, "live_migration_start", details)
        return migration

    def migration(self, source: Hypervisor, uuid: str) -> LiveMigration:
        """Return a guest's live migration.

        :raises MigrationNotFound: there is none
        """
        found = source.migrations.get(uuid)
        if found is None:
            raise MigrationNotFound(f"guest {uuid} is not being live-migrated from host {source.name}")
        return found

    def lose_memory(self, migration: LiveMigration) -> bool:
        """Tell whether a post-copy has failed because a host has died, and let the guest crash then."""
        source, destination = self._hosts.get(migration.source), self._hosts.get(migration.destination)
        if not any(host is not None and host.down for host in (source, destination)):
            return False
        if destination is not None and not destination.down and migration.uuid in destination.guests:
            destination.change(migration.uuid, "crash")
        return True

    def switch_over(self, source: Hypervisor, migration: LiveMigration) -> None:
        """Let the guest stop here and go on there.

        :raises MigrationAborted: somebody ended the migration
        :raises HostDown: a host has crashed; the guest is where it was
        :raises RealizerError: its interfaces could not be moved; the guest is where it was
        """
        uuid = migration.uuid
        with failure_recorded(source, uuid, "live_migration"):
            guest = source.guest(uuid, "switch_over")
            destination = self._hosts.get(migration.destination)
            migration.commit()
            details = {"destination": migration.destination}
            if destination is None:
                # The destination is another process: it makes the guest anew when nova tells it to.
                now_s = source.clock.now()
                source.depart(guest, now_s)
                source.record(now_s, uuid, "live_migration", details)
                return
            destination.check("switch_over", guest)
            event = self._move(source, destination, guest, details)
        self.journal.tell(event)
        if migration.stands_still:
            destination.change(uuid, "unpause")

    def abort_migration(self, source: Hypervisor, uuid: str) -> bool:
        """End a guest's live migration; tell whether that came in time: before the switch-over.

        :raises MigrationNotFound: there is none
        """
        with failure_recorded(source, uuid, "live_migration_abort"):
            aborted = self.migration(source, uuid).abort()
        if aborted:
            source.record(source.clock.now(), uuid, "live_migration_abort")
        return aborted

    def force_migration(self, source: Hypervisor, uuid: str, *, post_copy: bool = False) -> None:
        """Bring a guest's live migration to its end whatever the guest writes.

        :param post_copy: let the guest go on at the destination at once; else it stands still until all is there
        :raises MigrationNotFound: there is none
        """
        with failure_recorded(source, uuid, "live_migration_force"):
            migration = self.migration(source, uuid)
            if not post_copy and source.guest(uuid).state is State.RUNNING:
                source.change(uuid, "pause")
                migration.stands_still = True
            migration.force(post_copy=post_copy)
        source.record(source.clock.now(), uuid, "live_migration_force", {"post_copy": post_copy})

    def end_migration(self, source: Hypervisor, migration: LiveMigration) -> None:
        """Forget a live migration that is over, however it ended; a guest that stands still here goes on."""
        with source.lock:
            if source.migrations.get(migration.uuid) is not migration:
                return
            del source.migrations[migration.uuid]
        guest = source.guests.get(migration.uuid)
        if migration.stands_still and guest is not None and guest.state is State.PAUSED and not source.down:
            source.change(migration.uuid, "unpause")
        source.record(source.clock.now(), migration.uuid, "live_migration_end")

    def abort_arrival(self, destination: Hypervisor, uuid: str) -> None:
        """Undo :meth:`prepare_migration`; nothing to undo is no error."""
        now_s = destination.clock.now()
        arrival = self._drop_arrival(destination, uuid, now_s)
        if arrival is not None:
            self._undo_arrival(destination, arrival, now_s)

    def finish_arrival(self, destination: Hypervisor, spec: GuestSpec, *, paused: bool) -> Guest:
        """Make the guest that another process has sent.

        :raises NovaFakesError: what :meth:`Hypervisor.spawn` raises
        """
        now_s = destination.clock.now()
        arrival = self._drop_arrival(destination, spec.uuid, now_s)
        nics, volumes = (arrival.nics, arrival.volumes) if arrival is not None else ({}, ())
        if arrival is not None:
            # nova's instance still tells of the host that it has left.
            spec = replace(spec, equipment=arrival.spec.equipment)
        try:
            return destination.spawn(spec, nics, volumes, paused=paused, operation="live_migration")
        except BaseException:
            if arrival is not None:
                self._undo_arrival(destination, arrival, now_s)
            raise

    def _move(self, source: Hypervisor, destination: Hypervisor, guest: Guest, details: Mapping[str, object]) -> Event:
        uuid = guest.uuid
        arrival = destination.arrivals.get(uuid)
        if arrival is None:
            raise MigrationNotFound(f"host {destination.name} has not been prepared for guest {uuid}")
        destination.take_nics(uuid, arrival.nics.values(), source)
        now_s = source.clock.now()
        first, second = sorted((source, destination), key=lambda host: host.name)
        with first.lock, second.lock:
            if uuid not in source.guests or uuid not in destination.arrivals:
                raise GuestNotFound(f"guest {uuid} vanished from {source.name} or {destination.name} while it moved")
            del destination.arrivals[uuid]
            source.forget(guest, now_s)
            guest.claim = arrival.claim
            if guest.spec.equipment != arrival.spec.equipment or guest.spec.node != arrival.spec.node:
                guest.spec = replace(guest.spec, equipment=arrival.spec.equipment, node=arrival.spec.node)
            if arrival.nics:
                guest.nics = arrival.nics
            if arrival.volumes:
                guest.volumes = {volume.device: volume for volume in arrival.volumes}
            guest.plugged = True
            destination.guests[uuid] = guest
            event = Event(now_s, source.name, uuid, "live_migration", OK, details)
            rows = [*source.guest_rows(uuid), *destination.guest_rows(uuid)] if self.journal.persistent else ()
            self.journal.note(event, rows)
        return event

    def _drop_arrival(self, destination: Hypervisor, uuid: str, now_s: float) -> Arrival | None:
        with destination.lock:
            arrival = destination.arrivals.pop(uuid, None)
            if arrival is not None:
                destination.capacity.release(arrival.claim, now_s)
            return arrival

    @staticmethod
    def _undo_arrival(destination: Hypervisor, arrival: Arrival, now_s: float) -> None:
        """Remove what was prepared for a guest whose claim is given back already."""
        uuid = arrival.spec.uuid
        try:
            destination.unprepare_nics(uuid, arrival.nics.values())
            destination.report_vifs("vif_unplugged", uuid, arrival.nics.values(), migrating=True)
        finally:
            destination.record(now_s, uuid, "live_migration_rollback")
