"""The volume service over HTTP: Cinder's volume API v3, microversions 3.0 to 3.71."""

from __future__ import annotations

from typing import Any

import flask
from werkzeug.routing import BaseConverter

from nova_fakes.api import wsgi
from nova_fakes.api.auth import TokenValidator, authenticate, current_token
from nova_fakes.api.openapi import PATH, publish
from nova_fakes.api.volume import (
    attachment_routes,
    backup_routes,
    default_type_routes,
    encryption_routes,
    filter_routes,
    group_routes,
    group_snapshot_routes,
    group_type_routes,
    message_routes,
    operator_routes,
    qos_routes,
    snapshot_routes,
    transfer_routes,
    type_routes,
    volume_actions,
    volume_routes,
)
from nova_fakes.api.volume.description import describe
from nova_fakes.api.volume.request import MAXIMUM, MINIMUM, Request
from nova_fakes.api.volume.service import VolumeService
from nova_fakes.exceptions import ApiError

__all__ = ["create_app"]

# cinder.api.openstack.wsgi.Fault
FAULTS = {
    400: "badRequest",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    501: "notImplemented",
    503: "serviceUnavailable",
}


class _ProjectConverter(BaseConverter):
    """A project's id in a path; no collection's name is made of these characters alone."""

    regex = "[0-9a-fA-F-]+"


def create_app(service: VolumeService, tokens: TokenValidator) -> flask.Flask:
    """Return the WSGI application of a volume service.

    Every path exists twice, below /v3 and below /v3/{project_id}. A user may not delete, behind nova's back, an
    attachment that a server is connected to: nova has to send its service token along ([service_user]
    send_service_user_token = true in nova.conf).

    Args:
        service: the volumes.
        tokens: who knows the tokens.
    """
    app = wsgi.application(__name__, "volume", _render)
    app.url_map.converters["project"] = _ProjectConverter
    authenticate(app, tokens, public=("", "/v3", PATH))

    def prepare() -> None:
        project_id = (flask.request.view_args or {}).pop("project_id", None)
        flask.g.version = wsgi.microversion("volume", MINIMUM, MAXIMUM)
        if flask.g.token is None:
            return  # only the version documents come this far
        if project_id is not None and project_id != current_token().project_id:
            raise ApiError(400, "Malformed request url")
        proof = flask.request.headers.get("X-Service-Token")
        companion = tokens.validate(proof) if proof else None
        service_asks = current_token().is_service or (companion is not None and companion.is_service)
        flask.g.volume = Request(service, current_token(), flask.g.version, wsgi.base_url(), service_asks)

    def finish(response: flask.Response) -> flask.Response:
        version = flask.g.get("version")
        if version is not None:
            response.headers["OpenStack-API-Version"] = f"volume {version[0]}.{version[1]}"
            response.headers["Vary"] = "OpenStack-API-Version"
        if response.status_code != 401:  # see _render
            response.headers["x-compute-request-id"] = wsgi.request_id()
        return response

    app.before_request(prepare)
    app.after_request(finish)
    app.add_url_rule("/", "versions", lambda: wsgi.reply(_versions(), 300))
    app.add_url_rule("/v3", "version", lambda: wsgi.reply(_versions()))
    for module in (
        volume_routes,
        volume_actions,
        attachment_routes,
        snapshot_routes,
        backup_routes,
        encryption_routes,
        group_type_routes,
        group_routes,
        group_snapshot_routes,
        message_routes,
        default_type_routes,
        filter_routes,
        type_routes,
        transfer_routes,
        qos_routes,
        operator_routes,
    ):
        module.register(app)
    publish(app, "volume", "v3", describe)
    return app


def _versions() -> dict[str, Any]:
    return {
        "versions": [
            {
                "id": "v3.0",
                "status": "CURRENT",
                "version": "{}.{}".format(*MAXIMUM),
                "min_version": "{}.{}".format(*MINIMUM),
                "updated": "2023-08-31T00:00:00Z",
                "links": [
                    {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"},
                    {"rel": "self", "href": f"{wsgi.base_url()}/v3/"},
                ],
                "media-types": [
                    {"base": "application/json", "type": "application/vnd.openstack.volume+json;version=3"}
                ],
            }
        ]
    }


def _render(error: ApiError) -> flask.Response:
    if error.status == 401:  # keystonemiddleware answers before Cinder does
        return wsgi.reply({"error": {"code": 401, "title": "Unauthorized", "message": error.message}}, 401)
    fault: dict[str, Any] = {"code": error.status, "message": error.message}
    if error.status == 413:
        fault["retryAfter"] = error.headers.get("Retry-After", "0")
    return wsgi.reply({FAULTS.get(error.status, "computeFault"): fault}, error.status)
