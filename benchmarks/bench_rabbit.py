"""The fake RabbitMQ beside a real one: the broker's CPU time per message, and messages per second by one client.

The client is py-amqp.

Both brokers run in processes of their own and are driven in turn; medians of the rounds are printed as JSON. Without an
installed rabbitmq-server the figures stand alone.
"""

import argparse
import json
import os
import re
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import amqp
except ImportError:
    print("py-amqp, of the group contract, is not installed: there is no client to measure with", file=sys.stderr)
    print("[]")
    sys.exit()

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "functional"))
BODY = b"x" * 1024
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE_S = 60.0


@dataclass
class Broker:
    """A running broker: where it listens, and the process whose time counts."""

    port: int
    pid: int
    start_s: float

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_kib(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])

    def connect(self) -> amqp.Connection:
        connection = amqp.Connection(f"127.0.0.1:{self.port}", userid="guest", password="guest", connect_timeout=30)
        connection.connect()
        return connection


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(5)
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def ours(directory: Path) -> Iterator[Broker]:
    port = free_port()
    began = time.monotonic()
    command = [sys.executable, "-m", "nova_fakes", "rabbit", "serve", "--listen", f"127.0.0.1:{port}"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)})
    try:
        process.stdout.readline()
        broker = Broker(port, process.pid, 0.0)
        broker.connect().close()
        broker.start_s = time.monotonic() - began
        yield broker
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def peer(directory: Path) -> Iterator[Broker | None]:
    from rabbitmq import SERVERS, running_rabbitmq

    if not SERVERS:
        yield None
        return
    began = time.monotonic()
    with running_rabbitmq(directory) as url:
        broker = Broker(int(url.rstrip("/").rpartition(":")[2]), 0, 0.0)
        broker.connect().close()
        broker.start_s = time.monotonic() - began
        broker.pid = _virtual_machine(directory)
        yield broker


def _virtual_machine(directory: Path) -> int:
    """Return the process in which Erlang runs the broker of a directory."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"beam.smp" in command and str(directory).encode() in command:
            return int(process.name)
    raise RuntimeError("RabbitMQ's process is not to be found")


def barrier(channel: amqp.Channel, queue: str, count: int | None = None) -> None:
    """Wait until the broker has done what it was asked, or until that many messages wait."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        waiting = channel.queue_declare(queue, passive=True).message_count
        if count is None or waiting >= count:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"{waiting} messages wait in {queue}, not {count}")


def publish(broker: Broker, count: int) -> Callable[[], None]:
    channel = broker.connect().channel()
    channel.queue_declare("publish", auto_delete=False)
    message = amqp.Message(BODY, delivery_mode=1)

    def work() -> None:
        channel.queue_purge("publish")
        for _ in range(count):
            channel.basic_publish(message, "", "publish")
        barrier(channel, "publish", count)

    return work


def consume(broker: Broker, count: int) -> Callable[[], None]:
    connection = broker.connect()
    channel = connection.channel()
    channel.queue_declare("consume", auto_delete=False)
    filler = broker.connect().channel()
    message = amqp.Message(BODY, delivery_mode=1)
    got = 0

    def take(delivery: Any) -> None:
        nonlocal got
        got += 1
        channel.basic_ack(delivery.delivery_tag)

    def prepare() -> None:
        for _ in range(count):
            filler.basic_publish(message, "", "consume")
        barrier(filler, "consume", count)

    def work() -> None:
        nonlocal got
        got = 0
        channel.basic_qos(0, 200, False)
        tag = channel.basic_consume("consume", callback=take)
        while got < count:
            connection.drain_events(timeout=PATIENCE_S)
        channel.basic_cancel(tag.consumer_tag if hasattr(tag, "consumer_tag") else tag)

    work.prepare = prepare  # type: ignore[attr-defined]
    return work


def confirmed(broker: Broker, count: int, mode: int = 1) -> Callable[[], None]:
    connection = amqp.Connection(f"127.0.0.1:{broker.port}", confirm_publish=True)
    connection.connect()
    channel = connection.channel()
    queue = f"confirmed{mode}"
    channel.queue_declare(queue, durable=mode == 2, auto_delete=False)
    message = amqp.Message(BODY, delivery_mode=mode)

    def work() -> None:
        channel.queue_purge(queue)
        for _ in range(count):
            channel.basic_publish(message, "", queue)

    return work


def persistent(broker: Broker, count: int) -> Callable[[], None]:
    return confirmed(broker, count, 2)


def call(broker: Broker, count: int) -> Callable[[], None]:
    """A request and its answer, as oslo.messaging does it: one connection asks, another answers."""
    asking, answering = broker.connect(), broker.connect()
    asker, answerer = asking.channel(), answering.channel()
    asker.queue_declare("replies", auto_delete=False)
    answerer.queue_declare("requests", auto_delete=False)
    request, reply = amqp.Message(BODY, reply_to="replies"), amqp.Message(BODY)
    got = 0

    def answer(message: Any) -> None:
        answerer.basic_publish(reply, "", "replies")
        answerer.basic_ack(message.delivery_tag)

    def take(message: Any) -> None:
        nonlocal got
        got += 1
        asker.basic_ack(message.delivery_tag)

    answerer.basic_consume("requests", callback=answer)
    asker.basic_consume("replies", callback=take)

    def work() -> None:
        nonlocal got
        got = 0
        for number in range(count):
            asker.basic_publish(request, "", "requests")
            answering.drain_events(timeout=PATIENCE_S)
            while got <= number:
                asking.drain_events(timeout=PATIENCE_S)

    return work


def fanout(broker: Broker, count: int) -> Callable[[], None]:
    """To 100 queues; counted are the copies."""
    channel = broker.connect().channel()
    channel.exchange_declare("hundred", "fanout", auto_delete=False)
    for number in range(100):
        channel.queue_declare(f"hundred{number}", auto_delete=False)
        channel.queue_bind(f"hundred{number}", "hundred")
    message = amqp.Message(BODY, delivery_mode=1)
    messages = max(count // 100, 1)

    def work() -> None:
        for number in range(100):
            channel.queue_purge(f"hundred{number}")
        for _ in range(messages):
            channel.basic_publish(message, "hundred", "")
        for number in range(100):
            barrier(channel, f"hundred{number}", messages)

    return work


def topics(broker: Broker, count: int) -> Callable[[], None]:
    """To one queue past 1,000 bindings with patterns; the keys are 1,000 different ones."""
    channel = broker.connect().channel()
    channel.exchange_declare("patterns", "topic", auto_delete=False)
    channel.queue_declare("patterns", auto_delete=False)
    for number in range(1000):
        channel.queue_bind("patterns", "patterns", f"compute.{number}.*.#")
    message = amqp.Message(BODY, delivery_mode=1)

    def work() -> None:
        channel.queue_purge("patterns")
        for number in range(count):
            channel.basic_publish(message, "patterns", f"compute.{number % 1000}.start.now")
        barrier(channel, "patterns", count)

    return work


CASES: dict[str, tuple[Callable[[Broker, int], Callable[[], None]], int]] = {
    "publish": (publish, 20_000),
    "consume and acknowledge": (consume, 10_000),
    "confirmed publish": (confirmed, 4_000),
    "persistent confirmed publish": (persistent, 2_000),
    "call and answer": (call, 2_000),
    "fan-out to 100 queues": (fanout, 50_000),
    "publish past 1,000 topic bindings": (topics, 10_000),
}


def measure(broker: Broker, work: Callable[[], None], count: int) -> tuple[float, float]:
    """Return the broker's microseconds of CPU per message, and messages per second."""
    getattr(work, "prepare", lambda: None)()
    cpu_s, began = broker.cpu_s(), time.monotonic()
    work()
    wall_s = time.monotonic() - began
    return (broker.cpu_s() - cpu_s) / count * 1e6, count / wall_s


def figure(name: str, unit: str, our: float, other: float | None) -> dict[str, Any]:
    ratio = None if not other else our / other
    return {"name": name, "unit": unit, "ours": our, "other": other, "other_is": "RabbitMQ", "ratio": ratio}


def compare(name: str, fake: Broker, real: Broker | None, scale: float, rounds: int) -> list[dict[str, Any]]:
    case, full = CASES[name]
    count = max(int(full * scale), 200)
    brokers = [fake] if real is None else [fake, real]
    works = [case(broker, count) for broker in brokers]
    results: list[list[tuple[float, float]]] = [[] for _ in brokers]
    for round_ in range(rounds + 1):
        for index, broker in enumerate(brokers):
            found = measure(broker, works[index], count)
            if round_:  # the first one warms up
                results[index].append(found)
    costs = [statistics.median(cost for cost, _rate in result) for result in results]
    rates = [statistics.median(rate for _cost, rate in result) for result in results]
    return [
        figure(f"rabbit: {name}, broker's CPU", "us/message", costs[0], costs[1] if real else None),
        figure(f"rabbit: {name}", "messages/s", rates[0], rates[1] if real else None),
    ]


def publication(queue: str) -> bytes:
    """Return basic.publish with its header and body, as octets for channel 1."""
    method = struct.pack(">HHHBB", 60, 40, 0, 0, len(queue)) + queue.encode() + b"\0"
    payloads = (1, method), (2, struct.pack(">HHQH", 60, 0, len(BODY), 0)), (3, BODY)
    return b"".join(struct.pack(">BHI", kind, 1, len(payload)) + payload + b"\xce" for kind, payload in payloads)


def crowd(broker: Broker, messages: int, connections: int) -> list[dict[str, Any]]:
    """Let that many messages wait and that many clients be connected at once; return what each takes."""
    connection = broker.connect()
    channel = connection.channel(1)
    channel.queue_declare("crowd", auto_delete=False)
    octets = publication("crowd") * 100
    before_kib, cpu_s = broker.resident_kib(), broker.cpu_s()
    for _ in range(messages // 100):
        connection.transport.sock.sendall(octets)
    barrier(channel, "crowd", messages)
    waiting_kib, cpu_s = broker.resident_kib(), broker.cpu_s() - cpu_s
    clients = [broker.connect() for _ in range(connections)]
    connected_kib = broker.resident_kib()
    for client in clients[:: max(connections // 100, 1)]:  # all are served still
        assert client.channel().queue_declare("crowd", passive=True).message_count == messages
    for client in clients:
        client.transport.sock.close()
    return [
        figure(
            f"rabbit: {messages:,} messages of 1 KiB wait",
            "bytes/message",
            (waiting_kib - before_kib) * 1024 / messages,
            None,
        ),
        figure(f"rabbit: {messages:,} messages come in, broker's CPU", "us/message", cpu_s / messages * 1e6, None),
        figure(
            f"rabbit: {connections:,} connections", "KiB/connection", (connected_kib - waiting_kib) / connections, None
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer messages, one round")
    parser.add_argument("--only", help="the cases whose names contain this")
    parser.add_argument("--alone", action="store_true", help="without a real RabbitMQ")
    parser.add_argument("--crowd", action="store_true", help="a million waiting messages, 10,000 clients; nothing else")
    options = parser.parse_args()
    figures: list[dict[str, Any]] = []
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        fake = stack.enter_context(ours(directory))
        if options.crowd:
            json.dump(crowd(fake, *((10_000, 100) if options.quick else (1_000_000, 10_000))), sys.stdout, indent=1)
            return
        real = None if options.alone else stack.enter_context(peer(directory))
        figures.append(figure("rabbit: start to first connection", "s", fake.start_s, real.start_s if real else None))
        for name in CASES:
            if options.only is None or options.only in name:
                figures += compare(name, fake, real, 0.1 if options.quick else 1.0, 1 if options.quick else 3)
    json.dump(figures, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
