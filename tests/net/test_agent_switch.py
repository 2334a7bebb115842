"""The agent over the ovs realizer: bursts, faults at every step seen by the client, and kills at random moments."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest

from nova_fakes.agent.audit import Audit
from nova_fakes.agent.hosts import Hosts
from nova_fakes.agent.server import Server, listen
from nova_fakes.agent.service import Service
from nova_fakes.exceptions import RealizerError
from nova_fakes.virt.vif import namespaces, netlink, registry
from nova_fakes.virt.vif.cleanup import cleanup
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.switch import PORT_MARK, Switch

pytestmark = pytest.mark.privileged

DEADLINE_S = 60.0


@pytest.fixture
def make_port(make_vif):
    def make(number, *, hybrid=False):
        return make_vif(number, type="ovs", details={"ovs_hybrid_plug": hybrid})

    return make


class SwitchAgent:
    """An agent process with an Open vSwitch of its own."""

    def __init__(self, directory):
        self.directory, self.netns, self.socket = directory, directory / "netns", directory / "s"
        self.process = None

    def start(self):
        argv = [sys.executable, "-m", "nova_fakes", "agent", "--realizer", "ovs", "--socket", self.socket]
        argv += ["--state", self.directory, "--netns", self.netns, "--fabric", "fabric"]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert "ready" in self.process.stdout.readline()

    def kill(self):
        self.process.kill()
        self.process.stdout.close()
        self.process.wait(DEADLINE_S)

    def realizer(self):
        return registry.load("remote", host="h1", socket=self.socket, deadline_s=DEADLINE_S)

    def switch(self):
        return Switch(self.directory / "ovs" / "db.sock", deadline_s=DEADLINE_S)

    def ours(self):
        """The interfaces that the switch's database has for instances."""
        return {name for name, row in self.switch().ports().items() if PORT_MARK in row.external_ids}

    def daemon(self, name):
        with_name = [e for e in Ledger.read(self.directory / "ledger") if (e.kind, e.name) == ("process", name)]
        return [entry.attributes["pid"] for entry in with_name if "pid" in entry.attributes]


@pytest.fixture
def agent(place):
    agent = SwitchAgent(place)
    agent.start()
    yield agent
    if agent.process.poll() is None:
        agent.kill()
    with Ledger(place / "ledger") as ledger:
        assert cleanup(ledger).kept == ()
        assert ledger.entries() == ()
    assert list(agent.netns.iterdir()) == []
    assert not (place / "ovs").exists()


def together(calls):
    failures = []

    def make(call):
        try:
            call()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=make, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_burst_of_clients_gets_ports_of_the_switch(agent, make_port, answers):
    host = agent.realizer()
    instances = {str(uuid.UUID(int=number)): make_port(number, hybrid=number % 4 == 0) for number in range(2, 26)}
    together([lambda i=i, v=v: host.plug(i, [v]) for i, v in instances.items()])
    assert len(agent.ours()) == len(instances)
    first, *others = instances
    assert all(answers(host.namespace(first), instances[i].subnets[0].addresses[0]) for i in others)
    together([lambda i=i: host.unplug(i) for i in instances])
    assert agent.ours() == set()
    assert {path.name for path in agent.netns.iterdir()} == {"fabric"}
    host.close()


class Here:
    """An agent in this process: its fabric can be told to fail, its clients see what clients see."""

    def __init__(self, place, name):
        self.ledger = Ledger(place / "ledger")
        self.hosts = Hosts(name, self.ledger, directory=place / "netns", namespace="fabric")
        self.service = Service(self.hosts, Audit(None))
        self.server = Server(listen(place / "s"), self.service, {os.geteuid()})
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        self.fabric = self.hosts.fabric
        self.realizer = registry.load("remote", host="h1", socket=place / "s", deadline_s=DEADLINE_S)

    def close(self):
        self.realizer.close()
        self.server.stop()
        self.thread.join()
        self.server.drain(DEADLINE_S)
        self.service.close()
        cleanup(self.ledger)
        assert self.ledger.entries() == ()
        self.ledger.close()

    def everything(self):
        """What the kernel, the switch and the ledger have."""

        def links():
            with netlink.Socket() as sock:
                return {(link.name, link.master, link.up) for link in sock.links()}

        service = getattr(self.fabric, "service", None)
        ports = {} if service is None else Switch(service.socket).ports()
        entries = {(entry.kind, entry.name) for entry in self.ledger.entries()}
        names = sorted(path.name for path in self.fabric.directory.iterdir())
        return namespaces.in_namespace(self.fabric.path, links), set(ports), entries, names


def refused(call):
    """Return the error of a call, None where it has none."""
    try:
        call()
    except RealizerError as error:
        return error
    return None


@pytest.mark.parametrize("name", ["bridge", "ovs", "hybrid"])
@pytest.mark.parametrize("new", [True, False], ids=["boot", "attach"])
def test_every_failed_step_is_told_to_the_client_and_leaves_nothing(place, make_port, uuids, answers, name, new):
    agent = Here(place, "bridge" if name == "bridge" else "ovs")
    try:
        vifs = [make_port(number, hybrid=name == "hybrid") for number in (5, 6)]
        agent.realizer.plug(uuids[1], [make_port(7)])
        if not new:
            agent.realizer.plug(uuids[0], [make_port(8)])
        before = agent.everything()
        steps = 0
        while True:
            seen = []

            def fail(operation, seen=seen, last=steps):
                seen.append(type(operation).__name__)
                if len(seen) > last:
                    raise RealizerError(f"injected at step {last}")

            agent.fabric.before = fail
            failure = refused(lambda: agent.realizer.plug(uuids[0], vifs))
            if failure is None:
                break
            assert f"injected at step {steps}" in str(failure)
            assert failure.operation == seen[-1]
            assert agent.everything() == before
            steps += 1
        agent.fabric.before = None
        assert steps >= {"bridge": 3, "ovs": 5, "hybrid": 6}[name]
        assert answers(agent.realizer.namespace(uuids[1]), vifs[1].subnets[0].addresses[0])
    finally:
        agent.close()


def kill_at_random(agent, make_port, answers, rounds, seed):
    """Kill the agent, the switch's daemons or all of them in the middle of a client's work, and see that it goes on."""
    chance = random.Random(seed)
    instances = {str(uuid.UUID(int=number)): make_port(number, hybrid=number % 3 == 0) for number in range(2, 8)}
    stop, failures = threading.Event(), []

    def work():
        host = agent.realizer()
        try:
            while not stop.is_set():
                name = chance.choice(list(instances))
                if chance.random() < 0.6:
                    host.plug(name, [instances[name]])
                else:
                    host.unplug(name)
        except Exception as error:
            failures.append(error)
        finally:
            host.close()

    for _ in range(rounds):
        stop.clear()
        thread = threading.Thread(target=work)
        thread.start()
        stop.wait(chance.random() * 0.2)
        victims = chance.choice(
            [["agent"], ["ovs-vswitchd"], ["ovsdb-server"], ["agent", "ovs-vswitchd", "ovsdb-server"]]
        )
        for victim in victims:
            for pid in agent.daemon(victim) if victim != "agent" else ():
                with contextlib.suppress(ProcessLookupError):  # it died in the last round, and is not struck off yet
                    os.kill(pid, signal.SIGKILL)
        if "agent" in victims:
            agent.kill()
            agent.start()
        stop.set()
        thread.join()
        assert failures == []
    host = agent.realizer()
    for name, vif in instances.items():
        host.plug(name, [vif])
    assert len(agent.ours()) == len(instances)
    first, *others = instances
    assert all(answers(host.namespace(first), instances[i].subnets[0].addresses[0]) for i in others)
    for name in instances:
        host.unplug(name)
    assert agent.ours() == set()
    assert {path.name for path in agent.netns.iterdir()} == {"fabric"}
    host.close()


def test_kills_of_agent_and_switch(agent, make_port, answers):
    kill_at_random(agent, make_port, answers, rounds=4, seed=7)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_kills_of_agent_and_switch(agent, make_port, answers):
    kill_at_random(agent, make_port, answers, rounds=100, seed=8)


def test_the_machines_switch_by_its_socket(place, make_port, uuids):
    """Without a fabric of its own the agent takes the switch that the option names, and makes no bridge there."""
    with Ledger() as ledger, pytest.raises(RealizerError, match="no database answers"):
        Hosts("ovs", ledger, directory=place / "netns", options={"socket": str(Path(place) / "nobody")})
