"""The demo as a user runs it: to its end, interrupted, and killed; nothing of it may stay."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import WAIT_S, wait_for

from nova_fakes.cmd import exits
from nova_fakes.scenario.leaks import mounted_namespaces, processes_naming

COMMAND = Path(sys.executable).with_name("nova-fakes")


class Home:
    """A directory in which a user of the command keeps everything."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.demos = path / "nova-fakes-demos"
        self.report = path / "report.html"
        self.results = path / "results.json"
        self._environment = {**os.environ, "XDG_STATE_HOME": str(path)}
        self._environment.pop("NOVA_FAKES_STATE", None)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(COMMAND), *arguments],
            cwd=self.path,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def demo(self, *arguments: str) -> subprocess.Popen[str]:
        return self.start("demo", "--json", str(self.results), *arguments)

    def run(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=WAIT_S)
        return process.returncode, output

    def outcomes(self) -> dict[str, str]:
        return {step["key"]: step["outcome"] for step in json.loads(self.results.read_text())["steps"]}


@pytest.fixture
def home() -> Iterator[Home]:
    # Not pytest's own: the path of a unix socket has to fit into it.
    path = Path(tempfile.mkdtemp(prefix="nova-fakes-demo-"))
    here = Home(path)
    yield here
    here.run("cleanup")
    shutil.rmtree(path)


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Return the demo's output up to the line with the text; fail if it ends before."""
    assert process.stdout is not None
    told = ""
    for line in process.stdout:
        told += line
        if text in line:
            return told
    pytest.fail(f"the demo ended before it told {text!r}:\n{told}")


def test_to_its_end(home: Home, realizer: str) -> None:
    before = set(mounted_namespaces(os.getpid()))
    process = home.demo("--realizer", realizer)
    output, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, output
    results = json.loads(home.results.read_text())
    assert results["ok"]
    judged = {"ok"} if realizer == "bridge" else {"ok", "not applicable"}
    assert set(home.outcomes().values()) == judged, output
    assert {server["host"] for server in results["servers"]} == {"compute-1", "compute-2"}
    if realizer == "bridge":
        assert len(results["mesh"]["pairs"]) == 2 * 4 * 3
        assert results["migration"]["echoes"]["received"] > 10
        assert results["leaks"]["made"]["namespaces"] >= 4
    assert "passed" in home.report.read_text()
    assert not home.demos.exists()
    assert set(mounted_namespaces(os.getpid())) <= before


def test_without_interfaces(home: Home) -> None:
    process = home.demo("--realizer", "null", "--hosts", "1", "--servers", "2")
    output, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, output
    outcomes = home.outcomes()
    assert outcomes["mesh"] == outcomes["paused"] == outcomes["migrate"] == "not applicable"
    assert outcomes["boot"] == outcomes["resize"] == outcomes["volume"] == outcomes["leaks"] == "ok"


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_interrupted_in_the_middle(home: Home, realizer: str, number: signal.Signals) -> None:
    process = home.demo("--realizer", realizer)
    read_until(process, "Boot 4 servers")
    process.send_signal(number)
    output, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == exits.INTERRUPTED, output
    outcomes = home.outcomes()
    assert outcomes["down"] == outcomes["leaks"] == "ok", output
    assert "skipped" in outcomes.values()
    assert "interrupted" in home.report.read_text()
    assert not home.demos.exists()


@pytest.mark.slow
def test_killed_in_the_middle_and_cleaned_up(home: Home, realizer: str) -> None:
    process = home.demo("--realizer", realizer)
    read_until(process, "Boot 4 servers")
    process.kill()
    process.communicate()
    (state,) = (path for path in home.demos.iterdir() if path.is_dir())
    daemons = processes_naming(state)
    assert daemons
    code, output = home.run("cleanup")
    assert code == 0, output
    assert str(state) in output
    assert not home.demos.exists()
    assert processes_naming(state) == []


def test_killed_with_its_daemon_and_cleaned_up(home: Home, realizer: str) -> None:
    before = set(mounted_namespaces(os.getpid()))
    process = home.demo("--realizer", realizer)
    read_until(process, "Boot 4 servers")
    process.kill()
    process.communicate()
    (state,) = (path for path in home.demos.iterdir() if path.is_dir())
    daemons = processes_naming(state)
    for daemon in daemons:
        with contextlib.suppress(ProcessLookupError):
            os.kill(daemon, signal.SIGKILL)
    wait_for("the daemon's end", lambda: not processes_naming(state))
    code, output = home.run("cleanup")
    assert code == 0, output
    assert not home.demos.exists()
    assert set(mounted_namespaces(os.getpid())) <= before


@pytest.mark.slow
def test_kept_sandbox_runs_on(home: Home, realizer: str) -> None:
    process = home.demo("--realizer", realizer, "--keep", "--servers", "2")
    output, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, output
    (state,) = home.demos.iterdir()
    try:
        # It is the user's now: clean-up leaves it alone.
        assert home.run("cleanup") == (0, "nothing was left behind\n")
        code, told = home.run("status", "--json", "--state", str(state))
        assert code == 0, told
        assert sum(host["guests"] for host in json.loads(told)["hosts"]) == 2
    finally:
        code, told = home.run("down", "--purge", "--state", str(state))
    assert code == 0, told
    assert not state.exists()


def test_state_directory_in_use(home: Home, sandbox) -> None:
    process = home.demo("--realizer", "null", "--state", str(sandbox.state.root))
    output, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == exits.FAILED
    assert "in use" in output
    # The other's sandbox was neither stopped nor cleaned up after.
    assert sandbox.status()["services"]
