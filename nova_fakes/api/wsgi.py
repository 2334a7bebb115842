"""What the API fakes' Flask applications share: errors, strict JSON, microversions and pages."""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlencode

import flask
from werkzeug.exceptions import HTTPException

from nova_fakes.exceptions import ApiError

__all__ = [
    "application",
    "base_url",
    "json_object",
    "json_value",
    "microversion",
    "next_link",
    "paginate",
    "parse_microversion",
    "reply",
    "request_id",
    "title",
]

LOG = logging.getLogger(__name__)
T = TypeVar("T")

_VERSION = re.compile(r"([1-9]\d*)\.(0|[1-9]\d*)")


def title(status: int) -> str:
    """Return the standard phrase of an HTTP status: "Not Found" for 404."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def reply(data: object, status: int = 200, headers: Mapping[str, str] | None = None) -> flask.Response:
    """Return `data` as a JSON response."""
    body = json.dumps(data, separators=(",", ":"))
    return flask.Response(body, status=status, headers=dict(headers or {}), content_type="application/json")


def request_id() -> str:
    """Return the id of the present request, by which what it causes is known; a new one where there is no request."""
    if not flask.has_request_context():
        return f"req-{uuid.uuid4()}"
    if "request_id" not in flask.g:
        flask.g.request_id = f"req-{uuid.uuid4()}"
    return str(flask.g.request_id)


def base_url() -> str:
    """Return the URL under which the present request's application is mounted, without a trailing slash."""
    return flask.request.root_url.rstrip("/")


def application(name: str, service: str, render: Callable[[ApiError], flask.Response]) -> flask.Flask:
    """Return a Flask application without routes that answers every error in its service's own form.

    Unknown paths become a 404 and unknown methods a 405 that name what was asked for; exceptions that nobody expected
    are logged and become a 500. A slash at the end of a path makes no difference, as in the real services.

    Args:
        name: the application's import name (`__name__` of the module that adds the routes).
        service: what it is called in messages ("identity").
        render: makes the response of an error; the error's headers are added to it.
    """
    app = flask.Flask(name, static_folder=None)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False

    def respond(error: ApiError) -> flask.Response:
        response = render(error)
        for key, value in error.headers.items():
            response.headers[key] = value
        return response

    def http_error(error: HTTPException) -> flask.Response:
        request = flask.request
        status = error.code or 500
        message = error.description or title(status)
        headers: dict[str, str] = {}
        if status == 404:
            message = f"{request.method} {request.path}: the {service} API has no such resource."
        elif status == 405:
            message = f"{request.method} {request.path}: the {service} API does not offer this method there."
            headers = {"Allow": ", ".join(sorted(getattr(error, "valid_methods", None) or ()))}
        return respond(ApiError(status, message, headers=headers))

    def unexpected(error: Exception) -> flask.Response:
        request = flask.request
        if isinstance(error, ConnectionError):
            LOG.info("%s %s: %s", request.method, request.path, error)
            return respond(ApiError(400, "The request ended too early."))
        LOG.error("%s %s failed", request.method, request.path, exc_info=error)
        return respond(ApiError(500, f"An unexpected error prevented the {service} API from fulfilling your request."))

    def identify(response: flask.Response) -> flask.Response:
        response.headers["x-openstack-request-id"] = request_id()
        return response

    app.after_request(identify)
    app.register_error_handler(ApiError, respond)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, unexpected)
    return app


def json_value(data: bytes) -> Any:
    """Return what JSON text says; ValueError, it is none, or is nested deeper than this process can follow."""
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def json_object(key: str | None = None) -> dict[str, Any]:
    """Return the present request's body, which must be a JSON object.

    Args:
        key: the member that wraps what is meant ("server"); its value, an object as well, is returned instead.

    Raises:
        ApiError: 400, the body is empty, no JSON, no object, or has no such member.
    """
    data = flask.request.get_data(cache=True)
    try:
        body = json_value(data)
    except ValueError as error:
        what = "is empty" if not data else f"is not valid JSON ({error})"
        raise ApiError(400, f"The request's body {what}; a JSON object is required.") from None
    if not isinstance(body, dict):
        raise ApiError(400, f"The request's body is a JSON {_kind(body)}; an object is required.")
    if key is None:
        return body
    if key not in body:
        raise ApiError(400, f"'{key}' is a required property of the request's body.")
    inner = body[key]
    if not isinstance(inner, dict):
        raise ApiError(400, f"'{key}' is a JSON {_kind(inner)}; an object is required.")
    return inner


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return {bool: "boolean", int: "number", float: "number", str: "string", list: "array"}.get(type(value), "object")


def microversion(
    service_type: str, minimum: tuple[int, int], maximum: tuple[int, int], default: tuple[int, int] | None = None
) -> tuple[int, int]:
    """Return the microversion that the present request asks for (OpenStack-API-Version: "volume 3.59").

    Args:
        service_type: the name before the number; other services' entries in the header are passed over.
        minimum: lowest version, which "no header" means unless `default` is given.
        maximum: highest version, which "latest" means.
        default: version without a header.

    Raises:
        ApiError: 400 for what is no version, 406 for one that is out of range.
    """
    header = flask.request.headers.get("OpenStack-API-Version", "")
    for entry in header.split(","):
        name, _, text = entry.strip().partition(" ")
        if name.lower() != service_type:
            continue
        return parse_microversion(text.strip(), minimum, maximum)
    return default or minimum


def parse_microversion(text: str, minimum: tuple[int, int], maximum: tuple[int, int]) -> tuple[int, int]:
    """Return the microversion that a text means: "2.53", or "latest" for the highest.

    Raises:
        ApiError: 400 for what is no version, 406 for one that is out of range.
    """
    if text.lower() == "latest":
        return maximum
    match = _VERSION.fullmatch(text)
    if match is None:
        raise ApiError(400, f"API Version String {text} is of invalid format. Must be of format MajorNum.MinorNum.")
    version = int(match[1]), int(match[2])
    if not minimum <= version <= maximum:
        low, high = (".".join(map(str, bound)) for bound in (minimum, maximum))
        raise ApiError(406, f"Version {text} is not supported by the API. Minimum is {low} and maximum is {high}.")
    return version


def paginate(
    items: Iterable[T],
    *,
    marker: str | None,
    limit: int | None,
    key: Callable[[T], str],
    missing: Callable[[str], ApiError] | None = None,
) -> tuple[Sequence[T], bool]:
    """Cut a page out of `items`: at most `limit` of those behind the one that `marker` names.

    Returns:
        The page, and whether anything follows it.

    Raises:
        ApiError: what `missing` makes of a marker that no item bears; 400 unless given.
    """
    rows = items if isinstance(items, Sequence) else list(items)
    start = 0
    if marker is not None:
        found = next((index for index, item in enumerate(rows) if key(item) == marker), None)
        if found is None:
            raise missing(marker) if missing else ApiError(400, f"The marker {marker} could not be found.")
        start = found + 1
    end = len(rows) if limit is None else start + limit
    return rows[start:end], end < len(rows)


def next_link(path: str, marker: str) -> str:
    """Return `path` with the present request's query, continued behind `marker`."""
    query = [(name, value) for name, value in flask.request.args.items(multi=True) if name != "marker"]
    return f"{path}?{urlencode([*query, ('marker', marker)])}"
