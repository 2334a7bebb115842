"""What nova asked of the driver and did not get is in the journal too."""

import pytest
from driver_kit import CONF, make_flavor, make_instance, make_vif, make_volume, spawn
from nova import exception

from nova_fakes.faults import FaultRule


def outcomes(driver, operation):
    return [event.outcome for event in driver.fleet.journal.events(operation=operation)]


@pytest.mark.parametrize(
    ("method", "arguments"), [("set_host_enabled", [False]), ("host_maintenance_mode", ["", True])]
)
def test_a_guest_that_is_refused(driver, method, arguments):
    getattr(driver, method)(*arguments)
    with pytest.raises(exception.ComputeResourcesUnavailable):
        spawn(driver, make_instance())
    with pytest.raises(exception.ComputeResourcesUnavailable):
        driver.pre_live_migration(None, make_instance(), None, [make_vif()], None, None)
    assert outcomes(driver, "spawn") == outcomes(driver, "pre_live_migration") == ["ComputeResourcesUnavailable"]


def test_a_volume_too_many(driver):
    instance = make_instance()
    spawn(driver, instance)
    CONF.set_override("max_disk_devices_to_attach", 1, "compute")
    with pytest.raises(exception.TooManyDiskDevices):
        driver.attach_volume(None, make_volume(), instance, "/dev/vdb")
    assert outcomes(driver, "attach_volume") == ["TooManyDiskDevices"]


def test_a_disk_that_would_shrink(driver):
    instance = make_instance()
    spawn(driver, instance)
    with pytest.raises(exception.InstanceFaultRollback):
        driver.migrate_disk_and_power_off(None, instance, "192.0.2.1", make_flavor(1, 512, 0), None)
    assert outcomes(driver, "migrate_disk") == ["InstanceFaultRollback"]


def test_a_snapshot_that_did_not_begin(driver):
    instance = make_instance()
    spawn(driver, instance)
    driver.fleet.faults.add(FaultRule("snapshot.begin", error=exception.ImageNotFound(image_id="image")))
    with pytest.raises(exception.ImageNotFound):
        driver.snapshot(None, instance, "image", lambda **states: None)
    assert outcomes(driver, "snapshot") == ["ImageNotFound"]


def test_a_move_whose_interfaces_stay_leaves_the_guest_running(driver):
    instance = make_instance()
    spawn(driver, instance, [make_vif()])
    driver.hypervisor.realizer.fail["unplug"] = RuntimeError("stuck")
    with pytest.raises(RuntimeError):
        driver.migrate_disk_and_power_off(None, instance, "192.0.2.1", make_flavor(), None)
    assert str(driver.hypervisor.guests[instance.uuid].state) == "running"
    assert outcomes(driver, "migrate_disk") == ["RuntimeError"]
    driver.migrate_disk_and_power_off(None, instance, "192.0.2.1", make_flavor(), None)
    assert outcomes(driver, "migrate_disk") == ["RuntimeError", "ok"]


def test_a_rule_counts_an_arrival_once(driver):
    instance = make_instance()
    driver.fleet.faults.add(FaultRule("finish_migration", after=1))
    driver.finish_migration(None, None, instance, "[]", [], None, True, None)
    assert instance.uuid in driver.hypervisor.guests
