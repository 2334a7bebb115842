"""Servers as the API shows them, by microversion (`nova/api/openstack/compute/views/servers.py`)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nova_fakes.api.compute import interfaces, security_groups
from nova_fakes.api.compute.records import Flavor, Server, host_id, isotime
from nova_fakes.api.compute.routing import Request

if TYPE_CHECKING:
    from nova_fakes.api.compute.service import ComputeService

__all__ = ["addresses", "basic", "changed", "detailed", "flavor_inside", "listed", "rebuilt", "status"]

_STATUS = {
    "active": "ACTIVE",
    "building": "BUILD",
    "stopped": "SHUTOFF",
    "resized": "VERIFY_RESIZE",
    "paused": "PAUSED",
    "suspended": "SUSPENDED",
    "rescued": "RESCUE",
    "error": "ERROR",
    "deleted": "DELETED",
    "soft-delete": "SOFT_DELETED",
    "shelved": "SHELVED",
    "shelved_offloaded": "SHELVED_OFFLOADED",
}
_PROGRESSING = ("ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING")


def status(server: Server) -> str:
    """Return a server's status in the API's words."""
    if server.deleted:
        return "DELETED"
    if server.task_state == "migrating" and server.vm_state in ("active", "paused"):
        return "MIGRATING"
    return _STATUS[server.vm_state]


def basic(request: Request, server: Server) -> dict[str, Any]:
    """Return what a list shows of a server."""
    return {"id": server.id, "name": server.name, "links": request.links(f"servers/{server.id}")}


def detailed(request: Request, server: Server) -> dict[str, Any]:
    """Return everything about a server that this caller may see."""
    shown = _core(request, server, extended=True)
    if request.since(71):
        shown["server_groups"] = [server.group_id] if server.group_id else []
    _add_extensions(request, server, shown, security_groups.names(request.service, request.token, [server]))
    return shown


def listed(request: Request, servers: Sequence[Server]) -> list[dict[str, Any]]:
    """Return everything about several servers that a list of them shows."""
    shown = [_core(request, one, extended=True) for one in servers]
    groups = security_groups.names(request.service, request.token, servers)
    for one, row in zip(servers, shown, strict=True):
        _add_extensions(request, one, row, groups)
    return shown


def changed(request: Request, server: Server) -> dict[str, Any]:
    """Return what the answer to PUT shows, which is everything since 2.75."""
    if request.since(75):
        return detailed(request, server)
    shown = _core(request, server, key=False)
    if request.since(71):
        shown["server_groups"] = [server.group_id] if server.group_id else []
    return shown


def rebuilt(request: Request, server: Server) -> dict[str, Any]:
    """Return what the answer to the action rebuild shows, with the new password."""
    if request.since(75):
        shown = detailed(request, server)
        shown.pop("OS-EXT-SRV-ATTR:user_data", None)
    else:
        shown = _core(request, server, key=request.since(54))
        if request.since(71):
            shown["server_groups"] = [server.group_id] if server.group_id else []
    # It is on its way, as far as the answer tells.
    shown["status"] = "REBUILD"
    if "OS-EXT-STS:task_state" in shown:
        shown["OS-EXT-STS:task_state"] = "rebuilding"
    shown["adminPass"] = server.admin_password
    if request.since(57):
        shown["user_data"] = server.user_data
    return shown


def _core(request: Request, server: Server, *, key: bool = True, extended: bool = False) -> dict[str, Any]:
    """Return what every answer about one server has."""
    service = request.service
    interfaces.refresh(service, server)
    word = status(server)
    shown: dict[str, Any] = {
        "id": server.id,
        "name": server.name,
        "status": word,
        "tenant_id": server.project_id,
        "user_id": server.user_id,
        "metadata": server.metadata,
        "hostId": host_id(server.host, server.project_id),
        "image": _image(request, server),
        "flavor": flavor_inside(request, server.flavor),
        "created": isotime(server.created_at),
        "updated": isotime(server.updated_at),
        "addresses": addresses(server, extended=extended),
        "accessIPv4": server.access_ipv4,
        "accessIPv6": server.access_ipv6,
        "links": request.links(f"servers/{server.id}"),
        "OS-DCF:diskConfig": server.disk_config,
    }
    if word in _PROGRESSING:
        shown["progress"] = 0 if word == "BUILD" else _progress(service, server)
    if word in ("ERROR", "DELETED") and server.fault is not None:
        fault = {**server.fault, "created": isotime(server.fault["created"])}
        shown["fault"] = fault
    if key:
        shown["key_name"] = server.key_name
    if request.since(9):
        shown["locked"] = server.locked_by is not None
    if request.since(19):
        shown["description"] = server.description
    if request.since(26):
        shown["tags"] = list(server.tags)
    if request.since(63):
        shown["trusted_image_certificates"] = server.certificates
    if request.since(73):
        shown["locked_reason"] = server.locked_reason
    if request.since(90):
        shown["OS-EXT-SRV-ATTR:hostname"] = server.hostname
    if request.since(100):
        shown["scheduler_hints"] = server.hints
    return shown


def _add_extensions(
    request: Request, server: Server, shown: dict[str, Any], groups: Mapping[str, Sequence[str]]
) -> None:
    """Add what once were extensions; `groups` holds the names of security groups by server."""
    service = request.service
    shown["OS-EXT-AZ:availability_zone"] = server.zone or ""
    shown["config_drive"] = "True" if server.config_drive else ""
    shown["OS-SRV-USG:launched_at"] = _usage_time(server.launched_at)
    shown["OS-SRV-USG:terminated_at"] = _usage_time(server.terminated_at)
    if server.id in groups:
        shown["security_groups"] = [{"name": name} for name in groups[server.id]]
    if request.token.is_admin:
        _add_attributes(request, server, shown)
        if request.since(16):
            shown["host_status"] = _host_status(service, server)
    shown["OS-EXT-STS:task_state"] = server.task_state
    shown["OS-EXT-STS:vm_state"] = server.vm_state
    shown["OS-EXT-STS:power_state"] = service.power_state(server)
    volumes = [
        {"id": one.volume_id} | ({"delete_on_termination": one.delete_on_termination} if request.since(3) else {})
        for one in server.attachments
    ]
    shown["os-extended-volumes:volumes_attached"] = volumes
    if request.since(96):
        shown["pinned_availability_zone"] = server.pinned_zone


def _add_attributes(request: Request, server: Server, shown: dict[str, Any]) -> None:
    prefix = "OS-EXT-SRV-ATTR:"
    shown[f"{prefix}host"] = server.host
    shown[f"{prefix}instance_name"] = server.instance_name
    shown[f"{prefix}hypervisor_hostname"] = server.host
    if request.since(3):
        shown[f"{prefix}hostname"] = server.hostname
        shown[f"{prefix}kernel_id"] = server.image_properties.get("kernel_id", "")
        shown[f"{prefix}launch_index"] = server.launch_index
        shown[f"{prefix}ramdisk_id"] = server.image_properties.get("ramdisk_id", "")
        shown[f"{prefix}reservation_id"] = server.reservation_id
        shown[f"{prefix}root_device_name"] = server.root_device if server.host else None
        shown[f"{prefix}user_data"] = server.user_data


def _host_status(service: ComputeService, server: Server) -> str:
    if server.host is None:
        return ""
    compute = service.hosts.service(server.host)
    if compute is None:
        return "UNKNOWN"
    if compute.forced_down:
        return "DOWN"
    if not service.hosts.alive(compute):
        return "UNKNOWN"
    return "MAINTENANCE" if compute.disabled else "UP"


def _progress(service: ComputeService, server: Server) -> int:
    host = service.fleet.hosts.get(server.host or "")
    migration = None if host is None else host.migrations.get(server.id)
    return 0 if migration is None else migration.progress().percent


def _usage_time(unix_s: float | None) -> str | None:
    if unix_s is None:
        return None
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def _image(request: Request, server: Server) -> Any:
    if server.image_id is None:
        return ""
    links = [{"rel": "bookmark", "href": f"{request.base}/images/{server.image_id}"}]
    shown: dict[str, Any] = {"id": server.image_id, "links": links}
    if request.since(98):
        known = ("hw_", "os_", "img_", "architecture", "kernel_id", "ramdisk_id")
        shown["properties"] = {key: value for key, value in server.image_properties.items() if key.startswith(known)}
    return shown


def flavor_inside(request: Request, flavor: Flavor) -> dict[str, Any]:
    """Return a flavor as its server shows it."""
    if not request.since(47):
        links = [{"rel": "bookmark", "href": f"{request.base}/flavors/{flavor.id}"}]
        return {"id": flavor.id, "links": links}
    return {
        "vcpus": flavor.vcpus,
        "ram": flavor.memory_mb,
        "disk": flavor.root_gb,
        "ephemeral": flavor.ephemeral_gb,
        "swap": flavor.swap_mb,
        "original_name": flavor.name,
        "extra_specs": flavor.extra_specs,
    }


def addresses(server: Server, *, extended: bool = False) -> dict[str, list[dict[str, Any]]]:
    """Return a server's addresses by network; `extended` with MAC addresses and kinds."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in server.interfaces if server.vm_state != "building" else ():
        rows = found.setdefault(one.label, [])
        several = [(entry["address"], "fixed") for entry in one.fixed_ips]
        for address, kind in (*several, *((floating, "floating") for floating in one.floating_ips)):
            row: dict[str, Any] = {"version": ipaddress.ip_address(address).version, "addr": address}
            if extended:
                row |= {"OS-EXT-IPS:type": kind, "OS-EXT-IPS-MAC:mac_addr": one.mac}
            rows.append(row)
    return found
