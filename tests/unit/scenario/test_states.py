"""Demos' state directories: held while the demo lives, found again after it was killed, left alone when kept."""

import fcntl
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from nova_fakes.exceptions import NotRunning, StateInUse
from nova_fakes.scenario.sandboxes import Sandboxes
from nova_fakes.scenario.states import TemporaryState, demos_directory, reclaim_abandoned


class Recorder(Sandboxes):
    def __init__(self, home: Path, *, running: bool = False, starting: bool = False) -> None:
        self.home, self.running, self.starting = home, running, starting
        self.acts: list[tuple[str, Path]] = []

    def default_state(self) -> Path:
        return self.home / "nova-fakes"

    def client(self, state):
        def down():
            if not self.running:
                raise NotRunning("no")
            self.acts.append(("down", state))

        return SimpleNamespace(down=down)

    def cleanup(self, state):
        if self.starting:
            raise StateInUse("its daemon starts")
        self.acts.append(("cleanup", state))
        return []


@pytest.fixture
def demos(tmp_path):
    return demos_directory(tmp_path / "nova-fakes")


def kill(state: TemporaryState) -> None:
    """Do to the lock what the end of its process does."""
    os.close(state._lock)


def test_directory_is_private_and_goes_with_its_lock(demos):
    state = TemporaryState(demos)
    assert state.path.parent == demos
    assert state.path.stat().st_mode & 0o077 == 0
    (state.path / "file").write_text("")
    state.remove()
    assert not demos.exists()


def test_removing_twice_is_no_error(demos):
    state = TemporaryState(demos)
    state.remove()
    state.remove()


def test_living_demo_is_left_alone(demos, tmp_path):
    state = TemporaryState(demos)
    sandboxes = Recorder(tmp_path)
    assert reclaim_abandoned(sandboxes) == []
    assert sandboxes.acts == []
    assert state.path.is_dir()
    state.remove()


@pytest.mark.parametrize("running", [True, False])
def test_killed_demo_is_stopped_cleaned_and_removed(demos, tmp_path, running):
    state = TemporaryState(demos)
    (state.path / "databases").mkdir()
    kill(state)
    sandboxes = Recorder(tmp_path, running=running)
    assert reclaim_abandoned(sandboxes) == [state.path]
    assert sandboxes.acts == [("down", state.path)] * running + [("cleanup", state.path)]
    assert not demos.exists()


def test_killed_demo_whose_daemon_still_starts_waits_for_the_next_time(demos, tmp_path):
    state = TemporaryState(demos)
    kill(state)
    assert reclaim_abandoned(Recorder(tmp_path, starting=True)) == []
    assert state.path.is_dir()
    assert reclaim_abandoned(Recorder(tmp_path)) == [state.path]


def test_demo_killed_before_its_directory_was_made(demos, tmp_path):
    state = TemporaryState(demos)
    state.path.rmdir()
    kill(state)
    assert reclaim_abandoned(Recorder(tmp_path)) == []
    assert not demos.exists()


def test_kept_demo_is_nobody_elses(demos, tmp_path):
    state = TemporaryState(demos)
    state.release()
    sandboxes = Recorder(tmp_path)
    assert reclaim_abandoned(sandboxes) == []
    assert state.path.is_dir()


def test_directories_without_a_lock_are_not_touched(demos, tmp_path):
    demos.mkdir()
    (demos / "mine").mkdir()
    reclaim_abandoned(Recorder(tmp_path))
    assert (demos / "mine").is_dir()


def test_lock_is_held_against_others(demos):
    state = TemporaryState(demos)
    with state.path.with_name(state.path.name + ".lock").open() as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    state.remove()
