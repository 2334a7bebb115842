"""What controls ask of an operation, without how they are written on the wire, and what an operation gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from nova_fakes.ldap.filters import Extensible, Filter
from nova_fakes.ldap.results import ResultCode

__all__ = [
    "NONE",
    "Change",
    "Deref",
    "Entries",
    "Modification",
    "Options",
    "Outcome",
    "ReadEntry",
    "Scope",
    "SearchRequest",
    "SortKey",
]


class Scope(IntEnum):
    """How far below its base a search goes."""

    BASE = 0
    ONE = 1
    SUBTREE = 2
    SUBORDINATES = 3


class Deref(IntEnum):
    """When a search follows aliases."""

    NEVER = 0
    SEARCHING = 1
    FINDING = 2
    ALWAYS = 3


class Change(IntEnum):
    """What a modification does with an attribute."""

    ADD = 0
    DELETE = 1
    REPLACE = 2
    INCREMENT = 3


@dataclass(frozen=True, slots=True)
class Modification:
    """One change of one attribute."""

    change: Change
    attribute: str
    values: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class SortKey:
    """An attribute to sort by (RFC 2891).

    :param rule: an ordering rule in the place of the attribute's own
    """

    attribute: str
    rule: str | None = None
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """What controls ask for.

    :param manage_dsa_it: referrals and the like are entries as others are (RFC 3296)
    :param assertion: do it only where the entry matches (RFC 4528)
    :param pre_read: attributes of the entry as it was, to give back (RFC 4527)
    :param post_read: attributes of the entry as it is then
    :param permissive: adding values that are there and deleting attributes that are not is no error
    :param tree_delete: delete the entry with all below it
    :param relax: let attributes be set that only the directory may change
    :param matched_values: give only the values that match one of these (RFC 3876)
    :param sort: give the entries in this order (RFC 2891)
    :param subentries: give subentries and nothing else (RFC 3672); None where it was not asked
    :param no_referrals: give no references (domain scope)
    :param unavailable: there is something critical that the directory cannot do
    :param after: give only entries with a higher number: those of the next page
    """

    manage_dsa_it: bool = False
    assertion: Filter | None = None
    pre_read: tuple[str, ...] | None = None
    post_read: tuple[str, ...] | None = None
    permissive: bool = False
    tree_delete: bool = False
    relax: bool = False
    matched_values: tuple[Filter | Extensible, ...] = ()
    sort: tuple[SortKey, ...] = ()
    subentries: bool | None = None
    no_referrals: bool = False
    after: int = 0
    unavailable: bool = False


NONE = Options()

Attributes = dict[str, list[bytes]]
ReadEntry = tuple[str, Attributes]
"""A DN and the attributes that were asked for."""


@dataclass(slots=True)
class Outcome:
    """What a change gives back: the entry as it was and as it is, where that was asked for."""

    pre_read: ReadEntry | None = None
    post_read: ReadEntry | None = None


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What to search for.

    :param attributes: names; none for all user attributes, `*` for those, `+` for the operational ones, `1.1` for no
        attribute, `@person` for those of a class
    :param size_limit: how many entries to give at most; 0 for what the directory allows
    :param time_limit_s: how many seconds to take at most; 0 for what the directory allows
    """

    base: str
    scope: Scope
    filter: Filter
    attributes: tuple[str, ...] = ()
    types_only: bool = False
    size_limit: int = 0
    deref: Deref = Deref.NEVER
    time_limit_s: int = 0


@dataclass(slots=True)
class Entries:
    """What a search found, in order.

    :param references: for each place where other servers know more, their URLs
    :param is_cut: whether the size limit was met before the end
    :param last: number of the last entry
    :param is_late: whether the time limit was met before the end
    """

    found: list[ReadEntry] = field(default_factory=list)
    references: list[list[str]] = field(default_factory=list)
    is_cut: bool = False
    last: int = 0
    is_late: bool = False

    @property
    def code(self) -> ResultCode:
        """What the search ends with."""
        if self.is_late:
            return ResultCode.TIME_LIMIT_EXCEEDED
        return ResultCode.SIZE_LIMIT_EXCEEDED if self.is_cut else ResultCode.SUCCESS
