"""One host: its guests, what they claim, and everything that can be done to them.

The truth about a host is here; nova's driver, the command line and the tests look at it through their own adapters.
Operations are named as fault rules and journal events name them: ``spawn`` (with the steps ``spawn.plug`` and
``spawn.start``), ``destroy``, ``power_on``, ``pause`` and so on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
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
from nova_fakes.virt.guest import Guest, GuestSpec, State
from nova_fakes.virt.host import Arrival
from nova_fakes.virt.nic import Nic
from nova_fakes.virt.snapshot import snapshot_bytes
from nova_fakes.virt.workload import DEFAULT

__all__ = ["Arrival", "Hypervisor", "Statistics"]

LOG = logging.getLogger(__name__)


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
        plugging: AbstractContextManager[Any] | None = None,
        operation: str = "spawn",
    ) -> Guest:
        """Make a guest. Whatever fails, nothing is left behind.

        :param nics: its interfaces by VIF id
        :param plugging: entered around the plugging; its end waits until the ports are up, the guest standing paused
        :raises GuestExists: it is here already
        :raises InsufficientCapacity: the host refuses the claim
        :raises InvalidInput: nobody knows its workload
        :raises RealizerError: its interfaces could not be made
        """
        checked = self.faults.active
        if checked or self.silent:
            self.check(operation, spec)
        spec.check()
        uuid = spec.uuid
        claim = spec.claim()
        workload = DEFAULT if spec.workload is None else self.workload(spec.workload)
        now_s = self.clock.now()
        with self.lock:
            if uuid in self.guests:
                raise GuestExists(f"guest {uuid} is already on host {self.name}: destroy it first")
            self.capacity.claim(self.name, claim, now_s)
            guest = Guest(spec, claim, now_s, crc32(uuid.encode(), self.seed), workload)
            self.guests[uuid] = guest
        try:
            for volume in volumes:
                guest.attach(volume)
            if checked or self.silent:
                self.check(f"{operation}.plug", spec)
            if nics:
                guest.nics = nics
                if plugging is not None:
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
            if spec.image is not None:
                self.cached_images[spec.image] = now_s
            if self.left_disks:
                with self.lock:
                    self._drop_disks(uuid)
            self.save(guest)
        except BaseException as error:
            self._discard(guest)
            self.journal.record(self.clock.now(), self.name, uuid, operation, type(error).__name__)
            raise
        self.journal.record(now_s, self.name, uuid, operation)
        return guest

    def destroy(self, uuid: str, *, keep_disks: bool = False) -> bool:
        """Take a guest away with its interfaces and, unless they are to be kept, its disks.

        :returns: whether it was here
        :raises RealizerError: its interfaces could not be removed; the guest is still here
        """
        if self.silent or self.faults.active:
            self.check("destroy", self.guests.get(uuid))
        guest = self.guests.get(uuid)
        if guest is None:
            return False
        migration = self.migrations.get(uuid)
        if migration is not None:
            migration.abort()
        if guest.nics:
            self._unplug(guest)
        now_s = self.clock.now()
        with self.lock:
            if self.guests.get(uuid) is not guest:
                return False
            del self.guests[uuid]
            self.capacity.release(guest.claim, now_s)
            self._consoles.close(uuid)
            if keep_disks:
                self._keep_disks(uuid, guest.claim.disk_gb, now_s)
            if self.journal.persistent:
                self.journal.forget_guest(self.name, uuid)
        self.journal.record(now_s, self.name, uuid, "destroy")
        return True

    def change(self, uuid: str, operation: str) -> Guest:
        """Change a guest's power state: pause, unpause, suspend, power_off, soft_reboot, crash.

        Its interfaces answer while it runs and keep silent while it does not.

        :raises GuestNotFound: it is not here
        :raises InvalidTransition: its state does not allow it; nothing has changed
        """
        guest = self.guest(uuid, operation)
        now_s = self.clock.now()
        with self.lock:
            marks = guest.progress_marks()
            guest.apply(operation, now_s)
        self._finish(guest, operation, marks, now_s)
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
        guest = self.guest(uuid, operation)
        now_s = self.clock.now()
        with self.lock:
            marks = guest.progress_marks()
            guest.apply(operation, now_s)
            guest.restore(marks)
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
        self._finish(guest, operation, marks, now_s)
        return guest

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
            guest.rescue_image = image
        try:
            self._finish(guest, "rescue", marks, now_s)
        except BaseException:
            guest.rescue_image = None
            raise
        if password is not None:
            guest.spec.admin_password = password
        return guest

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
            self._finish(guest, "unrescue", marks, now_s)
        except BaseException:
            guest.rescue_image = image
            raise
        return guest

    def quiesce(self, uuid: str, quiet: bool) -> None:
        """Stop a running guest's writing to its disks, or let it go on.

        :raises InvalidTransition: it does not run, or is that way already
        """
        operation = "quiesce" if quiet else "unquiesce"
        guest = self.guest(uuid, operation)
        with self.lock:
            if guest.state is not State.RUNNING:
                raise InvalidTransition(f"guest {uuid} is {guest.state}: only a running guest can {operation}")
            if guest.quiesced is quiet:
                raise InvalidTransition(f"guest {uuid} {'is already' if quiet else 'is not'} quiesced")
            guest.quiesced = quiet
        self.journal.record(self.clock.now(), self.name, uuid, operation)

    def set_password(self, uuid: str, password: str) -> None:
        """Change the password of a running guest's administrator.

        :raises InvalidTransition: it does not run
        """
        guest = self.guest(uuid, "set_password")
        if guest.state is not State.RUNNING:
            raise InvalidTransition(f"guest {uuid} is {guest.state}: its agent answers only while it runs")
        guest.spec.admin_password = password
        self.save(guest)
        self.journal.record(self.clock.now(), self.name, uuid, "set_password")

    def snapshot(self, uuid: str) -> bytes:
        """Return the contents of a guest's root disk as they are now."""
        guest = self.guest(uuid, "snapshot")
        now_s = self.clock.now()
        contents = snapshot_bytes(guest, self.name, now_s)
        self.journal.record(now_s, self.name, uuid, "snapshot", details={"size_bytes": len(contents)})
        return contents

    def console(self, uuid: str, kind: str) -> consoles.Console:
        """Return where a console of the guest listens.

        :raises InvalidInput: there is no such kind of console
        """
        self.guest(uuid, "console")
        with self.lock:
            return self._consoles.open(kind, uuid)

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
                self.journal.forget_guest(self.name, guest.uuid)

    def _finish(self, guest: Guest, operation: str, marks: tuple[Any, ...], now_s: float) -> None:
        """Let link and journal follow a power state; put the state back where that fails."""
        realizer = self._active_realizer
        try:
            if realizer is not None and guest.nics and guest.plugged is not False:
                realizer.set_link(guest.uuid, guest.state is State.RUNNING)
            self.save(guest)
        except BaseException as error:
            with self.lock:
                guest.restore(marks)
            self.journal.record(now_s, self.name, guest.uuid, operation, type(error).__name__)
            raise
        self.journal.record(now_s, self.name, guest.uuid, operation)
