import json
import threading
import time
from types import SimpleNamespace

import pytest
from driver_kit import CONF, drive, make_flavor, make_instance, make_vif, make_volume, spawn
from nova import exception
from nova.compute import power_state
from nova.objects import migrate_data as migrate_data_obj

from nova_fakes import exceptions
from nova_fakes.faults import FaultRule
from nova_fakes.virt.guest import Claim, State
from nova_fakes.virt.hypervisor import Hypervisor

NOTHING, SMALL, LARGE = Claim(0, 0, 0), Claim(1, 512, 1), Claim(2, 1024, 2)


def used(driver):
    return driver.hypervisor.capacity.used


def leave(driver, instance, flavor):
    return driver.migrate_disk_and_power_off(None, instance, "192.0.2.1", flavor, None)


def arrive(driver, instance, disk_info, vifs, power_on=True):
    driver.finish_migration(None, None, instance, disk_info, vifs, None, True, None, power_on=power_on)


def large(instance):
    instance.flavor = make_flavor(2, 1024, 2)
    return instance


def test_resize_to_another_host_holds_both_claims_until_it_is_confirmed(driver, other):
    instance, vif = make_instance(), make_vif()
    spawn(driver, instance, [vif])
    disks = leave(driver, instance, make_flavor(2, 1024, 2))
    assert json.loads(disks)[0]["virt_disk_size"] == 1 << 30
    assert driver.get_info(instance).state == power_state.SHUTDOWN
    assert driver.hypervisor.realizer.wired == {}
    arrive(other, large(instance), disks, [vif])
    assert (used(driver), used(other)) == (SMALL, LARGE)
    driver.confirm_migration(None, None, instance, [vif])
    assert (used(driver), used(other)) == (NOTHING, LARGE)
    assert driver.list_instances() == []
    assert other.get_info(instance).state == power_state.RUNNING


def test_a_reverted_resize_restores_what_was(driver, other):
    instance, vif = make_instance(), make_vif()
    spawn(driver, instance, [vif], [make_volume()])
    disks = leave(driver, instance, make_flavor(2, 1024, 2))
    arrive(other, large(instance), disks, [vif])
    other.destroy(None, instance, [vif])
    instance.flavor = make_flavor()
    driver.finish_revert_migration(None, instance, [vif], None, power_on=True)
    assert (used(driver), used(other)) == (SMALL, NOTHING)
    assert driver.get_info(instance).state == power_state.RUNNING
    assert driver.hypervisor.realizer.links == {instance.uuid: True}


@pytest.mark.parametrize("confirm", [True, False])
def test_resize_on_the_same_host_holds_both_claims(driver, confirm):
    instance, vif = make_instance(), make_vif()
    spawn(driver, instance, [vif])
    disks = leave(driver, instance, make_flavor(2, 1024, 2))
    arrive(driver, large(instance), disks, [vif])
    assert used(driver) == Claim(3, 1536, 3)
    if confirm:
        driver.confirm_migration(None, None, instance, [vif])
        assert used(driver) == LARGE
    else:
        driver.destroy(None, instance, [vif])
        instance.flavor = make_flavor()
        driver.finish_revert_migration(None, instance, [vif], None, power_on=False)
        assert used(driver) == SMALL
        assert driver.get_info(instance).state == power_state.SHUTDOWN
    driver.destroy(None, instance, [vif])
    assert used(driver) == NOTHING


def test_disks_do_not_shrink(driver):
    instance = make_instance(flavor=make_flavor(root_gb=5))
    spawn(driver, instance)
    with pytest.raises(exception.InstanceFaultRollback):
        leave(driver, instance, make_flavor(root_gb=4))
    assert driver.get_info(instance).state == power_state.RUNNING


@pytest.mark.parametrize("step", ["finish_migration", "finish_migration.plug", "finish_migration.start"])
def test_a_failed_arrival_on_the_same_host_leaves_the_old_guest(driver, step):
    instance = make_instance()
    spawn(driver, instance)
    disks = leave(driver, instance, make_flavor(2, 1024, 2))
    driver.fleet.faults.add(FaultRule(step))
    with pytest.raises(exception.InstanceDeployFailure):
        arrive(driver, large(instance), disks, [])
    driver.fleet.faults.clear()
    assert used(driver) == SMALL
    assert driver.get_info(instance).state == power_state.SHUTDOWN


class Calls:
    """nova's callbacks of a live migration."""

    def __init__(self):
        self.made = []

    def post(self, context, instance, dest, block_migration, migrate_data):
        self.made.append("post")

    def recover(self, context, instance, dest, migrate_data, migration_status="failed"):
        self.made.append(migration_status)


def checked(driver, other, instance, block=None):
    data = other.check_can_live_migrate_destination(None, instance, None, None, block, None)
    return driver.check_can_live_migrate_source(None, instance, data)


def migrate(driver, instance, data, calls, dest="b"):
    driver.live_migration(None, instance, dest, calls.post, calls.recover, False, data)


def test_a_live_migration_moves_the_guest_its_claim_and_its_interfaces(driver, other, clock):
    instance, vif = make_instance(), make_vif()
    spawn(driver, instance, [vif], [make_volume()])
    guest = driver.hypervisor.guests[instance.uuid]
    data = checked(driver, other, instance)
    assert (data.block_migration, data.is_shared_block_storage) == (False, True)
    data = other.pre_live_migration(None, instance, None, [vif], None, data)
    assert (used(driver), used(other)) == (SMALL, SMALL)
    assert (driver.list_instances(), other.list_instances()) == ([instance.name], [])
    calls = Calls()
    thread = threading.Thread(target=migrate, args=(driver, instance, data, calls))
    thread.start()
    assert clock.wait_for_sleepers()
    assert driver.instance_exists(instance)
    clock.advance(0.06)
    thread.join(10)
    assert calls.made == ["post"]
    assert (used(driver), used(other)) == (NOTHING, SMALL)
    assert other.hypervisor.guests == {instance.uuid: guest}
    assert driver.hypervisor.realizer.wired == {}
    assert list(other.hypervisor.realizer.wired[instance.uuid]) == [vif["id"]]
    assert other.hypervisor.realizer.links == {instance.uuid: True}
    driver.post_live_migration_at_source(None, instance, [vif])
    other.post_live_migration_at_destination(None, instance, [vif])
    assert other.get_info(instance).state == power_state.RUNNING
    assert "vdb" in guest.volumes


@pytest.fixture
def on_its_way(driver, other):
    """A guest that writes to its memory faster than the network carries it, on its way."""
    driver.fleet.migration_bandwidth_mb_s = 1.0
    instance, vif = make_instance(), make_vif()
    instance.metadata = {"nova_fakes:workload": "batch"}
    spawn(driver, instance, [vif])
    data = other.pre_live_migration(None, instance, None, [vif], None, checked(driver, other, instance))
    calls = Calls()
    thread = threading.Thread(target=migrate, args=(driver, instance, data, calls))
    thread.start()
    assert driver.fleet.clock.wait_for_sleepers()
    assert driver.hypervisor.migrations[instance.uuid].passes is None
    yield instance, thread, calls
    assert not thread.is_alive()


def pass_time(driver, thread):
    """Let time pass until the migration has ended, however it ends."""
    while thread.is_alive():
        driver.fleet.clock.advance(1.0)
        thread.join(0.001)


def test_a_forced_guest_stands_still_until_all_is_there(driver, other, on_its_way):
    instance, thread, calls = on_its_way
    driver.live_migration_force_complete(instance)
    assert driver.get_info(instance).state == power_state.PAUSED
    assert driver.hypervisor.realizer.links[instance.uuid] is False
    with pytest.raises(exception.MigrationError):
        driver.live_migration_abort(instance)
    pass_time(driver, thread)
    assert calls.made == ["post"]
    assert other.get_info(instance).state == power_state.RUNNING
    assert other.hypervisor.realizer.links[instance.uuid] is True
    with pytest.raises(exception.MigrationError):
        driver.live_migration_force_complete(instance)


def test_a_forced_guest_goes_on_where_it_was_if_the_switch_over_fails(driver, other, on_its_way):
    instance, thread, calls = on_its_way
    driver.fleet.faults.add(FaultRule("switch_over"))
    driver.live_migration_force_complete(instance)
    pass_time(driver, thread)
    driver.fleet.faults.clear()
    assert calls.made == ["failed"]
    assert driver.get_info(instance).state == power_state.RUNNING
    assert not other.instance_exists(instance)


@pytest.fixture
def post_copy():
    CONF.set_override("live_migration_permit_post_copy", True, group="libvirt")
    yield
    CONF.clear_override("live_migration_permit_post_copy", group="libvirt")


def test_a_post_copy_lets_the_guest_go_on_before_its_memory_is_there(driver, other, post_copy, on_its_way):
    instance, thread, calls = on_its_way
    told = []
    driver.register_event_listener(told.append)
    driver.live_migration_force_complete(instance)
    wait_for(lambda: other.instance_exists(instance))
    assert other.get_info(instance).state == power_state.RUNNING
    assert (driver.instance_exists(instance), calls.made) == (False, [])
    pass_time(driver, thread)
    assert calls.made == ["post"]
    assert [event.get_name() for event in told] == ["Postcopy started"]


def test_a_post_copy_that_loses_a_host_loses_the_guest(driver, other, post_copy, on_its_way):
    instance, thread, calls = on_its_way
    driver.live_migration_force_complete(instance)
    wait_for(lambda: other.instance_exists(instance))
    driver.hypervisor.crash()
    pass_time(driver, thread)
    assert calls.made == ["failed"]
    assert other.hypervisor.guests[instance.uuid].state is State.CRASHED


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_what_a_migration_left_prepared_gives_way_to_the_next(driver, other):
    instance, vif = make_instance(), make_vif()
    spawn(driver, instance, [vif])
    data = checked(driver, other, instance)
    for _ in range(2):
        other.pre_live_migration(None, instance, None, [vif], None, data)
        assert (used(driver), used(other)) == (SMALL, SMALL)
    assert [call for call, *_ in other.hypervisor.realizer.calls].count("abort_migration") == 1


def test_an_aborted_live_migration_leaves_everything_as_it_was(driver, other, clock):
    instance, vif = make_instance(), make_vif()
    spawn(driver, instance, [vif])
    data = other.pre_live_migration(None, instance, None, [vif], None, checked(driver, other, instance))
    calls = Calls()
    thread = threading.Thread(target=migrate, args=(driver, instance, data, calls))
    thread.start()
    assert clock.wait_for_sleepers()
    driver.live_migration_abort(instance)
    thread.join(10)
    assert calls.made == ["cancelled"]
    assert_stayed(driver, other, instance)
    with pytest.raises(exception.MigrationError):
        driver.live_migration_abort(instance)


def assert_stayed(driver, other, instance):
    assert driver.get_info(instance).state == power_state.RUNNING
    assert (used(driver), used(other)) == (SMALL, NOTHING)
    assert other.hypervisor.arrivals == {}
    assert driver.hypervisor.migrations == {}


@pytest.mark.parametrize("fault", ["live_migration", "switch_over"])
def test_a_failed_live_migration_recovers(driver, other, clock, fault):
    driver.fleet.migration_bandwidth_mb_s = 1e12
    clock.advance(1)
    instance = make_instance()
    spawn(driver, instance)
    data = other.pre_live_migration(None, instance, None, [], None, checked(driver, other, instance))
    driver.fleet.faults.add(FaultRule(fault, host="b" if fault == "switch_over" else "a"))
    calls = Calls()
    forced(driver, instance, data, calls, clock)
    driver.fleet.faults.clear()
    assert calls.made == ["failed"]
    assert_stayed(driver, other, instance)


def forced(driver, instance, data, calls, clock):
    thread = threading.Thread(target=migrate, args=(driver, instance, data, calls))
    thread.start()
    while thread.is_alive():
        clock.advance(1)
        thread.join(0.01)


def test_interfaces_that_cannot_be_moved_keep_the_guest_at_home(driver, other, clock):
    instance, vif = make_instance(), make_vif()
    spawn(driver, instance, [vif])
    data = other.pre_live_migration(None, instance, None, [vif], None, checked(driver, other, instance))
    other.hypervisor.realizer.fail["migrate"] = exceptions.RealizerError("no")
    calls = Calls()
    forced(driver, instance, data, calls, clock)
    assert calls.made == ["failed"]
    assert_stayed(driver, other, instance)
    assert driver.hypervisor.realizer.links == {instance.uuid: True}


def test_a_destination_that_dies_keeps_the_guest_at_home(driver, other, clock):
    instance = make_instance()
    spawn(driver, instance)
    data = other.pre_live_migration(None, instance, None, [], None, checked(driver, other, instance))
    other.hypervisor.crash()
    calls = Calls()
    forced(driver, instance, data, calls, clock)
    assert calls.made == ["failed"]
    assert_stayed(driver, other, instance)


def test_a_failed_preparation_is_undone(driver, other):
    instance = make_instance()
    spawn(driver, instance)
    data = checked(driver, other, instance)
    other.hypervisor.realizer.fail["prepare_migration"] = exceptions.RealizerError("no")
    with pytest.raises(exception.VirtualInterfacePlugException):
        other.pre_live_migration(None, instance, None, [make_vif()], None, data)
    assert_stayed(driver, other, instance)


def test_rollback_at_the_destination_undoes_the_preparation(driver, other):
    instance, vif = make_instance(), make_vif()
    spawn(driver, instance, [vif])
    data = other.pre_live_migration(None, instance, None, [vif], None, checked(driver, other, instance))
    other.rollback_live_migration_at_destination(None, instance, [vif], None, migrate_data=data)
    assert_stayed(driver, other, instance)
    assert ("abort_migration", instance.uuid) in other.hypervisor.realizer.calls


def test_between_processes_the_guest_is_made_anew(driver, clock):
    instance, vif = make_instance(), make_vif()
    spawn(driver, instance, [vif])
    data = migrate_data_obj.LibvirtLiveMigrateData(block_migration=False)
    calls = Calls()
    forced_to = threading.Thread(target=migrate, args=(driver, instance, data, calls, "elsewhere"))
    forced_to.start()
    while forced_to.is_alive():
        clock.advance(1)
        forced_to.join(0.01)
    assert calls.made == ["post"]
    assert used(driver) == NOTHING
    assert driver.hypervisor.realizer.wired == {}


@pytest.mark.parametrize(("action", "outcome"), [("abort", "cancelled"), ("force_complete", "post")])
def test_a_migration_that_never_converges_ends_as_nova_conf_says(driver, other, clock, action, outcome):
    CONF.set_override("live_migration_completion_timeout", 30, group="libvirt")
    CONF.set_override("live_migration_timeout_action", action, group="libvirt")
    driver.fleet.migration_bandwidth_mb_s = 1.0
    instance = make_instance()
    instance.metadata = {"nova_fakes:workload": "batch"}
    spawn(driver, instance)
    data = other.pre_live_migration(None, instance, None, [], None, checked(driver, other, instance))
    calls = Calls()
    began_s = clock.now()
    forced_to = threading.Thread(target=migrate, args=(driver, instance, data, calls, "b"))
    forced_to.start()
    while forced_to.is_alive():
        clock.advance(1)
        forced_to.join(0.01)
    # Thirty seconds a GiB, and no guest counts for less than two.
    assert clock.now() - began_s >= 60
    assert calls.made == [outcome]
    assert (other if outcome == "post" else driver).get_info(instance).state == power_state.RUNNING


@pytest.mark.parametrize("source", ["flavor", "metadata"])
def test_flavor_or_owner_choose_the_workload(driver, source):
    instance = make_instance()
    chosen = {"nova_fakes:workload": "idle"}
    if source == "flavor":
        instance.flavor.extra_specs = chosen
        instance.metadata = {"nova_fakes:workload": "batch"}
    else:
        instance.metadata = chosen
    spawn(driver, instance)
    assert driver.hypervisor.guests[instance.uuid].workload.name == "idle"
    other = make_instance(2)
    other.metadata = {"nova_fakes:workload": "nonsense"}
    with pytest.raises(exception.InstanceDeployFailure, match="nonsense"):
        spawn(driver, other)
    assert used(driver) == SMALL


def test_an_arrival_from_another_process_keeps_its_pause(driver, fleet, virtapi):
    fleet.add(Hypervisor("far"))
    far = drive(fleet, "far", virtapi)
    instance, vif = make_instance(), make_vif()
    instance.power_state = power_state.PAUSED
    far.pre_live_migration(None, instance, None, [vif], None, None)
    far.post_live_migration_at_destination(None, instance, [vif])
    assert far.get_info(instance).state == power_state.PAUSED
    assert used(far) == SMALL


@pytest.mark.parametrize(
    ("shared", "block", "error"),
    [
        (True, True, exception.InvalidLocalStorage),
        (False, False, exception.InvalidSharedStorage),
        (True, None, None),
        (False, None, None),
        (False, True, None),
    ],
)
def test_disks_are_carried_where_they_are_not_shared(driver, other, shared, block, error):
    driver.fleet.shared_storage = shared
    instance = make_instance()
    spawn(driver, instance)
    if error is None:
        assert checked(driver, other, instance, block).block_migration is (not shared)
    else:
        with pytest.raises(error):
            checked(driver, other, instance, block)


def test_progress_is_written_to_novas_record(driver, other, clock):
    driver.fleet.migration_bandwidth_mb_s = 100.0
    instance = make_instance()
    spawn(driver, instance)
    data = other.pre_live_migration(None, instance, None, [], None, checked(driver, other, instance))
    seen = []
    record = SimpleNamespace()
    record.save = lambda: seen.append((record.memory_processed, record.memory_remaining))
    reported = Reported(block_migration=False, migration=record)
    calls = Calls()
    forced(driver, instance, reported, calls, clock)
    total = 512 << 20
    processed = [done for done, _left in seen]
    assert processed == sorted(processed)
    # What the guest wrote to meanwhile is carried again.
    assert all(done + left >= total and left <= total for done, left in seen)
    assert record.memory_total == total <= record.memory_processed
    assert record.memory_remaining == 0
    assert data is not None


class Reported(SimpleNamespace):
    def __contains__(self, name):
        return hasattr(self, name)


def test_nova_learns_whether_disks_are_shared(driver, other):
    instance = make_instance()
    spawn(driver, instance)
    data = other.check_instance_shared_storage_local(None, instance)
    assert driver.check_instance_shared_storage_remote(None, data) is True
    driver.fleet.shared_storage = False
    assert other.check_instance_shared_storage_local(None, instance) is None
