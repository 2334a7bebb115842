"""What an Open vSwitch adds to a plan, VIF type by VIF type."""

import dataclasses

import pytest
from test_vif_plan import V4, vif

from nova_fakes.virt.vif import ovs_plan, plan
from nova_fakes.virt.vif.plan import (
    AddPorts,
    ConfigureGuest,
    MakeBridge,
    MakeFilterBridges,
    MakeLinks,
    MakeNamespace,
    MakeSwitchBridge,
    StopChecksumOffload,
    SwitchPort,
)

PORT = "6d3f1d4e-7c3a-4f0e-9a55-0d6f7c1b2a3e"
HYBRID = {"ovs_hybrid_plug": True}


def ovs(number=1, network="net-1", **changes):
    return vif(number, V4, network=network, **{"id": PORT, "type": "ovs", "bridge": "br-int", "mtu": 1450, **changes})


def planned(*vifs, new=True, up=True, userspace=("br-int",)):
    interfaces = plan.interfaces(vifs, {})
    return interfaces, ovs_plan.plug_operations("i", "h", interfaces, up=up, new=new, userspace=userspace)


def port(devname="tap1", bridge="br-int"):
    return SwitchPort(
        devname=devname,
        bridge=bridge,
        network_id="net-1",
        iface_id=PORT,
        attached_mac="fa:16:3e:00:00:01",
        vm_uuid="i",
        mtu_request=1450,
    )


def test_native_plug_on_a_userspace_datapath():
    interfaces, operations = planned(ovs())
    assert operations == (
        MakeSwitchBridge("br-int"),
        MakeBridge("net-1", "h", 1450),
        MakeNamespace("i", "h"),
        MakeLinks("i", "h", interfaces, up=True),
        ConfigureGuest("i", interfaces, loopback=True),
        StopChecksumOffload("i", interfaces),
        AddPorts("i", "h", (port(),)),
    )


def test_native_plug_on_the_kernels_datapath_keeps_offload():
    interfaces, operations = planned(ovs(), userspace=())
    assert operations == (
        MakeSwitchBridge("br-int"),
        MakeBridge("net-1", "h", 1450),
        MakeNamespace("i", "h"),
        MakeLinks("i", "h", interfaces, up=True),
        ConfigureGuest("i", interfaces, loopback=True),
        AddPorts("i", "h", (port(),)),
    )


def test_hybrid_plug():
    interfaces, operations = planned(ovs(details=HYBRID))
    assert operations == (
        MakeSwitchBridge("br-int"),
        MakeBridge("net-1", "h", 1450),
        MakeNamespace("i", "h"),
        MakeLinks("i", "h", interfaces, up=True),
        ConfigureGuest("i", interfaces, loopback=True),
        MakeFilterBridges("i", "h", interfaces),
        StopChecksumOffload("i", interfaces),
        AddPorts("i", "h", (port("qvo6d3f1d4e-7c"),)),
    )


@pytest.mark.parametrize("kind", ["bridge", "tap", "other"])
def test_other_ordinary_types_are_native_ports(kind):
    _interfaces, operations = planned(ovs(type=kind, details=HYBRID))
    assert operations[-1] == AddPorts("i", "h", (port(),))
    assert not any(isinstance(operation, MakeFilterBridges) for operation in operations)


def test_hot_plug_into_an_instance_without_link():
    interfaces, operations = planned(ovs(), new=False, up=False)
    assert operations == (
        MakeSwitchBridge("br-int"),
        MakeBridge("net-1", "h", 1450),
        MakeLinks("i", "h", interfaces, up=False),
        ConfigureGuest("i", interfaces, loopback=False),
        StopChecksumOffload("i", interfaces),
        AddPorts("i", "h", (port(),)),
    )


def test_two_vifs_of_which_one_is_hybrid_and_one_on_another_bridge():
    one = ovs(details=HYBRID)
    two = ovs(2, id="port-2", bridge="br-two", devname="tap2", network="net-2")
    interfaces, operations = planned(one, two)
    assert [o.name for o in operations if isinstance(o, MakeSwitchBridge)] == ["br-int", "br-two"]
    assert [o.interfaces for o in operations if isinstance(o, MakeFilterBridges)] == [interfaces[:1]]
    assert [o.interfaces for o in operations if isinstance(o, StopChecksumOffload)] == [interfaces[:1]]
    second = dataclasses.replace(
        port("tap2", "br-two"), network_id="net-2", iface_id="port-2", attached_mac="fa:16:3e:00:00:02"
    )
    assert operations[-1] == AddPorts("i", "h", (port("qvo6d3f1d4e-7c"), second))


def test_an_instance_without_vifs_has_no_ports():
    _interfaces, operations = planned()
    assert operations == (MakeNamespace("i", "h"), ConfigureGuest("i", (), loopback=True))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"bridge": "br-int"}, "br-int"),
        ({"bridge": "tbr-1234", "details": {"bridge_name": "br-int"}}, "tbr-1234"),
        ({"bridge": None, "details": {"bridge_name": "br-x"}}, "br-x"),
        ({"bridge": None}, "br-int"),
    ],
)
def test_the_bridge_is_the_one_that_the_vif_names(changes, name):
    assert ovs_plan.bridge_of(ovs(**changes)) == name


def test_names_fit_into_an_interfaces_name():
    assert ovs_plan.hybrid_names(PORT) == ("qbr6d3f1d4e-7c", "qvb6d3f1d4e-7c", "qvo6d3f1d4e-7c")
    assert all(len(name) < 16 for name in ovs_plan.hybrid_names("x" * 64))


def test_stages_hand_on_what_is_gathered_and_undo_it_where_it_failed():
    class Operator:
        def __init__(self):
            self.told = []

        def do(self, operation):
            self.told.append(("do", operation))

        def undo(self, operation):
            self.told.append(("undo", operation))

    one, two = MakeNamespace("i", "h"), AddPorts("i", "h", ())
    operator = Operator()
    steps = plan.stages([one, two], operator, gathered=(AddPorts,))
    assert next(steps) is two
    with pytest.raises(ValueError, match="the switch said no"):
        steps.throw(ValueError("the switch said no"))
    assert operator.told == [("do", one), ("undo", one)]
    operator.told.clear()
    steps = plan.stages([two, one], operator, gathered=(AddPorts,))
    next(steps)
    assert list(steps) == []
    assert operator.told == [("do", one)]
