"""What there is in a broker, as plain values: for tests to compare and for people to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nova_fakes.rabbit.tables import plain

if TYPE_CHECKING:
    from nova_fakes.rabbit.broker import Broker
    from nova_fakes.rabbit.exchange import Exchange
    from nova_fakes.rabbit.queue import Queue
    from nova_fakes.rabbit.vhost import VirtualHost

__all__ = ["snapshot"]


def snapshot(broker: Broker) -> dict[str, Any]:
    """Return virtual hosts with their contents, predeclared exchanges left out, and the sessions."""
    return {
        "name": broker.name,
        "vhosts": {name: _vhost(vhost) for name, vhost in broker.vhosts.items()},
        "sessions": [
            {"name": session.name, "user": session.user.name, "channels": sorted(session.channels)}
            for session in broker.sessions
        ],
    }


def _vhost(vhost: VirtualHost) -> dict[str, Any]:
    exchanges = [found for found in vhost.exchanges.values() if found.name and not found.name.startswith("amq.")]
    return {
        "exchanges": {found.name: _exchange(found) for found in exchanges},
        "queues": {queue.name: _queue(queue) for queue in vhost.queues.values()},
        "bindings": [
            {
                "source": binding.source.name,
                "destination": binding.destination.name,
                "destination_type": binding.destination.kind,
                "routing_key": binding.routing_key,
                "arguments": plain(binding.arguments),
            }
            for exchange in vhost.exchanges.values()
            for binding in exchange.bindings.values()
        ],
    }


def _exchange(exchange: Exchange) -> dict[str, Any]:
    return {
        "type": exchange.type,
        "durable": exchange.durable,
        "auto_delete": exchange.auto_delete,
        "internal": exchange.internal,
        "arguments": plain(exchange.arguments),
    }


def _queue(queue: Queue) -> dict[str, Any]:
    return {
        "type": queue.type,
        "durable": queue.durable,
        "auto_delete": queue.auto_delete,
        "exclusive": queue.owner is not None,
        "arguments": plain(queue.arguments),
        "messages_ready": queue.count(),
        "messages_unacknowledged": queue.unacked,
        "consumers": len(queue.consumers),
    }
