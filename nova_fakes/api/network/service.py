"""The network service: all of its parts over one state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from nova_fakes.api.network.address_scopes import AddressScopes
from nova_fakes.api.network.agents import Agents
from nova_fakes.api.network.bindings import Bindings
from nova_fakes.api.network.collection import Collection
from nova_fakes.api.network.events import Event
from nova_fakes.api.network.floating_ips import FloatingIPs
from nova_fakes.api.network.networks import Networks
from nova_fakes.api.network.port_forwardings import PortForwardings
from nova_fakes.api.network.ports import Ports
from nova_fakes.api.network.qos_policies import QosPolicies
from nova_fakes.api.network.qos_rules import RULE_KINDS, QosRules
from nova_fakes.api.network.quotas import Quotas
from nova_fakes.api.network.rbac import RbacPolicies
from nova_fakes.api.network.routers import Routers
from nova_fakes.api.network.security_groups import SecurityGroupRules, SecurityGroups
from nova_fakes.api.network.segments import Segments
from nova_fakes.api.network.state import State
from nova_fakes.api.network.subnet_pools import SubnetPools
from nova_fakes.api.network.subnets import Subnets
from nova_fakes.api.network.trunks import Trunks

__all__ = ["NetworkService"]


def _silent(events: list[Event]) -> None:
    """Take events that nobody asked for."""


def _today() -> datetime:
    return datetime.now(UTC)


class NetworkService:
    """An in-memory Neutron with a layer-2 agent on each host.

    Thread-safe. Each kind of resource is a `Collection` in an attribute: `networks`, `subnets`, `ports`,
    `security_groups`, `security_group_rules`, `routers`, `floatingips`, `agents`, `address_scopes`, `subnetpools`,
    `trunks`, `rbac_policies`, `qos_policies`, `segments`, `port_forwardings`, and `qos_rules`, which has one for
    each type; `service.networks.create(ADMIN, {"project_id": "p", "name": "net"})`.

    Args:
        hosts: names of the hosts that have a layer-2 agent. Ports can be bound there and nowhere else.
        notifier: called with the events for nova, in order, while the service is locked: it must only take them, as
            `NovaNotifier` does.
        quotas: limits of all projects by resource ("port"), where they differ from Neutron's; -1 is none.
        mtu: of networks that are made without one, in bytes.
        notify_every_update: send `network-changed` for every update of a server's port.
        now: the time of day, for time stamps.
    """

    def __init__(
        self,
        hosts: Iterable[str] = (),
        *,
        notifier: Callable[[list[Event]], None] = _silent,
        quotas: Mapping[str, int] | None = None,
        mtu: int = 1500,
        notify_every_update: bool = False,
        now: Callable[[], datetime] = _today,
    ) -> None:
        self._state = State(notifier, quotas or {}, mtu, now)
        self.bindings = Bindings(self._state)
        self.security_groups = SecurityGroups(self._state)
        self.security_group_rules = SecurityGroupRules(self._state, self.security_groups)
        self.qos_policies = policies = QosPolicies(self._state)
        self.qos_rules = {kind.name: QosRules(policies, kind) for kind in RULE_KINDS}
        self.segments = Segments(self._state)
        self.ports = Ports(
            self._state, self.security_groups, self.bindings, policies, notify_every_update=notify_every_update
        )
        self.networks = Networks(self._state, self.ports, self.security_groups, self.segments, policies)
        self.address_scopes = AddressScopes(self._state)
        self.subnetpools = SubnetPools(self._state, self.address_scopes)
        self.subnets = Subnets(self._state, self.ports, self.subnetpools)
        self.trunks = Trunks(self._state, self.ports)
        self.rbac_policies = RbacPolicies(
            self._state, (self.networks, self.security_groups, policies, self.address_scopes, self.subnetpools)
        )
        self.routers = Routers(self._state, self.ports, self.subnets)
        self.floatingips = FloatingIPs(self._state, self.ports, self.routers, policies)
        self.port_forwardings = PortForwardings(self.floatingips, self.ports, self.routers)
        self.agents = Agents(self._state)
        self.quotas = Quotas(self._state)
        for host in hosts:
            self.add_host(host)

    @property
    def collections(self) -> tuple[Collection, ...]:
        """All kinds of resources."""
        return (
            self.networks,
            self.subnets,
            self.ports,
            self.security_groups,
            self.security_group_rules,
            self.routers,
            self.floatingips,
            self.agents,
            self.address_scopes,
            self.subnetpools,
            self.trunks,
            self.rbac_policies,
            self.segments,
            self.port_forwardings,
            self.qos_policies,
            *self.qos_rules.values(),
        )

    # What the layer-2 agents report.

    def add_host(self, host: str) -> None:
        """Let a living layer-2 agent be on `host`; from now on ports can be bound there."""
        with self._state.transaction():
            self.agents.add(host)

    def set_host_alive(self, host: str, alive: bool) -> bool:
        """Let the agent of a host die, so that no port can be bound there, or live again; False if it has none."""
        with self._state.transaction():
            return self.agents.set_alive(host, alive)

    def device_up(self, port_id: str, host: str) -> bool:
        """Report that the interface of a port is connected on `host`.

        The port becomes ACTIVE if it is bound there, and nova gets `network-vif-plugged`. It gets that also for a
        server's port that is bound elsewhere, as during live migration.

        Returns:
            Whether there is such a port.
        """
        with self._state.transaction():
            return self.bindings.device_up(port_id, host)

    def device_down(self, port_id: str, host: str) -> bool:
        """Report that the interface of a port is gone from `host`.

        The port becomes DOWN if it is bound there, and nova gets `network-vif-unplugged`.

        Returns:
            Whether there is such a port.
        """
        with self._state.transaction():
            return self.bindings.device_down(port_id, host)

    # What outlives the process.

    def dump(self) -> dict[str, Any]:
        """Return the whole state as an object for JSON."""
        return self._state.dump()

    def load(self, data: Mapping[str, Any]) -> None:
        """Replace the state by one that `dump` returned; the agents of hosts that only this service knows stay."""
        with self._state.transaction():
            hosts = [agent["host"] for agent in self._state.agents if agent["alive"]]
            self._state.load(data)
            self.segments.complete()
            for host in hosts:
                self.agents.add(host)
