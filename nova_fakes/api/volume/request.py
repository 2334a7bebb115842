"""A request to the volume API: who asks, in which version, and what the routes share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import flask

from nova_fakes.api import wsgi
from nova_fakes.api.auth import Token
from nova_fakes.api.volume import schema
from nova_fakes.api.volume.service import VolumeService
from nova_fakes.api.volume.views import Views
from nova_fakes.exceptions import ApiError

__all__ = ["MAXIMUM", "MINIMUM", "Request", "empty", "no_action", "route"]

MINIMUM = (3, 0)
MAXIMUM = (3, 71)


@dataclass(frozen=True)
class Request:
    """The present request.

    Args:
        service: what it is put to.
        token: who asks.
        version: microversion.
        base: URL of the service, without a trailing slash.
        by_service: whether another service asks, or vouches by X-Service-Token.
    """

    service: VolumeService
    token: Token
    version: tuple[int, int]
    base: str
    by_service: bool

    @cached_property
    def views(self) -> Views:
        """How records look to who asks."""
        return Views(self.service, self.token, self.version, self.base)

    def since(self, version: tuple[int, int]) -> None:
        """Refuse the request if what it asks for came with a later version than its own.

        Raises:
            ApiError: 404.
        """
        if self.version < version:
            raise ApiError(404, "API version {}.{} is not supported on this method.".format(*self.version))

    def admin(self, action: str) -> None:
        """Refuse the request unless an administrator asks.

        Args:
            action: what is asked for, by Cinder's name of the policy.

        Raises:
            ApiError: 403.
        """
        if not self.token.is_admin:
            raise ApiError(403, f"Policy doesn't allow {action} to be performed.")

    def body(self, name: str) -> dict[str, Any]:
        """Return the body, which the schema of that name allows.

        Raises:
            ApiError: 400.
        """
        body = wsgi.json_object()
        schema.validate(name, body)
        return body

    def json(self) -> dict[str, Any]:
        """Return the body, whatever it says.

        Raises:
            ApiError: 400, it is no JSON object.
        """
        return wsgi.json_object()

    def action(self) -> str:
        """Return the name of the action that the body asks for.

        Raises:
            ApiError: 400, the body is not one action.
        """
        body = wsgi.json_object()
        if len(body) != 1:
            raise ApiError(400, "Malformed request body")
        return str(next(iter(body)))

    def next_url(self, collection: str, more: bool, last: str | None) -> str | None:
        """Return the link to the page behind the record `last`, None if nothing follows."""
        if not more or last is None:
            return None
        return wsgi.next_link(f"{self.base}/v3/{self.token.project_id}/{collection}", last)


def empty(status: int = 202) -> flask.Response:
    """Return a response without a body."""
    return flask.Response(b"", status=status, content_type="application/json")


def no_action(name: str) -> ApiError:
    """Return the refusal of an action that there is not."""
    return ApiError(
        400, f"There is no such action: {name}. Verify the request body and Content-Type header and try again."
    )


def route(
    app: flask.Flask,
    method: str,
    path: str,
    view: Callable[..., flask.Response],
    *,
    since: tuple[int, int] = MINIMUM,
    policy: str | None = None,
) -> None:
    """Let `view(request, **arguments of the path)` answer a path, with and without a project in front.

    Args:
        app: the application.
        method: HTTP method.
        path: behind /v3, with a leading slash ("/volumes/<volume_id>").
        view: what answers.
        since: version with which the path came.
        policy: what administrators alone may do there, by Cinder's name; None: everybody may.
    """

    def answer(**arguments: Any) -> flask.Response:
        request: Request = flask.g.volume
        request.since(since)
        if policy is not None:
            request.admin(policy)
        return view(request, **arguments)

    for prefix in ("/v3/<project:project_id>", "/v3"):
        app.add_url_rule(f"{prefix}{path}", f"{method} {prefix}{path}", answer, methods=[method])
