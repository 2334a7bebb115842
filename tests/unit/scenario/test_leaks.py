"""The leak check finds what is still there, and only that."""

import os
import subprocess
import sys

import pytest

from nova_fakes.scenario.leaks import Footprint, processes_naming, processes_of
from nova_fakes.virt.vif.ledger import Ledger, start_ticks


def footprint(state, **changes):
    empty = {"namespaces": (), "devices": (), "processes": (), "files": (), "ledger": ()}
    return Footprint(state, **{kind: frozenset(found) for kind, found in {**empty, **changes}.items()})


@pytest.fixture
def child():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.communicate()


def test_nothing_left(tmp_path):
    leaks = footprint(tmp_path / "gone", devices=["no-such-device0"], files=[str(tmp_path / "f")]).left(
        state_stays=False
    )
    assert leaks.left == ()
    assert leaks.made["devices"] == 1


def test_device(tmp_path):
    # Every network namespace has a loopback device.
    assert footprint(tmp_path / "gone", devices=["lo"]).left(state_stays=False).left == ("device lo",)


def test_process(tmp_path, child):
    ticks = start_ticks(child.pid)
    found = footprint(tmp_path / "gone", processes=[(child.pid, ticks)])
    assert found.left(state_stays=False).left == (f"process {child.pid}",)
    # The same number, given to a later process, is not ours.
    assert footprint(tmp_path / "gone", processes=[(child.pid, ticks - 1)]).left(state_stays=False).left == ()
    child.communicate()
    assert found.left(state_stays=False).left == ()


def test_children_belong_to_the_footprint(child):
    ours = processes_of(os.getpid())
    assert (os.getpid(), start_ticks(os.getpid())) in ours
    assert (child.pid, start_ticks(child.pid)) in ours
    assert 1 not in {pid for pid, _ in ours} - {os.getpid()}


def test_process_that_the_footprint_missed(tmp_path):
    state = tmp_path / "state"
    program = "print(flush=True); input()"
    argv = [sys.executable, "-c", program, str(state)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()  # it is the program now that it is asked for
        assert processes_naming(state) == [process.pid]
        (left,) = footprint(state).left(state_stays=False).left
        assert left.startswith(f"process {process.pid}")
    finally:
        process.communicate()
    assert processes_naming(state) == []


def test_files(tmp_path):
    path = tmp_path / "socket"
    path.write_text("")
    assert footprint(tmp_path / "gone", files=[str(path)]).left(state_stays=False).left == (f"file {path}",)


def test_state_directory(tmp_path):
    assert footprint(tmp_path).left(state_stays=False).left == (f"file {tmp_path}",)
    assert footprint(tmp_path).left(state_stays=True).left == ()


def test_mount_point_that_stays(tmp_path):
    point = tmp_path / "fake-1"
    point.write_text("")
    assert footprint(tmp_path / "gone", namespaces=[str(point)]).left(state_stays=False).left == (f"namespace {point}",)


def test_ledger_that_is_not_empty(tmp_path):
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.add("namespace", "/run/netns/fake-1")
    assert footprint(tmp_path).left(state_stays=True).left == ("ledger entry namespace /run/netns/fake-1",)
