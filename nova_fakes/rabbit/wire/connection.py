"""A connection on a socket: octets in, octets out, and what stands between. Does no input or output itself."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from nova_fakes.rabbit.errors import AmqpError, HardError, MalformedTable, internal_error
from nova_fakes.rabbit.wire.channel import WireChannel
from nova_fakes.rabbit.wire.frames import FRAME_OVERHEAD, HEAD, FrameKind, frame, frame_error, unexpected_frame
from nova_fakes.rabbit.wire.handshake import FRAME_MIN, Handshake
from nova_fakes.rabbit.wire.heartbeat import Heartbeat
from nova_fakes.rabbit.wire.memory import Memory
from nova_fakes.rabbit.wire.methods import METHODS, decode, encode

if TYPE_CHECKING:
    from nova_fakes.rabbit.broker import Broker
    from nova_fakes.rabbit.session import Session
    from nova_fakes.rabbit.wire.limits import Limits

__all__ = ["Connection", "Wire"]

LOG = logging.getLogger(__name__)
CONNECTION_CLOSE_OK = (10, 51)
CONNECTION_CLOSE = (10, 50)
UPDATE_SECRET = (10, 70)

_CONTENT = struct.Struct(">BHIHHQ")
_NUMBERS = struct.Struct(">HH")


class Wire(Protocol):
    """What carries the octets."""

    def write(self, octets: bytes) -> None:
        """Send octets."""

    def close(self) -> None:
        """End after what has been written."""

    def abort(self) -> None:
        """End at once."""

    def is_foreign(self) -> bool:
        """Tell whether the caller's thread is another one than the wire's."""

    def soon(self, action: Callable[[], None]) -> None:
        """Have something done by the wire's own thread."""

    def is_full(self) -> bool:
        """Tell whether much has been written that the client has not read."""

    def unread(self) -> int:
        """Return how many octets the client has not read."""

    def hold(self, is_held: bool) -> None:
        """Read nothing more for now, or go on."""


class Connection:
    """One client; a :class:`nova_fakes.rabbit.receiver.Link` for the engine's session.

    :param certificate: what TLS has found out about the client; None: nothing
    :param details: addresses and protocol, for a management interface
    """

    def __init__(
        self,
        broker: Broker,
        wire: Wire,
        limits: Limits,
        certificate: object = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        self.broker = broker
        self.limits = limits
        self.certificate = certificate
        self.details = details or {}
        self.session: Session | None = None
        self.channels: dict[int, WireChannel] = {}
        self.channel_max = 0
        self.frame_max = FRAME_MIN
        #: The longest body that goes into one frame.
        self.body_max = FRAME_MIN - FRAME_OVERHEAD
        self.is_closed = False
        self.received = self.sent = 0
        self._wire = wire
        self._out: list[bytes] = []
        self._pending_octets = 0
        self._pieces: list[bytes] = []
        self._pieces_octets = 0
        self._needed = 0
        self.memory = Memory()
        #: Why the broker takes no messages; None: it does.
        self.blocking: str | None = None
        self._held_by: set[str] = set()
        self._heartbeat: Heartbeat | None = None
        self._handshake: Handshake | None = Handshake(self)

    # Octets come in.

    def receive(self, data: bytes) -> None:
        """Take what the client sent, and answer what is complete."""
        self.received += 1
        if self._pieces:
            self._pieces.append(data)
            self._pieces_octets += len(data)
            if self._pieces_octets < self._needed:
                return
            data = b"".join(self._pieces)
            self._pieces.clear()
        with self.broker:
            try:
                rest = self._take(data)
            except HardError as error:
                self._fail(error)
                rest = b""
            except MalformedTable as error:
                # RabbitMQ's process for the connection crashes here.
                LOG.info("dropping a connection: %s", error)
                self._drop()
                rest = b""
            if rest:
                self._pieces.append(rest)
                self._pieces_octets = len(rest)
            if self._out:
                self.broker.unflushed[self] = None

    def _take(self, data: bytes) -> bytes:
        position = 0
        if self._handshake is not None and self._handshake.awaits_header:
            if len(data) < 8:
                self._needed = 8
                return data
            self._handshake.header(data[:8])
            position = 8
        return self._frames(data, position)

    def _frames(self, data: bytes, position: int) -> bytes:
        end = len(data)
        while end - position >= FRAME_OVERHEAD:
            kind, number, size = HEAD.unpack_from(data, position)
            begin = position + 7
            stop = begin + size
            if size > self.frame_max:
                raise frame_error(kind, b"", "frame_too_large", size, self.frame_max - FRAME_OVERHEAD)
            if stop >= end:
                self._needed = size + FRAME_OVERHEAD
                return data[position:]
            if data[stop] != 0xCE:
                raise frame_error(kind, data[begin:stop], "invalid_frame_end_marker", data[stop])
            if self.is_closed:
                self._after_close(kind, number, data[begin:stop])
                position = stop + 1
                continue
            if kind == 1 and number and data[begin : begin + 4] == b"\x00\x3c\x00\x28":
                position = self._published(data, begin + 4, stop, end, number)
                continue
            self._frame(kind, number, data[begin:stop])
            position = stop + 1
        self._needed = FRAME_OVERHEAD
        return data[position:]

    def _published(self, data: bytes, begin: int, stop: int, end: int, number: int) -> int:
        """Take basic.publish, with header and body where those are there as a whole; return where to go on."""
        channel = self.channels.get(number)
        header = stop + 1
        body_stop: int
        if channel is not None and channel.content is None and channel.channel is not None and end - header >= 22:
            kind, other, size, class_id, weight, body_size = _CONTENT.unpack_from(data, header)
            header_stop = header + 7 + size
            if kind == 2 and other == number and class_id == 60 and not weight and size >= 14 and header_stop < end:
                body: int = header_stop + 1
                if not body_size:
                    if data[header_stop] == 0xCE:
                        channel.publish(data[begin:stop], data[header + 19 : header_stop], b"")
                        return body
                elif end - body >= body_size + FRAME_OVERHEAD:
                    kind, other, size = HEAD.unpack_from(data, body)
                    body_stop = body + 7 + size
                    if (
                        kind == 3
                        and other == number
                        and size == body_size <= self.frame_max
                        and data[header_stop] == 0xCE == data[body_stop]
                    ):
                        channel.publish(data[begin:stop], data[header + 19 : header_stop], data[body + 7 : body_stop])
                        return body_stop + 1
        self._frame(1, number, data[begin - 4 : stop])
        return stop + 1

    def _frame(self, kind: int, number: int, payload: bytes) -> None:
        if kind == FrameKind.METHOD and len(payload) < 4:
            raise frame_error(kind, payload, "unknown_frame")
        if kind == FrameKind.HEADER and len(payload) < 12:
            raise frame_error(kind, payload, "unknown_frame")
        if kind == FrameKind.HEARTBEAT and payload:
            raise frame_error(kind, payload, "unknown_frame")
        if self._handshake is not None:
            if number or kind not in (FrameKind.METHOD, FrameKind.HEARTBEAT):
                raise unexpected_frame(kind, payload)
            if kind == FrameKind.METHOD:
                self._handshake.method(payload)
        elif kind not in (FrameKind.METHOD, FrameKind.HEADER, FrameKind.BODY, FrameKind.HEARTBEAT):
            raise frame_error(kind, payload, "unknown_frame")
        elif number == 0:
            if kind == FrameKind.METHOD:
                self._control(payload)
            elif kind != FrameKind.HEARTBEAT:
                raise unexpected_frame(kind, payload)
        elif kind == FrameKind.HEARTBEAT:
            raise unexpected_frame(kind, payload)
        else:
            self._channel_frame(kind, number, payload)

    def _channel_frame(self, kind: int, number: int, payload: bytes) -> None:
        channel = self.channels.get(number)
        if channel is None:
            count = len(self.channels)
            if self.channel_max and count >= self.channel_max:
                text = (
                    f"number of channels opened ({count}) has reached the negotiated channel_max ({self.channel_max})"
                )
                raise HardError("NOT_ALLOWED", text, (0, 0))
            channel = self.channels[number] = WireChannel(self, number)
        if kind == FrameKind.METHOD:
            channel.method(payload)
        elif kind == FrameKind.HEADER:
            channel.header(payload)
        else:
            channel.body(payload)

    def _control(self, payload: bytes) -> None:
        """Do what a method on channel 0 says once the connection is open."""
        number: tuple[int, int] = _NUMBERS.unpack_from(payload)
        if number not in METHODS:
            raise MalformedTable(f"no method has the numbers {number}")
        try:
            fields = decode(number, payload[4:])
        except MalformedTable:
            raise internal_error() from None
        if number == CONNECTION_CLOSE:
            self.send_control("connection.close-ok")
            self._end_session()
            self._shut()
        elif number == UPDATE_SECRET:
            self.details["secret_updated"] = fields["reason"]
            self.send_control("connection.update-secret-ok")
        else:
            raise HardError("CHANNEL_ERROR", "unexpected method in connection state running", number)

    def _after_close(self, kind: int, number: int, payload: bytes) -> None:
        """Take what comes once the connection is closing: its confirmation, a close that crossed, nothing else."""
        if kind != FrameKind.METHOD or number or len(payload) < 4:
            return
        method = _NUMBERS.unpack_from(payload)
        if method == CONNECTION_CLOSE_OK:
            self._shut()
        elif method == CONNECTION_CLOSE:
            self.send_control("connection.close-ok")
            self._shut()

    # Octets go out.

    def write(self, octets: bytes) -> None:
        """Send octets at the end of the turn."""
        self._out.append(octets)
        if len(self._out) == 1:
            self.broker.unflushed[self] = None

    def write_delivery(self, octets: bytes) -> None:
        """Send a delivery; the session pauses where too many wait for the client to read them."""
        out = self._out
        out.append(octets)
        if len(out) == 1:
            self.broker.unflushed[self] = None
        self._pending_octets = pending = self._pending_octets + len(octets)
        if pending > self.limits.delivery_octets and self.session is not None:
            self.session.pause()

    def send_control(self, name: str, *values: object) -> None:
        """Send a method on channel 0."""
        self.write(frame(FrameKind.METHOD, 0, encode(name, *values)))

    def flush(self) -> None:
        """Give the wire what has been gathered."""
        wire = self._wire
        if wire.is_foreign():
            wire.soon(self._flush_in_turn)
            return
        if self._out:
            octets = b"".join(self._out)
            self._out.clear()
            self._pending_octets = 0
            self.sent += 1
            wire.write(octets)
        session = self.session
        if session is not None and session.is_paused:
            if not wire.is_full():
                wire.soon(self.drained)
            elif wire.unread() > self.limits.reply_octets:
                self._hold("unread")

    def _flush_in_turn(self) -> None:
        with self.broker:
            self.flush()

    def drained(self) -> None:
        """Deliver again: the client has read what was written."""
        with self.broker:
            self._release("unread")
            if self.session is not None and self.session.is_paused and not self._wire.is_full():
                self.session.resume()

    def _hold(self, reason: str) -> None:
        if not self._held_by:
            self._wire.hold(True)
        self._held_by.add(reason)

    def _release(self, reason: str) -> None:
        if reason in self._held_by:
            self._held_by.remove(reason)
            if not self._held_by:
                self._wire.hold(False)

    # Heartbeats, blocking, the end.

    def opened(self, session: Session, heartbeat_s: int) -> None:
        """Begin work: the handshake is done."""
        self.session = session
        self._handshake = None
        if heartbeat_s:
            self._heartbeat = Heartbeat(self, heartbeat_s, self._overdue)
        if self.broker.blocked_by is not None:
            self.blocked(self.broker.blocked_by)

    def _overdue(self) -> None:
        LOG.info("missed heartbeats from %s", self.details.get("name", "a client"))
        self._drop()

    @property
    def is_held(self) -> bool:
        """Whether nothing is read for now."""
        return bool(self._held_by)

    def blocked(self, reason: str | None) -> None:
        """Read nothing more once the client publishes, or where it waits for a confirm; None: go on."""
        self.blocking = reason
        if reason is not None and any(channel.session is self.session for channel in self.broker.confirming):
            self.published_while_blocked()
        if reason is None and "blocked" in self._held_by:
            self._release("blocked")
            if self.session is not None and self.session.can("connection.blocked"):
                self.send_control("connection.unblocked")

    def published_while_blocked(self) -> None:
        """Tell the client that it publishes while the broker takes nothing, and read nothing more."""
        if "blocked" not in self._held_by and self.session is not None:
            self._hold("blocked")
            if self.session.can("connection.blocked"):
                self.send_control("connection.blocked", self.blocking)

    def refuse(self, delay_s: float) -> None:
        """Answer nothing more, and end after a while, as RabbitMQ does with handshakes that go wrong."""
        self.is_closed = True
        self.broker.timers.after(delay_s, self._drop)

    def _fail(self, error: HardError) -> None:
        """Close the connection with an error's code and text; in a handshake, without them."""
        if self._handshake is not None:
            self.refuse(self.limits.refusal_s)
        elif not self.is_closed:
            self._end_session()
            self._send_close(error)

    def _send_close(self, error: AmqpError) -> None:
        method = getattr(error, "method", None) or (0, 0)
        self.send_control("connection.close", error.code, error.text, *method)
        self.is_closed = True
        self.broker.timers.after(self.limits.close_s, self._drop)

    def closed(self, error: AmqpError | None) -> None:
        """Throw the client out: with a word, or without."""
        self._forget()
        if error is None:
            self._drop()
        elif not self.is_closed:
            self._send_close(error)

    def reject(self, error: HardError) -> None:
        """Close a connection with a word before it is open."""
        self._send_close(error)

    def _end_session(self) -> None:
        if self.session is not None:
            self.session.close()
        self._forget()

    def _forget(self) -> None:
        self.channels.clear()
        self.memory.clear()
        if self._heartbeat is not None:
            self._heartbeat.stop()

    def _shut(self) -> None:
        """End after what has been written."""
        self.is_closed = True
        self.flush()
        self._wire.close()

    def _drop(self) -> None:
        self._end_session()
        self.is_closed = True
        self._wire.abort()

    def lost(self) -> None:
        """The client is gone."""
        with self.broker:
            self._end_session()
            self.is_closed = True
