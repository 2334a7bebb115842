"""LDAP messages (RFC 4511 §4): requests are read into what the engine takes, results are written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from nova_fakes.ldap import ber, filters
from nova_fakes.ldap.ber import BerError, Element
from nova_fakes.ldap.filters import Filter
from nova_fakes.ldap.options import Attributes, Change, Deref, Modification, Scope, SearchRequest
from nova_fakes.ldap.results import LdapError, ResultCode

__all__ = [
    "Control", "Message", "read_filter", "read_message", "write_entry", "write_message", "write_reference",
    "write_result",
]  # fmt: skip

BIND, UNBIND, SEARCH, MODIFY, ADD, DELETE = 0x60, 0x42, 0x63, 0x66, 0x68, 0x4A
RENAME, COMPARE, ABANDON, EXTENDED = 0x6C, 0x6E, 0x50, 0x77
BIND_RESULT, ENTRY, SEARCH_DONE, MODIFY_RESULT, ADD_RESULT, DELETE_RESULT = 0x61, 0x64, 0x65, 0x67, 0x69, 0x6B
RENAME_RESULT, COMPARE_RESULT, REFERENCE, EXTENDED_RESULT, INTERMEDIATE = 0x6D, 0x6F, 0x73, 0x78, 0x79
CONTROLS = 0xA0
MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Control:
    """A control as it stands in a message."""

    oid: str
    critical: bool = False
    value: bytes | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A request: its number, the tag of its operation, what is in it, and controls."""

    number: int
    operation: int
    content: bytes
    controls: tuple[Control, ...]


def read_message(data: bytes) -> Message:
    """Read the content of an LDAPMessage.

    :raises BerError: where it is not one
    """
    parts = ber.elements(data)
    if len(parts) < 2 or parts[0][0] != ber.INTEGER:
        raise BerError("a message has a number and an operation")
    controls: tuple[Control, ...] = ()
    for tag, content in parts[2:]:
        if tag == CONTROLS:
            controls = tuple(_control(one) for _, one in ber.elements(content))
    return Message(ber.to_integer(parts[0][1]), parts[1][0], parts[1][1], controls)


def _control(content: bytes) -> Control:
    parts = ber.elements(content)
    if not parts:
        raise BerError("a control has an OID")
    critical, value = False, None
    for tag, part in parts[1:]:
        if tag == ber.BOOLEAN:
            critical = part != b"\x00"
        elif tag == ber.OCTETS:
            value = part
    return Control(parts[0][1].decode("latin-1"), critical, value)


def text_of(content: bytes) -> str:
    """Read a DN or a name; bytes that are not UTF-8 are kept, so that what reads it can refuse them."""
    return content.decode("utf-8", "surrogateescape")


def expect(content: bytes, count: int) -> list[Element]:
    """Return the elements of a request that has so many, or more.

    :raises BerError: where there are fewer
    """
    parts = ber.elements(content)
    if len(parts) < count:
        raise BerError("something is missing in a request")
    return parts


def read_filter(tag: int, content: bytes, depth: int = 0) -> Filter:
    """Read a filter.

    :raises BerError: where it is not one
    """
    if depth > MAX_DEPTH:
        raise BerError("a filter is too deep")
    if tag in (0xA0, 0xA1):
        parts = tuple(read_filter(*part, depth + 1) for part in ber.elements(content))
        return filters.And(parts) if tag == 0xA0 else filters.Or(parts)
    if tag == 0xA2:
        inner = expect(content, 1)
        return filters.Not(read_filter(*inner[0], depth + 1))
    if tag == 0x87:
        return filters.Present(text_of(content))
    if tag == 0xA4:
        return _substrings(content)
    if tag == 0xA9:
        return _extensible(content)
    comparison = COMPARISONS.get(tag)
    if comparison is None:
        raise BerError(f"there is no filter with tag {tag:#x}")
    attribute, value = expect(content, 2)[:2]
    return comparison(text_of(attribute[1]), value[1])


COMPARISONS: dict[int, type[filters.Equality | filters.GreaterOrEqual | filters.LessOrEqual | filters.Approximate]] = {
    0xA3: filters.Equality,
    0xA5: filters.GreaterOrEqual,
    0xA6: filters.LessOrEqual,
    0xA8: filters.Approximate,
}


def _substrings(content: bytes) -> Filter:
    attribute, parts = expect(content, 2)[:2]
    initial = final = None
    middle: list[bytes] = []
    for tag, part in ber.elements(parts[1]):
        if tag == 0x80:
            initial = part
        elif tag == 0x81:
            middle.append(part)
        elif tag == 0x82:
            final = part
        else:
            raise BerError("a part of a substring is initial, any or final")
    if initial is None and final is None and not middle:
        raise BerError("a substring filter has a part")
    return filters.Substrings(text_of(attribute[1]), initial, tuple(middle), final)


def _extensible(content: bytes) -> Filter:
    found: dict[int, bytes] = dict(ber.elements(content))
    if 0x83 not in found:
        raise BerError("an extensible filter has a value")
    rule, attribute = found.get(0x81), found.get(0x82)
    return filters.Extensible(
        text_of(rule) if rule else None,
        text_of(attribute) if attribute else None,
        found[0x83],
        found.get(0x84, b"\x00") != b"\x00",
    )


def read_search(content: bytes) -> SearchRequest:
    """Read a search request.

    :raises BerError: where it is not one
    :raises LdapError: PROTOCOL_ERROR for a scope or a way to follow aliases that there is not
    """
    base, scope, deref, size, time, types_only, wanted, attributes = expect(content, 8)[:8]
    limits = ber.to_integer(size[1]), ber.to_integer(time[1])
    for limit, name in zip(limits, ("size", "time"), strict=True):
        if not 0 <= limit < 1 << 31:
            raise LdapError(ResultCode.PROTOCOL_ERROR, f"invalid {name} limit")
    try:
        return SearchRequest(
            text_of(base[1]),
            Scope(ber.to_integer(scope[1])),
            read_filter(*wanted),
            tuple(text_of(name) for _, name in ber.elements(attributes[1])),
            types_only[1] != b"\x00",
            limits[0],
            Deref(ber.to_integer(deref[1])),
            limits[1],
        )
    except BerError:
        raise
    except ValueError:
        raise LdapError(ResultCode.PROTOCOL_ERROR, "invalid scope") from None


def read_attributes(content: bytes) -> list[tuple[str, tuple[bytes, ...]]]:
    """Read a list of attributes with their values.

    :raises BerError: where it is not one
    """
    found = []
    for _, one in ber.elements(content):
        name, values = expect(one, 2)[:2]
        found.append((text_of(name[1]), tuple(value for _, value in ber.elements(values[1]))))
    return found


def read_modifications(content: bytes) -> list[Modification]:
    """Read a list of changes.

    :raises BerError: where it is not one
    :raises LdapError: PROTOCOL_ERROR for a kind of change that there is not
    """
    found = []
    for _, one in ber.elements(content):
        kind, attribute = expect(one, 2)[:2]
        name, values = expect(attribute[1], 2)[:2]
        number = ber.to_integer(kind[1])
        if number not in Change.__members__.values():
            raise LdapError(ResultCode.PROTOCOL_ERROR, "unrecognized modify operation")
        found.append(Modification(Change(number), text_of(name[1]), tuple(v for _, v in ber.elements(values[1]))))
    return found


def write_message(number: int, operation: bytes, controls: Sequence[Control] = ()) -> bytes:
    """Write a message around an operation that is written already."""
    parts = [ber.integer(number), operation]
    if controls:
        parts.append(ber.sequence((_write_control(control) for control in controls), CONTROLS))
    return ber.sequence(parts)


def _write_control(control: Control) -> bytes:
    parts = [ber.octets(control.oid.encode())]
    if control.critical:
        parts.append(ber.boolean(True))
    if control.value is not None:
        parts.append(ber.octets(control.value))
    return ber.sequence(parts)


def encode_text(text: str) -> bytes:
    """Write a DN or a name as bytes."""
    return text.encode("utf-8", "surrogateescape")


def write_result(
    tag: int,
    code: int = 0,
    text: str = "",
    matched: str = "",
    referrals: Iterable[str] = (),
    more: Iterable[bytes] = (),
) -> bytes:
    """Write a result (RFC 4511 §4.1.9).

    :param more: what a bind or extended response has beside it
    """
    parts = [ber.enumerated(code), ber.octets(encode_text(matched)), ber.octets(encode_text(text))]
    urls = [ber.octets(encode_text(url)) for url in referrals]
    if urls:
        parts.append(ber.sequence(urls, 0xA3))
    parts.extend(more)
    return ber.sequence(parts, tag)


def write_entry(dn: str, attributes: Attributes) -> bytes:
    """Write an entry that a search found, or that a control gives back."""
    encode, listed = ber.encode, []
    for name, values in attributes.items():
        if len(values) == 1 and len(value := values[0]) < 0x80:
            # Most attributes are such, and this is on the way of every entry.
            written = SHORT[len(value)] + value
        else:
            written = b"".join([encode(ber.OCTETS, value) for value in values])
        listed.append(encode(ber.SEQUENCE, _attribute_name(name) + encode(ber.SET, written)))
    return encode(ENTRY, encode(ber.OCTETS, encode_text(dn)) + encode(ber.SEQUENCE, b"".join(listed)))


SHORT = [bytes((ber.OCTETS, size)) for size in range(0x80)]
"""By its length, what stands before a short octet string."""


@lru_cache(1024)
def _attribute_name(name: str) -> bytes:
    return ber.octets(name.encode())


def write_reference(urls: Iterable[str]) -> bytes:
    """Write the places at which a search goes on."""
    return ber.sequence((ber.octets(encode_text(url)) for url in urls), REFERENCE)
