"""Classic queues: what waits, who takes it, and what becomes of what nobody takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nova_fakes.rabbit.arguments import Settings, settings
from nova_fakes.rabbit.backlog import Backlog, Fifo, Priorities
from nova_fakes.rabbit.consumers import Consumer, Rotation
from nova_fakes.rabbit.errors import SoftError
from nova_fakes.rabbit.message import Entry, Message
from nova_fakes.rabbit.tables import Table
from nova_fakes.rabbit.timers import Timer

if TYPE_CHECKING:
    from nova_fakes.rabbit.bindings import Binding
    from nova_fakes.rabbit.session import Session
    from nova_fakes.rabbit.vhost import VirtualHost

__all__ = ["Queue"]


class Queue:
    """One queue of a virtual host; :class:`nova_fakes.rabbit.vhost.VirtualHost` makes it.

    A message is delivered at once where a consumer can take it: while anything waits, no consumer can take anything.

    :param owner: the session whose exclusive queue it is; None: anybody's
    """

    kind = "queue"
    type = "classic"

    def __init__(
        self,
        vhost: VirtualHost,
        name: str,
        *,
        durable: bool = False,
        auto_delete: bool = False,
        owner: Session | None = None,
        arguments: Table | None = None,
    ) -> None:
        self.vhost = vhost
        self.name = name
        self.durable = durable
        self.auto_delete = auto_delete
        self.owner = owner
        self.arguments = arguments or {}
        self.settings: Settings = settings(self.arguments)
        self.is_deleted = False
        #: Those of which it is the destination.
        self.incoming: set[Binding] = set()
        self.backlog: Backlog = Fifo() if self.settings.max_priority is None else Priorities(self.settings.max_priority)
        self.consumers = Rotation(self.settings.single_active_consumer)
        #: Octets of the bodies that wait.
        self.ready_bytes = 0
        #: How many entries consumers and getters have and have not answered.
        self.unacked = 0
        self.published = self.delivered = self.redelivered = self.acknowledged = 0
        self._positions = 0
        self._limits = self.settings.max_length is not None or self.settings.max_bytes is not None
        self._rejects = self._limits and self.settings.overflow != "drop-head"
        self._expires = self.settings.ttl_ms is not None
        self._head_timer: Timer | None = None
        self._idle_timer: Timer | None = None
        self._used_s = 0.0
        self.touch()

    def __str__(self) -> str:
        return f"queue '{self.name}' in vhost '{self.vhost.name}'"

    def check_access(self, session: Session, strict: bool = False) -> None:
        """Refuse another connection than the owner's.

        :param strict: nobody's queue is refused to an owner too
        """
        if self.owner is session or (self.owner is None and not strict):
            return
        text = (
            f"cannot obtain exclusive access to locked {self}. It could be originally declared on another connection "
            "or the exclusive property value does not match that of the original declaration."
        )
        raise SoftError("RESOURCE_LOCKED", text)

    # Messages come in.

    def publish(self, message: Message) -> bool:
        """Take a message in; tell whether that was possible: a full queue that rejects says no."""
        if self._rejects and self._would_overflow(message):
            if self.settings.overflow == "reject-publish-dlx":
                self.vhost.dead_letter(self, message, "maxlen")
            return False
        self.published += 1
        self._positions = position = self._positions + 1
        entry = Entry(message, position)
        if self._expires or message.properties.expiration is not None:
            self._set_expiry(entry)
        if not self.backlog:
            consumer = self.consumers.next()
            if consumer is not None:
                if self.durable and not consumer.no_ack:
                    self._keep(entry)
                self._hand_over(consumer, entry)
                return True
        if self.durable:
            self._keep(entry)
        self.backlog.append(entry)
        self.ready_bytes += len(message.body)
        if self._limits:
            self._drop_overflow()
        if self._expires:
            self._watch_head()
        return True

    def is_kept(self, message: Message) -> bool:
        """Whether the message outlives the broker here."""
        return self.durable and self.owner is None and message.properties.is_persistent

    def _keep(self, entry: Entry) -> None:
        store = self.vhost.broker.store
        if store is not None and self.is_kept(entry.message):
            store.entry_added(self, entry)

    def _forget(self, entry: Entry) -> None:
        store = self.vhost.broker.store
        if store is not None and entry.record is not None:
            store.entry_removed(self, entry)

    def _would_overflow(self, message: Message) -> bool:
        limits = self.settings
        if limits.max_length is not None and len(self.backlog) + 1 > limits.max_length:
            return True
        return limits.max_bytes is not None and self.ready_bytes + len(message.body) > limits.max_bytes

    def _drop_overflow(self) -> None:
        limits = self.settings
        if limits.overflow != "drop-head":
            return
        while self.backlog and (
            (limits.max_length is not None and len(self.backlog) > limits.max_length)
            or (limits.max_bytes is not None and self.ready_bytes > limits.max_bytes)
        ):
            self._bury(self._take(), "maxlen")

    def _bury(self, entry: Entry, reason: str) -> None:
        """Let an entry go, to the dead-letter exchange if there is one."""
        self._forget(entry)
        if self.settings.dead_letter_exchange is not None:
            self.vhost.dead_letter(self, entry.message, reason)

    # Time passes.

    def _set_expiry(self, entry: Entry) -> None:
        self._expires = True
        own = entry.message.properties.expiration
        times_ms = [time for time in (self.settings.ttl_ms, None if own is None else int(own)) if time is not None]
        if times_ms:
            entry.expires_s = self.vhost.broker.clock.monotonic() + min(times_ms) / 1000

    def _watch_head(self) -> None:
        """See to it that the head is dropped when its time has come."""
        self.drop_expired()
        due_s = self.backlog.head().expires_s if self.backlog else None
        timer = self._head_timer
        if due_s is None or (timer is not None and timer.due_s <= due_s):
            return
        if timer is not None:
            timer.cancel()
        self._head_timer = self.vhost.broker.timers.at(due_s, self._head_due)

    def _head_due(self) -> None:
        self._head_timer = None
        if not self.is_deleted:
            self._watch_head()

    def drop_expired(self) -> None:
        """Let go what is at the head after its time."""
        if not self._expires:
            return
        now_s = self.vhost.broker.clock.monotonic()
        while self.backlog:
            expires_s = self.backlog.head().expires_s
            if expires_s is None or expires_s > now_s:
                return
            self._bury(self._take(), "expired")

    def touch(self) -> None:
        """Begin the time anew after which the queue ends if nobody uses it."""
        if self.settings.expires_ms is None:
            return
        broker = self.vhost.broker
        self._used_s = broker.clock.monotonic()
        if self._idle_timer is None:
            self._idle_timer = broker.timers.at(self._idle_due_s(), self._idle_due)

    def _idle_due_s(self) -> float:
        """Return when the queue ends if nobody uses it meanwhile."""
        assert self.settings.expires_ms is not None
        return self._used_s + self.settings.expires_ms / 1000

    def _idle_due(self) -> None:
        self._idle_timer = None
        if self.is_deleted or len(self.consumers):
            return
        broker = self.vhost.broker
        due_s = self._idle_due_s()
        if due_s > broker.clock.monotonic():
            self._idle_timer = broker.timers.at(due_s, self._idle_due)
        else:
            self.vhost.delete_queue(self)

    # Messages go out.

    def _take(self) -> Entry:
        entry = self.backlog.popleft()
        self.ready_bytes -= len(entry.message.body)
        return entry

    def _hand_over(self, consumer: Consumer, entry: Entry) -> None:
        self.delivered += 1
        if not consumer.no_ack:
            self.unacked += 1
        if entry.redelivered:
            self.redelivered += 1
        consumer.channel.deliver(consumer, entry)

    def dispatch(self) -> None:
        """Deliver what waits to whoever can take it."""
        backlog = self.backlog
        if not backlog:
            return
        self.drop_expired()
        next_consumer = self.consumers.next
        while backlog:
            consumer = next_consumer()
            if consumer is None:
                break
            entry = self._take()
            if consumer.no_ack:
                self._forget(entry)
            self._hand_over(consumer, entry)
            if self._expires:
                self.drop_expired()
        if self._expires:
            self._watch_head()

    def get(self, no_ack: bool) -> Entry | None:
        """Take the next entry for basic.get; None where nothing waits."""
        self.touch()
        self.drop_expired()
        if not self.backlog:
            return None
        entry = self._take()
        self.delivered += 1
        if entry.redelivered:
            self.redelivered += 1
        if no_ack:
            self._forget(entry)
        else:
            self.unacked += 1
        if self._expires:
            self._watch_head()
        return entry

    # Messages are answered.

    def settle(self, entry: Entry) -> None:
        """Let an entry go that has been acknowledged."""
        self.unacked -= 1
        self.acknowledged += 1
        if entry.record is not None:
            self._forget(entry)

    def reject(self, entry: Entry) -> None:
        """Let an entry go that has been rejected for good."""
        self.unacked -= 1
        if not self.is_deleted:
            self._bury(entry, "rejected")

    def requeue(self, entries: list[Entry]) -> None:
        """Put entries back to where they were."""
        self.unacked -= len(entries)
        if self.is_deleted:
            return
        for entry in entries:
            entry.redelivered = True
            self.ready_bytes += len(entry.message.body)
        self.backlog.put_back(entries)
        if self._limits:
            self._drop_overflow()
        if self._expires:
            self._watch_head()

    def purge(self) -> int:
        """Forget what waits; return how much that was."""
        count = len(self.backlog)
        for entry in self.backlog:
            self._forget(entry)
        self.backlog.clear()
        self.ready_bytes = 0
        return count

    def consumer_count(self) -> int:
        """Return how many consumers there are."""
        return len(self.consumers)

    def count(self) -> int:
        """Return how many messages wait now."""
        self.drop_expired()
        return len(self.backlog)

    def deleted_count(self) -> int:
        """Return how many messages go with the queue, as queue.delete-ok tells."""
        return self.count()

    # Consumers.

    def check_consumer(self, exclusive: bool, no_ack: bool, prefetch: int, limit: int) -> None:
        """Refuse a consumer that the queue cannot serve.

        :param limit: the prefetch of the whole channel
        """
        if self.consumers.is_exclusive or (exclusive and (len(self.consumers) or self.settings.single_active_consumer)):
            raise SoftError("ACCESS_REFUSED", f"{self} in exclusive use")

    def check_get(self) -> None:
        """Refuse basic.get where the queue cannot be read so."""

    def check_reject(self) -> None:
        """Refuse basic.nack and basic.reject where nothing can be given back."""

    def check_recover(self) -> None:
        """Refuse basic.recover likewise."""

    def check_delete(self, if_unused: bool, if_empty: bool) -> None:
        """Refuse a deletion whose conditions do not hold."""
        if if_empty and self.count():
            raise SoftError("PRECONDITION_FAILED", f"{self} not empty")
        if if_unused and len(self.consumers):
            raise SoftError("PRECONDITION_FAILED", f"{self} in use")

    def add_consumer(self, consumer: Consumer) -> None:
        """Let a consumer take part; it gets nothing before :meth:`dispatch`."""
        self.consumers.add(consumer)

    def remove_consumer(self, consumer: Consumer) -> None:
        """Let a consumer go; the last one takes an auto-delete queue with it."""
        self.consumers.remove(consumer)
        if len(self.consumers):
            self.dispatch()
            return
        if self.auto_delete:
            self.vhost.delete_queue(self)
        else:
            self.touch()

    def resume(self, consumers: Iterable[Consumer]) -> None:
        """Deliver to consumers that could take nothing for a while."""
        for consumer in consumers:
            self.consumers.unpark(consumer)
        self.dispatch()

    def close(self) -> None:
        """Stop: the queue is deleted."""
        self.is_deleted = True
        for timer in (self._head_timer, self._idle_timer):
            if timer is not None:
                timer.cancel()
        self.backlog.clear()
        self.ready_bytes = 0

    def survivors(self) -> list[Entry]:
        """Return the waiting entries that outlive the broker, in their order."""
        return [entry for entry in self.backlog if self.is_kept(entry.message)]

    def restore(self, entries: list[Entry]) -> None:
        """Hold these entries and nothing else: the broker is back."""
        self.backlog.clear()
        self.ready_bytes = sum(len(entry.message.body) for entry in entries)
        for entry in entries:
            self.backlog.append(entry)
            self._positions = max(self._positions, entry.position)
            self._expires = self._expires or entry.expires_s is not None
        if self._expires:
            self._watch_head()
        self.touch()
