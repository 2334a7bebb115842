"""A volume as the guest sees it: bytes that it reads and writes, whatever the volume is swapped for underneath."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nova_fakes.exceptions import DeviceNotFound, InvalidTransition
from nova_fakes.virt.guest import Guest, State
from nova_fakes.volume.local_device import LocalDevice
from nova_fakes.volume.medium import Buffer, Medium, copy
from nova_fakes.volume.store import VolumeStore

if TYPE_CHECKING:
    from nova_fakes.virt.disks import Volume
    from nova_fakes.virt.host import Host

__all__ = ["GuestDisk", "copy_volume", "open_device"]


class GuestDisk:
    """A guest's disk (see :class:`nova_fakes.volume.medium.Medium`); what passes counts among the guest's statistics.

    :param host: on which the guest runs
    :param guest: which has a volume there
    :param name: of the disk, without ``/dev/``
    """

    def __init__(self, host: Host, guest: Guest, name: str) -> None:
        self._host = host
        self._guest = guest
        self._name = name

    @property
    def size_bytes(self) -> int:
        """Its size, as far as the guest has been told of it."""
        volume, device = self._opened()
        return device.size_bytes if volume.size_bytes is None else min(volume.size_bytes, device.size_bytes)

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes there.

        :raises InvalidTransition: the guest does not run
        :raises DeviceNotFound: it has lost the volume
        :raises InvalidInput: beyond the end
        """
        with self._guest.lock:
            data = self._running().read(offset, length)
            self._count(0, length)
        return data

    def write(self, offset: int, data: Buffer) -> None:
        """Put bytes there.

        :raises InvalidTransition: the guest does not run
        :raises DeviceNotFound: it has lost the volume
        :raises ReadOnly: it is attached for reading
        :raises InvalidInput: beyond the end
        """
        with self._guest.lock:
            self._running().write(offset, data)
            self._count(2, memoryview(data).nbytes)

    def discard(self, offset: int, length: int) -> None:
        """Let the bytes there be zero; the same is raised as by :meth:`write`."""
        with self._guest.lock:
            self._running().discard(offset, length)

    def flush(self) -> None:
        """Return when everything that was written is safe."""
        with self._guest.lock:
            self._running().flush()

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[tuple[int, int]]:
        """Yield offset and length of what takes up room in a range, or anywhere, in order."""
        return self._opened()[1].extents(offset, length)

    def _running(self) -> Medium:
        if self._host.guests.get(self._guest.uuid) is not self._guest or self._guest.state is not State.RUNNING:
            raise InvalidTransition(
                f"guest {self._guest.uuid} is {self._guest.state}: only one that runs uses its disks"
            )
        return self._opened()[1]

    def _opened(self) -> tuple[Volume, Medium]:
        volume = self._guest.volumes.get(self._name)
        if volume is None:
            raise DeviceNotFound(f"guest {self._guest.uuid} has no volume at {self._name}")
        return volume, open_device(self._host.volume_store, self._guest, volume)

    def _count(self, place: int, length: int) -> None:
        counts = list(self._guest.traffic.get(self._name, (0, 0, 0, 0)))
        counts[place] += 1
        counts[place + 1] += length
        # A new mapping each time: an operation that is undone puts the old one back.
        counted = (counts[0], counts[1], counts[2], counts[3])
        self._guest.traffic = {**self._guest.traffic, self._name: counted}


def open_device(store: VolumeStore | None, guest: Guest, volume: Volume) -> Medium:
    """Return the device by which a guest has a volume: of the store, or the file that another service has named.

    :raises DeviceNotFound: no store has its bytes, or the store knows nothing of the attachment
    """
    local = LocalDevice.of(volume.connection_info)
    if local is not None and (store is None or volume.volume_id not in store.volumes):
        return local
    named = None if store is None else store.attachments.get(volume.connection_id or "")
    volume_id = volume.volume_id if named is None else named.volume_id
    if store is None or volume_id not in store.volumes:
        raise DeviceNotFound(f"volume {volume.volume_id} of guest {guest.uuid} holds no bytes here")
    attachments = store.attachments_of(volume_id or "")
    mine = [one for one in attachments if one.instance_id == guest.uuid and one.status in ("attached", "detaching")]
    chosen = [one for one in mine if one is named] or mine
    if not chosen:
        raise DeviceNotFound(f"volume {volume.volume_id} is not attached to guest {guest.uuid}, says the volume store")
    return store.open(chosen[-1].id)


def copy_volume(store: VolumeStore | None, old: Volume, new: Volume) -> Iterator[int]:
    """Copy one volume's bytes onto another's, where the store or this machine has both; yield the bytes of each piece.

    :raises InvalidInput: the new one is smaller
    """
    source, target = LocalDevice.of(old.connection_info), LocalDevice.of(new.connection_info)
    if store is None and source is not None and target is not None:
        yield from copy(source, target)
        return
    if store is None or old.volume_id not in store.volumes or new.volume_id not in store.volumes:
        return
    yield from store.copy_volume(old.volume_id or "", new.volume_id or "")
