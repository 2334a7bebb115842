"""The hosts that can reach each other, and what crosses between them: live migration.

At every moment of a live migration each host tells the truth: the destination holds a claim from the preparation on,
the source lists the guest until the switch-over and not afterwards, and the switch-over is one step for both.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

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
from nova_fakes.virt.guest import Guest, GuestSpec, State
from nova_fakes.virt.host import failure_recorded
from nova_fakes.virt.hypervisor import Arrival, Hypervisor
from nova_fakes.virt.journal import Event, Journal
from nova_fakes.virt.migration import LiveMigration
from nova_fakes.virt.nic import Nic
from nova_fakes.virt.workload import WORKLOADS, Workload

if TYPE_CHECKING:
    from nova_fakes.volume.store import VolumeStore

__all__ = ["DEFAULT_BANDWIDTH_MB_S", "Fleet", "current_fleet"]

LOG = logging.getLogger(__name__)

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
        #: Where the bytes of volumes lie; None: they have none.
        self.volume_store: VolumeStore | None = None
        self._hosts: dict[str, Hypervisor] = {}
        self._lock = threading.Lock()
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

    def equipment(self, uuid: str) -> Equipment | None:
        """Return what a guest has beyond processors, memory and disks; None too where it is on no host."""
        for host in list(self._hosts.values()):
            guest = host.guests.get(uuid)
            if guest is not None:
                return guest.spec.equipment
        return None

    def sees_disks(self, uuid: str) -> bool:
        """Tell whether a guest's disks lie where every host can see them."""
        if not self.shared_storage:
            return False
        return self._first(lambda host: uuid in host.guests or uuid in host.left_disks) is not None

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
        :raises JournalError: the journal cannot be written
        """
        uuid = spec.uuid
        arrival = Arrival(spec, spec.claim(), nics, tuple(volumes))
        with failure_recorded(destination, uuid, "pre_live_migration"):
            destination.check("pre_live_migration", spec)
            now_s = destination.clock.now()
            with destination.lock:
                destination.require_up("pre_live_migration")
                if uuid in destination.guests or uuid in destination.arrivals:
                    raise GuestExists(f"guest {uuid} is on host {destination.name} or on its way there already")
                destination.capacity.claim(destination.name, arrival.claim, now_s)
                destination.arrivals[uuid] = arrival
            try:
                destination.prepare_nics(uuid, nics.values())
            except BaseException:
                self._drop_arrival(destination, arrival)
                raise
            try:
                destination.report_vifs("vif_plugged", uuid, nics.values(), migrating=True)
                details = {"spec": spec, "nics": nics, "volumes": arrival.volumes}
                with destination.lock:
                    destination.require_up("pre_live_migration")
                    event = destination.note(now_s, uuid, "pre_live_migration", details)
            except BaseException:
                self._undo_arrival(destination, arrival)
                raise
        self.journal.tell(event)

    def begin_migration(
        self, source: Hypervisor, uuid: str, destination: str, *, block: bool = False, auto_converge: bool = False
    ) -> LiveMigration:
        """Start a live migration.

        :param destination: name of the host, which need not be one of this fleet
        :param block: carry the local disks too
        :param auto_converge: slow the guest down while it writes to its memory too fast
        :raises GuestNotFound: the guest is not on the source
        :raises Conflict: it does not run, is on its way already, or is awaited on another host than that
        """
        with failure_recorded(source, uuid, "live_migration_start"):
            guest = source.guest(uuid, "live_migration")
            _check_movable(guest)
            awaited = [name for name, host in self._hosts.items() if uuid in host.arrivals]
            if awaited and destination not in awaited:
                raise Conflict(f"guest {uuid} is awaited on host {awaited[0]}, not on {destination}")
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
                details = {"destination": destination, "block": block, "auto_converge": auto_converge}
                event = source.note(migration.began_s, uuid, "live_migration_start", details)
                source.migrations[uuid] = migration
        self.journal.tell(event)
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

        Whatever fails, the guest is where it was.

        :raises MigrationAborted: somebody ended the migration
        :raises Conflict: the guest neither runs nor stands paused any more
        :raises HostDown: a host has crashed
        :raises RealizerError: its interfaces could not be moved
        :raises JournalError: the journal cannot be written
        """
        uuid = migration.uuid
        with failure_recorded(source, uuid, "live_migration"):
            guest = source.guest(uuid, "switch_over")
            destination = self._hosts.get(migration.destination)
            if destination is not None:
                destination.check("switch_over", guest)
            with guest.lock:
                migration.commit()
                source.require_here(guest)
                _check_movable(guest)
                if destination is None:
                    # The destination is another process: it makes the guest anew when nova tells it to.
                    details = {"destination": migration.destination}
                    event = source.let_go(guest, "live_migration", details, moved=True)
                else:
                    event = self._move(source, destination, guest, migration)
        self.journal.tell(event)

    def abort_migration(self, source: Hypervisor, uuid: str) -> bool:
        """End a guest's live migration; tell whether that came in time: before the switch-over.

        :raises MigrationNotFound: there is none
        """
        with failure_recorded(source, uuid, "live_migration_abort"):
            aborted = self.migration(source, uuid).abort()
        if aborted:
            source.record_anyway(uuid, "live_migration_abort")
        return aborted

    def force_migration(self, source: Hypervisor, uuid: str, *, post_copy: bool = False) -> None:
        """Bring a guest's live migration to its end whatever the guest writes; once is enough.

        :param post_copy: let the guest go on at the destination at once; else it stands still until all is there
        :raises MigrationNotFound: there is none
        :raises RealizerError: its link could not be taken; the migration goes on as before
        :raises JournalError: the journal cannot be written; the migration goes on as before
        """
        with failure_recorded(source, uuid, "live_migration_force"):
            migration = self.migration(source, uuid)
        if migration.forced:
            return
        with source.operation(uuid, "live_migration_force", {"post_copy": post_copy}, asked_as="find") as act:
            if not post_copy and act.guest.state is State.RUNNING:
                source.check("pause", act.guest)
                source.switch(act, "pause")
                migration.stands_still = True
                act.undo_by(migration.let_run)
        migration.force(post_copy=post_copy)

    def end_migration(self, source: Hypervisor, migration: LiveMigration) -> None:
        """Forget a live migration that is over, however it ended; a guest that stands still here goes on.

        It raises nothing: what goes wrong is logged.
        """
        uuid = migration.uuid
        with source.lock:
            if source.migrations.get(uuid) is not migration:
                return
            del source.migrations[uuid]
        guest = source.guests.get(uuid)
        if migration.stands_still and guest is not None and guest.state is State.PAUSED and not source.down:
            try:
                source.change(uuid, "unpause")
            except Exception:
                LOG.exception(
                    "guest %s on host %s stands still after its live migration: unpause it", uuid, source.name
                )
        source.record_anyway(uuid, "live_migration_end")

    def abort_arrival(self, destination: Hypervisor, uuid: str) -> None:
        """Undo :meth:`prepare_migration`; nothing to undo is no error.

        :raises RealizerError: its interfaces are still prepared, and so is the rest
        :raises JournalError: the journal cannot be written; all is still prepared
        """
        arrival = destination.arrivals.get(uuid)
        if arrival is None:
            return
        nics = arrival.nics.values()
        with failure_recorded(destination, uuid, "live_migration_rollback"):
            destination.unprepare_nics(uuid, nics)
            try:
                destination.report_vifs("vif_unplugged", uuid, nics, migrating=True)
                with destination.lock:
                    if destination.arrivals.get(uuid) is not arrival:
                        return
                    event = destination.note(destination.clock.now(), uuid, "live_migration_rollback")
                    self._drop_arrival(destination, arrival)
            except BaseException:
                self._prepare_again(destination, arrival)
                raise
        self.journal.tell(event)

    def finish_arrival(
        self,
        destination: Hypervisor,
        spec: GuestSpec,
        nics: dict[str, Nic] | None = None,
        volumes: Iterable[Volume] = (),
        *,
        paused: bool,
    ) -> Guest:
        """Make the guest that another process has sent.

        :param nics: its interfaces; None or none: those that were prepared
        :param volumes: its volumes, where nothing was prepared
        :raises NovaFakesError: what :meth:`Hypervisor.spawn` raises; what is ready for the guest still is
        """
        arrival = destination.arrivals.get(spec.uuid)
        if arrival is not None:
            nics, volumes = nics or arrival.nics, arrival.volumes
            # nova's instance still tells of the host that it has left.
            spec = replace(spec, equipment=arrival.spec.equipment)
        return destination.spawn(spec, nics, volumes, paused=paused, operation="live_migration")

    def _move(self, source: Hypervisor, destination: Hypervisor, guest: Guest, migration: LiveMigration) -> Event:
        uuid = guest.uuid
        arrival = destination.arrivals.get(uuid)
        if arrival is None:
            raise MigrationNotFound(f"host {destination.name} has not been prepared for guest {uuid}")
        arrival = _as_it_is_now(arrival, guest)
        nics = arrival.nics
        goes_on = migration.stands_still and guest.state is State.PAUSED
        destination.take_nics(uuid, nics.values(), source, goes_on or guest.state is State.RUNNING)
        try:
            if goes_on and nics:
                destination.link_nics(uuid, True)
            return self._hand_over(source, destination, guest, arrival, goes_on)
        except BaseException:
            self._give_back(source, destination, guest, nics)
            raise

    def _hand_over(
        self, source: Hypervisor, destination: Hypervisor, guest: Guest, arrival: Arrival, goes_on: bool
    ) -> Event:
        """Let the guest be there instead of here, for both hosts and the journal in one step."""
        uuid = guest.uuid
        first, second = sorted((source, destination), key=lambda host: host.name)
        with first.lock, second.lock:
            source.require_up("switch_over")
            destination.require_up("switch_over")
            source.require_here(guest)
            if uuid not in destination.arrivals:
                raise MigrationNotFound(f"host {destination.name} is no longer prepared for guest {uuid}")
            now_s, marks, left = source.clock.now(), guest.marks(), guest.claim
            try:
                self._fit(guest, arrival)
                if goes_on:
                    guest.apply("unpause", now_s)
                rows = (
                    ()
                    if not self.journal.persistent
                    else (
                        source.row(uuid, "guest", None),
                        destination.guest_row(guest),
                        destination.row(uuid, "disks", None),
                    )
                )
                event = source.note(now_s, uuid, "live_migration", {"destination": destination.name}, rows)
            except BaseException:
                guest.restore(marks)
                raise
            del destination.arrivals[uuid]
            destination.take_in(guest, now_s)
            self._last_move = object()
            source.forget(uuid, left, now_s)
        return event

    @staticmethod
    def _fit(guest: Guest, arrival: Arrival) -> None:
        """Let a guest have what is ready for it."""
        guest.claim, guest.nics = arrival.claim, arrival.nics
        guest.volumes = {volume.device: volume for volume in arrival.volumes}
        if guest.spec.equipment != arrival.spec.equipment or guest.spec.node != arrival.spec.node:
            guest.spec = replace(guest.spec, equipment=arrival.spec.equipment, node=arrival.spec.node)

    def _give_back(self, source: Hypervisor, destination: Hypervisor, guest: Guest, nics: Mapping[str, Nic]) -> None:
        """Return the interfaces of a guest that has not moved after all; on a host that has died there are none."""
        try:
            if source.down:
                destination.drop_nics(guest.uuid)
            elif nics:
                source.take_nics(guest.uuid, nics.values(), destination, guest.state is State.RUNNING)
                source.link_nics(guest.uuid, guest.state is State.RUNNING)
        except Exception:
            LOG.exception("interfaces of guest %s stay on host %s", guest.uuid, destination.name)

    def _drop_arrival(self, destination: Hypervisor, arrival: Arrival) -> bool:
        """Give up a claim that was ready for a guest; tell whether it still was."""
        with destination.lock:
            if destination.arrivals.get(arrival.spec.uuid) is not arrival:
                return False
            del destination.arrivals[arrival.spec.uuid]
            destination.capacity.release(arrival.claim, destination.clock.now())
            return True

    def _undo_arrival(self, destination: Hypervisor, arrival: Arrival) -> None:
        """Give up what was being prepared for a guest; what cannot be removed is logged."""
        uuid, nics = arrival.spec.uuid, arrival.nics.values()
        if not self._drop_arrival(destination, arrival):
            return
        try:
            destination.unprepare_nics(uuid, nics)
            destination.report_vifs("vif_unplugged", uuid, nics, migrating=True)
        except Exception:
            LOG.exception("what was prepared for guest %s stays on host %s", uuid, destination.name)

    @staticmethod
    def _prepare_again(destination: Hypervisor, arrival: Arrival) -> None:
        """Prepare the interfaces anew of a guest that is still on its way; what cannot be is logged."""
        uuid, nics = arrival.spec.uuid, arrival.nics.values()
        try:
            destination.prepare_nics(uuid, nics)
            destination.report_vifs("vif_plugged", uuid, nics, migrating=True)
        except Exception:
            LOG.exception("interfaces are no longer prepared for guest %s on host %s", uuid, destination.name)


def _as_it_is_now(arrival: Arrival, guest: Guest) -> Arrival:
    """Return what is ready for a guest, less what it has lost since then and with what it has got."""
    nics = {vif_id: arrival.nics.get(vif_id, nic) for vif_id, nic in guest.nics.items()} or arrival.nics
    ready = {(volume.device, volume.volume_id): volume for volume in arrival.volumes}
    volumes = tuple(ready.get((volume.device, volume.volume_id), volume) for volume in guest.volumes.values())
    return arrival._replace(nics=nics, volumes=volumes or arrival.volumes)


def _check_movable(guest: Guest) -> None:
    if guest.state not in (State.RUNNING, State.PAUSED):
        raise Conflict(f"guest {guest.uuid} is {guest.state}: only a running or paused guest can be live-migrated")
