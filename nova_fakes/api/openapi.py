"""The description (OpenAPI 3.0) that each service serves of itself, made from its own routes and schemas."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import flask

from nova_fakes.api.wsgi import base_url, reply, title

__all__ = ["PATH", "Operation", "publish"]

PATH = "/openapi.json"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True)
class Operation:
    """What a method on a path takes and answers.

    Attributes:
        statuses: it may answer with, refusals included.
        body: schema of the request's body; None without one.
        media_type: of the body.
        query: schema of each parameter of the query by name.
        headers: schema of each further header by name.
        optional_body: whether the body may be left out.
    """

    statuses: tuple[int, ...]
    body: Mapping[str, Any] | None = None
    media_type: str = "application/json"
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, Any] = field(default_factory=dict)
    optional_body: bool = False


Describe = Callable[[str, str], Operation | None]


def publish(app: flask.Flask, name: str, version: str, describe: Describe) -> None:
    """Serve the description of an application's routes at /openapi.json, without a token.

    Args:
        app: its routes are those that it has when the description is asked for.
        name: of the service ("network").
        version: of its API.
        describe: tells what (method, path as Flask writes it) takes and answers; None leaves the operation out.
    """

    def answer() -> flask.Response:
        return reply(_document(app, name, version, describe))

    app.add_url_rule(PATH, "openapi", answer)


def _document(app: flask.Flask, name: str, version: str, describe: Describe) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for rule in app.url_map.iter_rules():
        if rule.rule == PATH:
            continue
        for method in METHODS:
            operation = describe(method, rule.rule) if method in (rule.methods or ()) else None
            if operation is not None:
                path = _ARGUMENT.sub(r"{\1}", rule.rule)
                shown = _operation(operation, _ARGUMENT.findall(rule.rule))
                paths.setdefault(path, {})[method.lower()] = shown
    return {
        "openapi": "3.0.3",
        "info": {"title": f"nova-fakes: {name}", "version": version},
        "servers": [{"url": base_url() or "/"}],
        "security": [{"token": []}],
        "components": {
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
        },
        "paths": dict(sorted(paths.items())),
    }


def _operation(operation: Operation, arguments: list[str]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in arguments
    ]
    for place, schemas in (("query", operation.query), ("header", operation.headers)):
        for name, schema in schemas.items():
            needed = place == "header" and "enum" in schema
            parameters.append({"name": name, "in": place, "required": needed, "schema": _plain(schema)})
    shown: dict[str, Any] = {
        "parameters": parameters,
        "responses": {str(status): {"description": title(status)} for status in sorted(set(operation.statuses))},
    }
    if operation.body is not None:
        content = {operation.media_type: {"schema": _plain(operation.body)}}
        shown["requestBody"] = {"required": not operation.optional_body, "content": content}
    return shown


def _plain(schema: Mapping[str, Any]) -> Any:
    """Return a JSON schema in the words that OpenAPI 3.0 knows: one type each, null apart, no pattern properties."""
    return _rewritten(copy.deepcopy(dict(schema)))


def _rewritten(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_rewritten(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    known = {key: value for key, value in schema.items() if key not in ("patternProperties", "exclusiveMinimum")}
    found: dict[str, Any] = {}
    for key, value in known.items():
        if key == "properties":
            found[key] = {name: _rewritten(one) for name, one in value.items()}
        elif key in ("items", "additionalProperties", "oneOf", "anyOf", "allOf"):
            found[key] = _rewritten(value)
        elif key != "required" or value:
            found[key] = value
    patterns = schema.get("patternProperties")
    if patterns:
        found["additionalProperties"] = _rewritten(next(iter(patterns.values())))
    kinds = found.get("type")
    if isinstance(kinds, list):
        return _one_type_each(found, kinds)
    if kinds == "null":
        del found["type"]
        return {**found, "nullable": True, "enum": [None]}
    return found


def _one_type_each(schema: dict[str, Any], kinds: list[str]) -> dict[str, Any]:
    rest = {key: value for key, value in schema.items() if key != "type"}
    plain = [kind for kind in kinds if kind != "null"]
    if "enum" in rest:
        found = {"enum": rest["enum"]}
    elif len(plain) == 1:
        found = {**rest, "type": plain[0]}
    else:
        found = {"anyOf": [_fitting(rest, kind) for kind in plain]}
    return {**found, "nullable": True} if "null" in kinds else found


_WORDS = {
    "string": ("minLength", "maxLength", "pattern", "format"),
    "integer": ("minimum", "maximum"),
    "number": ("minimum", "maximum"),
    "array": ("items", "minItems", "maxItems", "uniqueItems"),
    "object": ("properties", "required", "additionalProperties", "minProperties", "maxProperties"),
}


def _fitting(rest: Mapping[str, Any], kind: str) -> dict[str, Any]:
    words = _WORDS.get(kind, ())
    return {"type": kind, **{key: value for key, value in rest.items() if key in words}}
