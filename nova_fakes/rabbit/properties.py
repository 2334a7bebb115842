"""The properties of a message, kept as the octets of its content header and read where the broker needs them.

Octets that nobody has to change are passed on untouched, so that headers keep their types to the last octet.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from nova_fakes.exceptions import InvalidInput
from nova_fakes.rabbit import tables
from nova_fakes.rabbit.errors import MalformedTable
from nova_fakes.rabbit.tables import Table

__all__ = ["NAMES", "PERSISTENT", "Properties"]

#: In the order of their flags, from the highest bit.
NAMES = (
    "content_type", "content_encoding", "headers", "delivery_mode", "priority", "correlation_id", "reply_to",
    "expiration", "message_id", "timestamp", "type", "user_id", "app_id", "cluster_id",
)  # fmt: skip
PERSISTENT = 2
_HEADERS, _MODE, _PRIORITY, _TIMESTAMP = 2, 3, 4, 9
_FLAGS = struct.Struct(">H")
_LENGTH = struct.Struct(">I")
_TIME = struct.Struct(">Q")


class Properties:
    """The properties of one message; immutable, and shared by messages with the same octets.

    :param raw: the octets: flags and the fields that are there
    :raises MalformedTable: they cannot be read
    """

    __slots__ = (
        "_fields", "_headers", "carries_routes", "delivery_mode", "expiration", "priority", "raw", "reply_to",
        "user_id",
    )  # fmt: skip

    def __init__(self, raw: bytes = b"\x00\x00") -> None:
        self.raw = raw
        self._fields = fields = _read(raw)
        self._headers: Table | None = None
        self.delivery_mode: int | None = fields.get("delivery_mode")
        self.priority: int | None = fields.get("priority")
        self.expiration: str | None = fields.get("expiration")
        self.reply_to: str | None = fields.get("reply_to")
        self.user_id: str | None = fields.get("user_id")
        octets = fields.get("headers")
        #: Whether the headers may name further routes (CC and BCC).
        self.carries_routes = octets is not None and b"CC" in octets
        if octets:
            self._headers = tables.decode(octets)

    @classmethod
    def of(cls, **fields: Any) -> Properties:
        """Make properties of their values: headers a mapping, timestamp seconds since the epoch.

        :raises InvalidInput: for a name that no property has
        """
        unknown = set(fields) - set(NAMES)
        if unknown:
            raise InvalidInput("property", sorted(unknown)[0], f"give one of {', '.join(NAMES)}")
        present = {name: value for name, value in fields.items() if value is not None}
        if "headers" in present:
            present["headers"] = tables.encode(tables.typed(present["headers"]))
        return cls(_write(present))

    @property
    def is_persistent(self) -> bool:
        """Whether the message shall outlive the broker."""
        return self.delivery_mode == PERSISTENT

    @property
    def headers(self) -> Table:
        """The headers, which a caller does not change; empty where there are none."""
        return self._headers or {}

    def fields(self) -> dict[str, Any]:
        """Return the properties that are there; headers as a typed table."""
        found = dict(self._fields)
        if "headers" in found:
            found["headers"] = self.headers
        return found

    def replace(self, **fields: Any) -> Properties:
        """Return properties with others in the place of some; None takes one away, headers is a typed table."""
        present = self._fields | fields
        if fields.get("headers") is not None:
            present["headers"] = tables.encode(fields["headers"])
        return Properties(_write({name: value for name, value in present.items() if value is not None}))


def _read(raw: bytes) -> dict[str, Any]:
    """Read the fields; headers stay octets."""
    if raw == b"\x00\x00":
        return {}
    try:
        (flags,) = _FLAGS.unpack_from(raw)
        fields: dict[str, Any] = {}
        position = 2
        for index, name in enumerate(NAMES):
            if flags & (0x8000 >> index):
                fields[name], position = _field(raw, position, index)
    except (IndexError, struct.error):
        raise MalformedTable("the properties end before their last field does") from None
    if position != len(raw):
        raise MalformedTable("there are octets behind the last property")
    return fields


def _field(raw: bytes, position: int, index: int) -> tuple[Any, int]:
    if index in (_MODE, _PRIORITY):
        return raw[position], position + 1
    if index == _TIMESTAMP:
        return _TIME.unpack_from(raw, position)[0], position + 8
    if index == _HEADERS:
        begin = position + 4
        stop = begin + _LENGTH.unpack_from(raw, position)[0]
        return raw[begin:stop], stop
    stop = position + 1 + raw[position]
    return raw[position + 1 : stop].decode("utf-8", "surrogateescape"), stop


def _write(fields: Mapping[str, Any]) -> bytes:
    flags = 0
    parts = [b""]
    for index, name in enumerate(NAMES):
        if name not in fields:
            continue
        flags |= 0x8000 >> index
        value = fields[name]
        if index in (_MODE, _PRIORITY):
            parts.append(bytes((value,)))
        elif index == _TIMESTAMP:
            parts.append(_TIME.pack(value))
        elif index == _HEADERS:
            parts.append(_LENGTH.pack(len(value)) + value)
        else:
            parts.append(tables.short_string(value))
    parts[0] = _FLAGS.pack(flags)
    return b"".join(parts)
