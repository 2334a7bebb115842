"""What a port's minimum bandwidth and packet rate ask of placement: nova reads it as `resource_request` of the port.

The form is that of the extension port-resource-request-groups (`neutron/services/qos/qos_plugin.py`): groups of
resources and traits, each under an id made of the port's and of the rules', and all within one subtree of providers.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from nova_fakes.api.network.table import Record

__all__ = ["request_of"]

_BANDWIDTH: Final = {"egress": "NET_BW_EGR_KILOBIT_PER_SEC", "ingress": "NET_BW_IGR_KILOBIT_PER_SEC"}
_PACKETS: Final = {
    "egress": "NET_PACKET_RATE_EGR_KILOPACKET_PER_SEC",
    "ingress": "NET_PACKET_RATE_IGR_KILOPACKET_PER_SEC",
    "any": "NET_PACKET_RATE_KILOPACKET_PER_SEC",
}
_TUNNEL: Final = "CUSTOM_NETWORK_TUNNEL_PROVIDER"


def request_of(port: Record, physical_network: str | None, rules: Sequence[Record]) -> dict[str, Any] | None:
    """Return what a port asks for; None if it asks for nothing.

    Args:
        port: the port.
        physical_network: behind its network; None where packets go through a tunnel.
        rules: of the policy that holds for it.
    """
    vnic = _trait("VNIC_TYPE", port["binding:vnic_type"])
    net = _TUNNEL if physical_network is None else _trait("PHYSNET", physical_network)
    groups = [
        group
        for group in (
            _group(port, rules, "minimum_bandwidth", "min_kbps", _BANDWIDTH, [net, vnic]),
            _group(port, rules, "minimum_packet_rate", "min_kpps", _PACKETS, [vnic]),
        )
        if group is not None
    ]
    return {"request_groups": groups, "same_subtree": [group["id"] for group in groups]} if groups else None


def _group(
    port: Record, rules: Sequence[Record], kind: str, amount: str, classes: Mapping[str, str], traits: list[str]
) -> dict[str, Any] | None:
    mine = [rule for rule in rules if rule["type"] == kind]
    if not mine:
        return None
    return {
        "id": str(uuid.uuid5(uuid.UUID(port["id"]), ",".join(rule["id"] for rule in mine))),
        "required": traits,
        "resources": {classes[rule["direction"]]: rule[amount] for rule in mine},
    }


def _trait(kind: str, name: str) -> str:
    """Return a custom trait as neutron-lib writes it: upper case, and an underscore for what traits cannot hold."""
    return f"CUSTOM_{kind}_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"
