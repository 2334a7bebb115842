"""A process that is killed at any moment leaves what it told of, and nothing half done."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import fleet_state
import killed_worker
import pytest
from test_replay import again

from nova_fakes.clock import ManualClock
from nova_fakes.virt.journal import Journal

WORKER = Path(killed_worker.__file__)


def run_and_kill(path, seed, between):
    """Return how many operations a worker told of before it was killed.

    :param between: whether that happens between two transactions, or at any moment
    """
    chance = random.Random(seed)
    last, wanted = (chance.randint(3, 900), sys.maxsize) if between else (0, chance.randint(1, 600))
    told = 0
    with subprocess.Popen([sys.executable, WORKER, path, str(seed), str(last)], stdout=subprocess.PIPE) as worker:
        while told < wanted and (got := worker.stdout.read1(min(wanted - told, 4096))):
            told += len(got)
        worker.kill()
        told += len(worker.stdout.read())
    assert worker.returncode == -signal.SIGKILL
    return told


class SeenJournal(Journal):
    """Remembers what would be found again after each transaction."""

    def __init__(self, path):
        super().__init__(path)
        self.seen = []

    def found(self):
        with closing(sqlite3.connect(self.path)) as reader:
            return [sorted(reader.execute(f"SELECT * FROM {table}")) for table in ("hosts", "guests", "images")]

    def note(self, event, writes=()):
        super().note(event, writes)
        self.seen.append(self.found())


@pytest.mark.parametrize("seed", range(10))
def test_no_transaction_leaves_an_operation_half_done(tmp_path, seed):
    journal = SeenJournal(tmp_path / "journal")
    story = killed_worker.Story(killed_worker.make_fleet(journal), seed)
    for _ in range(300):
        journal.seen = [journal.found()]
        story.step()
        assert all(one in (journal.seen[0], journal.seen[-1]) for one in journal.seen)
    journal.close()


def check_what_is_left(path, seed, between):
    told = run_and_kill(path, seed, between)
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


@pytest.mark.parametrize("between", [True, False])
@pytest.mark.parametrize("seed", range(15))
def test_nothing_is_lost_and_nothing_is_half_done(tmp_path, seed, between):
    check_what_is_left(tmp_path / "journal", seed, between)


@pytest.mark.parametrize("seed", [3, 1000])
def test_the_same_happens_in_every_process(tmp_path, seed):
    written = []
    for number in (1, 2, 3):
        path, environment = tmp_path / str(number), {**os.environ, "PYTHONHASHSEED": str(number)}
        subprocess.run([sys.executable, WORKER, path, str(seed), "900"], stdout=subprocess.DEVNULL, env=environment)
        with closing(Journal(path, keep=1_000_000)) as journal:
            written.append([event.to_json() for event in journal.events()])
    assert len(written[0]) == 900
    assert written[0] == written[1] == written[2]


@pytest.mark.slow
@pytest.mark.parametrize("between", [True, False])
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_nothing_is_lost_however_often(tmp_path, seed, between):
    check_what_is_left(tmp_path / "journal", seed, between)
