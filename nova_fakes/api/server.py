"""One listening socket for all services, told apart by the first segment of the path, as DevStack mounts them.

A thread per connection and HTTP/1.1 keep-alive. Anything that speaks WSGI can be mounted: the API fakes' Flask
applications as well as nova's and placement's own.
"""

from __future__ import annotations

import errno
import json
import logging
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from nova_fakes.api.connection import Connection, environ_base
from nova_fakes.exceptions import InvalidInput, PortTaken

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["Server"]

LOG = logging.getLogger(__name__)

BACKLOG = 512


class Server:
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
        self._mounts: dict[str, WSGIApplication] = {}
        for prefix, application in (mounts or {}).items():
            self.mount(prefix, application)
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
        self._base = environ_base(host, self.port)
        self._connections: dict[Connection, threading.Thread] = {}
        self._lock = threading.Lock()
        self._acceptor: threading.Thread | None = None
        self._stopping = threading.Event()

    @property
    def url(self) -> str:
        """The server's root, without a trailing slash: "http://127.0.0.1:8080"."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def mount(self, prefix: str, application: WSGIApplication) -> None:
        """Serve `application` under `prefix` ("/compute") from now on, in place of what was there.

        Raises:
            InvalidInput: the prefix is not one segment with a leading slash.
        """
        if not prefix.startswith("/") or "/" in prefix[1:] or len(prefix) < 2:
            raise InvalidInput("prefix", prefix, "give one path segment with a leading slash, such as '/identity'")
        self._mounts = {**self._mounts, prefix: application}

    def unmount(self, prefix: str) -> None:
        """Answer 404 under `prefix` from now on."""
        self._mounts = {key: application for key, application in self._mounts.items() if key != prefix}

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

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Hand a request to the application that its path names (PEP 3333)."""
        path: str = environ["PATH_INFO"]
        end = path.find("/", 1)
        prefix = path if end < 0 else path[:end]
        application = self._mounts.get(prefix)
        if application is not None:
            environ["SCRIPT_NAME"] = prefix
            environ["PATH_INFO"] = "/" if end < 0 else path[end:]
            return application(environ, start_response)
        return self._index(path, start_response)

    def _index(self, path: str, start_response: StartResponse) -> list[bytes]:
        body: dict[str, Any] = {"services": {prefix[1:]: self.url + prefix for prefix in sorted(self._mounts)}}
        status = "200 OK"
        if path != "/":
            status = "404 Not Found"
            known = ", ".join(sorted(self._mounts)) or "none"
            body["error"] = {
                "code": 404,
                "title": "Not Found",
                "message": f"{path}: no service is mounted there; there are: {known}",
            }
        data = json.dumps(body, indent=2).encode() + b"\n"
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
        return [data]

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
