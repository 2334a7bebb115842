"""A client's channel in the same process, with the face of ``amqp.Channel`` and of kombu's channels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import amqp
from amqp.exceptions import ChannelError, ConsumerCancelled, MessageNacked, RecoverableConnectionError, error_for_code
from amqp.protocol import queue_declare_ok_t
from kombu.transport import base, pyamqp

from nova_fakes.rabbit.errors import AmqpError, HardError
from nova_fakes.rabbit.properties import NAMES, Properties
from nova_fakes.rabbit.tables import plain, typed
from nova_fakes.rabbit.transport.failures import METHODS, translated

if TYPE_CHECKING:
    from nova_fakes.rabbit import channel as engine
    from nova_fakes.rabbit.consumers import Consumer
    from nova_fakes.rabbit.message import Message as Published
    from nova_fakes.rabbit.transport.connection import Connection

__all__ = ["Channel", "Message"]

Message = pyamqp.Message
#: What py-amqp calls the headers.
HEADERS = "application_headers"


class Channel(base.StdChannel):  # type: ignore[misc]
    """One channel.

    Methods that a broker does not answer (publish without confirms, ack, reject, nack) raise nothing: what the broker
    has against them closes the channel, and is raised where the client looks next. Like py-amqp's, a channel that the
    broker has closed is open again at once.
    """

    Message = Message

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
            self.basic_reject(delivery_tag, requeue=True)
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

    # kombu's face.

    def prepare_message(
        self,
        body: Any,
        priority: int | None = None,
        content_type: str | None = None,
        content_encoding: str | None = None,
        headers: Mapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
    ) -> amqp.Message:
        """Return a message that `basic_publish` takes."""
        return amqp.Message(
            body,
            priority=priority,
            content_type=content_type,
            content_encoding=content_encoding,
            application_headers=headers,
            **properties or {},
        )

    def prepare_queue_arguments(self, arguments: Mapping[str, Any], **options: Any) -> Mapping[str, Any]:
        """Return a queue's arguments with kombu's options among them."""
        prepared: Mapping[str, Any] = base.to_rabbitmq_queue_arguments(arguments, **options)
        return prepared

    def message_to_python(self, raw_message: amqp.Message) -> Any:
        """Return kombu's message for one of py-amqp's."""
        return self.Message(raw_message, channel=self)

    # Exchanges and queues.

    def exchange_declare(
        self,
        exchange: str,
        type: str = "direct",
        passive: bool = False,
        durable: bool = False,
        auto_delete: bool = True,
        nowait: bool = False,
        arguments: Mapping[str, Any] | None = None,
        **unused: Any,
    ) -> None:
        """Make an exchange."""
        with self._asking("exchange.declare") as channel:
            channel.exchange_declare(
                exchange,
                type,
                passive=passive,
                durable=durable,
                auto_delete=auto_delete,
                arguments=typed(arguments or {}),
            )

    def exchange_delete(self, exchange: str, if_unused: bool = False, nowait: bool = False, **unused: Any) -> None:
        """Delete an exchange."""
        with self._asking("exchange.delete") as channel:
            channel.exchange_delete(exchange, if_unused=if_unused)

    def exchange_bind(
        self,
        destination: str,
        source: str = "",
        routing_key: str = "",
        nowait: bool = False,
        arguments: Mapping[str, Any] | None = None,
        **unused: Any,
    ) -> None:
        """Bind an exchange to another."""
        with self._asking("exchange.bind") as channel:
            channel.exchange_bind(destination, source, routing_key, arguments=typed(arguments or {}))

    def exchange_unbind(
        self,
        destination: str,
        source: str = "",
        routing_key: str = "",
        nowait: bool = False,
        arguments: Mapping[str, Any] | None = None,
        **unused: Any,
    ) -> None:
        """Take a binding between exchanges away."""
        with self._asking("exchange.unbind") as channel:
            channel.exchange_unbind(destination, source, routing_key, arguments=typed(arguments or {}))

    def queue_declare(
        self,
        queue: str = "",
        passive: bool = False,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = True,
        nowait: bool = False,
        arguments: Mapping[str, Any] | None = None,
        **unused: Any,
    ) -> Any:
        """Make a queue; return its name and how many messages and consumers it has."""
        with self._asking("queue.declare") as channel:
            declared = channel.queue_declare(
                queue,
                passive=passive,
                durable=durable,
                exclusive=exclusive,
                auto_delete=auto_delete,
                arguments=typed(arguments or {}),
            )
        return None if nowait else queue_declare_ok_t(*declared)

    def queue_bind(
        self,
        queue: str,
        exchange: str = "",
        routing_key: str = "",
        nowait: bool = False,
        arguments: Mapping[str, Any] | None = None,
        **unused: Any,
    ) -> None:
        """Bind a queue to an exchange."""
        with self._asking("queue.bind") as channel:
            channel.queue_bind(queue, exchange, routing_key, arguments=typed(arguments or {}))

    def queue_unbind(
        self,
        queue: str,
        exchange: str,
        routing_key: str = "",
        nowait: bool = False,
        arguments: Mapping[str, Any] | None = None,
        **unused: Any,
    ) -> None:
        """Take a queue's binding away."""
        with self._asking("queue.unbind") as channel:
            channel.queue_unbind(queue, exchange, routing_key, arguments=typed(arguments or {}))

    def queue_purge(self, queue: str = "", nowait: bool = False, **unused: Any) -> int:
        """Forget what waits; return how much that was."""
        with self._asking("queue.purge") as channel:
            return channel.queue_purge(queue)

    def queue_delete(
        self, queue: str = "", if_unused: bool = False, if_empty: bool = False, nowait: bool = False, **unused: Any
    ) -> int:
        """Delete a queue; return how many messages waited."""
        with self._asking("queue.delete") as channel:
            return channel.queue_delete(queue, if_unused=if_unused, if_empty=if_empty)

    # Messages.

    def basic_qos(self, prefetch_size: int, prefetch_count: int, a_global: bool, **unused: Any) -> None:
        """Limit what may be unanswered."""
        with self._asking("basic.qos") as channel:
            channel.qos(prefetch_count, is_global=a_global, prefetch_size=prefetch_size)

    def basic_consume(
        self,
        queue: str = "",
        consumer_tag: str = "",
        no_local: bool = False,
        no_ack: bool = False,
        exclusive: bool = False,
        nowait: bool = False,
        callback: Callable[[Any], None] | None = None,
        arguments: Mapping[str, Any] | None = None,
        on_cancel: Callable[[str], None] | None = None,
        **unused: Any,
    ) -> str:
        """Subscribe to a queue; return the consumer's tag."""
        with self._asking("basic.consume") as channel:
            tag = channel.consume(
                queue, consumer_tag, no_ack=no_ack, exclusive=exclusive, arguments=typed(arguments or {})
            )
            self.callbacks[tag] = callback
            if on_cancel is not None:
                self.cancel_callbacks[tag] = on_cancel
            if no_ack:
                self.no_ack_consumers.add(tag)
        return tag

    def basic_cancel(self, consumer_tag: str, nowait: bool = False, **unused: Any) -> None:
        """End a subscription."""
        if self.connection is None:
            return
        with self._asking("basic.cancel") as channel:
            channel.cancel(consumer_tag)
        self._forget(consumer_tag)

    def _forget(self, consumer_tag: str) -> Callable[[str], None] | None:
        self.no_ack_consumers.discard(consumer_tag)
        self.callbacks.pop(consumer_tag, None)
        return self.cancel_callbacks.pop(consumer_tag, None)

    def basic_get(self, queue: str = "", no_ack: bool = False, **unused: Any) -> amqp.Message | None:
        """Take one message; None where nothing waits."""
        with self._asking("basic.get") as channel:
            got = channel.get(queue, no_ack=no_ack)
        if got is None:
            return None
        return self._received(got.message, got.delivery_tag, got.redelivered, message_count=got.message_count)

    def basic_publish(
        self,
        msg: amqp.Message,
        exchange: str = "",
        routing_key: str = "",
        mandatory: bool = False,
        immediate: bool = False,
        timeout: float | None = None,
        confirm_timeout: float | None = None,
        **unused: Any,
    ) -> None:
        """Publish a message, and wait for its confirm where the connection was made with confirm_publish.

        A broker that is blocked is waited for, for `timeout` seconds.

        :raises MessageNacked: the broker has refused it
        """
        connection = self._connected()
        if connection.is_blocked():
            try:
                connection.wait_for(lambda: not connection.is_blocked(), timeout)
            except TimeoutError:
                raise RecoverableConnectionError("basic_publish: timed out") from None
        if connection.confirm_publish and not self._is_confirming:
            self.confirm_select()
        properties, body = _written(msg)
        with self._telling("basic.publish") as channel:
            if immediate:
                raise HardError("NOT_IMPLEMENTED", "immediate=true")
            if self._is_confirming:
                self._published += 1
            if connection.confirm_publish:
                self._awaited[self._published] = None
            channel.publish(exchange, routing_key, properties, body, mandatory=mandatory)
        if connection.confirm_publish:
            self._await(connection, self._published, confirm_timeout or timeout)

    def _await(self, connection: Connection, tag: int, timeout: float | None) -> None:
        """Wait for a confirm, and read what the broker has sent before it, as py-amqp does."""
        while self._awaited.get(tag, False) is None and self._failure is None:
            connection.drain_events(timeout)
        self._raise_failure()
        if not self._awaited.pop(tag, False):
            raise MessageNacked

    def basic_ack(self, delivery_tag: int, multiple: bool = False, **unused: Any) -> None:
        """Acknowledge a delivery."""
        with self._telling("basic.ack") as channel:
            channel.ack(delivery_tag, multiple)

    def basic_nack(self, delivery_tag: int, multiple: bool = False, requeue: bool = True, **unused: Any) -> None:
        """Refuse a delivery, or all up to it."""
        with self._telling("basic.nack") as channel:
            channel.nack(delivery_tag, multiple, requeue)

    def basic_reject(self, delivery_tag: int, requeue: bool, **unused: Any) -> None:
        """Refuse a delivery."""
        with self._telling("basic.reject") as channel:
            channel.reject(delivery_tag, requeue)

    def basic_recover(self, requeue: bool = False) -> None:
        """Have all that is unanswered delivered again."""
        with self._asking("basic.recover") as channel:
            channel.recover(requeue)

    def basic_recover_async(self, requeue: bool = False) -> None:
        """Have all that is unanswered delivered again, some time."""
        with self._telling("basic.recover") as channel:
            channel.recover(requeue)

    def flow(self, active: bool) -> None:
        """Ask the broker to send, or not to: RabbitMQ knows the former alone."""
        if not active:
            with self._asking("channel.open"):
                raise HardError("NOT_IMPLEMENTED", "active=false", (20, 20))

    def confirm_select(self, nowait: bool = False) -> None:
        """Have messages confirmed from now on."""
        with self._asking("confirm.select") as channel:
            channel.confirm_select()
        self._is_confirming = True

    def tx_select(self) -> None:
        """Begin transactions."""
        with self._asking("tx.select") as channel:
            channel.tx_select()

    def tx_commit(self) -> None:
        """Do what has been held."""
        with self._asking("tx.commit") as channel:
            channel.tx_commit()

    def tx_rollback(self) -> None:
        """Forget what has been held."""
        with self._asking("tx.rollback") as channel:
            channel.tx_rollback()


def _written(message: amqp.Message) -> tuple[Properties, bytes]:
    """Return a message's properties and body in the broker's terms."""
    fields = {("headers" if name == HEADERS else name): value for name, value in message.properties.items()}
    body = message.body
    if isinstance(body, str):
        encoding = fields.setdefault("content_encoding", "utf-8")
        body = body.encode(encoding)
    return Properties.of(**{name: fields[name] for name in NAMES if name in fields}), bytes(body)
