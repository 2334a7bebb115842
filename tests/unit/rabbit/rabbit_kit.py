"""A client of a broker in memory."""

from typing import Any

from nova_fakes.rabbit import Broker, Channel, Inbox, Properties, typed


class Client:
    """A session with one channel, and what it has been told."""

    def __init__(self, broker: Broker, **options: Any) -> None:
        self.broker = broker
        self.inbox = Inbox()
        with broker:
            self.session = broker.connect(self.inbox, **options)
            self.channel: Channel = self.session.open_channel(self.inbox)

    def do(self, method: str, *values: Any, **options: Any) -> Any:
        """Call a method of the channel in a turn of its own; arguments are plain values."""
        if "arguments" in options:
            options["arguments"] = typed(options["arguments"])
        with self.broker:
            return getattr(self.channel, method)(*values, **options)

    def publish(
        self, routing_key: str, body: str = "m", exchange: str = "", mandatory: bool = False, **fields: Any
    ) -> None:
        self.do("publish", exchange, routing_key, Properties.of(**fields), body.encode(), mandatory=mandatory)

    def get(self, queue: str, no_ack: bool = True) -> Any:
        return self.do("get", queue, no_ack=no_ack)

    def bodies(self, queue: str) -> list[str]:
        """Take all that waits."""
        found = []
        while (got := self.get(queue)) is not None:
            found.append(got.message.body.decode())
        return found

    def delivered(self) -> list[str]:
        """Take all that has been delivered."""
        found = [delivery.message.body.decode() for delivery in self.inbox.deliveries]
        self.inbox.deliveries.clear()
        return found

    def waiting(self, queue: str) -> int:
        return int(self.do("queue_declare", queue, passive=True).message_count)
