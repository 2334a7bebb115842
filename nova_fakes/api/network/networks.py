"""Networks."""

from __future__ import annotations

from typing import Any, Final

from nova_fakes.api.network import values
from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.collection import Collection
from nova_fakes.api.network.ports import Ports
from nova_fakes.api.network.refusals import conflict, invalid_input
from nova_fakes.api.network.schema import Attribute, Schema
from nova_fakes.api.network.security_groups import SecurityGroups
from nova_fakes.api.network.state import State
from nova_fakes.api.network.table import Record, Table

__all__ = ["Networks"]

_TYPES: Final = ("flat", "local", "vlan", "vxlan")
_AUTO_DELETED: Final = ("network:dhcp", "network:distributed")
_LEADING_OUT: Final = ("network:router_gateway", "network:floatingip")
_MTU_MIN, _MTU_MAX = 68, 65535


def _segment(value: Any) -> int | None:
    return None if value is None else int(values.integer(1, 2**24 - 1)(value))


class Networks(Collection):
    """Networks; each has a segment, of type vxlan unless an administrator says otherwise.

    Args:
        state: the service's tables.
        ports: the ports, some of which go with their network.
        groups: the security groups; a project gets its default one with its first network.
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
                values.optional(values.one_of(_TYPES)), guarded=True, hidden=True, put=False
            ),
            "provider:physical_network": Attribute(
                values.optional(values.string()), guarded=True, hidden=True, put=False
            ),
            "provider:segmentation_id": Attribute(_segment, guarded=True, hidden=True, put=False),
            "dns_domain": Attribute(values.dns_domain, default="", filters=False),
            "status": Attribute(post=False, put=False),
            "subnets": Attribute(post=False, put=False, filters=False),
        },
    )

    def __init__(self, state: State, ports: Ports, groups: SecurityGroups) -> None:
        super().__init__(state)
        self._ports = ports
        self._groups = groups

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
        """Return a network with the ids of its subnets."""
        subnets = [subnet["id"] for subnet in self.state.subnets.find("network_id", record["id"])]
        shared = self.state.is_shared(caller.project_id, record)
        return {**super().view(caller, record), "subnets": subnets, "shared": shared}

    def _create(self, caller: Caller, values: Record) -> Record:
        self._enforce_quota(values["project_id"])
        values["mtu"] = self._mtu(values["mtu"])
        values.update(self._provider(values))
        self._groups.default(values["project_id"])
        return self.table.insert(self._record(values, status="ACTIVE"))

    def _update(self, caller: Caller, old: Record, values: Record) -> Record:
        if "mtu" in values:
            values["mtu"] = self._mtu(values["mtu"])
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
        self.table.delete(record["id"])

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
        if kind in ("flat", "vlan") and physical is None:
            raise invalid_input(f"physical_network required for {kind} provider network")
        if kind in ("local", "vxlan") and physical is not None:
            raise invalid_input(f"provider:physical_network specified for {kind} network")
        if kind in ("flat", "local") and segment is not None:
            raise invalid_input(f"provider:segmentation_id specified for {kind} network")
        if kind == "vlan" and (segment is None or segment > 4094):
            raise invalid_input("segmentation_id out of range (1 through 4094)")
        found = {
            "provider:network_type": kind,
            "provider:physical_network": physical,
            "provider:segmentation_id": segment,
        }
        named = segment is not None or kind == "flat"
        if named and any(all(network[name] == found[name] for name in found) for network in self.table):
            raise self._segment_in_use(kind, physical, segment)
        if kind == "vxlan" and segment is None:
            used = {network["provider:segmentation_id"] for network in self.table}
            while self.state.next_segment in used:
                self.state.next_segment += 1
            found["provider:segmentation_id"] = self.state.next_segment
            self.state.next_segment += 1
        return found

    @staticmethod
    def _segment_in_use(kind: str, physical: str | None, segment: int | None) -> Exception:
        if kind == "flat":
            return conflict(
                "FlatNetworkInUse", f"Unable to create the flat network. Physical network {physical} is in use."
            )
        if kind == "vlan":
            return conflict(
                "VlanIdInUse",
                f"Unable to create the network. The VLAN {segment} on physical network {physical} is in use.",
            )
        return conflict("TunnelIdInUse", f"Unable to create the network. The tunnel ID {segment} is in use.")
