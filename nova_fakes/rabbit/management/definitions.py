"""All that is declared in a broker, as one document: what the management API exports and imports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nova_fakes.exceptions import InvalidInput
from nova_fakes.rabbit.broker import Broker
from nova_fakes.rabbit.management.shapes import VERSION, Shapes
from nova_fakes.rabbit.tables import typed
from nova_fakes.rabbit.users import Permission, User, hashed

__all__ = ["export_definitions", "import_definitions"]


def export_definitions(broker: Broker, shapes: Shapes) -> dict[str, Any]:
    """Return what is declared: users, virtual hosts, permissions; what is durable of queues, exchanges and bindings."""
    exchanges = [each for each in shapes.exchanges() if each.durable and each.name and not each.name.startswith("amq.")]
    queues = [queue for queue in shapes.queues() if queue.durable and queue.owner is None]
    bindings = [
        shapes.binding(binding)
        for exchange in shapes.exchanges()
        for binding in exchange.bindings.values()
        if binding.is_durable
    ]
    places = ("source", "vhost", "destination", "destination_type", "routing_key", "arguments")
    return {
        "rabbit_version": VERSION,
        "rabbitmq_version": VERSION,
        "product_name": "RabbitMQ",
        "product_version": VERSION,
        "users": [_user(user) for user in broker.users],
        "vhosts": [{"name": name} for name in broker.vhosts],
        "permissions": shapes.permissions(),
        "topic_permissions": [],
        "parameters": [],
        "global_parameters": [],
        "policies": [],
        "queues": [
            _chosen(shapes.queue(queue), ("name", "vhost", "durable", "auto_delete", "arguments")) for queue in queues
        ],
        "exchanges": [
            _chosen(
                shapes.exchange(exchange),
                ("name", "vhost", "type", "durable", "auto_delete", "internal", "arguments"),
            )
            for exchange in exchanges
        ],
        "bindings": [_chosen(binding, places) for binding in bindings],
    }


def _user(user: User) -> dict[str, Any]:
    password_hash = user.password_hash or (hashed(user.password) if user.password is not None else "")
    return {
        "name": user.name,
        "password_hash": password_hash,
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": list(user.tags),
        "limits": {},
    }


def _chosen(item: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: item[name] for name in names}


def import_definitions(broker: Broker, document: dict[str, Any]) -> None:
    """Declare what a document has, beside what there is; called within a turn of the broker.

    :raises InvalidInput: it has something that cannot be, or lacks something
    :raises AmqpError: something is there already, and otherwise
    """
    for item in _items(document, "vhosts", "name"):
        broker.add_vhost(item["name"])
    for item in _items(document, "users", "name"):
        known = broker.users.get(item["name"])
        permissions = {} if known is None else known.permissions
        tags = item.get("tags", [])
        named = tuple(tags.split(",") if isinstance(tags, str) else tags)
        password_hash = item.get("password_hash") or None
        broker.users.add(User(item["name"], item.get("password"), named, permissions, password_hash=password_hash))
    for item in _items(document, "permissions", "user", "vhost", "configure", "write", "read"):
        user = broker.users.get(item["user"])
        if user is None or item["vhost"] not in broker.vhosts:
            raise InvalidInput("permissions", item, "name a user and a virtual host that are there")
        user.permissions[item["vhost"]] = Permission(item["configure"], item["write"], item["read"])
    for item in _items(document, "exchanges", "name", "vhost", "type"):
        broker.add_vhost(item["vhost"]).declare_exchange(
            item["name"],
            item["type"],
            durable=bool(item.get("durable", True)),
            auto_delete=bool(item.get("auto_delete", False)),
            internal=bool(item.get("internal", False)),
            arguments=typed(item.get("arguments", {})),
        )
    for item in _items(document, "queues", "name", "vhost"):
        broker.add_vhost(item["vhost"]).declare_queue(
            item["name"],
            durable=bool(item.get("durable", True)),
            auto_delete=bool(item.get("auto_delete", False)),
            owner=None,
            arguments=typed(item.get("arguments", {})),
        )
    for item in _items(document, "bindings", "source", "vhost", "destination", "destination_type"):
        vhost = broker.add_vhost(item["vhost"])
        is_queue = item["destination_type"] == "queue"
        destination = vhost.queue(item["destination"]) if is_queue else vhost.exchange(item["destination"])
        arguments = typed(item.get("arguments", {}))
        vhost.bind(vhost.exchange(item["source"]), destination, item.get("routing_key", ""), arguments)


def _items(document: dict[str, Any], kind: str, *needed: str) -> Iterator[dict[str, Any]]:
    for item in document.get(kind, []):
        for name in needed:
            if not isinstance(item, dict) or not isinstance(item.get(name), str):
                raise InvalidInput(f"{kind}.{name}", item, "give a text there")
        yield item
