"""The services that compute asks in its turn: image, network and volume, by their APIs, in the same process."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from nova_fakes.api.auth import TOKEN_KEY, Token
from nova_fakes.api.connection import environ_base
from nova_fakes.exceptions import ApiError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["Neighbours", "Reply"]

VOLUME_VERSION = "volume 3.60"
SERVICE_ROLES = ("admin", "service", "member", "reader")


class Reply:
    """What a service answered."""

    def __init__(self, status: int, data: bytes) -> None:
        self.status = status
        self._data = data

    @property
    def ok(self) -> bool:
        """Whether the service did what it was asked for."""
        return self.status < 400

    def json(self) -> Any:
        """Return the body, {} without one."""
        return json.loads(self._data) if self._data else {}

    @property
    def message(self) -> str:
        """The reason of a refusal."""
        found = self.json() if self._data.startswith(b"{") else {}
        for value in found.values():
            if isinstance(value, dict) and "message" in value:
                return str(value["message"])
        return self._data.decode(errors="replace")[:200] or str(self.status)


class Neighbours:
    """Call the other services' applications with the caller's token, or as the service that compute is.

    Args:
        applications: WSGI application by service: "image", "network", "volume"; any may be missing.
    """

    def __init__(self, applications: Mapping[str, WSGIApplication] | None = None) -> None:
        self._applications = dict(applications or {})

    def has(self, service: str) -> bool:
        """Tell whether there is such a service."""
        return service in self._applications

    def call(
        self,
        token: Token,
        service: str,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Iterable[tuple[str, str]] = (),
        data: bytes | None = None,
        as_service: bool = True,
    ) -> Reply:
        """Make one request.

        Args:
            token: of whoever compute works for.
            service: which.
            method: "GET".
            path: below the service's root.
            body: sent as JSON.
            query: parameters.
            data: sent as it is, instead of a body.
            as_service: with the rights of a service, in that project; else with the caller's own.

        Raises:
            ApiError: 503, there is no such service.
        """
        application = self._applications.get(service)
        if application is None:
            raise ApiError(503, f"There is no {service} service beside this one: serve {service} as well.")
        sent = data if data is not None else b"" if body is None else json.dumps(body).encode()
        environ = environ_base("nova-fakes.test", 80)
        environ |= {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": urlencode(list(query)),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "nova-fakes.test",
            "HTTP_OPENSTACK_API_VERSION": VOLUME_VERSION,
            "CONTENT_TYPE": "application/json" if data is None else "application/octet-stream",
            "CONTENT_LENGTH": str(len(sent)),
            "wsgi.input": io.BytesIO(sent),
            TOKEN_KEY: replace(token, roles=SERVICE_ROLES) if as_service else token,
        }
        status: list[str] = []

        def start(line: str, _headers: Any, _exc_info: Any = None) -> Any:
            status.append(line)

        parts = application(environ, start)
        try:
            answer = b"".join(parts)
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()
        return Reply(int(status[-1][:3]), answer)

    def image(self, token: Token, image_id: str) -> dict[str, Any] | None:
        """Return an image as the image service shows it to the caller.

        Raises:
            ApiError: 400, it shows him none.
        """
        if not self.has("image"):
            return None
        reply = self.call(token, "image", "GET", f"/v2/images/{image_id}", as_service=False)
        if not reply.ok:
            raise ApiError(400, f"Image {image_id} could not be found.")
        found: dict[str, Any] = reply.json()
        return found
