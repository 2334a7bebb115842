"""Sequences of operations, made by a seeded generator, and what a broker answers to one."""

import random
import re
import time
from typing import Any

import amqp
from amqp.exceptions import AMQPError, MessageNacked

QUEUES = ("q0", "q1", "q2", "q3")
EXCHANGES = ("x0", "x1", "x2")
KEYS = ("a", "a.b", "b", "", "a.b.c")
PATTERNS = (*KEYS, "#", "a.*", "*.b", "a.#")
HEADERS: tuple[dict[str, Any], ...] = ({}, {"k": 1}, {"k": "1", "z": True}, {"x-match": "any", "k": 1, "z": True})
QUEUE_ARGUMENTS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {},
    {"x-max-length": 2},
    {"x-max-length": 2, "x-overflow": "reject-publish"},
    {"x-max-length-bytes": 10},
    {"x-max-priority": 3},
    {"x-single-active-consumer": True},
    {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "@q0"},
    {"x-dead-letter-exchange": "@x0"},
    {"x-max-length": 1, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "@q1"},
    {"x-max-length": 1, "x-overflow": "reject-publish-dlx", "x-dead-letter-exchange": "@x1"},
    {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "@q2", "x-max-priority": 2},
    {"x-max-length": 2, "x-max-priority": 2},
    {"x-max-length": 0},
    {"x-single-active-consumer": True, "x-max-length": 3},
    {"x-expires": 100_000},
    {"x-message-ttl": -1},
    {"x-max-priority": 300},
    {"x-overflow": "nowhere"},
)
EXCHANGE_ARGUMENTS: tuple[dict[str, Any], ...] = (
    *({},) * 6, {"alternate-exchange": "@x1"}, {"alternate-exchange": "@x2"}, {"alternate-exchange": ""},
    {"alternate-exchange": 5},
)  # fmt: skip
#: What is wrong wherever it is said.
MISUSES = (
    "type", "reserved_queue", "reserved_exchange", "publish", "consume", "tag", "prefetch_size", "recover", "flow",
    "commit", "default_bind", "default_declare", "user", "expiration",
)  # fmt: skip
WAIT_S = 5.0

Step = tuple[str, dict[str, Any]]
Outcome = tuple[Any, list[Any]]


def sequence(seed: int, length: int) -> list[Step]:
    """Make a sequence; the first steps see to it that there is something to work with."""
    chance = random.Random(seed)
    steps: list[Step] = [_declare_queue(chance), _declare_exchange(chance), _bind(chance)]
    kinds = (
        (_declare_queue, 3), (_declare_exchange, 2), (_bind, 4), (_publish, 12), (_get, 8), (_answer, 8), (_consume, 3),
        (_cancel, 1), (_delete_queue, 1), (_delete_exchange, 1), (_bind_exchange, 2), (_unbind, 1), (_purge, 1),
        (_recover, 1), (_count, 2), (_transaction, 2), (_look, 1), (_unbind_exchange, 1), (_ask, 1), (_misuse, 1),
    )  # fmt: skip
    makers, weights = zip(*kinds, strict=True)
    return steps + [maker(chance) for maker in chance.choices(makers, weights, k=length)]


def _declare_queue(chance: random.Random) -> Step:
    return "declare_queue", {
        "queue": chance.choice(QUEUES),
        "durable": chance.random() < 0.2,
        "auto_delete": chance.random() < 0.2,
        "exclusive": chance.random() < 0.1,
        "arguments": chance.choice(QUEUE_ARGUMENTS),
    }


def _declare_exchange(chance: random.Random) -> Step:
    return "declare_exchange", {
        "exchange": chance.choice(EXCHANGES),
        "type": chance.choice(("direct", "topic", "fanout", "headers")),
        "auto_delete": chance.random() < 0.2,
        "durable": chance.random() < 0.1,
        "arguments": chance.choice(EXCHANGE_ARGUMENTS),
    }


def _bind(chance: random.Random) -> Step:
    return "bind", {
        "queue": chance.choice(QUEUES),
        "exchange": chance.choice(EXCHANGES),
        "routing_key": chance.choice(PATTERNS),
        "arguments": chance.choice(HEADERS),
    }


def _unbind(chance: random.Random) -> Step:
    return "unbind", _bind(chance)[1]


def _bind_exchange(chance: random.Random) -> Step:
    return "bind_exchange", {
        "destination": chance.choice(EXCHANGES),
        "source": chance.choice(EXCHANGES),
        "routing_key": chance.choice(PATTERNS),
    }


def _unbind_exchange(chance: random.Random) -> Step:
    return "unbind_exchange", _bind_exchange(chance)[1]


def _transaction(chance: random.Random) -> Step:
    return "transaction", {
        "queue": chance.choice(QUEUES),
        "bodies": [f"{chance.randrange(1000)}" for _ in range(chance.randrange(3))],
        "gets": chance.randrange(3),
        "answer": chance.choice(("ack", "requeue", "discard", "none")),
        "commits": chance.random() < 0.6,
    }


def _look(chance: random.Random) -> Step:
    return "look", {"exchange": chance.choice(EXCHANGES)}


def _ask(chance: random.Random) -> Step:
    return "ask", {"answers": chance.randrange(3)}


def _misuse(chance: random.Random) -> Step:
    return "misuse", {"what": chance.choice(MISUSES)}


def _publish(chance: random.Random) -> Step:
    to_queue = chance.random() < 0.5
    return "publish", {
        "exchange": "" if to_queue else chance.choice(EXCHANGES),
        "routing_key": chance.choice(QUEUES) if to_queue else chance.choice(KEYS),
        "mandatory": chance.random() < 0.5,
        "body": f"{chance.randrange(1000)}",
        "priority": chance.choice((None, 0, 2, 9)),
        "headers": chance.choice(HEADERS[:3]),
    }


def _get(chance: random.Random) -> Step:
    return "get", {"queue": chance.choice(QUEUES), "no_ack": chance.random() < 0.3}


def _answer(chance: random.Random) -> Step:
    return chance.choice(("ack", "ack", "requeue", "discard")), {
        "index": chance.randrange(8),
        "multiple": chance.random() < 0.3,
    }


def _consume(chance: random.Random) -> Step:
    return "consume", {
        "queue": chance.choice(QUEUES),
        "tag": chance.choice(("t0", "t1", "t2")),
        "prefetch": chance.choice((0, 1, 2)),
        "no_ack": chance.random() < 0.3,
        "exclusive": chance.random() < 0.1,
        "priority": chance.choice((None, None, 0, 5, -1)),
    }


def _cancel(chance: random.Random) -> Step:
    return "cancel", {"tag": chance.choice(("t0", "t1", "t2"))}


def _delete_queue(chance: random.Random) -> Step:
    return "delete_queue", {
        "queue": chance.choice(QUEUES),
        "if_unused": chance.random() < 0.3,
        "if_empty": chance.random() < 0.2,
    }


def _delete_exchange(chance: random.Random) -> Step:
    return "delete_exchange", {"exchange": chance.choice(EXCHANGES), "if_unused": chance.random() < 0.3}


def _purge(chance: random.Random) -> Step:
    return "purge", {"queue": chance.choice(QUEUES)}


def _recover(chance: random.Random) -> Step:
    return "recover", {}


def _count(chance: random.Random) -> Step:
    return "count", {"queue": chance.choice(QUEUES)}


class Player:
    """Plays sequences on one broker, on names of their own.

    :param prefix: of all names; it is taken out of the answers
    """

    def __init__(self, port: int, prefix: str) -> None:
        self._port = port
        self._prefix = prefix
        self._events: list[Any] = []
        self._unanswered: list[int] = []
        self._no_ack: set[str] = set()
        self._connect()

    def _connect(self) -> None:
        self._connection = amqp.Connection(f"127.0.0.1:{self._port}", confirm_publish=True)
        self._connection.connect()
        self._open()

    def _open(self) -> None:
        self._unanswered.clear()
        self._channel = self._connection.channel()
        self._channel.events["basic_return"].add(self._returned)

    def play(self, steps: list[Step], expected: list[Outcome] | None = None) -> list[Outcome]:
        """Return the answer of each step with the messages that came; where they are expected, they are waited for."""
        outcomes: list[Outcome] = []
        for index, (name, arguments) in enumerate(steps):
            try:
                answer = getattr(self, f"_{name}")(**arguments)
            except MessageNacked:
                answer = "nacked"
            except AMQPError as error:
                answer = self._failed(error)
            self._settle(len(expected[index][1]) if expected else None)
            outcomes.append((self._normal(answer), self._normal(self._events)))
            self._events = []
        return outcomes

    def clear(self) -> None:
        """Delete everything and end."""
        self._connection.close()
        self._connect()
        try:
            for queue in QUEUES:
                self._channel.queue_delete(self._prefix + queue)
            for exchange in EXCHANGES:
                self._channel.exchange_delete(self._prefix + exchange)
        finally:
            self._connection.close()

    def _failed(self, error: AMQPError) -> Any:
        if self._connection.connected and error.reply_code not in range(500, 600):
            self._open()
        else:
            self._connect()
        return error.reply_code, error.reply_text

    def _settle(self, count: int | None) -> None:
        """Make a round trip, and wait until that many messages have come."""
        deadline = time.monotonic() + WAIT_S
        try:
            self._channel.flow(True)
            while count is not None and len(self._events) < count and time.monotonic() < deadline:
                try:
                    self._connection.drain_events(timeout=0.05)
                except TimeoutError:
                    continue
        except AMQPError as error:
            self._events.append(self._failed(error))

    def _normal(self, value: Any) -> Any:
        if isinstance(value, str):
            return re.sub(r"amq\.(ctag|gen)-[\w-]+", r"amq.\1", value.replace(self._prefix, ""))
        if isinstance(value, dict):
            return {key: "time" if key == "time" else self._normal(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._normal(item) for item in value]
        return value

    def _named(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {
            key: self._prefix + value[1:] if isinstance(value, str) and value.startswith("@") else value
            for key, value in arguments.items()
        }

    def _shown(self, message: Any) -> dict[str, Any]:
        kept = ("redelivered", "exchange", "routing_key", "consumer_tag", "message_count")
        info = {key: message.delivery_info[key] for key in kept if key in message.delivery_info}
        return {"body": message.body, **info, "headers": message.properties.get("application_headers")}

    def _returned(self, error: AMQPError, exchange: str, routing_key: str, message: Any) -> None:
        self._events.append(("returned", error.reply_code, error.reply_text, exchange, routing_key, message.body))

    def _delivered(self, message: Any) -> None:
        self._events.append(("delivered", self._shown(message)))
        if message.delivery_info["consumer_tag"] not in self._no_ack:
            self._unanswered.append(message.delivery_tag)

    # Steps.

    def _declare_queue(self, queue: str, arguments: dict[str, Any], **options: Any) -> Any:
        return tuple(self._channel.queue_declare(self._prefix + queue, arguments=self._named(arguments), **options))

    def _declare_exchange(self, exchange: str, type: str, arguments: dict[str, Any], **options: Any) -> Any:
        self._channel.exchange_declare(self._prefix + exchange, type, arguments=self._named(arguments), **options)

    def _bind(self, queue: str, exchange: str, routing_key: str, arguments: dict[str, Any]) -> Any:
        self._channel.queue_bind(self._prefix + queue, self._prefix + exchange, routing_key, arguments=arguments)

    def _unbind(self, queue: str, exchange: str, routing_key: str, arguments: dict[str, Any]) -> Any:
        self._channel.queue_unbind(self._prefix + queue, self._prefix + exchange, routing_key, arguments=arguments)

    def _bind_exchange(self, destination: str, source: str, routing_key: str) -> Any:
        self._channel.exchange_bind(self._prefix + destination, self._prefix + source, routing_key)

    def _unbind_exchange(self, destination: str, source: str, routing_key: str) -> Any:
        self._channel.exchange_unbind(self._prefix + destination, self._prefix + source, routing_key)

    def _look(self, exchange: str) -> Any:
        self._channel.exchange_declare(self._prefix + exchange, "direct", passive=True)

    def _transaction(self, queue: str, bodies: list[str], gets: int, answer: str, commits: bool) -> Any:
        """Publish, get and answer on a channel of its own, which then ends."""
        name = self._prefix + queue
        with amqp.Connection(f"127.0.0.1:{self._port}") as connection:
            channel = connection.channel()
            channel.tx_select()
            for body in bodies:
                channel.basic_publish(amqp.Message(body), "", name)
            got = [message for message in [channel.basic_get(name) for _ in range(gets)] if message is not None]
            for message in got:
                if answer == "ack":
                    channel.basic_ack(message.delivery_tag)
                elif answer != "none":
                    channel.basic_reject(message.delivery_tag, answer == "requeue")
            (channel.tx_commit if commits else channel.tx_rollback)()
            return [self._shown(message) for message in got]

    def _ask(self, answers: int) -> Any:
        """Ask by direct reply-to, and answer by what the question says."""
        came: list[Any] = []
        with amqp.Connection(f"127.0.0.1:{self._port}") as connection:
            channel = connection.channel()
            channel.basic_consume("amq.rabbitmq.reply-to", "asker", no_ack=True, callback=came.append)
            for number in range(answers):
                channel.basic_publish(amqp.Message(f"{number}"), "", self._address(channel))
            while len(came) < answers:
                connection.drain_events(timeout=WAIT_S)
            return [(message.body, message.delivery_info["exchange"]) for message in came]

    @staticmethod
    def _address(channel: Any) -> str:
        """Return where an answer to the channel goes, as a question in a queue of its own tells."""
        queue = channel.queue_declare(exclusive=True).queue
        channel.basic_publish(amqp.Message("ask", reply_to="amq.rabbitmq.reply-to"), "", queue)
        while (message := channel.basic_get(queue, no_ack=True)) is None:
            time.sleep(0.01)
        return str(message.properties["reply_to"])

    def _misuse(self, what: str) -> Any:
        """Do something that is wrong, on a connection of its own: whatever it was worth ends with that."""
        with amqp.Connection(f"127.0.0.1:{self._port}") as connection:
            channel = connection.channel()
            try:
                self._wrong(channel, what)
                channel.flow(True)
            except AMQPError as error:
                return error.reply_code, error.reply_text, error.method_name
        return None

    def _wrong(self, channel: Any, what: str) -> None:
        missing = self._prefix + "missing"
        message = amqp.Message("x")
        match what:
            case "type":
                channel.exchange_declare(missing, "strange")
            case "reserved_queue":
                channel.queue_declare("amq.own")
            case "reserved_exchange":
                channel.exchange_declare("amq.own", "direct")
            case "publish":
                channel.basic_publish(message, missing)
            case "consume":
                channel.basic_consume(missing)
            case "tag":
                channel.basic_ack(7, multiple=True)
            case "prefetch_size":
                channel.basic_qos(5, 1, False)
            case "recover":
                channel.basic_recover(requeue=False)
            case "flow":
                channel.flow(False)
            case "commit":
                channel.tx_commit()
            case "default_bind":
                channel.exchange_bind("amq.direct", "")
            case "default_declare":
                channel.exchange_declare("", "direct", durable=True)
            case "user":
                channel.basic_publish(amqp.Message("x", user_id="somebody"), "", missing)
            case "expiration":
                channel.basic_publish(amqp.Message("x", expiration="soon"), "", missing)

    def _publish(
        self, exchange: str, routing_key: str, mandatory: bool, body: str, priority: int | None, headers: dict[str, Any]
    ) -> Any:
        fields = {} if priority is None else {"priority": priority}
        message = amqp.Message(body, application_headers=headers, **fields)
        where = (self._prefix + exchange, routing_key) if exchange else ("", self._prefix + routing_key)
        self._channel.basic_publish(message, *where, mandatory=mandatory)

    def _get(self, queue: str, no_ack: bool) -> Any:
        message = self._channel.basic_get(self._prefix + queue, no_ack=no_ack)
        if message is None:
            return None
        if not no_ack:
            self._unanswered.append(message.delivery_tag)
        return self._shown(message)

    def _tag(self, index: int, multiple: bool) -> int:
        if not self._unanswered:
            return 99
        tag = sorted(self._unanswered)[index % len(self._unanswered)]
        self._unanswered = [other for other in self._unanswered if other != tag and (other > tag or not multiple)]
        return tag

    def _ack(self, index: int, multiple: bool) -> Any:
        self._channel.basic_ack(self._tag(index, multiple), multiple)

    def _requeue(self, index: int, multiple: bool) -> Any:
        self._nack(index, multiple, True)

    def _discard(self, index: int, multiple: bool) -> Any:
        self._nack(index, multiple, False)

    def _nack(self, index: int, multiple: bool, requeue: bool) -> None:
        if multiple:
            self._channel.send_method(amqp.spec.Basic.Nack, "Lbb", (self._tag(index, True), True, requeue))
        else:
            self._channel.basic_reject(self._tag(index, False), requeue)

    def _consume(self, queue: str, tag: str, prefetch: int, no_ack: bool, exclusive: bool, priority: int | None) -> Any:
        self._channel.basic_qos(0, prefetch, False)
        (self._no_ack.add if no_ack else self._no_ack.discard)(tag)
        self._channel.basic_consume(
            self._prefix + queue,
            tag,
            no_ack=no_ack,
            exclusive=exclusive,
            arguments={} if priority is None else {"x-priority": priority},
            callback=self._delivered,
            on_cancel=lambda lost: self._events.append(("cancelled", lost)),
        )

    def _cancel(self, tag: str) -> Any:
        self._channel.basic_cancel(tag)

    def _delete_queue(self, queue: str, if_unused: bool, if_empty: bool) -> Any:
        return self._channel.queue_delete(self._prefix + queue, if_unused=if_unused, if_empty=if_empty)

    def _delete_exchange(self, exchange: str, if_unused: bool) -> Any:
        self._channel.exchange_delete(self._prefix + exchange, if_unused=if_unused)

    def _purge(self, queue: str) -> Any:
        return self._channel.queue_purge(self._prefix + queue)

    def _recover(self) -> Any:
        self._unanswered.clear()
        self._channel.basic_recover(requeue=True)

    def _count(self, queue: str) -> Any:
        return tuple(self._channel.queue_declare(self._prefix + queue, passive=True))
