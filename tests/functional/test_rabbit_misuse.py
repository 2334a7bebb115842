"""Octets that no client of good faith sends, and what RabbitMQ 3.10.8 answered to them: so do we."""

import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from nova_fakes.clock import ManualClock
from nova_fakes.rabbit import Broker, Server

pytest.importorskip("pika", reason="pika, of the group contract, is not installed: its codec writes and reads frames")

from pika import frame, spec

MISSING = "(404) NOT_FOUND - no queue 'missing' in vhost '/' 50.10"
HEADER_EXPECTED = "expected content header for class 60, got non content header frame instead"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(Broker(clock=ManualClock(), seed=1)) as running:
        yield running


class Raw:
    """A client that writes what it is told, and reads until the broker says that something is over."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self._octets = b""
        self._socket.sendall(b"AMQP\x00\x00\x09\x01")
        self.read("Connection.Start")
        self.method(0, spec.Connection.StartOk({}, "PLAIN", "\0guest\0guest", "en_US"))
        self.read("Connection.Tune")
        self.method(0, spec.Connection.TuneOk(2047, 131072, 0))
        self.method(0, spec.Connection.Open("/"))
        self.read("Connection.OpenOk")
        self.method(1, spec.Channel.Open())
        self.read("Channel.OpenOk")

    def method(self, channel: int, method: Any) -> None:
        self.send(frame.Method(channel, method).marshal())

    def send(self, octets: bytes) -> None:
        self._socket.sendall(octets)

    def read(self, *names: str) -> Any:
        """Return the next method of one of these names; others are passed over."""
        while True:
            used, found = frame.decode_frame(self._octets)
            if not used:
                got = self._socket.recv(65536)
                assert got, "the broker hung up without a word"
                self._octets += got
                continue
            self._octets = self._octets[used:]
            if isinstance(found, frame.Method) and found.method.NAME in names:
                return found.method

    def over(self) -> str:
        """Return what the broker says of the next close."""
        close = self.read("Channel.Close", "Connection.Close")
        return f"({close.reply_code}) {close.reply_text} {close.class_id}.{close.method_id}"

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def client(server: Server) -> Iterator[Raw]:
    made = Raw(server.port)
    yield made
    made.close()


def raw(kind: int, channel: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def header(size: int, *, class_id: int = 60, weight: int = 0, properties: bytes = b"\0\0") -> bytes:
    return raw(2, 1, struct.pack(">HHQ", class_id, weight, size) + properties)


def longer(method: Any, channel: int = 1) -> bytes:
    """A method with two octets behind its last field."""
    return raw(1, channel, frame.Method(channel, method).marshal()[7:-1] + b"zz")


PUBLISH = frame.Method(1, spec.Basic.Publish(routing_key="q")).marshal()
QOS = frame.Method(1, spec.Basic.Qos()).marshal()
DECLARE = frame.Method(1, spec.Queue.Declare(queue="missing", passive=True)).marshal()
NOT_A_NUMBER = b"\x20\x00" + struct.pack(">I", 11) + b"\x01kd" + struct.pack(">d", float("nan"))


@pytest.mark.parametrize(
    ("octets", "answer"),
    [
        (longer(spec.Channel.Flow(True)), "(501) FRAME_ERROR - cannot decode <<1,122,122>> 20.20"),
        (longer(spec.Confirm.Select()), "(501) FRAME_ERROR - cannot decode <<0,122,122>> 85.10"),
        (
            longer(spec.Basic.Publish(routing_key="x")),
            "(501) FRAME_ERROR - cannot decode <<0,0,0,1,120,0,122,122>> 60.40",
        ),
        (longer(spec.Connection.Close(200, "", 0, 0), 0), "(541) INTERNAL_ERROR 0.0"),
        (raw(1, 0, struct.pack(">HH", 10, 50)), "(541) INTERNAL_ERROR 0.0"),
        (PUBLISH + header(1, weight=7), f"(505) UNEXPECTED_FRAME - {HEADER_EXPECTED} 60.40"),
        (PUBLISH + header(0, properties=NOT_A_NUMBER), "(541) INTERNAL_ERROR 0.0"),
        (
            frame.Method(2, spec.Basic.Publish(routing_key="q")).marshal() + raw(3, 2, b"x"),
            f"(505) UNEXPECTED_FRAME - {HEADER_EXPECTED} 60.40",
        ),
    ],
)
def test_what_is_wrong_ends_the_connection_with_rabbitmqs_words(client: Raw, octets: bytes, answer: str) -> None:
    client.send(octets)
    assert client.over() == answer


@pytest.mark.parametrize(
    ("octets", "answer"),
    [
        (frame.Method(1, spec.Channel.Open()).marshal(), "(504) CHANNEL_ERROR - second 'channel.open' seen 20.10"),
        (raw(3, 1, b"x"), "(505) UNEXPECTED_FRAME - expected method frame, got non method frame instead 0.0"),
        (PUBLISH + QOS, f"(505) UNEXPECTED_FRAME - {HEADER_EXPECTED} 60.40"),
        (
            PUBLISH + header(1, class_id=50),
            "(505) UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead 60.40",
        ),
        (raw(1, 1, struct.pack(">HH", 60, 40)), "(501) FRAME_ERROR - cannot decode <<>> 60.40"),
    ],
)
def test_a_channel_that_is_closing_still_reads_what_comes(client: Raw, octets: bytes, answer: str) -> None:
    client.send(DECLARE + octets)
    assert [client.over(), client.over()] == [MISSING, answer]


def test_a_content_for_a_channel_that_is_closing_goes_nowhere(client: Raw, server: Server) -> None:
    client.method(1, spec.Queue.Declare(queue="q"))
    client.read("Queue.DeclareOk")
    client.send(DECLARE + PUBLISH + header(1) + raw(3, 1, b"x"))
    assert client.over() == MISSING
    client.method(1, spec.Channel.CloseOk())
    client.method(1, spec.Channel.Open())
    client.read("Channel.OpenOk")
    client.method(1, spec.Queue.Declare(queue="q", passive=True))
    assert client.read("Queue.DeclareOk").message_count == 0


def test_a_refusal_covers_all_before_it_where_nothing_is_open(client: Raw) -> None:
    full = {"x-max-length": 1, "x-overflow": "reject-publish"}
    client.method(1, spec.Queue.Declare(queue="q", arguments=full))
    client.read("Queue.DeclareOk")
    client.method(1, spec.Confirm.Select())
    client.read("Confirm.SelectOk")
    client.send(PUBLISH + header(0))
    assert not client.read("Basic.Ack").multiple
    client.send(PUBLISH + header(0))
    nack = client.read("Basic.Nack")
    assert (nack.delivery_tag, nack.multiple, nack.requeue) == (2, True, True)
