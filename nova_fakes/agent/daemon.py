"""The agent as a process: takes its ledger, finds again what an earlier one left, serves, and ends on a signal.

What it made stays when it ends, for the instances are not its own; the next agent on the ledger has them again.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from nova_fakes.agent.audit import Audit
from nova_fakes.agent.hosts import Hosts
from nova_fakes.agent.service import Service
from nova_fakes.exceptions import InvalidInput
from nova_fakes.virt.vif import namespaces
from nova_fakes.virt.vif.ledger import Ledger

__all__ = ["LEDGER_NAME", "Settings", "open_anew", "serve"]

LOG = logging.getLogger(__name__)

LEDGER_NAME = "ledger"
#: What is under way when the agent ends may take so long to be answered, seconds.
_GRACE_S = 10.0
#: How many may wait: more than there are connections that wait, for each may bring a batch.
_REQUESTS = 512


@dataclass(frozen=True, slots=True)
class Settings:
    """How an agent is to run.

    `state` holds the ledger; `mode` and `group` say who may connect to `socket`, `allowed` which user ids are served.
    `directory` is where namespaces get their names: None is ``/run/netns``, in a user namespace a directory in `state`.
    `namespace` names one for the hosts' side of it all: None is the process's own. `gather_s`: None leaves that to the
    fabric. `allow_exec` has it run commands inside instances, each as the user who asks.
    """

    socket: Path
    state: Path
    realizer: str = "bridge"
    options: Mapping[str, str] = field(default_factory=dict)
    mode: int = 0o600
    group: str | None = None
    allowed: Collection[int] = ()
    audit: Path | None = None
    directory: Path | None = None
    namespace: str | None = None
    gather_s: float | None = None
    allow_exec: bool = False


def serve(settings: Settings, on_ready: Callable[[], None] = lambda: None) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP opens the audit log anew. For a process's main thread.

    :raises StateInUse: another agent has the ledger or the socket
    :raises RealizerError: the realizer cannot be made here
    :raises InvalidInput: a setting cannot be used
    """
    from nova_fakes.agent.server import Server, listen

    with ExitStack() as cleanup:
        ledger = cleanup.enter_context(Ledger(settings.state / LEDGER_NAME))
        audit = Audit(settings.audit)
        hosts = Hosts(
            settings.realizer,
            ledger,
            directory=_directory(settings),
            namespace=settings.namespace,
            options=settings.options,
        )
        service = Service(hosts, audit, gather_s=settings.gather_s, limit=_REQUESTS, allow_exec=settings.allow_exec)
        cleanup.callback(service.close, _GRACE_S)
        sock = listen(settings.socket, mode=settings.mode, group=settings.group)
        server = Server(sock, service, settings.allowed or (os.geteuid(),))
        cleanup.callback(server.drain, _GRACE_S)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.stop())
        signal.signal(signal.SIGHUP, lambda *_: open_anew(audit))
        LOG.info("serving on %s with realizer %s, ledger %s", settings.socket, settings.realizer, ledger.path)
        _notify("READY=1")
        on_ready()
        server.run()
        _notify("STOPPING=1")
    LOG.info("ended; what was made stays")


def open_anew(audit: Audit) -> None:
    """Open the audit log anew; where that cannot be, the agent goes on with the one that it has."""
    try:
        audit.reopen()
    except InvalidInput:
        LOG.exception("the audit log stays where it is")


def _directory(settings: Settings) -> Path | None:
    if settings.directory is None and namespaces.in_user_namespace():
        return settings.state / "netns"
    return settings.directory


def _notify(message: str) -> None:
    """Tell systemd, where it started us (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.connect(f"\0{address[1:]}" if address.startswith("@") else address)
        sock.sendall(message.encode())
