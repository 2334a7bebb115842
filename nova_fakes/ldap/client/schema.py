"""What `ldap.schema` has: python-ldap's module where it is installed, the most used part of it where it is not."""

from __future__ import annotations

from typing import Any

from nova_fakes.ldap.client.origin import theirs
from nova_fakes.ldap.client.standins import schema

_chosen: Any = theirs("ldap.schema") or schema
SCHEMA_ATTRS: list[str] = _chosen.SCHEMA_ATTRS


def __getattr__(name: str) -> Any:
    return getattr(_chosen, name)
