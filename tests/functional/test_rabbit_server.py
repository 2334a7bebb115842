"""The fake RabbitMQ on real sockets: TLS, slow readers, malformed octets, faults, the command."""

import os
import random
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import wait_for
from test_ldap_server import certificate

from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import InvalidInput
from nova_fakes.faults import FaultRule
from nova_fakes.fixtures import BrokerFixture
from nova_fakes.rabbit import Broker, Properties, Server, SoftError
from nova_fakes.rabbit.wire.limits import Limits

pika = pytest.importorskip("pika", reason="pika, of the group contract, is not installed: it is the client here")

HEADER = b"AMQP\x00\x00\x09\x01"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def server(clock: ManualClock) -> Iterator[Server]:
    with Server(Broker(clock=clock, seed=1), limits=Limits(delivery_octets=64 << 10)) as running:
        yield running


def connect(server: Server, **options: Any) -> Any:
    parameters = {"heartbeat": 0, "socket_timeout": 30, "blocked_connection_timeout": 30, **options}
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", server.port, **parameters))


def test_what_is_published_on_one_connection_comes_on_another(server: Server) -> None:
    publisher, consumer = connect(server), connect(server)
    channel = publisher.channel()
    channel.queue_declare("q")
    channel.confirm_delivery()
    body = os.urandom(300_000)  # more than one frame
    channel.basic_publish("", "q", body, pika.BasicProperties(headers={"a": [1, "x", None]}))
    _method, properties, got = next(consumer.channel().consume("q", auto_ack=True))
    assert (got, properties.headers) == (body, {"a": [1, "x", None]})
    publisher.close()
    consumer.close()


def test_a_face_in_the_process_and_the_socket_share_the_broker(server: Server) -> None:
    from nova_fakes.rabbit import Inbox

    arrived = threading.Event()
    inbox = Inbox(on_event=arrived.set)
    with server.broker:
        channel = server.broker.connect(inbox).open_channel(inbox)
        channel.queue_declare("here")
        channel.queue_declare("there")
        channel.consume("here", no_ack=True)
    connection = connect(server)
    remote = connection.channel()
    remote.basic_publish("", "here", b"from the socket")
    assert arrived.wait(30)
    assert inbox.deliveries.popleft().message.body == b"from the socket"
    deliveries = remote.consume("there", auto_ack=True, inactivity_timeout=30)
    threading.Timer(0, _publish, (server.broker, channel, "there")).start()
    assert next(deliveries)[2] == b"from the process"
    connection.close()


def _publish(broker: Broker, channel: Any, queue: str) -> None:
    with broker:
        channel.publish("", queue, Properties(), b"from the process")


def test_tls_and_the_mechanism_external(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)  # whose common name is ann
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    tls.load_verify_locations(cert)
    tls.verify_mode = ssl.CERT_OPTIONAL
    broker = Broker()
    broker.add_user("ann", None)
    client = ssl.create_default_context(cafile=str(cert))
    client.load_cert_chain(cert, key)
    with Server(broker, ("amqps://127.0.0.1:0",), tls=tls) as server:
        options = pika.SSLOptions(client, "127.0.0.1")
        connection = connect(server, ssl_options=options, credentials=pika.credentials.ExternalCredentials())
        assert connection.channel().queue_declare("q").method.queue == "q"
        assert [session.user.name for session in broker.sessions] == ["ann"]
        connection.close()


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:0", "amqp://127.0.0.1:x", "amqps://127.0.0.1:0", "192.0.2.1:5672"]
)
def test_an_address_that_cannot_be_used_is_named(address: str) -> None:
    with pytest.raises(InvalidInput):
        Server(listen=(address,)).start()


def test_a_slow_reader_gets_no_more_than_its_share_and_holds_up_nobody(server: Server) -> None:
    slow, fast = connect(server), connect(server)
    channel = fast.channel()
    channel.queue_declare("q")
    slow.channel().basic_consume("q", lambda *arguments: None, auto_ack=True)
    body = b"x" * 10_000
    for _ in range(3000):
        channel.basic_publish("", "q", body)
    waiting = channel.queue_declare("q", passive=True).method.message_count
    assert waiting > 1500  # what a paused client has not been sent, in spite of all the kernel's buffers
    assert channel.queue_declare("other").method.queue == "other"
    slow.process_data_events(time_limit=0)
    wait_for("the rest", lambda: slow.process_data_events(time_limit=0.01) or _count(channel, "q") == 0)
    slow.close()
    fast.close()


def _count(channel: Any, queue: str) -> int:
    return int(channel.queue_declare(queue, passive=True).method.message_count)


def test_a_silent_client_is_dropped_by_the_clock_alone(server: Server, clock: ManualClock) -> None:
    connection = connect(server, heartbeat=10)
    assert len(server.broker.sessions) == 1
    for _ in range(8):
        clock.advance(5)
        with server.broker:
            pass
    wait_for("the session's end", lambda: not server.broker.sessions)
    with pytest.raises(pika.exceptions.AMQPError):
        connection.process_data_events(time_limit=5)


def test_time_passes_on_the_socket_as_the_clock_says(server: Server, clock: ManualClock) -> None:
    connection = connect(server)
    channel = connection.channel()
    channel.queue_declare("dead")
    arguments = {"x-message-ttl": 60_000, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    channel.queue_declare("q", arguments=arguments)
    channel.basic_publish("", "q", b"old")
    assert _count(channel, "q") == 1
    deliveries = channel.consume("dead", auto_ack=True, inactivity_timeout=30)
    clock.advance(61)
    assert next(deliveries)[2] == b"old"
    connection.close()


def test_a_blocked_publisher_is_told_and_goes_on_later(server: Server) -> None:
    told: list[str] = []
    connection = connect(server)
    connection.add_on_connection_blocked_callback(lambda _connection, frame: told.append(frame.method.reason))
    connection.add_on_connection_unblocked_callback(lambda *_arguments: told.append("unblocked"))
    channel = connection.channel()
    channel.queue_declare("q")
    with server.broker:
        server.broker.block("low on memory")
    channel.basic_publish("", "q", b"x")
    wait_for("the word", lambda: connection.process_data_events(time_limit=0.01) or told)
    with server.broker:
        server.broker.unblock()
    assert _count(channel, "q") == 1
    wait_for("the other word", lambda: connection.process_data_events(time_limit=0.01) or len(told) > 1)
    assert told == ["low on memory", "unblocked"]
    connection.close()


def test_rules_close_channels_and_refuse_confirms(server: Server) -> None:
    connection = connect(server)
    channel = connection.channel()
    faults = server.broker.faults
    faults.add(FaultRule("queue.declare", error=SoftError("PRECONDITION_FAILED", "a rule"), times=1))
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="PRECONDITION_FAILED - a rule"):
        channel.queue_declare("q")
    channel = connection.channel()
    channel.queue_declare("q")
    channel.confirm_delivery()
    faults.add(FaultRule("confirm", times=1))
    with pytest.raises(pika.exceptions.NackError):
        channel.basic_publish("", "q", b"x")
    channel.basic_publish("", "q", b"x")
    connection.close()


def test_a_lost_broker_comes_back_with_what_is_durable(server: Server) -> None:
    connection = connect(server)
    channel = connection.channel()
    channel.queue_declare("q", durable=True)
    channel.confirm_delivery()
    channel.basic_publish("", "q", b"kept", pika.BasicProperties(delivery_mode=2))
    with server.broker:
        server.broker.stop()
    with pytest.raises(pika.exceptions.AMQPError):
        connection.process_data_events(time_limit=10)
    with pytest.raises(pika.exceptions.AMQPError):
        connect(server)
    with server.broker:
        server.broker.start()
    again = connect(server)
    assert again.channel().basic_get("q", auto_ack=True)[2] == b"kept"
    again.close()


def test_malformed_octets_end_their_connection_and_no_other(server: Server) -> None:
    healthy = connect(server)
    channel = healthy.channel()
    channel.queue_declare("q")
    chance = random.Random(7)
    opening = _opening()
    for _ in range(150):
        noise = bytearray(opening + _frames(chance))
        for _ in range(chance.randrange(4)):
            noise[chance.randrange(8, len(noise))] = chance.randrange(256)
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(noise[: chance.randrange(1, len(noise) + 1)])
    assert channel.queue_declare("q", passive=True).method.queue == "q"
    wait_for("the ends of the others", lambda: len(server.clients) == 1)
    assert len(server.broker.sessions) == 1
    healthy.close()


def _opening() -> bytes:
    """Return what a client sends up to connection.open, and channel.open."""
    start_ok = struct.pack(">HHI", 10, 11, 0) + b"\x05PLAIN\x00\x00\x00\x0c\x00guest\x00guest\x05en_US"
    tune_ok = struct.pack(">HHHIH", 10, 31, 100, 4096, 0)
    opened = struct.pack(">HH", 10, 40) + b"\x01/\x00\x00"
    channel = struct.pack(">HH", 20, 10) + b"\x00"
    return HEADER + _frame(0, start_ok) + _frame(0, tune_ok) + _frame(0, opened) + _frame(1, channel)


def _frame(channel: int, payload: bytes, kind: int = 1) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def _frames(chance: random.Random) -> bytes:
    """Return some frames that make sense, and some that do not."""
    publish = _frame(1, struct.pack(">HHH", 60, 40, 0) + b"\x00\x01q\x00")
    content = _frame(1, struct.pack(">HHQH", 60, 0, 3, 0), 2) + _frame(1, b"abc", 3)
    declare = _frame(1, struct.pack(">HHH", 50, 10, 0) + b"\x01z\x00" + struct.pack(">I", 0))
    random_method = _frame(
        1, struct.pack(">HH", chance.choice((20, 40, 50, 60, 85, 90)), chance.randrange(130)) + chance.randbytes(9)
    )
    return b"".join(chance.choices((publish + content, declare, random_method, content, publish), k=6))


def test_many_quick_connections_leave_nothing(server: Server) -> None:
    for number in range(1000):
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            if number % 2:
                client.sendall(HEADER)
    wait_for("their ends", lambda: not server.clients)
    assert not server.broker.sessions


def test_a_fixture_serves_a_broker_during_a_test() -> None:
    with BrokerFixture(seed=1) as fixture:
        connection = pika.BlockingConnection(pika.URLParameters(f"{fixture.url}/%2F"))
        connection.channel().queue_declare("q")
        assert list(fixture.broker.vhosts["/"].queues) == ["q"]
        connection.close()
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        pika.BlockingConnection(pika.URLParameters(f"{fixture.url}/%2F"))


def test_a_handshake_that_is_not_finished_ends(server: Server, clock: ManualClock) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(HEADER)
        assert client.recv(7)[:1] == b"\x01"
        clock.advance(11)
        while client.recv(65536):
            pass


def test_the_command_serves_until_it_is_told_to_end() -> None:
    command = [sys.executable, "-m", "nova_fakes", "rabbit", "serve", "--listen", "127.0.0.1:0"]
    command += ["--user", "ann:secret", "--vhost", "lab"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().strip()
        credentials = pika.PlainCredentials("ann", "secret")
        parameters = pika.ConnectionParameters(
            "127.0.0.1", int(url.rpartition(":")[2]), "lab", credentials, socket_timeout=30
        )
        connection = pika.BlockingConnection(parameters)
        connection.channel().queue_declare("q")
        process.send_signal(signal.SIGTERM)
        with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as caught:
            connection.process_data_events(time_limit=30)
        assert caught.value.reply_code == 320
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
