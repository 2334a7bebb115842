"""What keeps a broker's durable things while it is down: the hooks by which the engine tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from nova_fakes.rabbit.bindings import Binding
    from nova_fakes.rabbit.exchange import Exchange
    from nova_fakes.rabbit.message import Entry
    from nova_fakes.rabbit.queue import Queue

__all__ = ["Store"]


class Store(Protocol):
    """Told of everything durable while it happens; :meth:`commit` comes before any client is told of it.

    The engine calls it under the broker's lock. Only what is durable is told: exchanges, queues without an owner,
    bindings between such, persistent messages in such queues.
    """

    def exchange_declared(self, exchange: Exchange) -> None:
        """A durable exchange has been made."""

    def exchange_deleted(self, exchange: Exchange) -> None:
        """A durable exchange is gone, and its bindings with it."""

    def queue_declared(self, queue: Queue) -> None:
        """A durable queue has been made."""

    def queue_deleted(self, queue: Queue) -> None:
        """A durable queue is gone, with its bindings and messages."""

    def bound(self, binding: Binding) -> None:
        """A durable binding has been made."""

    def unbound(self, binding: Binding) -> None:
        """A durable binding is gone."""

    def entry_added(self, queue: Queue, entry: Entry) -> None:
        """A message has come into a queue; put into `entry.record` what it shall be known by, not None."""

    def entry_removed(self, queue: Queue, entry: Entry) -> None:
        """A message that was added has left its queue for good."""

    def commit(self) -> None:
        """Make everything told so far last; called at the end of each turn, so cheap where nothing was told.

        :raises OSError: there is no room for it; it is tried again, with what will have been told by then
        """
