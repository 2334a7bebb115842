"""Instances that get their IPv6 addresses from the network: router advertisements and DHCPv6, by dnsmasq."""

import contextlib
import dataclasses
import json
from random import Random

import pytest
from dhcp_server import RELEASE6, Capture, Server, eventually

from nova_fakes.clock import ManualClock
from nova_fakes.virt.vif import namespaces, netlink, rtnetlink
from nova_fakes.virt.vif.base import Subnet
from nova_fakes.virt.vif.bridge import BridgeRealizer
from nova_fakes.virt.vif.fabric import Fabric
from nova_fakes.virt.vif.leases import Leases
from nova_fakes.virt.vif.ledger import Ledger

pytestmark = pytest.mark.privileged

#: What Neutron's DHCP agent and router make of each mode: what dnsmasq serves, and says when it does.
STATEFUL = ("--dhcp-range=fd00::,static,64,120",), "DHCPv6, static leases only"
SLAAC = ("--dhcp-range=fd00::,ra-only,64",), "router advertisement on fd00::"
STATELESS = (
    ("--dhcp-range=fd00::,ra-stateless,64", "--dhcp-option=option6:dns-server,[fd00::53]"),
    "DHCPv6 stateless on",
)
ROUTER = "fe80::f816:3eff:fe00:2"


def known(number):
    return f"--dhcp-host=fa:16:3e:00:00:{number:02x},[fd00::{number:x}]"


@pytest.fixture
def start_server(tmp_path, make_vif):
    """Start a server on a host, as the instance ``server`` that is the network's router too; ended with the test."""
    servers = []

    def start(host, served, *options):
        vif = make_vif(2, gateway=False)
        host.plug("server", [vif])
        place = host.namespace("server")
        namespaces.run_in(place, ["ip", "-6", "addr", "add", f"{ROUTER}/64", "dev", "eth0", "nodad"])
        ranges, ready = served
        servers.append(Server(tmp_path / "dnsmasq", place, "--enable-ra", *options, ranges=ranges, ready=ready))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def make_port(make_vif):
    """Make VIF number n, which gets its IPv6 address from the network; what nova knows of it is another one."""

    def make(number, mode, **changes):
        vif = make_vif(number, **changes)
        subnet = Subnet("fd00::/64", "fd00::99", ("fd00::9999",), ipv6_mode=mode)
        return dataclasses.replace(vif, addressing="dhcp", subnets=(subnet,))

    return make


def ip(path, *arguments):
    return json.loads(namespaces.run_in(path, ["ip", "-j", *arguments]).stdout)


def ip_text(path):
    return namespaces.run_in(path, ["ip", "-4", "addr", "show", "eth0"]).stdout


def addresses(path, device="eth0"):
    """The global addresses of an interface that may be used, with prefix length."""
    (link,) = ip(path, "-6", "addr", "show", device)
    found = [one for one in link.get("addr_info", ()) if one["scope"] == "global" and not one.get("tentative")]
    return [f"{one['local']}/{one['prefixlen']}" for one in found]


def default_route(path):
    return [(one["gateway"], one["protocol"], one["metric"]) for one in ip(path, "-6", "route", "show", "default")]


def test_an_address_by_router_advertisement(hosts, start_server, make_port, uuids, answers):
    start_server(hosts[0], SLAAC)
    hosts[1].plug(uuids[0], [make_port(5, "slaac")])
    namespace = hosts[1].namespace(uuids[0])
    eventually(lambda: addresses(namespace) and default_route(namespace))
    assert addresses(namespace) == ["fd00::f816:3eff:fe00:5/64"]  # as Neutron makes it of the MAC, and no other
    assert default_route(namespace) == [(ROUTER, "ra", 1024)]
    assert answers(hosts[0].namespace("server"), "fd00::f816:3eff:fe00:5")


def test_of_two_interfaces_the_first_leads_out(hosts, start_server, make_port, uuids):
    start_server(hosts[0], SLAAC)
    hosts[0].plug(uuids[0], [make_port(5, "slaac"), make_port(6, "slaac")])
    namespace = hosts[0].namespace(uuids[0])
    eventually(lambda: len(default_route(namespace)) == 2)
    assert {metric for _gateway, _protocol, metric in default_route(namespace)} == {1024, 1124}


def test_an_address_by_dhcp(hosts, start_server, make_port, uuids, answers):
    server = start_server(hosts[0], STATEFUL, known(5))
    hosts[1].plug(uuids[0], [make_port(5, "dhcpv6-stateful")])
    namespace = hosts[1].namespace(uuids[0])
    eventually(lambda: addresses(namespace) and default_route(namespace))
    assert addresses(namespace) == ["fd00::5/128"]
    assert answers(hosts[0].namespace("server"), "fd00::5")
    (link,) = ip(namespace, "-6", "addr", "show", "eth0")
    (leased,) = (one for one in link["addr_info"] if one["local"] == "fd00::5")
    assert 0 < leased["preferred_life_time"] <= leased["valid_life_time"] <= 120
    assert "DHCPSOLICIT" in server.said()
    assert "DHCPADVERTISE" in server.said()


def test_what_routers_do_not_tell_by_dhcp(hosts, fabric, start_server, make_port, uuids):
    start_server(hosts[0], STATELESS)
    vif = make_port(5, "dhcpv6-stateless")
    hosts[0].plug(uuids[0], [vif])
    lease = eventually(lambda: fabric._wiring.leases.lease(vif.id, "information6"))
    assert (lease.address, [one.hex() for one in lease.dns]) == (None, ["fd00" + "00" * 13 + "53"])
    eventually(lambda: addresses(hosts[0].namespace(uuids[0])))
    assert addresses(hosts[0].namespace(uuids[0])) == ["fd00::f816:3eff:fe00:5/64"]


def test_both_families_by_dhcp(hosts, start_server, make_port, make_vif, uuids):
    server = start_server(
        hosts[0], ((*STATEFUL[0], "--dhcp-range=10.0.0.0,static,255.255.255.0,120"), STATEFUL[1]), known(5),
        "--dhcp-host=fa:16:3e:00:00:05,10.0.0.5",
    )  # fmt: skip
    port = make_port(5, "dhcpv6-stateful")
    hosts[0].plug(uuids[0], [dataclasses.replace(port, subnets=(*make_vif(5).subnets[:1], *port.subnets))])
    namespace = hosts[0].namespace(uuids[0])
    eventually(lambda: addresses(namespace) and "10.0.0.5/24" in ip_text(namespace))
    hosts[0].unplug(uuids[0])
    eventually(lambda: "DHCPRELEASE(eth0) 10.0.0.5" in server.said())
    eventually(lambda: "DHCPRELEASE(eth0) 00:03:00:01:fa:16:3e:00:00:05" in server.said())


def test_static_ones_are_as_nova_says(hosts, start_server, make_vif, uuids):
    server = start_server(hosts[0], STATEFUL, known(5))
    vif = make_vif(6)
    fixed = dataclasses.replace(vif.subnets[1], ipv6_mode="dhcpv6-stateful")
    hosts[0].plug(uuids[0], [dataclasses.replace(vif, subnets=(fixed,))])
    assert addresses(hosts[0].namespace(uuids[0])) == ["fd00::6/64"]
    assert "fa:16:3e:00:00:06" not in server.said()


def test_the_lease_is_given_back(hosts, start_server, make_port, uuids):
    server = start_server(hosts[0], STATEFUL, known(5))
    hosts[0].plug(uuids[0], [make_port(5, "dhcpv6-stateful")])
    eventually(lambda: addresses(hosts[0].namespace(uuids[0])))
    eventually(lambda: "fd00::5" in server.database.read_text().split())
    hosts[0].unplug(uuids[0])
    eventually(lambda: "DHCPRELEASE" in server.said())
    eventually(lambda: "fd00::5" not in server.database.read_text().split())


def test_what_has_moved_keeps_its_lease(hosts, start_server, make_port, uuids):
    server = start_server(hosts[0], STATEFUL, known(5), known(6))
    for uuid, number in zip(uuids, (5, 6), strict=False):
        hosts[0].plug(uuid, [make_port(number, "dhcpv6-stateful")])
    eventually(lambda: all(addresses(hosts[0].namespace(uuid)) for uuid in uuids[:2]))
    hosts[0].depart(uuids[0])
    hosts[0].unplug(uuids[1])
    eventually(lambda: "fd00::6" not in server.database.read_text().split())
    eventually(lambda: "fd00::5" in server.database.read_text().split())


def test_with_its_link_back_the_address_is_confirmed(hosts, start_server, make_port, uuids):
    server = start_server(hosts[0], STATEFUL, known(5))
    hosts[0].plug(uuids[0], [make_port(5, "dhcpv6-stateful")])
    namespace = hosts[0].namespace(uuids[0])
    eventually(lambda: addresses(namespace))
    before = server.said()
    hosts[0].set_link(uuids[0], False)
    hosts[0].set_link(uuids[0], True)
    eventually(lambda: "DHCPCONFIRM" in server.said_since(before))
    assert "DHCPSOLICIT" not in server.said_since(before)
    assert addresses(namespace) == ["fd00::5/128"]


def test_a_new_process_goes_on_with_the_lease(tmp_path, start_server, make_port, uuids):
    place, vif = {"directory": tmp_path / "netns", "namespace": "fabric"}, make_port(5, "dhcpv6-stateful")
    with Ledger(tmp_path / "ledger") as ledger:
        fabric = Fabric(ledger, **place)
        host = BridgeRealizer("h1", fabric)
        server = start_server(host, STATEFUL, known(5))
        host.plug(uuids[0], [vif])
        namespace = host.namespace(uuids[0])
        eventually(lambda: addresses(namespace))
        fabric.close(keep=True)
        assert addresses(namespace) == ["fd00::5/128"]
        before = server.said()
        assert "DHCPRELEASE" not in before
        capture = Capture(host.namespace("server"))
        with Fabric(ledger, **place) as fabric:
            eventually(lambda: fabric._wiring.leases.lease(vif.id, "dhcp6"))
            assert "DHCPREBIND" in server.said_since(before)
            assert "DHCPSOLICIT" not in server.said_since(before)
            BridgeRealizer("h1", fabric).plug(uuids[0], [vif])
            assert addresses(namespace) == ["fd00::5/128"]
    with contextlib.closing(capture):
        eventually(lambda: capture.heard(RELEASE6))  # the fabric was closed for good


class Station:
    """An interface of an instance whose DHCPv6 client runs by a clock of its own."""

    def __init__(self, host, uuid, vif):
        host.plug(uuid, [vif])
        self.namespace = host.namespace(uuid)
        namespaces.run_in(self.namespace, ["ip", "-6", "addr", "add", "fe80::5/64", "dev", "eth0", "nodad"])
        self.clock = ManualClock()
        self.leases = Leases(self.clock, Random(1))
        self.vif = vif
        seat = host.fabric._wiring.instances[uuid].links[vif.id].seat
        namespaces.in_namespace(self.namespace, lambda: self.leases.ask(vif.id, seat, vif.mtu, ("dhcp6",)))

    def advance(self, seconds):
        self.clock.advance(seconds)
        self.leases.ring()


def test_a_lease_is_renewed_in_its_time_and_runs_out_without_a_server(hosts, uuids, make_vif, start_server):
    vif = make_vif(5)
    station = Station(hosts[0], uuids[0], dataclasses.replace(vif, subnets=()))
    try:
        server = start_server(hosts[0], STATEFUL, known(5))
        eventually(lambda: station.advance(1) or station.leases.lease(vif.id, "dhcp6"))
        eventually(lambda: "fd00::5/128" in addresses(station.namespace))
        before = server.said()
        station.advance(65)
        eventually(lambda: "DHCPRENEW" in server.said_since(before))
        eventually(lambda: "DHCPREPLY" in server.said_since(before))
        assert "DHCPSOLICIT" not in server.said_since(before)
        server.stop()
        station.advance(61)
        assert "fd00::5/128" in addresses(station.namespace)
        station.advance(60)
        eventually(lambda: station.advance(1) or "fd00::5/128" not in addresses(station.namespace))
    finally:
        station.leases.close()


@pytest.mark.parametrize("lasts", ["120", "infinite"])
def test_an_address_that_another_has_is_declined(hosts, uuids, make_vif, start_server, lasts):
    other = dataclasses.replace(make_vif(6), subnets=(Subnet("fd00::/64", None, ("fd00::5",)),))
    hosts[0].plug(uuids[1], [other])
    station = Station(hosts[0], uuids[0], dataclasses.replace(make_vif(5), subnets=()))
    served = (f"--dhcp-range=fd00::5,fd00::6,64,{lasts}",), "DHCPv6, IP range fd00::5 -- fd00::6"
    try:
        server = start_server(hosts[0], served, known(5))
        eventually(lambda: station.advance(1) or "DHCPDECLINE" in server.said())
        eventually(lambda: station.advance(1) or addresses(station.namespace) == ["fd00::6/128"])
        (link,) = ip(station.namespace, "-6", "addr", "show", "eth0")
        assert "fd00::5" not in [one["local"] for one in link["addr_info"]]
    finally:
        station.leases.close()


def test_a_client_whose_interface_vanishes_does_no_harm(hosts, start_server, make_port, uuids, fabric):
    start_server(hosts[0], STATEFUL, known(5))
    vif = make_port(5, "dhcpv6-stateful")
    hosts[0].plug(uuids[0], [vif])
    namespace = hosts[0].namespace(uuids[0])
    eventually(lambda: addresses(namespace))

    def delete():
        with netlink.Socket() as sock:
            sock.send([rtnetlink.DELETE_LINK.fill(devname=b"eth0")])

    namespaces.in_namespace(namespace, delete)
    fabric._wiring.leases.reboot([vif.id])
    hosts[0].unplug(uuids[0])
    assert fabric._wiring.leases.lease(vif.id, "dhcp6") is None
