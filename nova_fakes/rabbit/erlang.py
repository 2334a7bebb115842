"""Values as Erlang prints them: RabbitMQ's texts quote them so."""

from __future__ import annotations

from typing import Any

from nova_fakes.rabbit.tables import TYPE_NAMES, Table, Value

__all__ = ["binary", "content", "tuple_at"]

LINE = 80


def binary(octets: bytes) -> str:
    """Write octets: as text where all of them are printable."""
    if octets and all(32 <= octet < 127 or octet in b"\n\r\t" for octet in octets):
        return f'<<"{octets.decode()}">>'
    return f"<<{','.join(map(str, octets))}>>"


def content(value: Value) -> str:
    """Write what a typed value holds, without its type."""
    kind, inside = value
    if kind == "V":
        return "undefined"
    if kind == "t":
        return str(inside).lower()
    if kind == "S":
        return binary(inside.encode("utf-8", "surrogateescape"))
    if kind == "x":
        return binary(inside)
    if kind == "F":
        return _table(inside)
    if kind == "A":
        return f"[{','.join(map(_pair, inside))}]"
    if kind == "D":
        return f"{{{inside[0]},{inside[1]}}}"
    return str(inside)


def _pair(value: Value) -> str:
    return f"{{{TYPE_NAMES[value[0]]},{content(value)}}}"


def _table(table: Table) -> str:
    fields = (f"{{{binary(name.encode())},{TYPE_NAMES[value[0]]},{content(value)}}}" for name, value in table.items())
    return f"[{','.join(fields)}]"


def tuple_at(column: int, *items: Any) -> str:
    """Write a tuple behind that many characters; where the line becomes too long, each element has its own."""
    text = f"{{{','.join(map(str, items))}}}"
    if column + len(text) <= LINE:
        return text
    return f"{{{(',' + chr(10) + ' ' * (column + 1)).join(map(str, items))}}}"
