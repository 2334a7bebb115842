"""The tree of entries: names are found in it; entries come, move and go, and what was is kept, to undo it."""

from __future__ import annotations

from collections.abc import Iterator

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap.dn import Dn, Rdn
from nova_fakes.ldap.entry import Entry, Values
from nova_fakes.ldap.history import History
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
        self.history = History(self)
        self._has_referrals = False
        self._interned: dict[bytes, bytes] = {}

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

    def interned(self, value: bytes) -> bytes:
        """Return one and the same object for equal values that very many entries have."""
        return self._interned.setdefault(value, value)

    def link(self, entry: Entry, parent: Entry | None) -> None:
        """Put an entry into the tree and the indexes."""
        self.history.note(entry)
        entry.parent = parent
        self.attach(entry)
        self.indexes.change(entry, {}, entry.attributes)

    def unlink(self, entry: Entry) -> None:
        """Take an entry out of the tree, with all below it, and out of the indexes."""
        for one in reversed([*entry.subtree()]):
            self.history.note(one)
            self.detach(one)
            self.indexes.change(one, one.attributes, {})

    def move(self, entry: Entry, rdn: Rdn, parent: Entry | None) -> None:
        """Give an entry another name, another parent, or both; the topmost stays the topmost."""
        self.history.note(entry)
        self.detach(entry)
        entry.name(rdn)
        entry.parent = parent
        self.attach(entry)

    def replace(self, entry: Entry, attributes: dict[Attribute, Values]) -> None:
        """Give an entry other attributes."""
        self.history.note(entry)
        old, entry.attributes = entry.attributes, attributes
        self.indexes.change(entry, old, attributes)

    def attach(self, entry: Entry) -> None:
        """Put an entry under its parent; one without is the topmost."""
        self._has_referrals = self._has_referrals or is_referral(entry)
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
