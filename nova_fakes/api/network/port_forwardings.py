"""Port forwardings: ports of a floating IP that are lent to ports of fixed IPs. Records; nothing is forwarded."""

from __future__ import annotations

from typing import Any, Final

from nova_fakes.api.network import values
from nova_fakes.api.network.caller import ADMIN, Caller
from nova_fakes.api.network.collection import Collection
from nova_fakes.api.network.floating_ips import FloatingIPs
from nova_fakes.api.network.nested import Nested
from nova_fakes.api.network.ports import Ports
from nova_fakes.api.network.refusals import bad_request, bad_resource, conflict, not_found
from nova_fakes.api.network.routers import Routers
from nova_fakes.api.network.schema import REQUIRED, Attribute, Schema
from nova_fakes.api.network.security_groups import PROTOCOLS
from nova_fakes.api.network.table import Record, Table
from nova_fakes.exceptions import ApiError

__all__ = ["PortForwardings"]

_HIGHEST: Final = 65535
_PORT = values.integer(1, _HIGHEST)
_SIDES: Final = ("internal", "external")
_OUTSIDE = ("floatingip_id", "protocol")
_INSIDE = ("internal_port_id", "internal_ip_address", "protocol")


def _protocol(value: Any) -> str:
    word = str(value).lower()
    if word not in PROTOCOLS:
        raise ValueError(f"'{value}' is not in {list(PROTOCOLS)}")
    return word


def _range(value: Any) -> str | None:
    """Accept a port, or two with a colon between them, the lower first; return two."""
    if value is None:
        return None
    first, _, last = str(value).partition(":")
    low, high = (_PORT(text) for text in (first, last if ":" in str(value) else first))
    if low > high:
        raise ValueError("First port in a port range must be lower than the second port")
    return f"{low}:{high}"


def _span(record: Record, side: str) -> tuple[int, int]:
    """Return the first and the last port of a side; those of an older state have one port and no range."""
    text = record.get(f"{side}_port_range") or "{0}:{0}".format(record[f"{side}_port"])
    low, high = (int(number) for number in text.split(":"))
    return low, high


_RANGE = values.Described(_range, {"type": "string", "pattern": "^[0-9]+(:[0-9]+)?$", "nullable": True})


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
            "internal_port": Attribute(values.optional(_PORT), default=None),
            "internal_port_range": Attribute(_RANGE, default=None, filters=False),
            "external_port": Attribute(values.optional(_PORT), default=None),
            "external_port_range": Attribute(_RANGE, default=None),
            "protocol": Attribute(values.Described(_protocol, {"enum": list(PROTOCOLS)}), default=REQUIRED),
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
        shown = {name: value for name, value in record.items() if name != "floatingip_id"}
        for side in _SIDES:
            shown[f"{side}_port_range"] = "{}:{}".format(*_span(record, side))
        return shown

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
        made = {"id": self._new_id(), **values, **_sides(values)}
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
        new = {**old, **values, **_sides({**_sides(old), **_sides_named(values)})}
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
            for side, names in (("internal", _INSIDE), ("external", _OUTSIDE)):
                (low, high), (first, last) = _span(other, side), _span(wanted, side)
                if low <= last and first <= high and all(other[name] == wanted[name] for name in names):
                    raise bad_resource(
                        "port_forwarding",
                        f"There is a port collision with the {side}_port_range. The following ranges collide: "
                        f"{low}:{high} and {first}:{last}",
                    )

    def _port_readdressed(self, port: Record) -> None:
        addresses = {entry["ip_address"] for entry in port["fixed_ips"]}
        for one in self.table.find("internal_port_id", port["id"]):
            if one["internal_ip_address"] not in addresses:
                self._delete(ADMIN, one)

    def _port_deleted(self, port: Record) -> None:
        for one in self.table.find("internal_port_id", port["id"]):
            self._delete(ADMIN, one)


def _sides_named(values: Record) -> Record:
    """Return what a request says of ports; a single port takes the place of the range that was, and the reverse."""
    named: Record = {}
    for side in _SIDES:
        port, span = values.get(f"{side}_port"), values.get(f"{side}_port_range")
        if port is not None or span is not None:
            named |= {f"{side}_port": port, f"{side}_port_range": span}
    return named


def _sides(values: Record) -> Record:
    """Return the ports of both sides, each as a range, and as a port where it is one; ApiError 400."""
    for side in _SIDES:
        if values[f"{side}_port"] is None and not values.get(f"{side}_port_range"):
            raise bad_request(f"Failed to parse request. Required attribute '{side}_port' not specified")
    spans = {side: _span(values, side) for side in _SIDES}
    (low, high), (first, last) = spans.values()
    if low != high and high - low != last - first:
        raise bad_resource(
            "port_forwarding",
            "Invalid ranges of internal and/or external ports. The relation between internal and external ports must "
            "be N-N or 1-N",
        )
    return {
        name: value
        for side, (start, end) in spans.items()
        for name, value in (
            (f"{side}_port", start if start == end else None),
            (f"{side}_port_range", f"{start}:{end}"),
        )
    }
