"""The compute service over HTTP: Nova's API, microversions 2.1 to 2.100."""

from __future__ import annotations

from typing import Any

import flask

from nova_fakes.api import wsgi
from nova_fakes.api.auth import TokenValidator, authenticate
from nova_fakes.api.compute import (
    action_routes,
    aggregate_routes,
    device_routes,
    flavor_routes,
    host_routes,
    migration_routes,
    record_routes,
    server_routes,
    usage,
    user_routes,
)
from nova_fakes.api.compute.description import description
from nova_fakes.api.compute.routing import mount
from nova_fakes.api.compute.service import ComputeService
from nova_fakes.api.compute.versions import MAXIMUM, MINIMUM, version_document, versions_document
from nova_fakes.api.openapi import PATH, publish
from nova_fakes.exceptions import ApiError

__all__ = ["ROUTES", "create_app"]

#: nova.api.openstack.wsgi.Fault
FAULTS = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    429: "overLimit",
    501: "notImplemented",
    503: "serviceUnavailable",
}
MODULES = (
    server_routes,
    action_routes,
    device_routes,
    flavor_routes,
    host_routes,
    aggregate_routes,
    migration_routes,
    user_routes,
    usage,
    record_routes,
)
ROUTES = tuple(route for module in MODULES for route in module.ROUTES)


def create_app(service: ComputeService, tokens: TokenValidator) -> flask.Flask:
    """Return the WSGI application of a compute service.

    Args:
        service: the servers.
        tokens: who knows the tokens; the identity service.
    """
    app = wsgi.application(__name__, "compute", _render)
    authenticate(app, tokens, public=("", "/v2.1", PATH))

    def prepare() -> None:
        flask.g.version = _version()

    def finish(response: flask.Response) -> flask.Response:
        version = flask.g.get("version")
        if version is not None:
            text = f"{version[0]}.{version[1]}"
            response.headers["OpenStack-API-Version"] = f"compute {text}"
            response.headers["X-OpenStack-Nova-API-Version"] = text
            response.headers["Vary"] = "OpenStack-API-Version, X-OpenStack-Nova-API-Version"
        response.headers["X-Compute-Request-ID"] = wsgi.request_id()
        return response

    app.before_request(prepare)
    app.after_request(finish)
    app.add_url_rule("/", "versions", lambda: wsgi.reply(versions_document(wsgi.base_url())))
    app.add_url_rule("/v2.1", "version", lambda: wsgi.reply(version_document(wsgi.base_url())))
    mount(app, service, ROUTES)
    publish(app, "compute", "{}.{}".format(*MAXIMUM), description(ROUTES))
    return app


def _version() -> tuple[int, int]:
    """Return the microversion of the present request, by the newer header or the older one."""
    legacy = flask.request.headers.get("X-OpenStack-Nova-API-Version")
    if legacy is not None and "OpenStack-API-Version" not in flask.request.headers:
        return wsgi.parse_microversion(legacy, MINIMUM, MAXIMUM)
    return wsgi.microversion("compute", MINIMUM, MAXIMUM)


def _render(error: ApiError) -> flask.Response:
    if error.status == 401:  # keystonemiddleware answers before nova does
        return wsgi.reply({"error": {"code": 401, "title": "Unauthorized", "message": error.message}}, 401)
    fault: dict[str, Any] = {"code": error.status, "message": error.message}
    return wsgi.reply({FAULTS.get(error.status, "computeFault"): fault}, error.status)
