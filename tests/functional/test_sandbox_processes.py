"""A sandbox whose nova services and broker are processes of their own."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import openstack
import pytest
from running import connect, wait_for
from test_sandbox_lifecycle import answers, kill, look, namespaces, nothing_stands

from nova_fakes.exceptions import InvalidInput, InvalidTransition, StateInUse
from nova_fakes.sandbox import launcher
from nova_fakes.sandbox.client import Client
from nova_fakes.sandbox.launcher import SandboxSpec
from nova_fakes.virt.vif.ledger import Ledger, start_ticks


@pytest.fixture
def sandbox_of_processes(state: Path) -> Client:
    return launcher.up(SandboxSpec(state=state, processes=True))


def processes(client: Client) -> dict[str, dict[str, Any]]:
    """The services that are processes, by the name of each's log."""
    return {
        f"{one['name']}@{one['host']}" if one["host"] else one["name"]: one
        for one in client.status()["services"]
        if "pid" in one
    }


def boot(cloud: openstack.connection.Connection, name: str, **values: Any) -> Any:
    server = cloud.compute.create_server(
        name=name,
        image_id=cloud.image.find_image("nova-fakes").id,
        flavor_id=cloud.compute.find_flavor("m1.tiny").id,
        networks=[{"uuid": cloud.network.find_network("private").id}],
        **values,
    )

    def active() -> bool:
        found = cloud.compute.get_server(server.id)
        assert found.status != "ERROR", found.fault
        return bool(found.status == "ACTIVE")

    wait_for(f"{name} to be ACTIVE", active, timeout_s=120)
    return cloud.compute.get_server(server.id)


@pytest.mark.slow
def test_services_recover_from_the_brokers_death_and_leave_nothing(sandbox_of_processes: Client) -> None:
    client = sandbox_of_processes
    cloud = connect(client)
    running = processes(client)
    assert running.keys() == {
        "rabbit",
        "nova-api",
        "nova-conductor",
        "nova-scheduler",
        "nova-compute@compute-1",
        "nova-compute@compute-2",
    }
    assert running.keys() <= set(client.log_names())
    boot(cloud, "first")
    assert sum(host["guests"] for host in client.status()["hosts"]) == 1

    os.kill(running["rabbit"]["pid"], signal.SIGKILL)
    wait_for("another broker", lambda: processes(client)["rabbit"]["restarts"] == 1)
    boot(cloud, "second")
    assert "rabbit ended with status -9" in client.log_path("daemon").read_text()
    assert processes(client)["nova-conductor"]["restarts"] == 0

    last = processes(client)
    client.down()
    assert [name for name, one in last.items() if start_ticks(one["pid"]) is not None] == []
    with Ledger(client.state.ledger) as ledger:
        assert ledger.entries() == ()


def status_of(client: Client, server: Any) -> tuple[str, str]:
    found = look(client, server)
    return found.status, found.compute_host


@pytest.mark.slow
@pytest.mark.usefixtures("needs_packets")
def test_servers_of_two_processes_ping_each_other_also_after_a_live_migration(state: Path) -> None:
    client = launcher.up(SandboxSpec(state=state, realizer="bridge", processes=True))
    cloud = connect(client)
    one, two = (boot(cloud, f"server-{host}", host=host) for host in ("compute-1", "compute-2"))
    assert answers(client, one, two)
    where = list(namespaces(client).values())
    assert len(set(where)) == 2
    command = [
        sys.executable,
        "-m",
        "nova_fakes",
        "ping",
        "--state",
        str(state),
        "server-compute-2",
        "server-compute-1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    cloud.compute.live_migrate_server(one, host="compute-2", force=False, block_migration="auto")
    wait_for("the server to move", lambda: status_of(client, one) == ("ACTIVE", "compute-2"))
    assert answers(client, two, look(client, one))
    assert {row["uuid"]: row["host"] for row in client.instances()} == {one.id: "compute-2", two.id: "compute-2"}

    with pytest.raises(StateInUse):
        launcher.up(SandboxSpec(state=state, processes=True))
    running = processes(client)
    kill(client)
    removed = {entry.kind for entry in launcher.cleanup(state)}
    assert removed >= {"process", "namespace"}
    assert [name for name, one in running.items() if start_ticks(one["pid"]) is not None] == []
    assert nothing_stands(state)
    assert not any(Path(path).exists() for path in where)
    assert [path.name for path in state.rglob("*") if path.is_socket()] == []


@pytest.mark.slow
@pytest.mark.usefixtures("needs_packets")
def test_a_host_goes_down_with_its_guests_and_hangs_without_them(state: Path) -> None:
    client = launcher.up(SandboxSpec(state=state, realizer="remote", processes=True))
    cloud = connect(client)
    one, two = (boot(cloud, f"server-{host}", host=host) for host in ("compute-1", "compute-2"))
    where = namespaces(client)

    client.host_hang("compute-1")
    assert answers(client, two, one)
    client.host_up("compute-1")

    client.host_down("compute-1")
    assert not Path(where[one.id]).exists()
    assert {row["uuid"]: row["power_state"] for row in client.instances()}[one.id] == "shutdown"
    wait_for("nova to see the host down", lambda: not is_up(cloud, "compute-1"))
    client.host_up("compute-1")
    wait_for("nova to see the host up", lambda: is_up(cloud, "compute-1"))
    wait_for("the server to run again", lambda: namespaces(client)[one.id] is not None and answers(client, two, one))

    for refused in (
        lambda: client.guest_crash(one.id),
        lambda: client.read_disk(one.id, "vdb", 0, 1),
        lambda: client.write_disk(one.id, "vdb", 0, b"x"),
        lambda: client.add_faults([{"operation": "spawn"}]),
        client.faults,
        lambda: client.remove_fault(1),
        client.clear_faults,
    ):
        with pytest.raises(InvalidTransition, match="without --processes"):
            refused()


def is_up(cloud: openstack.connection.Connection, host: str) -> bool:
    (service,) = cloud.compute.services(binary="nova-compute", host=host)
    return bool(service.state == "up")


def test_a_switch_of_its_own_is_not_for_processes(state: Path) -> None:
    with pytest.raises(InvalidInput, match="use bridge, remote or null"):
        SandboxSpec(state=state, realizer="ovs", processes=True)
