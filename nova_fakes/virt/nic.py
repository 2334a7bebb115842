"""A guest's interface as the model keeps it: nova's own description of the VIF, read no further than needed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from nova_fakes.exceptions import DeviceInUse, InvalidInput, VIFTypeRefused

__all__ = ["Departing", "Nic", "VIFReader", "Wiring", "check_addresses", "leave_behind", "read_nics"]

_MAC = re.compile(r"[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}")
_DEVNAME_MAX = 15
#: What Neutron says of a port that no host has (``nova/network/model.py``).
_UNBOUND_TYPES = frozenset({"unbound", "binding_failed"})

#: Turns nova's description into what a realizer takes. The model does not know nova's formats: its adapter brings this.
VIFReader = Callable[[Mapping[str, Any]], Any]


class Nic:
    """One interface.

    :param info: one element of nova's network_info
    :raises InvalidInput: it has no id, no usable MAC or too long a device name
    """

    __slots__ = ("_vif", "address", "devname", "id", "info")

    def __init__(self, info: Mapping[str, Any]) -> None:
        vif_id = info.get("id")
        if not vif_id:
            raise InvalidInput("id of a VIF", vif_id, "give the id of its port")
        address = info.get("address")
        if not isinstance(address, str) or _MAC.fullmatch(address) is None:
            raise InvalidInput(f"address of VIF {vif_id}", address, "give a MAC as six pairs of hex digits")
        devname = info.get("devname") or f"tap{vif_id[:11]}"
        if len(devname) > _DEVNAME_MAX:
            raise InvalidInput(f"devname of VIF {vif_id}", devname, f"use at most {_DEVNAME_MAX} characters")
        self.id: str = vif_id
        self.address: str = address
        self.devname: str = devname
        self.info = info
        self._vif: Any = None

    @property
    def pci_address(self) -> str | None:
        """Address of the PCI device of the host that it is; None for one of software."""
        return (self.info.get("profile") or {}).get("pci_slot")

    def require_bound(self) -> None:
        """Raise VIFTypeRefused where its port is bound to no host."""
        kind = self.info.get("type")
        if kind in _UNBOUND_TYPES:
            raise VIFTypeRefused(f"type of VIF {self.id}", kind, "bind the port to this host first")

    def vif(self, read: VIFReader) -> Any:
        """Return the interface as a realizer takes it, read once.

        :raises InvalidInput: something in nova's description cannot be used
        """
        if self._vif is None:
            self._vif = read(self.info)
        return self._vif


def read_nics(network_info: Iterable[Mapping[str, Any]] | None, distinct: bool = True) -> dict[str, Nic]:
    """Return the interfaces of a network_info by VIF id, in its order.

    :param distinct: refuse two of them with one MAC address
    :raises InvalidInput: an element cannot be used
    :raises DeviceInUse: two of them have one MAC address
    """
    if not network_info:
        return {}
    nics: dict[str, Nic] = {}
    for info in network_info:
        nic = Nic(info)
        nics[nic.id] = nic
    if distinct and len(nics) > 1:
        check_addresses(nics.values())
    return nics


def check_addresses(nics: Iterable[Nic]) -> None:
    """Refuse two interfaces with one MAC address on one guest.

    :raises DeviceInUse: names both
    """
    seen: dict[str, str] = {}
    for nic in nics:
        address = nic.address.lower()
        other = seen.setdefault(address, nic.id)
        if other != nic.id:
            raise DeviceInUse(f"VIFs {other} and {nic.id} both have the MAC {address}: give each port its own")


class Wiring(Protocol):
    """What the model asks of a VIF realizer; :class:`nova_fakes.virt.vif.base.Realizer` is one."""

    name: str

    def plug(self, instance: str, vifs: Sequence[Any], *, up: bool = True) -> None:
        """Make whatever of these VIFs is missing; all of them or none."""

    def unplug(self, instance: str, vifs: Sequence[Any] | None = None) -> None:
        """Remove these VIFs, or all of the guest's where None."""

    def set_link(self, instance: str, up: bool) -> None:
        """Give the guest its link or take it."""

    def counters(self, instance: str) -> Mapping[str, Any]:
        """Read the guest's interface counters by VIF id."""

    def prepare_migration(self, instance: str, vifs: Sequence[Any]) -> None:
        """Prepare this host, the destination."""

    def migrate(self, instance: str, vifs: Sequence[Any], source: Any) -> None:
        """Take the guest's interfaces over from the source's realizer."""

    def abort_migration(self, instance: str, vifs: Sequence[Any]) -> None:
        """Undo what was prepared on this host, the destination."""

    def namespace(self, instance: str) -> str | None:
        """Return the path of the guest's network namespace, None where there is none."""

    def close(self) -> None:
        """Give up everything that the realizer holds."""


@runtime_checkable
class Departing(Protocol):
    """A realizer that can tell an instance that lives on elsewhere from one that ends."""

    def depart(self, instance: str, vifs: Sequence[Any] | None = None) -> None:
        """Remove what `unplug` removes, and give nothing back: the instance has its addresses elsewhere."""


def leave_behind(realizer: Any, instance: str) -> None:
    """Remove what an instance that lives on elsewhere has left at a realizer, as far as that knows the difference."""
    if isinstance(realizer, Departing):
        realizer.depart(instance)
    else:
        realizer.unplug(instance)
