"""What every test stands on: nova in native threads, and nothing left on the machine afterwards."""

import atexit
import os
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before anything else of nova is imported: nova decides at import between eventlet and native threads.
os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "true"

import nova.monkey_patch

nova.monkey_patch.patch(backend="threading")

# How long an example takes is no property of ours on a machine that has much else to do.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# Every process that a test starts inherits this, daemons included: that is how the leak check knows them.
RUN_MARK = f"NOVA_FAKES_TEST_RUN={uuid.uuid4().hex}"
# pytest keeps its own temporary files for those who look at them afterwards.
SHARED_TEMPORARY = os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
# A directory for temporary files that no other run on this machine uses; ordinary users that tests become use it too.
# A worker of pytest-xdist has one beside its controller's: sockets lie in it, so its path has to be short.
TEMPORARY = Path(tempfile.mkdtemp(prefix="nft-", dir=SHARED_TEMPORARY))
TEMPORARY.chmod(0o1777)
atexit.register(shutil.rmtree, TEMPORARY, ignore_errors=True)
os.environ["TMPDIR"] = tempfile.tempdir = str(TEMPORARY)
# How long what is being torn down in the background may take to be gone.
GRACE_S = 10.0


def _namespaces() -> set[str]:
    directory = Path("/run/netns")
    return {f"namespace {name}" for name in os.listdir(directory)} if directory.is_dir() else set()


def _links() -> set[str]:
    return {f"network device {name}" for _, name in socket.if_nameindex()}


def _processes() -> set[str]:
    found = set()
    mark = RUN_MARK.encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.add(f"process {entry.name} ({command[:120].strip()})")
        except OSError:
            continue  # gone, or another user's
    return found


def _files() -> set[str]:
    return {f"file {path}" for path in TEMPORARY.iterdir()}


def _listeners() -> set[str]:
    """The sockets on which this process or one that a test has started listens."""
    names = _listening_sockets()
    pids = [os.getpid(), *(int(found.split()[1]) for found in _processes())]
    held = {inode for pid in pids for inode in _socket_inodes(pid)}
    return {f"listening socket {name}" for inode, name in names.items() if inode in held}


def _listening_sockets() -> dict[str, str]:
    """Return the listening sockets of this network namespace by inode (proc(5), ``/proc/net/tcp`` and ``unix``)."""
    found = {}
    for table in ("tcp", "tcp6"):
        for line in _lines(f"/proc/net/{table}"):
            fields = line.split()
            if fields[3] == "0A":  # TCP_LISTEN
                found[fields[9]] = f"{table} port {int(fields[1].rpartition(':')[2], 16)}"
    for line in _lines("/proc/net/unix"):
        fields = line.split()
        if int(fields[3], 16) & 0x10000:  # __SO_ACCEPTCON
            found[fields[6]] = f"unix {fields[7] if len(fields) > 7 else 'without a name'}"
    return found


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(errors="replace").splitlines()[1:]
    except OSError:
        return []


def _socket_inodes(pid: int) -> set[str]:
    found = set()
    try:
        for descriptor in os.scandir(f"/proc/{pid}/fd"):
            try:
                target = os.readlink(descriptor.path)
            except OSError:
                continue  # closed meanwhile
            if target.startswith("socket:["):
                found.add(target[len("socket:[") : -1])
    except OSError:
        pass  # the process is gone
    return found


KINDS: tuple[Callable[[], set[str]], ...] = (_namespaces, _links, _processes, _files, _listeners)


def _everything() -> set[str]:
    return set().union(*(kind() for kind in KINDS))


@pytest.fixture(scope="session", autouse=True)
def leak_check() -> Iterator[None]:
    """Fail the run if a namespace, network device, process, listening socket or temporary file outlives it."""
    name, value = RUN_MARK.split("=")
    os.environ[name] = value
    before = _everything()
    yield
    deadline = time.monotonic() + GRACE_S
    while (leaked := _everything() - before) and time.monotonic() < deadline:
        time.sleep(0.05)
    if leaked:
        pytest.fail(
            "left behind by the tests (or made meanwhile by another run on this machine):\n  "
            + "\n  ".join(sorted(leaked)),
            pytrace=False,
        )
