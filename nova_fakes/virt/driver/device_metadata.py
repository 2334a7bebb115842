"""Where inside the guest the devices are to which its owner gave tags: what nova's metadata service tells the guest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from nova import objects

from nova_fakes.virt.disks import device_name
from nova_fakes.virt.nic import Nic

__all__ = ["device_metadata"]

#: The first slots of the guest's PCI bus that interfaces and disks take; what is before them QEMU keeps to itself.
_FIRST_NIC, _FIRST_DISK = 0x03, 0x10
_SLOTS = 0x20


def device_metadata(
    context: Any, instance: Any, nics: Iterable[Nic], disks: Iterable[str], *, has_shares: bool = False
) -> Any:
    """Return nova's InstanceDeviceMetadata; None where nothing has a tag, a VLAN or a share.

    :param nics: the guest's interfaces in their order
    :param disks: names of its disks and volumes, without ``/dev/``
    :param has_shares: whether shares are mounted for it
    """
    devices = [*_interfaces(context, instance, nics), *_disks(context, instance, disks)]
    if has_shares:
        for share in objects.ShareMappingList.get_by_instance_uuid(context, instance.uuid):
            devices.append(objects.ShareMetadata(share_id=share.share_id, tag=share.tag))
    return objects.InstanceDeviceMetadata(devices=devices) if devices else None


def _interfaces(context: Any, instance: Any, nics: Iterable[Nic]) -> Iterator[Any]:
    known = objects.VirtualInterfaceList.get_by_instance_uuid(context, instance.uuid)
    tags = {vif.uuid: vif.tag for vif in known if "tag" in vif and vif.tag}
    for number, nic in enumerate(nics):
        vlan = (nic.info.get("details") or {}).get("vlan") if nic.pci_address else None
        if nic.id not in tags and not vlan:
            continue
        device = objects.NetworkInterfaceMetadata(
            mac=nic.address,
            bus=objects.PCIDeviceBus(address=_pci_address(_FIRST_NIC + number)),
            vf_trusted=str((nic.info.get("profile") or {}).get("trusted", "false")).lower() == "true",
        )
        if nic.id in tags:
            device.tags = [tags[nic.id]]
        if vlan:
            device.vlan = int(vlan)
        yield device


def _disks(context: Any, instance: Any, disks: Iterable[str]) -> Iterator[Any]:
    present = set(disks)
    for bdm in objects.BlockDeviceMappingList.get_by_instance_uuid(context, instance.uuid):
        if not bdm.tag or not bdm.device_name or device_name(bdm.device_name) not in present:
            continue
        device = objects.DiskMetadata(tags=[bdm.tag], bus=_disk_bus(bdm.disk_bus, device_name(bdm.device_name)))
        # By it nova finds the device again when the volume is detached.
        device.serial = bdm.volume_id
        yield device


def _disk_bus(bus: str | None, device: str) -> Any:
    number = _number(device)
    match bus:
        case "scsi":
            return objects.SCSIDeviceBus(address=f"0:0:0:{number}")
        case "ide":
            return objects.IDEDeviceBus(address=f"{number // 2}:{number % 2}")
        case "usb":
            return objects.USBDeviceBus(address=f"0:{number + 1}")
    return objects.PCIDeviceBus(address=_pci_address(_FIRST_DISK + number))


def _number(device: str) -> int:
    """Return which disk of its kind it is, from 0: ``vda`` is the first, ``vdaa`` the twenty-seventh."""
    number = 0
    for letter in device[2:]:
        number = number * 26 + ord(letter) - ord("a") + 1
    return max(0, number - 1)


def _pci_address(slot: int) -> str:
    bus, slot = divmod(slot, _SLOTS)
    return f"0000:{bus:02x}:{slot:02x}.0"
