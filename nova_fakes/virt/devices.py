"""What is plugged into the guests of a host while they live: interfaces and volumes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from nova_fakes.exceptions import (
    DeviceInUse,
    DeviceNotFound,
    InsufficientCapacity,
)
from nova_fakes.virt.disks import Volume, device_name
from nova_fakes.virt.equipment import Equipment, pci_item
from nova_fakes.virt.event import NOTHING, Event
from nova_fakes.virt.guest import Claim, Guest, State
from nova_fakes.virt.guest_disks import GuestDisk, copy_volume, open_device
from nova_fakes.virt.host import Host
from nova_fakes.virt.journal import Write
from nova_fakes.virt.nic import Nic, Wiring, check_addresses
from nova_fakes.virt.records import failure_recorded
from nova_fakes.virt.undo import UndoingHost

__all__ = ["DeviceHost"]


class DeviceHost(UndoingHost):
    """A host whose guests have interfaces and volumes."""

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
        with self.operation(uuid, "plug", {"nics": nics}) as operation:
            guest = operation.guest
            guest.nics = {**guest.nics, **nics}
            self._plug(guest, nics.values(), guest.state is State.RUNNING)

    def unplug(self, uuid: str, nics: Mapping[str, Nic] | None = None) -> None:
        """Remove these interfaces of a guest from the host, or all; the guest keeps them in its definition."""
        if uuid not in self.guests:
            with failure_recorded(self, uuid, "unplug"):
                self.check("unplug")
            return
        with self.operation(uuid, "unplug", NOTHING if nics is None else {"nics": nics}) as operation:
            self._unplug(operation.guest, None if nics is None else nics.values())

    def exchange_nics(self, guest: Guest, nics: dict[str, Nic]) -> None:
        """Let a guest have these interfaces alone, in an operation of the caller's; those to come are not made yet."""
        self._unplug(guest, [nic for vif_id, nic in guest.nics.items() if vif_id not in nics])
        guest.nics = nics

    def attach_nic(self, uuid: str, nic: Nic) -> None:
        """Give a guest another interface while it lives.

        :raises DeviceInUse: it has that one, or one with its MAC address, or another guest has that PCI device
        :raises RealizerError: it could not be made; the guest is as before
        """
        with self.operation(uuid, "attach_interface", {"vif_id": nic.id, "nic": nic}) as operation:
            guest = operation.guest
            if nic.id in guest.nics:
                raise DeviceInUse(f"guest {uuid} has VIF {nic.id} already")
            check_addresses([*guest.nics.values(), nic])
            if nic.pci_address is not None and self.inventory.pci:
                self._hold(guest, nic.pci_address)
            guest.nics = {**guest.nics, nic.id: nic}
            self._plug(guest, [nic], guest.state is State.RUNNING)

    def detach_nic(self, uuid: str, vif_id: str) -> None:
        """Take an interface from a guest.

        :raises DeviceNotFound: it has no such interface
        :raises RealizerError: it could not be removed; the guest is as before
        """
        with self.operation(uuid, "detach_interface", {"vif_id": vif_id}) as operation:
            guest = operation.guest
            nic = guest.nics.get(vif_id)
            if nic is None:
                raise DeviceNotFound(f"guest {uuid} has no VIF {vif_id}")
            self._unplug(guest, [nic])
            if nic.pci_address is not None:
                self._give_up(guest, nic.pci_address)
            guest.nics = {one: other for one, other in guest.nics.items() if one != vif_id}

    def _hold(self, guest: Guest, address: str) -> None:
        """Claim a PCI device for a guest that lives."""
        spec = guest.spec
        equipment = spec.equipment or Equipment()
        if address in equipment.pci:
            return
        with self.lock:
            item = Claim(0, 0, 0, (pci_item(address),), node=guest.claim.node)
            try:
                self.capacity.claim(self.name, item, self.clock.now())
            except InsufficientCapacity as error:
                raise DeviceInUse(str(error)) from error
            guest.claim = guest.claim._replace(items=(*guest.claim.items, *item.items))
            guest.spec = replace(spec, equipment=replace(equipment, pci=(*equipment.pci, address)))

    def _give_up(self, guest: Guest, address: str) -> None:
        """Give back a guest's PCI device; nothing to give is no error."""
        equipment = guest.spec.equipment
        if equipment is None or address not in equipment.pci:
            return
        with self.lock:
            item = Claim(0, 0, 0, (pci_item(address),), node=guest.claim.node)
            self.capacity.release(item, self.clock.now())
            guest.claim = guest.claim._replace(items=tuple(one for one in guest.claim.items if one not in item.items))
            held = tuple(one for one in equipment.pci if one != address)
            guest.spec = replace(guest.spec, equipment=replace(equipment, pci=held))

    def attach_volume(self, uuid: str, volume: Volume) -> None:
        """Attach a volume.

        :raises DeviceInUse: another volume has that device, or the guest has the volume as another
        """
        with self.operation(uuid, "attach_volume", _details(volume)) as operation:
            operation.guest.attach(volume, self.clock.now())

    def detach_volume(self, uuid: str, device: str) -> Volume:
        """Detach the volume at that device.

        :raises DeviceNotFound: there is none
        :raises DeviceInUse: the guest has booted from it, and is not shut down
        """
        with self.operation(uuid, "detach_volume") as operation:
            guest = operation.guest
            volume = self._volume_at(guest, device)
            if guest.boots_from(volume.device) and guest.state not in (State.SHUTDOWN, State.CRASHED):
                raise DeviceInUse(f"guest {uuid} is {guest.state} and runs from {volume.device}: shut it down first")
            operation.details = _details(volume)
            guest.volumes = {name: other for name, other in guest.volumes.items() if name != volume.device}
        return volume

    def swap_volume(self, uuid: str, volume: Volume) -> Volume:
        """Put a volume in the place of the one at the same device, which is returned; its bytes are copied before.

        :raises DeviceNotFound: there is none to take the place of
        :raises DeviceInUse: the guest has the volume as another device
        """
        with self.operation(uuid, "swap_volume", _details(volume)) as operation:
            guest = operation.guest
            old = self._volume_at(guest, volume.device)
            guest.put(volume)
            # The guest waits meanwhile: it does not write to what is being copied.
            for _copied in copy_volume(self.volume_store, old, volume):
                self.check("swap_volume.copy", guest)
        return old

    def guest_disk(self, uuid: str, device: str) -> GuestDisk:
        """Return a guest's volume as the guest sees it.

        :raises GuestNotFound: it is not here
        :raises DeviceNotFound: it has no volume there, or one without bytes
        """
        guest = self.guest(uuid)
        volume = self._volume_at(guest, device)
        open_device(self.volume_store, guest, volume)
        return GuestDisk(self, guest, volume.device)

    def extend_volume(self, uuid: str, volume_id: str, size_bytes: int) -> None:
        """Let a guest see that its volume has grown.

        :raises DeviceNotFound: it has no such volume
        :raises InvalidInput: that would shrink it
        """
        with self.operation(uuid, "extend_volume") as operation:
            guest = operation.guest
            volume = next((one for one in guest.volumes.values() if one.volume_id == volume_id), None)
            if volume is None:
                raise DeviceNotFound(f"guest {uuid} has no volume {volume_id}")
            grown = volume.extended(size_bytes)
            operation.details = _details(grown)
            guest.volumes = {**guest.volumes, volume.device: grown}

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

    def take_nics(self, uuid: str, nics: Collection[Nic], source: Host, up: bool) -> None:
        """Take a guest's interfaces over from the host that it leaves.

        :param up: whether they have link where they have to be made anew
        :raises RealizerError: they are where they were
        """
        if not nics:
            return
        realizer, other = self._active_realizer, source._active_realizer
        vifs = [nic.vif(self.read_vif) for nic in nics]
        if realizer is None:
            if other is not None:
                other.unplug(uuid)
        elif other is None:
            realizer.plug(uuid, vifs, up=up)
        else:
            realizer.migrate(uuid, vifs, other)
            if not up:
                self._take_link(uuid, vifs, realizer, other)

    @staticmethod
    def _take_link(uuid: str, vifs: list[Any], realizer: Wiring, other: Wiring) -> None:
        """Take link from interfaces that have just moved, and came up where they were made anew."""
        try:
            realizer.set_link(uuid, False)
        except BaseException:
            other.migrate(uuid, vifs, realizer)
            raise

    def drop_nics(self, uuid: str) -> None:
        """Remove the interfaces of a guest that has not come here after all."""
        realizer = self._active_realizer
        if realizer is not None:
            realizer.unplug(uuid)

    def link_nics(self, uuid: str, up: bool) -> None:
        """Give the interfaces of a guest link that is on its way, or take it from them."""
        realizer = self._active_realizer
        if realizer is not None:
            realizer.set_link(uuid, up)

    def take_in(self, guest: Guest, now_s: float) -> None:
        """Take a guest that has moved here, with its claim, its interfaces and its disks; the caller holds the lock."""
        self.guests[guest.uuid] = guest
        guest.wired = frozenset(guest.nics)
        self._release_disks(guest.uuid, now_s)

    def forget(self, uuid: str, claim: Claim, now_s: float) -> None:
        """Drop a guest and what it claimed; the caller holds the lock."""
        del self.guests[uuid]
        self.capacity.release(claim, now_s)
        self._consoles.close(uuid)

    def let_go(
        self,
        guest: Guest,
        operation: str,
        details: Mapping[str, Any] = NOTHING,
        *,
        left: Claim | None = None,
        moved: bool = False,
    ) -> Event:
        """Drop a guest and its interfaces, here and in the journal; the caller holds the guest's lock.

        :param operation: of which this is the end
        :param left: what the disks take up that it leaves here; None: it leaves none
        :param moved: it lives on elsewhere
        :returns: the event, of which the observers do not know yet
        :raises HostDown: the host has crashed meanwhile
        :raises RealizerError: its interfaces could not be removed; the guest is still here
        :raises JournalError: the journal cannot be written; the guest is still here
        """
        uuid, wired = guest.spec.uuid, guest.wired
        writes: list[Write] = []
        try:
            if wired:
                self._unplug(guest, moved=moved)
            with self.lock:
                if self.down or self.guests.get(uuid) is not guest:
                    self.require_up(operation)
                    self.require_here(guest)
                if self.journal.persistent:
                    writes.append(self.row(uuid, "guest", None))
                    if left is not None:
                        writes.append(self.row(uuid, "disks", {"disk_gb": left.disk_gb}))
                now_s = self.clock.now()
                event = self.note(now_s, uuid, operation, details, writes)
                self.forget(uuid, guest.claim, now_s)
                if left is not None:
                    self._leave_disks(uuid, left, now_s)
        except BaseException:
            if not self.down:
                self.rewire(guest, wired, guest.nics)
            raise
        return event

    def _volume_at(self, guest: Guest, device: str) -> Volume:
        volume = guest.volumes.get(device_name(device))
        if volume is None:
            raise DeviceNotFound(f"guest {guest.uuid} has no volume at {device}")
        return volume


def _details(volume: Volume) -> dict[str, Any]:
    return {"device": volume.device, "volume_id": volume.volume_id, "volume": volume}
