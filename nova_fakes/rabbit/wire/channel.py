"""A channel on a socket: contents put together from frames, deliveries written as frames."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from nova_fakes.rabbit import erlang
from nova_fakes.rabbit.errors import AmqpError, HardError, MalformedTable, SoftError, internal_error
from nova_fakes.rabbit.message import Message
from nova_fakes.rabbit.wire.frames import FRAME_END, HEAD, FrameKind, frame
from nova_fakes.rabbit.wire.methods import METHODS, decode, encode
from nova_fakes.rabbit.wire.operations import OPERATIONS

if TYPE_CHECKING:
    from nova_fakes.rabbit.channel import Channel, Got
    from nova_fakes.rabbit.consumers import Consumer
    from nova_fakes.rabbit.wire.connection import Connection

__all__ = ["WireChannel"]

BASIC = 60
PUBLISH = (60, 40)
GET = (60, 70)
CHANNEL_OPEN = (20, 10)
CHANNEL_CLOSE = (20, 40)
CHANNEL_CLOSE_OK = (20, 41)
SECOND_OPEN = "second 'channel.open' seen"

_METHOD = struct.Struct(">BHIHH")
_DELIVERY = struct.Struct(">QB")
_HEADER = struct.Struct(">BBHIHHQ")
_BODY = struct.Struct(">BBHI")
_CONFIRM = struct.Struct(">BHIHHQBB")
_COUNT = struct.Struct(">I")
_NUMBERS = struct.Struct(">HH")
_CONTENT = struct.Struct(">HHQ")


class _Content:
    """A message of which some frames are still to come."""

    __slots__ = ("fields", "missing", "parts", "properties")

    def __init__(self, fields: bytes) -> None:
        #: Those of basic.publish.
        self.fields = fields
        self.properties: bytes | None = None
        self.missing = 0
        self.parts: list[bytes] = []


class WireChannel:
    """One channel of a connection; a :class:`nova_fakes.rabbit.receiver.Receiver` for the engine's."""

    def __init__(self, connection: Connection, number: int) -> None:
        self.number = number
        #: The engine's; None: not open yet, or closing.
        self.channel: Channel | None = None
        #: Whether the client has still to answer that the channel is closed.
        self.is_closing = False
        #: A content that is not complete; None: a method comes next.
        self.content: _Content | None = None
        self._connection = connection

    # Frames come in.

    def method(self, payload: bytes) -> None:
        """Do what a method frame says."""
        if self.content is not None:
            raise self._unexpected("non content")
        number: tuple[int, int] = _NUMBERS.unpack_from(payload)
        if number not in METHODS:
            raise MalformedTable(f"no method has the numbers {number}")
        try:
            fields = decode(number, payload[4:])
        except MalformedTable:
            raise _undecodable(payload[4:], number) from None
        if number == PUBLISH:
            self.content = _Content(payload[4:])
        elif self.is_closing:
            self._closing(number)
        elif self.channel is None:
            self._open(number)
        else:
            self._run(self.channel, number, fields)

    def _open(self, number: tuple[int, int]) -> None:
        if number != CHANNEL_OPEN:
            raise _not_open(number)
        session = self._connection.session
        assert session is not None
        self.channel = session.open_channel(self, self.number)
        self.send("channel.open-ok", b"")

    def _closing(self, number: tuple[int, int]) -> None:
        if number == CHANNEL_CLOSE_OK:
            self._connection.channels.pop(self.number, None)
        elif number == CHANNEL_CLOSE:
            self.send("channel.close-ok")
        elif number == CHANNEL_OPEN:
            raise HardError("CHANNEL_ERROR", SECOND_OPEN, number)

    def _run(self, channel: Channel, number: tuple[int, int], fields: dict[str, Any]) -> None:
        try:
            if number == GET:
                self._get(channel, fields["queue"], fields["no_ack"])
            elif number == CHANNEL_CLOSE:
                self._close(channel)
            elif number == CHANNEL_OPEN:
                raise HardError("CHANNEL_ERROR", SECOND_OPEN)
            elif number not in OPERATIONS:
                raise HardError("COMMAND_INVALID", "unimplemented method")
            else:
                answer = OPERATIONS[number](channel, fields)
                if answer is not None and not fields.get("nowait"):
                    self.send(*answer)
        except SoftError as error:
            self.fail(error, number)
        except HardError as error:
            error.method = error.method or number
            raise
        channel.broker.run_later()

    def _get(self, channel: Channel, queue: str, no_ack: bool) -> None:
        got = channel.get(queue, no_ack=no_ack)
        if got is None:
            self.send("basic.get-empty", "")
        else:
            self._send_got(got)

    def _close(self, channel: Channel) -> None:
        channel.flush_confirms()
        channel.close()
        self.channel = None
        self._connection.channels.pop(self.number, None)
        self.send("channel.close-ok")

    def header(self, payload: bytes) -> None:
        """Take a content header."""
        content = self.content
        if content is None:
            raise self._unexpected_first()
        if content.properties is not None:
            raise self._unexpected("non content body")
        class_id, weight, size = _CONTENT.unpack_from(payload)
        if weight:
            raise self._unexpected("non content header")
        if class_id != BASIC:
            text = f"expected content header for class {BASIC}, got one for class {class_id} instead"
            raise HardError("UNEXPECTED_FRAME", text, PUBLISH)
        content.properties = payload[12:]
        content.missing = size
        if not size:
            self._complete(content)

    def body(self, payload: bytes) -> None:
        """Take a part of a content's body."""
        content = self.content
        if content is None:
            raise self._unexpected_first()
        if content.properties is None:
            raise self._unexpected("non content header")
        content.missing -= len(payload)
        if content.missing >= 0:  # RabbitMQ waits for ever where it becomes less
            content.parts.append(payload)
        if content.missing == 0:
            self._complete(content)

    def _complete(self, content: _Content) -> None:
        self.content = None
        assert content.properties is not None
        self.publish(content.fields, content.properties, b"".join(content.parts))

    def publish(self, fields: bytes, properties: bytes, body: bytes) -> None:
        """Publish a content.

        :param fields: the octets of basic.publish's fields
        """
        channel = self.channel
        if channel is None:
            if self.is_closing:
                return
            raise _not_open(PUBLISH)
        connection = self._connection
        if connection.blocking is not None:
            connection.published_while_blocked()
        try:
            exchange, routing_key, mandatory, immediate, address = connection.memory.publication(fields)
        except MalformedTable:
            raise _undecodable(fields, PUBLISH) from None
        try:
            read = connection.memory.properties(properties)
        except MalformedTable:
            raise internal_error() from None
        try:
            if immediate:
                raise HardError("NOT_IMPLEMENTED", "immediate=true")
            channel.publish(exchange, routing_key, read, body, mandatory=mandatory, address=address)
        except SoftError as error:
            self.fail(error, PUBLISH)
        except HardError as error:
            error.method = error.method or PUBLISH
            raise

    def _unexpected_first(self) -> HardError:
        return HardError("UNEXPECTED_FRAME", "expected method frame, got non method frame instead", (0, 0))

    def _unexpected(self, what: str) -> HardError:
        if self.content is not None and self.content.properties is None:
            text = f"expected content header for class {BASIC}, got non content header frame instead"
        else:
            text = "expected content body, got non content body frame instead"
        return HardError("UNEXPECTED_FRAME", text, PUBLISH)

    def fail(self, error: AmqpError, method: tuple[int, int]) -> None:
        """Close the channel with an error's code and text."""
        if self.channel is not None:
            self.channel.flush_confirms()
            self.channel.close()
            self.channel = None
        self.is_closing = True
        self.send("channel.close", error.code, error.text, *method)

    # Frames go out.

    def send(self, name: str, *values: object) -> None:
        """Send a method."""
        self._connection.write(frame(FrameKind.METHOD, self.number, encode(name, *values)))

    def _content(self, message: Message) -> list[bytes]:
        """Return a message's header and body as frames, for behind a method that lacks its end."""
        number, raw, body = self.number, message.properties.raw, message.body
        size, most = len(body), self._connection.body_max
        header = _HEADER.pack(0xCE, FrameKind.HEADER, number, 12 + len(raw), BASIC, 0, size)
        if not size:
            return [header, raw, FRAME_END]
        if size <= most:
            return [header, raw, _BODY.pack(0xCE, FrameKind.BODY, number, size), body, FRAME_END]
        parts = [header, raw]
        for begin in range(0, size, most):
            part = body[begin : begin + most]
            parts += [_BODY.pack(0xCE, FrameKind.BODY, number, len(part)), part]
        return [*parts, FRAME_END]

    def deliver(self, consumer: Consumer, delivery_tag: int, redelivered: bool, message: Message) -> None:
        """Send a message to a consumer."""
        tag, address = consumer.encoded_tag, message.address
        raw, body = message.properties.raw, message.body
        size = len(body)
        connection = self._connection
        number = self.number
        if 0 < size <= connection.body_max:
            octets = b"".join(
                (
                    _METHOD.pack(1, number, 13 + len(tag) + len(address), 60, 60),
                    tag,
                    _DELIVERY.pack(delivery_tag, redelivered),
                    address,
                    _HEADER.pack(0xCE, 2, number, 12 + len(raw), 60, 0, size),
                    raw,
                    _BODY.pack(0xCE, 3, number, size),
                    body,
                    FRAME_END,
                )
            )
        else:
            octets = b"".join(
                [
                    _METHOD.pack(1, number, 13 + len(tag) + len(address), 60, 60),
                    tag,
                    _DELIVERY.pack(delivery_tag, redelivered),
                    address,
                    *self._content(message),
                ]
            )
        connection.write_delivery(octets)

    def _send_got(self, got: Got) -> None:
        address = got.message.address
        head = _METHOD.pack(1, self.number, 17 + len(address), 60, 71)
        tag = _DELIVERY.pack(got.delivery_tag, got.redelivered)
        parts = [head, tag, address, _COUNT.pack(got.message_count), *self._content(got.message)]
        self._connection.write(b"".join(parts))

    def returned(self, message: Message, code: int, text: str) -> None:
        """Send a message back."""
        method = encode("basic.return", code, text, message.exchange, message.routing_key)
        parts = [HEAD.pack(FrameKind.METHOD, self.number, len(method)), method, *self._content(message)]
        self._connection.write(b"".join(parts))

    def acked(self, delivery_tag: int, multiple: bool) -> None:
        """Send a confirm."""
        self._connection.write(_CONFIRM.pack(1, self.number, 13, 60, 80, delivery_tag, multiple, 0xCE))

    def nacked(self, delivery_tag: int, multiple: bool) -> None:
        """Send a refusal; RabbitMQ leaves the bit `requeue` set, which means nothing here."""
        self._connection.write(_CONFIRM.pack(1, self.number, 13, 60, 120, delivery_tag, multiple | 2, 0xCE))

    def cancelled(self, consumer_tag: str) -> None:
        """Tell that a consumer has lost its queue."""
        self.send("basic.cancel", consumer_tag, True)

    def closed(self, error: AmqpError) -> None:
        """Tell that the broker has closed the channel."""
        self.channel = None
        self.is_closing = True
        self.send("channel.close", error.code, error.text, 0, 0)


def _not_open(number: tuple[int, int]) -> HardError:
    return HardError("CHANNEL_ERROR", "expected 'channel.open'", number)


def _undecodable(fields: bytes, number: tuple[int, int]) -> HardError:
    return HardError("FRAME_ERROR", f"cannot decode {erlang.binary(fields)}", number)
