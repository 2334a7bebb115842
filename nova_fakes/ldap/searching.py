"""Search: from a base and a filter to entries (RFC 4511 §4.5)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

from nova_fakes.ldap import filters
from nova_fakes.ldap.access import Identity
from nova_fakes.ldap.aliases import Dereferencing
from nova_fakes.ldap.entry import Entry, Values
from nova_fakes.ldap.filters import Filter
from nova_fakes.ldap.garbage import uncollected
from nova_fakes.ldap.matching import Matcher, compile_filter
from nova_fakes.ldap.options import Attributes, Entries, Options, Scope, SearchRequest
from nova_fakes.ldap.referrals import continuation, is_alias, is_referral
from nova_fakes.ldap.results import LdapError, ResultCode
from nova_fakes.ldap.schema import Attribute, AttributeType, Schema
from nova_fakes.ldap.selection import Selection, ValueFilter
from nova_fakes.ldap.sorting import Sorting

if TYPE_CHECKING:
    from nova_fakes.ldap.directory import Directory

__all__ = ["Search"]

# How many entries are looked at between two looks at the clock.
BETWEEN_LOOKS = 64
BY_NUMBER = attrgetter("id")


class Search:
    """One search in a directory, by somebody."""

    def __init__(self, directory: Directory, who: Identity, request: SearchRequest, options: Options) -> None:
        self._directory = directory
        self._schema: Schema = directory.schema
        self._who = who
        self._request = request
        self._options = options
        self._aliases = Dereferencing(directory, request)
        self._matcher: Matcher = compile_filter(
            request.filter, self._schema, directory.linked if directory.in_chain else None
        )
        self._selection = Selection(self._schema, request.attributes, request.types_only)
        self._context = self._schema.attribute("contextCSN")
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
        result = Entries()
        made = self._administrative_entry()
        if made is None:
            self.give(self.entries(result), result)
        else:
            self._directory.check_assertion(self._who, made, self._options)
            if self._matcher(made, self._may_match):
                self.give([made], result)
        return result

    def entries(self, result: Entries) -> list[Entry]:
        """Return the entries that are found, and note in the result what else there is to tell.

        :raises LdapError: where there is no such base, or it cannot be searched
        """
        base = self.base()
        self._directory.check_assertion(self._who, base, self._options)
        if self._options.sort:
            return self._sorted(base, result)
        limit = self.limit()
        taken: list[Entry] = []
        for entry in self._found(base, result):
            if len(taken) >= limit:
                result.is_cut = True
                break
            taken.append(entry)
        result.last = taken[-1].id if taken else 0
        return taken

    def _sorted(self, base: Entry, result: Entries) -> list[Entry]:
        """Return all that is found, in the order that was asked for.

        As in slapd what is given is cut off then, not what is sorted, and no reference passes.
        """
        found = Sorting(self._schema, self._options.sort).sort(self._found(base, result))
        result.references.clear()
        return found

    def limit(self) -> int:
        """Return how many entries may be given."""
        return self._directory.limits.size(self._who, self._request.size_limit)

    def _in_time(self, entries: Iterable[Entry], result: Entries) -> Iterator[Entry]:
        """Give entries to look at until the time is over that the search may take."""
        limit_s = self._directory.limits.time_s(self._who, self._request.time_limit_s)
        if limit_s is None:
            yield from entries
            return
        clock = self._directory.clock
        end_s = clock.monotonic() + limit_s
        for number, entry in enumerate(entries):
            if number % BETWEEN_LOOKS == 0 and clock.monotonic() > end_s:
                result.is_late = True
                return
            yield entry

    def _administrative_entry(self) -> Entry | None:
        """Return the entry outside the tree that is the base; None where the base is in the tree."""
        made = self._directory.administrative.entry(self._directory.parse_dn(self._request.base))
        if made is not None and self._request.scope is not Scope.BASE:
            raise LdapError(ResultCode.NO_SUCH_OBJECT)
        return made

    def base(self) -> Entry:
        """Return the entry that the search begins at, aliases on the way followed where that was asked.

        :raises LdapError: NO_SUCH_OBJECT, REFERRAL, ALIAS_PROBLEM or ALIAS_DEREF_PROBLEM
        """
        dn = self._directory.parse_dn(self._request.base)
        if not self._directory.holds(dn):
            raise LdapError(ResultCode.NO_SUCH_OBJECT)
        entry, nearest = self._directory.find(dn)
        passed: list[Entry] = []
        while self._aliases.finds and nearest is not None and is_alias(nearest):
            if nearest in passed:
                raise LdapError(ResultCode.ALIAS_PROBLEM, "circular alias", matched=passed[0].dn())
            passed.append(nearest)
            target = self._aliases.target(nearest, len(passed))
            own = self._schema.dn(nearest.dn())
            text = ",".join((*(rdn.text for rdn in dn.rdns[: dn.depth() - own.depth()]), target.dn()))
            self._aliases.led_to_base = own.depth() == dn.depth()
            dn = self._schema.dn(text)
            entry, nearest = self._directory.find(dn)
        self._directory.refuse_referral(dn, nearest, self._options, _scope_name(self._request.scope))
        if entry is None:
            raise LdapError(ResultCode.NO_SUCH_OBJECT, matched=nearest.dn() if nearest is not None else "")
        if not self._visible(entry):
            raise LdapError(ResultCode.NO_SUCH_OBJECT)
        return entry

    def _visible(self, entry: Entry) -> bool:
        return self._who.is_root or self._directory.access.allows(self._who, entry, "entry", "read")

    def _found(self, base: Entry, result: Entries) -> Iterator[Entry]:
        """Give the entries that match, and note the references that are met."""
        scope = self._request.scope
        after = self._options.after
        refers = self._directory.has_referrals() and not self._options.manage_dsa_it
        matcher, allowed, is_root = self._matcher, self._may_match, self._who.is_root
        for entry in self._in_time(self._in_scope(base), result):
            if entry.id <= after:
                continue
            if refers and is_referral(entry) and entry is not base:
                if not self._options.no_referrals and not self._options.subentries:
                    result.references.append(continuation(self._schema, entry, "base" if scope is Scope.ONE else "sub"))
                continue
            if matcher(entry, allowed) and self._is_wanted_kind(entry) and (is_root or self._visible(entry)):
                yield entry

    def finds(self, entry: Entry, base: Entry) -> bool:
        """Tell whether an entry is in the scope of a base and matches."""
        match self._request.scope:
            case Scope.BASE:
                is_in = entry is base
            case Scope.ONE:
                is_in = entry.parent is base
            case Scope.SUBTREE:
                is_in = entry.is_below(base)
            case Scope.SUBORDINATES:
                is_in = entry is not base and entry.is_below(base)
        return (
            is_in
            and bool(self._matcher(entry, self._may_match))
            and self._is_wanted_kind(entry)
            and self._visible(entry)
        )

    def surroundings(self) -> Iterable[Entry]:
        """Return all entries in scope, whether they match or not."""
        return self._scope_of(self.base(), every=True)

    def _is_wanted_kind(self, entry: Entry) -> bool:
        """Tell whether an entry or a subentry was wanted; a search for the base alone takes either (RFC 3672)."""
        is_subentry = entry.structural is self._subentry
        if self._options.subentries is not None:
            return is_subentry == self._options.subentries
        return not is_subentry or self._request.scope is Scope.BASE

    def _in_scope(self, base: Entry) -> Iterable[Entry]:
        dereferenced = self._aliases.in_scope(base, self._wanted())
        return self._scope_of(base) if dereferenced is None else dereferenced

    def _scope_of(self, base: Entry, *, every: bool = False) -> Iterable[Entry]:
        scope = self._request.scope
        if scope is Scope.BASE:
            return (base,)
        if scope is Scope.ONE and len(base.children or ()) <= 1:
            return tuple((base.children or {}).values())
        candidates = self._candidates(base) if not every else None
        if candidates is not None:
            return candidates
        if scope is Scope.ONE:
            return sorted((base.children or {}).values(), key=BY_NUMBER)
        below = sorted(base.subtree(), key=BY_NUMBER)
        return below if scope is Scope.SUBTREE else [entry for entry in below if entry is not base]

    def _wanted(self) -> Filter:
        """Return the filter of what is looked at: what is searched for, and the referrals to tell of."""
        if self._options.manage_dsa_it or not self._directory.has_referrals():
            return self._request.filter
        return filters.Or((self._request.filter, filters.Equality("objectClass", b"referral")))

    def _candidates(self, base: Entry) -> Collection[Entry] | None:
        """Return the entries in scope that the indexes give, or None where they cannot tell."""
        found = self._directory.indexes.candidates(self._wanted())
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

    def give(self, entries: Sequence[Entry], result: Entries) -> None:
        """Put what is asked for of some entries into a result."""
        limit = self.limit()
        if self._options.sort and len(entries) > limit:
            result.is_cut = True
            entries = entries[:limit]
        value_filter = self._value_filter()
        with uncollected(len(entries)):
            self._read(entries, value_filter, result)

    def _read(self, entries: Iterable[Entry], value_filter: ValueFilter, result: Entries) -> None:
        above: Entry | None = None
        tail = ""
        for entry in entries:
            if entry.parent is not above:
                above = entry.parent
                tail = f",{above.dn()}" if above is not None else ""
            attributes = self._selection.read(entry, self._may_read, value_filter)
            if above is None:
                self._add_context(entry, attributes)
            result.found.append((entry.rdn + tail, attributes))

    def _add_context(self, entry: Entry, attributes: Attributes) -> None:
        """Add to the topmost entry, where copies are kept up, up to where the directory is."""
        provider = self._directory.provider
        if provider is not None and provider.csn and entry is self._directory.root and self._context in self._selection:
            attributes[self._context.name] = [] if self._request.types_only else [provider.csn.encode()]

    def _value_filter(self) -> ValueFilter:
        """Return what keeps, of an attribute's values, those that a matched-values filter matches (RFC 3876).

        An approximate filter keeps none, as in slapd.
        """
        wanted = self._options.matched_values
        if not wanted or self._request.types_only:
            return None
        exact = [one for one in wanted if not isinstance(one, filters.Approximate)]
        matchers = [compile_filter(one, self._schema) for one in exact]

        def keep(attribute: Attribute, values: Values) -> Values:
            probe = _Probe(0, "", "", {})
            kept = []
            for value in values:
                probe.attributes = {attribute: (value,)}
                if any(matcher(probe, None) for matcher in matchers):
                    kept.append(value)
            return tuple(kept)

        return keep


def _scope_name(scope: Scope) -> str:
    return {Scope.BASE: "base", Scope.ONE: "one", Scope.SUBTREE: "sub", Scope.SUBORDINATES: "subordinate"}[scope]


class _Probe(Entry):
    """An entry that has one value alone, and nothing that follows from its place."""

    def matching(self, attribute: Attribute) -> list[tuple[AttributeType, Values]]:
        """Return the value where it is one of the attribute."""
        return [(held.type, values) for held, values in self.attributes.items() if held.is_a(attribute)]
