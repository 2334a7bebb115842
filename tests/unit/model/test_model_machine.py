"""Claims, devices, moves and the journal under any sequence of operations, of which any may fail at any call."""

import json
import shutil
import sqlite3
import tempfile
from pathlib import Path
from uuid import UUID

import pytest
from driver_kit import make_vif, make_volume
from failure_kit import Probe, ProbedFaults, ProbedRealizer, ProbedStore, Struck, kept
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import GuestNotFound, InsufficientCapacity, NovaFakesError, RealizerError
from nova_fakes.virt import resize
from nova_fakes.virt.disks import Volume
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.guest import TRANSITIONS, Claim, GuestSpec, State
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.inventory import Inventory
from nova_fakes.virt.journal import Journal
from nova_fakes.virt.nic import Nic
from nova_fakes.virt.vif.base import VIF

HOSTS = ("a", "b", "c")
UUIDS = tuple(str(UUID(int=number)) for number in range(1, 5))
BOOTS = ("power_on", "hard_reboot", "resume")
CHANGES = tuple(sorted(TRANSITIONS.keys() - {"rescue", "unrescue", "power_loss", *BOOTS}))

hosts = st.sampled_from(HOSTS)
devices = st.sampled_from(["vdb", "vdc"])
#: Which kind of call fails, and after how many of the kind.
troubles = st.none() | st.none() | st.tuples(st.sampled_from(["fault", "realizer", "journal"]), st.integers(0, 3))


def some(of):
    """Let a rule run where there are guests of a kind, and draw one."""

    def decorate(method):
        def ruled(self, data, **drawn):
            return method(self, data.draw(st.sampled_from(sorted(of(self))), label="uuid"), **drawn)

        ruled.__name__ = method.__name__
        return precondition(lambda self: bool(of(self)))(ruled)

    return decorate


def make_spec(uuid, vcpus=1, memory_mb=64, root_gb=1):
    return GuestSpec(uuid, f"guest-{uuid[-4:]}", vcpus, memory_mb, root_gb)


def make_nics(uuid, count):
    first = UUID(uuid).int * 16
    return {nic.id: nic for nic in (Nic(make_vif(first + number)) for number in range(count))}


def volume(device, number):
    return Volume(device, make_volume(volume_id=f"v{number}")["connection_info"])


class FleetMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.directory = tempfile.mkdtemp()
        self.clock = ManualClock()
        self.probes = {
            "fault": Probe(Struck),
            "realizer": Probe(RealizerError),
            "journal": Probe(sqlite3.OperationalError),
        }
        self.open()
        self.counted = {}
        #: Guests between leaving and confirmation or reversion: where from, where to (None: on their way), and as what.
        self.resizing = {}

    def open(self):
        journal = Journal(Path(self.directory) / "journal")
        journal._store = ProbedStore(journal._store, self.probes["journal"])
        self.fleet = Fleet(self.clock, ProbedFaults(self.clock, self.probes["fault"]), journal, shared_storage=False)
        for name in HOSTS:
            inventory = Inventory(vcpus=6, memory_mb=512, disk_gb=8, vcpu_limit=1.0, memory_limit=1.0, disk_limit=1.0)
            host = Hypervisor(name, inventory, ProbedRealizer(name, self.probes["realizer"]))
            host.read_vif = VIF.from_network_info
            self.fleet.add(host)
        #: Hosts that guests are prepared to go to.
        self.going = {}

    def teardown(self):
        self.fleet.close()
        shutil.rmtree(self.directory)

    def present(self):
        """Return the guests that nova could ask for something."""
        return [uuid for uuid in UUIDS if (host := self.host_of(uuid)) is not None and not host.down]

    def settled(self):
        return [uuid for uuid in self.present() if uuid not in self.resizing]

    def movable(self):
        return [uuid for uuid in self.settled() if uuid not in self.going]

    def missing(self):
        return [uuid for uuid in UUIDS if self.host_of(uuid) is None and uuid not in {*self.resizing, *self.going}]

    def prepared(self):
        return [uuid for uuid in self.going if uuid in self.present() and not self.migrating(uuid)]

    def under_way(self):
        return [uuid for uuid in self.going if self.migrating(uuid)]

    def migrating(self, uuid):
        return any(uuid in host.migrations for host in self.fleet.hosts.values())

    def leaving(self):
        return [uuid for uuid, (_, arrived, _, _) in self.resizing.items() if arrived is None]

    def arrived(self):
        return self.resizing.keys() - self.leaving()

    def host_of(self, uuid):
        """Return the host to which nova would turn: of a guest that is resized, the one where it arrived."""
        found = [host for host in self.fleet.hosts.values() if uuid in host.guests]
        return next((host for host in found if not host.guests[uuid].outgoing), None)

    def state(self):
        return {name: self.host_state(host) for name, host in self.fleet.hosts.items()}

    def host_state(self, host):
        wired = {uuid: set(vifs) for uuid, vifs in host.realizer.wired.items() if vifs}
        return kept(host) | {
            "arrivals": dict(host.arrivals),
            "migrations": dict(host.migrations),
            "wired": wired,
            "links": {uuid: host.realizer.links[uuid] for uuid in wired},
            "down": host.down,
        }

    def attempt(self, trouble, operation):
        """Carry an operation out, in trouble or not, and tell whether it passed; else nothing may have changed."""
        # No two boots of a guest are at one moment: counters are told apart by it.
        self.clock.advance(1)
        before = self.state()
        kind, number = trouble or (None, None)
        if kind is not None:
            self.probes[kind].listen(number)
        try:
            operation()
        except (NovaFakesError, Struck):
            assert self.state() == before
            return False
        finally:
            for probe in self.probes.values():
                probe.listen()
        return True

    @initialize(data=st.data())
    def populate(self, data):
        for uuid in UUIDS[:3]:
            host = self.fleet.hypervisor(data.draw(hosts))
            host.spawn(make_spec(uuid, data.draw(st.integers(1, 2))), make_nics(uuid, 2), [volume("vdb", 0)])

    @rule(
        data=st.data(),
        host=hosts,
        vcpus=st.integers(1, 4),
        nics=st.integers(0, 2),
        volumes=st.integers(0, 1),
        power_on=st.booleans(),
        trouble=troubles,
    )
    @some(lambda self: self.missing())
    def spawn(self, uuid, host, vcpus, nics, volumes, power_on, trouble):
        self.attempt(
            trouble,
            lambda: self.fleet.hypervisor(host).spawn(
                make_spec(uuid, vcpus),
                make_nics(uuid, nics),
                [volume("vdb", number) for number in range(volumes)],
                power_on=power_on,
            ),
        )

    @rule(data=st.data(), keep=st.booleans(), trouble=troubles)
    @some(lambda self: self.settled())
    def destroy(self, uuid, keep, trouble):
        host = self.host_of(uuid)
        self.attempt(trouble, lambda: host.destroy(uuid, keep_disks=keep))

    @rule(uuid=st.sampled_from(UUIDS), host=hosts, trouble=troubles)
    @precondition(lambda self: any(host.left_disks for host in self.fleet.hosts.values()))
    def drop_disks(self, uuid, host, trouble):
        self.attempt(trouble, lambda: self.fleet.hypervisor(host).drop_disks(uuid))

    @rule(data=st.data(), operation=st.sampled_from(CHANGES), trouble=troubles)
    @some(lambda self: self.present())
    def change(self, uuid, operation, trouble):
        host = self.host_of(uuid)
        guest = host.guests[uuid]
        allowed, target = TRANSITIONS[operation]
        permitted = guest.state in allowed and not host.down
        passed = self.attempt(trouble, lambda: host.change(uuid, operation))
        assert permitted or not passed
        assert passed or trouble or not permitted
        if passed:
            assert guest.state is target

    @rule(data=st.data(), operation=st.sampled_from(BOOTS), nics=st.none() | st.integers(0, 3), trouble=troubles)
    @some(lambda self: self.present())
    def boot(self, uuid, operation, nics, trouble):
        host = self.host_of(uuid)
        known = None if nics is None else make_nics(uuid, nics)
        self.attempt(trouble, lambda: host.boot(uuid, operation, known))

    @rule(data=st.data(), rescue=st.booleans(), trouble=troubles)
    @some(lambda self: self.present())
    def rescue(self, uuid, rescue, trouble):
        host = self.host_of(uuid)
        self.attempt(trouble, lambda: host.rescue(uuid, "image", "secret") if rescue else host.unrescue(uuid))

    @rule(data=st.data(), quiet=st.booleans(), trouble=troubles)
    @some(lambda self: self.present())
    def quiesce(self, uuid, quiet, trouble):
        host = self.host_of(uuid)
        self.attempt(trouble, lambda: host.quiesce(uuid, quiet))

    @rule(
        data=st.data(),
        device=devices,
        number=st.integers(0, 2),
        operation=st.sampled_from(["attach", "detach", "swap", "extend"]),
        trouble=troubles,
    )
    @some(lambda self: self.present())
    def volumes(self, uuid, device, number, operation, trouble):
        host = self.host_of(uuid)
        doing = {
            "attach": lambda: host.attach_volume(uuid, volume(device, number)),
            "detach": lambda: host.detach_volume(uuid, device),
            "swap": lambda: host.swap_volume(uuid, volume(device, number)),
            "extend": lambda: host.extend_volume(uuid, f"v{number}", 1 << 30),
        }[operation]
        passed = self.attempt(trouble, doing)
        if passed and operation != "extend":
            there = host.guests[uuid].volumes.get(device)
            assert (there is None) if operation == "detach" else (there.volume_id == f"v{number}")

    @rule(data=st.data(), number=st.integers(0, 3), attach=st.booleans(), trouble=troubles)
    @some(lambda self: self.present())
    def interfaces(self, uuid, number, attach, trouble):
        host = self.host_of(uuid)
        nic = list(make_nics(uuid, number + 1).values())[number]
        if self.attempt(trouble, lambda: host.attach_nic(uuid, nic) if attach else host.detach_nic(uuid, nic.id)):
            assert (nic.id in host.guests[uuid].nics) is attach

    # Live migration: other operations come between its steps

    @rule(data=st.data(), host=hosts, trouble=troubles)
    @some(lambda self: self.movable())
    def prepare(self, uuid, host, trouble):
        source, destination = self.host_of(uuid), self.fleet.hypervisor(host)
        if source is destination:
            return
        guest = source.guests[uuid]
        ready = lambda: self.fleet.migrations.prepare(destination, guest.spec, guest.nics, guest.volumes.values())  # noqa: E731
        if self.attempt(trouble, ready):
            self.going[uuid] = destination

    @rule(data=st.data(), trouble=troubles)
    @some(lambda self: self.prepared())
    def begin(self, uuid, trouble):
        source = self.host_of(uuid)
        began = []
        destination = self.going[uuid].name
        self.attempt(trouble, lambda: began.append(self.fleet.migrations.begin(source, uuid, destination)))

    @rule(data=st.data(), abort=st.booleans(), trouble=troubles)
    @some(lambda self: self.under_way())
    def switch_over(self, uuid, abort, trouble):
        source = next(host for host in self.fleet.hosts.values() if uuid in host.migrations)
        migration, destination, guest = source.migrations[uuid], self.going[uuid], source.guests.get(uuid)
        if abort:
            migration.abort()
        if self.attempt(trouble, lambda: self.fleet.migrations.switch_over(source, migration)):
            assert not abort
            assert destination.guests[uuid] is guest
            del self.going[uuid]
        else:
            assert source.guests.get(uuid) is guest
        self.fleet.migrations.end(source, migration)

    @rule(data=st.data(), trouble=troubles)
    @some(lambda self: self.going)
    def roll_back(self, uuid, trouble):
        destination = self.going[uuid]
        if self.migrating(uuid):
            return
        if self.attempt(trouble, lambda: self.fleet.migrations.abort_arrival(destination, uuid)):
            del self.going[uuid]

    @rule(data=st.data(), host=hosts, abort=st.booleans(), trouble=troubles)
    @some(lambda self: self.movable())
    def live_migrate(self, uuid, host, abort, trouble):
        source, destination = self.host_of(uuid), self.fleet.hypervisor(host)
        guest = source.guests[uuid]
        if source is destination or destination.down or guest.state not in (State.RUNNING, State.PAUSED):
            return
        try:
            self.fleet.migrations.prepare(destination, guest.spec, guest.nics, guest.volumes.values())
        except InsufficientCapacity:
            return
        migration = self.fleet.migrations.begin(source, uuid, host)
        if abort:
            migration.abort()
        passed = self.attempt(trouble, lambda: self.fleet.migrations.switch_over(source, migration))
        assert passed is not abort or trouble
        self.fleet.migrations.end(source, migration)
        self.fleet.migrations.abort_arrival(destination, uuid)
        assert self.host_of(uuid) is (destination if passed else source)
        assert self.host_of(uuid).guests[uuid] is guest

    # Resize and cold migration

    @rule(data=st.data(), trouble=troubles)
    @some(lambda self: self.movable())
    def leave(self, uuid, trouble):
        source = self.host_of(uuid)
        guest = source.guests[uuid]
        if self.attempt(trouble, lambda: resize.leave(source, uuid)):
            self.resizing[uuid] = (source.name, None, guest.spec, dict(guest.nics))
            assert guest.state is State.SHUTDOWN

    @rule(data=st.data(), host=hosts, vcpus=st.integers(1, 4), power_on=st.booleans(), trouble=troubles)
    @some(lambda self: self.leaving())
    def arrive(self, uuid, host, vcpus, power_on, trouble):
        source, _, spec, nics = self.resizing[uuid]
        destination = self.fleet.hypervisor(host)
        arrival = lambda: resize.arrive(destination, make_spec(uuid, vcpus), nics, (), power_on=power_on)  # noqa: E731
        if self.attempt(trouble, arrival):
            self.resizing[uuid] = (source, host, spec, nics)

    @rule(data=st.data(), trouble=troubles)
    @some(lambda self: self.arrived())
    def confirm(self, uuid, trouble):
        source, arrived, _, _ = self.resizing[uuid]
        if self.attempt(trouble, lambda: resize.confirm(self.fleet.hypervisor(source), uuid)):
            del self.resizing[uuid]
            assert self.host_of(uuid).name == arrived

    @rule(data=st.data(), power_on=st.booleans(), first=troubles, second=troubles)
    @some(lambda self: self.resizing)
    def revert(self, uuid, power_on, first, second):
        source, arrived, spec, nics = self.resizing[uuid]
        if arrived is not None:
            if not self.attempt(first, lambda: self.fleet.hypervisor(arrived).destroy(uuid)):
                return
            self.resizing[uuid] = (source, None, spec, nics)
        host = self.fleet.hypervisor(source)
        if self.attempt(second, lambda: resize.revert(host, spec, dict(nics), (), power_on=power_on)):
            del self.resizing[uuid]
            assert host.guests[uuid].spec == spec

    # Hosts

    @rule(host=hosts, trouble=troubles)
    @precondition(lambda self: not self.dead())
    def crash(self, host, trouble):
        if trouble is not None and trouble[0] == "realizer":
            trouble = None  # what a dead host's realizer cannot remove stays behind, and is logged
        dying = self.fleet.hypervisor(host)
        if self.attempt(trouble, dying.crash):
            assert dying.down
            self.going = {uuid: destination for uuid, destination in self.going.items() if destination is not dying}
            for migration in [one for one in self.migrations() if one.destination == host]:
                migration.abort()
                self.fleet.migrations.end(self.fleet.hypervisor(migration.source), migration)

    def migrations(self):
        return [migration for host in self.fleet.hosts.values() for migration in host.migrations.values()]

    def dead(self):
        return [host for host in self.fleet.hosts.values() if host.down]

    @rule(trouble=troubles)
    @precondition(lambda self: self.dead())
    def recover(self, trouble):
        (host,) = self.dead()
        if self.attempt(trouble, host.recover):
            assert not host.down

    @rule()
    @precondition(lambda self: not self.dead())
    def restart(self):
        for uuid, destination in self.going.items():
            self.fleet.migrations.abort_arrival(destination, uuid)
        before = {name: kept(host) for name, host in self.fleet.hosts.items()}
        self.fleet.close()
        self.open()
        assert {name: kept(host) for name, host in self.fleet.hosts.items()} == before
        for host in self.fleet.hosts.values():
            for uuid, guest in host.guests.items():
                if not guest.outgoing:  # as nova-compute does when it starts
                    host.plug(uuid, guest.nics)

    @rule(seconds=st.floats(0, 10_000))
    def advance(self, seconds):
        self.clock.advance(seconds)

    @invariant()
    def claims_equal_what_is_there(self):
        for host in self.fleet.hosts.values():
            held = [guest.claim for guest in (*host.guests.values(), *host.retained.values())]
            held += [*host.left_disks.values(), *(arrival.claim for arrival in host.arrivals.values())]
            assert host.capacity.used == Claim.total(held)

    @invariant()
    def a_guest_is_in_one_place_unless_it_is_resized(self):
        seen = [uuid for host in self.fleet.hosts.values() for uuid in host.guests]
        for uuid in seen:
            assert seen.count(uuid) == 1 or (seen.count(uuid) == 2 and uuid in self.resizing)
        for uuid, destination in self.going.items():
            assert uuid in destination.arrivals

    @invariant()
    def nothing_runs_on_a_dead_host(self):
        for host in self.fleet.hosts.values():
            if host.down:
                assert all(guest.state is State.SHUTDOWN for guest in host.guests.values())
                assert not any(host.realizer.wired.values())

    @invariant()
    def interfaces_are_those_of_the_guests(self):
        for host in self.fleet.hosts.values():
            wired = {uuid: set(vifs) for uuid, vifs in host.realizer.wired.items() if vifs}
            assert wired.keys() <= host.guests.keys()
            for uuid, guest in host.guests.items():
                assert wired.get(uuid, set()) <= set(guest.nics)
                if guest.state in (State.RUNNING, State.PAUSED):
                    assert wired.get(uuid, set()) == set(guest.nics)
                if uuid in wired:
                    assert host.realizer.links[uuid] is (guest.state is State.RUNNING)

    @invariant()
    def a_volume_has_one_device(self):
        for host in self.fleet.hosts.values():
            for guest in host.guests.values():
                found = [one.volume_id for one in guest.volumes.values()]
                assert len(found) == len(set(found))
                assert all(device == one.device for device, one in guest.volumes.items())

    @invariant()
    def the_journal_knows_what_is_there(self):
        journal = self.fleet.journal
        for name, host in self.fleet.hosts.items():
            for role, guests in (("guest", host.guests), ("retained", host.retained)):
                records = {uuid: json.loads(json.dumps(guest.to_record())) for uuid, guest in guests.items()}
                assert journal.guests(name, role) == records
            disks = {uuid: {"disk_gb": claim.disk_gb} for uuid, claim in host.left_disks.items()}
            assert journal.guests(name, "disks") == disks

    @invariant()
    def counters_never_run_backwards(self):
        for host in self.fleet.hosts.values():
            if host.down:
                continue
            for uuid, guest in host.guests.items():
                statistics = host.statistics(uuid)
                now = {"cpu": sum(statistics.cpus)}
                # What is attached anew begins at nought.
                now |= {
                    (device, guest.attached_s.get(device)): disk.read_bytes + disk.write_bytes
                    for device, disk in statistics.disks
                }
                before = self.counted.setdefault((uuid, guest.booted_at_s, guest.created_at_s), {})
                assert all(value >= before.get(name, 0) for name, value in now.items())
                before.update(now)


SETTINGS = settings(
    stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


class TestFleetMachine(FleetMachine.TestCase):
    settings = settings(SETTINGS, max_examples=100)


@pytest.mark.slow
class TestFleetMachineForLonger(FleetMachine.TestCase):
    settings = settings(SETTINGS, max_examples=2000)


def test_find_names_what_is_nowhere():
    with pytest.raises(GuestNotFound, match="nobody"):
        Fleet(ManualClock()).find("nobody")
