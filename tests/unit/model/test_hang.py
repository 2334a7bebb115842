"""A host that hangs: operations wait by the clock, go on when it recovers, fail at the deadline."""

import contextlib
import threading

import pytest

from nova_fakes.clock import ManualClock
from nova_fakes.delays import Constant
from nova_fakes.exceptions import GuestNotFound, HostDown, HostHangs, InjectedFault, InvalidInput
from nova_fakes.faults import FaultRule
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.guest import GuestSpec, State
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.nic import Nic


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def host(clock):
    host = Fleet(clock).add(Hypervisor("a"))
    host.spawn(spec("one"))
    return host


def spec(uuid, flavor=None):
    return GuestSpec(uuid, f"instance-{uuid}", vcpus=1, memory_mb=64, root_gb=0, flavor=flavor)


class Asked:
    """An operation under way in another thread."""

    def __init__(self, clock, function, *args, **kwargs):
        self.outcome = None

        def ask():
            try:
                self.outcome = function(*args, **kwargs)
            except BaseException as error:
                self.outcome = error

        self._thread = threading.Thread(target=ask, daemon=True)
        self._thread.start()
        assert clock.wait_for_sleepers()

    @property
    def waits(self):
        return self._thread.is_alive()

    def end(self):
        self._thread.join(10)
        assert not self.waits
        return self.outcome


@pytest.mark.parametrize(
    ("operation", "args"),
    [
        ("spawn", (spec("two"),)),
        ("destroy", ("one",)),
        ("change", ("one", "pause")),
        ("boot", ("one", "hard_reboot")),
        ("statistics", ("one",)),
        ("drop_disks", ("one",)),
        ("uptime_s", ()),
    ],
)
def test_operations_wait_and_go_on(clock, host, operation, args):
    host.hang()
    asked = Asked(clock, getattr(host, operation), *args)
    clock.advance(59)
    assert asked.waits
    assert host.guests["one"].state is State.RUNNING
    host.recover()
    assert not isinstance(asked.end(), BaseException)
    assert not host.silent


def test_the_deadline_counts_for_each_operation_by_itself(clock, host):
    host.hang(deadline_s=30)
    first = Asked(clock, host.change, "one", "pause")
    clock.advance(20)
    second = Asked(clock, host.change, "one", "pause")
    assert clock.wait_for_sleepers(2)
    clock.advance(10)
    failure = first.end()
    assert isinstance(failure, HostHangs)
    assert str(failure) == "host a hangs: pause had no answer within 30 s; recover it first"
    assert second.waits
    clock.advance(20)
    assert isinstance(second.end(), HostHangs)
    assert host.guests["one"].state is State.RUNNING
    assert host.silent


def test_a_hang_leaves_no_trace_but_in_the_journal(clock, host):
    booted_at_s = host.booted_at_s
    host.hang(5)
    host.hang(7)
    clock.advance(100)
    assert "hangs" in repr(host)
    host.recover()
    host.recover()
    assert host.guests["one"].state is State.RUNNING
    assert host.guests["one"].active_s(clock.now()) == 100
    assert host.booted_at_s == booted_at_s
    found = [(event.operation, dict(event.details)) for event in host.journal.events() if event.guest is None]
    assert found[1:] == [("host_hang", {"deadline_s": 5}), ("host_recover", {})]


def test_a_host_that_crashes_while_it_hangs_is_down(clock, host):
    host.hang()
    asked = Asked(clock, host.change, "one", "pause")
    host.crash()
    failure = asked.end()
    assert type(failure) is HostDown
    with pytest.raises(HostDown, match="cannot hang"):
        host.hang()
    host.recover()
    assert host.guests["one"].state is State.SHUTDOWN


def test_what_waited_finds_what_is_there_then(clock, host):
    host.faults.add(FaultRule("pause", delay=Constant(10)))
    asked = Asked(clock, host.change, "one", "pause")
    host.destroy("one")
    clock.advance(10)
    assert isinstance(asked.end(), GuestNotFound)
    (event,) = host.journal.events(operation="pause")
    assert event.outcome == "GuestNotFound"


def test_a_delayed_operation_finds_its_host_down(clock, host):
    host.faults.add(FaultRule("spawn", flavor="slow", delay=Constant(10)))
    asked = Asked(clock, host.spawn, spec("two", "slow"))
    host.crash()
    clock.advance(10)
    assert isinstance(asked.end(), HostDown)
    assert "two" not in host.guests


class Plugging(contextlib.AbstractContextManager):
    """Hangs the host while interfaces are being plugged."""

    def __init__(self, host):
        self._host = host

    def __exit__(self, *raised):
        self._host.hang(20)


@pytest.fixture
def nics():
    return {"vif": Nic({"id": "vif", "address": "fa:16:3e:00:00:01"})}


def test_a_spawn_under_way_stops_at_its_next_step(clock, host, nics):
    asked = Asked(clock, host.spawn, spec("two"), nics, plugging=Plugging(host))
    clock.advance(20)
    assert isinstance(asked.end(), HostHangs)
    assert list(host.guests) == ["one"]
    assert host.capacity.used.vcpus == 1


def test_a_boot_under_way_goes_on_when_the_host_does(clock, host, nics):
    host.change("one", "power_off")
    asked = Asked(clock, host.boot, "one", "power_on", nics, plugging=Plugging(host))
    assert host.guests["one"].state is State.SHUTDOWN
    host.recover()
    assert asked.end().state is State.RUNNING


def test_a_rule_strikes_once_the_host_answers(clock, host):
    host.faults.add(FaultRule("pause"))
    host.hang()
    asked = Asked(clock, host.change, "one", "pause")
    assert host.faults.standing[0].seen == 0
    host.recover()
    assert isinstance(asked.end(), InjectedFault)


@pytest.mark.parametrize("deadline_s", [0, -1, float("inf"), float("nan")])
def test_a_deadline_that_is_none_is_refused(host, deadline_s):
    with pytest.raises(InvalidInput, match="deadline_s"):
        host.hang(deadline_s)
    assert not host.silent
