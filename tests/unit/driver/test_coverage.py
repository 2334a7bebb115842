"""Every method of nova's ComputeDriver is known, and every one that acts is called by a test."""

import importlib.util
import json
from pathlib import Path

import pytest
from driver_kit import block_devices, make_flavor, make_instance, make_vif, make_volume, spawn
from nova.virt.driver import ComputeDriver

from nova_fakes.virt.guest import State

SCRIPT = Path(__file__).parents[3] / "scripts" / "driver_coverage.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("driver_coverage", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_code_says(script):
    assert script.PAGE.read_text() == script.page(), "run python scripts/driver_coverage.py"


def test_a_method_that_nova_gains_is_missed(script, monkeypatch):
    assert script.unknown_methods() == []
    monkeypatch.setattr(ComputeDriver, "levitate", lambda self, instance: None, raising=False)
    assert script.unknown_methods() == ["levitate"]
    assert script.main() == 1


def test_every_method_that_acts_is_called_by_a_test(script):
    calls = script.calls_by_method()
    assert [name for name in script.public_methods(ComputeDriver) if script.acts(name) and not calls[name]] == []


def test_left_disks_are_deleted(driver):
    instance = make_instance()
    spawn(driver, instance)
    driver.fleet.shared_storage = False
    driver.destroy(None, instance, [], destroy_disks=False)
    assert driver.hypervisor.capacity.disk_gb == 1
    assert driver.delete_instance_files(instance) is True
    assert driver.hypervisor.capacity.disk_gb == 0
    assert driver.delete_instance_files(instance) is True


def test_disks_are_told_as_json(driver):
    instance = make_instance(flavor=make_flavor(root_gb=3, swap=512))
    spawn(driver, instance)
    disks = json.loads(driver.get_instance_disk_info(instance, block_devices(make_volume())))
    assert [(disk["type"], disk["virt_disk_size"]) for disk in disks] == [("raw", 3 << 30), ("raw", 512 << 20)]


def test_what_reboots_for_too_long_is_rebooted_hard(driver, clock):
    instance = make_instance()
    spawn(driver, instance)
    clock.advance(100)
    driver.poll_rebooting_instances(60, [instance])
    assert driver.hypervisor.guests[instance.uuid].booted_at_s == clock.now()


def test_unplugged_interfaces_leave_the_host_and_stay_the_guests(driver):
    instance, vif = make_instance(), make_vif()
    spawn(driver, instance, [vif])
    driver.unplug_vifs(instance, [vif])
    assert driver.hypervisor.realizer.wired.get(instance.uuid, {}) == {}
    assert list(driver.hypervisor.guests[instance.uuid].nics) == [vif["id"]]
    driver.plug_vifs(instance, [vif])
    assert list(driver.hypervisor.realizer.wired[instance.uuid]) == [vif["id"]]


def test_a_live_migrations_check_leaves_nothing_to_clean_up(driver, other):
    instance = make_instance()
    spawn(driver, instance)
    data = other.check_can_live_migrate_destination(None, instance, {}, {})
    other.cleanup_live_migration_destination_check(None, data)
    assert not other.hypervisor.arrivals
    assert driver.hypervisor.guests[instance.uuid].state is State.RUNNING


def test_the_hosts_address_is_novas(driver, nova_conf):
    from driver_kit import CONF

    CONF.set_override("my_ip", "192.0.2.7")
    assert driver.get_host_ip_addr() == "192.0.2.7"
