"""Bodies of requests, and answers, as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from flask import Response, request

from nova_fakes.exceptions import InvalidInput
from nova_fakes.rabbit.management.refusals import bad_request
from nova_fakes.rabbit.management.selection import select

__all__ = ["flag", "listed", "read_body", "to_json"]


def to_json(value: Any, status: int = 200) -> Response:
    """Return an answer with a value."""
    return Response(json.dumps(value, default=_text), status, mimetype="application/json")


def _text(value: object) -> str:
    """Write what JSON has no form for."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def read_body() -> dict[str, Any]:
    """Return the request's body.

    :raises Refusal: it is no object
    """
    value = request.get_json(force=True, silent=True) if request.get_data() else {}
    if not isinstance(value, dict):
        raise bad_request("not_json")
    return value


def flag(body: dict[str, Any], name: str, default: bool) -> bool:
    """Read a boolean, which some clients write as a text."""
    value = body.get(name, default)
    if value in (True, False, None):
        return bool(value)
    if value not in ("true", "false"):
        raise InvalidInput(name, value, "give true or false")
    return bool(value == "true")


def listed(items: Iterable[dict[str, Any]]) -> Response:
    """Return a list as the query wants it."""
    return to_json(select(list(items), request.args))
