"""Connections to the LDAP server: ended operations, slow and many clients, changes that are told, broken messages."""

import contextlib
import random
import resource
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ldap_client import Client, write_filter

from nova_fakes.ldap import ber, messages, offered
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.filters import parse_filter
from nova_fakes.ldap.messages import Control
from nova_fakes.ldap.offered import DISCONNECTION
from nova_fakes.ldap.options import Change, Modification
from nova_fakes.ldap.results import ResultCode
from nova_fakes.ldap.server import Server

SUFFIX = "dc=example,dc=com"
BIG = 4000
PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def directory() -> Directory:
    made = Directory(SUFFIX, rng=random.Random(1), sync=True, size_limit=2 * BIG)
    root = made.identity(made.root_dn)
    made.add(root, SUFFIX, [("objectClass", [b"dcObject", b"organization"]), ("o", [b"x"])])
    for number in range(BIG):
        given_ = [("objectClass", [b"device"]), ("description", [b"x" * 500, b"y" * 500])]
        made.add(root, f"cn={number},{SUFFIX}", given_)
    return made


@pytest.fixture(scope="module")
def server(directory: Directory) -> Iterator[Server]:
    with Server(directory) as made:
        yield made


def connect(server: Server) -> socket.socket:
    url = urlsplit(server.urls[0])
    return socket.create_connection((url.hostname or "", url.port or 0), PATIENCE_S)


@pytest.fixture
def sock(server: Server) -> Iterator[socket.socket]:
    with connect(server) as made:
        yield made


def search(number: int, wanted: str = "(objectClass=*)", *controls: Control, scope: int = 2) -> bytes:
    parts = (
        ber.octets(SUFFIX.encode()), ber.enumerated(scope), ber.enumerated(0), ber.integer(0), ber.integer(0),
        ber.boolean(False), write_filter(parse_filter(wanted)), ber.sequence(()),
    )  # fmt: skip
    return messages.write_message(number, ber.sequence(parts, messages.SEARCH), controls)


def cancel(number: int, ended: int) -> bytes:
    value = ber.sequence((ber.integer(ended),))
    parts = (ber.octets(offered.CANCEL.encode(), 0x80), ber.octets(value, 0x81))
    return messages.write_message(number, ber.sequence(parts, messages.EXTENDED))


def hear(sock: socket.socket, number: int, operation: int) -> list[messages.Message]:
    """Return the messages up to the last one of a number with a kind."""
    buffer, found = b"", []
    while True:
        while (span := ber.length_of(buffer)) is None or len(buffer) < span[1]:
            received = sock.recv(1 << 16)
            assert received, "the server has closed the connection"
            buffer += received
        found.append(messages.read_message(buffer[span[0] : span[1]]))
        buffer = buffer[span[1] :]
        if (found[-1].number, found[-1].operation) == (number, operation):
            return found


def code(message: messages.Message) -> int:
    return ber.to_integer(next(iter(ber.elements(message.content)))[1])


def test_a_long_search_can_be_cancelled(sock: socket.socket) -> None:
    sock.sendall(search(1) + cancel(2, 1))
    heard = hear(sock, 2, messages.EXTENDED_RESULT)
    assert [code(one) for one in heard[-2:]] == [ResultCode.CANCELED, 0]
    assert sum(one.operation == messages.ENTRY for one in heard) < BIG
    sock.sendall(search(3, scope=0))
    assert code(hear(sock, 3, messages.SEARCH_DONE)[-1]) == 0


def test_an_abandoned_search_is_answered_no_more(sock: socket.socket) -> None:
    sock.sendall(search(1) + messages.write_message(2, ber.integer(1, messages.ABANDON)) + search(3, scope=0))
    heard = hear(sock, 3, messages.SEARCH_DONE)
    assert (1, messages.SEARCH_DONE) not in [(one.number, one.operation) for one in heard]
    assert sum(one.number == 1 for one in heard) < BIG


def test_a_client_that_takes_nothing_holds_nobody_up(server: Server, sock: socket.socket) -> None:
    with connect(server) as slow:
        slow.sendall(search(1) + search(2, scope=0))
        sock.sendall(search(1))
        assert sum(one.operation == messages.ENTRY for one in hear(sock, 1, messages.SEARCH_DONE)) == BIG + 1
        heard = hear(slow, 2, messages.SEARCH_DONE)
        assert [one.number for one in heard] == [1] * (BIG + 2) + [2] * 2


def test_hundreds_of_clients_are_told_of_a_change(server: Server, directory: Directory) -> None:
    control = Control(offered.SYNC, True, ber.sequence((ber.enumerated(3),)))
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(connect(server)) for _ in range(300)]
        for one in socks:
            one.sendall(search(1, "(cn=7)", control))
        for one in socks:
            hear(one, 1, messages.INTERMEDIATE)
        root = directory.identity(directory.root_dn)
        directory.modify(root, f"cn=7,{SUFFIX}", [Modification(Change.REPLACE, "description", (b"new",))])
        for one in socks:
            (told,) = hear(one, 1, messages.ENTRY)
            assert [control.oid for control in told.controls] == [offered.SYNC_STATE]
    with connect(server) as last:
        assert Client.on(last).search(SUFFIX, scope=0).code == 0


@pytest.mark.slow
def test_thousands_of_connections_are_served(server: Server) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2000
    if hard != resource.RLIM_INFINITY and hard < 2 * wanted + 200:
        pytest.skip(f"at most {hard} files may be open: raise the limit (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * wanted + 200), hard))
    try:
        with contextlib.ExitStack() as stack:
            socks = [stack.enter_context(connect(server)) for _ in range(wanted)]
            for one in socks:
                one.sendall(search(1, scope=0))
            assert all(code(hear(one, 1, messages.SEARCH_DONE)[-1]) == 0 for one in socks)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def broken(data: bytes, places: list[tuple[int, int]]) -> bytes:
    changed = bytearray(data)
    for place, byte in places:
        changed[place % len(changed)] = byte
    return bytes(changed)


MESSAGES = (
    search(1, "(&(cn=a*b)(!(sn:dn:2.4.8:=x))(|(uid>=1)(mail~=q)))", Control(offered.MANAGE_DSA_IT)),
    messages.write_message(
        1, ber.sequence((ber.integer(3), ber.octets(b"cn=x"), ber.octets(b"y", 0x80)), messages.BIND)
    ),
    cancel(1, 2),
)
places = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None)
@given(data=st.one_of(st.binary(min_size=1, max_size=60), st.builds(broken, st.sampled_from(MESSAGES), places)))
def test_broken_messages_end_their_connection_alone(server: Server, data: bytes) -> None:
    with connect(server) as other, connect(server) as one:
        one.sendall(data)
        one.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: one.recv(1 << 16), b""))
        while received:
            span = ber.length_of(received)
            assert span is not None
            message = messages.read_message(received[span[0] : span[1]])
            received = received[span[1] :]
            if message.number == 0:
                assert DISCONNECTION.encode() in message.content
                assert received == b""
        assert Client.on(other).search(SUFFIX, scope=0).code == 0
