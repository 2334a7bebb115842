"""An LDAP server on TCP, TLS and UNIX sockets (ldapi), in one asyncio loop and a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap import ber
from nova_fakes.ldap.access import ANONYMOUS
from nova_fakes.ldap.ber import BerError
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.operations import Call
from nova_fakes.ldap.results import LdapError, ResultCode
from nova_fakes.ldap.session import Part, Pause, Session, disconnection, is_ending
from nova_fakes.ldap.waiting import Waiting
from nova_fakes.listener import Listener

__all__ = ["Server"]

LOG = logging.getLogger(__name__)
MAX_MESSAGE = 4 << 20
MAX_UNBOUND_MESSAGE = 256 << 10
WRITE_CHUNK = 64 << 10
PORTS = {"ldap": 389, "ldaps": 636}
CERTIFICATE_NAMES = {
    "commonName": "cn", "countryName": "c", "localityName": "l", "stateOrProvinceName": "st", "organizationName": "o",
    "organizationalUnitName": "ou", "domainComponent": "dc", "emailAddress": "email", "userId": "uid",
}  # fmt: skip


class _Connection(asyncio.Protocol):
    """One client: bytes in, messages out."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._session: Session | None = None
        # While TLS begins, or a fault rule delays the connection, messages are not looked at.
        self._is_held = False
        self._paused: dict[int, Iterator[Part]] = {}
        # The answer that is being sent, while the client is slow to take it or others have their turn.
        self._sending: Iterator[Part] | None = None
        self._is_full = False
        self._is_woken = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or go on inside TLS."""
        self._transport = transport  # type: ignore[assignment]
        if self._session is None:
            can_upgrade = self._server.tls is not None and transport.get_extra_info("sslcontext") is None
            start_tls = self._upgrade if can_upgrade else None
            external = self._server.mapped(_external(transport))
            self._session = Session(
                self._server.directory,
                external=external,
                start_tls=start_tls,
                abandon=self._abandon,
                wake=self._wake,
            )
            self._server.connections.add(self)
            self._admit(self._server.directory.operations.pauses(Call("connect", ANONYMOUS, "")))

    def _admit(self, pauses: Iterator[float]) -> None:
        """Take the connection on, late or not at all where a fault rule says so."""
        try:
            delay_s = next(pauses, None)
        except LdapError:
            self.abort()
            return
        self._is_held = delay_s is not None
        if delay_s is not None:
            self._server.waiting.begin(delay_s, lambda: self._admit(pauses))
        else:
            self._work()

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the client."""
        self._server.connections.discard(self)
        self._sending = None
        if self._session is not None:
            self._session.close()

    def pause_writing(self) -> None:
        """Send no more for now: the client does not take what it was sent."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Go on with what waits to be sent."""
        self._is_full = False
        self._go_on()

    def _wake(self) -> None:
        """Tell of changes soon; whatever thread makes them calls this."""
        if not self._is_woken:
            self._is_woken = True
            self._server.call_soon(self._tell)

    def _tell(self) -> None:
        """Send what searches that go on have to tell, unless something else is being sent."""
        transport, session = self._transport, self._session
        if transport is None or session is None or self._is_full or self._sending is not None:
            return
        self._is_woken = False
        told = b"".join(session.pending())
        if told and not transport.is_closing():
            transport.write(told)

    def data_received(self, data: bytes) -> None:
        """Answer each message that is there as a whole."""
        self._buffer += data
        self._work()

    def _work(self) -> None:
        transport, session = self._transport, self._session
        if transport is None or session is None:
            return
        try:
            while not self._is_held and not transport.is_closing():
                message = self._next_message(session)
                if message is None:
                    return
                self._answer(session, transport, session.answer(message))
        except BerError as error:
            LOG.info("closing a connection: %s", error)
            transport.write(disconnection(ResultCode.PROTOCOL_ERROR, "decoding error"))
            transport.close()

    def _answer(self, session: Session, transport: asyncio.Transport, parts: Iterator[Part]) -> None:
        """Send the parts of an answer up to its end, or up to a pause, after which it goes on.

        Of a long answer a part is sent at a time, so that others are answered meanwhile and the operation can be ended.
        """
        pending: list[bytes] = []
        size = 0
        for part in parts:
            if isinstance(part, Pause):
                self._pause(part, parts)
                break
            pending.append(part)
            size += len(part)
            if size > WRITE_CHUNK:
                self._sending = parts
                asyncio.get_running_loop().call_soon(self._go_on)
                break
        if pending:
            transport.write(b"".join(pending))
        if session.is_closed:
            transport.close()

    def _go_on(self) -> None:
        """Go on with the answer that is being sent, then with what has come meanwhile."""
        parts, session, transport = self._sending, self._session, self._transport
        if self._is_full or session is None or transport is None or transport.is_closing():
            return
        self._sending = None
        if parts is not None:
            self._answer(session, transport, parts)
        if self._sending is None:
            self._work()
            if self._is_woken:
                self._tell()

    def _pause(self, pause: Pause, parts: Iterator[Part]) -> None:
        self._paused[pause.message] = parts
        self._server.waiting.begin(pause.seconds, lambda: self._resume(pause.message, parts))

    def _resume(self, number: int, parts: Iterator[Part]) -> None:
        """Go on with an answer, if nobody has abandoned it and the client is still there."""
        if self._paused.get(number) is not parts:
            return
        del self._paused[number]
        if self._session is not None and self._transport is not None and not self._transport.is_closing():
            self._answer(self._session, self._transport, parts)

    def _abandon(self, number: int) -> None:
        self._paused.pop(number, None)

    def _next_message(self, session: Session) -> bytes | None:
        """Return the content of the next message; None where it has not come as a whole, or has to wait.

        While an answer is being sent, what can end it has its turn and nothing else.
        """
        buffer = self._buffer
        if buffer and buffer[0] != ber.SEQUENCE:
            raise BerError("a message is a sequence")
        span = ber.length_of(buffer)
        if span is None:
            return None
        begin, end = span
        if end > (MAX_UNBOUND_MESSAGE if session.identity.is_anonymous else MAX_MESSAGE):
            raise BerError("a message is too long")
        if len(buffer) < end:
            return None
        message = bytes(buffer[begin:end])
        if self._sending is not None and not is_ending(message):
            return None
        del buffer[:end]
        return message

    def _upgrade(self) -> None:
        """Begin TLS once the answer that announces it has been written; what came in the clear after it is dropped."""
        self._is_held = True
        self._buffer.clear()
        if self._transport is not None:
            self._transport.pause_reading()
        asyncio.get_running_loop().call_soon(self._begin_tls)

    def _begin_tls(self) -> None:
        task = asyncio.get_running_loop().create_task(self._handshake())
        self._server.tasks.add(task)
        task.add_done_callback(self._server.tasks.discard)

    async def _handshake(self) -> None:
        transport, tls = self._transport, self._server.tls
        if transport is None or tls is None or self._session is None:
            return
        try:
            upgraded = await asyncio.get_running_loop().start_tls(transport, self, tls, server_side=True)
        except (OSError, ssl.SSLError) as error:
            LOG.info("a TLS handshake failed: %s", error)
            transport.abort()
            return
        if upgraded is None:
            return
        self._transport = upgraded
        self._session.external = self._server.mapped(_external(upgraded))
        self._is_held = False
        self._work()

    def close(self) -> None:
        """Tell the client that the server ends, and close."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(disconnection(ResultCode.UNAVAILABLE, "server is shutting down"))
            self._transport.close()

    def abort(self) -> None:
        """Close without a word."""
        if self._transport is not None:
            self._transport.abort()


def _mapping(pattern: str, dn: str) -> tuple[re.Pattern[str], str]:
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise InvalidInput("authz", pattern, f"write a regular expression ({error})") from None
    try:
        # It matches nothing at least, and knows the groups.
        re.compile(f"(?:{pattern})|").sub(dn, "", count=1)
    except (re.error, IndexError) as error:
        raise InvalidInput("authz", dn, f"name groups that {pattern} has ({error})") from None
    return compiled, dn


def _external(transport: asyncio.BaseTransport) -> str | None:
    """Return the DN that a transport vouches for: of the process at the other end, or of its certificate."""
    certificate = transport.get_extra_info("peercert")
    if certificate:
        return _subject(certificate)
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family == socket.AF_UNIX:
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _, uid, gid = struct.unpack("3i", raw)
        return f"gidNumber={gid}+uidNumber={uid},cn=peercred,cn=external,cn=auth"
    return None


def _subject(certificate: dict[str, Any]) -> str | None:
    """Write the subject of a certificate as a DN; None where it has a part that DNs here do not have."""
    parts = []
    for rdn in reversed(certificate.get("subject", ())):
        for name, value in rdn:
            if name not in CERTIFICATE_NAMES:
                return None
            escaped = "".join(f"\\{char}" if char in ',+"\\<>;=#' else char for char in value)
            parts.append(f"{CERTIFICATE_NAMES[name]}={escaped}")
    return ",".join(parts)


class Server:
    """Serves one directory on any number of addresses.

    :param directory: what is served
    :param listen: `ldap://host:port`, `ldaps://host:port` or `ldapi://%2Fpath`; port 0 for a free one
    :param tls: for ldaps and StartTLS; ask in it for clients' certificates where SASL EXTERNAL shall take them
    :param authz: patterns of the DNs that SASL EXTERNAL brings, each with the DN that takes the place of what matches
        it as a whole; slapd's `authz-regexp`, but that groups are written as in Python
    :raises InvalidInput: where an address cannot be used, or a pattern is none
    """

    def __init__(
        self,
        directory: Directory,
        listen: tuple[str, ...] = ("ldap://127.0.0.1:0",),
        *,
        tls: ssl.SSLContext | None = None,
        authz: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.directory = directory
        self._authz = [_mapping(pattern, dn) for pattern, dn in authz]
        self.tls = tls
        self.urls: list[str] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self._listen = listen
        self._listener = Listener("ldap", PORTS, lambda: _Connection(self), tls=tls, path_scheme="ldapi")
        self.connections = self._listener.connections
        self.call_soon = self._listener.call_soon
        self.waiting = Waiting(directory.clock, self._listener.loop)

    def mapped(self, dn: str | None) -> str | None:
        """Return whom a DN that SASL EXTERNAL brings stands for."""
        for pattern, replacement in self._authz if dn is not None else ():
            match = pattern.fullmatch(dn or "")
            if match is not None:
                return match.expand(replacement)
        return dn

    def start(self) -> None:
        """Listen, and answer in a thread of the server's own. `urls` tells where, with the ports that were free.

        :raises InvalidInput: where an address cannot be used
        """
        try:
            self.urls = self._listener.start(self._listen)
        except InvalidInput:
            self.waiting.stop()
            raise

    def stop(self) -> None:
        """End all connections and listen no more."""
        self.waiting.stop()
        self._listener.close(_Connection.close)
        self._listener.end()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
