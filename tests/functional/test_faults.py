"""Faults of a running sandbox, by the command; nova takes a fault as the real thing."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openstack
import pytest
from running import WAIT_S, wait_for

from nova_fakes.cmd import exits
from nova_fakes.sandbox.client import Client

COMMAND = Path(sys.executable).with_name("nova-fakes")
Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def call(sandbox: Client) -> Iterator[Call]:
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [COMMAND, *arguments, "--state", sandbox.state.root]
        return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)

    yield call
    sandbox.clear_faults()


@pytest.fixture
def boot(cloud: openstack.connection.Connection) -> Iterator[Callable[[str], Any]]:
    """Boot a server and wait until nova has an end of it."""
    made = []

    def boot(name: str) -> Any:
        server = cloud.compute.create_server(
            name=name,
            image_id=cloud.image.find_image("nova-fakes").id,
            flavor_id=cloud.compute.find_flavor("m1.nano").id,
            networks=[{"uuid": cloud.network.find_network("private").id}],
        )
        made.append(server)
        wait_for(name, lambda: cloud.compute.get_server(server.id).status != "BUILD")
        return cloud.compute.get_server(server.id)

    yield boot
    for server in made:
        cloud.compute.delete_server(server.id)
    for server in made:
        cloud.compute.wait_for_delete(server, interval=0.1, wait=60)


def test_an_abort_ends_the_build(call: Call, boot: Callable[[str], Any]) -> None:
    ran = call("fault", "add", "spawn", "--times", "1", "--error", "BuildAbortException: no luck")
    assert (ran.returncode, ran.stdout) == (
        0,
        "rule 1 is in force: spawn fails: BuildAbortException: no luck, 1 times\n",
    )
    failed = boot("unlucky")
    assert failed.status == "ERROR"
    assert "no luck" in failed.fault["message"]
    (rule,) = json.loads(call("fault", "list", "--json").stdout)
    assert (rule["operation"], rule["struck"], rule["error"]) == ("spawn", 1, "BuildAbortException: no luck")
    assert boot("lucky").status == "ACTIVE"


def test_want_of_room_has_nova_try_another_host(call: Call, boot: Callable[[str], Any]) -> None:
    call("fault", "add", "spawn", "--host", "compute-1", "--error", "ComputeResourcesUnavailable")
    assert [boot(f"moved-{number}").compute_host for number in range(3)] == ["compute-2"] * 3


def test_a_rule_for_one_instance(call: Call, boot: Callable[[str], Any], cloud: Any) -> None:
    one, other = boot("one"), boot("other")
    assert call("fault", "add", "pause", "--instance", "one").returncode == 0
    for server in (one, other):
        cloud.compute.pause_server(server.id)
    wait_for("the other's pause", lambda: cloud.compute.get_server(other.id).status == "PAUSED")
    wait_for("the failure", lambda: "struck 1 of 1" in call("fault", "list").stdout)
    assert cloud.compute.get_server(one.id).status == "ACTIVE"


def test_a_plan_of_faults(call: Call, boot: Callable[[str], Any], tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    rule = '[[fault]]\noperation = "spawn"\nguest = "un*"\nflavor = "m1.n*"\n'
    path.write_text(rule + 'error = "BuildAbortException: no luck"\ndelay = "uniform:0.1,0.2"\n')
    loaded = call("fault", "load", str(path))
    assert loaded.stdout == (
        "rule 1 is in force: spawn for un* of flavor m1.n* fails: BuildAbortException: no luck, "
        "uniform:0.1,0.2 s late\n"
    )
    failed = boot("unfortunate")
    assert failed.status == "ERROR"
    assert "no luck" in failed.fault["message"]
    assert boot("fortunate").status == "ACTIVE"
    assert call("fault", "list").stdout.startswith("  1  struck 1 of 1  ")


def test_a_crashed_guest_is_seen_by_nova(call: Call, boot: Callable[[str], Any], cloud: Any) -> None:
    server = boot("frail")
    assert call("guest", "crash", "frail").stdout == f"frail has crashed on {server.compute_host}\n"
    wait_for("nova to see it", lambda: cloud.compute.get_server(server.id).status == "SHUTOFF")
    again = call("guest", "crash", "frail")
    assert again.returncode == exits.CONFLICT
    assert "running" in again.stderr
    cloud.compute.start_server(server.id)
    wait_for("its start", lambda: cloud.compute.get_server(server.id).status == "ACTIVE")


def test_a_host_that_hangs(call: Call, boot: Callable[[str], Any], cloud: Any) -> None:
    server = boot("patient")
    host = server.compute_host

    def service() -> Any:
        return next(row for row in cloud.compute.services() if (row.binary, row.host) == ("nova-compute", host))

    def status() -> str:
        return str(cloud.compute.get_server(server.id).status)

    try:
        assert call("host", "hang", host, "--deadline", "600").returncode == 0
        states = {row["name"]: row["state"] for row in json.loads(call("status", "--json").stdout)["hosts"]}
        assert states[host] == "hung"
        cloud.compute.pause_server(server.id)
        refused = call("guest", "crash", "patient")
        assert refused.returncode == exits.CONFLICT
        assert "hung" in refused.stderr
        wait_for("nova to see the host down", lambda: service().state == "down")
        assert status() == "ACTIVE"
    finally:
        assert call("host", "up", host).returncode == 0
    wait_for("the pause", lambda: status() == "PAUSED")
    wait_for("nova to see the host up", lambda: service().state == "up")
    cloud.compute.unpause_server(server.id)
    wait_for("its going on", lambda: status() == "ACTIVE")


def test_an_operation_ends_at_the_deadline(call: Call, boot: Callable[[str], Any], cloud: Any) -> None:
    server = boot("hurried")
    try:
        call("host", "hang", server.compute_host, "--deadline", "0.5")
        cloud.compute.pause_server(server.id)
        wait_for("the failure", lambda: cloud.compute.get_server(server.id).task_state is None)
        assert cloud.compute.get_server(server.id).status == "ACTIVE"
    finally:
        call("host", "up", server.compute_host)
    wait_for("nova to see all hosts up", lambda: all(row.state == "up" for row in cloud.compute.services()))


def test_rules_are_taken_away(call: Call) -> None:
    for operation in ("spawn", "destroy"):
        call("fault", "add", operation, "--delay", "0.1")
    assert call("fault", "remove", "1").returncode == 0
    assert call("fault", "list").stdout == "  1  struck 0 of 0  destroy, 0.1 s late\n"
    gone = call("fault", "remove", "7")
    assert gone.returncode == exits.NOT_FOUND
    assert "fault list" in gone.stderr
    assert call("fault", "clear").stdout == call("fault", "list").stdout == "no rule is in force\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("spwan",), "spawn.plug"),
        (("spawn", "--times", "0"), "times"),
        (("spawn", "--probability", "2"), "probability"),
        (("spawn", "--delay", "-1"), "delay"),
    ],
)
def test_a_wrong_rule_is_refused(call: Call, arguments: tuple[str, ...], told: str) -> None:
    ran = call("fault", "add", *arguments)
    assert ran.returncode == exits.USAGE
    assert told in ran.stderr
    assert call("fault", "list").stdout == "no rule is in force\n"
