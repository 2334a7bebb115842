"""The events of a running sandbox, by the command: shown, followed, and replayed in Python."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openstack
import pytest
from running import WAIT_S

from nova_fakes.clock import ManualClock
from nova_fakes.cmd import exits
from nova_fakes.sandbox.client import Client
from nova_fakes.virt.event import read_events
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.replay import replay

COMMAND = Path(sys.executable).with_name("nova-fakes")
Call = Callable[..., str]


@pytest.fixture
def call(sandbox: Client) -> Call:
    def call(*arguments: str) -> str:
        command = [COMMAND, "events", *arguments, "--state", sandbox.state.root]
        return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=True).stdout

    return call


@pytest.fixture
def server(cloud: openstack.connection.Connection) -> Iterator[Any]:
    made = cloud.compute.create_server(
        name="eventful",
        image_id=cloud.image.find_image("nova-fakes").id,
        flavor_id=cloud.compute.find_flavor("m1.nano").id,
        networks=[{"uuid": cloud.network.find_network("private").id}],
    )
    yield cloud.compute.wait_for_server(made, interval=0.2, wait=WAIT_S)
    cloud.compute.delete_server(made.id)
    cloud.compute.wait_for_delete(made, interval=0.2, wait=WAIT_S)


def pause(cloud: openstack.connection.Connection, server: Any) -> None:
    cloud.compute.pause_server(server.id)
    cloud.compute.wait_for_server(server, status="PAUSED", interval=0.2, wait=WAIT_S)


def test_an_instance_has_a_story(call: Call, cloud: Any, server: Any) -> None:
    pause(cloud, server)
    told = [json.loads(line) for line in call("--instance", "eventful", "--json").splitlines()]
    assert [event["operation"] for event in told if not event["operation"].startswith("vif_")] == ["spawn", "pause"]
    assert {(event["host"], event["name"]) for event in told} == {(server.compute_host, "eventful")}
    (latest,) = call("--instance", server.id, "-n", "1").splitlines()
    assert latest.split()[2:] == [server.compute_host, "pause", "ok", "eventful"]
    assert call("--instance", server.id, "--since", "2100-01-01") == ""
    assert call("--instance", server.id, "--since", "1h").count("\n") == len(told)


def test_events_are_followed_until_the_interrupt(cloud: Any, server: Any, sandbox: Client) -> None:
    command = [COMMAND, "events", "--follow", "--instance", server.id, "--json"]
    with subprocess.Popen([*command, "--state", sandbox.state.root], stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        # The events before are shown first: from then on it follows.
        told = (json.loads(line)["operation"] for line in follower.stdout)
        assert "spawn" in told
        pause(cloud, server)
        assert "pause" in told
        follower.send_signal(signal.SIGINT)
    assert follower.returncode == exits.INTERRUPTED


def test_the_story_can_be_told_again(call: Call, cloud: Any, server: Any, sandbox: Client) -> None:
    pause(cloud, server)
    fleet = Fleet(ManualClock())
    for host in ("compute-1", "compute-2"):
        fleet.add(Hypervisor(host))
    replay(read_events(call("--all", "--json").splitlines()), fleet)
    there = {(row["uuid"], row["host"], row["power_state"]) for row in sandbox.instances()}
    assert (server.id, server.compute_host, "paused") in there
    assert {
        (uuid, host.name, str(guest.state)) for host in fleet.hosts.values() for uuid, guest in host.guests.items()
    } == there
