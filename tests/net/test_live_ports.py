"""Ports that change while they are in use, and ports of the less common shapes: MTU, metadata, trunks, IPv6 alone."""

import dataclasses
import json

import pytest
from test_ovs_realizer import own_switch

from nova_fakes.exceptions import InvalidInput, KernelRefused
from nova_fakes.virt.vif import namespaces
from nova_fakes.virt.vif.base import VIF
from nova_fakes.virt.vif.bridge import BridgeRealizer
from nova_fakes.virt.vif.fabric import Fabric
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.ovs import OVSRealizer
from nova_fakes.virt.vif.ovs_fabric import SwitchFabric
from nova_fakes.virt.vif.ping import mesh
from nova_fakes.virt.vif.plan import gateway_mac
from nova_fakes.virt.vif.steps import SetMtu

pytestmark = pytest.mark.privileged

HYBRID = {"ovs_hybrid_plug": True}


def ip(path, *arguments):
    return json.loads(namespaces.run_in(path, ["ip", "-j", *arguments]).stdout)


def mtus(path):
    return {link["ifname"]: link["mtu"] for link in ip(path, "link") if link["ifname"] != "lo"}


def routes(path):
    """Each route by a gateway: destination and gateway."""
    found = ip(path, "-4", "route") + ip(path, "-6", "route")
    return {(route["dst"], route["gateway"]) for route in found if "gateway" in route}


@pytest.fixture
def switch_fabric(place):
    options = {"directory": place / "netns", "namespace": "fabric", "switch_directory": place / "ovs"}
    with Ledger(place / "ledger") as ledger, SwitchFabric(ledger, **options) as fabric:
        yield fabric


def test_another_mtu_reaches_both_ends_and_no_more(hosts, make_vif, uuids, fabric, answers):
    vif, other = make_vif(5), make_vif(6, network=1)
    hosts[0].plug(uuids[0], [vif, other])
    hosts[0].plug(uuids[1], [make_vif(7)])
    namespace = hosts[0].namespace(uuids[0])
    hosts[0].plug(uuids[0], [dataclasses.replace(vif, mtu=9000), other])
    assert mtus(namespace) == {"eth0": 9000, "eth1": 1450}
    assert mtus(fabric.path)[vif.devname] == 9000
    assert answers(hosts[0].namespace(uuids[1]), "10.0.0.5")
    hosts[0].plug(uuids[0], [vif])
    assert (mtus(namespace)["eth0"], mtus(fabric.path)[vif.devname]) == (1450, 1450)


def test_an_mtu_that_cannot_carry_the_addresses_changes_nothing(hosts, make_vif, uuids):
    vif = make_vif(5)
    hosts[0].plug(uuids[0], [vif])
    with pytest.raises(InvalidInput, match="1280"):
        hosts[0].plug(uuids[0], [dataclasses.replace(vif, mtu=1279)])
    assert mtus(hosts[0].namespace(uuids[0])) == {"eth0": 1450}


def test_where_the_inside_refuses_the_outside_is_as_before(hosts, make_vif, uuids, fabric):
    """The kernel takes no link with an MTU that the plan would never ask for: it is asked behind the plan's back."""
    vif = make_vif(5)
    hosts[0].plug(uuids[0], [vif])
    namespaces.run_in(hosts[0].namespace(uuids[0]), ["ip", "link", "delete", "eth0"])
    with pytest.raises(KernelRefused):
        hosts[0].plug(uuids[0], [dataclasses.replace(vif, mtu=9000)])
    assert fabric.ledger.entries("device")[-1].attributes["mtu"] == 1450


def test_what_follows_a_change_and_fails_undoes_it(hosts, make_vif, uuids, fabric):
    vif, new = make_vif(5), make_vif(6)
    hosts[0].plug(uuids[0], [vif])
    seen = []

    def before(operation):
        seen.append(operation)
        if len(seen) == 2:
            raise KernelRefused("do anything", 22, "no")

    fabric.before = before
    with pytest.raises(KernelRefused):
        hosts[0].plug(uuids[0], [dataclasses.replace(vif, mtu=9000), new])
    fabric.before = None
    assert isinstance(seen[0], SetMtu)
    assert mtus(hosts[0].namespace(uuids[0])) == {"eth0": 1450}
    assert mtus(fabric.path)[vif.devname] == 1450


@pytest.mark.parametrize("details", [{}, HYBRID], ids=["native", "hybrid"])
def test_another_mtu_on_a_switch(switch_fabric, make_vif, uuids, answers, details):
    host = OVSRealizer("h1", switch_fabric)
    vif = make_vif(5, type="ovs", details=details)
    host.plug(uuids[0], [vif])
    host.plug(uuids[1], [make_vif(6, type="ovs")])
    port = f"qvo{vif.id[:11]}" if details else vif.devname
    for mtu in (9000, 1450):
        host.plug(uuids[0], [dataclasses.replace(vif, mtu=mtu)])
        with own_switch(switch_fabric).connect() as connection:
            (row,) = connection.select("Interface", [["name", "==", port]], "mtu_request")
        assert row["mtu_request"] == mtu
        assert mtus(host.namespace(uuids[0])) == {"eth0": mtu}
        ours = {name: found for name, found in mtus(switch_fabric.path).items() if name[3:] == vif.id[:11]}
        assert set(ours) == {f"{kind}{vif.id[:11]}" for kind in (("tap", "qbr", "qvb", "qvo") if details else ("tap",))}
        assert set(ours.values()) == {mtu}
        assert answers(host.namespace(uuids[1]), "10.0.0.5")


def test_an_mtu_is_known_after_a_restart(place, make_vif, uuids):
    vif = make_vif(5)
    with Ledger(place / "ledger") as ledger:
        fabric = Fabric(ledger, directory=place / "netns", namespace="fabric")
        BridgeRealizer("h1", fabric).plug(uuids[0], [vif])
        fabric.close(keep=True)
        with Fabric(ledger, directory=place / "netns", namespace="fabric") as fabric:
            host = BridgeRealizer("h1", fabric)
            host.plug(uuids[0], [dataclasses.replace(vif, mtu=1400)])
            assert mtus(host.namespace(uuids[0])) == {"eth0": 1400}


def test_without_a_fabric_of_its_own_the_gateways_mac_is_the_routers(tmp_path, make_vif, uuids):
    """On a real network a neighbour that we made up would keep the instance from its router."""

    def run():
        namespaces.unshare_network()
        host = BridgeRealizer("h1", state_directory=tmp_path)
        try:
            host.plug(uuids[0], [make_vif(5)])
            return namespaces.run_in(host.namespace(uuids[0]), ["ip", "neigh"]).stdout
        finally:
            host.close()

    assert "10.0.0.1" not in namespaces.in_thread(run)


def test_in_a_fabric_of_its_own_the_gateways_mac_is_known(hosts, make_vif, uuids):
    hosts[0].plug(uuids[0], [make_vif(5)])
    assert (
        gateway_mac("network-0", "10.0.0.1") in namespaces.run_in(hosts[0].namespace(uuids[0]), ["ip", "neigh"]).stdout
    )


def port(number, subnets, **changes):
    """A VIF as nova 34 keeps it in its cache for a port of ML2/OVS, with all the keys that are there."""
    name = f"6d3f1d4e-7c3a-4f0e-9a55-0d6f7c1b{number:04x}"
    return VIF.from_network_info(
        {
            "id": name,
            "address": f"fa:16:3e:aa:00:{number:02x}",
            "network": {
                "id": "b6cd8f4c-2b8e-4a0a-a8ba-4f6a1d2f7f10",
                "bridge": "br-int",
                "label": "private",
                "subnets": subnets,
                "meta": {
                    "injected": False,
                    "tenant_id": "c0ffee",
                    "mtu": 1442,
                    "physical_network": None,
                    "tunneled": True,
                },
            },
            "type": "ovs",
            "details": {
                "connectivity": "l2",
                "port_filter": True,
                "ovs_hybrid_plug": False,
                "datapath_type": "netdev",
                "bridge_name": "br-int",
                "bound_drivers": {"0": "openvswitch"},
            },
            "devname": f"tap{name[:8]}-{number:02x}",
            "ovs_interfaceid": name,
            "qbh_params": None,
            "qbg_params": None,
            "active": False,
            "vnic_type": "normal",
            "profile": {},
            "preserve_on_delete": False,
            "delegate_create": True,
            "meta": {},
            **changes,
        }
    )


def subnet(cidr, address, gateway=None, *, routes=(), version=4, **meta):
    """A subnet as nova keeps it: every address a dictionary of its own."""

    def kept(value, kind):
        return {"address": value, "type": kind, "version": version, "meta": {}}

    return {
        "cidr": cidr,
        "dns": [],
        "gateway": kept(gateway, "gateway"),
        "ips": [{**kept(address, "fixed"), "floating_ips": []}],
        "routes": [{"cidr": to, "gateway": kept(via, "gateway"), "interface": None, "meta": {}} for to, via in routes],
        "version": version,
        "meta": meta,
    }


GATEWAY = subnet("10.5.0.0/24", "10.5.0.9", "10.5.0.1", dhcp_server="10.5.0.2")
ISOLATED = subnet("10.5.0.0/24", "10.5.0.9", dhcp_server="10.5.0.2")
NAMED = subnet("10.5.0.0/24", "10.5.0.9", routes=[("169.254.169.254/32", "10.5.0.7")], dhcp_server="10.5.0.2")
ROUTES = subnet("10.5.0.0/24", "10.5.0.9", "10.5.0.1", routes=[("192.0.2.0/24", "10.5.0.8"), ("0.0.0.0/0", "10.5.0.8")])
V6 = {"ipv6_address_mode": "slaac", "dhcp_server": "fd05::2"}
IPV6 = subnet("fd05::/64", "fd05::9", "fd05::1", version=6, **V6)
IPV6_ISOLATED = subnet("fd05::/64", "fd05::9", version=6, **V6)


@pytest.mark.parametrize(
    ("subnets", "expected"),
    [
        ([GATEWAY], {("default", "10.5.0.1")}),
        ([ISOLATED], {("169.254.169.254", "10.5.0.2")}),
        ([NAMED], {("169.254.169.254", "10.5.0.7")}),
        ([ROUTES], {("192.0.2.0/24", "10.5.0.8"), ("default", "10.5.0.8")}),
        ([IPV6], {("default", "fd05::1")}),
        ([IPV6_ISOLATED], set()),
        ([ISOLATED, IPV6], {("169.254.169.254", "10.5.0.2"), ("default", "fd05::1")}),
        ([], set()),
    ],
    ids=["gateway", "isolated", "named", "routes", "ipv6", "ipv6-isolated", "dual", "no-subnet"],
)
def test_ways_out_of_an_instance(hosts, uuids, subnets, expected):
    hosts[0].plug(uuids[0], [port(1, subnets)])
    assert routes(hosts[0].namespace(uuids[0])) == expected


TRUNK = {"trunk_id": "5b0f", "sub_ports": [{"port_id": "p", "segmentation_id": 100, "segmentation_type": "vlan"}]}


@pytest.mark.parametrize(
    "changes",
    [
        {"trunk_details": TRUNK},
        {"profile": {"trunk_details": TRUNK, "allowed_address_pairs": [{"ip_address": "10.5.0.0/24"}]}},
        {"allowed_address_pairs": [{"ip_address": "10.5.0.100", "mac_address": "fa:16:3e:aa:00:99"}]},
        {"profile": None, "details": None},
        {"details": {"bridge_name": "tbr-5b0f1c2d-3"}},
    ],
    ids=["trunk", "profile", "pairs", "nothing", "trunk-bridge"],
)
def test_what_is_neutrons_alone_does_no_harm(hosts, uuids, changes):
    members = {}
    for number in (1, 2):
        one = port(number, [subnet("10.5.0.0/24", f"10.5.0.{number}")], **changes)
        hosts[number].plug(uuids[number], [one])
        members[uuids[number]] = (hosts[number].namespace(uuids[number]), [f"10.5.0.{number}"])
    assert all(result.received for result in mesh(members, rounds=5).values())


def test_a_trunks_parent_port_is_on_the_bridge_of_the_trunk(switch_fabric, uuids):
    """Neutron gives each trunk a bridge of its own, and names it in the network (``trunk/drivers/openvswitch``)."""
    host = OVSRealizer("h1", switch_fabric)
    parent = dataclasses.replace(port(1, [GATEWAY], trunk_details=TRUNK), bridge="tbr-5b0f1c2d-3")
    host.plug(uuids[0], [parent])
    ports = own_switch(switch_fabric).ports()
    assert parent.devname in ports
    assert own_switch(switch_fabric).bridges()["tbr-5b0f1c2d-3"].ports
