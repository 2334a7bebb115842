"""Live migration between two agents, whose fabrics are network namespaces that act as hosts, joined by a cable."""

import socket
import struct
from pathlib import Path

import pytest
from test_agent_realizer import BridgeAgent, make_agent
from test_leases import eventually

from nova_fakes.exceptions import AgentUnreachable, RealizerError
from nova_fakes.virt.vif import namespaces, ovs_service, registry
from nova_fakes.virt.vif.cleanup import cleanup
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.ping import ping

pytestmark = pytest.mark.privileged

__all__ = ["make_agent"]

DEADLINE_S = 20.0


def join(one, other):
    """Put a cable between the bridges of the one network that both agents have."""

    def bridge(agent):
        (name,) = [name for name in agent.devices() if name.startswith("nfb")]
        return name

    far = str(other.netns / "fabric")
    for where, *words in (
        (one, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", far),
        (one, "link", "set", "cable", "master", bridge(one), "up"),
        (other, "link", "set", "cable", "master", bridge(other), "up"),
    ):
        done = namespaces.run_in(where.netns / "fabric", ["ip", *words])
        assert done.returncode == 0, done.stderr


class Connection:
    """An established TCP connection between two instances."""

    def __init__(self, server, client, address):
        def listen():
            return socket.create_server((address, 7777))

        def connect():
            return socket.create_connection((address, 7777), timeout=DEADLINE_S)

        with namespaces.in_namespace(server, listen) as listening:
            self.near = namespaces.in_namespace(client, connect)
            self.far, _peer = listening.accept()
        self.far.settimeout(DEADLINE_S)

    def carries(self, words):
        self.near.sendall(words)
        got = self.far.recv(len(words))
        self.far.sendall(got[::-1])
        return self.near.recv(len(words)) == words[::-1]

    def close(self):
        self.near.close()
        self.far.close()


def arp_socket(namespace):
    def make():
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
        sock.bind(("eth0", 0x0806))
        sock.setblocking(False)
        return sock

    return namespaces.in_namespace(namespace, make)


def gratuitous(sock, address):
    """Whether somebody has told everybody that he has an address."""
    while True:
        try:
            frame = sock.recv(64)
        except BlockingIOError:
            return False
        sender, target = frame[28:32], frame[38:42]
        if sender == target == socket.inet_aton(address) and frame[:6] == b"\xff" * 6:
            assert struct.unpack("!H", frame[12:14]) == (0x0806,)
            return True


@pytest.fixture
def port(make_vif):
    """The instance 0's port, which has to be one and the same through a test."""
    return make_vif(5)


@pytest.fixture
def migrating(make_agent, make_vif, port, uuids, answers):
    """Two joined agents' realizers: the instance 0 (10.0.0.5) and a companion on the first, a witness on the second."""
    agents = [make_agent("one"), make_agent("two")]
    one, other = (agent.realizer(f"h{number}") for number, agent in enumerate(agents))
    one.plug(uuids[0], [port])
    one.plug(uuids[1], [make_vif(6)])
    other.plug(uuids[2], [make_vif(7)])
    join(*agents)
    assert answers(other.namespace(uuids[2]), "10.0.0.5")
    return one, other


def test_a_connection_survives_and_the_move_is_announced(migrating, port, uuids, answers):
    one, other = migrating
    witness = other.namespace(uuids[2])
    inode = namespaces.inode(one.namespace(uuids[0]))
    connection = Connection(one.namespace(uuids[0]), witness, "10.0.0.5")
    assert connection.carries(b"before")
    with arp_socket(witness) as ears:
        other.prepare_migration(uuids[0], [port])
        other.migrate(uuids[0], [port], one)
        eventually(lambda: gratuitous(ears, "10.0.0.5"))
    assert one.namespace(uuids[0]) is None
    assert namespaces.inode(other.namespace(uuids[0])) == inode
    assert connection.carries(b"after")
    assert answers(one.namespace(uuids[1]), "10.0.0.5"), "from the host that it left"
    one.migrate(uuids[0], [port], other)
    assert connection.carries(b"and back")
    connection.close()
    assert (other.namespace(uuids[0]), namespaces.inode(one.namespace(uuids[0]))) == (None, inode)


def test_what_fails_leaves_it_where_it_was(migrating, port, uuids, answers):
    one, other = migrating
    fabric = Path(other.namespace(uuids[2])).parent / "fabric"
    connection = Connection(one.namespace(uuids[0]), one.namespace(uuids[1]), "10.0.0.5")
    inode = namespaces.inode(one.namespace(uuids[0]))
    namespaces.run_in(fabric, ["ip", "link", "add", port.devname, "type", "bridge"])
    with pytest.raises(RealizerError, match=port.devname) as caught:
        other.migrate(uuids[0], [port], one)
    assert caught.value.operation == "MakeLinks"
    assert (other.namespace(uuids[0]), namespaces.inode(one.namespace(uuids[0]))) == (None, inode)
    assert answers(one.namespace(uuids[1]), "10.0.0.5")
    assert connection.carries(b"still")
    connection.close()


def test_from_an_agent_that_is_not_to_be_found_it_is_made_anew(migrating, port, uuids, tmp_path, answers):
    """As from another machine: its namespace cannot come."""
    one, other = migrating
    gone = registry.load("remote", host="h9", socket=tmp_path / "none", deadline_s=2.0)
    with pytest.raises(AgentUnreachable, match="unplug"):
        other.migrate(uuids[5], [port], gone)
    assert answers(one.namespace(uuids[1]), "10.0.0.5")
    assert other.namespace(uuids[5]) is not None, "it is here, and nobody could tell the other"


def test_between_two_switches_with_the_hybrid_plug(tmp_path, make_vif, uuids):
    """The agents have an Open vSwitch each, in their own namespaces."""
    lack = ovs_service.missing()
    if lack is not None:
        pytest.skip(f"no Open vSwitch here: {lack[0]} ({lack[1]})")
    agents = []
    try:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            agents.append(BridgeAgent(tmp_path / name, "--realizer", "ovs"))
            agents[-1].start()
        one, other = (agent.realizer(f"h{number}") for number, agent in enumerate(agents))
        port = make_vif(5, type="ovs", details={"ovs_hybrid_plug": True})
        other.plug(uuids[1], [make_vif(6, type="ovs")])
        one.plug(uuids[0], [port])
        inode = namespaces.inode(one.namespace(uuids[0]))
        other.migrate(uuids[0], [port], one)
        assert namespaces.inode(other.namespace(uuids[0])) == inode
        assert f"qvo{port.id[:11]}" in agents[1].devices()
        eventually(lambda: f"qvo{port.id[:11]}" not in agents[0].devices())
        eventually(lambda: ping(other.namespace(uuids[1]), "10.0.0.5", timeout_s=0.2).received)
    finally:
        for agent in agents:
            agent.finish()
            with Ledger(agent.directory / "ledger") as ledger:
                assert cleanup(ledger).kept == ()


def test_a_namespace_that_is_none_is_not_taken_in(hosts, make_vif, uuids, tmp_path):
    with pytest.raises(RealizerError, match="no network namespace"):
        hosts[0].take(uuids[0], [make_vif(5)], str(tmp_path / "none"))
    with pytest.raises(RealizerError):
        hosts[0].take(uuids[0], [make_vif(5)], "/proc/self/ns/mnt")
    assert hosts[0].namespace(uuids[0]) is None
