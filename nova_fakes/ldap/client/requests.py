"""Requests as a client writes them (RFC 4511 §4)."""

from __future__ import annotations

from collections.abc import Iterable

from nova_fakes.ldap import ber, filters, messages
from nova_fakes.ldap.messages import encode_text
from nova_fakes.ldap.options import SearchRequest

__all__ = ["add", "bind", "compare", "extended", "modify", "rename", "sasl", "search", "write_filter"]

VERSION = 3
TAGS = {made: tag for tag, made in messages.COMPARISONS.items()}


def write_filter(wanted: filters.Filter) -> bytes:
    """Write a filter."""
    match wanted:
        case filters.And(parts):
            return ber.sequence(map(write_filter, parts), 0xA0)
        case filters.Or(parts):
            return ber.sequence(map(write_filter, parts), 0xA1)
        case filters.Not(part):
            return ber.encode(0xA2, write_filter(part))
        case filters.Present(attribute):
            return ber.octets(encode_text(attribute), 0x87)
        case filters.Substrings():
            return _substrings(wanted)
        case filters.Extensible(rule, attribute, value, dn):
            names = [(0x81, rule), (0x82, attribute)]
            written = [ber.octets(encode_text(name), tag) for tag, name in names if name is not None]
            last = [ber.boolean(True, 0x84)] if dn else []
            return ber.sequence([*written, ber.octets(value, 0x83), *last], 0xA9)
    return ber.sequence((ber.octets(encode_text(wanted.attribute)), ber.octets(wanted.value)), TAGS[type(wanted)])


def _substrings(wanted: filters.Substrings) -> bytes:
    parts = [(0x80, wanted.initial), *((0x81, part) for part in wanted.any), (0x82, wanted.final)]
    written = ber.sequence(ber.octets(part, tag) for tag, part in parts if part is not None)
    return ber.sequence((ber.octets(encode_text(wanted.attribute)), written), 0xA4)


def bind(name: bytes, password: bytes, version: int = VERSION) -> bytes:
    """Write a simple bind."""
    return ber.sequence((ber.integer(version), ber.octets(name), ber.octets(password, 0x80)), messages.BIND)


def sasl(name: bytes, mechanism: bytes, credentials: bytes | None, version: int = VERSION) -> bytes:
    """Write a bind by SASL."""
    parts = [ber.octets(mechanism)] + ([] if credentials is None else [ber.octets(credentials)])
    return ber.sequence((ber.integer(version), ber.octets(name), ber.sequence(parts, 0xA3)), messages.BIND)


def search(request: SearchRequest, scope: int, time_limit_s: int = 0) -> bytes:
    """Write a search.

    :param scope: as it was given; the request has one that there is
    """
    return ber.sequence(
        (
            ber.octets(encode_text(request.base)),
            ber.enumerated(scope),
            ber.enumerated(request.deref),
            ber.integer(request.size_limit),
            ber.integer(time_limit_s),
            ber.boolean(request.types_only),
            write_filter(request.filter),
            ber.sequence(ber.octets(encode_text(name)) for name in request.attributes),
        ),
        messages.SEARCH,
    )


def _attribute(name: bytes, values: Iterable[bytes]) -> bytes:
    return ber.sequence((ber.octets(name), ber.set_of(map(ber.octets, values))))


def add(dn: bytes, attributes: Iterable[tuple[bytes, Iterable[bytes]]]) -> bytes:
    """Write the addition of an entry."""
    listed = ber.sequence(_attribute(name, values) for name, values in attributes)
    return ber.sequence((ber.octets(dn), listed), messages.ADD)


def modify(dn: bytes, changes: Iterable[tuple[int, bytes, Iterable[bytes]]]) -> bytes:
    """Write changes of an entry."""
    listed = ber.sequence(
        ber.sequence((ber.enumerated(kind), _attribute(name, values))) for kind, name, values in changes
    )
    return ber.sequence((ber.octets(dn), listed), messages.MODIFY)


def rename(dn: bytes, rdn: bytes, superior: bytes | None, delete_old: bool) -> bytes:
    """Write a rename or move."""
    parts = [ber.octets(dn), ber.octets(rdn), ber.boolean(delete_old)]
    return ber.sequence(parts + ([] if superior is None else [ber.octets(superior, 0x80)]), messages.RENAME)


def compare(dn: bytes, attribute: bytes, value: bytes) -> bytes:
    """Write a comparison."""
    assertion = ber.sequence((ber.octets(attribute), ber.octets(value)))
    return ber.sequence((ber.octets(dn), assertion), messages.COMPARE)


def extended(oid: bytes, value: bytes | None) -> bytes:
    """Write an extended request."""
    parts = [ber.octets(oid, 0x80)] + ([] if value is None else [ber.octets(value, 0x81)])
    return ber.sequence(parts, messages.EXTENDED)


def password(user: bytes | None, old: bytes | None, new: bytes | None) -> bytes | None:
    """Write what a request for a new password says (RFC 3062); None where it says nothing."""
    parts = [ber.octets(part, tag) for tag, part in ((0x80, user), (0x81, old), (0x82, new)) if part is not None]
    return ber.sequence(parts) if parts else None
