"""Instances that get their addresses by DHCP, from dnsmasq: Neutron's DHCP agent uses it too."""

import contextlib
import dataclasses
import json
from random import Random

import pytest
from dhcp_server import RELEASE, SERVER, Capture, Server, eventually, known

from nova_fakes.clock import ManualClock
from nova_fakes.virt.vif import namespaces, netlink, rtnetlink
from nova_fakes.virt.vif.base import Subnet
from nova_fakes.virt.vif.bridge import BridgeRealizer
from nova_fakes.virt.vif.fabric import Fabric
from nova_fakes.virt.vif.leases import Leases
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.ovs import OVSRealizer
from nova_fakes.virt.vif.ovs_fabric import SwitchFabric

pytestmark = pytest.mark.privileged

#: What Neutron gives with an isolated subnet, and what an operator may add.
OPTIONS = (
    "option:router,10.0.0.1",
    f"option:classless-static-route,169.254.169.254/32,{SERVER},192.0.2.0/24,10.0.0.9,10.7.0.0/16,0.0.0.0,0.0.0.0/0,10.0.0.1",
    "option:mtu,1400",
)


@pytest.fixture
def start_server(tmp_path, make_vif):
    """Start a server on a host, as the instance ``server``; ended with the test."""
    servers = []

    def start(host, *options, options_given=OPTIONS):
        vif = make_vif(2, gateway=False)
        host.plug("server", [dataclasses.replace(vif, subnets=vif.subnets[:1])])
        lines = [f"--dhcp-option-force={option}" for option in options_given]
        servers.append(Server(tmp_path / "dnsmasq", host.namespace("server"), *lines, *options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def make_port(make_vif):
    """Make VIF number n, which asks for its IPv4 address; what nova knows of it is another one."""

    def make(number, **changes):
        vif = make_vif(number, **changes)
        wrong = Subnet("10.99.0.0/24", "10.99.0.1", ("10.99.0.9",))
        return dataclasses.replace(vif, addressing="dhcp", subnets=(wrong, vif.subnets[1]))

    return make


def ip(path, *arguments):
    return json.loads(namespaces.run_in(path, ["ip", "-j", *arguments]).stdout)


def addresses(path, device="eth0", family="inet"):
    (link,) = ip(path, "addr", "show", device)
    return [f"{one['local']}/{one['prefixlen']}" for one in link["addr_info"] if one["family"] == family]


def test_the_whole_lease_is_applied(hosts, start_server, make_port, uuids, answers):
    start_server(hosts[0], known(5))
    hosts[1].plug(uuids[0], [make_port(5)])
    namespace = hosts[1].namespace(uuids[0])
    eventually(lambda: addresses(namespace))
    assert addresses(namespace) == ["10.0.0.5/24"]
    assert addresses(namespace, family="inet6") == ["fd00::5/64"]
    routes = {(one["dst"], one.get("gateway")) for one in ip(namespace, "-4", "route")}
    assert routes == {
        ("10.0.0.0/24", None),
        ("10.7.0.0/16", None),
        ("169.254.169.254", SERVER),
        ("192.0.2.0/24", "10.0.0.9"),
        ("default", "10.0.0.1"),
    }
    assert ip(namespace, "link", "show", "eth0")[0]["mtu"] == 1400
    assert answers(hosts[0].namespace("server"), "10.0.0.5")


def test_static_ones_on_the_same_network_are_as_nova_says(hosts, start_server, make_vif, make_port, uuids, answers):
    server = start_server(hosts[0], known(5), known(6))
    hosts[0].plug(uuids[0], [make_port(5)])
    hosts[0].plug(uuids[1], [make_vif(6)])
    eventually(lambda: addresses(hosts[0].namespace(uuids[0])))
    assert answers(hosts[0].namespace(uuids[1]), "10.0.0.5")
    assert "fa:16:3e:00:00:06" not in server.said()


def test_the_lease_is_given_back(hosts, start_server, make_port, uuids):
    server = start_server(hosts[0], known(5), known(6))
    one, two = make_port(5), make_port(6)
    hosts[0].plug(uuids[0], [one, two])
    namespace = hosts[0].namespace(uuids[0])
    eventually(lambda: addresses(namespace, "eth0") and addresses(namespace, "eth1"))
    hosts[0].unplug(uuids[0], [two])
    eventually(lambda: "DHCPRELEASE(eth0) 10.0.0.6" in server.said())
    hosts[0].unplug(uuids[0])
    eventually(lambda: "DHCPRELEASE(eth0) 10.0.0.5" in server.said())
    assert server.database.read_text() == ""


def test_what_has_moved_keeps_its_lease(hosts, start_server, make_port, uuids):
    server = start_server(hosts[0], known(5), known(6))
    hosts[0].plug(uuids[0], [make_port(5)])
    hosts[0].plug(uuids[1], [make_port(6)])
    eventually(lambda: all(addresses(hosts[0].namespace(uuid)) for uuid in uuids[:2]))
    hosts[0].depart(uuids[0])
    assert hosts[0].namespace(uuids[0]) is None
    hosts[0].unplug(uuids[1])
    eventually(lambda: "DHCPRELEASE(eth0) 10.0.0.6" in server.said())
    assert "DHCPRELEASE(eth0) 10.0.0.5" not in server.said()
    eventually(lambda: "10.0.0.5" in server.database.read_text())


def test_a_server_that_comes_late_is_found(hosts, start_server, make_port, uuids):
    hosts[0].plug(uuids[0], [make_port(5)])
    start_server(hosts[0], known(5))
    eventually(lambda: addresses(hosts[0].namespace(uuids[0])))


def test_with_its_link_back_the_address_is_asked_for_again(hosts, start_server, make_port, uuids):
    server = start_server(hosts[0], known(5))
    hosts[0].plug(uuids[0], [make_port(5)])
    namespace = hosts[0].namespace(uuids[0])
    eventually(lambda: addresses(namespace))
    before = server.said()
    hosts[0].set_link(uuids[0], False)
    hosts[0].set_link(uuids[0], True)
    eventually(lambda: "DHCPACK(eth0) 10.0.0.5" in server.said_since(before))
    assert "DHCPDISCOVER" not in server.said_since(before)
    assert addresses(namespace) == ["10.0.0.5/24"]


def test_a_failed_plug_leaves_no_client(hosts, fabric, start_server, make_port, uuids):
    start_server(hosts[0], known(5))
    vif = make_port(5)

    def before(operation):
        if type(operation).__name__ == "AskForLeases":
            raise RuntimeError("no")

    fabric.before = before
    with pytest.raises(RuntimeError):
        hosts[0].plug(uuids[0], [vif])
    fabric.before = None
    assert hosts[0].namespace(uuids[0]) is None
    hosts[0].plug(uuids[0], [vif])
    eventually(lambda: addresses(hosts[0].namespace(uuids[0])))


def test_a_new_process_goes_on_with_the_leases(tmp_path, start_server, make_port, uuids):
    place, vif = {"directory": tmp_path / "netns", "namespace": "fabric"}, make_port(5)
    with Ledger(tmp_path / "ledger") as ledger:
        fabric = Fabric(ledger, **place)
        host = BridgeRealizer("h1", fabric)
        server = start_server(host, known(5))
        host.plug(uuids[0], [vif])
        namespace = host.namespace(uuids[0])
        eventually(lambda: addresses(namespace))
        fabric.close(keep=True)
        assert addresses(namespace) == ["10.0.0.5/24"]
        before = server.said()
        assert "DHCPRELEASE" not in before
        capture = Capture(host.namespace("server"))
        with Fabric(ledger, **place) as fabric:
            eventually(lambda: fabric._wiring.leases.lease(vif.id))
            assert "DHCPACK(eth0) 10.0.0.5" in server.said_since(before)
            assert "DHCPDISCOVER" not in server.said_since(before)
            BridgeRealizer("h1", fabric).plug(uuids[0], [vif])
            assert addresses(namespace) == ["10.0.0.5/24"]
    with contextlib.closing(capture):
        eventually(lambda: capture.heard(RELEASE))  # the fabric was closed for good


@pytest.mark.parametrize("details", [{}, {"ovs_hybrid_plug": True}], ids=["native", "hybrid"])
def test_on_a_switch(place, start_server, make_port, uuids, details):
    options = {"directory": place / "netns", "namespace": "fabric", "switch_directory": place / "ovs"}
    with Ledger(place / "ledger") as ledger, SwitchFabric(ledger, **options) as fabric:
        host = OVSRealizer("h1", fabric)
        server = start_server(host, known(5))
        host.plug(uuids[0], [make_port(5, type="ovs", details=details)])
        eventually(lambda: addresses(host.namespace(uuids[0])))
        host.unplug(uuids[0])
        eventually(lambda: "DHCPRELEASE(eth0) 10.0.0.5" in server.said())


class Station:
    """An interface of an instance whose client runs by a clock of its own."""

    def __init__(self, host, uuid, vif):
        host.plug(uuid, [vif])
        self.namespace = host.namespace(uuid)
        self.clock = ManualClock()
        self.leases = Leases(self.clock, Random(1))
        self.vif = vif
        self.seat = host.fabric._wiring.instances[uuid].links[vif.id].seat
        namespaces.in_namespace(self.namespace, lambda: self.leases.ask(vif.id, self.seat, vif.mtu))

    def advance(self, seconds):
        self.clock.advance(seconds)
        self.leases.ring()


@pytest.fixture
def station(hosts, uuids, make_vif):
    vif = make_vif(5)
    made = Station(hosts[0], uuids[0], dataclasses.replace(vif, subnets=()))
    yield made
    made.leases.close()


def test_a_lease_is_renewed_in_its_time_and_runs_out_without_a_server(station, hosts, start_server):
    server = start_server(hosts[0], known(5))
    eventually(lambda: station.advance(1) or addresses(station.namespace))
    before = server.said()
    station.advance(65)
    eventually(lambda: "DHCPACK" in server.said_since(before))
    assert "DHCPDISCOVER" not in server.said_since(before)
    server.stop()
    station.advance(61)
    assert addresses(station.namespace) == ["10.0.0.5/24"]
    station.advance(60)
    eventually(lambda: not addresses(station.namespace))
    assert ip(station.namespace, "-4", "route") == []
    assert ip(station.namespace, "link", "show", "eth0")[0]["mtu"] == station.vif.mtu


def test_another_address_takes_the_place_of_the_first(station, hosts, tmp_path, start_server):
    server = start_server(hosts[0], known(5))
    eventually(lambda: station.advance(1) or addresses(station.namespace))
    server.stop()
    server.database.unlink()
    other = Server(
        tmp_path / "dnsmasq", hosts[0].namespace("server"), known(5, "10.0.0.77"), "--dhcp-option=3,10.0.0.1"
    )
    try:
        station.advance(65)
        eventually(lambda: station.advance(1) or addresses(station.namespace) == ["10.0.0.77/24"])
        assert {one["dst"] for one in ip(station.namespace, "-4", "route")} == {"default", "10.0.0.0/24"}
    finally:
        other.stop()


def test_an_address_that_another_has_is_declined(station, hosts, uuids, make_vif, tmp_path):
    server_port, other = make_vif(2, gateway=False), make_vif(6)
    hosts[0].plug("server", [dataclasses.replace(server_port, subnets=server_port.subnets[:1])])
    hosts[0].plug(uuids[1], [dataclasses.replace(other, subnets=(Subnet("10.0.0.0/24", None, ("10.0.0.5",)),))])
    ranges = ("--dhcp-range=10.0.0.5,10.0.0.6,255.255.255.0,120",)
    server = Server(
        tmp_path / "dnsmasq", hosts[0].namespace("server"), known(5), ranges=ranges, ready="IP range 10.0.0.5"
    )
    try:
        eventually(lambda: station.advance(1) or "DHCPDECLINE(eth0) 10.0.0.5" in server.said())
        eventually(lambda: station.advance(1) or addresses(station.namespace) == ["10.0.0.6/24"])
    finally:
        server.stop()


def test_a_client_whose_interface_vanishes_does_no_harm(station, hosts, start_server):
    start_server(hosts[0], known(5))
    eventually(lambda: station.advance(1) or addresses(station.namespace))

    def delete():
        with netlink.Socket() as sock:
            sock.send([rtnetlink.DELETE_LINK.fill(devname=b"eth0")])

    namespaces.in_namespace(station.namespace, delete)
    station.advance(65)
    station.leases.stop([station.vif.id])
    assert station.leases.lease(station.vif.id) is None
