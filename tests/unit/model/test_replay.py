"""What the journal tells is enough to make everything again."""

import copy
from contextlib import contextmanager
from uuid import UUID

import fleet_state
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from test_model_machine import HOSTS, SETTINGS, FleetMachine, make_nics, make_spec, some, troubles

from nova_fakes.clock import ManualClock, SystemClock
from nova_fakes.exceptions import HostNotFound, InjectedFault, InsufficientCapacity, InvalidInput
from nova_fakes.faults import FaultRule
from nova_fakes.virt import resize
from nova_fakes.virt.disks import Volume
from nova_fakes.virt.event import read_events
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.guest import State
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.inventory import Inventory
from nova_fakes.virt.nic import read_nics
from nova_fakes.virt.replay import replay

G = str(UUID(int=1))


def nics(number):
    return read_nics([{"id": f"vif-{number}", "address": f"fa:16:3e:00:00:{number:02x}"}])


def volume(number, size_bytes=None):
    return Volume(f"/dev/vd{'bcde'[number % 4]}", {"serial": f"volume-{number}"}, {"provider": "luks"}, size_bytes)


def again(fleet, **options):
    """Return a fleet that has been through the same, by way of JSON."""
    other = Fleet(ManualClock(), seed=fleet.seed, **options)
    for name in fleet.hosts:
        other.add(Hypervisor(name))
    replay(read_events(event.to_json() for event in fleet.journal.events()), other)
    other.clock.advance_to(fleet.clock.now())
    return other


class EventfulMachine(FleetMachine):
    """The machine of all that happens to guests, with what happens to hosts; its story is told again at its end."""

    @rule(data=st.data(), password=st.booleans(), trouble=troubles)
    @some(lambda self: self.present())
    def inside(self, uuid, password, trouble):
        host = self.host_of(uuid)
        inject = lambda: host.inject_file(uuid, "/etc/motd", "hello")  # noqa: E731
        self.attempt(trouble, (lambda: host.set_password(uuid, "open sesame")) if password else inject)

    @rule(data=st.data(), share=st.sampled_from("xy"), mount=st.booleans(), trouble=troubles)
    @some(lambda self: self.present())
    def share(self, uuid, share, mount, trouble):
        host = self.host_of(uuid)
        self.attempt(trouble, lambda: (host.mount_share if mount else host.umount_share)(uuid, share))

    @rule(data=st.data(), wires=st.booleans(), trouble=troubles)
    @some(lambda self: self.present())
    def rewire(self, uuid, wires, trouble):
        host = self.host_of(uuid)
        if host.guests[uuid].state is State.SHUTDOWN:
            self.attempt(trouble, lambda: host.plug(uuid, make_nics(uuid, 2)) if wires else host.unplug(uuid))

    @rule(host=st.sampled_from(HOSTS), image=st.sampled_from("uv"), on=st.booleans(), trouble=troubles)
    def host_settings(self, host, image, on, trouble):
        hypervisor = self.fleet.hypervisor(host)
        for act in (
            lambda: hypervisor.cache_image(image) if on else hypervisor.drop_images([image]),
            lambda: hypervisor.set_maintenance(on),
            lambda: hypervisor.set_enabled(not on),
        ):
            self.attempt(trouble, act)

    @rule(host=st.sampled_from(HOSTS), trouble=troubles)
    @precondition(lambda self: not self.dead())
    def hang(self, host, trouble):
        hypervisor = self.fleet.hypervisor(host)
        if self.attempt(trouble, hypervisor.hang):
            assert hypervisor.silent
            hypervisor.recover()
        assert not hypervisor.silent

    @rule(data=st.data(), trouble=troubles)
    @some(lambda self: self.under_way())
    def force(self, uuid, trouble):
        source = next(host for host in self.fleet.hosts.values() if uuid in host.migrations)
        self.attempt(trouble, lambda: self.fleet.migrations.force(source, uuid))

    def host_state(self, host):
        settings = {"shares": host.shares, "images": host.cached_images, "switches": (host.enabled, host.maintenance)}
        return super().host_state(host) | copy.deepcopy(settings)

    def set_out(self):
        """Let one guest be on its way when the story ends."""
        for uuid in self.movable():
            source = self.host_of(uuid)
            destination = next(host for host in self.fleet.hosts.values() if host is not source)
            guest = source.guests[uuid]
            if destination.down or guest.state is not State.RUNNING:
                continue
            try:
                self.fleet.migrations.prepare(destination, guest.spec, make_nics(uuid, 1), [volume(3)])
            except InsufficientCapacity:
                continue
            self.fleet.migrations.begin(source, uuid, destination.name, block=True)
            self.fleet.migrations.force(source, uuid)
            return

    def check_story(self):
        for host in self.fleet.hosts.values():
            host.realizer = None  # whose counters are not the model's
        assert fleet_state.whole(again(self.fleet)) == fleet_state.whole(self.fleet)

    def teardown(self):
        self.set_out()
        self.check_story()
        before = fleet_state.kept(self.fleet)
        self.fleet.close()
        self.open()
        assert fleet_state.kept(self.fleet) == before
        fleet_state.check(self.fleet)
        # What was on its way in the process before is told to be gone too.
        self.check_story()
        super().teardown()


class TestEventfulMachine(EventfulMachine.TestCase):
    settings = settings(SETTINGS, max_examples=60)


class TestReplay:
    @pytest.fixture
    def fleet(self):
        fleet = Fleet(ManualClock(), seed=7)
        for name in "ab":
            fleet.add(Hypervisor(name))
        return fleet

    def test_the_seed_makes_the_counters(self, fleet):
        fleet.hypervisor("a").spawn(make_spec(G), nics(1))
        fleet.clock.advance(100)
        assert fleet_state.whole(again(fleet)) == fleet_state.whole(fleet)
        other = Fleet(ManualClock(), seed=8)
        other.add(Hypervisor("a"))
        replay(fleet.journal.events(operation="spawn"), other)
        other.clock.advance_to(fleet.clock.now())
        assert other.hypervisor("a").statistics(G).cpus != fleet.hypervisor("a").statistics(G).cpus

    def test_the_time_for_which_ports_were_waited_for_passes(self, fleet):
        @contextmanager
        def late():
            yield
            fleet.clock.advance(30)

        fleet.hypervisor("a").spawn(make_spec(G), nics(1), plugging=late())
        fleet.clock.advance(5)
        assert fleet.hypervisor("a").statistics(G).active_s == 5
        assert fleet_state.whole(again(fleet)) == fleet_state.whole(fleet)

    def test_hosts_may_have_other_names(self, fleet):
        source, destination = fleet.hosts.values()
        source.spawn(make_spec(G))
        fleet.migrations.prepare(destination, source.guests[G].spec, {})
        migration = fleet.migrations.begin(source, G, "b")
        fleet.migrations.switch_over(source, migration)
        fleet.migrations.end(source, migration)
        other = Fleet(ManualClock(), seed=7)
        for name in "xy":
            other.add(Hypervisor(name))
        assert replay(fleet.journal.events(), other, {"a": "x", "b": "y"}) == 7
        assert list(fleet_state.whole(other).values()) == list(fleet_state.whole(fleet).values())

    def test_a_guest_that_another_process_sent_arrives_once(self, fleet):
        here, there = Fleet(fleet.clock, seed=7), Fleet(fleet.clock, seed=7)
        source, destination = here.add(Hypervisor("a")), there.add(Hypervisor("b"))
        source.spawn(make_spec(G))
        there.migrations.prepare(destination, source.guests[G].spec, nics(1))
        here.migrations.switch_over(source, here.migrations.begin(source, G, "b"))
        there.migrations.finish_arrival(destination, make_spec(G), paused=True)
        first, second = here.journal.events(), there.journal.events()
        story = [first[0], *second[:3], *first[1:], *second[3:]]
        replay(story, fleet)
        assert (list(fleet.hypervisor("a").guests), list(fleet.hypervisor("b").guests)) == ([], [G])
        fleet_state.check(fleet)

    def test_other_observers_events_and_failures_are_passed_over(self, fleet):
        with pytest.raises(InvalidInput):
            fleet.hypervisor("a").spawn(make_spec(G, vcpus=0))
        fleet.journal.record(fleet.clock.now(), "a", None, "security_group_rules", details={"security_group_id": 3})
        assert fleet_state.whole(again(fleet)) == fleet_state.whole(fleet)

    def test_what_does_not_succeed_here_names_its_event(self, fleet):
        fleet.hypervisor("a").spawn(make_spec(G, vcpus=2))
        other = Fleet(ManualClock())
        for name in "ab":
            other.add(Hypervisor(name, Inventory(vcpus=1, vcpu_limit=1.0)))
        with pytest.raises(InsufficientCapacity) as raised:
            replay(fleet.journal.events(), other)
        assert raised.value.__notes__ == [f"event 3: spawn of guest {G} on host a"]

    def test_a_missing_host_is_named(self, fleet):
        with pytest.raises(HostNotFound, match="'a'"):
            replay(fleet.journal.events(), Fleet(ManualClock()))

    @pytest.mark.parametrize("clock", [SystemClock(), ManualClock(2e9)])
    def test_a_clock_that_cannot_be_moved_there_is_refused(self, fleet, clock):
        with pytest.raises(InvalidInput, match="clock of the fleet"):
            replay(fleet.journal.events(), Fleet(clock))

    def test_a_resize_on_one_host_and_its_way_back(self, fleet):
        host = fleet.hypervisor("a")
        host.spawn(make_spec(G), nics(1), [volume(1)])
        for power_on in (True, False):
            resize.leave(host, G)
            resize.arrive(host, make_spec(G, vcpus=3), nics(1), [volume(1)], power_on=True)
            assert fleet_state.whole(again(fleet)) == fleet_state.whole(fleet)
            resize.revert(host, make_spec(G), nics(1), [volume(1)], power_on=power_on)
            assert fleet_state.whole(again(fleet)) == fleet_state.whole(fleet)
            fleet.clock.advance(9)

    def test_a_way_back_that_fails_half_way(self, fleet):
        host = fleet.hypervisor("a")
        host.spawn(make_spec(G))
        resize.leave(host, G)
        resize.arrive(host, make_spec(G, vcpus=3), None, (), power_on=True)
        fleet.faults.add(FaultRule("power_on", times=1))
        with pytest.raises(InjectedFault):
            resize.revert(host, make_spec(G), nics(1), [volume(1)], power_on=True)
        assert not host.retained[G].volumes
        assert (host.guests[G].spec.vcpus, str(host.guests[G].state)) == (3, "running")
        assert fleet_state.whole(again(fleet)) == fleet_state.whole(fleet)
        resize.revert(host, make_spec(G), nics(1), [volume(1)], power_on=True)
        assert (host.guests[G].spec.vcpus, str(host.guests[G].state)) == (1, "running")
        assert fleet_state.whole(again(fleet)) == fleet_state.whole(fleet)
