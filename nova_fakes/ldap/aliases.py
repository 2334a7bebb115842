"""Aliases (RFC 4512 §2.6): what they stand for, and what a search sees that follows them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

from nova_fakes.ldap import filters
from nova_fakes.ldap.entry import Entry
from nova_fakes.ldap.filters import Filter
from nova_fakes.ldap.options import Deref, Scope, SearchRequest
from nova_fakes.ldap.referrals import is_alias
from nova_fakes.ldap.results import LdapError, ResultCode

if TYPE_CHECKING:
    from nova_fakes.ldap.directory import Directory

__all__ = ["Dereferencing"]

MAX_STEPS = 15
BY_NUMBER = attrgetter("id")
ALIAS = filters.Equality("objectClass", b"alias")


class Dereferencing:
    """How one search follows aliases, as slapd's mdb does.

    `finds` tells whether it follows those on the way to its base, `led_to_base` whether the base's name was an alias.
    """

    def __init__(self, directory: Directory, request: SearchRequest) -> None:
        self._directory = directory
        self._request = request
        self._scope = request.scope
        self.led_to_base = False
        self.finds = request.deref in (Deref.FINDING, Deref.ALWAYS)
        self._searches = request.deref in (Deref.SEARCHING, Deref.ALWAYS) and request.scope is not Scope.BASE

    def target(self, alias: Entry, steps: int = 1) -> Entry:
        """Return the entry that an alias stands for.

        :raises LdapError: ALIAS_PROBLEM where there is none or aliases go round
        """
        if steps > MAX_STEPS:
            raise LdapError(ResultCode.ALIAS_PROBLEM, "maximum deref depth exceeded", matched=alias.dn())
        schema = self._directory.schema
        name = alias.attributes.get(schema.attribute("aliasedObjectName"), (b"",))[0]
        found, _ = self._directory.find(schema.dn(name.decode("utf-8")))
        if found is None:
            raise LdapError(ResultCode.ALIAS_PROBLEM, "aliasedObject not found", matched=alias.dn())
        if found is alias:
            raise LdapError(ResultCode.ALIAS_PROBLEM, "circular alias", matched=alias.dn())
        return found

    def in_scope(self, base: Entry, wanted: Filter) -> list[Entry] | None:
        """Return the entries in scope with aliases replaced by what they stand for.

        The base is gone through and then what each alias stands for, so that what lies in two of them is found twice.
        Where the filter leaves no more candidates than there are below the base, these are gone through, each once.

        :param wanted: what the search looks for; other entries may be left out
        :returns: None where there is no alias
        """
        aliases = self._having(ALIAS)
        if not aliases or not self._searches:
            return None
        roots = self._roots(base, sorted(aliases, key=BY_NUMBER))
        candidates = self._candidates(wanted)
        if candidates is None:
            top = self._directory.root
            candidates = [*top.subtree()] if top is not None else []
        if self._size(base) < len(candidates):
            found = [entry for root in (base, *roots) for entry in self._below(root, base)]
        else:
            found = [entry for entry in sorted(candidates, key=BY_NUMBER) if self._is_in(entry, base, roots)]
        return [entry for entry in found if entry not in aliases or (entry is base and not self.finds)]

    def _size(self, base: Entry) -> int:
        """Return how many entries the base has, as slapd counts: where an alias led to it those of the alias."""
        if self._scope is Scope.ONE:
            return len(base.children or ())
        return 1 if self.led_to_base else sum(1 for _ in base.subtree())

    def _below(self, root: Entry, base: Entry) -> Iterable[Entry]:
        """Return what a search gives of a root, by number."""
        if self._scope is Scope.ONE:
            return sorted((base.children or {}).values(), key=BY_NUMBER) if root is base else (root,)
        below = sorted(root.subtree(), key=BY_NUMBER)
        return below if self._scope is Scope.SUBTREE else [entry for entry in below if entry is not root]

    def _is_in(self, entry: Entry, base: Entry, roots: Collection[Entry]) -> bool:
        if entry is base:
            return self._scope is Scope.SUBTREE
        if entry in roots:
            return True
        if self._scope is Scope.ONE:
            return entry.parent is base or entry.parent in roots
        return any(entry.is_below(root) for root in (base, *roots))

    def _roots(self, base: Entry, aliases: Sequence[Entry]) -> list[Entry]:
        """Return where the aliases lead that are met from a base on, by number."""
        roots = {base}
        passed: set[Entry] = set()
        pending = [base]
        while pending:
            begin = pending.pop(0)
            for alias in aliases:
                is_met = alias.parent is begin if self._scope is Scope.ONE else _is_under(alias, begin)
                target = self._end(alias, passed) if is_met else None
                if target is None or target in roots:
                    continue
                if self._scope is Scope.SUBTREE and any(_is_under(target, root) for root in roots):
                    continue
                roots.add(target)
                if self._scope is not Scope.ONE:
                    pending.append(target)
        return sorted(roots - {base}, key=BY_NUMBER)

    def _end(self, entry: Entry, passed: set[Entry]) -> Entry | None:
        """Return the entry at the end of a chain of aliases; None where it leads nowhere, or over one passed before."""
        steps = 0
        while is_alias(entry):
            if entry in passed:
                return None
            passed.add(entry)
            steps += 1
            try:
                entry = self.target(entry, steps)
            except LdapError:
                return None
        return entry

    def _having(self, class_: filters.Equality) -> Collection[Entry]:
        return self._directory.indexes.candidates(class_) or ()

    def _candidates(self, filter_: Filter) -> Collection[Entry] | None:
        """Return what an index of objectClass alone, as Debian's slapd has it, leaves of a filter; None for all."""
        match filter_:
            case filters.Equality(attribute, _) if attribute.lower() in ("objectclass", "2.5.4.0"):
                return self._having(filter_)
            case filters.And(parts):
                left = [set(found) for part in parts if (found := self._candidates(part)) is not None]
                return set.intersection(*left) if left else None
            case filters.Or(parts):
                sets = [self._candidates(part) for part in parts]
                return None if None in sets else {entry for found in sets for entry in found or ()}
        return None


def _is_under(entry: Entry, root: Entry) -> bool:
    return entry is not root and entry.is_below(root)
