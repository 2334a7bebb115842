"""Entries in an order that was asked for (RFC 2891), and a window on them (draft-ietf-ldapext-ldapv3-vlv-09)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cmp_to_key

from nova_fakes.ldap.entry import COMPUTED, GENERATED, Entry
from nova_fakes.ldap.options import SortKey
from nova_fakes.ldap.results import LdapError, ResultCode
from nova_fakes.ldap.rules import EQUALITY, ORDERING, MatchingRule
from nova_fakes.ldap.schema import Attribute, Schema

__all__ = ["MAX_KEYS", "Sorting", "Window", "sorting_of"]

MAX_KEYS = 5
Keys = list[object | None]


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the sorted entries: so many before and after a target, which is a place or a value.

    :param offset: place of the target, from 1
    :param total: how many entries the client thinks there are; 0 where it does not know
    :param value: the target is the first entry whose first key is not before this one
    :param context: what the answer before gave, so that the entries stay the same
    """

    before: int
    after: int
    offset: int = 0
    total: int = 0
    value: bytes | None = None
    context: bytes = b""


@dataclass(frozen=True, slots=True)
class _Key:
    """An attribute, the rule that compares it, and the direction."""

    attribute: Attribute
    rule: MatchingRule
    reverse: bool

    def of(self, entry: Entry) -> object | None:
        """Return the smallest value of an entry; None where it has none."""
        name = self.attribute.type.name
        if name in GENERATED:
            value = None if name in COMPUTED else GENERATED[name](entry)
            values: Iterable[bytes] = () if value is None else (value,)
        else:
            values = entry.attributes.get(self.attribute, ())
        return min(map(self.prepared, values), default=None)  # type: ignore[type-var]

    def prepared(self, value: bytes) -> object:
        """Return what a value is sorted by. As in slapd it is prepared by the attribute's own equality rule.

        An equality rule that is named for sorting puts shorter values first.
        """
        own = self.attribute.type.equality
        return self._sized((own if own is not None else self.rule).normalise(value))

    def _sized(self, key: object) -> object:
        if self.rule.kind != EQUALITY:
            return key
        return (len(key.encode()), key) if isinstance(key, str) else (0, key)

    def compare(self, mine: object | None, theirs: object | None) -> int:
        """Tell which comes first, below zero for mine; what has no value comes last."""
        if mine == theirs:
            return 0
        less = theirs is None if mine is None or theirs is None else mine < theirs  # type: ignore[operator]
        return -1 if less != self.reverse else 1


def sorting_of(schema: Schema, key: SortKey) -> _Key:
    """Return what a sort key asks for.

    :raises LdapError: NO_SUCH_ATTRIBUTE or INAPPROPRIATE_MATCHING
    """
    attribute = schema.find_attribute(key.attribute)
    if attribute is None:
        raise LdapError(ResultCode.NO_SUCH_ATTRIBUTE, "serverSort control: Unrecognized attribute type in sort key")
    rule = schema.rule(key.rule) if key.rule is not None else attribute.type.ordering
    if rule is None or rule.kind not in (ORDERING, EQUALITY) or (key.rule is None and rule.kind != ORDERING):
        raise LdapError(ResultCode.INAPPROPRIATE_MATCHING, "serverSort control: No ordering rule")
    return _Key(attribute, rule, key.reverse)


class Sorting:
    """An order of entries."""

    def __init__(self, schema: Schema, keys: Iterable[SortKey]) -> None:
        self._keys = [sorting_of(schema, key) for key in keys]

    def _compare(self, one: Keys, other: Keys) -> int:
        for key, mine, theirs in zip(self._keys, one, other, strict=True):
            found = key.compare(mine, theirs)
            if found:
                return found
        return 0

    def _of(self, entry: Entry) -> Keys:
        return [key.of(entry) for key in self._keys]

    def sort(self, entries: Iterable[Entry]) -> list[Entry]:
        """Sort entries; those that compare equal keep their order."""
        prepared: list[tuple[Keys, Entry]] = [(self._of(entry), entry) for entry in entries]

        def compare(one: tuple[Keys, Entry], other: tuple[Keys, Entry]) -> int:
            return self._compare(one[0], other[0])

        return [entry for _, entry in sorted(prepared, key=cmp_to_key(compare))]

    def place(self, value: bytes, entries: Iterable[Entry]) -> int | None:
        """Return the place, from 0, of the first of some sorted entries that does not come before a value.

        :returns: None where all come before it
        :raises ValueError: where the value cannot be compared
        """
        first = self._keys[0]
        first.rule.normalise(value)
        wanted: Keys = [first.prepared(value), *[None] * (len(self._keys) - 1)]
        places = (place for place, entry in enumerate(entries) if self._compare(self._of(entry), wanted) >= 0)
        return next(places, None)
