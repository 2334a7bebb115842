"""What links of a fabric must not share: device names on the hosts' side, MACs on a network."""

import os
from collections.abc import Iterable

from nova_fakes.exceptions import InvalidInput
from nova_fakes.virt.vif.base import VIF
from nova_fakes.virt.vif.instances import Link

__all__ = ["Claims"]


class Claims:
    """Knows which VIF has which names and which MAC."""

    def __init__(self) -> None:
        self._devnames: dict[str, str] = {}
        self._macs: dict[tuple[str, str], str] = {}

    def check_mac(self, vif: VIF) -> None:
        """Refuse a VIF whose MAC another one has on its network.

        :raises InvalidInput: it does
        """
        other = self._macs.get((vif.network_id, vif.address))
        if other is not None and other != vif.id:
            raise InvalidInput(
                f"address of VIF {vif.id}",
                vif.address,
                f"VIF {other} has this MAC on network {vif.network_id}; give each port its own",
            )

    def devname(self, vif: VIF) -> str:
        """Return the name for a VIF's host end: its own, where no other VIF has that.

        Two hosts may use one name; on the fabric they share a namespace.
        """
        taken = self._devnames.get(vif.devname, vif.id) != vif.id
        return f"nfv{os.urandom(5).hex()}" if taken else vif.devname

    def are_free(self, devnames: Iterable[str]) -> bool:
        """Tell whether nobody has any of these names."""
        return self._devnames.keys().isdisjoint(devnames)

    def take(self, vif_id: str, link: Link) -> None:
        """Let a VIF have its link's name and MAC."""
        self._devnames[link.devname] = vif_id
        self._macs[link.network_id, link.seat.mac] = vif_id

    def drop(self, link: Link) -> None:
        """Let others have them."""
        self._devnames.pop(link.devname, None)
        self._macs.pop((link.network_id, link.seat.mac), None)

    def take_names(self, vif_id: str, devnames: Iterable[str]) -> None:
        """Let a VIF have further names."""
        self._devnames.update(dict.fromkeys(devnames, vif_id))

    def drop_names(self, devnames: Iterable[str]) -> None:
        """Let others have them."""
        for devname in devnames:
            self._devnames.pop(devname, None)
