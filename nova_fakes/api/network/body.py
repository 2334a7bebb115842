"""What a request to the network API brings, and which part of a record its answer shows."""

from __future__ import annotations

from typing import cast

import flask

from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.refusals import bad_request
from nova_fakes.api.network.table import Record
from nova_fakes.api.wsgi import json_object

__all__ = ["arguments", "asked", "caller", "fields", "wrapped"]


def caller() -> Caller:
    """Return who asks."""
    return Caller.from_token(flask.g.token)


def arguments() -> dict[str, list[str]]:
    """Return all values of the query string by name."""
    return dict(flask.request.args.lists())


def fields(record: Record, wanted: frozenset[str]) -> Record:
    """Return the part of a record that is wanted; all of it where nothing is named."""
    return {name: value for name, value in record.items() if name in wanted} if wanted else record


def asked() -> frozenset[str]:
    """Return the names of the fields that the query string asks for."""
    return frozenset(name for value in flask.request.args.getlist("fields") for name in value.split(",") if name)


def wrapped(name: str) -> Record:
    """Return the object that the body has under `name`; ApiError 400 if it has none."""
    body = json_object()
    if name not in body:
        raise bad_request(f"Unable to find '{name}' in request body")
    if not isinstance(body[name], dict):
        raise bad_request(f"Object '{name}' contains invalid data")
    return cast(Record, body[name])
