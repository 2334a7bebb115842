"""Directories that live as long as their process, and are found again after it was killed."""

import fcntl
import gc
import os
import subprocess
import sys

import pytest

from nova_fakes.exceptions import StateInUse
from nova_fakes.temporary import TemporaryDirectory, home, reclaim


@pytest.fixture(autouse=True)
def base(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def parent(base):
    return base / "ours"


def kill(made):
    """Do to the lock what the end of its process does."""
    os.close(made._lock)
    made._lock = -1


def test_it_is_private_and_goes_with_its_lock(parent):
    made = TemporaryDirectory(parent)
    assert made.path.parent == parent
    assert made.path.stat().st_mode & 0o077 == parent.stat().st_mode & 0o077 == 0
    (made.path / "file").write_text("")
    made.remove()
    assert not parent.exists()
    made.remove()


def test_as_a_context(parent):
    with TemporaryDirectory(parent) as path:
        assert path.is_dir()
    assert not parent.exists()


def test_others_of_its_kind_stay(parent):
    first, second = TemporaryDirectory(parent), TemporaryDirectory(parent)
    first.remove()
    assert second.path.is_dir()
    assert list(reclaim(parent)) == []
    second.remove()
    assert not parent.exists()


def test_the_lock_is_held_against_others(parent):
    made = TemporaryDirectory(parent)
    with made.path.with_name(made.path.name + ".lock").open() as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    made.remove()


def test_what_was_killed_is_cleared_and_removed(parent):
    made = TemporaryDirectory(parent)
    (made.path / "file").write_text("")
    kill(made)
    cleared = []
    assert list(reclaim(parent, cleared.append)) == cleared == [made.path]
    assert not parent.exists()


def test_what_cannot_be_cleared_yet_waits(parent):
    made = TemporaryDirectory(parent)
    kill(made)

    def clear(path):
        raise StateInUse("it comes up")

    assert list(reclaim(parent, clear)) == []
    assert made.path.is_dir()
    assert list(reclaim(parent)) == [made.path]


def test_what_cannot_be_cleared_at_all_is_told(parent):
    made = TemporaryDirectory(parent)
    kill(made)

    def clear(path):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        list(reclaim(parent, clear))
    assert list(reclaim(parent)) == [made.path]


def test_what_was_made_in_other_namespaces_is_not_cleared_from_here(parent):
    made = TemporaryDirectory(parent)
    made._lock_path.write_text("net:[1] mnt:[2] pid:[3]")
    kill(made)
    assert list(reclaim(parent, pytest.fail)) == []
    assert list(reclaim(parent)) == [made.path]


def test_what_has_no_lock_is_not_ours(parent):
    parent.mkdir()
    (parent / "mine").mkdir()
    assert list(reclaim(parent)) == []
    assert (parent / "mine").is_dir()


def test_what_is_kept_is_nobodys(parent):
    made = TemporaryDirectory(parent)
    made.release()
    assert list(reclaim(parent)) == []
    assert made.path.is_dir()


@pytest.mark.parametrize("spoil", ["file", "link", "open", "foreign"])
def test_what_somebody_else_has_under_the_name_is_passed_over(base, spoil, monkeypatch):
    usual = home("images")
    if spoil == "file":
        usual.write_text("")
    elif spoil == "link":
        (base / "elsewhere").mkdir(mode=0o700)
        usual.symlink_to(base / "elsewhere")
    elif spoil == "open":
        usual.mkdir()
        usual.chmod(0o755)
    else:
        usual.mkdir(mode=0o700)
        os.chown(usual, 12345, -1) if os.geteuid() == 0 else pytest.skip("needs root, to give a directory away")
    with TemporaryDirectory.of_kind("images") as path:
        assert path.parent == usual.with_name(usual.name + "-1")
    assert usual.exists()


def test_one_of_a_kind_goes_with_its_object(base):
    TemporaryDirectory.of_kind("images")
    gc.collect()
    assert list(base.iterdir()) == []


@pytest.mark.parametrize(("end", "left"), [("pass", 0), ("raise SystemExit(3)", 0), ("os.kill(os.getpid(), 9)", 1)])
def test_one_of_a_kind_goes_with_its_process_or_the_next(base, end, left):
    program = (
        "import os; from nova_fakes.temporary import TemporaryDirectory; made = TemporaryDirectory.of_kind('images')\n"
        f"(made.path / 'file').touch(); print(made.path)\n{end}"
    )
    environment = {**os.environ, "TMPDIR": str(base), "PYTHONUNBUFFERED": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert os.path.exists(done.stdout.strip()) == bool(left), done.stderr
    TemporaryDirectory.of_kind("images").remove()
    assert list(base.iterdir()) == []
