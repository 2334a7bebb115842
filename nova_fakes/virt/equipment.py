"""What a guest has beyond processors, memory and disks: devices that are its alone, further resources, firmware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["CPU_ITEM", "Equipment", "cpu_item", "pci_item", "pmem_item"]

#: What the names of processors begin with in claims.
CPU_ITEM = "cpu "


def cpu_item(number: int) -> str:
    """Return what claims call a processor of the host that one guest has for itself."""
    return f"{CPU_ITEM}{number}"


def pci_item(address: str) -> str:
    """Return what claims call a PCI device."""
    return f"PCI device {address}"


def pmem_item(name: str) -> str:
    """Return what claims call a namespace of persistent memory."""
    return f"persistent memory {name}"


@dataclass(frozen=True, slots=True)
class Equipment:
    """What a guest has, or is to have.

    :param pinned_cpus: processors of the host on which its own run, one each
    :param emulator_cpus: processors of the host that its emulator's threads have for themselves
    :param pci: addresses of devices of the host
    :param pmem: names of the host's namespaces of persistent memory
    :param accelerators: UUIDs of Cyborg's accelerator requests
    :param resources: how much it was allocated of resource classes other than processors, memory and disk
    :param vtpm: version and model of its TPM, ``2.0 tpm-crb``
    :param secure_boot: whether its firmware boots nothing unsigned
    :param trusted_certs: certificates by which its image was to be validated
    """

    pinned_cpus: tuple[int, ...] = ()
    emulator_cpus: tuple[int, ...] = ()
    pci: tuple[str, ...] = ()
    pmem: tuple[str, ...] = ()
    accelerators: tuple[str, ...] = ()
    resources: Mapping[str, int] = field(default_factory=dict)
    vtpm: str | None = None
    secure_boot: bool = False
    trusted_certs: tuple[str, ...] = ()

    def items(self) -> tuple[str, ...]:
        """Return the host's things that nobody else can have meanwhile, as claims call them."""
        return (
            *map(cpu_item, self.pinned_cpus),
            *map(cpu_item, self.emulator_cpus),
            *map(pci_item, self.pci),
            *map(pmem_item, self.pmem),
        )

    def described(self) -> dict[str, Any]:
        """Return what there is of it, by the names of the fields."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Equipment:
        """Make it again from what :func:`dataclasses.asdict` and JSON made of it."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in record.items()
        }
        return cls(**values)
