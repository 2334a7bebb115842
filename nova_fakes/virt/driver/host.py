"""The driver's methods about the host itself and what is on it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import nova.virt.node
import os_resource_classes as orc
from nova import exception, objects
from nova.virt import hardware

from nova_fakes.virt.disks import MIB
from nova_fakes.virt.driver.base import HypervisorDriver
from nova_fakes.virt.driver.numa import host_topology
from nova_fakes.virt.driver.traits import host_traits
from nova_fakes.virt.driver.translation import translated
from nova_fakes.virt.guest import State
from nova_fakes.virt.inventory import Inventory, PciDevice

__all__ = ["HostMethods"]


#: Of persistent memory's sizes, bytes.
_PMEM_ALIGN = 2 * MIB


class HostMethods(HypervisorDriver):
    """Nodes, resources, power, and which instances are here."""

    def get_available_nodes(self, refresh: bool = False) -> list[str]:
        """Return the nodes: one of the host's name, unless its inventory says that they are several."""
        return list(self._hypervisor.nodes)

    def get_nodenames_by_uuid(self, refresh: bool = False) -> dict[str, str]:
        """Return the nodes' names by their identities, which outlive restarts."""
        host = self._hypervisor
        if self._owns_fleet and len(host.nodes) == 1:
            return {nova.virt.node.get_local_node_uuid(): host.name}
        # Several in one process: nova's own function knows one identity per process.
        return host.node_uuids()

    @translated()
    def get_available_resource(self, nodename: str) -> dict[str, Any]:
        """Return what the node has and what of it is used."""
        host = self._hypervisor
        host.check("get_available_resource")
        inventory, used = host.inventory, host.capacity.node(nodename).used
        identities = {node: uuid for uuid, node in self.get_nodenames_by_uuid().items()}
        topology = host_topology(inventory, self.options)
        cpu_info = {
            "arch": inventory.architecture,
            "model": inventory.cpu_model,
            "vendor": "Intel",
            "features": list(inventory.cpu_features),
            "topology": inventory.topology(),
        }
        return {
            "uuid": identities.get(nodename),
            "vcpus": inventory.vcpus + inventory.pcpus,
            "memory_mb": inventory.memory_mb,
            "local_gb": inventory.disk_gb,
            "vcpus_used": used.vcpus + used.pcpus,
            "memory_mb_used": used.memory_mb,
            "local_gb_used": used.disk_gb,
            "disk_available_least": max(0, inventory.disk_gb - used.disk_gb),
            "hypervisor_type": "fake",
            "hypervisor_version": inventory.hypervisor_version,
            "hypervisor_hostname": nodename,
            "cpu_info": json.dumps(cpu_info),
            "numa_topology": topology._to_json() if topology is not None else None,
            "supported_instances": [(inventory.architecture, kind, "hvm") for kind in ("fake", "kvm", "qemu")],
            "pci_passthrough_devices": json.dumps([_pci_description(device) for device in inventory.pci]),
        }

    @translated()
    def update_provider_tree(self, provider_tree: Any, nodename: str, allocations: Any = None) -> None:
        """Report the node's inventory and traits to placement."""
        host = self._hypervisor
        host.check("update_provider_tree")
        inventory = host.inventory
        ratios = self._ratios(provider_tree.data(nodename).inventory)
        totals = {
            orc.VCPU: (inventory.vcpus, ratios[orc.VCPU], self.options.reserved_host_cpus),
            orc.MEMORY_MB: (inventory.memory_mb, ratios[orc.MEMORY_MB], self.options.reserved_host_memory_mb),
            orc.DISK_GB: (inventory.disk_gb, ratios[orc.DISK_GB], math.ceil(self.options.reserved_host_disk_mb / 1024)),
            orc.PCPU: (inventory.pcpus, 1.0, 0),
        }
        for resource_class, total in inventory.resources.items():
            totals[resource_class] = (total, 1.0, 0)
        namespaces = _pmem_resources(inventory, provider_tree.data(nodename).uuid)
        for resource_class, found in namespaces.items():
            totals[resource_class] = (len(found), 1.0, 0)
        provider_tree.update_inventory(nodename, _placement_inventory(totals))
        provider_tree.update_resources(nodename, namespaces)
        traits = inventory.traits | self._host_traits()
        if traits:
            provider_tree.add_traits(nodename, *sorted(traits))
        for provider in inventory.providers:
            name = f"{nodename}-{provider.name}"
            if not provider_tree.exists(name):
                provider_tree.new_child(name=name, parent=nodename)
            resources = {resource: (total, 1.0, 0) for resource, total in provider.resources.items()}
            provider_tree.update_inventory(name, _placement_inventory(resources))
            if provider.traits:
                provider_tree.add_traits(name, *sorted(provider.traits))

    def _ratios(self, known: Mapping[str, Any]) -> dict[str, float]:
        """Return by how much each resource may be promised: what nova.conf says, else what is known of it already."""
        ratios: dict[str, float] = {}
        for name, resource in (("cpu", orc.VCPU), ("ram", orc.MEMORY_MB), ("disk", orc.DISK_GB)):
            option = f"{name}_allocation_ratio"
            first = getattr(self.options, f"initial_{option}")
            before = known[resource]["allocation_ratio"] if resource in known else first
            ratios[resource] = getattr(self.options, option) or before
        return ratios

    def _host_traits(self) -> frozenset[str]:
        """Return the traits that follow from what the host is equipped with."""
        return host_traits(self._hypervisor.inventory)

    def get_host_ip_addr(self) -> str:
        """Return nova's address of this host."""
        return cast(str, self.options.my_ip)

    @translated()
    def get_host_uptime(self) -> str:
        """Return the host's uptime in the words of ``uptime``, which clients take apart."""
        host = self._hypervisor
        time_of_day = datetime.fromtimestamp(host.clock.now(), UTC).strftime("%H:%M:%S")
        minutes = int(host.uptime_s()) // 60
        days, minutes = divmod(minutes, 24 * 60)
        load = min(0.12 * host.capacity.used.vcpus, float(host.inventory.vcpus))
        return (
            f"{time_of_day} up {days} day{'' if days == 1 else 's'}, {minutes // 60:2d}:{minutes % 60:02d}, 0 users, "
            f"load average: {load:.2f}, {load:.2f}, {load:.2f}"
        )

    @translated()
    def get_host_cpu_stats(self) -> dict[str, int]:
        """Return the host's processor times, ns, and frequency, MHz."""
        return self._hypervisor.cpu_stats()

    @translated()
    def host_power_action(self, action: str) -> str:
        """Shut the host down, start it or reboot it; its guests lose power with it.

        :raises InvalidInput: another action
        """
        host = self._hypervisor
        if action == "startup":
            host.recover()
        elif action == "shutdown":
            host.crash()
        elif action == "reboot":
            host.crash()
            host.recover()
        else:
            raise exception.InvalidInput(reason=f"host power action {action!r}: use startup, shutdown or reboot")
        return action

    @translated()
    def host_maintenance_mode(self, host: str, mode: bool) -> str:
        """Begin or end maintenance: a host in maintenance takes no new guests."""
        hypervisor = self.fleet.hypervisor(host) if host else self._hypervisor
        hypervisor.set_maintenance(bool(mode))
        return "on_maintenance" if mode else "off_maintenance"

    @translated()
    def set_host_enabled(self, enabled: bool) -> str:
        """Let the host take new guests, or not; the scheduler asks nova's service record."""
        self._hypervisor.set_enabled(bool(enabled))
        return "enabled" if enabled else "disabled"

    # What is there

    def get_info(self, instance: Any, use_cache: bool = True) -> Any:
        """Return the power state.

        :raises InstanceNotFound: the instance is not here
        """
        host = self._hypervisor
        guest = host.guests.get(instance.uuid)
        if guest is None or host.silent or host.faults.active:
            guest = self._guest(instance, "get_info")
        # Nothing is left of a crashed guest's emulator, and nova heeds the event of its end only where that is so.
        state = State.SHUTDOWN if guest.state is State.CRASHED else guest.state
        return hardware.InstanceInfo(state=int(state))

    @translated()
    def get_num_instances(self) -> int:
        """Return how many instances are here."""
        self._alive("list")
        return len(self._hypervisor.guests)

    @translated()
    def instance_exists(self, instance: Any) -> bool:
        """Tell whether the instance is here."""
        self._alive("list")
        return instance.uuid in self._hypervisor.guests

    @translated()
    def list_instances(self) -> list[str]:
        """Return the names of the instances that are here."""
        self._alive("list")
        return [guest.spec.name for guest in list(self._hypervisor.guests.values())]

    @translated()
    def list_instance_uuids(self) -> list[str]:
        """Return the UUIDs of the instances that are here."""
        self._alive("list")
        return list(self._hypervisor.guests)

    @translated()
    def instance_on_disk(self, instance: Any) -> bool:
        """Tell whether this host sees the instance's disks."""
        host = self._hypervisor
        return instance.uuid in host.guests or instance.uuid in host.left_disks or self.fleet.sees_disks(instance.uuid)


def _placement_inventory(totals: Mapping[str, tuple[int, float, int]]) -> dict[str, dict[str, Any]]:
    """Return placement's inventory of these totals, allocation ratios and reserved amounts."""
    return {
        resource_class: {
            "total": total,
            "min_unit": 1,
            "max_unit": total,
            "step_size": 1,
            "allocation_ratio": ratio,
            "reserved": reserved,
        }
        for resource_class, (total, ratio, reserved) in totals.items()
        # placement refuses an inventory of nothing.
        if total
    }


def _pmem_resources(inventory: Inventory, provider: str) -> dict[str, set[Any]]:
    """Return nova's Resource of each namespace of persistent memory, by resource class."""
    found: dict[str, set[Any]] = {}
    for namespace in inventory.pmem:
        device = objects.LibvirtVPMEMDevice(
            label=namespace.label,
            name=namespace.name,
            devpath=f"/dev/{namespace.name}",
            size=namespace.size_mb * MIB,
            align=_PMEM_ALIGN,
        )
        resource_class = namespace.resource_class
        resource = objects.Resource(
            provider_uuid=provider, resource_class=resource_class, identifier=namespace.name, metadata=device
        )
        found.setdefault(resource_class, set()).add(resource)
    return found


def _pci_description(device: PciDevice) -> dict[str, Any]:
    """Return a device as libvirt's driver describes it to nova's PCI tracker."""
    description = {
        "address": device.address,
        "vendor_id": device.vendor_id,
        "product_id": device.product_id,
        "dev_type": device.kind,
        "parent_addr": device.parent,
        "numa_node": device.numa_node,
        "label": device.label or f"label_{device.vendor_id}_{device.product_id}",
        "status": "available",
    }
    if device.parent_interface is not None:
        description["parent_ifname"] = device.parent_interface
    return description
