"""Building blocks of the requests' JSON schemas (`nova/api/validation/parameter_types.py`), and the check by them."""

from __future__ import annotations

import base64
import binascii
import functools
import ipaddress
import json
import re
import unicodedata
import uuid
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]
from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

from nova_fakes.exceptions import ApiError

__all__ = [
    "BOOLEAN",
    "DESCRIPTION",
    "FQDN",
    "HOSTNAME",
    "MANY",
    "METADATA",
    "NAME",
    "NUMBERS",
    "ONE",
    "ONE_NUMBER",
    "ONE_TIME",
    "PASSWORD",
    "POSITIVE",
    "SIZE",
    "TAG",
    "TEXT",
    "TIMES",
    "UUID",
    "Schema",
    "boolean",
    "check",
    "nullable",
    "objects",
    "wrapped",
]

Schema = Mapping[str, Any]

_WORDS = ("True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes")
_NO_WORDS = ("False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no")
_KEY = r"^[a-zA-Z0-9-_:. ]{1,255}$"
# Printable, and neither beginning nor ending with white space.
_PRINTABLE = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
_LARGEST = 0x7FFFFFFF

TEXT: Schema = {"type": "string", "maxLength": 255}
NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": _PRINTABLE, "format": "printable"}
DESCRIPTION: Schema = {
    "type": ["string", "null"],
    "maxLength": 255,
    "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$",
    "format": "printable",
}
BOOLEAN: Schema = {"type": ["boolean", "string"], "enum": [True, *_WORDS, False, *_NO_WORDS]}
UUID: Schema = {"type": "string", "format": "uuid"}
PASSWORD: Schema = {"type": "string"}
TAG: Schema = {"type": "string", "minLength": 1, "maxLength": 60, "pattern": "^[^,/]*$"}
HOSTNAME: Schema = {
    "type": "string",
    "minLength": 2,
    "maxLength": 63,
    "pattern": "^[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]$",
}
FQDN: Schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9-._]*$"}
#: Whole numbers, also as text.
SIZE: Schema = {"type": ["integer", "string"], "pattern": "^[0-9]{1,10}$", "minimum": 0, "maximum": _LARGEST}
POSITIVE: Schema = {
    "type": ["integer", "string"],
    "pattern": "^[0-9]*[1-9][0-9]*$",
    "minimum": 1,
    "maxLength": 10,
    "maximum": _LARGEST,
}
#: A parameter of a query: once, or as often as anybody likes.
MANY: Schema = {"type": "array", "items": {"type": "string"}}
NUMBERS: Schema = {"type": "array", "items": {"type": "string", "pattern": "^[0-9]{1,9}$"}}
TIMES: Schema = {"type": "array", "items": {"type": "string", "format": "date-time"}}
ONE: Schema = {**MANY, "maxItems": 1}
ONE_NUMBER: Schema = {**NUMBERS, "maxItems": 1}
ONE_TIME: Schema = {**TIMES, "maxItems": 1}
METADATA: Schema = {
    "type": "object",
    "patternProperties": {_KEY: {"type": "string", "maxLength": 255}},
    "additionalProperties": False,
}


def objects(properties: Mapping[str, Any], required: Collection[str] = (), *, more: bool = False) -> Schema:
    """Return the schema of objects with these members; `more` tells whether they may have others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": more,
    }


def wrapped(name: str, inner: Schema) -> Schema:
    """Return the schema of a body whose one member is `name`."""
    return objects({name: inner}, (name,))


def nullable(schema: Schema) -> Schema:
    """Return the schema that allows null as well."""
    kinds = schema["type"]
    return {**schema, "type": [*([kinds] if isinstance(kinds, str) else kinds), "null"]}


def boolean(value: object) -> bool:
    """Return what a value that `BOOLEAN` allows means."""
    return value is True or value in _WORDS


def check(schema: Schema, value: object, what: str = "field/attribute") -> None:
    """Refuse a value that does not match a schema.

    Args:
        schema: what it must match.
        value: the body, or the query's parameters.
        what: what a member is called in the message.

    Raises:
        ApiError: 400, naming the member, its value and what is wrong with it.
    """
    error = best_match(_validator(_Held(schema)).iter_errors(value))
    if error is None:
        return
    path = [str(part) for part in error.absolute_path]
    if path:
        shown = error.instance if isinstance(error.instance, str) else json.dumps(error.instance, default=str)
        raise ApiError(400, f"Invalid input for {what} {path[-1]}. Value: {shown}. {error.message}")
    raise ApiError(400, error.message)


class _Held:
    """A schema as an argument of a cached function: equal to itself alone, and kept as long as the cache."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and other.schema is self.schema


@functools.lru_cache(maxsize=1024)
def _validator(held: _Held) -> Any:
    return Draft202012Validator(held.schema, format_checker=_formats())


@functools.cache
def _formats() -> FormatChecker:
    """Return what knows the formats that schemas name."""
    checker = FormatChecker(formats=())
    checker.checks("uuid", ValueError)(_is_uuid)
    checker.checks("ip", ValueError)(_is_address)
    checker.checks("ipv4", ValueError)(lambda value: _is_address(value, 4))
    checker.checks("ipv6", ValueError)(lambda value: _is_address(value, 6))
    checker.checks("base64", (binascii.Error, ValueError))(_is_base64)
    checker.checks("printable")(_is_printable)
    checker.checks("regex", re.error)(_is_regex)
    checker.checks("date-time", ValueError)(_is_time)
    return checker


def _is_uuid(value: object) -> bool:
    if not isinstance(value, str):
        return True
    return str(uuid.UUID(value)).replace("-", "") == value.lower().replace("-", "")


def _is_address(value: object, version: int | None = None) -> bool:
    return not isinstance(value, str) or ipaddress.ip_address(value).version in (version or 4, version or 6)


def _is_base64(value: object) -> bool:
    # As nova does, without a look at what is between the letters: line ends, mostly.
    return not isinstance(value, str) or base64.b64decode(value.encode("ascii")) is not None


def _is_printable(value: object) -> bool:
    return not isinstance(value, str) or all(
        character == " " or unicodedata.category(character)[0] not in "CZ" or unicodedata.category(character) == "Zs"
        for character in value
    )


def _is_regex(value: object) -> bool:
    return not isinstance(value, str) or (value != "" and re.compile(value) is not None)


def _is_time(value: object) -> bool:
    return not isinstance(value, str) or bool(datetime.fromisoformat(value))
