"""The fixtures of namespaces, realizers and agents: two at once, and nothing left of them."""

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import fixtures
import pytest
import testtools

from nova_fakes.agent import protocol
from nova_fakes.exceptions import RealizerError
from nova_fakes.fixtures import AgentFixture, NamespaceFixture, RealizerFixture
from nova_fakes.virt.vif import namespaces
from nova_fakes.virt.vif.base import VIF
from nova_fakes.virt.vif.ping import ping

pytestmark = pytest.mark.privileged

GONE_S = 60.0


def listed(path):
    return {f"{path}/{name}" for name in os.listdir(path)} if Path(path).is_dir() else set()


def children():
    return {
        f"process {one}"
        for task in Path("/proc/self/task").iterdir()
        for one in (task / "children").read_text().split()
    }


def everything():
    """What is there that a fixture may make: namespaces, devices, files, processes, threads, open files."""
    links = {f"device {name}" for _, name in socket.if_nameindex()}
    threads = {f"thread {thread.name}" for thread in threading.enumerate()}
    files = {f"{os.readlink(one)}" for one in Path("/proc/self/fd").iterdir() if os.path.islink(one)}
    return {
        *listed(namespaces.RUN_NETNS),
        *listed(tempfile.gettempdir()),
        *links,
        *children(),
        *threads,
        *files,
        f"network {os.stat('/proc/thread-self/ns/net').st_ino}",
    }


def assert_nothing_left(before):
    """Wait until there is no more than there was: the kernel removes devices in its own time."""
    deadline = time.monotonic() + GONE_S
    while (left := everything() - before) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == set()


@pytest.fixture
def before():
    """What is there, after one of a kind has been made for what is made once in a process."""
    with NamespaceFixture():
        pass
    return everything()


def test_nothing_is_left_of_agents(before):
    with AgentFixture() as one, AgentFixture("null") as other:
        assert one.client.call(protocol.Describe("a")).name == "bridge"
        assert other.client.call(protocol.Describe("a")).name == "null"
    assert_nothing_left(before)


@pytest.mark.parametrize("name", ["null", "bridge", "ovs"])
def test_nothing_is_left_of_realizers(name, request, before, make_vif, uuids):
    if name == "ovs":
        request.getfixturevalue("place")  # it skips where there is no Open vSwitch
        before = everything()
    with RealizerFixture(name) as one, RealizerFixture(name) as other:
        for fixture in (one, other):
            vifs = [make_vif(5), make_vif(6)]
            for realizer, uuid in zip(fixture.realizers.values(), uuids, strict=False):
                realizer.plug(uuid, [vifs.pop()])
        assert everything() - before
    assert_nothing_left(before)


def test_two_namespaces(before):
    with NamespaceFixture() as one, NamespaceFixture() as other:
        assert one.name != other.name
        assert "UP" in one.run("ip", "link", "show", "lo").stdout
        one.run("ip", "link", "add", "end0", "type", "veth", "peer", "name", "end1")
        assert "end0" in one.run("ip", "link").stdout
        assert "end0" not in other.run("ip", "link").stdout
        assert "end0" not in {name for _, name in socket.if_nameindex()}
        with pytest.raises(subprocess.CalledProcessError):
            one.run("ip", "link", "show", "nothing")
    assert_nothing_left(before)


def test_a_name_that_is_taken_is_refused_and_its_owner_keeps_it(before):
    with NamespaceFixture("nova-fakes-mine") as owner:
        with pytest.raises(fixtures.MultipleExceptions) as raised:
            NamespaceFixture("nova-fakes-mine").setUp()
        assert raised.value.args[0][0] is RealizerError
        assert "lo" in owner.run("ip", "link").stdout
    assert_nothing_left(before)


def test_two_fabrics_with_the_same_instances(before, make_vif, uuids, answers):
    first, second = make_vif(5), make_vif(6)
    with RealizerFixture("bridge", 2) as one, RealizerFixture("bridge", ("compute-1",)) as other:
        own, neighbour = one.realizers["compute-1"], one.realizers["compute-2"]
        own.plug(uuids[0], [first])
        neighbour.plug(uuids[1], [second])
        assert answers(own.namespace(uuids[0]), "10.0.0.6")
        other.realizers["compute-1"].plug(uuids[0], [first])
        assert not ping(other.realizers["compute-1"].namespace(uuids[0]), "10.0.0.6", timeout_s=0.2).received
    assert_nothing_left(before)


def test_two_agents_with_the_same_instances(before, make_vif, uuids):
    with AgentFixture() as one, AgentFixture() as other:
        for agent in (one, other):
            agent.client.call(protocol.Plug("compute-1", uuids[0], (make_vif(5),), up=True))
        other.client.call(protocol.Plug("compute-2", uuids[1], (make_vif(6),), up=True))
        places = [agent.client.call(protocol.Namespace("compute-1", uuids[0])) for agent in (one, other)]
        assert len({namespaces.inode(place) for place in places}) == 2
        assert not ping(places[0], "10.0.0.6", timeout_s=0.2).received
    assert_nothing_left(before)


def test_an_agent_that_was_killed_leaves_nothing_either(before, make_vif, uuids):
    with AgentFixture() as agent:
        agent.client.call(protocol.Plug("compute-1", uuids[0], (make_vif(5),), up=True))
        (pid,) = (int(one.split()[1]) for one in children() - before)
        os.kill(pid, 9)
    assert_nothing_left(before)


def test_an_agent_that_does_not_start_is_told_with_its_log(before):
    with pytest.raises(fixtures.MultipleExceptions) as raised:
        AgentFixture("bridge", "--option", "nonsense=1").setUp()
    kind, error, _ = raised.value.args[0]
    assert kind is RealizerError
    assert "nonsense" in str(error)
    assert_nothing_left(before)


class Failing(testtools.TestCase):
    __test__ = False  # for pytest, which is not to run it
    vif: VIF

    def test_it(self):
        self.useFixture(NamespaceFixture("nova-fakes-shown")).run("ip", "address", "add", "192.0.2.7/24", "dev", "lo")
        self.useFixture(RealizerFixture("bridge")).realizers["compute-1"].plug("an-instance", [self.vif])
        self.useFixture(AgentFixture("null"))
        self.fail("as it must")


def test_a_failure_shows_what_was_there(before, make_vif):
    Failing.vif = make_vif(5)
    result = testtools.TestResult()
    Failing("test_it").run(result)
    ((_, text),) = result.failures
    assert "inside of nova-fakes-shown" in text
    assert "192.0.2.7/24" in text
    assert "made by the realizers" in text
    assert "an-instance" in text
    assert "log of the agent" in text
    assert "serving on" in text
    assert_nothing_left(before)


PLUGIN_TEST = """
import pytest
from nova_fakes.agent import protocol

def test_namespace(nova_fakes_namespace, nova_fakes_make_namespace):
    assert nova_fakes_namespace.name != nova_fakes_make_namespace("nova-fakes-named").name
    nova_fakes_namespace.run("ip", "link", "show", "lo")

@pytest.mark.nova_fakes(hosts=("a", "b"))
def test_realizers(nova_fakes_realizers, nova_fakes_make_realizers):
    assert {one.name for one in nova_fakes_realizers.realizers.values()} == {"bridge"}
    assert nova_fakes_make_realizers(hosts=1).realizers.keys() == {"compute-1"}

@pytest.mark.nova_fakes(realizer="null")
def test_agent(nova_fakes_agent, nova_fakes_make_agent):
    assert nova_fakes_agent.client.call(protocol.Describe("a")).name == "null"
    assert nova_fakes_make_agent().client.call(protocol.Describe("a")).name == "bridge"

def test_failing(nova_fakes_namespace):
    nova_fakes_namespace.run("ip", "address", "add", "192.0.2.7/24", "dev", "lo")
    assert False
"""


def test_the_plugin(before, tmp_path):
    (tmp_path / "test_it.py").write_text(PLUGIN_TEST)
    options = ["-q", "-p", "no:cacheprovider", "-p", "nova_fakes.fixtures.pytest_plugin", "-c", "/dev/null"]
    command = [sys.executable, "-m", "pytest", *options, f"--rootdir={tmp_path}", str(tmp_path)]
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, env=alone, capture_output=True, text=True, timeout=240, check=False)
    assert "1 failed, 3 passed" in done.stdout, done.stdout
    assert "192.0.2.7/24" in done.stdout
    assert_nothing_left(before)


KILLED = """
import os, signal
from nova_fakes.agent import protocol
from nova_fakes.fixtures import AgentFixture, NamespaceFixture, RealizerFixture
from nova_fakes.virt.vif.base import VIF
subnet = {"cidr": "10.0.0.0/24", "gateway": None, "ips": [{"address": "10.0.0.5"}]}
network = {"id": "network", "meta": {"mtu": 1450}, "subnets": [subnet]}
vif = VIF.from_network_info(
    {"id": "00000000-0000-4000-8000-000000000005", "address": "fa:16:3e:00:00:05", "type": "bridge", "network": network}
)
uuid = "00000000-0000-4000-8000-000000000001"
USE
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    "use",
    [
        "NamespaceFixture().setUp()",
        "made = RealizerFixture(); made.setUp(); made.realizers['compute-1'].plug(uuid, [vif])",
        "made = AgentFixture(); made.setUp(); made.client.call(protocol.Plug('compute-1', uuid, (vif,), up=True))",
    ],
    ids=["namespace", "realizer", "agent"],
)
@pytest.mark.parametrize("who", ["fixture", "command"])
def test_what_a_killed_test_left_goes_with_the_next_or_by_command(before, use, who):
    done = subprocess.run([sys.executable, "-c", KILLED.replace("USE", use)], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    assert everything() - before
    if who == "fixture":
        with NamespaceFixture():
            pass
    else:
        done = subprocess.run(
            [sys.executable, "-m", "nova_fakes", "cleanup"], capture_output=True, text=True, check=True
        )
        assert "removed fixtures " in done.stdout
    assert_nothing_left(before)
