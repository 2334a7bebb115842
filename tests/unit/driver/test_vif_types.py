"""What nova hears of VIFs that nobody can plug: the exception of its own VIF driver (nova/virt/libvirt/vif.py)."""

import pytest
from driver_kit import make_instance, make_vif, spawn
from nova import exception

from nova_fakes.virt.vif.null import NullRealizer

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
