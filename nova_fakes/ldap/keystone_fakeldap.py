"""What keystone's own tests take from `keystone.tests.unit.fakeldap`, by the names that it has there, over our engine.

Names are compared and filters matched by LDAP's rules, so that no name needs a case of its own. As keystone's fake
does, and a directory does not, it takes entries whose parents are not there, attributes and classes that no schema
has, and insists that a search names an object class. Written against keystone 30.0.0.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from itertools import count
from typing import Any

import keystone.conf
import ldap
from keystone.identity.backends.ldap import common

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap import filters
from nova_fakes.ldap.client.answers import raised
from nova_fakes.ldap.client.ldapobject import SimpleLDAPObject
from nova_fakes.ldap.loose_tree import NOT_GLUE, LooseTree
from nova_fakes.ldap.offered import TREE_DELETE
from nova_fakes.ldap.options import Scope, SearchRequest
from nova_fakes.ldap.results import LdapError

__all__ = [
    "SCOPE_NAMES", "FakeLdap", "FakeLdapNoSubtreeDelete", "FakeLdapPool", "FakeShelve", "FakeShelves",
    "PendingRequests", "replace_keystone_fakeldap", "server_fail",
]  # fmt: skip

SCOPE_NAMES = {
    ldap.SCOPE_BASE: "SCOPE_BASE",
    ldap.SCOPE_ONELEVEL: "SCOPE_ONELEVEL",
    ldap.SCOPE_SUBTREE: "SCOPE_SUBTREE",
}
ROOT = ("cn=Admin", "password")
PREFIX = "ldap:"
# The state that keystone's tests reach by these names: they set the flag, and clear the shelves between tests.
server_fail = False
PendingRequests: dict[int, tuple[Any, ...]] = {}
MESSAGE_NUMBERS = count(1)


class FakeShelve(MutableMapping[str, dict[str, list[bytes]]]):
    """What one URL leads to: entries by `ldap:` and their DNs."""

    def __init__(self) -> None:
        self.tree = LooseTree(ROOT)

    def sync(self) -> None:
        """Write what is to be written: there is nothing."""

    def clear(self) -> None:
        """Forget all entries."""
        self.tree = LooseTree(ROOT)

    def _entries(self) -> Iterator[tuple[str, dict[str, list[bytes]]]]:
        for directory in self.tree.directories():
            root = directory.identity(directory.root_dn)
            request = SearchRequest(directory.suffix.text, Scope.SUBTREE, filters.parse_filter(NOT_GLUE))
            if directory.root is not None:
                yield from ((PREFIX + dn, held) for dn, held in directory.search(root, request).found)

    def __getitem__(self, key: str) -> dict[str, list[bytes]]:
        return dict(self._entries())[key]

    def __setitem__(self, key: str, attributes: dict[str, list[bytes]]) -> None:
        connection = self.connection(key.removeprefix(PREFIX), ROOT)
        connection.add_s(key.removeprefix(PREFIX), list(attributes.items()))

    def __delitem__(self, key: str) -> None:
        self.tree.remove(key.removeprefix(PREFIX))

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in self._entries())

    def __len__(self) -> int:
        return sum(1 for _ in self._entries())

    def connection(self, dn: str, bound: tuple[str, str]) -> SimpleLDAPObject:
        """Return a connection to where a DN is, by somebody with a name and a password."""
        made = SimpleLDAPObject(self.tree.place(dn), registry=self.tree.registry)
        made.simple_bind_s(*bound)
        return made


FakeShelves: dict[str, FakeShelve] = {}


def _shelve(url: str) -> FakeShelve:
    if url not in FakeShelves:
        FakeShelves[url] = FakeShelve()
    return FakeShelves[url]


@contextmanager
def _translated() -> Iterator[None]:
    """Raise python-ldap's exceptions for the engine's, and nothing but SERVER_DOWN while the server fails."""
    if _module().server_fail:
        raise ldap.SERVER_DOWN
    try:
        yield
    except LdapError as error:
        raise raised(error) from None


def _module() -> Any:
    """Return this module under the name by which tests change it."""
    return sys.modules[__name__]


class FakeLdap(common.LDAPHandler):  # type: ignore[misc]
    """A connection as keystone's handlers hold it, to a directory in memory for each URL."""

    def __init__(self, conn: Any = None) -> None:
        super().__init__(conn=conn)
        self._ldap_options: dict[int, Any] = {ldap.OPT_DEREF: ldap.DEREF_NEVER}
        self._bound = ("", "")
        self._open: tuple[Any, ...] = ()
        self.connected: Any = False
        self.who: Any = None
        self.cred: Any = None
        self.db = _shelve("fake://memory")

    def connect(
        self,
        url: str,
        page_size: int = 0,
        alias_dereferencing: Any = None,
        use_tls: bool = False,
        tls_cacertfile: Any = None,
        tls_cacertdir: Any = None,
        tls_req_cert: Any = "demand",
        chase_referrals: Any = None,
        debug_level: Any = None,
        use_pool: Any = None,
        pool_size: Any = None,
        pool_retry_max: Any = None,
        pool_retry_delay: Any = None,
        pool_conn_timeout: Any = None,
        pool_conn_lifetime: Any = None,
        conn_timeout: Any = None,
    ) -> None:
        """Take the URL's directory, and note what keystone is configured to."""
        self.db = _shelve(url)
        if use_tls:
            _set_tls(url, tls_cacertfile, tls_cacertdir, tls_req_cert)
        if alias_dereferencing is not None:
            self.set_option(ldap.OPT_DEREF, alias_dereferencing)
        self.page_size = page_size
        self.use_pool = use_pool
        self.pool_size = pool_size
        self.pool_retry_max = pool_retry_max
        self.pool_retry_delay = pool_retry_delay
        self.pool_conn_timeout = pool_conn_timeout
        self.pool_conn_lifetime = pool_conn_lifetime
        self.conn_timeout = conn_timeout

    def simple_bind_s(self, who: str = "", cred: str = "", serverctrls: Any = None, clientctrls: Any = None) -> None:
        """Bind as keystone's administrator, or as an entry with a password."""
        with _translated():
            configured = keystone.conf.CONF.ldap
            if who in (ROOT[0], configured.user) and cred in (ROOT[1], configured.password):
                self._bound = ROOT
                self.connected, self.who, self.cred = True, who, cred
                return
            if not ldap.dn.is_dn(who) and who:
                raise ldap.INVALID_CREDENTIALS
            if who or cred:
                self.db.connection(who, (who, cred)).unbind_s()
            self._bound = (who, cred)

    def unbind_s(self) -> None:
        """End the connection."""
        self.connected, self.who, self.cred = False, None, None
        self._bound = ("", "")
        with _translated():
            pass

    def _connection(self, dn: str) -> SimpleLDAPObject:
        """Return the connection to where a DN is: the same as before, so that pages of a search follow each other."""
        wanted = (self.db.tree, self.db.tree.place(dn), self._bound)
        if self._open[:-1] != wanted:
            self._open = (*wanted, self.db.connection(dn, self._bound))
        connection: SimpleLDAPObject = self._open[-1]
        return connection

    def add_s(self, dn: str, modlist: Any) -> Any:
        """Add an entry; what it is under need not be there."""
        with _translated():
            _refuse_unnamed(dn, modlist)
            # keystone names an attribute twice that two of its own are mapped to; the last one is meant.
            modlist = list(dict(modlist).items())
            tree = self.db.tree
            tree.make_room(dn)
            connection = self._connection(dn)
            if not tree.clear_place(dn):
                return connection.add_s(dn, modlist)
            return connection.modify_s(dn, [(ldap.MOD_REPLACE, name, values) for name, values in modlist])

    def modify_s(self, dn: str, modlist: Any) -> Any:
        """Change an entry."""
        with _translated():
            self._refuse_missing(dn)
            return self._connection(dn).modify_s(dn, modlist)

    def _refuse_missing(self, dn: str) -> None:
        if self.db.tree.is_glue(dn):
            raise ldap.NO_SUCH_OBJECT

    def delete_s(self, dn: str) -> None:
        """Delete an entry; what is below it stays."""
        self.delete_ext_s(dn, serverctrls=[])

    def delete_ext_s(self, dn: str, serverctrls: Any, clientctrls: Any = None) -> None:
        """Delete an entry; what is below it goes, too, where a control asks for that."""
        with _translated():
            wanted = any(control.controlType == TREE_DELETE for control in serverctrls or ())
            self.db.tree.remove(dn, with_children=wanted)

    def search_s(
        self, base: str, scope: int, filterstr: Any = "(objectClass=*)", attrlist: Any = None, attrsonly: int = 0
    ) -> Any:
        """Search.

        :raises AssertionError: where a filter names no object class, but in a search for one entry
        """
        with _translated():
            return self._search(base, scope, filterstr, attrlist, attrsonly)[1]

    def _search(
        self, base: str, scope: int, filterstr: Any, attrlist: Any, attrsonly: int, serverctrls: Any = None
    ) -> tuple[Any, Any, Any, Any]:
        tree = self.db.tree
        wanted = _with_class(filterstr, scope)
        connection = self._connection(base)
        for option, value in self._ldap_options.items():
            connection.set_option(option, value)
        missing = tree.is_glue(base)
        if missing and scope != ldap.SCOPE_ONELEVEL:
            raise ldap.NO_SUCH_OBJECT
        if missing and not tree.has_children(base):
            return None, [], None, []
        sent = connection.search_ext(base, scope, wanted, attrlist, attrsonly, serverctrls)
        kind, found, number, controls = connection.result3(sent)
        return kind, [(dn, _as_text(attributes)) for dn, attributes in found], number, controls

    def search_ext(
        self,
        base: str,
        scope: int,
        filterstr: Any = "(objectClass=*)",
        attrlist: Any = None,
        attrsonly: int = 0,
        serverctrls: Any = None,
        clientctrls: Any = None,
        timeout: float = -1,
        sizelimit: int = 0,
    ) -> int:
        """Begin a search, that is done when its result is asked for."""
        number = next(MESSAGE_NUMBERS)
        PendingRequests[number] = (self, base, scope, filterstr, attrlist, attrsonly, serverctrls)
        return number

    def result3(
        self, msgid: int = ldap.RES_ANY, all: int = 1, timeout: Any = None, resp_ctrl_classes: Any = None
    ) -> tuple[Any, Any, Any, Any]:
        """Do a search that has been begun, and return what it finds."""
        with _translated():
            _, *asked = PendingRequests.pop(msgid)
            _, found, _, controls = self._search(*asked)
            return None, found, None, controls

    def get_option(self, option: int) -> Any:
        """Return an option; None where nobody has set it."""
        return self._ldap_options.get(option)

    def set_option(self, option: int, invalue: Any) -> None:
        """Set an option."""
        self._ldap_options[option] = invalue


def _as_text(attributes: dict[str, list[bytes]]) -> dict[str, list[str | bytes]]:
    """Return values as text, which keystone's tests compare them with; what is not UTF-8 stays as it is."""
    return {name: [_text(value) for value in values] for name, values in attributes.items()}


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _set_tls(url: str, cacertfile: Any, cacertdir: Any, req_cert: Any) -> None:
    """Set python-ldap's global options, as keystone's fake does.

    :raises AssertionError: where the URL asks for TLS, too
    :raises ValueError: where the demand for a certificate is none of python-ldap's
    """
    if url.lower().startswith("ldaps"):
        raise AssertionError("Invalid TLS / LDAPS combination")
    if cacertfile:
        ldap.set_option(ldap.OPT_X_TLS_CACERTFILE, cacertfile)
    elif cacertdir:
        ldap.set_option(ldap.OPT_X_TLS_CACERTDIR, cacertdir)
    if req_cert not in common.LDAP_TLS_CERTS.values():
        raise ValueError("invalid TLS_REQUIRE_CERT tls_req_cert=%s", req_cert)
    ldap.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, req_cert)


def _refuse_unnamed(dn: str, modlist: Any) -> None:
    """Refuse an entry whose attributes have no names, or lack the value by which it is named.

    :raises TypeError: where a name is None
    :raises NAMING_VIOLATION: where the RDN's value is not among the attributes
    """
    if any(name is None for name, _ in modlist):
        raise TypeError(f"must be string, not None. modlist={modlist}")
    wanted, value, _ = ldap.dn.str2dn(dn)[0][0]
    held = [values for name, values in modlist if name.lower() == wanted.lower()]
    if not any(common.utf8_decode(one) == value for values in held for one in values):
        raise ldap.NAMING_VIOLATION


def _with_class(text: Any, scope: int) -> str:
    """Return the filter that leaves out what only holds other entries together.

    :raises AssertionError: where it should name an object class and does not
    """
    if not text:
        if scope != ldap.SCOPE_BASE:
            raise AssertionError("Search without filter on onelevel or subtree scope")
        return NOT_GLUE
    wanted = str(text) if str(text).startswith("(") else f"({text})"
    try:
        parsed = filters.parse_filter(wanted)
    except InvalidInput:
        raise ldap.FILTER_ERROR from None
    if scope != ldap.SCOPE_BASE and "objectclass" not in _named(parsed):
        raise AssertionError("No objectClass in search filter")
    return f"(&{NOT_GLUE}{wanted})"


def _named(wanted: filters.Filter) -> set[str]:
    """Return the attributes that a filter names, in small letters."""
    if isinstance(wanted, filters.And | filters.Or):
        return set().union(*map(_named, wanted.filters))
    if isinstance(wanted, filters.Not):
        return _named(wanted.filter)
    return {(wanted.attribute or "").lower()}


class FakeLdapPool(FakeLdap):
    """A connection as keystone's pool makes them."""

    def __init__(self, uri: str, retry_max: Any = None, retry_delay: Any = None, conn: Any = None) -> None:
        super().__init__(conn=conn)
        self.url = self._uri = uri
        self.connected = None
        self.conn = self

    def get_lifetime(self) -> int:
        """Return the seconds since the connection was made: few, and not none."""
        return 5

    def simple_bind_s(
        self, who: Any = None, cred: Any = None, serverctrls: Any = None, clientctrls: Any = None
    ) -> None:
        """Bind; as the administrator where nobody is named."""
        self.db = _shelve(self.url)
        super().simple_bind_s(who or ROOT[0], cred or ROOT[1], serverctrls, clientctrls)

    def unbind_ext_s(self) -> None:
        """Let the pool drop the connection."""


class FakeLdapNoSubtreeDelete(FakeLdap):
    """A directory that deletes no entry with others below it, whatever control asks for that."""

    def delete_ext_s(self, dn: str, serverctrls: Any, clientctrls: Any = None) -> None:
        """Delete an entry that has none below it."""
        with _translated():
            if self.db.tree.has_children(dn):
                raise ldap.NOT_ALLOWED_ON_NONLEAF
        super().delete_ext_s(dn, serverctrls, clientctrls)


def replace_keystone_fakeldap() -> Callable[[], None]:
    """Let `from keystone.tests.unit import fakeldap` find this module; call what is returned to undo it."""
    name = "keystone.tests.unit.fakeldap"
    before = sys.modules.get(name)
    sys.modules[name] = _module()
    package = sys.modules.get("keystone.tests.unit")
    held = getattr(package, "fakeldap", None)
    if package is not None:
        package.fakeldap = _module()  # type: ignore[attr-defined]

    def undo() -> None:
        if before is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = before
        if package is not None and held is not None:
            package.fakeldap = held  # type: ignore[attr-defined]

    return undo
