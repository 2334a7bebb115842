"""Checks of single values: each takes what the client sent and returns what is kept, or raises ValueError.

The errors' reasons follow `neutron_lib/api/validators` in substance; the API says "Invalid input for NAME. Reason: …".
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface, ip_network
from typing import Any

__all__ = [
    "Check",
    "Described",
    "address",
    "address_pairs",
    "anything",
    "boolean",
    "cidr",
    "dhcp_options",
    "dictionary",
    "dns_domain",
    "dns_name",
    "fixed_ips",
    "host_routes",
    "integer",
    "mac",
    "name_servers",
    "one_of",
    "optional",
    "pools",
    "schema_of",
    "string",
    "tags",
    "uuid_list",
    "uuid_string",
]

Check = Callable[[Any], Any]

_MAC = re.compile(r"([0-9a-f]{2}[:-]){5}[0-9a-f]{2}", re.IGNORECASE)
_LABEL = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


class Described:
    """A check with the JSON schema that says the same, as far as JSON schemas can.

    Args:
        check: makes of the value sent the one kept, or raises ValueError.
        schema: of what may be sent.
    """

    __slots__ = ("_check", "schema")

    def __init__(self, check: Check, schema: Mapping[str, Any]) -> None:
        self._check = check
        self.schema = dict(schema)

    def __call__(self, value: Any) -> Any:
        """Check a value."""
        return self._check(value)


def anything(value: Any) -> Any:
    """Accept every value."""
    return value


def optional(check: Check) -> Check:
    """Return a check that also accepts None."""
    return Described(lambda value: None if value is None else check(value), {**schema_of(check), "nullable": True})


def boolean(value: Any) -> bool:
    """Accept booleans and the usual words for them."""
    word = str(value).lower()
    if isinstance(value, bool) or (isinstance(value, str | int) and word in _TRUE | _FALSE):
        return word in _TRUE
    raise ValueError(f"'{value}' cannot be converted to boolean")


def integer(low: int, high: int) -> Check:
    """Return a check for whole numbers from `low` to `high`."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError(f"'{value}' is not an integer")
        try:
            number = int(value)
        except ValueError:
            raise ValueError(f"'{value}' is not an integer") from None
        if number < low:
            raise ValueError(f"'{number}' is too small - must be at least '{low}'")
        if number > high:
            raise ValueError(f"'{number}' is too large - must be no larger than '{high}'")
        return number

    return Described(check, {"type": "integer", "minimum": low, "maximum": high})


def string(size: int = 255) -> Check:
    """Return a check for strings of at most `size` characters."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(f"'{value}' is not a valid string")
        if len(value) > size:
            raise ValueError(f"'{value}' exceeds maximum length of {size}")
        return value

    return Described(check, {"type": "string", "maxLength": size})


def one_of(choices: Collection[Any]) -> Check:
    """Return a check for membership in `choices`."""

    def check(value: Any) -> Any:
        if value not in choices:
            raise ValueError(f"'{value}' is not in {list(choices)}")
        return value

    return Described(check, {"enum": list(choices)})


def dns_name(value: Any) -> str:
    """Accept a host name, or a full name that ends with a dot or not; "" and None are none."""
    return _dns(value, ending=False)


def dns_domain(value: Any) -> str:
    """Accept a domain, which ends with a dot; "" and None are none."""
    return _dns(value, ending=True)


def _dns(value: Any, *, ending: bool) -> str:
    if value in (None, ""):
        return ""
    if not isinstance(value, str) or len(value) > 255:
        raise ValueError(f"'{value}' not a valid PQDN or FQDN. Reason: it is no string of at most 255 characters")
    if ending and not value.endswith("."):
        raise ValueError(f"'{value}' is not a FQDN: it does not end with a dot")
    if not all(_LABEL.fullmatch(label) for label in value.removesuffix(".").split(".")):
        raise ValueError(f"'{value}' not a valid PQDN or FQDN. Reason: a label is of letters, digits and hyphens")
    return value.lower()


def uuid_string(value: Any) -> str:
    """Accept a uuid in its usual form."""
    if isinstance(value, str):
        try:
            if str(uuid.UUID(value)).replace("-", "") == value.lower().replace("-", ""):
                return value
        except ValueError:
            pass
    raise ValueError(f"'{value}' is not a valid UUID")


def uuid_list(value: Any) -> list[str]:
    """Accept a list of different uuids."""
    items = [uuid_string(item) for item in _list(value)]
    if len(set(items)) != len(items):
        raise ValueError(f"Duplicate items in the list: '{', '.join(items)}'")
    return items


def mac(value: Any) -> str:
    """Accept a MAC address that is no group address; it is kept in lower case with colons."""
    if not isinstance(value, str) or not _MAC.fullmatch(value):
        raise ValueError(f"'{value}' is not a valid MAC address")
    text = value.lower().replace("-", ":")
    if text == "00:00:00:00:00:00" or int(text[:2], 16) & 1:
        raise ValueError(f"'{value}' is not an unicast MAC address")
    return text


def address(value: Any) -> str:
    """Accept an IPv4 or IPv6 address; it is kept in its canonical form."""
    return str(_address(value))


def _address(value: Any) -> IPv4Address | IPv6Address:
    try:
        return ip_address(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(f"'{value}' is not a valid IP address") from None


def cidr(value: Any) -> str:
    """Accept a subnet with its prefix length and no host bits."""
    if not isinstance(value, str) or "/" not in value:
        raise ValueError(f"'{value}' is not a valid IP subnet")
    try:
        return str(ip_network(value))
    except ValueError:
        pass
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f"'{value}' is not a valid IP subnet") from None
    raise ValueError(f"'{value}' isn't a recognized IP subnet cidr, '{network}' is recommended")


def dictionary(value: Any) -> dict[str, Any]:
    """Accept an object; None is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"'{value}' is not a dictionary")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"'{value}' is not a list")
    return value


def _object(value: Any, required: Collection[str], allowed: Collection[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"'{value}' is not a dictionary")
    missing, unknown = set(required) - value.keys(), value.keys() - set(allowed)
    if missing or unknown:
        what = f"lacks {sorted(missing)}" if missing else f"has the unknown keys {sorted(unknown)}"
        raise ValueError(f"'{value}' {what}")
    return value


def fixed_ips(value: Any) -> list[dict[str, str]]:
    """Accept a list of objects with "subnet_id", "ip_address" or both."""
    found: list[dict[str, str]] = []
    seen: set[str] = set()
    for item in [] if value is None else _list(value):
        entry = _object(item, (), ("ip_address", "subnet_id"))
        kept: dict[str, str] = {}
        if entry.get("subnet_id") is not None:
            kept["subnet_id"] = uuid_string(entry["subnet_id"])
        if entry.get("ip_address") is not None:
            kept["ip_address"] = address(entry["ip_address"])
            if kept["ip_address"] in seen:
                raise ValueError(f"Duplicate IP address '{kept['ip_address']}'")
            seen.add(kept["ip_address"])
        if not kept:
            raise ValueError(f"'{item}' names neither a subnet_id nor an ip_address")
        found.append(kept)
    return found


def name_servers(value: Any) -> list[str]:
    """Accept a list of different addresses; None is an empty one."""
    servers = [address(item) for item in ([] if value is None else _list(value))]
    if len(set(servers)) != len(servers):
        raise ValueError(f"Duplicate nameserver in '{servers}'")
    return servers


def host_routes(value: Any) -> list[dict[str, str]]:
    """Accept a list of objects with "destination" (CIDR) and "nexthop" (address); None is an empty one."""
    routes: list[dict[str, str]] = []
    for item in [] if value is None else _list(value):
        entry = _object(item, ("destination", "nexthop"), ("destination", "nexthop"))
        route = {"destination": cidr(entry["destination"]), "nexthop": address(entry["nexthop"])}
        if ip_network(route["destination"]).version != _address(route["nexthop"]).version:
            raise ValueError(f"'{item}' mixes IP versions")
        if route in routes:
            raise ValueError(f"Duplicate hostroute '{item}'")
        routes.append(route)
    return routes


def pools(value: Any) -> list[dict[str, str]]:
    """Accept a list of objects with "start" and "end" addresses, both included."""
    found: list[dict[str, str]] = []
    for item in _list(value):
        entry = _object(item, ("start", "end"), ("start", "end"))
        found.append({"start": address(entry["start"]), "end": address(entry["end"])})
    return found


def address_pairs(value: Any) -> list[dict[str, str]]:
    """Accept a list of objects with "ip_address" (address or CIDR) and perhaps "mac_address"."""
    found: list[dict[str, str]] = []
    for item in [] if value is None else _list(value):
        if not isinstance(item, dict) or "ip_address" not in item:
            raise ValueError("AllowedAddressPair must contain ip_address")
        entry = _object(item, ("ip_address",), ("ip_address", "mac_address"))
        try:
            ip_interface(entry["ip_address"])
        except ValueError:
            raise ValueError(f"'{entry['ip_address']}' is not a valid IP address or subnet") from None
        pair = {"ip_address": str(entry["ip_address"])}
        if entry.get("mac_address") is not None:
            pair["mac_address"] = mac(entry["mac_address"])
        if pair in found:
            raise ValueError(f"Request contains duplicate address pair: {pair}")
        found.append(pair)
    return found


def dhcp_options(value: Any) -> list[dict[str, Any]]:
    """Accept a list of objects with "opt_name", "opt_value" (None removes it) and perhaps "ip_version"."""
    found: list[dict[str, Any]] = []
    for item in [] if value is None else _list(value):
        entry = _object(item, ("opt_name", "opt_value"), ("opt_name", "opt_value", "ip_version"))
        version = integer(4, 6)(entry.get("ip_version", 4))
        if version == 5:
            raise ValueError("'5' is not in [4, 6]")
        found.append(
            {
                "opt_name": string(64)(entry["opt_name"]),
                "opt_value": optional(string())(entry["opt_value"]),
                "ip_version": version,
            }
        )
    return found


def tags(value: Any) -> list[str]:
    """Accept a list of non-empty strings; it is kept sorted and without repetition."""
    items = [string(255)(item) for item in _list(value)]
    if any(not item for item in items):
        raise ValueError("a tag must not be empty")
    return sorted(set(items))


_UUID: Mapping[str, Any] = {"type": "string", "format": "uuid"}
_ADDRESS: Mapping[str, Any] = {"type": "string", "example": "10.0.0.1"}


def schema_of(check: Check) -> dict[str, Any]:
    """Return the JSON schema of what a check accepts; {} where none can say it."""
    if isinstance(check, Described):
        return dict(check.schema)
    several = {"type": "array"}
    known: dict[Check, Mapping[str, Any]] = {
        boolean: {"type": "boolean"},
        uuid_string: _UUID,
        uuid_list: {**several, "items": _UUID, "uniqueItems": True},
        mac: {"type": "string", "pattern": "^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$"},
        address: _ADDRESS,
        cidr: {"type": "string", "example": "10.0.0.0/24"},
        dictionary: {"type": "object", "nullable": True},
        fixed_ips: {**several, "items": _members({"subnet_id": _UUID, "ip_address": _ADDRESS})},
        name_servers: {**several, "items": _ADDRESS},
        host_routes: {**several, "items": _members({"destination": {"type": "string"}, "nexthop": _ADDRESS}, "all")},
        pools: {**several, "items": _members({"start": _ADDRESS, "end": _ADDRESS}, "all")},
        address_pairs: {
            **several,
            "items": _members({"ip_address": _ADDRESS, "mac_address": {"type": "string"}}, "ip_address"),
        },
        dhcp_options: {
            **several,
            "items": _members({"opt_name": {"type": "string"}, "opt_value": {"type": "string"}}, "all"),
        },
    }
    return dict(known.get(check, {}))


def _members(properties: Mapping[str, Any], required: str = "") -> dict[str, Any]:
    needed = list(properties) if required == "all" else [required] if required else []
    return {"type": "object", "properties": dict(properties), "required": needed, "additionalProperties": False}
