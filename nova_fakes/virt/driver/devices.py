"""The driver's methods about interfaces, volumes and shares."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from nova import exception

from nova_fakes import exceptions
from nova_fakes.virt.disks import GIB, Volume, local_disks
from nova_fakes.virt.driver.base import HypervisorDriver
from nova_fakes.virt.driver.reading import disk_info
from nova_fakes.virt.driver.translation import (
    attach_interface_failure,
    detach_interface_failure,
    plug_failure,
    translated,
)
from nova_fakes.virt.nic import Nic
from nova_fakes.virt.records import failure_recorded

__all__ = ["DeviceMethods"]

LOG = logging.getLogger(__name__)


class DeviceMethods(HypervisorDriver):
    """Attach, detach, swap, extend, mount, and their counters."""

    # Interfaces

    @translated(plug_failure)
    def plug_vifs(self, instance: Any, network_info: Any) -> None:
        """Make whatever is missing of the instance's interfaces; nova calls it for every instance at its start."""
        if instance.uuid in self._hypervisor.guests or self._hypervisor.silent:
            self._hypervisor.plug(instance.uuid, self._nics(network_info))

    @translated()
    def unplug_vifs(self, instance: Any, network_info: Any) -> None:
        """Remove the instance's interfaces from the host."""
        self._hypervisor.unplug(instance.uuid, self._nics(network_info))

    @translated(attach_interface_failure)
    def attach_interface(self, context: Any, instance: Any, image_meta: Any, vif: Any) -> None:
        """Give the guest another interface.

        :raises InterfaceAttachFailed: it could not be made; the guest is as before
        """
        self._hypervisor.attach_nic(instance.uuid, Nic(vif))
        self._tell_of_devices(context, instance)

    @translated(detach_interface_failure)
    def detach_interface(self, context: Any, instance: Any, vif: Any) -> None:
        """Take an interface from the guest.

        :raises InterfaceDetachFailed: it has no such interface, or it could not be removed
        """
        self._hypervisor.detach_nic(instance.uuid, vif["id"])

    # Volumes

    def get_volume_connector(self, instance: Any) -> dict[str, Any]:
        """Return how this host reaches volumes; always the same."""
        name = self._hypervisor.name
        return {
            "ip": self.options.my_block_storage_ip,
            "host": name,
            "initiator": f"iqn.2010-10.org.openstack:{uuid5(NAMESPACE_DNS, name).hex[:12]}",
            "multipath": False,
            "platform": self._hypervisor.inventory.architecture,
            "os_type": "linux",
        }

    @translated()
    def attach_volume(
        self,
        context: Any,
        connection_info: Any,
        instance: Any,
        mountpoint: str,
        disk_bus: Any = None,
        device_type: Any = None,
        encryption: Any = None,
    ) -> None:
        """Attach a volume.

        :raises DevicePathInUse: another volume has that device
        :raises TooManyDiskDevices: the guest has as many as are allowed
        """
        with failure_recorded(self._hypervisor, instance.uuid, "attach_volume"):
            guest = self._hypervisor.guest(instance.uuid, "attach_volume.find")
            limit = self.options.compute.max_disk_devices_to_attach
            if limit >= 0 and len(local_disks(guest.spec)) + len(guest.volumes) >= limit:
                raise exception.TooManyDiskDevices(maximum=limit)
        self._hypervisor.attach_volume(instance.uuid, Volume(mountpoint, connection_info, encryption or None))
        self._tell_of_devices(context, instance)

    @translated()
    def detach_volume(
        self, context: Any, connection_info: Any, instance: Any, mountpoint: str, encryption: Any = None
    ) -> None:
        """Detach a volume.

        :raises DiskNotFound: there is none at that device
        :raises DeviceDetachFailed: the guest runs from it
        """
        try:
            self._hypervisor.detach_volume(instance.uuid, mountpoint)
        except exceptions.DeviceInUse as error:
            raise exception.DeviceDetachFailed(device=mountpoint, reason=str(error)) from error
        except exceptions.GuestNotFound:
            # libvirt's driver disconnects the volume from the host all the same.
            LOG.warning("Instance %s vanished while a volume was detached from it", instance.uuid)

    @translated()
    def swap_volume(
        self,
        context: Any,
        old_connection_info: Any,
        new_connection_info: Any,
        instance: Any,
        mountpoint: str,
        resize_to: int,
    ) -> None:
        """Put one volume in the place of another.

        :raises DiskNotFound: there is none at that device
        """
        size_bytes = resize_to * GIB if resize_to else None
        self._hypervisor.swap_volume(instance.uuid, Volume(mountpoint, new_connection_info, size_bytes=size_bytes))

    @translated()
    def extend_volume(self, context: Any, connection_info: Any, instance: Any, requested_size: int) -> None:
        """Let the guest see that a volume has grown.

        :param requested_size: bytes
        :raises VolumeExtendFailed: that would shrink it
        :raises VolumeNotFound: the guest has no such volume
        """
        asked = Volume("/dev/vda", connection_info)
        # After a migration the guest's may still have the id that the volume had on its way.
        held = self._hypervisor.guest(instance.uuid).volumes.values()
        same = [one.volume_id for one in held if one.connection_id and one.connection_id == asked.connection_id]
        volume_id = next(iter(same), asked.volume_id) or ""
        try:
            self._hypervisor.extend_volume(instance.uuid, volume_id, requested_size)
        except exceptions.DeviceNotFound as error:
            raise exception.VolumeNotFound(volume_id=volume_id) from error
        except exceptions.InvalidInput as error:
            raise exception.VolumeExtendFailed(volume_id=volume_id, reason=str(error)) from error

    @translated()
    def block_stats(self, instance: Any, disk_id: str) -> list[int]:
        """Return a disk's counters: read requests and bytes, write requests and bytes, errors."""
        return list(self._hypervisor.disk_statistics(instance.uuid, disk_id))

    @translated()
    def get_all_volume_usage(
        self, context: Any, compute_host_bdms: Iterable[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Return the counters of the volumes of these instances; what is not here is left out."""
        usage = []
        for entry in compute_host_bdms:
            instance = entry["instance"]
            for bdm in entry["instance_bdms"]:
                try:
                    counters = self._hypervisor.disk_statistics(instance.uuid, bdm["device_name"])
                except exceptions.NotFound:
                    continue
                usage.append(
                    {
                        "volume": bdm["volume_id"],
                        "instance": instance,
                        "rd_req": counters.read_requests,
                        "rd_bytes": counters.read_bytes,
                        "wr_req": counters.write_requests,
                        "wr_bytes": counters.write_bytes,
                    }
                )
        return usage

    @translated()
    def get_instance_disk_info(self, instance: Any, block_device_info: Any = None) -> str:
        """Return the instance's disks on this host as JSON."""
        return disk_info(self._hypervisor.guest(instance.uuid, "disk_info"))

    @translated()
    def mount_share(self, context: Any, instance: Any, share_mapping: Any) -> None:
        """Mount a share for the instance."""
        self._hypervisor.mount_share(instance.uuid, share_mapping.share_id)

    @translated()
    def umount_share(self, context: Any, instance: Any, share_mapping: Any) -> bool:
        """Unmount a share; tell whether other instances still use it."""
        return self._hypervisor.umount_share(instance.uuid, share_mapping.share_id)

    @translated()
    def is_share_mounted(self, share_mapping: Any) -> bool:
        """Tell whether a share is mounted on this host."""
        self._hypervisor.check("is_share_mounted")
        return share_mapping.share_id in self._hypervisor.shares
