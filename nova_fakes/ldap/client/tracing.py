"""What a connection with a trace level writes of each call."""

from __future__ import annotations

import pprint
import sys
from collections.abc import Callable
from typing import Any

from nova_fakes.ldap.client.errors import LDAPError

__all__ = ["call"]


def call(owner: Any, uri: str, level: int, file: Any, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function and write what it was called with; from level 2 on what it returned or raised, too."""
    out = file if file is not None else sys.stderr
    name = f"{owner.__class__.__name__}.{func.__name__}"
    out.write(f"*** {owner!r} {uri} - {name}\n{pprint.pformat((args, kwargs))}\n")
    try:
        result = func(*args, **kwargs)
    except LDAPError as error:
        if level >= 2:
            out.write(f"=> LDAPError - {error.__class__.__name__}: {error}\n")
        raise
    if level >= 2:
        out.write(f"=> result:\n{pprint.pformat(result)}\n")
    return result
