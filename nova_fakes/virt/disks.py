"""A guest's disks: those on its host, which follow from what it was made from, and the volumes attached to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nova_fakes.exceptions import InvalidInput

if TYPE_CHECKING:
    from nova_fakes.virt.guest import GuestSpec

__all__ = ["GIB", "MIB", "Disk", "Volume", "device_name", "local_disks"]

MIB = 1 << 20
GIB = 1 << 30

#: Room that a configuration drive takes (``nova/virt/configdrive.py``: CONFIGDRIVESIZE_BYTES).
_CONFIG_DRIVE_BYTES = 64 * MIB


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk that lies on the host.

    :param device: name inside the guest, without ``/dev/``
    :param role: ``root``, ``ephemeral``, ``swap`` or ``config``
    """

    device: str
    role: str
    size_bytes: int


class Volume:
    """A volume attached to a guest.

    :param device: name inside the guest, without ``/dev/``
    :param connection_info: what the volume service said about how to reach it; kept as it is
    :param encryption: what the volume service said about its encryption, None for a plain volume
    """

    __slots__ = ("connection_info", "device", "encryption", "size_bytes")

    def __init__(
        self,
        device: str,
        connection_info: Mapping[str, Any],
        encryption: Mapping[str, Any] | None = None,
        size_bytes: int | None = None,
    ) -> None:
        self.device = device_name(device)
        self.connection_info = connection_info
        self.encryption = encryption
        self.size_bytes = size_bytes

    @property
    def volume_id(self) -> str | None:
        """The volume's identifier, read as nova reads it (``nova/block_device.py``: get_volume_id)."""
        info = self.connection_info
        data = info.get("data") or {}
        found = data.get("volume_id") or info.get("serial")
        return None if found is None else str(found)

    @property
    def connection_id(self) -> str | None:
        """What the volume service calls the connection, which stays when it gives the volume another id."""
        info = self.connection_info
        found = info.get("attachment_id") or (info.get("data") or {}).get("connection_id")
        return None if found is None else str(found)

    def extended(self, size_bytes: int) -> Volume:
        """Return it as it is when it has grown to that size.

        :raises InvalidInput: that would shrink it
        """
        if self.size_bytes is not None and size_bytes < self.size_bytes:
            raise InvalidInput(
                f"size of volume {self.volume_id}", size_bytes, f"it has {self.size_bytes} bytes and cannot shrink"
            )
        return Volume(self.device, self.connection_info, self.encryption, size_bytes)

    def to_record(self) -> dict[str, Any]:
        """Return everything about it, ready for JSON."""
        return {
            "device": self.device,
            "connection_info": self.connection_info,
            "encryption": self.encryption,
            "size_bytes": self.size_bytes,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Volume:
        """Make it again from what :meth:`to_record` returned."""
        return cls(**record)


def device_name(mountpoint: str) -> str:
    """Return the device's name without its directory: ``/dev/vdb`` is ``vdb``.

    :raises InvalidInput: nothing is left
    """
    name = mountpoint.rpartition("/")[2] if mountpoint else ""
    if not name:
        raise InvalidInput("mountpoint", mountpoint, "give a device, /dev/vdb")
    return name


def local_disks(spec: GuestSpec) -> list[Disk]:
    """Return the guest's disks on its host, in the order in which libvirt names them: root, ephemeral, swap, config."""
    disks: list[Disk] = []

    def add(role: str, size_bytes: int) -> None:
        index = len(disks) + (1 if spec.volume_backed else 0)
        disks.append(Disk(f"vd{chr(ord('a') + index)}", role, size_bytes))

    if not spec.volume_backed:
        add("root", spec.root_gb * GIB)
    if spec.ephemeral_gb:
        add("ephemeral", spec.ephemeral_gb * GIB)
    if spec.swap_mb:
        add("swap", spec.swap_mb * MIB)
    if spec.config_drive:
        add("config", _CONFIG_DRIVE_BYTES)
    return disks
