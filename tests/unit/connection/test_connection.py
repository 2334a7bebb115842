"""FakeConnection of 2011: each method does what its name says, and refuses what it cannot do."""

import base64

import pytest
from nova import exception

from nova_fakes.clock import ManualClock
from nova_fakes.virt import connection as module
from nova_fakes.virt.connection import FakeConnection, get_connection
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.guest import Claim, State
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.inventory import Inventory

WEB = {"name": "instance-1", "vcpus": 2, "memory_mb": 1024, "local_gb": 10, "mac_address": "02:16:3e:00:00:01"}


class Instance:
    """An instance as an object."""

    def __init__(self, name):
        self.name = name


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def fleet(clock):
    fleet = Fleet(clock)
    for name in ("a", "b"):
        fleet.add(Hypervisor(name, Inventory(vcpus=8, memory_mb=8192, disk_gb=100, memory_limit=1.0)))
    return fleet


@pytest.fixture
def connection(fleet):
    return FakeConnection(fleet.hypervisor("a"))


@pytest.fixture
def web(connection):
    connection.spawn(WEB)
    return WEB


def state(connection, name="instance-1"):
    return connection.get_info(name)["state"]


def guest(connection):
    (found,) = connection.hypervisor.guests.values()
    return found


class TestTheProcesssConnection:
    @pytest.fixture(autouse=True)
    def fresh(self):
        FakeConnection.reset()
        yield
        FakeConnection.reset()

    def test_is_one_whatever_it_is_asked_for(self):
        assert get_connection("anything") is get_connection(None) is FakeConnection.instance()

    def test_can_be_forgotten(self):
        get_connection(None).spawn(WEB)
        FakeConnection.reset()
        assert get_connection(None).list_instances() == []

    def test_becomes_a_hosts(self):
        here = get_connection(None)
        here.init_host("compute-1")
        assert here.hypervisor.name == "compute-1"
        here.spawn(WEB)
        here.init_host("compute-1")
        assert here.list_instances() == ["instance-1"]
        with pytest.raises(exception.NovaException, match="compute-2"):
            here.init_host("compute-2")


class TestSpawn:
    def test_runs(self, connection, web):
        assert state(connection) == State.RUNNING
        assert connection.list_instances() == ["instance-1"]
        assert connection.list_instances_detail() == [("instance-1", State.RUNNING)]
        assert connection.hypervisor.capacity.used == Claim(2, 1024, 10)

    def test_tells_that_it_is_complete(self, connection):
        assert connection.spawn(Instance("instance-2")).done()
        assert connection.get_info("instance-2")["max_mem"] == 512 * 1024

    def test_leaves_nothing_where_it_fails(self, connection, web):
        with pytest.raises(exception.ComputeResourcesUnavailable):
            connection.spawn({"name": "large", "memory_mb": 999999})
        with pytest.raises(exception.InstanceExists):
            connection.spawn(WEB)
        with pytest.raises(exception.NovaException, match="MAC"):
            connection.spawn({"name": "odd", "mac_address": "nonsense"})
        assert connection.list_instances() == ["instance-1"]
        assert connection.hypervisor.capacity.used == Claim(2, 1024, 10)

    def test_takes_novas_network_info(self, connection):
        connection.spawn(Instance("two"), [{"id": f"port-{n}", "address": f"02:16:3e:00:00:0{n}"} for n in (1, 2)])
        assert connection.list_interfaces("two") == ["port-1", "port-2"]

    def test_destroy(self, connection, web):
        connection.destroy(web)
        connection.destroy(web)
        assert connection.list_instances() == []
        assert connection.hypervisor.capacity.used == Claim(0, 0, 0)

    def test_remove_vm_is_noticed(self, connection, web):
        connection.test_remove_vm("instance-1")
        with pytest.raises(exception.NotFound):
            connection.get_info("instance-1")


class TestPower:
    @pytest.mark.parametrize(
        ("there", "reached", "back"),
        [("pause", State.PAUSED, "unpause"), ("suspend", State.SUSPENDED, "resume")],
    )
    def test_there_and_back_by_callback(self, connection, web, there, reached, back):
        called = []
        getattr(connection, there)(web, called.append)
        assert state(connection) == reached
        getattr(connection, back)(web, called.append)
        assert state(connection) == State.RUNNING
        assert called == [None, None]

    def test_what_the_state_forbids_is_refused_and_not_called_back(self, connection, web):
        connection.suspend(web, lambda result: None)
        with pytest.raises(exception.Invalid, match="suspended"):
            connection.pause(web, lambda result: pytest.fail("it did not pause"))
        assert state(connection) == State.SUSPENDED

    def test_reboot_begins_the_counters_anew(self, connection, web, clock):
        clock.advance(100)
        before = connection.get_info("instance-1")["cpu_time"]
        assert connection.reboot(web).done()
        assert connection.get_info("instance-1")["cpu_time"] < before

    def test_rescue_and_unrescue(self, connection, web):
        connection.rescue(web)
        assert guest(connection).rescued
        with pytest.raises(exception.Invalid, match="already"):
            connection.rescue(web)
        connection.unrescue(web)
        assert not guest(connection).rescued
        with pytest.raises(exception.Invalid, match="not rescued"):
            connection.unrescue(web)


class TestInside:
    def test_password(self, connection, web):
        assert connection.set_admin_password(web, "secret").done()
        assert guest(connection).spec.admin_password == "secret"
        connection.pause(web, lambda result: None)
        with pytest.raises(exception.Invalid, match="runs"):
            connection.set_admin_password(web, "other")

    def test_file(self, connection, web):
        encoded = [base64.b64encode(text.encode()).decode() for text in ("/etc/motd", "hello", "again")]
        connection.inject_file(web, encoded[0], encoded[1])
        assert connection.inject_file(web, encoded[0], encoded[2]).done()
        assert guest(connection).spec.files == (("/etc/motd", "again"),)

    @pytest.mark.parametrize(("path", "contents"), [("!", "aGVsbG8="), ("L2V0Yw==", "=="), ("/w==", "aGVsbG8=")])
    def test_what_is_no_base64_is_refused(self, connection, web, path, contents):
        with pytest.raises(exception.Invalid, match="base64"):
            connection.inject_file(web, path, contents)
        assert guest(connection).spec.files == ()

    def test_snapshot_has_the_disks_bytes(self, connection, web):
        first = connection.snapshot(web, "backup").result()
        assert first
        (event,) = [event for event in connection.hypervisor.journal.events() if event.operation == "snapshot_named"]
        assert event.details == {"name": "backup"}


class TestCounters:
    def test_info(self, connection, web, clock):
        clock.advance(60)
        found = connection.get_info("instance-1")
        assert found.keys() == {"state", "max_mem", "mem", "num_cpu", "cpu_time"}
        assert (found["max_mem"], found["num_cpu"]) == (1024 * 1024, 2)
        assert 0 < found["cpu_time"] <= 2 * 60 * 10**9

    def test_disks_grow(self, connection, web, clock):
        (disk,) = connection.list_disks("instance-1")
        clock.advance(10)
        first = connection.block_stats("instance-1", disk)
        clock.advance(1000)
        second = connection.block_stats("instance-1", disk)
        assert len(first) == 5
        assert all(after >= before for before, after in zip(first, second, strict=True))
        assert second[3] > first[3]
        with pytest.raises(exception.NotFound, match="vdz"):
            connection.block_stats("instance-1", "vdz")

    def test_interfaces_grow(self, connection, web, clock):
        (interface,) = connection.list_interfaces("instance-1")
        first = connection.interface_stats("instance-1", interface)
        clock.advance(1000)
        second = connection.interface_stats("instance-1", interface)
        assert len(second) == 8
        assert second[0] > first[0]
        assert second[4] > first[4]
        with pytest.raises(exception.NotFound, match="nothing"):
            connection.interface_stats("instance-1", "nothing")

    def test_diagnostics(self, connection, web, clock):
        clock.advance(5)
        assert {"cpu1_time", "vda_read", "memory"} <= connection.get_diagnostics("instance-1").keys()

    @pytest.mark.parametrize(
        "method", ["get_info", "get_diagnostics", "list_disks", "list_interfaces", "get_console_output", "reboot"]
    )
    def test_the_unknown_is_not_found(self, connection, method):
        with pytest.raises(exception.NotFound):
            getattr(connection, method)("nobody")


class TestConsoles:
    def test_output_names_the_host(self, connection, clock):
        connection.spawn({"name": "instance-1", "hostname": "shop"})
        clock.advance(60)
        assert "shop login:" in connection.get_console_output(Instance("instance-1"))

    def test_each_guest_has_its_own(self, connection, web):
        connection.spawn(Instance("instance-2"))
        seen = [connection.get_vnc_console(Instance(f"instance-{n}")) for n in (1, 2)]
        seen += [connection.get_ajax_console(Instance(f"instance-{n}")) for n in (1, 2)]
        assert len({(console["port"], console["token"]) for console in seen}) == 4
        assert {console["host"] for console in seen} == {connection.get_host_ip_addr()}

    def test_pools_differ_by_type(self, connection):
        first, second = connection.get_console_pool_info("vnc"), connection.get_console_pool_info("xvp")
        assert first.keys() == {"address", "username", "password"}
        assert first["password"] != second["password"]
        assert first == connection.get_console_pool_info("vnc")


class TestVolumes:
    def test_come_and_go(self, connection, web):
        connection.attach_volume("instance-1", "/dev/disk/by-id/v1", "/dev/vdc")
        assert connection.list_disks("instance-1") == ["vda", "vdc"]
        with pytest.raises(exception.NovaException, match="vdc"):
            connection.attach_volume("instance-1", "/dev/disk/by-id/v2", "/dev/vdc")
        connection.detach_volume("instance-1", "/dev/vdc")
        assert connection.list_disks("instance-1") == ["vda"]
        with pytest.raises(exception.NotFound):
            connection.detach_volume("instance-1", "/dev/vdc")

    def test_disk_takes_the_next_free_device(self, connection, web):
        connection.attach_disk(web, "disk-1")
        connection.attach_disk(web, {"device": "/dev/vdx", "serial": "disk-2"})
        assert connection.list_disks("instance-1") == ["vda", "vdb", "vdx"]
        assert [volume.volume_id for volume in guest(connection).volumes.values()] == ["disk-1", "disk-2"]


class TestMoves:
    def test_resize(self, connection, web):
        connection.attach_volume("instance-1", "/dev/v1", "/dev/vdc")
        interfaces = connection.list_interfaces("instance-1")
        assert connection.resize(web, {"vcpus": 4, "memory_mb": 2048}).done()
        found = connection.get_info("instance-1")
        assert (found["num_cpu"], found["max_mem"], found["state"]) == (4, 2048 * 1024, State.RUNNING)
        assert connection.hypervisor.capacity.used == Claim(4, 2048, 10)
        assert connection.list_disks("instance-1") == ["vda", "vdc"]
        assert connection.list_interfaces("instance-1") == interfaces

    def test_resize_that_fails_changes_nothing(self, connection, web):
        with pytest.raises(exception.ComputeResourcesUnavailable):
            connection.resize(web, {"memory_mb": 999999})
        found = connection.get_info("instance-1")
        assert (found["max_mem"], found["state"]) == (1024 * 1024, State.RUNNING)
        assert connection.hypervisor.capacity.used == Claim(2, 1024, 10)

    def test_migrate_disk_and_power_off(self, connection, web):
        assert connection.migrate_disk_and_power_off(web, "b").endswith("/disk")
        assert state(connection) == State.SHUTDOWN
        with pytest.raises(exception.NovaException, match="its hosts: a, b"):
            connection.migrate_disk_and_power_off(web, "z")

    def test_live_migration(self):
        fleet = Fleet(migration_bandwidth_mb_s=1e9)
        connection, web = FakeConnection(fleet.add(Hypervisor("a"))), WEB
        fleet.add(Hypervisor("b"))
        connection.spawn(web)
        called = []
        connection.live_migration("context", web, "b", lambda *args: called.append(args), pytest.fail)
        assert called == [("context", web, "b")]
        assert connection.list_instances() == []
        assert FakeConnection(fleet.hypervisor("b")).list_instances() == ["instance-1"]
        assert connection.hypervisor.capacity.used == Claim(0, 0, 0)

    def test_live_migration_that_fails_leaves_the_guest(self, connection, web, fleet):
        fleet.hypervisor("b").crash()
        recovered = []
        with pytest.raises(exception.HypervisorUnavailable):
            connection.live_migration("context", web, "b", pytest.fail, lambda *args: recovered.append(args))
        assert recovered == [("context", web)]
        assert state(connection) == State.RUNNING


class TestFilters:
    def test_come_and_go(self, connection, web):
        connection.ensure_filtering_rules_for_instance(web)
        assert connection.filtered == {"instance-1"}
        connection.unfilter_instance(web)
        connection.unfilter_instance(web)
        assert connection.filtered == set()

    @pytest.mark.parametrize("what", ["rules", "members"])
    def test_refreshes_are_in_the_journal(self, connection, web, what):
        connection.ensure_filtering_rules_for_instance(web)
        assert getattr(connection, f"refresh_security_group_{what}")(7) is True
        latest = list(connection.hypervisor.journal.events())[-1]
        assert latest.operation == f"security_group_{what}"
        assert latest.details == {"security_group_id": 7, "instances": ["instance-1"]}


class TestHost:
    def test_resources(self, connection, web):
        found = connection.update_available_resource(None, "a")
        assert (found["vcpus"], found["vcpus_used"], found["local_gb_used"]) == (8, 2, 10)
        with pytest.raises(exception.NovaException, match="'z'"):
            connection.update_available_resource(None, "z")

    def test_processors(self, connection):
        connection.compare_cpu("<cpu><arch>x86_64</arch><feature name='avx'/></cpu>")
        for xml, named in (
            ("<cpu><arch>aarch64</arch></cpu>", "aarch64"),
            ("<cpu><feature name='levitation'/></cpu>", "levitation"),
            ("<cpu>", "XML"),
        ):
            with pytest.raises(exception.InvalidCPUInfo, match=named):
                connection.compare_cpu(xml)

    def test_a_dead_one_answers_nothing(self, connection, web, fleet):
        fleet.hypervisor("a").crash()
        for call in (connection.list_instances, lambda: connection.get_info("instance-1")):
            with pytest.raises(exception.HypervisorUnavailable):
                call()


def test_every_method_of_2011_is_there():
    methods = """attach_disk attach_volume block_stats compare_cpu destroy detach_volume
        ensure_filtering_rules_for_instance get_ajax_console get_console_output get_console_pool_info get_diagnostics
        get_host_ip_addr get_info get_vnc_console init_host inject_file instance interface_stats list_disks
        list_instances list_instances_detail list_interfaces live_migration migrate_disk_and_power_off pause reboot
        refresh_security_group_members refresh_security_group_rules rescue resize resume set_admin_password snapshot
        spawn suspend test_remove_vm unfilter_instance unpause unrescue update_available_resource"""
    assert [name for name in methods.split() if not callable(getattr(FakeConnection, name, None))] == []
    assert module.FakeInstance("a", 1).state == 1
