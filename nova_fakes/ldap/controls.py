"""Controls: what they ask for, which operations take them, and what they give back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from nova_fakes.ldap import ber, messages, offered
from nova_fakes.ldap.access import Identity
from nova_fakes.ldap.ber import BerError
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.filters import Filter
from nova_fakes.ldap.messages import Control
from nova_fakes.ldap.offered import (
    ASSERTION,
    CHANGE_PASSWORD,
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
    SYNC,
    TRANSACTION,
    TREE_DELETE,
    VLV,
    VLV_RESPONSE,
    WHO_AM_I,
)
from nova_fakes.ldap.options import Options, ReadEntry, SortKey
from nova_fakes.ldap.results import LdapError, ResultCode
from nova_fakes.ldap.sorting import Window, sorting_of
from nova_fakes.ldap.sync_messages import SyncRequest, read_sync_request

__all__ = [
    "Asked",
    "ControlReader",
    "paged_response",
    "read_entry_response",
    "refuse_outside_tree",
    "sort_response",
    "window_response",
]

SEARCH, COMPARE, MODIFY = messages.SEARCH, messages.COMPARE, messages.MODIFY
ADD, DELETE, RENAME = messages.ADD, messages.DELETE, messages.RENAME
UPDATES = frozenset({MODIFY, ADD, DELETE, RENAME})
ACCESS = UPDATES | {SEARCH, COMPARE}
# The operations that take each control.
TAKEN_BY: dict[str, frozenset[int]] = {
    PAGED: frozenset({SEARCH}),
    SORT: frozenset({SEARCH}),
    ASSERTION: ACCESS,
    PRE_READ: frozenset({MODIFY, DELETE, RENAME}),
    POST_READ: frozenset({MODIFY, ADD, RENAME}),
    VLV: frozenset({SEARCH}),
    SYNC: frozenset({SEARCH}),
    TRANSACTION: UPDATES,
    MATCHED_VALUES: frozenset({SEARCH}),
    MANAGE_DSA_IT: ACCESS,
    TREE_DELETE: frozenset({DELETE}),
    PERMISSIVE: frozenset({MODIFY}),
    PROXIED: ACCESS,
    SUBENTRIES: frozenset({SEARCH}),
    NO_COPY: frozenset({SEARCH, COMPARE}),
    DOMAIN_SCOPE: frozenset({SEARCH}),
    RELAX: UPDATES,
}


@dataclass(slots=True)
class Asked:
    """What the controls of a request ask for: of the engine, and of the connection.

    :param page: size of a page and the cookie of the one before
    :param window: the part of the sorted entries that is wanted
    :param who: whom the operation shall be done as; None for whoever has bound
    :param in_transaction: whether it is one step of the connection's transaction
    :param sync: how a copy of what is found shall be kept up
    """

    options: Options
    page: tuple[int, bytes] | None = None
    window: Window | None = None
    who: Identity | None = None
    in_transaction: bool = False
    sync: SyncRequest | None = None


FOR_THE_TREE = frozenset({SORT, VLV, SUBENTRIES, SYNC})
CONTEXT_BYTES = 8
BY_OFFSET, BY_VALUE = 0xA0, 0x81
NOTHING = Asked(Options())
Authorize = Callable[[str], Identity]


class ControlReader:
    """Reads the controls of requests to a directory.

    :param authorize: gives whom an operation is done as that names somebody; raises LdapError
    """

    def __init__(self, directory: Directory, authorize: Authorize) -> None:
        self._directory = directory
        self._authorize = authorize
        self._known = {*TAKEN_BY} - (set() if directory.provider is not None else {SYNC})

    def read(self, operation: int, controls: Iterable[Control], extension: str = "") -> Asked:
        """Read the controls of a request.

        :param extension: OID of an extended operation
        :raises LdapError: UNAVAILABLE_CRITICAL_EXTENSION, PROTOCOL_ERROR and what else is wrong with one
        """
        if not controls:
            return NOTHING
        asked = Asked(Options())
        wanted: dict[str, object] = {}
        seen: set[str] = set()
        for control in controls:
            if not self._is_taken(operation, control, extension):
                continue
            words = NAMES[control.oid]
            if control.oid in seen:
                raise LdapError(ResultCode.PROTOCOL_ERROR, f"{words} specified multiple times")
            seen.add(control.oid)
            try:
                self._read_one(control, asked, wanted)
            except BerError:
                text = UNREADABLE.get(control.oid, f"{words.rstrip(':')}: decoding error")
                raise LdapError(ResultCode.PROTOCOL_ERROR, text) from None
        asked.options = Options(**wanted)  # type: ignore[arg-type]
        return asked

    def _is_taken(self, operation: int, control: Control, extension: str) -> bool:
        if control.oid in self._known and self._takes(operation, control.oid, extension):
            return True
        if control.critical:
            words = "unavailable" if control.oid in self._known else "not recognized"
            raise LdapError(ResultCode.UNAVAILABLE_CRITICAL_EXTENSION, f"critical extension is {words}")
        return False

    def _takes(self, operation: int, oid: str, extension: str) -> bool:
        if operation == messages.EXTENDED:
            return oid == PROXIED and extension in (WHO_AM_I, CHANGE_PASSWORD)
        return operation in TAKEN_BY[oid]

    def _read_one(self, control: Control, asked: Asked, wanted: dict[str, object]) -> None:
        match control.oid:
            case offered.PAGED:
                asked.page = _page(_value(control))
            case offered.VLV:
                asked.window = _window(_value(control))
            case offered.PROXIED:
                asked.who = self._authorize(_authorization(control))
            case offered.TRANSACTION:
                _check_transaction(control, wanted)
                asked.in_transaction = True
            case offered.SYNC:
                asked.sync = read_sync_request(control)
            case offered.PRE_READ | offered.POST_READ:
                name = "pre_read" if control.oid == PRE_READ else "post_read"
                if asked.in_transaction:
                    raise LdapError(
                        ResultCode.UNWILLING_TO_PERFORM, f"{NAMES[control.oid]} cannot perform in transaction"
                    )
                wanted[name] = self._read_names(control)
            case offered.SORT:
                keys = _sort_keys(_value(control))
                for key in keys:
                    sorting_of(self._directory.schema, key)
                wanted["sort"] = keys
            case _:
                wanted |= _asked(control)
        if control.oid == TREE_DELETE and control.critical and not self._directory.tree_delete:
            wanted["unavailable"] = True

    def _read_names(self, control: Control) -> tuple[str, ...]:
        """Return the attributes that are asked for; unknown ones are left out, or refused where that is critical."""
        kept = []
        asked = _names(_value(control))
        for name in asked:
            if name not in ("*", "+", "1.1") and self._directory.schema.find_attribute(name) is None:
                if control.critical:
                    self._directory.schema.attribute(name)
                continue
            kept.append(name)
        return tuple(kept) if kept or not asked else ("1.1",)


def refuse_outside_tree(controls: Iterable[Control]) -> None:
    """Refuse controls that mean nothing for the entries which are not in the tree.

    :raises LdapError: UNAVAILABLE_CRITICAL_EXTENSION
    """
    if any(control.critical and control.oid in FOR_THE_TREE for control in controls):
        text = "critical control unavailable in context"
        raise LdapError(ResultCode.UNAVAILABLE_CRITICAL_EXTENSION, text)


def _check_transaction(control: Control, wanted: dict[str, object]) -> None:
    if not control.critical:
        raise LdapError(ResultCode.PROTOCOL_ERROR, "txnSpec control must be marked critical")
    if control.value is None:
        raise LdapError(ResultCode.PROTOCOL_ERROR, "no transaction identifier provided")
    if control.value:
        raise LdapError(ResultCode.TXN_ID_INVALID, "invalid transaction identifier")
    for name in ("pre", "post"):
        if f"{name}_read" in wanted:
            raise LdapError(ResultCode.UNWILLING_TO_PERFORM, f"cannot perform {name}-read in transaction")


def _value(control: Control) -> bytes:
    if control.value is None:
        raise LdapError(ResultCode.PROTOCOL_ERROR, f"{NAMES[control.oid]} value is absent")
    if not control.value:
        raise LdapError(ResultCode.PROTOCOL_ERROR, f"{NAMES[control.oid]} value is empty")
    return control.value


def _authorization(control: Control) -> str:
    if control.value is None:
        raise LdapError(ResultCode.PROTOCOL_ERROR, "proxy authorization control value absent")
    return messages.text_of(control.value)


def _asked(control: Control) -> dict[str, object]:
    """Return the options that a control stands for."""
    if control.oid == SUBENTRIES:
        return {"subentries": _truth(control.value)}
    name, read = READERS.get(control.oid, ("", None))
    if read is not None:
        return {name: read(_value(control))}
    if control.value is not None and (control.value or control.oid != DOMAIN_SCOPE):
        raise LdapError(ResultCode.PROTOCOL_ERROR, f"{NAMES[control.oid]} value not absent")
    if control.oid != NO_COPY:
        return {FLAGS[control.oid]: True}
    return {}


# What slapd calls the controls in its messages.
NAMES = {
    ASSERTION: "assert control",
    DOMAIN_SCOPE: "domainScope control",
    MANAGE_DSA_IT: "manageDSAit control",
    MATCHED_VALUES: "valuesReturnFilter control",
    NO_COPY: "dontUseCopy control",
    PAGED: "paged results control",
    PERMISSIVE: "permissiveModify control",
    POST_READ: "postread control:",
    PRE_READ: "preread control:",
    PROXIED: "proxy authorization control",
    RELAX: "relax control",
    SORT: "sorted results control",
    SUBENTRIES: "subentries control",
    SYNC: "Sync control",
    TRANSACTION: "txnSpec control",
    TREE_DELETE: "treeDelete control",
    VLV: "vlv control",
}
UNREADABLE = {PAGED: "paged results control could not be decoded", SORT: "serverSort control: decoding error", VLV: ""}


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


def _truth(value: bytes | None) -> bool:
    if value is None or len(value) != 3 or value[:2] != b"\x01\x01":
        raise LdapError(ResultCode.PROTOCOL_ERROR, "subentries control value encoding is bogus")
    return value[2] != 0


def _page(value: bytes) -> tuple[int, bytes]:
    size, cookie = messages.expect(ber.one(value, ber.SEQUENCE), 2)[:2]
    wanted = ber.to_integer(size[1])
    if wanted < 0:
        raise LdapError(ResultCode.PROTOCOL_ERROR, "paged results control size invalid")
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
    MATCHED_VALUES: ("matched_values", _value_filters),
}


def _window(value: bytes) -> Window:
    """Read which part of the sorted entries is wanted (draft-ietf-ldapext-ldapv3-vlv-09)."""
    before, after, target, *more = messages.expect(ber.one(value, ber.SEQUENCE), 3)
    context = b""
    if more and more[0][0] == ber.OCTETS:
        context = more[0][1]
        if len(context) != CONTEXT_BYTES:
            raise BerError("this is no context that was given")
    counts = ber.to_integer(before[1]), ber.to_integer(after[1])
    if target[0] == BY_VALUE:
        return Window(*counts, value=target[1], context=context)
    if target[0] != BY_OFFSET:
        raise BerError("a target is an offset or a value")
    offset, total = messages.expect(target[1], 2)[:2]
    return Window(*counts, offset=ber.to_integer(offset[1]), total=ber.to_integer(total[1]), context=context)


def window_response(position: int, count: int, code: int, context: bytes = b"") -> Control:
    """Make the control that tells where in the sorted entries the wanted part is."""
    parts = [ber.integer(position), ber.integer(count), ber.enumerated(code)]
    if context:
        parts.append(ber.octets(context))
    return Control(VLV_RESPONSE, value=ber.sequence(parts))


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
