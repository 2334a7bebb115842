"""How long which servers of a project ran, and what that comes to (`nova/…/compute/simple_tenant_usage.py`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from nova_fakes.api.compute.records import Server, naive_time
from nova_fakes.api.compute.routing import Request, Route
from nova_fakes.api.compute.schema import MANY, ONE, ONE_NUMBER, objects
from nova_fakes.api.compute.versions import Version
from nova_fakes.exceptions import ApiError

__all__ = ["ROUTES"]

_FORMATS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M:%S.%f")
_HOUR_S = 3600.0


def _period(request: Request) -> tuple[float, float]:
    """Return the beginning and the end of what is asked about, in unix seconds; ApiError 400."""
    now = request.service.now
    start, end = (_moment(request.argument(name), now) for name in ("start", "end"))
    if start >= end:
        raise ApiError(400, "Invalid start time. The start time cannot occur after the end time.")
    return start, min(end, now)


def _moment(text: str | None, now: float) -> float:
    if not text:
        return now
    for form in _FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    raise ApiError(400, "Datetime is in invalid format")


def _index(request: Request) -> dict[str, Any]:
    request.require_admin("os-simple-tenant-usage:list")
    rows, detailed = list(request.service.servers.values()), request.argument("detailed") == "1"
    period, page, links = _page(request, rows, "os-simple-tenant-usage")
    projects = dict.fromkeys(one.project_id for one in page)
    usages = [
        _summary(request, project_id, [one for one in page if one.project_id == project_id], period, detailed)
        for project_id in projects
    ]
    return {"tenant_usages": usages, **({"tenant_usages_links": links} if links else {})}


def _show(request: Request, project_id: str) -> dict[str, Any]:
    if project_id != request.project_id:
        request.require_admin("os-simple-tenant-usage:show")
    rows = [one for one in request.service.servers.values() if one.project_id == project_id]
    period, page, links = _page(request, rows, f"os-simple-tenant-usage/{project_id}")
    usage = _summary(request, project_id, page, period, True) if page else {}
    return {"tenant_usage": usage, **({"tenant_usage_links": links} if links else {})}


def _page(
    request: Request, rows: Sequence[Server], path: str
) -> tuple[tuple[float, float], Sequence[Server], list[dict[str, str]]]:
    """Return the period, the servers that were there in it, and the links to further ones."""
    start, end = period = _period(request)
    there = [
        one
        for one in rows
        if one.launched_at is not None and one.launched_at <= end and (one.terminated_at or math.inf) >= start
    ]
    if not request.since(40):
        return period, there, []
    page, more = request.page(there, lambda one: str(one.id))
    return period, page, request.next_links(path, page[-1].id) if more and page else []


def _summary(
    request: Request, project_id: str, servers: Sequence[Server], period: tuple[float, float], detailed: bool
) -> dict[str, Any]:
    start, end = period
    rows = [_usage(request, one, period) for one in servers]
    shown = {
        "tenant_id": project_id,
        "total_local_gb_usage": sum(row["local_gb"] * row["hours"] for row in rows),
        "total_vcpus_usage": sum(row["vcpus"] * row["hours"] for row in rows),
        "total_memory_mb_usage": sum(row["memory_mb"] * row["hours"] for row in rows),
        "total_hours": sum(row["hours"] for row in rows),
        "start": naive_time(start),
        "stop": naive_time(end),
    }
    return shown | ({"server_usages": rows} if detailed else {})


def _usage(request: Request, server: Server, period: tuple[float, float]) -> dict[str, Any]:
    begun, ended = server.launched_at or 0.0, server.terminated_at
    lived_s = (request.service.now if ended is None else ended) - begun
    within_s = min(period[1], math.inf if ended is None else ended) - max(period[0], begun)
    return {
        "instance_id": server.id,
        "name": server.name,
        "tenant_id": server.project_id,
        "flavor": server.flavor.name,
        "hours": max(0.0, within_s) / _HOUR_S,
        "memory_mb": server.flavor.memory_mb,
        "local_gb": server.flavor.root_gb + server.flavor.ephemeral_gb,
        "vcpus": server.flavor.vcpus,
        "started_at": naive_time(server.launched_at),
        "ended_at": naive_time(ended),
        "state": server.vm_state if ended is None else "terminated",
        "uptime": int(lived_s),
    }


def _query(version: Version, *names: str) -> Any:
    values: dict[str, Any] = dict.fromkeys(("start", "end", *names), MANY)
    if version >= (2, 40):
        values |= {"limit": ONE_NUMBER, "marker": ONE}
    return objects(values, more=version < (2, 75))


ROUTES = (
    Route("GET", "/os-simple-tenant-usage", _index, query=lambda version: _query(version, "detailed"), errors=(403,)),
    Route("GET", "/os-simple-tenant-usage/<project_id>", _show, query=_query, errors=(403,)),
)
