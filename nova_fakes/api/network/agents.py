"""The layer-2 agents of the hosts: ports can be bound where one lives."""

from __future__ import annotations

import uuid
from typing import Final

from nova_fakes.api.network import values
from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.collection import Collection
from nova_fakes.api.network.refusals import bad_request, conflict
from nova_fakes.api.network.schema import Attribute, Schema
from nova_fakes.api.network.table import Record, Table

__all__ = ["Agents"]

_NAMESPACE: Final = uuid.UUID("8d0d6d9c-5e0a-4b7c-9a53-2f3b1c1f4f6e")
_READ_ONLY: Final = Attribute(post=False, put=False)


class Agents(Collection):
    """Agents, which come with the hosts and not through the API. For administrators only."""

    kind = "Agent"
    schema = Schema(
        "agent",
        {
            "id": _READ_ONLY,
            "agent_type": _READ_ONLY,
            "binary": _READ_ONLY,
            "topic": _READ_ONLY,
            "host": _READ_ONLY,
            "availability_zone": _READ_ONLY,
            "alive": _READ_ONLY,
            "created_at": _READ_ONLY,
            "started_at": _READ_ONLY,
            "heartbeat_timestamp": _READ_ONLY,
            "configurations": _READ_ONLY,
            "resources_synced": _READ_ONLY,
            "description": Attribute(values.optional(values.string())),
            "admin_state_up": Attribute(values.boolean),
        },
        standard=False,
    )

    @property
    def table(self) -> Table:
        """The agents."""
        return self.state.agents

    def add(self, host: str) -> None:
        """Let a living agent be on `host`; one that is there already is alive again."""
        for agent in self.table.find("host", host):
            self.table.update(agent["id"], {"alive": True, "heartbeat_timestamp": self.state.stamp()})
            return
        now = self.state.stamp()
        self.table.insert(
            {
                "id": str(uuid.uuid5(_NAMESPACE, host)),
                "agent_type": "Open vSwitch agent",
                "binary": "neutron-openvswitch-agent",
                "topic": "N/A",
                "host": host,
                "availability_zone": None,
                "admin_state_up": True,
                "alive": True,
                "created_at": now,
                "started_at": now,
                "heartbeat_timestamp": now,
                "description": None,
                "configurations": {
                    "tunnel_types": ["vxlan"],
                    "bridge_mappings": {},
                    "datapath_type": "system",
                    "devices": 0,
                },
                "resources_synced": None,
            }
        )

    def set_alive(self, host: str, alive: bool) -> bool:
        """Let the agent of a host die or live again; False if the host has none."""
        agents = self.table.find("host", host)
        for agent in agents:
            beat = {"heartbeat_timestamp": self.state.stamp()} if alive else {}
            self.table.update(agent["id"], {"alive": alive, **beat})
        return bool(agents)

    def visible(self, caller: Caller, record: Record) -> bool:
        """Whether the caller may see agents at all."""
        return caller.is_privileged

    def authorize(self, caller: Caller, action: str, record: Record) -> None:
        """Allow everything to those who see agents."""

    def _create(self, caller: Caller, values: Record) -> Record:
        raise bad_request("Agents cannot be created through the API")

    def _update(self, caller: Caller, old: Record, values: Record) -> Record:
        return self.table.update(old["id"], values)

    def _delete(self, caller: Caller, record: Record) -> None:
        if record["alive"]:
            raise conflict("AgentInUse", f"Agent {record['id']} on host {record['host']} is alive; stop it first.")
        self.table.delete(record["id"])
