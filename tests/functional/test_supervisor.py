"""Programs that are kept running: later each time, and not for ever."""

import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import wait_for

from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import SandboxError
from nova_fakes.sandbox.supervisor import Supervised, require_running
from nova_fakes.virt.vif.ledger import Ledger

#: Ends at once, unless the file that it is given is there.
PROGRAM = "import pathlib, sys, time; print('no', flush=True); pathlib.Path(sys.argv[1]).exists() and time.sleep(600)"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def works(tmp_path: Path) -> Path:
    return tmp_path / "works"


@pytest.fixture
def program(tmp_path: Path, clock: ManualClock, works: Path) -> Iterator[Supervised]:
    with Ledger(tmp_path / "ledger") as ledger:
        made = Supervised(ledger, "one", [sys.executable, "-c", PROGRAM, str(works)], tmp_path / "log", clock=clock)
        yield made
        made.stop()
        assert ledger.entries() == ()


def die(program: Supervised, clock: ManualClock, pauses_s: list[float]) -> None:
    """Wait for a death before each of these pauses, and let them pass."""
    for pause_s in pauses_s:
        assert clock.wait_for_sleepers(patience_s=60)
        before = program.restarts
        clock.advance(pause_s * 0.9)
        assert program.restarts == before
        clock.advance(pause_s * 0.2)
        wait_for("another start", lambda before=before: program.restarts == before + 1)


def test_one_that_dies_again_and_again_is_left_alone_until_it_is_asked_for(
    program: Supervised, clock: ManualClock, works: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    die(program, clock, [0.5, 1.0, 2.0, 4.0, 8.0])
    wait_for("the end", lambda: program.given_up)
    assert (program.pid, program.restarts) == (None, 5)
    assert caplog.messages[-1] == (
        f"one ended with status 0, 6 times in a row, and is not started again: see {tmp_path / 'log'}"
    )
    with pytest.raises(SandboxError, match="one does not come up: no"):
        require_running(program, tmp_path / "log")

    works.touch()
    program.start()
    assert program.pid is not None
    assert not program.given_up


def test_a_death_after_a_long_life_is_the_first_again(program: Supervised, clock: ManualClock, works: Path) -> None:
    die(program, clock, [0.5, 1.0])
    assert clock.wait_for_sleepers(patience_s=60)  # it has died again; the next one works
    works.touch()
    die(program, clock, [2.0])
    wait_for("the program", lambda: program.pid is not None)
    clock.advance(60)
    assert program.pid is not None
    os.kill(program.pid, signal.SIGKILL)
    die(program, clock, [0.5])
