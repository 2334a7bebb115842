"""The hosts as the API knows them: services that can be disabled, aggregates, availability zones."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from nova_fakes.api.compute.records import Aggregate, dump, load
from nova_fakes.api.compute.scheduler import DEFAULT_ZONE
from nova_fakes.exceptions import ApiError
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.fleet_file import FleetPlan
from nova_fakes.virt.hypervisor import Hypervisor

__all__ = ["INTERNAL_ZONE", "ZONE_KEY", "Hosts", "Service"]

INTERNAL_ZONE = "internal"
ZONE_KEY = "availability_zone"
CONTROLLER = "controller"


class Service:
    """A nova-compute, or one of the two that compute itself needs."""

    def __init__(self, number: int, binary: str, host: str) -> None:
        self.number = number
        self.uuid = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{binary}.{host}.nova-fakes"))
        self.binary = binary
        self.host = host
        self.disabled = False
        self.disabled_reason: str | None = None
        self.forced_down = False
        self.deleted = False


class Hosts:
    """Services and aggregates over a fleet. Not locked: the compute service that owns them is.

    Args:
        fleet: has the hosts.
        plan: its aggregates are made at the beginning.
    """

    def __init__(self, fleet: Fleet, plan: FleetPlan) -> None:
        self.fleet = fleet
        names = [("nova-scheduler", CONTROLLER), ("nova-conductor", CONTROLLER)]
        names += [("nova-compute", host) for host in plan.hosts]
        self.services = [Service(number, *name) for number, name in enumerate(names, 1)]
        self.aggregates: dict[int, Aggregate] = {}
        self._sequence = 0
        for one in plan.aggregates:
            metadata = dict(one.metadata)
            if one.availability_zone is not None:
                metadata[ZONE_KEY] = one.availability_zone
            made = self.add_aggregate(one.name)
            made.hosts, made.metadata = list(one.hosts), metadata

    # Services

    def service(self, host: str) -> Service | None:
        """Return the nova-compute on a host, None without one."""
        return next(
            (one for one in self.services if (one.binary, one.host) == ("nova-compute", host) and not one.deleted),
            None,
        )

    def living_services(self) -> list[Service]:
        """Return the services that nobody has deleted."""
        return [one for one in self.services if not one.deleted]

    def alive(self, service: Service) -> bool:
        """Tell whether a service reports."""
        host = self.fleet.hosts.get(service.host)
        return not service.forced_down and (host is None or not host.silent)

    def takes_servers(self, name: str) -> bool:
        """Tell whether a host may be chosen for another server."""
        service = self.service(name)
        host = self.fleet.hosts[name]
        return (
            service is not None
            and not service.disabled
            and self.alive(service)
            and host.enabled
            and not host.maintenance
        )

    def nodes(self) -> list[tuple[int, str, str, Hypervisor]]:
        """Return every compute node whose service is there: number, uuid, name, host."""
        found, number = [], 0
        for host in self.fleet.hosts.values():
            for identity, node in host.node_uuids().items():
                number += 1
                if self.service(host.name) is not None:
                    found.append((number, identity, node, host))
        return found

    # Aggregates and zones

    def add_aggregate(self, name: str) -> Aggregate:
        """Make an aggregate; ApiError 409, there is one of that name."""
        self.check_name(name)
        self._sequence += 1
        made = Aggregate(self._sequence, str(uuid.uuid4()), name, self.fleet.clock.now())
        self.aggregates[made.id] = made
        return made

    def check_name(self, name: str, other_than: Aggregate | None = None) -> None:
        """Refuse a name that another aggregate has; ApiError 409."""
        if any(one.name == name and one is not other_than for one in self.aggregates.values()):
            raise ApiError(409, f"Aggregate {name} already exists.")

    def aggregate(self, text: str) -> Aggregate:
        """Return the aggregate of that id; ApiError 400, it is no number; 404, there is none."""
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise ApiError(400, f"id must be an integer: {text}")
        found = self.aggregates.get(int(text))
        if found is None:
            raise ApiError(404, f"Aggregate {text} could not be found.")
        return found

    def zone(self, host: str) -> str:
        """Return the availability zone of a host."""
        for one in self.aggregates.values():
            if host in one.hosts and ZONE_KEY in one.metadata:
                return one.metadata[ZONE_KEY]
        return DEFAULT_ZONE if host in self.fleet.hosts else INTERNAL_ZONE

    def zones(self) -> list[str]:
        """Return the availability zones that have hosts."""
        return sorted({self.zone(host) for host in self.fleet.hosts})

    def metadata(self, host: str, key: str) -> set[str]:
        """Return what a host's aggregates have under a metadata key."""
        return {
            value
            for one in self.aggregates.values()
            if host in one.hosts and key in one.metadata
            for value in one.metadata[key].split(",")
        }

    def dump(self) -> dict[str, Any]:
        """Return everything but the fleet as JSON-able data."""
        return {
            "sequence": self._sequence,
            "aggregates": [dump(one) for one in self.aggregates.values()],
            "services": {
                one.uuid: [one.disabled, one.disabled_reason, one.forced_down, one.deleted] for one in self.services
            },
        }

    def load(self, data: Mapping[str, Any]) -> None:
        """Take over what `dump` returned."""
        self._sequence = data["sequence"]
        made = [load(Aggregate, one) for one in data["aggregates"]]
        self.aggregates = {one.id: one for one in made}
        for service in self.services:
            if service.uuid in data["services"]:
                kept = data["services"][service.uuid]
                service.disabled, service.disabled_reason, service.forced_down, service.deleted = kept
