"""The plan of every type of VIF that a realizer makes, as files in ``plans``: who changes a plan, changes a file.

With NOVA_FAKES_WRITE_PLANS=1 in the environment the files are written anew.
"""

import dataclasses
import os
from ipaddress import ip_address
from pathlib import Path

import pytest
from test_vif_plan import V4, V6, vif

from nova_fakes.virt.vif import ovs_plan, plan
from nova_fakes.virt.vif.acceptance import ORDINARY_TYPES, VIF_TYPES, Acceptance
from nova_fakes.virt.vif.base import IPV6_MODES, Route, Subnet
from nova_fakes.virt.vif.steps import AskForLeases

PLANS = Path(__file__).parent / "plans"
ISOLATED = Subnet("10.1.0.0/24", None, ("10.1.0.5",), (Route("192.0.2.0/24", "10.1.0.9"),), dhcp_server="10.1.0.2")
SHAPES = {
    "plain": vif(1, V4, V6, bridge="br-int"),
    "hybrid": vif(1, V4, V6, bridge="br-int", details={"ovs_hybrid_plug": True}),
    "isolated": vif(1, ISOLATED, bridge="br-int"),
    "dhcp": vif(1, V4, V6, bridge="br-int", addressing="dhcp"),
    **{
        mode: vif(1, V4, dataclasses.replace(V6, ipv6_mode=mode), bridge="br-int", addressing="dhcp")
        for mode in IPV6_MODES
    },
}


def bridge(planned):
    return plan.plug_operations("instance", "host", planned, up=True, new=True)


def ovs(planned, userspace=("br-int",)):
    return ovs_plan.plug_operations("instance", "host", planned, up=True, new=True, userspace=userspace)


PLANNERS = {"bridge": bridge, "ovs-netdev": ovs, "ovs-system": lambda planned: ovs(planned, ())}


def shown(operation):
    """Lines that tell of an operation: its name and plain fields, and what it says of each interface or port."""
    fields = {item.name: getattr(operation, item.name) for item in dataclasses.fields(operation)}
    plain = [f"{name}={value}" for name, value in fields.items() if not isinstance(value, tuple)]
    yield " ".join([type(operation).__name__, *plain])
    for interface in fields.get("interfaces", ()):
        yield f"  {interface.name} mtu {interface.vif.mtu} {interface.vif.address} outside {interface.vif.devname}"
        if isinstance(operation, plan.ConfigureGuest):
            yield from details(interface)
        if isinstance(operation, AskForLeases):
            yield f"    by {', '.join(interface.asks)}"
    for port in fields.get("ports", ()):
        named = {item.name: getattr(port, item.name) for item in dataclasses.fields(port)}
        yield "  " + " ".join(f"{name}={value}" for name, value in named.items())


def details(interface):
    for one in interface.addresses:
        yield f"    address {ip_address(one.address)}/{one.prefix_length}"
    for one in interface.routes:
        link = " onlink" if one.on_link else ""
        to = f"{ip_address(one.destination)}/{one.prefix_length}"
        yield f"    route {to} via {ip_address(one.nexthop)} metric {one.metric}{link}"
    for one in interface.neighbours:
        yield f"    neighbour {ip_address(one.address)} {one.mac.hex(':')}"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", sorted(VIF_TYPES))
@pytest.mark.parametrize("planner", PLANNERS)
def test_plans(planner, kind, shape):
    accepted = Acceptance(planner, allow_substitute=True).accept([dataclasses.replace(SHAPES[shape], type=kind)])
    (one,) = planned = plan.interfaces(accepted, {})
    text = "".join(line + "\n" for operation in PLANNERS[planner](planned) for line in shown(operation))
    # All types make the same plan but one: only an ovs port can ask for the hybrid plug.
    name = shape if shape != "hybrid" or one.vif.type == "ovs" else "plain"
    file = PLANS / f"{planner}-{name}.txt"
    if os.environ.get("NOVA_FAKES_WRITE_PLANS"):
        file.write_text(text)
    assert text == file.read_text()


def test_what_is_substituted_is_planned_as_an_ordinary_type():
    for kind in VIF_TYPES - ORDINARY_TYPES:
        (one,) = Acceptance("bridge", allow_substitute=True).accept([vif(1, V4, type=kind, vnic_type="direct")])
        assert (one.type, one.vnic_type) == ("other", "normal")


def test_no_file_is_left_over():
    assert {file.stem for file in PLANS.iterdir()} == {f"{planner}-{shape}" for planner in PLANNERS for shape in SHAPES}
