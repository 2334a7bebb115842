"""Claims and life cycle under any sequence of operations."""

from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import Conflict, GuestNotFound, InjectedFault, NovaFakesError
from nova_fakes.faults import FaultRule
from nova_fakes.virt import resize
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.guest import TRANSITIONS, Claim, GuestSpec, State
from nova_fakes.virt.hypervisor import Hypervisor

HOSTS = ("a", "b", "c")


def make_spec(uuid, vcpus=1, memory_mb=64, root_gb=1):
    return GuestSpec(uuid, f"guest-{uuid[-4:]}", vcpus, memory_mb, root_gb)


class FleetMachine(RuleBasedStateMachine):
    uuids = Bundle("uuids")

    def __init__(self):
        super().__init__()
        self.clock = ManualClock()
        self.fleet = Fleet(self.clock)
        for name in HOSTS:
            self.fleet.add(Hypervisor(name))
        self.made = 0
        self.last = {}

    def host_of(self, uuid):
        return next((host for host in self.fleet.hosts.values() if uuid in host.guests), None)

    @rule(
        target=uuids, host=st.sampled_from(HOSTS), vcpus=st.integers(1, 4), fails=st.sampled_from(["", "plug", "start"])
    )
    def spawn(self, host, vcpus, fails):
        self.made += 1
        uuid = str(UUID(int=self.made))
        hypervisor = self.fleet.hypervisor(host)
        if fails:
            self.fleet.faults.add(FaultRule(f"spawn.{fails}", times=1))
        before = hypervisor.capacity.used
        try:
            hypervisor.spawn(make_spec(uuid, vcpus))
            assert not fails
        except InjectedFault:
            assert fails
            assert hypervisor.capacity.used == before
            assert uuid not in hypervisor.guests
        except Conflict:
            assert hypervisor.down
        self.fleet.faults.clear()
        return uuid

    @rule(uuid=uuids, operation=st.sampled_from(sorted(TRANSITIONS.keys() - {"rescue", "unrescue"})))
    def change(self, uuid, operation):
        host = self.host_of(uuid)
        if host is None or host.down:
            return
        guest = host.guests[uuid]
        allowed, target = TRANSITIONS[operation]
        before = guest.state
        try:
            host.change(uuid, operation)
            assert before in allowed
            assert guest.state is target
        except Conflict:
            assert before not in allowed
            assert guest.state is before

    @rule(uuid=consumes(uuids), keep=st.booleans())
    def destroy(self, uuid, keep):
        for host in self.fleet.hosts.values():
            if not host.down:
                host.destroy(uuid, keep_disks=keep)
                host.drop_disks(uuid)
                resize.confirm(host, uuid)

    @rule(uuid=uuids, host=st.sampled_from(HOSTS), confirm=st.booleans(), vcpus=st.integers(1, 4))
    def resize(self, uuid, host, confirm, vcpus):
        source, destination = self.host_of(uuid), self.fleet.hypervisor(host)
        if source is None or source.down or destination.down:
            return
        spec = source.guests[uuid].spec
        resize.leave(source, uuid)
        resize.arrive(destination, make_spec(uuid, vcpus), None, (), power_on=True)
        both = Claim.total((spec.claim(), make_spec(uuid, vcpus).claim()))
        if source is destination:
            assert source.guests[uuid].claim.vcpus + source.retained[uuid].claim.vcpus == both.vcpus
        if confirm:
            resize.confirm(source, uuid)
            assert self.host_of(uuid) is destination
        else:
            destination.destroy(uuid)
            resize.revert(source, spec, None, (), power_on=True)
            assert self.host_of(uuid) is source
            assert source.guests[uuid].spec.vcpus == spec.vcpus

    @rule(uuid=uuids, host=st.sampled_from(HOSTS), ending=st.sampled_from(["complete", "abort", "dies"]))
    def live_migrate(self, uuid, host, ending):
        source, destination = self.host_of(uuid), self.fleet.hypervisor(host)
        if source is None or source is destination or source.down or destination.down:
            return
        guest = source.guests[uuid]
        if guest.state not in (State.RUNNING, State.PAUSED):
            return
        self.fleet.prepare_migration(destination, guest.spec, {})
        migration = self.fleet.begin_migration(source, uuid, host)
        try:
            self.clock.advance(migration.duration_s / 2)
            if ending == "abort":
                migration.abort()
            if ending == "dies":
                destination.crash()
            self.clock.advance(migration.duration_s)
            self.fleet.switch_over(source, migration)
            assert ending == "complete"
            assert self.host_of(uuid) is destination
            assert destination.guests[uuid] is guest
        except NovaFakesError:
            assert ending != "complete"
            self.fleet.abort_arrival(destination, uuid)
            assert source.guests[uuid] is guest
        finally:
            self.fleet.end_migration(source, migration)

    @rule(host=st.sampled_from(HOSTS))
    def crash(self, host):
        self.fleet.hypervisor(host).crash()

    @rule(host=st.sampled_from(HOSTS))
    def recover(self, host):
        self.fleet.hypervisor(host).recover()

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
    def a_guest_is_in_one_place(self):
        seen = [uuid for host in self.fleet.hosts.values() for uuid in host.guests]
        assert len(seen) == len(set(seen))

    @invariant()
    def nothing_runs_on_a_dead_host(self):
        for host in self.fleet.hosts.values():
            if host.down:
                assert all(guest.state is State.SHUTDOWN for guest in host.guests.values())

    @invariant()
    def processor_time_never_runs_backwards(self):
        for host in self.fleet.hosts.values():
            for uuid, guest in host.guests.items():
                if host.down:
                    continue
                key = (uuid, guest.booted_at_s, guest.created_at_s)
                used = sum(host.statistics(uuid).cpus)
                assert used >= self.last.get(key, 0)
                self.last[key] = used


FleetMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestFleetMachine = FleetMachine.TestCase


def test_find_names_what_is_nowhere():
    with pytest.raises(GuestNotFound, match="nobody"):
        Fleet(ManualClock()).find("nobody")
