"""What follows from changes: memberOf, and references that follow entries, as by slapd's memberof and refint."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import TYPE_CHECKING, Protocol

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap.dn import Dn
from nova_fakes.ldap.entry import Entry, Values
from nova_fakes.ldap.results import LdapError
from nova_fakes.ldap.schema import Attribute, Schema

if TYPE_CHECKING:
    from nova_fakes.ldap.directory import Directory

__all__ = ["MEMBER_OF", "MemberOf", "Overlay", "ReferentialIntegrity"]

MEMBER_OF = """\
attributetype ( 1.2.840.113556.1.2.102 NAME 'memberOf' DESC 'Group that the entry belongs to'
  EQUALITY distinguishedNameMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.12
  NO-USER-MODIFICATION USAGE dSAOperation X-ORIGIN 'iPlanet Delegated Administrator' )
"""
INTEGRITY_DN = "cn=Referential Integrity Overlay"


class Overlay(Protocol):
    """Something that is told of each change once it has been made."""

    def added(self, entry: Entry) -> None:
        """Note a new entry."""

    def modified(self, entry: Entry, before: dict[Attribute, Values], replaced: Container[Attribute]) -> None:
        """Note that an entry has other attributes.

        :param replaced: those whose values were given as a whole
        """

    def renamed(self, entry: Entry, old: Dn) -> None:
        """Note that an entry has another name, and with it all below."""

    def removed(self, entry: Entry, number: bytes) -> None:
        """Note that an entry is gone; it still knows where it was.

        :param number: of the change (CSN)
        """


class MemberOf:
    """Gives the members of groups (`groupOfNames`) a memberOf for each group that they are in."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        if directory.schema.find_attribute("memberOf") is None:
            directory.schema.load(MEMBER_OF)
        self._member = directory.schema.attribute("member")
        self._member_of = directory.schema.attribute("memberOf")
        self._group = directory.schema.classes["groupofnames"]

    def _members(self, entry: Entry, attributes: dict[Attribute, Values]) -> dict[str, bytes]:
        """Return the members of a group; none where an entry is not one."""
        schema = self._directory.schema
        classes = attributes.get(schema.attribute("objectClass"), ())
        if not any(self._group in known.chain for value in classes if (known := schema.object_class(value))):
            return {}
        return {schema.dn_key(value): value for value in attributes.get(self._member, ())}

    def _change(self, member: bytes, old: Dn | None, new: Dn | None) -> None:
        """Take one group out of an entry's memberOf and put another in; entries that there are not are left alone."""
        schema = self._directory.schema
        entry, _ = self._directory.find(schema.dn(member.decode("utf-8")))
        if entry is None:
            return
        have = entry.attributes.get(self._member_of, ())
        kept = tuple(value for value in have if old is None or schema.dn_key(value) != old.key)
        if new is not None and all(schema.dn_key(value) != new.key for value in kept):
            kept = (*kept, new.text.encode("utf-8", "surrogateescape"))
        if kept == have:
            return
        attributes = dict(entry.attributes)
        attributes.pop(self._member_of, None)
        if kept:
            attributes[self._member_of] = kept
        self._directory.updates.replace(self._directory.root_dn, entry, attributes)

    def _own(self, entry: Entry) -> Dn:
        return self._directory.schema.dn(entry.dn())

    def added(self, entry: Entry) -> None:
        """Tell the members of a new group."""
        own = self._own(entry)
        for key, member in self._members(entry, entry.attributes).items():
            if key != own.key:
                self._change(member, None, own)

    def modified(self, entry: Entry, before: dict[Attribute, Values], replaced: Container[Attribute]) -> None:
        """Tell who has come into a group and who has gone."""
        own = self._own(entry)
        old, new = self._members(entry, before), self._members(entry, entry.attributes)
        # Where the members are replaced, slapd takes the group from each that there was and gives it anew.
        gone = {key: value for key, value in old.items() if key not in new or self._member in replaced}
        for value in gone.values():
            self._change(value, own, None)
        for key, value in new.items():
            if key not in old or key in gone:
                self._change(value, None, own)

    def renamed(self, entry: Entry, old: Dn) -> None:
        """Tell the members of a group its new name."""
        own = self._own(entry)
        if own == old:
            return
        for member in self._members(entry, entry.attributes).values():
            self._change(member, old, own)

    def removed(self, entry: Entry, number: bytes) -> None:
        """Tell the members of a group that it is gone."""
        own = self._own(entry)
        for member in self._members(entry, entry.attributes).values():
            self._change(member, own, None)


class ReferentialIntegrity:
    """Lets the values of some attributes follow the entries that they name: renamed with them, deleted with them.

    A value stays where the entry that has it may not be without; so it is with slapd.

    :param attributes: names of attributes whose values are DNs
    :raises InvalidInput: where one is not
    """

    def __init__(self, directory: Directory, attributes: Iterable[str]) -> None:
        self._directory = directory
        self._schema: Schema = directory.schema
        self._attributes = [self._dn_valued(name) for name in attributes]
        self._dn = self._schema.dn(INTEGRITY_DN)

    def _dn_valued(self, name: str) -> Attribute:
        attribute = self._schema.find_attribute(name)
        if attribute is None or not self._schema.is_dn_valued(attribute.type):
            raise InvalidInput("integrity", name, "name attributes of the schema whose values are DNs, such as member")
        return attribute

    def added(self, entry: Entry) -> None:
        """Do nothing: no value names what has just come."""

    def modified(self, entry: Entry, before: dict[Attribute, Values], replaced: Container[Attribute]) -> None:
        """Do nothing: the entry keeps its name."""

    def renamed(self, entry: Entry, old: Dn) -> None:
        """Let values that name an entry, or what is below it, name it by its new name."""
        self._follow(old, self._schema.dn(entry.dn()))

    def removed(self, entry: Entry, number: bytes) -> None:
        """Take the values away that name an entry, or what is below it."""
        self._follow(self._schema.dn(entry.dn()), None)

    def _follow(self, old: Dn, new: Dn | None) -> None:
        for entry in [*self._directory.entries()]:
            changed = {}
            for attribute in self._attributes:
                have = entry.attributes.get(attribute, ())
                touched = [value for value in have if self._is_below(value, old)]
                if touched:
                    kept = [value for value in have if value not in touched]
                    # As slapd does it, what is named anew comes last, the renamed entry itself behind what is below it.
                    touched.sort(key=lambda value: self._schema.dn_key(value) == old.key)
                    moved = [self._moved(value, old, new) for value in touched] if new is not None else []
                    changed[attribute] = (*kept, *moved)
            if changed:
                attributes = {name: values for name, values in (entry.attributes | changed).items() if values}
                self._replace(entry, attributes)

    def _is_below(self, value: bytes, name: Dn) -> bool:
        return self._schema.dn(value.decode("utf-8")).is_below(name)

    def _moved(self, value: bytes, old: Dn, new: Dn) -> bytes:
        """Return a value that names an entry under its old name, with the new one."""
        dn = self._schema.dn(value.decode("utf-8"))
        return Dn((*dn.rdns[: dn.depth() - old.depth()], *new.rdns)).text.encode("utf-8", "surrogateescape")

    def _replace(self, entry: Entry, attributes: dict[Attribute, Values]) -> None:
        rdn = self._schema.dn(entry.rdn).rdns[0]
        try:
            self._directory.checker.entry(attributes, rdn, entry)
        except LdapError:
            return
        self._directory.updates.replace(self._dn, entry, attributes)
