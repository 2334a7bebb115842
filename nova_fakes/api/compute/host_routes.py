"""Hypervisors, services and availability zones over HTTP."""

from __future__ import annotations

import json
import uuid
from typing import Any

from nova_fakes.api.compute.hosts import Service
from nova_fakes.api.compute.records import naive_time
from nova_fakes.api.compute.routing import Request, Route, by_version, strict_since
from nova_fakes.api.compute.schema import BOOLEAN, FQDN, MANY, NUMBERS, ONE, ONE_NUMBER, boolean, objects
from nova_fakes.api.compute.versions import Version
from nova_fakes.exceptions import ApiError
from nova_fakes.virt.hypervisor import Hypervisor

__all__ = ["ROUTES"]

Node = tuple[int, str, str, Hypervisor]


def _cpu_info(host: Hypervisor) -> dict[str, Any]:
    inventory = host.inventory
    return {
        "arch": inventory.architecture,
        "model": inventory.cpu_model,
        "vendor": "Intel",
        "features": list(inventory.cpu_features),
        "topology": inventory.topology(),
    }


def _view(request: Request, node: Node, *, detail: bool, servers: bool = False) -> dict[str, Any]:
    number, identity, name, host = node
    hosts = request.service.hosts
    service = hosts.service(host.name)
    assert service is not None
    by_uuid = request.since(53)
    shown: dict[str, Any] = {
        "id": identity if by_uuid else number,
        "hypervisor_hostname": name,
        "state": "up" if hosts.alive(service) else "down",
        "status": "disabled" if service.disabled else "enabled",
    }
    if detail:
        shown |= {
            "hypervisor_type": "fake",
            "hypervisor_version": host.inventory.hypervisor_version,
            "host_ip": "127.0.0.1",
            "service": {
                "id": service.uuid if by_uuid else service.number,
                "host": host.name,
                "disabled_reason": service.disabled_reason,
            },
        }
        if request.since(88):
            shown["uptime"] = None if host.silent else _uptime(host)
        else:
            shown |= _resources(host, name)
            info = _cpu_info(host)
            shown["cpu_info"] = info if request.since(28) else json.dumps(info)
    here = [one for one in request.service.servers.values() if one.host == host.name] if servers else []
    if here or (servers and request.since(75)):
        shown["servers"] = [{"name": one.instance_name, "uuid": one.id} for one in here]
    return shown


def _resources(host: Hypervisor, node: str) -> dict[str, int]:
    inventory, used = host.inventory, host.capacity.node(node).used
    return {
        "vcpus": inventory.vcpus,
        "memory_mb": inventory.memory_mb,
        "local_gb": inventory.disk_gb,
        "vcpus_used": used.vcpus + used.pcpus,
        "memory_mb_used": used.memory_mb + 512,  # nova.conf reserved_host_memory_mb
        "local_gb_used": used.disk_gb,
        "free_ram_mb": inventory.memory_mb - used.memory_mb - 512,
        "free_disk_gb": inventory.disk_gb - used.disk_gb,
        "current_workload": 0,
        "running_vms": len(host.guests),
        "disk_available_least": max(0, inventory.disk_gb - used.disk_gb),
    }


def _uptime(host: Hypervisor) -> str:
    """Return a host's uptime in the words of `uptime`, which clients take apart."""
    minutes = int(host.uptime_s()) // 60
    days, rest = divmod(minutes, 24 * 60)
    return f" 00:00:00 up {days} days, {rest // 60}:{rest % 60:02},  0 users,  load average: 0.00, 0.00, 0.00"


def _nodes(request: Request) -> tuple[list[Node], bool]:
    """Return the page of compute nodes that a request asks for, and whether more follow."""
    nodes = request.service.hosts.nodes()
    pattern = request.argument("hypervisor_hostname_pattern") if request.since(53) else None
    if pattern is not None:
        if request.argument("limit") is not None or request.argument("marker") is not None:
            raise ApiError(
                400, "Paging over hypervisors with the hypervisor_hostname_pattern query parameter is not supported."
            )
        return _matching(nodes, pattern), False
    if not request.since(33):
        return nodes, False
    page, more = request.page(nodes, lambda node: node[1] if request.since(53) else str(node[0]))
    return list(page), more


def _matching(nodes: list[Node], pattern: str) -> list[Node]:
    found = [node for node in nodes if pattern in node[2]]
    if not found:
        raise ApiError(404, f"No hypervisor matching '{pattern}' could be found.")
    return found


def _list(request: Request, *, detail: bool) -> dict[str, Any]:
    request.require_admin("os-hypervisors:list" + ("-detail" if detail else ""))
    nodes, more = _nodes(request)
    servers = request.since(53) and boolean(request.argument("with_servers") or "0")
    body: dict[str, Any] = {"hypervisors": [_view(request, node, detail=detail, servers=servers) for node in nodes]}
    if more and nodes:
        marker = body["hypervisors"][-1]["id"]
        body["hypervisors_links"] = request.next_links("os-hypervisors" + ("/detail" if detail else ""), str(marker))
    return body


def _index(request: Request) -> dict[str, Any]:
    return _list(request, detail=False)


def _detail(request: Request) -> dict[str, Any]:
    return _list(request, detail=True)


def _node(request: Request, node_id: str) -> Node:
    if request.since(53):
        try:
            uuid.UUID(node_id)
        except ValueError:
            raise ApiError(400, f"Invalid uuid {node_id}") from None
    for node in request.service.hosts.nodes():
        if node_id == (node[1] if request.since(53) else str(node[0])):
            return node
    raise ApiError(404, f"Hypervisor with ID '{node_id}' could not be found.")


def _show(request: Request, node_id: str) -> dict[str, Any]:
    request.require_admin("os-hypervisors:show")
    servers = request.since(53) and boolean(request.argument("with_servers") or "0")
    return {"hypervisor": _view(request, _node(request, node_id), detail=True, servers=servers)}


def _show_uptime(request: Request, node_id: str) -> dict[str, Any]:
    request.require_admin("os-hypervisors:uptime")
    node = _node(request, node_id)
    if node[3].silent:
        raise ApiError(400, f"Compute service of {node[3].name} is unavailable at this time.")
    return {"hypervisor": _view(request, node, detail=False) | {"uptime": _uptime(node[3])}}


def _search(request: Request, pattern: str) -> dict[str, Any]:
    request.require_admin("os-hypervisors:search")
    nodes = _matching(request.service.hosts.nodes(), pattern)
    return {"hypervisors": [_view(request, node, detail=False) for node in nodes]}


def _servers(request: Request, pattern: str) -> dict[str, Any]:
    request.require_admin("os-hypervisors:servers")
    nodes = _matching(request.service.hosts.nodes(), pattern)
    return {"hypervisors": [_view(request, node, detail=False, servers=True) for node in nodes]}


def _statistics(request: Request) -> dict[str, Any]:
    request.require_admin("os-hypervisors:statistics")
    found: dict[str, int] = {}
    nodes = request.service.hosts.nodes()
    for _, _, name, host in nodes:
        service = request.service.hosts.service(host.name)
        if service is not None and not service.disabled:
            for key, value in _resources(host, name).items():
                found[key] = found.get(key, 0) + value
            found["count"] = found.get("count", 0) + 1
    empty = dict.fromkeys((*_RESOURCE_KEYS, "count"), 0)
    return {"hypervisor_statistics": {**empty, **found}}


_RESOURCE_KEYS = ("vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used", "free_ram_mb",
                  "free_disk_gb", "current_workload", "running_vms", "disk_available_least")  # fmt: skip


def _service_view(request: Request, service: Service) -> dict[str, Any]:
    hosts = request.service.hosts
    shown = {
        "binary": service.binary,
        "host": service.host,
        "id": service.uuid if request.since(53) else service.number,
        "zone": hosts.zone(service.host),
        "status": "disabled" if service.disabled else "enabled",
        "state": "up" if hosts.alive(service) else "down",
        "updated_at": naive_time(request.service.now),
        "disabled_reason": service.disabled_reason,
    }
    if request.since(11):
        shown["forced_down"] = service.forced_down
    return shown


def _list_services(request: Request) -> dict[str, Any]:
    request.require_admin("os-services:list")
    host, binary = request.argument("host"), request.argument("binary")
    rows = [
        one
        for one in request.service.hosts.living_services()
        if (not host or one.host == host) and (not binary or one.binary == binary)
    ]
    return {"services": [_service_view(request, one) for one in rows]}


def _service(request: Request, service_id: str) -> Service:
    by_uuid = request.since(53)
    if by_uuid:
        try:
            uuid.UUID(service_id)
        except ValueError:
            raise ApiError(400, f"Invalid uuid {service_id}") from None
    elif not (service_id.isascii() and service_id.isdigit()):
        raise ApiError(400, f"id must be an integer: {service_id}")
    for one in request.service.hosts.living_services():
        if service_id == (one.uuid if by_uuid else str(one.number)):
            return one
    raise ApiError(404, f"Service {service_id} could not be found.")


def _set_service(request: Request, service_id: str) -> dict[str, Any]:
    request.require_admin("os-services:update")
    service, asked = _service(request, service_id), request.body
    _only_compute(service.binary)
    status, reason = asked.get("status"), asked.get("disabled_reason")
    if reason is not None and status != "disabled":
        raise ApiError(400, "Specifying disabled_reason requires that status is specified as disabled.")
    if status is None and "forced_down" not in asked:
        raise ApiError(400, "No updates were requested. Fields 'status' or 'forced_down' should be specified.")
    if "forced_down" in asked:
        service.forced_down = boolean(asked["forced_down"])
    if status is not None:
        service.disabled, service.disabled_reason = status == "disabled", reason
    return {"service": _service_view(request, service)}


def _only_compute(binary: str) -> None:
    if binary != "nova-compute":
        raise ApiError(400, f"Updating a {binary} service is not supported. Only nova-compute services can be updated.")


def _act(request: Request, action: str) -> dict[str, Any]:
    """Answer PUT /os-services/ACTION, as it was before 2.53."""
    request.require_admin("os-services:update")
    asked = request.body
    known = {"enable", "disable", "disable-log-reason"} | ({"force-down"} if request.since(11) else set())
    if action not in known:
        raise ApiError(404, "Unknown action")
    host, binary = asked["host"], asked["binary"]
    _only_compute(binary)
    service = request.service.hosts.service(host)
    if service is None:
        raise ApiError(404, f"Host '{host}' is not mapped to any cell")
    if action == "force-down":
        if "forced_down" not in asked:
            raise ApiError(400, "Missing forced_down field")
        service.forced_down = boolean(asked["forced_down"])
        return {"service": {"host": host, "binary": binary, "forced_down": service.forced_down}}
    shown = {"host": host, "binary": binary, "status": "enabled" if action == "enable" else "disabled"}
    if action == "disable-log-reason":
        if "disabled_reason" not in asked:
            raise ApiError(400, "Missing disabled reason field")
        shown["disabled_reason"] = asked["disabled_reason"]
    service.disabled = action != "enable"
    service.disabled_reason = asked.get("disabled_reason") if action == "disable-log-reason" else None
    return {"service": shown}


def _delete_service(request: Request, service_id: str) -> None:
    request.require_admin("os-services:delete")
    service = _service(request, service_id)
    if any(service.host in (one.host, one.old_host) for one in request.service.servers.values()):
        raise ApiError(
            409,
            "Unable to delete compute service that is hosting instances. Migrate or delete the instances first.",
        )
    service.deleted = True
    for one in request.service.hosts.aggregates.values():
        one.hosts = [host for host in one.hosts if host != service.host]


def _zones(request: Request) -> dict[str, Any]:
    up, down = _zone_states(request)
    rows = [{"zoneName": zone, "zoneState": {"available": zone in up}, "hosts": None} for zone in (*up, *down)]
    return {"availabilityZoneInfo": rows}


def _zone_states(request: Request) -> tuple[list[str], list[str]]:
    hosts = request.service.hosts
    up = sorted(
        {hosts.zone(host) for host in hosts.fleet.hosts if hosts.service(host) and not _disabled(request, host)}
    )
    return up, [zone for zone in hosts.zones() if zone not in up]


def _disabled(request: Request, host: str) -> bool:
    service = request.service.hosts.service(host)
    return service is None or service.disabled


def _zones_detail(request: Request) -> dict[str, Any]:
    request.require_admin("os-availability-zone:detail")
    hosts = request.service.hosts
    up, down = _zone_states(request)
    rows: list[dict[str, Any]] = []
    for zone in ("internal", *up):
        members: dict[str, dict[str, Any]] = {}
        for one in hosts.living_services():
            if hosts.zone(one.host) == zone and not one.disabled:
                members.setdefault(one.host, {})[one.binary] = {
                    "available": hosts.alive(one),
                    "active": True,
                    "updated_at": naive_time(request.service.now),
                }
        rows.append({"zoneName": zone, "zoneState": {"available": True}, "hosts": members})
    rows += [{"zoneName": zone, "zoneState": {"available": False}, "hosts": None} for zone in down]
    return {"availabilityZoneInfo": rows}


def _hypervisor_query(version: Version) -> Any:
    values: dict[str, Any] = {}
    if version >= (2, 33):
        values |= {"limit": NUMBERS, "marker": MANY}
    if version >= (2, 53):
        values |= {"limit": ONE_NUMBER, "marker": ONE}
        flag = {"type": "array", "maxItems": 1, "items": BOOLEAN}
        values |= {"hypervisor_hostname_pattern": {"type": "array", "maxItems": 1, "items": FQDN}, "with_servers": flag}
    return objects(values, more=version < (2, 53))


def _show_query(version: Version) -> Any:
    if version < (2, 53):
        return objects({}, more=True)
    return objects({"with_servers": {"type": "array", "maxItems": 1, "items": BOOLEAN}}, more=False)


_REASON = {"type": "string", "minLength": 1, "maxLength": 255}
_OLD_UPDATE = objects(
    {
        "host": FQDN,
        "binary": {"type": "string", "minLength": 1, "maxLength": 255},
        "disabled_reason": _REASON,
    },
    ("host", "binary"),
)
_OLD_UPDATE_DOWN = {**_OLD_UPDATE, "properties": {**_OLD_UPDATE["properties"], "forced_down": BOOLEAN}}
_UPDATE = objects(
    {"status": {"type": "string", "enum": ["enabled", "disabled"]}, "disabled_reason": _REASON, "forced_down": BOOLEAN}
)
_ROOT = "/os-hypervisors"

ROUTES = (
    Route("GET", _ROOT, _index, query=_hypervisor_query),
    Route("GET", f"{_ROOT}/detail", _detail, query=_hypervisor_query),
    Route("GET", f"{_ROOT}/statistics", _statistics, until=(2, 87)),
    Route("GET", f"{_ROOT}/<node_id>", _show, query=_show_query),
    Route("GET", f"{_ROOT}/<node_id>/uptime", _show_uptime, until=(2, 87)),
    Route("GET", f"{_ROOT}/<pattern>/search", _search, until=(2, 52)),
    Route("GET", f"{_ROOT}/<pattern>/servers", _servers, until=(2, 52)),
    Route("GET", "/os-services", _list_services, query=strict_since(75, "host", "binary")),
    Route(
        "PUT", "/os-services/<action>", _act, body=by_version((1, _OLD_UPDATE), (11, _OLD_UPDATE_DOWN)), until=(2, 52)
    ),
    Route(
        "PUT",
        "/os-services/<action>",
        lambda request, action: _set_service(request, action),
        body=lambda _: _UPDATE,
        since=(2, 53),
    ),
    Route("DELETE", "/os-services/<service_id>", _delete_service, 204, errors=(403, 404, 409)),
    Route("GET", "/os-availability-zone", _zones, errors=()),
    Route("GET", "/os-availability-zone/detail", _zones_detail, errors=(403,)),
)
