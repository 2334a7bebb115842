"""Messages that are published and taken by way of the management API."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any, NamedTuple

from nova_fakes.exceptions import InvalidInput
from nova_fakes.rabbit.channel import Channel, Got
from nova_fakes.rabbit.properties import NAMES, Properties
from nova_fakes.rabbit.tables import plain

__all__ = ["EMPTY", "Given", "Wanted", "read", "take", "wanted"]

EMPTY = Properties()
ACK_MODES = ("ack_requeue_true", "reject_requeue_true", "ack_requeue_false", "reject_requeue_false")
ENCODINGS = ("auto", "base64")


class Given(NamedTuple):
    """A message that is to be published."""

    routing_key: str
    properties: Properties
    body: bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be taken, and what becomes of it."""

    count: int
    ack_mode: str
    encoding: str
    #: Octets of a body that are shown; None: all.
    truncate: int | None


def read(body: dict[str, Any]) -> Given:
    """Read a message.

    :raises InvalidInput: it lacks something, or has what no message has
    """
    for name in ("routing_key", "properties", "payload", "payload_encoding"):
        if name not in body:
            raise InvalidInput(name, None, "give it")
    fields = body["properties"] or {}
    if not isinstance(fields, dict):
        raise InvalidInput("properties", fields, f"give a mapping with some of {', '.join(NAMES)}")
    payload = str(body["payload"])
    if body["payload_encoding"] == "base64":
        try:
            octets = base64.b64decode(payload, validate=True)
        except binascii.Error as error:
            raise InvalidInput("payload", payload, f"give base64 ({error})") from None
    elif body["payload_encoding"] == "string":
        octets = payload.encode()
    else:
        raise InvalidInput("payload_encoding", body["payload_encoding"], "give string or base64")
    return Given(str(body["routing_key"]), Properties.of(**fields), octets)


def wanted(body: dict[str, Any]) -> Wanted:
    """Read what is to be taken.

    :raises InvalidInput: it lacks something, or is none of what there is
    """
    for name in ("count", "ackmode", "encoding"):
        if name not in body:
            raise InvalidInput(name, None, "give it")
    if body["ackmode"] not in ACK_MODES:
        raise InvalidInput("ackmode", body["ackmode"], f"give one of {', '.join(ACK_MODES)}")
    if body["encoding"] not in ENCODINGS:
        raise InvalidInput("encoding", body["encoding"], f"give one of {', '.join(ENCODINGS)}")
    try:
        count = int(body["count"])
        truncate = None if body.get("truncate") is None else int(body["truncate"])
    except (TypeError, ValueError):
        raise InvalidInput("count", body["count"], "give a number") from None
    return Wanted(count, body["ackmode"], body["encoding"], truncate)


def take(channel: Channel, queue: str, wanted: Wanted) -> list[dict[str, Any]]:
    """Take messages, and answer them as is wanted."""
    is_gone = wanted.ack_mode == "ack_requeue_false"
    found = []
    for _ in range(wanted.count):
        got = channel.get(queue, no_ack=is_gone)
        if got is None:
            break
        found.append(got)
    if found and not is_gone:
        channel.nack(found[-1].delivery_tag, multiple=True, requeue=wanted.ack_mode != "reject_requeue_false")
    return [_shown(got, wanted) for got in found]


def _shown(got: Got, wanted: Wanted) -> dict[str, Any]:
    message = got.message
    fields = message.properties.fields()
    if "headers" in fields:
        fields["headers"] = plain(fields["headers"])
    body = message.body if wanted.truncate is None else message.body[: wanted.truncate]
    encoding, payload = "string", ""
    try:
        if wanted.encoding == "base64":
            raise UnicodeDecodeError("utf-8", body, 0, 0, "base64 is wanted")
        payload = body.decode()
    except UnicodeDecodeError:
        encoding, payload = "base64", base64.b64encode(body).decode()
    return {
        "payload_bytes": len(message.body),
        "redelivered": got.redelivered,
        "exchange": message.exchange,
        "routing_key": message.routing_key,
        "message_count": got.message_count,
        "properties": fields,
        "payload": payload,
        "payload_encoding": encoding,
    }
