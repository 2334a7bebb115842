"""Routers: records of which subnets meet where, and which of them reach an external network. Nothing is routed."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from nova_fakes.api.network import values
from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.collection import Collection
from nova_fakes.api.network.ports import Ports
from nova_fakes.api.network.refusals import bad_request, bad_resource, conflict, forbidden, not_found
from nova_fakes.api.network.schema import Attribute, Schema
from nova_fakes.api.network.state import State
from nova_fakes.api.network.subnets import Subnets
from nova_fakes.api.network.table import Record, Table
from nova_fakes.api.network.zones import HINTS, ZONES
from nova_fakes.exceptions import ApiError

__all__ = ["Routers"]

INTERFACE, GATEWAY = "network:router_interface", "network:router_gateway"


def _gateway(value: Any) -> Record | None:
    """Accept None, {} or {"network_id", "enable_snat", "external_fixed_ips"}."""
    if value is None or value == {}:
        return None
    info = values.dictionary(value)
    unknown = info.keys() - {"network_id", "enable_snat", "external_fixed_ips", "qos_policy_id"}
    if unknown or "network_id" not in info or info.get("qos_policy_id") is not None:
        raise ValueError(f"'{value}' must have a network_id and may have enable_snat and external_fixed_ips")
    checked: Record = {
        "network_id": values.uuid_string(info["network_id"]),
        "enable_snat": values.boolean(info.get("enable_snat", True)),
    }
    if info.get("external_fixed_ips") is not None:
        checked["external_fixed_ips"] = values.fixed_ips(info["external_fixed_ips"])
    return checked


class Routers(Collection):
    """Routers, their interfaces and gateways.

    Args:
        state: the service's tables.
        ports: the ports, some of which are made for routers.
        subnets: the subnets.
    """

    kind = "Router"
    schema = Schema(
        "router",
        {
            "name": Attribute(values.string(), default=""),
            "admin_state_up": Attribute(values.boolean, default=True),
            "external_gateway_info": Attribute(_gateway, default=None, filters=False),
            "routes": Attribute(values.host_routes, default=[], post=False, filters=False),
            "availability_zone_hints": Attribute(HINTS, default=[], put=False, filters=False),
            "availability_zones": Attribute(post=False, put=False, filters=False),
            "status": Attribute(post=False, put=False),
        },
    )

    def __init__(self, state: State, ports: Ports, subnets: Subnets) -> None:
        super().__init__(state)
        self._ports = ports
        self._subnets = subnets

    @property
    def table(self) -> Table:
        """The routers."""
        return self.state.routers

    def view(self, caller: Caller, record: Record) -> Record:
        """Return a router with where it is."""
        return {"availability_zone_hints": [], **super().view(caller, record), "availability_zones": list(ZONES)}

    def missing(self, record_id: str) -> ApiError:
        """Return the error of an id that names none."""
        return not_found("RouterNotFound", f"Router {record_id} could not be found")

    def interfaces(self, router_id: str) -> list[Record]:
        """Return the ports by which a router is on subnets."""
        return [port for port in self.state.ports.find("device_id", router_id) if port["device_owner"] == INTERFACE]

    def reaching(self, subnet_id: str, network_id: str) -> Record | None:
        """Return a router that is on a subnet and has its gateway on an external network."""
        for port in self.state.ports.find("subnet_id", subnet_id):
            router = self.table.get(port["device_id"]) if port["device_owner"] == INTERFACE else None
            if router is not None and (router["external_gateway_info"] or {}).get("network_id") == network_id:
                return router
        return None

    def add_interface(self, caller: Caller, router_id: str, body: Mapping[str, Any]) -> Record:
        """Put a router on a subnet, with the subnet's gateway address, or give it a port that is free.

        Returns:
            The API's answer: id, tenant_id, port_id, network_id, subnet_id, subnet_ids.

        Raises:
            ApiError: 400 neither or both of "subnet_id" and "port_id", or a subnet that does not fit; 404; 409 in use.
        """
        with self.state.transaction():
            router = self.find(caller, router_id)
            self.authorize(caller, "add_router_interface", router)
            subnet_id, port_id = self._interface_of(body)
            if port_id is not None:
                return self._add_port(caller, router, port_id)
            subnet = self._subnets.find(caller, str(subnet_id))
            if subnet["gateway_ip"] is None:
                raise bad_resource("router", "Subnet for router interface must have a gateway IP")
            self._check_overlap(router_id, [subnet])
            port = self._ports.make_internal(
                subnet["network_id"],
                INTERFACE,
                router_id,
                router["project_id"],
                fixed_ips=[{"subnet_id": subnet["id"], "ip_address": subnet["gateway_ip"]}],
            )
            return self._interface(router, port)

    def remove_interface(self, caller: Caller, router_id: str, body: Mapping[str, Any]) -> Record:
        """Take a router off a subnet; the interface's port is deleted.

        Raises:
            ApiError: 404 it is not on it, 409 floating IPs need it, 400 neither "subnet_id" nor "port_id".
        """
        with self.state.transaction():
            router = self.find(caller, router_id)
            self.authorize(caller, "remove_router_interface", router)
            subnet_id, port_id = self._interface_of(body, both=True)
            found = [
                port
                for port in self.interfaces(router_id)
                if port_id in (None, port["id"])
                and (subnet_id is None or any(entry["subnet_id"] == subnet_id for entry in port["fixed_ips"]))
            ]
            if not found and port_id is not None:
                raise not_found(
                    "RouterInterfaceNotFound", f"Router {router_id} does not have an interface with id {port_id}"
                )
            if not found:
                raise not_found(
                    "RouterInterfaceNotFoundForSubnet", f"Router {router_id} has no interface on subnet {subnet_id}"
                )
            port = found[0]
            on = {entry["subnet_id"] for entry in port["fixed_ips"]}
            self._check_floating(router_id, on)
            answer = self._interface(router, port)
            self._ports.delete_internal(port)
            return answer

    def _create(self, caller: Caller, values: Record) -> Record:
        self._enforce_quota(values["project_id"])
        wanted = values.pop("external_gateway_info")
        router = self.table.insert(self._record(values, status="ACTIVE", external_gateway_info=None))
        if wanted is not None:
            try:
                router = self._set_gateway(caller, router, wanted)
            except Exception:
                self.table.delete(router["id"])
                raise
        return router

    def _update(self, caller: Caller, old: Record, values: Record) -> Record:
        if "routes" in values:
            self._check_routes(old, values["routes"])
        if "external_gateway_info" in values:
            old = self._set_gateway(caller, old, values.pop("external_gateway_info"))
        return self.state.update(self.table, old["id"], values)

    def _delete(self, caller: Caller, record: Record) -> None:
        if self.interfaces(record["id"]):
            raise conflict("RouterInUse", f"Router {record['id']} still has ports")
        self._set_gateway(caller, record, None)
        self.table.delete(record["id"])

    def _set_gateway(self, caller: Caller, router: Record, wanted: Record | None) -> Record:
        old = [port for port in self.state.ports.find("device_id", router["id"]) if port["device_owner"] == GATEWAY]
        before = router["external_gateway_info"]
        if before is not None and (wanted is None or wanted["network_id"] != before["network_id"]):
            needed = any(fip["router_id"] == router["id"] for fip in self.state.floatingips)
            if needed:
                raise conflict(
                    "RouterExternalGatewayInUseByFloatingIp",
                    f"Gateway cannot be updated for router {router['id']}, since a gateway to external network "
                    f"{before['network_id']} is required by one or more floating IPs.",
                )
        info: Record | None = None
        if wanted is not None:
            if not caller.is_privileged and ("external_fixed_ips" in wanted or not wanted["enable_snat"]):
                raise forbidden("update_router:external_gateway_info")
            same = before is not None and before["network_id"] == wanted["network_id"]
            if same and before is not None and "external_fixed_ips" not in wanted:
                info = {**before, "enable_snat": wanted["enable_snat"]}
                return self.state.update(self.table, router["id"], {"external_gateway_info": info})
            port = self._gateway_port(caller, router, wanted)
            info = {
                "network_id": wanted["network_id"],
                "enable_snat": wanted["enable_snat"],
                "external_fixed_ips": port["fixed_ips"],
            }
        for port in old:
            self._ports.delete_internal(port)
        return self.state.update(self.table, router["id"], {"external_gateway_info": info})

    def _gateway_port(self, caller: Caller, router: Record, wanted: Record) -> Record:
        network = self.state.networks.get(wanted["network_id"])
        if network is None or not (
            caller.owns(network["project_id"])
            or self.state.leads_outside(caller.project_id, network)
            or self.state.is_shared(caller.project_id, network)
        ):
            raise not_found("NetworkNotFound", f"Network {wanted['network_id']} could not be found.")
        if not network["router:external"]:
            raise bad_resource("router", f"Network {network['id']} is not an external network")
        fixed = wanted.get("external_fixed_ips")
        given = {} if fixed is None else {"fixed_ips": fixed}
        return self._ports.make_internal(network["id"], GATEWAY, router["id"], "", **given)

    def _add_port(self, caller: Caller, router: Record, port_id: str) -> Record:
        port = self._ports.find(caller, port_id)
        if port["device_id"]:
            raise conflict(
                "PortInUse",
                f"Unable to complete operation on port {port_id} for network {port['network_id']}. Port already has an "
                f"attached device {port['device_id']}.",
            )
        if not port["fixed_ips"]:
            raise bad_resource("router", "Router port must have at least one fixed IP")
        subnets = [self.state.subnets[entry["subnet_id"]] for entry in port["fixed_ips"]]
        if sum(subnet["ip_version"] == 4 for subnet in subnets) > 1:
            raise bad_resource("router", "Cannot have multiple IPv4 subnets on router port")
        self._check_overlap(router["id"], subnets)
        owner = {"device_id": router["id"], "device_owner": INTERFACE, "status": "ACTIVE"}
        return self._interface(router, self.state.update(self.state.ports, port_id, owner))

    def _check_overlap(self, router_id: str, subnets: list[Record]) -> None:
        for port in self.interfaces(router_id):
            for entry in port["fixed_ips"]:
                known = self.state.subnets[entry["subnet_id"]]
                for subnet in subnets:
                    if subnet["id"] == known["id"]:
                        raise bad_resource("router", f"Router already has a port on subnet {subnet['id']}")
                    if subnet["ip_version"] == known["ip_version"] and ip_network(subnet["cidr"]).overlaps(
                        ip_network(known["cidr"])
                    ):
                        raise bad_resource(
                            "router",
                            f"Cidr {subnet['cidr']} of subnet {subnet['id']} overlaps with cidr {known['cidr']} of "
                            f"subnet {known['id']}",
                        )

    def _check_floating(self, router_id: str, subnet_ids: set[str]) -> None:
        for fip in self.state.floatingips:
            if fip["router_id"] != router_id:
                continue
            port = self.state.ports[fip["port_id"]]
            for entry in port["fixed_ips"]:
                if entry["ip_address"] == fip["fixed_ip_address"] and entry["subnet_id"] in subnet_ids:
                    raise conflict(
                        "RouterInterfaceInUseByFloatingIP",
                        f"Router interface for subnet {entry['subnet_id']} on router {router_id} cannot be deleted, "
                        f"as it is required by one or more floating IPs.",
                    )

    def _check_routes(self, router: Record, routes: list[Record]) -> None:
        owned = self.state.ports.find("device_id", router["id"])
        networks = [
            ip_network(self.state.subnets[entry["subnet_id"]]["cidr"]) for port in owned for entry in port["fixed_ips"]
        ]
        own = {entry["ip_address"] for port in owned for entry in port["fixed_ips"]}
        for route in routes:
            hop = ip_address(route["nexthop"])
            if not any(hop in network for network in networks):
                reason = "the nexthop is not connected with router"
            elif route["nexthop"] in own:
                reason = "the nexthop is used by router"
            else:
                continue
            raise bad_request(f"Invalid format for routes: {routes}, {reason}", "InvalidRoutes")

    @staticmethod
    def _interface_of(body: Mapping[str, Any], *, both: bool = False) -> tuple[str | None, str | None]:
        subnet_id, port_id = body.get("subnet_id"), body.get("port_id")
        if not subnet_id and not port_id:
            raise bad_resource("router", "Either subnet_id or port_id must be specified")
        if subnet_id and port_id and not both:
            raise bad_resource("router", "Cannot specify both subnet-id and port-id")
        for name, value in (("subnet_id", subnet_id), ("port_id", port_id)):
            try:
                values.optional(values.uuid_string)(value)
            except ValueError as error:
                raise bad_request(f"Invalid input for {name}. Reason: {error}.") from None
        return subnet_id, port_id

    @staticmethod
    def _interface(router: Record, port: Record) -> Record:
        subnets = [entry["subnet_id"] for entry in port["fixed_ips"]]
        return {
            "id": router["id"],
            "tenant_id": router["project_id"],
            "project_id": router["project_id"],
            "port_id": port["id"],
            "network_id": port["network_id"],
            "subnet_id": subnets[0] if subnets else None,
            "subnet_ids": subnets,
            "tags": [],
        }
