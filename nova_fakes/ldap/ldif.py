"""Entries as text: LDIF (RFC 2849)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from operator import attrgetter

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.entry import Entry
from nova_fakes.ldap.options import Options

__all__ = ["dump", "load", "read", "write"]

Record = tuple[str, list[tuple[str, list[bytes]]]]
"""A DN, and attributes with their values in order."""

LINE = re.compile(r"([^:]+):(:?) *(.*)", re.DOTALL)
SAFE = re.compile(rb"(?![ :<])[\x01-\x09\x0b\x0c\x0e-\x7f]*(?<! )")
WIDTH = 76
BY_NUMBER = attrgetter("id")


def read(text: str) -> Iterator[Record]:
    """Give the entries of an LDIF text.

    :raises InvalidInput: where a line is not LDIF, or a record is a change other than adding an entry
    """
    for block in re.split(r"\n(?:[ \t]*\n)+", text.replace("\r\n", "\n").strip("\n")):
        lines = [line for line in block.split("\n") if not line.startswith("#")]
        unfolded = "\n".join(lines).replace("\n ", "").split("\n")
        pairs = [_pair(line) for line in unfolded if line and not line.startswith("version:")]
        if pairs:
            yield _record(pairs)


def _pair(line: str) -> tuple[str, bytes]:
    match = LINE.fullmatch(line)
    if match is None or match[3].startswith("<"):
        raise InvalidInput("LDIF", line, "write `attribute: value`, or `attribute:: base64`")
    if not match[2]:
        return match[1], match[3].encode()
    try:
        return match[1], base64.b64decode(match[3], validate=True)
    except binascii.Error:
        raise InvalidInput("LDIF", line, "what follows two colons is base64") from None


def _record(pairs: list[tuple[str, bytes]]) -> Record:
    name, dn = pairs[0]
    if name.lower() != "dn":
        raise InvalidInput("LDIF", name, "an entry begins with its dn")
    attributes: dict[str, list[bytes]] = {}
    spelled: dict[str, str] = {}
    for name, value in pairs[1:]:
        if name.lower() == "changetype":
            if value != b"add":
                raise InvalidInput("LDIF", f"changetype: {value.decode()}", "give entries, not changes of them")
            continue
        attributes.setdefault(spelled.setdefault(name.lower(), name), []).append(value)
    return dn.decode("utf-8", "surrogateescape"), list(attributes.items())


def write(records: Iterable[tuple[str, Iterable[tuple[str, Iterable[bytes]]]]]) -> str:
    """Write entries as LDIF."""
    return "\n".join(
        _line("dn", dn.encode("utf-8", "surrogateescape"))
        + "".join(_line(name, value) for name, values in attributes for value in values)
        for dn, attributes in records
    )


def _line(name: str, value: bytes) -> str:
    if SAFE.fullmatch(value):
        line = f"{name}: {value.decode()}" if value else f"{name}:"
    else:
        line = f"{name}:: {base64.b64encode(value).decode()}"
    folded = [line[:WIDTH]] + [" " + line[at : at + WIDTH - 1] for at in range(WIDTH, len(line), WIDTH - 1)]
    return "\n".join(folded) + "\n"


def load(directory: Directory, text: str) -> int:
    """Add the entries of an LDIF text as the root DN, with the operational attributes that it gives them.

    :returns: how many there were
    :raises InvalidInput: where it is not LDIF
    :raises LdapError: where an entry cannot be added
    """
    root = directory.identity(directory.root_dn)
    records = list(read(text))
    for dn, attributes in records:
        kept = [(name, values) for name, values in attributes if name.lower() not in DERIVED]
        directory.add(root, dn, kept, Options(relax=True, manage_dsa_it=True))
    return len(records)


DERIVED = {"structuralobjectclass", "entrycsn", "entrydn", "subschemasubentry", "hassubordinates"}


def dump(directory: Directory, *, operational: bool = True) -> str:
    """Write all entries of a directory as LDIF, parents first.

    :param operational: with the attributes that the directory makes up
    """
    root = directory.identity(directory.root_dn)
    names = ("*", "+") if operational else ("*",)
    read_as_root = (directory.read(root, entry, names) for entry in _in_order(directory.root))
    return write(
        (dn, [one for one in attributes.items() if one[0].lower() not in DERIVED]) for dn, attributes in read_as_root
    )


def _in_order(top: Entry | None) -> Iterator[Entry]:
    """Give entries, parents first, those under one parent in the order in which they were added."""
    pending = [top] if top is not None else []
    while pending:
        entry = pending.pop()
        yield entry
        if entry.children:
            pending.extend(sorted(entry.children.values(), key=BY_NUMBER, reverse=True))
