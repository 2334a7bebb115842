"""A client's channel in the same process, with the face of ``amqp.Channel`` and of kombu's channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import amqp
from amqp.exceptions import MessageNacked, RecoverableConnectionError
from amqp.protocol import queue_declare_ok_t
from kombu.transport import base, pyamqp

from nova_fakes.rabbit.errors import HardError
from nova_fakes.rabbit.properties import NAMES, Properties
from nova_fakes.rabbit.tables import typed
from nova_fakes.rabbit.transport.openness import HEADERS, OpenChannel

if TYPE_CHECKING:
    from nova_fakes.rabbit.transport.connection import Connection

__all__ = ["Channel", "Message"]

Message = pyamqp.Message


class Channel(OpenChannel):
    """One channel.

    Methods that a broker does not answer (publish without confirms, ack, reject, nack) raise nothing: what the broker
    has against them closes the channel, and is raised where the client looks next.
    """

    Message = Message

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
