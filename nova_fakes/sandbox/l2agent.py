"""The layer-2 agent of every host: tells the network service which VIFs are plugged.

A real agent watches its bridge for devices; this one watches the fleet's journal. The network service then makes the
port ACTIVE or DOWN and sends nova the event that it waits for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from nova_fakes.virt.journal import Event, Journal

__all__ = ["Layer2Agent"]

LOG = logging.getLogger(__name__)


class PortStatus(Protocol):
    """The agent's side of the network service."""

    def device_up(self, port_id: str, host: str) -> None:
        """Tell that the port's device is plugged on the host."""

    def device_down(self, port_id: str, host: str) -> None:
        """Tell that the port's device is gone from the host."""


class Layer2Agent:
    """Subscribes to a journal for as long as it runs.

    :param journal: of the fleet
    :param ports: the network service
    """

    def __init__(self, journal: Journal, ports: PortStatus) -> None:
        self._ports = ports
        self._unsubscribe: Callable[[], None] = journal.subscribe(self._observe)

    def stop(self) -> None:
        """Stop watching."""
        self._unsubscribe()

    def _observe(self, event: Event) -> None:
        if event.operation == "vif_plugged":
            report = self._ports.device_up
        elif event.operation == "vif_unplugged":
            report = self._ports.device_down
        else:
            return
        try:
            report(str(event.details["vif_id"]), event.host)
        except Exception:
            # The hypervisor's operation has succeeded; a port that was deleted meanwhile is no reason to fail it.
            LOG.exception("%s of port %s on %s", event.operation, event.details.get("vif_id"), event.host)
