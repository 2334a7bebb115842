"""The stock nova-compute program, by a real broker, with `compute_driver = nova_fakes.FakeDriver`."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rabbitmq import running_rabbitmq
from running import connect, wait_for

from nova_fakes.sandbox import launcher
from nova_fakes.sandbox.client import Client
from nova_fakes.sandbox.launcher import SandboxSpec

HOST = "stock-1"


@pytest.fixture
def transport_url() -> Iterator[str]:
    with (
        tempfile.TemporaryDirectory(prefix="nova-fakes-rabbitmq-") as directory,
        running_rabbitmq(Path(directory)) as url,
    ):
        yield url


@pytest.fixture
def controller(state: Path, transport_url: str) -> Iterator[Client]:
    """API, conductor, scheduler and placement, which speak to computes by the broker."""
    spec = SandboxSpec(
        state=state, realizer="null", hosts=("compute-1",), options={"DEFAULT/transport_url": transport_url}
    )
    client = launcher.up(spec)
    yield client
    client.down()


@pytest.fixture
def configuration(controller: Client, tmp_path: Path) -> Path:
    """The controller's nova.conf for a host of its own, with what it keeps in its own place."""
    text = (controller.state.etc / "nova.conf").read_text()
    text = text.replace("host = controller", f"host = {HOST}")
    text = text.replace(str(controller.state.hypervisors), str(tmp_path))
    path = tmp_path / "nova.conf"
    path.write_text(text)
    return path


@contextmanager
def running_compute(configuration: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run nova-compute as its service unit would, and end it as that does."""
    program = Path(sys.executable).with_name("nova-compute")
    environment = os.environ | {"OS_NOVA_DISABLE_EVENTLET_PATCHING": "true"}
    with configuration.with_name("output").open("ab") as output:
        process = subprocess.Popen(
            [program, "--config-file", configuration], env=environment, stdout=output, stderr=output
        )
    try:
        yield process
        assert process.poll() is None, configuration.with_name("output").read_text()[-3000:]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=300)


@pytest.mark.slow
def test_boots_restarts_and_finds_its_guest_again(controller: Client, configuration: Path) -> None:
    cloud = connect(controller)

    def service_starts() -> set[str]:
        return {s.updated_at for s in cloud.compute.services() if s.host == HOST and s.state == "up"}

    def is_(status: str) -> bool:
        found = cloud.compute.get_server(server.id)
        assert found.status != "ERROR", found.fault
        return bool(found.status == status)

    with running_compute(configuration):
        wait_for("nova-compute", service_starts)
        manage = Path(sys.executable).with_name("nova-manage")
        subprocess.run(
            [manage, "--config-file", configuration, "cell_v2", "discover_hosts"], check=True, capture_output=True
        )
        server = cloud.compute.create_server(
            name="guest",
            image_id=cloud.image.find_image("nova-fakes").id,
            flavor_id=cloud.compute.find_flavor("m1.tiny").id,
            networks="none",
            availability_zone=f"nova:{HOST}",
        )
        wait_for("ACTIVE", lambda: is_("ACTIVE"))
        nodes = {node.name: node.id for node in cloud.compute.hypervisors()}
        assert nodes.keys() == {"compute-1", HOST}
    before = service_starts()
    with running_compute(configuration):
        wait_for("nova-compute to report again", lambda: service_starts() - before)
        assert {node.name: node.id for node in cloud.compute.hypervisors()} == nodes
        assert cloud.compute.get_server_diagnostics(server.id).state == "running"
        cloud.compute.stop_server(server.id)
        wait_for("SHUTOFF", lambda: is_("SHUTOFF"))
        cloud.compute.start_server(server.id)
        wait_for("ACTIVE", lambda: is_("ACTIVE"))
        cloud.compute.delete_server(server.id)
        cloud.compute.wait_for_delete(server, interval=0.2, wait=60)
