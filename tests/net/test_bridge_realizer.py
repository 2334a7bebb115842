import json
import os
import socket

import pytest
from bursts import Burst

from nova_fakes.exceptions import InvalidInput, RealizerError
from nova_fakes.virt.vif import namespaces, netlink, plan, rtnetlink
from nova_fakes.virt.vif.bridge import BridgeRealizer
from nova_fakes.virt.vif.fabric import Fabric
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.null import NullRealizer
from nova_fakes.virt.vif.ping import Pinger, mesh, ping

pytestmark = pytest.mark.privileged


def ip(path, *arguments):
    done = namespaces.run_in(path, ["ip", "-j", *arguments])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout or "[]")


def devices(path):
    def names():
        with netlink.Socket() as sock:
            return {link.name for link in sock.links()}

    return namespaces.in_namespace(path, names)


def test_inside_of_an_instance(hosts, make_vif, uuids):
    host, one, two = hosts[0], make_vif(5), make_vif(6, network=1, mtu=9000)
    host.plug(uuids[0], [one, two])
    path = host.namespace(uuids[0])
    assert os.path.basename(path) == f"fake-{uuids[0]}"
    links = {link["ifname"]: link for link in ip(path, "addr")}
    assert set(links) == {"lo", "eth0", "eth1"}
    assert "UP" in links["lo"]["flags"]
    assert (links["eth0"]["address"], links["eth0"]["mtu"]) == (one.address, 1450)
    assert (links["eth1"]["address"], links["eth1"]["mtu"]) == (two.address, 9000)
    found = {(a["local"], a["prefixlen"]) for name in ("eth0", "eth1") for a in links[name]["addr_info"]}
    assert found == {("10.0.0.5", 24), ("fd00::5", 64), ("10.1.0.6", 24), ("fd00:1::6", 64)}
    defaults = [(r["gateway"], r.get("metric", 0)) for r in ip(path, "route") if r["dst"] == "default"]
    assert sorted(defaults, key=lambda r: r[1]) == [("10.0.0.1", 0), ("10.1.0.1", 100)]
    defaults = [(r["gateway"], r["metric"]) for r in ip(path, "-6", "route") if r["dst"] == "default"]
    assert sorted(defaults, key=lambda r: r[1]) == [("fd00::1", 1025), ("fd00:1::1", 1125)]
    neighbours = {n["dst"]: (n["lladdr"], n["state"]) for n in ip(path, "neigh", "show", "nud", "permanent")}
    assert neighbours["10.0.0.1"] == (plan.gateway_mac("network-0", "10.0.0.1"), ["PERMANENT"])


def test_no_gateway_is_no_default_route(hosts, make_vif, uuids):
    hosts[0].plug(uuids[0], [make_vif(5, gateway=False)])
    assert [r for r in ip(hosts[0].namespace(uuids[0]), "route") if r["dst"] == "default"] == []


def test_everybody_answers_everybody_on_three_hosts(hosts, make_vif, uuids):
    members = {}
    for number, uuid in enumerate(uuids, start=10):
        host, vif = hosts[number % 3], make_vif(number)
        host.plug(uuid, [vif])
        members[uuid] = (host.namespace(uuid), [a for subnet in vif.subnets for a in subnet.addresses])
    results = mesh(members, rounds=5)
    assert len(results) == 6 * 5 * 2
    assert [pair for pair, result in results.items() if not result.received] == []


def test_networks_are_separate(hosts, make_vif, uuids):
    hosts[0].plug(uuids[0], [make_vif(5)])
    hosts[0].plug(uuids[1], [make_vif(6, network=1)])
    assert ping(hosts[0].namespace(uuids[0]), "10.1.0.6", timeout_s=0.3).received == 0


def test_bridges_come_and_go_with_their_vifs(hosts, make_vif, uuids, fabric):
    idle = devices(fabric.path)
    hosts[0].plug(uuids[0], [make_vif(5)])
    assert len(devices(fabric.path) - idle) == 2  # the bridge and the host end
    hosts[1].plug(uuids[1], [make_vif(6)])
    assert len(devices(fabric.path) - idle) == 2 + 2 + 1 + 4  # the trunk and two uplinks of two ends each
    hosts[0].unplug(uuids[0])
    hosts[1].unplug(uuids[1])
    assert {n for n in devices(fabric.path) - idle if n.startswith("nf")} == set()


def test_plug_again_changes_nothing(hosts, make_vif, uuids, fabric):
    vif = make_vif(5)
    hosts[0].plug(uuids[0], [vif])
    before = devices(fabric.path), namespaces.inode(hosts[0].namespace(uuids[0])), fabric.ledger.entries()
    hosts[0].plug(uuids[0], [vif])
    assert before == (devices(fabric.path), namespaces.inode(hosts[0].namespace(uuids[0])), fabric.ledger.entries())


def test_hot_plug_and_unplug(hosts, make_vif, uuids, answers, fabric):
    host, one, two = hosts[0], make_vif(5), make_vif(6, network=1)
    host.plug(uuids[0], [one])
    host.plug(uuids[1], [make_vif(7, network=1)])
    host.plug(uuids[0], [one, two])
    assert answers(host.namespace(uuids[1]), "10.1.0.6")
    host.unplug(uuids[0], [two])
    assert two.devname not in devices(fabric.path)
    assert "eth0" in devices(host.namespace(uuids[0]))
    host.unplug(uuids[0], [two])


def test_an_interface_comes_and_goes_many_times(hosts, make_vif, uuids, answers):
    host, only, second = hosts[0], make_vif(5), make_vif(6, network=1)
    host.plug(uuids[0], [only])
    host.plug(uuids[1], [make_vif(7), make_vif(8, network=1)])
    for _ in range(3):
        host.plug(uuids[0], [only, second])
        assert answers(host.namespace(uuids[1]), "10.1.0.6")
        assert set(host.counters(uuids[0])) == {only.id, second.id}
        host.unplug(uuids[0], [only, second])
        host.plug(uuids[0], [only])
        assert answers(host.namespace(uuids[1]), "10.0.0.5")


def test_unplug_what_is_not_there(hosts, make_vif, uuids):
    hosts[0].unplug(uuids[0])
    hosts[0].unplug(uuids[0], [make_vif(5)])
    hosts[0].set_link(uuids[0], True)
    assert hosts[0].counters(uuids[0]) == {}
    assert hosts[0].namespace(uuids[0]) is None


def test_a_name_on_its_way_out_can_be_used_at_once(hosts, make_vif, uuids, answers):
    vif = make_vif(5)
    hosts[0].plug(uuids[1], [make_vif(6)])
    for _ in range(10):
        hosts[0].plug(uuids[0], [vif])
        hosts[0].unplug(uuids[0])
    hosts[0].plug(uuids[0], [vif])
    assert answers(hosts[0].namespace(uuids[1]), "10.0.0.5")


def test_without_link_nobody_answers_and_everything_is_kept(hosts, make_vif, uuids, answers):
    host = hosts[0]
    host.plug(uuids[0], [make_vif(5)])
    host.plug(uuids[1], [make_vif(6)])
    inside, outside = host.namespace(uuids[0]), host.namespace(uuids[1])
    targets = ("10.0.0.5", "fd00::5")
    assert all(answers(outside, target) for target in targets)
    before = ip(inside, "route"), ip(inside, "-6", "route")
    counters = host.counters(uuids[0])
    host.set_link(uuids[0], False)
    assert [ping(outside, target, timeout_s=0.3).received for target in targets] == [0, 0]
    host.set_link(uuids[0], True)
    assert all(answers(outside, target) for target in targets)
    assert strip(before) == strip((ip(inside, "route"), ip(inside, "-6", "route")))
    (was,), (now,) = counters.values(), host.counters(uuids[0]).values()
    assert now.rx_packets > was.rx_packets


def strip(routes):
    return [
        [{k: v for k, v in r.items() if k != "flags"} for r in family if r.get("dst") != "ff00::/8"]
        for family in routes
    ]


def test_plugged_without_link_stays_so_until_told(hosts, make_vif, uuids, answers):
    hosts[0].plug(uuids[0], [make_vif(5)], up=False)
    hosts[0].plug(uuids[1], [make_vif(6)])
    outside = hosts[0].namespace(uuids[1])
    assert ping(outside, "10.0.0.5", timeout_s=0.3).received == 0
    hosts[0].set_link(uuids[0], True)
    assert answers(outside, "10.0.0.5")
    assert answers(outside, "fd00::5")


def test_counters_grow_by_what_was_sent(hosts, make_vif, uuids, answers):
    host, vif = hosts[0], make_vif(5)
    host.plug(uuids[0], [vif])
    host.plug(uuids[1], [make_vif(6)])
    assert answers(host.namespace(uuids[1]), "10.0.0.5")
    before = host.counters(uuids[0])[vif.id]
    assert ping(host.namespace(uuids[1]), "10.0.0.5", count=20, interval_s=0.001).received == 20
    after = host.counters(uuids[0])[vif.id]
    assert after.rx_packets - before.rx_packets >= 20
    assert after.tx_packets - before.tx_packets >= 20
    assert after.tx_bytes - before.tx_bytes >= 20 * (14 + 20 + 8 + 48)


def connect(server_path, client_path, address):
    """A TCP connection between two namespaces; the sockets belong to them wherever they are used."""
    listener = namespaces.in_namespace(server_path, lambda: socket.create_server((address, 0)))
    port = listener.getsockname()[1]
    client = namespaces.in_namespace(client_path, lambda: socket.create_connection((address, port), timeout=10))
    server, _peer = listener.accept()
    listener.close()
    server.settimeout(10)
    return server, client


def test_live_migration_keeps_connections_and_pings(hosts, make_vif, uuids, answers, fabric):
    one, two = hosts[:2]
    vif = make_vif(5)
    one.plug(uuids[0], [vif])
    one.plug(uuids[1], [make_vif(6)])
    two.plug(uuids[2], [make_vif(7)])
    watcher = one.namespace(uuids[1])
    path = one.namespace(uuids[0])
    assert answers(watcher, "10.0.0.5")
    inode = namespaces.inode(path)
    server, client = connect(path, watcher, "10.0.0.5")
    with server, client, Pinger(watcher, "10.0.0.5", interval_s=0.01) as pinger:
        assert pinger.wait_for_reply(10)
        for source, destination in ((one, two), (two, one), (one, two)):
            destination.prepare_migration(uuids[0], [vif])
            destination.migrate(uuids[0], [vif], source)
            source.unplug(uuids[0], [vif])  # what nova asks of the source afterwards
            source.unplug(uuids[0])
            client.sendall(b"still there?")
            assert server.recv(100) == b"still there?"
        result = pinger.stop()
    assert result.sent > 0
    assert result.lost <= 3  # at most the one echo that each switch-over may meet on its way
    assert (one.namespace(uuids[0]), two.namespace(uuids[0])) == (None, path)
    assert namespaces.inode(path) == inode
    assert answers(two.namespace(uuids[2]), "10.0.0.5")
    assert answers(two.namespace(uuids[2]), "fd00::5")
    assert one.counters(uuids[0]) == {}
    assert two.counters(uuids[0])[vif.id].rx_packets > 0


def test_abandoned_migration_leaves_the_destination_as_it_was(hosts, make_vif, uuids, fabric, answers):
    vif = make_vif(5)
    hosts[0].plug(uuids[0], [vif])
    hosts[0].plug(uuids[1], [make_vif(6)])
    before = {entry.name for entry in fabric.ledger.entries() if entry.attributes.get("host") == "compute-1"}
    hosts[1].prepare_migration(uuids[0], [vif])
    hosts[1].abort_migration(uuids[0], [vif])
    after = {entry.name for entry in fabric.ledger.entries() if entry.attributes.get("host") == "compute-1"}
    assert before == after == set()
    assert answers(hosts[0].namespace(uuids[1]), "10.0.0.5")


@pytest.mark.parametrize("step", ["MakeBridge", "MoveLinks", "Announce"])
def test_failed_migration_leaves_the_instance_where_it_was(hosts, make_vif, uuids, fabric, answers, step):
    vif = make_vif(5)
    hosts[0].plug(uuids[0], [vif])
    hosts[0].plug(uuids[1], [make_vif(6)])

    def fail(operation):
        if type(operation).__name__ == step:
            raise RealizerError("injected")

    fabric.before = fail
    with pytest.raises(RealizerError, match="injected"):
        hosts[1].migrate(uuids[0], [vif], hosts[0])
    fabric.before = None
    assert fabric.host_of(uuids[0]) == "compute-0"
    assert answers(hosts[0].namespace(uuids[1]), "10.0.0.5")
    assert [e for e in fabric.ledger.entries() if e.attributes.get("host") == "compute-1"] == []


def test_migration_from_another_kind_makes_it_anew(hosts, make_vif, uuids, answers):
    elsewhere = NullRealizer("other")
    vif = make_vif(5)
    elsewhere.plug(uuids[0], [vif])
    hosts[0].plug(uuids[1], [make_vif(6)])
    hosts[0].migrate(uuids[0], [vif], elsewhere)
    assert answers(hosts[0].namespace(uuids[1]), "10.0.0.5")
    assert elsewhere.operations(uuids[0]) == ()


def test_rebuilt_on_another_host_it_leaves_the_first(hosts, make_vif, uuids, answers):
    vif = make_vif(5)
    hosts[0].plug(uuids[0], [vif])
    hosts[1].plug(uuids[1], [make_vif(6)])
    hosts[1].plug(uuids[0], [vif])
    hosts[0].unplug(uuids[0])
    assert answers(hosts[1].namespace(uuids[1]), "10.0.0.5")


@pytest.mark.parametrize("position", range(4))
def test_every_failed_step_of_a_plug_leaves_nothing(hosts, make_vif, uuids, fabric, position):
    idle = devices(fabric.path), fabric.ledger.entries()
    seen = []

    def fail(operation):
        seen.append(operation)
        if len(seen) > position:
            raise RealizerError("injected")

    fabric.before = fail
    with pytest.raises(RealizerError, match="injected"):
        hosts[0].plug(uuids[0], [make_vif(5), make_vif(6)])
    fabric.before = None
    assert len(seen) == position + 1
    assert (devices(fabric.path) & idle[0], fabric.ledger.entries()) == idle
    assert not [n for n in devices(fabric.path) if n.startswith("nf")]
    assert hosts[0].namespace(uuids[0]) is None
    assert [p.name for p in fabric.directory.iterdir()] == ["fabric"]


def test_what_the_kernel_refuses_leaves_nothing(hosts, make_vif, uuids, fabric):
    """A stranger's device has the second host end's name: the first VIF's must go again, the stranger's stay."""
    one, two = make_vif(5), make_vif(6)

    def stranger():
        with netlink.Socket() as sock:
            name = rtnetlink.name(two.devname)
            sock.send([rtnetlink.BRIDGE.fill(devname=name, mac=b"\x02abcde", mtu=1500, flags=0)])

    namespaces.in_namespace(fabric.path, stranger)
    before = fabric.ledger.entries()
    with pytest.raises(RealizerError, match=f"{two.devname} is taken"):
        hosts[0].plug(uuids[0], [one, two])
    assert fabric.ledger.entries() == before
    assert two.devname in devices(fabric.path)
    assert one.devname not in devices(fabric.path)


def test_an_address_that_the_kernel_refuses_undoes_the_hot_plug(hosts, make_vif, uuids, fabric):
    one = make_vif(5)
    hosts[0].plug(uuids[0], [one])
    multicast = make_vif(6, network=1)
    bad = {"cidr": "ff0e::/64", "gateway": None, "ips": [{"address": "ff0e::5"}]}
    info = {"id": "bad", "address": "fa:16:3e:99:99:99", "type": "bridge", "network": {"id": "n", "subnets": [bad]}}
    before = fabric.ledger.entries()
    with pytest.raises(RealizerError, match="refused to add an IPv6 address"):
        hosts[0].plug(uuids[0], [multicast, type(one).from_network_info(info)])
    assert fabric.ledger.entries() == before
    assert devices(hosts[0].namespace(uuids[0])) == {"lo", "eth0"}


def test_a_burst_of_thirty_is_one_message_to_the_kernel(hosts, make_vif, fabric, answers, monkeypatch):
    hosts[0].plug("first", [make_vif(200)])  # the bridge
    sent, send = [], fabric._wiring.socket.send
    monkeypatch.setattr(fabric._wiring.socket, "send", lambda messages: (sent.append(len(messages)), send(messages)))
    burst = Burst(fabric)
    burst.run({n: lambda n=n: hosts[0].plug(f"i{n}", [make_vif(n)]) for n in range(2, 32)})
    assert burst.errors == {}
    assert sent == [30]
    assert all(answers(hosts[0].namespace("first"), f"10.0.0.{n}") for n in range(2, 32))
    burst.run({n: lambda n=n: hosts[0].unplug(f"i{n}") for n in range(2, 32)})
    assert burst.errors == {}
    assert fabric.instances() == ("first",)
    assert sorted(path.name for path in fabric.directory.iterdir()) == ["fabric", "fake-first"]


def test_in_a_burst_one_instances_fault_is_not_the_others(hosts, make_vif, fabric, answers):
    """One's name is taken, another's MAC, a third fails at a later step: each is told, and nothing of it is left."""
    hosts[0].plug("first", [make_vif(200, devname="taken")])
    taken, late = make_vif(5), make_vif(6)

    def stranger():
        with netlink.Socket() as sock:
            sock.send(
                [rtnetlink.BRIDGE.fill(devname=rtnetlink.name(taken.devname), mac=b"\x02abcde", mtu=1500, flags=0)]
            )

    def fail(operation):
        if isinstance(operation, plan.ConfigureGuest) and operation.instance == "late":
            raise RealizerError("injected")

    namespaces.in_namespace(fabric.path, stranger)
    before = {entry.name for entry in fabric.ledger.entries()}
    fabric.before = fail
    burst = Burst(fabric)
    calls = {f"i{n}": lambda n=n: hosts[0].plug(f"i{n}", [make_vif(n)]) for n in range(10, 20)}
    calls |= {
        "taken": lambda: hosts[0].plug("taken", [taken]),
        "late": lambda: hosts[0].plug("late", [late]),
        "one": lambda: hosts[0].plug("one", [make_vif(20, address="fa:16:3e:aa:aa:aa")]),
        "other": lambda: hosts[0].plug("other", [make_vif(21, address="fa:16:3e:aa:aa:aa")]),
    }
    burst.run(calls)
    fabric.before = None
    assert burst.errors.keys() - {"one", "other"} == {"taken", "late"}
    assert len(burst.errors) == 3
    assert "is taken by something else" in str(burst.errors["taken"])
    twin = next(iter(burst.errors.keys() & {"one", "other"}))
    assert "has this MAC" in str(burst.errors[twin])
    assert not {"late", "taken", twin} & set(fabric.instances())
    assert taken.devname in devices(fabric.path)
    assert late.devname not in devices(fabric.path)
    assert all(answers(hosts[0].namespace("first"), f"10.0.0.{n}") for n in range(10, 20))
    for instance in fabric.instances()[1:]:
        hosts[0].unplug(instance)
    assert {entry.name for entry in fabric.ledger.entries()} == before


def test_a_bridge_that_goes_within_a_burst_is_made_again(hosts, make_vif, fabric, answers):
    """The last instance of a network leaves it while another's interfaces wait to be made."""
    hosts[0].plug("leaving", [make_vif(5)])
    burst = Burst(fabric)
    burst.run(
        {
            "comes": lambda: hosts[0].plug("comes", [make_vif(6)]),
            "goes": lambda: hosts[0].unplug("leaving"),
            "too": lambda: hosts[0].plug("too", [make_vif(7)]),
        }
    )
    assert burst.errors == {}
    assert answers(hosts[0].namespace("comes"), "10.0.0.7")


def test_a_hundred_that_go_at_once_are_waited_for_by_those_who_ask(hosts, make_vif, fabric):
    vifs = {f"i{n}": make_vif(n) for n in range(2, 102)}
    fabric.together([lambda i=i, v=v: hosts[0].plug(i, [v]) for i, v in vifs.items()])
    assert {vif.devname for vif in vifs.values()} <= devices(fabric.path)
    fabric.together([lambda i=i: hosts[0].unplug(i) for i in vifs])
    assert fabric.instances() == ()
    assert fabric.settle()
    assert not {vif.devname for vif in vifs.values()} & devices(fabric.path)
    assert fabric.settle(0)  # nothing is on its way any more


def test_what_somebody_holds_open_does_not_go_in_time(hosts, make_vif, uuids, fabric):
    hosts[0].plug(uuids[0], [make_vif(5)])
    held = namespaces.open_namespace(hosts[0].namespace(uuids[0]))
    hosts[0].unplug(uuids[0])
    assert not fabric.settle(0.05)
    os.close(held)
    assert fabric.settle()


def test_equal_names_on_two_hosts_do_not_clash(hosts, make_vif, uuids, answers):
    hosts[0].plug(uuids[0], [make_vif(5, devname="tap0")])
    hosts[1].plug(uuids[1], [make_vif(6, devname="tap0")])
    assert answers(hosts[0].namespace(uuids[0]), "10.0.0.6")


def test_one_mac_twice_on_a_network_is_refused(hosts, make_vif, uuids, fabric):
    hosts[0].plug(uuids[0], [make_vif(5)])
    before = fabric.ledger.entries()
    with pytest.raises(InvalidInput, match="has this MAC on network"):
        hosts[1].plug(uuids[1], [make_vif(5)])
    assert fabric.ledger.entries() == before


@pytest.mark.parametrize("changes", [{"type": "vhostuser"}, {"vnic_type": "direct"}])
def test_refuses_other_kinds_of_vif(hosts, make_vif, uuids, changes):
    with pytest.raises(InvalidInput, match="bridge realizer"):
        hosts[0].plug(uuids[0], [make_vif(5, **changes)])


def test_a_strangers_namespace_is_left_alone(hosts, make_vif, uuids, fabric):
    path = fabric.directory / f"fake-{uuids[0]}"
    path.write_text("precious")
    with pytest.raises(RealizerError, match="not ours"):
        hosts[0].plug(uuids[0], [make_vif(5)])
    assert path.read_text() == "precious"
    path.unlink()


def test_in_the_processs_own_namespace(tmp_path, make_vif, uuids, answers):
    """A nova-compute by itself: bridges in the namespace that it runs in, marked as ours, gone afterwards."""

    def run():
        with Ledger(tmp_path / "ledger") as ledger, Fabric(ledger, directory=tmp_path / "netns") as fabric:
            host = BridgeRealizer("h", fabric)
            host.plug(uuids[0], [make_vif(5)])
            host.plug(uuids[1], [make_vif(6)])
            assert answers(host.namespace(uuids[0]), "fd00::6")
            with netlink.Socket() as sock:
                marks = {link.alias for link in sock.links() if link.alias}
            assert marks == {e.mark for e in ledger.entries("device")}
            host.unplug(uuids[0])
            fabric.close()
            with netlink.Socket() as sock:
                return {link.name for link in sock.links()}

    def isolated():
        namespaces.unshare_network()
        with netlink.Socket() as sock:
            idle = {link.name for link in sock.links()}
        return run() - idle

    assert namespaces.in_thread(isolated) == set()


def test_a_closed_fabric_refuses(tmp_path, ledger, make_vif, uuids):
    fabric = Fabric(ledger, directory=tmp_path / "netns", namespace="fabric")
    fabric.close()
    fabric.close()
    with pytest.raises(RealizerError, match="closed"):
        fabric.plug("h", uuids[0], [make_vif(5)])
    assert ledger.entries() == ()
