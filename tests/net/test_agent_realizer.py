"""The agent over the bridge realizer: the agent one process, the driver's realizer another, real interfaces between."""

import random
import signal
import subprocess
import sys
import threading
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from dhcp_server import Server, eventually, known

from nova_fakes.agent import protocol
from nova_fakes.agent.client import Client
from nova_fakes.exceptions import AgentUnreachable, InvalidInput, KernelRefused, NovaFakesError, RealizerError
from nova_fakes.virt.guest import GuestSpec
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.nic import read_nics
from nova_fakes.virt.vif import namespaces, netlink, registry, rtnetlink
from nova_fakes.virt.vif.cleanup import cleanup
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.ping import Pinger, mesh, ping

pytestmark = pytest.mark.privileged

DEADLINE_S = 60.0
UNIT = Path(__file__).resolve().parents[2] / "deploy" / "systemd" / "nova-fakes-agent.service"


class BridgeAgent:
    """An agent process, with the hosts' side in a namespace of its own."""

    def __init__(self, directory, *options):
        self.directory = directory
        self.socket, self.netns = directory / "s", directory / "netns"
        self.argv = [sys.executable, "-m", "nova_fakes", "agent", "--socket", self.socket, "--state", directory]
        self.argv += ["--netns", self.netns, "--fabric", "fabric", "--audit", directory / "audit", *options]
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.argv, stdout=subprocess.PIPE, text=True)
        assert "ready" in self.process.stdout.readline()

    def finish(self, number=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
        self.process.stdout.close()
        return self.process.wait(DEADLINE_S)

    def realizer(self, host="h1"):
        return registry.load("remote", host=host, socket=self.socket, deadline_s=DEADLINE_S)

    def devices(self):
        def names():
            with netlink.Socket() as sock:
                return {link.name for link in sock.links()}

        return namespaces.in_namespace(self.netns / "fabric", names)


@pytest.fixture
def make_agent(tmp_path):
    """Start agents; at the end they are ended, and what they made is removed by their ledgers."""
    agents = []

    def make(name="agent", *options):
        (tmp_path / name).mkdir()
        agents.append(BridgeAgent(tmp_path / name, *options))
        agents[-1].start()
        return agents[-1]

    yield make
    for agent in agents:
        agent.finish()
        clean(agent)


def clean(agent):
    with Ledger(agent.directory / "ledger") as ledger:
        assert cleanup(ledger).kept == ()
        assert ledger.entries() == ()
    assert list(agent.netns.iterdir()) == []


@pytest.fixture
def agent(make_agent):
    return make_agent()


def test_instances_answer_each_other_on_two_hosts(agent, make_vif, uuids):
    hosts = [agent.realizer("h1"), agent.realizer("h2")]
    members = {}
    for number, uuid_ in enumerate(uuids, start=10):
        host, vif = hosts[number % 2], make_vif(number)
        host.plug(uuid_, [vif])
        members[uuid_] = (host.namespace(uuid_), [a for subnet in vif.subnets for a in subnet.addresses])
    assert [pair for pair, result in mesh(members, rounds=5).items() if not result.received] == []
    assert hosts[0].namespace(uuids[1]) is None
    (counters,) = hosts[0].counters(uuids[0]).values()
    assert counters.rx_packets > 0


def test_health_and_metrics_count_the_instances(agent, make_vif, uuids):
    host, client = agent.realizer(), Client(agent.socket, deadline_s=DEADLINE_S)
    host.plug(uuids[0], [make_vif(5)])
    host.plug(uuids[1], [make_vif(6)])
    host.unplug(uuids[0])
    assert client.call(protocol.Health()).instances == 1
    assert "nova_fakes_agent_instances 1" in client.metrics().splitlines()


def test_the_units_capabilities_suffice(tmp_path, make_vif, uuids, answers):
    """The bounding set of the systemd unit, on an agent that does what there is to do."""
    (line,) = (line for line in UNIT.read_text().splitlines() if line.startswith("CapabilityBoundingSet="))
    wanted = ",".join("+" + name.removeprefix("CAP_").lower() for name in line.partition("=")[2].split())
    agent = BridgeAgent(tmp_path)
    agent.argv = ["setpriv", "--bounding-set", f"-all,{wanted}", "--no-new-privs", *agent.argv]
    agent.start()
    try:
        limits = dict(line.split(":\t") for line in Path(f"/proc/{agent.process.pid}/status").read_text().splitlines())
        assert int(limits["CapEff"], 16).bit_count() == len(line.split())
        host = agent.realizer()
        vif = make_vif(5)
        asking = replace(make_vif(6), addressing="dhcp")
        six = replace(asking.subnets[1], ipv6_mode="dhcpv6-stateful")
        host.plug(uuids[0], [vif, replace(asking, subnets=(asking.subnets[0], six))])
        host.plug(uuids[1], [make_vif(7)])
        assert answers(host.namespace(uuids[1]), "10.0.0.5")
        host.plug(uuids[0], [replace(vif, mtu=1400)])
        host.set_link(uuids[0], False)
        assert set(host.counters(uuids[1]))
        agent.finish(signal.SIGKILL)
        agent.start()
        host.unplug(uuids[0])
        host.unplug(uuids[1])
        host.close()
    finally:
        agent.finish()
        clean(agent)


def test_attach_detach_link_and_plug_again(agent, make_vif, uuids, answers):
    host, one, two = agent.realizer(), make_vif(5), make_vif(6, network=1)
    host.plug(uuids[0], [one])
    before = agent.devices(), namespaces.inode(host.namespace(uuids[0]))
    host.plug(uuids[0], [one])
    assert before == (agent.devices(), namespaces.inode(host.namespace(uuids[0])))
    host.plug(uuids[1], [make_vif(7), make_vif(8, network=1)])
    host.plug(uuids[0], [one, two])
    outside = host.namespace(uuids[1])
    assert answers(outside, "10.1.0.6")
    host.set_link(uuids[0], False)
    assert ping(outside, "10.1.0.6", timeout_s=0.3).received == 0
    host.set_link(uuids[0], True)
    assert answers(outside, "10.1.0.6")
    host.unplug(uuids[0], [two])
    assert two.devname not in agent.devices()
    host.unplug(uuids[0], [two])
    host.unplug(uuids[0])
    host.unplug(uuids[0])
    assert host.namespace(uuids[0]) is None
    assert host.counters(uuids[0]) == {}


def test_live_migration_within_one_agent_keeps_the_namespace(agent, make_vif, uuids, answers):
    one, two, vif = agent.realizer("h1"), agent.realizer("h2"), make_vif(5)
    one.plug(uuids[0], [vif])
    one.plug(uuids[1], [make_vif(6)])
    path, watcher = one.namespace(uuids[0]), one.namespace(uuids[1])
    inode = namespaces.inode(path)
    assert answers(watcher, "10.0.0.5")
    with Pinger(watcher, "10.0.0.5", interval_s=0.01) as pinger:
        assert pinger.wait_for_reply(10)
        two.prepare_migration(uuids[0], [vif])
        two.abort_migration(uuids[0], [vif])
        two.prepare_migration(uuids[0], [vif])
        two.migrate(uuids[0], [vif], one)
        one.unplug(uuids[0])
        result = pinger.stop()
    assert result.lost <= 1
    assert (one.namespace(uuids[0]), two.namespace(uuids[0]), namespaces.inode(path)) == (None, path, inode)
    assert answers(watcher, "10.0.0.5")


def test_migration_between_two_agents(make_agent, make_vif, uuids, answers):
    """Two agents are two machines here: the instance is made anew on the one and removed from the other."""
    source, destination = make_agent("source").realizer("h1"), make_agent("destination").realizer("h2")
    vif = make_vif(5)
    source.plug(uuids[0], [vif])
    source.plug(uuids[1], [make_vif(6)])
    destination.plug(uuids[2], [make_vif(7)])
    assert answers(source.namespace(uuids[1]), "10.0.0.5")
    destination.prepare_migration(uuids[0], [vif])
    destination.migrate(uuids[0], [vif], source)
    assert answers(destination.namespace(uuids[2]), "10.0.0.5")
    assert source.namespace(uuids[0]) is None
    assert ping(source.namespace(uuids[1]), "10.0.0.5", timeout_s=0.3).received == 0


def test_an_instance_that_moves_to_another_agent_keeps_its_lease(make_agent, make_vif, uuids, tmp_path):
    """The source removes it after the destination has it: were the lease given back, others could get the address."""
    source, destination = make_agent("source").realizer("h1"), make_agent("destination").realizer("h2")
    given = make_vif(2, gateway=False)
    source.plug(uuids[0], [replace(given, subnets=given.subnets[:1])])
    server = Server(tmp_path / "dnsmasq", source.namespace(uuids[0]), known(5), known(6))
    try:
        moving, staying = (replace(make_vif(number), addressing="dhcp") for number in (5, 6))
        source.plug(uuids[1], [moving])
        source.plug(uuids[2], [staying])
        shown = ["ip", "-4", "addr", "show", "eth0"]
        for uuid, address in zip(uuids[1:], ("10.0.0.5/24", "10.0.0.6/24"), strict=False):
            eventually(lambda u=uuid, a=address: a in namespaces.run_in(source.namespace(u), shown).stdout)
        destination.migrate(uuids[1], [moving], source)
        assert source.namespace(uuids[1]) is None
        source.unplug(uuids[2])
        eventually(lambda: "DHCPRELEASE(eth0) 10.0.0.6" in server.said())
        assert "DHCPRELEASE(eth0) 10.0.0.5" not in server.said()
        eventually(lambda: "10.0.0.5" in server.database.read_text().split())
    finally:
        server.stop()


def test_errors_name_the_operation_and_leave_nothing(agent, make_vif, uuids):
    host, vif = agent.realizer(), make_vif(5)
    host.plug(uuids[0], [vif])
    before = agent.devices()
    with pytest.raises(InvalidInput, match="has this MAC"):
        host.plug(uuids[1], [make_vif(5)])
    Path(f"{agent.netns}/fake-{uuids[1]}").touch()
    with pytest.raises(RealizerError, match="is not ours") as caught:
        host.plug(uuids[1], [make_vif(6)])
    assert caught.value.operation == "MakeNamespace"
    Path(f"{agent.netns}/fake-{uuids[1]}").unlink()
    mine = make_vif(7)

    def taken():
        with netlink.Socket() as sock:
            sock.send([rtnetlink.BRIDGE.fill(devname=mine.devname.encode(), mac=b"\x02abcde", mtu=1500, flags=0)])

    namespaces.in_namespace(agent.netns / "fabric", taken)
    with pytest.raises(RealizerError, match=mine.devname) as caught:
        host.plug(uuids[1], [mine])
    assert caught.value.operation == "MakeLinks"
    assert agent.devices() == before | {mine.devname}
    assert not isinstance(caught.value, KernelRefused)


def test_a_burst_of_clients_gets_what_each_asked_for(agent, make_vif, answers):
    failures, vifs = [], {str(uuid.uuid4()): make_vif(number) for number in range(2, 42)}

    def client(part):
        host = agent.realizer()
        try:
            for uuid_ in part:
                host.plug(uuid_, [vifs[uuid_]])
        except Exception as error:
            failures.append(error)
        finally:
            host.close()

    everyone = list(vifs)
    threads = [threading.Thread(target=client, args=(everyone[number::8],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    host = agent.realizer()
    assert all(answers(host.namespace(everyone[0]), vifs[uuid_].subnets[0].addresses[0]) for uuid_ in everyone[1:])


def test_a_guest_boots_through_the_agent(agent, make_vif, uuids, answers):
    vif = make_vif(5)
    agent.realizer().plug(uuids[1], [make_vif(6)])
    host = Hypervisor("h1", realizer=agent.realizer())
    boot(host, uuids[0], vif)
    assert answers(agent.realizer().namespace(uuids[1]), "10.0.0.5")
    host.destroy(uuids[0])
    assert agent.realizer().namespace(uuids[0]) is None


def test_without_an_agent_no_guest_boots(tmp_path, make_vif, uuids):
    dead = registry.load("remote", host="h1", socket=tmp_path / "none", deadline_s=2.0)
    host = Hypervisor("h1", realizer=dead)
    with pytest.raises(AgentUnreachable, match="nova-fakes agent"):
        boot(host, uuids[0], make_vif(5))
    assert host.guests == {}


def boot(host, uuid_, vif):
    spec = GuestSpec(uuid_, "web", vcpus=1, memory_mb=64, root_gb=1)
    host.read_vif = lambda description: vif
    host.spawn(spec, read_nics([{"id": vif.id, "address": vif.address}]))


def test_a_second_agent_on_the_ledger_is_refused(agent):
    argv = [str(part) for part in agent.argv]
    argv[argv.index(str(agent.socket))] = str(agent.directory / "other")
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert (done.returncode, "is open in another process" in done.stderr) == (5, True)
    assert agent.realizer().namespace(str(uuid.uuid4())) is None


def test_what_was_made_stays_and_is_found_again(agent, make_vif, uuids, answers):
    host, vif = agent.realizer(), make_vif(5)
    host.plug(uuids[0], [vif])
    host.plug(uuids[1], [make_vif(6)])
    path = host.namespace(uuids[0])
    inode = namespaces.inode(path)
    for how in (signal.SIGTERM, signal.SIGKILL):
        agent.finish(how)
        assert answers(path, "10.0.0.6")
        agent.start()
        assert (host.namespace(uuids[0]), namespaces.inode(path)) == (path, inode)
        host.plug(uuids[0], [vif])  # what nova-compute asks for every instance when it starts
    host.unplug(uuids[0])
    assert host.namespace(uuids[1]) is not None


def test_its_log_replayed_on_another_machine_makes_the_same(make_agent, make_vif, uuids):
    agent, other = make_agent("here"), make_agent("there")
    host, vifs = agent.realizer(), [make_vif(number) for number in range(5, 9)]
    for uuid_, vif in zip(uuids, vifs, strict=False):
        host.plug(uuid_, [vif])
    host.unplug(uuids[0])
    argv = [sys.executable, "-m", "nova_fakes", "replay", agent.directory / "audit", "--socket", other.socket]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert (done.returncode, done.stdout) == (0, "5 changes made again, 0 with another outcome\n")
    again = other.realizer()
    assert [again.namespace(u) is not None for u in uuids[:4]] == [False, True, True, True]
    assert {vif.devname for vif in vifs[1:]} <= other.devices()


def test_the_cleanup_command_removes_what_an_ended_agent_left(agent, make_vif, uuids):
    agent.realizer().plug(uuids[0], [make_vif(5)])
    argv = [sys.executable, "-m", "nova_fakes", "cleanup", "--state", agent.directory]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == 5, "an agent that runs keeps what it has"
    agent.finish(signal.SIGKILL)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert (done.returncode, f"fake-{uuids[0]}" in done.stdout) == (0, True)
    assert list(agent.netns.iterdir()) == []


def rounds_of_kill_9(agent, make_vif, answers, rounds, seed):
    """Kill the agent at random moments of a client's work; each time the next one knows what there is."""
    chance = random.Random(seed)
    instances = {str(uuid.UUID(int=number)): make_vif(number) for number in range(2, 8)}
    plugged: dict[str, bool | None] = dict.fromkeys(instances, False)
    stop = threading.Event()

    def work():
        client = Client(agent.socket, deadline_s=DEADLINE_S)
        try:
            while not stop.is_set():
                name = chance.choice(list(instances))
                plugged[name] = None
                try:
                    if chance.random() < 0.6:
                        client.call(protocol.Plug("h1", name, (instances[name],), True))
                        plugged[name] = True
                    else:
                        client.call(protocol.Unplug("h1", name, None, False))
                        plugged[name] = False
                except NovaFakesError as error:
                    failures.append(error)
                    return
        finally:
            client.close()

    failures: list[Exception] = []
    for _ in range(rounds):
        stop.clear()
        thread = threading.Thread(target=work)
        thread.start()
        threading.Event().wait(chance.random() * 0.05)
        agent.finish(signal.SIGKILL)
        agent.start()  # the client goes on with this one, and asks again for what it got no answer to
        stop.set()
        thread.join()
        assert failures == []
        host = agent.realizer()
        found = {name: host.namespace(name) is not None for name in instances}
        assert found == plugged
        host.close()
    host = agent.realizer()
    for name, vif in instances.items():
        host.plug(name, [vif])
    first, *others = instances
    assert all(answers(host.namespace(first), instances[name].subnets[0].addresses[0]) for name in others)
    for name in instances:
        host.unplug(name)
    assert {name.name for name in agent.netns.iterdir()} == {"fabric"}
    host.close()


def test_kill_9_at_random_moments(agent, make_vif, answers):
    rounds_of_kill_9(agent, make_vif, answers, rounds=6, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_kill_9_at_a_hundred_random_moments(agent, make_vif, answers):
    rounds_of_kill_9(agent, make_vif, answers, rounds=100, seed=2)
