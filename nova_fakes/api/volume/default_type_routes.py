"""Routes of the types that projects' volumes have where none is named (3.62)."""

from __future__ import annotations

from typing import Any

import flask

from nova_fakes.api.volume.request import Request, empty, route
from nova_fakes.api.wsgi import reply
from nova_fakes.exceptions import ApiError

__all__ = ["register"]

SINCE = (3, 62)
POLICY = "volume_extension:default"


def register(app: flask.Flask) -> None:
    """Add the routes to the application."""
    one = "/default-types/<project>"
    route(app, "GET", "/default-types", _index, since=SINCE)
    route(app, "GET", one, _show, since=SINCE)
    route(app, "PUT", one, _set, since=SINCE)
    route(app, "DELETE", one, _unset, since=SINCE)


def _view(project: str, type_id: str) -> dict[str, Any]:
    return {"project_id": project, "volume_type_id": type_id}


def _index(request: Request) -> flask.Response:
    request.admin(f"{POLICY}_get_all")
    found = request.service.types.project_defaults()
    return reply({"default_types": [_view(project, type_id) for project, type_id in found.items()]})


def _show(request: Request, project: str) -> flask.Response:
    request.admin(f"{POLICY}_get")
    type_id = request.service.types.project_defaults().get(project)
    if type_id is None:
        raise ApiError(404, f"Default type for project {project} not found.")
    return reply({"default_type": _view(project, type_id)})


def _set(request: Request, project: str) -> flask.Response:
    reference = request.body("default type")["default_type"]["volume_type"]
    request.admin(f"{POLICY}_set_or_update")
    type_id = request.service.types.set_default(request.token, project, reference)
    return reply({"default_type": _view(project, type_id)})


def _unset(request: Request, project: str) -> flask.Response:
    request.admin(f"{POLICY}_unset")
    request.service.types.unset_default(project)
    return empty(204)
