"""Search: from a base and a filter to entries (RFC 4511 §4.5)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cmp_to_key
from operator import attrgetter
from typing import TYPE_CHECKING

from nova_fakes.ldap import filters
from nova_fakes.ldap.access import Identity
from nova_fakes.ldap.entry import Entry, Values
from nova_fakes.ldap.filters import Filter
from nova_fakes.ldap.garbage import uncollected
from nova_fakes.ldap.matching import Matcher, compile_filter
from nova_fakes.ldap.options import Deref, Entries, Options, Scope, SearchRequest, SortKey
from nova_fakes.ldap.referrals import continuation, is_alias, is_referral
from nova_fakes.ldap.results import LdapError, ResultCode
from nova_fakes.ldap.rules import EQUALITY, ORDERING, MatchingRule
from nova_fakes.ldap.schema import Attribute, AttributeType, Schema
from nova_fakes.ldap.selection import Selection, ValueFilter

if TYPE_CHECKING:
    from nova_fakes.ldap.directory import Directory

__all__ = ["Search"]

MAX_ALIAS_STEPS = 15
BY_NUMBER = attrgetter("id")


class Search:
    """One search in a directory, by somebody."""

    def __init__(self, directory: Directory, who: Identity, request: SearchRequest, options: Options) -> None:
        self._directory = directory
        self._schema: Schema = directory.schema
        self._who = who
        self._request = request
        self._options = options
        self._matcher: Matcher = compile_filter(request.filter, self._schema)
        self._subentry = self._schema.classes["subentry"]
        restricted = not who.is_root
        self._may_match = self._permission("search") if restricted else None
        self._may_read = self._permission("read") if restricted else None

    def _permission(self, level: str) -> Callable[[Entry, AttributeType], bool]:
        allows = self._directory.access.allows
        return lambda entry, type_: allows(self._who, entry, type_.name, level)

    def run(self) -> Entries:
        """Return what is found.

        :raises LdapError: where there is no such base, or it cannot be searched
        """
        dn = self._directory.parse_dn(self._request.base)
        selection = Selection(self._schema, self._request.attributes, self._request.types_only)
        if not dn.rdns or dn == self._directory.administrative.subschema_dn:
            return self._run_administrative(bool(dn.rdns), selection)
        base = self._base()
        self._assert(base)
        result = Entries()
        keys = self._sort_keys()
        found = self._found(base, result)
        limit = self._limit()
        if keys:
            entries = _sorted(list(found), keys)
            result.is_cut = len(entries) > limit
            self._give(entries[:limit], selection, result)
            return result
        taken: list[Entry] = []
        for entry in found:
            if len(taken) >= limit:
                result.is_cut = True
                break
            taken.append(entry)
        result.last = taken[-1].id if taken else 0
        self._give(taken, selection, result)
        return result

    def _limit(self) -> int:
        """Return how many entries may be given."""
        asked = self._request.size_limit
        if self._who.is_root:
            return asked or 1 << 62
        return min(asked or self._directory.size_limit, self._directory.size_limit)

    def _run_administrative(self, is_subschema: bool, selection: Selection) -> Entries:
        if self._request.scope is not Scope.BASE:
            raise LdapError(ResultCode.NO_SUCH_OBJECT)
        made = self._directory.administrative
        entry = made.subschema() if is_subschema else made.root_dse()
        result = Entries()
        if self._matcher(entry, self._may_match):
            self._give([entry], selection, result)
        return result

    def _base(self) -> Entry:
        """Return the entry that the search begins at, aliases on the way followed where that was asked.

        :raises LdapError: NO_SUCH_OBJECT, REFERRAL, ALIAS_PROBLEM or ALIAS_DEREF_PROBLEM
        """
        dn = self._directory.parse_dn(self._request.base)
        if not self._directory.holds(dn):
            raise LdapError(ResultCode.NO_SUCH_OBJECT)
        finding = self._request.deref in (Deref.FINDING, Deref.ALWAYS)
        entry, nearest = self._directory.find(dn)
        passed: list[Entry] = []
        while finding and nearest is not None and is_alias(nearest):
            if nearest in passed:
                raise LdapError(ResultCode.ALIAS_PROBLEM, "circular alias", matched=passed[0].dn())
            passed.append(nearest)
            target = self._aliased(nearest, len(passed))
            own = self._schema.dn(nearest.dn())
            text = ",".join((*(rdn.text for rdn in dn.rdns[: dn.depth() - own.depth()]), target.dn()))
            dn = self._schema.dn(text)
            entry, nearest = self._directory.find(dn)
        self._directory.refuse_referral(dn, nearest, self._options, _scope_name(self._request.scope))
        if entry is None:
            raise LdapError(ResultCode.NO_SUCH_OBJECT, matched=nearest.dn() if nearest is not None else "")
        if not self._visible(entry):
            raise LdapError(ResultCode.NO_SUCH_OBJECT)
        return entry

    def _aliased(self, alias: Entry, steps: int = 1) -> Entry:
        """Return the entry that an alias stands for.

        :raises LdapError: ALIAS_PROBLEM where there is none or aliases go round
        """
        if steps > MAX_ALIAS_STEPS:
            raise LdapError(ResultCode.ALIAS_PROBLEM, "maximum deref depth exceeded", matched=alias.dn())
        name = alias.attributes.get(self._schema.attribute("aliasedObjectName"), (b"",))[0]
        found, _ = self._directory.find(self._schema.dn(name.decode("utf-8")))
        if found is None:
            raise LdapError(ResultCode.ALIAS_PROBLEM, "aliasedObject not found", matched=alias.dn())
        if found is alias:
            raise LdapError(ResultCode.ALIAS_PROBLEM, "circular alias", matched=alias.dn())
        return found

    def _assert(self, base: Entry) -> None:
        if self._options.assertion is None:
            return
        if not compile_filter(self._options.assertion, self._schema)(base, None):
            raise LdapError(ResultCode.ASSERTION_FAILED)

    def _visible(self, entry: Entry) -> bool:
        return self._who.is_root or self._directory.access.allows(self._who, entry, "entry", "read")

    def _found(self, base: Entry, result: Entries) -> Iterator[Entry]:
        """Give the entries that match, and note the references that are met."""
        scope = self._request.scope
        after = self._options.after
        refers = self._directory.has_referrals() and not self._options.manage_dsa_it
        matcher, allowed, is_root = self._matcher, self._may_match, self._who.is_root
        for entry in self._in_scope(base):
            if entry.id <= after:
                continue
            if refers and is_referral(entry) and entry is not base:
                if not self._options.no_referrals:
                    result.references.append(continuation(self._schema, entry, "base" if scope is Scope.ONE else "sub"))
                continue
            if matcher(entry, allowed) and self._is_wanted_kind(entry) and (is_root or self._visible(entry)):
                yield entry

    def _is_wanted_kind(self, entry: Entry) -> bool:
        """Tell whether an entry or a subentry was wanted; a search for the base alone takes either (RFC 3672)."""
        is_subentry = entry.structural is self._subentry
        if self._options.subentries is not None:
            return is_subentry == self._options.subentries
        return not is_subentry or self._request.scope is Scope.BASE

    def _in_scope(self, base: Entry) -> Iterable[Entry]:
        if self._request.deref in (Deref.SEARCHING, Deref.ALWAYS) and self._request.scope is not Scope.BASE:
            return self._dereferenced(base)
        return self._scope_of(base)

    def _scope_of(self, base: Entry) -> Iterable[Entry]:
        scope = self._request.scope
        if scope is Scope.BASE:
            return (base,)
        if scope is Scope.ONE and len(base.children or ()) <= 1:
            return tuple((base.children or {}).values())
        candidates = self._candidates(base)
        if candidates is not None:
            return candidates
        if scope is Scope.ONE:
            return sorted((base.children or {}).values(), key=BY_NUMBER)
        below = sorted(base.subtree(), key=BY_NUMBER)
        return below if scope is Scope.SUBTREE else [entry for entry in below if entry is not base]

    def _candidates(self, base: Entry) -> Collection[Entry] | None:
        """Return the entries in scope that the indexes give, or None where they cannot tell."""
        filter_: Filter = self._request.filter
        if not self._options.manage_dsa_it and self._directory.has_referrals():
            filter_ = filters.Or((filter_, filters.Equality("objectClass", b"referral")))
        found = self._directory.indexes.candidates(filter_)
        if found is None:
            return None
        scope = self._request.scope
        if scope is Scope.ONE:
            kept = [entry for entry in found if entry.parent is base]
        elif base.parent is None and scope is Scope.SUBTREE:
            kept = list(found)
        else:
            kept = [entry for entry in found if entry.is_below(base)]
            if scope is Scope.SUBORDINATES:
                kept = [entry for entry in kept if entry is not base]
        if len(kept) > 1:
            kept.sort(key=BY_NUMBER)
        return kept

    def _dereferenced(self, base: Entry) -> Iterator[Entry]:
        """Give the entries in scope with aliases replaced by what they stand for, each entry once."""
        scope = self._request.scope
        if scope is Scope.ONE:
            for entry in (base.children or {}).values():
                target = self._alias_end(entry)
                if target is not None and target is not base:
                    yield target
            return
        seen: set[Entry] = set()
        pending = [*base.subtree()][1:]
        if scope is Scope.SUBTREE:
            seen.add(base)
            yield base
        while pending:
            entry = pending.pop(0)
            target = self._alias_end(entry)
            if target is None or target in seen:
                continue
            seen.add(target)
            yield target
            if target is not entry:
                pending.extend(one for one in target.subtree() if one is not target)

    def _alias_end(self, entry: Entry) -> Entry | None:
        """Return the entry at the end of a chain of aliases; None where that leads nowhere."""
        steps = 0
        try:
            while is_alias(entry):
                steps += 1
                entry = self._aliased(entry, steps)
        except LdapError:
            return None
        return entry

    def _give(self, entries: Sequence[Entry], selection: Selection, result: Entries) -> None:
        value_filter = self._value_filter()
        with uncollected(len(entries)):
            self._read(entries, selection, value_filter, result)

    def _read(self, entries: Iterable[Entry], selection: Selection, value_filter: ValueFilter, result: Entries) -> None:
        above: Entry | None = None
        tail = ""
        for entry in entries:
            if entry.parent is not above:
                above = entry.parent
                tail = f",{above.dn()}" if above is not None else ""
            result.found.append((entry.rdn + tail, selection.read(entry, self._may_read, value_filter)))

    def _value_filter(self) -> ValueFilter:
        """Return what keeps, of an attribute's values, those that a matched-values filter matches (RFC 3876)."""
        wanted = self._options.matched_values
        if not wanted:
            return None
        matchers = [compile_filter(one, self._schema) for one in wanted]

        def keep(attribute: Attribute, values: Values) -> Values:
            probe = Entry(0, "", "", {})
            kept = []
            for value in values:
                probe.attributes = {attribute: (value,)}
                if any(matcher(probe, None) for matcher in matchers):
                    kept.append(value)
            return tuple(kept)

        return keep

    def _sort_keys(self) -> list[tuple[Attribute, MatchingRule, bool]]:
        """Return the attributes to sort by with their rules.

        :raises LdapError: NO_SUCH_ATTRIBUTE or INAPPROPRIATE_MATCHING
        """
        return [self._sort_key(key) for key in self._options.sort]

    def _sort_key(self, key: SortKey) -> tuple[Attribute, MatchingRule, bool]:
        attribute = self._schema.find_attribute(key.attribute)
        if attribute is None:
            raise LdapError(ResultCode.NO_SUCH_ATTRIBUTE, "serverSort control: No such attribute")
        rule = self._schema.rule(key.rule) if key.rule is not None else attribute.type.ordering
        if rule is None or rule.kind not in (ORDERING, EQUALITY) or (key.rule is None and rule.kind != ORDERING):
            raise LdapError(ResultCode.INAPPROPRIATE_MATCHING, "serverSort control: No ordering rule")
        return attribute, rule, key.reverse


def _scope_name(scope: Scope) -> str:
    return {Scope.BASE: "base", Scope.ONE: "one", Scope.SUBTREE: "sub", Scope.SUBORDINATES: "subordinate"}[scope]


def _sorted(entries: list[Entry], keys: list[tuple[Attribute, MatchingRule, bool]]) -> list[Entry]:
    """Sort entries by their smallest values; those without a value come last (RFC 2891).

    As in slapd, values are prepared by the attribute's own equality rule. An equality rule that is named for sorting
    puts shorter values first.
    """

    def smallest(entry: Entry, attribute: Attribute, rule: MatchingRule) -> object | None:
        own = attribute.type.equality
        normalise = own.normalise if own is not None else rule.normalise
        have = entry.attributes.get(attribute)
        if have is None:
            have = tuple(value for type_, held in entry.matching(attribute) for value in held)
        keys = [normalise(value) for value in have]
        if rule.kind == EQUALITY:
            keys = [(len(key.encode()), key) if isinstance(key, str) else (0, key) for key in keys]
        return min(keys) if keys else None

    prepared = [([smallest(entry, attribute, rule) for attribute, rule, _ in keys], entry) for entry in entries]
    reversed_ = [reverse for _, _, reverse in keys]

    def compare(one: tuple[list[object], Entry], other: tuple[list[object], Entry]) -> int:
        for mine, theirs, reverse in zip(one[0], other[0], reversed_, strict=True):
            if mine == theirs:
                continue
            less = theirs is None if mine is None or theirs is None else mine < theirs  # type: ignore[operator]
            return -1 if less != reverse else 1
        return 0

    return [entry for _, entry in sorted(prepared, key=cmp_to_key(compare))]
