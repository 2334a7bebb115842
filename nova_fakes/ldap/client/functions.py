"""What `ldap.functions` has: connections, global options, times."""

from __future__ import annotations

import time
from calendar import timegm
from collections.abc import Callable
from typing import Any

from nova_fakes.ldap.client import constants, options
from nova_fakes.ldap.client.simple import LDAPObject
from nova_fakes.ldap.registry import current

__all__ = ["escape_str", "get_option", "initialize", "set_option", "strf_secs", "strp_secs"]

FORMAT = "%Y%m%d%H%M%SZ"


def initialize(
    uri: str,
    trace_level: int = 0,
    trace_file: Any = None,
    trace_stack_limit: int | None = None,
    bytes_mode: Any = None,
    fileno: Any = None,
    **kwargs: Any,
) -> LDAPObject:
    """Return a connection to the directory that a URI leads to in this process.

    :raises LDAPError: where it is not a URI; whether something answers there shows at the first request
    """
    return LDAPObject(uri, trace_level, trace_file, trace_stack_limit, bytes_mode, fileno=fileno, **kwargs)


def get_option(option: int) -> Any:
    """Return an option as connections have it from the beginning."""
    if option == constants.OPT_URI:
        return current().options.get(option, "ldap://localhost:389/")
    return options.get(current().options, option)


def set_option(option: int, invalue: Any) -> None:
    """Set an option for all connections that are made from now on in the same registry."""
    options.set_option(current().options, option, invalue)


def escape_str(escape_func: Callable[[str], str], s: str, *args: str) -> str:
    """Put escaped values into a text with `%s` in their places."""
    return s % tuple(map(escape_func, args))


def strf_secs(secs: float) -> str:
    """Write seconds since the epoch as generalized time."""
    return time.strftime(FORMAT, time.gmtime(secs))


def strp_secs(dt_str: str) -> int:
    """Read a generalized time and return the seconds since the epoch."""
    return timegm(time.strptime(dt_str, FORMAT))
