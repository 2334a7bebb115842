"""Networks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from nova_fakes.api.network import values
from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.collection import Matcher
from nova_fakes.api.network.ports import Ports
from nova_fakes.api.network.qos_policies import QosPolicies
from nova_fakes.api.network.refusals import bad_request, conflict, invalid_input
from nova_fakes.api.network.schema import Attribute, Schema
from nova_fakes.api.network.security_groups import SecurityGroups
from nova_fakes.api.network.segments import PLACE, TYPES, Segments, provider_segments, segment_number
from nova_fakes.api.network.shareable import SHARED, Shareable, in_use
from nova_fakes.api.network.state import State
from nova_fakes.api.network.table import Record, Table
from nova_fakes.api.network.zones import HINTS, ZONES

__all__ = ["Networks"]

_AUTO_DELETED: Final = ("network:dhcp", "network:distributed")
_LEADING_OUT: Final = ("network:router_gateway", "network:floatingip")
_MTU_MIN, _MTU_MAX = 68, 65535
EXTERNAL: Final = "access_as_external"


class Networks(Shareable):
    """Networks; each has a segment, of type vxlan unless an administrator names another, or several.

    Args:
        state: the service's tables.
        ports: the ports, some of which go with their network.
        groups: the security groups; a project gets its default one with its first network.
        segments: the segments; a network has one from its beginning.
        policies: the policies of quality of service.
    """

    kind = "Network"
    object_type = "network"
    actions = (SHARED, EXTERNAL)
    schema = Schema(
        "network",
        {
            "name": Attribute(values.string(), default=""),
            "admin_state_up": Attribute(values.boolean, default=True),
            "shared": Attribute(values.boolean, default=False, guarded=True),
            "router:external": Attribute(values.boolean, default=False, guarded=True),
            "mtu": Attribute(values.integer(0, _MTU_MAX), default=0),
            "port_security_enabled": Attribute(values.boolean, default=True),
            "provider:network_type": Attribute(values.optional(values.one_of(TYPES)), guarded=True, hidden=True),
            "provider:physical_network": Attribute(values.optional(values.string()), guarded=True, hidden=True),
            "provider:segmentation_id": Attribute(segment_number, guarded=True, hidden=True),
            "segments": Attribute(provider_segments, guarded=True, hidden=True, put=False, filters=False),
            "dns_domain": Attribute(values.dns_domain, default="", filters=False),
            "qos_policy_id": Attribute(values.optional(values.uuid_string)),
            "availability_zone_hints": Attribute(HINTS, default=[], put=False, filters=False),
            "availability_zones": Attribute(post=False, put=False, filters=False),
            "ipv4_address_scope": Attribute(post=False, put=False, filters=False),
            "ipv6_address_scope": Attribute(post=False, put=False, filters=False),
            "status": Attribute(post=False, put=False),
            "subnets": Attribute(post=False, put=False, filters=False),
        },
    )

    def __init__(
        self, state: State, ports: Ports, groups: SecurityGroups, segments: Segments, policies: QosPolicies
    ) -> None:
        super().__init__(state)
        self._ports = ports
        self._groups = groups
        self._segments = segments
        self._policies = policies
        self.matchers = {f"provider:{name}": self._segment_matcher(f"provider:{name}") for name in PLACE}

    @property
    def table(self) -> Table:
        """The networks."""
        return self.state.networks

    def visible(self, caller: Caller, record: Record) -> bool:
        """Whether the network is the caller's, shared with him, or leads outside for him."""
        return super().visible(caller, record) or self.state.leads_outside(caller.project_id, record)

    def view(self, caller: Caller, record: Record) -> Record:
        """Return a network with the ids of its subnets, and the address scopes that they are in."""
        subnets = self.state.subnets.find("network_id", record["id"])
        shown = super().view(caller, record)
        if caller.is_privileged and self.state.segments.count("network_id", record["id"]) > 1:
            segments = self._segments.of_network(record["id"])
            shown = {**{name: value for name, value in shown.items() if name not in segments[0]}, "segments": segments}
        return {
            "qos_policy_id": None,
            "availability_zone_hints": [],
            **shown,
            "availability_zones": list(ZONES),
            "ipv4_address_scope": self._address_scope(subnets, 4),
            "ipv6_address_scope": self._address_scope(subnets, 6),
            "subnets": [subnet["id"] for subnet in subnets],
        }

    def users(self, record: Record) -> set[str]:
        """Return the other projects that have ports on a network."""
        ports = self.state.ports.find("network_id", record["id"])
        return {port["project_id"] for port in ports} - {record["project_id"], ""}

    def check_removal(self, policy: Record, new_target: str | None = None) -> None:
        """Refuse to take a network from projects that have ports there, or routers that lead outside by it; 409."""
        if policy["action"] == SHARED:
            # Who has a policy of his own does not depend on the one for all; the new one does not count yet.
            super().check_removal(policy)
            return
        routers = self.state.ports.find("network_id", policy["object_id"])
        used = {
            self.state.routers[port["device_id"]]["project_id"]
            for port in routers
            if port["device_owner"] == "network:router_gateway"
        }
        others = (self.targets(policy["object_id"], EXTERNAL) - {policy["target_tenant"]}) | {new_target}
        if "*" in others:
            return
        if used - others if policy["target_tenant"] == "*" else policy["target_tenant"] in used:
            raise in_use(
                policy["object_id"], "There are routers attached to this network that depend on this policy for access."
            )

    def granted(self, policy: Record) -> None:
        """Follow a policy that has come: one for a way outside makes the network external."""
        super().granted(policy)
        if policy["action"] == EXTERNAL:
            self.table.update(policy["object_id"], {"router:external": True})

    def revoked(self, policy: Record) -> None:
        """Follow a policy that has gone: with the last one for a way outside, the network leads nowhere."""
        super().revoked(policy)
        if policy["action"] == EXTERNAL and not self.targets(policy["object_id"], EXTERNAL):
            self.table.update(policy["object_id"], {"router:external": False})

    def _create(self, caller: Caller, values: Record) -> Record:
        self._enforce_quota(values["project_id"])
        values["mtu"] = self._mtu(values["mtu"])
        places = self._places(values)
        values.update({f"provider:{name}": value for name, value in places[0].items()})
        policy_id = values.setdefault("qos_policy_id", self._policies.default(values["project_id"]))
        self._policies.change(caller, None, policy_id)
        self._groups.default(values["project_id"])
        network = self._insert(self._record(values, status="ACTIVE"))
        if network["router:external"]:
            self._grant(network, EXTERNAL)
        self._segments.begin(network, places)
        return network

    def _update(self, caller: Caller, old: Record, values: Record) -> Record:
        if "mtu" in values:
            values["mtu"] = self._mtu(values["mtu"])
        self._renumber(old, values)
        if "qos_policy_id" in values:
            self._policies.change(caller, old.get("qos_policy_id"), values["qos_policy_id"])
            self._ports.check_network_policy(old, values["qos_policy_id"])
        ports = self.state.ports.find("network_id", old["id"])
        if old["router:external"] and values.get("router:external") is False:
            leading_out = [port for port in ports if port["device_owner"] in _LEADING_OUT]
            if leading_out:
                raise conflict(
                    "ExternalNetworkInUse",
                    f"External network {old['id']} cannot be updated to be made non-external, since it has existing "
                    f"gateway ports.",
                )
        if old["shared"] and values.get("shared") is False:
            others = {port["project_id"] for port in ports} - {old["project_id"], ""}
            if others:
                raise conflict(
                    "InvalidSharedSetting",
                    f"Unable to reconfigure sharing settings for network {old['id']}. Multiple projects are using it.",
                )
        external = values.get("router:external", old["router:external"])
        if external and not old["router:external"]:
            self._grant(old, EXTERNAL)
        elif old["router:external"] and not external:
            for policy in self._of_action(old["id"], EXTERNAL):
                self.state.rbac_policys.delete(policy["id"])
        return self._change(old, values)

    def _delete(self, caller: Caller, record: Record) -> None:
        ports = self.state.ports.find("network_id", record["id"])
        used = [port["id"] for port in ports if port["device_owner"] not in _AUTO_DELETED]
        if used:
            raise conflict(
                "NetworkInUse",
                f"Unable to complete operation on network {record['id']}. There are one or more ports still in use "
                f"on the network, id for these ports is: {','.join(used)}.",
            )
        for port in ports:
            self._ports.delete_internal(port)
        for subnet in self.state.subnets.find("network_id", record["id"]):
            self.state.pools.pop(subnet["id"])
            self.state.subnets.delete(subnet["id"])
        for segment in self.state.segments.find("network_id", record["id"]):
            self.state.segments.delete(segment["id"])
        self._remove(record)

    def _segment_matcher(self, name: str) -> Matcher:
        """Return what matches networks by an attribute of any of their segments."""
        return lambda network, wanted: any(str(one[name]) in wanted for one in self._segments.of_network(network["id"]))

    def _address_scope(self, subnets: Iterable[Record], version: int) -> str | None:
        """Return the address scope of the pool that subnets of one IP version are cut out of, or None."""
        pools = (
            self.state.subnetpools.get(one["subnetpool_id"] or "") for one in subnets if one["ip_version"] == version
        )
        return next((pool["address_scope_id"] for pool in pools if pool is not None), None)

    def _mtu(self, wanted: int) -> int:
        if wanted == 0:
            return self.state.mtu
        if wanted < _MTU_MIN:
            raise invalid_input(f"Requested MTU {wanted} is too small, the minimum is {_MTU_MIN}")
        return wanted

    def _places(self, wanted: Record) -> list[Record]:
        """Return the places of a new network's segments, which its request names in one of two ways or not at all."""
        segments = wanted.pop("segments", None)
        kind, physical, number = (wanted.get(f"provider:{name}") for name in PLACE)
        if segments is not None and (kind, physical, number) != (None, None, None):
            raise bad_request(
                "Invalid input for operation: Segments and provider values cannot both be set.",
                "SegmentsSetInConjunctionWithProviders",
            )
        if segments is None:
            if kind is None and (physical is not None or number is not None):
                raise invalid_input("network_type required")
            return [self._segments.take(kind or "vxlan", physical, number)]
        places: list[Record] = []
        for one in segments:
            kind, physical, number = (one[name] for name in PLACE)
            places.append(self._segments.take(kind, physical, number, places))
        return places

    def _renumber(self, old: Record, values: Record) -> None:
        """Move a network to another VLAN, the one change of its place that there is; ApiError 400, 409."""
        fixed = ("provider:network_type", "provider:physical_network")
        if any(values.get(name) not in (None, old[name]) for name in fixed):
            raise invalid_input(
                f"Plugin does not support updating the following provider network attributes: {', '.join(fixed)}"
            )
        number = values.pop("provider:segmentation_id", None)
        for name in fixed:
            values.pop(name, None)
        if number is None:
            return
        segment, *others = self.state.segments.find("network_id", old["id"])
        if others:
            raise invalid_input(
                "Provider network attributes can be updated only in provider networks with a single segment."
            )
        if segment["network_type"] != "vlan":
            raise invalid_input("Only VLAN type networks can be updated.")
        self._segments.take("vlan", segment["physical_network"], number)
        self.state.update(self.state.segments, segment["id"], {"segmentation_id": number})
        values["provider:segmentation_id"] = number
