"""Routes of volume types, their extra specs and who may use them."""

from __future__ import annotations

import flask

from nova_fakes.api.volume.listing import Listing
from nova_fakes.api.volume.records import VolumeType
from nova_fakes.api.volume.refusals import key_not_found
from nova_fakes.api.volume.request import Request, empty, no_action, route
from nova_fakes.api.volume.schema import boolean
from nova_fakes.api.volume.type_requests import FIELDS, asked_publicity, changes
from nova_fakes.api.wsgi import reply
from nova_fakes.exceptions import ApiError

__all__ = ["ACTIONS", "register"]

ACTIONS = ("addProjectAccess", "removeProjectAccess")
PUBLIC = ("is_public",)
MANAGE = "volume_extension:types_manage"
LISTING: Listing[VolumeType] = Listing("volume_types", "Volume type", FIELDS, PUBLIC)


def register(app: flask.Flask) -> None:
    """Add the routes to the application."""
    route(app, "GET", "/types", _index)
    route(app, "POST", "/types", _create)
    route(app, "GET", "/types/<type_id>", _show)
    route(app, "PUT", "/types/<type_id>", _update)
    route(app, "DELETE", "/types/<type_id>", _delete)
    route(app, "POST", "/types/<type_id>/action", _act)
    route(app, "GET", "/types/<type_id>/os-volume-type-access", _access)
    route(app, "GET", "/types/<type_id>/extra_specs", _specs)
    route(app, "POST", "/types/<type_id>/extra_specs", _add_specs)
    route(app, "GET", "/types/<type_id>/extra_specs/<key>", _spec)
    route(app, "PUT", "/types/<type_id>/extra_specs/<key>", _set_spec)
    route(app, "DELETE", "/types/<type_id>/extra_specs/<key>", _delete_spec)


def _index(request: Request) -> flask.Response:
    kinds = request.service.types.visible(request.token, is_public=asked_publicity())
    return LISTING.answer(request, kinds, request.views.volume_type, "types")


def _create(request: Request) -> flask.Response:
    request.admin(f"{MANAGE}:create")
    body = request.body("type create")["volume_type"]
    kind = request.service.types.create(
        body["name"],
        body.get("description"),
        is_public=boolean(body.get("os-volume-type-access:is_public", True)),
        specs=body.get("extra_specs"),
    )
    return reply({"volume_type": request.views.volume_type(kind)})


def _show(request: Request, type_id: str) -> flask.Response:
    types = request.service.types
    kind = types.default_of(request.token.project_id) if type_id == "default" else types.get(request.token, type_id)
    return reply({"volume_type": request.views.volume_type(kind)})


def _update(request: Request, type_id: str) -> flask.Response:
    request.admin(f"{MANAGE}:update")
    body = request.body("type update")["volume_type"]
    kind = request.service.types.update(type_id, **changes(body))
    return reply({"volume_type": request.views.volume_type(kind)})


def _delete(request: Request, type_id: str) -> flask.Response:
    request.admin(f"{MANAGE}:delete")
    request.service.types.delete(type_id)
    return empty()


def _act(request: Request, type_id: str) -> flask.Response:
    name = request.action()
    if name not in ACTIONS:
        raise no_action(name)
    request.admin(f"volume_extension:volume_type_access:{name}")
    project_id = request.body(name)[name]["project"]
    if name == "addProjectAccess":
        request.service.types.grant(type_id, project_id)
    else:
        request.service.types.revoke(type_id, project_id)
    return empty()


def _access(request: Request, type_id: str) -> flask.Response:
    request.admin("volume_extension:volume_type_access:get_all_for_type")
    kind = request.service.types.get(request.token, type_id)
    if kind.is_public:
        raise ApiError(404, "Access list not available for public volume types.")
    access = [{"volume_type_id": type_id, "project_id": project_id} for project_id in kind.projects]
    return reply({"volume_type_access": access})


def _specs(request: Request, type_id: str) -> flask.Response:
    kind = request.service.types.get(request.token, type_id)
    return reply({"extra_specs": request.views.volume_type(kind)["extra_specs"]})


def _add_specs(request: Request, type_id: str) -> flask.Response:
    request.admin("volume_extension:types_extra_specs:create")
    specs = request.body("extra specs")["extra_specs"]
    request.service.types.set_specs(type_id, specs)
    return reply({"extra_specs": specs})


def _spec(request: Request, type_id: str, key: str) -> flask.Response:
    kind = request.service.types.get(request.token, type_id)
    specs = request.views.volume_type(kind)["extra_specs"]
    if key not in specs:
        raise key_not_found("Volume Type", type_id, key)
    return reply({key: specs[key]})


def _set_spec(request: Request, type_id: str, key: str) -> flask.Response:
    request.admin("volume_extension:types_extra_specs:update")
    body = request.json()
    if key not in body:
        raise ApiError(400, "Request body and URI mismatch")
    if len(body) > 1:
        raise ApiError(400, "Request body contains too many items")
    if not isinstance(body[key], str):
        raise ApiError(400, f"Invalid input for field/attribute {key}. Value: {body[key]}. It has to be a string.")
    request.service.types.set_specs(type_id, body)
    return reply(body)


def _delete_spec(request: Request, type_id: str, key: str) -> flask.Response:
    request.admin("volume_extension:types_extra_specs:delete")
    request.service.types.unset_spec(type_id, key)
    return empty()
