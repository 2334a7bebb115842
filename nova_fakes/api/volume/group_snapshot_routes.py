"""Routes of snapshots of groups (3.14)."""

from __future__ import annotations

from typing import Any

import flask

from nova_fakes.api.volume.listing import Listing
from nova_fakes.api.volume.query import flag
from nova_fakes.api.volume.records import GroupSnapshot
from nova_fakes.api.volume.request import Request, empty, no_action, route
from nova_fakes.api.volume.views import moment
from nova_fakes.api.volume.volume_routes import described
from nova_fakes.api.wsgi import reply

__all__ = ["ACTIONS", "register"]

#: Schemas of the actions' bodies.
ACTIONS = ("group status",)
SINCE = (3, 14)
FIELDS = {
    "id": lambda whole: whole.id,
    "name": lambda whole: whole.name,
    "status": lambda whole: whole.status,
    "group_id": lambda whole: whole.group_id,
    "created_at": lambda whole: whole.created_at,
    "project_id": lambda whole: whole.project_id,
}
PUBLIC = ("name", "status", "group_id")
LISTING: Listing[GroupSnapshot] = Listing(
    "group_snapshots", "GroupSnapshot", FIELDS, PUBLIC, links="group_snapshot_links"
)


def register(app: flask.Flask) -> None:
    """Add the routes to the application."""
    one = "/group_snapshots/<group_snapshot_id>"
    LISTING.register(
        app,
        "/group_snapshots",
        lambda request: request.service.group_snapshots.visible(request.token, all_projects=flag("all_tenants")),
        lambda _, whole: {"id": whole.id, "name": whole.name},
        _view,
        since=SINCE,
        returning=True,
    )
    route(app, "POST", "/group_snapshots", _create, since=SINCE)
    route(app, "GET", one, _show, since=SINCE)
    route(app, "DELETE", one, _delete, since=SINCE)
    route(app, "POST", f"{one}/action", _act, since=(3, 19))


def _view(request: Request, whole: GroupSnapshot) -> dict[str, Any]:
    view = {
        "id": whole.id,
        "group_id": whole.group_id,
        "group_type_id": whole.group_type_id,
        "status": whole.status,
        "created_at": moment(whole.created_at),
        "name": whole.name,
        "description": whole.description,
    }
    if request.version >= (3, 58) and request.token.is_admin:
        view["project_id"] = whole.project_id
    return view


def _create(request: Request) -> flask.Response:
    body = request.body("group snapshot create")["group_snapshot"]
    whole = request.service.group_snapshots.create(request.token, body["group_id"], **described(body))
    answer = {"id": whole.id, "name": whole.name, "group_type_id": whole.group_type_id}
    return reply({"group_snapshot": answer}, 202)


def _show(request: Request, group_snapshot_id: str) -> flask.Response:
    whole = request.service.group_snapshots.get(request.token, group_snapshot_id)
    return reply({"group_snapshot": _view(request, whole)})


def _delete(request: Request, group_snapshot_id: str) -> flask.Response:
    request.service.group_snapshots.delete(request.token, group_snapshot_id)
    return empty()


def _act(request: Request, group_snapshot_id: str) -> flask.Response:
    name = request.action()
    if name != "reset_status":
        raise no_action(name)
    status = request.body("group status")[name]["status"]
    request.admin("group:reset_group_snapshot_status")
    request.service.group_snapshots.reset_status(request.token, group_snapshot_id, status)
    return empty()
