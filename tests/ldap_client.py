"""A small LDAP client for tests: it writes requests and reads what comes back, whatever carries the bytes."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence

from nova_fakes.ldap import ber, filters, messages
from nova_fakes.ldap.messages import Control
from nova_fakes.ldap.session import Session

Exchange = Callable[[bytes], list[bytes]]
FINAL = {
    messages.BIND_RESULT, messages.SEARCH_DONE, messages.MODIFY_RESULT, messages.ADD_RESULT, messages.DELETE_RESULT,
    messages.RENAME_RESULT, messages.COMPARE_RESULT, messages.EXTENDED_RESULT,
}  # fmt: skip


class Answer:
    """The messages that answered one request."""

    def __init__(self, parts: Sequence[bytes]) -> None:
        self.entries: list[tuple[str, dict[str, list[bytes]]]] = []
        self.references: list[list[str]] = []
        for part in parts:
            message = messages.read_message(ber.one(part, ber.SEQUENCE))
            if message.operation == messages.ENTRY:
                self.entries.append(entry(message.content))
            elif message.operation == messages.REFERENCE:
                self.references.append([url.decode() for _, url in ber.elements(message.content)])
        self.tag, self.controls = message.operation, {control.oid: control.value for control in message.controls}
        (_, code), (_, matched), (_, text), *more = ber.elements(message.content)
        self.code, self.matched, self.text = ber.to_integer(code), matched.decode(), text.decode()
        self.more = dict(more)
        self.referrals = [url.decode() for _, url in ber.elements(self.more.get(0xA3, b""))]


def entry(content: bytes) -> tuple[str, dict[str, list[bytes]]]:
    (_, dn), (_, attributes) = ber.elements(content)
    return dn.decode(), {name: list(values) for name, values in messages.read_attributes(attributes)}


def write_filter(wanted: filters.Filter) -> bytes:
    """Write a filter as a client does."""
    match wanted:
        case filters.And(parts):
            return ber.sequence(map(write_filter, parts), 0xA0)
        case filters.Or(parts):
            return ber.sequence(map(write_filter, parts), 0xA1)
        case filters.Not(part):
            return ber.encode(0xA2, write_filter(part))
        case filters.Present(attribute):
            return ber.octets(attribute.encode(), 0x87)
        case filters.Substrings(attribute, initial, middle, final):
            parts = [(0x80, initial), *((0x81, part) for part in middle), (0x82, final)]
            written = ber.sequence(ber.octets(part, tag) for tag, part in parts if part is not None)
            return ber.sequence((ber.octets(attribute.encode()), written), 0xA4)
        case filters.Extensible(rule, attribute, value, dn):
            names = [(0x81, rule), (0x82, attribute)]
            written = [ber.octets(name.encode(), tag) for tag, name in names if name is not None]
            return ber.sequence([*written, ber.octets(value, 0x83), ber.boolean(dn, 0x84)], 0xA9)
    tag = next(tag for tag, made in messages.COMPARISONS.items() if isinstance(wanted, made))
    return ber.sequence((ber.octets(wanted.attribute.encode()), ber.octets(wanted.value)), tag)


def attribute(name: str, values: Iterable[bytes]) -> bytes:
    return ber.sequence((ber.octets(name.encode()), ber.set_of(ber.octets(value) for value in values)))


class Client:
    """Sends requests by some way to exchange bytes."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._number = 0

    @classmethod
    def of(cls, session: Session) -> Client:
        return cls(lambda data: list(session.answer(ber.one(data, ber.SEQUENCE))))

    @classmethod
    def on(cls, sock: socket.socket) -> Client:
        return cls(lambda data: _exchange(sock, data))

    def ask(self, operation: bytes, controls: Sequence[Control] = ()) -> Answer:
        self._number += 1
        return Answer(self._exchange(messages.write_message(self._number, operation, controls)))

    def bind(self, dn: str, password: str, **more: Sequence[Control]) -> Answer:
        parts = (ber.integer(3), ber.octets(dn.encode()), ber.octets(password.encode(), 0x80))
        return self.ask(ber.sequence(parts, messages.BIND), **more)

    def sasl(self, mechanism: str, credentials: bytes | None = None) -> Answer:
        parts = [ber.octets(mechanism.encode())] + ([] if credentials is None else [ber.octets(credentials)])
        return self.ask(ber.sequence((ber.integer(3), ber.octets(b""), ber.sequence(parts, 0xA3)), messages.BIND))

    def search(
        self,
        base: str,
        wanted: str = "(objectClass=*)",
        scope: int = 2,
        attributes: Iterable[str] = (),
        *,
        size_limit: int = 0,
        types_only: bool = False,
        deref: int = 0,
        controls: Sequence[Control] = (),
    ) -> Answer:
        parts = (
            ber.octets(base.encode()),
            ber.enumerated(scope),
            ber.enumerated(deref),
            ber.integer(size_limit),
            ber.integer(0),
            ber.boolean(types_only),
            write_filter(filters.parse_filter(wanted)),
            ber.sequence(ber.octets(name.encode()) for name in attributes),
        )
        return self.ask(ber.sequence(parts, messages.SEARCH), controls)

    def add(
        self, dn: str, attributes: Iterable[tuple[str, Iterable[bytes]]], controls: Sequence[Control] = ()
    ) -> Answer:
        listed = ber.sequence(attribute(name, values) for name, values in attributes)
        return self.ask(ber.sequence((ber.octets(dn.encode()), listed), messages.ADD), controls)

    def modify(
        self, dn: str, changes: Iterable[tuple[int, str, Iterable[bytes]]], controls: Sequence[Control] = ()
    ) -> Answer:
        listed = ber.sequence(
            ber.sequence((ber.enumerated(kind), attribute(name, values))) for kind, name, values in changes
        )
        return self.ask(ber.sequence((ber.octets(dn.encode()), listed), messages.MODIFY), controls)

    def delete(self, dn: str, controls: Sequence[Control] = ()) -> Answer:
        return self.ask(ber.octets(dn.encode(), messages.DELETE), controls)

    def rename(
        self, dn: str, rdn: str, delete_old: bool, superior: str | None = None, controls: Sequence[Control] = ()
    ) -> Answer:
        parts = [ber.octets(dn.encode()), ber.octets(rdn.encode()), ber.boolean(delete_old)]
        if superior is not None:
            parts.append(ber.octets(superior.encode(), 0x80))
        return self.ask(ber.sequence(parts, messages.RENAME), controls)

    def compare(self, dn: str, name: str, value: bytes, controls: Sequence[Control] = ()) -> Answer:
        assertion = ber.sequence((ber.octets(name.encode()), ber.octets(value)))
        return self.ask(ber.sequence((ber.octets(dn.encode()), assertion), messages.COMPARE), controls)

    def extended(self, oid: str, value: bytes | None = None, controls: Sequence[Control] = ()) -> Answer:
        parts = [ber.octets(oid.encode(), 0x80)] + ([] if value is None else [ber.octets(value, 0x81)])
        return self.ask(ber.sequence(parts, messages.EXTENDED), controls)


def _exchange(sock: socket.socket, data: bytes) -> list[bytes]:
    sock.sendall(data)
    parts: list[bytes] = []
    buffer = b""
    while True:
        span = ber.length_of(buffer)
        if span is None or len(buffer) < span[1]:
            received = sock.recv(1 << 16)
            if not received:
                raise ConnectionError("the server has closed the connection")
            buffer += received
            continue
        parts.append(buffer[: span[1]])
        operation = messages.read_message(buffer[span[0] : span[1]]).operation
        buffer = buffer[span[1] :]
        if operation in FINAL:
            return parts
