"""Field tables: typed values, as AMQP 0-9-1 with RabbitMQ's types writes them.

A value is a pair of its type's letter and what it holds, so that what comes in goes out as it was: ``("I", 5)``,
``("l", 5)``, ``("S", "text")``, ``("x", b"octets")``, ``("t", True)``, ``("F", table)``, ``("A", [values])``,
``("V", None)``, ``("D", (scale, number))``, ``("T", seconds)``. A table is a dictionary of values, in the order of the
octets. Texts that are no UTF-8 keep their octets by surrogates.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import Any

from nova_fakes.exceptions import InvalidInput
from nova_fakes.rabbit.errors import MalformedTable

__all__ = ["TYPE_NAMES", "Table", "Value", "decode", "encode", "plain", "short_string", "sorted_octets", "typed"]

Value = tuple[str, Any]
Table = dict[str, Value]

#: What RabbitMQ calls the types in its texts.
TYPE_NAMES = {
    "t": "bool", "b": "byte", "B": "unsignedbyte", "s": "short", "u": "unsignedshort", "I": "signedint",
    "i": "unsignedint", "l": "long", "f": "float", "d": "double", "D": "decimal", "S": "longstr", "x": "binary",
    "T": "timestamp", "F": "table", "A": "array", "V": "void",
}  # fmt: skip

_FIXED = {
    "b": struct.Struct(">b"), "B": struct.Struct(">B"), "s": struct.Struct(">h"), "u": struct.Struct(">H"),
    "I": struct.Struct(">i"), "i": struct.Struct(">I"), "l": struct.Struct(">q"), "f": struct.Struct(">f"),
    "d": struct.Struct(">d"), "T": struct.Struct(">Q"),
}  # fmt: skip
_LENGTH = struct.Struct(">I")
_DECIMAL = struct.Struct(">Bi")
MAX_SHORT = 255


def decode(octets: bytes) -> Table:
    """Read a table without its length.

    :raises MalformedTable: for a type or a length that cannot be
    """
    table: Table = {}
    position, end = 0, len(octets)
    try:
        while position < end:
            stop = position + 1 + octets[position]
            name = octets[position + 1 : stop].decode("utf-8", "surrogateescape")
            table[name], position = _value(octets, stop)
    except (IndexError, struct.error):
        raise MalformedTable("a table ends before its last field does") from None
    if position != end:
        raise MalformedTable("a field is longer than its table")
    return table


def _value(octets: bytes, position: int) -> tuple[Value, int]:
    kind = chr(octets[position])
    position += 1
    fixed = _FIXED.get(kind)
    if fixed is not None:
        number = fixed.unpack_from(octets, position)[0]
        if kind in "fd" and not isfinite(number):
            raise MalformedTable("a number is infinite, or none")  # which Erlang's floats cannot be
        return (kind, number), position + fixed.size
    if kind == "t":
        return (kind, octets[position] != 0), position + 1
    if kind == "V":
        return (kind, None), position
    if kind == "D":
        return (kind, _DECIMAL.unpack_from(octets, position)), position + 5
    if kind not in "SxFA":
        raise MalformedTable(f"no field has the type {kind!r}")
    begin = position + 4
    stop = begin + _LENGTH.unpack_from(octets, position)[0]
    inside = octets[begin:stop]
    if stop > len(octets):
        raise MalformedTable("a field is longer than its table")
    if kind == "S":
        return (kind, inside.decode("utf-8", "surrogateescape")), stop
    if kind == "x":
        return (kind, inside), stop
    return (kind, decode(inside) if kind == "F" else _items(inside)), stop


def _items(octets: bytes) -> list[Value]:
    items = []
    position = 0
    while position < len(octets):
        item, position = _value(octets, position)
        items.append(item)
    return items


def encode(table: Mapping[str, Value]) -> bytes:
    """Write a table without its length."""
    parts = []
    for name, value in table.items():
        parts.append(short_string(name))
        parts.append(_octets(value))
    return b"".join(parts)


def _octets(value: Value) -> bytes:
    kind, content = value
    letter = kind.encode()
    fixed = _FIXED.get(kind)
    if fixed is not None:
        return letter + fixed.pack(content)
    if kind == "t":
        return letter + (b"\x01" if content else b"\x00")
    if kind == "V":
        return letter
    if kind == "D":
        return letter + _DECIMAL.pack(*content)
    inside: bytes
    if kind == "S":
        inside = content.encode("utf-8", "surrogateescape")
    elif kind == "F":
        inside = encode(content)
    elif kind == "A":
        inside = b"".join(map(_octets, content))
    else:
        inside = content
    return letter + _LENGTH.pack(len(inside)) + inside


def short_string(text: str) -> bytes:
    """Write a text of at most 255 octets with its length.

    :raises InvalidInput: for a longer one
    """
    octets = text.encode("utf-8", "surrogateescape")
    if len(octets) > MAX_SHORT:
        raise InvalidInput("short string", text, f"give at most {MAX_SHORT} octets")
    return bytes((len(octets),)) + octets


def sorted_octets(table: Mapping[str, Value]) -> bytes:
    """Write a table in the order of its names: equal tables are equal octets."""
    return encode(dict(sorted(table.items())))


def typed(mapping: Mapping[str, Any]) -> Table:
    """Give Python's values the types that clients commonly choose; what is typed already stays.

    :raises InvalidInput: for a value that no type holds
    """
    return {str(name): _typed(name, value) for name, value in mapping.items()}


def _typed(name: str, value: Any) -> Value:
    if isinstance(value, tuple) and len(value) == 2 and value[0] in TYPE_NAMES:
        return value
    if isinstance(value, bool):
        return "t", value
    if isinstance(value, int):
        return "I" if -(1 << 31) <= value < 1 << 31 else "l", value
    if isinstance(value, float):
        return "d", value
    if isinstance(value, str):
        return "S", value
    if isinstance(value, (bytes, bytearray)):
        return "x", bytes(value)
    if value is None:
        return "V", None
    if isinstance(value, Mapping):
        return "F", typed(value)
    if isinstance(value, Sequence):
        return "A", [_typed(name, item) for item in value]
    if isinstance(value, datetime):
        return "T", int(value.timestamp())
    if isinstance(value, Decimal):
        exponent = min(int(value.as_tuple().exponent), 0)
        return "D", (-exponent, int(value.scaleb(-exponent)))
    raise InvalidInput(name, value, "give a text, number, boolean, time, octets, list or mapping")


def plain(table: Mapping[str, Value]) -> dict[str, Any]:
    """Return a table's values without their types."""
    return {name: _plain(value) for name, value in table.items()}


def _plain(value: Value) -> Any:
    kind, content = value
    if kind == "F":
        return plain(content)
    if kind == "A":
        return [_plain(item) for item in content]
    if kind == "D":
        return Decimal(content[1]).scaleb(-content[0])
    return content
