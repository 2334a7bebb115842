"""Another agent on this machine, from which an instance can be taken over with its namespace.

The namespace is found as the other agent sees it, through its root directory. Whose word that is, the kernel tells: an
agent of our own user is believed and nobody else, who could have us take in a namespace that is none of an instance's.
"""

import os
import socket

from nova_fakes.agent import protocol
from nova_fakes.agent.client import Client
from nova_fakes.agent.peers import peer_of
from nova_fakes.exceptions import NovaFakesError
from nova_fakes.virt.vif import namespaces

__all__ = ["namespace_of"]


def namespace_of(socket_path: str, host: str, instance: str, deadline_s: float) -> str | None:
    """Return the path by which an instance of another agent can be reached here.

    None where it cannot: that agent is on another machine, belongs to another user, or has no such instance.

    :param host: the one of that agent's hosts on which the instance is
    """
    pid = _agent(socket_path, deadline_s)
    if pid is None:
        return None
    try:
        path = Client(socket_path, deadline_s=deadline_s, owner=os.geteuid()).call(protocol.Namespace(host, instance))
    except NovaFakesError:
        return None
    if path is None:
        return None
    here = f"/proc/{pid}/root{path}"
    return here if namespaces.inode(here) is not None else None


def _agent(socket_path: str, deadline_s: float) -> int | None:
    """Return the process that listens there, None where there is none of our user."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(deadline_s)
        try:
            sock.connect(socket_path)
        except OSError:
            return None
        peer = peer_of(sock)
    return peer.pid if peer.uid == os.geteuid() else None
