import copy

import pytest

from nova_fakes.exceptions import InvalidInput
from nova_fakes.virt.vif.base import VIF, Route

PORT = "6d3f1d4e-7c3a-4f0e-9a55-0d6f7c1b2a3e"
GOOD = {
    "id": PORT,
    "address": "FA:16:3E:00:00:01",
    "devname": "tap6d3f1d4e-7c",
    "type": "bridge",
    "vnic_type": "normal",
    "active": False,
    "details": {"port_filter": True},
    "network": {
        "id": "net-1",
        "bridge": "brqnet-1",
        "meta": {"mtu": 1450},
        "subnets": [
            {
                "cidr": "10.0.0.0/24",
                "gateway": {"address": "10.0.0.1"},
                "ips": [{"address": "10.0.0.5"}, {"address": "10.0.0.6"}],
                "dns": [{"address": "9.9.9.9"}],
                "routes": [{"cidr": "192.0.2.0/24", "gateway": {"address": "10.0.0.9"}}],
            },
            {"cidr": "fd00::/64", "gateway": {"address": None}, "ips": [{"address": "fd00::0005"}]},
        ],
    },
}


def info(**changes):
    """A copy of GOOD; a key 'a__b' reaches into dictionaries and lists."""
    made = copy.deepcopy(GOOD)
    for path, value in changes.items():
        *steps, last = [int(step) if step.isdigit() else step for step in path.split("__")]
        place = made
        for step in steps:
            place = place[step]
        place[last] = value
    return made


def test_reads_everything():
    vif = VIF.from_network_info(GOOD)
    assert (vif.id, vif.address, vif.devname, vif.mtu) == (PORT, "fa:16:3e:00:00:01", "tap6d3f1d4e-7c", 1450)
    first, second = vif.subnets
    assert first.addresses == ("10.0.0.5", "10.0.0.6")
    assert first.gateway == "10.0.0.1"
    assert first.dns == ("9.9.9.9",)
    assert first.routes == (Route("192.0.2.0/24", "10.0.0.9"),)
    assert second.gateway is None
    assert second.addresses == ("fd00::5",)


def test_reads_novas_own_model():
    from nova.network import model

    subnet = model.Subnet(
        cidr="10.0.0.0/24",
        gateway=model.IP(address="10.0.0.1", type="gateway"),
        ips=[model.FixedIP(address="10.0.0.5")],
    )
    network = model.Network(id="net-1", bridge="br", subnets=[subnet], mtu=1400)
    vif = VIF.from_network_info(model.VIF(id=PORT, address="fa:16:3e:00:00:01", network=network, type="ovs"))
    assert (vif.mtu, vif.type, vif.subnets[0].addresses) == (1400, "ovs", ("10.0.0.5",))


def test_reads_what_neutrons_dhcp_agent_and_the_ports_owner_say():
    vif = VIF.from_network_info(
        info(network__subnets__0__meta={"dhcp_server": "10.0.0.2"}, profile={"nova_fakes_addressing": "dhcp"})
    )
    assert [subnet.dhcp_server for subnet in vif.subnets] == ["10.0.0.2", None]
    assert (vif.addressing, VIF.from_network_info(GOOD).addressing) == ("dhcp", None)


def test_missing_devname_is_novas_fallback():
    assert VIF.from_network_info(info(devname=None)).devname == "tap" + PORT[:11]


def test_missing_mtu_is_1500():
    assert VIF.from_network_info(info(network__meta={})).mtu == 1500


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"address": "fa:16:3e"}, "address"),
        ({"address": None}, "address"),
        ({"address": "01:16:3e:00:00:01"}, "address"),
        ({"address": "00:00:00:00:00:00"}, "address"),
        ({"id": None}, "id"),
        ({"network": None}, "network"),
        ({"network__id": ""}, "id"),
        ({"devname": "tap-much-too-long"}, "devname"),
        ({"devname": "tap/1"}, "devname"),
        ({"devname": "tap 1"}, "devname"),
        ({"devname": ".."}, "devname"),
        ({"devname": "tap%d"}, "devname"),
        ({"devname": "-tap"}, "devname"),
        ({"devname": "tap\n"}, "devname"),
        ({"devname": "täp"}, "devname"),
        ({"network__bridge": "br%d"}, "bridge"),
        ({"details__bridge_name": "br int"}, "bridge_name"),
        ({"profile": {"nova_fakes_addressing": "slaac"}}, "addressing"),
        ({"network__meta__mtu": 67}, "mtu"),
        ({"network__meta__mtu": 65536}, "mtu"),
        ({"network__meta__mtu": "big"}, "mtu"),
        ({"type": "binding_failed"}, "type"),
        ({"type": "unbound"}, "type"),
        ({"network__subnets__0__cidr": "10.0.0.0/33"}, "cidr"),
        ({"network__subnets__0__cidr": None}, "cidr"),
        ({"network__subnets__0__cidr": "10.0.1.0/24"}, "fixed address"),
        ({"network__subnets__0__ips__0__address": "fd00::1"}, "fixed address"),
        ({"network__subnets__0__gateway": {"address": "nowhere"}}, "gateway"),
        ({"network__subnets__0__gateway": {"address": "fd00::1"}}, "gateway"),
        ({"network__subnets__0__routes__0__cidr": "x"}, "host route"),
        ({"network__subnets__0__routes__0__cidr": "fd00::/64"}, "host route"),
        ({"network__subnets__0__routes__0__gateway": None}, "nexthop"),
        ({"network__subnets__1__gateway": {"address": "fe80::1%eth0"}}, "gateway"),
        ({"network__subnets__1__ips__0__address": "fd00::5%2"}, "fixed address"),
        ({"network__subnets__1__cidr": "fd00::%eth0/64"}, "cidr"),
        ({"network__subnets__0__dns": [{"address": "fe80::53%eth0"}]}, "DNS server"),
        ({"network__subnets__0__meta": {"dhcp_server": "fd00::2"}}, "DHCP server"),
        ({"network__subnets__1__routes": [{"cidr": "fd01::/64", "gateway": "fe80::1%1"}]}, "nexthop"),
    ],
)
def test_refuses_what_it_cannot_use(changes, field):
    with pytest.raises(InvalidInput) as caught:
        VIF.from_network_info(info(**changes))
    assert caught.value.field.startswith(field)
    assert caught.value.cure in str(caught.value)
