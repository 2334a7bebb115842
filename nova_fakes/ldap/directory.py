"""The engine: a tree of entries, and the operations of LDAP on it as slapd does them (RFC 4511 §4)."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path

from nova_fakes.clock import Clock, SystemClock
from nova_fakes.exceptions import InvalidInput
from nova_fakes.faults import Faults
from nova_fakes.ldap import passwords
from nova_fakes.ldap.access import ANONYMOUS, Access, AccessRule, Identity
from nova_fakes.ldap.administrative import Administrative
from nova_fakes.ldap.changes import Changes
from nova_fakes.ldap.checking import Checker
from nova_fakes.ldap.dn import Dn
from nova_fakes.ldap.entry import GENERATED, Entry, Values, seconds
from nova_fakes.ldap.filters import Equality
from nova_fakes.ldap.history import History, Snapshot
from nova_fakes.ldap.indexes import Indexes
from nova_fakes.ldap.matching import asserted_key, compile_filter
from nova_fakes.ldap.offered import CONTROLS, EXTENSIONS, MECHANISMS, TREE_DELETE
from nova_fakes.ldap.operation_log import KEPT, OperationLog
from nova_fakes.ldap.operations import Operations, operation
from nova_fakes.ldap.options import NONE, Change, Entries, Modification, Options, ReadEntry, SearchRequest
from nova_fakes.ldap.referrals import is_alias, is_referral, referral_error
from nova_fakes.ldap.results import LdapError, ResultCode
from nova_fakes.ldap.schema import Attribute, Schema
from nova_fakes.ldap.searching import Search
from nova_fakes.ldap.selection import Selection
from nova_fakes.ldap.store import Store

__all__ = ["Directory", "Outcome"]

SIZE_LIMIT = 500
COMPARE_REFUSED = {"entryDN", "subschemaSubentry"}


class Outcome:
    """What a change gives back: the entry as it was and as it is, where that was asked for."""

    __slots__ = ("post_read", "pre_read")

    def __init__(self) -> None:
        self.pre_read: ReadEntry | None = None
        self.post_read: ReadEntry | None = None


class Directory:
    """A directory with one naming context.

    :param suffix: DN of the topmost entry
    :param root_dn: DN that may do everything; `cn=admin` under the suffix where none is given
    :param root_password: its password; None where nobody shall bind as it
    :param schema: attribute types and object classes; those of core, cosine, inetorgperson and nis where none is given
    :param clock: tells the times that entries get
    :param rng: makes entryUUIDs, salts and passwords
    :param access: who may do what; where there are no rules, everybody may read
    :param size_limit: how many entries a search gives to whoever is not the root DN
    :param check_schema: False to take entries whatever their object classes demand and allow
    :param tree_delete: whether the control for deleting subtrees is offered; slapd does not offer it
    :param faults: rules of what goes wrong; the directory has its own where none are given
    :param keep_operations: how many operations the log keeps
    :param persist: an SQLite file, made where there is none, in which the entries outlive the process; close the
        directory when it is no longer needed
    :raises InvalidInput: where the suffix or the root DN is not a DN, or the file cannot be used
    """

    def __init__(
        self,
        suffix: str = "dc=example,dc=com",
        *,
        root_dn: str | None = None,
        root_password: str | None = "secret",
        schema: Schema | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        access: Iterable[AccessRule] = (),
        size_limit: int = SIZE_LIMIT,
        check_schema: bool = True,
        tree_delete: bool = False,
        faults: Faults | None = None,
        keep_operations: int = KEPT,
        persist: str | Path | None = None,
    ) -> None:
        self.schema = schema if schema is not None else Schema()
        self.suffix = self._named("suffix", suffix)
        self.root_dn = self._named("root_dn", root_dn if root_dn is not None else f"cn=admin,{suffix}")
        self.root_password = root_password.encode() if root_password is not None else None
        self.size_limit = size_limit
        self.tree_delete = tree_delete
        self.clock: Clock = clock if clock is not None else SystemClock()
        self.rng = rng if rng is not None else random.Random()
        self.access = Access(access, lambda text: self._named("access", text).key)
        self.checker = Checker(self.schema, check_schema)
        self.administrative = Administrative(
            self.schema,
            self.suffix,
            [*CONTROLS, TREE_DELETE] if tree_delete else CONTROLS,
            EXTENSIONS,
            MECHANISMS,
            self.clock.now(),
        )
        # For connections in several threads.
        self.root: Entry | None = None
        self.indexes = Indexes(self.schema, self.entries)
        self.history = History(self)
        self.log = OperationLog(self.schema.dn, keep_operations)
        self.operations = Operations(self.suffix.text, self.clock, self.history, self.log, faults)
        self.faults = self.operations.faults
        self._has_referrals = False
        self._interned: dict[bytes, bytes] = {}
        self._changes = Changes(self.schema, self.checker)
        self._numbers = count(1)
        self._change_number = count()
        self._object_class = self.schema.attribute("objectClass")
        self._password = self.schema.attribute("userPassword")
        self._store = Store(Path(persist), self) if persist is not None else None
        self.history.keeper = self._store

    def _named(self, field: str, text: str) -> Dn:
        try:
            return self.schema.dn(text)
        except ValueError:
            raise InvalidInput(field, text, "give a DN, such as dc=example,dc=com") from None

    # -- the tree ----------------------------------------------------------

    def entries(self) -> Iterator[Entry]:
        """Give all entries, parents first."""
        return iter(()) if self.root is None else self.root.subtree()

    def __len__(self) -> int:
        return sum(1 for _ in self.entries())

    def parse_dn(self, text: str, what: str = "invalid DN") -> Dn:
        """Read a DN.

        :raises LdapError: INVALID_DN_SYNTAX
        """
        try:
            return self.schema.dn(text)
        except ValueError:
            raise LdapError(ResultCode.INVALID_DN_SYNTAX, what) from None

    def holds(self, dn: Dn) -> bool:
        """Tell whether a DN is in the naming context."""
        return bool(dn.rdns) and dn.is_below(self.suffix)

    def find(self, dn: Dn) -> tuple[Entry | None, Entry | None]:
        """Return the entry of a DN, or None; and the last entry on the way to it."""
        if self.root is None or not self.holds(dn):
            return None, None
        entry = self.root
        for rdn in reversed(dn.rdns[: len(dn.rdns) - len(self.suffix.rdns)]):
            below = entry.children.get(rdn.key) if entry.children else None
            if below is None:
                return None, entry
            entry = below
        return entry, entry

    def get(self, dn: Dn, options: Options = NONE) -> Entry:
        """Return the entry of a DN.

        :raises LdapError: NO_SUCH_OBJECT, or REFERRAL where another server has it
        """
        entry, nearest = self.find(dn)
        self.refuse_referral(dn, nearest, options)
        if entry is None:
            raise LdapError(ResultCode.NO_SUCH_OBJECT, matched=nearest.dn() if nearest is not None else "")
        return entry

    def has_referrals(self) -> bool:
        """Tell whether there may be entries that refer to other servers."""
        return self._has_referrals

    def refuse_referral(self, dn: Dn, nearest: Entry | None, options: Options, scope: str = "") -> None:
        """Refer to other servers where the way to a DN leads through a referral.

        :raises LdapError: REFERRAL
        """
        if options.manage_dsa_it and nearest is not None and nearest.dn_key() == dn.key:
            return
        for above in self._way_up(nearest):
            if is_referral(above):
                raise referral_error(self.schema, above, dn, scope)

    def _way_up(self, entry: Entry | None) -> Iterator[Entry]:
        """Give an entry and those that it is under."""
        while entry is not None:
            yield entry
            entry = entry.parent

    def identity(self, dn: Dn) -> Identity:
        """Return whom a DN stands for."""
        return Identity(dn, bool(dn.rdns) and dn.key == self.root_dn.key)

    # -- versions ----------------------------------------------------------

    def adopt(self, entries: Iterable[Entry]) -> None:
        """Take the entries of an earlier process, each with its parent, in the order of their numbers."""
        last = last_change = 0
        for entry in entries:
            entry.structural = self.checker.structural(entry.attributes)
            self._has_referrals = self._has_referrals or is_referral(entry)
            self.attach(entry)
            last, last_change = entry.id, max(last_change, entry.change)
        self._numbers = count(last + 1)
        self._change_number = count(last_change + 1)

    def close(self) -> None:
        """Close the file in which the entries outlive the process, if there is one."""
        if self._store is not None:
            self._store.close()
            self._store = self.history.keeper = None

    def snapshot(self) -> Snapshot:
        """Return the entries as they are, to go back to; it costs what changes afterwards."""
        with self.operations.atomic():
            return self.history.snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Make the entries what they were; snapshots that were taken later can be gone to again.

        :raises InvalidInput: it is of another directory
        """
        with self.operations.atomic():
            self.history.restore(snapshot)

    def reset(self) -> None:
        """Drop all entries, fault rules and what the log has."""
        with self.operations.atomic():
            if self.root is not None:
                self._unlink(self.root)
        self.faults.clear()
        self.log.clear()

    # -- binding -----------------------------------------------------------

    @operation("bind")
    def bind(self, text: str, password: bytes) -> Identity:
        """Check a name and a password.

        :raises LdapError: INVALID_CREDENTIALS, UNWILLING_TO_PERFORM or INVALID_DN_SYNTAX
        """
        dn = self.parse_dn(text)
        if not dn.rdns:
            if password:
                raise LdapError(ResultCode.INVALID_CREDENTIALS)
            return ANONYMOUS
        if not password:
            text = "unauthenticated bind (DN with no password) disallowed"
            raise LdapError(ResultCode.UNWILLING_TO_PERFORM, text)
        if dn.key == self.root_dn.key and self.root_password is not None:
            if password == self.root_password:
                return Identity(dn, True)
            raise LdapError(ResultCode.INVALID_CREDENTIALS)
        entry, _ = self.find(dn)
        if entry is None or not self.knows_password(entry, password):
            raise LdapError(ResultCode.INVALID_CREDENTIALS)
        return self.identity(self.schema.dn(entry.dn()))

    def knows_password(self, entry: Entry, password: bytes) -> bool:
        """Tell whether a password is one of an entry's, and may be used to bind."""
        if not self.access.allows(ANONYMOUS, entry, "userPassword", "auth"):
            return False
        return any(passwords.matches(stored, password) for stored in entry.attributes.get(self._password, ()))

    # -- changing ----------------------------------------------------------

    def _writable(self, who: Identity, dn: Dn) -> None:
        """Refuse what nobody may change, what is elsewhere, and who has not bound."""
        if not self.holds(dn):
            raise LdapError(ResultCode.UNWILLING_TO_PERFORM, "no global superior knowledge")
        if who.is_anonymous:
            raise LdapError(ResultCode.STRONGER_AUTH_REQUIRED, "modifications require authentication")

    def _require(self, who: Identity, entry: Entry, attribute: str, level: str, text: str = "") -> None:
        if not self.access.allows(who, entry, attribute, level):
            raise LdapError(ResultCode.INSUFFICIENT_ACCESS, text)

    def _assert(self, entry: Entry, options: Options) -> None:
        if options.assertion is not None:
            matcher = compile_filter(options.assertion, self.schema)
            if not matcher(entry, None):
                raise LdapError(ResultCode.ASSERTION_FAILED)

    def read(self, who: Identity, entry: Entry, names: Sequence[str]) -> ReadEntry:
        """Return an entry with the attributes that are asked for and may be read."""
        selection = Selection(self.schema, names)
        if who.is_root:
            return entry.dn(), selection.read(entry)
        return entry.dn(), selection.read(entry, lambda one, type_: self.access.allows(who, one, type_.name, "read"))

    @operation("add")
    def add(
        self, who: Identity, text: str, attributes: Iterable[tuple[str, Iterable[bytes]]], options: Options = NONE
    ) -> Outcome:
        """Add an entry.

        :param attributes: names and values
        :raises LdapError: what slapd answers where it cannot be added
        """
        dn = self.parse_dn(text)
        given = [(name, tuple(values)) for name, values in attributes]
        self._refuse_valueless(given)
        if not dn.rdns:
            raise LdapError(ResultCode.ALREADY_EXISTS, "root DSE already exists")
        if dn == self.administrative.subschema_dn:
            raise LdapError(ResultCode.ALREADY_EXISTS, "subschema subentry already exists")
        checked = []
        for name, values in given:
            attribute = self.schema.attribute(name)
            checked.append((attribute, self.checker.values(attribute, values)))
        self._writable(who, dn)
        collected = self._collected(checked, options)
        given_stamps = {one: collected.pop(one) for one in list(collected) if one.type.name in GENERATED}
        if self.checker.enforce:
            self.checker.class_set(collected.get(self._object_class, ()))
        self.checker.add_naming_values(collected, dn.rdns[0])
        entry = Entry(next(self._numbers), "", "", collected)
        entry.structural = self.checker.entry(collected, dn.rdns[0])
        parent = self._parent_for(who, dn, options)
        self._assert(entry, options)
        self._stamp(who, entry, is_new=True)
        restore_stamps(entry, given_stamps)
        entry.name(dn.rdns[0] if parent is not None else dn)
        self._link(entry, parent)
        return self._outcome(who, entry, options)

    def _refuse_valueless(self, given: Sequence[tuple[str, Values]]) -> None:
        if not given:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "no attributes provided")
        if any(not values for _, values in given):
            raise LdapError(ResultCode.PROTOCOL_ERROR, "no values for attribute type")

    def _collected(self, checked: Iterable[tuple[Attribute, Values]], options: Options) -> dict[Attribute, Values]:
        collected: dict[Attribute, Values] = {}
        for attribute, values in checked:
            if not options.relax:
                self.checker.refuse_generated(attribute)
            if attribute in collected:
                text = f"attribute '{attribute.name}' provided more than once"
                raise LdapError(ResultCode.TYPE_OR_VALUE_EXISTS, text)
            collected[attribute] = values
        return collected

    def _parent_for(self, who: Identity, dn: Dn, options: Options) -> Entry | None:
        """Return the entry that a new one comes under; None for the topmost.

        :raises LdapError: where there is none, or it takes no entries
        """
        entry, nearest = self.find(dn)
        if entry is not None:
            self.refuse_referral(dn, entry.parent, options)
            raise LdapError(ResultCode.ALREADY_EXISTS)
        if dn == self.suffix:
            if not who.is_root:
                raise LdapError(ResultCode.INSUFFICIENT_ACCESS, "no write access to parent")
            return None
        above = dn.parent()
        if nearest is None or nearest.dn_key() != above.key:
            self.refuse_referral(dn, nearest, options)
            raise LdapError(ResultCode.NO_SUCH_OBJECT, matched=nearest.dn() if nearest is not None else "")
        self._require(who, nearest, "children", "write", "no write access to parent")
        if is_alias(nearest):
            raise LdapError(ResultCode.ALIAS_PROBLEM, "parent is an alias")
        self.refuse_referral(dn, nearest, NONE)
        return nearest

    def _stamp(self, who: Identity, entry: Entry, *, is_new: bool = False) -> None:
        """Write into an entry who changed it, and when."""
        now = self.clock.now()
        name = self.interned(who.dn.text.encode())
        entry.modifier, entry.modified_s, entry.change = name, now, next(self._change_number)
        if is_new:
            entry.creator, entry.created_s = name, now
            entry.uuid = self._identifier()

    def _identifier(self) -> str:
        """Make up a UUID of version 4."""
        bits = self.rng.getrandbits(128) & ~(0xF << 76) | 4 << 76
        digits = f"{bits & ~(3 << 62) | 2 << 62:032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def interned(self, value: bytes) -> bytes:
        """Return one and the same object for equal values that very many entries have."""
        return self._interned.setdefault(value, value)

    def _link(self, entry: Entry, parent: Entry | None) -> None:
        """Put an entry into the tree and the indexes."""
        self.history.note(entry)
        self._has_referrals = self._has_referrals or is_referral(entry)
        entry.parent = parent
        self.attach(entry)
        self.indexes.change(entry, {}, entry.attributes)

    def _unlink(self, entry: Entry) -> None:
        """Take an entry out of the tree, with all below it, and out of the indexes."""
        for one in reversed([*entry.subtree()]):
            self.history.note(one)
            self.detach(one)
            self.indexes.change(one, one.attributes, {})

    def attach(self, entry: Entry) -> None:
        """Put an entry under its parent; one without is the topmost."""
        parent = entry.parent
        if parent is None:
            self.root = entry
            return
        if parent.children is None:
            parent.children = {}
        parent.children[entry.key] = entry

    def detach(self, entry: Entry) -> None:
        """Take an entry from under its parent; it keeps what is below it."""
        if entry.parent is None:
            self.root = None
        elif entry.parent.children is not None:
            del entry.parent.children[entry.key]
            if not entry.parent.children:
                entry.parent.children = None

    def _outcome(self, who: Identity, entry: Entry, options: Options, before: ReadEntry | None = None) -> Outcome:
        outcome = Outcome()
        outcome.pre_read = before
        if options.post_read is not None:
            outcome.post_read = self.read(who, entry, options.post_read)
        return outcome

    def _read_before(self, who: Identity, entry: Entry, options: Options) -> ReadEntry | None:
        return self.read(who, entry, options.pre_read) if options.pre_read is not None else None

    @operation("delete")
    def delete(self, who: Identity, text: str, options: Options = NONE) -> Outcome:
        """Delete an entry.

        :raises LdapError: what slapd answers where it cannot be deleted
        """
        dn = self.parse_dn(text)
        if not dn.rdns or dn == self.administrative.subschema_dn:
            raise LdapError(ResultCode.UNWILLING_TO_PERFORM, "cannot delete the root DSE")
        self._writable(who, dn)
        entry = self.get(dn, options)
        if entry.parent is not None:
            self._require(who, entry.parent, "children", "write", "no write access to parent")
        self._require(who, entry, "entry", "write")
        self._assert(entry, options)
        if entry.children and not (options.tree_delete and self.tree_delete):
            raise LdapError(ResultCode.NOT_ALLOWED_ON_NONLEAF, "subordinate objects must be deleted first")
        before = self._read_before(who, entry, options)
        self._unlink(entry)
        outcome = Outcome()
        outcome.pre_read = before
        return outcome

    @operation("modify")
    def modify(
        self, who: Identity, text: str, modifications: Sequence[Modification], options: Options = NONE
    ) -> Outcome:
        """Change an entry's attributes: all of the changes, or none.

        :raises LdapError: what slapd answers where it cannot be changed
        """
        dn = self.parse_dn(text)
        if not dn.rdns:
            raise LdapError(ResultCode.UNWILLING_TO_PERFORM, "modify upon the root DSE not supported")
        if dn == self.administrative.subschema_dn:
            raise LdapError(ResultCode.UNWILLING_TO_PERFORM, "modification of subschema subentry not supported")
        checked = self._changes.check(modifications)
        self._writable(who, dn)
        if not options.relax:
            for change in checked:
                self.checker.refuse_generated(change.attribute)
        entry = self.get(dn, options)
        for change in checked:
            self._require(who, entry, change.attribute.type.name, "write")
        self._assert(entry, options)
        before = self._read_before(who, entry, options)
        attributes = self._changes.apply(entry.attributes, checked, options.permissive)
        self.checker.entry(attributes, dn.rdns[0], entry)
        self.history.note(entry)
        self._replace(who, entry, attributes)
        return self._outcome(who, entry, options, before)

    def _replace(self, who: Identity, entry: Entry, attributes: dict[Attribute, Values]) -> None:
        old, entry.attributes = entry.attributes, attributes
        self.indexes.change(entry, old, attributes)
        self._stamp(who, entry)

    @operation("rename")
    def rename(
        self,
        who: Identity,
        text: str,
        new_rdn: str,
        *,
        delete_old: bool = True,
        new_superior: str | None = None,
        options: Options = NONE,
    ) -> Outcome:
        """Give an entry another RDN, another parent, or both.

        :param delete_old: take the values of the old RDN out of the entry
        :raises LdapError: what slapd answers where it cannot be renamed
        """
        dn = self.parse_dn(text)
        if not dn.rdns:
            raise LdapError(ResultCode.UNWILLING_TO_PERFORM, "cannot rename the root DSE")
        if dn == self.administrative.subschema_dn:
            raise LdapError(ResultCode.UNWILLING_TO_PERFORM, "cannot rename subschema subentry")
        named = self.parse_dn(new_rdn, "invalid new RDN")
        if named.depth() != 1:
            raise LdapError(ResultCode.INVALID_DN_SYNTAX, "invalid new RDN")
        above = self.parse_dn(new_superior, "invalid newSuperior") if new_superior is not None else dn.parent()
        self._writable(who, dn)
        self._refuse_move(dn, above)
        under, _ = self.find(dn.parent())
        if under is not None:
            self._require(who, under, "children", "write", "no write access to parent's children")
        entry = self.get(dn, options)
        target = Dn((named.rdns[0], *above.rdns))
        parent = self._new_parent(who, entry, above, moves=new_superior is not None)
        self._assert(entry, options)
        there, _ = self.find(target)
        if there is not None and there is not entry:
            raise LdapError(ResultCode.ALREADY_EXISTS)
        before = self._read_before(who, entry, options)
        attributes = self._changes.renamed(entry.attributes, dn.rdns[0], named.rdns[0], delete_old)
        self.checker.entry(attributes, named.rdns[0], entry)
        self.history.note(entry)
        self.detach(entry)
        entry.name(named.rdns[0])
        entry.parent = parent
        self.attach(entry)
        self._replace(who, entry, attributes)
        return self._outcome(who, entry, options, before)

    def _refuse_move(self, dn: Dn, above: Dn) -> None:
        if not self.holds(above):
            raise LdapError(ResultCode.AFFECTS_MULTIPLE_DSAS, "cannot rename between DSAs")
        if above.is_below(dn):
            raise LdapError(ResultCode.UNWILLING_TO_PERFORM, "cannot place an entry below itself")

    def _new_parent(self, who: Identity, entry: Entry, above: Dn, *, moves: bool) -> Entry:
        """Return the entry that another one shall come under.

        :raises LdapError: NO_SUCH_OBJECT, ALIAS_PROBLEM or INSUFFICIENT_ACCESS
        """
        self._require(who, entry, "entry", "write", "no write access to entry")
        parent, _ = self.find(above)
        if parent is None:
            raise LdapError(ResultCode.NO_SUCH_OBJECT, "new superior not found")
        if moves:
            self._require(who, parent, "children", "write", "no write access to new superior")
            if is_alias(parent):
                raise LdapError(ResultCode.ALIAS_PROBLEM, "new superior is an alias")
            if is_referral(parent):
                raise LdapError(ResultCode.OTHER, "new superior is a referral")
        return parent

    @operation("passwd")
    def change_password(self, who: Identity, text: str | None, old: bytes | None, new: bytes | None) -> bytes | None:
        """Change a password (RFC 3062) and return the one that was made up where none was given.

        :param text: whose; who asks where it is None
        :raises LdapError: what slapd answers where it cannot be changed
        """
        if who.is_anonymous:
            raise LdapError(ResultCode.STRONGER_AUTH_REQUIRED, "only authenticated users may change passwords")
        for value, name in ((old, "old"), (new, "new")):
            if value == b"":
                raise LdapError(ResultCode.UNWILLING_TO_PERFORM, f"{name} password value is empty")
        try:
            dn = self.schema.dn(text) if text else who.dn
        except ValueError:
            raise LdapError(ResultCode.INVALID_SYNTAX, "Invalid DN") from None
        if not self.holds(dn) and old is None:
            raise LdapError(ResultCode.OTHER, "unable to retrieve SASL username")
        generated = passwords.generate(self.rng) if new is None else None
        entry, nearest = self.find(dn)
        if any(is_referral(one) for one in self._way_up(nearest)):
            raise LdapError(ResultCode.UNWILLING_TO_PERFORM, "referral missing")
        if entry is None and old is None:
            raise LdapError(ResultCode.NO_SUCH_OBJECT)
        if old is not None and (entry is None or not self.knows_password(entry, old)):
            raise LdapError(ResultCode.UNWILLING_TO_PERFORM, "unwilling to verify old password")
        stored = passwords.hash_ssha(new if new is not None else generated or b"", self.rng)
        self.modify(who, dn.text, [Modification(Change.REPLACE, "userPassword", (stored,))])
        return generated

    # -- reading -----------------------------------------------------------

    @operation("compare")
    def compare(self, who: Identity, text: str, name: str, value: bytes, options: Options = NONE) -> bool:
        """Tell whether an entry has a value.

        :raises LdapError: what slapd answers where it cannot tell
        """
        dn = self.parse_dn(text)
        attribute = self.schema.find_attribute(name)
        if attribute is None:
            raise LdapError(ResultCode.UNDEFINED_TYPE)
        if attribute.type.equality is None:
            raise LdapError(ResultCode.INAPPROPRIATE_MATCHING, "inappropriate matching request")
        key = asserted_key(attribute.type.equality, value, self.schema)
        if key is None:
            raise LdapError(ResultCode.INVALID_SYNTAX, "value does not conform to assertion syntax")
        if not dn.rdns or dn == self.administrative.subschema_dn:
            entry = self.administrative.subschema() if dn.rdns else self.administrative.root_dse()
            if attribute.type.name in COMPARE_REFUSED:
                raise LdapError(ResultCode.NO_SUCH_ATTRIBUTE)
        elif not self.holds(dn):
            raise LdapError(ResultCode.NO_SUCH_OBJECT)
        else:
            if attribute.type.name in COMPARE_REFUSED:
                raise LdapError(ResultCode.UNWILLING_TO_PERFORM, f"{attribute.name} compare not supported")
            entry = self.get(dn, options)
        self._assert(entry, options)
        self._require(who, entry, attribute.type.name, "compare")
        if not entry.matching(attribute):
            raise LdapError(ResultCode.NO_SUCH_ATTRIBUTE)
        return bool(compile_filter(Equality(attribute.name, value), self.schema)(entry, None))

    @operation("search")
    def search(self, who: Identity, request: SearchRequest, options: Options = NONE) -> Entries:
        """Find entries.

        :raises LdapError: what slapd answers where it cannot search; entries beyond the size limit are cut off, which
            the result tells
        """
        return Search(self, who, request, options).run()


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
