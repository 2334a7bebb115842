"""An Open vSwitch of our own: started, taken over, ended, and gone after `kill -9` of whoever started it."""

import contextlib
import errno
import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nova_fakes.exceptions import InvalidInput, OpenVSwitchMissing, RealizerError
from nova_fakes.virt.vif import namespaces, netlink, ovs_service
from nova_fakes.virt.vif.cleanup import cleanup
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.ovs import OVSRealizer
from nova_fakes.virt.vif.ovs_fabric import SwitchFabric
from nova_fakes.virt.vif.ovs_service import OpenVSwitch
from nova_fakes.virt.vif.ovsdb import Connection
from nova_fakes.virt.vif.ping import ping
from nova_fakes.virt.vif.switch import Switch

pytestmark = pytest.mark.privileged

DEADLINE_S = 20.0


@pytest.fixture
def answers():
    """Tell whether an address answers from a namespace, soon."""
    return lambda path, address: any(ping(path, address, timeout_s=0.2).received for _ in range(50))


@pytest.fixture
def home(place):
    """A network namespace for a switch to run in."""
    path = place / "home"
    namespaces.in_thread(lambda: namespaces.make(path))
    yield str(path)
    namespaces.remove(path)


@pytest.fixture
def service(place, home):
    ledger = Ledger()
    service = OpenVSwitch(ledger, place / "ovs", home, deadline_s=DEADLINE_S)
    yield service
    service.stop()
    assert ledger.entries() == ()
    assert not (place / "ovs").exists()


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def open_files(pid):
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(os.readlink(link))
    return found


def test_a_daemon_that_cannot_be_watched_is_ended(service, place, monkeypatch):
    watched = []

    def refuse(pid):
        watched.append(pid)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    with pytest.raises(OSError, match="open files"):
        service.start()
    assert [alive(pid) for pid in watched] == [False]


def test_it_runs_in_its_namespace_and_directory_and_nowhere_else(service, place, home):
    service.start()
    for pid in service.pids().values():
        assert os.stat(f"/proc/{pid}/ns/net").st_ino == namespaces.inode(home)
        assert os.readlink(f"/proc/{pid}/cwd") == str(place / "ovs")
        assert not [name for name in open_files(pid) if "openvswitch" in name]
    assert (place / "ovs").stat().st_mode & 0o777 == 0o700
    with Connection(service.socket, deadline_s=DEADLINE_S) as connection:
        connection.commit([])


def test_the_ledger_names_everything_before_it_is_made(service, monkeypatch):
    named = []
    real = OpenVSwitch._spawn

    def spawn(self, argv, entry):
        named.append((os.path.basename(argv[0]), {(e.kind, os.path.basename(e.name)) for e in self._ledger.entries()}))
        return real(self, argv, entry)

    monkeypatch.setattr(OpenVSwitch, "_spawn", spawn)
    service.start()
    directory = ("file", "ovs")
    assert named == [
        ("ovsdb-server", {directory, ("process", "ovsdb-server")}),
        ("ovs-vswitchd", {directory, ("process", "ovsdb-server"), ("process", "ovs-vswitchd")}),
    ]


def test_starting_again_changes_nothing(service):
    service.start()
    pids = service.pids()
    assert service.revive() == ()
    assert service.pids() == pids


def test_one_that_was_stopped_by_hand_is_started_again(service):
    service.start()
    os.kill(service.pids()["ovs-vswitchd"], signal.SIGKILL)
    os.kill(service.pids()["ovsdb-server"], signal.SIGKILL)
    assert service.revive() == ("ovsdb-server", "ovs-vswitchd")


def test_one_that_is_killed_while_the_other_is_waited_for_is_started_again(service, monkeypatch):
    ask, killed = service._ask, []

    def kill_first(name, remaining_s):
        if name == "ovs-vswitchd" and not killed:
            killed.append(service.pids()["ovsdb-server"])
            os.kill(killed[0], signal.SIGKILL)
        ask(name, remaining_s)

    monkeypatch.setattr(service, "_ask", kill_first)
    service.start()
    assert service.pids()["ovsdb-server"] != killed[0]
    assert service.revive() == ()


def test_a_strangers_directory_is_left_alone(place, home):
    (place / "ovs").mkdir()
    (place / "ovs" / "precious").touch()
    with Ledger() as ledger:
        with pytest.raises(RealizerError, match="the ledger does not name it"):
            OpenVSwitch(ledger, place / "ovs", home).start()
        assert ledger.entries() == ()
    assert (place / "ovs" / "precious").exists()


def test_a_daemon_that_ends_at_once_is_told_with_its_last_words(service, monkeypatch):
    monkeypatch.setitem(ovs_service._ARGUMENTS, "ovs-vswitchd", ("--no-such-option",))
    with pytest.raises(RealizerError, match=r"ovs-vswitchd ended at once: .*no-such-option"):
        service.start()


def test_a_machine_without_it_names_the_cure(place, monkeypatch):
    monkeypatch.setattr(ovs_service, "_PROGRAMS", ("ovs-none",))
    with pytest.raises(OpenVSwitchMissing, match="no ovs-none; cure: apt-get install openvswitch-switch"):
        OpenVSwitch(Ledger(), place / "ovs", None)


def test_a_switch_of_ones_own_needs_a_namespace_of_its_own(place):
    with pytest.raises(InvalidInput, match="namespace"):
        SwitchFabric(Ledger(), directory=place, switch_directory=place / "ovs")


# Plugs instances forever on a switch of its own, and says after each that it is done.
PROGRAM = """
import sys, uuid
from nova_fakes.virt.vif.base import VIF
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.ovs import OVSRealizer
from nova_fakes.virt.vif.ovs_fabric import SwitchFabric
state, limit, socket = sys.argv[1], int(sys.argv[2]), sys.argv[3]
ledger = Ledger(state + "/ledger")
print("ledger", flush=True)
own = {"namespace": "fabric", "switch_directory": state + "/ovs"}
fabric = SwitchFabric(ledger, directory=state + "/netns", **({"socket": socket} if socket else own))
print("fabric", flush=True)
for n in range(1, limit + 1):
    network = {"id": "n", "bridge": "br-int", "subnets": [{"cidr": "10.0.0.0/16", "ips": [{"address": f"10.0.0.{n}"}]}]}
    vif = {"id": str(uuid.UUID(int=n << 80)), "address": "fa:16:3e:00:00:%02x" % n, "devname": f"tap{n}",
           "type": "ovs", "network": network, "details": {"ovs_hybrid_plug": n % 2 == 0}}
    OVSRealizer(f"h{n % 2}", fabric).plug(f"i{n}", [VIF.from_network_info(vif)])
    print(n, flush=True)
sys.stdin.read()
"""


def killed_after(place, lines, *, limit=250, socket=""):
    """Run the program until it has printed that many lines, then kill it in the middle of what comes next."""
    argv = [sys.executable, "-c", PROGRAM, str(place), str(limit), str(socket)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for _ in range(lines):
            assert process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def daemons(place):
    """Find the processes that run in a switch's directory."""
    found = set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if os.readlink(process / "cwd").startswith(str(place / "ovs")) and alive(int(process.name)):
                    found.add(int(process.name))
            except OSError:
                continue
    return found


@pytest.mark.parametrize("lines", [1, 2, 3, 4, 7])
def test_cleanup_after_a_kill_at_any_moment(place, lines):
    killed_after(place, lines)
    with Ledger(place / "ledger") as ledger:
        done = cleanup(ledger)
        assert done.kept == ()
        assert ledger.entries() == ()
    assert daemons(place) == set()
    assert not (place / "ovs").exists()
    assert not (place / "netns").exists() or list((place / "netns").iterdir()) == []


@pytest.mark.parametrize("lines", [2, 3, 4, 5])
def test_cleanup_on_a_switch_of_somebody_elses(place, service, home, lines):
    """As a nova-compute that was killed: its ports and devices go, the switch and what else is on it stay."""
    service.start()
    switch = Switch(service.socket, deadline_s=DEADLINE_S)
    switch.make_bridges([("br-int", {})], [], "netdev")

    def links():
        with netlink.Socket() as sock:
            return {link.name for link in sock.links()}

    def run():
        before = links(), switch.ports(), switch.bridges()
        killed_after(place, lines, socket=service.socket)
        with Ledger(place / "ledger") as ledger:
            assert cleanup(ledger).kept == ()
            assert ledger.entries() == ()
        assert (links(), switch.ports(), switch.bridges()) == before

    namespaces.in_namespace(home, run)
    assert list((place / "netns").iterdir()) == []


def test_cleanup_keeps_what_it_cannot_reach(place, service, home):
    service.start()
    switch = Switch(service.socket, deadline_s=DEADLINE_S)
    switch.make_bridges([("br-int", {})], [], "netdev")

    def run():
        killed_after(place, 3, limit=1, socket=service.socket)
        hidden = service.socket.rename(service.socket.with_name("elsewhere"))
        with Ledger(place / "ledger") as ledger:
            (kept,) = cleanup(ledger).kept
            assert kept[0].name == "tap1"
            assert "no database answers" in kept[1]
            hidden.rename(service.socket)
            assert cleanup(ledger).kept == ()
        assert set(switch.ports()) == {"br-int"}

    namespaces.in_namespace(home, run)


@pytest.mark.slow
def test_cleanup_after_kills_at_random_moments(place):
    moments = random.Random(4)
    for _ in range(30):
        argv = [sys.executable, "-c", PROGRAM, str(place), "250", ""]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline()
            select.select([], [], [], moments.uniform(0, 0.5))
            process.send_signal(signal.SIGKILL)
        with Ledger(place / "ledger") as ledger:
            assert cleanup(ledger).kept == ()
            assert ledger.entries() == ()
        assert daemons(place) == set()
        assert not (place / "ovs").exists()
        assert not (place / "netns").exists() or list((place / "netns").iterdir()) == []


@pytest.mark.parametrize("killed", [None, "ovs-vswitchd", "ovsdb-server"])
def test_a_fabric_finds_switch_and_instances_again(place, answers, killed):
    killed_after(place, 6, limit=4)
    was = daemons(place)
    assert len(was) == 2
    with Ledger(place / "ledger") as ledger:
        if killed is not None:
            (entry,) = [entry for entry in ledger.entries("process") if entry.name == killed]
            os.kill(entry.attributes["pid"], signal.SIGKILL)
        options = {"directory": place / "netns", "namespace": "fabric", "switch_directory": place / "ovs"}
        with SwitchFabric(ledger, deadline_s=DEADLINE_S, **options) as fabric:
            assert len(was & set(fabric.service.pids().values())) == (2 if killed is None else 1)
            assert set(fabric.instances()) == {"i1", "i2", "i3", "i4"}
            hosts = [OVSRealizer(f"h{n}", fabric) for n in range(2)]
            assert all(answers(hosts[1].namespace("i1"), f"10.0.0.{n}") for n in (2, 3, 4))
            hosts[0].unplug("i2")
            assert set(fabric.instances()) == {"i1", "i3", "i4"}
        assert ledger.entries() == ()
    assert daemons(place) == set()
    assert list((place / "netns").iterdir()) == []
