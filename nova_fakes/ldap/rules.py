"""Matching rules (RFC 4517 §4): what a value compares by, for equality, order and substrings."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from operator import eq, lt
from typing import Any

from nova_fakes.ldap import preparation
from nova_fakes.ldap.syntaxes import PREFIX, PRINTABLE, canonical_time, is_postal_address

__all__ = ["RULES", "Kind", "MatchingRule", "rule"]

Key = Any
"""What values compare by: hashable; for an ordering rule, ordered."""

Kind = str
EQUALITY, ORDERING, SUBSTRINGS, RELATION = "equality", "ordering", "substrings", "relation"


@dataclass(frozen=True, slots=True, eq=False)
class MatchingRule:
    """A way to compare values.

    :param syntax: OID of the syntax that assertions have
    :param normalise: gives what a value compares by; raises ValueError where it cannot be
    :param part: the same for a part of a substring assertion: value, is the first, is the last
    :param asserted: the same for an assertion, where that is not written as values are
    :param hidden: whether the subschema is silent about it
    :param extensible: whether filters can name it
    :param relation: tells by what a value and an assertion compare by whether the value matches; None for undefined
    """

    oid: str
    name: str
    syntax: str
    kind: Kind
    normalise: Callable[[bytes], Key]
    part: Callable[[bytes, bool, bool], str] | None = None
    asserted: Callable[[bytes], Key] | None = None
    relation: Callable[[Key, Key], bool | None] = eq
    hidden: bool = False
    extensible: bool = True

    def assertion(self, value: bytes) -> Key:
        """Give what an asserted value compares by."""
        return (self.asserted or self.normalise)(value)

    def definition(self) -> str:
        """Write the rule as the subschema lists it (RFC 4512 §4.1.3)."""
        return f"( {self.oid} NAME '{self.name}' SYNTAX {self.syntax} )"


CACHED = 8192
LONGEST = (1 << 63) - 1


Parts = Callable[[Callable[[bytes], str]], Callable[[bytes, bool, bool], str]]


def _string(ignore_case: bool) -> Callable[[bytes], str]:
    return lru_cache(CACHED)(lambda value: preparation.prepare(value, ignore_case))


def _ascii(ignore_case: bool) -> Callable[[bytes], str]:
    return lru_cache(CACHED)(lambda value: preparation.prepare_ascii(value, ignore_case))


def _parts_of(normalise: Callable[[bytes], str]) -> Callable[[bytes, bool, bool], str]:
    def part(value: bytes, first: bool, last: bool) -> str:
        return preparation.prepare_part(normalise(value), value, first=first, last=last)

    return part


def _lines_parts(normalise: Callable[[bytes], str]) -> Callable[[bytes, bool, bool], str]:
    spaced = _parts_of(normalise)

    def part(value: bytes, first: bool, last: bool) -> str:
        if not is_postal_address(value):
            raise ValueError(value)
        return spaced(value, first, last)

    return part


def _parts_like(pattern: bytes) -> Parts:
    """Make parts of values that are like a pattern, and refuse others."""
    match = re.compile(pattern).fullmatch

    def parts(normalise: Callable[[bytes], str]) -> Callable[[bytes, bool, bool], str]:
        def part(value: bytes, first: bool, last: bool) -> str:
            if match(value) is None:
                raise ValueError(value)
            return normalise(value)

        return part

    return parts


def _numeric(value: bytes) -> str:
    return preparation.unspaced(value)


def _telephone(value: bytes) -> str:
    return preparation.unspaced(value, " -")


def _octets(value: bytes) -> bytes:
    return value


def _octets_as_text(value: bytes) -> str:
    return value.decode("latin-1")


def _boolean(value: bytes) -> bool:
    return value == b"TRUE"


def _lower(value: bytes) -> str:
    return value.decode("latin-1").lower()


def _lines(value: bytes) -> str:
    return "$".join(preparation.prepare(line, True) for line in value.split(b"$"))


def _of_longs(relation: Callable[[int, int], bool]) -> Callable[[int, int], bool | None]:
    """Make a relation undefined where a number does not fit into 64 bits, as slapd's is."""

    def defined(have: int, asserted: int) -> bool | None:
        if max(have, asserted) > LONGEST or min(have, asserted) < ~LONGEST:
            return None
        return relation(have, asserted)

    return defined


def _first_component(value: bytes) -> str:
    """Return what a value in brackets, such as a definition, begins with.

    :raises ValueError: where it is not in brackets
    """
    if len(value) < 3 or value[:1] + value[-1:] not in (b"()", b"{}"):
        raise ValueError(value)
    return value[1:-1].decode("utf-8").lstrip(" ").split(" ", 1)[0].lower()


ASCII_PARTS = _parts_like(rb"[\x00-\x7f]*")
case_ignore, case_exact = _string(True), _string(False)
ia5_ignore, ia5_exact = _ascii(True), _ascii(False)


def rule(oid: str, name: str, syntax: str, kind: Kind, normalise: Callable[[bytes], Key], **more: Any) -> MatchingRule:
    """Make a rule; a syntax without dots is one of RFC 4517's."""
    if kind == ORDERING:
        more.setdefault("relation", lt)
    return MatchingRule(oid, name, syntax if "." in syntax else PREFIX + syntax, kind, normalise, **more)


def _substrings(
    oid: str, name: str, normalise: Callable[[bytes], str], parts: Parts, syntax: str = "58"
) -> MatchingRule:
    return rule(oid, name, syntax, SUBSTRINGS, normalise, part=parts(normalise), extensible=False)


CSN, KEY = "1.3.6.1.4.1.4203.666.11.2.1", "1.2.840.113549.1.8.1.1"

RULES: tuple[MatchingRule, ...] = (
    rule("2.5.13.2", "caseIgnoreMatch", "15", EQUALITY, case_ignore),
    rule("2.5.13.3", "caseIgnoreOrderingMatch", "15", ORDERING, case_ignore),
    _substrings("2.5.13.4", "caseIgnoreSubstringsMatch", case_ignore, _parts_of),
    rule("2.5.13.5", "caseExactMatch", "15", EQUALITY, case_exact),
    rule("2.5.13.6", "caseExactOrderingMatch", "15", ORDERING, case_exact),
    _substrings("2.5.13.7", "caseExactSubstringsMatch", case_exact, _parts_of),
    rule("2.5.13.8", "numericStringMatch", "36", EQUALITY, _numeric),
    rule("2.5.13.9", "numericStringOrderingMatch", "36", ORDERING, _numeric),
    _substrings("2.5.13.10", "numericStringSubstringsMatch", _numeric, _parts_like(rb"[0-9 ]+")),
    rule("2.5.13.11", "caseIgnoreListMatch", "41", EQUALITY, _lines),
    _substrings("2.5.13.12", "caseIgnoreListSubstringsMatch", _lines, _lines_parts),
    rule("2.5.13.13", "booleanMatch", "7", EQUALITY, _boolean),
    rule("2.5.13.14", "integerMatch", "27", EQUALITY, int),
    rule("2.5.13.15", "integerOrderingMatch", "27", ORDERING, int),
    rule("2.5.13.16", "bitStringMatch", "6", EQUALITY, _octets),
    rule("2.5.13.17", "octetStringMatch", "40", EQUALITY, _octets),
    rule("2.5.13.18", "octetStringOrderingMatch", "40", ORDERING, _octets),
    _substrings("2.5.13.19", "octetStringSubstringsMatch", _octets_as_text, _parts_like(rb"(?s:.*)"), "40"),
    rule("2.5.13.20", "telephoneNumberMatch", "50", EQUALITY, _telephone),
    _substrings("2.5.13.21", "telephoneNumberSubstringsMatch", _telephone, _parts_like(PRINTABLE + b"+")),
    rule("2.5.13.27", "generalizedTimeMatch", "24", EQUALITY, canonical_time),
    rule("2.5.13.28", "generalizedTimeOrderingMatch", "24", ORDERING, canonical_time),
    rule("2.5.13.29", "integerFirstComponentMatch", "27", EQUALITY, lambda v: int(_first_component(v)), asserted=int),
    rule("2.5.13.30", "objectIdentifierFirstComponentMatch", "38", EQUALITY, _first_component, asserted=_lower),
    rule("1.3.6.1.4.1.1466.109.114.1", "caseExactIA5Match", "26", EQUALITY, ia5_exact),
    rule("1.3.6.1.4.1.1466.109.114.2", "caseIgnoreIA5Match", "26", EQUALITY, ia5_ignore),
    _substrings("1.3.6.1.4.1.1466.109.114.3", "caseIgnoreIA5SubstringsMatch", ia5_ignore, ASCII_PARTS, "26"),
    _substrings("1.3.6.1.4.1.4203.1.2.1", "caseExactIA5SubstringsMatch", ia5_exact, ASCII_PARTS, "26"),
    rule(
        "1.2.840.113556.1.4.803",
        "integerBitAndMatch",
        "27",
        RELATION,
        int,
        relation=_of_longs(lambda have, bits: have & bits == bits),
    ),
    rule(
        "1.2.840.113556.1.4.804",
        "integerBitOrMatch",
        "27",
        RELATION,
        int,
        relation=_of_longs(lambda have, bits: have & bits != 0),
    ),
    rule("1.3.6.1.1.16.2", "UUIDMatch", "1.3.6.1.1.16.1", EQUALITY, _lower, extensible=False),
    rule("1.3.6.1.1.16.3", "UUIDOrderingMatch", "1.3.6.1.1.16.1", ORDERING, _lower, extensible=False),
    rule("1.3.6.1.4.1.4203.666.11.2.2", "CSNMatch", CSN, EQUALITY, _lower, hidden=True, extensible=False),
    rule("1.3.6.1.4.1.4203.666.11.2.3", "CSNOrderingMatch", CSN, ORDERING, _lower, hidden=True),
    rule("1.3.6.1.4.1.4203.666.4.14", "privateKeyMatch", KEY, EQUALITY, _octets, hidden=True, extensible=False),
)
