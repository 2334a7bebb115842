"""Many threads at once, and two that race for one guest: nothing is lost, doubled or left behind."""

import contextlib
import functools
import random
import sys
import threading
import time

import pytest
from driver_kit import (
    CONF,
    RecordingRealizer,
    RecordingVirtAPI,
    block_devices,
    drive,
    make_flavor,
    make_instance,
    make_vif,
    make_volume,
    spawn,
)
from failure_kit import PassingClock, kept
from nova import exception

from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.guest import Claim, State
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.journal import Journal

pytestmark = pytest.mark.timeout(120)

NOTHING, SMALL = Claim(0, 0, 0), Claim(1, 512, 1)
HOSTS = "abcd"


class YieldingRealizer(RecordingRealizer):
    """Lets other threads go on in every call; `meanwhile` is what happens then: after a migration, else before."""

    def __init__(self):
        super().__init__()
        self.lock = threading.RLock()
        self.meanwhile = {}

    def _note(self, call, *details):
        super()._note(call, *details)
        if call != "migrate":
            self._happen(call)
        time.sleep(0)

    def _happen(self, call):
        self.meanwhile.pop(call, lambda: None)()

    def migrate(self, instance, vifs, source):
        super().migrate(instance, vifs, source)
        self._happen("migrate")

    def plug(self, instance, vifs, *, up=True):
        with self.lock:
            super().plug(instance, vifs, up=up)

    def unplug(self, instance, vifs=None):
        with self.lock:
            super().unplug(instance, vifs)


@pytest.fixture(autouse=True)
def eager_threads():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(params=[False, True], ids=["in memory", "with a journal"])
def path(request, tmp_path):
    return tmp_path / "journal" if request.param else None


@pytest.fixture
def clock():
    return PassingClock()


@pytest.fixture
def fleet(clock, path):
    fleet = Fleet(clock, journal=Journal(path))
    for name in HOSTS:
        fleet.add(Hypervisor(name, realizer=YieldingRealizer()))
    yield fleet
    fleet.close()


@pytest.fixture
def drivers(fleet):
    return {name: drive(fleet, name, RecordingVirtAPI()) for name in HOSTS}


def together(*bodies):
    """Run each in a thread of its own, let them begin at once, and return the errors that they raised."""
    gate, errors = threading.Barrier(len(bodies)), []

    def run(body):
        gate.wait()
        try:
            body()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(body,), daemon=True) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def assert_consistent(fleet, path):
    """Assert that claims are those of what is there, that no guest is doubled and no interface astray."""
    seen = [uuid for host in fleet.hosts.values() for uuid in host.guests]
    assert len(seen) == len(set(seen))
    for host in fleet.hosts.values():
        assert (host.arrivals, host.migrations, host.retained) == ({}, {}, {})
        held = [guest.claim for guest in host.guests.values()]
        assert host.capacity.used == Claim.total(held)
        realizer = host.realizer
        for uuid, vifs in realizer.wired.items():
            assert not vifs or uuid in host.guests
        for uuid, guest in host.guests.items():
            assert not guest.busy
            wired = realizer.wired.get(uuid, {})
            assert set(wired) == guest.wired
            if guest.state in (State.RUNNING, State.PAUSED):
                assert set(wired) == set(guest.nics)
            if wired:
                assert realizer.links[uuid] is (guest.state is State.RUNNING)
    if path is not None:
        again = Fleet(fleet.clock, journal=Journal(path))
        for name, host in fleet.hosts.items():
            assert kept(again.add(Hypervisor(name))) == kept(host)
        again.close()


class Worker:
    """One thread's doings. Moves of an instance exclude each other, as by nova's task states; nothing else does."""

    def __init__(self, drivers, number, instances, moving, rounds):
        self.drivers = drivers
        self.random = random.Random(number)
        self.instances = instances
        self.moving = moving
        self.rounds = rounds

    def __call__(self):
        doings = [self.make, self.live_migrate, self.resize, self.power, self.power, self.devices, self.destroy]
        for _ in range(self.rounds):
            instance = self.random.choice(self.instances)
            with contextlib.suppress(exception.NovaException):
                self.random.choice(doings)(instance)

    def driver(self):
        return self.drivers[self.random.choice(HOSTS)]

    def home(self, instance):
        fleet = self.drivers["a"].fleet
        for name, host in fleet.hosts.items():
            guest = host.guests.get(instance.uuid)
            if guest is not None and not guest.outgoing:
                return self.drivers[name]
        raise exception.InstanceNotFound(instance_id=instance.uuid)

    @staticmethod
    def guest(driver, instance):
        guest = driver.hypervisor.guests.get(instance.uuid)
        if guest is None:
            raise exception.InstanceNotFound(instance_id=instance.uuid)
        return guest

    @contextlib.contextmanager
    def move(self, instance):
        lock = self.moving[instance.uuid]
        if not lock.acquire(blocking=False):
            raise exception.InstanceInvalidState(
                attr="task_state", instance_uuid=instance.uuid, state="migrating", method="move"
            )
        try:
            yield
        finally:
            lock.release()

    def make(self, instance):
        with self.move(instance):
            if not any(instance.uuid in host.guests for host in self.drivers["a"].fleet.hosts.values()):
                number = int(instance.uuid.replace("-", ""), 16)
                spawn(self.driver(), instance, [make_vif(number, active=True)])

    def live_migrate(self, instance):
        with self.move(instance):
            source, destination = self.home(instance), self.driver()
            data = destination.check_can_live_migrate_destination(None, instance, None, None, None, None)
            vifs = [nic.info for nic in self.guest(source, instance).nics.values()]
            destination.pre_live_migration(None, instance, block_devices(), vifs, None, data)

            def rolled_back(*arguments, migration_status="failed"):
                destination.rollback_live_migration_at_destination(None, instance, vifs, None, migrate_data=data)

            source.live_migration(
                None, instance, destination.hypervisor.name, lambda *arguments: None, rolled_back, False, data
            )

    def resize(self, instance):
        with self.move(instance):
            source, destination = self.home(instance), self.driver()
            old = self.guest(source, instance)
            flavors = [
                make_flavor(old.spec.vcpus, old.spec.memory_mb, 1),
                make_flavor(self.random.randint(1, 4), 256, 1),
            ]
            vifs = [nic.info for nic in old.nics.values()]
            disks = source.migrate_disk_and_power_off(None, instance, "", flavors[1], vifs)
            sized = make_instance(int(instance.uuid.replace("-", ""), 16), flavors[1])
            try:
                destination.finish_migration(None, None, sized, disks, vifs, None, True, None)
            except exception.NovaException:
                pass
            else:
                if self.random.random() < 0.5:
                    source.confirm_migration(None, None, sized, vifs)
                    return
            destination.destroy(None, sized, vifs) if destination is not source else None
            sized.flavor = flavors[0]
            source.finish_revert_migration(None, sized, vifs, None)

    def power(self, instance):
        operation = self.random.choice(["pause", "unpause", "power_off", "power_on", "reboot"])
        if operation == "power_on":
            with self.move(instance):
                self.home(instance).power_on(None, instance, None)
        elif operation == "reboot":
            with self.move(instance):  # what does not run, is booted
                self.home(instance).reboot(None, instance, None, "SOFT")
        else:
            getattr(self.home(instance), operation)(instance)

    def devices(self, instance):
        driver = self.home(instance)
        number = self.random.randint(100, 110)
        vif, letter = make_vif(number, active=True), self.random.choice("bcdef")
        volume = make_volume(f"/dev/vd{letter}", f"v{letter}")["connection_info"]
        self.random.choice(
            [
                lambda: driver.attach_interface(None, instance, None, vif),
                lambda: driver.detach_interface(None, instance, vif),
                lambda: driver.attach_volume(None, volume, instance, f"/dev/vd{letter}"),
                lambda: driver.detach_volume(None, volume, instance, f"/dev/vd{letter}"),
            ]
        )()

    def destroy(self, instance):
        self.home(instance).destroy(None, instance, None)


@pytest.mark.parametrize("rounds", [200, pytest.param(5000, marks=pytest.mark.slow)])
def test_sixteen_threads_leave_everything_consistent(fleet, drivers, path, rounds):
    instances = [make_instance(number) for number in range(1, 13)]
    moving = {instance.uuid: threading.Lock() for instance in instances}
    errors = together(*(Worker(drivers, number, instances, moving, rounds) for number in range(16)))
    assert errors == []
    assert_consistent(fleet, path)
    for driver in drivers.values():
        for uuid in driver.list_instance_uuids():
            instance = next(one for one in instances if one.uuid == uuid)
            driver.destroy(None, instance, None)
        assert driver.hypervisor.capacity.used == NOTHING
        assert not any(driver.hypervisor.realizer.wired.values())


def test_one_of_many_spawns_of_one_instance_wins(fleet, drivers, path):
    for number in range(1, 21):
        body = functools.partial(spawn, drivers["a"], make_instance(number), [make_vif(number)])
        errors = together(body, body, body)
        assert [type(error) for error in errors] == [exception.InstanceExists] * 2
    assert_consistent(fleet, path)
    assert drivers["a"].hypervisor.capacity.vcpus == 20


def test_no_volume_and_no_interface_is_lost(fleet, drivers, path):
    driver, instance = drivers["a"], make_instance()
    spawn(driver, instance)
    letters, numbers = "bcdefghijklmnop", range(1, 16)

    def volume(letter):
        info = make_volume(volume_id=letter)["connection_info"]
        return lambda: driver.attach_volume(None, info, instance, f"/dev/vd{letter}")

    def interface(number):
        return lambda: driver.attach_interface(None, instance, None, make_vif(number))

    assert together(*map(volume, letters), *map(interface, numbers)) == []
    guest = driver.hypervisor.guests[instance.uuid]
    assert set(guest.volumes) == {f"vd{letter}" for letter in letters}
    assert set(guest.nics) == {make_vif(number)["id"] for number in numbers}
    assert_consistent(fleet, path)


def test_the_link_follows_the_last_of_many_changes(fleet, drivers, path):
    driver, instance = drivers["a"], make_instance()
    spawn(driver, instance, [make_vif()])

    def change(operation):
        def run():
            for _ in range(20):
                getattr(driver, operation)(instance)

        return run

    assert together(*(change(operation) for operation in ("pause", "unpause") * 4)) == []
    assert_consistent(fleet, path)


def test_a_guest_that_moves_is_never_missed(fleet, drivers):
    instance = make_instance()
    spawn(drivers["d"], instance)
    spec, over = fleet.find(instance.uuid).guests[instance.uuid].spec, threading.Event()

    def wander():
        try:
            for number in range(100):
                source, destination = fleet.hypervisor("da"[number % 2]), fleet.hypervisor("ad"[number % 2])
                fleet.migrations.prepare(destination, spec, {})
                migration = fleet.migrations.begin(source, instance.uuid, destination.name)
                fleet.migrations.switch_over(source, migration)
                fleet.migrations.end(source, migration)
        finally:
            over.set()

    def look():
        while not over.is_set():
            fleet.find(instance.uuid)
            assert fleet.sees_disks(instance.uuid)

    assert together(wander, look, look) == []


# Two at one guest, one in the midst of the other's work


def prepared(drivers, instance, vif):
    data = drivers["b"].check_can_live_migrate_destination(None, instance, None, None, None, None)
    return drivers["b"].pre_live_migration(None, instance, block_devices(), [vif], None, data)


def live_migrate(drivers, instance, data):
    ended = []
    drivers["a"].live_migration(
        None,
        instance,
        "b",
        lambda *arguments: ended.append("done"),
        lambda *arguments, migration_status="failed": ended.append(migration_status),
        False,
        data,
    )
    return ended


def test_a_guest_that_is_destroyed_while_its_memory_is_carried_is_gone(fleet, drivers, clock, path):
    instance, vif = make_instance(), make_vif()
    spawn(drivers["a"], instance, [vif])
    data = prepared(drivers, instance, vif)
    alarm = clock.alarm
    clock.alarm = lambda: DestroyedMeanwhile(alarm(), lambda: drivers["a"].destroy(None, instance, [vif]))
    assert live_migrate(drivers, instance, data) == ["cancelled"]
    assert_consistent(fleet, path)
    assert all(driver.list_instances() == [] for driver in drivers.values())


class DestroyedMeanwhile:
    def __init__(self, alarm, happening):
        self.set, self.is_set = alarm.set, alarm.is_set
        self._wait = alarm.wait
        self._happening = happening

    def wait(self, timeout_s):
        self._happening()
        return self._wait(timeout_s)


def test_a_guest_that_is_destroyed_in_its_switch_over_has_left(fleet, drivers, path):
    instance, vif = make_instance(), make_vif()
    spawn(drivers["a"], instance, [vif])
    data = prepared(drivers, instance, vif)
    thread = threading.Thread(target=drivers["a"].destroy, args=(None, instance, [vif]), daemon=True)
    fleet.hypervisor("b").realizer.meanwhile["migrate"] = thread.start
    assert live_migrate(drivers, instance, data) == ["done"]
    thread.join()
    assert_consistent(fleet, path)
    assert drivers["b"].list_instance_uuids() == [instance.uuid]


def test_a_switch_over_that_has_begun_cannot_be_aborted(fleet, drivers, path):
    instance, vif = make_instance(), make_vif()
    spawn(drivers["a"], instance, [vif])
    data = prepared(drivers, instance, vif)
    refused = []

    def abort():
        with pytest.raises(exception.MigrationError, match="switched over"):
            drivers["a"].live_migration_abort(instance)
        refused.append(True)

    fleet.hypervisor("b").realizer.meanwhile["migrate"] = abort
    assert live_migrate(drivers, instance, data) == ["done"]
    assert refused == [True]
    assert_consistent(fleet, path)


@pytest.mark.parametrize("dying", ["a", "b"])
def test_a_host_that_dies_in_the_switch_over_leaves_the_guest_at_home(fleet, drivers, path, dying):
    instance, vif = make_instance(), make_vif()
    spawn(drivers["a"], instance, [vif])
    data = prepared(drivers, instance, vif)
    fleet.hypervisor("b").realizer.meanwhile["migrate"] = fleet.hypervisor(dying).crash
    assert live_migrate(drivers, instance, data) == ["failed"]
    assert_consistent(fleet, path)
    state = fleet.find(instance.uuid).guests[instance.uuid].state
    assert (fleet.find(instance.uuid).name, state) == ("a", State.SHUTDOWN if dying == "a" else State.RUNNING)


def test_another_live_migration_may_begin_as_soon_as_nova_hears_of_the_end(fleet, drivers):
    instance = make_instance()
    spawn(drivers["a"], instance)
    heard = []

    def recover(context, instance, dest, migrate_data, migration_status="failed"):
        heard.append(fleet.migrations.begin(fleet.hypervisor("a"), instance.uuid, "b"))

    drivers["a"].live_migration(None, instance, "b", None, recover)
    assert len(heard) == 1


class DestroyingVirtAPI(RecordingVirtAPI):
    """Has the instance destroyed while its spawn waits for a port."""

    @contextlib.contextmanager
    def wait_for_instance_event(self, instance, event_names, timeout=300, error_callback=None):
        yield
        self.driver.destroy(None, instance, None)


def test_an_instance_that_is_destroyed_while_it_is_made_is_gone(fleet, drivers, path):
    assert CONF.vif_plugging_timeout
    driver = drivers["a"]
    driver.virtapi = DestroyingVirtAPI()
    driver.virtapi.driver = driver
    with pytest.raises(exception.InstanceNotFound):
        spawn(driver, make_instance(), [make_vif()], [make_volume()])
    assert driver.list_instances() == []
    assert_consistent(fleet, path)


@pytest.mark.parametrize("call", ["plug", "unplug", "set_link"])
def test_a_host_that_dies_in_the_midst_of_an_operation_comes_back_whole(fleet, drivers, path, call):
    driver, instance, host = drivers["a"], make_instance(), fleet.hypervisor("a")
    spawn(driver, instance, [make_vif(1)])
    operation = {
        "plug": lambda: driver.attach_interface(None, instance, None, make_vif(2)),
        "unplug": lambda: driver.detach_interface(None, instance, make_vif(1)),
        "set_link": lambda: driver.pause(instance),
    }[call]
    host.realizer.meanwhile[call] = host.crash
    with pytest.raises(exception.HypervisorUnavailable):
        operation()
    host.recover()
    guest = host.guests[instance.uuid]
    assert (guest.state, set(guest.nics)) == (State.SHUTDOWN, {make_vif(1)["id"]})
    assert_consistent(fleet, path)
    driver.power_on(None, instance, [make_vif(1)])
    operation()
    assert_consistent(fleet, path)


def test_a_host_that_dies_while_a_guest_is_made_has_none(fleet, drivers, path):
    host = fleet.hypervisor("a")
    host.realizer.meanwhile["plug"] = host.crash
    with pytest.raises(exception.HypervisorUnavailable):
        spawn(drivers["a"], make_instance(), [make_vif()])
    assert host.guests == {}
    assert_consistent(fleet, path)
