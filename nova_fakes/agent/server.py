"""The agent's socket and what reads it: waitress, told who is at the other end.

waitress reads requests whole in one thread before it hands them to others, so that a slow client holds a few bytes of
memory and nothing else. What it lacks is done here: the peer's credentials, and an end for requests that never end.
"""

from __future__ import annotations

import errno
import grp
import logging
import os
import resource
import socket
import stat
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import UnixWSGIServer

from nova_fakes.agent import calls
from nova_fakes.agent.application import Application
from nova_fakes.agent.peers import Peer, peer_of
from nova_fakes.agent.service import Service
from nova_fakes.exceptions import InvalidInput, StateInUse

__all__ = ["THREADS", "Server", "listen"]

LOG = logging.getLogger(__name__)

#: Requests that wait for the realizer hold a thread each.
THREADS = 72
#: An idle connection is closed after this, and a request that is not whole by then is given up.
_IDLE_S = 60
_REQUEST_S = 30
_SWEEP_S = 2
_HEADER_BYTES = 16384
_BACKLOG = 1024
_CONNECTIONS = 4096
#: Users who are not served get an answer that tells them so, but not many at a time.
_REFUSED_CONNECTIONS = 64


def listen(path: Path, *, mode: int = 0o600, group: str | None = None) -> socket.socket:
    """Make the agent's socket and listen on it.

    :param mode: who may connect, as permissions; whom the agent serves is another question
    :param group: the group that the socket gets, by name or number
    :raises StateInUse: another agent listens there
    :raises InvalidInput: the path or group cannot be used
    """
    gid = -1 if group is None else _group(group)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _remove_stale(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            os.fchmod(sock.fileno(), 0)  # what bind makes has no permissions until it has its group
            sock.bind(os.fspath(path))
            _give(path, gid, mode)
            sock.listen(_BACKLOG)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        raise InvalidInput("socket", str(path), f"{error.strerror or error}; name a path that can be written") from None
    return sock


def _give(path: Path, gid: int, mode: int) -> None:
    """Give a socket its group and permissions.

    By a descriptor of the socket itself: where others may write to its directory, its name could lead to a file of
    root's by now, which they would get with it.
    """
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            raise InvalidInput("socket", str(path), "something else has taken its place; name a path of your own")
        here = f"/proc/self/fd/{fd}"
        os.chown(here, -1, gid)
        os.chmod(here, mode)
    finally:
        os.close(fd)


class _Channel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """A connection that knows since when a request has been arriving."""

    arriving_since: float | None = None

    def received(self, data: bytes) -> bool:
        """Take some of a request in."""
        if self.arriving_since is None:
            self.arriving_since = time.monotonic()
        whole = bool(super().received(data))
        if self.request is None:
            self.arriving_since = None
        return whole


class Server(UnixWSGIServer):  # type: ignore[misc]
    """Serves until it is told to stop.

    :param sock: listens already
    :param allowed: the user ids that are served
    """

    channel_class = _Channel

    def __init__(self, sock: socket.socket, service: Service, allowed: Collection[int]) -> None:
        self._service = service
        self._allowed = frozenset(allowed)
        self._stopping = False
        self._path = Path(sock.getsockname())
        self._inode = os.stat(self._path).st_ino
        adjustments = Adjustments(
            unix_socket=str(self._path),
            threads=THREADS,
            backlog=_BACKLOG,
            connection_limit=min(_CONNECTIONS, _raise_file_limit() // 2),
            channel_timeout=_IDLE_S,
            cleanup_interval=_SWEEP_S,
            max_request_header_size=_HEADER_BYTES,
            max_request_body_size=calls.MAX_BODY_BYTES,
            asyncore_use_poll=True,
            ident=None,
            clear_untrusted_proxy_headers=False,
        )
        application = Application(service, allowed, _peer_of)
        super().__init__(application, _sock=sock, adj=adjustments, bind_socket=False)

    def accept(self) -> tuple[socket.socket, Peer] | None:
        """Take a connection with its peer's credentials."""
        accepted = super().accept()
        if accepted is None:
            return None
        sock: socket.socket = accepted[0]
        peer = peer_of(sock)
        if peer.uid not in self._allowed and self._refused() >= _REFUSED_CONNECTIONS:
            sock.close()
            return None
        return sock, peer

    def fix_addr(self, addr: Peer) -> tuple[str, None]:
        """Return the peer as an address, which is what an application gets to see."""
        return f"{addr.pid} {addr.uid} {addr.gid}", None

    def maintenance(self, now: float) -> None:
        """Close connections that are idle, and those whose request does not come to its end."""
        super().maintenance(now)
        cutoff = time.monotonic() - _REQUEST_S
        for channel in self.active_channels.values():
            if channel.arriving_since is not None and channel.arriving_since < cutoff:
                channel.will_close = True

    def handle_error(self) -> None:
        """Log what went wrong with a connection, and go on."""
        LOG.warning("the server stumbled", exc_info=True)

    def run(self) -> None:
        """Serve until `stop`."""
        while not self._stopping:
            wasyncore.loop(timeout=1.0, use_poll=True, map=self._map, count=1)

    def stop(self) -> None:
        """Let `run` return; a signal handler may call it."""
        self._stopping = True
        self.pull_trigger()

    def drain(self, timeout_s: float) -> None:
        """Take no more connections, answer what was asked and close."""
        if self._path.exists() and os.stat(self._path).st_ino == self._inode:
            self._path.unlink()
        self.del_channel()
        self.socket.close()
        until = time.monotonic() + timeout_s
        while time.monotonic() < until and any(map(_unanswered, self.active_channels.values())):
            wasyncore.loop(timeout=0.05, use_poll=True, map=self._map, count=1)
        for channel in list(self.active_channels.values()):
            channel.handle_close()
        self.task_dispatcher.shutdown(cancel_pending=True, timeout=1)
        self.trigger.close()

    def _refused(self) -> int:
        return sum(_peer(channel.addr[0]).uid not in self._allowed for channel in self.active_channels.values())


def _unanswered(channel: Any) -> bool:
    return bool(channel.requests or channel.total_outbufs_len)


def _peer_of(environ: Mapping[str, Any]) -> Peer:
    return _peer(environ["REMOTE_ADDR"])


def _peer(address: str) -> Peer:
    pid, uid, gid = map(int, address.split())
    return Peer(pid, uid, gid)


def _group(group: str) -> int:
    if group.isdecimal():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise InvalidInput("group", group, "there is no such group; make it with groupadd") from None


def _remove_stale(path: Path) -> None:
    """Remove a socket on which nobody listens any more; anything else that is there is not ours to remove."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise InvalidInput("socket", str(path), "something other than a socket is there; name another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5.0)
        code = probe.connect_ex(os.fspath(path))
    if code not in (errno.ECONNREFUSED, errno.ENOENT):
        raise StateInUse(f"another agent listens on {path}; stop it first, or name another socket")
    path.unlink(missing_ok=True)


def _raise_file_limit() -> int:
    """Let the process open as many files as it may; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = 1 << 16
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard), hard))
    return max(soft, hard)
