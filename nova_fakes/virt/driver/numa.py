"""A host's NUMA cells as nova's objects, and where on them a live-migrated guest is to run."""

from __future__ import annotations

from typing import Any

from nova import objects

from nova_fakes.virt.inventory import Inventory

__all__ = ["host_topology", "numa_info"]


def host_topology(inventory: Inventory, options: Any) -> Any:
    """Return nova's NUMATopology of a host by the options of its nova.conf; None where it has no cells.

    What guests use of it nova's resource tracker counts by itself.
    """
    if not inventory.numa:
        return None
    tunneled = options.neutron_tunnel.numa_nodes if "neutron_tunnel" in options else ()
    cells = []
    for number, (cell, (shared, dedicated)) in enumerate(zip(inventory.numa, inventory.cell_cpus(), strict=True)):
        cpus = [*shared, *dedicated]
        threads = 2 if len(cpus) % 2 == 0 else 1
        cells.append(
            objects.NUMACell(
                id=number,
                socket=number if cell.socket is None else cell.socket,
                cpuset=set(shared),
                pcpuset=set(dedicated),
                memory=cell.memory_mb,
                cpu_usage=0,
                memory_usage=0,
                pinned_cpus=set(),
                siblings=[set(cpus[first : first + threads]) for first in range(0, len(cpus), threads)],
                mempages=[
                    objects.NUMAPagesTopology(
                        size_kb=kib, total=total, used=0, reserved=_reserved(options, number, kib)
                    )
                    for kib, total in cell.pages().items()
                ],
                network_metadata=objects.NetworkMetadata(physnets=set(cell.physnets), tunneled=number in tunneled),
            )
        )
    return objects.NUMATopology(cells=cells)


def _reserved(options: Any, cell: int, size_kb: int) -> int:
    """Return how many pages of a cell nova.conf keeps from guests."""
    for reserved in options.reserved_huge_pages or ():
        if int(reserved["node"]) == cell and _page_kb(str(reserved["size"])) == size_kb:
            return int(reserved["count"])
    return 0


def _page_kb(text: str) -> int:
    """Return KiB of a page's size as nova.conf writes it: 2048, 2MB, 1GB."""
    for suffix, factor in (("GB", 1 << 20), ("MB", 1 << 10), ("KB", 1)):
        if text.upper().endswith(suffix):
            return int(text[: -len(suffix)]) * factor
    return int(text)


def numa_info(topology: Any, inventory: Inventory) -> Any:
    """Return on which processors of this host the guest's shall run, as libvirt's driver tells its source.

    :param topology: nova's InstanceNUMATopology as it has been claimed here
    """
    info = objects.LibvirtLiveMigrateNUMAInfo(cpu_pins={}, cell_pins={}, emulator_pins=set())
    shared_of = [set(shared) for shared, _ in inventory.cell_cpus()]
    for number, cell in enumerate(topology.cells if topology is not None else ()):
        pinning = cell.cpu_pinning or {}
        for vcpu in cell.total_cpus:
            info.cpu_pins[str(vcpu)] = {pinning[vcpu]} if vcpu in pinning else shared_of[cell.id]
        info.cell_pins[str(number)] = {cell.id}
        info.emulator_pins |= set(cell.cpuset_reserved or ()) or set(pinning.values()) or shared_of[cell.id]
    return info
