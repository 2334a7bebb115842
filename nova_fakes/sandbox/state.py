"""The state directory of a sandbox: what lies where in it, and who owns it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from pathlib import Path

from nova_fakes.exceptions import InvalidInput, StateInUse

__all__ = ["StateDirectory"]

# sockaddr_un holds 108 bytes with the closing zero (unix(7)).
_SOCKET_PATH_BYTES = 107


class StateDirectory:
    """Paths below one directory, and the lock that makes one daemon its owner.

    :param root: the directory; made on :meth:`prepare`, readable by its owner alone since it holds passwords
    :raises InvalidInput: when a unix socket below it would have too long a path
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root.expanduser()))
        if len(os.fsencode(self.control_socket)) > _SOCKET_PATH_BYTES:
            raise InvalidInput("state", str(self.root), "choose a directory with a shorter path: a socket lies in it")
        self._lock_fd: int | None = None

    @property
    def spec(self) -> Path:
        """What was asked of the sandbox, JSON."""
        return self.root / "sandbox.json"

    @property
    def etc(self) -> Path:
        """Configuration files of the services."""
        return self.root / "etc"

    @property
    def logs(self) -> Path:
        """One log file a service."""
        return self.root / "logs"

    @property
    def databases(self) -> Path:
        """SQLite files."""
        return self.root / "databases"

    @property
    def images(self) -> Path:
        """Bytes of images."""
        return self.root / "images"

    @property
    def hypervisors(self) -> Path:
        """What the fake hypervisors remember over a restart."""
        return self.root / "hypervisors"

    @property
    def journal(self) -> Path:
        """The file of their journal."""
        return self.hypervisors / "journal.sqlite"

    @property
    def saved(self) -> Path:
        """What the API fakes remember over a restart."""
        return self.root / "api"

    @property
    def ledger(self) -> Path:
        """What was made outside this directory."""
        return self.root / "ledger"

    @property
    def namespaces(self) -> Path:
        """Where an ordinary user's network namespaces are mounted."""
        return self.root / "netns"

    @property
    def switch(self) -> Path:
        """The run directory of a sandbox's own Open vSwitch; made and removed by it."""
        return self.root / "ovs"

    @property
    def agent(self) -> Path:
        """Where the agent of a sandbox with the realizer `remote` keeps its ledger."""
        return self.root / "agent"

    @property
    def agent_socket(self) -> Path:
        """The agent listens here."""
        return self.root / "agent.sock"

    @property
    def agent_log(self) -> Path:
        """What the agent prints; its audit log lies beside it."""
        return self.logs / "agent.log"

    @property
    def control_socket(self) -> Path:
        """The daemon listens here."""
        return self.root / "control.sock"

    @property
    def clouds(self) -> Path:
        """The clouds.yaml for OpenStack clients."""
        return self.root / "clouds.yaml"

    @property
    def daemon_log(self) -> Path:
        """What the daemon itself prints."""
        return self.logs / "daemon.log"

    def prepare(self) -> None:
        """Make the directory and what belongs in it."""
        if self.root.exists() and not self.root.is_dir():
            raise InvalidInput("state", str(self.root), "it is not a directory: choose another path")
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for directory in (
            self.etc,
            self.logs,
            self.databases,
            self.images,
            self.hypervisors,
            self.saved,
            self.namespaces,
        ):
            directory.mkdir(exist_ok=True, mode=0o700)

    def acquire(self) -> None:
        """Become the owner until the process ends.

        :raises StateInUse: when another process is
        """
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 32).decode().strip() or "unknown"
            os.close(descriptor)
            raise StateInUse(
                f"state directory {self.root} is in use by a running sandbox (process {owner}): "
                f"stop it with 'nova-fakes down --state {self.root}', or name another directory with --state"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._lock_fd = descriptor

    def release(self) -> None:
        """Give the ownership up."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def in_use(self) -> bool:
        """Tell whether a process owns the directory."""
        try:
            self.acquire()
        except StateInUse:
            return True
        except FileNotFoundError:
            return False
        self.release()
        return False

    def passwords(self) -> dict[str, str]:
        """Return the passwords of the sandbox's users by user name, drawn once per state directory."""
        path = self.root / "passwords.json"
        if path.exists():
            loaded: dict[str, str] = json.loads(path.read_text())
            return loaded
        drawn = {name: secrets.token_urlsafe(18) for name in ("admin", "demo", "service")}
        write_private(path, json.dumps(drawn))
        return drawn


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone may read, whole or not at all."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    temporary.replace(path)
