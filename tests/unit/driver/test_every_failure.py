"""Whatever fails, at whichever call: everything is as before, and the operation can be done again."""

import contextlib
import tempfile

import pytest
from driver_kit import configured
from failure_kit import SCENARIOS, Stage, timeless


@contextlib.contextmanager
def staged(scenario, path):
    before, atoms, setting = SCENARIOS[scenario]
    stage = Stage(path, **setting)
    try:
        for atom in before:
            atom(stage)
        yield stage, atoms
    finally:
        stage.close()


def calls(scenario, kind):
    """Carry the scenario out without a failure; return the calls of that kind that each of its atoms makes."""
    with tempfile.TemporaryDirectory() as directory, configured(directory):
        path = f"{directory}/journal" if kind == "journal" else None
        with staged(scenario, path) as (stage, atoms):
            heard = []
            for atom in atoms:
                stage.probes[kind].listen()
                atom(stage)
                heard.append(list(stage.probes[kind].heard))
            return heard


#: What is told of when nobody can undo it any more: that it cannot be written is logged.
PAST = {"insert live_migration_end"}


def failures():
    """Yield every call that can fail: scenario, index of its atom, kind, index of the call, with a journal or not."""
    for scenario, (_, atoms, _) in SCENARIOS.items():
        for kind in ("fault", "realizer", "journal"):
            for index, heard in enumerate(calls(scenario, kind)):
                for number, call in enumerate(heard):
                    if call in PAST:
                        continue
                    name = f"{scenario}-{atoms[index].__name__}-{kind}-{number}-{call}".replace(" ", "_")
                    if kind != "journal":
                        yield pytest.param(scenario, index, kind, number, False, id=name)
                    yield pytest.param(scenario, index, kind, number, True, id=f"{name}-kept")


def finished(stage):
    """Return the state at the end of a scenario; rows of the journal are in it already, as what they stand for."""
    return timeless({name: state for name, state in stage.state().items() if name != "rows"})


@pytest.fixture
def path(kept, tmp_path):
    return tmp_path / "journal" if kept else None


def pytest_generate_tests(metafunc):
    if "number" in metafunc.fixturenames:
        metafunc.parametrize(("scenario", "index", "kind", "number", "kept"), list(failures()))


def test_a_failure_anywhere_changes_nothing(scenario, index, kind, number, kept, path):
    with staged(scenario, path) as (stage, atoms):
        for atom in atoms[:index]:
            atom(stage)
        before, size = stage.state(), stage.instance.flavor
        stage.probes[kind].listen(number)
        with pytest.raises(Exception):  # noqa: B017, PT011 - which one is the business of other tests
            atoms[index](stage)
        stage.probes[kind].listen()
        stage.instance.flavor = size
        assert stage.state() == before
        if kept:
            assert stage.found_again() == stage.kept()
        for atom in atoms[index:]:
            atom(stage)
        ended = finished(stage)
    with staged(scenario, None) as (stage, atoms):
        for atom in atoms:
            atom(stage)
        assert ended == finished(stage)


@pytest.mark.parametrize("scenario", ["live migration", "forced live migration", "live migration between processes"])
def test_an_end_that_cannot_be_told_of_is_one_all_the_same(scenario, tmp_path, caplog):
    heard = calls(scenario, "journal")
    (index,) = [number for number, atom in enumerate(heard) if PAST.intersection(atom)]
    with staged(scenario, tmp_path / "journal") as (stage, atoms):
        for number, atom in enumerate(atoms):
            (call,) = [at for at, call in enumerate(heard[index]) if call in PAST]
            stage.probes["journal"].listen(call if number == index else None)
            atom(stage)
        assert stage.hosts["a"].migrations == {}
        ended = finished(stage)
    assert "live_migration_end of guest" in caplog.text
    with staged(scenario, None) as (stage, atoms):
        for atom in atoms:
            atom(stage)
        assert ended == finished(stage)


def test_the_steps_of_every_operation_are_heard_of():
    heard = {call.split("@")[0] for scenario in SCENARIOS for atom in calls(scenario, "fault") for call in atom}
    assert heard >= {"spawn.plug", "spawn.start", "switch_over", "finish_migration.start", "finish_revert_migration"}
