"""What a host has: capacity, processor, traits, and how far its capacity may be claimed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from nova_fakes.exceptions import InsufficientCapacity, InvalidInput
from nova_fakes.virt.guest import Claim

__all__ = ["Capacity", "Inventory", "PciDevice", "Provider"]

_PCI_ADDRESS = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]")
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
class Inventory:
    """What one host is equipped with.

    :param vcpus: processors
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
    :param cpu_model: of the processor
    :param cpu_features: of the processor
    :param architecture: nova's name for it
    :param hypervisor_version: as nova counts versions: a million for each major, a thousand for each minor
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
    cpu_model: str = "Skylake-Server"
    cpu_features: tuple[str, ...] = ("aes", "avx", "avx2", "pge", "sse4.2", "vmx")
    architecture: str = "x86_64"
    hypervisor_version: int = 1_000

    def __post_init__(self) -> None:
        for name in ("vcpus", "memory_mb"):
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
        physical = {device.address for device in self.pci if device.kind == "type-PF"}
        for device in self.pci:
            if device.parent is not None and device.parent not in physical:
                raise InvalidInput(
                    f"parent of PCI device {device.address}", device.parent, "list the physical function (type-PF) too"
                )

    def topology(self) -> dict[str, int]:
        """Return sockets, cores and threads whose product is the number of processors."""
        threads = 2 if self.vcpus % 2 == 0 else 1
        sockets = 2 if self.vcpus % (2 * threads) == 0 and self.vcpus > threads else 1
        return {"sockets": sockets, "cores": self.vcpus // (sockets * threads), "threads": threads}


class Capacity:
    """What of an inventory is claimed. Its hypervisor serialises the calls."""

    __slots__ = ("_inventory", "_since_s", "_vcpu_s", "disk_gb", "memory_mb", "vcpus")

    def __init__(self, inventory: Inventory, now_s: float) -> None:
        self._inventory = inventory
        self._vcpu_s = 0.0
        self._since_s = now_s
        self.vcpus = 0
        self.memory_mb = 0
        self.disk_gb = 0

    @property
    def used(self) -> Claim:
        """All claims together."""
        return Claim(self.vcpus, self.memory_mb, self.disk_gb)

    def vcpu_s(self, now_s: float) -> float:
        """Return for how long virtual processors were claimed, times their number, seconds."""
        return self._vcpu_s + self.vcpus * (now_s - self._since_s)

    def claim(self, host: str, wanted: Claim, now_s: float) -> None:
        """Take it, all or nothing.

        :raises InsufficientCapacity: names what there is too little of
        """
        inventory = self._inventory
        vcpus, memory_mb, disk_gb = wanted
        if inventory.vcpu_limit is not None:
            _check(host, "vcpus", self.vcpus, vcpus, inventory.vcpus * inventory.vcpu_limit)
        if inventory.memory_limit is not None:
            _check(host, "memory_mb", self.memory_mb, memory_mb, inventory.memory_mb * inventory.memory_limit)
        if inventory.disk_limit is not None:
            _check(host, "disk_gb", self.disk_gb, disk_gb, inventory.disk_gb * inventory.disk_limit)
        self._pass(now_s)
        self.vcpus += vcpus
        self.memory_mb += memory_mb
        self.disk_gb += disk_gb

    def restore(self, held: Claim) -> None:
        """Take again what was held before a restart, whatever the limits are now."""
        self.vcpus += held.vcpus
        self.memory_mb += held.memory_mb
        self.disk_gb += held.disk_gb

    def release(self, held: Claim, now_s: float) -> None:
        """Give it back."""
        self._pass(now_s)
        vcpus, memory_mb, disk_gb = held
        self.vcpus -= vcpus
        self.memory_mb -= memory_mb
        self.disk_gb -= disk_gb

    def _pass(self, now_s: float) -> None:
        self._vcpu_s += self.vcpus * (now_s - self._since_s)
        self._since_s = now_s


def _check(host: str, what: str, used: int, wanted: int, limit: float) -> None:
    if used + wanted > limit:
        raise InsufficientCapacity(
            f"host {host} has {limit:g} {what}, {used} of them claimed: {wanted} more do not fit; "
            "ask for less, free some or use another host"
        )


def _check_totals(what: str, resources: Mapping[str, int]) -> None:
    for name, total in resources.items():
        if total < 0:
            raise InvalidInput(f"{name} in {what}", total, "give how much there is, 0 or more")


def _check_distinct(what: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput(what, name, "it is listed twice; give each its own name")
