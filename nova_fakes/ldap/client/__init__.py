"""python-ldap's interface to the directories in this process: `nova_fakes.ldap` hands its names on.

The modules have the names that they have there: `dn`, `filter`, `modlist`, `controls` and so on. Exceptions, controls
and extended operations are python-ldap's own classes where it is installed, so that `except ldap.NO_SUCH_OBJECT` and
`isinstance` hold; where it is not, equal ones are made. `modules` puts it all in the place of a missing python-ldap.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

from nova_fakes.ldap.client import (
    cidict,
    constants,
    controls,
    dn,
    errors,
    extop,
    filter,
    functions,
    ldapobject,
    modlist,
    resiter,
    sasl,
    schema,
)
from nova_fakes.ldap.client.dn import explode_dn, explode_rdn
from nova_fakes.ldap.client.functions import escape_str, get_option, initialize, set_option, strf_secs, strp_secs
from nova_fakes.ldap.client.ldapobject import NO_UNIQUE_ENTRY, LDAPObject, ReconnectLDAPObject, SimpleLDAPObject
from nova_fakes.ldap.registry import Registry, current, reset

__all__ = [
    "NO_UNIQUE_ENTRY", "OPT_NAMES_DICT", "LDAPObject", "ReconnectLDAPObject", "Registry", "SimpleLDAPObject",
    "cidict", "constants", "controls", "current", "dn", "error", "errors", "escape_str", "explode_dn", "explode_rdn",
    "extop", "filter", "functions", "get_option", "initialize", "ldapobject", "modlist", "modules", "reset", "resiter",
    "sasl", "schema", "set_option", "strf_secs", "strp_secs",
]  # fmt: skip

__version__ = "3.4.8"
error = errors.LDAPError
_NAMES: dict[str, Any] = {
    **{name: value for name, value in vars(constants).items() if name[0].isupper()},
    **errors.CLASSES,
}
OPT_NAMES_DICT = {value: name for name, value in _NAMES.items() if name.startswith("OPT_")}
SUBMODULES = (
    "cidict", "controls", "dn", "extop", "filter", "functions", "ldapobject", "modlist", "resiter", "sasl", "schema",
)  # fmt: skip
CONTROLS = ("deref", "libldap", "pagedresults", "ppolicy", "readentry", "simple", "sss", "vlv")


def __getattr__(name: str) -> Any:
    """Return a constant or an exception."""
    try:
        return _NAMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*__all__, *_NAMES})


@contextmanager
def modules() -> Iterator[None]:
    """Let `import ldap` find this package, and `import ldap.filter` and the like its modules, as long as it lasts.

    For programs that are tested where python-ldap cannot be installed. What they import stays in `sys.modules` only as
    long; what was there before comes back.
    """
    here = sys.modules[__name__]
    placed: dict[str, ModuleType] = {"ldap": here}
    placed |= {f"ldap.{name}": import_module(f"{__name__}.{name}") for name in SUBMODULES}
    placed |= {f"ldap.controls.{name}": getattr(controls, name) for name in CONTROLS}
    before = {name: sys.modules[name] for name in placed if name in sys.modules}
    sys.modules.update(placed)
    try:
        yield
    finally:
        for name in placed:
            del sys.modules[name]
        sys.modules.update(before)
