"""The JSON schemas of definitions of metadata, which the API publishes and checks by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jsonschema import Draft4Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

from nova_fakes.exceptions import ApiError

__all__ = ["PUBLISHED", "check"]

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_WORDS: Final[Schema] = {"type": "array", "items": _TEXT, "uniqueItems": True}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_TYPE: Final[Schema] = {
    "type": "string",
    "enum": ["array", "boolean", "integer", "number", "object", "string", None],
}
_NAME: Final[Schema] = {"type": "string", "maxLength": 80}
_TIME: Final[Schema] = {"type": "string", "readOnly": True, "format": "date-time"}
_DATED: Final = {"created_at": _TIME, "updated_at": _TIME}
_LINKED: Final = {"self": {**_TEXT, "readOnly": True}, "schema": {**_TEXT, "readOnly": True}}

_PROPERTY: Final[dict[str, Schema]] = {
    "name": _NAME,
    "title": _TEXT,
    "description": _TEXT,
    "operators": {"type": "array", "items": _TEXT},
    "type": _TYPE,
    "required": _WORDS,
    "minimum": {"type": "number"},
    "maximum": {"type": "number"},
    "minLength": _COUNT,
    "maxLength": _COUNT,
    "pattern": {"type": "string", "format": "regex"},
    "enum": {"type": "array"},
    "readonly": {"type": "boolean"},
    "default": {},
    "items": {"type": "object", "properties": {"type": _TYPE, "enum": {"type": "array"}}},
    "minItems": _COUNT,
    "maxItems": _COUNT,
    "uniqueItems": {"type": "boolean"},
    "additionalItems": {"type": "boolean"},
}
_PROPERTIES: Final[Schema] = {
    "type": "object",
    "additionalProperties": {"type": "object", "required": ["title", "type"], "properties": _PROPERTY},
}
_OBJECT: Final[dict[str, Schema]] = {
    "name": _NAME,
    "description": _TEXT,
    "required": _WORDS,
    "properties": _PROPERTIES,
    **_DATED,
    **_LINKED,
}
_TAG: Final[dict[str, Schema]] = {"name": _NAME, **_DATED}
_ASSOCIATION: Final[dict[str, Schema]] = {
    "name": _NAME,
    "prefix": _NAME,
    "properties_target": _NAME,
    **_DATED,
}
_NAMESPACE: Final[dict[str, Schema]] = {
    "namespace": _NAME,
    "display_name": _NAME,
    "description": {"type": "string", "maxLength": 500},
    "visibility": {"type": "string", "enum": ["public", "private"]},
    "protected": {"type": "boolean"},
    "owner": {"type": "string", "maxLength": 255},
    **_DATED,
    **_LINKED,
    "resource_type_associations": {
        "type": "array",
        "items": {"type": "object", "required": ["name"], "properties": _ASSOCIATION},
    },
    "properties": _PROPERTIES,
    "objects": {"type": "array", "items": {"type": "object", "required": ["name"], "properties": _OBJECT}},
    "tags": {"type": "array", "items": {"type": "object", "required": ["name"], "properties": {"name": _NAME}}},
}


def _one(name: str, properties: Mapping[str, Schema], *required: str) -> Schema:
    return {
        "name": name,
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _several(name: str, one: Schema) -> Schema:
    links = [{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"}]
    properties: dict[str, Schema] = {
        name: {"type": "array", "items": one},
        "first": _TEXT,
        "next": _TEXT,
        "schema": _TEXT,
    }
    return {"name": name, "properties": properties, "links": [*links, {"rel": "describedby", "href": "{schema}"}]}


_NAMESPACE_ONE: Final = _one("namespace", _NAMESPACE, "namespace")
_OBJECT_ONE: Final = _one("object", _OBJECT, "name")
_TAG_ONE: Final = _one("tag", _TAG, "name")
_TYPE_ONE: Final = _one("resource_type_association", _ASSOCIATION, "name")
_PROPERTY_ONE: Final = _one("property", _PROPERTY, "name", "title", "type")

PUBLISHED: Final[Mapping[str, Schema]] = {
    "namespace": _NAMESPACE_ONE,
    "namespaces": _several("namespaces", _NAMESPACE_ONE),
    "object": _OBJECT_ONE,
    "objects": _several("objects", _OBJECT_ONE),
    "property": _PROPERTY_ONE,
    "properties": {"name": "properties", "properties": {"properties": _PROPERTIES}},
    "resource_type": _TYPE_ONE,
    "resource_types": _several("resource_type_associations", _TYPE_ONE),
    "tag": _TAG_ONE,
    "tags": _several("tags", _TAG_ONE),
}
"""What `/v2/schemas/metadefs/NAME` answers, by that name."""
_READ_ONLY: Final = ("self", "schema", "created_at", "updated_at")


def check(name: str, body: Any) -> None:
    """Refuse a body that is none of what the name says; ApiError 400, and 403 for what nobody may write."""
    for key in _READ_ONLY:
        if isinstance(body, dict) and key in body:
            raise ApiError(403, f"Attribute '{key}' is read-only.")
    schema = PUBLISHED[name]
    error = best_match(Draft4Validator({"type": "object", **schema}).iter_errors(body))
    if error is not None:
        raise ApiError(400, f"Provided object does not match schema '{schema['name']}': {error.message}")
