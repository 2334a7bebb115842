"""What a value on the wire may look like, for both ends; everything else is refused before anybody acts on it.

Stricter than the kernel and Open vSwitch: a name that passes can be part of a path, of an argument and of a log line.
"""

import ipaddress
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nova_fakes.exceptions import InvalidInput
from nova_fakes.virt.vif import base

__all__ = [
    "address",
    "flag",
    "host",
    "identifier",
    "interface_name",
    "keys",
    "listed",
    "no_zone",
    "path",
    "plain",
    "shorten",
    "text",
    "uuid",
]

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,253}[A-Za-z0-9])?")
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TEXT_LIMIT = 4096
_DEPTH_LIMIT = 8
#: More than any port has.
LIST_LIMIT = 1024


def keys(value: object, field: str, wanted: Collection[str]) -> Mapping[str, Any]:
    """Return an object that has exactly these keys.

    :raises InvalidInput: it is none, lacks one or has others
    """
    if not isinstance(value, dict):
        raise InvalidInput(field, shorten(value), f"give an object with {', '.join(wanted) or 'no keys'}")
    if value.keys() != set(wanted):
        missing = sorted(set(wanted) - value.keys())
        unknown = sorted(str(shorten(key)) for key in value.keys() - set(wanted))
        raise InvalidInput(field, unknown or missing, "these keys are unknown" if unknown else "these keys are missing")
    return value


def listed(value: object, field: str) -> Sequence[Any]:
    """Return a list of bearable length.

    :raises InvalidInput: it is none
    """
    if not isinstance(value, (list, tuple)) or len(value) > LIST_LIMIT:
        raise InvalidInput(field, shorten(value), f"give a list of at most {LIST_LIMIT}")
    return value


def uuid(value: object, field: str) -> str:
    """Return a UUID in its canonical form, lower case with dashes."""
    return _matching(_UUID, value, field, "give a UUID in lower case, as in 5e0c1c6e-1a2b-4c3d-8e4f-0123456789ab")


def host(value: object, field: str) -> str:
    """Return a host's name."""
    return _matching(_HOST, value, field, "give a host name of letters, digits, '.', '_' and '-'")


def identifier(value: object, field: str) -> str:
    """Return an identifier, such as a network's."""
    return _matching(_IDENTIFIER, value, field, "give at most 64 letters, digits, '.', '_' and '-'")


def interface_name(value: object, field: str) -> str:
    """Return the name of a network interface or bridge."""
    return base.interface_name(shorten(value), field)


def flag(value: object, field: str) -> bool:
    """Return True or False, and nothing that only looks like it."""
    if not isinstance(value, bool):
        raise InvalidInput(field, shorten(value), "give true or false")
    return value


def text(value: object, field: str) -> str:
    """Return a short string of printable characters."""
    if not isinstance(value, str) or not value.isprintable() or len(value) > _TEXT_LIMIT:
        raise InvalidInput(field, shorten(value), f"give at most {_TEXT_LIMIT} printable characters")
    return value


def path(value: object, field: str) -> str:
    """Return an absolute path that leads nowhere by ``..``."""
    found = text(value, field)
    if not found.startswith("/") or ".." in found.split("/"):
        raise InvalidInput(field, shorten(value), "give an absolute path without '..'")
    return found


def address(value: object, field: str) -> str:
    """Return an IP address in its canonical form."""
    try:
        return str(ipaddress.ip_address(no_zone(value, field)))
    except ValueError:
        raise InvalidInput(field, shorten(value), "give an IPv4 or IPv6 address") from None


def no_zone(value: object, field: str) -> str:
    """Return what may be an address or network, but none with a zone: that would be an interface of another machine."""
    if not isinstance(value, str) or not 0 < len(value) < 64 or "%" in value:
        raise InvalidInput(field, shorten(value), "give an IP address or network without a zone")
    return value


def plain(value: object, field: str, depth: int = _DEPTH_LIMIT) -> Any:
    """Return a value of whatever JSON carries, with bearable depth and without control characters.

    :raises InvalidInput: something in it is not
    """
    if value is None or isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, str):
        return text(value, field)
    if depth and isinstance(value, (list, tuple)):
        return [plain(item, field, depth - 1) for item in listed(value, field)]
    if depth and isinstance(value, Mapping):
        listed(list(value), field)
        return {text(key, field): plain(item, field, depth - 1) for key, item in value.items()}
    raise InvalidInput(field, shorten(value), f"give what JSON carries, at most {_DEPTH_LIMIT} deep")


def _matching(pattern: re.Pattern[str], value: object, field: str, cure: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InvalidInput(field, shorten(value), cure)
    return value


def shorten(value: object) -> object:
    """Cut a value that is quoted in an error, so that nobody fills a log with it."""
    shown = ascii(value)
    return value if len(shown) <= 200 else f"{shown[:200]}…"
