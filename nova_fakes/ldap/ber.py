"""The part of BER that LDAP uses (RFC 4511 §5.1): definite lengths, tags of one byte."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "BerError", "Element", "boolean", "elements", "encode", "enumerated", "integer", "length_of", "octets", "one",
    "sequence", "set_of", "to_integer",
]  # fmt: skip

BOOLEAN, INTEGER, OCTETS, ENUMERATED, SEQUENCE, SET = 0x01, 0x02, 0x04, 0x0A, 0x30, 0x31
Element = tuple[int, bytes]
"""A tag and a content."""


class BerError(ValueError):
    """Bytes that are not what the protocol says."""


def encode(tag: int, content: bytes) -> bytes:
    """Write an element."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(digits))) + digits + content


def octets(value: bytes, tag: int = OCTETS) -> bytes:
    """Write an octet string."""
    return encode(tag, value)


def integer(value: int, tag: int = INTEGER) -> bytes:
    """Write an integer, in as few bytes as it takes."""
    size = (value if value >= 0 else ~value).bit_length() // 8 + 1
    return encode(tag, value.to_bytes(size, "big", signed=True))


def enumerated(value: int) -> bytes:
    """Write an enumerated value."""
    return integer(value, ENUMERATED)


def boolean(value: bool, tag: int = BOOLEAN) -> bytes:
    """Write a truth value."""
    return encode(tag, b"\xff" if value else b"\x00")


def sequence(parts: Iterable[bytes], tag: int = SEQUENCE) -> bytes:
    """Write a sequence of elements that are written already."""
    return encode(tag, b"".join(parts))


def set_of(parts: Iterable[bytes]) -> bytes:
    """Write a set of elements that are written already."""
    return encode(SET, b"".join(parts))


def length_of(data: bytes | bytearray | memoryview, start: int = 0) -> tuple[int, int] | None:
    """Return where the content of the element at a place begins and ends, or None where more bytes are needed to tell.

    :raises BerError: where the length is indefinite or too long to be meant
    """
    if len(data) < start + 2:
        return None
    size = data[start + 1]
    begin = start + 2
    if size & 0x80:
        digits = size & 0x7F
        if not 1 <= digits <= 4:
            raise BerError("a length is definite and has at most four bytes")
        if len(data) < begin + digits:
            return None
        size = int.from_bytes(data[begin : begin + digits], "big")
        begin += digits
    return begin, begin + size


def elements(data: bytes) -> list[Element]:
    """Return the elements that some content is made of.

    :raises BerError: where it is not made of whole elements
    """
    found: list[Element] = []
    position, end = 0, len(data)
    while position < end:
        # Nearly all elements are short; this is on the way of every message.
        if position + 1 < end and (size := data[position + 1]) < 0x80:
            begin = position + 2
            after = begin + size
        else:
            span = length_of(data, position)
            if span is None:
                raise BerError("an element ends after what holds it")
            begin, after = span
        if after > end:
            raise BerError("an element ends after what holds it")
        tag = data[position]
        if tag & 0x1F == 0x1F:
            raise BerError("a tag has one byte")
        found.append((tag, data[begin:after]))
        position = after
    return found


def one(data: bytes, tag: int) -> bytes:
    """Return the content of the one element that some bytes are.

    :raises BerError: where they are something else
    """
    found = elements(data)
    if len(found) != 1 or found[0][0] != tag:
        raise BerError(f"one element with tag {tag:#x} was expected")
    return found[0][1]


def to_integer(content: bytes) -> int:
    """Read an integer or enumerated value.

    :raises BerError: where it has no bytes or more than eight
    """
    if not 1 <= len(content) <= 8:
        raise BerError("an integer has one to eight bytes")
    return int.from_bytes(content, "big", signed=True)
