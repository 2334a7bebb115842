"""A broker on TCP and TLS, in one asyncio loop and a thread of its own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from nova_fakes.clock import SystemClock
from nova_fakes.exceptions import InvalidInput
from nova_fakes.listener import Listener
from nova_fakes.rabbit.broker import Broker
from nova_fakes.rabbit.errors import HardError
from nova_fakes.rabbit.pacer import Pacer
from nova_fakes.rabbit.ticker import Ticker
from nova_fakes.rabbit.wire.connection import Connection
from nova_fakes.rabbit.wire.limits import Limits

__all__ = ["Server"]

BACKLOG = 4096
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
        self._listen = listen
        self._listener = Listener("rabbit", PORTS, lambda: _Client(self), tls=tls, backlog=BACKLOG)
        self.clients = self._listener.connections
        self.call_soon = self._listener.call_soon
        has_real_time = isinstance(self.broker.clock, SystemClock)
        self._ticker = Ticker(self.broker, self._listener.loop) if has_real_time else Pacer(self.broker)

    @property
    def is_own_thread(self) -> bool:
        """Whether the caller is the server's thread."""
        return self._listener.is_own_thread

    def start(self) -> None:
        """Listen, and answer in a thread of the server's own. `urls` tells where, with the ports that were free.

        :raises InvalidInput: where an address cannot be used
        """
        self._ticker.start()
        try:
            self.urls = self._listener.start(self._listen)
        except InvalidInput:
            self._ticker.stop()
            raise

    def stop(self) -> None:
        """Tell all clients, end their connections and listen no more."""
        self._listener.close(self._dismiss)
        self._ticker.stop()
        self._listener.end()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port of the first address."""
        return int(self.urls[0].rpartition(":")[2])

    def _dismiss(self, client: _Client) -> None:
        session = None if client.connection is None else client.connection.session
        with self.broker:
            if session is not None and not session.is_closed:
                reason = "broker forced connection closure with reason 'shutdown'"
                session.end(HardError("CONNECTION_FORCED", reason, (0, 0)))
        client.close()
