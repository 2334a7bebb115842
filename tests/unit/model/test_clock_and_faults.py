import threading

import pytest

from nova_fakes.clock import ManualClock, SystemClock
from nova_fakes.delays import Constant, Uniform
from nova_fakes.exceptions import InjectedFault, InsufficientCapacity, InvalidInput
from nova_fakes.faults import FaultRule, Faults
from nova_fakes.virt.guest import GuestSpec


def guest(name="web-1", uuid="uuid-1", flavor="m1.tiny", display_name=None):
    return GuestSpec(uuid, name, vcpus=1, memory_mb=64, root_gb=0, flavor=flavor, display_name=display_name)


def struck(faults, count, operation="spawn", host="a", guest=None):
    found = []
    for _ in range(count):
        try:
            faults.check(operation, host, guest)
            found.append(False)
        except InjectedFault:
            found.append(True)
    return found


def test_a_manual_clock_stands_still_until_it_is_moved():
    clock = ManualClock(100.0)
    woken = threading.Event()
    thread = threading.Thread(target=lambda: (clock.sleep(60), woken.set()))
    thread.start()
    assert clock.wait_for_sleepers()
    clock.advance(59)
    assert not woken.is_set()
    clock.advance(1)
    thread.join(10)
    assert woken.is_set()
    assert clock.now() == 160.0
    with pytest.raises(ValueError, match="cannot advance"):
        clock.advance(-1)


@pytest.mark.parametrize("clock", [ManualClock(), SystemClock()])
def test_an_alarm_wakes_its_waiter(clock):
    alarm = clock.alarm()
    found = []
    thread = threading.Thread(target=lambda: found.append(alarm.wait(3600)))
    thread.start()
    alarm.set()
    thread.join(10)
    assert found == [True]
    alarm.clear()
    assert not alarm.is_set()


def test_the_system_clock_never_runs_backwards():
    clock = SystemClock()
    readings = [clock.now() for _ in range(1000)]
    assert readings == sorted(readings)


def test_after_and_times():
    faults = Faults(ManualClock())
    faults.add(FaultRule("spawn", after=2, times=1))
    assert struck(faults, 5) == [False, False, True, False, False]


def test_chance_is_repeatable():
    def run():
        faults = Faults(ManualClock(), seed=7)
        faults.add(FaultRule("spawn", probability=0.5))
        return struck(faults, 50)

    assert run() == run()
    assert {True, False} == set(run())


def test_rules_find_their_operation_host_and_guest():
    faults = Faults(ManualClock())
    rule = faults.add(FaultRule("sp*", host="compute-*", guest="web-?"))
    assert struck(faults, 1, host="compute-1", guest=guest("web-1")) == [True]
    assert struck(faults, 1, host="compute-1", guest=guest("instance-1", display_name="web-2")) == [True]
    assert struck(faults, 1, host="compute-1", guest=guest("instance-1", uuid="web-3")) == [True]
    assert struck(faults, 1, host="compute-1", guest=guest("db-1")) == [False]
    assert struck(faults, 1, host="compute-1") == [False]
    assert struck(faults, 1, host="other", guest=guest("web-1")) == [False]
    assert struck(faults, 1, "pause", host="compute-1", guest=guest("web-1")) == [False]
    faults.remove(rule)
    assert not faults.active
    with pytest.raises(InvalidInput):
        faults.remove(rule)


def test_rules_find_their_flavor():
    faults = Faults(ManualClock())
    faults.add(FaultRule("*", flavor="gpu.*", guest="web-*"))
    assert struck(faults, 1, guest=guest(flavor="gpu.large")) == [True]
    assert struck(faults, 1, guest=guest(name="db", flavor="gpu.large")) == [False]
    for flavor in ("m1.tiny", None):
        assert struck(faults, 1, guest=guest(flavor=flavor)) == [False]
    assert struck(faults, 1, "list") == [False]


def test_a_rule_that_comes_later_is_found_on_a_host_that_is_known():
    faults = Faults(ManualClock())
    other = faults.add(FaultRule("spawn", host="b"))
    assert struck(faults, 1, host="a") == [False]
    faults.add(FaultRule("spawn", host="[a]"))
    assert struck(faults, 1, host="a") == [True]
    faults.remove(other)
    assert struck(faults, 1, host="b") == [False]
    assert [(one.seen, one.struck) for one in faults.standing] == [(1, 1)]


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("OSError: no such kernel", OSError, "no such kernel"),
        ("OSError", OSError, "OSError, as a fault rule says"),
        ("InsufficientCapacity: full: quite", InsufficientCapacity, "full: quite"),
        ("no room: today", InjectedFault, "no room: today"),
        ("SystemExit: no", InjectedFault, "SystemExit: no"),
        ("InvalidInput: not made of a text", InjectedFault, "InvalidInput: not made of a text"),
    ],
)
def test_errors_by_their_name(text, kind, message):
    faults = Faults(ManualClock())
    faults.add(FaultRule("spawn", error=text))
    with pytest.raises(kind) as caught:
        faults.check("spawn", "a")
    assert type(caught.value) is kind
    assert str(caught.value) == message


def test_an_adapter_knows_more_errors():
    faults = Faults(ManualClock())
    faults.make_error = lambda name, message: KeyError(message) if name == "Gone" else None
    faults.add(FaultRule("spawn", error="Gone: away", times=1))
    faults.add(FaultRule("spawn", error="Lost: away"))
    with pytest.raises(KeyError, match="away"):
        faults.check("spawn", "a")
    with pytest.raises(InjectedFault, match="Lost: away"):
        faults.check("spawn", "a")


class SumClock(ManualClock):
    """Passes time by itself."""

    def sleep(self, duration_s):
        self.advance(duration_s)


def test_delays_are_drawn_anew_each_time_by_the_seed():
    def run(seed):
        clock = SumClock(0.0)
        faults = Faults(clock, seed)
        faults.add(FaultRule("spawn", delay=Uniform(1, 2)))
        faults.add(FaultRule("spawn", host="a", delay=Constant(10)))
        found = []
        for _ in range(20):
            before = clock.now()
            faults.check("spawn", "a")
            found.append(clock.now() - before)
        return found

    assert run(3) == run(3)
    assert run(3) != run(4)
    assert len(set(run(3))) == 20
    assert all(11 <= delay_s <= 12 for delay_s in run(3))


def test_chance_begins_anew():
    faults = Faults(ManualClock(), seed=1)
    faults.add(FaultRule("spawn", probability=0.5))
    first = struck(faults, 50)
    assert struck(faults, 50) != first
    faults.reseed(1)
    assert struck(faults, 50) == first


def test_a_delay_passes_by_the_clock():
    clock = ManualClock()
    faults = Faults(clock)
    faults.add(FaultRule("spawn", delay=Constant(30)))
    thread = threading.Thread(target=lambda: faults.check("spawn", "a"))
    thread.start()
    assert clock.wait_for_sleepers()
    clock.advance(30)
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("field", [{"probability": 2}, {"after": -1}, {"times": 0}, {"delay": 0.5}])
def test_rules_that_make_no_sense_are_refused(field):
    with pytest.raises(InvalidInput, match=next(iter(field))):
        FaultRule("spawn", **field)


def test_a_rule_strikes_each_guest_so_often_and_makes_its_error_of_it() -> None:
    faults = Faults(ManualClock())
    faults.add(FaultRule("spawn", times_per_guest=2, error=lambda uuid: KeyError(uuid)))
    for uuid in ("one", "two"):
        for _ in range(2):
            with pytest.raises(KeyError, match=uuid):
                faults.check("spawn", "host", guest(uuid=uuid))
        faults.check("spawn", "host", guest(uuid=uuid))
    with pytest.raises(InvalidInput, match="times_per_guest"):
        FaultRule("spawn", times_per_guest=0)
