"""The interface of `nova.fakerabbit` as nova had it in 2011, a backend of carrot's, over our broker.

What was wrong there is not here: exchanges route by their type, messages are acknowledged or come again, `consume`
sleeps until it is woken, and what is there hangs on a broker: one that all share until :func:`reset_all`, or one's own.
Errors are the broker's; after one that closes the channel, the next call opens another.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nova_fakes.exceptions import Conflict
from nova_fakes.rabbit import message as engine
from nova_fakes.rabbit.broker import Broker
from nova_fakes.rabbit.carrot_message import Message, MessageStateError, Prepared, prepared, text_of
from nova_fakes.rabbit.channel import Channel
from nova_fakes.rabbit.errors import HardError, SoftError
from nova_fakes.rabbit.receiver import Delivery, Inbox, Return
from nova_fakes.rabbit.session import Session
from nova_fakes.rabbit.tables import plain, typed

__all__ = ["Backend", "Exchange", "Message", "MessageStateError", "Prepared", "Queue", "reset_all"]

LOG = logging.getLogger(__name__)
FOREVER_S = 86_400.0
_shared = Broker()


def reset_all() -> None:
    """Begin with an empty broker: `consume` ends in those who wait on the old one, and backends go on with the new."""
    global _shared
    old, _shared = _shared, Broker()
    with old:
        old.stop()


class Backend:
    """A client with one channel, as carrot's `BaseBackend` has it.

    :param connection: carrot's, kept and not used
    :param broker: None: the one that all share
    """

    def __init__(self, connection: object = None, *, broker: Broker | None = None, **kwargs: Any) -> None:
        self.connection = connection
        self._own = broker
        self._inbox = Inbox()
        self._session: Session | None = None
        self._channel: Channel | None = None
        self._is_closed = False
        #: By consumer tag: what takes its messages, and whether they need no answer.
        self._consumers: dict[str, tuple[Callable[[Message], object], bool]] = {}
        self._alarm = self.broker.clock.alarm()

    @property
    def broker(self) -> Broker:
        """The broker that the next call goes to."""
        return self._own or _shared

    @property
    def returns(self) -> deque[Return]:
        """Mandatory messages that reached no queue."""
        return self._inbox.returns

    # Declarations.

    def queue_declare(
        self,
        queue: str,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> str:
        """Make a queue, or see to it that it is there and as it should be; return its name."""
        options = {"durable": durable, "exclusive": exclusive, "auto_delete": auto_delete}
        return str(self._call("queue_declare", queue, arguments=typed(arguments or {}), **options).queue)

    def queue_exists(self, queue: str) -> bool:
        """Tell whether a queue is there."""
        with self.broker:
            return queue in self._open().vhost.queues

    def queue_purge(self, queue: str, **kwargs: Any) -> int:
        """Forget what waits in a queue; return how much that was."""
        return int(self._call("queue_purge", queue))

    def exchange_declare(
        self,
        exchange: str,
        type: str,
        durable: bool = False,
        auto_delete: bool = False,
        arguments: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Make an exchange of a type: direct, topic, fanout or headers."""
        options = {"durable": durable, "auto_delete": auto_delete}
        self._call("exchange_declare", exchange, type, arguments=typed(arguments or {}), **options)

    def queue_bind(
        self, queue: str, exchange: str, routing_key: str, arguments: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Let a queue have what the exchange's type finds to fit the key."""
        self._call("queue_bind", queue, exchange, routing_key or "", arguments=typed(arguments or {}))

    # Messages out.

    def prepare_message(
        self,
        message_data: Any,
        delivery_mode: int | None,
        content_type: str | None,
        content_encoding: str | None,
        priority: int | None = None,
        **kwargs: Any,
    ) -> Prepared:
        """Return a message for :meth:`publish`."""
        return Prepared(message_data, content_type, content_encoding, delivery_mode, priority)

    def publish(
        self,
        message: Any,
        exchange: str,
        routing_key: str,
        mandatory: bool | None = None,
        immediate: bool | None = None,
        headers: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Publish what was prepared, a tuple (data, content type, content encoding), or a value.

        :raises HardError: for `immediate`, which RabbitMQ has not had since 3.0
        """
        if immediate:
            raise HardError("NOT_IMPLEMENTED", "immediate=true")
        properties, body = prepared(message).encoded(headers)
        self._call("publish", exchange, routing_key or "", properties, body, mandatory=bool(mandatory))

    # Messages in.

    def get(self, queue: str, no_ack: bool = False) -> Message | None:
        """Take one message; None where nothing waits."""
        got = self._call("get", queue, no_ack=no_ack)
        return None if got is None else self._received(got.message, got.delivery_tag, got.redelivered)

    def qos(self, prefetch_size: int, prefetch_count: int, apply_global: bool = False) -> None:
        """Limit how many messages may wait for their answer."""
        self._call("qos", prefetch_count, is_global=apply_global, prefetch_size=prefetch_size)

    def declare_consumer(
        self,
        queue: str,
        callback: Callable[[Message], object],
        consumer_tag: str = "",
        no_ack: bool = False,
        **kwargs: Any,
    ) -> str:
        """Have :meth:`consume` call with each message of a queue; return the consumer's tag."""
        with self.broker:
            tag = str(self._call("consume", queue, consumer_tag, no_ack=no_ack))
            self._consumers[tag] = (callback, no_ack)
        return tag

    def cancel(self, consumer_tag: str) -> None:
        """End a consumer; messages that it was not called with go back."""
        with self.broker:
            _callback, no_ack = self._consumers.pop(consumer_tag, (None, True))
            self._call("cancel", consumer_tag)
            for delivery in [found for found in self._inbox.deliveries if found.consumer_tag == consumer_tag]:
                self._inbox.deliveries.remove(delivery)
                if not no_ack:
                    self.requeue(delivery.delivery_tag)

    def consume(self, limit: int | None = None) -> Iterator[None]:
        """Call the consumers, one message for each item taken from here; wait where there is none.

        Ends after `limit` messages, once no consumer is left, at :meth:`close` and at :func:`reset_all`.

        :raises AmqpError: by which the broker closed the channel or the connection
        """
        count = 0
        while not limit or count < limit:
            delivery = self._next()
            if delivery is None:
                return
            callback, _no_ack = self._consumers[delivery.consumer_tag]
            message = self._received(delivery.message, delivery.delivery_tag, delivery.redelivered)
            callback(message)
            count += 1
            yield

    def ack(self, delivery_tag: int) -> None:
        """Acknowledge a message."""
        self._call("ack", delivery_tag)

    def reject(self, delivery_tag: int) -> None:
        """Refuse a message for good."""
        self._call("reject", delivery_tag, False)

    def requeue(self, delivery_tag: int) -> None:
        """Have a message come again."""
        self._call("reject", delivery_tag, True)

    def message_to_python(self, raw_message: Message) -> Message:
        """Return the message: it is what the callbacks of carrot's consumers work with."""
        return raw_message

    def close(self) -> None:
        """Leave: messages without an answer go back, and whoever waits in :meth:`consume` comes out."""
        self._is_closed = True
        if self._session is not None:
            with self._session.broker:
                self._session.close()
        self._alarm.set()

    # The channel.

    def _is_open(self) -> bool:
        channel = self._channel
        return channel is not None and channel.session.channels.get(channel.number) is channel

    def _open(self) -> Channel:
        """Return the channel, a new one where the old is closed; delivery tags rise on, so none means two messages."""
        if self._is_closed:
            raise Conflict("the backend is closed")
        if self._channel is None or not self._is_open():
            self._inbox = Inbox(on_event=self._alarm.set)
            self._consumers.clear()
            if self._session is None or self._session.is_closed:
                self._session = self.broker.connect(self._inbox)
            next_tag = 1 if self._channel is None else self._channel.next_tag
            self._channel = self._session.open_channel(self._inbox)
            self._session.link, self._inbox.mark = self._inbox, self._session.mark
            self._channel.next_tag = next_tag
        return self._channel

    def _call(self, method: str, *values: Any, **options: Any) -> Any:
        with self.broker:
            channel = self._open()
            try:
                return getattr(channel, method)(*values, **options)
            except SoftError:
                channel.close()
                raise
            except HardError:
                channel.session.close()
                raise

    def _next(self) -> Delivery | None:
        """Return the next delivery, waiting for it; None: there will be none."""
        channel = self._channel
        if channel is None:
            return None
        broker = channel.broker
        with broker:
            broker.timers.on_earlier.append(self._alarm.set)
        try:
            while True:
                self._alarm.clear()
                with broker:
                    pass
                with broker:
                    if self._channel is channel and self._is_open() and self._inbox.deliveries:
                        return self._inbox.deliveries.popleft()
                    if not self._is_open() or self._channel is not channel or not channel.consumers:
                        self._check_end()
                        return None
                    due_s = broker.timers.next_due_s
                self._alarm.wait(FOREVER_S if due_s is None else due_s - broker.clock.monotonic())
        finally:
            with broker:
                broker.timers.on_earlier.remove(self._alarm.set)

    def _check_end(self) -> None:
        for error in self._inbox.closings:
            if error is not None:
                raise error

    def _received(self, message: engine.Message, delivery_tag: int, redelivered: bool) -> Message:
        fields = message.properties.fields()
        where = {"exchange": message.exchange, "routing_key": message.routing_key, "redelivered": redelivered}
        return Message(
            self,
            body=text_of(message.body, fields.get("content_encoding")),
            delivery_tag=delivery_tag,
            content_type=fields.get("content_type"),
            content_encoding=fields.get("content_encoding"),
            delivery_info={**where, "delivery_tag": delivery_tag},
            headers=plain(message.properties.headers),
        )


class Queue:
    """A queue by itself.

    :param broker: None: the one that all share
    """

    def __init__(self, name: str, broker: Broker | None = None) -> None:
        self.name = name
        self._backend = Backend(broker=broker)
        self._backend.queue_declare(name)

    def __repr__(self) -> str:
        return f"<Queue: {self.name}>"

    def push(self, message: Any, routing_key: str | None = None) -> None:
        """Put a message in; the routing key is for callers that have one, the queue needs none."""
        self._backend.publish(message, "", self.name)

    def size(self) -> int:
        """Return how many messages wait."""
        return int(self._backend._call("queue_declare", self.name, passive=True).message_count)

    def pop(self) -> Any:
        """Take the first message out and return its payload; wait where there is none.

        :raises Conflict: the broker went away meanwhile
        """
        found: list[Message] = []
        self._backend.qos(0, 1)
        tag = self._backend.declare_consumer(self.name, found.append)
        for _ in self._backend.consume(limit=1):
            self._backend.cancel(tag)
            found[0].ack()
            return found[0].payload
        raise Conflict(f"the broker of {self!r} went away")


class Exchange:
    """An exchange by itself, whose messages go to functions.

    :param broker: None: the one that all share
    """

    def __init__(self, name: str, exchange_type: str, broker: Broker | None = None) -> None:
        self.name = name
        self.exchange_type = exchange_type
        self._backend = Backend(broker=broker)
        self._backend.exchange_declare(name, exchange_type)

    def bind(self, callback: Callable[..., object], routing_key: str) -> None:
        """Call `callback(message, routing_key=…)` with the payload of what fits the key, as a publisher's turn ends.

        The call comes in the publisher's thread and must be brief; an error of the callback is logged.
        """
        listener = Backend(broker=self._backend.broker)
        queue = listener.queue_declare("", exclusive=True)
        listener.queue_bind(queue, self.name, routing_key)

        def told(message: Message) -> None:
            try:
                callback(message.payload, routing_key=message.delivery_info["routing_key"])
            except Exception:
                LOG.exception("a callback of exchange %s failed", self.name)

        tag = listener.declare_consumer(queue, told, no_ack=True)
        listener._inbox.on_event = lambda: _drain(listener, tag)

    def publish(self, message: Any, routing_key: str | None = None) -> None:
        """Publish to those who are bound."""
        self._backend.publish(message, self.name, routing_key or "")


def _drain(listener: Backend, tag: str) -> None:
    while listener._inbox.deliveries:
        delivery = listener._inbox.deliveries.popleft()
        callback, _no_ack = listener._consumers[tag]
        callback(listener._received(delivery.message, delivery.delivery_tag, delivery.redelivered))
