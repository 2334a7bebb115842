"""A sandbox that only remembers what it was asked, so that the commands can be tested without one."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nova_fakes.cmd.main import main
from nova_fakes.exceptions import NotRunning
from nova_fakes.sandbox.spec import Progress, SandboxSpec
from nova_fakes.scenario.sandboxes import Sandboxes
from nova_fakes.virt import fault_file
from nova_fakes.virt.vif.ledger import Entry, Ledger

WEB = "11111111-1111-4111-8111-111111111111"
DATABASE = "22222222-2222-4222-8222-222222222222"
TWIN = "33333333-3333-4333-8333-333333333333"


def instance(uuid: str, name: str, host: str, namespace: str | None = "/run/netns/x") -> dict[str, Any]:
    vif = {"id": uuid, "mac": "fa:16:3e:00:00:01", "devname": "tap1", "network_id": "n", "addresses": ["10.0.0.5"]}
    return {
        "uuid": uuid,
        "name": name,
        "project_id": "p",
        "host": host,
        "power_state": "running",
        "namespace": namespace,
        "vifs": [vif],
    }


@dataclass
class RecordingClient:
    """The client's face, over a dictionary."""

    state: Path
    running: bool = True
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    services_state: str = "up"
    asked: list[dict[str, Any]] = field(default_factory=list)
    #: What each question for events is answered with, or fails with.
    happened: list[Any] = field(default_factory=list)
    found_instances: list[dict[str, Any]] = field(
        default_factory=lambda: [
            instance(WEB, "web", "compute-1"),
            instance(DATABASE, "twin", "compute-1"),
            instance(TWIN, "twin", "compute-2", namespace=None),
        ]
    )

    def _require(self) -> None:
        if not self.running:
            raise NotRunning(f"no sandbox runs on {self.state}")

    def status(self) -> dict[str, Any]:
        self._require()
        return {
            "pid": 4711,
            "state_dir": str(self.state),
            "url": "http://127.0.0.1:8774",
            "realizer": "bridge",
            "started_at": 0.0,
            "services": [
                {"name": "nova-api", "host": None, "state": self.services_state, "url": "http://127.0.0.1:8774/compute"}
            ],
            "hosts": [
                {"name": "compute-1", "state": "up", "guests": 2},
                {"name": "compute-2", "state": "down", "guests": 1},
            ],
            "ledger": {"namespace": 3, "device": 0},
        }

    def instances(self) -> list[dict[str, Any]]:
        self._require()
        return copy.deepcopy(self.found_instances)

    def events_after(self, number: int, **wanted: Any) -> tuple[int, list[dict[str, Any]]]:
        self._require()
        self.asked.append({"number": number, **wanted})
        found = self.happened.pop(0) if self.happened else []
        if isinstance(found, BaseException):
            raise found
        return number + len(found), found

    def host_down(self, name: str) -> None:
        self._require()
        self.calls.append(("host_down", name))

    def host_up(self, name: str) -> None:
        self._require()
        self.calls.append(("host_up", name))

    def host_hang(self, name: str, deadline_s: float) -> None:
        self._require()
        self.calls.append(("host_hang", name, deadline_s))

    def guest_crash(self, uuid: str) -> None:
        self._require()
        self.calls.append(("guest_crash", uuid))

    def add_faults(self, rules: list[dict[str, Any]], seed: int | None = None) -> list[dict[str, Any]]:
        self._require()
        self.calls.append(("add_faults", rules, seed))
        made = [fault_file.values_of(fault_file.make_rule(rule)) for rule in rules]
        return [{"number": number, **rule, "matched": 0, "struck": 0} for number, rule in enumerate(made, 1)]

    def down(self) -> None:
        self._require()
        self.calls.append(("down",))
        self.running = False

    def environment(self) -> dict[str, str]:
        return {"OS_CLIENT_CONFIG_FILE": str(self.state / "it's here" / "clouds.yaml"), "OS_CLOUD": "nova-fakes"}

    def log_names(self) -> list[str]:
        return ["nova-api", "placement"]

    def log_path(self, service: str) -> Path:
        return self.state / "logs" / f"{service}.log"

    def enter(self, uuid: str) -> None:
        self.calls.append(("enter", uuid))


@dataclass
class RecordingSandboxes(Sandboxes):
    """Starts nothing; every state directory has one recording client."""

    home: Path
    clients: dict[Path, RecordingClient] = field(default_factory=dict)
    specs: list[SandboxSpec] = field(default_factory=list)
    cleaned: list[Path] = field(default_factory=list)
    failure: Exception | None = None

    def default_state(self) -> Path:
        return self.home / "default"

    def client(self, state: Path | None) -> Any:
        path = state if state is not None else self.default_state()
        return self.clients.setdefault(path, RecordingClient(path))

    def up(self, spec: SandboxSpec, on_progress: Callable[[Progress], None]) -> Any:
        self.specs.append(spec)
        on_progress(Progress("identity", "starting", 0.1))
        on_progress(Progress("identity", "ready", 0.25, "http://127.0.0.1:8774/identity"))
        if self.failure is not None:
            raise self.failure
        return self.client(spec.state)

    def cleanup(self, state: Path) -> list[Entry]:
        self.cleaned.append(state)
        ledger = Ledger()
        ledger.add("namespace", "fake-1")
        return list(ledger.entries())


@dataclass
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture
def sandboxes(tmp_path: Path) -> RecordingSandboxes:
    return RecordingSandboxes(home=tmp_path)


@pytest.fixture
def client(sandboxes: RecordingSandboxes) -> RecordingClient:
    found: RecordingClient = sandboxes.client(None)
    return found


@pytest.fixture
def run(
    sandboxes: RecordingSandboxes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Ran]]:
    # rich asks for the width of a terminal that is none.
    monkeypatch.setenv("COLUMNS", "200")

    def runner(*argv: str) -> Ran:
        code = main(argv, sandboxes)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return runner
