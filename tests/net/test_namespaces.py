import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from in_user_namespace import inside, outcomes

from nova_fakes.exceptions import InvalidInput, RealizerError
from nova_fakes.virt.vif import namespaces
from nova_fakes.virt.vif.capabilities import can_realize_bridges, probe
from nova_fakes.virt.vif.ping import Pinger, ping

pytestmark = pytest.mark.privileged

NOBODY = 65534


@pytest.fixture
def named(tmp_path):
    path = tmp_path / "somewhere"
    namespaces.in_thread(lambda: namespaces.make(path))
    yield path
    namespaces.remove(path)
    assert not path.exists()


def test_a_name_is_a_namespace_until_it_is_removed(named):
    assert namespaces.inode(named) not in (None, os.stat("/proc/self/ns/net").st_ino)
    namespaces.remove(named)
    assert namespaces.inode(named) is None
    namespaces.remove(named)


def test_a_command_runs_inside(named):
    done = namespaces.run_in(named, ["readlink", "/proc/self/ns/net"])
    assert done.stdout.strip() == f"net:[{namespaces.inode(named)}]"
    assert os.stat("/proc/self/ns/net").st_ino != namespaces.inode(named)


def test_what_fails_inside_fails_outside(named):
    with pytest.raises(ZeroDivisionError):
        namespaces.in_namespace(named, lambda: 1 // 0)
    with pytest.raises(FileNotFoundError):
        namespaces.run_in(named, ["/no/such/command"])
    with pytest.raises(subprocess.TimeoutExpired):
        namespaces.run_in(named, ["sleep", "60"], timeout_s=0.1)


def test_what_is_no_namespace_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for name in ("file", "nothing"):
        with pytest.raises(RealizerError, match="no network namespace"):
            namespaces.run_in(tmp_path / name, ["true"])
    with pytest.raises(RealizerError, match="not ours"):
        namespaces.in_thread(lambda: namespaces.make(tmp_path / "file"))
    with pytest.raises(RealizerError, match="cannot be made"):
        namespaces.in_thread(lambda: namespaces.make(tmp_path / "no" / "directory"))


def test_ping_counts_what_could_not_be_sent(named):
    result = ping(named, "10.0.0.1", count=3)
    assert (result.sent, result.unsent, result.received, result.lost) == (3, 3, 0, 3)
    with pytest.raises(InvalidInput):
        ping(named, "not an address")
    with pytest.raises(RealizerError):
        Pinger(named.parent / "nothing", "10.0.0.1")


def test_ping_reaches_the_loopback(hosts, make_vif, uuids):
    hosts[0].plug(uuids[0], [make_vif(5)])
    for address in ("127.0.0.1", "::1"):
        result = ping(hosts[0].namespace(uuids[0]), address, count=5, interval_s=0.001)
        assert (result.sent, result.received) == (5, 5)
        assert all(0 < trip < 1 for trip in result.round_trips_s)


def test_findings_are_found_and_leave_nothing():
    findings = probe()
    assert can_realize_bridges(findings)
    assert [f for f in findings if f.status != "ok" and not f.cure] == []
    assert len({f.name for f in findings}) == len(findings)
    # It tries in a namespace without a name, so its devices are all that could be left.
    assert not {name for _, name in socket.if_nameindex() if name.startswith("probe")}


def test_a_process_with_threads_is_told_why_it_cannot_enter():
    program = (
        "import threading; from nova_fakes.virt.vif import namespaces\n"
        "done = threading.Event(); threading.Thread(target=done.wait).start()\n"
        "try: namespaces.enter_user_namespace()\n"
        "except Exception as error: print(error)\n"
        "done.set()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "do it first of all" in done.stdout


def test_join_enters_what_another_process_made():
    program = (
        "import os, sys; from nova_fakes.virt.vif import namespaces\n"
        "namespaces.join(int(sys.argv[1])); print(os.readlink('/proc/self/ns/user'))"
    )
    child = "from nova_fakes.virt.vif.namespaces import *; enter_user_namespace(); print('up', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        expected = os.readlink(f"/proc/{process.pid}/ns/user")
        argv = [sys.executable, "-c", program, str(process.pid)]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        process.stdin.close()
    assert done.stdout.strip() == expected


@pytest.mark.skipif(
    os.geteuid() != 0 or namespaces.in_user_namespace() or shutil.which("setpriv") is None,
    reason="only the machine's root can become another user",
)
def test_as_an_ordinary_user():
    """Everything else of this directory again, as nobody in a user namespace."""
    prefix = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    # By way of a shell: setpriv itself still has root's rights while it starts a program.
    can_run = [*prefix, "sh", "-c", 'exec "$0" -c "import nova_fakes"', sys.executable]
    if subprocess.run(can_run, capture_output=True, check=False).returncode != 0:
        pytest.skip(f"an ordinary user cannot run {os.path.realpath(sys.executable)}")
    state = Path(tempfile.mkdtemp(prefix="ordinary-user-"))
    try:
        os.chown(state, NOBODY, NOBODY)
        report = state / "report.xml"
        names = ("bridge_realizer", "recovery", "namespaces", "ovs_service", "scale")
        nodes = [f"tests/net/test_{name}.py" for name in names]
        on_switch = "test_everybody_answers_everybody_native_and_hybrid_on_three_hosts"
        nodes.append(f"tests/net/test_ovs_realizer.py::{on_switch}")
        done = inside(nodes, report, "-m", "not slow", f"--basetemp={state / 'tmp'}", prefix=prefix)
        assert report.exists(), done.stdout + done.stderr
        found = outcomes(report)
        assert {name: text for name, (kind, text) in found.items() if kind not in ("passed", "skipped")} == {}
        assert sum(kind == "passed" for kind, _ in found.values()) > 30
    finally:
        shutil.rmtree(state)


def test_whatever_lies_in_a_namespaces_place_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RealizerError, match="is no network namespace"):
        namespaces.open_namespace(tmp_path / "pipe")


def test_a_link_in_a_new_namespaces_place_is_not_followed(tmp_path):
    (tmp_path / "fake-x").symlink_to(tmp_path / "precious")
    with pytest.raises(RealizerError, match="exists and is not ours"):
        namespaces.in_thread(lambda: namespaces.make(tmp_path / "fake-x"))
    assert not (tmp_path / "precious").exists()
