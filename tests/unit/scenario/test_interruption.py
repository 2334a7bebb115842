import os
import signal

import pytest

from nova_fakes.clock import SystemClock
from nova_fakes.scenario.interruption import Interruption
from nova_fakes.scenario.steps import Outcome, Step, run_steps

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


class Quiet:
    def started(self, title):
        """Say nothing."""

    def finished(self, result):
        """Say nothing."""


class Strikes(Quiet):
    """Has the signal come between two steps."""

    def __init__(self, number):
        self.number = number

    def finished(self, result):
        if result.key == "first":
            os.kill(os.getpid(), self.number)


def steps(first, ran):
    return [
        Step("first", "First", first),
        Step("second", "Second", lambda context: ran.append("second") or "done"),
        Step("tidy", "Tidy up", lambda context: ran.append("tidy") or "done", always=True),
    ]


def outcomes(results):
    return [result.outcome for result in results]


@pytest.mark.parametrize("number", SIGNALS)
def test_stops_the_step_that_runs(number):
    ran = []

    def first(context):
        os.kill(os.getpid(), number)
        ran.append("not reached")

    with Interruption() as interruption:
        results = run_steps(steps(first, ran), None, SystemClock(), Quiet(), interruption)
    assert interruption.asked
    assert outcomes(results) == [Outcome.FAILED, Outcome.SKIPPED, Outcome.OK]
    assert ran == ["tidy"]


@pytest.mark.parametrize("number", SIGNALS)
def test_between_two_steps_waits_for_the_next(number):
    ran = []
    with Interruption() as interruption:
        results = run_steps(steps(lambda context: "done", ran), None, SystemClock(), Strikes(number), interruption)
    assert interruption.asked
    assert outcomes(results) == [Outcome.OK, Outcome.SKIPPED, Outcome.OK]
    assert ran == ["tidy"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_where_it_is_swallowed_the_rest_is_skipped_all_the_same():
    ran = []

    class Swallows:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGINT)

    def first(context):
        swallower = Swallows()
        del swallower
        return "done"

    with Interruption() as interruption:
        results = run_steps(steps(first, ran), None, SystemClock(), Quiet(), interruption)
    assert outcomes(results)[1:] == [Outcome.SKIPPED, Outcome.OK]
    assert ran == ["tidy"]


def test_tidying_up_can_be_stopped_too():
    def tidy(context):
        os.kill(os.getpid(), signal.SIGTERM)

    with Interruption() as interruption:
        (result,) = run_steps([Step("tidy", "Tidy", tidy, always=True)], None, SystemClock(), Quiet(), interruption)
    assert result.outcome is Outcome.FAILED


def test_gives_the_signals_back():
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interruption():
        assert all(signal.getsignal(number) not in before for number in SIGNALS)
    assert [signal.getsignal(number) for number in SIGNALS] == before
