"""Every realizer against every type that nova binds: what `describe` tells is what plugging does."""

from pathlib import Path

import pytest
from nova.network import model
from test_vif_plan import V4, vif

from nova_fakes.exceptions import InvalidInput, VIFTypeRefused
from nova_fakes.virt.vif import acceptance, registry
from nova_fakes.virt.vif.bridge import BridgeRealizer
from nova_fakes.virt.vif.null import NullRealizer
from nova_fakes.virt.vif.ovs import OVSRealizer

VIF_TYPES = sorted(value for name, value in vars(model).items() if name.startswith("VIF_TYPE_"))
VNIC_TYPES = sorted(
    value for name, value in vars(model).items() if name.startswith("VNIC_TYPE_") and isinstance(value, str)
)
UNBOUND = (model.VIF_TYPE_UNBOUND, model.VIF_TYPE_BINDING_FAILED)
REALIZERS = ("null", "bridge", "bridge+substitute", "ovs", "ovs+substitute")


class Recorder:
    """A fabric that makes nothing and keeps what it was asked for."""

    def __init__(self):
        self.plugged = []

    def plug(self, host, instance, vifs, *, up=True):
        self.plugged += vifs


@pytest.fixture(params=REALIZERS)
def realizer(request):
    name, _, substitute = request.param.partition("+")
    options = {"fabric": Recorder(), "allow_substitute": bool(substitute)} if name != "null" else {}
    return registry.load(name, host="h1", **options)


@pytest.mark.parametrize("vif_type", [*VIF_TYPES, "nonsense"])
def test_types(realizer, vif_type):
    one = vif(1, V4, type=vif_type)
    if vif_type in realizer.describe().vif_types:
        realizer.plug("i", [one])
        return
    with pytest.raises(VIFTypeRefused) as caught:
        realizer.plug("i", [one])
    assert (caught.value.field, caught.value.value) == ("type of VIF port-1", vif_type)


@pytest.mark.parametrize("vnic_type", [*VNIC_TYPES, "nonsense"])
def test_vnic_types(realizer, vnic_type):
    one = vif(1, V4, vnic_type=vnic_type)
    if vnic_type in realizer.describe().vnic_types:
        realizer.plug("i", [one])
        return
    with pytest.raises(VIFTypeRefused) as caught:
        realizer.plug("i", [one])
    assert (caught.value.field, caught.value.value) == ("vnic_type of VIF port-1", vnic_type)


def test_we_know_all_that_nova_knows():
    assert set(VIF_TYPES) - set(UNBOUND) == acceptance.VIF_TYPES
    assert set(VNIC_TYPES) == acceptance.VNIC_TYPES


@pytest.mark.parametrize("name", UNBOUND)
def test_nobody_plugs_what_is_bound_to_no_host(realizer, name):
    assert name not in realizer.describe().vif_types


@pytest.mark.parametrize("cls", [BridgeRealizer, OVSRealizer])
def test_the_refusal_names_the_cure(cls):
    with pytest.raises(VIFTypeRefused, match=r"port-1: 'vhostuser' .*allow_substitute"):
        cls("h1", Recorder()).plug("i", [vif(1, V4, type="vhostuser")])
    with pytest.raises(VIFTypeRefused, match=r"makes bridge, other, ovs, tap$"):
        cls("h1", Recorder()).plug("i", [vif(1, V4, type="nonsense")])


def test_a_substitute_is_a_plain_port_and_says_so():
    fabric = Recorder()
    BridgeRealizer("h1", fabric, allow_substitute="true").plug(
        "i", [vif(1, V4, type="hw_veb", vnic_type="direct"), vif(2, type="ovs")]
    )
    assert [(one.type, one.vnic_type) for one in fabric.plugged] == [("other", "normal"), ("ovs", "normal")]


@pytest.mark.parametrize("option", ["allow_substitute", "persistent"])
def test_an_option_that_is_no_truth_value(option):
    with pytest.raises(InvalidInput, match=f"{option}: 'perhaps'"):
        BridgeRealizer("h1", Recorder(), **{option: "perhaps"})


def test_the_hosts_addressing_is_for_those_that_say_nothing():
    fabric = Recorder()
    BridgeRealizer("h1", fabric, addressing="dhcp").plug("i", [vif(1, V4), vif(2, addressing="static")])
    assert [one.addressing for one in fabric.plugged] == ["dhcp", "static"]
    with pytest.raises(InvalidInput, match="static, dhcp"):
        NullRealizer("h1", addressing="slaac")


def documented(vif_type):
    """What the reference tells of a type: a cell for each of null, bridge and ovs."""
    page = Path(__file__).parents[3] / "docs" / "reference" / "realizers.md"
    (line,) = [line for line in page.read_text().splitlines() if line.startswith(f"| `{vif_type}` |")]
    return [cell.strip() for cell in line.split("|")[2:-1]]


@pytest.mark.parametrize("vif_type", VIF_TYPES)
def test_the_reference_tells_what_they_describe(vif_type):
    def cell(cls):
        if vif_type in cls("h1", Recorder()).describe().vif_types:
            return "made"
        substitutes = cls("h1", Recorder(), allow_substitute=True).describe().vif_types
        return "plain port" if vif_type in substitutes else "refused"

    null = "planned" if vif_type in NullRealizer().describe().vif_types else "refused"
    assert documented(vif_type) == [null, cell(BridgeRealizer), cell(OVSRealizer)]
