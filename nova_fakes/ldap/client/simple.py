"""Connections as code written for python-ldap 3.4.8 holds them."""

from __future__ import annotations

from typing import Any, ClassVar

from nova_fakes.ldap.client import constants as c
from nova_fakes.ldap.client.calls import Controls, decoded, encoded
from nova_fakes.ldap.client.changing import Binding, Changing
from nova_fakes.ldap.client.connection import Connection
from nova_fakes.ldap.client.errors import CLASSES
from nova_fakes.ldap.client.reading import Reading
from nova_fakes.ldap.registry import Registry

__all__ = ["LDAPObject", "SimpleLDAPObject"]


class SimpleLDAPObject(Binding, Changing, Reading):
    """A connection to the directory that a URI leads to in this process.

    The methods are those of python-ldap: `*_s` wait and return what came, the others return a request's number, for
    which `result` and its kin are asked.
    """

    CLASSATTR_OPTION_MAPPING: ClassVar[dict[str, int]] = {
        "protocol_version": c.OPT_PROTOCOL_VERSION,
        "deref": c.OPT_DEREF,
        "referrals": c.OPT_REFERRALS,
        "timelimit": c.OPT_TIMELIMIT,
        "sizelimit": c.OPT_SIZELIMIT,
        "network_timeout": c.OPT_NETWORK_TIMEOUT,
        "error_number": c.OPT_ERROR_NUMBER,
        "error_string": c.OPT_ERROR_STRING,
        "matched_dn": c.OPT_MATCHED_DN,
    }

    def __init__(
        self,
        uri: str,
        trace_level: int = 0,
        trace_file: Any = None,
        trace_stack_limit: int | None = 5,
        bytes_mode: Any = None,
        bytes_strictness: Any = None,
        fileno: Any = None,
        *,
        registry: Registry | None = None,
    ) -> None:
        if fileno is not None:
            raise ValueError("libldap does not support initialize_fd")
        if bytes_mode:
            raise ValueError("bytes_mode is *not* supported under Python 3.")
        self._trace_level, self._trace_file = trace_level, trace_file
        self._uri = uri
        self._l = Connection(uri, registry)
        self.timeout = -1
        self.protocol_version = c.VERSION3

    bytes_mode = property(lambda self: False)
    bytes_strictness = property(lambda self: "error")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.CLASSATTR_OPTION_MAPPING:
            self.set_option(self.CLASSATTR_OPTION_MAPPING[name], value)
        else:
            self.__dict__[name] = value

    def __getattr__(self, name: str) -> Any:
        if name in self.CLASSATTR_OPTION_MAPPING:
            return self.get_option(self.CLASSATTR_OPTION_MAPPING[name])
        raise AttributeError(f"{self.__class__.__name__} has no attribute {name!r}")

    def fileno(self) -> int:
        """Return the socket's descriptor: -1, for there is none."""
        return int(self.get_option(c.OPT_DESC))

    # -- ending ------------------------------------------------------------

    def unbind_ext(self, serverctrls: Controls = None, clientctrls: Controls = None) -> None:
        """End the connection."""
        self._ldap_call(self._l.unbind_ext, encoded(serverctrls), encoded(clientctrls))
        self.__dict__.pop("_l", None)

    def unbind_ext_s(self, serverctrls: Controls = None, clientctrls: Controls = None) -> None:
        """End the connection."""
        self.unbind_ext(serverctrls, clientctrls)

    def unbind(self) -> None:
        """End the connection."""
        self.unbind_ext()

    def unbind_s(self) -> None:
        """End the connection."""
        self.unbind_ext_s()

    def abandon_ext(self, msgid: int, serverctrls: Controls = None, clientctrls: Controls = None) -> None:
        """Give an operation up; nothing of it can be asked for then."""
        self._ldap_call(self._l.abandon_ext, msgid, encoded(serverctrls), encoded(clientctrls))

    def abandon(self, msgid: int) -> None:
        """Give an operation up."""
        self.abandon_ext(msgid)

    def cancel(self, cancelid: int, serverctrls: Controls = None, clientctrls: Controls = None) -> int:
        """Ask the server to give an operation up."""
        return int(self._ldap_call(self._l.cancel, cancelid, encoded(serverctrls), encoded(clientctrls)))

    def cancel_s(self, cancelid: int, serverctrls: Controls = None, clientctrls: Controls = None) -> Any:
        """Ask the server to give an operation up, and wait for what it says."""
        msgid = self.cancel(cancelid, serverctrls, clientctrls)
        try:
            return self.result(msgid, 1, self.timeout)
        except (CLASSES["CANCELLED"], CLASSES["SUCCESS"]):
            return None

    # -- options -----------------------------------------------------------

    def get_option(self, option: int) -> Any:
        """Return an option of this connection."""
        found = self._ldap_call(self._l.get_option, option)
        return decoded(found) if option in (c.OPT_SERVER_CONTROLS, c.OPT_CLIENT_CONTROLS) else found

    def set_option(self, option: int, invalue: Any) -> Any:
        """Set an option of this connection."""
        if option in (c.OPT_SERVER_CONTROLS, c.OPT_CLIENT_CONTROLS):
            invalue = encoded(invalue)
        return self._ldap_call(self._l.set_option, option, invalue)


LDAPObject = SimpleLDAPObject
