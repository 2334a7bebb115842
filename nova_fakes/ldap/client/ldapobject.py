"""What `ldap.ldapobject` has: the classes of connections."""

from __future__ import annotations

from nova_fakes.ldap.client.reading import NO_UNIQUE_ENTRY
from nova_fakes.ldap.client.reconnecting import ReconnectLDAPObject
from nova_fakes.ldap.client.simple import LDAPObject, SimpleLDAPObject

__all__ = ["NO_UNIQUE_ENTRY", "LDAPObject", "ReconnectLDAPObject", "SimpleLDAPObject"]
