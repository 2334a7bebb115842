"""Copies of a directory kept up to date (RFC 4533): what a real slapd with syncprov sends, and what the fake sends.

Both are taken through the same changes and asked the same refreshes; the messages are the same but for the UUIDs of
entries and the numbers of changes, which stand here for what they are by the order in which they come.
"""

import re
import socket
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from ldap_client import attribute, write_filter
from real_slapd import running_slapd

from nova_fakes.ldap import ber, messages
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.filters import parse_filter
from nova_fakes.ldap.messages import Control
from nova_fakes.ldap.offered import CANCEL, SYNC, SYNC_DONE
from nova_fakes.ldap.server import Server

SUFFIX = "dc=example,dc=com"
ROOT = f"cn=admin,{SUFFIX}"
CSN = re.compile(rb"\d{14}\.\d{6}Z#[0-9a-f]{6}#000#000000")
UUID = re.compile(rb"\x04\x10.{16}", re.DOTALL)
ANCIENT = b"rid=000,csn=20000101000000.000000Z#000000#000#000000"
FUTURE = b"rid=000,csn=29990101000000.000000Z#000000#000#000000"
PATIENCE_S = 10.0


class Talk:
    """One connection, and what has been said on it."""

    def __init__(self, address: tuple[str, int], told: list[str], names: dict[bytes, bytes]) -> None:
        self._socket = socket.create_connection(address, PATIENCE_S)
        self._told, self._names = told, names
        self._buffer = b""
        self._number = 0

    def close(self) -> None:
        self._socket.close()

    def send(self, operation: bytes, controls: list[Control] | None = None) -> int:
        self._number += 1
        self._socket.sendall(messages.write_message(self._number, operation, controls or ()))
        return self._number

    def ask(self, operation: bytes, controls: list[Control] | None = None, last: tuple[int, ...] = ()) -> bytes:
        """Send a request, note the messages up to a last one and return that one's content."""
        self.send(operation, controls)
        return self.hear(last or (0x61, 0x65, 0x67, 0x69, 0x6B, 0x6D, 0x78))

    def hear(self, last: tuple[int, ...]) -> bytes:
        while True:
            message = messages.read_message(self._next())
            self._note(message)
            if message.operation in last:
                return b"".join(control.value or b"" for control in message.controls)

    def _next(self) -> bytes:
        while (span := ber.length_of(self._buffer)) is None or len(self._buffer) < span[1]:
            received = self._socket.recv(1 << 16)
            assert received, "the server has closed the connection"
            self._buffer += received
        content, self._buffer = self._buffer[span[0] : span[1]], self._buffer[span[1] :]
        return content

    def _note(self, message: messages.Message) -> None:
        controls = [(control.oid, self._masked(control.value or b"")) for control in message.controls]
        self._told.append(f"{message.number} {message.operation:#x} {self._masked(message.content)!r} {controls}")

    def _masked(self, content: bytes) -> bytes:
        content = UUID.sub(lambda match: self._names.setdefault(match[0], b"<uuid %d>" % len(self._names)), content)
        return CSN.sub(lambda match: self._names.setdefault(match[0], b"<csn %d>" % len(self._names)), content)


def search(wanted: str = "(objectClass=*)", *names: str, scope: int = 2) -> bytes:
    parts = (
        ber.octets(SUFFIX.encode()), ber.enumerated(scope), ber.enumerated(0), ber.integer(0), ber.integer(0),
        ber.boolean(False), write_filter(parse_filter(wanted)),
        ber.sequence(ber.octets(name.encode()) for name in names or ("1.1",)),
    )  # fmt: skip
    return ber.sequence(parts, messages.SEARCH)


def add(name: str) -> bytes:
    given = {"objectClass": b"person", "cn": name.encode(), "sn": b"s"}
    listed = ber.sequence(attribute(key, [value]) for key, value in given.items())
    return ber.sequence((ber.octets(f"cn={name},{SUFFIX}".encode()), listed), messages.ADD)


def replace(name: str, key: str, value: bytes) -> bytes:
    change = ber.sequence((ber.enumerated(2), attribute(key, [value])))
    return ber.sequence((ber.octets(f"cn={name},{SUFFIX}".encode()), ber.sequence([change])), messages.MODIFY)


def delete(name: str) -> bytes:
    return ber.octets(f"cn={name},{SUFFIX}".encode(), messages.DELETE)


def rename(name: str, new: str) -> bytes:
    parts = (ber.octets(f"cn={name},{SUFFIX}".encode()), ber.octets(f"cn={new}".encode()), ber.boolean(True))
    return ber.sequence(parts, messages.RENAME)


def sync(mode: int, cookie: bytes | None = None, hint: bool | None = None) -> list[Control]:
    parts = [ber.enumerated(mode)]
    if cookie is not None:
        parts.append(ber.octets(cookie))
    if hint is not None:
        parts.append(ber.boolean(hint))
    return [Control(SYNC, True, ber.sequence(parts))]


def cookie_in(value: bytes) -> bytes:
    return next(content for tag, content in ber.elements(ber.one(value, ber.SEQUENCE)) if tag == ber.OCTETS)


def story(connect: Callable[[], Talk]) -> None:
    """Change entries and ask for what keeps a copy up to date."""
    root = connect()
    root.ask(ber.sequence((ber.integer(3), ber.octets(ROOT.encode()), ber.octets(b"secret", 0x80)), messages.BIND))
    top = {"objectClass": [b"dcObject", b"organization"], "dc": [b"example"], "o": [b"x"]}
    listed = ber.sequence(attribute(key, values) for key, values in top.items())
    root.ask(ber.sequence((ber.octets(SUFFIX.encode()), listed), messages.ADD))
    for name in "abc":
        root.ask(add(name))
    root.ask(search("(objectClass=*)", "contextCSN", scope=0))
    before = cookie_in(root.ask(search(), sync(1)))
    root.ask(search(), sync(1, before))
    root.ask(search("(cn=a)"), sync(1, before))
    root.ask(replace("a", "sn", b"t"))
    root.ask(delete("b"))
    after = cookie_in(root.ask(search(), sync(1, before)))
    for cookie in (b"rid=123", b"garbage", ANCIENT, FUTURE):
        root.ask(search(), sync(1, cookie))
    root.ask(search(), sync(1, ANCIENT, True))
    root.ask(search(), sync(2))
    root.ask(search(), [Control(SYNC, True)])
    some, every = connect(), connect()
    some.ask(search("(sn=s)", "sn"), sync(3), (0x79,))
    every.ask(search(), sync(3, after), (0x79,))
    steps = (
        add("d"), replace("d", "sn", b"t"), replace("d", "sn", b"s"), replace("d", "description", b"x"),
        rename("d", "e"), delete("e"),
    )  # fmt: skip
    for step in steps:
        root.ask(step)
        some.hear((0x64,))
        every.hear((0x64,))
    every.send(
        ber.sequence((ber.octets(CANCEL.encode(), 0x80), ber.octets(ber.sequence([ber.integer(1)]), 0x81)), 0x77)
    )
    every.hear((0x78,))
    every.ask(search(scope=0))
    root.ask(rename("c", "f"))
    root.ask(search("(cn=a)"), sync(1, after))


def told_by(address: tuple[str, int]) -> list[str]:
    told: list[str] = []
    names: dict[bytes, bytes] = {}
    talks: list[Talk] = []

    def connect() -> Talk:
        talks.append(Talk(address, told, names))
        return talks[-1]

    try:
        story(connect)
    finally:
        for talk in talks:
            talk.close()
    return told


@pytest.fixture(params=[0, 100], ids=["without a log", "with a log"])
def addresses(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[tuple[str, int]]]:
    overlay = f"syncprov; syncprov-sessionlog {request.param}" if request.param else "syncprov"
    directory = tmp_path_factory.mktemp("slapd")
    with (
        running_slapd(directory, SUFFIX, ROOT, ["* by * read"], [overlay]) as theirs,
        Server(Directory(SUFFIX, sync=True, session_log=request.param)) as server,
    ):
        url = urlsplit(server.urls[0])
        yield [theirs, (url.hostname or "", url.port or 0)]


def test_slapd_and_the_fake_keep_copies_up_alike(addresses: list[tuple[str, int]]) -> None:
    theirs, ours = (told_by(address) for address in addresses)
    assert ours == theirs
    assert any(SYNC_DONE in line for line in ours)
