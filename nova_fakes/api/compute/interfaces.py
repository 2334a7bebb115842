"""Servers' network interfaces: ports of the network service, made, bound and given up as nova does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nova_fakes.api.auth import Token
from nova_fakes.api.compute.guests import acting_for
from nova_fakes.api.compute.records import Interface, Server
from nova_fakes.exceptions import ApiError

if TYPE_CHECKING:
    from nova_fakes.api.compute.service import ComputeService

__all__ = ["Wanted", "allocate", "attach", "bind", "detach", "ports", "refresh", "release", "validate"]


@dataclass(frozen=True)
class Wanted:
    """One interface that is asked for: a network, or a port that is there."""

    network_id: str | None = None
    port_id: str | None = None
    fixed_ip: str | None = None
    tag: str | None = None


def validate(service: ComputeService, token: Token, asked: object) -> list[Wanted]:
    """Return the interfaces that a new server is to have.

    Args:
        service: who asks the network service.
        token: the caller's.
        asked: "networks" of the request: a list, "auto", "none" or None.

    Raises:
        ApiError: 400, what it names is not there or contradicts itself; 409, a port is in use, or there are several
            networks and none was chosen.
    """
    if asked == "none" or (not service.neighbours.has("network") and asked in (None, "auto", [])):
        return []
    if asked is None or asked == "auto" or asked == []:
        return _available(service, token, auto=asked == "auto")
    assert isinstance(asked, list)
    found: list[Wanted] = []
    for one in asked:
        wanted = Wanted(one.get("uuid"), one.get("port"), one.get("fixed_ip"), one.get("tag"))
        if wanted.port_id is None and wanted.network_id is None:
            raise ApiError(400, "Bad network format: missing 'uuid'")
        if wanted.port_id is not None:
            if wanted.fixed_ip is not None:
                raise ApiError(
                    400,
                    f"Specified Fixed IP '{wanted.fixed_ip}' cannot be used with port '{wanted.port_id}': the two "
                    f"cannot be specified together.",
                )
            if any(other.port_id == wanted.port_id for other in found):
                raise ApiError(
                    400,
                    f"Port ID '{wanted.port_id}' was specified twice: you cannot attach a port multiple times.",
                )
            _free_port(service, token, wanted.port_id)
        else:
            _network(service, token, str(wanted.network_id))
        found.append(wanted)
    return found


def _available(service: ComputeService, token: Token, *, auto: bool) -> list[Wanted]:
    reply = service.neighbours.call(token, "network", "GET", "/v2.0/networks", as_service=False)
    usable = [
        one
        for one in reply.json().get("networks", [])
        if one["subnets"]
        and not one.get("router:external")
        and (one["shared"] or one["project_id"] == token.project_id)
    ]
    if len(usable) > 1:
        raise ApiError(409, "Multiple possible networks found, use a Network ID to be more specific.")
    if not usable and auto:
        raise ApiError(400, "Unable to automatically allocate a network for project " + (token.project_id or ""))
    return [Wanted(one["id"]) for one in usable]


def _network(service: ComputeService, token: Token, network_id: str) -> dict[str, Any]:
    if service.neighbours.has("network"):
        reply = service.neighbours.call(token, "network", "GET", f"/v2.0/networks/{network_id}", as_service=False)
        if reply.ok:
            found: dict[str, Any] = reply.json()["network"]
            return found
    raise ApiError(400, f"Network {network_id} could not be found.")


def _free_port(service: ComputeService, token: Token, port_id: str) -> dict[str, Any]:
    if service.neighbours.has("network"):
        reply = service.neighbours.call(token, "network", "GET", f"/v2.0/ports/{port_id}", as_service=False)
        if reply.ok:
            found: dict[str, Any] = reply.json()["port"]
            if found["device_id"]:
                raise ApiError(409, f"Port {port_id} is still in use.")
            if not found["fixed_ips"]:
                raise ApiError(400, f"Port {port_id} requires a FixedIP in order to be used.")
            return found
    raise ApiError(400, f"Port id {port_id} could not be found.")


def allocate(service: ComputeService, server: Server, wanted: Sequence[Wanted], host: str) -> None:
    """Give a server its first interfaces, all or none; ApiError as in `attach`."""
    try:
        for one in wanted:
            attach(service, server, one, host)
    except ApiError:
        release(service, server)
        raise


def attach(service: ComputeService, server: Server, wanted: Wanted, host: str | None) -> Interface:
    """Give a server another interface in the network service, bound to a host.

    Raises:
        ApiError: as the network service refuses it: 400, 404, 409.
    """
    token = acting_for(server, service.now)
    device = {"device_id": server.id, "device_owner": f"compute:{server.zone or 'nova'}"}
    binding = {"binding:host_id": host or ""}
    if wanted.port_id is not None:
        reply = service.neighbours.call(
            token, "network", "PUT", f"/v2.0/ports/{wanted.port_id}", {"port": device | binding}
        )
    else:
        values: dict[str, Any] = {"network_id": wanted.network_id, "project_id": server.project_id, **device, **binding}
        if wanted.fixed_ip is not None:
            values["fixed_ips"] = [{"ip_address": wanted.fixed_ip}]
        groups = _security_groups(service, token, server.security_groups)
        if groups is not None:
            values["security_groups"] = groups
        reply = service.neighbours.call(token, "network", "POST", "/v2.0/ports", {"port": values})
    if not reply.ok:
        raise ApiError(400 if reply.status in (400, 404) else reply.status, reply.message)
    made = _interface(service, token, reply.json()["port"])
    made.tag, made.own = wanted.tag, wanted.port_id is None
    server.interfaces.append(made)
    return made


def _security_groups(service: ComputeService, token: Token, names: Sequence[str]) -> list[str] | None:
    wanted = [name for name in names if name != "default"]
    if not wanted:
        return None
    reply = service.neighbours.call(
        token, "network", "GET", "/v2.0/security-groups", query=[("project_id", token.project_id or "")]
    )
    groups = reply.json().get("security_groups", [])
    found = []
    for name in names:
        match = [one["id"] for one in groups if name in (one["id"], one["name"])]
        if not match:
            raise ApiError(400, f"Security group {name} not found for project {token.project_id}.")
        found.append(match[0])
    return found


def _interface(service: ComputeService, token: Token, port: dict[str, Any]) -> Interface:
    network = service.neighbours.call(token, "network", "GET", f"/v2.0/networks/{port['network_id']}").json()
    floating = service.neighbours.call(
        token, "network", "GET", "/v2.0/floatingips", query=[("port_id", port["id"])]
    ).json()
    return Interface(
        port_id=port["id"],
        net_id=port["network_id"],
        label=network["network"]["name"],
        mac=port["mac_address"],
        fixed_ips=[{"address": one["ip_address"], "subnet_id": one["subnet_id"]} for one in port["fixed_ips"]],
        floating_ips=[one["floating_ip_address"] for one in floating.get("floatingips", [])],
    )


def refresh(service: ComputeService, server: Server) -> None:
    """Read a server's interfaces again where the network service has said that they changed."""
    if not service.is_stale(server.id) or not service.neighbours.has("network"):
        return
    token = acting_for(server, service.now)
    known = {one.port_id: one for one in server.interfaces}
    kept = []
    for port in ports(service, server):
        if port["id"] in known:
            fresh = _interface(service, token, port)
            fresh.tag, fresh.own = known[port["id"]].tag, known[port["id"]].own
            kept.append(fresh)
    server.interfaces = kept


def ports(service: ComputeService, server: Server) -> list[dict[str, Any]]:
    """Return a server's ports as the network service shows them."""
    if not service.neighbours.has("network"):
        return []
    token = acting_for(server, service.now)
    reply = service.neighbours.call(token, "network", "GET", "/v2.0/ports", query=[("device_id", server.id)])
    found: list[dict[str, Any]] = reply.json().get("ports", [])
    return found


def bind(service: ComputeService, server: Server, host: str) -> None:
    """Bind a server's ports to the host on which it is now, and have them reported there."""
    token = acting_for(server, service.now)
    for one in server.interfaces:
        values = {"binding:host_id": host}
        service.neighbours.call(token, "network", "PUT", f"/v2.0/ports/{one.port_id}", {"port": values})
        if service.agent is not None:
            service.agent.device_up(one.port_id, host)


def detach(service: ComputeService, server: Server, port_id: str) -> None:
    """Give up one of a server's ports: delete it if it was made for the server, else only let it go."""
    one = next(one for one in server.interfaces if one.port_id == port_id)
    token = acting_for(server, service.now)
    path = f"/v2.0/ports/{port_id}"
    if one.own:
        service.neighbours.call(token, "network", "DELETE", path)
    else:
        values = {"device_id": "", "device_owner": "", "binding:host_id": ""}
        service.neighbours.call(token, "network", "PUT", path, {"port": values})
    server.interfaces = [other for other in server.interfaces if other is not one]


def release(service: ComputeService, server: Server) -> None:
    """Give up all of a server's ports."""
    for one in list(server.interfaces):
        detach(service, server, one.port_id)
