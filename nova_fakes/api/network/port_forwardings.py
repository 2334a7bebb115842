"""Port forwardings: single ports of a floating IP, each lent to a port of a fixed IP. Records; nothing is forwarded."""

from __future__ import annotations

from typing import Any

from nova_fakes.api.network import values
from nova_fakes.api.network.caller import ADMIN, Caller
from nova_fakes.api.network.collection import Collection
from nova_fakes.api.network.floating_ips import FloatingIPs
from nova_fakes.api.network.nested import Nested
from nova_fakes.api.network.ports import Ports
from nova_fakes.api.network.refusals import bad_resource, conflict, not_found
from nova_fakes.api.network.routers import Routers
from nova_fakes.api.network.schema import REQUIRED, Attribute, Schema
from nova_fakes.api.network.table import Record, Table
from nova_fakes.exceptions import ApiError

__all__ = ["PortForwardings"]

_PORT = values.integer(1, 65535)
_OUTSIDE = ("floatingip_id", "external_port", "protocol")
_INSIDE = ("internal_port_id", "internal_ip_address", "internal_port", "protocol")


class PortForwardings(Nested):
    """Port forwardings, within their floating IPs; IPv4 only.

    Args:
        floating_ips: what they are within.
        ports: the ports; one that is deleted loses its port forwardings.
        routers: the routers; one must lead from the fixed IP to the external network.
    """

    kind = "PortForwarding"
    parent_key = "floatingip_id"
    schema = Schema(
        "port_forwarding",
        {
            "id": Attribute(post=False, put=False),
            "description": Attribute(values.string(), default=""),
            "floatingip_id": Attribute(values.string(), default=REQUIRED, put=False),
            "internal_port_id": Attribute(values.uuid_string, default=REQUIRED),
            "internal_ip_address": Attribute(values.optional(values.address), default=None),
            "internal_port": Attribute(_PORT, default=REQUIRED),
            "external_port": Attribute(_PORT, default=REQUIRED),
            "protocol": Attribute(values.one_of(("tcp", "udp")), default=REQUIRED),
        },
        standard=False,
    )

    def __init__(self, floating_ips: FloatingIPs, ports: Ports, routers: Routers) -> None:
        super().__init__(floating_ips.state)
        self._floating_ips = floating_ips
        self._ports = ports
        self._routers = routers
        ports.on_delete.append(self._port_deleted)
        ports.on_address.append(self._port_readdressed)

    @property
    def path(self) -> str:
        """Path of the collection below the version's."""
        return "floatingips/<parent_id>/port_forwardings"

    @property
    def parents(self) -> Collection:
        """The floating IPs."""
        return self._floating_ips

    @property
    def table(self) -> Table:
        """The port forwardings."""
        return self.state.port_forwardings

    def view(self, caller: Caller, record: Record) -> Record:
        """Return a port forwarding without what its path says."""
        return {name: value for name, value in record.items() if name != "floatingip_id"}

    def missing(self, record_id: str) -> ApiError:
        """Return the error of an id that names none."""
        return not_found("PortForwardingNotFound", f"Port Forwarding {record_id} could not be found.")

    def authorize(self, caller: Caller, action: str, record: Record) -> None:
        """Check that the caller may change the floating IP."""
        self._floating_ips.authorize(caller, action, self._floating_ips.table[record["floatingip_id"]])

    def _create(self, caller: Caller, values: Record) -> Record:
        del values["project_id"]
        self.authorize(caller, "update", values)
        floating = self._floating_ips.table[values["floatingip_id"]]
        made = {"id": self._new_id(), **values}
        if floating["port_id"]:
            raise conflict(
                "FloatingIPPortAlreadyAssociated",
                f"Cannot associate floating IP {floating['floating_ip_address']} ({floating['id']}) with port "
                f"{values['internal_port_id']} using fixed IP {values['internal_ip_address']}, as that fixed IP "
                f"already has a floating IP on external network {floating['floating_network_id']}.",
            )
        self._place(caller, floating, made)
        return self.table.insert(made)

    def _update(self, caller: Caller, old: Record, values: Record) -> Record:
        new = {**old, **values}
        if values.get("internal_port_id", old["internal_port_id"]) != old["internal_port_id"]:
            new["internal_ip_address"] = values.get("internal_ip_address")
        self._place(caller, self._floating_ips.table[old["floatingip_id"]], new)
        return self.table.update(old["id"], new)

    def _delete(self, caller: Caller, record: Record) -> None:
        self.table.delete(record["id"])
        if not self.table.count("floatingip_id", record["floatingip_id"]):
            self.state.update(self.state.floatingips, record["floatingip_id"], {"router_id": None, "status": "DOWN"})

    def _place(self, caller: Caller, floating: Record, wanted: Record) -> None:
        """Find the fixed IP and the router of a port forwarding; ApiError 400, 404, 409 where there is none."""
        port = self._ports.find(caller, wanted["internal_port_id"])
        entry = self._fixed_ip(port, wanted["internal_ip_address"])
        wanted["internal_ip_address"] = entry["ip_address"]
        for lent in self.state.floatingips.find("port_id", port["id"]):
            raise conflict(
                "PortHasBindingFloatingIP",
                f"Cannot create port forwarding to floating IP {lent['floating_ip_address']} ({lent['id']}) with port "
                f"{port['id']} using fixed IP {entry['ip_address']}, as that port already has a binding floating IP.",
            )
        self._check_collisions(wanted)
        network_id = floating["floating_network_id"]
        router = self._routers.reaching(entry["subnet_id"], network_id)
        if router is None or floating["router_id"] not in (None, router["id"]):
            raise bad_resource(
                "port_forwarding",
                f"External network {network_id} is not reachable from subnet {entry['subnet_id']}. Cannot set Port "
                f"forwarding for port {port['id']} with Floating IP {floating['id']}",
            )
        self.state.update(self.state.floatingips, floating["id"], {"router_id": router["id"], "status": "ACTIVE"})

    @staticmethod
    def _fixed_ip(port: Record, address: str | None) -> dict[str, Any]:
        entries = [entry for entry in port["fixed_ips"] if "." in entry["ip_address"]]
        if not entries:
            raise bad_resource(
                "port_forwarding", f"Requested internal port {port['id']} must allocate an IPv4 address at least"
            )
        for entry in entries:
            if address in (None, entry["ip_address"]):
                return dict(entry)
        raise bad_resource(
            "port_forwarding",
            f"Requested internal IP address {address} is not suitable for internal neutron port {port['id']}, as its "
            f"fixed_ips are {entries}",
        )

    def _check_collisions(self, wanted: Record) -> None:
        """Refuse a second use of a port, inside or outside; ApiError 400."""
        for other in self.table:
            if other["id"] == wanted["id"]:
                continue
            for side, names in (("external_port", _OUTSIDE), ("internal_port", _INSIDE)):
                if all(other[name] == wanted[name] for name in names):
                    port = f"{wanted[side]}:{wanted[side]}"
                    raise bad_resource(
                        "port_forwarding",
                        f"There is a port collision with the {side}_range. The following ranges collides: {port} and "
                        f"{port}",
                    )

    def _port_readdressed(self, port: Record) -> None:
        addresses = {entry["ip_address"] for entry in port["fixed_ips"]}
        for one in self.table.find("internal_port_id", port["id"]):
            if one["internal_ip_address"] not in addresses:
                self._delete(ADMIN, one)

    def _port_deleted(self, port: Record) -> None:
        for one in self.table.find("internal_port_id", port["id"]):
            self._delete(ADMIN, one)
