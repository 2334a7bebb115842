"""Child processes of a sandbox: in the ledger before they start, with a log each, started again when they die."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from nova_fakes.clock import Clock, SystemClock
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
    :param revival: when it is started again
    :param clock: by which
    """

    def __init__(
        self,
        ledger: Ledger,
        name: str,
        argv: Sequence[str],
        log: Path,
        revival: Revival | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self.restarts = 0
        #: Whether it died too often in a row, and is not started again before :meth:`start`.
        self.given_up = False
        self._revival = Revival() if revival is None else revival
        self._clock: Clock = clock or SystemClock()
        self._ledger = ledger
        self._argv = list(argv)
        self._log = log
        self._stopping = self._clock.alarm()
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
        """Start it again after :meth:`kill`, or where it was given up."""
        self._watch.join()
        self._stopping.clear()
        self._revival.in_a_row = 0
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
        self._since = self._clock.monotonic()
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
            pause_s = self._revival.pause_after(self._clock.monotonic() - self._since)
            if pause_s is None:
                self.given_up = True
                LOG.error(
                    "%s ended with status %d, %d times in a row, and is not started again: see %s",
                    *(self.name, status, self._revival.in_a_row, self._log),
                )
                return
            LOG.warning("%s ended with status %d and is started again in %g s", self.name, status, pause_s)
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
