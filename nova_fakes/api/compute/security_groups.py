"""Security groups of servers: those of their ports in the network service, as nova shows and changes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nova_fakes.api.auth import Token
from nova_fakes.api.compute import interfaces
from nova_fakes.api.compute.records import Server
from nova_fakes.exceptions import ApiError

if TYPE_CHECKING:
    from nova_fakes.api.compute.service import ComputeService

__all__ = ["add", "described", "names", "remove"]

Record = dict[str, Any]


def names(service: ComputeService, token: Token, servers: Sequence[Server]) -> dict[str, list[str]]:
    """Return the names of the groups of servers whose ports are in any, by server.

    Without a network service those are the groups that the servers were asked for with.
    """
    asked = {one.id: one.security_groups or ["default"] for one in servers if one.interfaces}
    if not asked or not service.neighbours.has("network"):
        return asked
    fields = [("fields", "device_id"), ("fields", "security_groups")]
    query = [*(("device_id", server_id) for server_id in asked), *fields]
    rows = service.neighbours.call(token, "network", "GET", "/v2.0/ports", query=query).json().get("ports", [])
    ids = dict.fromkeys(group_id for row in rows for group_id in row["security_groups"])
    known = {one["id"]: one["name"] or one["id"] for one in _groups(service, token, list(ids))}
    found: dict[str, dict[str, None]] = {server_id: {} for server_id in asked}
    for row in rows:
        found[row["device_id"]].update(dict.fromkeys(known[group_id] for group_id in row["security_groups"]))
    return {server_id: list(several) for server_id, several in found.items() if several}


def described(service: ComputeService, token: Token, server: Server) -> list[Record]:
    """Return the groups of a server with their rules, as nova-network once showed them."""
    ports = interfaces.ports(service, server)
    ids = dict.fromkeys(group_id for port in ports for group_id in port["security_groups"])
    groups = _groups(service, token, list(ids))
    remote = {rule["remote_group_id"] for one in groups for rule in one["security_group_rules"]} - {None}
    others = {one["id"]: one for one in _groups(service, token, sorted(remote))}
    shown = [
        {
            "id": one["id"],
            "name": one["name"] or one["id"],
            "description": one["description"],
            "tenant_id": one["tenant_id"],
            "rules": [_rule(rule, others) for rule in one["security_group_rules"] if rule["direction"] == "ingress"],
        }
        for one in groups
    ]
    return sorted(shown, key=lambda one: (one["tenant_id"], one["name"]))


def add(service: ComputeService, token: Token, server: Server, name: str) -> None:
    """Put all of a server's ports into a group.

    Raises:
        ApiError: 404, there is no such group, or no port; 400, a port is in it, or cannot be in any; 409, the name is
            that of several groups.
    """
    group_id = _find(service, token, name)
    for port in _ports(service, server):
        if not port["fixed_ips"] or not port["port_security_enabled"]:
            raise ApiError(
                400, "Network requires port_security_enabled and subnet associated in order to apply security groups."
            )
        _set(service, token, port, [*port["security_groups"], group_id])
    server.security_groups = [*(server.security_groups or ["default"]), name]


def remove(service: ComputeService, token: Token, server: Server, name: str) -> None:
    """Take all of a server's ports out of a group; ApiError 404, there is no such group, or no port is in it."""
    group_id = _find(service, token, name)
    mine = [port for port in _ports(service, server) if group_id in port["security_groups"]]
    if not mine:
        raise ApiError(404, f"Security group {name} not associated with the instance {server.id}")
    for port in mine:
        _set(service, token, port, [one for one in port["security_groups"] if one != group_id])
    server.security_groups = [one for one in server.security_groups or ["default"] if one not in (name, group_id)]


def _find(service: ComputeService, token: Token, name: str) -> str:
    query = [("project_id", token.project_id or "")]
    reply = service.neighbours.call(token, "network", "GET", "/v2.0/security-groups", query=query)
    groups = reply.json()["security_groups"]
    found = [one["id"] for one in groups if one["id"] == name] or [one["id"] for one in groups if one["name"] == name]
    if not found:
        raise ApiError(404, f"Security group {name} is not found for project {token.project_id}")
    if len(found) > 1:
        raise ApiError(409, f"Multiple security_group matches found for name '{name}', use an ID to be more specific.")
    return str(found[0])


def _ports(service: ComputeService, server: Server) -> list[Record]:
    ports = interfaces.ports(service, server)
    if not ports:
        raise ApiError(404, f"instance_id {server.id} could not be found as device id on any ports")
    return ports


def _set(service: ComputeService, token: Token, port: Record, groups: list[str]) -> None:
    body = {"port": {"security_groups": groups}}
    reply = service.neighbours.call(token, "network", "PUT", f"/v2.0/ports/{port['id']}", body)
    if not reply.ok:
        raise ApiError(reply.status, reply.message)


def _groups(service: ComputeService, token: Token, ids: Sequence[str]) -> list[Record]:
    if not ids:
        return []
    query = [("id", group_id) for group_id in ids]
    reply = service.neighbours.call(token, "network", "GET", "/v2.0/security-groups", query=query)
    found: list[Record] = reply.json()["security_groups"]
    return found


def _rule(rule: Record, others: dict[str, Record]) -> Record:
    first, last = rule["port_range_min"], rule["port_range_max"]
    if rule["protocol"] and first is None and last is None:
        first, last = (1, 65535) if rule["protocol"].upper() in ("TCP", "UDP") else (-1, -1)
    other = others.get(rule["remote_group_id"] or "")
    return {
        "id": rule["id"],
        "parent_group_id": rule["security_group_id"],
        "ip_protocol": rule["protocol"],
        "from_port": first,
        "to_port": last,
        "group": {"name": other["name"], "tenant_id": other["tenant_id"]} if other else {},
        "ip_range": {} if other else {"cidr": rule["remote_ip_prefix"] or "0.0.0.0/0"},
    }
