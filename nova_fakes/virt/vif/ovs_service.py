"""An Open vSwitch of our own: ovsdb-server and ovs-vswitchd in a private directory and a namespace that we made.

Debian's service, its database and its directory under /run are not touched, nor the kernel's datapath: the switch runs
in userspace. Directory and processes are in the ledger before they are made, so that whoever finds the ledger can end
them. A daemon that died is started again on the same database, and finds its bridges and ports there.
"""

import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nova_fakes.exceptions import OpenVSwitchMissing, OvsdbError, RealizerError
from nova_fakes.virt.vif import namespaces
from nova_fakes.virt.vif.cleanup import process_of
from nova_fakes.virt.vif.ledger import Entry, Ledger, start_ticks
from nova_fakes.virt.vif.ovsdb import DATABASE, DEFAULT_DEADLINE_S, Connection

__all__ = ["OpenVSwitch", "missing", "require", "version"]

_ADMINISTRATORS_PATH = ":/usr/local/sbin:/usr/sbin:/sbin"
_PROGRAMS = ("ovsdb-tool", "ovsdb-server", "ovs-vswitchd")
_SCHEMAS = (
    Path("/usr/share/openvswitch/vswitch.ovsschema"),
    Path("/usr/local/share/openvswitch/vswitch.ovsschema"),
)
_TUN = Path("/dev/net/tun")
#: Seconds that a daemon gets between SIGTERM and SIGKILL.
_GRACE_S = 5.0
#: Seconds between two looks at a daemon that is starting.
_LOOK_S = 0.005
#: Seconds after which one that does not answer is looked at again.
_SLICE_S = 1.0
_LAST_LINES = 5
#: How often a daemon is started before it is said not to come up: whoever killed the last may kill the next one too.
_STARTS = 3
#: What each daemon is started with, in the order in which they are started.
_ARGUMENTS = {
    "ovsdb-server": ("conf.db", "--remote=punix:db.sock"),
    "ovs-vswitchd": ("unix:db.sock", "--disable-system"),
}


def missing() -> tuple[str, str] | None:
    """Tell what a switch of our own lacks on this machine, and the cure; None where there is all it takes."""
    for program in _PROGRAMS:
        if _program(program) is None:
            return f"no {program}", "apt-get install openvswitch-switch"
    if _schema() is None:
        return f"no {_SCHEMAS[0]}", "apt-get install --reinstall openvswitch-switch"
    try:
        os.close(os.open(_TUN, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{_TUN}: {error.strerror}", "modprobe tun, and let this user open it (chmod 0666 /dev/net/tun)"
    return None


def require() -> None:
    """Check that a switch of our own can be started on this machine.

    :raises OpenVSwitchMissing: it lacks something; the message names the cure
    """
    lack = missing()
    if lack is not None:
        raise OpenVSwitchMissing(f"Open vSwitch cannot be started here: {lack[0]}; cure: {lack[1]}")


def version() -> str:
    """Return the version of the installed switch daemon, as it tells it.

    :raises OpenVSwitchMissing: there is none
    """
    require()
    argv = [str(_program("ovs-vswitchd")), "--version"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_GRACE_S, check=False)
    return next(iter(done.stdout.splitlines()), "it does not tell its version")


@dataclass(slots=True)
class _Daemon:
    """A daemon that runs. `descriptor` is its pidfd; `child` is None where an earlier process of ours started it."""

    name: str
    entry: Entry
    pid: int
    descriptor: int
    child: subprocess.Popen[bytes] | None

    def ended(self, timeout_s: float = 0.0) -> bool:
        """Tell whether it has ended, after waiting for that."""
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def send(self, number: int) -> None:
        try:
            signal.pidfd_send_signal(self.descriptor, number)
        except ProcessLookupError:
            pass

    def forget(self) -> None:
        os.close(self.descriptor)
        if self.child is not None:
            self.child.wait()


class OpenVSwitch:
    """One database server and one switch daemon.

    `start` also takes over what an earlier process left running on the same ledger and directory.

    :param ledger: where directory and processes are written down first
    :param directory: the private run directory: database, sockets and logs; made here, removed by `stop`
    :param namespace: the path of the network namespace in which the daemons run; None for the calling thread's
    :raises OpenVSwitchMissing: this machine lacks something; the message names the cure
    """

    def __init__(
        self,
        ledger: Ledger,
        directory: str | os.PathLike[str],
        namespace: str | None,
        *,
        deadline_s: float = DEFAULT_DEADLINE_S,
    ) -> None:
        require()
        self.directory = Path(directory).absolute()
        self.socket = self.directory / "db.sock"
        self._ledger = ledger
        self._namespace = namespace
        self._deadline_s = deadline_s
        self._directory_entry: Entry | None = None
        self._daemons: dict[str, _Daemon] = {}
        self._lock = namespaces.native_threading().Lock()

    def start(self) -> None:
        """Start what does not run yet, and wait until the switch answers.

        Where that fails, nothing is left that was not there before.

        :raises RealizerError: a daemon ended at once, the directory is somebody else's
        :raises OvsdbUnavailable: the daemons do not answer before the deadline
        """
        new = False
        try:
            new = self._own_directory()
            self._adopt()
            with self._lock:
                self._revive(ask=True)
        except BaseException:
            if new:
                self.stop()
            else:
                self.leave_running()
            raise

    def revive(self) -> tuple[str, ...]:
        """Start the daemons that do not run, wait until they answer, and return their names; from any thread.

        :raises RealizerError: one ended at once; the message ends with its last words
        :raises OvsdbUnavailable: they do not answer before the deadline
        """
        with self._lock:
            return self._revive()

    def _revive(self, *, ask: bool = False) -> tuple[str, ...]:
        """Start what does not run; `ask` also those that seem to, since one that is being killed still does.

        All are looked at until all answer: one may be killed while another is waited for.
        """
        starts: dict[str, int] = {}
        deadline = time.monotonic() + self._deadline_s
        while True:
            try:
                for name in _ARGUMENTS:
                    self._ensure(name, starts)
                    if ask or starts or name == "ovsdb-server":
                        self._ask(name, max(_LOOK_S, deadline - time.monotonic()))
                return tuple(starts)
            except OvsdbError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_LOOK_S)

    def descriptors(self) -> tuple[int, ...]:
        """Return descriptors that become readable when a daemon ends; they are closed with it."""
        with self._lock:
            return tuple(daemon.descriptor for daemon in self._daemons.values())

    def pids(self) -> dict[str, int]:
        """Return the process ids of the daemons by name."""
        return {name: daemon.pid for name, daemon in self._daemons.items()}

    def stop(self) -> None:
        """End the daemons, by SIGKILL where they do not end in time, and remove the directory."""
        daemons = [self._daemons[name] for name in ("ovs-vswitchd", "ovsdb-server") if name in self._daemons]
        for daemon in daemons:
            daemon.send(signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_S
        for daemon in daemons:
            if not daemon.ended(max(0.0, deadline - time.monotonic())):
                daemon.send(signal.SIGKILL)
                daemon.ended(_GRACE_S)
            self._forget(daemon)
        if self._directory_entry is not None:
            shutil.rmtree(self.directory, ignore_errors=True)
            self._ledger.done(self._directory_entry)
            self._directory_entry = None

    def leave_running(self) -> None:
        """Give up what we hold of the daemons, for a process to come that adopts them."""
        for daemon in self._daemons.values():
            os.close(daemon.descriptor)
        self._daemons.clear()

    def _own_directory(self) -> bool:
        """Make the directory, or find it in the ledger; tells whether it is new."""
        for entry in self._ledger.entries("file"):
            if entry.name == str(self.directory) and self.directory.is_dir():
                self._directory_entry = entry
                return False
        if os.path.lexists(self.directory):
            raise RealizerError(f"{self.directory} exists and the ledger does not name it; choose another directory")
        self._directory_entry = self._ledger.add("file", str(self.directory), directory=True)
        self.directory.mkdir(mode=0o700, parents=True)
        self._directory_entry = self._ledger.note(self._directory_entry, inode=self.directory.stat().st_ino)
        return True

    def _adopt(self) -> None:
        """Take over the daemons that the ledger names and that still run."""
        for entry in self._ledger.entries("process"):
            if entry.attributes.get("directory") != str(self.directory):
                continue
            pid = process_of(entry)
            try:
                descriptor = None if pid is None else os.pidfd_open(pid)
            except ProcessLookupError:
                descriptor = None
            if pid is None or descriptor is None:
                self._ledger.done(entry)
                continue
            noted = self._ledger.note(entry, pid=pid, start_ticks=start_ticks(pid))
            self._daemons[entry.name] = _Daemon(entry.name, noted, pid, descriptor, None)

    def _start_daemon(self, name: str) -> None:
        if name == "ovsdb-server":
            self._make_database()
            self.socket.unlink(missing_ok=True)
        argv = [
            _program(name) or name,
            *_ARGUMENTS[name],
            f"--unixctl={self.directory}/{name}.ctl",
            f"--log-file={self.directory}/{name}.log",
            "--verbose=console:err",
            "--verbose=syslog:off",
        ]
        entry = self._ledger.add("process", name, directory=str(self.directory))
        try:
            child = self._spawn(argv, entry)
        except BaseException:
            self._ledger.done(entry)
            raise
        try:
            descriptor = os.pidfd_open(child.pid)
            try:
                entry = self._ledger.note(entry, pid=child.pid, start_ticks=start_ticks(child.pid))
            except BaseException:
                os.close(descriptor)
                raise
        except BaseException:
            child.kill()
            child.wait()
            self._ledger.done(entry)
            raise
        self._daemons[name] = _Daemon(name, entry, child.pid, descriptor, child)

    def _spawn(self, argv: Sequence[str], entry: Entry) -> subprocess.Popen[bytes]:
        def run() -> subprocess.Popen[bytes]:
            # A child gets the namespace of the thread that starts it. A session of its own: Ctrl-C is not for it.
            with (self.directory / f"{entry.name}.err").open("ab") as errors:
                return subprocess.Popen(
                    argv,
                    cwd=self.directory,
                    env=self._environment() | entry.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=errors,
                    stderr=errors,
                    start_new_session=True,
                )

        if self._namespace is None:
            return run()
        return namespaces.in_namespace(self._namespace, run)

    def _make_database(self) -> None:
        if (self.directory / "conf.db").exists():
            return
        made = self.directory / "conf.db.new"
        made.unlink(missing_ok=True)
        argv = [_program("ovsdb-tool") or "ovsdb-tool", "create", str(made), str(_schema())]
        done = subprocess.run(
            argv, capture_output=True, text=True, env=self._environment(), timeout=self._deadline_s, check=False
        )
        if done.returncode != 0:
            raise RealizerError(f"the switch's database cannot be made: {done.stderr.strip()}")
        made.rename(self.directory / "conf.db")

    def _environment(self) -> dict[str, str]:
        here = str(self.directory)
        return {**os.environ, "OVS_RUNDIR": here, "OVS_LOGDIR": here, "OVS_DBDIR": here, "OVS_SYSCONFDIR": here}

    def _ensure(self, name: str, starts: dict[str, int]) -> None:
        """See that a daemon runs; `starts` counts how often it had to be started.

        :raises RealizerError: it ends again and again
        """
        daemon = self._daemons.get(name)
        if daemon is not None and daemon.ended():
            self._forget(daemon)
            daemon = None
            if starts.get(name, 0) >= _STARTS:
                raise RealizerError(f"{name} ended at once: {self._last_words(name)}")
        if daemon is None:
            self._start_daemon(name)
            starts[name] = starts.get(name, 0) + 1

    def _ask(self, name: str, remaining_s: float) -> None:
        """Ask a daemon something; in slices, so that one that has ended is told from one that is slow.

        :raises OvsdbError: it does not answer yet
        """
        with Connection(self.socket, deadline_s=min(_SLICE_S, remaining_s)) as connection:
            if name == "ovs-vswitchd":
                connection.commit([])
            elif not connection.select(DATABASE, [], "cur_cfg"):
                connection.transact([{"op": "insert", "table": DATABASE, "row": {}}])

    def _last_words(self, name: str) -> str:
        words = (self.directory / f"{name}.err").read_text(errors="replace").splitlines()
        return " / ".join(words[-_LAST_LINES:]) or "it said nothing"

    def _forget(self, daemon: _Daemon) -> None:
        daemon.forget()
        self._ledger.done(daemon.entry)
        del self._daemons[daemon.name]


def _program(name: str) -> str | None:
    # Administrators' programs are often not in an ordinary user's PATH.
    return shutil.which(name, path=os.environ.get("PATH", "") + _ADMINISTRATORS_PATH)


def _schema() -> Path | None:
    return next((path for path in _SCHEMAS if path.exists()), None)
