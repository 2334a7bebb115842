"""What the servers of directory and broker have in common: how they begin to take connections, and end."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.server import Server as LdapServer
from nova_fakes.listener import Listener
from nova_fakes.rabbit.server import Server as RabbitServer

PATIENCE_S = 20.0


class Mute(asyncio.Protocol):
    """Takes what comes, and goes neither on its own nor when it is asked to."""

    def __init__(self, listener: "Listener[Mute]") -> None:
        self.listener = listener
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.listener.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.listener.connections.discard(self)

    def abort(self) -> None:
        assert self.transport is not None
        self.transport.abort()


def connect(url: str) -> socket.socket:
    place = urlsplit(url)
    return socket.create_connection((place.hostname or "", place.port or 0), PATIENCE_S)


def is_ended(client: socket.socket) -> bool:
    with contextlib.suppress(ConnectionResetError):
        while client.recv(4096):
            pass
    return True


@pytest.mark.parametrize("make", [lambda: LdapServer(Directory()), lambda: RabbitServer()], ids=["ldap", "rabbit"])
def test_a_server_that_stops_as_clients_come_leaves_none_hanging(make: Callable[[], LdapServer | RabbitServer]) -> None:
    for _ in range(50):
        server = make()
        server.start()
        clients = [connect(server.urls[0]) for _ in range(3)]
        server.stop()
        for client in clients:
            with client:
                assert is_ended(client)


def listening(**given: object) -> "Listener[Mute]":
    listener: Listener[Mute] = Listener("mute", {"mute": 99, "mutes": 98}, lambda: Mute(listener), **given)  # type: ignore[arg-type]
    return listener


def test_a_handshake_that_never_ends_does_not_outlive_the_server() -> None:
    listener = listening(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    (url,) = listener.start(["mutes://127.0.0.1:0"])
    with connect(url) as client:
        listener.close(Mute.abort)
        listener.end()
        assert is_ended(client)


def test_who_does_not_go_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nova_fakes.listener.STOP_TIMEOUT_S", 0.5)
    listener = listening()
    (url,) = listener.start(["mute://127.0.0.1:0"])
    with connect(url) as client:
        asked: list[Mute] = []
        while not listener.connections:
            client.send(b".")
        listener.close(asked.append)
        listener.end()
        assert is_ended(client)
        assert len(asked) == 1


def test_a_path_is_gone_with_the_server(tmp_path: Path) -> None:
    listener = listening(path_scheme="mutei")
    path = tmp_path / "s"
    urls = listener.start([f"mutei://{str(path).replace('/', '%2F')}", "127.0.0.1:0"])
    assert path.is_socket()
    assert urls[1].startswith("mute://127.0.0.1:")
    listener.close(Mute.abort)
    listener.end()
    assert not path.exists()


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("other://x:1", r"give mute://host:port, mutes://host:port or mutei://%2Fpath"),
        ("mute://127.0.0.1:x", "give a number as the port"),
        ("mute://127.0.0.1:65536", "65535 at the most"),
        ("mutes://127.0.0.1:0", "mutes needs a certificate and its key"),
        ("mutei://%2Fnowhere%2Fat%2Fall", "No such file"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_and_nothing_listens(address: str, told: str) -> None:
    listener = listening(path_scheme="mutei")
    with pytest.raises(InvalidInput, match=told):
        listener.start(["mute://127.0.0.1:0", address])
    assert listener.loop.is_closed()
