"""What the demo's steps share: the plan, the running sandbox, a connection to its APIs, and what was made there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nova_fakes.clock import Clock
from nova_fakes.exceptions import StepFailed
from nova_fakes.scenario.leaks import Footprint, Leaks
from nova_fakes.scenario.mesh import Mesh, Node
from nova_fakes.scenario.probes import Echoes, Prober
from nova_fakes.scenario.sandboxes import Sandboxes
from nova_fakes.scenario.steps import NotApplicable

if TYPE_CHECKING:
    from nova_fakes.sandbox.client import Client
    from nova_fakes.sandbox.spec import Progress

__all__ = ["DemoPlan", "DemoServer", "Migration", "Stage", "connect"]

T = TypeVar("T")

POLL_S = 0.1
PATIENCE_S = 60.0


@dataclass(frozen=True)
class DemoPlan:
    """What the user asked the demo to be.

    :param state: the state directory that is used; the demo stops its sandbox, and does not remove a directory it did
        not make
    :param keep: leave the sandbox running with everything in it
    """

    state: Path
    hosts: tuple[str, ...]
    servers: int = 4
    realizer: str = "bridge"
    keep: bool = False
    temporary: bool = True
    port: int = 0
    fallback_null: bool = False


@dataclass
class DemoServer:
    """One server of the demo, as nova and the network service tell of it."""

    id: str
    name: str
    host: str = ""
    mac: str = ""
    addresses: tuple[str, ...] = ()
    active_after_s: float = 0.0

    def address(self, family: int) -> str:
        """Return the address of that family: 4 or 6."""
        for address in self.addresses:
            if ip_address(address).version == family:
                return address
        raise StepFailed(f"{self.name} has no IPv{family} address")


@dataclass(frozen=True)
class Migration:
    """A live migration, and what another server heard of the migrating one meanwhile.

    :param began_s: when the migration was asked for, in seconds after the first echo request
    :param ended_s: when nova told that it was over
    :param stationary: what it heard meanwhile of a server that stayed
    """

    server: str
    source: str
    destination: str
    seconds: float
    began_s: float = 0.0
    ended_s: float = 0.0
    interval_s: float = 0.0
    echoes: Echoes | None = None
    stationary: Echoes | None = None


@dataclass
class Stage:
    """Everything that a step may look at or add to.

    :param on_progress: told of each service of the sandbox as it comes up
    :param connect: makes an openstacksdk connection from the sandbox's environment variables
    :param discard: removes a temporary state directory
    :param prober: pings from inside the servers
    """

    plan: DemoPlan
    sandboxes: Sandboxes
    clock: Clock
    on_progress: Callable[[Progress], None]
    connect: Callable[[Mapping[str, str]], Any]
    discard: Callable[[], None]
    prober: Prober

    services: list[Progress] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)
    servers: list[DemoServer] = field(default_factory=list)
    made: dict[str, Any] = field(default_factory=dict)
    """Records in the cloud by what they are to the demo: "image", "network", "router"…"""

    mesh: Mesh | None = None
    migration: Migration | None = None
    counters: list[dict[str, int]] = field(default_factory=list)
    footprint: Footprint | None = None
    leaks: Leaks | None = None
    errors: list[str] = field(default_factory=list)
    """What the services logged as errors."""

    _client: Client | None = None
    _cloud: Any = None

    @property
    def client(self) -> Client:
        """The running sandbox."""
        if self._client is None:
            raise StepFailed("the sandbox does not run")
        return self._client

    @property
    def is_up(self) -> bool:
        """Whether there is a sandbox to stop."""
        return self._client is not None

    def enter(self, client: Client) -> None:
        """Take a sandbox that has come up."""
        self._client = client
        self.status = client.status()
        self._cloud = self.connect(client.environment())

    @property
    def cloud(self) -> Any:
        """The openstacksdk connection, as administrator."""
        if self._cloud is None:
            raise StepFailed("there is no connection to the sandbox")
        return self._cloud

    @property
    def witness(self) -> DemoServer:
        """The server that nothing is done to: it pings the others."""
        return self.servers[0]

    def subject(self, number: int) -> DemoServer:
        """Return the server that the given act is done to; acts are dealt out over all but the witness."""
        return self.servers[1 + number % (len(self.servers) - 1)]

    def nodes(self) -> list[Node]:
        """Return the servers as nodes of a ping mesh."""
        return [Node(server.name, server.id, server.addresses) for server in self.servers]

    def require_interfaces(self) -> None:
        """Raise NotApplicable where the sandbox's servers have no real interfaces."""
        realizer = self.status["realizer"]
        if realizer == "null":
            raise NotApplicable("realizer null makes no real interfaces")

    def wait_for(self, what: str, look: Callable[[], T | None], timeout_s: float = PATIENCE_S) -> T:
        """Look until there is something to return.

        :raises StepFailed: when `timeout_s` have passed without
        """
        deadline = self.clock.monotonic() + timeout_s
        while True:
            found = look()
            if found is not None:
                return found
            if self.clock.monotonic() > deadline:
                raise StepFailed(f"{what}: not seen within {timeout_s:g} s")
            self.clock.sleep(POLL_S)

    def wait_for_server(self, server: DemoServer, status: str, host: Callable[[str], bool] = lambda name: True) -> Any:
        """Wait until nova tells that a server has the status and no task, on a host that will do.

        :raises StepFailed: with nova's fault where the server went into ERROR
        """

        def look() -> Any:
            found = self.cloud.compute.get_server(server.id)
            if found.status == "ERROR" and status != "ERROR":
                fault = (found.fault or {}).get("message", "nova tells no reason")
                raise StepFailed(f"{server.name} is in ERROR: {fault}")
            return found if found.status == status and not found.task_state and host(found.compute_host) else None

        found = self.wait_for(f"{server.name} {status}", look)
        server.host = found.compute_host
        return found


def connect(environment: Mapping[str, str]) -> Any:
    """Return an openstacksdk connection to the cloud that the environment variables name."""
    from openstack.config import OpenStackConfig
    from openstack.connection import Connection

    config = OpenStackConfig(config_files=[environment["OS_CLIENT_CONFIG_FILE"]])
    connection = Connection(config=config.get_one(cloud=environment["OS_CLOUD"]))
    connection.authorize()
    return connection
