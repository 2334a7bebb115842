"""Distinguished names: RFC 4514, as leniently read and as strictly written as slapd does it.

A DN is read with the schema at hand: an attribute type that it does not know makes the DN invalid, the values take the
pretty spelling of their syntax, and each RDN has a key by which the attributes' matching rules say that it is equal.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

__all__ = ["Ava", "Dn", "InvalidDn", "Rdn", "escape", "is_under", "parse_parts"]

TYPE = re.compile(r" *([A-Za-z][A-Za-z0-9-]*(?:;[A-Za-z0-9;-]+)?|\d+(?:\.\d+)+) *= *")
HEX = frozenset("0123456789abcdefABCDEF")
ESCAPABLE = frozenset(' "#+,;<=>\\')
# A value, or its beginning, in which no character has a meaning of its own.
PLAIN = re.compile(r'[^\\",;+<>#][^\\",;+<>]*')
SPECIAL = re.compile('[",+;<=>\\\\\x00]')


class InvalidDn(ValueError):
    """Text that is not a DN."""


class NamingAttribute(Protocol):
    """What a DN needs to know of an attribute type."""

    name: str

    def pretty_value(self, value: bytes) -> bytes:
        """Check a value and return it as it is stored; raises ValueError."""

    def name_key(self, value: bytes) -> str:
        """Return what the value compares by, as text."""


class Names(Protocol):
    """Where attribute types are looked up."""

    def naming_attribute(self, name: str) -> NamingAttribute | None:
        """Return the attribute type of a name or OID, or None."""


class Ava:
    """An attribute type and a value in an RDN."""

    __slots__ = ("attribute", "value")

    def __init__(self, attribute: NamingAttribute, value: bytes) -> None:
        self.attribute = attribute
        self.value = value


class Rdn:
    """A relative name: one or more attribute values, in the order of their types' names."""

    __slots__ = ("avas", "key", "text")

    def __init__(self, avas: list[Ava]) -> None:
        self.avas = tuple(sorted(avas, key=lambda ava: ava.attribute.name.lower()))
        self.text = "+".join(
            f"{a.attribute.name}={escape(a.value.decode('utf-8', 'surrogateescape'))}" for a in self.avas
        )
        self.key = "+".join(f"{a.attribute.name}={escape(a.attribute.name_key(a.value))}" for a in self.avas)


class Dn:
    """A name in the tree: RDNs from the entry up. Compares by its key."""

    __slots__ = ("key", "rdns", "text")

    def __init__(self, rdns: tuple[Rdn, ...]) -> None:
        self.rdns = rdns
        self.text = ",".join(rdn.text for rdn in rdns)
        self.key = ",".join(rdn.key for rdn in rdns)

    @classmethod
    def parse(cls, text: str, names: Names) -> Dn:
        """Read a DN.

        :raises InvalidDn: where it is not one, an attribute type is not known or a value is not of its syntax
        """
        return cls(tuple(_rdn(parts, names) for parts in parse_parts(text)))

    @classmethod
    def below(cls, text: str, above: Dn, names: Names) -> Dn:
        """Read a DN whose upper part has been read already.

        :param text: the part before it
        :raises InvalidDn: as in :meth:`parse`
        """
        made = cls.__new__(cls)
        lower = cls.parse(text, names)
        made.rdns = (*lower.rdns, *above.rdns)
        made.text = f"{lower.text},{above.text}"
        made.key = f"{lower.key},{above.key}"
        return made

    def parent(self) -> Dn:
        """Return the name one step up; the empty name is its own parent."""
        return Dn(self.rdns[1:])

    def is_below(self, other: Dn) -> bool:
        """Tell whether the name is under the other one, or is the same."""
        return self.key == other.key or not other.rdns or self.key.endswith("," + other.key)

    def depth(self) -> int:
        """Return the number of RDNs."""
        return len(self.rdns)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dn) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Dn({self.text!r})"


def is_under(key: str, above: str, *, one_level: bool = False) -> bool:
    """Tell by what two names compare by whether the first is under the second.

    :param one_level: directly under it
    """
    if not above:
        return bool(key) and (not one_level or "," not in key)
    return key.endswith("," + above) and (not one_level or "," not in key[: -len(above) - 1])


def _rdn(parts: list[tuple[str, bytes]], names: Names) -> Rdn:
    avas: list[Ava] = []
    for name, value in parts:
        attribute = names.naming_attribute(name)
        if attribute is None or any(ava.attribute is attribute for ava in avas):
            raise InvalidDn(name)
        try:
            avas.append(Ava(attribute, attribute.pretty_value(value)))
        except ValueError:
            raise InvalidDn(name) from None
    return Rdn(avas)


def escape(text: str) -> str:
    """Write a value so that it can stand in a DN: what is special as a backslash and two hexadecimal digits."""
    if SPECIAL.search(text) is None and text[:1] not in (" ", "#") and text[-1:] != " ":
        return text
    escaped = SPECIAL.sub(lambda match: f"\\{ord(match[0]):02X}", text)
    if escaped[:1] in (" ", "#"):
        escaped = f"\\{ord(escaped[0]):02X}" + escaped[1:]
    return escaped[:-1] + "\\20" if escaped.endswith(" ") else escaped


def parse_parts(text: str) -> list[list[tuple[str, bytes]]]:
    """Take a DN apart, without a schema: for each RDN the types and the values without their escapes.

    :raises InvalidDn: where the text is not a DN
    """
    rdns: list[list[tuple[str, bytes]]] = []
    if not text:
        return rdns
    current: list[tuple[str, bytes]] = []
    position = 0
    while True:
        match = TYPE.match(text, position)
        if match is None:
            raise InvalidDn(text)
        value, position = _value(text, match.end())
        current.append((match[1], value))
        separator = text[position : position + 1]
        position += 1
        if separator != "+":
            rdns.append(current)
            current = []
        if not separator:
            return rdns


def _value(text: str, position: int) -> tuple[bytes, int]:
    """Read a value up to the separator that follows it; return it and where the separator is."""
    plain = PLAIN.match(text, position)
    if plain is not None and (plain.end() == len(text) or text[plain.end()] in ",;+"):
        return plain[0].rstrip(" ").encode("utf-8", "surrogateescape"), plain.end()
    if text.startswith('"', position):
        return _quoted(text, position + 1)
    if text.startswith("#", position):
        raise InvalidDn(text)
    parts: list[bytes] = []
    kept = 0  # pieces up to the last that is not an unescaped space
    while position < len(text) and (char := text[position]) not in ",;+":
        if char == "\\":
            piece, position = _escaped(text, position + 1)
        elif char in '"<>':
            raise InvalidDn(text)
        else:
            piece, position = char.encode("utf-8", "surrogateescape"), position + 1
        parts.append(piece)
        if char != " ":
            kept = len(parts)
    return b"".join(parts[:kept]), position


def _quoted(text: str, position: int) -> tuple[bytes, int]:
    parts: list[bytes] = []
    while position < len(text) and text[position] != '"':
        if text[position] == "\\":
            piece, position = _escaped(text, position + 1)
        else:
            piece, position = text[position].encode("utf-8", "surrogateescape"), position + 1
        parts.append(piece)
    position += 1
    while text.startswith(" ", position):
        position += 1
    if position > len(text) or (position < len(text) and text[position] not in ",;+"):
        raise InvalidDn(text)
    return b"".join(parts), position


def _escaped(text: str, position: int) -> tuple[bytes, int]:
    """Read what stands after a backslash: a special character, or two hexadecimal digits."""
    pair = text[position : position + 2]
    if len(pair) == 2 and HEX.issuperset(pair):
        return bytes.fromhex(pair), position + 2
    if pair[:1] in ESCAPABLE and pair:
        return pair[0].encode(), position + 1
    raise InvalidDn(text)


def __getattr__(name: str) -> Any:
    """Return what python-ldap has in its module of this name."""
    from importlib import import_module

    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(import_module("nova_fakes.ldap.client.dn"), name)
