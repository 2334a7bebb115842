"""Routes of the encryption of types and of volumes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flask

from nova_fakes.api.volume.request import Request, empty, route
from nova_fakes.api.wsgi import reply
from nova_fakes.exceptions import ApiError

__all__ = ["register"]

POLICY = "volume_extension:volume_type_encryption"


def register(app: flask.Flask) -> None:
    """Add the routes to the application."""
    every, one = "/types/<type_id>/encryption", "/types/<type_id>/encryption/<encryption_id>"
    for method, path, view, action in (
        ("GET", every, _index, "get"),
        ("POST", every, _create, "create"),
        ("GET", one, _show, "get"),
        ("PUT", one, _update, "update"),
        ("DELETE", one, _delete, "delete"),
    ):
        route(app, method, path, view, policy=f"{POLICY}:{action}")
    route(app, "GET", "/volumes/<volume_id>/encryption", _of_volume)
    route(app, "GET", "/volumes/<volume_id>/encryption/<encryption_id>", _item_of_volume)


def _index(request: Request, type_id: str) -> flask.Response:
    return reply(request.service.encryption.get(type_id))


def _create(request: Request, type_id: str) -> flask.Response:
    values = _sized(request.body("encryption create")["encryption"])
    return reply({"encryption": {**values, **request.service.encryption.create(type_id, values)}})


def _show(request: Request, type_id: str, encryption_id: str) -> flask.Response:
    return reply({encryption_id: request.service.encryption.item(type_id, encryption_id)})


def _update(request: Request, type_id: str, encryption_id: str) -> flask.Response:
    values = _sized(request.body("encryption update")["encryption"])
    request.service.encryption.update(type_id, encryption_id, values)
    return reply({"encryption": values})


def _delete(request: Request, type_id: str, encryption_id: str) -> flask.Response:
    request.service.encryption.delete(type_id)
    return empty()


def _of_volume(request: Request, volume_id: str) -> flask.Response:
    return reply(request.service.encryption.of_volume(request.token, volume_id))


def _item_of_volume(request: Request, volume_id: str, encryption_id: str) -> flask.Response:
    found = request.service.encryption.of_volume(request.token, volume_id)
    if encryption_id not in found:
        raise ApiError(404, f"The encryption of volume {volume_id} has no {encryption_id}.")
    return reply(found[encryption_id])


def _sized(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with a key size that was sent as text as a number."""
    size = values.get("key_size")
    return {**values, "key_size": int(size)} if size is not None else dict(values)
