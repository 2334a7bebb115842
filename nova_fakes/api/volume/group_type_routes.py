"""Routes of group types and their specs (3.11)."""

from __future__ import annotations

from typing import Any

import flask

from nova_fakes.api.volume.listing import Listing
from nova_fakes.api.volume.records import GroupType
from nova_fakes.api.volume.request import Request, empty, route
from nova_fakes.api.volume.schema import boolean
from nova_fakes.api.volume.type_requests import FIELDS, asked_publicity, changes
from nova_fakes.api.wsgi import reply
from nova_fakes.exceptions import ApiError

__all__ = ["register"]

SINCE = (3, 11)
LISTING: Listing[GroupType] = Listing("group_types", "Group type", FIELDS, ("is_public",), links="group_type_links")


def register(app: flask.Flask) -> None:
    """Add the routes to the application."""
    one, specs = "/group_types/<group_type_id>", "/group_types/<group_type_id>/group_specs"
    for method, path, view, policy in (
        ("GET", "/group_types", _index, None),
        ("POST", "/group_types", _create, "group_types:create"),
        ("GET", one, _show, None),
        ("PUT", one, _update, "group_types:update"),
        ("DELETE", one, _delete, "group_types:delete"),
        ("GET", specs, _specs, "group_types_specs:get_all"),
        ("POST", specs, _add_specs, "group_types_specs:create"),
        ("GET", f"{specs}/<key>", _spec, "group_types_specs:get"),
        ("PUT", f"{specs}/<key>", _set_spec, "group_types_specs:update"),
        ("DELETE", f"{specs}/<key>", _delete_spec, "group_types_specs:delete"),
    ):
        route(app, method, path, view, since=SINCE, policy=None if policy is None else f"group:{policy}")


def _view(request: Request, kind: GroupType) -> dict[str, Any]:
    view = {"id": kind.id, "name": kind.name, "description": kind.description, "is_public": kind.is_public}
    return {**view, "group_specs": dict(kind.specs)} if request.token.is_admin else view


def _index(request: Request) -> flask.Response:
    kinds = request.service.group_types.visible(request.token, is_public=asked_publicity())
    return LISTING.answer(request, kinds, lambda kind: _view(request, kind))


def _create(request: Request) -> flask.Response:
    body = request.body("group type create")["group_type"]
    kind = request.service.group_types.create(
        body["name"].strip(),
        body.get("description"),
        is_public=boolean(body.get("is_public", True)),
        specs=body.get("group_specs"),
    )
    return reply({"group_type": _view(request, kind)}, 202)


def _show(request: Request, group_type_id: str) -> flask.Response:
    if group_type_id == "default":
        raise ApiError(404, "Default group type can not be found.")
    return reply({"group_type": _view(request, request.service.group_types.get(request.token, group_type_id))})


def _update(request: Request, group_type_id: str) -> flask.Response:
    body = request.body("group type update")["group_type"]
    kind = request.service.group_types.update(group_type_id, **changes(body))
    return reply({"group_type": _view(request, kind)})


def _delete(request: Request, group_type_id: str) -> flask.Response:
    request.service.group_types.delete(group_type_id)
    return empty()


def _specs(request: Request, group_type_id: str) -> flask.Response:
    return reply({"group_specs": dict(request.service.group_types.get(request.token, group_type_id).specs)})


def _add_specs(request: Request, group_type_id: str) -> flask.Response:
    body = request.body("group specs")
    request.service.group_types.set_specs(group_type_id, body["group_specs"])
    return reply(body, 202)


def _spec(request: Request, group_type_id: str, key: str) -> flask.Response:
    return reply({key: request.service.group_types.spec(group_type_id, key)})


def _set_spec(request: Request, group_type_id: str, key: str) -> flask.Response:
    body = request.body("group spec")
    if key not in body:
        raise ApiError(400, "Request body and URI mismatch")
    request.service.group_types.set_specs(group_type_id, body)
    return reply(body)


def _delete_spec(request: Request, group_type_id: str, key: str) -> flask.Response:
    request.service.group_types.unset_spec(group_type_id, key)
    return empty()
