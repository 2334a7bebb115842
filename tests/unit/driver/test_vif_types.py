"""What nova hears of VIFs that nobody can plug: the exception of its own VIF driver (nova/virt/libvirt/vif.py)."""

import nova.conf
import pytest
from driver_kit import make_instance, make_vif, spawn
from nova import exception

from nova_fakes.exceptions import InvalidInput
from nova_fakes.virt.driver import setup
from nova_fakes.virt.vif.base import VIF
from nova_fakes.virt.vif.null import NullRealizer
from nova_fakes.virt.vif.steps import AskForLeases

UNBOUND = ("unbound", "binding_failed")


@pytest.fixture(params=[False, True], ids=["active", "null"])
def realizing(request, driver):
    """The driver over a realizer that reads VIFs, and over the null realizer, which the model passes by."""
    if request.param:
        driver.hypervisor.realizer = NullRealizer(driver.hypervisor.name)
    return driver


@pytest.mark.parametrize("kind", UNBOUND)
def test_a_spawn_is_refused_and_leaves_nothing(realizing, kind):
    instance = make_instance()
    with pytest.raises(exception.VirtualInterfacePlugException, match=kind):
        spawn(realizing, instance, [{**make_vif(1), "type": kind}])
    assert realizing.hypervisor.guests == {}


@pytest.mark.parametrize("kind", UNBOUND)
def test_nova_compute_starts_with_an_instance_whose_port_was_unbound_meanwhile(realizing, kind):
    """nova catches this exception alone (``ComputeManager._init_instance``); with another it would not start."""
    instance = make_instance()
    spawn(realizing, instance, [make_vif(1)])
    with pytest.raises(exception.VirtualInterfacePlugException, match=r"bind the port to this host"):
        realizing.plug_vifs(instance, [{**make_vif(1), "type": kind}])


@pytest.mark.parametrize("kind", UNBOUND)
def test_an_attachment_is_refused_and_the_guest_is_as_before(realizing, kind):
    instance = make_instance()
    spawn(realizing, instance, [make_vif(1)])
    with pytest.raises(exception.VirtualInterfacePlugException, match=kind):
        realizing.attach_interface(None, instance, None, {**make_vif(2), "type": kind})
    assert list(realizing.hypervisor.guest(instance.uuid).nics) == [make_vif(1)["id"]]


def test_anything_that_cannot_be_used_lets_nova_compute_start_too(driver):
    instance = make_instance()
    spawn(driver, instance, [make_vif(1)])
    network = {**make_vif(1)["network"], "meta": {"mtu": "big"}}
    with pytest.raises(exception.VirtualInterfacePlugException, match="mtu"):
        driver.plug_vifs(instance, [{**make_vif(1), "network": network}])


@pytest.fixture
def realized():
    """Return the realizer that the configuration gives a host."""
    changed = set()

    def realized(**options):
        for name, value in options.items():
            nova.conf.CONF.set_override(name, value, group="nova_fakes")
            changed.add(name)
        return setup.hypervisor_from_conf("h1").realizer

    yield realized
    for name in changed:
        nova.conf.CONF.clear_override(name, group="nova_fakes")


def test_the_configuration_chooses_the_addressing(realized):
    realizer = realized(vif_addressing="dhcp")
    realizer.plug("i", [VIF.from_network_info(make_vif(1))])
    assert isinstance(realizer.operations("i")[-1], AskForLeases)


def test_the_fleet_file_chooses_it_for_a_host(realized, tmp_path):
    file = tmp_path / "fleet.toml"
    file.write_text('[[host]]\nname = "h1"\nvif_addressing = "dhcp"\n')
    realizer = realized(fleet_file=str(file))
    realizer.plug("i", [VIF.from_network_info(make_vif(1))])
    assert isinstance(realizer.operations("i")[-1], AskForLeases)
    file.write_text('[[host]]\nname = "h1"\nvif_addressing = "slaac"\n')
    with pytest.raises(InvalidInput, match="use one of static, dhcp"):
        realized()


def test_the_configuration_allows_substitutes(realized, tmp_path):
    agent = {"socket": str(tmp_path / "none"), "deadline_s": "0.1"}
    realizer = realized(vif_realizer="remote", vif_realizer_options=agent, vif_allow_substitute=True)
    wanted = VIF.from_network_info({**make_vif(1), "type": "hw_veb", "vnic_type": "direct"})
    (told,) = realizer._told([wanted])
    assert (told.type, told.vnic_type, told.addressing) == ("other", "normal", None)
