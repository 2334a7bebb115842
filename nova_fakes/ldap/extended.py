"""Extended operations: who am I, password modify, cancel, StartTLS, and the two that begin and end a transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from nova_fakes.ldap import ber, messages
from nova_fakes.ldap.access import ANONYMOUS, Identity
from nova_fakes.ldap.ber import BerError
from nova_fakes.ldap.messages import Message
from nova_fakes.ldap.offered import (
    CANCEL,
    CHANGE_PASSWORD,
    END_TRANSACTION,
    START_TLS,
    START_TRANSACTION,
    WHO_AM_I,
)
from nova_fakes.ldap.operations import Call
from nova_fakes.ldap.results import LdapError, ResultCode

if TYPE_CHECKING:
    from nova_fakes.ldap.session import Part, Session

__all__ = ["Extensions"]

Handler = Callable[[Message, Identity, bytes | None], "Iterator[Part]"]


class Extensions:
    """The extended operations of one connection.

    :param start_tls: begins TLS on the transport; None where that cannot be
    """

    def __init__(self, session: Session, start_tls: Callable[[], None] | None) -> None:
        self._session = session
        self._start_tls = start_tls
        self._has_tls = False
        self._handlers: dict[str, Handler] = {
            WHO_AM_I: self._who_am_i,
            CHANGE_PASSWORD: self._change_password,
            CANCEL: self._cancel,
            START_TLS: self._begin_tls,
            START_TRANSACTION: self._start_transaction,
            END_TRANSACTION: self._end_transaction,
        }

    def answer(self, message: Message, oid: str, value: bytes | None, who: Identity) -> Iterator[Part]:
        """Do an extended operation and give the messages that answer it.

        :param who: as whom it is done
        :raises LdapError: where it ends with another result than success
        """
        handler = self._handlers.get(oid)
        if handler is None:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "unsupported extended operation")
        yield from handler(message, who, value)

    def _respond(self, message: Message, value: bytes | None = None, text: str = "", oid: str = "") -> bytes:
        more = [ber.octets(oid.encode(), 0x8A)] if oid else []
        if value is not None:
            more.append(ber.octets(value, 0x8B))
        return messages.write_message(
            message.number, messages.write_result(messages.EXTENDED_RESULT, text=text, more=more)
        )

    def _refuse_data(self, value: bytes | None) -> None:
        if value is not None:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "no request data expected")

    def _refuse_anonymous(self, who: Identity) -> None:
        if who.is_anonymous:
            raise LdapError(ResultCode.STRONGER_AUTH_REQUIRED, "modifications require authentication")

    def _who_am_i(self, message: Message, who: Identity, value: bytes | None) -> Iterator[Part]:
        self._refuse_data(value)
        dn = yield from self._session.perform(message, Call("whoami", who, ""), lambda: who.dn)
        yield self._respond(message, messages.encode_text(f"dn:{dn.text}") if dn.rdns else b"")

    def _change_password(self, message: Message, who: Identity, value: bytes | None) -> Iterator[Part]:
        try:
            found = dict(ber.elements(ber.one(value, ber.SEQUENCE))) if value else {}
        except BerError:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "data decoding error") from None
        name = messages.text_of(found[0x80]) if found.get(0x80) else None
        directory = self._session.directory
        made = yield from self._session.perform(
            message,
            Call("passwd", who, name if name is not None else who.dn.text),
            lambda: directory.change_password(who, name, found.get(0x81), found.get(0x82)),
        )
        yield self._respond(message, None if made is None else ber.sequence((ber.octets(made, 0x80),)))

    def _cancel(self, message: Message, who: Identity, value: bytes | None) -> Iterator[Part]:
        """End another operation of the connection, which then answers that it was cancelled (RFC 3909)."""
        if value is None:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "no message ID supplied")
        if not value:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "empty request data field")
        try:
            number = ber.to_integer(ber.one(ber.one(value, ber.SEQUENCE), ber.INTEGER))
        except BerError:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "message ID parse failed") from None
        if number < 0:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "message ID invalid")
        if number != message.number:
            if not self._session.end(number):
                raise LdapError(ResultCode.NO_SUCH_OPERATION, "message ID not found")
            result = messages.write_result(messages.SEARCH_DONE, ResultCode.CANCELED)
            yield messages.write_message(number, result)
        yield self._respond(message)

    def _begin_tls(self, message: Message, who: Identity, value: bytes | None) -> Iterator[Part]:
        self._refuse_data(value)
        if self._start_tls is None:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "unsupported extended operation")
        if self._has_tls:
            raise LdapError(ResultCode.OPERATIONS_ERROR, "TLS already started")
        yield from self._session.perform(message, Call("starttls", self._session.identity, ""), lambda: None)
        self._has_tls = True
        self._session.identity = ANONYMOUS
        yield self._respond(message, oid=START_TLS)
        self._start_tls()

    def _start_transaction(self, message: Message, who: Identity, value: bytes | None) -> Iterator[Part]:
        """Begin a transaction (RFC 5805); as in slapd its identifier is empty, and a connection has one at a time."""
        self._refuse_data(value)
        self._refuse_anonymous(who)
        self._session.transaction.begin()
        yield self._respond(message, b"")

    def _end_transaction(self, message: Message, who: Identity, value: bytes | None) -> Iterator[Part]:
        if value is None:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "request data expected")
        if not value:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "empty request data")
        self._refuse_anonymous(who)
        try:
            parts = messages.expect(ber.one(value, ber.SEQUENCE), 1)
            commit = parts.pop(0)[1] != b"\x00" if parts[0][0] == ber.BOOLEAN else True
            (tag, identifier), *_ = parts
        except (BerError, ValueError):
            raise LdapError(ResultCode.PROTOCOL_ERROR, "request data decoding error") from None
        if identifier or tag != ber.OCTETS:
            raise LdapError(ResultCode.TXN_ID_INVALID, "invalid transaction identifier")
        if not commit:
            self._session.transaction.abort()
            yield self._respond(message, text="transaction aborted")
            return
        failed = self._session.transaction.commit()
        if failed is None:
            yield self._respond(message)
            return
        value = ber.sequence((ber.integer(failed.number),))
        result = messages.write_result(messages.EXTENDED_RESULT, failed.error.code, more=[ber.octets(value, 0x8B)])
        yield messages.write_message(message.number, result)
