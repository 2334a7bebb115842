"""Instances on a real OVN: what ovn-controller looks for is there, so that ports come up and packets pass."""

import dataclasses
import json

import pytest
from ovn import OVN, eventually

from nova_fakes.virt.vif import namespaces
from nova_fakes.virt.vif.base import Subnet
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.ovs import OVSRealizer
from nova_fakes.virt.vif.ovs_fabric import SwitchFabric
from nova_fakes.virt.vif.ovs_service import OpenVSwitch
from nova_fakes.virt.vif.switch import Switch

pytestmark = pytest.mark.privileged


@pytest.fixture
def chassis(place):
    """A machine with Open vSwitch and OVN, neither of them ours; its namespace, its switch and its OVN."""
    path = place / "machine"
    namespaces.in_thread(lambda: namespaces.make(path))
    namespaces.run_in(str(path), ["ip", "link", "set", "lo", "up"])
    service = OpenVSwitch(Ledger(), place / "ovs", str(path))
    ovn = OVN(place / "ovn", str(path), service.socket)
    service.start()
    try:
        ovn.start()
        yield str(path), Switch(service.socket), ovn
    finally:
        ovn.stop()
        service.stop()
        namespaces.remove(path)


@pytest.fixture
def on_chassis(place, chassis):
    """Call a function on the machine, with the realizer that a nova-compute there would have."""
    path, switch, _ovn = chassis

    def call(function):
        def run():
            with Ledger(place / "ledger") as ledger:
                fabric = SwitchFabric(ledger, directory=place / "netns", socket=switch.socket)
                try:
                    function(OVSRealizer("h", fabric))
                finally:
                    fabric.close()
                assert ledger.entries() == ()

        namespaces.in_namespace(path, run)

    return call


def ports_of(ovn, *vifs):
    """Make a logical switch with a port for each VIF, as Neutron would."""
    ovn.north("ls-add", "net")
    for vif in vifs:
        addresses = " ".join(address for subnet in vif.subnets for address in subnet.addresses)
        ovn.north("lsp-add", "net", vif.id)
        ovn.north("lsp-set-addresses", vif.id, f"{vif.address} {addresses}")
        ovn.north("lsp-set-port-security", vif.id, f"{vif.address} {addresses}")


def up(ovn, vif):
    return ovn.north("lsp-get-up", vif.id) == "up"


def global_addresses(path):
    done = namespaces.run_in(path, ["ip", "-j", "addr", "show", "eth0"])
    (link,) = json.loads(done.stdout)
    return {one["local"] for one in link["addr_info"] if one["scope"] == "global" and not one.get("tentative")}


def advertised(path):
    return namespaces.run_in(path, ["ip", "-6", "route", "show", "default", "proto", "ra"]).stdout


@pytest.mark.timeout(300)
def test_ports_come_up_and_packets_pass(chassis, on_chassis, make_vif, uuids, answers):
    _path, switch, ovn = chassis
    one, two = (make_vif(number, gateway=False, type="ovs", bridge="br-int") for number in (5, 6))
    ports_of(ovn, one, two)
    assert not up(ovn, one)

    def run(realizer):
        realizer.plug(uuids[0], [one])
        realizer.plug(uuids[1], [two])
        eventually(lambda: up(ovn, one) and up(ovn, two))
        for address in ("10.0.0.6", "fd00::6"):
            assert answers(realizer.namespace(uuids[0]), address)
        said = ovn.run("ovs-vsctl", f"--db=unix:{switch.socket}", "get", "Interface", one.devname, "external_ids")
        assert 'ovn-installed="true"' in said, "what the controller has written stays"
        realizer.plug(uuids[0], [one])
        again = ovn.run("ovs-vsctl", f"--db=unix:{switch.socket}", "get", "Interface", one.devname, "external_ids")
        assert again == said
        realizer.unplug(uuids[0])
        eventually(lambda: not up(ovn, one))

    on_chassis(run)


@pytest.mark.timeout(300)
def test_addresses_by_ovns_own_dhcp(chassis, on_chassis, make_vif, uuids, answers):
    """OVN answers DHCP and DHCPv6 itself, and its logical router advertises the prefix."""
    _path, _switch, ovn = chassis
    one, two = (make_vif(number, type="ovs", bridge="br-int") for number in (5, 6))
    ports_of(ovn, one, two)
    ovn.north("lr-add", "router")
    ovn.north("lrp-add", "router", "leg", "fa:16:3e:00:00:01", "10.0.0.1/24", "fd00::1/64")
    ovn.north("set", "Logical_Router_Port", "leg", "ipv6_ra_configs:address_mode=dhcpv6_stateful")
    ovn.north("lsp-add", "net", "to-router")
    ovn.north("lsp-set-type", "to-router", "router")
    ovn.north("lsp-set-addresses", "to-router", "router")
    ovn.north("lsp-set-options", "to-router", "router-port=leg")
    settings = {"lease_time": "3600", "router": "10.0.0.1", "server_id": "10.0.0.1", "server_mac": "fa:16:3e:00:00:01"}
    pairs = " ".join(f'{key}="{value}"' for key, value in settings.items())
    four = ovn.north("create", "DHCP_Options", "cidr=10.0.0.0/24", f"options={pairs}")
    six = ovn.north("create", "DHCP_Options", 'cidr="fd00::/64"', 'options=server_id="fa:16:3e:00:00:01"')
    for vif in (one, two):
        ovn.north("lsp-set-dhcpv4-options", vif.id, four)
        ovn.north("lsp-set-dhcpv6-options", vif.id, six)
    unknown = (
        Subnet("10.0.0.0/24", None, ("10.0.0.250",)),
        Subnet("fd00::/64", None, ("fd00::250",), ipv6_mode="dhcpv6-stateful"),
    )

    def run(realizer):
        for uuid, vif in zip(uuids, (one, two), strict=False):
            realizer.plug(uuid, [dataclasses.replace(vif, addressing="dhcp", subnets=unknown)])
        eventually(lambda: global_addresses(realizer.namespace(uuids[0])) == {"10.0.0.5", "fd00::5"})
        eventually(lambda: global_addresses(realizer.namespace(uuids[1])) == {"10.0.0.6", "fd00::6"})
        for uuid in uuids[:2]:
            eventually(lambda uuid=uuid: advertised(realizer.namespace(uuid)))
        for address in ("10.0.0.6", "fd00::6", "10.0.0.1"):
            assert answers(realizer.namespace(uuids[0]), address)

    on_chassis(run)
