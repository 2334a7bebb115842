"""The compute service: servers over a fleet, and everything that is not on a host."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from nova_fakes.api.auth import Token
from nova_fakes.api.compute.flavors import DEFAULT_FLAVORS, Flavors
from nova_fakes.api.compute.hosts import Hosts
from nova_fakes.api.compute.neighbours import Neighbours
from nova_fakes.api.compute.quotas import Quotas
from nova_fakes.api.compute.records import (
    ActionRecord,
    KeyPair,
    MigrationRecord,
    Server,
    ServerGroup,
    dump,
    load,
)
from nova_fakes.api.compute.scheduler import Scheduler
from nova_fakes.clock import Clock
from nova_fakes.exceptions import ApiError, InvalidInput, NovaFakesError
from nova_fakes.virt.fleet_file import FleetPlan
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.journal import Journal

__all__ = ["ComputeService", "Layer2Agent"]

FORMAT = 1


class Layer2Agent(Protocol):
    """Who tells the network service that interfaces are there, as `NetworkService` itself does."""

    def device_up(self, port_id: str, host: str) -> bool:
        """Report an interface as connected."""

    def device_down(self, port_id: str, host: str) -> bool:
        """Report an interface as gone."""


class ComputeService:
    """A nova without its services, databases and queues: its API over a fleet of the project's own.

    What takes nova some time is done when the call returns, but for live migrations, which take the time that the
    fleet's clock says.

    Args:
        plan: the hosts, faults and aggregates; see `nova_fakes.virt.fleet_file`.
        neighbours: image, network and volume services. Without an image service images are taken unseen; without a
            network service servers have no interfaces; without a volume service there are no volumes.
        agent: is told of interfaces that come and go.
        clock: by which everything passes.
        journal: keeps the fleet's guests.
        quotas: limits of every project that differ from nova's; -1 for none.

    Attributes:
        fleet: the hosts. What happens there is seen here: crash one, inject a fault.
    """

    def __init__(
        self,
        plan: FleetPlan,
        *,
        neighbours: Neighbours | None = None,
        agent: Layer2Agent | None = None,
        clock: Clock | None = None,
        journal: Journal | None = None,
        quotas: Mapping[str, int] | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self.fleet = plan.make_fleet(clock, journal)
        for name, inventory in plan.hosts.items():
            self.fleet.add(Hypervisor(name, inventory))
        self.neighbours = neighbours or Neighbours()
        self.agent = agent
        self.hosts = Hosts(self.fleet, plan)
        self.flavors = Flavors(DEFAULT_FLAVORS)
        self.servers: dict[str, Server] = {}
        self.keypairs: dict[tuple[str, str], KeyPair] = {}
        self.groups: dict[str, ServerGroup] = {}
        self.migrations: list[MigrationRecord] = []
        self.actions: dict[str, list[ActionRecord]] = {}
        self.quotas = Quotas(self.servers, self.keypairs, self.groups, quotas or {})
        self.scheduler = Scheduler(self.hosts, self.servers, self.groups)
        self.sequence = 0
        #: Guests of evacuated servers on hosts that are still dead: (host, server id).
        self.left_behind: list[tuple[str, str]] = []
        self._stale: set[str] = set()

    @property
    def now(self) -> float:
        """The service's time, seconds since the epoch."""
        return self.fleet.clock.now()

    def number(self) -> int:
        """Return another number of the one sequence that servers, migrations and key pairs share."""
        self.sequence += 1
        return self.sequence

    def server(self, token: Token, server_id: str, *, deleted: bool = False) -> Server:
        """Return a server.

        Raises:
            ApiError: 404, it is not there, or is another project's and the caller no administrator.
        """
        found = self.servers.get(server_id)
        if (
            found is None
            or (found.deleted and not deleted)
            or not (token.is_admin or found.project_id == token.project_id)
        ):
            raise ApiError(404, f"Instance {server_id} could not be found.")
        return found

    def host(self, server: Server) -> Hypervisor:
        """Return the host of a server; ApiError 409, it has none."""
        if server.host is None:
            raise ApiError(409, f"Instance {server.id} is not ready")
        return self.fleet.hypervisor(server.host)

    def power_state(self, server: Server) -> int:
        """Return nova's number for what the guest does."""
        if server.host is None:
            return 4 if server.vm_state in ("shelved", "shelved_offloaded") else 0
        guest = self.fleet.hypervisor(server.host).guests.get(server.id)
        return 0 if guest is None else int(guest.state)

    def take_events(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Take what the network service tells nova; the interfaces of these servers are stale then."""
        self._stale.update(str(event["server_uuid"]) for event in events if event.get("server_uuid"))

    def is_stale(self, server_id: str) -> bool:
        """Tell once whether a server's interfaces have to be read again."""
        if server_id not in self._stale:
            return False
        self._stale.discard(server_id)
        return True

    def settle(self) -> None:
        """Let what its time has come for happen: live migrations that end, guests that died with their hosts."""
        from nova_fakes.api.compute import moves

        if any(one.status in moves.IN_PROGRESS for one in self.migrations):
            moves.settle(self)
        for host, server_id in list(self.left_behind):
            # A host that comes back destroys what has been evacuated meanwhile, as nova-compute does at its start.
            if not self.fleet.hypervisor(host).silent:
                self.left_behind.remove((host, server_id))
                self.fleet.hypervisor(host).destroy(server_id)

    def begin(self, request: Any, server: Server, action: str, event: str | None = None) -> ActionRecord:
        """Write into a server's list of actions that one has begun."""
        record = ActionRecord(
            request_id=request.id,
            action=action,
            server_id=server.id,
            user_id=request.token.user_id,
            project_id=request.token.project_id,
            start_time=self.now,
            event=event,
            host=server.host,
        )
        self.actions.setdefault(server.id, []).insert(0, record)
        return record

    def fail(self, server: Server, error: NovaFakesError | str, action: ActionRecord | None = None) -> None:
        """Note that something asked for did not come about: the server's fault, as nova shows it."""
        message = str(error)
        now = self.now
        server.fault = {"code": 500, "created": now, "message": message[:255]}
        server.updated_at = now
        if action is not None:
            action.message, action.event_result, action.event_details = "Error", "Error", message
            action.updated_at = now

    def migrate(self, server: Server, kind: str, status: str, source: str, destination: str | None) -> MigrationRecord:
        """Write down a move."""
        made = MigrationRecord(
            id=len(self.migrations) + 1,
            uuid=str(uuid.uuid4()),
            server_id=server.id,
            type=kind,
            status=status,
            source=source,
            destination=destination,
            user_id=server.user_id,
            project_id=server.project_id,
            created_at=self.now,
            old_flavor=server.flavor.id,
            new_flavor=server.flavor.id,
        )
        self.migrations.append(made)
        return made

    def dump(self) -> dict[str, Any]:
        """Return everything but the fleet, which its journal keeps, as JSON-able data."""
        with self.lock:
            return {
                "format": FORMAT,
                "sequence": self.sequence,
                "servers": [dump(one) for one in self.servers.values()],
                "keypairs": [dump(one) for one in self.keypairs.values()],
                "groups": [dump(one) for one in self.groups.values()],
                "migrations": [dump(one) for one in self.migrations],
                "left_behind": [list(one) for one in self.left_behind],
                "actions": {key: [dump(one) for one in rows] for key, rows in self.actions.items()},
                "flavors": self.flavors.dump(),
                "hosts": self.hosts.dump(),
                "quotas": self.quotas.dump(),
            }

    def load(self, data: Mapping[str, Any]) -> None:
        """Take over what `dump` returned; live migrations that were under way have failed.

        Raises:
            InvalidInput: it is no such thing.
        """
        if data.get("format") != FORMAT:
            raise InvalidInput("format", data.get("format"), f"give what dump() returned, in format {FORMAT}")
        with self.lock:
            self.sequence = data["sequence"]
            # The same dictionaries: scheduler and quotas look into them.
            self.servers.clear()
            self.servers.update((one["id"], load(Server, one)) for one in data["servers"])
            self.keypairs.clear()
            self.keypairs.update(((one["user_id"], one["name"]), load(KeyPair, one)) for one in data["keypairs"])
            self.groups.clear()
            self.groups.update((one["id"], load(ServerGroup, one)) for one in data["groups"])
            self.migrations = [load(MigrationRecord, one) for one in data["migrations"]]
            self.actions = {key: [load(ActionRecord, one) for one in rows] for key, rows in data["actions"].items()}
            self.left_behind = [(host, server_id) for host, server_id in data["left_behind"]]
            self.flavors.load(data["flavors"])
            self.hosts.load(data["hosts"])
            self.quotas.load(data["quotas"])
            for migration in self.migrations:
                if migration.status in ("running", "preparing"):
                    migration.status = "error"
                    self.servers[migration.server_id].task_state = None
