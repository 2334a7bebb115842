"""A sandbox's life: restarts, crashes of hosts and of the daemon, wrong starts, users without root."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import WAIT_S, connect, wait_for

from nova_fakes.exceptions import InvalidInput, NotRunning, PortTaken, StateInUse
from nova_fakes.sandbox import launcher
from nova_fakes.sandbox.client import Client, wait_for_end
from nova_fakes.sandbox.launcher import SandboxSpec
from nova_fakes.virt.vif import ping
from nova_fakes.virt.vif.ledger import Ledger

COMMAND = [sys.executable, "-m", "nova_fakes"]
NOBODY = 65534


def boot(client: Client, name: str, **values: Any) -> Any:
    cloud = connect(client)
    server = cloud.compute.create_server(
        name=name,
        image_id=cloud.image.find_image("nova-fakes", ignore_missing=False).id,
        flavor_id=cloud.compute.find_flavor("m1.nano", ignore_missing=False).id,
        networks=[{"uuid": cloud.network.find_network("private", ignore_missing=False).id}],
        **values,
    )
    return cloud.compute.wait_for_server(server, interval=1, wait=WAIT_S)


def look(client: Client, server: Any) -> Any:
    return connect(client).compute.get_server(server.id)


def namespaces(client: Client) -> dict[str, str]:
    return {row["uuid"]: row["namespace"] for row in client.instances()}


def answers(client: Client, source: Any, target: Any) -> bool:
    found = [entry["addr"] for entries in target.addresses.values() for entry in entries]
    assert len(found) == 2
    where = namespaces(client)[source.id]
    return all(ping.ping(where, address, count=1, timeout_s=1.0).received == 1 for address in found)


def kill(client: Client) -> None:
    pid = int(client.status()["pid"])
    process = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert wait_for_end(process, WAIT_S)
    os.close(process)


def nothing_stands(state: Path) -> bool:
    return Ledger.read(state / "ledger") == ()


def test_stopped_sandbox_goes_on_where_it_was(state: Path, realizer: str) -> None:
    client = launcher.up(SandboxSpec(state=state, realizer=realizer))
    one, two = boot(client, "one"), boot(client, "two")
    providers = {row.name: row.id for row in connect(client).placement.resource_providers()}
    where = list(namespaces(client).values())
    client.down()
    assert nothing_stands(state)
    assert not any(path and Path(path).exists() for path in where)
    with pytest.raises(NotRunning, match=str(state)):
        client.status()

    client = launcher.up(SandboxSpec(state=state, realizer=realizer))
    assert {row.name: row.id for row in connect(client).placement.resource_providers()} == providers
    for server in (one, two):
        found = look(client, server)
        assert (found.status, found.addresses) == ("ACTIVE", server.addresses)
    spawned = client.events_after(0, operation="spawn")[1]
    assert [event["name"] for event in spawned] == ["one", "two"]
    if realizer == "bridge":
        assert answers(client, one, two)


@pytest.mark.usefixtures("needs_packets")
def test_killed_daemon_is_cleaned_up_after_and_started_again(state: Path) -> None:
    client = launcher.up(SandboxSpec(state=state, realizer="bridge"))
    one, two = boot(client, "one"), boot(client, "two")
    where = list(namespaces(client).values())
    kill(client)
    client = launcher.up(SandboxSpec(state=state, realizer="bridge"))
    assert answers(client, one, two)
    kill(client)
    removed = launcher.cleanup(state)
    assert {entry.kind for entry in removed} >= {"namespace", "process"}
    assert nothing_stands(state)
    assert not any(Path(path).exists() for path in where)
    assert launcher.cleanup(state) == []


def test_crashed_host_is_seen_evacuated_and_comes_back(state: Path, realizer: str) -> None:
    client = launcher.up(SandboxSpec(state=state, realizer=realizer))
    compute = connect(client).compute
    server = boot(client, "one", host="compute-1")

    def service() -> Any:
        return next(row for row in compute.services() if (row.binary, row.host) == ("nova-compute", "compute-1"))

    client.host_down("compute-1")
    assert [host["state"] for host in client.status()["hosts"]] == ["down", "up"]
    assert [row["host"] for row in client.instances()] == ["compute-1"]
    wait_for("nova to see the host down", lambda: service().state == "down")
    compute.evacuate_server(server.id)
    wait_for("the server on the other host", lambda: look(client, server).compute_host == "compute-2")
    # Since compute API 2.95 an evacuated server stays off until its user starts it.
    wait_for("the evacuation's end", lambda: look(client, server).status == "SHUTOFF")
    compute.start_server(server.id)
    moved = compute.wait_for_server(look(client, server), interval=1, wait=WAIT_S)
    assert moved.addresses == server.addresses
    client.host_up("compute-1")
    wait_for("nova to see the host up", lambda: service().state == "up")
    assert [row["host"] for row in client.instances()] == ["compute-2"]
    assert boot(client, "two", host="compute-1").compute_host == "compute-1"


def test_second_sandbox_on_a_state_directory_is_refused(sandbox: Client) -> None:
    before = sandbox.status()
    with pytest.raises(StateInUse, match=f"process {before['pid']}"):
        launcher.up(SandboxSpec(state=sandbox.state.root))
    with pytest.raises(StateInUse):
        launcher.cleanup(sandbox.state.root)
    assert sandbox.status()["pid"] == before["pid"]


def test_port_that_is_taken_is_named_and_nothing_is_left(state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=str(port)):
            launcher.up(SandboxSpec(state=state, port=port))
    assert nothing_stands(state)


def test_unknown_realizer_is_refused_with_those_there_are(state: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "up", "--state", str(state), "--realizer", "carrier-pigeon"],
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
    )
    assert done.returncode == 2
    assert "carrier-pigeon" in done.stderr
    assert "bridge, null" in done.stderr


def test_instance_without_network_is_entered_by_nobody(state: Path) -> None:
    client = launcher.up(SandboxSpec(state=state, hosts=("solo",)))
    server = boot(client, "one")
    done = subprocess.run(
        [*COMMAND, "exec", "--state", str(state), "one", "true"],
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
    )
    assert done.returncode != 0
    assert "--realizer bridge" in done.stderr
    assert look(client, server).status == "ACTIVE"


def test_interrupted_start_leaves_nothing(state: Path, realizer: str) -> None:
    starting = subprocess.Popen(
        [*COMMAND, "up", "--state", str(state), "--realizer", realizer],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert starting.stdout is not None
    for line in starting.stdout:
        if "identity" in line:
            starting.send_signal(signal.SIGINT)
            break
    printed, _ = starting.communicate(timeout=WAIT_S)
    assert starting.returncode == 130, printed
    assert nothing_stands(state)
    with pytest.raises(NotRunning):
        Client(state).status()


def test_spec_refuses_a_host_twice(state: Path) -> None:
    with pytest.raises(InvalidInput, match="once"):
        SandboxSpec(state=state, hosts=("a", "a"))


@pytest.fixture
def nobody() -> list[str]:
    """The beginning of a command line that runs as an ordinary user, who can read this environment."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user; the other tests ran as an ordinary one")
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (Debian package util-linux) is missing")
    prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    # By way of a shell: setpriv itself still has root's rights while it starts a program.
    can_run = [*prefix, "sh", "-c", 'exec "$0" -c "import nova_fakes"', sys.executable]
    if subprocess.run(can_run, capture_output=True, check=False).returncode != 0:
        pytest.skip(f"an ordinary user cannot read {sys.prefix}")
    return prefix


@pytest.fixture
def homely(nobody: list[str]) -> Iterator[Path]:
    """A directory of the ordinary user's."""
    directory = Path(tempfile.mkdtemp(prefix="nova-fakes-test-"))
    os.chown(directory, NOBODY, NOBODY)
    yield directory
    shutil.rmtree(directory)


def run_as(prefix: list[str], home: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HOME": str(home), "NOVA_FAKES_STATE": str(home / "state")}
    environment.pop("XDG_STATE_HOME", None)
    return subprocess.run(
        [*prefix, *argv], env=environment, cwd=home, capture_output=True, text=True, check=False, timeout=2 * WAIT_S
    )


def test_ordinary_user_has_servers_that_ping(nobody: list[str], homely: Path) -> None:
    if run_as(nobody, homely, "unshare", "-Urnm", "true").returncode != 0:
        pytest.skip("this machine allows an ordinary user no user namespaces (see `nova-fakes doctor`)")
    started = run_as(nobody, homely, *COMMAND, "up", "--realizer", "bridge")
    assert started.returncode == 0, started.stdout + started.stderr
    try:
        client = Client(homely / "state")
        for name in ("one", "two"):
            boot(client, name)
        answer = run_as(nobody, homely, *COMMAND, "ping", "one", "two")
        assert answer.returncode == 0, answer.stdout + answer.stderr
        inside = run_as(nobody, homely, *COMMAND, "exec", "one", "ip", "-brief", "address", "show", "eth0")
        assert "10.0.0." in inside.stdout
    finally:
        stopped = run_as(nobody, homely, *COMMAND, "down")
    assert stopped.returncode == 0, stopped.stderr
    assert nothing_stands(homely / "state")


def test_forbidden_namespaces_are_told_with_their_cure(nobody: list[str], homely: Path) -> None:
    # In a user namespace that may hold no further one, and no network namespace either.
    forbidden = ["unshare", "-Ur", "sh", "-c"]
    limits = "echo 0 > /proc/sys/user/max_user_namespaces; echo 0 > /proc/sys/user/max_net_namespaces"
    if run_as(nobody, homely, *forbidden, limits).returncode != 0:
        pytest.skip("this machine lets no user namespace limit itself")
    up = " ".join([*COMMAND, "up", "--hosts", "1", "--realizer", "bridge"])
    refused = run_as(nobody, homely, *forbidden, f"{limits}; exec {up}")
    assert refused.returncode == 6, refused.stdout + refused.stderr
    assert "max_" in refused.stderr
    assert "--realizer null" in refused.stderr
    allowed = run_as(nobody, homely, *forbidden, f"{limits}; {up} --fallback-null && {' '.join(COMMAND)} down")
    assert allowed.returncode == 0, allowed.stdout + allowed.stderr


def test_names_of_the_unknown(sandbox: Client) -> None:
    for argv, code in (
        (["host", "down", "compute-9"], 4),
        (["exec", str(uuid.uuid4()), "true"], 4),
        (["logs", "nova-teapot"], 2),
    ):
        done = subprocess.run(
            [*COMMAND, *argv],
            env={**os.environ, "NOVA_FAKES_STATE": str(sandbox.state.root)},
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_S,
        )
        assert done.returncode == code, (argv, done.stderr)
        assert argv[-2 if argv[0] == "exec" else -1] in done.stderr
