"""What `ldap.controls` has: python-ldap's classes where it is installed, equal ones where it is not."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from nova_fakes.ldap.client import standins
from nova_fakes.ldap.client.origin import theirs

_chosen = theirs("ldap.controls") or standins


def __getattr__(name: str) -> Any:
    """Return a class, or a module of classes."""
    if name.startswith("__"):
        raise AttributeError(name)
    try:
        return getattr(_chosen, name)
    except AttributeError:
        pass
    try:
        return import_module(f"{_chosen.__name__}.{name}")
    except ImportError:
        raise AttributeError(f"there is no control or module of controls {name}") from None
