"""A client's connection as the broker sees it: who it is, where it is, its channels and exclusive queues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nova_fakes.rabbit.channel import Channel
from nova_fakes.rabbit.errors import AmqpError
from nova_fakes.rabbit.receiver import Inbox

if TYPE_CHECKING:
    from nova_fakes.rabbit.broker import Broker
    from nova_fakes.rabbit.queue import Queue
    from nova_fakes.rabbit.receiver import Link, Receiver
    from nova_fakes.rabbit.users import User
    from nova_fakes.rabbit.vhost import VirtualHost

__all__ = ["Session"]


class Session:
    """One connection; :meth:`nova_fakes.rabbit.broker.Broker.connect` makes it.

    :param link: is told when the broker ends the session and when there is something to send
    :param details: what a management interface shows: addresses, protocol, client properties …
    """

    def __init__(
        self,
        broker: Broker,
        vhost: VirtualHost,
        user: User,
        link: Link,
        name: str,
        capabilities: frozenset[str],
        details: Mapping[str, Any],
    ) -> None:
        self.broker = broker
        self.vhost = vhost
        self.user = user
        self.link = link
        self.name = name
        self.details = dict(details)
        self.connected_s = broker.clock.now()
        self.channels: dict[int, Channel] = {}
        self.exclusive: dict[str, Queue] = {}
        #: Whether the client reads too slowly to be sent more.
        self.is_paused = False
        self.is_closed = False
        self._capabilities = capabilities
        if isinstance(link, Inbox):
            link.mark = self.mark

    def can(self, capability: str) -> bool:
        """Tell whether the client said that it has a capability: consumer_cancel_notify …"""
        return capability in self._capabilities

    def open_channel(self, receiver: Receiver, number: int | None = None) -> Channel:
        """Open a channel.

        :param number: None: the lowest that is free
        """
        if number is None:
            number = next(number for number in range(1, len(self.channels) + 2) if number not in self.channels)
        channel = self.channels[number] = Channel(self, number, receiver)
        return channel

    def pause(self) -> None:
        """Deliver nothing more until :meth:`resume`."""
        self.is_paused = True

    def resume(self) -> None:
        """Deliver again."""
        self.is_paused = False
        for channel in list(self.channels.values()):
            channel.resume()

    def mark(self) -> None:
        """Have the link flushed at the end of the turn."""
        self.broker.unflushed[self.link] = None

    def close(self) -> None:
        """End: the client is gone. Its channels close and its exclusive queues are deleted."""
        if self.is_closed:
            return
        self.is_closed = True
        self.broker.sessions.pop(self, None)
        for channel in list(self.channels.values()):
            channel.close()
        for queue in list(self.exclusive.values()):
            self.vhost.delete_queue(queue)

    def end(self, error: AmqpError | None = None) -> None:
        """Throw the client out.

        :param error: what it is told; None: nothing, the connection is lost
        """
        if not self.is_closed:
            self.close()
            self.link.closed(error)
            self.mark()
