"""Routes of messages to users (3.3)."""

from __future__ import annotations

from typing import Any

import flask

from nova_fakes.api.volume.listing import Listing
from nova_fakes.api.volume.records import Message
from nova_fakes.api.volume.request import Request, empty, route
from nova_fakes.api.volume.views import moment
from nova_fakes.api.wsgi import reply

__all__ = ["register"]

SINCE = (3, 3)
LEVEL = "ERROR"
FIELDS = {
    "id": lambda message: message.id,
    "event_id": lambda message: message.event_id,
    "resource_type": lambda message: message.resource_type,
    "resource_uuid": lambda message: message.resource_id,
    "message_level": lambda message: LEVEL,
    "request_id": lambda message: message.request_id,
    "created_at": lambda message: message.created_at,
}
PUBLIC = ("resource_uuid", "resource_type", "event_id", "request_id", "message_level")
LISTING: Listing[Message] = Listing("messages", "Message", FIELDS, PUBLIC)


def register(app: flask.Flask) -> None:
    """Add the routes to the application."""
    route(app, "GET", "/messages", _index, since=SINCE)
    route(app, "GET", "/messages/<message_id>", _show, since=SINCE)
    route(app, "DELETE", "/messages/<message_id>", _delete, since=SINCE)


def _view(request: Request, message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "event_id": message.event_id,
        "user_message": message.text,
        "message_level": LEVEL,
        "created_at": moment(message.created_at),
        "guaranteed_until": moment(message.expires_at),
        "request_id": message.request_id,
        "resource_type": message.resource_type,
        "resource_uuid": message.resource_id,
        "links": request.views.links(request.token.project_id or "", "messages", message.id),
    }


def _index(request: Request) -> flask.Response:
    return LISTING.answer(request, request.service.messages.visible(request.token), lambda one: _view(request, one))


def _show(request: Request, message_id: str) -> flask.Response:
    return reply({"message": _view(request, request.service.messages.get(request.token, message_id))})


def _delete(request: Request, message_id: str) -> flask.Response:
    request.service.messages.delete(request.token, message_id)
    return empty(204)
