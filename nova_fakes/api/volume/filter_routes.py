"""The route of what users may filter lists by (3.33)."""

from __future__ import annotations

import flask

from nova_fakes.api.volume import (
    attachment_routes,
    backup_routes,
    group_snapshot_routes,
    message_routes,
    snapshot_routes,
    type_routes,
    volume_routes,
)
from nova_fakes.api.volume.request import Request, route
from nova_fakes.api.wsgi import reply

__all__ = ["register"]

FILTERS = {
    "volume": volume_routes.PUBLIC,
    "backup": backup_routes.PUBLIC,
    "snapshot": snapshot_routes.PUBLIC,
    "group": ("name",),
    "group_snapshot": group_snapshot_routes.PUBLIC,
    "attachment": attachment_routes.PUBLIC,
    "message": message_routes.PUBLIC,
    "pool": ("name",),
    "volume_type": type_routes.PUBLIC,
}


def register(app: flask.Flask) -> None:
    """Add the route to the application."""
    route(app, "GET", "/resource_filters", _filters, since=(3, 33))


def _filters(request: Request) -> flask.Response:
    asked = flask.request.args.get("resource") or None
    found = [{"resource": name, "filters": list(some)} for name, some in FILTERS.items() if asked in (None, name)]
    return reply({"resource_filters": found})
