import json
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nova_fakes.exceptions import InvalidInput, StateInUse
from nova_fakes.virt.vif.cleanup import cleanup
from nova_fakes.virt.vif.ledger import KINDS, Ledger, start_ticks


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "ledger.jsonl"


def facts(ledger):
    return [(e.kind, e.name, dict(e.attributes)) for e in ledger.entries()]


def test_survives_its_writer(path):
    with Ledger(path) as ledger:
        first = ledger.add("file", "/a", why="x")
        ledger.done(ledger.add("device", "tap1"))
        ledger.note(first, inode=7)
    with Ledger(path) as ledger:
        assert facts(ledger) == [("file", "/a", {"why": "x", "inode": 7})]
        assert ledger.add("file", "/b").number > first.number


def test_an_empty_ledger_leaves_no_file(path):
    with Ledger(path) as ledger:
        ledger.done(ledger.add("file", "/a"))
        assert path.exists()
    assert not path.exists()


def test_is_locked_while_open(path):
    with Ledger(path), pytest.raises(StateInUse, match="another process"):
        Ledger(path)
    Ledger(path).close()


def test_refuses_unknown_kinds_and_values(path):
    with Ledger(path) as ledger:
        with pytest.raises(InvalidInput, match="use one of"):
            ledger.add("planet", "mars")
        with pytest.raises(InvalidInput, match="JSON"):
            ledger.add("file", "/a", what=object())
        assert ledger.entries() == ()


def test_refuses_a_file_that_is_no_ledger(path):
    path.parent.mkdir()
    path.write_text("hello\n")
    with pytest.raises(InvalidInput, match="no ledger line"):
        Ledger(path)


def test_another_boots_kernel_objects_are_gone(path):
    with Ledger(path) as ledger:
        ledger.add("namespace", "/run/netns/x")
        ledger.add("file", "/a")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**line, "boot": "earlier"}) + "\n" for line in lines))
    with Ledger(path) as ledger:
        assert [e.kind for e in ledger.entries()] == ["file"]


def test_is_compacted_when_opened(path):
    with Ledger(path) as ledger:
        kept = ledger.add("file", "/kept")
        for number in range(50):
            ledger.done(ledger.add("file", f"/{number}"))
    with Ledger(path) as ledger:
        assert len(path.read_text().splitlines()) == 1
        assert [e.mark for e in ledger.entries()] == [kept.mark]
        with pytest.raises(StateInUse):
            Ledger(path)


def test_is_written_before_the_call_returns(path):
    """A process that kills itself right after `add` has its entry on disk."""
    program = (
        "import os, signal, sys; from nova_fakes.virt.vif.ledger import Ledger\n"
        "l = Ledger(sys.argv[1]); l.add('file', '/a'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", program, path], check=False).returncode == -9
    with Ledger(path) as ledger:
        assert facts(ledger) == [("file", "/a", {})]


STEPS = st.lists(st.tuples(st.sampled_from(["add", "note", "done"]), st.integers(0, 5)), max_size=25)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, cut=st.integers(0, 400))
def test_a_ledger_cut_anywhere_holds_a_state_that_was(tmp_path_factory, steps, cut):
    path = tmp_path_factory.mktemp("cut") / "ledger"
    ledger = Ledger(path)
    made, states = [], [[]]
    for step, which in steps:
        if step == "add":
            made.append(ledger.add(KINDS[which % len(KINDS)], f"thing {len(made)} ü"))
        elif made and step == "note":
            ledger.note(made[which % len(made)], seen=which)
        elif made:
            ledger.done(made[which % len(made)])
        states.append(facts(ledger))
    content = path.read_bytes()
    ledger.close()
    path.write_bytes(content[: max(0, len(content) - cut)])
    with Ledger(path) as again:
        assert facts(again) in states


def sleeper(environment=None):
    return subprocess.Popen(
        [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"],
        stdout=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
    )


def test_cleanup_ends_processes_by_id_and_by_mark(path):
    with Ledger(path) as ledger:
        by_id = ledger.add("process", "by id")
        one = sleeper()
        ledger.note(by_id, pid=one.pid, start_ticks=start_ticks(one.pid))
        by_mark = ledger.add("process", "by mark")
        two = sleeper(by_mark.environment)
        for process in (one, two):
            assert process.stdout.readline() == b"up\n"
        assert {e.name for e in cleanup(ledger).removed} == {"by id", "by mark"}
        assert (one.wait(), two.wait()) == (-15, -15)
        assert ledger.entries() == ()
    for process in (one, two):
        process.stdout.close()


def test_cleanup_kills_what_does_not_listen(path):
    program = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process, Ledger(path) as ledger:
        assert process.stdout.readline() == b"up\n"
        ledger.add("process", "deaf", pid=process.pid, start_ticks=start_ticks(process.pid))
        assert len(cleanup(ledger, grace_s=0.2).removed) == 1
        assert process.wait() == -9


def test_cleanup_spares_a_later_process_of_the_same_number(path):
    with sleeper() as process, Ledger(path) as ledger:
        assert process.stdout.readline() == b"up\n"
        ledger.add("process", "long gone", pid=process.pid, start_ticks=1)
        cleanup(ledger)
        assert process.poll() is None
        process.kill()


def test_cleanup_removes_files_that_are_still_ours(path, tmp_path):
    ours, theirs, tree = tmp_path / "ours", tmp_path / "theirs", tmp_path / "tree"
    ours.write_text("x")
    theirs.write_text("y")
    (tree / "deep").mkdir(parents=True)
    with Ledger(path) as ledger:
        ledger.add("file", str(ours), inode=ours.stat().st_ino)
        ledger.add("file", str(theirs), inode=theirs.stat().st_ino + 1)
        ledger.add("file", str(tree), directory=True)
        ledger.add("file", str(tmp_path / "never made"))
        ledger.add("socket", str(theirs))
        done = cleanup(ledger)
        assert not ours.exists()
        assert not tree.exists()
        assert theirs.read_text() == "y"
        assert sorted(reason for _, reason in done.kept) == [
            f"{theirs} is another file by now",
            f"{theirs} is no socket by now",
        ]
        assert len(ledger.entries()) == 2


def test_cleanup_spares_a_file_in_a_namespaces_place(path, tmp_path):
    precious, empty = tmp_path / "precious", tmp_path / "fake-x"
    precious.write_text("data")
    empty.touch()
    with Ledger(path) as ledger:
        ledger.add("namespace", str(precious))
        ledger.add("namespace", str(empty))
        done = cleanup(ledger)
        assert precious.read_text() == "data"
        assert not empty.exists()
        assert len(done.kept) == 1


def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("theirs")
    (tmp_path / "ledger").symlink_to(tmp_path / "precious")
    with pytest.raises(InvalidInput, match="symbolic link"):
        Ledger(tmp_path / "ledger")
    assert (tmp_path / "precious").read_text() == "theirs"


def test_a_link_in_the_place_of_its_next_file_is_not_followed(tmp_path):
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.add("file", "/somewhere")
    (tmp_path / "precious").write_text("theirs")
    (tmp_path / "ledger.new").symlink_to(tmp_path / "precious")
    with Ledger(tmp_path / "ledger") as ledger:
        assert [entry.name for entry in ledger.entries()] == ["/somewhere"]
    assert (tmp_path / "precious").read_text() == "theirs"


@pytest.fixture
def full_disk(monkeypatch):
    """Let there be room for half a line, from a call of it on."""
    write = os.write

    def fill():
        monkeypatch.setattr("nova_fakes.lines.os.write", lambda fd, data: write(fd, data[: len(data) // 2]))

    yield fill
    monkeypatch.undo()


def test_a_line_for_which_there_is_no_room_leaves_nothing(path, full_disk, monkeypatch):
    with Ledger(path) as ledger:
        ledger.add("file", "/a")
        full_disk()
        with pytest.raises(OSError, match="No space"):
            ledger.add("file", "/b")
        with pytest.raises(OSError, match="No space"), ledger.together():
            ledger.add("file", "/c")
        monkeypatch.undo()
        ledger.add("file", "/d")
        assert [entry.name for entry in ledger.entries()] == ["/a", "/d"]
    assert [entry.name for entry in Ledger.read(path)] == ["/a", "/d"]


def test_without_room_for_a_shorter_one_the_long_file_serves(path, full_disk):
    with Ledger(path) as ledger:
        for number in range(50):
            ledger.done(ledger.add("file", f"/{number}"))
        kept = ledger.add("file", "/kept")
    full_disk()
    with Ledger(path) as ledger:
        assert ledger.entries() == (kept,)
    assert Ledger.read(path) == (kept,)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_one_that_cannot_be_read_is_let_go(path):
    path.parent.mkdir()
    path.write_text("no ledger\n")
    for _ in range(2):
        with pytest.raises(InvalidInput, match="no ledger line"):
            Ledger(path)
