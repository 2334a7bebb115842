"""The identity service's description of itself, made from the fields of its collections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_fakes.api.identity.collection import Collection, Field
from nova_fakes.api.openapi import Operation

__all__ = ["description"]

REFUSED = (400, 401, 403, 404, 409)
_MADE = {"GET": (200,), "POST": (201,), "PUT": (204,), "PATCH": (200,), "DELETE": (204,)}
_KINDS = {str: "string", bool: "boolean", dict: "object", list: "array", int: "integer"}
_TEXT: dict[str, Any] = {"type": "string"}
_NAME: dict[str, Any] = {"id": _TEXT, "name": _TEXT, "domain": {"type": "object"}}
_NAMED = {"type": "object", "properties": _NAME}
_PROVEN = {"type": "object", "properties": {**_NAME, "password": _TEXT}}
_AUTH = {
    "type": "object",
    "required": ["auth"],
    "properties": {
        "auth": {
            "type": "object",
            "required": ["identity"],
            "properties": {
                "identity": {
                    "type": "object",
                    "required": ["methods"],
                    "properties": {
                        "methods": {
                            "type": "array",
                            "items": {"enum": ["password", "token", "application_credential", "totp"]},
                        },
                        "password": {"type": "object", "properties": {"user": _PROVEN}},
                        "token": {"type": "object", "properties": {"id": _TEXT}},
                        "application_credential": {
                            "type": "object",
                            "properties": {"id": _TEXT, "secret": _TEXT, "name": _TEXT, "user": _NAMED},
                        },
                        "totp": {"type": "object"},
                    },
                },
                "scope": {
                    "type": "object",
                    "properties": {
                        "project": _NAMED,
                        "domain": _NAMED,
                        "system": {"type": "object", "properties": {"all": {"type": "boolean"}}},
                    },
                },
            },
        }
    },
}
#: Where a method's usual status is not it.
_STATUSES = {
    ("GET", "/"): (300,),
    ("POST", "/v3/users/<user_id>/password"): (204,),
    ("PUT", "/v3/regions/<row_id>"): (201,),
    ("PUT", "/v3/roles/<prior_id>/implies/<implied_id>"): (201,),
    ("PUT", "/v3/projects/<project_id>/tags"): (200,),
    ("PUT", "/v3/projects/<project_id>/tags/<tag>"): (201,),
    ("POST", "/v3/ec2tokens"): (200,),
    ("GET", "/v3/projects/<project_id>/tags/<tag>"): (204,),
    ("GET", "/v3/limits/model"): (200,),
}


def description(collections: Mapping[str, Collection]) -> Any:
    """Return what describes the service's paths, as `nova_fakes.api.openapi.publish` wants it.

    Args:
        collections: by plural name, as in the paths.
    """

    def describe(method: str, path: str) -> Operation:
        place = (method, path)
        statuses: tuple[int, ...] = _STATUSES.get(place, _MADE[method])
        if method == "GET" and ("/roles/<role_id>" in path or path.endswith("/users/<user_id>")) and "group" in path:
            statuses = (204,)
        if method == "GET" and path.endswith(("/roles/<role_id>", "/inherited_to_projects")):
            statuses = (200, 204)
        if method == "GET" and path == "/v3/users/<user_id>":
            statuses = (200,)
        body, query = _body(collections, method, path), {}
        plural = path.removeprefix("/v3/")
        if method == "GET" and plural in collections:
            fields = collections[plural].fields
            query = {name: _field(one) for name, one in fields.items()}
            query |= {"limit": {"type": "integer"}, "marker": {"type": "string"}}
        return Operation((*statuses, *REFUSED), body=body, query=query)

    return describe


def _body(collections: Mapping[str, Collection], method: str, path: str) -> Any:
    if method not in ("POST", "PATCH", "PUT"):
        return None
    if path == "/v3/auth/tokens":
        return _AUTH
    if path.endswith("/password"):
        texts = {"original_password": _TEXT, "password": _TEXT}
        return _wrapped("user", {"type": "object", "required": list(texts), "properties": texts})
    if path.endswith("/tags"):
        return {"type": "object", "required": ["tags"], "properties": {"tags": {"type": "array", "items": _TEXT}}}
    if path == "/v3/ec2tokens":
        pair = {"type": "object", "properties": {"access": _TEXT, "signature": _TEXT, "params": {"type": "object"}}}
        return _wrapped("credentials", pair)
    if path.endswith("/OS-EC2"):
        return {"type": "object", "required": ["tenant_id"], "properties": {"tenant_id": _TEXT}}
    parts = [part for part in path.split("/") if part and not part.startswith("<")]
    found = collections.get(parts[-1])
    if found is None or (method == "PUT" and parts[-1] != "regions"):
        return None
    new = method in ("POST", "PUT")
    fields = {name: one for name, one in found.fields.items() if new or not one.immutable}
    properties: dict[str, Any] = {name: _field(one) for name, one in fields.items()}
    if new and parts[-1] in ("limits", "registered_limits"):
        one = {"type": "object", "properties": properties}
        return {
            "type": "object",
            "required": [parts[-1]],
            "properties": {parts[-1]: {"type": "array", "items": one}},
        }
    if parts[-1] == "users":
        properties["password"] = _TEXT
    required = [name for name, one in fields.items() if new and one.required and name != "user_id"]
    return _wrapped(found.singular, {"type": "object", "properties": properties, "required": required})


def _wrapped(name: str, inner: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": [name], "properties": {name: inner}}


def _field(field: Field) -> dict[str, Any]:
    """Return the JSON schema of what an attribute may be."""
    kinds = [_KINDS[kind] for kind in field.types if kind in _KINDS]
    found: dict[str, Any] = {"type": kinds[0]} if len(kinds) == 1 else {"anyOf": [{"type": kind} for kind in kinds]}
    if field.choices:
        found["enum"] = list(field.choices)
    if type(None) in field.types:
        found["nullable"] = True
    return found
