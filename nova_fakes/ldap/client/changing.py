"""The methods of python-ldap's connections that bind and that change entries."""

from __future__ import annotations

from typing import Any

from nova_fakes.ldap.client import constants as c
from nova_fakes.ldap.client.calls import Calls, Controls, encoded
from nova_fakes.ldap.client.errors import CLASSES
from nova_fakes.ldap.client.extop import PasswordModifyResponse
from nova_fakes.ldap.client.sasl import CB_USER, sasl

__all__ = ["Binding", "Changing"]


class Binding(Calls):
    """Says who asks."""

    def simple_bind(
        self, who: Any = None, cred: Any = None, serverctrls: Controls = None, clientctrls: Controls = None
    ) -> int:
        """Bind by a name and a password."""
        return int(self._ldap_call(self._l.simple_bind, who, cred, encoded(serverctrls), encoded(clientctrls)))

    def simple_bind_s(
        self, who: Any = None, cred: Any = None, serverctrls: Controls = None, clientctrls: Controls = None
    ) -> Any:
        """Bind by a name and a password, and wait."""
        return self.result3(self.simple_bind(who, cred, serverctrls, clientctrls), 1, self.timeout)

    def bind(self, who: Any, cred: Any, method: int = c.AUTH_SIMPLE) -> int:
        """Bind by a name and a password."""
        if method != c.AUTH_SIMPLE:
            raise AssertionError("Only simple bind supported in LDAPObject.bind()")
        return self.simple_bind(who, cred)

    def bind_s(self, who: Any, cred: Any, method: int = c.AUTH_SIMPLE) -> Any:
        """Bind by a name and a password, and wait."""
        return self.result(self.bind(who, cred, method), 1, self.timeout)

    def sasl_interactive_bind_s(
        self,
        who: Any,
        auth: Any,
        serverctrls: Controls = None,
        clientctrls: Controls = None,
        sasl_flags: int = c.SASL_QUIET,
    ) -> Any:
        """Bind by SASL; the object says how."""
        return self._ldap_call(
            self._l.sasl_interactive_bind_s, who, auth, encoded(serverctrls), encoded(clientctrls), sasl_flags
        )

    def sasl_non_interactive_bind_s(
        self,
        sasl_mech: str,
        serverctrls: Controls = None,
        clientctrls: Controls = None,
        sasl_flags: int = c.SASL_QUIET,
        authz_id: str = "",
    ) -> None:
        """Bind by a SASL mechanism that asks nothing."""
        self.sasl_interactive_bind_s("", sasl({CB_USER: authz_id}, sasl_mech), serverctrls, clientctrls, sasl_flags)

    def sasl_external_bind_s(
        self,
        serverctrls: Controls = None,
        clientctrls: Controls = None,
        sasl_flags: int = c.SASL_QUIET,
        authz_id: str = "",
    ) -> None:
        """Bind as whom the transport vouches for."""
        self.sasl_non_interactive_bind_s("EXTERNAL", serverctrls, clientctrls, sasl_flags, authz_id)

    def sasl_gssapi_bind_s(
        self,
        serverctrls: Controls = None,
        clientctrls: Controls = None,
        sasl_flags: int = c.SASL_QUIET,
        authz_id: str = "",
    ) -> None:
        """Bind by Kerberos, which no directory here offers."""
        self.sasl_non_interactive_bind_s("GSSAPI", serverctrls, clientctrls, sasl_flags, authz_id)

    def sasl_bind_s(
        self, dn: Any, mechanism: Any, cred: Any, serverctrls: Controls = None, clientctrls: Controls = None
    ) -> Any:
        """Bind by a SASL mechanism with ready credentials."""
        return self._ldap_call(self._l.sasl_bind_s, dn, mechanism, cred, encoded(serverctrls), encoded(clientctrls))

    def start_tls_s(self) -> None:
        """Begin TLS."""
        self._ldap_call(self._l.start_tls_s)

    def whoami_s(self, serverctrls: Controls = None, clientctrls: Controls = None) -> str:
        """Return as whom the connection works."""
        return str(self._ldap_call(self._l.whoami_s, encoded(serverctrls), encoded(clientctrls)))


class Changing(Calls):
    """Adds, changes, deletes and renames entries."""

    def add_ext(self, dn: Any, modlist: Any, serverctrls: Controls = None, clientctrls: Controls = None) -> int:
        """Add an entry."""
        return int(self._ldap_call(self._l.add_ext, dn, modlist, encoded(serverctrls), encoded(clientctrls)))

    def add_ext_s(self, dn: Any, modlist: Any, serverctrls: Controls = None, clientctrls: Controls = None) -> Any:
        """Add an entry, and wait."""
        return self.result3(self.add_ext(dn, modlist, serverctrls, clientctrls), 1, self.timeout)

    def add(self, dn: Any, modlist: Any) -> int:
        """Add an entry."""
        return self.add_ext(dn, modlist)

    def add_s(self, dn: Any, modlist: Any) -> Any:
        """Add an entry, and wait."""
        return self.add_ext_s(dn, modlist)

    def modify_ext(self, dn: Any, modlist: Any, serverctrls: Controls = None, clientctrls: Controls = None) -> int:
        """Change an entry's attributes."""
        return int(self._ldap_call(self._l.modify_ext, dn, modlist, encoded(serverctrls), encoded(clientctrls)))

    def modify_ext_s(self, dn: Any, modlist: Any, serverctrls: Controls = None, clientctrls: Controls = None) -> Any:
        """Change an entry's attributes, and wait."""
        return self.result3(self.modify_ext(dn, modlist, serverctrls, clientctrls), 1, self.timeout)

    def modify(self, dn: Any, modlist: Any) -> int:
        """Change an entry's attributes."""
        return self.modify_ext(dn, modlist)

    def modify_s(self, dn: Any, modlist: Any) -> Any:
        """Change an entry's attributes, and wait."""
        return self.modify_ext_s(dn, modlist)

    def delete_ext(self, dn: Any, serverctrls: Controls = None, clientctrls: Controls = None) -> int:
        """Delete an entry."""
        return int(self._ldap_call(self._l.delete_ext, dn, encoded(serverctrls), encoded(clientctrls)))

    def delete_ext_s(self, dn: Any, serverctrls: Controls = None, clientctrls: Controls = None) -> Any:
        """Delete an entry, and wait."""
        return self.result3(self.delete_ext(dn, serverctrls, clientctrls), 1, self.timeout)

    def delete(self, dn: Any) -> int:
        """Delete an entry."""
        return self.delete_ext(dn)

    def delete_s(self, dn: Any) -> Any:
        """Delete an entry, and wait."""
        return self.delete_ext_s(dn)

    def rename(
        self,
        dn: Any,
        newrdn: Any,
        newsuperior: Any = None,
        delold: Any = 1,
        serverctrls: Controls = None,
        clientctrls: Controls = None,
    ) -> int:
        """Give an entry another RDN, another parent, or both."""
        more = (encoded(serverctrls), encoded(clientctrls))
        return int(self._ldap_call(self._l.rename, dn, newrdn, newsuperior, delold, *more))

    def rename_s(
        self,
        dn: Any,
        newrdn: Any,
        newsuperior: Any = None,
        delold: Any = 1,
        serverctrls: Controls = None,
        clientctrls: Controls = None,
    ) -> Any:
        """Give an entry another RDN, another parent, or both, and wait."""
        return self.result3(self.rename(dn, newrdn, newsuperior, delold, serverctrls, clientctrls), 1, self.timeout)

    def modrdn(self, dn: Any, newrdn: Any, delold: Any = 1) -> int:
        """Give an entry another RDN."""
        return self.rename(dn, newrdn, None, delold)

    def modrdn_s(self, dn: Any, newrdn: Any, delold: Any = 1) -> Any:
        """Give an entry another RDN, and wait."""
        return self.rename_s(dn, newrdn, None, delold)

    def passwd(
        self, user: Any, oldpw: Any, newpw: Any, serverctrls: Controls = None, clientctrls: Controls = None
    ) -> int:
        """Ask for another password (RFC 3062)."""
        return int(self._ldap_call(self._l.passwd, user, oldpw, newpw, encoded(serverctrls), encoded(clientctrls)))

    def passwd_s(
        self,
        user: Any,
        oldpw: Any,
        newpw: Any,
        serverctrls: Controls = None,
        clientctrls: Controls = None,
        extract_newpw: bool = False,
    ) -> tuple[Any, Any]:
        """Ask for another password, and wait.

        :param extract_newpw: return an object with `genPasswd`, the password that the server made up, instead of bytes
        """
        name, value = self.extop_result(self.passwd(user, oldpw, newpw, serverctrls, clientctrls), 1, self.timeout)
        if name != PasswordModifyResponse.responseName:
            raise CLASSES["PROTOCOL_ERROR"](f"Unexpected OID {name} in extended response!")
        if extract_newpw and value:
            return name, PasswordModifyResponse(PasswordModifyResponse.responseName, value)
        return name, value
