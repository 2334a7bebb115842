import inspect
import json
from types import SimpleNamespace

import pytest
from driver_kit import CONF, drive, make_flavor, make_instance, make_vif, make_volume, spawn
from nova import exception
from nova.compute import task_states
from nova.objects.diagnostics import Diagnostics
from nova.virt import driver as nova_driver

from nova_fakes.exceptions import HostNotFound, SignatureMismatch
from nova_fakes.virt.fake import FakeDriver
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.inventory import Inventory
from nova_fakes.virt.journal import Journal
from nova_fakes.virt.signatures import check_signatures


def test_old_diagnostics_have_libvirts_keys_and_grow(driver, clock):
    instance = make_instance(flavor=make_flavor(vcpus=2))
    spawn(driver, instance, [make_vif()], [make_volume()])
    clock.advance(60)
    first = driver.get_diagnostics(instance)
    assert {"cpu0_time", "cpu1_time", "memory", "vda_read", "vdb_write_req", "vda_errors"} <= first.keys()
    assert first[make_vif()["devname"] + "_rx"] == 1
    clock.advance(60)
    second = driver.get_diagnostics(instance)
    assert all(second[key] >= value for key, value in first.items())
    assert second["cpu0_time"] > first["cpu0_time"]


def test_new_diagnostics_follow_the_guest(driver, clock):
    instance = make_instance(flavor=make_flavor(vcpus=2, swap=512))
    spawn(driver, instance, [make_vif()])
    clock.advance(100)
    driver.pause(instance)
    found = driver.get_instance_diagnostics(instance)
    assert (found.state, found.num_cpus, found.num_disks, found.num_nics) == ("paused", 2, 2, 1)
    assert (found.uptime, found.memory_details.maximum) == (100, 512)
    assert found.nic_details[0].mac_address == make_vif()["address"]
    assert found.nic_details[0].tx_drop == 8
    # Made in a shorter way than nova's, it is what nova's makes.
    fields = ("state", "driver", "hypervisor", "hypervisor_os", "uptime", "config_drive", "memory_details")
    details = ("cpu_details", "disk_details", "nic_details")
    longer = Diagnostics(**{name: getattr(found, name) for name in fields + details})
    assert found.obj_what_changed() == longer.obj_what_changed()
    made, expected = found.obj_to_primitive(), longer.obj_to_primitive()
    for primitive in (made, expected):
        primitive["nova_object.changes"].sort()
    assert made == expected
    clock.advance(100)
    later = driver.get_instance_diagnostics(instance)
    assert [cpu.time for cpu in later.cpu_details] == [cpu.time for cpu in found.cpu_details]


def test_the_console_log_grows(driver, clock):
    instance = make_instance()
    spawn(driver, instance)
    first = driver.get_console_output(None, instance)
    clock.advance(30)
    second = driver.get_console_output(None, instance)
    assert second.startswith(first)
    assert b"host-1 login:" in second
    clock.advance(3600)
    assert len(driver.get_console_output(None, instance)) > len(second)


def test_consoles_are_each_guests_own(driver):
    kinds = (
        driver.get_vnc_console,
        driver.get_spice_console,
        driver.get_serial_console,
        driver.get_mks_console,
    )
    seen = set()
    for number in (1, 2):
        spawn(driver, make_instance(number))
        for kind in kinds:
            console = kind(None, make_instance(number))
            seen.add((console.port, console.internal_access_path))
            assert kind(None, make_instance(number)).port == console.port
    assert len({port for port, _ in seen}) == len({path for _, path in seen}) == 8


class Images:
    def __init__(self):
        self.updates = []

    def get(self, context, image_id):
        if image_id == "missing":
            raise exception.ImageNotFound(image_id=image_id)
        return {"name": "snap"}

    def update(self, context, image_id, metadata, data):
        self.updates.append((image_id, metadata, data.read()))


def test_a_snapshot_uploads_bytes_and_tells_of_its_steps(driver):
    driver._image_api = images = Images()
    instance = make_instance()
    spawn(driver, instance)
    states = []
    driver.snapshot(None, instance, "image-9", lambda **states_: states.append(states_))
    assert states == [
        {"task_state": task_states.IMAGE_PENDING_UPLOAD},
        {"task_state": task_states.IMAGE_UPLOADING, "expected_state": task_states.IMAGE_PENDING_UPLOAD},
    ]
    ((image_id, metadata, contents),) = images.updates
    assert image_id == "image-9"
    assert (metadata["disk_format"], metadata["container_format"], metadata["name"]) == ("raw", "bare", "snap")
    assert metadata["properties"]["os_type"] == "linux"
    assert len(contents) % 512 == 0
    assert contents[510:512] == b"\x55\xaa"
    assert instance.uuid.encode() in contents


def test_a_snapshot_of_nothing_is_refused(driver):
    with pytest.raises(exception.InstanceNotRunning):
        driver.snapshot(None, make_instance(), "image", None)


def test_the_image_cache_keeps_what_is_used(driver, clock):
    driver._image_api = Images()
    instance = make_instance()
    spawn(driver, instance)
    assert driver.cache_image(None, instance.image_ref) is False
    assert driver.cache_image(None, "other") is True
    with pytest.raises(exception.ImageNotFound):
        driver.cache_image(None, "missing")
    clock.advance(10 * 86400)
    driver.manage_image_cache(None, [instance])
    assert set(driver.hypervisor.cached_images) == {instance.image_ref}


def test_quiescing_needs_an_agent(driver):
    instance = make_instance()
    spawn(driver, instance)
    with pytest.raises(exception.InstanceQuiesceNotSupported):
        driver.quiesce(None, instance, SimpleNamespace(properties={}))
    able = SimpleNamespace(properties={"hw_qemu_guest_agent": True})
    driver.quiesce(None, instance, able)
    assert driver.hypervisor.guests[instance.uuid].quiesced
    driver.unquiesce(None, instance, able)
    with pytest.raises(exception.InstanceQuiesceFailed):
        driver.unquiesce(None, instance, able)


def test_a_password_reaches_a_running_guest_alone(driver):
    instance = make_instance()
    spawn(driver, instance)
    driver.set_admin_password(instance, "secret")
    assert driver.hypervisor.guests[instance.uuid].spec.admin_password == "secret"
    driver.power_off(instance)
    with pytest.raises(exception.InstancePasswordSetFailed):
        driver.set_admin_password(instance, "other")


def test_shares_are_mounted_while_they_are_used(driver):
    share = SimpleNamespace(share_id="s")
    for number in (1, 2):
        driver.mount_share(None, make_instance(number), share)
    assert driver.is_share_mounted(share)
    assert driver.umount_share(None, make_instance(1), share) is True
    assert driver.umount_share(None, make_instance(2), share) is False
    assert not driver.is_share_mounted(share)


def test_disk_counters_by_device_and_by_volume(driver, clock):
    instance = make_instance()
    spawn(driver, instance, volumes=[make_volume()])
    clock.advance(1000)
    assert driver.block_stats(instance, "vda")[1] > 0
    with pytest.raises(exception.DiskNotFound):
        driver.block_stats(instance, "vdz")
    bdms = [{"device_name": "/dev/vdb", "volume_id": "v1"}, {"device_name": "/dev/vdz", "volume_id": "v9"}]
    (usage,) = driver.get_all_volume_usage(None, [{"instance": instance, "instance_bdms": bdms}])
    assert usage["volume"] == "v1"
    assert usage["rd_bytes"] > 0


def test_the_node_reports_what_it_has(driver):
    spawn(driver, make_instance())
    found = driver.get_available_resource("a")
    assert (found["vcpus"], found["vcpus_used"], found["memory_mb_used"]) == (64, 1, 512)
    assert driver.get_nodenames_by_uuid() == {found["uuid"]: "a"}
    assert driver.get_available_nodes() == ["a"]
    topology = json.loads(found["cpu_info"])["topology"]
    assert topology["sockets"] * topology["cores"] * topology["threads"] == 64


class Tree:
    def __init__(self):
        self.inventory, self.traits = {}, []

    def data(self, name):
        return SimpleNamespace(inventory=self.inventory, uuid="provider")

    def update_inventory(self, name, inventory):
        self.inventory = inventory

    def update_resources(self, name, resources):
        assert resources == {}

    def add_traits(self, name, *traits):
        self.traits += traits


def test_placement_learns_inventory_ratios_and_traits(fleet, virtapi):
    fleet.add(Hypervisor("c", Inventory(vcpus=3, disk_gb=0, traits=frozenset({"CUSTOM_X"}), resources={"CUSTOM_Y": 2})))
    CONF.set_override("reserved_host_memory_mb", 100)
    tree = Tree()
    try:
        drive(fleet, "c", virtapi).update_provider_tree(tree, "c")
    finally:
        CONF.clear_override("reserved_host_memory_mb")
    assert tree.inventory.keys() == {"VCPU", "MEMORY_MB", "CUSTOM_Y"}
    assert (tree.inventory["VCPU"]["total"], tree.inventory["VCPU"]["allocation_ratio"]) == (3, 4.0)
    assert tree.inventory["MEMORY_MB"]["reserved"] == 100
    assert {"CUSTOM_X", "HW_CPU_X86_AVX2", "COMPUTE_STORAGE_BUS_VIRTIO"} <= set(tree.traits)


def test_a_host_out_of_service_takes_no_guests(driver):
    assert driver.set_host_enabled(False) == "disabled"
    with pytest.raises(exception.ComputeResourcesUnavailable):
        spawn(driver, make_instance())
    assert driver.set_host_enabled(True) == "enabled"
    assert driver.host_maintenance_mode("a", True) == "on_maintenance"
    with pytest.raises(exception.ComputeResourcesUnavailable):
        spawn(driver, make_instance())
    assert driver.host_maintenance_mode("a", False) == "off_maintenance"
    spawn(driver, make_instance())


def test_host_power(driver, clock):
    spawn(driver, make_instance())
    clock.advance(86400 + 3600)
    assert " up 1 day,  1:00" in driver.get_host_uptime()
    assert driver.host_power_action("reboot") == "reboot"
    assert " up 0 days,  0:00" in driver.get_host_uptime()
    driver.host_power_action("shutdown")
    with pytest.raises(exception.HypervisorUnavailable):
        driver.get_host_uptime()
    driver.host_power_action("startup")
    with pytest.raises(exception.InvalidInput):
        driver.host_power_action("explode")


def test_host_processor_times_add_up(driver, clock):
    clock.advance(100)
    found = driver.get_host_cpu_stats()
    assert sum(found[key] for key in ("kernel", "user", "idle", "iowait")) == 100 * 64 * 10**9


def test_the_volume_connector_is_stable(driver, other):
    first = driver.get_volume_connector(make_instance())
    assert first == driver.get_volume_connector(make_instance(2))
    assert first["host"] == "a"
    assert first["initiator"] != other.get_volume_connector(make_instance())["initiator"]


def test_a_claim_that_does_not_fit_is_refused(fleet, virtapi):
    fleet.add(Hypervisor("c", Inventory(vcpus=1, memory_mb=1024, memory_limit=1.0)))
    driver = drive(fleet, "c", virtapi)
    spawn(driver, make_instance(1))
    spawn(driver, make_instance(2))
    with pytest.raises(exception.ComputeResourcesUnavailable, match="1024 memory_mb"):
        spawn(driver, make_instance(3))


def test_a_host_that_the_fleet_does_not_have_is_named(fleet, virtapi):
    with fleet.activate():
        driver = FakeDriver(virtapi)
    with pytest.raises(HostNotFound, match="'z'; its hosts: a, b"):
        driver.init_host("z")


def test_guests_and_identity_outlive_the_process(tmp_path, virtapi, clock):
    instance, vif = make_instance(), make_vif()

    def start():
        fleet = Fleet(clock, journal=Journal(tmp_path / "journal.sqlite"), seed=3)
        fleet.add(Hypervisor("a"))
        return drive(fleet, "a", virtapi)

    first = start()
    spawn(first, instance, [vif], [make_volume()])
    first.pause(instance)
    nodes, used = first.get_nodenames_by_uuid(), first.hypervisor.capacity.used
    figures = first.get_diagnostics(instance)
    first.fleet.close()
    clock.advance(50)
    second = start()
    assert second.get_nodenames_by_uuid() == nodes
    assert second.hypervisor.capacity.used == used
    assert second.get_info(instance).state == 3
    assert second.get_diagnostics(instance) == figures
    assert second.hypervisor.guests[instance.uuid].volumes["vdb"].volume_id == "v1"
    second.plug_vifs(instance, [vif])
    second.destroy(None, instance, [vif])
    second.fleet.close()
    third = start()
    assert third.list_instances() == []
    third.fleet.close()


def test_a_driver_without_a_fleet_makes_its_own_from_nova_conf(virtapi):
    CONF.set_override("vcpus", 7, group="nova_fakes")
    try:
        driver = FakeDriver(virtapi)
        driver.init_host("a")
    finally:
        CONF.clear_override("vcpus", group="nova_fakes")
    assert driver.get_available_resource("a")["vcpus"] == 7
    assert driver.hypervisor.realizer.name == "null"
    spawn(driver, make_instance(), [make_vif()])
    assert [vif.mtu for vif in driver.hypervisor.vifs(make_instance().uuid)] == [1450]
    driver.cleanup_host("a")


def test_nova_loads_the_driver_by_its_name(virtapi):
    assert isinstance(nova_driver.load_compute_driver(virtapi, "nova_fakes.FakeDriver"), FakeDriver)


def test_a_signature_that_no_longer_matches_is_named():
    class Base:
        def pause(self, instance, reason):
            """Pause."""

    class Outdated(Base):
        def pause(self, instance):
            """Pause."""

    with pytest.raises(SignatureMismatch, match=r"Outdated\.pause\(self, instance\).*lacks: reason"):
        check_signatures(Outdated, Base)


def test_every_method_that_nova_leaves_open_is_ours_or_refused_on_purpose():
    refused = {
        "rebuild",
        "soft_delete",
        "restore",
        "power_update_event",
        "volume_snapshot_create",
        "volume_snapshot_delete",
        "default_root_device_name",
        "default_device_names_for_instance",
        "get_device_name_for_instance",
    }
    open_ones = {
        name
        for name, method in vars(nova_driver.ComputeDriver).items()
        if inspect.isfunction(method) and "raise NotImplementedError" in inspect.getsource(method)
    }
    left = {name for name in open_ones if getattr(FakeDriver, name) is getattr(nova_driver.ComputeDriver, name)}
    assert left == refused
