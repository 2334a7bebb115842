"""How many addresses of networks are taken (`neutron/db/network_ip_availability_db.py`)."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Final

import flask

from nova_fakes.api.network.body import arguments, asked, caller, fields
from nova_fakes.api.network.networks import Networks
from nova_fakes.api.network.refusals import bad_request, not_found
from nova_fakes.api.network.state import State
from nova_fakes.api.network.table import Record
from nova_fakes.api.wsgi import reply

__all__ = ["add_ip_availability"]

_FILTERS: Final = frozenset({"network_id", "network_name", "tenant_id", "project_id", "ip_version"})


def add_ip_availability(app: flask.Flask, networks: Networks) -> None:
    """Add the paths to the application; others than administrators see none, as in Neutron."""
    state = networks.state

    def index() -> flask.Response:
        filters = {name: wanted for name, wanted in arguments().items() if name != "fields"}
        unknown = sorted(filters.keys() - _FILTERS)
        if unknown:
            raise bad_request(f"{unknown} is invalid attribute for filtering")
        versions = filters.pop("ip_version", None)
        with state.lock:
            rows = [_of(state, network, versions) for network in state.networks] if caller().is_privileged else []
        found = [row for row in rows if all(row[name] in wanted for name, wanted in filters.items())]
        return reply({"network_ip_availabilities": [fields(row, asked()) for row in found]})

    def show(network_id: str) -> flask.Response:
        with state.lock:
            network = state.networks.get(network_id)
            if network is None or not caller().is_privileged:
                raise not_found("NetworkNotFound", f"Network {network_id} could not be found.")
            return reply({"network_ip_availability": fields(_of(state, network, None), asked())})

    url = "/v2.0/network-ip-availabilities"
    app.add_url_rule(url, "network_ip_availabilities_index", index, methods=["GET"])
    app.add_url_rule(f"{url}/<network_id>", "network_ip_availabilities_show", show, methods=["GET"])


def _of(state: State, network: Record, versions: list[str] | None) -> Record:
    """Return what is taken of a network's subnets, or of those of some IP versions."""
    rows = [
        _of_subnet(state, subnet)
        for subnet in state.subnets.find("network_id", network["id"])
        if versions is None or str(subnet["ip_version"]) in versions
    ]
    return {
        "network_id": network["id"],
        "network_name": network["name"],
        "project_id": network["project_id"],
        "tenant_id": network["project_id"],
        "total_ips": sum(row["total_ips"] for row in rows),
        "used_ips": sum(row["used_ips"] for row in rows),
        "subnet_ip_availability": rows,
    }


def _of_subnet(state: State, subnet: Record) -> Record:
    pools = subnet["allocation_pools"]
    sizes = [int(ip_address(pool["end"])) - int(ip_address(pool["start"])) + 1 for pool in pools]
    entries = [entry for port in state.ports.find("subnet_id", subnet["id"]) for entry in port["fixed_ips"]]
    return {
        "subnet_id": subnet["id"],
        "subnet_name": subnet["name"],
        "cidr": subnet["cidr"],
        "ip_version": subnet["ip_version"],
        "total_ips": sum(sizes) if pools else ip_network(subnet["cidr"]).num_addresses,
        "used_ips": sum(entry["subnet_id"] == subnet["id"] for entry in entries),
    }
