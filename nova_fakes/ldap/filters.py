"""Search filters (RFC 4511 §4.5.1.7) and their text form (RFC 4515), refused where libldap refuses it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from nova_fakes.exceptions import InvalidInput

__all__ = [
    "And", "Approximate", "Equality", "Extensible", "Filter", "GreaterOrEqual", "LessOrEqual", "Not", "Or", "Present",
    "Substrings", "escape_value", "parse_filter",
]  # fmt: skip

DESCRIPTION = re.compile(r"(?:[A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)*)(?:;[A-Za-z0-9-]+)*")
RULE = re.compile(r"[A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)*")
SPECIAL = re.compile(rb"[\x00()*\\]")
MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class And:
    """All of the filters match. An empty one is true (RFC 4526)."""

    filters: tuple[Filter, ...]

    def __str__(self) -> str:
        return f"(&{''.join(map(str, self.filters))})"


@dataclass(frozen=True, slots=True)
class Or:
    """One of the filters matches. An empty one is false."""

    filters: tuple[Filter, ...]

    def __str__(self) -> str:
        return f"(|{''.join(map(str, self.filters))})"


@dataclass(frozen=True, slots=True)
class Not:
    """The filter does not match."""

    filter: Filter

    def __str__(self) -> str:
        return f"(!{self.filter})"


@dataclass(frozen=True, slots=True)
class _Comparison:
    """The attribute and the value that a filter compares, and the sign between them."""

    sign: ClassVar[str]
    attribute: str
    value: bytes

    def __str__(self) -> str:
        return f"({self.attribute}{self.sign}{escape_value(self.value)})"


class Equality(_Comparison):
    """The attribute has the value."""

    __slots__ = ()
    sign = "="


class GreaterOrEqual(_Comparison):
    """The attribute has a value that comes not before this one."""

    __slots__ = ()
    sign = ">="


class LessOrEqual(_Comparison):
    """The attribute has a value that comes not after this one."""

    __slots__ = ()
    sign = "<="


class Approximate(_Comparison):
    """The attribute has a value that sounds like this one."""

    __slots__ = ()
    sign = "~="


@dataclass(frozen=True, slots=True)
class Present:
    """The attribute is there."""

    attribute: str

    def __str__(self) -> str:
        return f"({self.attribute}=*)"


@dataclass(frozen=True, slots=True)
class Substrings:
    """The attribute has a value with these parts in this order.

    :param initial: what it begins with, or None
    :param any: what stands between
    :param final: what it ends with, or None
    """

    attribute: str
    initial: bytes | None
    any: tuple[bytes, ...]
    final: bytes | None

    def __str__(self) -> str:
        parts = (self.initial or b"", *self.any, self.final or b"")
        return f"({self.attribute}={'*'.join(map(escape_value, parts))})"


@dataclass(frozen=True, slots=True)
class Extensible:
    """A value matches by a rule that is named here.

    :param rule: the rule, or None for the attribute's own equality
    :param attribute: the attribute, or None for all to which the rule applies
    :param dn: the values in the entry's DN count too
    """

    rule: str | None
    attribute: str | None
    value: bytes
    dn: bool = False

    def __str__(self) -> str:
        rule = f":{self.rule}" if self.rule else ""
        return f"({self.attribute or ''}{':dn' if self.dn else ''}{rule}:={escape_value(self.value)})"


Filter = And | Or | Not | Equality | GreaterOrEqual | LessOrEqual | Approximate | Present | Substrings | Extensible


def escape_value(value: bytes) -> str:
    """Write an asserted value: special characters, and bytes that are not UTF-8, as a backslash and two digits."""
    escaped = SPECIAL.sub(lambda match: b"\\%02x" % match[0][0], value)
    return re.sub(
        r"[\udc80-\udcff]", lambda m: f"\\{ord(m[0]) - 0xDC00:02x}", escaped.decode("utf-8", "surrogateescape")
    )


ORDERED: dict[str, Callable[[str, bytes], Filter]] = {"<": LessOrEqual, ">": GreaterOrEqual, "~": Approximate}


@lru_cache(4096)
def parse_filter(text: str) -> Filter:
    """Read a filter. One without parentheses is a single comparison.

    :raises InvalidInput: where the text is not a filter
    """
    reader = _Reader(text)
    stripped = text.strip(" ")
    if not stripped:
        raise reader.error()
    if not stripped.startswith("("):
        return reader.comparison(text)
    found = reader.filter(0)
    reader.skip()
    if reader.position != len(text):
        raise reader.error()
    return found


class _Reader:
    """A position in the text of a filter."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def error(self) -> InvalidInput:
        return InvalidInput("filter", self.text, "write it as RFC 4515 does: (&(objectClass=person)(cn=a*))")

    def skip(self) -> None:
        while self.text.startswith(" ", self.position):
            self.position += 1

    def filter(self, depth: int) -> Filter:
        self.skip()
        if not self.text.startswith("(", self.position) or depth > MAX_DEPTH:
            raise self.error()
        self.position += 1
        self.skip()
        kind = self.text[self.position : self.position + 1]
        if kind not in ("&", "|", "!") or not kind:
            end = self._end()
            found = self.comparison(self.text[self.position : end])
            self.position = end + 1
            return found
        self.position += 1
        filters = self._list(depth)
        if kind == "&":
            return And(filters)
        if kind == "|":
            return Or(filters)
        if len(filters) != 1:
            raise self.error()
        return Not(filters[0])

    def _list(self, depth: int) -> tuple[Filter, ...]:
        filters: list[Filter] = []
        while True:
            self.skip()
            if self.text.startswith(")", self.position):
                self.position += 1
                return tuple(filters)
            filters.append(self.filter(depth + 1))

    def _end(self) -> int:
        end = self.text.find(")", self.position)
        if end < 0 or "(" in self.text[self.position : end]:
            raise self.error()
        return end

    def comparison(self, text: str) -> Filter:
        """Read what stands inside the parentheses of one comparison."""
        head, equals, value = text.partition("=")
        if not equals:
            raise self.error()
        if head.endswith(":"):
            return self._extensible(head[:-1], value)
        kind = head[-1:] if head[-1:] in ("<", ">", "~") else ""
        attribute = head[: len(head) - len(kind)]
        if DESCRIPTION.fullmatch(attribute) is None:
            raise self.error()
        if kind:
            return ORDERED[kind](attribute, self._unescape(value))
        if value == "*":
            return Present(attribute)
        if "*" in value:
            return self._substrings(attribute, value)
        return Equality(attribute, self._unescape(value))

    def _substrings(self, attribute: str, value: str) -> Filter:
        initial, *middle, final = value.split("*")
        if not all(middle):
            raise self.error()
        return Substrings(
            attribute,
            self._unescape(initial) if initial else None,
            tuple(self._unescape(part) for part in middle),
            self._unescape(final) if final else None,
        )

    def _extensible(self, head: str, value: str) -> Filter:
        attribute, *more = head.split(":")
        dn = bool(more) and more[0].lower() == "dn"
        if dn:
            more = more[1:]
        rule = more[0] if more else ""
        wrong = (
            len(more) > 1
            or not (attribute or rule)
            or (attribute and DESCRIPTION.fullmatch(attribute) is None)
            or (rule and RULE.fullmatch(rule) is None)
        )
        if wrong:
            raise self.error()
        return Extensible(rule or None, attribute or None, self._unescape(value), dn)

    def _unescape(self, text: str) -> bytes:
        raw = text.encode("utf-8", "surrogateescape")
        if re.search(rb"[()*]", raw) or re.search(rb"\\(?![0-9A-Fa-f]{2})", raw):
            raise self.error()
        return re.sub(rb"\\([0-9A-Fa-f]{2})", lambda match: bytes.fromhex(match[1].decode()), raw)
