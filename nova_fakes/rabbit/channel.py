"""A channel: consumers, deliveries and their answers, transactions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from nova_fakes.rabbit.arguments import check_consumer
from nova_fakes.rabbit.consumers import Consumer
from nova_fakes.rabbit.errors import AmqpError, HardError, SoftError
from nova_fakes.rabbit.message import Entry, Message
from nova_fakes.rabbit.patience import Patience
from nova_fakes.rabbit.publishing import Publishing
from nova_fakes.rabbit.queue import Queue
from nova_fakes.rabbit.reply_to import REPLY_TO
from nova_fakes.rabbit.tables import Table

if TYPE_CHECKING:
    from nova_fakes.rabbit.receiver import Receiver
    from nova_fakes.rabbit.session import Session

__all__ = ["Channel", "Got"]

ACK, REQUEUE, DISCARD = "ack", "requeue", "discard"

#: An entry that waits for its answer: delivery tag, entry, queue, consumer (None: it was got).
_Unacked = tuple[int, Entry, Queue, Consumer | None]


class Got(NamedTuple):
    """What basic.get found."""

    delivery_tag: int
    redelivered: bool
    message: Message
    #: How many messages wait still.
    message_count: int


class Channel(Publishing):
    """One channel of a session; :meth:`nova_fakes.rabbit.session.Session.open_channel` makes it.

    Its methods are AMQP's. They raise :class:`SoftError`, after which the caller closes the channel, or
    :class:`HardError`, after which it closes the session.

    :param receiver: is told what the broker sends by itself
    """

    def __init__(self, session: Session, number: int, receiver: Receiver) -> None:
        super().__init__(session, receiver)
        self.number = number
        self.consumers: dict[str, Consumer] = {}
        #: Prefetch over all consumers; 0: any number.
        self.limit = 0
        #: Deliveries that count for it.
        self.limited = 0
        self._prefetch = 0
        #: Delivery tag of the next delivery.
        self.next_tag = 1
        self._unacked: dict[int, _Unacked] = {}
        self._patience = Patience(self)
        self._lowest = 1
        self._answers: list[tuple[str, list[_Unacked]]] = []
        self._reply_consumer: Consumer | None = None

    @property
    def is_paused(self) -> bool:
        """Whether its client takes nothing now."""
        return self.session.is_paused

    @property
    def unacked_count(self) -> int:
        """How many deliveries wait for their answer."""
        return len(self._unacked)

    @property
    def oldest_unacked(self) -> int | None:
        """The lowest delivery tag that waits for its answer; None: nothing waits."""
        return next(iter(self._unacked), None)

    # Deliveries.

    def deliver(self, consumer: Consumer, entry: Entry) -> None:
        """Hand an entry to a consumer of the channel."""
        self.next_tag = (tag := self.next_tag) + 1
        if not consumer.no_ack:
            consumer.unacked += 1
            self.limited += 1
            if not self._unacked:
                self._patience.watch()
            self._unacked[tag] = (tag, entry, consumer.queue, consumer)
        self.receiver.deliver(consumer, tag, entry.redelivered, entry.message)

    def deliver_reply(self, message: Message) -> None:
        """Hand an answer to the consumer of direct answers."""
        if self._reply_consumer is not None:
            self.next_tag = (tag := self.next_tag) + 1
            self.receiver.deliver(self._reply_consumer, tag, False, message)

    def qos(self, prefetch_count: int, *, is_global: bool = False, prefetch_size: int = 0) -> None:
        """Limit what may wait for its answer: of each consumer made from now on, or of the channel (basic.qos)."""
        self._observe("basic.qos", prefetch_count=prefetch_count, is_global=is_global)
        if prefetch_size:
            raise HardError("NOT_IMPLEMENTED", f"prefetch_size!=0 ({prefetch_size})")
        if is_global:
            if not self.limit:
                self.limited = len(self._unacked)
            self.limit = prefetch_count
        else:
            self._prefetch = prefetch_count
            self.limit = 0
        self.broker.later(self.resume)

    def consume(
        self,
        queue: str = "",
        tag: str = "",
        *,
        no_ack: bool = False,
        exclusive: bool = False,
        arguments: Table | None = None,
    ) -> str:
        """Subscribe to a queue; return the consumer's tag. Messages come at the end of the turn (basic.consume)."""
        self._observe("basic.consume", queue=queue, tag=tag)
        name = self.queue_name(queue)
        if tag in self.consumers:
            raise HardError("NOT_ALLOWED", f"attempt to reuse consumer tag '{tag}'")
        if name == REPLY_TO:
            return self._consume_replies(tag, no_ack)
        self._check("read", "queue", name)
        found = self._open_queue(name)
        arguments = arguments or {}
        check_consumer(str(found), found.type, arguments)
        found.check_consumer(exclusive, no_ack, self._prefetch, self.limit)
        tag = tag or self.broker.unique_name("amq.ctag")
        consumer = Consumer(
            self, found, tag, no_ack=no_ack, is_exclusive=exclusive, prefetch=self._prefetch, arguments=arguments
        )
        self.consumers[tag] = consumer
        found.add_consumer(consumer)
        self.broker.later(found.dispatch)
        return tag

    def _consume_replies(self, tag: str, no_ack: bool) -> str:
        if not no_ack:
            raise SoftError("PRECONDITION_FAILED", "reply consumer cannot acknowledge")
        if self._reply_consumer is not None:
            raise SoftError("PRECONDITION_FAILED", "reply consumer already set")
        tag = tag or self.broker.unique_name("amq.ctag")
        nowhere = Queue(self.vhost, REPLY_TO)
        self._reply_consumer = Consumer(self, nowhere, tag, no_ack=True, is_exclusive=False, prefetch=0, arguments={})
        self.reply_name = self.broker.unique_name(REPLY_TO + ".g1").replace("-g", ".g")
        self.broker.replies.add(self.reply_name, self)
        return tag

    def cancel(self, tag: str) -> None:
        """End a subscription; what is unanswered stays so (basic.cancel)."""
        self._observe("basic.cancel", tag=tag)
        if self._reply_consumer is not None and self._reply_consumer.tag == tag:
            self._end_replies()
            return
        consumer = self.consumers.pop(tag, None)
        if consumer is not None:
            consumer.queue.remove_consumer(consumer)

    def _end_replies(self) -> None:
        self._reply_consumer = None
        if self.reply_name is not None:
            self.broker.replies.remove(self.reply_name)
            self.reply_name = None

    def lose(self, consumer: Consumer) -> None:
        """Take leave of a consumer whose queue is deleted; the client is told if it can understand that."""
        if self.consumers.pop(consumer.tag, None) is not None and self.session.can("consumer_cancel_notify"):
            self.broker.later(lambda: self.receiver.cancelled(consumer.tag))

    def get(self, queue: str = "", *, no_ack: bool = False) -> Got | None:
        """Take one message; None where nothing waits (basic.get)."""
        self._observe("basic.get", queue=queue)
        name = self.queue_name(queue)
        self._check("read", "queue", name)
        found = self._open_queue(name)
        found.check_get()
        entry = found.get(no_ack)
        if entry is None:
            return None
        self.next_tag = (tag := self.next_tag) + 1
        if not no_ack:
            if not self._unacked:
                self._patience.watch()
            self._unacked[tag] = (tag, entry, found, None)
        return Got(tag, entry.redelivered, entry.message, len(found.backlog))

    def resume(self) -> None:
        """Deliver again to consumers that could take nothing."""
        for consumer in list(self.consumers.values()):
            if consumer.is_parked:
                consumer.queue.resume([consumer])

    # Answers.

    def ack(self, delivery_tag: int, multiple: bool = False) -> None:
        """Acknowledge a delivery, or all up to it; 0 with multiple: all (basic.ack)."""
        if self.broker.is_watched:
            self._observe("basic.ack", delivery_tag=delivery_tag, multiple=multiple)
        if multiple:
            items = self._collect(delivery_tag)
        else:
            item = self._unacked.pop(delivery_tag, None)
            if item is None:
                raise _unknown_tag(delivery_tag)
            items = [item]
        if self.held is not None:
            self._answers.append((ACK, items))
        else:
            self._apply(ACK, items)

    def nack(self, delivery_tag: int, multiple: bool = False, requeue: bool = True) -> None:
        """Refuse a delivery, or all up to it (basic.nack)."""
        self._observe("basic.nack", delivery_tag=delivery_tag, multiple=multiple, requeue=requeue)
        items = self._collect(delivery_tag, multiple)
        for _tag, _entry, queue, _consumer in items:
            queue.check_reject()
        answer = REQUEUE if requeue else DISCARD
        if self.held is not None:
            self._answers.append((answer, items))
        else:
            self._apply(answer, items)

    def reject(self, delivery_tag: int, requeue: bool = True) -> None:
        """Refuse a delivery (basic.reject)."""
        self.nack(delivery_tag, False, requeue)

    def recover(self, requeue: bool = True) -> None:
        """Put all that is unanswered back into the queues; it comes again at the end of the turn (basic.recover)."""
        self._observe("basic.recover", requeue=requeue)
        if not requeue:
            raise HardError("NOT_IMPLEMENTED", "requeue=false")
        for _tag, _entry, queue, _consumer in self._unacked.values():
            queue.check_recover()
        items = list(self._unacked.values())
        self._unacked.clear()
        self.broker.later(lambda: self._apply(REQUEUE, items))

    def _collect(self, delivery_tag: int, multiple: bool = True) -> list[_Unacked]:
        unacked = self._unacked
        if multiple and delivery_tag == 0:
            items = list(unacked.values())
            unacked.clear()
            return items
        if delivery_tag not in unacked:
            raise _unknown_tag(delivery_tag)
        if not multiple:
            return [unacked.pop(delivery_tag)]
        # Tags rise by one: each is looked at once, however often this is called.
        items = [unacked.pop(tag) for tag in range(self._lowest, delivery_tag + 1) if tag in unacked]
        self._lowest = delivery_tag + 1
        return items

    def _apply(self, answer: str, items: Iterable[_Unacked]) -> None:
        touched: dict[Queue, list[Entry]] = {}
        was_full = self.limit and self.limited >= self.limit
        parked: list[Consumer] = []
        for _tag, entry, queue, consumer in items:
            if consumer is not None:
                consumer.unacked -= 1
                self.limited -= 1
                if consumer.is_parked:
                    parked.append(consumer)
            if answer is ACK:
                queue.settle(entry)
            elif answer is DISCARD:
                queue.reject(entry)
            else:
                touched.setdefault(queue, []).append(entry)
        for queue, entries in touched.items():
            queue.requeue(entries)
        if was_full:
            self.resume()
        for consumer in parked:
            if consumer.is_parked:
                consumer.queue.resume([consumer])
        for queue in touched:
            queue.dispatch()

    # Transactions.

    def tx_select(self) -> None:
        """Hold publications and answers from now on until they are committed (tx.select)."""
        if self.confirms is not None:
            raise SoftError("PRECONDITION_FAILED", "cannot switch from confirm to tx mode")
        if self.held is None:
            self.held = []

    def tx_commit(self) -> None:
        """Do what has been held (tx.commit)."""
        self._observe("tx.commit")
        held, self.held = self._transaction(), []
        answers, self._answers = self._answers, []
        # Each queue gets its messages, whatever the others say.
        results = [self._route(message, mandatory) for message, mandatory in held]
        for answer, items in answers:
            self._apply(answer, items)
        if not all(results):
            raise SoftError("PRECONDITION_FAILED", "partial tx completion")

    def tx_rollback(self) -> None:
        """Forget what has been held; deliveries answered meanwhile are unanswered again (tx.rollback)."""
        self._observe("tx.rollback")
        self._transaction()
        self.held = []
        answers, self._answers = self._answers, []
        unanswered = {item[0]: item for _answer, items in answers for item in items}
        if unanswered:
            self._unacked = dict(sorted((self._unacked | unanswered).items()))
            self._lowest = 1

    def _transaction(self) -> list[tuple[Message, bool]]:
        if self.held is None:
            raise SoftError("PRECONDITION_FAILED", "channel is not transactional")
        return self.held

    # The end.

    def flow(self, active: bool) -> bool:
        """Let deliveries flow; stopping them is not to be had (channel.flow)."""
        if not active:
            raise HardError("NOT_IMPLEMENTED", "active=false")
        return True

    def end(self, error: AmqpError) -> None:
        """Close the channel on the broker's account; the client is told why."""
        self.flush_confirms()
        self.close()
        self.receiver.closed(error)

    def close(self) -> None:
        """End all subscriptions, and put what is unanswered back into the queues (channel.close)."""
        self.session.channels.pop(self.number, None)
        self._end_replies()
        self._patience.stop()
        consumers, self.consumers = list(self.consumers.values()), {}
        items = [*self._unacked.values(), *(item for _answer, given in self._answers for item in given)]
        self._unacked.clear()
        self._answers.clear()
        self.confirms = self.held = None
        for consumer in consumers:
            consumer.queue.consumers.remove(consumer)
        self._apply(REQUEUE, sorted(items, key=lambda item: item[0]))
        for consumer in consumers:
            if not consumer.queue.is_deleted:
                consumer.queue.remove_consumer(consumer)


def _unknown_tag(delivery_tag: int) -> SoftError:
    return SoftError("PRECONDITION_FAILED", f"unknown delivery tag {delivery_tag}")
