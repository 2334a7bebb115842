"""Routes of attachments, from version 3.27 on."""

from __future__ import annotations

import flask

from nova_fakes.api.volume.query import flag, page
from nova_fakes.api.volume.records import Attachment
from nova_fakes.api.volume.refusals import attachment_not_found
from nova_fakes.api.volume.request import Request, empty, no_action, route
from nova_fakes.api.wsgi import reply

__all__ = ["register"]

FIELDS = {
    "id": lambda attachment: attachment.id,
    "volume_id": lambda attachment: attachment.volume_id,
    "instance_id": lambda attachment: attachment.instance_id,
    "status": lambda attachment: attachment.status,
    "attach_status": lambda attachment: attachment.status,
}
PUBLIC = ("volume_id", "status", "instance_id", "attach_status")
SINCE = (3, 27)


def register(app: flask.Flask) -> None:
    """Add the routes to the application."""
    route(app, "GET", "/attachments", _index, since=SINCE)
    route(app, "GET", "/attachments/detail", _detail, since=SINCE)
    route(app, "POST", "/attachments", _create, since=SINCE)
    route(app, "GET", "/attachments/<attachment_id>", _show, since=SINCE)
    route(app, "PUT", "/attachments/<attachment_id>", _update, since=SINCE)
    route(app, "DELETE", "/attachments/<attachment_id>", _delete, since=SINCE)
    route(app, "POST", "/attachments/<attachment_id>/action", _act, since=(3, 44))


def _page(request: Request) -> list[Attachment]:
    arguments = flask.request.args
    attachments = request.service.attachments.visible(
        request.token,
        volume_id=arguments.get("volume_id"),
        instance_id=arguments.get("instance_id"),
        all_projects=flag("all_tenants"),
    )
    found, _, _ = page(
        attachments, request.token, request.version, fields=FIELDS, public=PUBLIC, missing=attachment_not_found
    )
    return list(found)


def _index(request: Request) -> flask.Response:
    return reply({"attachments": [request.views.attachment_summary(entry) for entry in _page(request)]})


def _detail(request: Request) -> flask.Response:
    return reply({"attachments": [request.views.attachment(entry) for entry in _page(request)]})


def _create(request: Request) -> flask.Response:
    moded = request.version >= (3, 54)
    body = request.body("attachment create mode" if moded else "attachment create")["attachment"]
    attachment = request.service.attachments.create(
        request.token,
        body["volume_uuid"],
        body.get("instance_uuid"),
        connector=body.get("connector") or None,
        mode=body.get("mode"),
    )
    return reply({"attachment": request.views.attachment(attachment)})


def _show(request: Request, attachment_id: str) -> flask.Response:
    attachment = request.service.attachments.get(request.token, attachment_id)
    return reply({"attachment": request.views.attachment(attachment)})


def _update(request: Request, attachment_id: str) -> flask.Response:
    connector = request.body("attachment update")["attachment"]["connector"]
    attachment = request.service.attachments.update(request.token, attachment_id, connector)
    return reply({"attachment": request.views.attachment(attachment)})


def _delete(request: Request, attachment_id: str) -> flask.Response:
    others = request.service.attachments.delete(request.token, attachment_id, service=request.by_service)
    return reply({"attachments": [request.views.attachment_summary(entry) for entry in others]})


def _act(request: Request, attachment_id: str) -> flask.Response:
    name = request.action()
    if name != "os-complete":
        raise no_action(name)
    request.service.attachments.complete(request.token, attachment_id)
    return empty(204)
