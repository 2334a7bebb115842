"""Floating IPs: addresses of external networks, lent to fixed IPs. Records; no packet is translated."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from nova_fakes.api.network import events, values
from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.collection import Collection
from nova_fakes.api.network.ports import Ports
from nova_fakes.api.network.qos_policies import QosPolicies
from nova_fakes.api.network.query import Query
from nova_fakes.api.network.refusals import bad_request, bad_resource, conflict, forbidden, not_found
from nova_fakes.api.network.routers import Routers
from nova_fakes.api.network.schema import REQUIRED, Attribute, Schema
from nova_fakes.api.network.state import State
from nova_fakes.api.network.table import Record, Table
from nova_fakes.exceptions import ApiError

__all__ = ["FloatingIPs"]

OWNER = "network:floatingip"


class FloatingIPs(Collection):
    """Floating IPs; each holds a port on its external network, which keeps the address.

    Args:
        state: the service's tables.
        ports: the ports; one that is deleted loses its floating IPs.
        routers: the routers; one must lead from the fixed IP to the external network.
        policies: the policies of quality of service.
    """

    kind = "FloatingIP"
    schema = Schema(
        "floatingip",
        {
            "floating_network_id": Attribute(values.uuid_string, default=REQUIRED, put=False),
            "floating_ip_address": Attribute(values.optional(values.address), default=None, put=False),
            "subnet_id": Attribute(values.optional(values.uuid_string), default=None, put=False, filters=False),
            "port_id": Attribute(values.optional(values.uuid_string), default=None),
            "fixed_ip_address": Attribute(values.optional(values.address), default=None),
            "router_id": Attribute(post=False, put=False),
            "status": Attribute(post=False, put=False),
            "port_details": Attribute(post=False, put=False, filters=False),
            "port_forwardings": Attribute(post=False, put=False, filters=False),
            "qos_policy_id": Attribute(values.optional(values.uuid_string), default=None),
            "qos_network_policy_id": Attribute(post=False, put=False, filters=False),
        },
    )

    def __init__(self, state: State, ports: Ports, routers: Routers, policies: QosPolicies) -> None:
        super().__init__(state)
        self._policies = policies
        self._ports = ports
        self._routers = routers
        ports.on_delete.append(self._port_deleted)

    @property
    def table(self) -> Table:
        """The floating IPs."""
        return self.state.floatingips

    def missing(self, record_id: str) -> ApiError:
        """Return the error of an id that names none."""
        return not_found("FloatingIPNotFound", f"Floating IP {record_id} could not be found")

    def view(self, caller: Caller, record: Record) -> Record:
        """Return a floating IP with the details of the port that it is lent to."""
        port = self.state.ports.get(record["port_id"]) if record["port_id"] else None
        names = ("name", "network_id", "mac_address", "admin_state_up", "status", "device_id", "device_owner")
        details = None if port is None else {name: port[name] for name in names}
        shown = ("protocol", "internal_ip_address", "internal_port", "external_port", "id", "internal_port_id")
        network = self.state.networks.get(record["floating_network_id"]) or {}
        return {
            "qos_policy_id": None,
            **record,
            "qos_network_policy_id": network.get("qos_policy_id"),
            "port_details": details,
            "port_forwardings": [
                {name: one[name] for name in shown if one[name] is not None}
                for one in self.state.port_forwardings.find("floatingip_id", record["id"])
            ],
        }

    def _candidates(self, query: Query) -> Iterable[Record]:
        for name in ("port_id", "floating_ip_address", "floating_network_id"):
            if name in query.filters and "id" not in query.filters:
                return self.table.find_any(name, query.filters[name])
        return super()._candidates(query)

    def _create(self, caller: Caller, values: Record) -> Record:
        network = self.state.networks.get(values["floating_network_id"])
        if network is None or not (
            caller.owns(network["project_id"])
            or self.state.is_shared(caller.project_id, network)
            or self.state.leads_outside(caller.project_id, network)
        ):
            raise not_found("NetworkNotFound", f"Network {values['floating_network_id']} could not be found.")
        if not network["router:external"]:
            raise bad_resource("floatingip", f"Network {network['id']} is not a valid external network")
        subnets = self.state.subnets.find("network_id", network["id"])
        version4 = [subnet for subnet in subnets if subnet["ip_version"] == 4]
        if not version4:
            raise bad_resource("floatingip", f"Network {network['id']} does not contain any IPv4 subnet")
        address, subnet_id = values["floating_ip_address"], values.pop("subnet_id")
        if address is not None and not caller.is_privileged:
            raise forbidden("create_floatingip:floating_ip_address")
        self._policies.change(caller, None, values["qos_policy_id"])
        self._enforce_quota(values["project_id"])
        found = self._association(caller, values, None, network["id"])
        record = self._record(
            values, status="ACTIVE" if found["port_id"] else "DOWN", **{**found, "id": str(uuid.uuid4())}
        )
        port = self._make_port(record["id"], network["id"], version4, subnet_id, address)
        (record["floating_ip_address"],) = (entry["ip_address"] for entry in port["fixed_ips"])
        self._tell(found["port_id"])
        return self.table.insert(record)

    def _update(self, caller: Caller, old: Record, values: Record) -> Record:
        if "qos_policy_id" in values:
            self._policies.change(caller, old.get("qos_policy_id"), values["qos_policy_id"])
        if not values.keys() & {"port_id", "fixed_ip_address"}:
            return self.state.update(self.table, old["id"], values)
        if self.state.port_forwardings.count("floatingip_id", old["id"]):
            raise conflict("FipInUseByPortForwarding", f"Floating IP {old['id']} in use by Port Forwarding resources.")
        wanted = {"port_id": old["port_id"], "fixed_ip_address": None, **values}
        if "port_id" not in values and values.get("fixed_ip_address") is None:
            wanted["fixed_ip_address"] = old["fixed_ip_address"]
        found = self._association(caller, wanted, old, old["floating_network_id"])
        changes = {**values, **found, "status": "ACTIVE" if found["port_id"] else "DOWN"}
        new = self.state.update(self.table, old["id"], changes)
        if old["port_id"] and old["port_id"] != new["port_id"]:
            self._tell(old["port_id"])
        if new["port_id"]:
            self._tell(new["port_id"])
        return new

    def _delete(self, caller: Caller, record: Record) -> None:
        for one in self.state.port_forwardings.find("floatingip_id", record["id"]):
            self.state.port_forwardings.delete(one["id"])
        self.table.delete(record["id"])
        for port in self.state.ports.find("device_id", record["id"]):
            if port["device_owner"] == OWNER:
                self._ports.delete_internal(port)
        self._tell(record["port_id"])

    def _make_port(
        self, fip_id: str, network_id: str, subnets: list[Record], subnet_id: str | None, address: str | None
    ) -> Record:
        choices: list[dict[str, str]]
        if address is not None:
            choices = [{"ip_address": address, **({"subnet_id": subnet_id} if subnet_id else {})}]
        else:
            choices = [{"subnet_id": subnet_id}] if subnet_id else [{"subnet_id": subnet["id"]} for subnet in subnets]
        for choice in choices:
            try:
                return self._ports.make_internal(network_id, OWNER, fip_id, "", fixed_ips=[choice])
            except ApiError as error:
                if error.kind != "IpAddressGenerationFailure":
                    raise
        raise bad_request(
            f"Unable to find any IP address on external network {network_id}.", "ExternalIpAddressExhausted"
        )

    def _association(self, caller: Caller, wanted: Record, old: Record | None, network_id: str) -> dict[str, Any]:
        """Return port_id, fixed_ip_address and router_id of what a floating IP is to be lent to."""
        port_id, address = wanted["port_id"], wanted["fixed_ip_address"]
        if port_id is None:
            if address is not None:
                raise bad_resource("floatingip", "fixed_ip_address cannot be specified without a port_id")
            return {"port_id": None, "fixed_ip_address": None, "router_id": None}
        port = self._ports.find(caller, port_id)
        if self.state.port_forwardings.count("internal_port_id", port_id):
            raise bad_request(
                f"Cannot associate floating IP to port {port_id} because it already has a Port Forwarding binding.",
                "PortHasPortForwarding",
            )
        entries = [entry for entry in port["fixed_ips"] if "." in entry["ip_address"]]
        if address is not None:
            entries = [entry for entry in entries if entry["ip_address"] == address]
            if not entries:
                raise bad_resource("floatingip", f"Port {port_id} does not have fixed ip {address}")
        elif not entries:
            raise bad_resource(
                "floatingip", f"Cannot add floating IP to port {port_id} that has no fixed IPv4 addresses"
            )
        elif len(entries) > 1:
            raise bad_resource(
                "floatingip",
                f"Port {port_id} has multiple fixed IPv4 addresses.  Must provide a specific IPv4 address when "
                f"assigning a floating IP",
            )
        entry = entries[0]
        self._check_free(wanted, old, port_id, entry["ip_address"], network_id)
        router = self._routers.reaching(entry["subnet_id"], network_id)
        if router is None:
            raise not_found(
                "ExternalGatewayForFloatingIPNotFound",
                f"External network {network_id} is not reachable from subnet {entry['subnet_id']}.  Therefore, cannot "
                f"associate Port {port_id} with a Floating IP.",
            )
        return {"port_id": port_id, "fixed_ip_address": entry["ip_address"], "router_id": router["id"]}

    def _check_free(self, wanted: Record, old: Record | None, port_id: str, address: str, network_id: str) -> None:
        for other in self.table.find("port_id", port_id):
            if (old is None or other["id"] != old["id"]) and (
                other["fixed_ip_address"] == address and other["floating_network_id"] == network_id
            ):
                mine = old or wanted
                raise conflict(
                    "FloatingIPPortAlreadyAssociated",
                    f"Cannot associate floating IP {mine['floating_ip_address']} ({mine.get('id')}) with port "
                    f"{port_id} using fixed IP {address}, as that fixed IP already has a floating IP on external "
                    f"network {network_id}.",
                )

    def _port_deleted(self, port: Record) -> None:
        for fip in self.table.find("port_id", port["id"]):
            free = {"port_id": None, "fixed_ip_address": None, "router_id": None, "status": "DOWN"}
            self.state.update(self.table, fip["id"], free)

    def _tell(self, port_id: str | None) -> None:
        port = self.state.ports.get(port_id) if port_id else None
        if port is not None:
            self.state.emit(events.changed, port)
