import pytest
from driver_kit import CONF, block_devices, make_instance, make_vif, make_volume, spawn
from nova import exception
from nova.compute import power_state

from nova_fakes import exceptions
from nova_fakes.faults import FaultRule
from nova_fakes.virt.guest import Claim

NOTHING = Claim(0, 0, 0)


def state(driver, instance):
    return driver.get_info(instance).state


def operations(driver, instance):
    return [event.operation for event in driver.fleet.journal.events(guest=instance.uuid)]


def test_a_spawned_instance_runs_and_is_counted(driver):
    instance = make_instance()
    spawn(driver, instance, [make_vif()])
    assert state(driver, instance) == power_state.RUNNING
    assert driver.list_instances() == [instance.name]
    assert driver.list_instance_uuids() == [instance.uuid]
    assert driver.get_num_instances() == 1
    assert driver.instance_exists(instance)
    assert driver.hypervisor.capacity.used == Claim(1, 512, 1)


def test_a_spawn_without_power_stays_shut_down_and_silent(driver, virtapi):
    instance = make_instance()
    spawn(driver, instance, [make_vif()], power_on=False)
    assert state(driver, instance) == power_state.SHUTDOWN
    assert driver.hypervisor.realizer.links == {instance.uuid: False}
    assert virtapi.waited == []


def test_a_second_spawn_is_refused(driver):
    instance = make_instance()
    spawn(driver, instance)
    with pytest.raises(exception.InstanceExists):
        spawn(driver, instance)
    assert driver.hypervisor.capacity.used == Claim(1, 512, 1)


def test_spawn_waits_for_inactive_ports_alone(driver, virtapi):
    down, up = make_vif(1), make_vif(2, active=True)
    spawn(driver, make_instance(), [down, up])
    assert virtapi.waited == [([("network-vif-plugged", down["id"])], CONF.vif_plugging_timeout)]


def test_spawn_waits_for_nothing_where_the_time_out_is_nought(driver, virtapi):
    CONF.set_override("vif_plugging_timeout", 0)
    try:
        spawn(driver, make_instance(), [make_vif()])
    finally:
        CONF.clear_override("vif_plugging_timeout")
    assert virtapi.waited == []


@pytest.mark.parametrize("outcome", ["timeout", "failed"])
def test_a_port_that_does_not_come_up_fails_the_spawn_and_leaves_nothing(driver, virtapi, outcome):
    virtapi.outcome = outcome
    instance = make_instance()
    with pytest.raises(exception.VirtualInterfaceCreateException):
        spawn(driver, instance, [make_vif()])
    assert_nothing_left(driver)


@pytest.mark.parametrize("outcome", ["timeout", "failed"])
def test_a_port_that_does_not_come_up_is_forgiven_where_it_is_not_fatal(driver, virtapi, outcome):
    CONF.set_override("vif_plugging_is_fatal", False)
    virtapi.outcome = outcome
    instance = make_instance()
    try:
        spawn(driver, instance, [make_vif()])
    finally:
        CONF.clear_override("vif_plugging_is_fatal")
    assert state(driver, instance) == power_state.RUNNING


@pytest.mark.parametrize("step", ["spawn", "spawn.plug", "spawn.start"])
def test_a_fault_at_any_step_of_spawn_leaves_nothing(driver, step):
    driver.fleet.faults.add(FaultRule(step, times=1))
    instance = make_instance()
    with pytest.raises(exception.InstanceDeployFailure):
        spawn(driver, instance, [make_vif()], [make_volume()])
    assert_nothing_left(driver)
    spawn(driver, instance, [make_vif()])
    assert state(driver, instance) == power_state.RUNNING


def test_a_realizer_that_fails_leaves_nothing(driver):
    driver.hypervisor.realizer.fail["plug"] = exceptions.RealizerError("no bridge")
    with pytest.raises(exception.InstanceDeployFailure, match="no bridge"):
        spawn(driver, make_instance(), [make_vif()])
    assert_nothing_left(driver)


def test_a_fault_may_bring_any_exception(driver):
    error = exception.BuildAbortException(instance_uuid="x", reason="because")
    driver.fleet.faults.add(FaultRule("spawn", error=error))
    with pytest.raises(exception.BuildAbortException):
        spawn(driver, make_instance())


def test_a_broken_mac_is_refused_by_name(driver):
    vif = make_vif() | {"address": "fa:16:3e"}
    with pytest.raises(exception.VirtualInterfaceCreateException, match=f"address of VIF {vif['id']}"):
        spawn(driver, make_instance(), [vif])
    assert_nothing_left(driver)


def test_two_interfaces_with_one_mac_are_refused(driver):
    vif = make_vif(2) | {"address": make_vif(1)["address"]}
    with pytest.raises(exception.VirtualInterfaceCreateException, match="both have the MAC"):
        spawn(driver, make_instance(), [make_vif(1), vif])
    assert_nothing_left(driver)


def assert_nothing_left(driver):
    host = driver.hypervisor
    assert host.guests == {}
    assert host.capacity.used == NOTHING
    assert host.realizer.wired == {}


def test_destroy_takes_everything_and_may_be_repeated(driver):
    instance = make_instance()
    spawn(driver, instance, [make_vif()])
    driver.destroy(None, instance, None)
    assert_nothing_left(driver)
    driver.destroy(None, instance, None)
    with pytest.raises(exception.InstanceNotFound):
        driver.get_info(instance)


def test_kept_disks_hold_their_room_until_they_are_cleaned_up(driver):
    driver.fleet.shared_storage = False
    instance = make_instance()
    spawn(driver, instance)
    driver.destroy(None, instance, None, destroy_disks=False)
    assert driver.hypervisor.capacity.used == Claim(0, 0, 1)
    assert driver.instance_on_disk(instance)
    driver.cleanup(None, instance, None)
    assert driver.hypervisor.capacity.used == NOTHING
    assert not driver.instance_on_disk(instance)


def test_cleanup_of_an_instance_that_lives_is_refused(driver):
    instance = make_instance()
    spawn(driver, instance)
    with pytest.raises(exception.InstanceExists):
        driver.cleanup(None, instance, None)


CHANGES = [
    (["pause"], power_state.PAUSED),
    (["pause", "unpause"], power_state.RUNNING),
    (["suspend"], power_state.SUSPENDED),
    (["suspend", "resume"], power_state.RUNNING),
    (["power_off"], power_state.SHUTDOWN),
    (["power_off", "power_on"], power_state.RUNNING),
    (["crash"], power_state.SHUTDOWN),
    (["crash", "hard"], power_state.RUNNING),
    (["pause", "hard"], power_state.RUNNING),
    (["soft"], power_state.RUNNING),
    (["power_off", "soft"], power_state.RUNNING),
    (["power_off", "host_boot"], power_state.RUNNING),
    (["pause", "host_boot"], power_state.PAUSED),
    (["rescue"], power_state.RUNNING),
    (["power_off", "rescue", "unrescue"], power_state.RUNNING),
]


def act(driver, instance, vifs, name):
    {
        "pause": lambda: driver.pause(instance),
        "unpause": lambda: driver.unpause(instance),
        "suspend": lambda: driver.suspend(None, instance),
        "resume": lambda: driver.resume(None, instance, vifs),
        "power_off": lambda: driver.power_off(instance),
        "power_on": lambda: driver.power_on(None, instance, vifs),
        "crash": lambda: driver.trigger_crash_dump(instance),
        "soft": lambda: driver.reboot(None, instance, vifs, "SOFT"),
        "hard": lambda: driver.reboot(None, instance, vifs, "HARD"),
        "host_boot": lambda: driver.resume_state_on_host_boot(None, instance, vifs, None),
        "rescue": lambda: driver.rescue(None, instance, vifs, None, "secret", None, None),
        "unrescue": lambda: driver.unrescue(None, instance),
    }[name]()


def test_a_nova_compute_that_starts_waits_for_no_port(driver):
    instance, vifs = make_instance(), [make_vif(active=False)]
    spawn(driver, instance, vifs)
    driver.power_off(instance)
    driver.virtapi.waited.clear()
    driver.resume_state_on_host_boot(None, instance, vifs, None)
    assert driver.virtapi.waited == []
    driver.reboot(None, instance, vifs, "HARD")
    assert len(driver.virtapi.waited) == 1


@pytest.mark.parametrize(("names", "expected"), CHANGES)
def test_power_states_and_links_follow(driver, names, expected):
    instance, vifs = make_instance(), [make_vif()]
    spawn(driver, instance, vifs)
    for name in names:
        act(driver, instance, vifs, name)
    assert state(driver, instance) == expected
    assert driver.hypervisor.realizer.links[instance.uuid] is (expected == power_state.RUNNING)
    assert driver.hypervisor.capacity.used == Claim(1, 512, 1)


@pytest.mark.parametrize(
    ("before", "name", "error"),
    [
        (["power_off"], "pause", exception.Invalid),
        (["suspend"], "unpause", exception.Invalid),
        (["power_off"], "suspend", exception.InstanceSuspendFailure),
        ([], "resume", exception.InstanceResumeFailure),
        (["pause"], "power_on", exception.InstancePowerOnFailure),
        (["rescue"], "rescue", exception.InstanceRescueFailure),
        ([], "unrescue", exception.InstanceUnRescueFailure),
    ],
)
def test_what_the_state_does_not_allow_is_refused_and_changes_nothing(driver, before, name, error):
    instance, vifs = make_instance(), [make_vif()]
    spawn(driver, instance, vifs)
    for one in before:
        act(driver, instance, vifs, one)
    was = state(driver, instance)
    with pytest.raises(error):
        act(driver, instance, vifs, name)
    assert state(driver, instance) == was


@pytest.mark.parametrize("name", ["pause", "suspend", "power_off", "rescue", "crash", "soft"])
def test_nothing_can_be_done_to_what_is_not_here(driver, name):
    with pytest.raises(exception.InstanceNotFound):
        act(driver, make_instance(), [], name)


def test_a_hard_reboot_makes_a_missing_instance_again(driver):
    instance = make_instance()
    driver.reboot(None, instance, [make_vif()], "HARD")
    assert state(driver, instance) == power_state.RUNNING
    assert instance.uuid in driver.hypervisor.realizer.wired


def test_a_link_that_cannot_follow_puts_the_state_back(driver):
    instance = make_instance()
    spawn(driver, instance, [make_vif()])
    driver.hypervisor.realizer.fail["set_link"] = exceptions.RealizerError("stuck")
    with pytest.raises(exception.VirtualInterfacePlugException):
        driver.pause(instance)
    assert state(driver, instance) == power_state.RUNNING


def test_a_crash_of_a_guest_is_told_to_nova(driver):
    told = []
    driver.register_event_listener(told.append)
    instance = make_instance()
    spawn(driver, instance)
    driver.trigger_crash_dump(instance)
    assert [(event.get_instance_uuid(), event.get_name()) for event in told] == [(instance.uuid, "Stopped")]


def test_a_dead_host_answers_nothing_and_comes_back_with_its_guests_shut_down(driver):
    instance, vif = make_instance(), make_vif()
    spawn(driver, instance, [vif])
    driver.hypervisor.crash()
    for call in (driver.get_info, driver.pause, driver.get_diagnostics):
        with pytest.raises(exception.HypervisorUnavailable):
            call(instance)
    with pytest.raises(exception.HypervisorUnavailable):
        driver.list_instances()
    assert driver.hypervisor.realizer.wired == {}
    driver.hypervisor.recover()
    assert state(driver, instance) == power_state.SHUTDOWN
    driver.power_on(None, instance, [vif])
    assert instance.uuid in driver.hypervisor.realizer.wired


def test_an_evacuated_instance_does_not_lose_its_interfaces_when_the_old_host_forgets_it(driver, other):
    instance, vif = make_instance(), make_vif()
    spawn(driver, instance, [vif])
    driver.hypervisor.crash()
    assert other.instance_on_disk(instance)
    spawn(other, instance, [vif])
    driver.hypervisor.recover()
    before = list(driver.hypervisor.realizer.calls)
    driver.destroy(None, instance, [vif], destroy_disks=False)
    assert driver.hypervisor.realizer.calls == before
    assert driver.hypervisor.capacity.used == NOTHING
    assert other.hypervisor.capacity.used == Claim(1, 512, 1)


def test_plugging_again_reports_every_interface_again(driver):
    instance, vif = make_instance(), make_vif()
    spawn(driver, instance, [vif])
    driver.plug_vifs(instance, [vif])
    driver.plug_vifs(instance, [vif])
    assert operations(driver, instance) == ["vif_plugged", "spawn", "vif_plugged", "plug", "vif_plugged", "plug"]


def test_interfaces_come_and_go(driver):
    instance = make_instance()
    spawn(driver, instance, [make_vif(1)])
    driver.attach_interface(None, instance, None, make_vif(2))
    assert set(driver.hypervisor.realizer.wired[instance.uuid]) == {make_vif(1)["id"], make_vif(2)["id"]}
    with pytest.raises(exception.InterfaceAttachFailed):
        driver.attach_interface(None, instance, None, make_vif(2))
    driver.detach_interface(None, instance, make_vif(2))
    assert set(driver.hypervisor.realizer.wired[instance.uuid]) == {make_vif(1)["id"]}
    with pytest.raises(exception.InterfaceDetachFailed):
        driver.detach_interface(None, instance, make_vif(2))


def test_volumes_keep_what_the_service_said(driver):
    instance = make_instance()
    spawn(driver, instance, volumes=[make_volume("/dev/vdb", "v1")])
    info = make_volume(volume_id="v2")["connection_info"]
    with pytest.raises(exception.DevicePathInUse):
        driver.attach_volume(None, info, instance, "/dev/vdb")
    driver.attach_volume(None, info, instance, "/dev/vdc")
    guest = driver.hypervisor.guests[instance.uuid]
    assert guest.volumes["vdc"].connection_info is info
    driver.extend_volume(None, info, instance, 2 << 30)
    with pytest.raises(exception.VolumeExtendFailed, match="cannot shrink"):
        driver.extend_volume(None, info, instance, 1 << 30)
    with pytest.raises(exception.VolumeNotFound):
        driver.extend_volume(None, make_volume(volume_id="v9")["connection_info"], instance, 1)
    new = make_volume(volume_id="v3")["connection_info"]
    driver.swap_volume(None, info, new, instance, "/dev/vdc", 4)
    assert (guest.volumes["vdc"].volume_id, guest.volumes["vdc"].size_bytes) == ("v3", 4 << 30)
    driver.detach_volume(None, new, instance, "/dev/vdc")
    with pytest.raises(exception.DiskNotFound):
        driver.detach_volume(None, new, instance, "/dev/vdc")


def test_a_guest_does_not_let_go_of_the_volume_that_it_runs_from(driver):
    instance, root = make_instance(), make_volume("/dev/vda", "root")
    instance.image_ref = ""
    spawn(driver, instance, volumes=[root, make_volume()])
    with pytest.raises(exception.DeviceDetachFailed, match="runs from vda"):
        driver.detach_volume(None, root["connection_info"], instance, "/dev/vda")
    assert sorted(driver.hypervisor.guests[instance.uuid].volumes) == ["vda", "vdb"]
    driver.power_off(instance)
    driver.detach_volume(None, root["connection_info"], instance, "/dev/vda")
    assert list(driver.hypervisor.guests[instance.uuid].volumes) == ["vdb"]


def test_too_many_disks_are_refused(driver):
    CONF.set_override("max_disk_devices_to_attach", 2, group="compute")
    instance = make_instance()
    try:
        spawn(driver, instance, volumes=[make_volume()])
        with pytest.raises(exception.TooManyDiskDevices):
            driver.attach_volume(None, {}, instance, "/dev/vdc")
    finally:
        CONF.clear_override("max_disk_devices_to_attach", group="compute")


def test_a_volume_backed_guest_takes_no_disk_of_the_host(driver):
    root = make_volume("/dev/vda") | {"boot_index": 0}
    spawn(driver, make_instance(), volumes=[root])
    assert driver.hypervisor.capacity.used == Claim(1, 512, 0)


def test_block_devices_without_volumes_are_no_volumes(driver):
    driver.spawn(None, make_instance(), None, None, None, None, block_device_info=block_devices())
    assert driver.hypervisor.guests[make_instance().uuid].volumes == {}
