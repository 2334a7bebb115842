"""What nova has claimed for an instance beyond processors, memory and disks, read into the terms of the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import os_resource_classes as orc
from nova.objects import fields

from nova_fakes.virt.equipment import Equipment
from nova_fakes.virt.inventory import Inventory
from nova_fakes.virt.nic import Nic

__all__ = ["arriving_equipment", "equipment_from"]

#: Resource classes that claims count by names of their own.
_COUNTED = frozenset({orc.VCPU, orc.PCPU, orc.MEMORY_MB, orc.DISK_GB})
_TPM_MODEL = "tpm-tis"


def equipment_from(
    instance: Any,
    inventory: Inventory,
    allocations: Mapping[str, Any] | None = None,
    accel_info: Iterable[Mapping[str, Any]] | None = None,
) -> Equipment | None:
    """Return what an instance has on a host with that inventory; None for nothing, as nearly all have.

    :param allocations: placement's, by resource provider
    :param accel_info: Cyborg's accelerator requests
    """
    found: dict[str, Any] = _firmware(instance)
    if allocations:
        resources = _resources(allocations)
        if resources:
            found["resources"] = resources
    if accel_info:
        found["accelerators"] = tuple(request["uuid"] for request in accel_info)
    if inventory.pcpus:
        pinned, emulator = _pinned(getattr(instance, "numa_topology", None))
        found.update(pinned_cpus=pinned, emulator_cpus=emulator)
    if inventory.pci:
        found["pci"] = tuple(device.address for device in getattr(instance, "pci_devices", None) or ())
    if inventory.pmem:
        names = {namespace.name for namespace in inventory.pmem}
        held = getattr(instance, "resources", None) or ()
        found["pmem"] = tuple(resource.identifier for resource in held if resource.identifier in names)
    return Equipment(**found) if any(found.values()) else None


def arriving_equipment(
    instance: Any, inventory: Inventory, migrate_data: Any, nics: Mapping[str, Nic], before: Equipment | None
) -> Equipment | None:
    """Return what an instance is to have on the host to which it is being live-migrated.

    What nova has claimed there stands in the migration's data, not in the instance.

    :param before: what it has on the host that it leaves, where that is in this process
    """
    found: dict[str, Any] = _firmware(instance)
    if before is not None:
        found.update(resources=before.resources, accelerators=before.accelerators)
    info = _field(migrate_data, "dst_numa_info")
    if info is not None:
        pins = sorted((int(vcpu), cpus) for vcpu, cpus in (_field(info, "cpu_pins") or {}).items())
        if inventory.pcpus and all(len(cpus) == 1 for _, cpus in pins):
            dedicated = {number for _, cpus in inventory.cell_cpus() for number in cpus}
            found["pinned_cpus"] = tuple(number for _, cpus in pins for number in cpus if number in dedicated)
    if inventory.pci:
        addresses = list((_field(migrate_data, "pci_dev_map_src_dst") or {}).values())
        slots = (nic.pci_address for nic in nics.values())
        found["pci"] = (*addresses, *(slot for slot in slots if slot is not None and slot not in addresses))
    return Equipment(**found) if any(found.values()) else None


def _field(versioned: Any, name: str) -> Any:
    """Return a field of a versioned object, None where it is not set."""
    return getattr(versioned, name) if versioned is not None and name in versioned else None


def _firmware(instance: Any) -> dict[str, Any]:
    """Return what flavor and image say of the TPM and of secure boot, and the certificates of the image."""
    found: dict[str, Any] = {}
    extra_specs = getattr(instance.flavor, "extra_specs", None) or {}
    metadata = getattr(instance, "system_metadata", None) or {}
    version = extra_specs.get("hw:tpm_version") or metadata.get("image_hw_tpm_version")
    if version:
        model = extra_specs.get("hw:tpm_model") or metadata.get("image_hw_tpm_model") or _TPM_MODEL
        found["vtpm"] = f"{version} {model}"
    policy = extra_specs.get("os:secure_boot") or metadata.get("image_os_secure_boot")
    if policy in (fields.SecureBoot.REQUIRED, fields.SecureBoot.OPTIONAL):
        found["secure_boot"] = True
    # Reading it where it is not loaded would ask the database.
    if getattr(instance, "obj_attr_is_set", dict(vars(instance)).__contains__)("trusted_certs"):
        certificates = instance.trusted_certs
        if certificates is not None:
            found["trusted_certs"] = tuple(certificates.ids)
    return found


def _resources(allocations: Mapping[str, Any]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for allocation in allocations.values():
        found.update({name: amount for name, amount in allocation["resources"].items() if name not in _COUNTED})
    return dict(found)


def _pinned(topology: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the host's processors that are the guest's alone, and those of its emulator."""
    cells = topology.cells if topology is not None else ()
    pinned = [cpu for cell in cells for _, cpu in sorted((cell.cpu_pinning or {}).items())]
    emulator = [cpu for cell in cells for cpu in sorted(_field(cell, "cpuset_reserved") or ())]
    return tuple(pinned), tuple(emulator)
