"""What is plugged into the guests of a host while they live: interfaces and volumes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from nova_fakes.exceptions import (
    DeviceInUse,
    DeviceNotFound,
    InsufficientCapacity,
)
from nova_fakes.virt.disks import Volume, device_name
from nova_fakes.virt.equipment import Equipment, pci_item
from nova_fakes.virt.guest import Claim, Guest, State
from nova_fakes.virt.host import Host, failures_recorded
from nova_fakes.virt.nic import Nic, check_addresses

__all__ = ["DeviceHost"]


class DeviceHost(Host):
    """A host whose guests have interfaces and volumes."""

    def vifs(self, uuid: str) -> list[Any]:
        """Return a guest's interfaces as a realizer takes them.

        :raises GuestNotFound: it is not here
        :raises InvalidInput: nova's description of one cannot be used
        """
        return [nic.vif(self.read_vif) for nic in self.guest(uuid).nics.values()]

    @failures_recorded("plug")
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
        self.record(self.clock.now(), uuid, "plug", {"nics": nics})

    @failures_recorded("unplug")
    def unplug(self, uuid: str, nics: Mapping[str, Nic] | None = None) -> None:
        """Remove these interfaces of a guest from the host, or all; the guest keeps them in its definition."""
        guest = self.guests.get(uuid)
        self.check("unplug", guest)
        if guest is not None:
            self._unplug(guest, None if nics is None else list(nics.values()))
            self.record(self.clock.now(), uuid, "unplug", {} if nics is None else {"nics": nics})

    @failures_recorded("attach_interface")
    def attach_nic(self, uuid: str, nic: Nic) -> None:
        """Give a guest another interface while it lives.

        :raises DeviceInUse: it has that one, or one with its MAC address, or another guest has that PCI device
        :raises RealizerError: it could not be made; the guest is as before
        """
        guest = self.guest(uuid, "attach_interface")
        if nic.id in guest.nics:
            raise DeviceInUse(f"guest {uuid} has VIF {nic.id} already")
        check_addresses([*guest.nics.values(), nic])
        address = nic.pci_address if self.inventory.pci else None
        if address is not None:
            self._hold(guest, address)
        try:
            self._plug(guest, [nic], guest.state is State.RUNNING)
        except BaseException:
            if address is not None:
                self._let_go(guest, address)
            raise
        with self.lock:
            guest.nics = {**guest.nics, nic.id: nic}
        self.record(self.clock.now(), uuid, "attach_interface", {"vif_id": nic.id, "nic": nic})

    @failures_recorded("detach_interface")
    def detach_nic(self, uuid: str, vif_id: str) -> None:
        """Take an interface from a guest.

        :raises DeviceNotFound: it has no such interface
        """
        guest = self.guest(uuid, "detach_interface")
        nic = guest.nics.get(vif_id)
        if nic is None:
            raise DeviceNotFound(f"guest {uuid} has no VIF {vif_id}")
        self._unplug(guest, [nic])
        if nic.pci_address is not None:
            self._let_go(guest, nic.pci_address)
        with self.lock:
            guest.nics = {one: other for one, other in guest.nics.items() if one != vif_id}
        self.record(self.clock.now(), uuid, "detach_interface", {"vif_id": vif_id})

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

    def _let_go(self, guest: Guest, address: str) -> None:
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

    @failures_recorded("attach_volume")
    def attach_volume(self, uuid: str, volume: Volume) -> None:
        """Attach a volume.

        :raises DeviceInUse: another volume has that device
        """
        guest = self.guest(uuid, "attach_volume")
        with self.lock:
            guest.attach(volume)
        self._record_volume(guest, "attach_volume", volume)

    @failures_recorded("detach_volume")
    def detach_volume(self, uuid: str, device: str) -> Volume:
        """Detach the volume at that device.

        :raises DeviceNotFound: there is none
        """
        guest = self.guest(uuid, "detach_volume")
        volume = self._volume_at(guest, device)
        with self.lock:
            guest.volumes.pop(volume.device, None)
        self._record_volume(guest, "detach_volume", volume)
        return volume

    @failures_recorded("swap_volume")
    def swap_volume(self, uuid: str, volume: Volume) -> Volume:
        """Put a volume in the place of the one at the same device, which is returned.

        :raises DeviceNotFound: there is none to take the place of
        """
        guest = self.guest(uuid, "swap_volume")
        old = self._volume_at(guest, volume.device)
        with self.lock:
            guest.volumes[volume.device] = volume
        self._record_volume(guest, "swap_volume", volume)
        return old

    @failures_recorded("extend_volume")
    def extend_volume(self, uuid: str, volume_id: str, size_bytes: int) -> None:
        """Let a guest see that its volume has grown.

        :raises DeviceNotFound: it has no such volume
        :raises InvalidInput: that would shrink it
        """
        guest = self.guest(uuid, "extend_volume")
        for volume in guest.volumes.values():
            if volume.volume_id == volume_id:
                with self.lock:
                    volume = guest.volumes[volume.device] = volume.extended(size_bytes)
                self._record_volume(guest, "extend_volume", volume)
                return
        raise DeviceNotFound(f"guest {uuid} has no volume {volume_id}")

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

    def take_nics(self, uuid: str, nics: Collection[Nic], source: Host) -> None:
        """Take a guest's interfaces over from the host that it leaves."""
        realizer = self._active_realizer
        if realizer is not None and nics:
            realizer.migrate(uuid, [nic.vif(self.read_vif) for nic in nics], source.realizer)

    def forget(self, guest: Guest, now_s: float) -> None:
        """Drop a guest that has moved away; the caller holds the lock."""
        del self.guests[guest.uuid]
        self.capacity.release(guest.claim, now_s)
        self._consoles.close(guest.uuid)

    def depart(self, guest: Guest, now_s: float) -> None:
        """Let go of a guest that goes on in another process."""
        if guest.nics:
            self._unplug(guest)
        with self.lock:
            self.forget(guest, now_s)

    def _plug(self, guest: Guest, nics: Iterable[Nic], up: bool) -> None:
        realizer = self._active_realizer
        nics = list(nics)
        if realizer is not None:
            realizer.plug(guest.uuid, [nic.vif(self.read_vif) for nic in nics], up=up)
        guest.plugged = True
        self.report_vifs("vif_plugged", guest.uuid, nics)

    def unwire(self, guest: Guest) -> None:
        """Remove all interfaces of a guest from the host without a fault rule's or the journal's knowledge of why."""
        self._unplug(guest)

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

    def _volume_at(self, guest: Guest, device: str) -> Volume:
        volume = guest.volumes.get(device_name(device))
        if volume is None:
            raise DeviceNotFound(f"guest {guest.uuid} has no volume at {device}")
        return volume

    def _record_volume(self, guest: Guest, operation: str, volume: Volume) -> None:
        details = {"device": volume.device, "volume_id": volume.volume_id, "volume": volume}
        self.record(self.clock.now(), guest.uuid, operation, details)
