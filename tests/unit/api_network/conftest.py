"""A network service with two hosts, whose events for nova are kept in a list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nova_fakes.api.network import ADMIN, Caller, Event, NetworkService
from nova_fakes.exceptions import ApiError

Record = dict[str, Any]

USER = Caller("a" * 32, frozenset({"member"}))
STRANGER = Caller("b" * 32, frozenset({"member"}))
READER = Caller("a" * 32, frozenset({"reader"}))
SERVER = "11111111-2222-4333-8444-555555555555"
OTHER_SERVER = "22222222-2222-4333-8444-555555555555"


class World:
    """The service and short ways to fill it."""

    def __init__(self, **options: Any) -> None:
        self.events: list[Event] = []
        self.service = NetworkService(["compute-1", "compute-2"], notifier=self.events.extend, **options)

    def names(self) -> list[str]:
        """Return the names of the events since last asked."""
        names = [event["name"] for event in self.events]
        self.events.clear()
        return names

    def network(self, caller: Caller = USER, *cidrs: str, **attributes: Any) -> Record:
        if caller.project_id is None:
            attributes.setdefault("project_id", "c" * 32)
        network = self.service.networks.create(caller, attributes)
        for cidr in cidrs:
            self.subnet(network, cidr, caller)
        return self.service.networks.get(caller, network["id"])

    def subnet(self, network: Record, cidr: str, caller: Caller = USER, **attributes: Any) -> Record:
        body = {
            "network_id": network["id"],
            "cidr": cidr,
            "ip_version": 6 if ":" in cidr else 4,
            "project_id": network["project_id"],
            **attributes,
        }
        return self.service.subnets.create(caller, body)

    def port(self, network: Record, caller: Caller = USER, **attributes: Any) -> Record:
        return self.service.ports.create(caller, {"network_id": network["id"], **attributes})

    def server_port(self, network: Record, host: str = "compute-1", server: str = SERVER) -> Record:
        """Make a port as nova does for a server on `host`."""
        port = self.port(network, ADMIN, project_id=network["project_id"], device_id=server)
        return self.service.ports.update(
            ADMIN, port["id"], {"device_owner": "compute:nova", "device_id": server, "binding:host_id": host}
        )


@pytest.fixture
def world() -> World:
    return World()


def refused(status: int, kind: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Check that a call is refused in this way; return the message."""
    with pytest.raises(ApiError) as caught:
        call(*args, **kwargs)
    assert (caught.value.status, caught.value.kind) == (status, kind), caught.value.message
    return caught.value.message


def addresses(port: Record) -> list[str]:
    return [entry["ip_address"] for entry in port["fixed_ips"]]
