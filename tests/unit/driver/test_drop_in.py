"""The variants of the driver that nova's own tests know, one by one; those tests themselves are in tests/contract."""

import json
import subprocess
import sys

import nova.conf
import pytest
from driver_kit import make_flavor, make_instance, make_vif, spawn
from nova import exception
from nova.compute import provider_tree, vm_states
from nova.virt.driver import ComputeDriver

from nova_fakes.exceptions import InvalidInput
from nova_fakes.virt import drop_in, fake
from nova_fakes.virt.guest import Claim
from nova_fakes.virt.inventory import Inventory, PciDevice, Provider

CONF = nova.conf.CONF


def make(cls, host="h1"):
    driver = cls(drop_in.FakeVirtAPI())
    driver.init_host(host)
    return driver


def test_every_name_of_novas_fake_is_there():
    program = (
        "from nova.virt import fake; from nova_fakes.virt import drop_in; import json, inspect;"
        "print(json.dumps([name for name, value in vars(fake).items() if inspect.isclass(value)"
        " and value.__module__ == 'nova.virt.fake' and not hasattr(drop_in, name)]))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_it_takes_the_place_of_novas_fake_or_says_that_it_is_too_late():
    program = (
        "import nova.virt; from nova_fakes.virt import drop_in; drop_in.replace_nova_virt_fake();"
        "drop_in.replace_nova_virt_fake();"
        "from nova.virt import fake; assert fake is drop_in is nova.virt.fake;"
        "from nova.virt.driver import load_compute_driver; import nova.conf;"
        "nova.conf.CONF([], default_config_files=[]);"
        "print(type(load_compute_driver(None, 'fake.SmallFakeDriver')).__module__)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["nova_fakes.virt.drop_in"], done.stderr
    late = "import nova.virt.fake; from nova_fakes.virt import drop_in; drop_in.replace_nova_virt_fake()"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", late], capture_output=True, text=True, check=False)
    assert "imported already" in done.stderr


@pytest.mark.parametrize("name", [name for name in drop_in.__all__ if "Driver" in name])
def test_every_variant_boots_or_refuses_and_says_what_it_has(name):
    driver = make(getattr(drop_in, name))
    assert isinstance(driver, ComputeDriver)
    (node,) = driver.get_available_nodes()
    found = driver.get_available_resource(node)
    assert (found["vcpus"], found["memory_mb"], found["local_gb"]) == (driver.vcpus, driver.memory_mb, driver.local_gb)
    assert driver.get_nodenames_by_uuid() == {found["uuid"]: node} or "NodeUUID" in name
    # Those who refuse an instance once remember it for all tests of the process.
    instance = make_instance(1000 + drop_in.__all__.index(name))
    if name.startswith(("FakeReschedule", "FakeBuildAbort")):
        with pytest.raises((exception.ComputeResourcesUnavailable, exception.BuildAbortException)):
            spawn(driver, instance)
        assert driver.hypervisor.capacity.used == Claim(0, 0, 0)
    else:
        spawn(driver, instance, [make_vif(active=True)])
        assert driver.get_available_resource(node)["vcpus_used"] == 1
        assert driver.instances.keys() == {instance.uuid}
        assert driver._interfaces.keys() == {make_vif()["id"]}


def test_the_host_named_compute_has_a_node_of_another_name_and_tests_may_give_it_several():
    driver = make(drop_in.FakeDriver, "compute")
    assert driver.get_available_nodes() == ["fake-mini"]
    driver._set_nodes(["one", "two"])
    assert sorted(driver.get_nodenames_by_uuid().values()) == ["one", "two"]
    assert driver.get_available_resource("two")["hypervisor_hostname"] == "two"
    assert driver.get_available_resource("three") == {}


def test_an_instance_is_refused_once_by_all_hosts_together():
    first, second = make(drop_in.FakeRescheduleDriver, "h1"), make(drop_in.FakeRescheduleDriver, "h2")
    instance = make_instance(4711)
    with pytest.raises(exception.ComputeResourcesUnavailable, match="FakeRescheduleDriver"):
        spawn(first, instance)
    spawn(second, instance)
    assert second.list_instance_uuids() == [instance.uuid]


def test_an_abort_names_the_instance():
    instance = make_instance()
    with pytest.raises(exception.BuildAbortException, match=instance.uuid):
        spawn(make(drop_in.FakeBuildAbortDriver), instance)


def test_only_an_unshelved_instance_fails():
    driver, instance = make(drop_in.FakeUnshelveSpawnFailDriver), make_instance()
    spawn(driver, instance)
    driver.destroy(None, instance, [])
    instance.vm_state = vm_states.SHELVED_OFFLOADED
    with pytest.raises(exception.VirtualInterfaceCreateException):
        spawn(driver, instance)
    assert driver.list_instances() == []


def test_a_move_fails_where_it_arrives():
    driver, instance = make(drop_in.FakeFinishMigrationFailDriver), make_instance()
    with pytest.raises(exception.VirtualInterfaceCreateException):
        driver.finish_migration(None, None, instance, "", [], None, True, None)
    assert driver.hypervisor.capacity.used == Claim(0, 0, 0)


def test_what_tests_do_to_guests_that_are_not_as_the_call_expects_is_let_pass():
    driver, instance = make(drop_in.SmallFakeDriver), make_instance()
    spawn(driver, instance)
    driver.resume(None, instance, [])
    driver.unrescue(None, instance)
    driver.live_migration_abort(instance)
    driver.live_migration_force_complete(instance)
    driver._test_remove_vm(instance.uuid)
    assert driver.list_instances() == []
    with pytest.raises(exception.InstanceNotFound):
        driver.resume(None, instance, [])


def test_images_are_cached_once():
    driver = make(drop_in.FakeDriverWithCaching)
    assert driver.cache_image(None, "image") is True
    assert driver.cache_image(None, "image") is False
    assert driver.cached_images == {"image"}


def test_pci_devices_are_told_as_nova_reads_them():
    driver = make(drop_in.FakeDriverWithPciResources)
    devices = json.loads(driver.get_available_resource("h1")["pci_passthrough_devices"])
    assert [device["dev_type"] for device in devices] == ["type-PF", "type-VF"] * 3
    assert devices[1] == {
        "address": "0000:01:00.1",
        "dev_type": "type-VF",
        "label": "fake-label",
        "numa_node": 0,
        "parent_addr": "0000:01:00.0",
        "parent_ifname": "h1-ens1",
        "product_id": "fake-product_id",
        "status": "available",
        "vendor_id": "fake-vendor_id",
    }
    with drop_in.FakeDriverWithPciResources.FakeDriverWithPciResourcesConfigFixture():
        assert len(CONF.pci.device_spec) == 3


def test_nested_resources_are_a_provider_of_their_own():
    driver = make(drop_in.MediumFakeDriverWithNestedCustomResources)
    tree = provider_tree.ProviderTree()
    tree.new_root("h1", "5a1d5d8a-0000-4000-8000-000000000001")
    for _ in range(2):
        driver.update_provider_tree(tree, "h1")
    assert tree.data("h1-child").inventory["CUSTOM_MAGIC"]["total"] == 10
    assert tree.data("h1-child").traits == {"OWNER_NOVA"}
    assert tree.data("h1-child").parent_uuid == tree.data("h1").uuid


def test_the_driver_for_everybody_else_has_no_constants():
    driver, instance = make(drop_in.FakeDriver), make_instance(flavor=make_flavor(vcpus=2))
    spawn(driver, instance)
    constant = driver.get_diagnostics(instance)
    living = fake.FakeDriver.get_diagnostics(driver, instance)
    assert "cpu1_time" in living
    assert constant["cpu0_time"] == 17300000000


PHYSICAL = PciDevice("0000:81:00.0", "8086", "1572", kind="type-PF")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (lambda: PciDevice("81:00.0", "8086", "1572"), "81:00.0"),
        (lambda: PciDevice("0000:81:00.0", "8086", "1572", kind="card"), "card"),
        (lambda: PciDevice("0000:81:00.1", "8086", "154c", kind="type-VF"), "parent"),
        (
            lambda: Inventory(pci=(PciDevice("0000:81:00.1", "8", "1", kind="type-VF", parent="0000:82:00.0"),)),
            "0000:82",
        ),
        (lambda: Inventory(pci=(PHYSICAL, PHYSICAL)), "0000:81:00.0"),
        (lambda: Inventory(providers=(Provider("gpu", {}), Provider("gpu", {}))), "gpu"),
        (lambda: Provider("", {}), "name"),
        (lambda: Provider("gpu", {"VGPU": -1}), "VGPU"),
        (lambda: Inventory(resources={"CUSTOM_X": -1}), "CUSTOM_X"),
    ],
)
def test_a_wrong_inventory_is_refused_by_name(wrong, named):
    with pytest.raises(InvalidInput, match=named):
        wrong()
