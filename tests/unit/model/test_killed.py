"""A process that is killed at any moment leaves what it told of, and nothing half done."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import fleet_state
import killed_worker
import pytest
from test_replay import again

from nova_fakes.clock import ManualClock
from nova_fakes.virt.journal import Journal

WORKER = Path(killed_worker.__file__)


def run_and_kill(path, seed):
    """Return how many operations a worker told of before it was killed."""
    wanted = random.Random(seed).randint(1, 600)
    told = 0
    with subprocess.Popen([sys.executable, WORKER, path, str(seed)], stdout=subprocess.PIPE) as worker:
        while told < wanted:
            got = worker.stdout.read1(wanted - told)
            assert got, "the worker ended by itself"
            told += len(got)
        worker.kill()
        told += len(worker.stdout.read())
    assert worker.returncode == -signal.SIGKILL
    return told


def check_what_is_left(path, seed):
    told = run_and_kill(path, seed)
    journal = Journal(path, keep=1_000_000)
    events = journal.events()
    written = [event.to_json() for event in events]
    fleet = killed_worker.make_fleet(journal, ManualClock(max(event.time for event in events)))
    fleet_state.check(fleet)

    model = killed_worker.make_fleet(Journal(keep=1_000_000))
    story = killed_worker.Story(model, seed)
    for _ in range(told):
        story.step()
    sure = len(model.journal.events())
    states = [fleet_state.kept(model)]
    story.step()
    states.append(fleet_state.kept(model))
    assert fleet_state.kept(fleet) in states, f"seed {seed}, after {told} operations"
    assert sure <= len(written)
    assert written == [event.to_json() for event in model.journal.events()][: len(written)]

    assert fleet_state.whole(again(fleet)) == fleet_state.whole(fleet)
    journal.close()


@pytest.mark.parametrize("seed", range(30))
def test_nothing_is_lost_and_nothing_is_half_done(tmp_path, seed):
    check_what_is_left(tmp_path / "journal", seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1400))
def test_nothing_is_lost_however_often(tmp_path, seed):
    check_what_is_left(tmp_path / "journal", seed)
