"""One client's connection: who has bound, what is going on, and an answer to each message (RFC 4511 §4)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from nova_fakes.ldap import ber, controls, messages
from nova_fakes.ldap.access import ANONYMOUS, Identity
from nova_fakes.ldap.ber import BerError
from nova_fakes.ldap.controls import Asked
from nova_fakes.ldap.directory import Directory, Outcome
from nova_fakes.ldap.filters import Equality
from nova_fakes.ldap.messages import Control, Message
from nova_fakes.ldap.offered import CANCEL, CHANGE_PASSWORD, DISCONNECTION, START_TLS, WHO_AM_I
from nova_fakes.ldap.operations import Call
from nova_fakes.ldap.options import Entries, Options, ReadEntry, Scope, SearchRequest
from nova_fakes.ldap.results import LdapError, ResultCode

__all__ = ["Part", "Pause", "Session", "disconnection"]

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Pause:
    """Stands between the parts of an answer: what follows it comes so many seconds later.

    :param message: number of the message that is answered
    """

    seconds: float
    message: int


Part = bytes | Pause
"""A message that answers another, or a pause before it."""

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
    :param abandon: ends the answer to the message of a number, where it pauses
    """

    def __init__(
        self,
        directory: Directory,
        *,
        external: str | None = None,
        start_tls: Callable[[], None] | None = None,
        abandon: Callable[[int], None] = lambda number: None,
    ) -> None:
        self.directory = directory
        self.external = external
        self.identity: Identity = ANONYMOUS
        self.is_closed = False
        self._start_tls = start_tls
        self._abandon = abandon
        self._has_tls = False
        self._cookie = 0
        self._page_state: tuple[bytes, int, list[ReadEntry]] | None = None
        self._paged_count = 0
        self._handlers: dict[int, Callable[[Message, Asked], Iterator[Part]]] = {
            messages.BIND: self._bind,
            messages.SEARCH: self._search,
            messages.MODIFY: self._modify,
            messages.ADD: self._add,
            messages.DELETE: self._delete,
            messages.RENAME: self._rename,
            messages.COMPARE: self._compare,
            messages.EXTENDED: self._extended,
        }

        self._extensions: dict[str, Callable[[Message, Asked, bytes | None], Iterator[Part]]] = {
            WHO_AM_I: self._who_am_i,
            CHANGE_PASSWORD: self._change_password,
            CANCEL: self._cancel,
            START_TLS: self._begin_tls,
        }

    def answer(self, data: bytes) -> Iterator[Part]:
        """Do what a message asks and give the messages that answer it.

        :param data: the content of the LDAPMessage
        :raises BerError: where it is not one; nothing has been done then
        """
        message = messages.read_message(data)
        if not 0 < message.number <= MAX_NUMBER:
            raise BerError("a request has a positive number")
        if message.operation == messages.UNBIND:
            self.directory.operations.note(Call("unbind", self.identity, ""))
            self.is_closed = True
            return
        if message.operation == messages.ABANDON:
            self.directory.operations.note(Call("abandon", self.identity, ""))
            self._abandon(ber.to_integer(message.content))
            return
        handler = self._handlers.get(message.operation)
        if handler is None:
            raise BerError("there is no such operation")
        try:
            asked = controls.read_controls(message.operation, message.controls, self.directory.tree_delete)
            self._check_names((*(asked.options.pre_read or ()), *(asked.options.post_read or ())))
            yield from handler(message, asked)
        except LdapError as error:
            yield from self._failure(message, error)

    def _failure(self, message: Message, error: LdapError) -> Iterator[Part]:
        """Answer with an error, after what a search had found before it; or end the connection."""
        if error.partial is not None:
            yield from self._found(message, error.partial)
        if error.code is ResultCode.SERVER_DOWN:
            self.is_closed = True
        else:
            yield self._error(message, error)

    def _perform(self, message: Message, call: Call, work: Callable[[], Result]) -> Generator[Pause, None, Result]:
        """Do an operation of the directory, after the pauses that fault rules make."""
        operations = self.directory.operations
        for seconds in operations.pauses(call):
            yield Pause(seconds, message.number)
        return operations.carry_out(call, work)

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

    def _bind(self, message: Message, asked: Asked) -> Iterator[Part]:
        version, name, credentials = messages.expect(message.content, 3)[:3]
        self.identity = ANONYMOUS
        if ber.to_integer(version[1]) != 3:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "requested protocol version not supported")
        call = Call("bind", ANONYMOUS, messages.text_of(name[1]))
        self.identity = yield from self._perform(message, call, lambda: self._known(call.dn, *credentials))
        yield self._success(message)

    def _known(self, name: str, kind: int, credentials: bytes) -> Identity:
        """Return who shows credentials of a kind."""
        if kind == 0x80:
            return self.directory.bind(name, credentials)
        if kind == 0xA3:
            return self._sasl(credentials)
        raise LdapError(ResultCode.AUTH_METHOD_NOT_SUPPORTED, "unknown authentication method")

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

    def _search(self, message: Message, asked: Asked) -> Iterator[Part]:
        request = messages.read_search(message.content)
        who = self._who(asked)
        answers: list[Control] = []
        call = Call("search", who, request.base, request)
        result = yield from self._perform(message, call, lambda: self._look(who, request, asked, answers))
        if asked.options.sort:
            answers.append(controls.sort_response(ResultCode.SUCCESS))
        yield from self._found(message, result)
        yield self._success(message, answers, ResultCode.SIZE_LIMIT_EXCEEDED if result.is_cut else ResultCode.SUCCESS)

    def _look(self, who: Identity, request: SearchRequest, asked: Asked, answers: list[Control]) -> Entries:
        """Search, for a page or for all; the cookie of the next page is added to the answers."""
        if asked.page is None:
            return self.directory.search(who, request, asked.options)
        result, cookie = self._page(who, request, asked.options, *asked.page)
        answers.append(controls.paged_response(cookie))
        return result

    def _found(self, message: Message, result: Entries) -> Iterator[bytes]:
        """Write what a search has found."""
        for dn, attributes in result.found:
            yield messages.write_message(message.number, messages.write_entry(dn, attributes))
        for urls in result.references:
            yield messages.write_message(message.number, messages.write_reference(urls))

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

    def _change(self, message: Message, call: Call, work: Callable[[], Outcome]) -> Iterator[Part]:
        outcome = yield from self._perform(message, call, work)
        yield self._changed(message, outcome)

    def _add(self, message: Message, asked: Asked) -> Iterator[Part]:
        name, attributes = messages.expect(message.content, 2)[:2]
        who, dn = self._who(asked), messages.text_of(name[1])
        given = messages.read_attributes(attributes[1])
        call = Call("add", who, dn)
        return self._change(message, call, lambda: self.directory.add(who, dn, given, asked.options))

    def _delete(self, message: Message, asked: Asked) -> Iterator[Part]:
        who, dn = self._who(asked), messages.text_of(message.content)
        call = Call("delete", who, dn)
        return self._change(message, call, lambda: self.directory.delete(who, dn, asked.options))

    def _modify(self, message: Message, asked: Asked) -> Iterator[Part]:
        name, changes = messages.expect(message.content, 2)[:2]
        who, dn = self._who(asked), messages.text_of(name[1])
        given = messages.read_modifications(changes[1])
        call = Call("modify", who, dn, (given,))
        return self._change(message, call, lambda: self.directory.modify(who, dn, given, asked.options))

    def _rename(self, message: Message, asked: Asked) -> Iterator[Part]:
        name, rdn, delete_old, *more = messages.expect(message.content, 3)
        who, dn, new_rdn = self._who(asked), messages.text_of(name[1]), messages.text_of(rdn[1])
        superior = messages.text_of(more[0][1]) if more else None
        return self._change(
            message,
            Call("rename", who, dn, (new_rdn, superior)),
            lambda: self.directory.rename(
                who,
                dn,
                new_rdn,
                delete_old=delete_old[1] != b"\x00",
                new_superior=superior,
                options=asked.options,
            ),
        )

    def _compare(self, message: Message, asked: Asked) -> Iterator[Part]:
        name, assertion = messages.expect(message.content, 2)[:2]
        attribute, value = messages.expect(assertion[1], 2)[:2]
        who, dn, compared = self._who(asked), messages.text_of(name[1]), messages.text_of(attribute[1])
        same = yield from self._perform(
            message,
            Call("compare", who, dn, (compared,)),
            lambda: self.directory.compare(who, dn, compared, value[1], asked.options),
        )
        yield self._success(message, code=ResultCode.COMPARE_TRUE if same else ResultCode.COMPARE_FALSE)

    # -- extended ----------------------------------------------------------

    def _extended(self, message: Message, asked: Asked) -> Iterator[Part]:
        found = dict(messages.expect(message.content, 1))
        oid, value = found.get(0x80, b"").decode("latin-1"), found.get(0x81)
        extension = self._extensions.get(oid)
        if extension is None:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "unsupported extended operation")
        yield from extension(message, asked, value)

    def _respond(self, message: Message, value: bytes | None) -> bytes:
        more = [] if value is None else [ber.octets(value, 0x8B)]
        return messages.write_message(message.number, messages.write_result(messages.EXTENDED_RESULT, more=more))

    def _who_am_i(self, message: Message, asked: Asked, value: bytes | None) -> Iterator[Part]:
        if value is not None:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "no request data expected")
        who = self._who(asked)
        dn = yield from self._perform(message, Call("whoami", who, ""), lambda: who.dn)
        yield self._respond(message, messages.encode_text(f"dn:{dn.text}") if dn.rdns else b"")

    def _change_password(self, message: Message, asked: Asked, value: bytes | None) -> Iterator[Part]:
        try:
            found = dict(ber.elements(ber.one(value, ber.SEQUENCE))) if value else {}
        except BerError:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "data decoding error") from None
        name = messages.text_of(found[0x80]) if found.get(0x80) else None
        who = self._who(asked)
        made = yield from self._perform(
            message,
            Call("passwd", who, name if name is not None else who.dn.text),
            lambda: self.directory.change_password(who, name, found.get(0x81), found.get(0x82)),
        )
        yield self._respond(message, None if made is None else ber.sequence((ber.octets(made, 0x80),)))

    def _cancel(self, message: Message, asked: Asked, value: bytes | None) -> Iterator[Part]:
        """Operations end before the next message is read, so that there is never one to cancel (RFC 3909)."""
        try:
            ber.to_integer(ber.one(ber.one(value or b"", ber.SEQUENCE), ber.INTEGER))
        except BerError:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "message ID parse failed") from None
        yield self._error(message, LdapError(ResultCode.NO_SUCH_OPERATION, "message ID not found"))

    def _begin_tls(self, message: Message, asked: Asked, value: bytes | None) -> Iterator[Part]:
        if value is not None:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "no request data expected")
        if self._start_tls is None:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "unsupported extended operation")
        if self._has_tls:
            raise LdapError(ResultCode.OPERATIONS_ERROR, "TLS already started")
        yield from self._perform(message, Call("starttls", self.identity, ""), lambda: None)
        self._has_tls = True
        self.identity = ANONYMOUS
        yield messages.write_message(
            message.number,
            messages.write_result(messages.EXTENDED_RESULT, more=[ber.octets(START_TLS.encode(), 0x8A)]),
        )
        self._start_tls()
