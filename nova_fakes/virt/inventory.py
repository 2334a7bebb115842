"""What a host is equipped with, and how far its capacity may be claimed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from nova_fakes.exceptions import InvalidInput
from nova_fakes.virt.equipment import cpu_item, pci_item, pmem_item

__all__ = ["Inventory", "NumaCell", "PciDevice", "PmemNamespace", "Provider"]

_PCI_ADDRESS = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]")
_ADDRESSINGS = ("static", "dhcp")
_SMALL_PAGE_KB = 4
_PCI_KINDS = ("type-PCI", "type-PF", "type-VF", "vdpa")


@dataclass(frozen=True, slots=True)
class Provider:
    """Resources that lie apart from the host's own, a resource provider of their own below the host's.

    :param name: what its name has after the host's and a hyphen
    :param resources: how much there is of each resource class
    :param traits: of the provider
    """

    name: str
    resources: Mapping[str, int]
    traits: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidInput("name of a provider", self.name, "give one: it tells a host's providers apart")
        _check_totals(f"resources of provider {self.name}", self.resources)


@dataclass(frozen=True, slots=True)
class PciDevice:
    """A PCI device that guests can be given.

    :param address: ``0000:81:00.0``
    :param kind: nova's name for it: type-PCI, type-PF, type-VF or vdpa
    :param parent: address of the physical function, for a virtual one
    :param parent_interface: name of the network interface of that physical function
    """

    address: str
    vendor_id: str
    product_id: str
    kind: str = "type-PCI"
    parent: str | None = None
    parent_interface: str | None = None
    numa_node: int | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        for name in ("address", "parent"):
            value = getattr(self, name)
            if value is not None and not _PCI_ADDRESS.fullmatch(value):
                raise InvalidInput(f"{name} of PCI device {self.address}", value, "write it as 0000:81:00.0")
        if self.kind not in _PCI_KINDS:
            raise InvalidInput(f"kind of PCI device {self.address}", self.kind, f"use one of {', '.join(_PCI_KINDS)}")
        if (self.parent is None) != (self.kind not in ("type-VF", "vdpa")):
            raise InvalidInput(
                f"parent of PCI device {self.address}", self.parent, "virtual functions have one, others have none"
            )


@dataclass(frozen=True, slots=True)
class NumaCell:
    """A NUMA cell of a host. Processors are numbered through all cells, a cell's shared ones before its dedicated ones.

    :param vcpus: processors that guests share
    :param memory_mb: memory, MiB
    :param pcpus: processors that guests have for themselves
    :param huge_pages: how many there are by their size in KiB: ``{"2048": 512}``
    :param socket: that it is on; None: one of its own
    :param physnets: physical networks to which it is near
    """

    vcpus: int
    memory_mb: int
    pcpus: int = 0
    huge_pages: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    socket: int | None = None
    physnets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.vcpus < 0 or self.pcpus < 0 or self.vcpus + self.pcpus == 0:
            raise InvalidInput("vcpus and pcpus of a NUMA cell", (self.vcpus, self.pcpus), "a cell has 1 or more")
        for size, total in self.huge_pages.items():
            if not size.isdecimal() or int(size) <= _SMALL_PAGE_KB:
                raise InvalidInput("huge_pages of a NUMA cell", size, "give sizes in KiB: 2048, 1048576")
            if total < 0:
                raise InvalidInput(f"huge_pages of a NUMA cell, {size}", total, "give how many there are, 0 or more")
        if self.huge_kb > self.memory_mb * 1024:
            raise InvalidInput(
                "huge_pages of a NUMA cell", dict(self.huge_pages), f"it has {self.memory_mb} MiB in all"
            )

    @property
    def huge_kb(self) -> int:
        """Memory in huge pages, KiB."""
        return sum(int(size) * total for size, total in self.huge_pages.items())

    def pages(self) -> dict[int, int]:
        """Return how many pages there are of each size, KiB; what is not in huge pages is in small ones."""
        small = (self.memory_mb * 1024 - self.huge_kb) // _SMALL_PAGE_KB
        return {_SMALL_PAGE_KB: small, **{int(size): total for size, total in sorted(self.huge_pages.items())}}


@dataclass(frozen=True, slots=True)
class PmemNamespace:
    """Persistent memory that one guest can be given.

    :param name: of the namespace, ``ns_0``
    :param label: under which flavors ask for it (``hw:pmem``)
    :param size_mb: MiB
    """

    name: str
    label: str
    size_mb: int

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_]+", self.label):
            raise InvalidInput(f"label of persistent memory {self.name}", self.label, "use letters, digits and _")
        if self.size_mb < 1:
            raise InvalidInput(f"size_mb of persistent memory {self.name}", self.size_mb, "give MiB, 1 or more")

    @property
    def resource_class(self) -> str:
        """The resource class by which placement counts it."""
        return f"CUSTOM_PMEM_NAMESPACE_{self.label.upper()}"


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one host is equipped with; where it has several nodes, each of these.

    :param vcpus: processors that guests share
    :param memory_mb: memory, MiB
    :param disk_gb: local disk, GiB
    :param vcpu_limit: how many times its processors may be claimed before the host refuses; None: it never does, as KVM
        never does, and nova's allocation ratios decide alone
    :param memory_limit: the same for memory
    :param disk_limit: the same for disk
    :param traits: further traits of the host
    :param resources: further resource classes and how much of each there is (``CUSTOM_…``)
    :param providers: resources that placement shall know apart from the host's own
    :param pci: devices that guests can be given
    :param numa: cells of the host, in their order; none: nova does not hear of any
    :param pmem: namespaces of persistent memory that guests can be given
    :param nodes: how many compute nodes the host is, as a host of bare-metal machines is several
    :param cpu_model: of the processor
    :param cpu_features: of the processor
    :param architecture: nova's name for it
    :param hypervisor_version: as nova counts versions: a million for each major, a thousand for each minor
    :param vif_addressing: how its guests' real interfaces get addresses: ``static`` or ``dhcp``
    """

    vcpus: int = 64
    memory_mb: int = 262_144
    disk_gb: int = 4_096
    vcpu_limit: float | None = None
    memory_limit: float | None = None
    disk_limit: float | None = None
    traits: frozenset[str] = frozenset()
    resources: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    providers: tuple[Provider, ...] = ()
    pci: tuple[PciDevice, ...] = ()
    numa: tuple[NumaCell, ...] = ()
    pmem: tuple[PmemNamespace, ...] = ()
    nodes: int = 1
    cpu_model: str = "Skylake-Server"
    cpu_features: tuple[str, ...] = ("aes", "avx", "avx2", "pge", "sse4.2", "vmx")
    architecture: str = "x86_64"
    hypervisor_version: int = 1_000
    vif_addressing: str = "static"

    def __post_init__(self) -> None:
        if self.vif_addressing not in _ADDRESSINGS:
            raise InvalidInput("vif_addressing", self.vif_addressing, f"use one of {', '.join(_ADDRESSINGS)}")
        for name in ("vcpus", "memory_mb", "nodes"):
            if getattr(self, name) < 1:
                raise InvalidInput(name, getattr(self, name), "a host has 1 or more")
        if self.disk_gb < 0:
            raise InvalidInput("disk_gb", self.disk_gb, "give 0 or more")
        for name in ("vcpu_limit", "memory_limit", "disk_limit"):
            limit = getattr(self, name)
            if limit is not None and limit <= 0:
                raise InvalidInput(name, limit, "give a factor above 0, or None for no limit")
        _check_totals("resources", self.resources)
        _check_distinct("providers", [provider.name for provider in self.providers])
        _check_distinct("pci", [device.address for device in self.pci])
        _check_distinct("pmem", [namespace.name for namespace in self.pmem])
        for name in ("vcpus", "memory_mb") if self.numa else ():
            total = sum(getattr(cell, name) for cell in self.numa)
            if total != getattr(self, name):
                raise InvalidInput(name, getattr(self, name), f"the NUMA cells have {total} together: let them agree")
        physical = {device.address for device in self.pci if device.kind == "type-PF"}
        for device in self.pci:
            if device.parent is not None and device.parent not in physical:
                raise InvalidInput(
                    f"parent of PCI device {device.address}", device.parent, "list the physical function (type-PF) too"
                )

    @property
    def pcpus(self) -> int:
        """Processors that guests can have for themselves."""
        return sum(cell.pcpus for cell in self.numa)

    def cell_cpus(self) -> list[tuple[range, range]]:
        """Return the numbers of each NUMA cell's shared and of its dedicated processors."""
        found, first = [], 0
        for cell in self.numa:
            dedicated = first + cell.vcpus
            end = dedicated + cell.pcpus
            found.append((range(first, dedicated), range(dedicated, end)))
            first = end
        return found

    def items(self) -> frozenset[str]:
        """Return everything that one guest at a time can have, as claims call it."""
        return frozenset(
            (
                *(cpu_item(number) for _, dedicated in self.cell_cpus() for number in dedicated),
                *(pci_item(device.address) for device in self.pci),
                *(pmem_item(namespace.name) for namespace in self.pmem),
            )
        )

    def totals(self) -> Mapping[str, int]:
        """Return how much there is of each further resource class, on whichever provider."""
        found = Counter(self.resources)
        for provider in self.providers:
            found.update(provider.resources)
        found.update(namespace.resource_class for namespace in self.pmem)
        return found

    def topology(self) -> dict[str, int]:
        """Return sockets, cores and threads whose product is the number of processors."""
        threads = 2 if self.vcpus % 2 == 0 else 1
        sockets = 2 if self.vcpus % (2 * threads) == 0 and self.vcpus > threads else 1
        return {"sockets": sockets, "cores": self.vcpus // (sockets * threads), "threads": threads}


def _check_totals(what: str, resources: Mapping[str, int]) -> None:
    for name, total in resources.items():
        if total < 0:
            raise InvalidInput(f"{name} in {what}", total, "give how much there is, 0 or more")


def _check_distinct(what: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput(what, name, "it is listed twice; give each its own name")
