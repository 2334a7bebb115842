"""The tree of entries: names are found in it; entries come, move and go, each step so that it can be undone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap.dn import Dn, Rdn
from nova_fakes.ldap.entry import Entry, Values
from nova_fakes.ldap.indexes import Indexes
from nova_fakes.ldap.options import NONE, Options
from nova_fakes.ldap.referrals import is_referral, referral_error
from nova_fakes.ldap.results import LdapError, ResultCode
from nova_fakes.ldap.schema import Attribute, Schema

__all__ = ["Tree"]


class Tree:
    """Entries under one naming context.

    :param suffix: DN of the topmost entry
    :raises InvalidInput: where that is not a DN
    """

    def __init__(self, schema: Schema, suffix: str) -> None:
        self.schema = schema
        self.suffix = self._named("suffix", suffix)
        self.root: Entry | None = None
        self.indexes = Indexes(schema, self.entries)
        self._has_referrals = False
        self._interned: dict[bytes, bytes] = {}
        self._undo: list[Callable[[], None]] | None = None
        self._deferred: list[Callable[[], None]] = []

    def _named(self, field: str, text: str) -> Dn:
        try:
            return self.schema.dn(text)
        except ValueError:
            raise InvalidInput(field, text, "give a DN, such as dc=example,dc=com") from None

    def entries(self) -> Iterator[Entry]:
        """Give all entries, parents first."""
        return iter(()) if self.root is None else self.root.subtree()

    def __len__(self) -> int:
        return sum(1 for _ in self.entries())

    # -- names -------------------------------------------------------------

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

    # -- referrals ---------------------------------------------------------

    def has_referrals(self) -> bool:
        """Tell whether there may be entries that refer to other servers."""
        return self._has_referrals

    def refuse_referral(self, dn: Dn, nearest: Entry | None, options: Options, scope: str = "") -> None:
        """Refer to other servers where the way to a DN leads through a referral.

        :raises LdapError: REFERRAL
        """
        if options.manage_dsa_it and nearest is not None and nearest.dn_key() == dn.key:
            return
        referral = self.referral_above(nearest)
        if referral is not None:
            raise referral_error(self.schema, referral, dn, scope)

    def referral_above(self, entry: Entry | None) -> Entry | None:
        """Return the entry, of one and those that it is under, that refers to other servers; None where none does."""
        while self._has_referrals and entry is not None:
            if is_referral(entry):
                return entry
            entry = entry.parent
        return None

    # -- changes -----------------------------------------------------------

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """Undo all changes of the tree that are made inside where an error leaves it."""
        if self._undo is not None:
            yield
            return
        self._undo = []
        try:
            yield
        except BaseException:
            steps, self._undo = self._undo, None
            self._deferred.clear()
            for step in reversed(steps):
                step()
            raise
        self._undo = None
        deferred, self._deferred = self._deferred, []
        for notify in deferred:
            notify()

    def defer(self, notify: Callable[[], None]) -> None:
        """Call a function once what has been changed will stay: now, unless more changes are to be made with it."""
        if self._undo is None:
            notify()
        else:
            self._deferred.append(notify)

    def _undo_by(self, step: Callable[[], None]) -> None:
        if self._undo is not None:
            self._undo.append(step)

    def interned(self, value: bytes) -> bytes:
        """Return one and the same object for equal values that very many entries have."""
        return self._interned.setdefault(value, value)

    def link(self, entry: Entry, parent: Entry | None) -> None:
        """Put an entry, with all below it, into the tree and the indexes."""
        self._attach(entry, parent)
        for one in entry.subtree():
            self._has_referrals = self._has_referrals or is_referral(one)
            self.indexes.change(one, {}, one.attributes)
        self._undo_by(lambda: self.unlink(entry))

    def unlink(self, entry: Entry) -> None:
        """Take an entry out of the tree, with all below it, and out of the indexes."""
        parent = entry.parent
        for one in entry.subtree():
            self.indexes.change(one, one.attributes, {})
        self._detach(entry)
        self._undo_by(lambda: self.link(entry, parent))

    def move(self, entry: Entry, rdn: Rdn, parent: Entry | None) -> None:
        """Give an entry another name, another parent, or both; the topmost stays the topmost."""
        before = entry.rdn, entry.key, entry.parent
        self._detach(entry)
        entry.name(rdn)
        self._attach(entry, parent)
        self._undo_by(lambda: self._move_back(entry, *before))

    def _move_back(self, entry: Entry, rdn: str, key: str, parent: Entry | None) -> None:
        self._detach(entry)
        entry.rdn, entry.key = rdn, key
        self._attach(entry, parent)

    def replace(self, entry: Entry, attributes: dict[Attribute, Values]) -> None:
        """Give an entry other attributes."""
        old, entry.attributes = entry.attributes, attributes
        self.indexes.change(entry, old, attributes)
        stamps = entry.modifier, entry.modified_s, entry.change, entry.structural
        self._undo_by(lambda: self._put_back(entry, old, stamps))

    def _put_back(self, entry: Entry, attributes: dict[Attribute, Values], stamps: tuple[object, ...]) -> None:
        self.replace(entry, attributes)
        entry.modifier, entry.modified_s, entry.change, entry.structural = stamps  # type: ignore[assignment]

    def _attach(self, entry: Entry, parent: Entry | None) -> None:
        entry.parent = parent
        if parent is None:
            self.root = entry
            return
        if parent.children is None:
            parent.children = {}
        parent.children[entry.key] = entry

    def _detach(self, entry: Entry) -> None:
        if entry.parent is None:
            self.root = None
        elif entry.parent.children is not None:
            del entry.parent.children[entry.key]
            if not entry.parent.children:
                entry.parent.children = None
