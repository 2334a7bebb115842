"""Read schema text: the definitions of RFC 4512 §4.1, and the files of them that slapd reads.

A slapd schema file has statements (`objectidentifier NAME OID`, `attributetype ( … )`, `objectclass ( … )`) that go
on in lines which begin with a blank. In LDIF the same definitions are values of `olcAttributeTypes`, `attributeTypes`
and so on.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nova_fakes.exceptions import InvalidInput

__all__ = ["Definition", "parse_definition", "read_statements"]

TOKEN = re.compile(r"\s*(\(|\)|\$|'[^']*'|[^\s()$']+)")
FLAGS = {
    "OBSOLETE", "SINGLE-VALUE", "COLLECTIVE", "NO-USER-MODIFICATION", "ABSTRACT", "STRUCTURAL", "AUXILIARY",
}  # fmt: skip
ORDINAL = re.compile(r"^\{\d+\}")
LDIF_KEYS = {
    "attributetypes": "attributetype",
    "olcattributetypes": "attributetype",
    "objectclasses": "objectclass",
    "olcobjectclasses": "objectclass",
    "olcobjectidentifier": "objectidentifier",
}
STATEMENTS = {
    "attributetype": "attributetype",
    "attributetypes": "attributetype",
    "objectclass": "objectclass",
    "objectclasses": "objectclass",
    "objectidentifier": "objectidentifier",
}


@dataclass(slots=True)
class Definition:
    """One definition: its OID, its flags, and the words that each keyword has."""

    oid: str
    text: str
    flags: set[str] = field(default_factory=set)
    words: dict[str, list[str]] = field(default_factory=dict)

    def one(self, keyword: str) -> str | None:
        """Return the single word of a keyword, or None."""
        return self.words[keyword][0] if self.words.get(keyword) else None

    def all(self, keyword: str) -> list[str]:
        """Return the words of a keyword."""
        return self.words.get(keyword, [])


def _tokens(text: str) -> list[str]:
    tokens, position, end = [], 0, len(text.rstrip())
    while position < end:
        match = TOKEN.match(text, position)
        if match is None:
            raise InvalidInput("schema", text, f"the quote at character {position} is not closed")
        tokens.append(match[1])
        position = match.end()
    return tokens


def _words(tokens: Sequence[str], position: int) -> tuple[list[str], int]:
    """Read what follows a keyword: a word, or a list in parentheses; return it and where it ends."""
    if tokens[position] != "(":
        return [tokens[position].strip("'")], position + 1
    end = tokens.index(")", position)
    return [word.strip("'") for word in tokens[position + 1 : end] if word != "$"], end + 1


def parse_definition(text: str, macros: dict[str, str] | None = None) -> Definition:
    """Read one definition in parentheses.

    :param macros: names that stand for OIDs, as slapd's `objectidentifier` defines them
    :raises InvalidInput: where it is not one
    """
    tokens = _tokens(ORDINAL.sub("", text.strip()))
    if len(tokens) < 3 or tokens[0] != "(" or tokens[-1] != ")":
        raise InvalidInput("schema", text, "a definition stands in parentheses: ( OID NAME 'name' … )")
    found = Definition(_resolve(tokens[1], macros or {}), " ".join(tokens))
    tokens, position = tokens[2:-1], 0
    try:
        while position < len(tokens):
            keyword = tokens[position].upper()
            if keyword in FLAGS:
                found.flags.add(keyword)
                position += 1
            else:
                found.words[keyword], position = _words(tokens, position + 1)
    except (IndexError, ValueError):
        raise InvalidInput("schema", text, "close its parentheses and give each keyword a value") from None
    syntax = found.one("SYNTAX")
    if syntax is not None:
        found.words["SYNTAX"] = [_resolve(syntax, macros or {})]
    return found


def _resolve(oid: str, macros: dict[str, str]) -> str:
    """Replace a macro at the beginning of an OID (`acme`, `acme:1.2`) by what it stands for."""
    name, colon, rest = oid.partition(":")
    base, brace, length = name.partition("{")
    known = macros.get(base.lower())
    if known is None:
        return oid
    return known + (f".{rest}" if colon else "") + brace + length


def read_statements(text: str) -> Iterator[tuple[str, Definition]]:
    """Give each attribute type and object class of a schema file or of LDIF, with its kind.

    :returns: pairs of `attributetype` or `objectclass` and the definition
    :raises InvalidInput: where a statement cannot be read
    """
    macros: dict[str, str] = {}
    for keyword, value in _statements(text):
        if keyword == "objectidentifier":
            name, _, oid = ORDINAL.sub("", value).strip().partition(" ")
            macros[name.lower()] = _resolve(oid.strip(), macros)
        else:
            yield keyword, parse_definition(value, macros)


def _statements(text: str) -> Iterator[tuple[str, str]]:
    for line in _unfolded(text):
        head, _, value = line.partition(" ")
        name, colon, _ = head.partition(":")
        if colon and name.lower() in LDIF_KEYS:
            value = line.partition(":")[2]
            if value.startswith(":"):
                value = base64.b64decode(value[1:]).decode("utf-8")
            yield LDIF_KEYS[name.lower()], value.strip()
        elif head.lower() in STATEMENTS:
            yield STATEMENTS[head.lower()], value.strip()
        elif not colon:
            raise InvalidInput("schema", head, "a statement is attributetype, objectclass or objectidentifier")


def _unfolded(text: str) -> list[str]:
    """Join lines that are continued: in LDIF one blank is dropped, in a schema file it parts words."""
    ldif = re.search(r"^dn:", text, re.MULTILINE) is not None
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line[0] in " \t" and lines:
            lines[-1] += line[1:] if ldif else " " + line.strip()
        else:
            lines.append(line.rstrip())
    return lines
