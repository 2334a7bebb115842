"""The interface of `nova.auth.fakeldap` as nova had it in 2011, over our engine: `initialize`, `Store`, `server_fail`.

What was wrong there is not here: a filter's `&` and `|` take any number of parts, there is a scope of one level, a
search makes nothing, adding an entry that is there is refused, and so is what its object classes do not allow to lack.
As there, values are text, entries need no parents, and any attribute may be used.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap.client.answers import raised
from nova_fakes.ldap.client.constants import (
    MOD_ADD,
    MOD_DELETE,
    MOD_REPLACE,
    SCOPE_BASE,
    SCOPE_ONELEVEL,
    SCOPE_SUBTREE,
)
from nova_fakes.ldap.client.errors import CLASSES, local_error
from nova_fakes.ldap.filters import And, Equality, Filter, Not, Present, parse_filter
from nova_fakes.ldap.loose_tree import GLUE, LooseTree
from nova_fakes.ldap.options import Change, Modification, Scope, SearchRequest
from nova_fakes.ldap.results import LdapError, ResultCode

__all__ = [
    "ALREADY_EXISTS",
    "MOD_ADD",
    "MOD_DELETE",
    "MOD_REPLACE",
    "NO_SUCH_OBJECT",
    "OBJECT_CLASS_VIOLATION",
    "SCOPE_BASE",
    "SCOPE_ONELEVEL",
    "SCOPE_SUBTREE",
    "SERVER_DOWN",
    "FakeLDAP",
    "Store",
    "initialize",
    "server_fail",
]  # fmt: skip

NO_SUCH_OBJECT = CLASSES["NO_SUCH_OBJECT"]
OBJECT_CLASS_VIOLATION = CLASSES["OBJECT_CLASS_VIOLATION"]
SERVER_DOWN = CLASSES["SERVER_DOWN"]
ALREADY_EXISTS = CLASSES["ALREADY_EXISTS"]
Attributes = dict[str, list[str]]
PREFIX = "ldap:"
ROOT = ("cn=root", "root")
NOT_GLUE = Not(Equality("objectClass", GLUE))
# Tests of that time set it to let every operation fail.
server_fail = False


def _bytes(values: Any) -> tuple[bytes, ...]:
    listed = values if isinstance(values, list | tuple | set) else [values]
    return tuple(value if isinstance(value, bytes) else str(value).encode() for value in listed)


class Store:
    """Where the entries are: one place for all connections, until it is flushed."""

    _instance: Store | None = None

    def __init__(self) -> None:
        self.flushdb()

    @classmethod
    def instance(cls) -> Store:
        """Return the store that all connections share."""
        if Store._instance is None:
            Store._instance = cls()
        return Store._instance

    def flushdb(self) -> None:
        """Forget all entries."""
        self.tree = LooseTree(ROOT)
        self._spelled: dict[str, str] = {}

    def spell(self, names: Iterable[str]) -> None:
        """Note how attributes are written, so that they are given back like that."""
        for name in names:
            self._spelled.setdefault(name.lower(), name)

    def find(self, base: str, scope: Scope, wanted: Filter) -> list[tuple[str, Attributes]]:
        """Return the entries in a scope that match."""
        directory = self.tree.directory(base)
        request = SearchRequest(base, scope, And((NOT_GLUE, wanted)))
        found = directory.search(directory.identity(directory.root_dn), request).found
        return [(dn, self._told(attributes)) for dn, attributes in found]

    def _told(self, attributes: Mapping[str, list[bytes]]) -> Attributes:
        return {
            self._spelled.get(name.lower(), name): [value.decode("utf-8", "surrogateescape") for value in values]
            for name, values in attributes.items()
        }

    def _all(self) -> Iterator[tuple[str, Attributes]]:
        for directory in self.tree.directories():
            if directory.root is not None:
                found = self.find(directory.suffix.text, Scope.SUBTREE, Present("objectClass"))
                yield from ((PREFIX + dn, attributes) for dn, attributes in found)

    def keys(self, pat: str = "*") -> list[str]:
        """Return the keys, `ldap:` and a DN, that look like a pattern."""
        return [key for key, _ in self._all() if fnmatchcase(key, pat)]

    def hgetall(self, key: str) -> Attributes:
        """Return an entry's attributes; none where it is not there."""
        return dict(self._all()).get(key, {})

    def hget(self, key: str, field: str) -> list[str] | None:
        """Return an attribute's values; None where it is not there."""
        return self.hgetall(key).get(field)

    def delete(self, key: str) -> None:
        """Delete an entry."""
        self.tree.remove(key.removeprefix(PREFIX))


@contextmanager
def _answering() -> Iterator[None]:
    """Raise the module's exceptions for the engine's, and SERVER_DOWN alone while the server fails."""
    if sys.modules[__name__].server_fail:
        raise local_error("SERVER_DOWN")
    try:
        yield
    except LdapError as error:
        raise raised(error) from None
    except InvalidInput:
        raise local_error("FILTER_ERROR") from None


class FakeLDAP:
    """A connection."""

    def __init__(self) -> None:
        self.store = Store.instance()

    def simple_bind_s(self, dn: str = "", password: str = "") -> None:
        """Check the password of an entry that has one; whoever has no entry is believed.

        :raises INVALID_CREDENTIALS: where it is another
        """
        with _answering():
            if not dn or self.store.tree.is_glue(dn):
                return
            if self._read(dn).get("userpassword"):
                self.store.tree.directory(dn).bind(dn, password.encode())

    def unbind_s(self) -> None:
        """End the connection."""
        with _answering():
            pass

    def _read(self, dn: str) -> Attributes:
        found = self.store.find(dn, Scope.BASE, Present("objectClass"))
        return {name.lower(): values for name, values in found[0][1].items()} if found else {}

    def _refuse_missing(self, dn: str) -> None:
        if self.store.tree.is_glue(dn):
            raise LdapError(ResultCode.NO_SUCH_OBJECT)

    def add_s(self, dn: str, attr: Iterable[tuple[str, Any]]) -> None:
        """Add an entry.

        :raises ALREADY_EXISTS: where it is there
        :raises OBJECT_CLASS_VIOLATION: where it lacks what one of its classes demands
        """
        listed = list(attr)
        with _answering():
            tree = self.store.tree
            given = [(name, _bytes(values)) for name, values in listed]
            if not any(name.lower() == "objectclass" for name, _ in given):
                given.append(("objectClass", (b"top",)))
            if not tree.is_glue(dn):
                raise LdapError(ResultCode.ALREADY_EXISTS)
            self.store.spell(name for name, _ in listed)
            tree.make_room(dn)
            directory = tree.directory(dn)
            root = directory.identity(directory.root_dn)
            with directory.operations.atomic():
                if tree.clear_place(dn):
                    changes = [Modification(Change.REPLACE, name, values) for name, values in given]
                    directory.modify(root, dn, changes)
                else:
                    directory.add(root, dn, given)
                self._check(dn)

    def _check(self, dn: str) -> None:
        """Refuse an entry that lacks what its classes demand."""
        schema, attributes = self.store.tree.schema, self._read(dn)
        present = {schema.attribute(name).type for name in attributes}
        for value in attributes.get("objectclass", ()):
            known = schema.object_class(value.encode())
            for type_ in known.all_must if known is not None else ():
                if not any(have.is_a(type_) for have in present):
                    text = f"object class '{value}' requires attribute '{type_.name}'"
                    raise LdapError(ResultCode.OBJECT_CLASS_VIOLATION, text)

    def delete_s(self, dn: str) -> None:
        """Delete an entry.

        :raises NO_SUCH_OBJECT: where it is not there
        :raises NOT_ALLOWED_ON_NONLEAF: where there are others below it
        """
        with _answering():
            self._refuse_missing(dn)
            if self.store.tree.has_children(dn):
                raise LdapError(ResultCode.NOT_ALLOWED_ON_NONLEAF, "subordinate objects must be deleted first")
            self.store.tree.remove(dn)

    def modify_s(self, dn: str, attrs: Iterable[tuple[int, str, Any]]) -> None:
        """Change an entry: all of the changes, or none.

        :param attrs: `MOD_ADD`, `MOD_DELETE` or `MOD_REPLACE`, an attribute, and a value, a list of them, or None
        :raises NO_SUCH_OBJECT: where it is not there
        :raises OBJECT_CLASS_VIOLATION: where it would lack what one of its classes demands
        """
        listed = list(attrs)
        with _answering():
            self._refuse_missing(dn)
            self.store.spell(name for _, name, _ in listed)
            directory = self.store.tree.directory(dn)
            root = directory.identity(directory.root_dn)
            changes = [
                Modification(Change(kind), name, () if values is None else _bytes(values))
                for kind, name, values in listed
            ]
            with directory.operations.atomic():
                directory.modify(root, dn, changes)
                self._check(dn)

    def modrdn_s(self, dn: str, newrdn: str, delold: int = 1) -> None:
        """Give an entry another RDN.

        :raises NO_SUCH_OBJECT: where it is not there
        :raises ALREADY_EXISTS: where another one has that name
        """
        with _answering():
            self._refuse_missing(dn)
            directory = self.store.tree.directory(dn)
            directory.rename(directory.identity(directory.root_dn), dn, newrdn, delete_old=bool(delold))

    def search_s(
        self, dn: str, scope: int, query: str | None = None, fields: Iterable[str] | None = None
    ) -> list[tuple[str, Attributes]]:
        """Return DNs and attributes of the entries that match.

        :param fields: the attributes that are wanted; all where there are none
        :raises NO_SUCH_OBJECT: where the base is not there, or nothing matches
        """
        with _answering():
            if self.store.tree.is_glue(dn) and not self.store.tree.has_children(dn):
                raise LdapError(ResultCode.NO_SUCH_OBJECT)
            found = self.store.find(dn, Scope(scope), parse_filter(query or "(objectClass=*)"))
            if not found:
                raise LdapError(ResultCode.NO_SUCH_OBJECT)
        wanted = {name.lower() for name in fields or ()}
        return [
            (name, {one: held for one, held in attributes.items() if not wanted or one.lower() in wanted})
            for name, attributes in found
        ]


def initialize(_uri: str) -> FakeLDAP:
    """Return a connection; all share one store, whatever the URI."""
    return FakeLDAP()
