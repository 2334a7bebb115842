"""Sockets on which a fake server takes connections, in an asyncio loop and a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import quote, unquote

from nova_fakes.exceptions import InvalidInput

__all__ = ["Connection", "Listener"]

STOP_TIMEOUT_S = 10.0


class Connection(Protocol):
    """One client of a server; it puts itself into the listener's `connections`, and takes itself out when it ends."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""

    def connection_lost(self, error: Exception | None) -> None:
        """End."""

    def abort(self) -> None:
        """Give the client up without a word."""


Client = TypeVar("Client", bound=Connection)


class Listener(Generic[Client]):
    """Takes connections on any number of addresses.

    :param name: of its thread
    :param ports: the schemes of its addresses, each with the port where an address names none
    :param client: makes what a new connection talks to
    :param tls: for the schemes that end in `s`
    :param path_scheme: the scheme of UNIX sockets, whose addresses are `scheme://%2Fpath`
    :param backlog: how many connections wait to be taken
    """

    def __init__(
        self,
        name: str,
        ports: Mapping[str, int],
        client: Callable[[], Client],
        *,
        tls: ssl.SSLContext | None = None,
        path_scheme: str | None = None,
        backlog: int = 100,
    ) -> None:
        self.connections: set[Client] = set()
        self.loop = asyncio.new_event_loop()
        self._ports = ports
        self._client = client
        self._tls = tls
        self._path_scheme = path_scheme
        self._backlog = backlog
        self._servers: list[asyncio.Server] = []
        self._paths: list[Path] = []
        self._is_closing = False
        self._thread = threading.Thread(target=self.loop.run_forever, name=name, daemon=True)

    @property
    def is_own_thread(self) -> bool:
        """Whether the caller is the listener's thread."""
        return threading.get_ident() == self._thread.ident

    def start(self, addresses: Iterable[str]) -> list[str]:
        """Listen.

        :returns: the URLs, with the ports that were free
        :raises InvalidInput: an address cannot be used; nothing listens then
        """
        self._thread.start()
        try:
            return [self._call(self._open(address)) for address in addresses]
        except InvalidInput:
            self.close(lambda client: client.abort())
            self.end()
            raise

    def call_soon(self, action: Callable[[], None]) -> None:
        """Have something done by the thread, unless that has ended, and all connections with it."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(action)

    def close(self, farewell: Callable[[Client], None]) -> None:
        """Listen no more, and end all connections.

        :param farewell: tells one client, and closes it; who does not go in time is aborted
        """
        self._call(self._close(farewell))

    def end(self) -> None:
        """End the loop and its thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(STOP_TIMEOUT_S)
        self.loop.close()
        for path in self._paths:
            path.unlink(missing_ok=True)

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(STOP_TIMEOUT_S)

    async def _open(self, address: str) -> str:
        scheme, separator, rest = address.rpartition("://")
        scheme = scheme if separator else next(iter(self._ports))
        try:
            if scheme == self._path_scheme:
                return await self._open_path(scheme, Path(unquote(rest.split("/", 1)[0])))
            return await self._open_port(address, scheme, rest.split("/", 1)[0])
        except OSError as error:
            raise InvalidInput("listen", address, error.strerror or str(error)) from None

    async def _open_path(self, scheme: str, path: Path) -> str:
        self._servers.append(await self.loop.create_unix_server(self._make, str(path), backlog=self._backlog))
        self._paths.append(path)
        return f"{scheme}://{quote(str(path), safe='')}"

    async def _open_port(self, address: str, scheme: str, place: str) -> str:
        if scheme not in self._ports:
            forms = [f"{one}://host:port" for one in self._ports]
            forms += [f"{self._path_scheme}://%2Fpath"] if self._path_scheme is not None else []
            raise InvalidInput("listen", address, f"give {', '.join(forms[:-1])} or {forms[-1]}")
        host, colon, port = place.rpartition(":")
        if not colon or "]" in port:
            host, port = place, str(self._ports[scheme])
        if not port.isdecimal() or int(port) > 65535:
            raise InvalidInput("listen", address, "give a number as the port, 65535 at the most")
        tls = self._tls if scheme.endswith("s") else None
        if scheme.endswith("s") and tls is None:
            raise InvalidInput("listen", address, f"{scheme} needs a certificate and its key")
        server = await self.loop.create_server(
            self._make, host.strip("[]") or None, int(port), ssl=tls, backlog=self._backlog
        )
        self._servers.append(server)
        return f"{scheme}://{host or '127.0.0.1'}:{server.sockets[0].getsockname()[1]}"

    def _make(self) -> Any:
        return _TooLate() if self._is_closing else self._client()

    async def _close(self, farewell: Callable[[Client], None]) -> None:
        await self._take_no_more()
        for connection in list(self.connections):
            farewell(connection)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_gone(), STOP_TIMEOUT_S / 2)
        for connection in list(self.connections):
            connection.abort()

    async def _take_no_more(self) -> None:
        self._is_closing = True
        for server in self._servers:
            for sock in server.sockets:
                self.loop.remove_reader(sock.fileno())
        # What was accepted a moment ago meets its transport in the loop's next round. Were the server closed by then,
        # asyncio would leave its socket open, and the client waiting.
        await asyncio.sleep(0)
        for server in self._servers:
            server.close()
        unfinished = asyncio.all_tasks() - {asyncio.current_task()}  # TLS handshakes
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)

    async def _all_gone(self) -> None:
        while self.connections:
            await asyncio.sleep(0.001)


class _TooLate(asyncio.Protocol):
    """Who comes while the server ends."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.abort()  # type: ignore[attr-defined]
