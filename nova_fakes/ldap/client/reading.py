"""The methods of python-ldap's connections that read."""

from __future__ import annotations

from typing import Any

from nova_fakes.ldap.client import constants as c
from nova_fakes.ldap.client import schema
from nova_fakes.ldap.client.calls import Calls, Controls, encoded
from nova_fakes.ldap.client.cidict import cidict
from nova_fakes.ldap.client.errors import CLASSES
from nova_fakes.ldap.client.origin import take

__all__ = ["NO_UNIQUE_ENTRY", "Reading"]

EVERYTHING = "(objectClass=*)"


def _no_unique_entry() -> type[Exception]:
    made = type("NO_UNIQUE_ENTRY", (CLASSES["NO_SUCH_OBJECT"],), {"__module__": "ldap.ldapobject"})
    theirs: type[Exception] | None = take("ldap.ldapobject", "NO_UNIQUE_ENTRY")
    return made if theirs is None else theirs


NO_UNIQUE_ENTRY = _no_unique_entry()


class Reading(Calls):
    """Compares and searches."""

    def compare_ext(
        self, dn: Any, attr: Any, value: Any, serverctrls: Controls = None, clientctrls: Controls = None
    ) -> int:
        """Ask whether an entry has a value; `result` raises COMPARE_TRUE or COMPARE_FALSE."""
        return int(self._ldap_call(self._l.compare_ext, dn, attr, value, encoded(serverctrls), encoded(clientctrls)))

    def compare_ext_s(
        self, dn: Any, attr: Any, value: Any, serverctrls: Controls = None, clientctrls: Controls = None
    ) -> bool:
        """Tell whether an entry has a value."""
        try:
            found = self.result3(self.compare_ext(dn, attr, value, serverctrls, clientctrls), 1, self.timeout)
        except CLASSES["COMPARE_TRUE"]:
            return True
        except CLASSES["COMPARE_FALSE"]:
            return False
        raise CLASSES["PROTOCOL_ERROR"](f"Compare operation returned wrong result: {found!r}")

    def compare(self, dn: Any, attr: Any, value: Any) -> int:
        """Ask whether an entry has a value."""
        return self.compare_ext(dn, attr, value)

    def compare_s(self, dn: Any, attr: Any, value: Any) -> bool:
        """Tell whether an entry has a value."""
        return self.compare_ext_s(dn, attr, value)

    def search_ext(
        self,
        base: Any,
        scope: Any,
        filterstr: Any = None,
        attrlist: Any = None,
        attrsonly: Any = 0,
        serverctrls: Controls = None,
        clientctrls: Controls = None,
        timeout: Any = -1,
        sizelimit: Any = 0,
    ) -> int:
        """Search."""
        return int(
            self._ldap_call(
                self._l.search_ext,
                base,
                scope,
                EVERYTHING if filterstr is None else filterstr,
                attrlist,
                attrsonly,
                encoded(serverctrls),
                encoded(clientctrls),
                timeout,
                sizelimit,
            )
        )

    def search_ext_s(
        self,
        base: Any,
        scope: Any,
        filterstr: Any = None,
        attrlist: Any = None,
        attrsonly: Any = 0,
        serverctrls: Controls = None,
        clientctrls: Controls = None,
        timeout: Any = -1,
        sizelimit: Any = 0,
    ) -> Any:
        """Search, and return a list of DNs with attributes; a reference has None in the place of the DN."""
        sent = self.search_ext(
            base, scope, filterstr, attrlist, attrsonly, serverctrls, clientctrls, timeout, sizelimit
        )
        return self.result(sent, 1, timeout)[1]

    def search(self, base: Any, scope: Any, filterstr: Any = None, attrlist: Any = None, attrsonly: Any = 0) -> int:
        """Search."""
        return self.search_ext(base, scope, filterstr, attrlist, attrsonly)

    def search_s(self, base: Any, scope: Any, filterstr: Any = None, attrlist: Any = None, attrsonly: Any = 0) -> Any:
        """Search, and wait."""
        return self.search_ext_s(base, scope, filterstr, attrlist, attrsonly, timeout=self.timeout)

    def search_st(
        self,
        base: Any,
        scope: Any,
        filterstr: Any = None,
        attrlist: Any = None,
        attrsonly: Any = 0,
        timeout: Any = -1,
    ) -> Any:
        """Search, and wait for some seconds at most."""
        return self.search_ext_s(base, scope, filterstr, attrlist, attrsonly, timeout=timeout)

    def read_s(
        self,
        dn: Any,
        filterstr: Any = None,
        attrlist: Any = None,
        serverctrls: Controls = None,
        clientctrls: Controls = None,
        timeout: Any = -1,
    ) -> Any:
        """Return the attributes of one entry; None where it does not match."""
        found = self.search_ext_s(
            dn,
            c.SCOPE_BASE,
            filterstr,
            attrlist=attrlist,
            serverctrls=serverctrls,
            clientctrls=clientctrls,
            timeout=timeout,
        )
        return found[0][1] if found else None

    def find_unique_entry(
        self,
        base: Any,
        scope: Any = c.SCOPE_SUBTREE,
        filterstr: Any = None,
        attrlist: Any = None,
        attrsonly: Any = 0,
        serverctrls: Controls = None,
        clientctrls: Controls = None,
        timeout: Any = -1,
    ) -> Any:
        """Return the one entry that matches.

        :raises NO_UNIQUE_ENTRY: where there is none
        :raises SIZELIMIT_EXCEEDED: where there are more than two
        """
        found = self.search_ext_s(
            base, scope, filterstr, attrlist, attrsonly, serverctrls, clientctrls, timeout, sizelimit=2
        )
        if len(found) != 1:
            raise NO_UNIQUE_ENTRY(f"No or non-unique search result for {filterstr!r}")
        return found[0]

    def read_rootdse_s(self, filterstr: Any = None, attrlist: Any = None) -> Any:
        """Return the attributes of the root DSE."""
        return self.read_s("", filterstr=filterstr, attrlist=attrlist or ["*", "+"])

    def get_naming_contexts(self) -> Any:
        """Return the DNs under which there are entries."""
        return self.read_rootdse_s(attrlist=["namingContexts"]).get("namingContexts", [])

    def search_subschemasubentry_s(self, dn: Any = None) -> str | None:
        """Return the DN of the entry that tells the schema; None where nobody tells it."""
        base = dn or ""
        refused = (CLASSES["NO_SUCH_OBJECT"], CLASSES["NO_SUCH_ATTRIBUTE"], CLASSES["INSUFFICIENT_ACCESS"])
        try:
            found = self.search_s(base, c.SCOPE_BASE, None, ["subschemaSubentry"])
        except refused:
            found = []
        except CLASSES["UNDEFINED_TYPE"]:
            return None
        if not found:
            return None
        names = cidict(found[0][1]).get("subschemaSubentry")
        if names:
            return str(names[0].decode())
        return self.search_subschemasubentry_s("") if base else None

    def read_subschemasubentry_s(self, subschemasubentry_dn: Any, attrs: Any = None) -> Any:
        """Return the attributes of the entry that tells the schema; None where it is not there."""
        wanted = schema.SCHEMA_ATTRS if attrs is None else attrs
        try:
            return self.read_s(subschemasubentry_dn, filterstr="(objectClass=subschema)", attrlist=wanted)
        except CLASSES["NO_SUCH_OBJECT"]:
            return None
