"""The agent as a process, over the null realizer: who may speak to it, how it begins and ends, and what it survives."""

import grp
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import uuid

import pytest
from agent_process import DEADLINE_S, AgentProcess
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nova_fakes.agent import calls, protocol
from nova_fakes.agent.audit import read
from nova_fakes.agent.client import Client
from nova_fakes.cmd import exits
from nova_fakes.exceptions import AgentUnreachable, PeerRefused

NULL = ("--realizer", "null")
NOBODY = 65534
INSTANCE = str(uuid.UUID(int=5))
PLUG = protocol.Plug("h1", INSTANCE, (), True)


def run(*arguments, prefix=()):
    return subprocess.run(
        [*prefix, sys.executable, "-m", "nova_fakes", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=DEADLINE_S,
    )  # fmt: skip


def test_its_socket_has_the_mode_and_group_that_were_asked_for():
    group = grp.getgrgid(os.getgid()).gr_name
    with AgentProcess(*NULL, "--mode", "660", "--group", group) as agent:
        found = agent.socket.stat()
        assert stat.S_ISSOCK(found.st_mode)
        assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o660, os.getgid())
    with AgentProcess(*NULL) as agent:
        assert stat.S_IMODE(agent.socket.stat().st_mode) == 0o600


def test_it_ends_cleanly_and_answers_what_was_asked():
    with AgentProcess(*NULL) as agent:
        agent.client().call(PLUG)
        assert agent.end() == 0
        assert not agent.socket.exists()
        with pytest.raises(AgentUnreachable):
            agent.client(0.1).call(PLUG)


def test_a_restart_is_not_noticed():
    with AgentProcess(*NULL) as agent:
        client = agent.client()
        for how in (agent.kill, agent.end):
            client.call(PLUG)
            how()
            thread = threading.Thread(target=agent.start)
            thread.start()
            client.call(PLUG)
            thread.join()


def test_two_agents_on_one_ledger_or_socket_are_refused():
    with AgentProcess(*NULL) as agent:
        other = agent.directory / "other"
        done = run("agent", "--socket", other, "--state", agent.state, *NULL)
        assert (done.returncode, "is open in another process" in done.stderr) == (exits.CONFLICT, True)
        done = run("agent", "--socket", agent.socket, "--state", agent.directory / "elsewhere", *NULL)
        assert (done.returncode, "another agent listens" in done.stderr) == (exits.CONFLICT, True)
        assert agent.health().status == "ok"
        assert not other.exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--realizer", "brigde"), "bridge"),
        (("--realizer", "remote"), "bridge"),
        (("--mode", "9"), "octal"),
        (("--mode", "1777"), "octal"),
        (("--group", "no-such-group"), "groupadd"),
        (("--allow-uid", "no-such-user"), "user"),
        (("--option", "novalue"), "NAME=VALUE"),
        (("--option", "unknown=1"), "unknown"),
        (("--audit", "/proc/none/audit"), "audit"),
        (("--socket", "/proc/none/s"), "socket"),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_told_so(tmp_path, options, says):
    done = run("agent", "--socket", tmp_path / "s", "--state", tmp_path, *NULL, *options)
    assert done.returncode == exits.USAGE
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_in_the_place_of_the_socket_is_left_alone(tmp_path):
    (tmp_path / "s").write_text("mine")
    done = run("agent", "--socket", tmp_path / "s", "--state", tmp_path, *NULL)
    assert (done.returncode, (tmp_path / "s").read_text()) == (exits.USAGE, "mine")


def test_health_tells_and_its_code_too(tmp_path):
    with AgentProcess(*NULL) as agent:
        done = run("agent", "health", "--socket", agent.socket)
        assert (done.returncode, "ok: nova-fakes" in done.stdout) == (exits.OK, True)
        found = json.loads(run("agent", "health", "--socket", agent.socket, "--json").stdout)
        assert (found["pid"], found["protocol"], found["realizer"]) == (agent.process.pid, protocol.PROTOCOL, "null")
        assert "; no request waits" in done.stdout
        done = run("agent", "metrics", "--socket", agent.socket)
        assert done.returncode == exits.OK
        assert 'nova_fakes_agent_requests_total{verb="health",outcome="done"} 2' in done.stdout.splitlines()
    for verb in ("health", "metrics"):
        done = run("agent", verb, "--socket", tmp_path / "s", "--timeout", "0.1")
        assert (done.returncode, "no agent at" in done.stderr) == (exits.FAILED, True)


def test_its_log_can_be_replayed_and_goes_on_after_rotation():
    with AgentProcess(*NULL) as agent:
        agent.client().call(PLUG)
        old = agent.audit.rename(agent.directory / "old")
        agent.process.send_signal(signal.SIGHUP)
        until(agent.audit.exists)
        agent.client().call(protocol.Unplug("h1", INSTANCE, None, False))
        assert [record.request.verb for log in (old, agent.audit) for record in read(log)] == ["plug", "unplug"]
        done = run("replay", old, "--socket", agent.socket)
        assert (done.returncode, done.stdout) == (exits.OK, "1 changes made again, 0 with another outcome\n")
        line = json.loads(old.read_text())
        old.write_text(json.dumps({**line, "error": {"kind": "RealizerError"}}) + "\n")
        done = run("replay", old, "--socket", agent.socket)
        assert (done.returncode, "change 1, plug: done; then: RealizerError" in done.stdout) == (exits.FAILED, True)
        assert run("replay", agent.directory / "log", "--socket", agent.socket).returncode == exits.USAGE


def until(condition):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def as_nobody():
    """A prefix by which a command is an ordinary user's."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root, with setpriv, can become another user")
    prefix = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    can_run = [*prefix, "sh", "-c", 'exec "$0" -c "import nova_fakes"', sys.executable]
    if subprocess.run(can_run, capture_output=True, check=False).returncode != 0:
        pytest.skip(f"an ordinary user cannot run {sys.executable}")
    return (*prefix, "sh", "-c", 'exec "$0" "$@"')


def test_other_users_are_refused_unless_they_are_allowed(as_nobody):
    for options, code, says in (
        (("--mode", "600"), exits.FAILED, "may not connect"),
        (("--mode", "666"), exits.FAILED, f"--allow-uid {NOBODY}"),
        (("--mode", "666", "--allow-uid", str(NOBODY)), exits.OK, "ok: nova-fakes"),
    ):
        with AgentProcess(*NULL, *options) as agent:
            agent.directory.chmod(0o755)
            done = run("agent", "health", "--socket", agent.socket, "--timeout", "20", prefix=as_nobody)
            assert (done.returncode, says in done.stdout + done.stderr) == (code, True), done.stderr
            if says.startswith("--allow"):
                assert '"event":"refused"' in agent.audit.read_text()


def test_the_agents_own_user_is_refused_where_only_others_are_allowed():
    with AgentProcess(*NULL, "--allow-uid", str(os.geteuid() + 1)) as agent, pytest.raises(PeerRefused):
        agent.health()


# Fuzz: after each of these the agent lives, has changed nothing, and serves.


@pytest.fixture(scope="module")
def target():
    with AgentProcess(*NULL) as agent:
        yield agent
        assert agent.end() == 0


@pytest.fixture
def unharmed(target):
    before = target.health(), changes(target)
    yield target
    after = target.health()
    assert (after.pid, after.status, after.uptime_s > before[0].uptime_s) == (before[0].pid, "ok", True)
    assert changes(target) == before[1]
    target.client().call(protocol.Describe("h1"))
    assert "Traceback" not in target.log()


def changes(agent):
    return [line for line in agent.audit.read_text().splitlines() if '"change"' in line]


def say(agent, *parts, patience_s=20.0):
    """Send something and return what comes back, or what came when the other end had enough."""
    with agent.connect() as sock:
        sock.settimeout(patience_s)
        heard = b""
        try:
            for part in parts:
                sock.sendall(part)
            sock.shutdown(socket.SHUT_WR)
            while part := sock.recv(65536):
                heard += part
        except OSError:
            pass
        return heard


HEAD = b"POST /v2/plug HTTP/1.1\r\nHost: agent\r\n"
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TOKENS = st.sampled_from(
    [
        *(b"POST", b"GET", b" ", b"/v2/plug", b"/v2/", b"HTTP/1.1", b"HTTP/9.9", b"\r\n", b"\n", b"\0", b":", b"{}"),
        *(b"Host: x", b"Content-Length: 5", b"Content-Length: -5", b"Content-Length: 0x5", b"Connection: keep-alive"),
        *(b"Content-Length: 99999999999999999999", b"Transfer-Encoding: chunked", b"Expect: 100-continue"),
        *(b"5\r\nhello\r\n", b"ffffffffffffffff\r\n", b"0\r\n\r\n", b"\xff\xfe", b"A" * 5000, b"%00", b"../"),
    ]
)


@FUZZ
@given(st.one_of(st.binary(max_size=400), st.lists(TOKENS, max_size=25).map(b"".join)))
def test_what_is_no_http(unharmed, data):
    say(unharmed, data)


@FUZZ
@given(st.lists(TOKENS, max_size=10).map(b"".join))
def test_what_is_http_at_first(unharmed, data):
    say(unharmed, HEAD + data)


@FUZZ
@given(
    st.sampled_from([*protocol.VERBS, calls.BATCH, "perform"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.just(INSTANCE),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["id", "deadline_s", "arguments", "host", "instance", "vifs"]), inner)
        ),
        max_leaves=12,
    ),
)
def test_json_that_is_no_call(unharmed, verb, value):
    body = json.dumps(value).encode()
    reply = say(unharmed, f"POST /v2/{verb} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    status, _, rest = reply.partition(b"\r\n")
    assert status.split()[1] in (b"400", b"404")
    assert "error" in json.loads(rest.partition(b"\r\n\r\n")[2])


@FUZZ
@given(
    st.lists(
        st.none() | st.integers() | st.dictionaries(st.sampled_from(["verb", "id"]), st.text(max_size=5)), max_size=8
    )
)
def test_a_batch_of_what_is_no_call(unharmed, values):
    body = json.dumps({"calls": values}).encode()
    reply = say(unharmed, f"POST /v2/batch HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    answers = json.loads(reply.partition(b"\r\n\r\n")[2])["result"]
    assert len(answers) == len(values)
    assert all(answer["error"]["kind"] == "InvalidInput" for answer in answers)


@pytest.mark.parametrize("length", [1 << 20, 1 << 24, 1 << 40])
def test_a_huge_body(unharmed, length):
    chunk = b"x" * (1 << 20)
    parts = (HEAD + b"Content-Length: %d\r\n\r\n" % length, *[chunk] * min(16, length >> 20))
    assert say(unharmed, *parts)[9:12] in (b"400", b"413", b"")


def test_a_huge_body_in_chunks(unharmed):
    chunk = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"
    assert say(unharmed, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 16)[9:12] in (b"413", b"")


def test_a_huge_head(unharmed):
    assert say(unharmed, HEAD, *[b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in range(1000)])[9:12] in (
        b"431",
        b"",
    )


def test_deep_json(unharmed):
    body = b"[" * 500_000
    assert say(unharmed, HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)[9:12] == b"400"


def test_slow_clients_hold_nobody_up(unharmed):
    """More of them than the agent has threads, each in the middle of another part of a request."""
    whole = HEAD + b"Content-Length: 100\r\n\r\n" + b"{" * 50
    slow = [unharmed.connect() for _ in range(200)]
    try:
        for number, sock in enumerate(slow):
            sock.sendall(whole[: 1 + number * len(whole) // 200])
        for _ in range(10):
            assert unharmed.client().call(protocol.Health()).status == "ok"
            unharmed.client().call(protocol.Describe("h1"))
    finally:
        for sock in slow:
            sock.close()


def test_a_thousand_open_connections_hold_nobody_up(unharmed):
    idle = []
    try:
        for number in range(1000):
            idle.append(unharmed.connect())
            if number % 2:
                idle[-1].sendall(HEAD)
        assert unharmed.client().call(protocol.Health()).status == "ok"
        assert unharmed.client().call(protocol.Counters("h1", INSTANCE)) == {}
    finally:
        for sock in idle:
            sock.close()


def test_a_thousand_connections_of_a_wrong_user_hold_nobody_up(as_nobody):
    program = (
        "import socket, sys\n"
        "kept = []\n"
        "for n in range(1000):\n"
        "    s = socket.socket(socket.AF_UNIX); s.settimeout(60)\n"
        "    try: s.connect(sys.argv[1]); s.sendall(b'POST /v2/plug HTTP/1.1\\r\\n'); kept.append(s)\n"
        "    except OSError: pass\n"
        "print('open', flush=True); sys.stdin.read()\n"
    )
    with AgentProcess(*NULL, "--mode", "666") as agent:
        agent.directory.chmod(0o755)
        argv = [*as_nobody, sys.executable, "-c", program, str(agent.socket)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"open\n"
            assert agent.health().status == "ok"
            assert len(os.listdir(f"/proc/{agent.process.pid}/fd")) < 500  # most were turned away
            process.stdin.close()
        assert agent.health().status == "ok"
        assert changes(agent) == []


def test_many_clients_at_once_are_all_served(unharmed):
    failures = []

    def ask():
        client = Client(unharmed.socket, deadline_s=DEADLINE_S)
        try:
            for _ in range(5):
                client.call(protocol.Describe("h1"))
        except Exception as error:
            failures.append(error)
        finally:
            client.close()

    threads = [threading.Thread(target=ask) for _ in range(150)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
