"""A client's channel while it is open: what it asks and tells the broker by, and what it is told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import amqp
from amqp.exceptions import ChannelError, ConsumerCancelled, RecoverableConnectionError, error_for_code
from kombu.transport import base

from nova_fakes.rabbit.errors import AmqpError, HardError
from nova_fakes.rabbit.tables import plain
from nova_fakes.rabbit.transport.failures import METHODS, translated

if TYPE_CHECKING:
    from nova_fakes.rabbit import channel as engine
    from nova_fakes.rabbit.consumers import Consumer
    from nova_fakes.rabbit.message import Message as Published
    from nova_fakes.rabbit.transport.connection import Connection

__all__ = ["HEADERS", "OpenChannel"]

#: What py-amqp calls the headers.
HEADERS = "application_headers"


class OpenChannel(base.StdChannel):  # type: ignore[misc]
    """A channel without the methods by which clients ask for things.

    Like py-amqp's, a channel that the broker has closed is open again at once.
    """

    def __init__(self, connection: Connection, channel_id: int | None = None) -> None:
        self.connection: Connection | None = connection
        self.is_open = False
        self.auto_decode = True
        self.callbacks: dict[str, Callable[[Any], None] | None] = {}
        self.cancel_callbacks: dict[str, Callable[[str], None]] = {}
        self.events: dict[str, set[Any]] = defaultdict(set)
        self.no_ack_consumers: set[str] = set()
        self._failure: Exception | None = None
        #: Published messages of which the client waits to hear: taken or refused; None: not known yet.
        self._awaited: dict[int, bool | None] = {}
        self._open(channel_id)
        self.channel_id = self._channel.number
        connection.channels[self.channel_id] = self

    def _open(self, number: int | None) -> None:
        connection = self._connected()
        with connection.broker:
            self._channel: engine.Channel = connection.session.open_channel(self, number)
        self.is_open = True
        self._published = 0
        self._awaited.clear()
        self._is_confirming = False

    def _connected(self) -> Connection:
        if self.connection is None:
            raise RecoverableConnectionError("connection already closed")
        self.connection.check_open()
        return self.connection

    @contextmanager
    def _asking(self, method: str) -> Iterator[engine.Channel]:
        """Ask the broker for something in one turn, and raise what it says as py-amqp does."""
        connection = self._connected()
        self._raise_failure()
        try:
            with connection.broker:
                yield self._channel
        except HardError as error:
            raise connection.fail(error, METHODS[method]) from error
        except AmqpError as error:
            self._channel.close()
            self._revive()
            raise translated(error, METHODS[method]) from error

    @contextmanager
    def _telling(self, method: str) -> Iterator[engine.Channel]:
        """Tell the broker something that it does not answer; what it has against it is raised later."""
        connection = self._connected()
        with connection.broker:
            try:
                yield self._channel
            except HardError as error:
                connection.fail_later(error, METHODS[method])
            except AmqpError as error:
                self._channel.close()
                self._failure = translated(error, METHODS[method])
                connection.tell(self._raise_failure)

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            if self.connection is not None and not self.connection.session.is_closed:
                self._revive()
            raise failure

    def _revive(self) -> None:
        """Open again: consumers are gone."""
        self.callbacks.clear()
        self.cancel_callbacks.clear()
        self.no_ack_consumers.clear()
        self._open(self.channel_id)

    def close(self, *reason: Any) -> None:
        """Close it; what is unanswered goes back to its queues."""
        connection, self.connection = self.connection, None
        self.is_open = False
        if connection is None:
            return
        connection.channels.pop(self.channel_id, None)
        with connection.broker:
            self._channel.close()

    def collect(self) -> None:
        """Close it."""
        self.close()

    # What the broker tells; under its lock.

    def deliver(self, consumer: Consumer, delivery_tag: int, redelivered: bool, message: Published) -> None:
        """A message for a consumer."""
        self._tell(lambda: self._on_deliver(consumer.tag, delivery_tag, redelivered, message))

    def returned(self, message: Published, code: int, text: str) -> None:
        """A message that reached no queue."""
        self._tell(lambda: self._on_return(message, code, text))

    def acked(self, delivery_tag: int, multiple: bool) -> None:
        """The broker has taken messages."""
        self._confirmed("basic_ack", delivery_tag, multiple)

    def nacked(self, delivery_tag: int, multiple: bool) -> None:
        """The broker has refused messages."""
        self._confirmed("basic_nack", delivery_tag, multiple)

    def cancelled(self, consumer_tag: str) -> None:
        """A consumer's queue is gone."""
        self._tell(lambda: self._on_cancel(consumer_tag))

    def closed(self, error: AmqpError) -> None:
        """The broker has closed the channel on its own account."""
        self._failure = translated(error)
        self._tell(self._raise_failure)

    def _tell(self, event: Callable[[], None]) -> None:
        if self.connection is not None:
            self.connection.tell(event)

    def _confirmed(self, answer: str, delivery_tag: int, multiple: bool) -> None:
        self._tell(lambda: self._on_confirm(answer, delivery_tag, multiple))

    # What the client then sees.

    def _on_deliver(self, consumer_tag: str, delivery_tag: int, redelivered: bool, message: Published) -> None:
        if consumer_tag not in self.callbacks:
            with self._telling("basic.reject") as channel:
                channel.reject(delivery_tag)
            return
        callback = self.callbacks[consumer_tag]
        if callback is not None:
            callback(self._received(message, delivery_tag, redelivered, consumer_tag=consumer_tag))

    def _on_confirm(self, answer: str, delivery_tag: int, multiple: bool) -> None:
        for tag in self._awaited:
            if tag == delivery_tag or (multiple and tag < delivery_tag):
                self._awaited[tag] = answer == "basic_ack"
        for handler in list(self.events.get(answer, ())):
            handler(delivery_tag, multiple)

    def _on_return(self, message: Published, code: int, text: str) -> None:
        error = error_for_code(code, text, METHODS["basic.return"], ChannelError)
        handlers = self.events.get("basic_return")
        if not handlers:
            raise error
        received = self._received(message)
        for handler in list(handlers):
            handler(error, message.exchange, message.routing_key, received)

    def _on_cancel(self, consumer_tag: str) -> None:
        callback = self._forget(consumer_tag)
        if callback is None:
            raise ConsumerCancelled(consumer_tag, METHODS["basic.cancel"])
        callback(consumer_tag)

    def _received(
        self, message: Published, delivery_tag: int | None = None, redelivered: bool = False, **more: Any
    ) -> amqp.Message:
        fields = message.properties.fields()
        if "headers" in fields:
            fields[HEADERS] = plain(fields.pop("headers"))
        body: str | bytes = message.body
        if self.auto_decode and "content_encoding" in fields:
            try:
                body = message.body.decode(fields["content_encoding"])
            except (LookupError, UnicodeDecodeError):
                body = message.body
        received = amqp.Message(body, channel=self, **fields)
        received.delivery_info = {
            "delivery_tag": delivery_tag,
            "redelivered": redelivered,
            "exchange": message.exchange,
            "routing_key": message.routing_key,
            **more,
        }
        return received

    def _forget(self, consumer_tag: str) -> Callable[[str], None] | None:
        self.no_ack_consumers.discard(consumer_tag)
        self.callbacks.pop(consumer_tag, None)
        return self.cancel_callbacks.pop(consumer_tag, None)
