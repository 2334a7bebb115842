"""nova's side of an agent that is not there."""

import pytest
from driver_kit import drive, make_instance, make_vif, spawn
from nova import exception

from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.vif.remote import RemoteRealizer


@pytest.fixture
def driver(tmp_path, clock, virtapi):
    fleet = Fleet(clock)
    fleet.add(Hypervisor("a", realizer=RemoteRealizer("a", socket=tmp_path / "s", deadline_s=2.0)))
    return drive(fleet, "a", virtapi)


def test_a_boot_fails_in_time_and_says_why(driver):
    with pytest.raises(exception.InstanceDeployFailure, match=r"no agent at .*/s: .*start it with `nova-fakes agent`"):
        spawn(driver, make_instance(), [make_vif()])
    assert driver.list_instances() == []


def test_plugging_again_fails_as_nova_knows_it(driver):
    instance = make_instance()
    spawn(driver, instance)
    with pytest.raises(exception.VirtualInterfacePlugException, match="no agent at"):
        driver.plug_vifs(instance, [make_vif()])
