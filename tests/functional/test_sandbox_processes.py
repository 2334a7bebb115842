"""A sandbox whose nova services and broker are processes of their own."""

import os
import signal
from pathlib import Path
from typing import Any

import openstack
import pytest
from running import connect, wait_for

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


def boot(cloud: openstack.connection.Connection, name: str) -> Any:
    server = cloud.compute.create_server(
        name=name,
        image_id=cloud.image.find_image("nova-fakes").id,
        flavor_id=cloud.compute.find_flavor("m1.tiny").id,
        networks="auto",
    )

    def active() -> bool:
        found = cloud.compute.get_server(server.id)
        assert found.status != "ERROR", found.fault
        return bool(found.status == "ACTIVE")

    wait_for(f"{name} to be ACTIVE", active)
    return server


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
