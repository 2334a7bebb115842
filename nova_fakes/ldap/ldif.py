"""Entries and changes as text: LDIF (RFC 2849)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from operator import attrgetter

from nova_fakes.ldap import messages
from nova_fakes.ldap.access import Identity
from nova_fakes.ldap.controls import ControlReader
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.entry import Entry
from nova_fakes.ldap.ldif_changes import (
    Add,
    Delete,
    Modify,
    Record,
    Rename,
    read_record,
    write_attributes,
    write_change,
)
from nova_fakes.ldap.ldif_text import blocks, refuse, write_line
from nova_fakes.ldap.options import Options
from nova_fakes.ldap.results import LdapError

__all__ = ["dump", "load", "read", "read_changes", "write", "write_changes"]

BY_NUMBER = attrgetter("id")
# What follows from the rest, and is not to be told.
DERIVED = {"structuralobjectclass", "entrycsn", "entrydn", "subschemasubentry", "hassubordinates"}
TAGS: dict[type, int] = {
    Add: messages.ADD,
    Delete: messages.DELETE,
    Modify: messages.MODIFY,
    Rename: messages.RENAME,
}


def read(text: str, *, read_files: bool = False) -> Iterator[tuple[str, list[tuple[str, list[bytes]]]]]:
    """Give the entries of an LDIF text: a DN, and attributes with their values in order.

    :param read_files: whether values may be taken from `file:` URLs
    :raises InvalidInput: where a line is not LDIF, or a record is a change other than adding an entry
    """
    for record in read_changes(text, read_files=read_files):
        if not isinstance(record, Add):
            refuse(record.line, f"dn: {record.dn}", "give entries, not changes of them")
        yield record.dn, record.attributes


def read_changes(text: str, *, read_files: bool = False) -> Iterator[Record]:
    """Give the records of an LDIF text; entries are such that are to be added.

    :param read_files: whether values may be taken from `file:` URLs
    :raises InvalidInput: where a line is not LDIF, or something in a record is wrong
    """
    return map(read_record, blocks(text, read_files=read_files))


def write(records: Iterable[tuple[str, Iterable[tuple[str, Iterable[bytes]]]]]) -> str:
    """Write entries as LDIF."""
    return "\n".join(
        write_line("dn", dn.encode("utf-8", "surrogateescape")) + write_attributes(attributes)
        for dn, attributes in records
    )


def write_changes(records: Iterable[Record]) -> str:
    """Write changes as LDIF."""
    return "\n".join(map(write_change, records))


def load(directory: Directory, text: str, *, read_files: bool = False) -> int:
    """Add the entries of an LDIF text and make its changes as the root DN, all of them or none.

    Entries get the operational attributes that the text gives them. The log tells nothing of it, and no fault rule
    strikes.

    :param read_files: whether values may be taken from `file:` URLs
    :returns: how many records there were
    :raises InvalidInput: where it is not LDIF
    :raises LdapError: where a record cannot be done; its text names the line and the entry
    """
    root = directory.identity(directory.root_dn)
    number = 0
    with directory.operations.atomic():
        for record in read_changes(text, read_files=read_files):
            number += 1
            try:
                _do(directory, root, record)
            except LdapError as error:
                where = f"LDIF line {record.line}, dn: {record.dn}"
                told = f"{where}: {error.text}" if error.text else where
                raise LdapError(error.code, told, matched=error.matched, referrals=error.referrals) from None
    return number


def _do(directory: Directory, who: Identity, record: Record) -> None:
    options = Options()
    if record.controls:
        controls = ControlReader(directory, lambda name: who)
        options = controls.read(TAGS[type(record)], record.controls).options
    options = replace(options, relax=True, manage_dsa_it=True)
    match record:
        case Add(dn, attributes):
            kept = [(name, values) for name, values in attributes if name.lower() not in DERIVED]
            directory.add(who, dn, kept, options)
        case Delete(dn):
            directory.delete(who, dn, options)
        case Modify(dn, changes):
            directory.modify(who, dn, changes, options)
        case Rename(dn, new_rdn, delete_old, superior):
            directory.rename(who, dn, new_rdn, delete_old=delete_old, new_superior=superior, options=options)


def dump(directory: Directory, *, operational: bool = True) -> str:
    """Write all entries of a directory as LDIF: parents first, those under one parent in the order of their adding.

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
