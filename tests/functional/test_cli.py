"""The command against a running sandbox, each call a process of its own, as a user or a script makes it."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openstack
import pytest
from running import WAIT_S, wait_for

from nova_fakes.cmd import exits
from nova_fakes.sandbox.client import Client

COMMAND = Path(sys.executable).with_name("nova-fakes")


def call(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(COMMAND), *arguments], input=stdin, capture_output=True, text=True, timeout=WAIT_S, check=False
    )


@pytest.fixture
def on(sandbox: Client) -> list[str]:
    return ["--state", str(sandbox.state.root)]


@pytest.fixture(scope="module")
def pair(cloud: openstack.connection.Connection) -> Iterator[list[Any]]:
    """Two servers, on the sandbox's own image and network."""
    image, network = cloud.image.find_image("nova-fakes"), cloud.network.find_network("private")
    flavor = cloud.compute.find_flavor("m1.tiny")
    servers = [
        cloud.compute.create_server(
            name=f"cli-{number}", image_id=image.id, flavor_id=flavor.id, networks=[{"uuid": network.id}]
        )
        for number in (1, 2)
    ]
    try:
        for server in servers:
            wait_for(
                f"{server.name} ACTIVE",
                lambda server=server: cloud.compute.get_server(server.id).status == "ACTIVE",
            )
        yield servers
    finally:
        for server in servers:
            cloud.compute.delete_server(server.id)
        for server in servers:
            cloud.compute.wait_for_delete(server, interval=0.1, wait=60)


def test_status(sandbox: Client, on: list[str]) -> None:
    ran = call("status", "--json", *on)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["url"] == sandbox.status()["url"]
    assert {"nova-api", "placement", "nova-scheduler"} <= {service["name"] for service in told["services"]}
    table = call("status", *on)
    assert table.returncode == 0
    assert told["url"] in table.stdout


def test_stock_client_finds_the_sandbox_by_env(on: list[str]) -> None:
    lines = call("env", *on).stdout
    openstack_client = Path(sys.executable).with_name("openstack")
    ran = subprocess.run(
        ["sh", "-c", f"{lines}\nexec {openstack_client} hypervisor list -f json"],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert {row["Hypervisor Hostname"] for row in json.loads(ran.stdout)} == {"compute-1", "compute-2"}


def test_logs(on: list[str]) -> None:
    names = call("logs", *on).stdout.split()
    assert "nova-api" in names
    ran = call("logs", "nova-compute", "-n", "3", *on)
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == 3
    assert call("logs", "no-such-service", *on).returncode == exits.USAGE


@pytest.mark.usefixtures("needs_packets")
def test_exec_is_inside(pair: list[Any], on: list[str], cloud: openstack.connection.Connection) -> None:
    ran = call("exec", *on, "cli-1", "ip", "-json", "address", "show", "eth0")
    assert ran.returncode == 0, ran.stderr
    (interface,) = json.loads(ran.stdout)
    entries = cloud.compute.get_server(pair[0].id).addresses["private"]
    assert interface["address"] == entries[0]["OS-EXT-IPS-MAC:mac_addr"]
    assert {entry["addr"] for entry in entries} <= {found["local"] for found in interface["addr_info"]}


@pytest.mark.usefixtures("needs_packets")
def test_exec_hands_on_code_and_streams(pair: list[Any], on: list[str]) -> None:
    ran = call("exec", *on, pair[0].id, "sh", "-c", "cat; echo problem >&2; exit 7", stdin="through")
    assert (ran.returncode, ran.stdout, ran.stderr) == (7, "through", "problem\n")


@pytest.mark.usefixtures("needs_packets")
def test_ping(pair: list[Any], on: list[str], cloud: openstack.connection.Connection) -> None:
    ran = call("ping", *on, "cli-1", "cli-2", "-c", "3", "-i", "0.01", "--json")
    assert ran.returncode == 0, ran.stderr
    entries = cloud.compute.get_server(pair[1].id).addresses["private"]
    heard = json.loads(ran.stdout)
    assert {echoes["address"] for echoes in heard} == {entry["addr"] for entry in entries}
    assert all((echoes["sent"], echoes["received"], echoes["lost"]) == (3, 3, 0) for echoes in heard)
    assert "3 of 3 replies" in call("ping", *on, "cli-1", "cli-2", "-c", "3", "-i", "0.01", "-4").stdout


@pytest.mark.usefixtures("needs_packets")
def test_ping_without_reply_is_a_failure(
    pair: list[Any], on: list[str], cloud: openstack.connection.Connection
) -> None:
    cloud.compute.pause_server(pair[1].id)
    wait_for("PAUSED", lambda: cloud.compute.get_server(pair[1].id).status == "PAUSED")
    try:
        ran = call("ping", *on, "cli-1", "cli-2", "-c", "2", "-i", "0.01", "-W", "0.2")
    finally:
        cloud.compute.unpause_server(pair[1].id)
        wait_for("ACTIVE", lambda: cloud.compute.get_server(pair[1].id).status == "ACTIVE")
    assert ran.returncode == exits.FAILED
    assert "0 of 2 replies" in ran.stdout


def test_the_unknown_is_named(pair: list[Any], on: list[str]) -> None:
    instance = call("exec", *on, "no-such-server", "true")
    assert instance.returncode == exits.NOT_FOUND
    assert "cli-1" in instance.stderr
    host = call("host", "down", *on, "compute-9")
    assert host.returncode == exits.NOT_FOUND
    assert "compute-1" in host.stderr


def test_second_sandbox_on_a_state_directory(on: list[str]) -> None:
    ran = call("up", "--realizer", "null", *on)
    assert ran.returncode == exits.CONFLICT
    assert "in use" in ran.stderr
    assert call("status", *on).returncode == 0


def test_port_that_is_taken(state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = call("up", "--realizer", "null", "--port", port, "--state", str(state))
    assert ran.returncode == exits.CONFLICT
    assert port in ran.stderr


@pytest.mark.parametrize(
    "command", ["status", "env", "down", "exec STATE web true", "ping STATE a b", "host up STATE compute-1"]
)
def test_where_nothing_runs(state: Path, command: str) -> None:
    option = f"--state={state / 'none'}"
    arguments = command.replace("STATE", option).split() if "STATE" in command else [command, option]
    ran = call(*arguments)
    assert ran.returncode == exits.NOT_RUNNING
    assert "no sandbox runs" in ran.stderr
    assert ran.stdout == ""
    assert not (state / "none").exists()
