"""After `kill -9`: the ledger finds everything again, or removes it, and spares what is not ours."""

import os
import random
import select
import signal
import subprocess
import sys

import pytest

from nova_fakes.exceptions import StateInUse
from nova_fakes.virt.vif import namespaces, netlink, rtnetlink
from nova_fakes.virt.vif.base import VIF
from nova_fakes.virt.vif.bridge import BridgeRealizer
from nova_fakes.virt.vif.cleanup import cleanup
from nova_fakes.virt.vif.departures import Departures
from nova_fakes.virt.vif.fabric import Fabric
from nova_fakes.virt.vif.ledger import Ledger

pytestmark = pytest.mark.privileged

# Plugs instances forever from a given namespace, and says after each that it is done.
PROGRAM = """
import sys, uuid
from nova_fakes.virt.vif.base import VIF
from nova_fakes.virt.vif.base import VIF
from nova_fakes.virt.vif.bridge import BridgeRealizer
from nova_fakes.virt.vif.fabric import Fabric
from nova_fakes.virt.vif.ledger import Ledger
state, own, limit = sys.argv[1], sys.argv[2] == "own", int(sys.argv[3])
fabric = Fabric(Ledger(state + "/ledger"), directory=state + "/netns", namespace="fabric" if own else None)
for n in range(1, limit + 1):
    network = {"id": "n", "subnets": [{"cidr": "10.0.0.0/16", "ips": [{"address": f"10.0.{n >> 8}.{n & 255}"}]}]}
    vif = {"id": str(uuid.UUID(int=n)), "address": "fa:16:3e:00:%02x:%02x" % (n >> 8, n & 255), "devname": f"tap{n}",
           "type": "bridge", "network": network}
    BridgeRealizer(f"h{n % 2}", fabric).plug(f"i{n}", [VIF.from_network_info(vif)])
    print(n, flush=True)
sys.stdin.read()
"""


def killed_after(state, lines, *, own="own", limit=10_000):
    """Run the program until it has printed that many lines, then kill it in the middle of what comes next."""
    argv = [sys.executable, "-c", PROGRAM, str(state), own, str(limit)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for _ in range(lines):
            assert process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def links():
    with netlink.Socket() as sock:
        return {link.name for link in sock.links()}


@pytest.mark.parametrize("lines", [0, 1, 2, 3, 5, 8, 13])
def test_cleanup_after_a_kill_at_any_moment(tmp_path, lines):
    killed_after(tmp_path, lines)
    with Ledger(tmp_path / "ledger") as ledger:
        done = cleanup(ledger)
        assert done.kept == ()
        assert ledger.entries() == ()
    assert not (tmp_path / "netns").exists() or list((tmp_path / "netns").iterdir()) == []


def test_cleanup_in_a_namespace_that_others_use(tmp_path):
    def run():
        namespaces.unshare_network()
        idle = links()
        killed_after(tmp_path, 6, own="shared")
        with netlink.Socket() as sock:  # a stranger, and a device of ours that changed hands
            for name in ("stranger", "tap1"):
                if name == "tap1":
                    sock.send([rtnetlink.DELETE_LINK.fill(devname=b"tap1")])
                sock.send([rtnetlink.BRIDGE.fill(devname=name.encode(), mac=b"\x02abcde", mtu=1500, flags=0)])
        with Ledger(tmp_path / "ledger") as ledger:
            done = cleanup(ledger)
            assert [(e.name, reason) for e, reason in done.kept] == [("tap1", "tap1 is another device by now")]
        return links() - idle

    assert namespaces.in_thread(run) == {"stranger", "tap1"}
    assert list((tmp_path / "netns").iterdir()) == []


def test_cleanup_spares_another_namespace_of_that_name(tmp_path, ledger):
    path = tmp_path / "fake-x"
    ledger.add("namespace", str(path), role="guest", inode=1)
    namespaces.in_thread(lambda: namespaces.make(path))
    try:
        assert [reason for _, reason in cleanup(ledger).kept] == [f"{path} is another namespace by now"]
        assert namespaces.inode(path) is not None
    finally:
        namespaces.remove(path)
    cleanup(ledger)


# Plugs and unplugs from several threads at once until it is killed.
BUSY_PROGRAM = """
import random, sys, threading, uuid
from nova_fakes.virt.vif.base import VIF
from nova_fakes.virt.vif.bridge import BridgeRealizer
from nova_fakes.virt.vif.fabric import Fabric
from nova_fakes.virt.vif.ledger import Ledger
state, seed = sys.argv[1], int(sys.argv[2])
fabric = Fabric(Ledger(state + "/ledger"), directory=state + "/netns")
host = BridgeRealizer("h", fabric)

def work(first):
    chance = random.Random(seed + first)
    while True:
        n = first + 4 * chance.randrange(8)
        if chance.random() < 0.6:
            network = {"id": f"n{n % 3}", "subnets": [{"cidr": "10.0.0.0/16", "ips": [{"address": f"10.0.0.{n + 1}"}]}]}
            vif = {"id": str(uuid.UUID(int=n + 1)), "address": "fa:16:3e:00:00:%02x" % n, "devname": f"tap{n}",
                   "type": "bridge", "network": network}
            host.plug(f"i{n}", [VIF.from_network_info(vif)])
        else:
            host.unplug(f"i{n}")

for first in range(4):
    threading.Thread(target=work, args=(first,)).start()
print("busy", flush=True)
"""


def kill_when_busy(state, chance):
    argv = [sys.executable, "-c", BUSY_PROGRAM, str(state), str(chance.randrange(1000))]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline()
        select.select([], [], [], chance.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)


def kill_at_random(state, rounds, seed):
    """Kill a driver that plugs and unplugs; the next finds everything again, or the ledger takes it away.

    Strangers' devices and namespaces, under names like ours, are there all the time and stay.
    """
    chance = random.Random(seed)
    strange = {"nfb0123456789", "tap99", "nft0123456789"}
    (state / "netns").mkdir()
    namespaces.unshare_network()
    idle = links()
    with netlink.Socket() as sock:
        for number, name in enumerate(sorted(strange)):
            mac = bytes([2, 0, 0, 0, 0, number])
            sock.send([rtnetlink.BRIDGE.fill(devname=name.encode(), mac=mac, mtu=1500, flags=0)])
    (state / "netns" / "fake-stranger").touch()
    for number in range(rounds):
        kill_when_busy(state, chance)
        with Ledger(state / "ledger") as ledger:
            if number % 2:
                assert cleanup(ledger).kept == ()
            else:
                with Fabric(ledger, directory=state / "netns") as fabric:
                    found = {path.name for path in (state / "netns").iterdir()} - {"fake-stranger"}
                    assert {f"fake-{name}" for name in fabric.instances()} == found
                    assert all(namespaces.inode(fabric.namespace(name)) for name in fabric.instances())
            assert ledger.entries() == ()
        assert {path.name for path in (state / "netns").iterdir()} == {"fake-stranger"}
        with Departures(links() - idle - strange) as departures:
            assert departures.wait(30)
        assert links() == idle | strange


def test_kills_at_random_moments(tmp_path):
    namespaces.in_thread(lambda: kill_at_random(tmp_path, rounds=4, seed=11))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_kills_at_random_moments(tmp_path):
    namespaces.in_thread(lambda: kill_at_random(tmp_path, rounds=100, seed=12))


def test_a_fabric_finds_its_instances_again(tmp_path, answers):
    killed_after(tmp_path, 4, limit=4)
    ledger = Ledger(tmp_path / "ledger")
    with ledger, Fabric(ledger, directory=tmp_path / "netns", namespace="fabric") as fabric:
        assert set(fabric.instances()) == {"i1", "i2", "i3", "i4"}
        hosts = [BridgeRealizer(f"h{n}", fabric) for n in range(2)]
        inodes = {i: namespaces.inode(fabric.namespace(i)) for i in fabric.instances()}
        assert answers(hosts[1].namespace("i1"), "10.0.0.2")
        entries = fabric.ledger.entries()
        network = {"id": "n", "subnets": [{"cidr": "10.0.0.0/16", "ips": [{"address": "10.0.0.1"}]}]}
        port = "00000000-0000-0000-0000-000000000001"
        vif = VIF.from_network_info(
            {"id": port, "address": "fa:16:3e:00:00:01", "devname": "tap1", "type": "bridge", "network": network}
        )
        hosts[1].plug("i1", [vif])
        assert fabric.ledger.entries() == entries
        assert {i: namespaces.inode(fabric.namespace(i)) for i in fabric.instances()} == inodes
        assert hosts[1].counters("i1")[vif.id].rx_packets > 0
        hosts[0].migrate("i1", [vif], hosts[1])
        assert answers(hosts[0].namespace("i2"), "10.0.0.1")
        hosts[0].unplug("i1")
        assert set(fabric.instances()) == {"i2", "i3", "i4"}
    assert list((tmp_path / "netns").iterdir()) == []


def test_kept_instances_outlive_their_fabric(tmp_path, make_vif, uuids):
    with Ledger(tmp_path / "ledger") as ledger:
        fabric = Fabric(ledger, directory=tmp_path / "netns", namespace="fabric")
        fabric.plug("h", uuids[0], [make_vif(5)])
        fabric.close(keep=True)
    ledger = Ledger(tmp_path / "ledger")
    with ledger, Fabric(ledger, directory=tmp_path / "netns", namespace="fabric") as fabric:
        assert fabric.instances() == (uuids[0],)
        assert fabric.host_of(uuids[0]) == "h"


@pytest.mark.parametrize("gone", ["bridge", "trunk", "uplink", "vif"])
def test_what_was_taken_away_meanwhile_is_made_again(tmp_path, make_vif, answers, gone):
    """Somebody deletes devices of ours while no fabric runs: the next one repairs what stands on them."""
    vifs = {n: make_vif(n) for n in (5, 6)}
    with Ledger(tmp_path / "ledger") as ledger:
        fabric = Fabric(ledger, directory=tmp_path / "netns", namespace="fabric")
        for number, vif in vifs.items():
            fabric.plug(f"h{number}", f"i{number}", [vif])
        assert answers(fabric.namespace("i5"), "10.0.0.6")
        fabric.close(keep=True)
        victim = next(entry.name for entry in ledger.entries("device") if entry.attributes["role"] == gone)

    def delete():
        with netlink.Socket() as sock:
            sock.send([rtnetlink.DELETE_LINK.fill(devname=rtnetlink.name(victim))])

    namespaces.in_namespace(tmp_path / "netns" / "fabric", delete)
    ledger = Ledger(tmp_path / "ledger")
    with ledger, Fabric(ledger, directory=tmp_path / "netns", namespace="fabric") as fabric:
        assert set(fabric.instances()) == {"i5", "i6"}
        if gone == "vif":  # what it was to carry is nova's to say, and nova plugs everything when it starts
            for number, vif in vifs.items():
                fabric.plug(f"h{number}", f"i{number}", [vif])
        assert answers(fabric.namespace("i5"), "10.0.0.6")
        assert {entry.name for entry in ledger.entries("device")} == namespaces.in_namespace(
            fabric.path, lambda: {name for name in links() if name[:3] in ("nfb", "nft", "nfu", "tap")}
        )
    assert list((tmp_path / "netns").iterdir()) == []


def test_two_owners_of_one_state_are_refused(tmp_path):
    def run():
        namespaces.unshare_network()
        first = BridgeRealizer("h", state_directory=tmp_path)
        try:
            with pytest.raises(StateInUse, match="another process"):
                BridgeRealizer("h", state_directory=tmp_path)
        finally:
            first.close()

    namespaces.in_thread(run)
    assert not (tmp_path / "ledger.jsonl").exists()


def test_a_machine_without_room_for_namespaces(tmp_path):
    """The limit is set in a user namespace of its own; the error names the cure and nothing is left."""
    program = (
        "import sys\n"
        "from nova_fakes.virt.vif import namespaces\n"
        "namespaces.enter_user_namespace()\n"
        "open('/proc/sys/user/max_net_namespaces', 'w').write('0')\n"
        "from nova_fakes.exceptions import NamespacesUnavailable\n"
        "from nova_fakes.virt.vif.fabric import Fabric\n"
        "from nova_fakes.virt.vif.ledger import Ledger\n"
        "try: Fabric(Ledger(sys.argv[1] + '/ledger'), directory=sys.argv[1] + '/netns', namespace='f')\n"
        "except NamespacesUnavailable as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "user.max_net_namespaces" in done.stdout
    assert os.listdir(tmp_path / "netns") == []
    with Ledger(tmp_path / "ledger") as ledger:
        assert ledger.entries() == ()
