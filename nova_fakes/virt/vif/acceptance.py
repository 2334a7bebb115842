"""Which VIFs a realizer takes, and as what: nova's types and VNIC types, substitutes, the host's addressing.

The same object answers `Realizer.describe` and refuses VIFs, so that what is told and what is done cannot differ.
"""

import dataclasses
from collections.abc import Sequence

from nova_fakes.exceptions import InvalidInput, VIFTypeRefused
from nova_fakes.virt.vif.base import UNBOUND_TYPES, VIF, addressing

__all__ = ["ORDINARY_TYPES", "SUBSTITUTE_TYPE", "VIF_TYPES", "VNIC_TYPES", "Acceptance", "flag"]

#: What nova binds (``VIF_TYPE_*`` in ``nova/network/model.py``), but for the two that say that nothing is bound.
VIF_TYPES = frozenset(
    {
        "802.1qbg",
        "802.1qbh",
        "agilio_ovs",
        "bridge",
        "dvs",
        "hostdev_physical",
        "hw_veb",
        "hyperv",
        "ib_hostdev",
        "iovisor",
        "ivs",
        "macvtap",
        "midonet",
        "other",
        "ovs",
        "tap",
        "vhostuser",
        "vif",
        "vrouter",
    }
)
#: ``VNIC_TYPE_*`` in the same place.
VNIC_TYPES = frozenset(
    {
        "accelerator-direct",
        "accelerator-direct-physical",
        "baremetal",
        "direct",
        "direct-physical",
        "macvtap",
        "normal",
        "remote-managed",
        "vdpa",
        "virtio-forwarder",
    }
)
#: Types that are an interface of the host with a plain end inside the instance.
ORDINARY_TYPES = frozenset({"bridge", "other", "ovs", "tap"})
SUBSTITUTE_TYPE = "other"
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class Acceptance:
    """Takes VIFs as they are, or as plain ports in their stead, or refuses them.

    :param name: the realizer's
    :param vif_types: those that it makes
    :param vnic_types: likewise
    :param allow_substitute: make a plain port of a VIF that it cannot make
    :param host_addressing: of VIFs that say nothing of it; None leaves that open
    :raises InvalidInput: an option cannot be used
    """

    def __init__(
        self,
        name: str,
        vif_types: frozenset[str] = ORDINARY_TYPES,
        vnic_types: frozenset[str] = frozenset({"normal"}),
        *,
        allow_substitute: bool | str = False,
        host_addressing: str | None = "static",
    ) -> None:
        self._name = name
        self._own_types, self._own_vnic_types = vif_types, vnic_types
        self._substitutes = flag(allow_substitute, "allow_substitute")
        self._addressing = None if host_addressing is None else addressing(host_addressing, "addressing")

    @property
    def vif_types(self) -> frozenset[str]:
        """The types of VIFs that are taken, substituted ones among them."""
        return self._own_types | VIF_TYPES if self._substitutes else self._own_types

    @property
    def vnic_types(self) -> frozenset[str]:
        """The VNIC types that are taken."""
        return self._own_vnic_types | VNIC_TYPES if self._substitutes else self._own_vnic_types

    def accept(self, vifs: Sequence[VIF]) -> list[VIF]:
        """Return the VIFs as the realizer is to make them.

        :raises VIFTypeRefused: one is of a type that it does not make
        """
        return [self._accept(vif) for vif in vifs]

    def _accept(self, vif: VIF) -> VIF:
        if vif.type in UNBOUND_TYPES:
            raise VIFTypeRefused(f"type of VIF {vif.id}", vif.type, "bind the port to this host first")
        self._check(vif, "type", vif.type, self.vif_types, self._own_types)
        self._check(vif, "vnic_type", vif.vnic_type, self.vnic_types, self._own_vnic_types)
        own = vif.type in self._own_types and vif.vnic_type in self._own_vnic_types
        if own and (vif.addressing is not None or self._addressing is None):
            return vif
        return dataclasses.replace(
            vif,
            type=vif.type if own else SUBSTITUTE_TYPE,
            vnic_type=vif.vnic_type if own else "normal",
            addressing=vif.addressing or self._addressing,
        )

    def _check(self, vif: VIF, field: str, value: str, taken: frozenset[str], own: frozenset[str]) -> None:
        if value in taken:
            return
        cure = f"the {self._name} realizer makes {', '.join(sorted(own))}"
        if not self._substitutes and value in VIF_TYPES | VNIC_TYPES:
            cure += "; with allow_substitute it makes a plain port of it, and null takes it as it is"
        raise VIFTypeRefused(f"{field} of VIF {vif.id}", value, cure)


def flag(value: bool | str, field: str) -> bool:
    """Read an option that nova.conf or a command line gives as text.

    :raises InvalidInput: it says neither yes nor no
    """
    found = value if isinstance(value, bool) else _TRUTHS.get(value.lower())
    if found is None:
        raise InvalidInput(field, value, "use true or false")
    return found
