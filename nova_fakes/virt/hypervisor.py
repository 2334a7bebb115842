"""One host: its guests, what they claim, and everything that can be done to them.

The truth about a host is here; nova's driver, the command line and the tests look at it through their own adapters.
Operations are named as fault rules and journal events name them: ``spawn`` (with the steps ``spawn.plug`` and
``spawn.start``), ``destroy``, ``power_on``, ``pause`` and so on.
"""

from __future__ import annotations

import logging
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
from nova_fakes.virt.event import NOTHING, OK
from nova_fakes.virt.guest import Guest, GuestSpec, State
from nova_fakes.virt.host import Arrival, failures_recorded
from nova_fakes.virt.nic import Nic
from nova_fakes.virt.snapshot import snapshot_bytes
from nova_fakes.virt.workload import DEFAULT

__all__ = ["Arrival", "Hypervisor", "Statistics"]

LOG = logging.getLogger(__name__)

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
        :param paused: let it stand still once it has begun to run
        :param plugging: entered around the plugging; its end waits until the ports are up, the guest standing paused
        :raises GuestExists: it is here already
        :raises InsufficientCapacity: the host refuses the claim
        :raises InvalidInput: nobody knows its workload
        :raises RealizerError: its interfaces could not be made
        """
        guest = None
        uuid = spec.uuid
        details: dict[str, Any] = {"spec": spec}
        try:
            checked = self.faults.active
            if checked or self.silent:
                self.check(operation, spec)
            spec.check()
            claim = spec.claim()
            workload = DEFAULT if spec.workload is None else self.workload(spec.workload)
            now_s = self.clock.now()
            with self.lock:
                if uuid in self.guests:
                    raise GuestExists(f"guest {uuid} is already on host {self.name}: destroy it first")
                self.capacity.claim(self.name, claim, now_s)
                guest = Guest(spec, claim, now_s, crc32(uuid.encode(), self.seed), workload)
                self.guests[uuid] = guest
            if volumes:
                details["volumes"] = volumes = tuple(volumes)
                for volume in volumes:
                    guest.attach(volume)
            if checked or self.silent:
                self.check(f"{operation}.plug", spec)
            if nics:
                guest.nics = details["nics"] = nics
                if plugging is not None:
                    details["began_s"] = now_s
                    guest.pause_for_plugging()
                    with plugging:
                        self._plug(guest, nics.values(), power_on)
                    now_s = self.clock.now()
                else:
                    self._plug(guest, nics.values(), power_on)
            if checked or self.silent:
                self.check(f"{operation}.start", spec)
            if power_on:
                guest.start(now_s)
            else:
                guest.state = State.SHUTDOWN
                details["power_on"] = False
            if paused:
                self._stand(guest, now_s)
                details["paused"] = True
            if spec.image is not None:
                self.cached_images[spec.image] = now_s
            if self.left_disks:
                with self.lock:
                    self._drop_disks(uuid, now_s)
            if not self.journal.persistent:
                self.journal.record(now_s, self.name, uuid, operation, OK, details)
            elif spec.image is None:
                self.record(now_s, uuid, operation, details)
            else:
                self.record(now_s, uuid, operation, details, self.journal.image_row(self.name, spec.image, now_s))
        except BaseException as error:
            if guest is not None:
                self._discard(guest)
            self.record_failure(uuid, operation, error)
            raise
        return guest

    def destroy(self, uuid: str, *, keep_disks: bool = False) -> bool:
        """Take a guest away with its interfaces and, unless they are to be kept, its disks.

        :returns: whether it was here
        :raises RealizerError: its interfaces could not be removed; the guest is still here
        """
        try:
            if self.silent or self.faults.active:
                self.check("destroy", self.guests.get(uuid))
            guest = self.guests.get(uuid)
            if guest is None:
                return False
            now_s = self.remove(guest, keep_disks=keep_disks)
            if now_s is None:
                return False
            details = _DISKS_KEPT if keep_disks else NOTHING
            if self.journal.persistent:
                self.record(now_s, uuid, "destroy", details)
            else:
                self.journal.record(now_s, self.name, uuid, "destroy", OK, details)
        except BaseException as error:
            self.record_failure(uuid, "destroy", error)
            raise
        return True

    def remove(self, guest: Guest, *, keep_disks: bool = False) -> float | None:
        """Take a guest away without a word to the journal.

        :returns: when, seconds since the epoch; None where it was gone already
        """
        uuid = guest.uuid
        migration = self.migrations.get(uuid)
        if migration is not None:
            migration.abort()
        if guest.nics:
            self._unplug(guest)
        now_s = self.clock.now()
        with self.lock:
            if self.guests.get(uuid) is not guest:
                return None
            del self.guests[uuid]
            self.capacity.release(guest.claim, now_s)
            self._consoles.close(uuid)
            if keep_disks:
                self._keep_disks(uuid, guest.claim.disk_gb, now_s)
        return now_s

    def change(self, uuid: str, operation: str) -> Guest:
        """Change a guest's power state: pause, unpause, suspend, power_off, soft_reboot, crash.

        Its interfaces answer while it runs and keep silent while it does not.

        :raises GuestNotFound: it is not here
        :raises InvalidTransition: its state does not allow it; nothing has changed
        """
        try:
            guest = self.guest(uuid, operation)
            now_s = self.clock.now()
            with self.lock:
                marks = guest.progress_marks()
                guest.apply(operation, now_s)
            self.finish(guest, operation, marks, now_s)
        except BaseException as error:
            self.record_failure(uuid, operation, error)
            raise
        return guest

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
        details: Mapping[str, Any] = NOTHING
        try:
            guest = self.guest(uuid, operation)
            if nics is not None:
                details = {"nics": nics}
            if volumes is not None:
                volumes = tuple(volumes)
                details = {**details, "volumes": volumes}
            self.bring_up(guest, operation, nics, volumes, plugging, details=details)
        except BaseException as error:
            self.record_failure(uuid, operation, error)
            raise
        return guest

    def bring_up(
        self,
        guest: Guest,
        operation: str,
        nics: dict[str, Nic] | None = None,
        volumes: Iterable[Volume] | None = None,
        plugging: AbstractContextManager[Any] | None = None,
        *,
        recorded_as: str | None = None,
        details: Mapping[str, Any] = NOTHING,
    ) -> None:
        """Do what :meth:`boot` does; whatever fails, the guest's definition and state are as before.

        :param recorded_as: what the journal calls it
        """
        before = guest.nics, guest.volumes
        now_s = self.clock.now()
        with self.lock:
            marks = guest.progress_marks()
            guest.apply(operation, now_s)
            guest.restore(marks)
        try:
            if nics is not None:
                gone = [nic for vif_id, nic in guest.nics.items() if vif_id not in nics]
                if gone:
                    self._unplug(guest, gone)
                guest.nics = nics
            if guest.nics:
                with plugging or nullcontext():
                    self._plug(guest, guest.nics.values(), up=True)
            if self.silent:
                self._await_answer(operation)
            with self.lock:
                if self.down:
                    self._await_answer(operation)
                if volumes is not None:
                    guest.volumes = {volume.device: volume for volume in volumes}
                now_s = self.clock.now()
                guest.apply(operation, now_s)
            self.finish(guest, recorded_as or operation, marks, now_s, details)
        except BaseException:
            guest.nics, guest.volumes = before
            raise

    @failures_recorded("rescue")
    def rescue(self, uuid: str, image: str, password: str | None = None) -> Guest:
        """Boot a guest from a rescue image instead of its own disk.

        :raises InvalidTransition: it is rescued already
        """
        guest = self.guest(uuid, "rescue")
        if guest.rescued:
            raise InvalidTransition(
                f"guest {uuid} runs the rescue image {guest.rescue_image} already: unrescue it first"
            )
        now_s = self.clock.now()
        with self.lock:
            marks = guest.progress_marks()
            guest.apply("rescue", now_s)
            guest.rescue_image, spec = image, guest.spec
            if password is not None:
                guest.spec = replace(spec, admin_password=password)
        try:
            self.finish(guest, "rescue", marks, now_s, {"image": image, "password": password})
        except BaseException:
            guest.rescue_image, guest.spec = None, spec
            raise
        return guest

    @failures_recorded("unrescue")
    def unrescue(self, uuid: str) -> Guest:
        """Boot a rescued guest from its own disk again.

        :raises InvalidTransition: it is not rescued
        """
        guest = self.guest(uuid, "unrescue")
        image = guest.rescue_image
        if image is None:
            raise InvalidTransition(f"guest {uuid} is not rescued: rescue it first")
        now_s = self.clock.now()
        with self.lock:
            marks = guest.progress_marks()
            guest.apply("unrescue", now_s)
            guest.rescue_image = None
        try:
            self.finish(guest, "unrescue", marks, now_s)
        except BaseException:
            guest.rescue_image = image
            raise
        return guest

    def quiesce(self, uuid: str, quiet: bool) -> None:
        """Stop a running guest's writing to its disks, or let it go on.

        :raises InvalidTransition: it does not run, or is that way already
        """
        operation = "quiesce" if quiet else "unquiesce"
        try:
            guest = self.guest(uuid, operation)
            with self.lock:
                if guest.state is not State.RUNNING:
                    raise InvalidTransition(f"guest {uuid} is {guest.state}: only a running guest can {operation}")
                if guest.quiesced is quiet:
                    raise InvalidTransition(f"guest {uuid} {'is already' if quiet else 'is not'} quiesced")
                guest.quiesced = quiet
            self.record(self.clock.now(), uuid, operation)
        except BaseException as error:
            self.record_failure(uuid, operation, error)
            raise

    @failures_recorded("set_password")
    def set_password(self, uuid: str, password: str) -> None:
        """Change the password of a running guest's administrator.

        :raises InvalidTransition: it does not run
        """
        guest = self.guest(uuid, "set_password")
        self._need_agent(guest)
        guest.spec = replace(guest.spec, admin_password=password)
        self.record(self.clock.now(), uuid, "set_password", {"password": password})

    @failures_recorded("inject_file")
    def inject_file(self, uuid: str, path: str, contents: str) -> None:
        """Write a file in a running guest.

        :raises InvalidTransition: it does not run
        """
        guest = self.guest(uuid, "inject_file")
        self._need_agent(guest)
        others = tuple(entry for entry in guest.spec.files if entry[0] != path)
        guest.spec = replace(guest.spec, files=(*others, (path, contents)))
        self.record(self.clock.now(), uuid, "inject_file", {"path": path, "contents": contents})

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
        active_s = guest.active_s(self.clock.now())
        workload, seed, spec = guest.workload, guest.seed, guest.spec
        disks = [
            (disk.device, stats.disk(workload, seed, disk.device, active_s, disk.role == "root"))
            for disk in local_disks(spec)
        ]
        for device in guest.volumes:
            disks.append((device, stats.disk(workload, seed, device, active_s, spec.volume_backed and device == "vda")))
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
        boots = roles.get(name) == "root" or (guest.spec.volume_backed and name == "vda")
        return stats.disk(guest.workload, guest.seed, name, guest.active_s(self.clock.now()), boots)

    def _discard(self, guest: Guest) -> None:
        """Undo a spawn at whatever point it stopped."""
        if guest.plugged and guest.nics:
            try:
                self._unplug(guest)
            except Exception:
                LOG.exception("interfaces of guest %s stay behind on host %s", guest.uuid, self.name)
        with self.lock:
            if self.guests.get(guest.uuid) is guest:
                del self.guests[guest.uuid]
                self.capacity.release(guest.claim, self.clock.now())

    def _stand(self, guest: Guest, now_s: float) -> None:
        guest.apply("pause", now_s)
        self._follow(guest)

    def _follow(self, guest: Guest) -> None:
        """Let the link of the interfaces follow the power state."""
        realizer = self._active_realizer
        if realizer is not None and guest.nics and guest.plugged is not False:
            realizer.set_link(guest.uuid, guest.state is State.RUNNING)

    def finish(
        self,
        guest: Guest,
        operation: str,
        marks: tuple[Any, ...],
        now_s: float,
        details: Mapping[str, Any] = NOTHING,
    ) -> None:
        """Let link and journal follow a power state; put the state back where that fails.

        :param marks: of the guest before its state changed
        """
        try:
            if self.realizer is not None:
                self._follow(guest)
            self.record(now_s, guest.uuid, operation, details)
        except BaseException:
            with self.lock:
                guest.restore(marks)
            raise
