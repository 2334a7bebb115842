"""The compute service's description of itself, at its highest microversion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nova_fakes.api.compute.routing import Route
from nova_fakes.api.compute.versions import MAXIMUM, Version
from nova_fakes.api.openapi import Operation

__all__ = ["description"]

PREFIX = "/v2.1"
#: What any request may be refused with: a bad query or body, no token, a method that is not there, no such version.
ALWAYS = (400, 401, 406)


def description(routes: Sequence[Route], version: Version = MAXIMUM) -> Any:
    """Return what describes these routes, as `nova_fakes.api.openapi.publish` wants it."""
    by_place = {(one.method, PREFIX + one.path): one for one in routes if one.since <= version <= one.until}
    header = {"OpenStack-API-Version": {"type": "string", "enum": ["compute {}.{}".format(*version)]}}

    def describe(method: str, path: str) -> Operation | None:
        if path in ("/", PREFIX):
            return Operation((200,))
        route = by_place.get((method, path))
        if route is None:
            return None
        bodies = (415,) if route.body is not None else ()
        return Operation(
            (route.status, *ALWAYS, *route.errors, *bodies),
            body=None if route.body is None else route.body(version),
            query={} if route.query is None else _each(route.query(version)),
            headers=header,
        )

    return describe


def _each(query: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of each parameter, which the check before the view has as lists of values."""
    return {name: one.get("items", one) for name, one in query["properties"].items()}
