"""What requests about types of volumes and about types of groups have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flask

from nova_fakes.api.volume.query import flag
from nova_fakes.api.volume.schema import boolean

__all__ = ["FIELDS", "asked_publicity", "changes"]

#: By name, what lists of types are filtered and sorted by.
FIELDS = {
    "id": lambda kind: kind.id,
    "name": lambda kind: kind.name,
    "description": lambda kind: kind.description,
    # Handled before: "None" stands for both.
    "is_public": lambda kind: flask.request.args["is_public"],
}


def asked_publicity() -> bool | None:
    """Return whether a list is to show public types or the others; None: both; ApiError 400."""
    asked = flask.request.args.get("is_public", "true")
    return None if asked.lower() == "none" else flag("is_public", True)


def changes(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return name, description and publicity of a type, None for what is to stay as it is."""
    public = body.get("is_public")
    return {
        "name": body.get("name"),
        "description": body.get("description"),
        "is_public": None if public is None else boolean(public),
    }
