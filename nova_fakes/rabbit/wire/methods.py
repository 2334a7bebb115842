"""The methods of AMQP 0-9-1 with RabbitMQ's extensions: numbers, names and fields.

Source: the protocol's XML grammar, and RabbitMQ's `rabbit_framing_amqp_0_9_1`.
"""

from __future__ import annotations

import struct
from typing import Any

from nova_fakes.rabbit import tables
from nova_fakes.rabbit.errors import MalformedTable

__all__ = ["METHODS", "NUMBERS", "decode", "encode"]

Number = tuple[int, int]

# Fields: a name and a letter. o octet, h short, l long, q long long, s short string, S long string, T table, b bit.
_GRAMMAR = """
10.10 connection.start version_major:o version_minor:o server_properties:T mechanisms:S locales:S
10.11 connection.start-ok client_properties:T mechanism:s response:S locale:s
10.20 connection.secure challenge:S
10.21 connection.secure-ok response:S
10.30 connection.tune channel_max:h frame_max:l heartbeat:h
10.31 connection.tune-ok channel_max:h frame_max:l heartbeat:h
10.40 connection.open virtual_host:s capabilities:s insist:b
10.41 connection.open-ok known_hosts:s
10.50 connection.close reply_code:h reply_text:s class_id:h method_id:h
10.51 connection.close-ok
10.60 connection.blocked reason:s
10.61 connection.unblocked
10.70 connection.update-secret new_secret:S reason:s
10.71 connection.update-secret-ok
20.10 channel.open out_of_band:s
20.11 channel.open-ok channel_id:S
20.20 channel.flow active:b
20.21 channel.flow-ok active:b
20.40 channel.close reply_code:h reply_text:s class_id:h method_id:h
20.41 channel.close-ok
30.10 access.request realm:s exclusive:b passive:b active:b write:b read:b
30.11 access.request-ok ticket:h
40.10 exchange.declare ticket:h exchange:s type:s passive:b durable:b auto_delete:b internal:b nowait:b arguments:T
40.11 exchange.declare-ok
40.20 exchange.delete ticket:h exchange:s if_unused:b nowait:b
40.21 exchange.delete-ok
40.30 exchange.bind ticket:h destination:s source:s routing_key:s nowait:b arguments:T
40.31 exchange.bind-ok
40.40 exchange.unbind ticket:h destination:s source:s routing_key:s nowait:b arguments:T
40.51 exchange.unbind-ok
50.10 queue.declare ticket:h queue:s passive:b durable:b exclusive:b auto_delete:b nowait:b arguments:T
50.11 queue.declare-ok queue:s message_count:l consumer_count:l
50.20 queue.bind ticket:h queue:s exchange:s routing_key:s nowait:b arguments:T
50.21 queue.bind-ok
50.30 queue.purge ticket:h queue:s nowait:b
50.31 queue.purge-ok message_count:l
50.40 queue.delete ticket:h queue:s if_unused:b if_empty:b nowait:b
50.41 queue.delete-ok message_count:l
50.50 queue.unbind ticket:h queue:s exchange:s routing_key:s arguments:T
50.51 queue.unbind-ok
60.10 basic.qos prefetch_size:l prefetch_count:h global:b
60.11 basic.qos-ok
60.20 basic.consume ticket:h queue:s consumer_tag:s no_local:b no_ack:b exclusive:b nowait:b arguments:T
60.21 basic.consume-ok consumer_tag:s
60.30 basic.cancel consumer_tag:s nowait:b
60.31 basic.cancel-ok consumer_tag:s
60.40 basic.publish ticket:h exchange:s routing_key:s mandatory:b immediate:b
60.50 basic.return reply_code:h reply_text:s exchange:s routing_key:s
60.60 basic.deliver consumer_tag:s delivery_tag:q redelivered:b exchange:s routing_key:s
60.70 basic.get ticket:h queue:s no_ack:b
60.71 basic.get-ok delivery_tag:q redelivered:b exchange:s routing_key:s message_count:l
60.72 basic.get-empty cluster_id:s
60.80 basic.ack delivery_tag:q multiple:b
60.90 basic.reject delivery_tag:q requeue:b
60.100 basic.recover-async requeue:b
60.110 basic.recover requeue:b
60.111 basic.recover-ok
60.120 basic.nack delivery_tag:q multiple:b requeue:b
60.200 basic.credit consumer_tag:s credit:l drain:b
60.201 basic.credit-ok available:l
60.202 basic.credit-drained consumer_tag:s credit_drained:l
85.10 confirm.select nowait:b
85.11 confirm.select-ok
90.10 tx.select
90.11 tx.select-ok
90.20 tx.commit
90.21 tx.commit-ok
90.30 tx.rollback
90.31 tx.rollback-ok
"""


def _parsed() -> dict[Number, tuple[str, tuple[tuple[str, str], ...]]]:
    methods = {}
    for line in _GRAMMAR.split("\n"):
        if line:
            number, name, *fields = line.split()
            class_id, method_id = number.split(".")
            pairs = tuple((field.split(":")[0], field.split(":")[1]) for field in fields)
            methods[int(class_id), int(method_id)] = (name, pairs)
    return methods


#: By class and method number: the name, and the fields with their types.
METHODS = _parsed()
#: By name: class and method number.
NUMBERS = {name: number for number, (name, _fields) in METHODS.items()}

_FIXED = {"o": struct.Struct(">B"), "h": struct.Struct(">H"), "l": struct.Struct(">I"), "q": struct.Struct(">Q")}
_LENGTH = struct.Struct(">I")
_NUMBER = struct.Struct(">HH")


def decode(number: Number, octets: bytes) -> dict[str, Any]:
    """Read the fields of a method.

    :raises KeyError: there is no such method
    :raises MalformedTable: the octets end too early or too late, or a table cannot be read
    """
    values: dict[str, Any] = {}
    position = 0
    bit = 0
    try:
        for name, kind in METHODS[number][1]:
            if kind == "b":
                values[name] = bool(octets[position] >> bit & 1)
                bit += 1
                continue
            position += bit > 0
            bit = 0
            values[name], position = _field(kind, octets, position)
    except (IndexError, struct.error):
        raise MalformedTable("a method ends before its last field does") from None
    if position + (bit > 0) != len(octets):
        raise MalformedTable("a method goes on after its last field")
    return values


def _field(kind: str, octets: bytes, position: int) -> tuple[Any, int]:
    fixed = _FIXED.get(kind)
    if fixed is not None:
        return fixed.unpack_from(octets, position)[0], position + fixed.size
    if kind == "s":
        begin = position + 1
        stop = begin + octets[position]
    else:
        begin = position + 4
        stop = begin + _LENGTH.unpack_from(octets, position)[0]
    if stop > len(octets):
        raise MalformedTable("a method ends before its last field does")
    inside = octets[begin:stop]
    if kind == "T":
        return tables.decode(inside), stop
    return (inside if kind == "S" else inside.decode("utf-8", "surrogateescape")), stop


def encode(name: str, *values: Any) -> bytes:
    """Write a method: its numbers, and its fields in their order; a trailing run of bits is given as booleans."""
    number = NUMBERS[name]
    parts = [_NUMBER.pack(*number)]
    bits = bit = 0
    for (_name, kind), value in zip(METHODS[number][1], values, strict=True):
        if kind == "b":
            bits |= bool(value) << bit
            bit += 1
            continue
        if bit:
            parts.append(bytes((bits,)))
            bits = bit = 0
        parts.append(_written(kind, value))
    if bit:
        parts.append(bytes((bits,)))
    return b"".join(parts)


def _written(kind: str, value: Any) -> bytes:
    fixed = _FIXED.get(kind)
    if fixed is not None:
        return fixed.pack(value)
    if kind == "s":
        return tables.short_string(value)
    inside: bytes = tables.encode(value) if kind == "T" else value
    return _LENGTH.pack(len(inside)) + inside
