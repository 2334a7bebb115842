"""What crosses between the hosts of a fleet: live migration, in the order in which it happens.

At every moment each host tells the truth: the destination holds a claim from the preparation on, the source lists the
guest until the switch-over and not afterwards, and the switch-over is one step for both.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from nova_fakes.exceptions import Conflict, GuestExists, MigrationNotFound
from nova_fakes.virt import stats
from nova_fakes.virt.disks import Volume, local_disks
from nova_fakes.virt.guest import Guest, GuestSpec, State
from nova_fakes.virt.hypervisor import Arrival, Hypervisor
from nova_fakes.virt.journal import Event
from nova_fakes.virt.migration import LiveMigration
from nova_fakes.virt.nic import Nic
from nova_fakes.virt.records import failure_recorded

if TYPE_CHECKING:
    from nova_fakes.virt.fleet import Fleet

__all__ = ["LiveMigrations"]

LOG = logging.getLogger(__name__)


class LiveMigrations:
    """The live migrations between the hosts of a fleet, and from and to hosts of other processes."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def prepare(
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
        self._fleet.journal.tell(event)

    def begin(
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
            awaited = [name for name, host in self._fleet.hosts.items() if uuid in host.arrivals]
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
                    self._fleet.migration_bandwidth_mb_s,
                    stats.dirty_bytes_s(guest.workload, guest.seed) if guest.state is State.RUNNING else 0.0,
                    auto_converge=auto_converge,
                )
                details = {"destination": destination, "block": block, "auto_converge": auto_converge}
                event = source.note(migration.began_s, uuid, "live_migration_start", details)
                source.migrations[uuid] = migration
        self._fleet.journal.tell(event)
        return migration

    def find(self, source: Hypervisor, uuid: str) -> LiveMigration:
        """Return a guest's live migration.

        :raises MigrationNotFound: there is none
        """
        found = source.migrations.get(uuid)
        if found is None:
            raise MigrationNotFound(f"guest {uuid} is not being live-migrated from host {source.name}")
        return found

    def lose_memory(self, migration: LiveMigration) -> bool:
        """Tell whether a post-copy has failed because a host has died, and let the guest crash then."""
        source, destination = self._fleet.hosts.get(migration.source), self._fleet.hosts.get(migration.destination)
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
            destination = self._fleet.hosts.get(migration.destination)
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
        self._fleet.journal.tell(event)

    def abort(self, source: Hypervisor, uuid: str) -> bool:
        """End a guest's live migration; tell whether that came in time: before the switch-over.

        :raises MigrationNotFound: there is none
        """
        with failure_recorded(source, uuid, "live_migration_abort"):
            aborted = self.find(source, uuid).abort()
        if aborted:
            source.record_anyway(uuid, "live_migration_abort")
        return aborted

    def force(self, source: Hypervisor, uuid: str, *, post_copy: bool = False) -> None:
        """Bring a guest's live migration to its end whatever the guest writes; once is enough.

        :param post_copy: let the guest go on at the destination at once; else it stands still until all is there
        :raises MigrationNotFound: there is none
        :raises RealizerError: its link could not be taken; the migration goes on as before
        :raises JournalError: the journal cannot be written; the migration goes on as before
        """
        with failure_recorded(source, uuid, "live_migration_force"):
            migration = self.find(source, uuid)
        if migration.forced:
            return
        with source.operation(uuid, "live_migration_force", {"post_copy": post_copy}, asked_as="find") as act:
            if not post_copy and act.guest.state is State.RUNNING:
                source.check("pause", act.guest)
                source.switch(act, "pause")
                migration.stands_still = True
                act.undo_by(migration.let_run)
        migration.force(post_copy=post_copy)

    def end(self, source: Hypervisor, migration: LiveMigration) -> None:
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
        """Undo :meth:`prepare`; nothing to undo is no error.

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
        self._fleet.journal.tell(event)

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
                    if not self._fleet.journal.persistent
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
            self._fleet.note_move()
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
