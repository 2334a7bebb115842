"""The optional arguments of queues and consumers: what they may be, what a queue makes of them.

Source of the rules and texts: RabbitMQ 3.10, `rabbit_amqqueue:check_declare_arguments` and `check_consume_arguments`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nova_fakes.rabbit import erlang
from nova_fakes.rabbit.errors import SoftError, internal_error
from nova_fakes.rabbit.tables import TYPE_NAMES, Table, Value

__all__ = [
    "QUEUE_ARGUMENTS",
    "Settings",
    "check_consumer",
    "check_queue",
    "max_age_s",
    "queue_type",
    "settings",
    "stream_offset",
]

Check = Callable[[Value, Table], str | None]

EXPIRY_LIMIT_MS = 315_360_000_000
PRIORITY_LIMIT = 255
SEGMENT_LIMIT_BYTES = 3_000_000_000
_INTEGERS = frozenset("bsIlBui")
_UNITS_S = {"Y": 31_536_000, "M": 2_592_000, "D": 86_400, "h": 3_600, "m": 60, "s": 1}
_MAX_AGE = re.compile(r"([0-9]+)(Y|M|D|h|m|s)")
_LOCATORS = ("client-local", "balanced", "random", "least-leaders")
_MASTER_LOCATORS = ("client-local", "random", "min-masters")

#: By queue type, the arguments that it knows; the order is that in which they are compared.
QUEUE_ARGUMENTS = {
    "classic": (
        "x-expires", "x-message-ttl", "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-max-length",
        "x-max-length-bytes", "x-max-priority", "x-overflow", "x-queue-mode", "x-queue-version",
        "x-single-active-consumer", "x-queue-type", "x-queue-master-locator",
    ),
    "quorum": (
        "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-dead-letter-strategy", "x-expires", "x-max-length",
        "x-max-length-bytes", "x-max-in-memory-length", "x-max-in-memory-bytes", "x-overflow",
        "x-single-active-consumer", "x-queue-type", "x-quorum-initial-group-size", "x-delivery-limit", "x-message-ttl",
        "x-queue-leader-locator",
    ),
    "stream": (
        "x-max-length-bytes", "x-queue-type", "x-max-age", "x-stream-max-segment-size-bytes", "x-initial-cluster-size",
        "x-queue-leader-locator",
    ),
}  # fmt: skip
CONSUMER_ARGUMENTS = {
    "classic": ("x-cancel-on-ha-failover", "x-priority", "x-credit"),
    "quorum": ("x-priority", "x-credit"),
    "stream": ("x-stream-offset", "x-credit"),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the arguments make of a queue; times in milliseconds, sizes in octets, None: without."""

    ttl_ms: int | None = None
    expires_ms: int | None = None
    max_length: int | None = None
    max_bytes: int | None = None
    overflow: str = "drop-head"
    dead_letter_exchange: str | None = None
    dead_letter_routing_key: str | None = None
    max_priority: int | None = None
    single_active_consumer: bool = False
    delivery_limit: int | None = None
    max_age_s: int | None = None


def settings(arguments: Table) -> Settings:
    """Read arguments that have been checked."""

    def content(name: str) -> Any:
        return arguments[name][1] if name in arguments else None

    age, limit = content("x-max-age"), content("x-delivery-limit")
    return Settings(
        ttl_ms=content("x-message-ttl"),
        expires_ms=content("x-expires"),
        max_length=content("x-max-length"),
        max_bytes=content("x-max-length-bytes"),
        overflow=content("x-overflow") or "drop-head",
        dead_letter_exchange=content("x-dead-letter-exchange"),
        dead_letter_routing_key=content("x-dead-letter-routing-key"),
        max_priority=content("x-max-priority") or None,
        single_active_consumer=content("x-single-active-consumer") is True,
        delivery_limit=limit if isinstance(limit, int) else None,
        max_age_s=None if age is None else max_age_s(age),
    )


def queue_type(arguments: Table) -> str:
    """Return the type of queue that arguments ask for: classic, quorum or stream."""
    return str(arguments["x-queue-type"][1]) if "x-queue-type" in arguments else "classic"


def check_queue(where: str, arguments: Table, *, exclusive: bool = False) -> None:
    """Refuse what no queue of its type can be declared with.

    :param where: "queue 'q' in vhost '/'"
    :param exclusive: it is, and so has no master to be located
    """
    _check_values(where, arguments, ("x-queue-type",))
    kind = queue_type(arguments)
    _check_values(where, arguments, tuple(name for name in _CHECKS if name in QUEUE_ARGUMENTS[kind]))
    _check_names(where, kind, arguments, QUEUE_ARGUMENTS)
    locator = arguments.get("x-queue-master-locator")
    if locator is not None and not exclusive and kind == "classic" and locator[1] not in _MASTER_LOCATORS:
        # RabbitMQ looks for a module of that name, and crashes where there is none.
        raise internal_error()
    segment = arguments.get("x-stream-max-segment-size-bytes")
    if segment is not None and kind == "stream" and segment[1] > SEGMENT_LIMIT_BYTES:
        raise SoftError("PRECONDITION_FAILED", "Exceeded max value for x-stream-max-segment-size-bytes")


def check_consumer(where: str, kind: str, arguments: Table) -> None:
    """Refuse what no consumer of such a queue can be made with."""
    names = ("x-priority", "x-cancel-on-ha-failover", "x-stream-offset")
    _check_values(where, arguments, tuple(name for name in names if name in CONSUMER_ARGUMENTS[kind]))
    _check_names(where, kind, arguments, CONSUMER_ARGUMENTS)


def _check_values(where: str, arguments: Table, names: tuple[str, ...]) -> None:
    for name in names:
        value = arguments.get(name)
        if value is None:
            continue
        wrong = _CHECKS[name](value, arguments)
        if wrong is not None:
            raise SoftError("PRECONDITION_FAILED", f"invalid arg '{name}' for {where}: {wrong}")


def _check_names(where: str, kind: str, arguments: Table, by_kind: dict[str, tuple[str, ...]]) -> None:
    foreign = {name for names in by_kind.values() for name in names} - set(by_kind[kind])
    for name in arguments:
        if name in foreign:
            text = f"invalid arg '{name}' for {where} of queue type rabbit_{kind}_queue"
            raise SoftError("PRECONDITION_FAILED", text)


def _integer(value: Value, arguments: Table) -> str | None:
    return None if value[0] in _INTEGERS else f'"expected integer, got {TYPE_NAMES[value[0]]}"'


def _natural(value: Value, arguments: Table) -> str | None:
    wrong = _integer(value, arguments)
    return wrong or (f"{{value_negative,{value[1]}}}" if value[1] < 0 else None)


def _positive(value: Value, arguments: Table) -> str | None:
    wrong = _natural(value, arguments)
    return wrong or ("{value_zero,0}" if value[1] == 0 else None)


def _ttl(value: Value, arguments: Table) -> str | None:
    wrong = _natural(value, arguments)
    return wrong or (f"{{value_too_large,{value[1]}}}" if value[1] > EXPIRY_LIMIT_MS else None)


def _expires(value: Value, arguments: Table) -> str | None:
    return _integer(value, arguments) or ("{value_zero,0}" if value[1] == 0 else _ttl(value, arguments))


def _priority(value: Value, arguments: Table) -> str | None:
    wrong = _natural(value, arguments)
    return wrong or (f"{{max_value_exceeded,{value[1]}}}" if value[1] > PRIORITY_LIMIT else None)


def _boolean(value: Value, arguments: Table) -> str | None:
    return None if value[0] == "t" else _unacceptable(value)


def _unacceptable(value: Value) -> str:
    return f"{{unacceptable_type,{TYPE_NAMES[value[0]]}}}"


def _text(value: Value, arguments: Table) -> str | None:
    return None if value[0] == "S" else _unacceptable(value)


def _one_of(texts: tuple[str, ...], wrong: str) -> Check:
    """Make a check for a text among some.

    :param wrong: what is told of another one, with {} where it stands
    """

    def check(value: Value, arguments: Table) -> str | None:
        return _text(value, arguments) or (None if value[1] in texts else wrong.format(value[1]))

    return check


def _dead_letter_routing_key(value: Value, arguments: Table) -> str | None:
    wrong = _text(value, arguments)
    return wrong or (None if "x-dead-letter-exchange" in arguments else "routing_key_but_no_dlx_defined")


def _version(value: Value, arguments: Table) -> str | None:
    wrong = _natural(value, arguments)
    return wrong or (None if value[1] in (1, 2) else f"\"unsupported queue version '{value[1]}'\"")


def _max_age(value: Value, arguments: Table) -> str | None:
    return _text(value, arguments) or (None if max_age_s(value[1]) is not None else "invalid_max_age")


def _offset(value: Value, arguments: Table) -> str | None:
    if value[0] == "S" and value[1] not in ("first", "last", "next") and max_age_s(value[1]) is None:
        return f"{{invalid_stream_offset_arg,{{longstr,{erlang.content(value)}}}}}"
    stream_offset(value)
    return None


def max_age_s(text: str) -> int | None:
    """Return the seconds of a number with a unit, Y, M, D, h, m or s; None where it is none.

    :raises HardError: there is no number at all, over which RabbitMQ crashes
    """
    if not text[:1].isdecimal():
        raise internal_error()
    found = _MAX_AGE.fullmatch(text)
    if found is None or int(found[1]) == 0:
        return None
    return int(found[1]) * _UNITS_S[found[2]]


def stream_offset(value: Value) -> tuple[str, int]:
    """Return where a stream is read from: first, last, next, offset N, timestamp T, ago S (seconds).

    :raises HardError: it is none of these, over which RabbitMQ crashes
    """
    kind, content = value
    if content in ("first", "last", "next"):
        return str(content), 0
    if kind == "T":
        return "timestamp", content
    if kind == "S":
        return "ago", max_age_s(content) or 0
    if kind not in _INTEGERS:
        raise internal_error()
    return "offset", content


_CHECKS: dict[str, Check] = {
    "x-expires": _expires,
    "x-message-ttl": _ttl,
    "x-dead-letter-exchange": _text,
    "x-dead-letter-routing-key": _dead_letter_routing_key,
    "x-dead-letter-strategy": _one_of(("at-most-once", "at-least-once"), "invalid_dlx_strategy"),
    "x-max-length": _natural,
    "x-max-length-bytes": _natural,
    "x-max-in-memory-length": _natural,
    "x-max-in-memory-bytes": _natural,
    "x-max-priority": _priority,
    "x-overflow": _one_of(("drop-head", "reject-publish", "reject-publish-dlx"), "invalid_overflow"),
    "x-queue-mode": _one_of(("default", "lazy"), "\"unsupported queue mode '{}'\""),
    "x-queue-version": _version,
    "x-single-active-consumer": _boolean,
    "x-queue-type": _one_of(("classic", "quorum", "stream"), "\"unsupported queue type '{}'\""),
    "x-quorum-initial-group-size": _positive,
    "x-max-age": _max_age,
    "x-stream-max-segment-size-bytes": _natural,
    "x-initial-cluster-size": _positive,
    "x-queue-leader-locator": _one_of(_LOCATORS, "invalid_queue_locator_arg"),
    "x-priority": _integer,
    "x-cancel-on-ha-failover": _boolean,
    "x-stream-offset": _offset,
}
