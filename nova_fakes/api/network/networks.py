"""Networks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from nova_fakes.api.network import values
from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.collection import Collection
from nova_fakes.api.network.ports import Ports
from nova_fakes.api.network.qos_policies import QosPolicies
from nova_fakes.api.network.refusals import conflict, invalid_input
from nova_fakes.api.network.schema import Attribute, Schema
from nova_fakes.api.network.security_groups import SecurityGroups
from nova_fakes.api.network.segments import TYPES, Segments, segment_number
from nova_fakes.api.network.state import State
from nova_fakes.api.network.table import Record, Table
from nova_fakes.api.network.zones import HINTS, ZONES

__all__ = ["Networks"]

_AUTO_DELETED: Final = ("network:dhcp", "network:distributed")
_LEADING_OUT: Final = ("network:router_gateway", "network:floatingip")
_MTU_MIN, _MTU_MAX = 68, 65535


class Networks(Collection):
    """Networks; each has a segment, of type vxlan unless an administrator says otherwise.

    Args:
        state: the service's tables.
        ports: the ports, some of which go with their network.
        groups: the security groups; a project gets its default one with its first network.
        segments: the segments; a network has one from its beginning.
        policies: the policies of quality of service.
    """

    kind = "Network"
    schema = Schema(
        "network",
        {
            "name": Attribute(values.string(), default=""),
            "admin_state_up": Attribute(values.boolean, default=True),
            "shared": Attribute(values.boolean, default=False, guarded=True),
            "router:external": Attribute(values.boolean, default=False, guarded=True),
            "mtu": Attribute(values.integer(0, _MTU_MAX), default=0),
            "port_security_enabled": Attribute(values.boolean, default=True),
            "provider:network_type": Attribute(
                values.optional(values.one_of(TYPES)), guarded=True, hidden=True, put=False
            ),
            "provider:physical_network": Attribute(
                values.optional(values.string()), guarded=True, hidden=True, put=False
            ),
            "provider:segmentation_id": Attribute(segment_number, guarded=True, hidden=True, put=False),
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

    @property
    def table(self) -> Table:
        """The networks."""
        return self.state.networks

    def visible(self, caller: Caller, record: Record) -> bool:
        """Whether the network is the caller's, shared, or external."""
        return (
            caller.owns(record["project_id"])
            or self.state.is_shared(caller.project_id, record)
            or record["router:external"]
        )

    def view(self, caller: Caller, record: Record) -> Record:
        """Return a network with the ids of its subnets, and the address scopes that they are in."""
        subnets = self.state.subnets.find("network_id", record["id"])
        return {
            "qos_policy_id": None,
            "availability_zone_hints": [],
            **super().view(caller, record),
            "availability_zones": list(ZONES),
            "ipv4_address_scope": self._address_scope(subnets, 4),
            "ipv6_address_scope": self._address_scope(subnets, 6),
            "subnets": [subnet["id"] for subnet in subnets],
            "shared": self.state.is_shared(caller.project_id, record),
        }

    def _create(self, caller: Caller, values: Record) -> Record:
        self._enforce_quota(values["project_id"])
        values["mtu"] = self._mtu(values["mtu"])
        values.update(self._provider(values))
        policy_id = values.setdefault("qos_policy_id", self._policies.default(values["project_id"]))
        self._policies.change(caller, None, policy_id)
        self._groups.default(values["project_id"])
        network = self.table.insert(self._record(values, status="ACTIVE"))
        self._segments.begin(network)
        return network

    def _update(self, caller: Caller, old: Record, values: Record) -> Record:
        if "mtu" in values:
            values["mtu"] = self._mtu(values["mtu"])
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
        return self.state.update(self.table, old["id"], values)

    def _delete(self, caller: Caller, record: Record) -> None:
        ports = self.state.ports.find("network_id", record["id"])
        used = [port["id"] for port in ports if port["device_owner"] not in _AUTO_DELETED]
        if used:
            raise conflict(
                "NetworkInUse",
                f"Unable to complete operation on network {record['id']}. There are one or more ports still in use "
                f"on the network, id for these ports is: {','.join(used)}.",
            )
        for policy in self.state.rbac_policys.find("object_id", record["id"]):
            self.state.rbac_policys.delete(policy["id"])
        for port in ports:
            self._ports.delete_internal(port)
        for subnet in self.state.subnets.find("network_id", record["id"]):
            self.state.pools.pop(subnet["id"])
            self.state.subnets.delete(subnet["id"])
        for segment in self.state.segments.find("network_id", record["id"]):
            self.state.segments.delete(segment["id"])
        self.table.delete(record["id"])

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

    def _provider(self, wanted: Record) -> Record:
        """Return the provider attributes of a new network, all three of them."""
        kind = wanted.get("provider:network_type")
        physical = wanted.get("provider:physical_network")
        segment = wanted.get("provider:segmentation_id")
        if kind is None:
            if physical is not None or segment is not None:
                raise invalid_input("network_type required")
            kind = "vxlan"
        place = self._segments.take(kind, physical, segment)
        return {f"provider:{name}": value for name, value in place.items()}
