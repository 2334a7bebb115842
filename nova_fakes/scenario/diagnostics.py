"""A server's diagnostics, as `GET /servers/{id}/diagnostics` gives them since microversion 2.48."""

from __future__ import annotations

from typing import Any

from nova_fakes.exceptions import StepFailed
from nova_fakes.scenario.stage import DemoServer, Stage

__all__ = ["diagnostics", "nic_counters"]

MICROVERSION = "2.48"

_COUNTERS = ("rx_packets", "tx_packets", "rx_octets", "tx_octets")


def diagnostics(stage: Stage, server: DemoServer) -> dict[str, Any]:
    """Return a server's diagnostics in nova's standard form."""
    response = stage.cloud.compute.get(f"/servers/{server.id}/diagnostics", microversion=MICROVERSION)
    if response.status_code != 200:
        raise StepFailed(f"diagnostics of {server.name}: status {response.status_code}: {response.text[:200]}")
    found: dict[str, Any] = response.json()
    return found


def nic_counters(stage: Stage, server: DemoServer) -> dict[str, int]:
    """Return packets and bytes of the server's interface, both directions."""
    nics = diagnostics(stage, server)["nic_details"]
    for nic in nics:
        if nic["mac_address"] == server.mac:
            return {name: int(nic[name]) for name in _COUNTERS}
    addresses = ", ".join(nic["mac_address"] for nic in nics) or "none"
    raise StepFailed(f"the diagnostics of {server.name} tell of the interfaces {addresses}, not of {server.mac}")
