"""The privileged agent of a sandbox with the realizer `remote`: a process, gone with what it made when that ends."""

from __future__ import annotations

import sys
from pathlib import Path

from nova_fakes.agent.client import Client
from nova_fakes.agent.daemon import LEDGER_NAME
from nova_fakes.agent.protocol import Health
from nova_fakes.exceptions import AgentUnreachable, DeadlineExceeded, SandboxError
from nova_fakes.sandbox.revival import Revival
from nova_fakes.sandbox.state import StateDirectory
from nova_fakes.sandbox.supervisor import Supervised
from nova_fakes.virt.vif.cleanup import Cleaned, cleanup
from nova_fakes.virt.vif.ledger import Ledger

__all__ = ["SandboxAgent", "clean_up_agent"]

#: It answers what is under way first.
_STOP_S = 30.0
#: Between a death and the next start, seconds: at first, and at most. After so many deaths in a row it is left so.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _DEATHS = 0.1, 5.0, 6
#: How long one look at an agent that comes up may take, seconds.
_LOOK_S = 0.5


class SandboxAgent:
    """Keeps an agent with Linux bridges running for the hosts of a sandbox.

    One that dies is started again and finds in its ledger what the last one made; one that dies again and again at once
    is given up.

    :param ledger: where the process is written down first; what it makes is in a ledger of its own
    :param directory: where instances' namespaces get their names
    :param namespace: the name of one for the hosts' side
    """

    def __init__(self, state: StateDirectory, ledger: Ledger, directory: Path, namespace: str) -> None:
        self._state = state
        argv = [sys.executable, "-m", "nova_fakes", "agent", "--allow-exec", "--socket", state.agent_socket]
        argv += ["--state", state.agent, "--audit", state.agent_log.with_suffix(".jsonl")]
        argv += ["--netns", directory, "--fabric", namespace]
        revival = Revival(first_s=_FIRST_PAUSE_S, longest_s=_LONGEST_PAUSE_S, deaths=_DEATHS)
        self._client = Client(state.agent_socket, deadline_s=_LOOK_S)
        self._program = Supervised(ledger, "agent", list(map(str, argv)), state.agent_log, revival)

    @property
    def state(self) -> str:
        """How it is: ``up``, ``starting`` where it is to be started again, or ``failed`` where it is not."""
        if self._program.given_up:
            return "failed"
        return "up" if self._program.pid is not None else "starting"

    @property
    def pid(self) -> int | None:
        """The process's id; None while it does not run."""
        return self._program.pid

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return self._program.restarts

    def wait_until_ready(self) -> None:
        """Wait until the agent answers.

        :raises SandboxError: it has ended instead
        """
        while not self._program.restarts and not self._program.given_up:
            try:
                self._client.call(Health())
            except (AgentUnreachable, DeadlineExceeded):
                continue  # the client has waited already
            return
        tail = self._state.agent_log.read_text(errors="replace").splitlines()[-3:]
        raise SandboxError(f"the agent did not come up: {' '.join(tail)}; see {self._state.agent_log}")

    def stop(self) -> None:
        """End the agent and remove what it made.

        :raises SandboxError: some of it stays
        """
        self._client.close()
        self._program.stop(_STOP_S)
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
