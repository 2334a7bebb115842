"""What the network service knows: the tables that all its parts work on."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from nova_fakes.api.network.addresses import AddressPool
from nova_fakes.api.network.events import Event, is_compute_port
from nova_fakes.api.network.table import Record, Table, by_attribute

__all__ = ["DEFAULT_QUOTAS", "State"]

DEFAULT_QUOTAS: Final[Mapping[str, int]] = {
    "network": 100,
    "subnet": 100,
    "port": 500,
    "router": 10,
    "floatingip": 50,
    "security_group": 10,
    "security_group_rule": 100,
    "subnetpool": -1,
    "trunk": -1,
    "rbac_policy": 10,
}
"""Limits of a project that was given none (`neutron/conf/quota.py`); -1 is no limit."""

_TABLES = (
    "networks",
    "subnets",
    "ports",
    "security_groups",
    "security_group_rules",
    "routers",
    "floatingips",
    "agents",
    "subnetpools",
    "trunks",
    "rbac_policys",
    "address_scopes",
    "qos_policies",
    "qos_rules",
    "segments",
    "port_forwardings",
)
#: Tables that an older state does not have.
_LATER = frozenset(_TABLES[_TABLES.index("subnetpools") :])


class State:
    """Tables, address pools, bindings and the lock over them.

    Every change happens within `transaction`, which serialises them and hands the events they cause to `notify` in
    order.

    Args:
        notify: called with a list of events while the lock is held; it must neither block nor fail.
        quotas: limits by resource that differ from `DEFAULT_QUOTAS`, for all projects.
        mtu: of networks that are made without one, in bytes.
        now: the time of day, for time stamps.
    """

    def __init__(
        self, notify: Callable[[list[Event]], None], quotas: Mapping[str, int], mtu: int, now: Callable[[], datetime]
    ) -> None:
        self.lock = threading.RLock()
        self.mtu = mtu
        self.default_quotas: dict[str, int] = {**DEFAULT_QUOTAS, **quotas}
        self._notify = notify
        self._now = now
        self._depth = 0
        self._events: list[Event] = []
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        project = {"project_id": by_attribute("project_id"), "name": by_attribute("name")}
        policy = {"qos_policy_id": lambda record: (record.get("qos_policy_id"),)}
        self.networks = Table({**project, **policy})
        self.subnets = Table({**project, "network_id": by_attribute("network_id")})
        self.ports = Table(
            {
                **project,
                **policy,
                "network_id": by_attribute("network_id"),
                "device_id": by_attribute("device_id"),
                "binding:host_id": by_attribute("binding:host_id"),
                "mac": lambda port: ((port["network_id"], port["mac_address"]),),
                "ip_address": lambda port: tuple(entry["ip_address"] for entry in port["fixed_ips"]),
                "subnet_id": lambda port: tuple({entry["subnet_id"] for entry in port["fixed_ips"]}),
                "security_groups": lambda port: tuple(port["security_groups"]),
            }
        )
        self.security_groups = Table(project)
        self.security_group_rules = Table(
            {
                "project_id": by_attribute("project_id"),
                "security_group_id": by_attribute("security_group_id"),
                "remote_group_id": by_attribute("remote_group_id"),
            }
        )
        self.routers = Table(project)
        self.floatingips = Table(
            {
                **policy,
                "project_id": by_attribute("project_id"),
                "port_id": by_attribute("port_id"),
                "floating_network_id": by_attribute("floating_network_id"),
                "floating_ip_address": by_attribute("floating_ip_address"),
            }
        )
        self.agents = Table({"host": by_attribute("host")})
        self.subnetpools = Table(project)
        self.trunks = Table({**project, "port_id": by_attribute("port_id")})
        self.rbac_policys = Table({"project_id": by_attribute("project_id"), "object_id": by_attribute("object_id")})
        self.address_scopes = Table(project)
        self.qos_policies = Table(project)
        self.qos_rules = Table(policy)
        self.segments = Table({"network_id": by_attribute("network_id")})
        self.port_forwardings = Table(
            {
                "floatingip_id": by_attribute("floatingip_id"),
                "internal_port_id": by_attribute("internal_port_id"),
            }
        )
        self.pools: dict[str, AddressPool] = {}
        self.bindings: dict[str, dict[str, Record]] = {}
        """Bindings by host, by port; the unbound one is of host ""."""
        self.wired: dict[str, set[str]] = defaultdict(set)
        """Hosts whose agent has reported the port's device up, by port."""
        self.quotas: dict[str, dict[str, int]] = {}
        self.next_segment = 1

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the lock; when the outermost one ends, hand over the events, also those of a failed request."""
        with self.lock:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if not self._depth and self._events:
                    events, self._events = self._events, []
                    self._notify(events)

    def emit(self, make: Callable[[Record], Event], port: Record) -> None:
        """Tell nova about `port` at the end of the transaction, if it is a server's."""
        if is_compute_port(port):
            self._events.append(make(port))

    def stamp(self) -> str:
        """Return the time of day as the API writes it."""
        return self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def update(self, table: Table, record_id: str, changes: Mapping[str, Any]) -> Record:
        """Change a record, with a new revision and time if it has them; nothing if `changes` are none."""
        old = table[record_id]
        if all(name in old and old[name] == value for name, value in changes.items()):
            return old
        if "revision_number" not in old:
            return table.update(record_id, changes)
        revision = {"revision_number": old["revision_number"] + 1, "updated_at": self.stamp()}
        return table.update(record_id, {**changes, **revision})

    def is_shared(self, project_id: str | None, record: Mapping[str, Any]) -> bool:
        """Tell whether a resource is shared with a project: with all, or by a policy with this one."""
        return record["shared"] or any(
            one["action"] == "access_as_shared" and one["target_tenant"] in ("*", project_id)
            for one in self.rbac_policys.find("object_id", record["id"])
        )

    def leads_outside(self, project_id: str | None, network: Mapping[str, Any]) -> bool:
        """Tell whether a network is external, and for this project; those of an older state are for all."""
        if not network["router:external"]:
            return False
        targets = {
            one["target_tenant"]
            for one in self.rbac_policys.find("object_id", network["id"])
            if one["action"] == "access_as_external"
        }
        return not targets or not targets.isdisjoint(("*", project_id))

    def quota(self, project_id: str, resource: str) -> int:
        """Return a project's limit of a resource; -1 is none."""
        return self.quotas.get(project_id, {}).get(resource, self.default_quotas[resource])

    def usage(self, project_id: str, resource: str) -> int:
        """Return how many of a resource a project has."""
        table: Table = getattr(self, f"{resource}s")
        return table.count("project_id", project_id)

    def dump(self) -> dict[str, Any]:
        """Return everything as an object for JSON."""
        with self.lock:
            return {
                "version": 1,
                **{name: list(getattr(self, name)) for name in _TABLES},
                "bindings": {port: list(hosts.values()) for port, hosts in self.bindings.items()},
                "wired": {port: sorted(hosts) for port, hosts in self.wired.items() if hosts},
                "quotas": {project: dict(limits) for project, limits in self.quotas.items()},
                "next_segment": self.next_segment,
            }

    def load(self, data: Mapping[str, Any]) -> None:
        """Replace everything by what `dump` returned."""
        with self.lock:
            self.clear()
            for name in _TABLES:
                table: Table = getattr(self, name)
                for record in data.get(name, ()) if name in _LATER else data[name]:
                    table.insert(dict(record))
            self.bindings = {
                port: {b["host"]: dict(b) for b in bindings} for port, bindings in data["bindings"].items()
            }
            for port, hosts in data["wired"].items():
                self.wired[port] = set(hosts)
            self.quotas = {project: dict(limits) for project, limits in data["quotas"].items()}
            self.next_segment = data["next_segment"]
            taken: dict[str, list[str]] = defaultdict(list)
            for port in self.ports:
                for entry in port["fixed_ips"]:
                    taken[entry["subnet_id"]].append(entry["ip_address"])
            self.pools = {subnet["id"]: AddressPool(subnet, taken[subnet["id"]]) for subnet in self.subnets}
