"""Who is at the other end of a unix socket."""

import socket
import struct
from dataclasses import dataclass

__all__ = ["Peer", "peer_of"]

_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end of a connection, as the kernel tells (unix(7), ``SO_PEERCRED``)."""

    pid: int
    uid: int
    gid: int


def peer_of(sock: socket.socket) -> Peer:
    """Return who was at the other end when the connection was made."""
    return Peer(*_CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)))
