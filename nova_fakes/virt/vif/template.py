"""Netlink messages whose shape is fixed: encoded once, with the places that change known by name (RFC 3549).

Encoding a message piece by piece takes longer than the kernel takes to do what it says.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["ATTRIBUTE", "HEADER", "Message", "Part", "Template", "attr", "join", "slot", "u32"]

#: ``struct nlmsghdr`` and ``struct nlattr`` (``include/uapi/linux/netlink.h``).
HEADER = struct.Struct("=IHHII")
ATTRIBUTE = struct.Struct("=HH")
_REQUEST = 0x1


@dataclass(frozen=True, slots=True)
class Part:
    """Encoded bytes and the places in them that change: (name, offset, format)."""

    data: bytes
    slots: tuple[tuple[str, int, struct.Struct], ...] = ()


def slot(slot_name: str, layout: str) -> Part:
    """Return a place that changes; `layout` is its format as of the struct module."""
    form = struct.Struct("=" + layout)
    return Part(bytes(form.size), ((slot_name, 0, form),))


def join(*parts: Part | bytes) -> Part:
    """Put parts one after the other."""
    data, slots = b"", []
    for part in parts:
        if isinstance(part, bytes):
            data += part
            continue
        slots += [(slot_name, len(data) + offset, form) for slot_name, offset, form in part.slots]
        data += part.data
    return Part(data, tuple(slots))


def attr(kind: int, *parts: Part | bytes) -> Part:
    """Encode an attribute, padded as the kernel wants it."""
    body = join(*parts)
    length = ATTRIBUTE.size + len(body.data)
    return join(ATTRIBUTE.pack(length, kind), body, bytes(-length % 4))


def u32(value: int) -> bytes:
    """Encode an unsigned number of four bytes."""
    return struct.pack("=I", value)


class Template:
    """A message whose shape is fixed: `fill` packs the values into it."""

    __slots__ = ("_constants", "_names", "_pack", "_slots", "summary")

    def __init__(self, summary: str, kind: int, flags: int, *parts: Part | bytes) -> None:
        whole = join(bytes(HEADER.size), *parts)
        data = HEADER.pack(len(whole.data), kind, _REQUEST | flags, 0, 0) + whole.data[HEADER.size :]
        self.summary = summary
        # One struct for the whole message, what is constant in it included: packing it is a single call.
        layout = "="
        self._constants: list[int | bytes] = []
        self._slots: list[str] = []
        end = 0
        for slot_name, offset, form in sorted(whole.slots, key=lambda slot: slot[1]):
            layout += f"{offset - end}s{form.format[1:]}"
            self._slots.append(slot_name)
            self._constants += [data[end:offset], 0]
            end = offset + form.size
        self._constants.append(data[end:])
        self._names = frozenset(self._slots)
        self._pack = struct.Struct(f"{layout}{len(data) - end}s").pack

    def fill(self, **values: int | bytes) -> "Message":
        """Return the message with these values: names and MACs as bytes, everything else as integers.

        Every slot needs its value.
        """
        if len(values) != len(self._names):
            raise KeyError(f"{self.summary!r} takes {sorted(self._names)}, not {sorted(values)}")
        arguments = self._constants.copy()
        arguments[1::2] = [values[slot_name] for slot_name in self._slots]
        return Message(self, self._pack(*arguments))


class Message(NamedTuple):
    """A filled template, ready to be sent."""

    template: Template
    data: bytes
