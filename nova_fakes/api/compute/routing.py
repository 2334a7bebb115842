"""The table of routes: what each takes and since which microversion, checked before its view is called."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import flask
from werkzeug.routing import BaseConverter

from nova_fakes.api import wsgi
from nova_fakes.api.auth import Token, current_token
from nova_fakes.api.compute.schema import MANY, Schema, check, objects
from nova_fakes.api.compute.versions import MAXIMUM, MINIMUM, Version
from nova_fakes.exceptions import ApiError

if TYPE_CHECKING:
    from nova_fakes.api.compute.service import ComputeService

__all__ = ["Answer", "Request", "Route", "by_version", "mount", "respond", "strict_since"]

SchemaOf = Callable[[Version], Schema]
ITEM_LIMIT = 1000
NOT_SUPPORTED = "API version {} is not supported on this method."


@dataclass(frozen=True, slots=True)
class Answer:
    """What a view returns where the route's status and a body are not all of it."""

    body: Any = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def _moment(text: str | None) -> float | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class Request:
    """One request that has passed the checks: who asks, at which microversion, and what for.

    Args:
        service: what answers.
        token: of whoever asks.
        version: the microversion.
        body: the JSON body; None without one.
        base: address of the API, without a version or trailing slash.
        query: all values of the query's parameters by name.
        service_asks: whether another service of the cloud asks along.
    """

    def __init__(
        self,
        service: ComputeService,
        token: Token,
        version: Version,
        body: Any,
        base: str,
        query: Mapping[str, Sequence[str]],
        path: str = "",
    ) -> None:
        self.service = service
        self.token = token
        self.version = version
        self.body = body
        self.base = base
        self.query = query
        self.path = path
        self.id = wsgi.request_id()

    def since(self, minor: int) -> bool:
        """Tell whether the microversion is 2.`minor` or later."""
        return self.version >= (2, minor)

    def argument(self, name: str) -> str | None:
        """Return the first value of a query parameter, None without one."""
        values = self.query.get(name)
        return values[0] if values else None

    def number(self, name: str) -> int | None:
        """Return a query parameter that is a whole number, None without one; ApiError 400 for anything else."""
        text = self.argument(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise ApiError(400, f"{name} must be an integer, and not negative")
        return int(text)

    def moments(self) -> tuple[float, float]:
        """Return what "changes-since" and "changes-before" ask for, in unix seconds; ApiError 400."""
        since = _moment(self.argument("changes-since"))
        before = _moment(self.argument("changes-before")) if self.since(66) else None
        if since is not None and before is not None and before < since:
            raise ApiError(400, "The value of changes-since must be less than or equal to changes-before.")
        return -math.inf if since is None else since, math.inf if before is None else before

    def page(self, rows: Sequence[Any], key: Callable[[Any], str]) -> tuple[Sequence[Any], bool]:
        """Cut the page that "limit" and "marker" ask for out of `rows`, and tell whether a link leads on behind it.

        As with nova, one does wherever the page is full.

        Raises:
            ApiError: 400, the marker is unknown.
        """
        limit = self.number("limit")
        page, _ = wsgi.paginate(
            rows,
            marker=self.argument("marker"),
            limit=ITEM_LIMIT if limit is None else min(limit, ITEM_LIMIT),
            key=key,
            missing=lambda marker: ApiError(400, f"marker [{marker}] not found"),
        )
        return page, len(page) == limit

    def next_links(self, path: str, marker: str) -> list[dict[str, str]]:
        """Return the links to the page behind `marker`."""
        return [{"rel": "next", "href": wsgi.next_link(f"{self.base}/v2.1/{path}", marker)}]

    def links(self, path: str) -> list[dict[str, str]]:
        """Return the links that a resource at `path` ("servers/…") shows."""
        return [
            {"rel": "self", "href": f"{self.base}/v2.1/{path}"},
            {"rel": "bookmark", "href": f"{self.base}/{path}"},
        ]

    def require_admin(self, action: str) -> None:
        """Refuse whoever is no administrator; `action` as nova's policy calls it ("os-services:list").

        Raises:
            ApiError: 403.
        """
        if not self.token.is_admin:
            raise ApiError(403, f"Policy doesn't allow os_compute_api:{action} to be performed.")

    def require_member(self, action: str) -> None:
        """Refuse whoever may only read; ApiError 403."""
        if not (self.token.is_admin or {"member", "manager"}.intersection(self.token.roles)):
            raise ApiError(403, f"Policy doesn't allow os_compute_api:{action} to be performed.")

    @property
    def project_id(self) -> str:
        """The project of whoever asks; "" for a token without one."""
        return self.token.project_id or ""


View = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path.

    Attributes:
        method: "GET".
        path: below /v2.1 ("/servers/<server_id>").
        view: takes a `Request` and the path's arguments; returns a JSON body, None, or an `Answer`.
        status: of its answer.
        body: schema of the body by microversion; None: there is none.
        query: schema of the query by microversion, each parameter being a list; None: anything.
        since: first microversion.
        until: last one.
        errors: statuses that it may refuse with, besides 400 (body, query), 401 and 406.
    """

    method: str
    path: str
    view: View
    status: int = 200
    body: SchemaOf | None = None
    query: SchemaOf | None = None
    since: Version = MINIMUM
    until: Version = MAXIMUM
    errors: tuple[int, ...] = (403, 404)

    @property
    def name(self) -> str:
        """A name for it that no other route has."""
        return f"{self.method} {self.path} {self.since[1]}"


def by_version(*steps: tuple[int, Schema]) -> SchemaOf:
    """Return what picks the schema that holds at a microversion out of (first minor version, schema) pairs."""

    def pick(version: Version) -> Schema:
        found = steps[0][1]
        for minor, schema in steps:
            if version >= (2, minor):
                found = schema
        return found

    return pick


def strict_since(minor: int, *names: str) -> SchemaOf:
    """Return the schemas of a query with these parameters, which may have others before microversion 2.`minor`."""
    values = dict.fromkeys(names, MANY)
    return by_version((1, objects(values, more=True)), (minor, objects(values)))


class _ProjectConverter(BaseConverter):
    """A project's id in a path, as older catalogs have it; no collection's name is 32 such characters."""

    regex = "[0-9a-f]{32}"


def mount(app: flask.Flask, service: ComputeService, routes: Sequence[Route]) -> None:
    """Add routes to an application, below /v2.1 and below /v2.1/{project_id}.

    Args:
        app: its requests carry a token already.
        service: what answers.
        routes: several of one method and path are told apart by microversion.
    """
    app.url_map.converters["project"] = _ProjectConverter
    together: dict[tuple[str, str], list[Route]] = {}
    for route in routes:
        together.setdefault((route.method, route.path), []).append(route)
    for (method, path), alternatives in together.items():

        def answer(_alternatives: Sequence[Route] = alternatives, **arguments: str) -> flask.Response:
            return _dispatch(service, _alternatives, arguments)

        for prefix in ("/v2.1", "/v2.1/<project:_project_id>"):
            app.add_url_rule(f"{prefix}{path}", f"{prefix} {method} {path}", answer, methods=[method])


def _dispatch(service: ComputeService, routes: Sequence[Route], arguments: dict[str, str]) -> flask.Response:
    request: flask.Request = flask.request
    token = current_token()
    project_id = arguments.pop("_project_id", None)
    if project_id is not None and project_id != token.project_id:
        raise ApiError(400, "Malformed request URL: URL's project_id does not match the token's")
    version: Version = flask.g.version
    route = next((one for one in routes if one.since <= version <= one.until), None)
    if route is None:
        raise ApiError(404, NOT_SUPPORTED.format(f"{version[0]}.{version[1]}"))
    query = dict(request.args.lists())
    if route.query is not None:
        check(_schema(route.query, version), query, "query parameters")
    body = None
    if route.body is not None:
        body = _body(request)
        check(_schema(route.body, version), body)
    asked = Request(service, token, version, body, wsgi.base_url(), query, request.path)
    with service.lock:
        service.settle()
        return respond(route.view(asked, **arguments), route.status)


@functools.lru_cache(maxsize=4096)
def _schema(schema_of: SchemaOf, version: Version) -> Schema:
    return schema_of(version)


def _body(request: flask.Request) -> Any:
    data = request.get_data()
    if data and request.mimetype != "application/json":
        raise ApiError(415, f"Unsupported Content-Type {request.mimetype or 'none'}")
    try:
        body = wsgi.json_value(data)
    except ValueError:
        raise ApiError(400, "Malformed request body") from None
    if not isinstance(body, dict):
        raise ApiError(400, "Malformed request body")
    return body


def respond(result: Any, status: int) -> flask.Response:
    """Return what a view has returned as a response."""
    answer = result if isinstance(result, Answer) else Answer(result)
    code = answer.status or status
    if answer.body is None:
        response = flask.Response(status=code, content_type="application/json")
        for name, value in answer.headers.items():
            response.headers[name] = value
        return response
    return wsgi.reply(answer.body, code, answer.headers)
