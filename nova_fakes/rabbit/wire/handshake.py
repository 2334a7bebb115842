"""How a connection opens: protocol header, mechanism, tuning, virtual host.

Source: AMQP 0-9-1 §2.2.4, RabbitMQ 3.10 `rabbit_reader`.
"""

from __future__ import annotations

import platform
import struct
from typing import TYPE_CHECKING, Any

from nova_fakes.rabbit import tables
from nova_fakes.rabbit.errors import HardError, MalformedTable
from nova_fakes.rabbit.users import User
from nova_fakes.rabbit.wire.methods import METHODS, decode

if TYPE_CHECKING:
    from nova_fakes.rabbit.wire.connection import Connection

__all__ = ["FRAME_MIN", "Handshake"]

FRAME_MIN = 4096
HEADER = b"AMQP\x00\x00\x09\x01"
#: Headers of older protocols, and the version that the answer names.
OLD_HEADERS = {
    b"AMQP\x01\x01\x00\x09": (0, 9),
    b"AMQP\x01\x01\x08\x00": (8, 0),
    b"AMQP\x01\x01\x09\x01": (8, 0),
}
CAPABILITIES = (
    "publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify", "connection.blocked",
    "consumer_priorities", "authentication_failure_close", "per_consumer_qos", "direct_reply_to",
)  # fmt: skip

_NUMBERS = struct.Struct(">HH")


class Handshake:
    """The first steps of one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._state = "header"
        self._mechanism = ""
        self._client: dict[str, Any] = {}
        self._capabilities: frozenset[str] = frozenset()
        self._user: User | None = None
        self._heartbeat_s = 0
        self._timer = connection.broker.timers.after(connection.limits.handshake_s, self._overdue)

    @property
    def awaits_header(self) -> bool:
        """Whether the protocol header has still to come."""
        return self._state == "header"

    def _overdue(self) -> None:
        if self._connection.session is None and not self._connection.is_closed:
            self._connection.closed(None)

    def header(self, octets: bytes) -> None:
        """Take the protocol header."""
        connection = self._connection
        version = (0, 9) if octets == HEADER else OLD_HEADERS.get(octets)
        if version is None:
            connection.write(HEADER)
            connection.flush()
            raise MalformedTable("the client speaks another protocol")
        properties = {
            "capabilities": dict.fromkeys(CAPABILITIES, True),
            "cluster_name": connection.broker.name,
            "copyright": "nova-fakes, which behaves like RabbitMQ",
            "information": "A fake for tests: nothing here is replicated",
            "platform": f"Python {platform.python_version()}",
            "product": "RabbitMQ",
            "version": "3.10.8",
        }
        mechanisms = "AMQPLAIN PLAIN" if connection.certificate is None else "AMQPLAIN PLAIN EXTERNAL"
        connection.send_control("connection.start", *version, tables.typed(properties), mechanisms.encode(), b"en_US")
        self._state = "starting"

    def method(self, payload: bytes) -> None:
        """Take a method on channel 0."""
        number: tuple[int, int] = _NUMBERS.unpack_from(payload)
        if number not in METHODS:
            raise MalformedTable(f"no method has the numbers {number}")
        fields = decode(number, payload[4:])
        name = METHODS[number][0]
        if name == "connection.start-ok" and self._state == "starting":
            self._start(fields)
        elif name == "connection.tune-ok" and self._state == "tuning":
            self._tune(fields)
        elif name == "connection.open" and self._state == "opening":
            self._open(fields["virtual_host"], number)
        else:
            raise HardError("CHANNEL_ERROR", f"unexpected method in connection state {self._state}", number)

    def _start(self, fields: dict[str, Any]) -> None:
        self._client = fields["client_properties"]
        kind, offered = self._client.get("capabilities", ("V", None))
        if kind == "F":
            self._capabilities = frozenset(name for name, value in offered.items() if value == ("t", True))
        self._mechanism = fields["mechanism"]
        self._state = "securing"
        user = self._authenticated(fields["response"])
        if user is None:
            self._refuse()
            return
        self._user = user
        limits = self._connection.limits
        self._connection.send_control("connection.tune", limits.channel_max, limits.frame_max, limits.heartbeat_s)
        self._state = "tuning"

    def _authenticated(self, response: bytes) -> User | None:
        users = self._connection.broker.users
        if self._mechanism == "PLAIN":
            parts = response.decode("utf-8", "surrogateescape").split("\0")
            if len(parts) != 3 or parts[0]:
                raise HardError("SYNTAX_ERROR", "response invalid")
            return users.authenticate(parts[1], parts[2])
        if self._mechanism == "AMQPLAIN":
            table = tables.decode(response)
            login, password = table.get("LOGIN", ("V", "")), table.get("PASSWORD", ("V", ""))
            if login[0] != "S" or password[0] != "S":
                raise HardError("SYNTAX_ERROR", "AMQPLAIN auth info is missing LOGIN or PASSWORD field")
            return users.authenticate(login[1], password[1])
        if self._mechanism == "EXTERNAL" and self._connection.certificate is not None:
            return users.certified(self._connection.certificate)
        raise HardError("COMMAND_INVALID", f"unknown authentication mechanism '{self._mechanism}'")

    def _refuse(self) -> None:
        connection = self._connection
        if "authentication_failure_close" in self._capabilities:
            what = f"Login was refused using authentication mechanism {self._mechanism}"
            text = f"{what}. For details see the broker logfile."
            connection.reject(HardError("ACCESS_REFUSED", text))
        else:
            connection.refuse(connection.limits.refusal_s)

    def _tune(self, fields: dict[str, Any]) -> None:
        connection, limits = self._connection, self._connection.limits
        for name, least, most in (("frame_max", FRAME_MIN, limits.frame_max), ("channel_max", 1, limits.channel_max)):
            value = fields[name]
            if value and value < least:
                raise HardError("NOT_ALLOWED", f"negotiated {name} = {value} is lower than the minimum allowed value")
            if most and (value == 0 or value > most):
                raise HardError("NOT_ALLOWED", f"negotiated {name} = {value} is higher than the maximum allowed value")
        connection.frame_max = fields["frame_max"]
        connection.body_max = fields["frame_max"] - 8
        connection.channel_max = fields["channel_max"]
        self._heartbeat_s = fields["heartbeat"]
        self._state = "opening"

    def _open(self, vhost: str, number: tuple[int, int]) -> None:
        connection = self._connection
        assert self._user is not None
        details = {
            **connection.details,
            "auth_mechanism": self._mechanism,
            "channel_max": connection.channel_max,
            "client_properties": tables.plain(self._client),
            "frame_max": connection.frame_max,
            "timeout": self._heartbeat_s,
        }
        try:
            session = connection.broker.connect(
                connection,
                user=self._user,
                vhost=vhost,
                name=str(details.get("name", "")),
                capabilities=self._capabilities,
                details=details,
            )
        except HardError as error:
            error.method = number
            connection.reject(error)
            return
        self._timer.cancel()
        connection.send_control("connection.open-ok", "")
        connection.opened(session, self._heartbeat_s)
