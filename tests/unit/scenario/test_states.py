"""Demos' state directories: held while the demo lives, found again after it was killed, left alone when kept."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from nova_fakes.exceptions import NotRunning, StateInUse
from nova_fakes.scenario.sandboxes import Sandboxes
from nova_fakes.scenario.states import demos_directory, reclaim_abandoned, reclaim_demos
from nova_fakes.temporary import TemporaryDirectory, home


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


def kill(state: TemporaryDirectory) -> None:
    """Do to the lock what the end of its process does."""
    os.close(state._lock)


def test_living_demo_is_left_alone(demos, tmp_path):
    state = TemporaryDirectory(demos)
    sandboxes = Recorder(tmp_path)
    assert reclaim_demos(sandboxes) == []
    assert sandboxes.acts == []
    assert state.path.is_dir()
    state.remove()


@pytest.mark.parametrize("running", [True, False])
def test_killed_demo_is_stopped_cleaned_and_removed(demos, tmp_path, running):
    state = TemporaryDirectory(demos)
    (state.path / "databases").mkdir()
    kill(state)
    sandboxes = Recorder(tmp_path, running=running)
    assert reclaim_demos(sandboxes) == [state.path]
    assert sandboxes.acts == [("down", state.path)] * running + [("cleanup", state.path)]
    assert not demos.exists()


def test_killed_demo_whose_daemon_still_starts_waits_for_the_next_time(demos, tmp_path):
    state = TemporaryDirectory(demos)
    kill(state)
    assert reclaim_demos(Recorder(tmp_path, starting=True)) == []
    assert state.path.is_dir()
    assert reclaim_demos(Recorder(tmp_path)) == [state.path]


def test_demo_killed_before_its_directory_was_made(demos, tmp_path):
    state = TemporaryDirectory(demos)
    state.path.rmdir()
    kill(state)
    assert reclaim_demos(Recorder(tmp_path)) == []
    assert not demos.exists()


def test_kept_demo_is_nobody_elses(demos, tmp_path):
    state = TemporaryDirectory(demos)
    state.release()
    sandboxes = Recorder(tmp_path)
    assert reclaim_demos(sandboxes) == []
    assert state.path.is_dir()


def test_all_that_was_killed_is_found_by_its_kind(demos, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = {"demo": TemporaryDirectory(demos), "fixtures": TemporaryDirectory(home("fixtures"))}
    living = TemporaryDirectory(home("images"))
    for one in made.values():
        kill(one)
    sandboxes = Recorder(tmp_path)
    found = reclaim_abandoned(sandboxes)
    assert {kind: paths for kind, paths in found.items() if paths} == {kind: [one.path] for kind, one in made.items()}
    assert sandboxes.acts == [("cleanup", one.path) for one in made.values()]
    living.remove()
