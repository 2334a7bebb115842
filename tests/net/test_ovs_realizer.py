"""The ovs realizer on a real Open vSwitch: one of the fabric's own, and one that is somebody else's."""

import ctypes
import dataclasses
import fcntl
import json
import os
import signal
import socket
import struct
import threading
import time

import pytest
from bursts import Burst

from nova_fakes.exceptions import InvalidInput, OvsdbUnavailable, RealizerError
from nova_fakes.virt.vif import namespaces, netlink, plan, rtnetlink
from nova_fakes.virt.vif.cleanup import cleanup
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.ovs import OVSRealizer
from nova_fakes.virt.vif.ovs_fabric import SwitchFabric
from nova_fakes.virt.vif.ovs_service import OpenVSwitch
from nova_fakes.virt.vif.ping import Pinger, mesh, ping
from nova_fakes.virt.vif.switch import Switch

pytestmark = pytest.mark.privileged

HYBRID = {"ovs_hybrid_plug": True}
DEADLINE_S = 20.0


@pytest.fixture
def fabric(place):
    ledger = Ledger(place / "ledger")
    options = {"directory": place / "netns", "namespace": "fabric", "switch_directory": place / "ovs"}
    with ledger, SwitchFabric(ledger, deadline_s=DEADLINE_S, **options) as fabric:
        yield fabric
    assert ledger.entries() == ()
    assert [path.name for path in place.iterdir()] == ["netns"]
    assert list((place / "netns").iterdir()) == []


@pytest.fixture
def hosts(fabric):
    return [OVSRealizer(f"compute-{number}", fabric) for number in range(3)]


@pytest.fixture
def answers():
    """Tell whether an address answers from a namespace, soon: a flow to a port that was may swallow the first echo."""
    return lambda path, address: any(ping(path, address, timeout_s=0.2).received for _ in range(50))


@pytest.fixture
def make_ovs_vif(make_vif):
    def make(number, network=0, *, bridge="br-int", details=None, **changes):
        vif = make_vif(number, network, type="ovs", details=details or {}, **changes)
        return dataclasses.replace(vif, bridge=bridge)

    return make


def devices(path):
    def names():
        with netlink.Socket() as sock:
            return {link.name for link in sock.links()}

    return namespaces.in_namespace(path, names)


def tables(switch):
    """Every bridge, port and interface of a switch, without what changes by itself."""
    with switch.connect() as connection:
        return {
            table: sorted(
                json.dumps(row, sort_keys=True)
                for row in connection.select(table, [], "_uuid", "name", "external_ids", *columns)
            )
            for table, columns in (
                ("Bridge", ("ports", "datapath_type")),
                ("Port", ("tag", "interfaces")),
                ("Interface", ("type", "options", "mtu_request")),
            )
        }


def everything(fabric, switch):
    kept = devices(fabric.path) if fabric.path else set(links())
    return kept, tables(switch), fabric.ledger.entries(), sorted(path.name for path in fabric.directory.iterdir())


def links():
    with netlink.Socket() as sock:
        return {link.name for link in sock.links()}


def own_switch(fabric):
    return Switch(fabric.service.socket, deadline_s=DEADLINE_S)


def next_cfg(switch):
    with switch.connect() as connection:
        return connection.select("Open_vSwitch", [], "next_cfg")[0]["next_cfg"]


def eventually(condition):
    deadline = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.01)
    return found


def test_everybody_answers_everybody_native_and_hybrid_on_three_hosts(hosts, make_ovs_vif, uuids):
    members = {}
    for number, uuid in enumerate(uuids, start=10):
        host, vif = hosts[number % 3], make_ovs_vif(number, details=HYBRID if number % 2 else {})
        host.plug(uuid, [vif])
        members[uuid] = (host.namespace(uuid), [a for subnet in vif.subnets for a in subnet.addresses])
    results = mesh(members, rounds=3)
    assert len(results) == 6 * 5 * 2
    assert [pair for pair, result in results.items() if not result.received] == []


@pytest.mark.parametrize("details", [{}, HYBRID], ids=["native", "hybrid"])
def test_what_the_agents_find(hosts, fabric, make_ovs_vif, uuids, details):
    vif = make_ovs_vif(5, details=details)
    hosts[0].plug(uuids[0], [vif])
    devname = f"qvo{vif.id[:11]}" if details else vif.devname
    with own_switch(fabric).connect() as connection:
        (interface,) = connection.select(
            "Interface", [["name", "==", devname]], "external_ids", "mtu_request", "type", "mtu", "error"
        )
        (bridge,) = connection.select("Bridge", [["name", "==", "br-int"]], "ports", "datapath_type")
        (port,) = connection.select("Port", [["name", "==", devname]], "_uuid")
    assert dict(interface["external_ids"][1]) == {
        "iface-id": vif.id,
        "iface-status": "active",
        "attached-mac": vif.address,
        "vm-uuid": uuids[0],
    }
    assert (interface["mtu_request"], interface["mtu"], interface["type"]) == (1450, 1450, "")
    assert port["_uuid"] in bridge["ports"][1]
    assert bridge["datapath_type"] == "netdev"
    names = {vif.devname} | ({f"{kind}{vif.id[:11]}" for kind in ("qbr", "qvb", "qvo")} if details else set())
    assert names <= devices(fabric.path)
    assert all(len(name) <= 15 for name in devices(fabric.path))


def sends_checksums():
    """Ask the kernel whether eth0 of this thread's namespace leaves checksums to others (ETHTOOL_GTXCSUM)."""
    value = ctypes.create_string_buffer(struct.pack("=II", 0x16, 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, 0x8946, struct.pack("16sP16x", b"eth0", ctypes.addressof(value)))
    return struct.unpack("=II", value.raw[:8])[1] == 0


@pytest.mark.parametrize("details", [{}, HYBRID], ids=["native", "hybrid"])
def test_tcp_passes_because_the_instance_computes_its_checksums(hosts, make_ovs_vif, uuids, details):
    hosts[0].plug(uuids[0], [make_ovs_vif(5, details=details)])
    hosts[1].plug(uuids[1], [make_ovs_vif(6)])
    assert namespaces.in_namespace(hosts[0].namespace(uuids[0]), sends_checksums)
    server, client = connect(hosts[0].namespace(uuids[0]), hosts[1].namespace(uuids[1]), "10.0.0.5")
    with server, client:
        payload = os.urandom(1 << 20)
        sender = threading.Thread(target=client.sendall, args=(payload,))
        sender.start()
        received = b""
        while len(received) < len(payload):
            received += server.recv(1 << 16)
        sender.join()
    assert received == payload


def connect(server_path, client_path, address):
    listener = namespaces.in_namespace(server_path, lambda: socket.create_server((address, 0)))
    target = listener.getsockname()[:2]
    client = namespaces.in_namespace(client_path, lambda: socket.create_connection(target, timeout=10))
    server, _peer = listener.accept()
    listener.close()
    server.settimeout(10)
    return server, client


def test_networks_on_one_bridge_are_separate(hosts, make_ovs_vif, uuids):
    one = make_ovs_vif(5)
    stranger = make_ovs_vif(6, network=1)
    hosts[0].plug(uuids[0], [one])
    hosts[0].plug(uuids[1], [stranger])
    neighbour = ["ip", "route", "add", "10.1.0.0/24", "dev", "eth0"]
    assert namespaces.run_in(hosts[0].namespace(uuids[0]), neighbour).returncode == 0
    assert ping(hosts[0].namespace(uuids[0]), "10.1.0.6", timeout_s=0.3).received == 0


def test_bridges_of_several_names_are_joined(hosts, fabric, make_ovs_vif, uuids, answers):
    for number, name in enumerate(("br-int", "br-two", "br-three")):
        hosts[0].plug(uuids[number], [make_ovs_vif(5 + number, bridge=name)])
    assert {"br-int", "br-two", "br-three"} < set(own_switch(fabric).bridges())
    assert all(answers(hosts[0].namespace(uuids[0]), f"10.0.0.{last}") for last in (6, 7))
    for number in range(3):
        hosts[0].unplug(uuids[number])
    assert own_switch(fabric).bridges() == {}
    assert own_switch(fabric).ports() == {}


def test_plug_again_changes_nothing(hosts, fabric, make_ovs_vif, uuids):
    vifs = [make_ovs_vif(5), make_ovs_vif(6, network=1, details=HYBRID)]
    hosts[0].plug(uuids[0], vifs)
    before = everything(fabric, own_switch(fabric))
    hosts[0].plug(uuids[0], vifs)
    assert everything(fabric, own_switch(fabric)) == before


def test_hot_plug_unplug_and_again(hosts, fabric, make_ovs_vif, uuids, answers):
    host, one, two = hosts[0], make_ovs_vif(5), make_ovs_vif(6, network=1, details=HYBRID)
    host.plug(uuids[0], [one])
    host.plug(uuids[1], [make_ovs_vif(7, network=1)])
    before = everything(fabric, own_switch(fabric))
    for _ in range(3):
        host.plug(uuids[0], [one, two])
        assert answers(host.namespace(uuids[1]), "10.1.0.6")
        host.unplug(uuids[0], [two])
        assert everything(fabric, own_switch(fabric)) == before
    host.unplug(uuids[0], [two])
    host.unplug(uuids[5])


def test_a_name_on_its_way_out_can_be_used_at_once(hosts, make_ovs_vif, uuids, answers):
    vif = make_ovs_vif(5)
    hosts[0].plug(uuids[1], [make_ovs_vif(6)])
    for _ in range(5):
        hosts[0].plug(uuids[0], [vif])
        assert answers(hosts[0].namespace(uuids[1]), "10.0.0.5")
        hosts[0].unplug(uuids[0])


def test_link_and_counters(hosts, make_ovs_vif, uuids, answers):
    host, vif = hosts[0], make_ovs_vif(5, details=HYBRID)
    host.plug(uuids[0], [vif])
    host.plug(uuids[1], [make_ovs_vif(6)], up=False)
    inside, other = host.namespace(uuids[0]), host.namespace(uuids[1])
    assert ping(inside, "10.0.0.6", timeout_s=0.3).received == 0
    host.set_link(uuids[1], True)
    assert answers(inside, "10.0.0.6")
    before = host.counters(uuids[0])[vif.id]
    assert ping(other, "10.0.0.5", count=20, interval_s=0.001).received == 20
    after = host.counters(uuids[0])[vif.id]
    assert after.rx_packets - before.rx_packets >= 20
    assert after.tx_packets - before.tx_packets >= 20
    host.set_link(uuids[0], False)
    assert ping(other, "10.0.0.5", timeout_s=0.3).received == 0


@pytest.mark.parametrize("details", [{}, HYBRID], ids=["native", "hybrid"])
def test_live_migration_keeps_connections_and_pings(hosts, fabric, make_ovs_vif, uuids, answers, details):
    one, two = hosts[:2]
    vif = make_ovs_vif(5, details=details)
    one.plug(uuids[0], [vif])
    one.plug(uuids[1], [make_ovs_vif(6)])
    path, watcher = one.namespace(uuids[0]), one.namespace(uuids[1])
    assert answers(watcher, "10.0.0.5")
    before = tables(own_switch(fabric))
    server, client = connect(path, watcher, "10.0.0.5")
    with server, client, Pinger(watcher, "10.0.0.5", interval_s=0.01) as pinger:
        assert pinger.wait_for_reply(10)
        for source, destination in ((one, two), (two, one), (one, two)):
            destination.prepare_migration(uuids[0], [vif])
            destination.migrate(uuids[0], [vif], source)
            source.unplug(uuids[0])
            client.sendall(b"still there?")
            assert server.recv(100) == b"still there?"
        result = pinger.stop()
    assert result.sent > 0
    assert result.lost == 0  # the port never leaves the switch
    assert (one.namespace(uuids[0]), two.namespace(uuids[0])) == (None, path)
    assert tables(own_switch(fabric)) == before


def test_an_abandoned_migration_leaves_the_destination_as_it_was(hosts, fabric, make_ovs_vif, uuids):
    vif = make_ovs_vif(5)
    hosts[0].plug(uuids[0], [vif])
    before = everything(fabric, own_switch(fabric))
    hosts[1].prepare_migration(uuids[0], [vif])
    hosts[1].abort_migration(uuids[0], [vif])
    assert everything(fabric, own_switch(fabric)) == before


def test_a_burst_of_fifty_ports_is_one_transaction(hosts, fabric, make_ovs_vif, uuids):
    hosts[0].plug("first", [make_ovs_vif(200)])  # the bridge
    switch = own_switch(fabric)
    burst, before = Burst(fabric), next_cfg(switch)
    calls = {n: lambda n=n: hosts[n % 3].plug(f"i{n}", [make_ovs_vif(n)]) for n in range(2, 52)}
    burst.run(calls)
    assert burst.errors == {}
    assert next_cfg(switch) == before + 1
    watcher = hosts[0].namespace("first")
    silent = [n for n in range(2, 52) if not ping(watcher, f"10.0.0.{n}").received]
    assert silent == []
    burst.run({n: lambda n=n: hosts[n % 3].unplug(f"i{n}") for n in range(2, 52)})
    assert burst.errors == {}
    assert len(switch.ports()) == 2  # the bridge's own, and the first
    assert hosts[0].settle()
    with switch.connect() as connection:
        (row,) = connection.select("Open_vSwitch", [], "next_cfg", "cur_cfg")
    assert row["cur_cfg"] == row["next_cfg"]


def test_in_a_burst_one_instances_fault_is_not_the_others(hosts, fabric, make_ovs_vif):
    hosts[0].plug("first", [make_ovs_vif(200)])
    bad = make_ovs_vif(1)

    def vanish(operation):
        """Take the bad one's device away after it was made, ahead of its way to the switch."""
        if isinstance(operation, plan.AddPorts) and operation.instance == "i1":

            def delete():
                with netlink.Socket() as sock:
                    sock.send([rtnetlink.DELETE_LINK.fill(devname=rtnetlink.name(bad.devname))])

            namespaces.in_namespace(fabric.path, delete)

    fabric.before = vanish
    burst = Burst(fabric)
    calls = {n: lambda n=n: hosts[0].plug(f"i{n}", [make_ovs_vif(n)]) for n in range(2, 6)}
    burst.run({**calls, 1: lambda: hosts[0].plug("i1", [bad])})
    fabric.before = None
    assert list(burst.errors) == [1]
    with pytest.raises(RealizerError, match=f"cannot use {bad.devname}"):
        raise burst.errors[1]
    assert hosts[0].namespace("i1") is None
    assert bad.devname not in own_switch(fabric).ports()
    assert all(ping(hosts[0].namespace("first"), f"10.0.0.{n}").received for n in range(2, 6))


@pytest.mark.parametrize("position", range(8))
@pytest.mark.parametrize("first", [True, False], ids=["first", "second"])
def test_every_failed_step_leaves_kernel_and_switch_as_before(hosts, fabric, make_ovs_vif, uuids, position, first):
    if not first:
        hosts[0].plug(uuids[1], [make_ovs_vif(9, details=HYBRID)])
    before = everything(fabric, own_switch(fabric))
    seen = []

    def fail(operation):
        seen.append(operation)
        if len(seen) > position:
            raise RealizerError("injected")

    fabric.before = fail
    with pytest.raises(RealizerError, match="injected"):
        hosts[0].plug(uuids[0], [make_ovs_vif(5), make_ovs_vif(6, details=HYBRID)])
    fabric.before = None
    assert len(seen) == position + 1
    # What the kernel deletes with a namespace goes a little later; no switch's device does.
    eventually(lambda: everything(fabric, own_switch(fabric))[0] - {"ovs-netdev"} == before[0] - {"ovs-netdev"})
    assert everything(fabric, own_switch(fabric))[1:] == before[1:]
    assert hosts[0].namespace(uuids[0]) is None


def test_the_last_step_is_the_switchs(hosts, fabric, make_ovs_vif, uuids):
    """Eight steps are all that the test above has to fail."""
    seen = []
    fabric.before = seen.append
    hosts[0].plug(uuids[0], [make_ovs_vif(5), make_ovs_vif(6, details=HYBRID)])
    assert len(seen) == 8
    assert isinstance(seen[-1], plan.AddPorts)


@pytest.mark.parametrize("kind", ["qbr", "qvb", "qvo"])
def test_a_strangers_device_of_a_hybrid_plugs_name_is_left_alone(hosts, fabric, make_ovs_vif, uuids, kind):
    vif = make_ovs_vif(5, details=HYBRID)
    name = f"{kind}{vif.id[:11]}"

    def stranger():
        with netlink.Socket() as sock:
            sock.send([rtnetlink.BRIDGE.fill(devname=name.encode(), mac=b"\x02abcde", mtu=1500, flags=0)])

    namespaces.in_namespace(fabric.path, stranger)
    with pytest.raises(RealizerError, match=f"{name}.* taken by something else"):
        hosts[0].plug(uuids[0], [vif])
    assert {other for other in devices(fabric.path) if other[:3] in ("qbr", "qvb", "qvo")} == {name}
    assert own_switch(fabric).ports() == {}


def test_equal_beginnings_of_port_ids_do_not_clash(hosts, make_ovs_vif, uuids, answers):
    one = make_ovs_vif(5, details=HYBRID, id="same-beginning-1", devname="tapone")
    two = make_ovs_vif(6, details=HYBRID, id="same-beginning-2", devname="taptwo")
    hosts[0].plug(uuids[0], [one])
    hosts[1].plug(uuids[1], [two])
    assert answers(hosts[0].namespace(uuids[0]), "10.0.0.6")


@pytest.mark.parametrize("changes", [{"type": "vhostuser"}, {"vnic_type": "direct"}])
def test_refuses_other_kinds_of_vif(hosts, make_vif, uuids, changes):
    with pytest.raises(InvalidInput, match="the ovs realizer"):
        hosts[0].plug(uuids[0], [make_vif(5, **changes)])


@pytest.mark.parametrize("name", ["br-much-too-long-1", "br/1", "nfo-trunk"])
def test_refuses_a_bridge_that_cannot_be_made(hosts, fabric, make_ovs_vif, uuids, name):
    before = everything(fabric, own_switch(fabric))
    with pytest.raises(InvalidInput, match="bridge_name"):
        hosts[0].plug(uuids[0], [make_ovs_vif(5, bridge=name)])
    assert everything(fabric, own_switch(fabric)) == before


@pytest.mark.parametrize("daemon", ["ovs-vswitchd", "ovsdb-server"])
def test_a_daemon_that_is_killed_comes_again(hosts, fabric, make_ovs_vif, uuids, answers, daemon):
    hosts[0].plug(uuids[0], [make_ovs_vif(5), make_ovs_vif(5, network=1, details=HYBRID)])
    hosts[1].plug(uuids[1], [make_ovs_vif(6)])
    was = fabric.service.pids()[daemon]
    os.kill(was, signal.SIGKILL)
    hosts[1].plug(uuids[2], [make_ovs_vif(7)])  # whoever comes first notices
    assert fabric.service.pids()[daemon] != was
    assert answers(hosts[0].namespace(uuids[0]), "10.0.0.7")
    assert answers(hosts[0].namespace(uuids[0]), "10.0.0.6")


def test_one_that_does_not_come_up_at_first_comes_again_by_itself(hosts, fabric, make_ovs_vif, uuids):
    """The revival itself fails, as where the daemon is killed again on its way up: it is tried again."""
    hosts[0].plug(uuids[0], [make_ovs_vif(5)])
    revive, failures = fabric.service.revive, []

    def fail_twice():
        if len(failures) < 2:
            failures.append(None)
            raise RealizerError("ovs-vswitchd ended at once: killed again")
        return revive()

    fabric._watch._revive = fail_twice
    before = fabric.service.pids()["ovs-vswitchd"]
    os.kill(before, signal.SIGKILL)
    eventually(lambda: fabric.service.pids().get("ovs-vswitchd") not in (None, before))
    assert len(failures) == 2


@pytest.mark.parametrize("step", ["MakeSwitchBridge", "remove_bridges"])
def test_bridges_come_and_go_while_the_database_dies(hosts, fabric, make_ovs_vif, uuids, monkeypatch, step):
    """It dies after it has done what was asked, and before it has said so."""
    switch = fabric._wiring._switch
    name = "make_bridges" if step == "MakeSwitchBridge" else "remove_bridges"
    asked, deaths = getattr(switch, name), []

    def die_after(*arguments):
        asked(*arguments)
        if not deaths:
            deaths.append(fabric.service.pids()["ovsdb-server"])
            os.kill(deaths[0], signal.SIGKILL)
            raise OvsdbUnavailable("the connection broke")

    monkeypatch.setattr(switch, name, die_after)
    hosts[0].plug(uuids[0], [make_ovs_vif(5)])
    hosts[0].unplug(uuids[0])
    assert len(deaths) == 1
    assert switch.bridges() == {}
    hosts[0].plug(uuids[0], [make_ovs_vif(5)])
    assert "br-int" in switch.bridges()


def test_a_daemon_that_is_killed_comes_again_by_itself(hosts, fabric, make_ovs_vif, uuids):
    hosts[0].plug(uuids[0], [make_ovs_vif(5)])
    hosts[1].plug(uuids[1], [make_ovs_vif(6)])
    os.kill(fabric.service.pids()["ovs-vswitchd"], signal.SIGKILL)
    eventually(lambda: ping(hosts[0].namespace(uuids[0]), "10.0.0.6", timeout_s=0.2).received)


# A switch that is somebody else's.


@pytest.fixture
def machine(place):
    """A network namespace with a switch that is not ours, as a compute host has it; calls a function inside."""
    ledger = Ledger()
    path = place / "machine"
    namespaces.in_thread(lambda: namespaces.make(path))
    service = OpenVSwitch(ledger, place / "theirs", str(path), deadline_s=DEADLINE_S)
    service.start()
    switch = Switch(service.socket, deadline_s=DEADLINE_S)
    switch.make_bridges([("br-int", {}), ("br-int2", {"owner": "theirs"})], [], "netdev")

    def call(function):
        return namespaces.in_namespace(str(path), lambda: function(switch))

    yield call
    service.stop()
    namespaces.remove(path)


def foreign_port(switch, name, bridge="br-int"):
    """Put a port of another program's on a bridge: one of type internal, which needs no device."""
    with switch.connect() as connection:
        interface = {"name": name, "type": "internal", "external_ids": ["map", [["iface-id", "theirs"]]]}
        connection.commit(
            [
                {"op": "insert", "table": "Interface", "row": interface, "uuid-name": "i"},
                {
                    "op": "insert",
                    "table": "Port",
                    "row": {"name": name, "interfaces": ["named-uuid", "i"]},
                    "uuid-name": "p",
                },
                {
                    "op": "mutate",
                    "table": "Bridge",
                    "where": [["name", "==", bridge]],
                    "mutations": [["ports", "insert", ["named-uuid", "p"]]],
                },
            ]
        )


def on_machine(place, switch, host="h", **options):
    """Make a realizer as nova-compute does, with namespaces in a directory of the test."""
    ledger = Ledger(place / f"ledger-{host}")
    fabric = SwitchFabric(ledger, directory=place / f"netns-{host}", socket=switch.socket, deadline_s=DEADLINE_S)
    return ledger, OVSRealizer(host, fabric, **options)


def test_on_the_machines_switch_nothing_else_is_touched(place, machine, make_ovs_vif, uuids, answers):
    def run(switch):
        one, two = make_ovs_vif(5), make_ovs_vif(6, details=HYBRID)
        for name in (f"tap{one.id[:10]}x", f"qvo{two.id[:10]}x"):
            foreign_port(switch, name)
        foreign_port(switch, "tap-theirs", "br-int2")
        before = tables(switch), links()
        ledger, realizer = on_machine(place, switch)
        realizer.plug(uuids[0], [one])
        realizer.plug(uuids[1], [two])
        assert answers(realizer.namespace(uuids[0]), "10.0.0.6")
        added = {name: row for name, row in switch.ports().items() if row.external_ids.get("nova-fakes-entry")}
        assert set(added) == {one.devname, f"qvo{two.id[:11]}"}
        assert [row.tag for row in added.values()] == [None, None]  # the agent's to choose
        with netlink.Socket() as sock:
            marks = {link.alias for link in sock.links() if link.alias}
        assert marks == {entry.mark for entry in ledger.entries("device")}
        realizer.unplug(uuids[0])
        realizer.fabric.close()
        assert ledger.entries() == ()
        ledger.close()
        assert tables(switch) == before[0]
        eventually(lambda: links() == before[1])

    machine(run)


def test_what_an_agent_has_set_stays(place, machine, make_ovs_vif, uuids):
    def run(switch):
        vif = make_ovs_vif(5)
        ledger, realizer = on_machine(place, switch)
        with ledger:
            realizer.plug(uuids[0], [vif])
            where = [["name", "==", vif.devname]]
            with switch.connect() as connection:
                installed = ["external_ids", "insert", ["map", [["ovn-installed", "true"]]]]
                connection.transact(
                    [
                        {"op": "update", "table": "Port", "where": where, "row": {"tag": 7}},
                        {"op": "mutate", "table": "Interface", "where": where, "mutations": [installed]},
                    ]
                )
            realizer.fabric.close(keep=True)
        ledger, realizer = on_machine(place, switch)
        with ledger:
            realizer.plug(uuids[0], [vif])
            assert switch.ports([vif.devname])[vif.devname].tag == 7
            with switch.connect() as connection:
                (row,) = connection.select("Interface", where, "external_ids")
            assert {"ovn-installed", "iface-id"} < dict(row["external_ids"][1]).keys()
            realizer.fabric.close()

    machine(run)


def test_a_port_or_bridge_that_is_not_as_it_should_be_is_told(place, machine, make_ovs_vif, uuids):
    def run(switch):
        taken, nowhere = make_ovs_vif(5, devname="qvo-theirs"), make_ovs_vif(6, bridge="br-none")
        with switch.connect() as connection:  # a port without a device: only the database has it
            connection.transact(
                [
                    {"op": "insert", "table": "Interface", "row": {"name": "qvo-theirs"}, "uuid-name": "i"},
                    {
                        "op": "insert",
                        "table": "Port",
                        "row": {"name": "qvo-theirs", "interfaces": ["named-uuid", "i"]},
                        "uuid-name": "p",
                    },
                    {
                        "op": "mutate",
                        "table": "Bridge",
                        "where": [["name", "==", "br-int"]],
                        "mutations": [["ports", "insert", ["named-uuid", "p"]]],
                    },
                ]
            )
        before = tables(switch)
        ledger, realizer = on_machine(place, switch)
        with ledger:
            with pytest.raises(RealizerError, match="is on the switch and is not ours"):
                realizer.plug(uuids[0], [taken])
            with pytest.raises(RealizerError, match=r"no bridge br-none.*ovs-vsctl add-br br-none"):
                realizer.plug(uuids[1], [nowhere])
            assert ledger.entries() == ()
            assert tables(switch) == before
            realizer.fabric.close()

    machine(run)


def test_on_a_bridge_of_the_kernels_datapath_offload_stays(place, machine, make_ovs_vif, uuids):
    """This switch has no kernel datapath, so the plug fails at its last step; what it would do is seen all the same."""

    def run(switch):
        switch.make_bridges([("br-kernel", {})], [], "system")
        before = tables(switch), links()
        ledger, realizer = on_machine(place, switch)
        with ledger:
            seen = []
            realizer.fabric.before = seen.append
            with pytest.raises(RealizerError, match="ovs-vswitchd cannot use"):
                realizer.plug(uuids[0], [make_ovs_vif(5, bridge="br-kernel")])
            assert [type(operation) for operation in seen] == [
                plan.MakeSwitchBridge,
                plan.MakeBridge,
                plan.MakeNamespace,
                plan.MakeLinks,
                plan.ConfigureGuest,
                plan.AddPorts,
            ]
            assert ledger.entries() == ()
            assert tables(switch) == before[0]
            eventually(lambda: links() == before[1])
            realizer.fabric.close()

    machine(run)


def test_nobody_listens_on_the_machines_socket(place):
    with pytest.raises(OvsdbUnavailable, match="is ovsdb-server running"):
        namespaces.in_thread(lambda: OVSRealizer("h", state_directory=place / "state", socket=place / "db.sock"))
    assert not (place / "state" / "ledger.jsonl").exists()


def test_a_ledger_takes_ports_off_the_machines_switch(place, machine, make_ovs_vif, uuids):
    def run(switch):
        before = tables(switch), links()
        ledger, realizer = on_machine(place, switch)
        realizer.plug(uuids[0], [make_ovs_vif(5), make_ovs_vif(6, network=1, details=HYBRID)])
        realizer.fabric.close(keep=True)
        done = cleanup(ledger)
        assert done.kept == ()
        assert ledger.entries() == ()
        ledger.close()
        assert tables(switch) == before[0]
        eventually(lambda: links() == before[1])

    machine(run)


def test_reconcile_brings_back_what_went_and_takes_orphans(place, machine, make_ovs_vif, uuids, answers):
    def run(switch):
        vifs = [make_ovs_vif(5), make_ovs_vif(6, network=1, details=HYBRID)]
        ledger, realizer = on_machine(place, switch)
        with ledger:
            realizer.plug(uuids[0], vifs)
            realizer.plug(uuids[1], [make_ovs_vif(7)])
            gone = make_ovs_vif(8)
            realizer.plug(uuids[2], [gone])
            realizer.fabric.close(keep=True)
        foreign_port(switch, "tap-theirs")
        with switch.connect() as connection:  # the agent's database was lost: one of ours is missing
            (row,) = connection.select("Port", [["name", "==", vifs[0].devname]], "_uuid")
            deletion = ["ports", "delete", row["_uuid"]]
            connection.commit([{"op": "mutate", "table": "Bridge", "where": [], "mutations": [deletion]}])
        with netlink.Socket() as sock:  # half a hybrid plug, and a device that went with its port still there
            for name in (f"qbr{vifs[1].id[:11]}", gone.devname):
                sock.send([rtnetlink.DELETE_LINK.fill(devname=rtnetlink.name(name))])
        ledger, realizer = on_machine(place, switch)
        with ledger:
            assert answers(realizer.namespace(uuids[1]), "10.0.0.5")
            assert gone.devname not in switch.ports()
            assert "tap-theirs" in switch.ports()
            assert f"qvo{vifs[1].id[:11]}" not in switch.ports()
            realizer.plug(uuids[0], vifs)
            assert f"qvo{vifs[1].id[:11]}" in switch.ports()
            realizer.fabric.close()
            assert ledger.entries() == ()

    machine(run)
