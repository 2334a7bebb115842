"""Segments: the layer-2 networks that a network is made of. Records; nothing is carried between them."""

from __future__ import annotations

from typing import Any, Final

from nova_fakes.api.network import values
from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.collection import Collection
from nova_fakes.api.network.refusals import conflict, forbidden, invalid_input, not_found
from nova_fakes.api.network.schema import REQUIRED, Attribute, Schema
from nova_fakes.api.network.table import Record, Table
from nova_fakes.exceptions import ApiError

__all__ = ["TYPES", "Segments", "segment_number"]

TYPES: Final = ("flat", "local", "vlan", "vxlan")
_PLACE: Final = ("network_type", "physical_network", "segmentation_id")
_HIDDEN: Final = ("tenant_id", "project_id", "tags")


def segment_number(value: Any) -> int | None:
    """Accept a VLAN's or tunnel's number, or None."""
    return None if value is None else int(values.integer(1, 2**24 - 1)(value))


class Segments(Collection):
    """Segments, of which every network has one from its beginning. For administrators only."""

    kind = "Segment"
    schema = Schema(
        "segment",
        {
            "name": Attribute(values.optional(values.string()), default=None),
            "network_id": Attribute(values.uuid_string, default=REQUIRED, put=False),
            "network_type": Attribute(values.one_of(TYPES), default=REQUIRED, put=False),
            "physical_network": Attribute(values.optional(values.string()), default=None, put=False),
            "segmentation_id": Attribute(segment_number, default=None, put=False),
        },
    )

    @property
    def table(self) -> Table:
        """The segments."""
        return self.state.segments

    def visible(self, caller: Caller, record: Record) -> bool:
        """Whether the caller may see segments at all."""
        return caller.is_privileged

    def view(self, caller: Caller, record: Record) -> Record:
        """Return a segment, which is of no project."""
        return {name: value for name, value in record.items() if name not in _HIDDEN}

    def take(self, kind: str, physical: str | None, number: int | None) -> Record:
        """Return the checked place of a new segment: network_type, physical_network and segmentation_id.

        Args:
            kind: one of `TYPES`.
            physical: network that it is on; flat and vlan need one.
            number: of the VLAN or tunnel; a tunnel gets one.

        Raises:
            ApiError: 400, they do not go together; 409, another segment is there.
        """
        if kind in ("flat", "vlan") and physical is None:
            raise invalid_input(f"physical_network required for {kind} provider network")
        if kind in ("local", "vxlan") and physical is not None:
            raise invalid_input(f"provider:physical_network specified for {kind} network")
        if kind in ("flat", "local") and number is not None:
            raise invalid_input(f"provider:segmentation_id specified for {kind} network")
        if kind == "vlan" and (number is None or number > 4094):
            raise invalid_input("segmentation_id out of range (1 through 4094)")
        found = {"network_type": kind, "physical_network": physical, "segmentation_id": number}
        named = number is not None or kind == "flat"
        if named and any(all(one[name] == found[name] for name in found) for one in self.table):
            raise _in_use(kind, physical, number)
        if kind == "vxlan" and number is None:
            used = {one["segmentation_id"] for one in self.table}
            while self.state.next_segment in used:
                self.state.next_segment += 1
            found["segmentation_id"] = self.state.next_segment
            self.state.next_segment += 1
        return found

    def begin(self, network: Record) -> None:
        """Give a network its first segment, which its provider attributes describe."""
        first = {name: network[f"provider:{name}"] for name in _PLACE}
        values = {"name": None, "description": "", "network_id": network["id"], "project_id": network["project_id"]}
        self.table.insert(self._record({**values, **first}))

    def complete(self) -> None:
        """Give the networks of an older state, which have none, their first segments."""
        for network in self.state.networks:
            if not self.table.count("network_id", network["id"]):
                self.begin(network)

    def _create(self, caller: Caller, values: Record) -> Record:
        if not caller.is_privileged:
            raise forbidden("create_segment")
        if values["network_id"] not in self.state.networks:
            raise not_found("NetworkNotFound", f"Network {values['network_id']} could not be found.")
        values.update(self.take(*(values[name] for name in _PLACE)))
        return self.table.insert(self._record(values))

    def _update(self, caller: Caller, old: Record, values: Record) -> Record:
        return self.state.update(self.table, old["id"], values)

    def _delete(self, caller: Caller, record: Record) -> None:
        subnets = self.state.subnets.find("network_id", record["network_id"])
        if users := [subnet["id"] for subnet in subnets if subnet.get("segment_id") == record["id"]]:
            raise conflict(
                "SegmentInUse",
                f"Segment '{record['id']}' cannot be deleted: The segment is still associated with subnet(s) "
                f"{', '.join(users)}.",
            )
        if self.table.count("network_id", record["network_id"]) == 1:
            raise conflict("SegmentInUse", f"Segment '{record['id']}' cannot be deleted: The network has no other.")
        self.table.delete(record["id"])


def _in_use(kind: str, physical: str | None, number: int | None) -> ApiError:
    if kind == "flat":
        return conflict(
            "FlatNetworkInUse", f"Unable to create the flat network. Physical network {physical} is in use."
        )
    if kind == "vlan":
        return conflict(
            "VlanIdInUse",
            f"Unable to create the network. The VLAN {number} on physical network {physical} is in use.",
        )
    return conflict("TunnelIdInUse", f"Unable to create the network. The tunnel ID {number} is in use.")
