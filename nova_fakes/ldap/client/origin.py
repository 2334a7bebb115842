"""Where a class comes from: from python-ldap where that is installed, so that `isinstance` holds, or from here."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

from nova_fakes.ldap.client.errors import IS_INSTALLED

__all__ = ["take", "theirs"]


def theirs(module: str) -> ModuleType | None:
    """Return a module of python-ldap; None where that is not installed."""
    return import_module(module) if IS_INSTALLED else None


def take(module: str, name: str) -> Any:
    """Return what a module of python-ldap has under a name; None where that is not installed."""
    found = theirs(module)
    return None if found is None else getattr(found, name)
