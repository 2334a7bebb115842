"""Segments: the layer-2 networks that a network is made of. Records; nothing is carried between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from nova_fakes.api.network import values
from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.collection import Collection
from nova_fakes.api.network.refusals import bad_request, conflict, forbidden, invalid_input, not_found, refuse
from nova_fakes.api.network.schema import REQUIRED, Attribute, Schema
from nova_fakes.api.network.table import Record, Table
from nova_fakes.exceptions import ApiError

__all__ = ["PLACE", "TYPES", "Segments", "provider_segments", "segment_number"]

TYPES: Final = ("flat", "geneve", "gre", "local", "vlan", "vxlan")
PLACE: Final = ("network_type", "physical_network", "segmentation_id")
_VLANS: Final = 4094
_HIDDEN: Final = ("tenant_id", "project_id", "tags")


def segment_number(value: Any) -> int | None:
    """Accept a VLAN's or tunnel's number, or None."""
    return None if value is None else int(values.integer(1, 2**24 - 1)(value))


def provider_segments(value: Any) -> list[Record]:
    """Accept the places of a network's segments, each with provider attributes; return them with all three."""
    if not isinstance(value, list) or not value or not all(isinstance(one, dict) for one in value):
        raise ValueError(f"'{value}' is not a list of segments, or is empty")
    known = {f"provider:{name}" for name in PLACE}
    unknown = sorted({str(name) for one in value for name in one} - known)
    if unknown:
        raise bad_request(f"Unrecognized attribute(s) '{', '.join(unknown)}'")
    places = []
    for one in value:
        kind, physical, number = (one.get(f"provider:{name}") for name in PLACE)
        if kind is None:
            raise invalid_input("network_type required")
        if kind not in TYPES:
            raise invalid_input(f"network_type value '{kind}' not supported")
        physical = values.optional(values.string())(physical)
        places.append({"network_type": kind, "physical_network": physical, "segmentation_id": segment_number(number)})
    if any(_is_whole(one) and places.count(one) > 1 for one in places):
        raise bad_request(
            "Invalid input for operation: Duplicate segment entry in request.", "SegmentsContainDuplicateEntry"
        )
    return places


def _is_whole(place: Record) -> bool:
    """Whether nothing of a segment's place is left to the service to choose."""
    if place["network_type"] in ("flat", "local"):
        return True
    named = place["segmentation_id"] is not None
    return named and (place["network_type"] != "vlan" or place["physical_network"] is not None)


class Segments(Collection):
    """Segments, of which every network has one or more from its beginning. For administrators only."""

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

    def take(self, kind: str, physical: str | None, number: int | None, beside: Sequence[Record] = ()) -> Record:
        """Return the checked place of a new segment: network_type, physical_network and segmentation_id.

        Args:
            kind: one of `TYPES`.
            physical: network that it is on; flat and vlan need one.
            number: of the VLAN or tunnel; None gets a free one.
            beside: further places that are taken, of segments that are made together with this one.

        Raises:
            ApiError: 400, they do not go together; 409, another segment is there.
        """
        if kind in ("flat", "vlan") and physical is None:
            raise invalid_input(f"physical_network required for {kind} provider network")
        if kind not in ("flat", "vlan") and physical is not None:
            raise invalid_input(f"provider:physical_network specified for {kind} network")
        if kind in ("flat", "local") and number is not None:
            raise invalid_input(f"provider:segmentation_id specified for {kind} network")
        if kind == "vlan" and (number or 1) > _VLANS:
            raise invalid_input("segmentation_id out of range (1 through 4094)")
        found = {"network_type": kind, "physical_network": physical, "segmentation_id": number}
        named = number is not None or kind == "flat"
        if named and any(all(one[name] == found[name] for name in found) for one in (*self.table, *beside)):
            raise _in_use(kind, physical, number)
        if number is None and kind not in ("flat", "local"):
            found["segmentation_id"] = self._free_number(kind, physical, beside)
        return found

    def _free_number(self, kind: str, physical: str | None, beside: Sequence[Record]) -> int:
        """Return the number of a VLAN that a physical network has left, or of a tunnel; ApiError 503."""
        taken = (*self.table, *beside)
        same = [one for one in taken if (one["network_type"], one["physical_network"]) == (kind, physical)]
        used = {one["segmentation_id"] for one in same}
        if kind == "vlan":
            free = next((number for number in range(1, _VLANS + 1) if number not in used), None)
            if free is None:
                raise refuse(
                    503,
                    "NoNetworkAvailable",
                    "Unable to create the network. No tenant network is available for allocation.",
                )
            return free
        while self.state.next_segment in used:
            self.state.next_segment += 1
        self.state.next_segment += 1
        return self.state.next_segment - 1

    def begin(self, network: Record, places: Iterable[Record]) -> None:
        """Give a network its first segments, in their order; its provider attributes describe the first of them."""
        values = {"name": None, "description": "", "network_id": network["id"], "project_id": network["project_id"]}
        for place in places:
            self.table.insert(self._record({**values, **place}))

    def of_network(self, network_id: str) -> list[Record]:
        """Return the places of a network's segments as networks show them."""
        return [
            {f"provider:{name}": segment[name] for name in PLACE}
            for segment in self.table.find("network_id", network_id)
        ]

    def complete(self) -> None:
        """Give the networks of an older state, which have none, their first segments."""
        for network in self.state.networks:
            if not self.table.count("network_id", network["id"]):
                self.begin(network, [{name: network[f"provider:{name}"] for name in PLACE}])

    def _create(self, caller: Caller, values: Record) -> Record:
        if not caller.is_privileged:
            raise forbidden("create_segment")
        if values["network_id"] not in self.state.networks:
            raise not_found("NetworkNotFound", f"Network {values['network_id']} could not be found.")
        values.update(self.take(*(values[name] for name in PLACE)))
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
        self.state.networks.update(record["network_id"], self.of_network(record["network_id"])[0])


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
