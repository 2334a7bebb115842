"""What is plugged into the guests of a host while they live: interfaces and volumes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from nova_fakes.exceptions import (
    DeviceInUse,
    DeviceNotFound,
)
from nova_fakes.virt.disks import Volume, device_name
from nova_fakes.virt.guest import Claim, Guest, State
from nova_fakes.virt.host import Host
from nova_fakes.virt.journal import Change
from nova_fakes.virt.nic import Nic, check_addresses
from nova_fakes.virt.undo import Operation, UndoingHost

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
        guest = self.guest(uuid, "plug")
        with Operation(self, guest, "plug", event=False):
            guest.nics = {**guest.nics, **nics}
            self._plug(guest, nics.values(), guest.state is State.RUNNING)

    def unplug(self, uuid: str, nics: Mapping[str, Nic] | None = None) -> None:
        """Remove these interfaces of a guest from the host, or all; the guest keeps them in its definition."""
        guest = self.guests.get(uuid)
        self.check("unplug", guest)
        if guest is not None:
            with guest.lock:
                if self.guests.get(uuid) is guest:
                    self._unplug(guest, None if nics is None else nics.values())

    def exchange_nics(self, guest: Guest, nics: dict[str, Nic]) -> None:
        """Let a guest have these interfaces alone, in an operation of the caller's; those to come are not made yet."""
        self._unplug(guest, [nic for vif_id, nic in guest.nics.items() if vif_id not in nics])
        guest.nics = nics

    def attach_nic(self, uuid: str, nic: Nic) -> None:
        """Give a guest another interface while it lives.

        :raises DeviceInUse: it has that one, or one with its MAC address
        :raises RealizerError: it could not be made; the guest is as before
        """
        guest = self.guest(uuid, "attach_interface")
        with self.operation(guest, "attach_interface") as operation:
            operation.details["vif_id"] = nic.id
            if nic.id in guest.nics:
                raise DeviceInUse(f"guest {uuid} has VIF {nic.id} already")
            check_addresses([*guest.nics.values(), nic])
            guest.nics = {**guest.nics, nic.id: nic}
            self._plug(guest, [nic], guest.state is State.RUNNING)

    def detach_nic(self, uuid: str, vif_id: str) -> None:
        """Take an interface from a guest.

        :raises DeviceNotFound: it has no such interface
        :raises RealizerError: it could not be removed; the guest is as before
        """
        guest = self.guest(uuid, "detach_interface")
        with self.operation(guest, "detach_interface") as operation:
            operation.details["vif_id"] = vif_id
            nic = guest.nics.get(vif_id)
            if nic is None:
                raise DeviceNotFound(f"guest {uuid} has no VIF {vif_id}")
            self._unplug(guest, [nic])
            guest.nics = {one: other for one, other in guest.nics.items() if one != vif_id}

    def attach_volume(self, uuid: str, volume: Volume) -> None:
        """Attach a volume.

        :raises DeviceInUse: another volume has that device, or the guest has the volume as another
        """
        guest = self.guest(uuid, "attach_volume")
        with self.operation(guest, "attach_volume") as operation:
            operation.details.update(_details(volume))
            guest.attach(volume)

    def detach_volume(self, uuid: str, device: str) -> Volume:
        """Detach the volume at that device.

        :raises DeviceNotFound: there is none
        """
        guest = self.guest(uuid, "detach_volume")
        with self.operation(guest, "detach_volume") as operation:
            volume = self._volume_at(guest, device)
            operation.details.update(_details(volume))
            guest.volumes = {name: other for name, other in guest.volumes.items() if name != volume.device}
        return volume

    def swap_volume(self, uuid: str, volume: Volume) -> Volume:
        """Put a volume in the place of the one at the same device, which is returned.

        :raises DeviceNotFound: there is none to take the place of
        :raises DeviceInUse: the guest has the volume as another device
        """
        guest = self.guest(uuid, "swap_volume")
        with self.operation(guest, "swap_volume") as operation:
            operation.details.update(_details(volume))
            old = self._volume_at(guest, volume.device)
            guest.put(volume)
        return old

    def extend_volume(self, uuid: str, volume_id: str, size_bytes: int) -> None:
        """Let a guest see that its volume has grown.

        :raises DeviceNotFound: it has no such volume
        :raises InvalidInput: that would shrink it
        """
        guest = self.guest(uuid, "extend_volume")
        with self.operation(guest, "extend_volume") as operation:
            volume = next((one for one in guest.volumes.values() if one.volume_id == volume_id), None)
            if volume is None:
                raise DeviceNotFound(f"guest {uuid} has no volume {volume_id}")
            operation.details.update(_details(volume))
            guest.volumes = {**guest.volumes, volume.device: volume.extended(size_bytes)}

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

    def drop_nics(self, uuid: str) -> None:
        """Remove the interfaces of a guest that has not come here after all."""
        realizer = self._active_realizer
        if realizer is not None:
            realizer.unplug(uuid)

    def take_in(self, guest: Guest) -> None:
        """Take a guest that has moved here, with its claim, its interfaces and its disks; the caller holds the lock."""
        self.guests[guest.uuid] = guest
        guest.wired = frozenset(guest.nics)
        self._release_disks(guest.uuid)

    def forget(self, uuid: str, claim: Claim) -> None:
        """Drop a guest and what it claimed; the caller holds the lock."""
        del self.guests[uuid]
        self.capacity.release(claim, self.clock.now())
        self._consoles.close(uuid)

    def let_go(self, guest: Guest, *changes: Change) -> None:
        """Drop a guest and its interfaces, here and in the journal; the caller holds the guest's lock.

        :param changes: what else the journal keeps or drops
        :raises RealizerError: its interfaces could not be removed; the guest is still here
        :raises JournalError: the journal cannot be written; the guest is still here
        """
        wired = guest.wired
        try:
            self._unplug(guest)
            with self.lock:
                self.require_here(guest)
                if self.journal.persistent:
                    self.journal.change(Change(self.name, guest.uuid, None), *changes)
                self.forget(guest.uuid, guest.claim)
        except BaseException:
            if not self.down:
                self.rewire(guest, wired, guest.nics)
            raise

    def _volume_at(self, guest: Guest, device: str) -> Volume:
        volume = guest.volumes.get(device_name(device))
        if volume is None:
            raise DeviceNotFound(f"guest {guest.uuid} has no volume at {device}")
        return volume


def _details(volume: Volume) -> dict[str, Any]:
    return {"device": volume.device, "volume_id": volume.volume_id}
