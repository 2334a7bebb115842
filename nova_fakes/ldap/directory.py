"""The engine: the operations of LDAP on a tree of entries, as slapd does them (RFC 4511 §4)."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from nova_fakes.clock import Clock, SystemClock
from nova_fakes.faults import Faults
from nova_fakes.ldap import passwords
from nova_fakes.ldap.access import ANONYMOUS, Access, AccessRule, Identity
from nova_fakes.ldap.administrative import Administrative
from nova_fakes.ldap.checking import Checker
from nova_fakes.ldap.dn import Dn
from nova_fakes.ldap.entry import Entry
from nova_fakes.ldap.filters import Equality
from nova_fakes.ldap.history import Snapshot
from nova_fakes.ldap.limits import Limit, Limits
from nova_fakes.ldap.matching import compile_filter, equality_key
from nova_fakes.ldap.offered import CONTROLS, EXTENSIONS, MECHANISMS, SYNC, TREE_DELETE
from nova_fakes.ldap.operation_log import KEPT, OperationLog
from nova_fakes.ldap.operations import Operations, operation
from nova_fakes.ldap.options import NONE, Change, Entries, Modification, Options, Outcome, ReadEntry, SearchRequest
from nova_fakes.ldap.overlays import MemberOf, Overlay, ReferentialIntegrity
from nova_fakes.ldap.results import LdapError, ResultCode
from nova_fakes.ldap.schema import Schema
from nova_fakes.ldap.searching import Search
from nova_fakes.ldap.selection import Selection
from nova_fakes.ldap.store import Store
from nova_fakes.ldap.synchronization import Provider
from nova_fakes.ldap.tree import Tree
from nova_fakes.ldap.updates import Updates

__all__ = ["Directory", "Outcome"]

SIZE_LIMIT = 500
TIME_LIMIT_S = 3600.0
CONFORM = "value does not conform to assertion syntax"
COMPARE_REFUSED = {"entryDN", "subschemaSubentry"}


class Directory(Tree):
    """A directory with one naming context.

    :param suffix: DN of the topmost entry
    :param root_dn: DN that may do everything; `cn=admin` under the suffix where none is given
    :param root_password: its password; None where nobody shall bind as it
    :param schema: attribute types and object classes; those of core, cosine, inetorgperson and nis where none is given
    :param clock: tells the times that entries get
    :param rng: makes entryUUIDs, salts and passwords
    :param access: who may do what; where there are no rules, everybody may read
    :param size_limit: how many entries a search gives to whoever is not the root DN
    :param time_limit_s: how many seconds such a search takes; None for no end
    :param limits: other limits for some
    :param check_schema: False to take entries whatever their object classes demand and allow
    :param tree_delete: whether the control for deleting subtrees is offered; slapd does not offer it
    :param allow_v2: whether clients may bind by LDAPv2, as slapd's `allow bind_v2` lets them
    :param in_chain: whether filters can follow links (LDAP_MATCHING_RULE_IN_CHAIN); slapd's cannot
    :param member_of: whether members of groups get a memberOf, as by slapd's overlay memberof
    :param integrity: attributes whose values follow the entries that they name, as by slapd's overlay refint
    :param sync: whether copies of the directory can be kept up to date (RFC 4533), as by slapd's overlay syncprov
    :param session_log: how many deletions are remembered for those copies
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
        time_limit_s: float | None = TIME_LIMIT_S,
        limits: Iterable[Limit] = (),
        check_schema: bool = True,
        tree_delete: bool = False,
        allow_v2: bool = False,
        in_chain: bool = False,
        member_of: bool = False,
        integrity: Iterable[str] = (),
        sync: bool = False,
        session_log: int = 0,
        faults: Faults | None = None,
        keep_operations: int = KEPT,
        persist: str | Path | None = None,
    ) -> None:
        super().__init__(schema if schema is not None else Schema(), suffix)
        self.root_dn = self._named("root_dn", root_dn if root_dn is not None else f"cn=admin,{suffix}")
        self.root_password = root_password.encode() if root_password is not None else None
        key = partial(self._key_of, "limits")
        self.limits = Limits(limits, Limit("*", size_limit, time_limit_s), key)
        self.in_chain = in_chain
        self.tree_delete = tree_delete
        self.allow_v2 = allow_v2
        self.clock: Clock = clock if clock is not None else SystemClock()
        self.rng = rng if rng is not None else random.Random()
        self.access = Access(access, partial(self._key_of, "access"))
        self.checker = Checker(self.schema, check_schema)
        self.provider = Provider(self.history.defer, session_log) if sync else None
        offered = [*CONTROLS[:2], *([SYNC] if sync else []), *CONTROLS[2:], *([TREE_DELETE] if tree_delete else [])]
        self.administrative = Administrative(
            self.schema, self.suffix, offered, EXTENSIONS, MECHANISMS, self.clock.now()
        )
        self.updates = Updates(self)
        self.log = OperationLog(self.schema.dn, keep_operations)
        self.operations = Operations(self.suffix.text, self.clock, self.history, self.log, faults)
        self.faults = self.operations.faults
        self.overlays: list[Overlay] = [] if self.provider is None else [self.provider]
        if member_of:
            self.overlays.append(MemberOf(self))
        followed = tuple(integrity)
        if followed:
            self.overlays.append(ReferentialIntegrity(self, followed))
        self._password = self.schema.attribute("userPassword")
        self._store = Store(Path(persist), self) if persist is not None else None
        self.history.keeper = self._store

    def _key_of(self, field: str, text: str) -> str:
        return self._named(field, text).key

    def linked(self, value: bytes) -> Entry | None:
        """Return the entry that a value names, or None."""
        return self.find(self.schema.dn(value.decode("utf-8")))[0]

    def identity(self, dn: Dn) -> Identity:
        """Return whom a DN stands for."""
        return Identity(dn, bool(dn.rdns) and dn.key == self.root_dn.key)

    # -- versions ----------------------------------------------------------

    def adopt(self, entries: Iterable[Entry]) -> None:
        """Take the entries of an earlier process, each with its parent, in the order of their numbers."""
        for entry in entries:
            entry.structural = self.checker.structural(entry.attributes)
            self.attach(entry)
            self.updates.number_after(entry)
        self._restart_provider()

    def _restart_provider(self) -> None:
        if self.provider is not None:
            self.provider.restart(max((entry.csn().decode() for entry in self.entries()), default=""))

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
            self._restart_provider()

    def reset(self) -> None:
        """Drop all entries, fault rules and what the log has."""
        with self.operations.atomic():
            if self.root is not None:
                self.unlink(self.root)
            self._restart_provider()
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

    @operation("add")
    def add(
        self, who: Identity, text: str, attributes: Iterable[tuple[str, Iterable[bytes]]], options: Options = NONE
    ) -> Outcome:
        """Add an entry.

        :param attributes: names and values
        :raises LdapError: what slapd answers where it cannot be added
        """
        return self.updates.add(who, text, attributes, options)()

    @operation("delete")
    def delete(self, who: Identity, text: str, options: Options = NONE) -> Outcome:
        """Delete an entry.

        :raises LdapError: what slapd answers where it cannot be deleted
        """
        return self.updates.delete(who, text, options)()

    @operation("modify")
    def modify(
        self, who: Identity, text: str, modifications: Sequence[Modification], options: Options = NONE
    ) -> Outcome:
        """Change an entry's attributes: all of the changes, or none.

        :raises LdapError: what slapd answers where it cannot be changed
        """
        return self.updates.modify(who, text, modifications, options)()

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
        return self.updates.rename(who, text, new_rdn, delete_old, new_superior, options)()

    def require(self, who: Identity, entry: Entry, attribute: str, level: str, text: str = "") -> None:
        """Refuse what somebody may not do with an attribute of an entry.

        :raises LdapError: INSUFFICIENT_ACCESS
        """
        if not self.access.allows(who, entry, attribute, level):
            raise LdapError(ResultCode.INSUFFICIENT_ACCESS, text)

    def check_assertion(self, who: Identity, entry: Entry, options: Options) -> None:
        """Refuse an operation on an entry that does not match what is asserted, as far as may be searched (RFC 4528).

        :raises LdapError: ASSERTION_FAILED
        """
        if options.assertion is None:
            return
        allowed = None if who.is_root else lambda one, type_: self.access.allows(who, one, type_.name, "search")
        if not compile_filter(options.assertion, self.schema)(entry, allowed):
            raise LdapError(ResultCode.ASSERTION_FAILED)

    def read(self, who: Identity, entry: Entry, names: Sequence[str]) -> ReadEntry:
        """Return an entry with the attributes that are asked for and may be read."""
        selection = Selection(self.schema, names)
        if who.is_root:
            return entry.dn(), selection.read(entry)
        return entry.dn(), selection.read(entry, lambda one, type_: self.access.allows(who, one, type_.name, "read"))

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
        if self.referral_above(nearest) is not None:
            raise LdapError(ResultCode.UNWILLING_TO_PERFORM, "referral missing")
        if entry is None and old is None:
            raise LdapError(ResultCode.NO_SUCH_OBJECT)
        if old is not None and (entry is None or not self.knows_password(entry, old)):
            raise LdapError(ResultCode.UNWILLING_TO_PERFORM, "unwilling to verify old password")
        stored = passwords.hash_ssha(new if new is not None else generated or b"", self.rng)
        try:
            self.modify(who, dn.text, [Modification(Change.REPLACE, "userPassword", (stored,))])
        except LdapError as error:
            error.text = ""
            raise
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
            raise LdapError(ResultCode.UNDEFINED_TYPE, self.schema.misspelling(name))
        if attribute.type.equality is None:
            raise LdapError(ResultCode.INAPPROPRIATE_MATCHING, "inappropriate matching request")
        key = equality_key(attribute.type, value, self.schema)
        if key is None:
            words = "unable to normalize value for matching" if attribute.type.syntax.binary_transfer else CONFORM
            raise LdapError(ResultCode.INVALID_SYNTAX, words)
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
        if entry.id:
            self.require(who, entry, attribute.type.name, "compare")
        self.check_assertion(who, entry, options)
        if not entry.matching(attribute):
            raise LdapError(ResultCode.NO_SUCH_ATTRIBUTE)
        return bool(compile_filter(Equality(attribute.name, value), self.schema)(entry, None))

    @operation("search")
    def search(self, who: Identity, request: SearchRequest, options: Options = NONE) -> Entries:
        """Find entries.

        :raises LdapError: what slapd answers where it cannot search; entries beyond the size limit are cut off, which
            the result tells
        """
        return self.prepared(who, request, options).run()

    def prepared(self, who: Identity, request: SearchRequest, options: Options = NONE) -> Search:
        """Make a search that can be done in parts."""
        return Search(self, who, request, options)

    def is_administrative(self, text: str) -> bool:
        """Tell whether a DN is of an entry that is not in the tree."""
        dn = self.parse_dn(text)
        return not dn.rdns or dn == self.administrative.subschema_dn
