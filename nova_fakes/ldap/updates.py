"""The changes that clients make: add, delete, modify and rename (RFC 4511 §4.6 to §4.9).

As in slapd each has two parts: what can be checked without the entry, then the rest. The first is done at once and
gives a function for the second, so that a transaction can put that off.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING

from nova_fakes.ldap.access import Identity
from nova_fakes.ldap.changes import Changes, check_counts
from nova_fakes.ldap.dn import Dn
from nova_fakes.ldap.entry import GENERATED, Entry, Values, csn, seconds
from nova_fakes.ldap.options import NONE, Attributes, Change, Modification, Options, Outcome, ReadEntry
from nova_fakes.ldap.referrals import is_alias, is_referral, is_subentry
from nova_fakes.ldap.results import LdapError, ResultCode
from nova_fakes.ldap.schema import Attribute

if TYPE_CHECKING:
    from nova_fakes.ldap.directory import Directory

__all__ = ["Update", "Updates"]

Update = Callable[[], Outcome]
CONFIGURATION = "cn=config"


class Updates:
    """Makes the changes of one directory."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._schema = directory.schema
        self._checker = directory.checker
        self._changes = Changes(directory.schema, directory.checker)
        self._numbers = count(1)
        self._change_number = count()
        self._last_number = self._last_change = 0

    def number_after(self, entry: Entry) -> None:
        """Number what comes after an entry of an earlier process, and its changes after those of the entry."""
        self._numbers = count(max(entry.id, self._last_number) + 1)
        self._last_number = max(entry.id, self._last_number)
        self._last_change = max(entry.change, self._last_change)
        self._change_number = count(self._last_change + 1)

    # -- what all have in common -------------------------------------------

    def _admit(
        self, who: Identity, dn: Dn, options: Options, *, of_configuration: ResultCode, is_new: bool = False
    ) -> None:
        """Refuse what is elsewhere, who has not bound, and what another server has.

        :param of_configuration: what slapd answers for its own configuration, which nobody here may change
        :param is_new: whether an entry is to be added
        :raises LdapError: UNWILLING_TO_PERFORM, STRONGER_AUTH_REQUIRED, REFERRAL
        """
        directory = self._directory
        if dn.key == CONFIGURATION and not who.is_anonymous:
            words = "cannot rename between DSAs" if of_configuration is ResultCode.AFFECTS_MULTIPLE_DSAS else ""
            raise LdapError(of_configuration, words)
        if not directory.holds(dn) and dn.key != CONFIGURATION:
            raise LdapError(ResultCode.UNWILLING_TO_PERFORM, "no global superior knowledge")
        if options.unavailable:
            text = "critical control unavailable in context"
            raise LdapError(ResultCode.UNAVAILABLE_CRITICAL_EXTENSION, text)
        if who.is_anonymous:
            raise LdapError(ResultCode.STRONGER_AUTH_REQUIRED, "modifications require authentication")
        entry, nearest = directory.find(dn)
        directory.refuse_referral(dn, entry.parent if is_new and entry is not None else nearest, options)

    def stamp(self, who: Dn, entry: Entry, *, is_new: bool = False) -> None:
        """Write into an entry who changed it, and when."""
        now = self._directory.clock.now()
        name = self._directory.interned(who.text.encode())
        entry.modifier, entry.modified_s, entry.change = name, now, next(self._change_number)
        if is_new:
            entry.creator, entry.created_s = name, now
            entry.uuid = self._identifier()

    def _identifier(self) -> str:
        """Make up a UUID of version 4."""
        bits = self._directory.rng.getrandbits(128) & ~(0xF << 76) | 4 << 76
        digits = f"{bits & ~(3 << 62) | 2 << 62:032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def _outcome(self, who: Identity, entry: Entry, options: Options, before: ReadEntry | None = None) -> Outcome:
        outcome = Outcome(pre_read=before)
        if options.post_read is not None:
            outcome.post_read = self._directory.read(who, entry, options.post_read)
        return outcome

    def _read_before(self, who: Identity, entry: Entry, options: Options) -> ReadEntry | None:
        return self._directory.read(who, entry, options.pre_read) if options.pre_read is not None else None

    # -- add ---------------------------------------------------------------

    def add(
        self, who: Identity, text: str, attributes: Iterable[tuple[str, Iterable[bytes]]], options: Options
    ) -> Update:
        """Prepare to add an entry.

        :raises LdapError: where it cannot be added, whatever there is
        """
        given = [(name, tuple(values)) for name, values in attributes]
        if any(not values for _, values in given):
            raise LdapError(ResultCode.PROTOCOL_ERROR, "no values for attribute type")
        dn = self._directory.parse_dn(text)
        if not given:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "no attributes provided")
        if not dn.rdns:
            raise LdapError(ResultCode.ALREADY_EXISTS, "root DSE already exists")
        if dn == self._directory.administrative.subschema_dn:
            raise LdapError(ResultCode.ALREADY_EXISTS, "subschema subentry already exists")
        checked = [self._checker.named_values(name, values) for name, values in given]
        self._admit(who, dn, options, of_configuration=ResultCode.INSUFFICIENT_ACCESS, is_new=True)
        collected = self._collected(checked, options)
        return lambda: self._add(who, dn, collected, options)

    def _collected(self, checked: Sequence[tuple[Attribute, Values]], options: Options) -> dict[Attribute, Values]:
        collected: dict[Attribute, Values] = {}
        for attribute, _ in checked:
            self._checker.refuse_generated(attribute, relax=options.relax)
        for attribute, values in checked:
            if attribute in collected:
                text = f"attribute '{attribute.name}' provided more than once"
                raise LdapError(ResultCode.TYPE_OR_VALUE_EXISTS, text)
            collected[attribute] = values
        return collected

    def _add(self, who: Identity, dn: Dn, attributes: dict[Attribute, Values], options: Options) -> Outcome:
        directory = self._directory
        stamps = {one: attributes.pop(one) for one in list(attributes) if one.type.name in GENERATED}
        entry = Entry(next(self._numbers), "", "", attributes)
        entry.structural = self._checker.entry(attributes, dn.rdns[0], is_new=True)
        self.stamp(who.dn, entry, is_new=True)
        restore_stamps(entry, stamps)
        entry.name(dn)
        directory.check_assertion(who, entry, options)
        parent = self._parent_for(who, dn)
        entry.name(dn.rdns[0] if parent is not None else dn)
        entry.parent = parent
        if not who.is_root:
            directory.require(who, entry, "entry", "write", "no write access to entry")
            for attribute in attributes:
                directory.require(who, entry, attribute.type.name, "write", "no write access to attribute")
        directory.link(entry, parent)
        for overlay in directory.overlays:
            overlay.added(entry)
        return self._outcome(who, entry, options)

    def _parent_for(self, who: Identity, dn: Dn) -> Entry | None:
        """Return the entry that a new one comes under; None for the topmost.

        :raises LdapError: where there is none, or it takes no entries
        """
        directory = self._directory
        entry, nearest = directory.find(dn)
        if entry is not None:
            raise LdapError(ResultCode.ALREADY_EXISTS)
        if dn == directory.suffix:
            if not who.is_root:
                raise LdapError(ResultCode.INSUFFICIENT_ACCESS, "no write access to parent")
            return None
        if nearest is None or nearest.dn_key() != dn.parent().key:
            raise LdapError(ResultCode.NO_SUCH_OBJECT, matched=nearest.dn() if nearest is not None else "")
        directory.require(who, nearest, "children", "write", "no write access to parent")
        if is_subentry(nearest):
            raise LdapError(ResultCode.OBJECT_CLASS_VIOLATION, "parent is a subentry")
        if is_alias(nearest):
            raise LdapError(ResultCode.ALIAS_PROBLEM, "parent is an alias")
        directory.refuse_referral(dn, nearest, NONE)
        return nearest

    # -- delete ------------------------------------------------------------

    def delete(self, who: Identity, text: str, options: Options) -> Update:
        """Prepare to delete an entry.

        :raises LdapError: where it cannot be deleted, whatever there is
        """
        dn = self._directory.parse_dn(text)
        if not dn.rdns or dn == self._directory.administrative.subschema_dn:
            raise LdapError(ResultCode.UNWILLING_TO_PERFORM, "cannot delete the root DSE")
        self._admit(who, dn, options, of_configuration=ResultCode.NOT_ALLOWED_ON_NONLEAF)
        return lambda: self._delete(who, dn, options)

    def _delete(self, who: Identity, dn: Dn, options: Options) -> Outcome:
        directory = self._directory
        entry = directory.get(dn, options)
        if entry.parent is not None:
            directory.require(who, entry.parent, "children", "write", "no write access to parent")
        elif not who.is_root:
            raise LdapError(ResultCode.INSUFFICIENT_ACCESS)
        directory.check_assertion(who, entry, options)
        directory.require(who, entry, "entry", "write", "no write access to entry")
        if entry.children and not (options.tree_delete and directory.tree_delete):
            raise LdapError(ResultCode.NOT_ALLOWED_ON_NONLEAF, "subordinate objects must be deleted first")
        before = self._read_before(who, entry, options)
        gone = [*entry.subtree()][::-1]
        directory.unlink(entry)
        for one in gone:
            number = csn(directory.clock.now(), next(self._change_number))
            for overlay in directory.overlays:
                overlay.removed(one, number)
        return Outcome(pre_read=before)

    # -- modify ------------------------------------------------------------

    def modify(self, who: Identity, text: str, modifications: Sequence[Modification], options: Options) -> Update:
        """Prepare to change an entry's attributes.

        :raises LdapError: where they cannot be changed, whatever there is
        """
        check_counts(modifications)
        dn = self._directory.parse_dn(text)
        checked = self._changes.check(modifications)
        if not dn.rdns:
            raise LdapError(ResultCode.UNWILLING_TO_PERFORM, "modify upon the root DSE not supported")
        if dn == self._directory.administrative.subschema_dn:
            raise LdapError(ResultCode.UNWILLING_TO_PERFORM, "modification of subschema subentry not supported")
        self._admit(who, dn, options, of_configuration=ResultCode.INSUFFICIENT_ACCESS)
        for change in checked:
            self._checker.refuse_generated(change.attribute, relax=options.relax)

        def update() -> Outcome:
            entry = self._directory.get(dn, options)
            self._directory.check_assertion(who, entry, options)
            before = self._read_before(who, entry, options)
            for change in checked:
                self._directory.require(who, entry, change.attribute.type.name, "write")
            attributes = self._changes.apply(entry.attributes, checked, options.permissive)
            stamps = {one: attributes.pop(one) for one in list(attributes) if one.type.name in GENERATED}
            structural = self._checker.entry(attributes, dn.rdns[0], entry, relax=options.relax)
            replaced = {change.attribute for change in checked if change.change is Change.REPLACE}
            self.replace(who.dn, entry, attributes, replaced)
            entry.structural = structural
            restore_stamps(entry, stamps)
            return self._outcome(who, entry, options, before)

        return update

    def replace(
        self, who: Dn, entry: Entry, attributes: dict[Attribute, Values], replaced: Container[Attribute] = ()
    ) -> None:
        """Give an entry other attributes, which are good for it.

        :param replaced: those whose values were given as a whole
        """
        before = entry.attributes
        self._directory.replace(entry, attributes)
        self.stamp(who, entry)
        for overlay in self._directory.overlays:
            overlay.modified(entry, before, replaced)

    # -- rename ------------------------------------------------------------

    def rename(
        self, who: Identity, text: str, new_rdn: str, delete_old: bool, new_superior: str | None, options: Options
    ) -> Update:
        """Prepare to give an entry another RDN, another parent, or both.

        :raises LdapError: where it cannot have them, whatever there is
        """
        directory = self._directory
        dn = directory.parse_dn(text)
        named = directory.parse_dn(new_rdn, "invalid new RDN")
        if named.depth() != 1:
            raise LdapError(ResultCode.INVALID_DN_SYNTAX, "invalid new RDN")
        above = directory.parse_dn(new_superior, "invalid newSuperior") if new_superior is not None else dn.parent()
        self._changes.check_name(named.rdns[0])
        if not dn.rdns:
            raise LdapError(ResultCode.UNWILLING_TO_PERFORM, "cannot rename the root DSE")
        if dn == directory.administrative.subschema_dn:
            raise LdapError(ResultCode.UNWILLING_TO_PERFORM, "cannot rename subschema subentry")
        target = Dn((named.rdns[0], *above.rdns))
        _refuse_misplacing(dn, target)
        self._admit(who, dn, options, of_configuration=ResultCode.AFFECTS_MULTIPLE_DSAS)
        if not directory.holds(above):
            raise LdapError(ResultCode.AFFECTS_MULTIPLE_DSAS, "cannot rename between DSAs")

        def update() -> Outcome:
            entry = self._renamable(who, dn, options)
            parent = self._new_parent(who, entry, above) if above != dn.parent() else entry.parent
            there, _ = directory.find(target)
            if there is not None and there is not entry:
                raise LdapError(ResultCode.ALREADY_EXISTS)
            before = self._read_before(who, entry, options)
            attributes = self._changes.renamed(entry.attributes, dn.rdns[0], named.rdns[0], delete_old)
            self._checker.entry(attributes, named.rdns[0], entry)
            old = directory.schema.dn(entry.dn())
            directory.move(entry, named.rdns[0], parent)
            directory.replace(entry, attributes)
            self.stamp(who.dn, entry)
            for overlay in directory.overlays:
                overlay.renamed(entry, old)
            outcome = self._outcome(who, entry, options, before)
            if outcome.post_read is not None and parent is not None and above == dn.parent():
                # An entry that stays under its parent is given under the name that it was asked for by.
                outcome.post_read = _renamed_read(outcome.post_read[1], f"{entry.rdn},{dn.parent().text}")
            return outcome

        return update

    def _renamable(self, who: Identity, dn: Dn, options: Options) -> Entry:
        """Return the entry that shall have another name.

        :raises LdapError: where there is none, or it may not be renamed
        """
        directory = self._directory
        under, _ = directory.find(dn.parent())
        if under is None and dn != directory.suffix:
            raise LdapError(ResultCode.NO_SUCH_OBJECT)
        if under is not None:
            directory.require(who, under, "children", "write", "no write access to parent's children")
        entry = directory.get(dn, options)
        directory.check_assertion(who, entry, options)
        directory.require(who, entry, "entry", "write", "no write access to old entry")
        return entry

    def _new_parent(self, who: Identity, entry: Entry, above: Dn) -> Entry:
        """Return the entry that another one shall come under.

        :raises LdapError: NO_SUCH_OBJECT, ALIAS_PROBLEM, OTHER or INSUFFICIENT_ACCESS
        """
        parent, _ = self._directory.find(above)
        if parent is None or parent.is_below(entry):
            raise LdapError(ResultCode.NO_SUCH_OBJECT, "new superior not found")
        self._directory.require(who, parent, "children", "write", "no write access to new superior's children")
        if is_alias(parent):
            raise LdapError(ResultCode.ALIAS_PROBLEM, "new superior is an alias")
        if is_referral(parent):
            raise LdapError(ResultCode.OTHER, "new superior is a referral")
        return parent


def _renamed_read(attributes: Attributes, name: str) -> ReadEntry:
    if attributes.get("entryDN"):
        attributes["entryDN"] = [name.encode("utf-8", "surrogateescape")]
    return name, attributes


def _refuse_misplacing(dn: Dn, target: Dn) -> None:
    """Refuse to place an entry where it is above or below itself."""
    if target != dn and target.is_below(dn):
        raise LdapError(ResultCode.UNWILLING_TO_PERFORM, "cannot place an entry below itself")
    if target != dn and dn.is_below(target):
        raise LdapError(ResultCode.UNWILLING_TO_PERFORM, "cannot place an entry above itself")


def restore_stamps(entry: Entry, given: Mapping[Attribute, Values]) -> None:
    """Write into an entry what else the directory makes up: of the stamps, those that were given."""
    for attribute, (value, *_) in given.items():
        match attribute.type.name:
            case "entryUUID":
                entry.uuid = value.decode()
            case "creatorsName":
                entry.creator = value
            case "modifiersName":
                entry.modifier = value
            case "createTimestamp":
                entry.created_s = seconds(value)
            case "modifyTimestamp":
                entry.modified_s = seconds(value)
