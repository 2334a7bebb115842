"""Controls: what they ask for, which operations take them, and what they give back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from nova_fakes.ldap import ber, messages
from nova_fakes.ldap.ber import BerError
from nova_fakes.ldap.filters import Filter
from nova_fakes.ldap.messages import Control
from nova_fakes.ldap.offered import (
    ASSERTION,
    DOMAIN_SCOPE,
    MANAGE_DSA_IT,
    MATCHED_VALUES,
    NO_COPY,
    PAGED,
    PERMISSIVE,
    POST_READ,
    PRE_READ,
    PROXIED,
    RELAX,
    SORT,
    SORT_RESPONSE,
    SUBENTRIES,
    TREE_DELETE,
)
from nova_fakes.ldap.options import Options, ReadEntry, SortKey
from nova_fakes.ldap.results import LdapError, ResultCode

__all__ = ["Asked", "paged_response", "read_controls", "read_entry_response", "sort_response"]

SEARCH, COMPARE, MODIFY = messages.SEARCH, messages.COMPARE, messages.MODIFY
ADD, DELETE, RENAME = messages.ADD, messages.DELETE, messages.RENAME
ACCESS = frozenset({SEARCH, COMPARE, MODIFY, ADD, DELETE, RENAME})
# The operations that take each control.
TAKEN_BY: dict[str, frozenset[int]] = {
    PAGED: frozenset({SEARCH}),
    SORT: frozenset({SEARCH}),
    ASSERTION: ACCESS,
    PRE_READ: frozenset({MODIFY, DELETE, RENAME}),
    POST_READ: frozenset({MODIFY, ADD, RENAME}),
    MATCHED_VALUES: frozenset({SEARCH}),
    MANAGE_DSA_IT: ACCESS,
    TREE_DELETE: frozenset({DELETE}),
    PERMISSIVE: frozenset({MODIFY}),
    PROXIED: ACCESS | {messages.EXTENDED},
    SUBENTRIES: frozenset({SEARCH}),
    NO_COPY: frozenset({SEARCH, COMPARE}),
    DOMAIN_SCOPE: frozenset({SEARCH}),
    RELAX: frozenset({MODIFY, ADD, DELETE, RENAME}),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the controls of a request ask for: of the engine, and of the connection.

    :param page: size of a page and the cookie of the one before
    :param authorization: whom the operation shall be done as
    """

    options: Options
    page: tuple[int, bytes] | None = None
    authorization: str | None = None


NOTHING = Asked(Options())


def read_controls(operation: int, controls: Iterable[Control], tree_delete: bool) -> Asked:
    """Read the controls of a request.

    :param tree_delete: whether the control for deleting subtrees is offered
    :raises LdapError: UNAVAILABLE_CRITICAL_EXTENSION or PROTOCOL_ERROR
    """
    if not controls:
        return NOTHING
    wanted: dict[str, object] = {}
    page: tuple[int, bytes] | None = None
    authorization: str | None = None
    seen: set[str] = set()
    for control in controls:
        if not _is_taken(operation, control, tree_delete):
            continue
        if control.oid in seen:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "control specified multiple times")
        seen.add(control.oid)
        try:
            if control.oid == PAGED:
                page = _page(_value(control))
            elif control.oid == PROXIED:
                authorization = _authorization(control)
            else:
                wanted |= _asked(control)
        except BerError:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "control value could not be decoded") from None
    return Asked(Options(**wanted), page, authorization)  # type: ignore[arg-type]


def _is_taken(operation: int, control: Control, tree_delete: bool) -> bool:
    taken_by = TAKEN_BY.get(control.oid) if control.oid != TREE_DELETE or tree_delete else None
    if taken_by is not None and operation in taken_by:
        return True
    if control.critical:
        words = "not recognized" if taken_by is None else "unavailable"
        raise LdapError(ResultCode.UNAVAILABLE_CRITICAL_EXTENSION, f"critical extension is {words}")
    return False


def _value(control: Control) -> bytes:
    if control.value is None:
        raise LdapError(ResultCode.PROTOCOL_ERROR, "control value is absent")
    return control.value


def _authorization(control: Control) -> str:
    if not control.critical:
        raise LdapError(ResultCode.PROTOCOL_ERROR, "proxied authorization control not critical")
    return messages.text_of(_value(control))


def _asked(control: Control) -> dict[str, object]:
    """Return the options that a control stands for."""
    if control.oid == NO_COPY:
        return {}
    name, read = READERS.get(control.oid, ("", None))
    if read is not None:
        return {name: read(_value(control))}
    if control.value is not None:
        raise LdapError(ResultCode.PROTOCOL_ERROR, "control value not absent")
    return {FLAGS[control.oid]: True}


FLAGS = {
    MANAGE_DSA_IT: "manage_dsa_it",
    TREE_DELETE: "tree_delete",
    PERMISSIVE: "permissive",
    DOMAIN_SCOPE: "no_referrals",
    RELAX: "relax",
}


def _filter(value: bytes) -> Filter:
    found = list(ber.elements(value))
    if len(found) != 1:
        raise BerError("one filter was expected")
    return messages.read_filter(*found[0])


def _names(value: bytes) -> tuple[str, ...]:
    return tuple(messages.text_of(name) for _, name in ber.elements(ber.one(value, ber.SEQUENCE)))


def _value_filters(value: bytes) -> tuple[Filter, ...]:
    return tuple(messages.read_filter(*one) for one in ber.elements(ber.one(value, ber.SEQUENCE)))


def _truth(value: bytes) -> bool:
    return ber.one(value, ber.BOOLEAN) != b"\x00"


def _page(value: bytes) -> tuple[int, bytes]:
    size, cookie = messages.expect(ber.one(value, ber.SEQUENCE), 2)[:2]
    wanted = ber.to_integer(size[1])
    if wanted < 0:
        raise LdapError(ResultCode.PROTOCOL_ERROR, "paged results control size is invalid")
    return wanted, cookie[1]


def _sort_keys(value: bytes) -> tuple[SortKey, ...]:
    keys = []
    for _, one in ber.elements(ber.one(value, ber.SEQUENCE)):
        (_, attribute), *more = messages.expect(one, 1)
        found = dict(more)
        rule = found.get(0x80)
        reverse = found.get(0x81, b"\x00") != b"\x00"
        keys.append(SortKey(messages.text_of(attribute), messages.text_of(rule) if rule else None, reverse))
    if not keys:
        raise BerError("a sort control has a key")
    return tuple(keys)


READERS: dict[str, tuple[str, Callable[[bytes], object]]] = {
    ASSERTION: ("assertion", _filter),
    PRE_READ: ("pre_read", _names),
    POST_READ: ("post_read", _names),
    MATCHED_VALUES: ("matched_values", _value_filters),
    SORT: ("sort", _sort_keys),
    SUBENTRIES: ("subentries", _truth),
}


def paged_response(cookie: bytes) -> Control:
    """Make the control that leads to the next page; an empty cookie ends."""
    return Control(PAGED, value=ber.sequence((ber.integer(0), ber.octets(cookie))))


def sort_response(code: ResultCode) -> Control:
    """Make the control that tells whether the entries are sorted."""
    return Control(SORT_RESPONSE, value=ber.sequence((ber.enumerated(code),)))


def read_entry_response(before: ReadEntry | None, after: ReadEntry | None) -> list[Control]:
    """Make the controls that give an entry as it was and as it is."""
    made = []
    for oid, entry in ((PRE_READ, before), (POST_READ, after)):
        if entry is not None:
            made.append(Control(oid, value=messages.write_entry(*entry)))
    return made


def __getattr__(name: str) -> Any:
    """Return what python-ldap has in its module of this name."""
    from importlib import import_module

    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(import_module("nova_fakes.ldap.client.controls"), name)
