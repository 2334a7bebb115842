"""The network service's description of itself, made from the attributes of its collections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nova_fakes.api.network.collection import Collection
from nova_fakes.api.network.schema import REQUIRED, Schema
from nova_fakes.api.network.state import DEFAULT_QUOTAS
from nova_fakes.api.network.values import schema_of
from nova_fakes.api.openapi import Operation

__all__ = ["description"]

#: What nearly every request may be refused with.
REFUSED = (400, 401, 403, 404, 409, 503)
#: Where servers may have claimed in placement what would change.
_IN_PLACEMENT = ("/v2.0/ports", "/v2.0/networks", "/v2.0/qos/policies")
_TEXT: Mapping[str, Any] = {"type": "string"}
_LIMIT: Mapping[str, Any] = {"type": "integer", "minimum": -1}
_PAGING: Mapping[str, Any] = {
    "fields": _TEXT,
    "limit": {"type": "integer", "minimum": 0},
    "marker": _TEXT,
    "page_reverse": {"type": "boolean"},
    "sort_key": _TEXT,
    "sort_dir": {"type": "string", "enum": ["asc", "desc"]},
}
_MADE = {"GET": 200, "POST": 201, "PUT": 200, "DELETE": 204}
_ROUTER_PORT = {"type": "object", "properties": {"subnet_id": _TEXT, "port_id": _TEXT}}
_BINDING = {
    "host": _TEXT,
    "vnic_type": _TEXT,
    "profile": {"type": "object"},
}
_SUB_PORTS = {
    "type": "object",
    "required": ["sub_ports"],
    "properties": {
        "sub_ports": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "port_id": {"type": "string", "format": "uuid"},
                    "segmentation_type": _TEXT,
                    "segmentation_id": {"type": "integer"},
                },
            },
        }
    },
}


def description(collections: Sequence[Collection]) -> Any:
    """Return what describes the paths of these collections, as `nova_fakes.api.openapi.publish` wants it."""
    by_path = {f"/v2.0/{one.path}": one for one in collections}
    bodies: dict[tuple[str, str], Any] = {
        ("PUT", "/v2.0/quotas/<project_id>"): _wrapped("quota", dict.fromkeys(DEFAULT_QUOTAS, _LIMIT)),
        ("POST", "/v2.0/ports/<port_id>/bindings"): _wrapped("binding", _BINDING, ["host"]),
        ("PUT", "/v2.0/ports/<port_id>/bindings/<host>"): _wrapped("binding", _BINDING),
    }

    def describe(method: str, path: str) -> Operation:
        last = path.rpartition("/")[2]
        collection = by_path.get(path if method in ("GET", "POST") else path.rpartition("/")[0])
        body: Any = bodies.get((method, path))
        query: Mapping[str, Any] = {}
        status = _MADE[method]
        if collection is not None and last != "tags":
            if method in ("POST", "PUT"):
                body = _body(collection.schema, getattr(collection, "parent_key", ""), new=method == "POST")
            elif method == "GET":
                query = _filters(collection)
        elif last.startswith(("add_", "remove_")):
            body = _SUB_PORTS if "subports" in last else _ROUTER_PORT
        elif "/tags" in path:
            if last == "<tag>":
                status = {"GET": 204, "PUT": 201, "DELETE": 204}[method]
            elif method in ("POST", "PUT"):
                body = {
                    "type": "object",
                    "required": ["tags"],
                    "properties": {"tags": {"type": "array", "items": {"type": "string", "maxLength": 255}}},
                }
        refused = (*REFUSED, 501) if path.startswith(_IN_PLACEMENT) and method != "GET" else REFUSED
        return Operation((status, *refused), body=body, query=query)

    return describe


def _body(schema: Schema, parent: str, *, new: bool) -> dict[str, Any]:
    allowed = {name: one for name, one in schema.attributes.items() if (one.post if new else one.put)}
    allowed.pop(parent, None)
    properties = {name: schema_of(one.check) for name, one in allowed.items() if name != "tenant_id"}
    required = [name for name, one in allowed.items() if new and one.default is REQUIRED]
    return _wrapped(schema.name, properties, required)


def _wrapped(name: str, properties: Mapping[str, Any], required: Sequence[str] = ()) -> dict[str, Any]:
    inner = {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }
    return {"type": "object", "properties": {name: inner}, "required": [name]}


def _filters(collection: Collection) -> dict[str, Any]:
    attributes = {name: one for name, one in collection.schema.attributes.items() if one.filters}
    return {
        **{name: schema_of(one.check) or _TEXT for name, one in attributes.items() if name != "tenant_id"},
        **dict.fromkeys(collection.filters, _TEXT),
        **_PAGING,
        "sort_key": {"type": "string", "enum": sorted(attributes)},
    }
