"""Indexes: from the values of an attribute to the entries that have them, each made at the first search that asks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from nova_fakes.ldap import filters
from nova_fakes.ldap.entry import GENERATED, Entry, Values
from nova_fakes.ldap.filters import Filter
from nova_fakes.ldap.matching import asserted_key, substring_test
from nova_fakes.ldap.schema import Attribute, AttributeType, Schema

__all__ = ["Indexes"]

Postings = dict[object, "Entry | set[Entry]"]
FEW = 16


class Indexes:
    """The indexes of a directory, and what they tell of a filter.

    :param entries: gives all entries
    """

    def __init__(self, schema: Schema, entries: Callable[[], Iterable[Entry]]) -> None:
        self._schema = schema
        self._entries = entries
        self._postings: dict[AttributeType, Postings] = {}

    def change(self, entry: Entry, before: dict[Attribute, Values], after: dict[Attribute, Values]) -> None:
        """Follow a change of an entry's attributes: none before for a new entry, none after for one that is gone."""
        if not self._postings:
            return
        for attribute, values in before.items():
            if after.get(attribute) is not values and attribute.type in self._postings:
                self._discard(entry, attribute.type, values, after)
        for attribute, values in after.items():
            if before.get(attribute) is not values and attribute.type in self._postings:
                _post(self._postings[attribute.type], entry, self._keys(attribute.type, values))

    def _discard(self, entry: Entry, type_: AttributeType, values: Values, after: dict[Attribute, Values]) -> None:
        postings = self._postings[type_]
        kept = {key for other, have in after.items() if other.type is type_ for key in self._keys(type_, have)}
        for key in self._keys(type_, values):
            if key in kept:
                continue
            found = postings.get(key)
            if found is entry:
                del postings[key]
            elif isinstance(found, set):
                found.discard(entry)

    def _keys(self, type_: AttributeType, values: Iterable[bytes]) -> Iterator[object]:
        if type_.name == "objectClass":
            for value in values:
                found = self._schema.object_class(value)
                if found is not None:
                    yield from found.chain
            return
        for value in values:
            yield type_.key(value)

    def postings(self, type_: AttributeType) -> Postings:
        """Return the index of an attribute type, without its subtypes; make it where there is none."""
        found = self._postings.get(type_)
        if found is None:
            found = self._postings[type_] = {}
            for entry in self._entries():
                for attribute, values in entry.attributes.items():
                    if attribute.type is type_:
                        _post(found, entry, self._keys(type_, values))
        return found

    def candidates(self, filter_: Filter) -> Collection[Entry] | None:
        """Return a set of entries that has all that can match a filter, or None where the indexes cannot tell."""
        match filter_:
            case filters.And(parts):
                return self._intersection(parts)
            case filters.Or(parts):
                return self._union(parts)
            case filters.Not() | filters.Extensible() | filters.Approximate():
                return None
        attribute = self._schema.find_attribute(filter_.attribute)
        if attribute is None:
            return ()
        if attribute.type.name in GENERATED or attribute.type.equality is None:
            return None
        match filter_:
            case filters.Equality(_, value):
                return self._equal(attribute, value)
            case filters.Substrings():
                return self._with_parts(attribute, filter_)
            case filters.Present() if attribute.type.name != "objectClass":
                return _collect(found for type_ in attribute.type.subtypes for found in self.postings(type_).values())
        return None

    def _intersection(self, parts: Iterable[Filter]) -> Collection[Entry] | None:
        """Return the smallest set of the parts: what compares for equality is asked first."""
        best: Collection[Entry] | None = None
        for part in sorted(parts, key=lambda part: not isinstance(part, filters.Equality)):
            found = self.candidates(part)
            if found is not None and (best is None or len(found) < len(best)):
                best = found
                if len(best) <= FEW:
                    break
        return best

    def _union(self, parts: Iterable[Filter]) -> Collection[Entry] | None:
        union: set[Entry] = set()
        for part in parts:
            found = self.candidates(part)
            if found is None:
                return None
            union.update(found)
        return union

    def _equal(self, attribute: Attribute, value: bytes) -> Collection[Entry]:
        if attribute.type.name == "objectClass":
            key: object = self._schema.object_class(value)
        else:
            key = asserted_key(attribute.type.equality, value, self._schema)
        if key is None:
            return ()
        subtypes = attribute.type.subtypes
        if len(subtypes) == 1:
            found = self.postings(attribute.type).get(key)
            return () if found is None else found if isinstance(found, set) else (found,)
        return _collect(found for type_ in subtypes if (found := self.postings(type_).get(key)) is not None)

    def _with_parts(self, attribute: Attribute, asserted: filters.Substrings) -> Collection[Entry] | None:
        rule, equality = attribute.type.substrings, attribute.type.equality
        if rule is None or equality is None or rule.normalise is not equality.normalise:
            return None if rule is not None else ()
        test = substring_test(rule, asserted)
        if test is None:
            return ()
        return _collect(
            found
            for type_ in attribute.type.subtypes
            for key, found in self.postings(type_).items()
            if isinstance(key, str) and test(key)
        )


def _post(postings: Postings, entry: Entry, keys: Iterable[object]) -> None:
    for key in keys:
        found = postings.get(key)
        if found is None:
            postings[key] = entry
        elif isinstance(found, set):
            found.add(entry)
        elif found is not entry:
            postings[key] = {found, entry}


def _collect(found: Iterable[Entry | set[Entry]]) -> set[Entry]:
    union: set[Entry] = set()
    for one in found:
        if isinstance(one, set):
            union |= one
        else:
            union.add(one)
    return union
