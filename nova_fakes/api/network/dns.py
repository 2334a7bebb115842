"""The names of ports' addresses, as an internal DNS would know them (the extension dns-integration)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["assignment"]

#: neutron.conf dns_domain
DOMAIN = "openstacklocal."


def assignment(port: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the host name and the full name of each of a port's addresses."""
    found = []
    for entry in port["fixed_ips"]:
        address = entry["ip_address"]
        name = port.get("dns_name") or "host-" + address.replace(".", "-").replace(":", "-")
        full = name if name.endswith(".") else f"{name}.{DOMAIN}"
        found.append({"ip_address": address, "hostname": name.split(".")[0], "fqdn": full})
    return found
