"""Moves of servers over HTTP, and the events that other services report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nova_fakes.api.compute import moves
from nova_fakes.api.compute.records import MigrationRecord, naive_time
from nova_fakes.api.compute.routing import Answer, Request, Route
from nova_fakes.api.compute.schema import MANY, ONE, ONE_NUMBER, ONE_TIME, UUID, objects
from nova_fakes.api.compute.versions import Version
from nova_fakes.exceptions import ApiError

__all__ = ["ROUTES"]

_EVENTS = ["network-changed", "network-vif-plugged", "network-vif-unplugged", "network-vif-deleted"]


def _view(request: Request, one: MigrationRecord) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": one.id,
        "status": one.status,
        "instance_uuid": one.server_id,
        "source_compute": one.source,
        "source_node": one.source,
        "dest_compute": one.destination,
        "dest_node": one.destination,
        "dest_host": "127.0.0.1" if one.destination and one.type != "live-migration" else None,
        "old_instance_type_id": _flavor_number(request, one.old_flavor),
        "new_instance_type_id": _flavor_number(request, one.new_flavor),
        "created_at": naive_time(one.created_at),
        "updated_at": naive_time(one.updated_at),
    }
    if request.since(23):
        shown["migration_type"] = one.type
        if one.type == "live-migration" and one.status in moves.IN_PROGRESS:
            shown["links"] = request.links(f"servers/{one.server_id}/migrations/{one.id}")
    if request.since(59):
        shown["uuid"] = one.uuid
    if request.since(80):
        shown |= {"user_id": one.user_id, "project_id": one.project_id}
    return shown


def _flavor_number(request: Request, flavor_id: str | None) -> int | None:
    ids = list(request.service.flavors.rows)
    return ids.index(flavor_id) + 1 if flavor_id in ids else None


def _index(request: Request) -> dict[str, Any]:
    request.require_admin("os-migrations:index")
    filters: dict[str, Callable[[MigrationRecord], str]] = {
        "status": lambda one: one.status,
        "instance_uuid": lambda one: one.server_id,
        "migration_type": lambda one: one.type,
        "source_compute": lambda one: one.source,
        "user_id": lambda one: one.user_id,
        "project_id": lambda one: one.project_id,
    }
    rows = list(request.service.migrations)
    for name, get in filters.items():
        wanted = request.argument(name)
        if wanted is not None:
            rows = [one for one in rows if get(one) == wanted]
    host = request.argument("host")
    if host is not None:
        rows = [one for one in rows if host in (one.source, one.destination)]
    if not request.since(59):
        return {"migrations": [_view(request, one) for one in rows]}
    since, before = request.moments()
    rows = [one for one in rows if since <= (one.updated_at or one.created_at) <= before]
    page, more = request.page(rows[::-1], lambda one: str(one.uuid))
    body: dict[str, Any] = {"migrations": [_view(request, one) for one in page]}
    if more and page:
        body["migrations_links"] = request.next_links("os-migrations", page[-1].uuid)
    return body


def _progress_view(request: Request, one: MigrationRecord) -> dict[str, Any]:
    source = request.service.fleet.hypervisor(one.source)
    moving = source.migrations.get(one.server_id)
    progress = None if moving is None else moving.progress()
    shown: dict[str, Any] = {
        "id": one.id,
        "server_uuid": one.server_id,
        "status": one.status,
        "created_at": naive_time(one.created_at),
        "updated_at": naive_time(one.updated_at),
        "source_compute": one.source,
        "source_node": one.source,
        "dest_compute": one.destination,
        "dest_node": one.destination,
        "dest_host": None,
    }
    for kind in ("memory", "disk"):
        for part in ("total", "processed", "remaining"):
            value = None if progress is None else getattr(progress, f"{kind}_{part}")
            shown[f"{kind}_{part}_bytes"] = value
    if request.since(59):
        shown["uuid"] = one.uuid
    if request.since(80):
        shown |= {"user_id": one.user_id, "project_id": one.project_id}
    return shown


def _list_running(request: Request, server_id: str) -> dict[str, Any]:
    server = request.service.server(request.token, server_id)
    request.require_admin("servers:migrations:index")
    rows = [
        one
        for one in request.service.migrations
        if one.server_id == server.id and one.type == "live-migration" and one.status in moves.IN_PROGRESS
    ]
    return {"migrations": [_progress_view(request, one) for one in rows]}


def _show_running(request: Request, server_id: str, migration_id: str) -> dict[str, Any]:
    server = request.service.server(request.token, server_id)
    request.require_admin("servers:migrations:show")
    return {"migration": _progress_view(request, moves.running(request.service, server, migration_id))}


def _abort(request: Request, server_id: str, migration_id: str) -> None:
    server = request.service.server(request.token, server_id)
    request.require_admin("servers:migrations:delete")
    moves.abort_live(request, server, migration_id)


def _force(request: Request, server_id: str, migration_id: str) -> None:
    server = request.service.server(request.token, server_id)
    request.require_admin("servers:migrations:force_complete")
    moves.force_live(request, server, migration_id)


def _events(request: Request) -> Answer:
    if not (request.token.is_admin or request.token.is_service):
        raise ApiError(403, "Policy doesn't allow os_compute_api:os-server-external-events:create to be performed.")
    answers, found = [], 0
    for event in request.body["events"]:
        answer = {"status": "completed", "tag": "", **event}
        known = request.service.servers.get(event["server_uuid"])
        if known is None or known.deleted:
            answer |= {"status": "failed", "code": 404}
        elif known.host is None:
            answer |= {"status": "failed", "code": 422}
        else:
            answer["code"] = 200
            request.service.take_events([event])
            found += 1
        answers.append(answer)
    if not found:
        raise ApiError(404, "No instances found for any event")
    return Answer({"events": answers}, status=200 if found == len(answers) else 207)


def _event_body(version: Version) -> Any:
    names = [*_EVENTS]
    if version >= (2, 51):
        names.append("volume-extended")
    if version >= (2, 76):
        names.append("power-update")
    if version >= (2, 82):
        names.append("accelerator-request-bound")
    if version >= (2, 93):
        names.append("volume-reimaged")
    event = objects(
        {
            "server_uuid": UUID,
            "name": {"type": "string", "enum": names},
            "status": {"type": "string", "enum": ["failed", "completed", "in-progress"]},
            "tag": {"type": "string", "maxLength": 255},
        },
        ("server_uuid", "name"),
    )
    return objects({"events": {"type": "array", "minItems": 1, "items": event}}, ("events",))


def _query(version: Version) -> Any:
    values: dict[str, Any] = dict.fromkeys(
        ("status", "host", "instance_uuid", "source_compute", "migration_type", "hidden"), MANY
    )
    if version >= (2, 59):
        values |= {"limit": ONE_NUMBER, "marker": ONE, "changes-since": ONE_TIME}
    if version >= (2, 66):
        values["changes-before"] = ONE_TIME
    if version >= (2, 80):
        values |= {"user_id": ONE, "project_id": ONE}
    return objects(values, more=version < (2, 59))


_ONE = "/servers/<server_id>/migrations/<migration_id>"
_FORCE = objects({"force_complete": {"type": "null"}}, ("force_complete",))

ROUTES = (
    Route("GET", "/os-migrations", _index, query=_query, errors=(403,)),
    Route("GET", "/servers/<server_id>/migrations", _list_running, since=(2, 23)),
    Route("GET", _ONE, _show_running, since=(2, 23)),
    Route("DELETE", _ONE, _abort, 202, since=(2, 24), errors=(403, 404, 409)),
    Route("POST", f"{_ONE}/action", _force, 202, body=lambda _: _FORCE, since=(2, 22), errors=(403, 404, 409)),
    Route("POST", "/os-server-external-events", _events, body=_event_body, errors=(207, 403, 404)),
)
