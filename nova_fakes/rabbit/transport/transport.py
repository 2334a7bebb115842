"""kombu's transport."""

from __future__ import annotations

from typing import Any

import amqp
from kombu.transport import base

from nova_fakes.rabbit.transport.brokers import BROKERS
from nova_fakes.rabbit.transport.channel import Channel
from nova_fakes.rabbit.transport.connection import Connection

__all__ = ["Transport"]


class Transport(base.Transport):  # type: ignore[misc]
    """Connections to brokers of this process, with py-amqp's errors."""

    default_port = 0
    connection_errors = amqp.Connection.connection_errors
    channel_errors = amqp.Connection.channel_errors
    recoverable_connection_errors = amqp.Connection.recoverable_connection_errors
    recoverable_channel_errors = amqp.Connection.recoverable_channel_errors
    driver_type = "amqp"
    driver_name = "fakerabbit"
    implements = base.Transport.implements.extend(asynchronous=False, heartbeats=False)

    def driver_version(self) -> str:
        """Return the version of RabbitMQ that is followed."""
        return "3.10.8"

    def establish_connection(self) -> Connection:
        """Connect to the broker that the URL names."""
        wanted = self.client
        connection = Connection(
            BROKERS.get(wanted.hostname),
            wanted.userid,
            wanted.password() if callable(wanted.password) else wanted.password,
            wanted.virtual_host or "/",
            wanted.transport_options,
        )
        connection.client = self.client
        return connection

    def create_channel(self, connection: Connection) -> Channel:
        """Open a channel."""
        return connection.channel()

    def close_channel(self, channel: Channel) -> None:
        """Close a channel."""
        channel.close()

    def drain_events(self, connection: Connection, **options: Any) -> None:
        """Wait for one event; see :meth:`Connection.drain_events`."""
        connection.drain_events(**options)

    def verify_connection(self, connection: Connection) -> bool:
        """Tell whether the connection is open."""
        return connection.connected

    def close_connection(self, connection: Connection) -> None:
        """Close the connection."""
        connection.client = None
        connection.close()

    def qos_semantics_matches_spec(self, connection: Connection) -> bool:
        """Tell whether a prefetch that is global is the connection's: in RabbitMQ it is the channel's."""
        return False

    @property
    def default_connection_params(self) -> dict[str, Any]:
        """What a URL need not say."""
        return {"port": self.default_port, "hostname": "localhost"}
