"""What `ldap.extop` has: extended requests and responses, of python-ldap's classes where it is installed."""

from __future__ import annotations

from typing import Any

from nova_fakes.ldap.client.origin import theirs
from nova_fakes.ldap.client.standins import extended

__all__ = ["ExtendedRequest", "ExtendedResponse", "PasswordModifyResponse", "RefreshRequest", "RefreshResponse"]

_chosen: Any = theirs("ldap.extop") or extended
ExtendedRequest = _chosen.ExtendedRequest
ExtendedResponse = _chosen.ExtendedResponse
PasswordModifyResponse = _chosen.PasswordModifyResponse
RefreshRequest = _chosen.RefreshRequest
RefreshResponse = _chosen.RefreshResponse
