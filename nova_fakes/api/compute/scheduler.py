"""Where a server goes: the hosts that may have it, and of these the emptiest."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nova_fakes.api.compute.records import Flavor, Server, ServerGroup
from nova_fakes.virt.guest import Claim
from nova_fakes.virt.hypervisor import Hypervisor

if TYPE_CHECKING:
    from nova_fakes.api.compute.hosts import Hosts

__all__ = ["NO_HOST", "Scheduler"]

NO_HOST = "No valid host was found. There are not enough hosts available."
#: How many times a host's processors are given away (nova.conf initial_cpu_allocation_ratio).
CPU_RATIO = 4.0
DEFAULT_ZONE = "nova"


class Scheduler:
    """Choose hosts as nova's filters and weighers do, from the fleet's own figures.

    Args:
        hosts: services, aggregates and the fleet.
        servers: by id.
        groups: server groups by id.
    """

    def __init__(self, hosts: Hosts, servers: Mapping[str, Server], groups: Mapping[str, ServerGroup]) -> None:
        self._hosts = hosts
        self._servers = servers
        self._groups = groups

    def choose(
        self,
        server: Server,
        flavor: Flavor,
        *,
        claim: Claim,
        wanted: str | None = None,
        avoid: Collection[str] = (),
        force: bool = False,
    ) -> Hypervisor | None:
        """Return the host for a server, None where no host may have it.

        Args:
            server: its zone, hints and group count.
            flavor: how big it is to be; its extra specs name traits and aggregates.
            claim: what it takes up.
            wanted: the only host that may have it.
            avoid: hosts that may not.
            force: whether `wanted` is taken though filters refuse it.
        """
        fleet = self._hosts.fleet
        if force and wanted is not None:
            return fleet.hosts.get(wanted)
        found = [
            host
            for host in fleet.hosts.values()
            if host.name not in avoid
            and wanted in (None, host.name)
            and self._hosts.takes_servers(host.name)
            and self._fits(host, claim)
            and self._zone_fits(host.name, server.pinned_zone)
            and self._hints_fit(host.name, server.hints)
            and self._specs_fit(host, flavor.extra_specs)
            and self._group_fits(host.name, server)
        ]
        return min(found, key=lambda host: (-self._free_memory(host), host.name), default=None)

    @staticmethod
    def _free_memory(host: Hypervisor) -> int:
        return host.inventory.memory_mb * host.inventory.nodes - host.capacity.used.memory_mb

    @staticmethod
    def _fits(host: Hypervisor, claim: Claim) -> bool:
        inventory, used = host.inventory, host.capacity.used
        return (
            claim.vcpus <= inventory.vcpus
            and used.vcpus + claim.vcpus <= inventory.vcpus * CPU_RATIO * inventory.nodes
            and used.memory_mb + claim.memory_mb <= inventory.memory_mb * inventory.nodes
            and used.disk_gb + claim.disk_gb <= inventory.disk_gb * inventory.nodes
        )

    def _zone_fits(self, host: str, zone: str | None) -> bool:
        return zone is None or self._hosts.zone(host) == zone

    def _hints_fit(self, host: str, hints: Mapping[str, Any]) -> bool:
        apart = {self._where(other) for other in _several(hints.get("different_host"))}
        beside = {self._where(other) for other in _several(hints.get("same_host"))}
        return host not in apart and (not beside or host in beside)

    def _where(self, server_id: str) -> str | None:
        other = self._servers.get(server_id)
        return None if other is None else other.host

    def _specs_fit(self, host: Hypervisor, specs: Mapping[str, str]) -> bool:
        for key, value in specs.items():
            scope, _, name = key.partition(":")
            if scope == "trait" and value in ("required", "forbidden"):
                if (name in host.inventory.traits) != (value == "required"):
                    return False
            elif scope == "aggregate_instance_extra_specs" and value not in self._hosts.metadata(host.name, name):
                return False
        return True

    def _group_fits(self, host: str, server: Server) -> bool:
        group = self._groups.get(server.group_id or "")
        if group is None:
            return True
        others = [other.host for other in self._members(group.id) if other is not server and other.host]
        if group.policy == "affinity":
            return not others or host in others
        if group.policy == "anti-affinity":
            return others.count(host) < int(group.rules.get("max_server_per_host", 1))
        return True

    def _members(self, group_id: str) -> Iterator[Server]:
        return (one for one in self._servers.values() if one.group_id == group_id and not one.deleted)


def _several(value: object) -> list[str]:
    if value is None:
        return []
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]
