"""pika's connections for event loops, one story on each: what comes back, and in which order."""

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from rabbitmq import running_rabbitmq

from nova_fakes.rabbit import Server

pika = pytest.importorskip("pika", reason="pika, of the group contract, is not installed: it is the client here")

PATIENCE_S = 30
#: By pika's module: the class, and the package without which it does not work.
ADAPTERS = {
    "select_connection": ("SelectConnection", None),
    "asyncio_connection": ("AsyncioConnection", None),
    "tornado_connection": ("TornadoConnection", "tornado"),
    "gevent_connection": ("GeventConnection", "gevent"),
}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with running_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as url:
        yield int(url.rstrip("/").rpartition(":")[2])


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.slow)])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    if request.param == "real":
        yield request.getfixturevalue("real")
        return
    with Server() as server:
        yield server.port


class Story:
    """Declares, publishes, consumes and fails, each step when the one before it has been answered.

    :param connect: makes the connection from parameters and pika's callbacks
    """

    def __init__(self, connect: Any, port: int) -> None:
        self.told: list[Any] = []
        self.channel: Any = None
        self._steps = iter(
            (self._declare, self._consume, self._publish, self._return, self._delete, self._fail, self._blame)
        )
        self.connection = connect(
            pika.ConnectionParameters("127.0.0.1", port, heartbeat=0),
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._opened),
            on_open_error_callback=lambda connection, error: self._over("not open", error),
            on_close_callback=lambda connection, error: self._over("closed", error),
        )

    def _over(self, what: str, error: Any) -> None:
        self.told.append((what, getattr(error, "reply_code", repr(error)), getattr(error, "reply_text", "")))
        self.connection.ioloop.stop()

    def _opened(self, channel: Any) -> None:
        self.channel = channel
        channel.add_on_return_callback(self._returned)
        channel.add_on_cancel_callback(self._cancelled)
        channel.add_on_close_callback(self._channel_closed)
        self._next()

    def _next(self, *answer: Any) -> None:
        next(self._steps)()

    def _declare(self) -> None:
        arguments = {"x-max-length": 5, "x-dead-letter-exchange": "amq.fanout"}
        self.channel.queue_declare("story", auto_delete=True, arguments=arguments, callback=self._declared)

    def _declared(self, frame: Any) -> None:
        self.told.append((frame.method.queue, frame.method.message_count))
        self.channel.confirm_delivery(self._confirmed, callback=self._next)

    def _consume(self) -> None:
        self.channel.basic_consume("story", self._delivered, consumer_tag="reader", callback=self._next)

    def _publish(self) -> None:
        self.channel.basic_publish("", "story", b"body", pika.BasicProperties(headers={"n": 1}, content_type="text/x"))

    def _delivered(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        self.told.append((method.consumer_tag, method.delivery_tag, properties.headers, properties.content_type, body))
        channel.basic_ack(method.delivery_tag)

    def _confirmed(self, frame: Any) -> None:
        self.told.append((frame.method.NAME, frame.method.delivery_tag))
        if len([told for told in self.told if told[0] == "Basic.Ack"]) < 3:
            # A delivery and its confirm come in either order; both are there before anything else is asked.
            self.channel.queue_declare("story", passive=True, callback=self._next)

    def _return(self) -> None:
        self.channel.basic_publish("", "nowhere", b"lost", mandatory=True)

    def _returned(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        self.told.append((method.reply_code, method.reply_text, body))

    def _delete(self) -> None:
        self.channel.queue_delete("story", callback=lambda frame: None)

    def _cancelled(self, frame: Any) -> None:
        self.told.append(("cancelled", frame.method.consumer_tag))
        self._next()

    def _fail(self) -> None:
        self.channel.queue_declare("story", passive=True)

    def _channel_closed(self, channel: Any, error: Any) -> None:
        if self.connection.is_open:
            self.told.append((error.reply_code, error.reply_text))
            self.connection.channel(on_open_callback=self._reopened)

    def _reopened(self, channel: Any) -> None:
        self.channel = channel
        self._next()

    def _blame(self) -> None:
        self.channel.basic_recover(requeue=False)


EXPECTED = [
    ("story", 0),
    ("reader", 1, {"n": 1}, "text/x", b"body"),
    ("Basic.Ack", 1),
    (312, "NO_ROUTE", b"lost"),
    ("Basic.Ack", 2),
    ("cancelled", "reader"),
    (404, "NOT_FOUND - no queue 'story' in vhost '/'"),
    ("closed", 540, "NOT_IMPLEMENTED - requeue=false"),
]


@pytest.mark.parametrize("module", sorted(ADAPTERS))
def test_a_story_is_told_alike_by_every_event_loop(module: str, port: int) -> None:
    name, package = ADAPTERS[module]
    if package is not None:
        pytest.importorskip(package, reason=f"{package} is not installed: pika's {name} is for it")
    adapter = getattr(importlib.import_module(f"pika.adapters.{module}"), name)
    story = Story(adapter, port)
    loop = story.connection.ioloop
    loop.call_later(PATIENCE_S, loop.stop)
    (loop.run_forever if module == "asyncio_connection" else loop.start)()
    # A delivery and its confirm cross.
    assert sorted(story.told[1:3], key=str) == sorted(EXPECTED[1:3], key=str)
    assert [story.told[0], *story.told[3:]] == [EXPECTED[0], *EXPECTED[3:]]
