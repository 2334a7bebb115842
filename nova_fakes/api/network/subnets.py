"""Subnets: a range of addresses on a network, and what its hosts are to be told."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from nova_fakes.api.network import values
from nova_fakes.api.network.addresses import AddressPool, default_pools, is_automatic, same_family, validated_pools
from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.collection import Collection
from nova_fakes.api.network.ports import Ports
from nova_fakes.api.network.refusals import bad_request, bad_resource, conflict, forbidden, invalid_input, not_found
from nova_fakes.api.network.schema import REQUIRED, Attribute, Schema
from nova_fakes.api.network.state import State
from nova_fakes.api.network.subnet_pools import SubnetPools
from nova_fakes.api.network.table import Record, Table

__all__ = ["Subnets"]

_MODES: Final = ("dhcpv6-stateful", "dhcpv6-stateless", "slaac", None)
_MAX_NAME_SERVERS: Final = 5
_MAX_ROUTES: Final = 20
_AUTO_DELETED: Final = ("network:dhcp", "network:distributed")


class Subnets(Collection):
    """Subnets and their address pools.

    Args:
        state: the service's tables.
        ports: the ports, which get and lose autoconfigured addresses as subnets come and go.
        pools: what subnets can be cut out of.
    """

    kind = "Subnet"
    filters = ("shared", "router:external")
    schema = Schema(
        "subnet",
        {
            "name": Attribute(values.string(), default=""),
            "network_id": Attribute(values.uuid_string, default=REQUIRED, put=False),
            "ip_version": Attribute(values.integer(4, 6), default=REQUIRED, put=False),
            "cidr": Attribute(values.optional(values.cidr), put=False),
            "prefixlen": Attribute(values.integer(0, 128), put=False, filters=False),
            "use_default_subnetpool": Attribute(values.boolean, put=False, filters=False),
            "gateway_ip": Attribute(values.optional(values.address)),
            "allocation_pools": Attribute(values.pools, filters=False),
            "dns_nameservers": Attribute(values.name_servers, default=[], filters=False),
            "host_routes": Attribute(values.host_routes, default=[], filters=False),
            "enable_dhcp": Attribute(values.boolean, default=True),
            "ipv6_ra_mode": Attribute(values.one_of(_MODES), default=None, put=False),
            "ipv6_address_mode": Attribute(values.one_of(_MODES), default=None, put=False),
            "subnetpool_id": Attribute(values.optional(values.uuid_string), default=None, put=False),
            "segment_id": Attribute(values.optional(values.uuid_string), default=None, guarded=True),
        },
    )

    def __init__(self, state: State, ports: Ports, pools: SubnetPools) -> None:
        super().__init__(state)
        self._ports = ports
        self._pools = pools
        self.matchers = {
            "shared": lambda subnet, wanted: self._network_is("shared", subnet, wanted),
            "router:external": lambda subnet, wanted: self._network_is("router:external", subnet, wanted),
        }

    @property
    def table(self) -> Table:
        """The subnets."""
        return self.state.subnets

    def visible(self, caller: Caller, record: Record) -> bool:
        """Whether the subnet or its network is the caller's, or the network shared or external."""
        network = self.state.networks[record["network_id"]]
        return (
            caller.owns(record["project_id"])
            or caller.owns(network["project_id"])
            or self.state.is_shared(caller.project_id, network)
            or self.state.leads_outside(caller.project_id, network)
        )

    def authorize(self, caller: Caller, action: str, record: Record) -> None:
        """Check that the caller may change a subnet that he sees: he owns it or the network."""
        network = self.state.networks[record["network_id"]]
        if not caller.may_write or not (caller.owns(record["project_id"]) or caller.owns(network["project_id"])):
            raise forbidden(f"{action}_subnet")

    def view(self, caller: Caller, record: Record) -> Record:
        """Return a subnet; those of an older state are of no segment."""
        return {"segment_id": None, **super().view(caller, record)}

    def _check_segment(self, network_id: str, segment_id: str | None) -> None:
        if segment_id is None:
            return
        segment = self.state.segments.get(segment_id)
        if segment is None:
            raise not_found("SegmentNotFound", f"Segment {segment_id} could not be found.")
        if segment["network_id"] != network_id:
            raise bad_request(
                f"The subnet's network id, '{network_id}', doesn't match the network_id of segment '{segment_id}'.",
                "NetworkIdsDontMatch",
            )

    def _network_is(self, attribute: str, subnet: Record, wanted: Sequence[str]) -> bool:
        value = self.state.networks[subnet["network_id"]][attribute]
        try:
            return any(values.boolean(text) == value for text in wanted)
        except ValueError as error:
            raise bad_request(f"Invalid input for {attribute}. Reason: {error}.") from None

    def _create(self, caller: Caller, values: Record) -> Record:
        network = self.state.networks.get(values["network_id"])
        if network is None or not (
            caller.owns(network["project_id"])
            or self.state.is_shared(caller.project_id, network)
            or self.state.leads_outside(caller.project_id, network)
        ):
            raise not_found("NetworkNotFound", f"Network {values['network_id']} could not be found.")
        if not caller.owns(network["project_id"]):
            raise forbidden("create_subnet")
        self._enforce_quota(values["project_id"])
        self._check_segment(network["id"], values["segment_id"])
        self._take_from_pool(caller, values)
        cidr = ip_network(values["cidr"])
        self._check_cidr(values, cidr)
        if "gateway_ip" not in values:
            first = cidr.network_address + (1 if cidr.num_addresses > 2 else 0)
            values["gateway_ip"] = str(first)
        self._check_gateway(values["ip_version"], cidr, values["gateway_ip"])
        self._check_lists(values["ip_version"], "new subnet", values)
        self._check_ipv6(values, cidr)
        if "allocation_pools" in values:
            values["allocation_pools"] = validated_pools(
                values["cidr"], values["allocation_pools"], values["gateway_ip"]
            )
        else:
            values["allocation_pools"] = default_pools(values["cidr"], values["gateway_ip"])
        subnet = self.table.insert(self._record(values))
        self.state.pools[subnet["id"]] = AddressPool(subnet)
        if is_automatic(subnet):
            self._ports.add_automatic_addresses(subnet)
        return subnet

    def _take_from_pool(self, caller: Caller, values: Record) -> None:
        """Give a new subnet its range, out of the pool that it names; ApiError 400, 404, 409."""
        length, wanted = values.pop("prefixlen", None), values.get("cidr")
        default = values.pop("use_default_subnetpool", False)
        pool: Record | None = None
        if values["subnetpool_id"] is not None:
            pool = self._pools.find(caller, values["subnetpool_id"])
        elif default:
            pool = self._pools.default(values["ip_version"])
            if pool is None:
                raise bad_request(f"No default subnetpool found for IPv{values['ip_version']}.")
        if pool is None:
            if wanted is None:
                raise bad_resource("subnets", "a subnetpool must be specified in the absence of a cidr")
            if length is not None:
                raise bad_resource("subnets", "prefixlen can only be specified with a subnetpool")
            return
        if pool["ip_version"] != values["ip_version"]:
            raise bad_resource("subnets", f"subnetpool {pool['id']} is not of IPv{values['ip_version']}")
        values["subnetpool_id"] = pool["id"]
        values["cidr"] = self._pools.cut(pool, values["project_id"], length, wanted)

    def _update(self, caller: Caller, old: Record, values: Record) -> Record:
        cidr = ip_network(old["cidr"])
        new = {**old, **values}
        if values.get("segment_id") != old.get("segment_id") and "segment_id" in values:
            if old.get("segment_id") is not None:
                raise bad_request(
                    f"Subnet '{old['id']}' is already associated with segment '{old['segment_id']}'.",
                    "SubnetSegmentAssociationChangeForbidden",
                )
            self._check_segment(old["network_id"], values["segment_id"])
        self._check_lists(old["ip_version"], old["id"], values)
        if values.get("enable_dhcp") is False and (old["ipv6_ra_mode"] or old["ipv6_address_mode"]):
            raise invalid_input("Cannot disable enable_dhcp with ipv6 attributes set")
        if new["gateway_ip"] != old["gateway_ip"]:
            self._check_gateway(old["ip_version"], cidr, new["gateway_ip"])
            for port in self.state.ports.find("subnet_id", old["id"]):
                if port["device_owner"] == "network:router_interface" and any(
                    entry["ip_address"] == old["gateway_ip"] for entry in port["fixed_ips"]
                ):
                    raise conflict(
                        "GatewayIpInUse",
                        f"Current gateway ip {old['gateway_ip']} already in use by port {port['id']}. Unable to "
                        f"update.",
                    )
        if values.keys() & {"allocation_pools", "gateway_ip"}:
            new["allocation_pools"] = validated_pools(old["cidr"], new["allocation_pools"], new["gateway_ip"])
        if new["allocation_pools"] != old["allocation_pools"]:
            self.state.pools[old["id"]].set_pools(new["allocation_pools"])
        return self.state.update(self.table, old["id"], values)

    def _delete(self, caller: Caller, record: Record) -> None:
        ports = self.state.ports.find("subnet_id", record["id"])
        staying = [port for port in ports if port["device_owner"] not in _AUTO_DELETED]
        routers = [port for port in staying if port["device_owner"].startswith("network:router")]
        if routers or (staying and not is_automatic(record)):
            raise conflict(
                "SubnetInUse",
                f"Unable to complete operation on subnet {record['id']}: One or more ports have an IP allocation "
                f"from this subnet.",
            )
        self._ports.remove_addresses(record["id"])
        self.state.pools.pop(record["id"])
        self.table.delete(record["id"])

    def _check_cidr(self, subnet: Record, cidr: IPv4Network | IPv6Network) -> None:
        version = subnet["ip_version"]
        if version == 5:
            raise bad_request("Invalid input for ip_version. Reason: '5' is not in [4, 6].")
        if cidr.version != version:
            raise invalid_input(f"cidr '{cidr}' does not match the ip_version '{version}'")
        if cidr.prefixlen == 0:
            raise invalid_input("0 is not allowed as CIDR prefix length")
        for other in self.table.find("network_id", subnet["network_id"]):
            known = ip_network(other["cidr"])
            if known.version == version and known.overlaps(cidr):
                raise invalid_input(
                    f"Requested subnet with cidr: {cidr} for network: {subnet['network_id']} overlaps with another "
                    f"subnet"
                )
        if subnet["enable_dhcp"]:
            if cidr.prefixlen > (30 if version == 4 else 126):
                raise invalid_input("Subnet has a prefix length that is incompatible with DHCP service enabled")
            for what, wrong in (("Multicast", cidr.is_multicast), ("Loopback", cidr.is_loopback)):
                if wrong:
                    raise invalid_input(f"{what} IP subnet is not supported if enable_dhcp is True")

    @staticmethod
    def _check_gateway(version: int, cidr: IPv4Network | IPv6Network, gateway: str | None) -> None:
        if gateway is None:
            return
        same_family(version, "gateway_ip", gateway)
        address = ip_address(gateway)
        ends = (cidr.network_address, cidr.broadcast_address)
        if version == 4 and cidr.prefixlen < 31 and address in ends:
            raise invalid_input("Gateway is not valid on subnet")

    @staticmethod
    def _check_lists(version: int, subnet_id: str, subnet: Record) -> None:
        servers, routes = subnet.get("dns_nameservers", []), subnet.get("host_routes", [])
        if len(servers) > _MAX_NAME_SERVERS:
            raise bad_request(
                f"Unable to complete operation for {subnet_id}. The number of DNS nameservers exceeds the limit "
                f"{_MAX_NAME_SERVERS}.",
                "DNSNameServersExhausted",
            )
        if len(routes) > _MAX_ROUTES:
            raise bad_request(
                f"Unable to complete operation for {subnet_id}. The number of host routes exceeds the limit "
                f"{_MAX_ROUTES}.",
                "HostRoutesExhausted",
            )
        for server in servers:
            same_family(version, "dns_nameserver", server)
        for route in routes:
            same_family(version, "next hop", route["nexthop"])

    @staticmethod
    def _check_ipv6(subnet: Record, cidr: IPv4Network | IPv6Network) -> None:
        ra_mode, address_mode = subnet["ipv6_ra_mode"], subnet["ipv6_address_mode"]
        for name in ("ipv6_ra_mode", "ipv6_address_mode"):
            if subnet["ip_version"] == 4 and subnet[name] is not None:
                raise invalid_input(f"{name} is not valid when ip_version is 4")
        if (ra_mode or address_mode) and not subnet["enable_dhcp"]:
            raise invalid_input("ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False")
        if ra_mode and address_mode and ra_mode != address_mode:
            raise invalid_input(
                f"ipv6_ra_mode set to '{ra_mode}' with ipv6_address_mode set to '{address_mode}' is not valid. If both "
                f"attributes are set, they must be the same value"
            )
        if is_automatic(subnet) and cidr.prefixlen != 64:
            raise invalid_input(
                f"Invalid CIDR {cidr} for IPv6 address mode. OpenStack uses the EUI-64 address format, which "
                f"requires the prefix to be /64"
            )
