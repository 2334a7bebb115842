"""Starts the daemon of a sandbox and waits until its API answers."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from nova_fakes import exceptions
from nova_fakes.exceptions import SandboxError, StateInUse
from nova_fakes.sandbox.agent import clean_up_agent
from nova_fakes.sandbox.client import Client
from nova_fakes.sandbox.spec import Progress, SandboxSpec, default_state
from nova_fakes.sandbox.state import StateDirectory
from nova_fakes.virt.vif.cleanup import cleanup as cleanup_ledger
from nova_fakes.virt.vif.ledger import Entry, Ledger

__all__ = ["Progress", "SandboxSpec", "cleanup", "default_state", "up"]

LOG = logging.getLogger(__name__)

_STOP_S = 30.0

#: What a daemon's failure is told as, rather than as a sandbox that did not come up.
_TOLD = (StateInUse, exceptions.PortTaken, exceptions.NamespacesUnavailable, exceptions.OpenVSwitchMissing)
_EXTRA_MODULES = ("flask", "jinja2", "openstack", "placement")


def up(
    spec: SandboxSpec,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    *,
    lifeline: int | None = None,
) -> Client:
    """Start a sandbox and return when its API answers.

    What an earlier sandbox on the same directory left behind after a crash is removed first.

    :param on_progress: told of each service as it comes up
    :param lifeline: a pipe's end for reading; the sandbox ends when nobody has the other end open
    :raises StateInUse: another sandbox runs on the state directory
    :raises PortTaken: the port is in use
    :raises NamespacesUnavailable: the realizer needs network namespaces and this machine allows none
    :raises OpenVSwitchMissing: the realizer needs Open vSwitch and this machine lacks it
    :raises SandboxError: the daemon did not come up; the message ends with the last lines of its log
    """
    missing = [name for name in _EXTRA_MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise SandboxError(
            f"a sandbox needs {', '.join(missing)}, which this environment lacks: pip install 'nova-fakes[sandbox]'"
        )
    state = StateDirectory(spec.state)
    state.prepare()
    if state.in_use():
        state.acquire()  # raises, and names the owner
    cleanup(spec.state)
    state.spec.write_text(spec.to_json())
    reader, writer = os.pipe()
    inherited = [writer] if lifeline is None else [writer, lifeline]
    with state.daemon_log.open("ab") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "nova_fakes.sandbox.daemon", str(state.root), *map(str, inherited)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=inherited,
            start_new_session=True,
        )
    os.close(writer)
    failure: Progress | None = None
    try:
        with os.fdopen(reader) as lines:
            for line in lines:
                progress = Progress.from_json(line)
                if progress.service == "sandbox":
                    if progress.state == "ready":
                        return Client(spec.state)
                    failure = progress
                else:
                    on_progress(progress)
        daemon.wait(_STOP_S)
    except BaseException:
        _end(daemon)
        cleanup(spec.state)
        raise
    cleanup(spec.state)
    raise _failure(failure, daemon, state)


def cleanup(state: Path) -> list[Entry]:
    """Remove what a sandbox that was killed left outside its state directory.

    :returns: the entries that were removed
    :raises StateInUse: the sandbox still runs
    """
    directory = StateDirectory(state)
    if not directory.ledger.exists():
        return []
    if directory.in_use():
        directory.acquire()
    with Ledger(directory.ledger) as ledger:
        cleaned = cleanup_ledger(ledger)
    agents = clean_up_agent(directory)  # whose process was in the sandbox's ledger
    for entry, reason in (*cleaned.kept, *agents.kept):
        LOG.warning("%s %s was left where it is: %s", entry.kind, entry.name, reason)
    directory.control_socket.unlink(missing_ok=True)
    return [*cleaned.removed, *agents.removed]


def _end(daemon: subprocess.Popen[bytes]) -> None:
    """Stop a daemon that is still starting: politely, then for certain."""
    if daemon.poll() is None:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def _failure(progress: Progress | None, daemon: subprocess.Popen[bytes], state: StateDirectory) -> Exception:
    """Return the exception for a daemon that did not come up."""
    if progress is not None:
        kind, _, message = progress.detail.partition(": ")
        error = getattr(exceptions, kind, None)
        if error in _TOLD:
            return error(message)  # type: ignore[no-any-return]
    tail = "\n".join(state.daemon_log.read_text(errors="replace").splitlines()[-15:])
    reason = progress.detail if progress else f"its process ended with status {daemon.returncode}"
    return SandboxError(f"the sandbox did not come up: {reason}\n--- the end of {state.daemon_log} ---\n{tail}")
