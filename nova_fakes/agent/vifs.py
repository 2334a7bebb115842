"""VIFs on the wire: the fields of `VIF` as JSON, and back with every check that nova's own description gets."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from nova_fakes.agent import checks
from nova_fakes.exceptions import InvalidInput
from nova_fakes.virt.vif.base import ADDRESSING_KEY, VIF, Route, Subnet

__all__ = ["check", "decode", "encode"]

_VIF = tuple(item.name for item in fields(VIF))
_SUBNET = tuple(item.name for item in fields(Subnet))
_ROUTE = ("destination", "nexthop")
#: Details that realizers make names of (``nova/network/model.py``).
_NAMES = ("bridge_name", "vhostuser_ovs_bridge")
_FLAGS = ("ovs_hybrid_plug", "port_filter")
_DATAPATHS = ("system", "netdev")
_PATHS = ("vhostuser_socket",)


def encode(vif: VIF) -> dict[str, Any]:
    """Return a VIF as JSON carries it."""
    return {
        "id": vif.id,
        "address": vif.address,
        "devname": vif.devname,
        "network_id": vif.network_id,
        "bridge": vif.bridge,
        "mtu": vif.mtu,
        "type": vif.type,
        "vnic_type": vif.vnic_type,
        "active": vif.active,
        "subnets": [_encode_subnet(subnet) for subnet in vif.subnets],
        "details": dict(vif.details),
        "addressing": vif.addressing,
    }


def decode(value: object) -> VIF:
    """Return the VIF that JSON carried.

    :raises InvalidInput: a key is missing or unknown, or a value cannot be used
    """
    given = checks.keys(value, "vif", _VIF)
    name = f"of VIF {checks.uuid(given['id'], 'id')}"
    mtu = given["mtu"]
    if not isinstance(mtu, int) or isinstance(mtu, bool):
        raise InvalidInput(f"mtu {name}", mtu, "give a number of bytes")
    # nova's own description is checked in one place, so it is put together again.
    vif = VIF.from_network_info(
        {
            "id": given["id"],
            "address": checks.text(given["address"], f"address {name}"),
            "devname": checks.interface_name(given["devname"], f"devname {name}"),
            "type": checks.identifier(given["type"], f"type {name}"),
            "vnic_type": checks.identifier(given["vnic_type"], f"vnic_type {name}"),
            "active": checks.flag(given["active"], f"active {name}"),
            "profile": {ADDRESSING_KEY: given["addressing"]},
            "details": checks.plain(_object(given["details"], f"details {name}"), f"details {name}"),
            "network": {
                "id": checks.identifier(given["network_id"], f"network_id {name}"),
                "bridge": given["bridge"],
                "meta": {"mtu": mtu},
                "subnets": [_subnet(subnet, name) for subnet in checks.listed(given["subnets"], f"subnets {name}")],
            },
        }
    )
    check(vif)
    return vif


def check(vif: VIF) -> None:
    """Refuse a VIF that the other end would refuse.

    :raises InvalidInput: a value cannot be used
    """
    name = f"of VIF {checks.uuid(vif.id, 'id')}"
    checks.interface_name(vif.devname, f"devname {name}")
    checks.identifier(vif.network_id, f"network_id {name}")
    if vif.bridge is not None:
        checks.interface_name(vif.bridge, f"bridge {name}")
    checks.identifier(vif.type, f"type {name}")
    checks.identifier(vif.vnic_type, f"vnic_type {name}")
    for subnet in vif.subnets:
        for server in subnet.dns:
            checks.address(server, f"dns {name}")
    _check_details(vif.details, name)


def _check_details(details: Mapping[str, object], name: str) -> None:
    checks.plain(details, f"details {name}")
    for key in _NAMES:
        if details.get(key) is not None:
            checks.interface_name(details[key], f"{key} {name}")
    for key in _FLAGS:
        if details.get(key) is not None:
            checks.flag(details[key], f"{key} {name}")
    datapath = details.get("datapath_type")
    if datapath is not None and datapath not in _DATAPATHS:
        raise InvalidInput(f"datapath_type {name}", datapath, f"use one of {', '.join(_DATAPATHS)}")
    for key in _PATHS:
        if details.get(key) is not None:
            checks.path(details[key], f"{key} {name}")


def _encode_subnet(subnet: Subnet) -> dict[str, Any]:
    return {
        "cidr": subnet.cidr,
        "gateway": subnet.gateway,
        "addresses": list(subnet.addresses),
        "routes": [_encode_route(route) for route in subnet.routes],
        "dns": list(subnet.dns),
        "dhcp_server": subnet.dhcp_server,
        "ipv6_mode": subnet.ipv6_mode,
    }


def _encode_route(route: Route) -> dict[str, str]:
    return {"destination": route.destination, "nexthop": route.nexthop}


def _subnet(value: object, name: str) -> dict[str, Any]:
    given = checks.keys(value, f"subnet {name}", _SUBNET)
    routes = [checks.keys(route, f"route {name}", _ROUTE) for route in checks.listed(given["routes"], f"routes {name}")]
    gateway, server, mode = given["gateway"], given["dhcp_server"], given["ipv6_mode"]
    return {
        "cidr": checks.no_zone(given["cidr"], f"cidr {name}"),
        "gateway": None if gateway is None else checks.no_zone(gateway, f"gateway {name}"),
        "ips": [checks.no_zone(item, f"addresses {name}") for item in checks.listed(given["addresses"], name)],
        "routes": [
            {
                "cidr": checks.no_zone(route["destination"], f"destination {name}"),
                "gateway": checks.no_zone(route["nexthop"], f"nexthop {name}"),
            }
            for route in routes
        ],
        "dns": checks.listed(given["dns"], f"dns {name}"),
        "meta": {
            "dhcp_server": None if server is None else checks.no_zone(server, f"dhcp_server {name}"),
            "ipv6_address_mode": None if mode is None else checks.identifier(mode, f"ipv6_mode {name}"),
        },
    }


def _object(value: object, field: str) -> object:
    if not isinstance(value, dict):
        raise InvalidInput(field, value, "give an object")
    return value
