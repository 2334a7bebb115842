"""A cloud, a sandbox and a prober in memory, in which the demo's steps can go right or wrong as a test wants."""

import uuid
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import NotRunning
from nova_fakes.sandbox.spec import Progress, SandboxSpec
from nova_fakes.scenario.probes import Echoes
from nova_fakes.scenario.sandboxes import Sandboxes
from nova_fakes.scenario.stage import DemoPlan, Stage

ECHO_BYTES = 98


class BusyClock(ManualClock):
    """A clock on which sleeping is what makes the time pass."""

    def sleep(self, duration_s: float) -> None:
        self.advance(duration_s)


def echoes(address: str, sent: int, rtts: Sequence[float]) -> Echoes:
    return Echoes.from_mapping({"address": address, "sent": sent, "rtts_ms": list(rtts)})


class Records:
    """A service of the cloud that makes, keeps and deletes records of any kind."""

    def __init__(self) -> None:
        self.kept: dict[str, SimpleNamespace] = {}

    def create(self, **attributes: Any) -> SimpleNamespace:
        record = SimpleNamespace(id=str(uuid.uuid4()), **attributes)
        self.kept[record.id] = record
        return record

    def delete(self, record: Any, ignore_missing: bool = True) -> None:
        self.kept.pop(getattr(record, "id", record))


class Network(Records):
    def __init__(self, cloud: "Cloud") -> None:
        super().__init__()
        self.cloud = cloud
        self.create_network = self.create_subnet = self.create_router = self.create
        self.delete_network = self.delete_router = self.delete_ip = self.delete

    def create_ip(self, **attributes: Any) -> SimpleNamespace:
        record = self.create(floating_ip_address="203.0.113.7", **attributes)
        server = next(server for server in self.cloud.compute.listed if server.port == attributes["port_id"])
        server.addresses["demo"].append({"addr": record.floating_ip_address})
        return record

    def ports(self, device_id: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(id=server.port) for server in self.cloud.compute.listed if server.id == device_id]

    def add_interface_to_router(self, router: Any, subnet_id: str) -> None:
        router.interface = subnet_id

    def remove_interface_from_router(self, router: Any, subnet_id: str) -> None:
        assert router.interface == subnet_id


class Compute(Records):
    """Servers that do at once what they are told."""

    def __init__(self, cloud: "Cloud") -> None:
        super().__init__()
        self.cloud = cloud
        self.listed: list[SimpleNamespace] = []
        self.create_flavor = self.create
        self.delete_flavor = self.delete

    def create_server(self, name: str, image_id: str, flavor_id: str, networks: list[dict[str, str]], host: str) -> Any:
        number = len(self.listed) + 1
        mac = f"fa:16:3e:00:00:{number:02x}"
        addresses = [
            {"addr": address, "OS-EXT-IPS-MAC:mac_addr": mac} for address in (f"10.20.0.{number}", f"fd20::{number}")
        ]
        server = SimpleNamespace(
            id=str(uuid.uuid4()),
            name=name,
            status=self.cloud.boots_into,
            fault={"message": "No valid host was found."},
            task_state=None,
            compute_host=host,
            flavor=self.kept[flavor_id],
            addresses={"demo": addresses},
            port=f"port-{number}",
            packets=0,
            volumes=[],
            mac=mac,
        )
        self.listed.append(server)
        return server

    def servers(self) -> list[SimpleNamespace]:
        return list(self.listed)

    def get_server(self, server_id: str) -> SimpleNamespace:
        return next(server for server in self.listed if server.id == server_id)

    def delete_server(self, server_id: str, ignore_missing: bool) -> None:
        self.listed.remove(self.get_server(server_id))

    def live_migrate_server(self, server_id: str, host: None, block_migration: str) -> None:
        server = self.get_server(server_id)
        server.compute_host = "compute-1" if server.compute_host == "compute-2" else "compute-2"

    def _status(status: str) -> Callable[["Compute", str], None]:
        def act(self: "Compute", server_id: str) -> None:
            if self.cloud.on_action is not None:
                self.cloud.on_action(status)
            self.get_server(server_id).status = status

        return act

    pause_server = _status("PAUSED")
    unpause_server = start_server = confirm_server_resize = _status("ACTIVE")
    stop_server = _status("SHUTOFF")

    def resize_server(self, server_id: str, flavor_id: str) -> None:
        server = self.get_server(server_id)
        server.status, server.flavor = "VERIFY_RESIZE", self.kept[flavor_id]

    def create_volume_attachment(self, server_id: str, volume_id: str) -> Any:
        self.get_server(server_id).volumes.append(volume_id)
        self.cloud.block_storage.kept[volume_id].status = "in-use"
        return SimpleNamespace(device="/dev/vdb")

    def volume_attachments(self, server_id: str) -> list[Any]:
        return [SimpleNamespace(volume_id=volume) for volume in self.get_server(server_id).volumes]

    def delete_volume_attachment(self, server_id: str, volume_id: str) -> None:
        self.get_server(server_id).volumes.remove(volume_id)
        self.cloud.block_storage.kept[volume_id].status = "available"

    def get(self, path: str, microversion: str) -> Any:
        server = self.get_server(path.split("/")[2])
        counted = server.packets
        nic = {
            "mac_address": server.mac,
            "rx_packets": counted,
            "tx_packets": counted,
            "rx_octets": counted * ECHO_BYTES,
            "tx_octets": counted * ECHO_BYTES,
        }
        body = {"nic_details": [nic], "num_disks": 1 + len(server.volumes)}
        return SimpleNamespace(status_code=200, json=lambda: body)


class Images(Records):
    def create_image(self, data: bytes, **attributes: Any) -> Any:
        return self.create(status="active", **attributes)

    def get_image(self, image_id: str) -> Any:
        return self.kept[image_id]

    delete_image = Records.delete


class Volumes(Records):
    def create_volume(self, **attributes: Any) -> Any:
        return self.create(status="available", **attributes)

    def get_volume(self, volume_id: str) -> Any:
        return self.kept[volume_id]

    delete_volume = Records.delete


class Cloud:
    """What openstacksdk's connection is to the demo."""

    def __init__(self) -> None:
        self.boots_into = "ACTIVE"
        self.on_action: Callable[[str], None] | None = None
        self.compute = Compute(self)
        self.network = Network(self)
        self.image = Images()
        self.block_storage = Volumes()


@dataclass
class MemoryProber:
    """Hears what the cloud's servers would answer."""

    cloud: Cloud
    lost_in_migration: int = 0
    stationary: Echoes = field(default_factory=lambda: echoes("10.20.0.9", 20, [0.05] * 20))
    watched: list[str] = field(default_factory=list)
    deaf: bool = False

    def _server(self, address: str) -> Any:
        for server in self.cloud.compute.listed:
            if any(entry["addr"] == address for entry in server.addresses["demo"]):
                return server
        raise AssertionError(f"nobody has {address}")

    def ping(
        self, instance: str, addresses: Sequence[str], *, count: int, interval_s: float, timeout_s: float
    ) -> list[Echoes]:
        heard = []
        for address in addresses:
            server = self._server(address)
            answers = server.status in ("ACTIVE", "VERIFY_RESIZE") and not self.deaf
            server.packets += count if answers else 0
            heard.append(echoes(address, count, [0.05] * count if answers else []))
        return heard

    @contextmanager
    def watch(self, instance: str, address: str, *, interval_s: float, timeout_s: float):
        self.watched.append(address)
        moving = echoes(address, 20 + self.lost_in_migration, [0.05] * 10 + [0.06] * 10)
        found = self.stationary if len(self.watched) == 1 else moving
        yield SimpleNamespace(stop=lambda: found)


@dataclass
class MemoryClient:
    cloud: Cloud
    spec: SandboxSpec
    running: bool = True
    stuck_guests: list[dict[str, Any]] = field(default_factory=list)

    def status(self) -> dict[str, Any]:
        return {
            # No process has this number: the kernel's highest is 2**22 (proc_sys_kernel(5)).
            "pid": 2**22 + 1,
            "url": "http://127.0.0.1:1",
            "realizer": self.spec.realizer,
            "services": [{"name": "nova-api"}],
        }

    def instances(self) -> list[dict[str, Any]]:
        return [{"name": s.name, "host": s.compute_host, "namespace": None} for s in self.cloud.compute.listed] + list(
            self.stuck_guests
        )

    def ledger(self) -> list[Any]:
        return []

    def log_names(self) -> list[str]:
        return ["nova-api"]

    def log_path(self, name: str) -> Path:
        return self.spec.state / f"{name}.log"

    def environment(self) -> dict[str, str]:
        return {}

    def down(self) -> None:
        if not self.running:
            raise NotRunning("it has died")
        self.running = False


@dataclass
class MemorySandboxes(Sandboxes):
    cloud: Cloud
    failure: BaseException | None = None
    client_up: MemoryClient | None = None
    cleaned: list[Path] = field(default_factory=list)

    def up(self, spec: SandboxSpec, on_progress: Callable[[Progress], None]) -> Any:
        on_progress(Progress("nova-api", "ready", 1.5, "http://127.0.0.1:1/compute"))
        if self.failure is not None:
            raise self.failure
        spec.state.mkdir(exist_ok=True)
        (spec.state / "nova-api.log").write_text("INFO fine\n2026 ERROR nova.api out of luck\n")
        self.client_up = MemoryClient(self.cloud, spec)
        return self.client_up

    def cleanup(self, state: Path) -> list[Any]:
        self.cleaned.append(state)
        return []


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
def make_stage(cloud: Cloud, tmp_path: Path) -> Callable[..., Stage]:
    def make(**changes: Any) -> Stage:
        state = tmp_path / "state"
        plan = DemoPlan(**{"state": state, "hosts": ("compute-1", "compute-2"), **changes})

        def discard() -> None:
            for path in state.glob("*"):
                path.unlink()
            if state.exists():
                state.rmdir()

        return Stage(
            plan=plan,
            sandboxes=MemorySandboxes(cloud),
            clock=BusyClock(),
            on_progress=lambda progress: None,
            connect=lambda environment: cloud,
            discard=discard,
            prober=MemoryProber(cloud),
        )

    return make


@pytest.fixture
def stage(make_stage: Callable[..., Stage]) -> Stage:
    return make_stage()
