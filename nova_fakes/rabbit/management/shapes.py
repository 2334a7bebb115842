"""What there is in a broker, in the shapes of RabbitMQ's management API.

Source: RabbitMQ 3.10's HTTP API documentation, and what its own server answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_plus

from nova_fakes.rabbit.bindings import Binding
from nova_fakes.rabbit.broker import Broker
from nova_fakes.rabbit.channel import Channel
from nova_fakes.rabbit.consumers import Consumer
from nova_fakes.rabbit.exchange import Exchange
from nova_fakes.rabbit.management.rates import Rates
from nova_fakes.rabbit.queue import Queue
from nova_fakes.rabbit.session import Session
from nova_fakes.rabbit.tables import plain, sorted_octets
from nova_fakes.rabbit.users import User
from nova_fakes.rabbit.vhost import VirtualHost

__all__ = ["VERSION", "Shapes"]

VERSION = "3.10.8"


class Shapes:
    """Makes the API's objects of a broker's; called within a turn of the broker."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self._rates = Rates(broker.clock.now)

    # What there is.

    def queues(self, vhost: str | None = None) -> Iterator[Queue]:
        """Give the queues of a virtual host; None: of all."""
        for place in self._places(vhost):
            yield from place.queues.values()

    def exchanges(self, vhost: str | None = None) -> Iterator[Exchange]:
        """Give the exchanges of a virtual host; None: of all."""
        for place in self._places(vhost):
            yield from place.exchanges.values()

    def bindings(self, vhost: str | None = None) -> Iterator[dict[str, Any]]:
        """Give the bindings of a virtual host, with those that every queue has to the default exchange."""
        for place in self._places(vhost):
            for queue in place.queues.values():
                yield self.default_binding(queue)
            for exchange in place.exchanges.values():
                yield from map(self.binding, exchange.bindings.values())

    def channels(self) -> Iterator[Channel]:
        """Give the channels of all connections."""
        for session in self.broker.sessions:
            yield from session.channels.values()

    def _places(self, vhost: str | None) -> list[VirtualHost]:
        return list(self.broker.vhosts.values()) if vhost is None else [self.broker.vhosts[vhost]]

    # How it looks.

    def overview(self, listeners: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what the first page shows."""
        broker, queues = self.broker, list(self.queues())
        ready, unacked = sum(queue.count() for queue in queues), sum(queue.unacked for queue in queues)
        totals = {"messages_ready": ready, "messages_unacknowledged": unacked, "messages": ready + unacked}
        return {
            "management_version": VERSION,
            "rabbitmq_version": VERSION,
            "product_name": "RabbitMQ",
            "product_version": VERSION,
            "cluster_name": broker.name,
            "node": broker.name,
            "rates_mode": "basic",
            "exchange_types": [{"name": name, "enabled": True} for name in ("direct", "fanout", "headers", "topic")],
            "message_stats": self._rates.statistics(self, _summed(queues)),
            "queue_totals": totals,
            "object_totals": {
                "channels": sum(len(session.channels) for session in broker.sessions),
                "connections": len(broker.sessions),
                "consumers": sum(len(queue.consumers) for queue in queues),
                "exchanges": sum(1 for _ in self.exchanges()),
                "queues": len(queues),
            },
            "listeners": listeners,
            "contexts": [],
        }

    def node(self) -> dict[str, Any]:
        """Return the one node."""
        return {
            "name": self.broker.name,
            "type": "disc",
            "running": not self.broker.is_down,
            "mem_alarm": self.broker.blocked_by is not None,
            "disk_free_alarm": False,
            "uptime": int((self.broker.clock.now() - self.broker.started_s) * 1000),
        }

    def queue(self, queue: Queue) -> dict[str, Any]:
        """Return a queue with its counts and rates."""
        ready = queue.count()
        return {
            "name": queue.name,
            "vhost": queue.vhost.name,
            "type": queue.type,
            "durable": queue.durable,
            "auto_delete": queue.auto_delete,
            "exclusive": queue.owner is not None,
            "arguments": plain(queue.arguments),
            "node": self.broker.name,
            "state": "running",
            "messages": ready + queue.unacked,
            "messages_ready": ready,
            "messages_unacknowledged": queue.unacked,
            "message_bytes_ready": queue.ready_bytes,
            "consumers": queue.consumer_count(),
            "policy": None,
            "message_stats": self._rates.statistics(queue, _summed([queue])),
        }

    def exchange(self, exchange: Exchange) -> dict[str, Any]:
        """Return an exchange."""
        return {
            "name": exchange.name,
            "vhost": exchange.vhost.name,
            "type": exchange.type,
            "durable": exchange.durable,
            "auto_delete": exchange.auto_delete,
            "internal": exchange.internal,
            "arguments": plain(exchange.arguments),
            "message_stats": self._rates.statistics(exchange, {"publish_in": exchange.published}),
        }

    def binding(self, binding: Binding) -> dict[str, Any]:
        """Return a binding; its properties_key tells it from others between the same two."""
        return {
            "source": binding.source.name,
            "vhost": binding.source.vhost.name,
            "destination": binding.destination.name,
            "destination_type": binding.destination.kind,
            "routing_key": binding.routing_key,
            "arguments": plain(binding.arguments),
            "properties_key": properties_key(binding),
        }

    def default_binding(self, queue: Queue) -> dict[str, Any]:
        """Return the binding by its name that every queue has."""
        return {
            "source": "",
            "vhost": queue.vhost.name,
            "destination": queue.name,
            "destination_type": "queue",
            "routing_key": queue.name,
            "arguments": {},
            "properties_key": _quoted(queue.name),
        }

    def connection(self, session: Session) -> dict[str, Any]:
        """Return a client's connection."""
        details = session.details
        return {
            "name": session.name,
            "user": session.user.name,
            "vhost": session.vhost.name,
            "node": self.broker.name,
            "state": "blocked" if self.broker.blocked_by is not None else "running",
            "channels": len(session.channels),
            "connected_at": int(session.connected_s * 1000),
            "protocol": details.get("protocol", "in process"),
            "ssl": bool(details.get("ssl")),
            "host": details.get("host", ""),
            "port": details.get("port", 0),
            "peer_host": details.get("peer_host", ""),
            "peer_port": details.get("peer_port", 0),
            "client_properties": _readable(details.get("client_properties", {})),
            "type": "network",
        }

    def channel(self, channel: Channel) -> dict[str, Any]:
        """Return a channel."""
        session = channel.session
        return {
            "name": f"{session.name} ({channel.number})",
            "number": channel.number,
            "user": session.user.name,
            "vhost": session.vhost.name,
            "node": self.broker.name,
            "state": "running",
            "consumer_count": len(channel.consumers),
            "messages_unacknowledged": channel.unacked_count,
            "global_prefetch_count": channel.limit,
            "confirm": channel.confirms is not None,
            "transactional": channel.held is not None,
            "connection_details": {"name": session.name},
        }

    def consumer(self, consumer: Consumer) -> dict[str, Any]:
        """Return a subscription."""
        return {
            "consumer_tag": consumer.tag,
            "ack_required": not consumer.no_ack,
            "exclusive": consumer.is_exclusive,
            "prefetch_count": consumer.prefetch,
            "arguments": plain(consumer.arguments),
            "queue": {"name": consumer.queue.name, "vhost": consumer.queue.vhost.name},
            "channel_details": {
                "name": f"{consumer.channel.session.name} ({consumer.channel.number})",
                "number": consumer.channel.number,
                "connection_name": consumer.channel.session.name,
                "user": consumer.channel.session.user.name,
            },
        }

    def vhost(self, vhost: VirtualHost) -> dict[str, Any]:
        """Return a virtual host with its totals."""
        ready = sum(queue.count() for queue in vhost.queues.values())
        unacked = sum(queue.unacked for queue in vhost.queues.values())
        return {
            "name": vhost.name,
            "messages": ready + unacked,
            "messages_ready": ready,
            "messages_unacknowledged": unacked,
            "cluster_state": {self.broker.name: "running"},
            "tracing": False,
            "tags": [],
        }

    def user(self, user: User) -> dict[str, Any]:
        """Return a user; what the password is stays here."""
        return {"name": user.name, "tags": list(user.tags), "limits": {}}

    def permissions(self, user: User | None = None) -> list[dict[str, Any]]:
        """Return what a user may, or what all may."""
        users = list(self.broker.users) if user is None else [user]
        return [
            {
                "user": user.name,
                "vhost": vhost,
                "configure": permission.configure,
                "write": permission.write,
                "read": permission.read,
            }
            for user in users
            for vhost, permission in user.permissions.items()
        ]


def properties_key(binding: Binding) -> str:
    """Return what tells a binding from the others between the same two."""
    if not binding.arguments:
        return _quoted(binding.routing_key) or "~"
    digest = hashlib.sha256(sorted_octets(binding.arguments)).hexdigest()[:22]
    return f"{_quoted(binding.routing_key)}~{digest}"


def _quoted(routing_key: str) -> str:
    return quote_plus(routing_key).replace("~", "%7E")


def _readable(properties: Any) -> Any:
    """Return client properties as JSON holds them, from a typed table or from plain values."""
    if isinstance(properties, dict) and all(isinstance(value, tuple) for value in properties.values()):
        return plain(properties)
    return properties


def _summed(queues: list[Queue]) -> dict[str, int]:
    return {
        "publish": sum(queue.published for queue in queues),
        "deliver_get": sum(queue.delivered for queue in queues),
        "redeliver": sum(queue.redelivered for queue in queues),
        "ack": sum(queue.acknowledged for queue in queues),
    }
