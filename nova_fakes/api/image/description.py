"""The image service's description of itself, made from the schemas that it publishes and checks by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_fakes.api.image.metadefs.schemas import PUBLISHED
from nova_fakes.api.image.schemas import schema
from nova_fakes.api.openapi import Operation

__all__ = ["describe"]

_TEXT: Mapping[str, Any] = {"type": "string"}
_PATCH = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["op", "path"],
        "properties": {
            "op": {"type": "string", "enum": ["add", "replace", "remove"]},
            "path": {"type": "string", "pattern": "^/[a-z_]{1,20}$"},
            "value": {},
        },
    },
}
_QUERY: Mapping[str, Any] = {
    "limit": {"type": "integer", "minimum": 0},
    "marker": _TEXT,
    "sort_key": _TEXT,
    "sort_dir": {"type": "string", "enum": ["asc", "desc"]},
    "sort": _TEXT,
    "visibility": _TEXT,
    "member_status": _TEXT,
    "status": _TEXT,
    "name": _TEXT,
    "tag": _TEXT,
    "size_min": _TEXT,
    "size_max": _TEXT,
    "created_at": _TEXT,
    "updated_at": _TEXT,
    "protected": _TEXT,
    "os_hidden": _TEXT,
}
_BYTES = {"type": "string", "format": "binary"}
_OCTETS = "application/octet-stream"
_MEMBER = {"type": "object", "required": ["member"], "properties": {"member": _TEXT}}
_ANSWER = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"type": "string", "enum": ["pending", "accepted", "rejected"]}},
}
_IMPORT = {
    "type": "object",
    "required": ["method"],
    "properties": {
        "method": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "enum": ["glance-direct", "web-download", "copy-image"]},
                "uri": _TEXT,
            },
        },
        "stores": {"type": "array", "items": {"type": "string", "enum": ["fake", "spare"]}},
        "all_stores": {"type": "boolean"},
        "all_stores_must_succeed": {"type": "boolean"},
    },
}
_TASK = {
    "type": "object",
    "required": ["type", "input"],
    "properties": {"type": {"type": "string", "enum": ["import"]}, "input": {"type": "object"}},
}
REFUSED = (400, 401, 403, 404, 409)
_ONE = "/v2/images/<image_id>"
#: Statuses where a method's usual one is not it.
_STATUSES = {
    ("GET", "/"): (300,),
    ("GET", f"{_ONE}/file"): (200, 204, 206, 416),
    ("PUT", f"{_ONE}/file"): (204, 410, 413, 415),
    ("PUT", f"{_ONE}/stage"): (204, 410, 413, 415),
    ("POST", f"{_ONE}/import"): (202, 410),
    ("PUT", "/v2/cache/<image_id>"): (202,),
    ("PUT", f"{_ONE}/tags/<tag>"): (204, 413),
    ("POST", f"{_ONE}/members"): (200,),
    ("POST", f"{_ONE}/actions/deactivate"): (204,),
    ("POST", f"{_ONE}/actions/reactivate"): (204,),
}
_MADE = {"GET": (200,), "POST": (201,), "PUT": (200,), "PATCH": (200, 415), "DELETE": (204,)}


def describe(method: str, path: str) -> Operation:
    """Return what a method on a path takes and answers."""
    place = (method, path)
    statuses = (*_STATUSES.get(place, _MADE[method]), *REFUSED)
    if place == ("GET", "/v2/images"):
        return Operation(statuses, query=_QUERY)
    if place == ("POST", "/v2/images"):
        return Operation((*statuses, 413), body=_image())
    if place == ("PATCH", _ONE):
        return Operation((*statuses, 413), body=_PATCH, media_type="application/openstack-images-v2.1-json-patch")
    if path.endswith(("/file", "/stage")) and method == "PUT":
        return Operation(statuses, body=_BYTES, media_type=_OCTETS)
    bodies: dict[tuple[str, str], Any] = {
        ("POST", f"{_ONE}/import"): _IMPORT,
        ("POST", f"{_ONE}/members"): _MEMBER,
        ("PUT", f"{_ONE}/members/<member_id>"): _ANSWER,
        ("POST", "/v2/tasks"): _TASK,
    }
    return Operation(statuses, body=bodies.get(place) or _metadef(method, path))


def _metadef(method: str, path: str) -> Any:
    """Return the schema of the body of a request for a definition of metadata; None without one."""
    part = path.removesuffix("/<key>").rpartition("/")[2]
    kinds = {
        "namespaces": "namespace", "<name>": "namespace", "objects": "object", "properties": "property",
        "resource_types": "resource_type",
    }  # fmt: skip
    if "/metadefs/" not in path or method not in ("POST", "PUT"):
        return None
    if part == "tags":
        tag = {"type": "object", **PUBLISHED["tag"]}
        return tag if method == "PUT" else {"type": "object", "properties": {"tags": {"type": "array", "items": tag}}}
    written = {name: one for name, one in PUBLISHED[kinds[part]]["properties"].items() if not one.get("readOnly")}
    return {"type": "object", **PUBLISHED[kinds[part]], "properties": written}


def _image() -> dict[str, Any]:
    """Return the schema of a new image: what may be written of the one that is published."""
    properties = {
        name: {key: value for key, value in one.items() if key not in ("description", "is_base")}
        for name, one in schema("image")["properties"].items()
        if not one.get("readOnly") and name != "locations"
    }
    return {"type": "object", "properties": properties, "additionalProperties": {"type": "string"}}
