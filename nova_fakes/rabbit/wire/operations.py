"""What a channel's methods do: from fields to the engine, from its result to the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nova_fakes.rabbit.errors import SoftError
from nova_fakes.rabbit.wire.methods import NUMBERS

if TYPE_CHECKING:
    from nova_fakes.rabbit.channel import Channel

__all__ = ["OPERATIONS", "Operation"]

Fields = dict[str, Any]
#: Does a method on a channel; returns the answer's name and fields, or None where there is none.
Operation = Callable[["Channel", Fields], tuple[Any, ...] | None]


def _exchange_declare(channel: Channel, fields: Fields) -> tuple[Any, ...]:
    channel.exchange_declare(
        fields["exchange"],
        fields["type"],
        passive=fields["passive"],
        durable=fields["durable"],
        auto_delete=fields["auto_delete"],
        internal=fields["internal"],
        arguments=fields["arguments"],
    )
    return ("exchange.declare-ok",)


def _exchange_delete(channel: Channel, fields: Fields) -> tuple[Any, ...]:
    channel.exchange_delete(fields["exchange"], if_unused=fields["if_unused"])
    return ("exchange.delete-ok",)


def _exchange_bind(channel: Channel, fields: Fields) -> tuple[Any, ...]:
    channel.exchange_bind(fields["destination"], fields["source"], fields["routing_key"], arguments=fields["arguments"])
    return ("exchange.bind-ok",)


def _exchange_unbind(channel: Channel, fields: Fields) -> tuple[Any, ...]:
    channel.exchange_unbind(
        fields["destination"], fields["source"], fields["routing_key"], arguments=fields["arguments"]
    )
    return ("exchange.unbind-ok",)


def _queue_declare(channel: Channel, fields: Fields) -> tuple[Any, ...]:
    declared = channel.queue_declare(
        fields["queue"],
        passive=fields["passive"],
        durable=fields["durable"],
        exclusive=fields["exclusive"],
        auto_delete=fields["auto_delete"],
        arguments=fields["arguments"],
    )
    return ("queue.declare-ok", *declared)


def _queue_bind(channel: Channel, fields: Fields) -> tuple[Any, ...]:
    channel.queue_bind(fields["queue"], fields["exchange"], fields["routing_key"], arguments=fields["arguments"])
    return ("queue.bind-ok",)


def _queue_unbind(channel: Channel, fields: Fields) -> tuple[Any, ...]:
    channel.queue_unbind(fields["queue"], fields["exchange"], fields["routing_key"], arguments=fields["arguments"])
    return ("queue.unbind-ok",)


def _queue_purge(channel: Channel, fields: Fields) -> tuple[Any, ...]:
    return "queue.purge-ok", channel.queue_purge(fields["queue"])


def _queue_delete(channel: Channel, fields: Fields) -> tuple[Any, ...]:
    count = channel.queue_delete(fields["queue"], if_unused=fields["if_unused"], if_empty=fields["if_empty"])
    return "queue.delete-ok", count


def _basic_qos(channel: Channel, fields: Fields) -> tuple[Any, ...]:
    channel.qos(fields["prefetch_count"], is_global=fields["global"], prefetch_size=fields["prefetch_size"])
    return ("basic.qos-ok",)


def _basic_consume(channel: Channel, fields: Fields) -> tuple[Any, ...]:
    tag = channel.consume(
        fields["queue"],
        fields["consumer_tag"],
        no_ack=fields["no_ack"],
        exclusive=fields["exclusive"],
        arguments=fields["arguments"],
    )
    return "basic.consume-ok", tag


def _basic_cancel(channel: Channel, fields: Fields) -> tuple[Any, ...]:
    channel.cancel(fields["consumer_tag"])
    return "basic.cancel-ok", fields["consumer_tag"]


def _basic_ack(channel: Channel, fields: Fields) -> None:
    channel.ack(fields["delivery_tag"], fields["multiple"])


def _basic_nack(channel: Channel, fields: Fields) -> None:
    channel.nack(fields["delivery_tag"], fields["multiple"], fields["requeue"])


def _basic_reject(channel: Channel, fields: Fields) -> None:
    channel.reject(fields["delivery_tag"], fields["requeue"])


def _basic_recover(channel: Channel, fields: Fields) -> tuple[Any, ...]:
    channel.recover(fields["requeue"])
    return ("basic.recover-ok",)


def _basic_recover_async(channel: Channel, fields: Fields) -> None:
    channel.recover(fields["requeue"])


def _basic_credit(channel: Channel, fields: Fields) -> None:
    raise SoftError("PRECONDITION_FAILED", f"unknown consumer tag '{fields['consumer_tag']}'")


def _confirm_select(channel: Channel, fields: Fields) -> tuple[Any, ...]:
    channel.confirm_select()
    return ("confirm.select-ok",)


def _tx_select(channel: Channel, fields: Fields) -> tuple[Any, ...]:
    channel.tx_select()
    return ("tx.select-ok",)


def _tx_commit(channel: Channel, fields: Fields) -> tuple[Any, ...]:
    channel.tx_commit()
    return ("tx.commit-ok",)


def _tx_rollback(channel: Channel, fields: Fields) -> tuple[Any, ...]:
    channel.tx_rollback()
    return ("tx.rollback-ok",)


def _flow(channel: Channel, fields: Fields) -> tuple[Any, ...]:
    return "channel.flow-ok", channel.flow(fields["active"])


def _access_request(channel: Channel, fields: Fields) -> tuple[Any, ...]:
    return "access.request-ok", 1


_BY_NAME: dict[str, Operation] = {
    "access.request": _access_request,
    "channel.flow": _flow,
    "exchange.declare": _exchange_declare,
    "exchange.delete": _exchange_delete,
    "exchange.bind": _exchange_bind,
    "exchange.unbind": _exchange_unbind,
    "queue.declare": _queue_declare,
    "queue.bind": _queue_bind,
    "queue.unbind": _queue_unbind,
    "queue.purge": _queue_purge,
    "queue.delete": _queue_delete,
    "basic.qos": _basic_qos,
    "basic.consume": _basic_consume,
    "basic.cancel": _basic_cancel,
    "basic.ack": _basic_ack,
    "basic.nack": _basic_nack,
    "basic.reject": _basic_reject,
    "basic.recover": _basic_recover,
    "basic.recover-async": _basic_recover_async,
    "basic.credit": _basic_credit,
    "confirm.select": _confirm_select,
    "tx.select": _tx_select,
    "tx.commit": _tx_commit,
    "tx.rollback": _tx_rollback,
}
#: By class and method number.
OPERATIONS: dict[tuple[int, int], Operation] = {NUMBERS[name]: operation for name, operation in _BY_NAME.items()}
