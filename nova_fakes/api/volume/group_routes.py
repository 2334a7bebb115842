"""Routes of groups of volumes (3.13)."""

from __future__ import annotations

from typing import Any

import flask

from nova_fakes.api.volume.listing import Listing
from nova_fakes.api.volume.query import flag
from nova_fakes.api.volume.records import Group
from nova_fakes.api.volume.request import Request, empty, no_action, route
from nova_fakes.api.volume.schema import boolean
from nova_fakes.api.volume.views import moment
from nova_fakes.api.volume.volume_routes import described
from nova_fakes.api.wsgi import reply
from nova_fakes.exceptions import ApiError

__all__ = ["ACTIONS", "register"]

#: Schemas of the actions' bodies.
ACTIONS = ("group delete", "group status")
SINCE = (3, 13)
#: Since when there is which action; those of replication are for backends that can do it, and none here can.
REPLICATION = ("enable_replication", "disable_replication", "failover_replication", "list_replication_targets")
FIELDS = {
    "id": lambda group: group.id,
    "name": lambda group: group.name,
    "status": lambda group: group.status,
    "availability_zone": lambda group: group.availability_zone,
    "group_type_id": lambda group: group.group_type_id,
    "created_at": lambda group: group.created_at,
    "project_id": lambda group: group.project_id,
    # No filter, though it stands where filters do.
    "list_volume": lambda group: flask.request.args["list_volume"],
}
LISTING: Listing[Group] = Listing("groups", "Group", FIELDS, ("name", "list_volume"), links="group_links")


def register(app: flask.Flask) -> None:
    """Add the routes to the application."""
    LISTING.register(
        app,
        "/groups",
        lambda request: request.service.groups.visible(request.token, all_projects=flag("all_tenants")),
        _summary,
        _view,
        since=SINCE,
        returning=True,
    )
    route(app, "POST", "/groups", _create, since=SINCE)
    route(app, "POST", "/groups/action", _create_from_source, since=(3, 14))
    route(app, "GET", "/groups/<group_id>", _show, since=SINCE)
    route(app, "PUT", "/groups/<group_id>", _update, since=SINCE)
    route(app, "POST", "/groups/<group_id>/action", _act, since=SINCE)


def _summary(request: Request, group: Group) -> dict[str, Any]:
    return {"id": group.id, "name": group.name}


def _view(request: Request, group: Group) -> dict[str, Any]:
    view: dict[str, Any] = {
        **_summary(request, group),
        "status": group.status,
        "availability_zone": group.availability_zone,
        "created_at": moment(group.created_at),
        "description": group.description,
        "group_type": group.group_type_id,
        "volume_types": list(group.volume_type_ids),
    }
    if request.version >= (3, 14):
        view |= {"group_snapshot_id": group.group_snapshot_id, "source_group_id": group.source_group_id}
    if request.version >= (3, 25) and flag("list_volume"):
        view["volumes"] = [one.id for one in request.service.groups.volumes_of(group.id)]
    if request.version >= (3, 38):
        view["replication_status"] = "disabled"
    if request.version >= (3, 58) and request.token.is_admin:
        view["project_id"] = group.project_id
    return view


def _create(request: Request) -> flask.Response:
    body = request.body("group create")["group"]
    group = request.service.groups.create(
        request.token,
        body["group_type"],
        body["volume_types"],
        availability_zone=body.get("availability_zone"),
        **described(body),
    )
    return reply({"group": _summary(request, group)}, 202)


def _create_from_source(request: Request) -> flask.Response:
    name = request.action()
    if name != "create-from-src":
        raise no_action(name)
    body = request.body("group create from source")[name]
    group = request.service.groups.create_from_source(
        request.token,
        group_snapshot_id=body.get("group_snapshot_id"),
        source_group_id=body.get("source_group_id"),
        **described(body),
    )
    return reply({"group": _summary(request, group)}, 202)


def _show(request: Request, group_id: str) -> flask.Response:
    return reply({"group": _view(request, request.service.groups.get(request.token, group_id))})


def _update(request: Request, group_id: str) -> flask.Response:
    body = request.body("group update")["group"]
    request.service.groups.update(
        request.token,
        group_id,
        add=_ids(body.get("add_volumes")),
        remove=_ids(body.get("remove_volumes")),
        **described(body),
    )
    return empty()


def _ids(text: str | None) -> list[str]:
    """Return the ids of a list with commas between."""
    return text.strip(",").split(",") if text else []


def _act(request: Request, group_id: str) -> flask.Response:
    name, groups = request.action(), request.service.groups
    if name == "delete":
        volumes = boolean(request.body("group delete")[name].get("delete-volumes"))
        groups.delete(request.token, group_id, volumes=volumes)
    elif name == "reset_status":
        request.since((3, 20))
        status = request.body("group status")[name]["status"]
        request.admin("group:reset_status")
        groups.reset_status(request.token, group_id, status)
    elif name in REPLICATION:
        request.since((3, 38))
        groups.get(request.token, group_id)
        raise ApiError(400, f"Invalid group type: Group {group_id} is not a replication group type.")
    else:
        raise no_action(name)
    return empty()
