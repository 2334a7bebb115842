"""A fake LDAP directory that behaves like OpenLDAP's slapd: one engine, in process and on a socket.

`initialize(uri)` and the other names that code written for python-ldap uses are those of `nova_fakes.ldap.client`; they
are looked up there when they are first asked for, so that the engine alone is imported without them. The modules
`controls`, `dn` and `schema` of the engine hand python-ldap's names in modules of these names on, too.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

_MODULES = frozenset(module.name for module in iter_modules(__path__))


def __getattr__(name: str) -> Any:
    """Return a module of the engine, or what python-ldap has under a name."""
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.client"), name)


def __dir__() -> list[str]:
    return sorted({*_MODULES, *dir(import_module(f"{__name__}.client"))})
