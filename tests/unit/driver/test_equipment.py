"""What guests have for themselves: processors, PCI devices, persistent memory, and what nova reads of all that."""

import threading
from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace

import pytest
from driver_kit import CONF, RecordingRealizer, drive, make_flavor, make_instance, make_vif, spawn
from nova import exception, objects
from nova.compute import provider_tree
from nova.objects import fields
from nova.objects import numa as numa_obj
from nova.virt import hardware

from nova_fakes.exceptions import InvalidInput
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.guest import Claim
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.inventory import Inventory, NumaCell, PciDevice, PmemNamespace, Provider
from nova_fakes.virt.journal import Journal

CARD, PORT_1, PORT_2 = "0000:81:00.0", "0000:81:00.1", "0000:81:00.2"
EQUIPPED = Inventory(
    vcpus=8,
    memory_mb=16_384,
    numa=(
        NumaCell(vcpus=4, memory_mb=8_192, pcpus=2, huge_pages={"2048": 1024}, physnets=("physnet1",)),
        NumaCell(vcpus=4, memory_mb=8_192, pcpus=2),
    ),
    pci=(
        PciDevice(CARD, "8086", "1572", kind="type-PF"),
        PciDevice(PORT_1, "8086", "154c", kind="type-VF", parent=CARD, parent_interface="ens1"),
        PciDevice(PORT_2, "8086", "154c", kind="type-VF", parent=CARD, parent_interface="ens1"),
    ),
    pmem=(PmemNamespace("ns_0", "4GB", 4096), PmemNamespace("ns_1", "4GB", 4096)),
    providers=(Provider("gpu", {"VGPU": 2}),),
    resources={"CUSTOM_LICENSE": 1},
)


@pytest.fixture
def equipped(clock):
    """Two hosts that are equipped alike."""
    fleet = Fleet(clock)
    for name in ("a", "b"):
        fleet.add(Hypervisor(name, EQUIPPED, RecordingRealizer()))
    return fleet


@pytest.fixture
def driver(equipped, virtapi):
    return drive(equipped, "a", virtapi)


@pytest.fixture
def other(equipped, virtapi):
    return drive(equipped, "b", virtapi)


def make(number=1, *, vcpus=1, pci: Iterable[str] = (), pmem: Iterable[str] = (), topology=None, **fields):
    instance = make_instance(number, make_flavor(vcpus=vcpus))
    instance.pci_devices = [SimpleNamespace(address=address) for address in pci]
    instance.resources = [SimpleNamespace(identifier=name) for name in pmem]
    instance.numa_topology = topology
    for name, value in fields.items():
        setattr(instance, name, value)
    return instance


def fitted(driver, vcpus=2):
    """Return the topology that nova itself fits onto the host for a guest with processors of its own."""
    host = numa_obj.NUMATopology.obj_from_db_obj(driver.get_available_resource("a")["numa_topology"])
    for cell in host.cells:
        taken = {int(item.split()[1]) for item in driver.hypervisor.capacity.used.items if item.startswith("cpu ")}
        cell.pin_cpus(taken & cell.pcpuset)
    wanted = objects.InstanceNUMATopology(
        cells=[
            objects.InstanceNUMACell(
                id=0,
                cpuset=set(),
                pcpuset=set(range(vcpus)),
                memory=512,
                cpu_policy=fields.CPUAllocationPolicy.DEDICATED,
            )
        ]
    )
    return hardware.numa_fit_instance_to_host(host, wanted, {})


def used(driver):
    return driver.hypervisor.capacity.used


def test_nova_reads_the_cells(driver):
    host = numa_obj.NUMATopology.obj_from_db_obj(driver.get_available_resource("a")["numa_topology"])
    first, second = host.cells
    assert (first.cpuset, first.pcpuset, second.pcpuset) == ({0, 1, 2, 3}, {4, 5}, {10, 11})
    assert first.siblings == [{0, 1}, {2, 3}, {4, 5}]
    assert {page.size_kb: page.total for page in first.mempages} == {4: 1_572_864, 2048: 1024}
    assert first.network_metadata.physnets == {"physnet1"}
    assert [cell.socket for cell in host.cells] == [0, 1]
    found = driver.get_available_resource("a")
    assert (found["vcpus"], found["vcpus_used"]) == (12, 0)


def test_huge_pages_that_nova_conf_reserves_are_reserved(driver):
    CONF.set_override("reserved_huge_pages", [{"node": "0", "size": "2MB", "count": "64"}])
    host = numa_obj.NUMATopology.obj_from_db_obj(driver.get_available_resource("a")["numa_topology"])
    assert [page.reserved for page in host.cells[0].mempages] == [0, 64]
    assert [page.reserved for page in host.cells[1].mempages] == [0]


def test_a_host_without_cells_tells_of_none(fleet, virtapi):
    assert drive(fleet, "a", virtapi).get_available_resource("a")["numa_topology"] is None


def test_processors_of_its_own_are_claimed_and_given_back(driver):
    one, two = make(1, vcpus=2), make(2, vcpus=2)
    one.numa_topology = fitted(driver)
    spawn(driver, one)
    assert used(driver) == Claim(0, 512, 1, ("cpu 4", "cpu 5"))
    found = driver.get_available_resource("a")
    assert (found["vcpus"], found["vcpus_used"]) == (12, 2)
    two.numa_topology = fitted(driver)
    spawn(driver, two)
    assert used(driver).items == ("cpu 10", "cpu 11", "cpu 4", "cpu 5")
    third = make(3, vcpus=2, topology=one.numa_topology)
    with pytest.raises(exception.ComputeResourcesUnavailable, match="cpu 4 of host a is another guest's"):
        spawn(driver, third)
    driver.destroy(None, one, [])
    spawn(driver, third)
    assert len(driver.hypervisor.guests) == 2


def test_devices_are_one_guests_alone(driver):
    one, two = make(1, pci=[PORT_1], pmem=["ns_0"]), make(2, pci=[PORT_1])
    spawn(driver, one)
    assert used(driver).items == (f"PCI device {PORT_1}", "persistent memory ns_0")
    with pytest.raises(exception.ComputeResourcesUnavailable, match=PORT_1):
        spawn(driver, two)
    with pytest.raises(exception.ComputeResourcesUnavailable, match="has no PCI device 0000:99"):
        spawn(driver, make(3, pci=["0000:99:00.0"]))
    driver.destroy(None, one, [])
    assert used(driver) == Claim(0, 0, 0)


def test_allocated_resources_are_claimed(driver):
    def boot(number, amount):
        instance = make(number)
        allocations = {
            "host": {"resources": {"VCPU": 1, "MEMORY_MB": 512, "CUSTOM_ELSEWHERE": 9}},
            "gpu": {"resources": {"VGPU": amount}},
        }
        driver.spawn(None, instance, None, None, None, allocations)
        return instance

    boot(1, 1)
    with pytest.raises(exception.ComputeResourcesUnavailable, match="VGPU"):
        boot(2, 2)
    last = boot(3, 1)
    assert dict(used(driver).resources) == {"CUSTOM_ELSEWHERE": 18, "VGPU": 2}
    assert driver.hypervisor.guests[last.uuid].spec.equipment.resources == {"VGPU": 1, "CUSTOM_ELSEWHERE": 9}


def test_an_interface_that_is_a_device_takes_it_and_gives_it_back(driver):
    instance = make(1)
    spawn(driver, instance)
    vif = make_vif(1) | {"vnic_type": "direct", "profile": {"pci_slot": PORT_2}}
    driver.attach_interface(None, instance, None, vif)
    assert used(driver).items == (f"PCI device {PORT_2}",)
    second = make(2)
    spawn(driver, second)
    with pytest.raises(exception.InterfaceAttachFailed):
        driver.attach_interface(None, second, None, make_vif(2) | {"profile": {"pci_slot": PORT_2}})
    driver.detach_interface(None, instance, vif)
    assert used(driver).items == ()
    assert driver.hypervisor.guests[instance.uuid].spec.equipment.pci == ()


def test_an_interface_that_cannot_be_made_holds_no_device(driver):
    instance = make(1)
    spawn(driver, instance)
    driver.hypervisor.realizer.fail["plug"] = RuntimeError("stuck")
    with pytest.raises(RuntimeError):
        driver.attach_interface(None, instance, None, make_vif(1) | {"profile": {"pci_slot": PORT_2}})
    assert used(driver).items == ()


def test_firmware_and_certificates_are_kept(driver):
    flavor = make_flavor()
    flavor.extra_specs = {"hw:tpm_version": "2.0", "os:secure_boot": "required"}
    instance = make(1, flavor=flavor, trusted_certs=SimpleNamespace(ids=["c1", "c2"]))
    spawn(driver, instance)
    equipment = driver.hypervisor.guests[instance.uuid].spec.equipment
    assert (equipment.vtpm, equipment.secure_boot, equipment.trusted_certs) == ("2.0 tpm-tis", True, ("c1", "c2"))
    image = {"image_hw_tpm_version": "1.2", "image_hw_tpm_model": "tpm-crb", "image_os_secure_boot": "disabled"}
    other = make(2, system_metadata=image)
    spawn(driver, other)
    equipment = driver.hypervisor.guests[other.uuid].spec.equipment
    assert (equipment.vtpm, equipment.secure_boot) == ("1.2 tpm-crb", False)


def test_accelerators_are_kept(driver):
    instance = make(1)
    driver.spawn(None, instance, None, None, None, None, accel_info=[{"uuid": "arq-1"}])
    assert driver.hypervisor.guests[instance.uuid].spec.equipment.accelerators == ("arq-1",)


def test_a_live_migration_takes_what_nova_claimed_at_the_destination(driver, other, clock):
    instance = make(1, vcpus=2, pci=[PORT_1])
    instance.numa_topology = fitted(driver)
    allocations = {"gpu": {"resources": {"VGPU": 1}}}
    driver.spawn(None, instance, None, None, None, allocations)
    data = other.check_can_live_migrate_destination(None, instance, {}, {})
    data = driver.check_can_live_migrate_source(None, instance, data)
    assert data.src_supports_numa_live_migration
    assert data.dst_supports_numa_live_migration
    claimed = fitted(driver)  # The second cell's processors: the first cell's are taken here.
    other.post_claim_migrate_data(None, instance, data, SimpleNamespace(claimed_numa_topology=claimed))
    assert data.dst_numa_info.cell_pins == {"0": {1}}
    data.pci_dev_map_src_dst = {PORT_1: PORT_2}
    other.pre_live_migration(None, instance, {}, [], None, data)
    ended = []
    thread = threading.Thread(
        target=driver.live_migration,
        args=(None, instance, "b", lambda *_: ended.append("post"), lambda *_: ended.append("recover"), False, data),
    )
    thread.start()
    assert clock.wait_for_sleepers()
    clock.advance(1)
    thread.join(10)
    assert ended == ["post"]
    assert used(driver) == Claim(0, 0, 0)
    assert used(other) == Claim(0, 512, 1, (f"PCI device {PORT_2}", "cpu 10", "cpu 11"), (("VGPU", 1),))
    assert other.hypervisor.guests[instance.uuid].spec.equipment.pinned_cpus == (10, 11)
    other.destroy(None, instance, [])
    assert used(other) == Claim(0, 0, 0)


def test_placement_learns_processors_namespaces_and_providers(driver):
    tree = provider_tree.ProviderTree()
    tree.new_root("a", "11111111-1111-1111-1111-111111111111")
    driver.update_provider_tree(tree, "a")
    data = tree.data("a")
    assert {name: found["total"] for name, found in data.inventory.items()} == {
        "VCPU": 8,
        "PCPU": 4,
        "MEMORY_MB": 16_384,
        "DISK_GB": 4_096,
        "CUSTOM_LICENSE": 1,
        "CUSTOM_PMEM_NAMESPACE_4GB": 2,
    }
    (resources,) = data.resources.values()
    assert sorted((one.identifier, one.metadata.size) for one in resources) == [("ns_0", 4 << 30), ("ns_1", 4 << 30)]
    assert tree.data("a-gpu").inventory["VGPU"]["total"] == 2
    assert {"HW_CPU_X86_AESNI", "HW_CPU_X86_INTEL_VMX", "COMPUTE_SECURITY_TPM_2_0"} <= data.traits


def test_what_guests_hold_outlives_the_process(clock, virtapi, tmp_path):
    def open_fleet():
        fleet = Fleet(clock, journal=Journal(tmp_path / "journal"))
        fleet.add(Hypervisor("a", EQUIPPED))
        return fleet

    fleet = open_fleet()
    driver = drive(fleet, "a", virtapi)
    instance = make(1, vcpus=2, pci=[PORT_1])
    instance.numa_topology = fitted(driver)
    driver.spawn(None, instance, None, None, None, {"gpu": {"resources": {"VGPU": 1}}})
    before, equipment = used(driver), driver.hypervisor.guests[instance.uuid].spec.equipment
    fleet.close()
    found = open_fleet().hypervisor("a")
    assert found.capacity.used == before
    assert found.guests[instance.uuid].spec.equipment == equipment


def test_nodes_of_one_host_have_an_inventory_each(clock, virtapi):
    fleet = Fleet(clock)
    fleet.add(Hypervisor("rack", Inventory(vcpus=2, vcpu_limit=1.0, nodes=2)))
    driver = drive(fleet, "rack", virtapi)
    first, second = driver.get_available_nodes()
    assert (first, second) == ("rack-node1", "rack-node2")
    identities = {node: uuid for uuid, node in driver.get_nodenames_by_uuid().items()}
    for number, node in enumerate((first, second), 1):
        spawn(driver, make(number, vcpus=2, node=node))
        found = driver.get_available_resource(node)
        assert (found["hypervisor_hostname"], found["uuid"]) == (node, identities[node])
        assert (found["vcpus"], found["vcpus_used"]) == (2, 2)
    assert used(driver).vcpus == 4
    with pytest.raises(exception.ComputeResourcesUnavailable, match="rack-node2"):
        spawn(driver, make(3, node=second))
    driver.destroy(None, make(2), [])
    assert driver.get_available_resource(second)["vcpus_used"] == 0
    assert driver.get_available_resource(first)["vcpus_used"] == 2


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"vcpus": 9}, "NUMA cells have 8"),
        ({"memory_mb": 1}, "NUMA cells have 16384"),
        ({"pmem": (PmemNamespace("n", "x", 1), PmemNamespace("n", "y", 1))}, "pmem"),
        ({"nodes": 0}, "nodes"),
    ],
)
def test_an_inventory_that_contradicts_itself_is_refused(wrong, told):
    with pytest.raises(InvalidInput, match=told):
        replace(EQUIPPED, **wrong)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"vcpus": 0}, "1 or more"),
        ({"huge_pages": {"big": 1}}, "sizes in KiB"),
        ({"huge_pages": {"2048": -1}}, "0 or more"),
        ({"huge_pages": {"1048576": 9}}, "8192 MiB in all"),
    ],
)
def test_a_cell_that_cannot_be_is_refused(values, told):
    with pytest.raises(InvalidInput, match=told):
        NumaCell(**{"vcpus": 4, "memory_mb": 8_192, **values})
