"""One client's connection: who has bound, what is going on, and an answer to each message (RFC 4511 §4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from nova_fakes.ldap import ber, controls, messages
from nova_fakes.ldap.access import ANONYMOUS, Identity
from nova_fakes.ldap.ber import BerError
from nova_fakes.ldap.controls import Asked
from nova_fakes.ldap.directory import Directory, Outcome
from nova_fakes.ldap.filters import Equality
from nova_fakes.ldap.messages import Control, Message
from nova_fakes.ldap.offered import CANCEL, CHANGE_PASSWORD, DISCONNECTION, START_TLS, WHO_AM_I
from nova_fakes.ldap.options import Entries, Options, ReadEntry, Scope, SearchRequest
from nova_fakes.ldap.results import LdapError, ResultCode

__all__ = ["Session", "disconnection"]

RESULT_TAGS = {
    messages.BIND: messages.BIND_RESULT,
    messages.SEARCH: messages.SEARCH_DONE,
    messages.MODIFY: messages.MODIFY_RESULT,
    messages.ADD: messages.ADD_RESULT,
    messages.DELETE: messages.DELETE_RESULT,
    messages.RENAME: messages.RENAME_RESULT,
    messages.COMPARE: messages.COMPARE_RESULT,
    messages.EXTENDED: messages.EXTENDED_RESULT,
}
MAX_NUMBER = 2**31 - 1


def disconnection(code: ResultCode, text: str) -> bytes:
    """Write the notice that a connection is going to be closed (RFC 4511 §4.4.1)."""
    result = messages.write_result(
        messages.EXTENDED_RESULT, code, text, more=[ber.octets(DISCONNECTION.encode(), 0x8A)]
    )
    return messages.write_message(0, result)


class Session:
    """A connection's state.

    :param directory: what it is a connection to
    :param external: DN that the transport vouches for: of the peer's process, or of the client's certificate
    :param start_tls: begins TLS on the transport; None where that cannot be
    """

    def __init__(
        self, directory: Directory, *, external: str | None = None, start_tls: Callable[[], None] | None = None
    ) -> None:
        self.directory = directory
        self.external = external
        self.identity: Identity = ANONYMOUS
        self.is_closed = False
        self._start_tls = start_tls
        self._has_tls = False
        self._cookie = 0
        self._page_state: tuple[bytes, int, list[ReadEntry]] | None = None
        self._paged_count = 0
        self._handlers: dict[int, Callable[[Message, Asked], Iterator[bytes]]] = {
            messages.BIND: self._bind,
            messages.SEARCH: self._search,
            messages.MODIFY: self._modify,
            messages.ADD: self._add,
            messages.DELETE: self._delete,
            messages.RENAME: self._rename,
            messages.COMPARE: self._compare,
            messages.EXTENDED: self._extended,
        }

        self._extensions: dict[str, Callable[[Message, Asked, bytes | None], Iterator[bytes]]] = {
            WHO_AM_I: self._who_am_i,
            CHANGE_PASSWORD: self._change_password,
            CANCEL: self._cancel,
            START_TLS: self._begin_tls,
        }

    def answer(self, data: bytes) -> Iterator[bytes]:
        """Do what a message asks and give the messages that answer it.

        :param data: the content of the LDAPMessage
        :raises BerError: where it is not one; nothing has been done then
        """
        message = messages.read_message(data)
        if not 0 < message.number <= MAX_NUMBER:
            raise BerError("a request has a positive number")
        if message.operation == messages.UNBIND:
            self.is_closed = True
            return
        if message.operation == messages.ABANDON:
            return
        handler = self._handlers.get(message.operation)
        if handler is None:
            raise BerError("there is no such operation")
        try:
            asked = controls.read_controls(message.operation, message.controls, self.directory.tree_delete)
            self._check_names((*(asked.options.pre_read or ()), *(asked.options.post_read or ())))
            yield from handler(message, asked)
        except LdapError as error:
            yield self._error(message, error)

    def _check_names(self, names: tuple[str, ...]) -> None:
        """Refuse unknown attributes, which only a search may ask for.

        :raises LdapError: UNDEFINED_TYPE
        """
        for name in names:
            if name not in ("*", "+", "1.1"):
                self.directory.schema.attribute(name)

    def _error(self, message: Message, error: LdapError) -> bytes:
        tag = RESULT_TAGS[message.operation]
        result = messages.write_result(tag, error.code, error.text, error.matched, error.referrals)
        return messages.write_message(message.number, result, error.controls)

    def _success(self, message: Message, answers: list[Control] | None = None, code: int = 0) -> bytes:
        result = messages.write_result(RESULT_TAGS[message.operation], code)
        return messages.write_message(message.number, result, answers or ())

    def _who(self, asked: Asked) -> Identity:
        """Return as whom an operation is done: who has bound, or whom a control names instead (RFC 4370).

        :raises LdapError: PROXIED_AUTHORIZATION_DENIED
        """
        if asked.authorization is None:
            return self.identity
        name = asked.authorization
        if self.identity.is_anonymous:
            text = "anonymous proxied authorization not allowed"
            raise LdapError(ResultCode.PROXIED_AUTHORIZATION_DENIED, text)
        if name.lower() in ("", "dn:"):
            return ANONYMOUS
        kind, colon, rest = name.partition(":")
        try:
            dn = self.directory.schema.dn(rest if kind.lower() == "dn" else f"uid={rest},cn=auth")
        except ValueError:
            colon = ""
        if not colon or kind.lower() not in ("dn", "u"):
            raise LdapError(ResultCode.PROXIED_AUTHORIZATION_DENIED, "authzId mapping failed")
        dn = self.directory.schema.dn(dn.key)
        if dn != self.identity.dn and not (self.identity.is_root and self.directory.holds(dn)):
            raise LdapError(ResultCode.PROXIED_AUTHORIZATION_DENIED, "not authorized to assume identity")
        return self.directory.identity(dn)

    # -- bind --------------------------------------------------------------

    def _bind(self, message: Message, asked: Asked) -> Iterator[bytes]:
        version, name, credentials = messages.expect(message.content, 3)[:3]
        self.identity = ANONYMOUS
        if ber.to_integer(version[1]) != 3:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "requested protocol version not supported")
        if credentials[0] == 0x80:
            self.identity = self.directory.bind(messages.text_of(name[1]), credentials[1])
        elif credentials[0] == 0xA3:
            self.identity = self._sasl(credentials[1])
        else:
            raise LdapError(ResultCode.AUTH_METHOD_NOT_SUPPORTED, "unknown authentication method")
        yield self._success(message)

    def _sasl(self, content: bytes) -> Identity:
        """Bind by SASL: EXTERNAL (RFC 4422 appendix A) or PLAIN (RFC 4616)."""
        (_, mechanism), *more = messages.expect(content, 1)
        answer = more[0][1] if more else b""
        if mechanism == b"EXTERNAL" and self.external is not None:
            return self.directory.identity(self.directory.parse_dn(self.external))
        if mechanism == b"PLAIN":
            return self._plain(answer)
        text = f"SASL(-4): no mechanism available: no mechanism {messages.text_of(mechanism)}"
        raise LdapError(ResultCode.AUTH_METHOD_NOT_SUPPORTED, text)

    def _plain(self, answer: bytes) -> Identity:
        """Bind by a name and a password; the name is a DN, with or without `dn:` before it, or the uid of one entry."""
        parts = answer.split(b"\x00")
        if len(parts) != 3 or not parts[1] or not parts[2]:
            raise LdapError(ResultCode.INVALID_CREDENTIALS, "SASL(-13): user not found: Password verification failed")
        name = messages.text_of(parts[1]).removeprefix("dn:").removeprefix("u:")
        if "=" not in name:
            root = self.directory.identity(self.directory.root_dn)
            request = SearchRequest(
                self.directory.suffix.text, Scope.SUBTREE, Equality("uid", parts[1].removeprefix(b"u:")), ("1.1",)
            )
            found = self.directory.search(root, request).found
            if len(found) != 1:
                raise LdapError(ResultCode.INVALID_CREDENTIALS, "SASL(-13): user not found")
            name = found[0][0]
        return self.directory.bind(name, parts[2])

    # -- search ------------------------------------------------------------

    def _search(self, message: Message, asked: Asked) -> Iterator[bytes]:
        request = messages.read_search(message.content)
        who = self._who(asked)
        answers: list[Control] = []
        if asked.page is not None:
            result, cookie = self._page(who, request, asked.options, *asked.page)
            answers.append(controls.paged_response(cookie))
        else:
            result = self.directory.search(who, request, asked.options)
        if asked.options.sort:
            answers.append(controls.sort_response(ResultCode.SUCCESS))
        number = message.number
        for dn, attributes in result.found:
            yield messages.write_message(number, messages.write_entry(dn, attributes))
        for urls in result.references:
            yield messages.write_message(number, messages.write_reference(urls))
        yield self._success(message, answers, ResultCode.SIZE_LIMIT_EXCEEDED if result.is_cut else ResultCode.SUCCESS)

    def find(self, request: SearchRequest) -> Entries:
        """Search without controls, and without messages: for clients in the same process.

        :raises LdapError: where it cannot be searched
        """
        return self.directory.search(self.identity, request)

    def _page(
        self, who: Identity, request: SearchRequest, options: Options, size: int, cookie: bytes
    ) -> tuple[Entries, bytes]:
        """Return a page of what a search finds, and the cookie for the next (RFC 2696)."""
        state = self._page_state
        if cookie and (state is None or state[0] != cookie):
            raise LdapError(ResultCode.PROTOCOL_ERROR, "paged results cookie is invalid")
        self._page_state = None
        if size == 0:
            return Entries(), b"" if cookie else self._keep_page(0, [])
        if not cookie or state is None:
            self._paged_count = 0
        if options.sort:
            return self._sorted_page(who, request, options, size, state[2] if cookie and state else None)
        after = state[1] if cookie and state else 0
        limit = request.size_limit
        wanted = size + 1 if not limit else min(size + 1, limit - self._paged_count)
        page = replace(request, size_limit=max(wanted, 1))
        result = self.directory.search(who, page, replace(options, after=after))
        return self._cut(result, size)

    def _cut(self, result: Entries, size: int) -> tuple[Entries, bytes]:
        """Leave the entries of one page, and note where the next begins."""
        has_more = len(result.found) > size
        result.is_cut = result.is_cut and not has_more
        if has_more:
            del result.found[size:]
        self._paged_count += len(result.found)
        if not has_more:
            return result, b""
        return result, self._keep_page(self._last_number(result), [])

    def _last_number(self, result: Entries) -> int:
        entry, _ = self.directory.find(self.directory.schema.dn(result.found[-1][0]))
        return entry.id if entry is not None else result.last

    def _keep_page(self, last: int, left: list[ReadEntry]) -> bytes:
        self._cookie += 1
        cookie = self._cookie.to_bytes(8, "little")
        self._page_state = (cookie, last, left)
        return cookie

    def _sorted_page(
        self, who: Identity, request: SearchRequest, options: Options, size: int, left: list[ReadEntry] | None
    ) -> tuple[Entries, bytes]:
        result = self.directory.search(who, request, options) if left is None else Entries(left)
        rest = result.found[size:]
        del result.found[size:]
        return result, self._keep_page(0, rest) if rest else b""

    # -- changes -----------------------------------------------------------

    def _changed(self, message: Message, outcome: Outcome) -> bytes:
        return self._success(message, controls.read_entry_response(outcome.pre_read, outcome.post_read))

    def _add(self, message: Message, asked: Asked) -> Iterator[bytes]:
        name, attributes = messages.expect(message.content, 2)[:2]
        given = messages.read_attributes(attributes[1])
        yield self._changed(
            message, self.directory.add(self._who(asked), messages.text_of(name[1]), given, asked.options)
        )

    def _delete(self, message: Message, asked: Asked) -> Iterator[bytes]:
        name = messages.text_of(message.content)
        yield self._changed(message, self.directory.delete(self._who(asked), name, asked.options))

    def _modify(self, message: Message, asked: Asked) -> Iterator[bytes]:
        name, changes = messages.expect(message.content, 2)[:2]
        given = messages.read_modifications(changes[1])
        yield self._changed(
            message, self.directory.modify(self._who(asked), messages.text_of(name[1]), given, asked.options)
        )

    def _rename(self, message: Message, asked: Asked) -> Iterator[bytes]:
        name, rdn, delete_old, *more = messages.expect(message.content, 3)
        outcome = self.directory.rename(
            self._who(asked),
            messages.text_of(name[1]),
            messages.text_of(rdn[1]),
            delete_old=delete_old[1] != b"\x00",
            new_superior=messages.text_of(more[0][1]) if more else None,
            options=asked.options,
        )
        yield self._changed(message, outcome)

    def _compare(self, message: Message, asked: Asked) -> Iterator[bytes]:
        name, assertion = messages.expect(message.content, 2)[:2]
        attribute, value = messages.expect(assertion[1], 2)[:2]
        same = self.directory.compare(
            self._who(asked), messages.text_of(name[1]), messages.text_of(attribute[1]), value[1], asked.options
        )
        yield self._success(message, code=ResultCode.COMPARE_TRUE if same else ResultCode.COMPARE_FALSE)

    # -- extended ----------------------------------------------------------

    def _extended(self, message: Message, asked: Asked) -> Iterator[bytes]:
        found = dict(messages.expect(message.content, 1))
        oid, value = found.get(0x80, b"").decode("latin-1"), found.get(0x81)
        extension = self._extensions.get(oid)
        if extension is None:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "unsupported extended operation")
        yield from extension(message, asked, value)

    def _respond(self, message: Message, value: bytes | None) -> bytes:
        more = [] if value is None else [ber.octets(value, 0x8B)]
        return messages.write_message(message.number, messages.write_result(messages.EXTENDED_RESULT, more=more))

    def _who_am_i(self, message: Message, asked: Asked, value: bytes | None) -> Iterator[bytes]:
        if value is not None:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "no request data expected")
        dn = self._who(asked).dn
        yield self._respond(message, messages.encode_text(f"dn:{dn.text}") if dn.rdns else b"")

    def _change_password(self, message: Message, asked: Asked, value: bytes | None) -> Iterator[bytes]:
        try:
            found = dict(ber.elements(ber.one(value, ber.SEQUENCE))) if value else {}
        except BerError:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "data decoding error") from None
        name = found.get(0x80)
        made = self.directory.change_password(
            self._who(asked), messages.text_of(name) if name else None, found.get(0x81), found.get(0x82)
        )
        yield self._respond(message, None if made is None else ber.sequence((ber.octets(made, 0x80),)))

    def _cancel(self, message: Message, asked: Asked, value: bytes | None) -> Iterator[bytes]:
        """Operations end before the next message is read, so that there is never one to cancel (RFC 3909)."""
        try:
            ber.to_integer(ber.one(ber.one(value or b"", ber.SEQUENCE), ber.INTEGER))
        except BerError:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "message ID parse failed") from None
        yield self._error(message, LdapError(ResultCode.NO_SUCH_OPERATION, "message ID not found"))

    def _begin_tls(self, message: Message, asked: Asked, value: bytes | None) -> Iterator[bytes]:
        if value is not None:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "no request data expected")
        if self._start_tls is None:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "unsupported extended operation")
        if self._has_tls:
            raise LdapError(ResultCode.OPERATIONS_ERROR, "TLS already started")
        self._has_tls = True
        self.identity = ANONYMOUS
        yield messages.write_message(
            message.number,
            messages.write_result(messages.EXTENDED_RESULT, more=[ber.octets(START_TLS.encode(), 0x8A)]),
        )
        self._start_tls()
