"""One listening socket for all services, whose applications it mounts side by side.

A thread per connection and HTTP/1.1 keep-alive. Anything that speaks WSGI can be mounted: the API fakes' Flask
applications as well as nova's and placement's own.
"""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nova_fakes.api.connection import Connection, environ_base
from nova_fakes.api.mounts import Mounts
from nova_fakes.exceptions import InvalidInput, PortTaken

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["Server"]

LOG = logging.getLogger(__name__)

BACKLOG = 512


class Server(Mounts):
    """Serve WSGI applications, each under its own prefix, on one TCP port.

    The socket listens from the beginning, so that `port` and `url` are known before the applications that mention them
    in their catalogs exist; requests wait until `start`. Usable as a context manager.

    Args:
        mounts: application by prefix ("/identity"); one segment with a leading slash. More can be added by `mount`.
        host: address to listen on.
        port: TCP port; 0 takes a free one.

    Raises:
        PortTaken: another program listens there.
        InvalidInput: a prefix is not one segment with a leading slash.
    """

    def __init__(
        self, mounts: Mapping[str, WSGIApplication] | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((host, port))
            self._listener.listen(BACKLOG)
        except OSError as error:
            self._listener.close()
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(
                    f"port {port} of {host} is in use by another program: stop that one, or choose another port "
                    f"(0 takes any free one)"
                ) from error
            raise
        self.host = host
        self.port: int = self._listener.getsockname()[1]
        try:
            super().__init__(f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}", mounts)
        except InvalidInput:
            self._listener.close()
            raise
        self._base = environ_base(host, self.port)
        self._connections: dict[Connection, threading.Thread] = {}
        self._lock = threading.Lock()
        self._acceptor: threading.Thread | None = None
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to accept connections, in a thread of its own; does nothing if it runs already.

        Raises:
            InvalidInput: the server has been stopped; its socket is gone.
        """
        if self._stopping.is_set():
            raise InvalidInput("server", self.url, "it has been stopped; make a new one")
        if self._acceptor is None:
            self._acceptor = threading.Thread(target=self._accept, name=f"api-{self.port}", daemon=True)
            self._acceptor.start()

    def stop(self, grace_s: float = 5.0) -> None:
        """Stop accepting, let requests under way finish, close idle connections at once; idempotent.

        Args:
            grace_s: how long requests under way may take before their connections are cut.
        """
        with self._lock:
            self._stopping.set()
            connections = dict(self._connections)
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept(); close() alone would not
        except OSError:
            pass  # stopped before
        if self._acceptor is not None:
            self._acceptor.join()
        self._listener.close()
        for connection in connections:
            connection.finish()
        for connection in connections:
            connection.close_if_idle()
        deadline = time.monotonic() + grace_s
        for thread in connections.values():
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            late = dict(self._connections)
        for connection in late:
            connection.abort()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                sock, peer = self._listener.accept()
            except OSError as error:
                if self._stopping.is_set():
                    return
                # Out of descriptors, or a client that was gone before we came: the next one may do.
                LOG.warning("accept on %s: %s", self.url, error)
                self._stopping.wait(0.05)
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(sock, peer[:2], self, self._base)
            thread = threading.Thread(target=self._serve, args=(connection,), name=f"api-{peer[1]}", daemon=True)
            with self._lock:
                if self._stopping.is_set():
                    sock.close()
                    return
                self._connections[connection] = thread
            thread.start()

    def _serve(self, connection: Connection) -> None:
        try:
            connection.serve()
        finally:
            with self._lock:
                self._connections.pop(connection, None)
