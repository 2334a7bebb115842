"""What nova hands to its driver, read into the terms of the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nova import exception
from nova.virt import driver

from nova_fakes import exceptions
from nova_fakes.virt.disks import GIB, Volume, local_disks
from nova_fakes.virt.guest import Guest, GuestSpec
from nova_fakes.virt.nic import Nic, read_nics
from nova_fakes.virt.snapshot import DISK_FORMAT

__all__ = ["WORKLOAD_KEY", "destination_vifs", "disk_info", "nics_from", "spec_from", "volumes_from"]


#: The flavor's extra spec, or the instance's metadata, that names a workload.
WORKLOAD_KEY = "nova_fakes:workload"


def nics_from(network_info: Any, distinct: bool = True) -> dict[str, Nic]:
    """Read a network_info; nova's asynchronous one waits here for the allocation and raises what went wrong in it.

    :param distinct: refuse two interfaces with one MAC address
    :raises VirtualInterfaceCreateException: an interface cannot be used
    """
    try:
        return read_nics(network_info, distinct)
    except exceptions.NovaFakesError as error:
        raise exception.VirtualInterfaceCreateException(str(error)) from error


def spec_from(
    instance: Any, block_device_info: Any = None, admin_password: str | None = None, files: Any = None
) -> GuestSpec:
    """Read what a guest is made from out of nova's Instance, or of a stand-in with fewer attributes."""
    flavor = instance.flavor
    image = getattr(instance, "image_ref", None)
    swap_mb = getattr(flavor, "swap", 0)
    return GuestSpec(
        uuid=instance.uuid,
        name=instance.name,
        vcpus=flavor.vcpus,
        memory_mb=flavor.memory_mb,
        root_gb=flavor.root_gb,
        ephemeral_gb=getattr(flavor, "ephemeral_gb", 0),
        swap_mb=swap_mb or 0,
        image=image or None,
        volume_backed=_volume_backed(block_device_info) if block_device_info else image == "",
        display_name=getattr(instance, "display_name", None),
        project_id=getattr(instance, "project_id", None),
        hostname=getattr(instance, "hostname", None),
        key_name=getattr(instance, "key_name", None),
        config_drive=bool(getattr(instance, "config_drive", False)),
        os_type=getattr(instance, "os_type", None),
        admin_password=admin_password,
        files=tuple((path, contents) for path, contents in files) if files else (),
        workload=_workload(instance, flavor),
        flavor=getattr(flavor, "name", None),
    )


def _workload(instance: Any, flavor: Any) -> str | None:
    """Return what the flavor, or else the instance's owner, wants the guest to be busy with."""
    for chosen in (getattr(flavor, "extra_specs", None), getattr(instance, "metadata", None)):
        if chosen and WORKLOAD_KEY in chosen:
            return str(chosen[WORKLOAD_KEY])
    return None


def _volume_backed(block_device_info: Mapping[str, Any]) -> bool:
    root = block_device_info.get("root_device_name")
    return any(
        volume.get("boot_index") == 0 or (root is not None and volume.get("mount_device") == root)
        for volume in driver.block_device_info_get_mapping(block_device_info)
    )


def volumes_from(block_device_info: Any) -> list[Volume]:
    """Read the volumes of a block_device_info."""
    volumes = []
    for volume in driver.block_device_info_get_mapping(block_device_info):
        size_gb = getattr(volume, "volume_size", None)
        volumes.append(
            Volume(
                volume["mount_device"],
                volume["connection_info"] or {},
                size_bytes=size_gb * GIB if size_gb else None,
            )
        )
    return volumes


def disk_info(guest: Guest) -> str:
    """Return the guest's disks on its host as nova's JSON."""
    return json.dumps(
        [
            {
                "path": f"{guest.uuid}/disk{'' if disk.role == 'root' else '.' + disk.role}",
                "type": DISK_FORMAT,
                "virt_disk_size": disk.size_bytes,
                "backing_file": "",
                "disk_size": disk.size_bytes,
                "over_committed_disk_size": 0,
            }
            for disk in local_disks(guest.spec)
        ]
    )


def destination_vifs(network_info: Any, migrate_data: Any) -> Any:
    """Return the VIFs as they are bound to the destination, where nova bound them there."""
    bound = migrate_data.vifs if migrate_data is not None and "vifs" in migrate_data else []
    vifs = [vif.get_dest_vif() for vif in bound if "vif_type" in vif]
    return vifs or network_info
