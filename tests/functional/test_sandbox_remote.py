"""A sandbox whose interfaces an agent of its own makes."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from openstack.exceptions import ResourceFailure
from running import connect, wait_for
from test_sandbox_lifecycle import answers, boot, kill, look, namespaces, nothing_stands

from nova_fakes.agent.client import Client as AgentClient
from nova_fakes.agent.protocol import Health
from nova_fakes.cmd import exits
from nova_fakes.exceptions import AgentUnreachable
from nova_fakes.sandbox import launcher
from nova_fakes.sandbox.client import Client
from nova_fakes.sandbox.launcher import SandboxSpec
from nova_fakes.virt.vif.ledger import Ledger

COMMAND = [sys.executable, "-m", "nova_fakes"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)


def nothing_is_left(state: Path, where: list[str]) -> bool:
    return (
        nothing_stands(state)
        and Ledger.read(state / "agent" / "ledger") == ()
        and not (state / "agent.sock").exists()
        and not any(Path(path).exists() for path in where)
    )


@pytest.mark.usefixtures("needs_packets")
def test_servers_ping_each_other_and_nothing_is_left(state: Path) -> None:
    client = launcher.up(SandboxSpec(state=state, realizer="remote"))
    one = boot(client, "one", host="compute-1")
    two = boot(client, "two", host="compute-2")
    assert {look(client, server).compute_host for server in (one, two)} == {"compute-1", "compute-2"}
    assert answers(client, one, two)
    where = list(namespaces(client).values())
    health = AgentClient(state / "agent.sock", deadline_s=10).call(Health())
    assert (health.status, health.realizer) == ("ok", "bridge")
    done = run("exec", "--state", str(state), "one", "ip", "-o", "-4", "addr", "show", "eth0")
    assert (done.returncode, "10.0." in done.stdout) == (0, True), done.stderr
    command = ["--socket", str(state / "agent.sock"), "--host", "compute-2", two.id, "ip", "-o", "link", "show", "eth0"]
    done = run("agent", "exec", *command)
    assert (done.returncode, "eth0" in done.stdout) == (0, True), done.stderr
    client.down()
    assert nothing_is_left(state, where)
    with pytest.raises(AgentUnreachable):
        AgentClient(state / "agent.sock", deadline_s=0.1).call(Health())

    client = launcher.up(SandboxSpec(state=state, realizer="remote"))
    assert answers(client, look(client, one), look(client, two))


@pytest.mark.usefixtures("needs_packets")
def test_what_a_killed_daemon_leaves_goes_with_its_agent(state: Path) -> None:
    client = launcher.up(SandboxSpec(state=state, hosts=("compute-1",), realizer="remote"))
    server = boot(client, "one")
    where = [namespaces(client)[server.id]]
    kill(client)
    removed = {(entry.kind, entry.name) for entry in launcher.cleanup(state)}
    assert {("process", "agent"), ("namespace", where[0])} <= removed
    assert nothing_is_left(state, where)


@pytest.mark.usefixtures("needs_packets")
def test_the_demo(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    done = run("demo", "--realizer", "remote", "--servers", "2", "--report", str(report))
    assert done.returncode == exits.OK, done.stdout + done.stderr
    assert "realizer remote" in done.stdout


def agent_of(client: Client) -> dict[str, Any]:
    (found,) = (service for service in client.status()["services"] if service["name"] == "agent")
    return found


@pytest.mark.usefixtures("needs_packets")
def test_an_agent_that_dies_is_started_again_and_has_its_instances(state: Path) -> None:
    client = launcher.up(SandboxSpec(state=state, realizer="remote"))
    one, two = boot(client, "one", host="compute-1"), boot(client, "two", host="compute-2")
    where = namespaces(client)
    first = agent_of(client)
    assert (first["state"], first["restarts"]) == ("up", 0)
    os.kill(first["pid"], signal.SIGKILL)
    third = boot(client, "three")  # whose boot may meet no agent for a moment, and waits for the next
    now = agent_of(client)
    assert (now["state"], now["restarts"]) == ("up", 1)
    assert now["pid"] != first["pid"]
    assert {uuid: path for uuid, path in namespaces(client).items() if uuid != third.id} == where
    assert answers(client, one, two)
    assert answers(client, third, look(client, one))
    assert "agent ended with status -9 and is started again" in client.log_path("daemon").read_text()
    everything = list(namespaces(client).values())
    client.down()
    assert nothing_is_left(state, everything)


@pytest.mark.slow
@pytest.mark.usefixtures("needs_packets")
def test_an_agent_that_dies_again_and_again_is_given_up(state: Path) -> None:
    """Something else takes the place of its socket, so that no agent comes up: the status says so, and boots fail."""
    client = launcher.up(SandboxSpec(state=state, hosts=("compute-1",), realizer="remote"))
    one = boot(client, "one")
    where = list(namespaces(client).values())
    (state / "agent.sock").unlink()
    (state / "agent.sock").mkdir()
    os.kill(agent_of(client)["pid"], signal.SIGKILL)
    wait_for("the sandbox to give the agent up", lambda: agent_of(client)["state"] == "failed")
    done = run("status", "--state", str(state))
    assert (done.returncode, "failed" in done.stdout) == (exits.FAILED, True), done.stdout
    assert [row["namespace"] for row in client.instances()] == [None]
    assert "is left so; see" in client.log_path("daemon").read_text()
    with pytest.raises(ResourceFailure):
        boot(client, "two")
    (two,) = (server for server in connect(client).compute.servers() if server.id != one.id)
    assert two.status == "ERROR"
    assert (
        f"plug failed: no agent at {state / 'agent.sock'}: nobody listens there"
        in client.log_path("nova-compute").read_text()
    )
    (state / "agent.sock").rmdir()
    client.down()
    assert nothing_is_left(state, where)
