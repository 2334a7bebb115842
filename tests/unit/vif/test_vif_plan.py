import ipaddress

import pytest

from nova_fakes.exceptions import InvalidInput
from nova_fakes.virt.vif import plan
from nova_fakes.virt.vif.base import VIF, Route, Subnet


def vif(number, *subnets, mtu=1500, network="net-1", **changes):
    fields = {
        "id": f"port-{number}",
        "address": f"fa:16:3e:00:00:{number:02x}",
        "devname": f"tap{number}",
        "network_id": network,
        "bridge": None,
        "mtu": mtu,
        "type": "bridge",
        "vnic_type": "normal",
        "active": False,
        "subnets": subnets,
    }
    return VIF(**{**fields, **changes})


V4 = Subnet("10.0.0.0/24", "10.0.0.1", ("10.0.0.5",))
V6 = Subnet("fd00::/64", "fd00::1", ("fd00::5",))


def routes(interface):
    return [
        (str(ipaddress.ip_address(r.destination)), r.prefix_length, str(ipaddress.ip_address(r.nexthop)), r.metric)
        for r in interface.routes
    ]


def test_addresses_routes_and_neighbours_of_both_families():
    (interface,) = plan.interfaces([vif(1, V4, V6)], {})
    assert (interface.name, interface.index) == ("eth0", 2)
    assert [(len(a.address), a.prefix_length) for a in interface.addresses] == [(4, 24), (16, 64)]
    assert routes(interface) == [("0.0.0.0", 0, "10.0.0.1", 0), ("::", 0, "fd00::1", 1025)]
    assert [n.mac.hex(":") for n in interface.neighbours] == [
        plan.gateway_mac("net-1", "10.0.0.1"),
        plan.gateway_mac("net-1", "fd00::1"),
    ]


def test_first_gateway_wins_by_metric():
    first, second = plan.interfaces([vif(1, V4), vif(2, Subnet("10.1.0.0/24", "10.1.0.1", ("10.1.0.5",)))], {})
    assert routes(first)[0][3] < routes(second)[0][3]


def test_no_gateway_is_no_default_route():
    (interface,) = plan.interfaces([vif(1, Subnet("10.0.0.0/24", None, ("10.0.0.5",)))], {})
    assert interface.routes == ()
    assert interface.neighbours == ()


def test_default_among_host_routes_replaces_the_gateways():
    subnet = Subnet("10.0.0.0/24", "10.0.0.1", ("10.0.0.5",), (Route("0.0.0.0/0", "10.0.0.9"),))
    (interface,) = plan.interfaces([vif(1, subnet)], {})
    assert routes(interface) == [("0.0.0.0", 0, "10.0.0.9", 0)]


def test_gateway_outside_the_subnet_is_on_link():
    (interface,) = plan.interfaces([vif(1, Subnet("10.0.0.5/32", "10.9.9.9", ("10.0.0.5",)))], {})
    assert interface.routes[0].on_link
    (interface,) = plan.interfaces([vif(1, Subnet("fd00::/64", "fe80::1", ("fd00::5",)))], {})
    assert not interface.routes[0].on_link


def test_an_appliance_that_is_the_gateway_has_no_route_to_itself():
    (interface,) = plan.interfaces([vif(1, Subnet("10.0.0.0/24", "10.0.0.1", ("10.0.0.1",)))], {})
    assert interface.routes == ()
    assert interface.neighbours == ()


def test_lowest_free_number_is_taken():
    have = {"port-1": plan.Seat(0, "fa:16:3e:00:00:01"), "port-3": plan.Seat(2, "fa:16:3e:00:00:03")}
    planned = plan.interfaces([vif(1), vif(4), vif(5)], have)
    assert [(i.vif.id, i.ordinal) for i in planned] == [("port-4", 1), ("port-5", 3)]


def test_two_vifs_with_one_mac_are_refused():
    with pytest.raises(InvalidInput, match="port-1 has this MAC"):
        plan.interfaces([vif(1), vif(2, address="fa:16:3e:00:00:01")], {})


def test_one_port_twice_is_refused():
    with pytest.raises(InvalidInput, match="list each port once"):
        plan.interfaces([vif(1), vif(1)], {})


def test_ipv6_needs_its_mtu():
    with pytest.raises(InvalidInput, match="1280"):
        plan.interfaces([vif(1, V6, mtu=1279)], {})


class Recorder:
    def __init__(self, fail_at=None, fail_undo=False):
        self.log, self.fail_at, self.fail_undo = [], fail_at, fail_undo

    def do(self, operation):
        if len(self.log) == self.fail_at:
            raise RuntimeError("no")
        self.log.append(operation)

    def undo(self, operation):
        assert self.log.pop() is operation
        if self.fail_undo:
            raise RuntimeError("stuck")


OPERATIONS = plan.plug_operations("i", "h", plan.interfaces([vif(1, V4)], {}), up=True, new=True)


def test_order_of_a_plug():
    assert [type(o).__name__ for o in OPERATIONS] == ["MakeBridge", "MakeNamespace", "MakeLinks", "ConfigureGuest"]


@pytest.mark.parametrize("fail_at", range(len(OPERATIONS)))
def test_every_step_is_undone_in_reverse(fail_at):
    recorder = Recorder(fail_at)
    with pytest.raises(RuntimeError, match="no"):
        plan.execute(OPERATIONS, recorder)
    assert recorder.log == []


def test_a_failed_undo_is_noted_and_the_others_still_undone():
    recorder = Recorder(3, fail_undo=True)
    with pytest.raises(RuntimeError, match="no") as caught:
        plan.execute(OPERATIONS, recorder)
    assert recorder.log == []
    assert len(caught.value.__notes__) == 3
