"""A broker on TCP and TLS, in one asyncio loop and a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from nova_fakes.exceptions import InvalidInput
from nova_fakes.rabbit.broker import Broker
from nova_fakes.rabbit.errors import HardError
from nova_fakes.rabbit.ticker import Ticker
from nova_fakes.rabbit.wire.connection import Connection
from nova_fakes.rabbit.wire.limits import Limits

__all__ = ["Server"]

BACKLOG = 4096
STOP_TIMEOUT_S = 10.0
PORTS = {"amqp": 5672, "amqps": 5671}


class _Client(asyncio.Protocol):
    """One client's socket; a :class:`nova_fakes.rabbit.wire.connection.Wire`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._is_full = False
        self.connection: Connection | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport  # type: ignore[assignment]
        limits = self._server.limits
        transport.set_write_buffer_limits(high=limits.delivery_octets)  # type: ignore[attr-defined]
        peer, here = transport.get_extra_info("peername") or ("", 0), transport.get_extra_info("sockname") or ("", 0)
        details = {
            "name": f"{peer[0]}:{peer[1]} -> {here[0]}:{here[1]}",
            "peer_host": peer[0],
            "peer_port": peer[1],
            "host": here[0],
            "port": here[1],
            "protocol": "AMQP 0-9-1",
            "ssl": transport.get_extra_info("sslcontext") is not None,
        }
        certificate = transport.get_extra_info("peercert")
        with self._server.broker:
            self.connection = Connection(self._server.broker, self, limits, certificate or None, details)
        self.data_received = self.connection.receive  # type: ignore[method-assign]
        self._server.clients.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the client."""
        self._server.clients.discard(self)
        if self.connection is not None:
            self.connection.lost()

    def pause_writing(self) -> None:
        """Deliver nothing more to a client that does not read."""
        self._is_full = True
        if self.connection is not None and self.connection.session is not None:
            self.connection.session.pause()

    def resume_writing(self) -> None:
        """Deliver again."""
        self._is_full = False
        if self.connection is not None:
            self.connection.drained()

    def write(self, octets: bytes) -> None:
        """Send octets."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.write(octets)

    def unread(self) -> int:
        """Return how many octets the client has not read."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def close(self) -> None:
        """End after what has been written."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End at once."""
        if self._server.is_own_thread:
            if self._transport is not None:
                self._transport.abort()
        else:
            self._server.call_soon(self.abort)

    def is_foreign(self) -> bool:
        """Tell whether the caller's thread is another one than the server's."""
        return not self._server.is_own_thread

    def soon(self, action: Callable[[], None]) -> None:
        """Have something done by the server's thread."""
        self._server.call_soon(action)

    def is_full(self) -> bool:
        """Tell whether much has been written that the client has not read."""
        return self._is_full

    def hold(self, is_held: bool) -> None:
        """Read nothing more for now, or go on."""
        if self.is_foreign():
            self.soon(lambda: self.hold(is_held))
            return
        transport = self._transport
        if transport is not None and not transport.is_closing():
            (transport.pause_reading if is_held else transport.resume_reading)()


class Server:
    """Serves one broker on any number of addresses.

    :param broker: what is served; None: a new one
    :param listen: `amqp://host:port` or `amqps://host:port`, or without a scheme; port 0 for a free one
    :param tls: for amqps; ask in it for clients' certificates where the mechanism EXTERNAL shall take them
    """

    def __init__(
        self,
        broker: Broker | None = None,
        listen: tuple[str, ...] = ("amqp://127.0.0.1:0",),
        *,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.broker = broker or Broker()
        self.tls = tls
        self.limits = limits or Limits()
        self.urls: list[str] = []
        self.clients: set[_Client] = set()
        self._listen = listen
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="rabbit", daemon=True)
        self._ticker = Ticker(self.broker, self._loop)

    @property
    def is_own_thread(self) -> bool:
        """Whether the caller is the server's thread."""
        return threading.get_ident() == self._thread.ident

    def call_soon(self, action: Callable[[], None]) -> None:
        """Have something done by the server's thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended, and all connections with it
            self._loop.call_soon_threadsafe(action)

    def start(self) -> None:
        """Listen, and answer in a thread of the server's own. `urls` tells where, with the ports that were free.

        :raises InvalidInput: where an address cannot be used
        """
        self._thread.start()
        self._ticker.start()
        try:
            for address in self._listen:
                self.urls.append(self._call(self._open(address)))
        except InvalidInput:
            self.stop()
            raise

    def stop(self) -> None:
        """Tell all clients, end their connections and listen no more."""
        self._call(self._close())
        self._ticker.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_TIMEOUT_S)
        self._loop.close()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port of the first address."""
        return int(self.urls[0].rpartition(":")[2])

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(STOP_TIMEOUT_S)

    async def _open(self, address: str) -> str:
        scheme, separator, rest = address.rpartition("://")
        scheme = scheme if separator else "amqp"
        if scheme not in PORTS:
            raise InvalidInput("listen", address, "give amqp://host:port or amqps://host:port")
        host, colon, port = rest.rstrip("/").rpartition(":")
        if not colon or "]" in port:
            host, port = rest.rstrip("/"), str(PORTS[scheme])
        if not port.isdecimal():
            raise InvalidInput("listen", address, "give a number as the port")
        tls = self.tls if scheme == "amqps" else None
        if scheme == "amqps" and tls is None:
            raise InvalidInput("listen", address, "amqps needs a certificate and its key")
        try:
            server = await self._loop.create_server(
                lambda: _Client(self), host.strip("[]") or None, int(port), ssl=tls, backlog=BACKLOG
            )
        except OSError as error:
            raise InvalidInput("listen", address, error.strerror or str(error)) from None
        self._servers.append(server)
        return f"{scheme}://{host or '127.0.0.1'}:{server.sockets[0].getsockname()[1]}"

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        reason = "broker forced connection closure with reason 'shutdown'"
        with self.broker:
            for client in list(self.clients):
                session = None if client.connection is None else client.connection.session
                if session is not None and not session.is_closed:
                    session.end(HardError("CONNECTION_FORCED", reason, (0, 0)))
        for client in list(self.clients):
            client.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closed(), STOP_TIMEOUT_S / 2)
        for client in list(self.clients):
            client.abort()

    async def _closed(self) -> None:
        while self.clients:
            await asyncio.sleep(0.001)
