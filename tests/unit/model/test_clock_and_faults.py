import threading

import pytest

from nova_fakes.clock import ManualClock, SystemClock
from nova_fakes.exceptions import InjectedFault, InvalidInput
from nova_fakes.faults import FaultRule, Faults


def struck(faults, count, operation="spawn", host="a", **guest):
    found = []
    for _ in range(count):
        try:
            faults.check(operation, host, **guest)
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
    assert struck(faults, 1, host="compute-1", name="web-1") == [True]
    assert struck(faults, 1, host="compute-1", name="db-1") == [False]
    assert struck(faults, 1, host="other", name="web-1") == [False]
    assert struck(faults, 1, "pause", host="compute-1", name="web-1") == [False]
    faults.remove(rule)
    assert not faults.active
    with pytest.raises(InvalidInput):
        faults.remove(rule)


def test_a_delay_passes_by_the_clock():
    clock = ManualClock()
    faults = Faults(clock)
    faults.add(FaultRule("spawn", delay_s=30))
    thread = threading.Thread(target=lambda: faults.check("spawn", "a"))
    thread.start()
    assert clock.wait_for_sleepers()
    clock.advance(30)
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("field", [{"probability": 2}, {"after": -1}, {"times": 0}, {"delay_s": -1}])
def test_rules_that_make_no_sense_are_refused(field):
    with pytest.raises(InvalidInput, match=next(iter(field))):
        FaultRule("spawn", **field)


def test_a_rule_strikes_each_guest_so_often_and_makes_its_error_of_it() -> None:
    faults = Faults(ManualClock())
    faults.add(FaultRule("spawn", times_per_guest=2, error=lambda uuid: KeyError(uuid)))
    for uuid in ("one", "two"):
        for _ in range(2):
            with pytest.raises(KeyError, match=uuid):
                faults.check("spawn", "host", uuid)
        faults.check("spawn", "host", uuid)
    with pytest.raises(InvalidInput, match="times_per_guest"):
        FaultRule("spawn", times_per_guest=0)
