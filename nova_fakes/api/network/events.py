"""What nova is told about ports, in the shape of its os-server-external-events API (`neutron/notifiers/nova.py`)."""

from __future__ import annotations

import uuid
from typing import TypedDict

from nova_fakes.api.network.table import Record

__all__ = ["Event", "changed", "deleted", "is_compute_port", "plugged", "unplugged"]


class Event(TypedDict, total=False):
    """One external event of a server; `tag` is the port's id, `status` is missing where Neutron sends none."""

    name: str
    server_uuid: str
    tag: str
    status: str


def is_compute_port(port: Record) -> bool:
    """Whether a port is a server's: its device_owner begins with "compute:" and its device_id is a uuid."""
    if not port["device_owner"].startswith("compute:"):
        return False
    try:
        uuid.UUID(port["device_id"])
    except ValueError:
        return False
    return True


def plugged(port: Record) -> Event:
    """The layer-2 agent has connected the port."""
    return _event("network-vif-plugged", port, status="completed")


def unplugged(port: Record) -> Event:
    """The port that was connected no longer is."""
    return _event("network-vif-unplugged", port, status="completed")


def deleted(port: Record) -> Event:
    """The port was deleted while it belonged to a server."""
    return _event("network-vif-deleted", port)


def changed(port: Record) -> Event:
    """Something that nova keeps a copy of has changed: addresses, floating IPs."""
    return _event("network-changed", port)


def _event(name: str, port: Record, status: str | None = None) -> Event:
    event = Event(name=name, server_uuid=port["device_id"], tag=port["id"])
    if status is not None:
        event["status"] = status
    return event
