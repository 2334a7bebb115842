"""What dead-lettering writes into a message: its history in the header x-death.

Source: RabbitMQ 3.10, `rabbit_dead_letter`.
"""

from __future__ import annotations

from nova_fakes.rabbit.message import Message, carried_routes
from nova_fakes.rabbit.tables import Table, Value

__all__ = ["bury", "is_cycle"]

HISTORY = "x-death"


def bury(message: Message, queue: str, reason: str, exchange: str, routing_key: str | None, now_s: float) -> Message:
    """Return a message as its queue's dead-letter exchange gets it.

    :param reason: expired, rejected, maxlen or delivery_limit
    :param exchange: the dead-letter exchange
    :param routing_key: by which the queue dead-letters; None: by the message's own
    """
    keys = [message.routing_key, *carried_routes(message, "CC")]
    event: Table = {
        "reason": ("S", reason),
        "queue": ("S", queue),
        "time": ("T", int(now_s)),
        "exchange": ("S", message.exchange),
        "routing-keys": ("A", [("S", key) for key in keys]),
    }
    if message.properties.expiration is not None:
        event["original-expiration"] = ("S", message.properties.expiration)
    headers = _with_event(message.properties.headers, event)
    if routing_key is not None:
        headers.pop("CC", None)
    properties = message.properties.replace(headers=headers, expiration=None)
    return Message(exchange, message.routing_key if routing_key is None else routing_key, properties, message.body)


def _with_event(headers: Table, event: Table) -> Table:
    """Return the headers with one more event, by name as RabbitMQ sorts them."""
    kind, items = headers.get(HISTORY, ("V", None))
    events: list[Value] = items if kind == "A" else []
    place = (event["queue"], event["reason"])
    matches: list[Value] = []
    others: list[Value] = []
    for item in _grouped(events):
        (matches if _place(item) == place else others).append(item)
    first = {"count": ("l", 1), **event}
    if matches:
        first = dict(matches[0][1])
        first["count"] = ("l", first.get("count", ("l", 0))[1] + 1)
    if kind == "A":
        first = dict(sorted(first.items()))
    born = {f"x-first-death-{name}": event[name] for name in ("reason", "queue", "exchange")} if kind == "V" else {}
    return dict(sorted({**headers, HISTORY: ("A", [("F", first), *others]), **born}.items()))


def _place(item: Value) -> tuple[Value | None, Value | None]:
    table = item[1] if item[0] == "F" else {}
    return table.get("queue"), table.get("reason")


def _grouped(items: list[Value]) -> list[Value]:
    """Return one event for each queue and reason; those of brokers that did not count yet are counted."""
    if len(items) < 2:
        return list(items)
    counts: dict[tuple[Value | None, Value | None], list[Value]] = {}
    for item in items:
        counts.setdefault(_place(item), []).append(item)
    # RabbitMQ gathers them in the opposite order.
    return [
        same[0] if same[0][0] != "F" else ("F", {"count": ("l", len(same))} | same[0][1])
        for same in reversed(counts.values())
    ]


def is_cycle(queue: str, headers: Table) -> bool:
    """Tell whether a message has been in the queue before and nobody rejected it since."""
    kind, items = headers.get(HISTORY, ("A", []))
    if kind != "A":
        return False
    for item in items:
        if item[0] != "F" or item[1].get("reason") == ("S", "rejected"):
            return False
        if item[1].get("queue") == ("S", queue):
            return True
    return False
