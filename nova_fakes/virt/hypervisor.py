"""One host: its guests, what they claim, and everything that can be done to them.

The truth about a host is here; nova's driver, the command line and the tests look at it through their own adapters.
Operations are named as fault rules and journal events name them: ``spawn`` (with the steps ``spawn.plug`` and
``spawn.start``), ``destroy``, ``power_on``, ``pause`` and so on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import NAMESPACE_DNS, uuid5
from zlib import crc32

from nova_fakes.clock import Clock, SystemClock
from nova_fakes.exceptions import (
    DeviceInUse,
    DeviceNotFound,
    GuestExists,
    GuestNotFound,
    HostDown,
    InvalidInput,
    InvalidTransition,
)
from nova_fakes.faults import Faults
from nova_fakes.virt import consoles, stats
from nova_fakes.virt.disks import Volume, device_name, local_disks
from nova_fakes.virt.guest import Claim, Guest, GuestSpec, State
from nova_fakes.virt.inventory import Capacity, Inventory
from nova_fakes.virt.journal import Journal
from nova_fakes.virt.migration import LiveMigration
from nova_fakes.virt.nic import Nic, VIFReader, Wiring, check_addresses
from nova_fakes.virt.snapshot import snapshot_bytes

if TYPE_CHECKING:
    from nova_fakes.virt.fleet import Fleet

__all__ = ["Arrival", "Hypervisor", "Statistics"]

LOG = logging.getLogger(__name__)

#: Realizers that make nothing. The model does not read nova's network descriptions for them before somebody asks.
_PASSIVE = frozenset({"null"})


class Arrival(NamedTuple):
    """What a host keeps ready for a guest that is being live-migrated to it."""

    spec: GuestSpec
    claim: Claim
    nics: dict[str, Nic]
    volumes: tuple[Volume, ...]


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


class Hypervisor:
    """One host of a fleet; alone, until :meth:`Fleet.add` takes it in.

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
        return f"<Hypervisor {self.name}: {len(self.guests)} guests{', down' if self.down else ''}>"

    # The host

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
                self.capacity.restore(guest.claim)
        for uuid, record in self.journal.guests(self.name, "disks").items():
            claim = self.left_disks[uuid] = Claim(0, 0, record["disk_gb"])
            self.capacity.restore(claim)

    def crash(self) -> None:
        """Lose power: every guest dies, nothing answers until :meth:`recover`."""
        with self.lock:
            if self.down:
                return
            self.down = True
            now_s = self.clock.now()
            guests = list(self.guests.values())
            for guest in guests:
                guest.apply("power_loss", now_s)
                self.save(guest)
            self.arrivals_lost()
            for migration in self.migrations.values():
                migration.abort()
        for guest in guests:
            try:
                # A dead host's agent reports nothing: no vif_unplugged here.
                if guest.plugged is not False and guest.nics and self._active_realizer is not None:
                    self._active_realizer.unplug(guest.uuid)
            except Exception:
                LOG.exception("interfaces of guest %s stay behind on crashed host %s", guest.uuid, self.name)
            guest.plugged = False
        self.journal.record(now_s, self.name, None, "host_crash", details={"guests": len(guests)})

    def arrivals_lost(self) -> None:
        """Forget every guest that was on its way here."""
        for arrival in list(self.arrivals.values()):
            self.capacity.release(arrival.claim, self.clock.now())
        self.arrivals.clear()

    def recover(self) -> None:
        """Come back after a crash: disks and definitions are there, every guest is shut down."""
        with self.lock:
            if not self.down:
                return
            self.down = False
            self.booted_at_s = self.clock.now()
            self.journal.save_host(self.name, {"node_uuid": self.node_uuid, "booted_at_s": self.booted_at_s})
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
        if self.down:
            raise HostDown(f"host {self.name} has crashed and does nothing ({operation}): recover it first")
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

    # Life and death

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
        :raises RealizerError: its interfaces could not be made
        """
        checked = self.faults.active
        if checked or self.down:
            self.check(operation, spec)
        spec.check()
        uuid = spec.uuid
        claim = spec.claim()
        now_s = self.clock.now()
        with self.lock:
            if uuid in self.guests:
                raise GuestExists(f"guest {uuid} is already on host {self.name}: destroy it first")
            self.capacity.claim(self.name, claim, now_s)
            guest = Guest(spec, claim, now_s, crc32(uuid.encode(), self.seed))
            self.guests[uuid] = guest
        try:
            for volume in volumes:
                guest.attach(volume)
            if checked:
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
            if checked or self.down:
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
        guest = self.guests.get(uuid)
        if self.down or self.faults.active:
            self.check("destroy", guest)
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

    def drop_disks(self, uuid: str) -> bool:
        """Delete the disks that a destroyed guest left; tell whether there were any."""
        self.check("drop_disks")
        with self.lock:
            return self._drop_disks(uuid)

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
        with self.lock:
            if self.down:
                self.check(operation, guest)
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

    # Interfaces

    def vifs(self, uuid: str) -> list[Any]:
        """Return a guest's interfaces as a realizer takes them.

        :raises GuestNotFound: it is not here
        :raises InvalidInput: nova's description of one cannot be used
        """
        return [nic.vif(self.read_vif) for nic in self.guest(uuid).nics.values()]

    def plug(self, uuid: str, nics: dict[str, Nic]) -> None:
        """Make whatever of these interfaces is missing, with link if the guest runs.

        :raises GuestNotFound: the guest is not here
        :raises RealizerError: it failed; what was made is gone again
        """
        guest = self.guest(uuid, "plug")
        before = guest.nics
        guest.nics = {**before, **nics}
        try:
            self._plug(guest, nics.values(), guest.state is State.RUNNING)
        except BaseException:
            guest.nics = before
            raise
        self.save(guest)

    def unplug(self, uuid: str, nics: Mapping[str, Nic] | None = None) -> None:
        """Remove these interfaces of a guest from the host, or all; the guest keeps them in its definition."""
        guest = self.guests.get(uuid)
        self.check("unplug", guest)
        if guest is not None:
            self._unplug(guest, None if nics is None else list(nics.values()))

    def attach_nic(self, uuid: str, nic: Nic) -> None:
        """Give a guest another interface while it lives.

        :raises DeviceInUse: it has that one, or one with its MAC address
        :raises RealizerError: it could not be made; the guest is as before
        """
        guest = self.guest(uuid, "attach_interface")
        if nic.id in guest.nics:
            raise DeviceInUse(f"guest {uuid} has VIF {nic.id} already")
        check_addresses([*guest.nics.values(), nic])
        self._plug(guest, [nic], guest.state is State.RUNNING)
        with self.lock:
            guest.nics = {**guest.nics, nic.id: nic}
        self.save(guest)
        self.journal.record(self.clock.now(), self.name, uuid, "attach_interface", details={"vif_id": nic.id})

    def detach_nic(self, uuid: str, vif_id: str) -> None:
        """Take an interface from a guest.

        :raises DeviceNotFound: it has no such interface
        """
        guest = self.guest(uuid, "detach_interface")
        nic = guest.nics.get(vif_id)
        if nic is None:
            raise DeviceNotFound(f"guest {uuid} has no VIF {vif_id}")
        self._unplug(guest, [nic])
        with self.lock:
            guest.nics = {one: other for one, other in guest.nics.items() if one != vif_id}
        self.save(guest)
        self.journal.record(self.clock.now(), self.name, uuid, "detach_interface", details={"vif_id": vif_id})

    # Volumes and disks

    def attach_volume(self, uuid: str, volume: Volume) -> None:
        """Attach a volume.

        :raises DeviceInUse: another volume has that device
        """
        guest = self.guest(uuid, "attach_volume")
        with self.lock:
            guest.attach(volume)
        self.save(guest)
        self._record_volume(guest, "attach_volume", volume)

    def detach_volume(self, uuid: str, device: str) -> Volume:
        """Detach the volume at that device.

        :raises DeviceNotFound: there is none
        """
        guest = self.guest(uuid, "detach_volume")
        volume = self._volume_at(guest, device)
        with self.lock:
            guest.volumes.pop(volume.device, None)
        self.save(guest)
        self._record_volume(guest, "detach_volume", volume)
        return volume

    def swap_volume(self, uuid: str, volume: Volume) -> Volume:
        """Put a volume in the place of the one at the same device, which is returned.

        :raises DeviceNotFound: there is none to take the place of
        """
        guest = self.guest(uuid, "swap_volume")
        old = self._volume_at(guest, volume.device)
        with self.lock:
            guest.volumes[volume.device] = volume
        self.save(guest)
        self._record_volume(guest, "swap_volume", volume)
        return old

    def extend_volume(self, uuid: str, volume_id: str, size_bytes: int) -> None:
        """Let a guest see that its volume has grown.

        :raises DeviceNotFound: it has no such volume
        :raises InvalidInput: that would shrink it
        """
        guest = self.guest(uuid, "extend_volume")
        for volume in guest.volumes.values():
            if volume.volume_id == volume_id:
                volume.extend(size_bytes)
                self.save(guest)
                self._record_volume(guest, "extend_volume", volume)
                return
        raise DeviceNotFound(f"guest {uuid} has no volume {volume_id}")

    def snapshot(self, uuid: str) -> bytes:
        """Return the contents of a guest's root disk as they are now."""
        guest = self.guest(uuid, "snapshot")
        now_s = self.clock.now()
        contents = snapshot_bytes(guest, self.name, now_s)
        self.journal.record(now_s, self.name, uuid, "snapshot", details={"size_bytes": len(contents)})
        return contents

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

    # What a guest shows

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
        seed, spec = guest.seed, guest.spec
        disks = [
            (disk.device, stats.disk(seed, disk.device, active_s, disk.role == "root")) for disk in local_disks(spec)
        ]
        for device in guest.volumes:
            disks.append((device, stats.disk(seed, device, active_s, spec.volume_backed and device == "vda")))
        nics: list[tuple[Nic, Any]] = []
        if guest.nics:
            realizer = self._active_realizer
            real = realizer.counters(uuid) if realizer is not None else {}
            for vif_id, nic in guest.nics.items():
                nics.append((nic, real[vif_id] if vif_id in real else stats.nic(seed, vif_id, active_s)))
        cpus = [stats.cpu_time_ns(seed, vcpu, active_s) for vcpu in range(spec.vcpus)]
        return Statistics(guest, active_s, cpus, stats.memory_used_mb(seed, spec.memory_mb, active_s), disks, nics)

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
        return stats.disk(guest.seed, name, guest.active_s(self.clock.now()), boots)

    # For the fleet

    def prepare_nics(self, uuid: str, nics: Collection[Nic]) -> None:
        """Prepare the interfaces of a guest that is on its way here."""
        realizer = self._active_realizer
        if realizer is not None and nics:
            realizer.prepare_migration(uuid, [nic.vif(self.read_vif) for nic in nics])

    def unprepare_nics(self, uuid: str, nics: Collection[Nic]) -> None:
        """Undo :meth:`prepare_nics`."""
        realizer = self._active_realizer
        if realizer is not None and nics:
            realizer.abort_migration(uuid, [nic.vif(self.read_vif) for nic in nics])

    def take_nics(self, uuid: str, nics: Collection[Nic], source: Hypervisor) -> None:
        """Take a guest's interfaces over from the host that it leaves."""
        realizer = self._active_realizer
        if realizer is not None and nics:
            realizer.migrate(uuid, [nic.vif(self.read_vif) for nic in nics], source.realizer)

    def forget(self, guest: Guest) -> None:
        """Drop a guest that has moved away; the caller holds the lock."""
        del self.guests[guest.uuid]
        self.capacity.release(guest.claim, self.clock.now())
        self._consoles.close(guest.uuid)

    def depart(self, guest: Guest) -> None:
        """Let go of a guest that goes on in another process."""
        if guest.nics:
            self._unplug(guest)
        with self.lock:
            self.forget(guest)
            self.journal.forget_guest(self.name, guest.uuid)

    # Parts of the above

    @property
    def _active_realizer(self) -> Wiring | None:
        realizer = self.realizer
        return None if realizer is None or realizer.name in _PASSIVE else realizer

    def _plug(self, guest: Guest, nics: Iterable[Nic], up: bool) -> None:
        realizer = self._active_realizer
        nics = list(nics)
        if realizer is not None:
            realizer.plug(guest.uuid, [nic.vif(self.read_vif) for nic in nics], up=up)
        guest.plugged = True
        self.report_vifs("vif_plugged", guest.uuid, nics)

    def _unplug(self, guest: Guest, nics: list[Nic] | None = None) -> None:
        """Remove interfaces that this host has made, or may have made before a restart."""
        if guest.plugged is False:
            return
        realizer = self._active_realizer
        if realizer is not None:
            realizer.unplug(guest.uuid, None if nics is None else [nic.vif(self.read_vif) for nic in nics])
        if nics is None:
            guest.plugged = False
        self.report_vifs("vif_unplugged", guest.uuid, guest.nics.values() if nics is None else nics)

    def report_vifs(self, operation: str, uuid: str, nics: Iterable[Nic], **details: Any) -> None:
        """Tell the observers, the layer-2 agent among them, of interfaces: ``vif_plugged`` or ``vif_unplugged``."""
        now_s = self.clock.now()
        for nic in nics:
            self.journal.record(now_s, self.name, uuid, operation, details={"vif_id": nic.id, **details})

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

    def save(self, guest: Guest) -> None:
        """Let the journal keep the guest as it is, where it keeps anything."""
        if self.journal.persistent:
            with self.lock:
                if self.guests.get(guest.uuid) is guest:
                    self.journal.save_guest(self.name, guest.uuid, guest.to_record())

    def _keep_disks(self, uuid: str, disk_gb: int, now_s: float) -> None:
        left = self.left_disks[uuid] = Claim(0, 0, disk_gb)
        self.capacity.claim(self.name, left, now_s)
        self.journal.save_guest(self.name, uuid, {"disk_gb": disk_gb}, "disks")

    def _drop_disks(self, uuid: str) -> bool:
        left = self.left_disks.pop(uuid, None)
        if left is None:
            return False
        self.capacity.release(left, self.clock.now())
        self.journal.forget_guest(self.name, uuid, "disks")
        return True

    def _volume_at(self, guest: Guest, device: str) -> Volume:
        volume = guest.volumes.get(device_name(device))
        if volume is None:
            raise DeviceNotFound(f"guest {guest.uuid} has no volume at {device}")
        return volume

    def _record_volume(self, guest: Guest, operation: str, volume: Volume) -> None:
        details = {"device": volume.device, "volume_id": volume.volume_id}
        self.journal.record(self.clock.now(), self.name, guest.uuid, operation, details=details)
