"""The driver's methods by which instances come and go."""

from __future__ import annotations

import logging
from typing import Any

from nova import exception, objects
from nova.compute import vm_states

from nova_fakes.virt.disks import local_disks
from nova_fakes.virt.driver.base import HypervisorDriver
from nova_fakes.virt.driver.reading import volumes_from
from nova_fakes.virt.driver.translation import failing_with, spawn_failure, translated

__all__ = ["LifecycleMethods"]

LOG = logging.getLogger(__name__)


class LifecycleMethods(HypervisorDriver):
    """Spawn, destroy and what is left over."""

    @translated(spawn_failure)
    def spawn(
        self,
        context: Any,
        instance: Any,
        image_meta: Any,
        injected_files: Any,
        admin_password: Any,
        allocations: Any,
        network_info: Any = None,
        block_device_info: Any = None,
        power_on: bool = True,
        accel_info: Any = None,
    ) -> None:
        """Make the instance; whatever fails, nothing is left behind.

        :raises InstanceExists: it is here already
        :raises ComputeResourcesUnavailable: the host refuses the claim
        :raises VirtualInterfaceCreateException: its interfaces could not be made, or their ports did not come up in
            time and ``vif_plugging_is_fatal``
        :raises InstanceDeployFailure: anything else
        """
        host = self._hypervisor
        if host.maintenance or not host.enabled:
            self._refuse_new_guest(instance, "spawn")
        nics = self._nics(network_info) if network_info else None
        volumes = volumes_from(block_device_info) if block_device_info else []
        spec = self._spec(
            instance,
            block_device_info,
            admin_password,
            injected_files,
            allocations=allocations,
            accel_info=accel_info,
        )
        if isinstance(instance, objects.Instance):
            disks = (*(disk.device for disk in local_disks(spec)), *(volume.device for volume in volumes))
            instance.device_metadata = self._device_metadata(context, instance, (nics or {}).values(), disks)
        host.spawn(
            spec,
            nics,
            volumes,
            power_on=power_on,
            plugging=self._plugging(instance, nics) if nics and power_on else None,
            operation="unshelve" if getattr(instance, "vm_state", None) == vm_states.SHELVED_OFFLOADED else "spawn",
        )

    @translated(failing_with(exception.InstanceTerminationFailure))
    def destroy(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        destroy_disks: bool = True,
        destroy_secrets: bool = True,
    ) -> None:
        """Take the instance away; one that is not here is no error."""
        host = self._hypervisor
        # Shared disks are not this host's to keep where the guest is on another one already.
        keep_disks = not destroy_disks and not self.fleet.sees_disks(instance.uuid, besides=host)
        if not host.destroy(instance.uuid, keep_disks=keep_disks):
            LOG.warning("Instance %s is not on host %s; nothing to destroy", instance.uuid, host.name)
            if destroy_disks:
                host.drop_disks(instance.uuid)

    @translated()
    def cleanup(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        destroy_disks: bool = True,
        migrate_data: Any = None,
        destroy_vifs: bool = True,
        destroy_secrets: bool = True,
    ) -> None:
        """Remove what a destroyed instance left.

        :raises InstanceExists: it has not been destroyed
        """
        if instance.uuid in self._hypervisor.guests:
            raise exception.InstanceExists(name=instance.uuid)
        if destroy_disks:
            self._hypervisor.drop_disks(instance.uuid)

    @translated()
    def delete_instance_files(self, instance: Any) -> bool:
        """Delete the disks that a destroyed instance left; tell that none are left."""
        self._hypervisor.drop_disks(instance.uuid)
        return True
