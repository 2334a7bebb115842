"""Direct reply-to: answers that go straight to the channel of whoever asked, through no queue.

Source: RabbitMQ's "Direct Reply-to" guide; `rabbit_channel:deliver_reply`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nova_fakes.rabbit.message import Message

if TYPE_CHECKING:
    from nova_fakes.rabbit.channel import Channel

__all__ = ["REPLY_TO", "Replies"]

REPLY_TO = "amq.rabbitmq.reply-to"


class Replies:
    """The channels that take answers, by the names that stand in the requests."""

    def __init__(self) -> None:
        self._channels: dict[str, Channel] = {}

    def add(self, name: str, channel: Channel) -> None:
        """Let answers to a name go to a channel."""
        self._channels[name] = channel

    def remove(self, name: str) -> None:
        """Let no more answers to a name come."""
        self._channels.pop(name, None)

    def exists(self, name: str) -> bool:
        """Tell whether answers to the name would arrive; those to the plain one are anybody's own."""
        return name == REPLY_TO or name in self._channels

    def deliver(self, message: Message) -> None:
        """Hand an answer over; one that nobody waits for any more is lost."""
        channel = self._channels.get(message.routing_key)
        if channel is not None:
            channel.deliver_reply(message)
