"""Faults as nova meets them: by flavor, by nova's own exceptions, from the files that nova.conf names."""

import threading

import pytest
from driver_kit import CONF, RecordingVirtAPI, drive, make_flavor, make_instance, spawn
from nova import exception
from nova.compute import power_state

from nova_fakes.clock import ManualClock
from nova_fakes.delays import Constant
from nova_fakes.exceptions import InjectedFault, InvalidInput
from nova_fakes.faults import FaultRule
from nova_fakes.virt.driver.setup import fleet_from_conf
from nova_fakes.virt.driver.translation import nova_error
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.journal import Journal
from nova_fakes.virt.resize import confirm, leave


def test_a_rule_for_a_flavor(driver):
    driver.fleet.faults.add(FaultRule("spawn", flavor="gpu.*"))
    small, large = make_instance(1), make_instance(2, make_flavor(name="gpu.large"))
    spawn(driver, small)
    with pytest.raises(exception.InstanceDeployFailure):
        spawn(driver, large)


def test_the_flavor_outlives_a_restart(tmp_path):
    def start():
        fleet = Fleet(ManualClock(), journal=Journal(tmp_path / "journal.sqlite"))
        fleet.add(Hypervisor("a"))
        return drive(fleet, "a", RecordingVirtAPI())

    instance = make_instance(1, make_flavor(name="gpu.large"))
    driver = start()
    spawn(driver, instance)
    driver.fleet.close()
    driver = start()
    driver.fleet.faults.add(FaultRule("pause", flavor="gpu.*"))
    with pytest.raises(exception.NovaException):
        driver.pause(instance)
    driver.fleet.close()


def test_a_rule_for_a_flavor_knows_the_end_of_a_move(driver):
    driver.fleet.faults.add(FaultRule("confirm_migration", flavor="gpu.*"))
    for number, name in ((1, "m1.tiny"), (2, "gpu.large")):
        instance = make_instance(number, make_flavor(name=name))
        spawn(driver, instance)
        leave(driver.hypervisor, instance.uuid)
    confirm(driver.hypervisor, make_instance(1).uuid)
    with pytest.raises(InjectedFault):
        confirm(driver.hypervisor, make_instance(2).uuid)


def test_what_a_rule_has_fail_is_told(driver):
    instance = make_instance()
    driver.fleet.faults.add(FaultRule("*", error="OSError: no", times=2))
    with pytest.raises(OSError, match="no"):
        spawn(driver, instance)
    with pytest.raises(OSError, match="no"):
        driver.set_host_enabled(False)
    told = [(event.guest, event.operation, event.outcome) for event in driver.fleet.journal.events()]
    assert told[2:] == [(instance.uuid, "spawn", "OSError"), (None, "set_host_enabled", "OSError")]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("BuildAbortException", exception.BuildAbortException),
        ("InstanceEventTimeout", exception.InstanceEventTimeout),
        ("OSError", OSError),
    ],
)
def test_errors_by_their_name(driver, name, kind):
    driver.fleet.faults.add(FaultRule("spawn", error=f"{name}: no luck", times=1))
    with pytest.raises(kind, match="no luck"):
        spawn(driver, make_instance())


def test_names_of_nothing_that_can_be_raised():
    for name in ("nothing", "CONF", "InstanceFaultRollback"):
        assert nova_error(name, "no luck") is None


def test_an_error_of_the_model_is_translated(driver):
    driver.fleet.faults.add(FaultRule("spawn", error="InsufficientCapacity: full"))
    with pytest.raises(exception.ComputeResourcesUnavailable, match="full"):
        spawn(driver, make_instance())


def test_the_check_of_a_live_migration_knows_the_instance(driver, other):
    driver.fleet.faults.add(FaultRule("check_can_live_migrate_destination", guest="server-1", error="OSError: no"))
    for number in (1, 2):
        spawn(driver, make_instance(number))
    with pytest.raises(OSError, match="no"):
        other.check_can_live_migrate_destination(None, make_instance(1), {}, {})
    other.check_can_live_migrate_destination(None, make_instance(2), {}, {})


def test_a_host_that_hangs_is_unavailable_after_the_deadline(driver, clock):
    instance = make_instance()
    spawn(driver, instance)
    driver.hypervisor.hang(30)
    found = []

    def ask(call):
        try:
            call()
        except Exception as error:
            found.append(type(error))

    calls = (lambda: driver.get_info(instance), driver.list_instances, lambda: driver.plug_vifs(instance, []))
    threads = [threading.Thread(target=ask, args=[call]) for call in calls]
    for thread in threads:
        thread.start()
    assert clock.wait_for_sleepers(len(threads))
    clock.advance(30)
    for thread in threads:
        thread.join(10)
    assert found == [exception.HypervisorUnavailable] * len(threads)
    driver.hypervisor.recover()
    assert driver.get_info(instance).state == power_state.RUNNING


class TestConfiguration:
    @pytest.fixture
    def fault_file(self, tmp_path):
        path = tmp_path / "faults.toml"
        path.write_text('[[fault]]\noperation = "spawn"\nerror = "BuildAbortException"\n')
        CONF.set_override("fault_file", str(path), group="nova_fakes")
        yield path
        CONF.clear_override("fault_file", group="nova_fakes")
        CONF.clear_override("fleet_file", group="nova_fakes")

    def test_a_file_of_faults(self, fault_file):
        assert fleet_from_conf().faults.rules == (FaultRule("spawn", error="BuildAbortException"),)

    def test_together_with_a_fleet(self, fault_file, tmp_path):
        path = tmp_path / "fleet.toml"
        path.write_text('[[host]]\nname = "a"\nlatency = 0.25\n')
        CONF.set_override("fleet_file", str(path), group="nova_fakes")
        latency, spawning = fleet_from_conf().faults.rules
        assert (latency.delay, latency.host, spawning.operation) == (Constant(0.25), "a", "spawn")

    def test_a_wrong_one_is_refused(self, fault_file):
        fault_file.write_text('[[fault]]\noperation = "spwan"\n')
        with pytest.raises(InvalidInput, match=r"faults\.toml, line 2: operation"):
            fleet_from_conf()


def test_a_text_is_a_failure_of_the_operation(driver):
    driver.fleet.faults.add(FaultRule("spawn", error="no room today"))
    with pytest.raises(exception.InstanceDeployFailure, match="no room today") as caught:
        spawn(driver, make_instance())
    assert isinstance(caught.value.__cause__, InjectedFault)
