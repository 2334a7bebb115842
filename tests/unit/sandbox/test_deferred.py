"""Modules that are imported when they are first used."""

import subprocess
import sys

import pytest


@pytest.fixture
def run(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "package" / "late.py").write_text("print('loaded')\nnumber = 7\n")

    def run(program):
        begin = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from nova_fakes.sandbox.deferred import defer"
        argv = [sys.executable, "-c", f"{begin}\n{program}"]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()

    return run


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("from package import late; print('later')", ["later"]),
        ("import package.late; print('later')", ["later"]),
        ("from package import late; print('later'); print(late.number, late.number)", ["later", "loaded", "7", "7"]),
        ("import package.late as late; late.number; print(package.late.number)", ["loaded", "7"]),
        ("from package.late import number; print(number)", ["loaded", "7"]),
        (
            "from package import late; late.number; from package import late; print(type(late))",
            ["loaded", "<class", "'module'>"],
        ),
        ("from package import late\ntry: late.nothing\nexcept AttributeError: print('none')", ["loaded", "none"]),
    ],
)
def test_it_is_imported_when_it_is_used(run, program, says):
    assert run(f"import package; defer(['package.late'])\n{program}") == says


def test_what_is_imported_already_stays(run):
    assert run("from package import late; defer(['package.late']); print(sys.modules['package.late'] is late)") == [
        "loaded",
        "True",
    ]


def test_two_threads_get_the_same(run):
    program = (
        "import threading; defer(['package.late']); from package import late; found = []\n"
        "threads = [threading.Thread(target=lambda: found.append(late.number)) for _ in range(20)]\n"
        "[one.start() for one in threads]; [one.join() for one in threads]; print(found == [7] * 20)"
    )
    assert run(program) == ["loaded", "True"]


def test_nova_and_placement_come_up_without_them(run):
    program = (
        "from nova_fakes.sandbox import deferred; defer(); "
        "import nova_fakes.sandbox.fakes, nova_fakes.sandbox.nova_services, placement.wsgi\n"
        "print('alembic' in sys.modules)\n"
        "print(*(name for name in deferred.SELDOM_NEEDED if type(sys.modules[name]) is not deferred._Deferred))"
    )
    assert run(program) == ["False"]
