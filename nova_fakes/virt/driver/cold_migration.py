"""The driver's methods of resize and cold migration."""

from __future__ import annotations

from typing import Any

from nova import exception

from nova_fakes.virt import resize
from nova_fakes.virt.driver.base import HypervisorDriver
from nova_fakes.virt.driver.reading import disk_info, volumes_from
from nova_fakes.virt.driver.translation import spawn_failure, translated
from nova_fakes.virt.records import failure_recorded

__all__ = ["ColdMigrationMethods"]


class ColdMigrationMethods(HypervisorDriver):
    """Leave, arrive, confirm and revert."""

    @translated()
    def migrate_disk_and_power_off(
        self,
        context: Any,
        instance: Any,
        dest: str,
        flavor: Any,
        network_info: Any,
        block_device_info: Any = None,
        timeout: int = 0,
        retry_interval: int = 0,
    ) -> str:
        """Shut the guest down and carry its disks to where it goes.

        :raises InstanceFaultRollback: the new flavor's disks are smaller; the guest goes on as it was
        """
        with failure_recorded(self._hypervisor, instance.uuid, "migrate_disk"):
            spec = self._hypervisor.guest(instance.uuid, "migrate_disk.find").spec
            if (flavor.root_gb < spec.root_gb and not spec.volume_backed) or flavor.ephemeral_gb < spec.ephemeral_gb:
                raise exception.InstanceFaultRollback(exception.ResizeError(reason="disks cannot become smaller"))
        return disk_info(resize.leave(self._hypervisor, instance.uuid))

    @translated(spawn_failure)
    def finish_migration(
        self,
        context: Any,
        migration: Any,
        instance: Any,
        disk_info: Any,
        network_info: Any,
        image_meta: Any,
        resize_instance: bool,
        allocations: Any,
        block_device_info: Any = None,
        power_on: bool = True,
        share_info: Any = None,
    ) -> None:
        """Make the instance where it goes to, in its new size.

        Like libvirt's driver it waits for no event: the network service may not have seen the unplugging.
        """
        resize.arrive(
            self._hypervisor,
            self._spec(instance, block_device_info, allocations=allocations),
            self._nics(network_info),
            volumes_from(block_device_info),
            power_on=power_on,
        )

    @translated()
    def confirm_migration(self, context: Any, migration: Any, instance: Any, network_info: Any) -> None:
        """Give up what the host that the instance left still holds."""
        resize.confirm(self._hypervisor, instance.uuid)

    @translated(spawn_failure)
    def finish_revert_migration(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        migration: Any,
        block_device_info: Any = None,
        power_on: bool = True,
        share_info: Any = None,
    ) -> None:
        """Bring the instance back where it came from, in its old size."""
        nics = self._nics(network_info)
        resize.revert(
            self._hypervisor,
            self._spec(instance, block_device_info),
            nics,
            volumes_from(block_device_info),
            power_on=power_on,
            plugging=self._plugging(instance, nics) if nics and power_on else None,
        )
