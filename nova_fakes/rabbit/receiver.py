"""What a face of the broker is told: by a channel, and by the session that the channel belongs to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from nova_fakes.rabbit.errors import AmqpError
from nova_fakes.rabbit.message import Message

if TYPE_CHECKING:
    from nova_fakes.rabbit.consumers import Consumer

__all__ = ["Delivery", "Inbox", "Link", "Receiver", "Return"]


class Receiver(Protocol):
    """What a channel tells its client, in this order; called under the broker's lock, so briefly."""

    def deliver(self, consumer: Consumer, delivery_tag: int, redelivered: bool, message: Message) -> None:
        """A message for a consumer (basic.deliver)."""

    def returned(self, message: Message, code: int, text: str) -> None:
        """A mandatory message that reached no queue (basic.return)."""

    def acked(self, delivery_tag: int, multiple: bool) -> None:
        """Published messages have been taken (basic.ack)."""

    def nacked(self, delivery_tag: int, multiple: bool) -> None:
        """Published messages have been refused (basic.nack)."""

    def cancelled(self, consumer_tag: str) -> None:
        """A consumer has lost its queue (basic.cancel)."""

    def closed(self, error: AmqpError) -> None:
        """The broker has closed the channel on its own account."""


class Link(Protocol):
    """What a session tells its client; called under the broker's lock."""

    def flush(self) -> None:
        """Send what the channels have gathered during a turn."""

    def closed(self, error: AmqpError | None) -> None:
        """The broker has ended the session; None: without a word, as a lost connection does."""

    def blocked(self, reason: str | None) -> None:
        """The broker takes no more messages; None: it does again."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message for a consumer."""

    consumer_tag: str
    delivery_tag: int
    redelivered: bool
    message: Message


@dataclass(frozen=True, slots=True)
class Return:
    """A message that reached no queue."""

    message: Message
    code: int
    text: str


@dataclass(slots=True, eq=False)
class Inbox:
    """A receiver and link in memory: keeps what it is told, for faces in the same process and for tests.

    :param on_event: called after each turn in which something came; from the thread that caused it
    """

    on_event: Callable[[], None] | None = None
    deliveries: deque[Delivery] = field(default_factory=deque)
    returns: deque[Return] = field(default_factory=deque)
    #: Delivery tag, whether it means those before it too, whether they were taken.
    confirms: deque[tuple[int, bool, bool]] = field(default_factory=deque)
    cancels: deque[str] = field(default_factory=deque)
    #: Why the broker closed the channel or session; empty while it is open.
    closings: list[AmqpError | None] = field(default_factory=list)
    blocked_by: str | None = None
    #: Has the link flushed at the end of the turn; the session that it is connected to puts it in.
    mark: Callable[[], None] = lambda: None

    def deliver(self, consumer: Consumer, delivery_tag: int, redelivered: bool, message: Message) -> None:
        """Keep a message."""
        self.deliveries.append(Delivery(consumer.tag, delivery_tag, redelivered, message))
        self.mark()

    def returned(self, message: Message, code: int, text: str) -> None:
        """Keep a returned message."""
        self.returns.append(Return(message, code, text))
        self.mark()

    def acked(self, delivery_tag: int, multiple: bool) -> None:
        """Keep a confirm."""
        self.confirms.append((delivery_tag, multiple, True))
        self.mark()

    def nacked(self, delivery_tag: int, multiple: bool) -> None:
        """Keep a refusal."""
        self.confirms.append((delivery_tag, multiple, False))
        self.mark()

    def cancelled(self, consumer_tag: str) -> None:
        """Keep a consumer's end."""
        self.cancels.append(consumer_tag)
        self.mark()

    def closed(self, error: AmqpError | None) -> None:
        """Keep the reason."""
        self.closings.append(error)
        self.mark()

    def blocked(self, reason: str | None) -> None:
        """Keep the reason."""
        self.blocked_by = reason
        self.mark()

    def flush(self) -> None:
        """Tell that something has come."""
        if self.on_event is not None:
            self.on_event()
