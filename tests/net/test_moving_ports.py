"""Where a network's bridges send an instance's frames once it has moved: right at once, before it says a word."""

import json

import pytest

from nova_fakes.exceptions import RealizerError
from nova_fakes.virt.vif import namespaces
from nova_fakes.virt.vif.announcement import Announcer
from nova_fakes.virt.vif.ping import ping

pytestmark = pytest.mark.privileged


@pytest.fixture
def crowd(hosts, make_vif, uuids, answers):
    """An instance on the first host, and a watcher on each: all have heard of each other, over every bridge."""
    vif = make_vif(5)
    hosts[0].plug(uuids[0], [vif])
    for number, host in enumerate(hosts, start=1):
        host.plug(uuids[number], [make_vif(5 + number)])
    watchers = [host.namespace(uuids[number]) for number, host in enumerate(hosts, start=1)]
    for watcher in watchers:
        assert answers(watcher, "10.0.0.5")
        assert answers(watcher, "fd00::5")
    return vif, watchers


@pytest.fixture
def silence(monkeypatch):
    """The instance does not announce where it is."""
    monkeypatch.setattr(Announcer, "send", lambda announcer: None)


def ports_of(fabric, mac):
    """At which port each bridge of the fabric has the MAC, by the bridge's role and host."""
    done = namespaces.run_in(fabric.path, ["bridge", "-j", "fdb", "show"])
    ports = {entry["master"]: entry["ifname"] for entry in json.loads(done.stdout) if entry["mac"] == mac}
    entries = {entry.name: entry.attributes for entry in fabric.ledger.entries("device")}
    return {(entries[name]["role"], entries[name]["host"]): port for name, port in ports.items()}


def uplink(fabric, host):
    """The near and the far end of a host's uplink."""
    (near,) = (
        entry.name
        for entry in fabric.ledger.entries("device")
        if (entry.attributes["role"], entry.attributes["host"]) == ("uplink", host)
    )
    done = namespaces.run_in(fabric.path, ["ip", "-j", "link", "show", near])
    return near, json.loads(done.stdout)[0]["link"]


@pytest.mark.parametrize("asking", [0, 1, 2])
@pytest.mark.parametrize("address", ["10.0.0.5", "fd00::5"])
def test_the_first_echo_after_the_move_arrives(hosts, crowd, uuids, silence, asking, address):
    vif, watchers = crowd
    hosts[1].prepare_migration(uuids[0], [vif])
    hosts[1].migrate(uuids[0], [vif], hosts[0])
    assert ping(watchers[asking], address).received == 1
    hosts[0].migrate(uuids[0], [vif], hosts[1])
    assert ping(watchers[asking], address).received == 1


def test_every_bridge_points_to_the_new_place(hosts, fabric, crowd, uuids, silence):
    vif, _watchers = crowd
    near, far = zip(*(uplink(fabric, host.host) for host in hosts), strict=True)
    at_first = {
        ("bridge", "compute-0"): vif.devname,
        ("bridge", "compute-1"): near[1],
        ("bridge", "compute-2"): near[2],
        ("trunk", None): far[0],
    }
    assert ports_of(fabric, vif.address) == at_first
    hosts[1].migrate(uuids[0], [vif], hosts[0])
    moved = {("bridge", "compute-0"): near[0], ("bridge", "compute-1"): vif.devname, ("trunk", None): far[1]}
    assert ports_of(fabric, vif.address) == {**at_first, **moved}


def test_what_fails_after_the_move_turns_the_bridges_back(hosts, fabric, crowd, uuids, silence):
    vif, watchers = crowd
    before = ports_of(fabric, vif.address)

    def fail(operation):
        if type(operation).__name__ == "Announce":
            raise RealizerError("injected")

    fabric.before = fail
    with pytest.raises(RealizerError, match="injected"):
        hosts[1].migrate(uuids[0], [vif], hosts[0])
    fabric.before = None
    assert ports_of(fabric, vif.address) == before
    assert [ping(watcher, "10.0.0.5").received for watcher in watchers] == [1, 1, 1]


def test_an_interface_that_the_guest_has_taken_down_moves_too(hosts, crowd, uuids, answers):
    vif, watchers = crowd
    inside = hosts[0].namespace(uuids[0])
    for state in ("down", "up"):
        assert namespaces.run_in(inside, ["ip", "link", "set", "eth0", state]).returncode == 0
        if state == "down":
            hosts[1].migrate(uuids[0], [vif], hosts[0])
    assert answers(watchers[1], "10.0.0.5")
