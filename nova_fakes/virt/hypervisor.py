"""One host: its guests, what they claim, and everything that can be done to them.

The truth about a host is here; nova's driver, the command line and the tests look at it through their own adapters.
Operations are named as fault rules and journal events name them: ``spawn`` (with the steps ``spawn.plug`` and
``spawn.start``), ``destroy``, ``power_on``, ``pause`` and so on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, NamedTuple
from zlib import crc32

from nova_fakes.exceptions import (
    DeviceNotFound,
    GuestExists,
    InvalidTransition,
)
from nova_fakes.virt import consoles, stats
from nova_fakes.virt.devices import DeviceHost
from nova_fakes.virt.disks import Volume, device_name, local_disks
from nova_fakes.virt.event import Event
from nova_fakes.virt.guest import Claim, Guest, GuestSpec, State
from nova_fakes.virt.journal import Write
from nova_fakes.virt.nic import Nic
from nova_fakes.virt.records import Arrival, failures_recorded
from nova_fakes.virt.snapshot import snapshot_bytes
from nova_fakes.virt.undo import Operation
from nova_fakes.virt.workload import DEFAULT

__all__ = ["Arrival", "Hypervisor", "Statistics"]

_DISKS_KEPT: Mapping[str, Any] = {"keep_disks": True}


class Statistics(NamedTuple):
    """A guest's counters at one moment.

    :param cpus: processor time by virtual CPU, nanoseconds
    :param disks: counters by device
    :param nics: each interface with its counters
    """

    guest: Guest
    active_s: float
    cpus: list[int]
    memory_used_mb: int
    disks: list[tuple[str, stats.DiskCounters]]
    nics: list[tuple[Nic, Any]]


class Hypervisor(DeviceHost):
    """One host of a fleet; alone, until :meth:`Fleet.add` takes it in.

    :param name: of the host, which is its node's name too
    :param inventory: what it is equipped with
    :param realizer: makes its guests' interfaces; None: they have none but in the model
    :param node_uuid: identity of its node; None: the one kept in the journal, else one that follows from fleet and name
    """

    def spawn(
        self,
        spec: GuestSpec,
        nics: dict[str, Nic] | None = None,
        volumes: Iterable[Volume] = (),
        *,
        power_on: bool = True,
        paused: bool = False,
        plugging: AbstractContextManager[Any] | None = None,
        operation: str = "spawn",
    ) -> Guest:
        """Make a guest. Whatever fails, nothing is left behind.

        :param nics: its interfaces by VIF id
        :param paused: it stands still once it is on
        :param plugging: entered around the plugging; its end waits until the ports are up, the guest standing paused
        :param operation: ``live_migration`` makes a guest of what is ready for it
        :raises GuestExists: it is here already, or on its way
        :raises InsufficientCapacity: the host refuses the claim
        :raises InvalidInput: nobody knows its workload
        :raises RealizerError: its interfaces could not be made
        :raises GuestNotFound: somebody destroyed it meanwhile
        :raises JournalError: the journal cannot be written
        """
        uuid = spec.uuid
        try:
            if self.silent or self.faults.active:
                self.check(operation, spec)
            spec.check()
            workload = DEFAULT if spec.workload is None else self.workload(spec.workload)
            arrival = self.arrivals.get(uuid) if operation == "live_migration" else None
            claim = spec.claim() if arrival is None else arrival.claim
            now_s = self.clock.now()
            guest = Guest(spec, claim, now_s, crc32(uuid.encode(), self.seed), workload, busy=True)
            with guest.lock:
                self._admit(guest, arrival, operation, now_s)
                try:
                    event = self._make(guest, nics, tuple(volumes), power_on, paused, plugging, operation)
                except BaseException:
                    self._discard(guest, arrival)
                    raise
                guest.busy = False
        except BaseException as error:
            self.record_failure(uuid, operation, error)
            raise
        self.journal.tell(event)
        return guest

    def _admit(self, guest: Guest, arrival: Arrival | None, operation: str, now_s: float) -> None:
        """Give a new guest its place and its claim, which is that of its arrival where it has one."""
        uuid = guest.spec.uuid
        with self.lock:
            if self.down:
                self.require_up(operation)
            if uuid in self.guests:
                raise GuestExists(f"guest {uuid} is already on host {self.name}: destroy it first")
            if self.arrivals.get(uuid) is not arrival:
                raise GuestExists(f"guest {uuid} is on its way to host {self.name}: wait for it or abort its migration")
            if arrival is None:
                self.capacity.claim(self.name, guest.claim, now_s)
            else:
                del self.arrivals[uuid]
            self.guests[uuid] = guest

    def _make(
        self,
        guest: Guest,
        nics: dict[str, Nic] | None,
        volumes: tuple[Volume, ...],
        power_on: bool,
        paused: bool,
        plugging: AbstractContextManager[Any] | None,
        operation: str,
    ) -> Event:
        """Let a guest that has its place come to life, and hold."""
        spec, now_s = guest.spec, guest.created_at_s
        details: dict[str, Any] = {"spec": spec}
        if volumes:
            details["volumes"] = volumes
            for volume in volumes:
                guest.attach(volume, now_s)
        if self.silent or self.faults.active:
            self.check(f"{operation}.plug", spec)
        if nics:
            guest.nics = details["nics"] = nics
            up = power_on and not paused
            if plugging is not None:
                details["began_s"] = now_s
                guest.pause_for_plugging()
                with plugging:
                    self._plug(guest, nics.values(), up)
                now_s = self.clock.now()
            else:
                self._plug(guest, nics.values(), up)
        if self.silent or self.faults.active:
            self.check(f"{operation}.start", spec)
        if power_on:
            guest.start(now_s)
            if paused:
                guest.apply("pause", now_s)
                details["paused"] = True
        else:
            guest.state = State.SHUTDOWN
            details["power_on"] = False
        return self._settle(guest, now_s, operation, details)

    def _settle(self, guest: Guest, now_s: float, operation: str, details: Mapping[str, Any]) -> Event:
        """Let a new guest hold, in the place of disks that it left here once and beside what it was before a resize."""
        image = guest.spec.image
        with self.lock:
            writes = self._rows_beside(guest, now_s) if self.journal.persistent else ()
            event = self.keep(guest, now_s, operation, details, writes)
            if image is not None:
                self.cached_images[image] = now_s
            if self.left_disks:
                self._release_disks(guest.uuid, now_s)
        return event

    def _rows_beside(self, guest: Guest, now_s: float) -> list[Write]:
        """Return what the journal is to write of a new guest besides itself; the caller holds the lock."""
        rows: list[Write] = []
        uuid, image = guest.uuid, guest.spec.image
        if image is not None:
            rows.append(self.journal.image_row(self.name, image, now_s))
        if uuid in self.left_disks:
            rows.append(self.row(uuid, "disks", None))
        if uuid in self.retained:
            rows.append(self.guest_row(self.retained[uuid], "retained"))
        return rows

    def _discard(self, guest: Guest, arrival: Arrival | None) -> None:
        """Undo a spawn at whatever point it stopped."""
        uuid = guest.uuid
        self.rewire(guest, frozenset(), guest.nics)
        with self.lock:
            if self.guests.get(uuid) is not guest:
                return
            del self.guests[uuid]
            if arrival is not None and not self.down:
                self.arrivals[uuid] = arrival
            else:
                self.capacity.release(guest.claim, self.clock.now())
            if self.down:
                self.correct(uuid)

    def destroy(self, uuid: str, *, keep_disks: bool = False) -> bool:
        """Take a guest away with its interfaces and, unless they are to be kept, its disks.

        :returns: whether it was here
        :raises RealizerError: its interfaces could not be removed; the guest is still here
        :raises JournalError: the journal cannot be written; the guest is still here
        """
        try:
            if self.silent or self.faults.active:
                self.check("destroy", self.guests.get(uuid))
            guest = self.guests.get(uuid)
            if guest is None:
                return False
            with guest.lock:
                if self.guests.get(uuid) is not guest:
                    return False
                migration = self.migrations.get(uuid)
                if keep_disks:
                    event = self.let_go(guest, "destroy", _DISKS_KEPT, left=Claim(0, 0, guest.claim.disk_gb))
                else:
                    event = self.let_go(guest, "destroy")
        except BaseException as error:
            self.record_failure(uuid, "destroy", error)
            raise
        if migration is not None:
            migration.abort()
        self.journal.tell(event)
        return True

    def change(self, uuid: str, operation: str) -> Guest:
        """Change a guest's power state: pause, unpause, suspend, power_off, soft_reboot, crash.

        Its interfaces answer while it runs and keep silent while it does not.

        :raises GuestNotFound: it is not here
        :raises InvalidTransition: its state does not allow it; nothing has changed
        """
        with Operation(self, uuid, operation) as act:
            self.switch(act, operation)
        return act.guest

    def switch(self, act: Operation, transition: str) -> None:
        """Change a guest's power state, and its link, in an operation of the caller's."""
        act.apply(transition)
        if act.guest.wired:
            self._set_link(act.guest)

    def boot(
        self,
        uuid: str,
        operation: str,
        nics: dict[str, Nic] | None = None,
        volumes: Iterable[Volume] | None = None,
        plugging: AbstractContextManager[Any] | None = None,
    ) -> Guest:
        """Bring a guest to run: power_on, hard_reboot, resume.

        :param nics: its interfaces, None: those that it had; whatever of them is missing is plugged
        :param volumes: its volumes, None: those that it had
        :raises GuestNotFound: it is not here
        :raises InvalidTransition: its state does not allow it; nothing has changed
        """
        details: dict[str, Any] = {}
        if nics is not None:
            details["nics"] = nics
        if volumes is not None:
            volumes = details["volumes"] = tuple(volumes)
        with Operation(self, uuid, operation, details) as act:
            if volumes is not None:
                act.guest.volumes = {volume.device: volume for volume in volumes}
            self.bring_up(act, operation, nics, plugging)
        return act.guest

    def bring_up(
        self,
        act: Operation,
        transition: str,
        nics: dict[str, Nic] | None = None,
        plugging: AbstractContextManager[Any] | None = None,
    ) -> None:
        """Bring a guest to run, in an operation of the caller's."""
        guest = act.guest
        guest.require(transition)
        if nics is not None:
            self.exchange_nics(guest, nics)
        if guest.nics:
            with plugging or nullcontext():
                self._plug(guest, guest.nics.values(), up=True)
        if self.silent:
            self._await_answer(transition)
        act.apply(transition)
        # Somebody brings it back to life here: what was to carry it elsewhere has come to nothing.
        guest.outgoing = False
        self._set_link(guest)

    def rescue(self, uuid: str, image: str, password: str | None = None) -> Guest:
        """Boot a guest from a rescue image instead of its own disk.

        :raises InvalidTransition: it is rescued already
        """
        with Operation(self, uuid, "rescue", {"image": image, "password": password}) as act:
            guest = act.guest
            if guest.rescued:
                raise InvalidTransition(
                    f"guest {uuid} runs the rescue image {guest.rescue_image} already: unrescue it first"
                )
            self._plug_missing(guest)
            act.apply("rescue")
            guest.rescue_image = image
            if password is not None:
                guest.spec = replace(guest.spec, admin_password=password)
            self._set_link(guest)
        return guest

    def unrescue(self, uuid: str) -> Guest:
        """Boot a rescued guest from its own disk again.

        :raises InvalidTransition: it is not rescued
        """
        with Operation(self, uuid, "unrescue") as act:
            guest = act.guest
            if not guest.rescued:
                raise InvalidTransition(f"guest {uuid} is not rescued: rescue it first")
            self._plug_missing(guest)
            act.apply("unrescue")
            guest.rescue_image = None
            self._set_link(guest)
        return guest

    def quiesce(self, uuid: str, quiet: bool) -> None:
        """Stop a running guest's writing to its disks, or let it go on.

        :raises InvalidTransition: it does not run, or is that way already
        """
        operation = "quiesce" if quiet else "unquiesce"
        with Operation(self, uuid, operation) as act:
            guest = act.guest
            if guest.state is not State.RUNNING:
                raise InvalidTransition(f"guest {uuid} is {guest.state}: only a running guest can {operation}")
            if guest.quiesced is quiet:
                raise InvalidTransition(f"guest {uuid} {'is already' if quiet else 'is not'} quiesced")
            guest.quiesced = quiet

    def set_password(self, uuid: str, password: str) -> None:
        """Change the password of a running guest's administrator.

        :raises InvalidTransition: it does not run
        """
        with Operation(self, uuid, "set_password", {"password": password}) as act:
            guest = act.guest
            self._need_agent(guest)
            guest.spec = replace(guest.spec, admin_password=password)

    def inject_file(self, uuid: str, path: str, contents: str) -> None:
        """Write a file in a running guest.

        :raises InvalidTransition: it does not run
        """
        with Operation(self, uuid, "inject_file", {"path": path, "contents": contents}) as act:
            guest = act.guest
            self._need_agent(guest)
            others = tuple(entry for entry in guest.spec.files if entry[0] != path)
            guest.spec = replace(guest.spec, files=(*others, (path, contents)))

    @staticmethod
    def _need_agent(guest: Guest) -> None:
        if guest.state is not State.RUNNING:
            raise InvalidTransition(f"guest {guest.uuid} is {guest.state}: its agent answers only while it runs")

    @failures_recorded("snapshot")
    def snapshot(self, uuid: str) -> bytes:
        """Return the contents of a guest's root disk as they are now."""
        guest = self.guest(uuid, "snapshot")
        now_s = self.clock.now()
        contents = snapshot_bytes(guest, self.name, now_s)
        self.journal.record(now_s, self.name, uuid, "snapshot", details={"size_bytes": len(contents)})
        return contents

    @failures_recorded("console")
    def console(self, uuid: str, kind: str) -> consoles.Console:
        """Return where a console of the guest listens.

        :raises InvalidInput: there is no such kind of console
        """
        self.guest(uuid, "console")
        with self.lock:
            console = self._consoles.open(kind, uuid)
        self.journal.record(self.clock.now(), self.name, uuid, "console", details={"console": kind})
        return console

    def console_log(self, uuid: str) -> str:
        """Return what the guest has written to its serial line since it last booted."""
        return consoles.boot_log(self.guest(uuid, "console_log"), self.clock.now())

    def statistics(self, uuid: str) -> Statistics:
        """Return a guest's counters; of real interfaces where the realizer has made some."""
        guest = self.guest(uuid, "statistics")
        now_s = self.clock.now()
        active_s = guest.active_s(now_s)
        workload, seed, spec = guest.workload, guest.seed, guest.spec
        disks = [
            (disk.device, stats.disk(workload, seed, disk.device, active_s, disk.role == "root"))
            for disk in local_disks(spec)
        ]
        for device in guest.volumes:
            counters = stats.disk(workload, seed, device, guest.disk_s(device, now_s), guest.boots_from(device))
            disks.append((device, counters.with_traffic(guest.traffic.get(device))))
        nics: list[tuple[Nic, Any]] = []
        if guest.nics:
            realizer = self._active_realizer
            real = realizer.counters(uuid) if realizer is not None else {}
            for vif_id, nic in guest.nics.items():
                nics.append((nic, real[vif_id] if vif_id in real else stats.nic(workload, seed, vif_id, active_s)))
        cpus = [stats.cpu_time_ns(workload, seed, vcpu, active_s) for vcpu in range(spec.vcpus)]
        return Statistics(
            guest, active_s, cpus, stats.memory_used_mb(workload, seed, spec.memory_mb, active_s), disks, nics
        )

    def disk_statistics(self, uuid: str, device: str) -> stats.DiskCounters:
        """Return the counters of one disk or volume.

        :raises DeviceNotFound: the guest has none by that name
        """
        guest = self.guest(uuid, "statistics")
        name = device_name(device)
        roles = {disk.device: disk.role for disk in local_disks(guest.spec)}
        if name not in roles and name not in guest.volumes:
            raise DeviceNotFound(f"guest {uuid} has no disk {name}")
        boots = roles.get(name) == "root" or guest.boots_from(name)
        counters = stats.disk(guest.workload, guest.seed, name, guest.disk_s(name, self.clock.now()), boots)
        return counters.with_traffic(guest.traffic.get(name))
