"""What there is: guests, their states and counters, and where their consoles are."""

from __future__ import annotations

from typing import Any

from nova_fakes import exceptions
from nova_fakes.virt.connection.base import with_novas_exceptions
from nova_fakes.virt.connection.host import HostMethods
from nova_fakes.virt.connection.instances import InstanceInfo
from nova_fakes.virt.diagnostics import flat
from nova_fakes.virt.disks import local_disks

__all__ = ["SightMethods"]


class SightMethods(HostMethods):
    """What only looks."""

    @with_novas_exceptions
    def list_instances(self) -> list[str]:
        """Return the names of the guests."""
        self._hypervisor.check("list")
        return [guest.name for guest in self._hypervisor.guests.values()]

    @with_novas_exceptions
    def list_instances_detail(self) -> list[InstanceInfo]:
        """Return the guests with their power states."""
        self._hypervisor.check("list")
        return [InstanceInfo(guest.name, int(guest.state)) for guest in self._hypervisor.guests.values()]

    @with_novas_exceptions
    def get_info(self, instance_name: str) -> dict[str, int]:
        """Return ``state``, ``max_mem`` and ``mem`` (KiB), ``num_cpu`` and ``cpu_time`` (ns).

        :raises NotFound: there is no guest of that name
        """
        guest = self._find(instance_name)
        statistics = self._hypervisor.statistics(guest.uuid)
        return {
            "state": int(guest.state),
            "max_mem": guest.spec.memory_mb * 1024,
            "mem": guest.spec.memory_mb * 1024,
            "num_cpu": guest.spec.vcpus,
            "cpu_time": sum(statistics.cpus),
        }

    @with_novas_exceptions
    def get_diagnostics(self, instance_name: str) -> dict[str, int]:
        """Return every counter of a guest, under libvirt's keys."""
        return flat(self._hypervisor.statistics(self._find(instance_name).uuid))

    @with_novas_exceptions
    def list_disks(self, instance_name: str) -> list[str]:
        """Return the ids of a guest's disks, for :meth:`block_stats`."""
        guest = self._find(instance_name)
        return [disk.device for disk in local_disks(guest.spec)] + list(guest.volumes)

    @with_novas_exceptions
    def list_interfaces(self, instance_name: str) -> list[str]:
        """Return the ids of a guest's interfaces, for :meth:`interface_stats`."""
        return list(self._find(instance_name).nics)

    @with_novas_exceptions
    def block_stats(self, instance_name: str, disk_id: str) -> list[int]:
        """Return a disk's read requests, bytes read, write requests, bytes written and errors.

        :raises NotFound: the guest has no such disk
        """
        return list(self._hypervisor.disk_statistics(self._find(instance_name).uuid, disk_id))

    @with_novas_exceptions
    def interface_stats(self, instance_name: str, iface_id: str) -> list[int]:
        """Return an interface's bytes, packets, errors and drops received, and the same sent.

        :raises NotFound: the guest has no such interface
        """
        for nic, counters in self._hypervisor.statistics(self._find(instance_name).uuid).nics:
            if nic.id == iface_id:
                return [
                    counters.rx_bytes,
                    counters.rx_packets,
                    counters.rx_errors,
                    counters.rx_dropped,
                    counters.tx_bytes,
                    counters.tx_packets,
                    counters.tx_errors,
                    counters.tx_dropped,
                ]
        raise exceptions.DeviceNotFound(f"instance {instance_name} has no interface {iface_id}")

    @with_novas_exceptions
    def get_console_output(self, instance: Any) -> str:
        """Return what the guest wrote to its serial line."""
        return self._hypervisor.console_log(self._find(instance).uuid)

    @with_novas_exceptions
    def get_ajax_console(self, instance: Any) -> dict[str, Any]:
        """Return where the guest's serial console listens, and the token that opens it."""
        return self._console(instance, "serial")

    @with_novas_exceptions
    def get_vnc_console(self, instance: Any) -> dict[str, Any]:
        """Return where the guest's VNC console listens, and the token that opens it."""
        return self._console(instance, "vnc")

    def _console(self, instance: Any, kind: str) -> dict[str, Any]:
        console = self._hypervisor.console(self._find(instance).uuid, kind)
        return {"token": console.path, "host": self.get_host_ip_addr(), "port": console.port}
