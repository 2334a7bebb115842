"""Commands inside instances, through the agent."""

import errno
import json
import os
import subprocess
import sys
import time

import pytest
from test_agent_realizer import DEADLINE_S, agent, make_agent

from nova_fakes.agent.execution import OUTPUT_LIMIT_BYTES, Executor
from nova_fakes.agent.peers import Peer
from nova_fakes.agent.protocol import Execute, Execution
from nova_fakes.exceptions import DeadlineExceeded, InvalidInput, PeerRefused, RealizerError
from nova_fakes.virt.vif import registry

pytestmark = pytest.mark.privileged

__all__ = ["agent", "make_agent"]


@pytest.fixture
def executing(make_agent):
    return make_agent("executing", "--allow-exec")


@pytest.fixture
def host(executing, make_vif, uuids):
    """The realizer of a host with an instance, whose address is 10.0.0.5."""
    host = executing.realizer()
    host.plug(uuids[0], [make_vif(5)])
    return host


def test_a_command_sees_the_instances_network(host, uuids):
    done = host.execute(uuids[0], ["ip", "-j", "-4", "addr", "show", "eth0"])
    assert (done.exit_code, done.stderr, done.truncated) == (0, b"", False)
    assert json.loads(done.stdout)[0]["addr_info"][0]["local"] == "10.0.0.5"


def test_words_are_handed_on_and_no_shell_reads_them(host, uuids):
    words = ["$(id)", "a b", "; reboot", "*", "", "\n", "ü"]
    done = host.execute(uuids[0], [sys.executable, "-c", "import sys; print(sys.argv[1:])", *words])
    assert done.stdout.decode() == f"{words}\n"


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)", (3, b"out\n", b"err\n")),
        ("import os; os.kill(os.getpid(), 9)", (137, b"", b"")),
        ("import sys; print(repr(sys.stdin.read()))", (0, b"''\n", b"")),
        ("import os; print(sorted(os.environ), os.getcwd())", (0, b"['HOME', 'LANG', 'PATH'] /\n", b"")),
    ],
    ids=["exit-code", "signal", "no-input", "environment"],
)
def test_what_comes_of_a_command(host, uuids, program, expected):
    done = host.execute(uuids[0], [sys.executable, "-c", program])
    assert (done.exit_code, done.stdout, done.stderr) == expected


def test_a_command_that_is_none(host, uuids):
    assert host.execute(uuids[0], ["no-such-command"]).exit_code == 127
    assert host.execute(uuids[0], ["/etc"]).exit_code == 126


def test_output_beyond_the_limit_is_left_out(host, uuids):
    program = f"import sys; sys.stdout.write('x' * {OUTPUT_LIMIT_BYTES + 1}); sys.stderr.write('short')"
    done = host.execute(uuids[0], [sys.executable, "-c", program])
    assert (done.exit_code, len(done.stdout), done.stderr) == (0, OUTPUT_LIMIT_BYTES, b"short")
    assert done.truncated


def test_one_that_does_not_end_is_killed_with_all_that_it_started(executing, host, uuids, tmp_path):
    impatient = registry.load("remote", host="h1", socket=executing.socket, deadline_s=3)
    program = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen(['sleep', '1000']); open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "time.sleep(1000)"
    )
    with pytest.raises(DeadlineExceeded, match="was killed"):
        impatient.execute(uuids[0], [sys.executable, "-c", program])
    gone(int((tmp_path / "pid").read_text()))
    assert host.execute(uuids[0], ["true"]).exit_code == 0


def test_one_that_leaves_somebody_behind_is_not_waited_for(host, uuids, tmp_path):
    program = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen(['sleep', '1000']); open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
    )
    assert host.execute(uuids[0], [sys.executable, "-c", program]).exit_code == 0
    gone(int((tmp_path / "pid").read_text()))


def gone(pid):
    """Wait until a process has ended; whose parent it is then reaps it in its time."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            with open(f"/proc/{pid}/stat") as stat:
                if stat.read().rpartition(")")[2].split()[0] == "Z":
                    return
        except FileNotFoundError:
            return
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_instance_that_is_not_there(host, uuids):
    with pytest.raises(RealizerError, match="plug it first"):
        host.execute(uuids[1], ["true"])


@pytest.mark.parametrize("argv", [(), ("",), ("a\0b",), ("x" * 70000,), [1]])
def test_what_is_no_command_is_refused_before_it_is_sent(argv, uuids):
    with pytest.raises(InvalidInput, match="argv"):
        Execute("h1", uuids[0], argv)


def test_without_allow_exec_nothing_is_run(agent, make_vif, uuids):
    host = agent.realizer()
    host.plug(uuids[0], [make_vif(5)])
    with pytest.raises(PeerRefused, match="--allow-exec"):
        host.execute(uuids[0], ["true"])


def test_the_audit_log_has_it_and_replay_passes_it_by(executing, host, uuids):
    host.execute(uuids[0], ["ip", "link"])
    lines = [json.loads(line) for line in (executing.directory / "audit").read_text().splitlines()]
    assert [(line["event"], line["verb"]) for line in lines] == [("change", "plug"), ("command", "execute")]
    assert lines[1]["arguments"]["argv"] == ["ip", "link"]
    assert lines[1]["peer"]["uid"] == os.geteuid()
    argv = [sys.executable, "-m", "nova_fakes", "replay", executing.directory / "audit", "--socket", executing.socket]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert done.stdout == "1 changes made again, 0 with another outcome\n"


def test_the_command_line(executing, host, uuids):
    def run(*words):
        argv = [
            sys.executable,
            "-m",
            "nova_fakes",
            "agent",
            "exec",
            "--socket",
            executing.socket,
            "--host",
            "h1",
            *words,
        ]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=DEADLINE_S)

    done = run(uuids[0], "ip", "-o", "-4", "addr", "show", "eth0")
    assert (done.returncode, "10.0.0.5/24" in done.stdout) == (0, True)
    done = run(uuids[0], sys.executable, "-c", "import sys; sys.exit('sorry')")
    assert (done.returncode, done.stderr) == (1, "sorry\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_a_command_runs_as_the_user_who_asks():
    """Else whoever may have interfaces made would be root."""
    program = "import os; print(os.getresuid(), os.getresgid(), os.getgroups())"
    until = time.monotonic() + DEADLINE_S
    done = Executor(allowed=True).run(
        Peer(1, 65534, 65534), "/proc/self/ns/net", ["/usr/bin/python3", "-c", program], until
    )
    assert done == Execution(0, b"(65534, 65534, 65534) (65534, 65534, 65534) []\n", b"", truncated=False)


def test_a_command_that_cannot_be_watched_is_killed(monkeypatch):
    def refuse(pid):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    with pytest.raises(OSError, match="open files"):
        Executor(allowed=True).run(
            Peer(1, os.geteuid(), os.getegid()), "/proc/self/ns/net", ["/bin/sleep", "1000"], time.monotonic() + 1000
        )
