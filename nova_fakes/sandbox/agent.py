"""The privileged agent of a sandbox with the realizer `remote`: a process, gone with what it made when that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from nova_fakes.agent.daemon import LEDGER_NAME
from nova_fakes.exceptions import SandboxError
from nova_fakes.sandbox.state import StateDirectory
from nova_fakes.virt.vif.cleanup import Cleaned, cleanup
from nova_fakes.virt.vif.ledger import Ledger, start_ticks

__all__ = ["SandboxAgent", "clean_up_agent"]

#: It answers what is under way first.
_STOP_S = 30.0


class SandboxAgent:
    """Runs an agent with Linux bridges for the hosts of a sandbox.

    :param ledger: where the process is written down first; what it makes is in a ledger of its own
    :param directory: where instances' namespaces get their names
    :param namespace: the name of one for the hosts' side
    """

    def __init__(self, state: StateDirectory, ledger: Ledger, directory: Path, namespace: str) -> None:
        self._state = state
        self._ledger = ledger
        self._entry = ledger.add("process", "agent")
        argv = [sys.executable, "-m", "nova_fakes", "agent", "--allow-exec", "--socket", state.agent_socket]
        argv += ["--state", state.agent, "--audit", state.agent_log.with_suffix(".jsonl")]
        argv += ["--netns", directory, "--fabric", namespace]
        with state.agent_log.open("ab") as log:
            self._process = subprocess.Popen(
                list(map(str, argv)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **self._entry.environment},
                start_new_session=True,
            )
        pid = self._process.pid
        self._entry = ledger.note(self._entry, pid=pid, start_ticks=start_ticks(pid))

    def wait_until_ready(self) -> None:
        """Wait until the agent answers.

        :raises SandboxError: it has ended instead
        """
        assert self._process.stdout is not None
        if b"ready" not in self._process.stdout.readline():
            tail = self._state.agent_log.read_text(errors="replace").splitlines()[-3:]
            raise SandboxError(f"the agent did not come up: {' '.join(tail)}; see {self._state.agent_log}")

    def stop(self) -> None:
        """End the agent and remove what it made.

        :raises SandboxError: some of it stays
        """
        with self._process:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM)
                try:
                    self._process.wait(_STOP_S)
                except subprocess.TimeoutExpired:
                    self._process.kill()
        self._ledger.done(self._entry)
        kept = clean_up_agent(self._state).kept
        if kept:
            raise SandboxError(f"{kept[0][0].name} stays where it is: {kept[0][1]}")


def clean_up_agent(state: StateDirectory) -> Cleaned:
    """Remove what a sandbox's agent made, once it has ended.

    :raises StateInUse: it still runs
    """
    path = state.agent / LEDGER_NAME
    if not path.exists():
        return Cleaned((), ())
    with Ledger(path) as ledger:
        cleaned = cleanup(ledger)
    state.agent_socket.unlink(missing_ok=True)
    return cleaned
