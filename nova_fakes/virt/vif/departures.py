"""Waiting for interfaces that the kernel is about to delete.

A namespace that nobody uses any more is taken down by the kernel's own thread, many of them at once; each interface
that goes is told to whoever listens on the group RTNLGRP_LINK (rtnetlink(7)).
"""

import _socket
import select
import socket
import time
from collections.abc import Iterable

from nova_fakes.virt.vif import netlink

__all__ = ["Departures"]

_RTMGRP_LINK = 1
_RECEIVE_BYTES = 1 << 16
#: Seconds between two looks, however quiet it is: where too much is told at once, the kernel leaves some out.
_LOOK_S = 0.5


class Departures:
    """A watch on interfaces of the calling thread's namespace; a context manager, for one thread at a time.

    `waiting` are the names of those that are still there.

    :param names: the interfaces that are to go
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._socket = _socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        try:
            self._socket.bind((0, _RTMGRP_LINK))
            self._list = netlink.Socket()
        except OSError:
            self._socket.close()
            raise
        self.waiting = set(names)
        self._look()

    def __enter__(self) -> "Departures":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop watching."""
        self._socket.close()
        self._list.close()

    def wait(self, timeout_s: float) -> bool:
        """Wait until all have gone; False where they have not by then."""
        deadline = time.monotonic() + timeout_s
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        while self.waiting and (rest := deadline - time.monotonic()) > 0:
            poll.poll(min(rest, _LOOK_S) * 1000)
            self._drain()
            self._look()
        return not self.waiting

    def _drain(self) -> None:
        """Take in what was told; how much of it does not matter."""
        while True:
            try:
                self._socket.recv(_RECEIVE_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                continue  # ENOBUFS: it was too much, which is why `_look` follows

    def _look(self) -> None:
        if self.waiting:
            self.waiting &= {link.name for link in self._list.links()}
