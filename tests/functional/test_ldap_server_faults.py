"""Fault rules of a directory as clients of its server meet them."""

import socket
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from ldap_client import Client

from nova_fakes.clock import ManualClock
from nova_fakes.delays import Constant
from nova_fakes.ldap import ber, messages
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.misfortune import DirectoryFault
from nova_fakes.ldap.results import ResultCode
from nova_fakes.ldap.server import Server

SUFFIX = "dc=example,dc=com"
ROOT = f"cn=admin,{SUFFIX}"
Connect = Callable[[], socket.socket]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def directory(clock: ManualClock) -> Directory:
    made = Directory(SUFFIX, clock=clock)
    root = made.identity(made.root_dn)
    made.add(root, SUFFIX, [("objectClass", [b"dcObject", b"organization"]), ("o", [b"x"])])
    for name in ("a", "b", "c"):
        made.add(root, f"ou={name},{SUFFIX}", [("objectClass", [b"organizationalUnit"])])
    made.log.clear()
    return made


@pytest.fixture
def connect(directory: Directory) -> Iterator[Connect]:
    sockets: list[socket.socket] = []
    with Server(directory) as server:
        parts = urlsplit(server.urls[0])

        def made() -> socket.socket:
            sockets.append(socket.create_connection((parts.hostname or "", parts.port or 0), 10))
            return sockets[-1]

        yield made
        for one in sockets:
            one.close()


def received(sock: socket.socket) -> list[int]:
    """Read up to the end of the connection and return the tags of the operations."""
    data = b""
    while part := sock.recv(1 << 16):
        data += part
    return [messages.read_message(content).operation for _, content in ber.elements(data)]


def search(number: int = 1) -> bytes:
    """Write a search for everything below the suffix."""
    sent: list[bytes] = []

    def exchange(data: bytes) -> list[bytes]:
        sent.append(data)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        Client(exchange).search(SUFFIX, scope=1)
    content = ber.one(sent[0], ber.SEQUENCE)
    return ber.sequence([ber.integer(number), content[3:]])


def test_result_codes_and_texts_reach_the_client(directory: Directory, connect: Connect) -> None:
    client = Client.on(connect())
    directory.faults.add(DirectoryFault("ldap.bind", error="busy: come later", times=1))
    directory.faults.add(DirectoryFault("ldap.*", dn=f"ou=a,{SUFFIX}", identity=ROOT, error="unwilling"))
    answer = client.bind(ROOT, "secret")
    assert (answer.code, answer.text) == (ResultCode.BUSY, "come later")
    assert client.bind(ROOT, "secret").code == 0
    assert client.delete(f"ou=a,{SUFFIX}").code == ResultCode.UNWILLING_TO_PERFORM
    assert client.delete(f"ou=b,{SUFFIX}").code == 0
    assert [one.name for one in directory.log.matching(result="success", identity=ROOT)] == ["delete"]


def test_a_server_that_is_down_answers_nothing(directory: Directory, connect: Connect) -> None:
    directory.faults.add(DirectoryFault("ldap.search", error="server down", times=1))
    first = connect()
    first.sendall(search())
    assert received(first) == []
    assert len(Client.on(connect()).search(SUFFIX, scope=1).entries) == 3


def test_a_connection_may_not_come_about(directory: Directory, connect: Connect) -> None:
    directory.faults.add(DirectoryFault("ldap.connect", error="server down", times=1))
    try:
        assert connect().recv(1) == b""
    except ConnectionResetError:
        pass
    assert Client.on(connect()).bind(ROOT, "secret").code == 0


def test_a_search_breaks_off_after_some_entries(directory: Directory, connect: Connect) -> None:
    directory.faults.add(DirectoryFault("ldap.search", entries=2, times=1))
    directory.faults.add(DirectoryFault("ldap.search", entries=1, error="unavailable"))
    broken = connect()
    broken.sendall(search())
    assert received(broken) == [messages.ENTRY, messages.ENTRY]
    answer = Client.on(connect()).search(SUFFIX, scope=1)
    assert (answer.code, len(answer.entries)) == (ResultCode.UNAVAILABLE, 1)


def test_who_is_slowed_down_holds_up_nobody(directory: Directory, connect: Connect, clock: ManualClock) -> None:
    directory.faults.add(DirectoryFault("ldap.search", delay=Constant(5), times=1))
    slow, other = connect(), connect()
    slow.sendall(search(7))
    assert clock.wait_for_sleepers()
    assert len(Client.on(other).search(SUFFIX, scope=1).entries) == 3
    client = Client.on(slow)
    assert client.extended("1.3.6.1.4.1.4203.1.11.3").code == 0  # the same connection goes on, too
    clock.advance(5)
    reader = slow.makefile("rb")
    head = reader.read(2)
    first = messages.read_message(reader.read(head[1]))
    assert (first.number, first.operation) == (7, messages.ENTRY)


def test_an_abandoned_operation_is_never_done(directory: Directory, connect: Connect, clock: ManualClock) -> None:
    directory.faults.add(DirectoryFault("ldap.delete", delay=Constant(5)))
    sock = connect()
    client = Client.on(sock)
    assert client.bind(ROOT, "secret").code == 0
    sock.sendall(messages.write_message(7, ber.octets(f"ou=a,{SUFFIX}".encode(), messages.DELETE)))
    assert clock.wait_for_sleepers()
    sock.sendall(messages.write_message(8, ber.integer(7, messages.ABANDON)))
    assert client.extended("1.3.6.1.4.1.4203.1.11.3").code == 0
    directory.faults.clear()
    clock.advance(5)
    assert client.delete(f"ou=b,{SUFFIX}").code == 0
    assert [one.name for one in directory.log] == ["bind", "abandon", "whoami", "delete"]
    assert len(directory) == 3


def test_a_slow_connection_is_taken_on_later(directory: Directory, connect: Connect, clock: ManualClock) -> None:
    directory.faults.add(DirectoryFault("ldap.connect", delay=Constant(5), times=1))
    slow = connect()
    slow.sendall(search())
    assert clock.wait_for_sleepers()
    directory.log.assert_none("search")
    clock.advance(5)
    assert slow.recv(1) == b"\x30"


def test_a_server_ends_while_somebody_waits(directory: Directory, clock: ManualClock) -> None:
    directory.faults.add(DirectoryFault("ldap.search", delay=Constant(1e6)))
    with Server(directory) as server:
        parts = urlsplit(server.urls[0])
        with socket.create_connection((parts.hostname or "", parts.port or 0), 10) as sock:
            sock.sendall(search())
            assert clock.wait_for_sleepers()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ldap")]
