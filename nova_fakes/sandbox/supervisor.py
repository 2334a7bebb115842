"""Child processes of a sandbox: in the ledger before they start, with a log each, started again when they die."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from nova_fakes.exceptions import SandboxError
from nova_fakes.sandbox.revival import Revival
from nova_fakes.virt.vif.ledger import Ledger, start_ticks

__all__ = ["Supervised", "require_running"]

LOG = logging.getLogger(__name__)

#: nova's programs finish what is under way first; then they are killed.
_STOP_S = 5.0


class Supervised:
    """One program that is kept running.

    :param name: of the program in the ledger, the status and the log
    :param argv: what to run
    :param log: the file to which its output is appended
    :param revival: when it is started again; by default after half a second, as often as it takes
    """

    def __init__(
        self, ledger: Ledger, name: str, argv: Sequence[str], log: Path, revival: Revival | None = None
    ) -> None:
        self.name = name
        self.restarts = 0
        #: Whether it died so often that it is not started any more.
        self.given_up = False
        self._revival = Revival() if revival is None else revival
        self._ledger = ledger
        self._argv = list(argv)
        self._log = log
        self._stopping = threading.Event()
        self._process = self._spawn()
        self._watch = self._watcher()

    @property
    def pid(self) -> int | None:
        """The process's id; None while it does not run."""
        return self._process.pid if self._process.poll() is None else None

    def kill(self) -> None:
        """End it as a crash would, and leave it so until :meth:`start`; idempotent."""
        self._stopping.set()
        self._signal(signal.SIGKILL)
        self._watch.join()

    def start(self) -> None:
        """Start it again after :meth:`kill`."""
        self._stopping.clear()
        self.given_up = False
        self._process = self._spawn()
        self._watch = self._watcher()

    def pause(self) -> None:
        """Let it hang until :meth:`resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo :meth:`pause`."""
        self._signal(signal.SIGCONT)

    def ask_to_stop(self) -> None:
        """Tell it to end; :meth:`stop` waits for that."""
        self._stopping.set()
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)

    def stop(self, grace_s: float = _STOP_S) -> None:
        """End it politely, then for certain; idempotent.

        :param grace_s: how long it may take, seconds
        """
        self.ask_to_stop()
        self._watch.join(grace_s)
        self.kill()

    def _signal(self, number: int) -> None:
        if self.given_up:
            return  # its number may be another process's by now
        try:
            os.killpg(self._process.pid, number)  # workers that it forked too
        except ProcessLookupError:
            pass

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._since = time.monotonic()
        entry = self._ledger.add("process", self.name)
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **entry.environment, "OS_NOVA_DISABLE_EVENTLET_PATCHING": "true"},
                start_new_session=True,
            )
        self._entry = self._ledger.note(entry, pid=process.pid, start_ticks=start_ticks(process.pid))
        return process

    def _watcher(self) -> threading.Thread:
        thread = threading.Thread(target=self._keep, name=f"supervise {self.name}", daemon=True)
        thread.start()
        return thread

    def _keep(self) -> None:
        while True:
            status = self._process.wait()
            self._signal(signal.SIGKILL)
            self._ledger.done(self._entry)
            if self._stopping.is_set():
                return
            pause_s = self._revival.pause_after(time.monotonic() - self._since)
            if pause_s is None:
                self.given_up = True
                LOG.error("%s ended with status %d again and is left so; see %s", self.name, status, self._log)
                return
            LOG.warning("%s ended with status %d and is started again", self.name, status)
            if self._stopping.wait(pause_s):
                return
            self.restarts += 1
            self._process = self._spawn()
            if self._stopping.is_set():  # told between the look and the start
                self._signal(signal.SIGKILL)


def require_running(program: Supervised, log: Path) -> None:
    """Refuse to wait for a program that dies again and again.

    :raises SandboxError: with the last lines of its log
    """
    if program.restarts > 2:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
        raise SandboxError(f"{program.name} does not come up: {tail}")
