"""One client's connection: who has bound, what is going on, and an answer to each message (RFC 4511 §4)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TypeVar

from nova_fakes.ldap import ber, controls, messages
from nova_fakes.ldap.access import ANONYMOUS, Identity
from nova_fakes.ldap.ber import BerError
from nova_fakes.ldap.changes import check_counts
from nova_fakes.ldap.controls import Asked, ControlReader
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.extended import Extensions
from nova_fakes.ldap.filters import Equality
from nova_fakes.ldap.following import Followers
from nova_fakes.ldap.listing import Listings
from nova_fakes.ldap.messages import Control, Message
from nova_fakes.ldap.offered import CANCEL, DISCONNECTION
from nova_fakes.ldap.operations import Call
from nova_fakes.ldap.options import Entries, Outcome, Scope, SearchRequest
from nova_fakes.ldap.results import LdapError, ResultCode
from nova_fakes.ldap.transactions import Transaction
from nova_fakes.ldap.updates import Update

__all__ = ["Part", "Pause", "Session", "disconnection", "is_ending"]

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


def is_ending(data: bytes) -> bool:
    """Tell whether a message asks to end what goes on: abandon, cancel or unbind.

    :raises BerError: where it is not a message
    """
    message = messages.read_message(data)
    if message.operation != messages.EXTENDED:
        return message.operation in (messages.ABANDON, messages.UNBIND)
    return dict(ber.elements(message.content)).get(0x80) == CANCEL.encode()


class Session:
    """A connection's state.

    :param directory: what it is a connection to
    :param external: DN that the transport vouches for: of the peer's process, or of the client's certificate
    :param start_tls: begins TLS on the transport; None where that cannot be
    :param abandon: ends the answer to the message of a number, where it pauses
    :param wake: called, by whatever thread changes the directory, where `pending` has messages to give
    """

    def __init__(
        self,
        directory: Directory,
        *,
        external: str | None = None,
        start_tls: Callable[[], None] | None = None,
        abandon: Callable[[int], None] = lambda number: None,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.directory = directory
        self.external = external
        self.identity: Identity = ANONYMOUS
        self.is_closed = False
        self.transaction = Transaction(directory)
        self._abandon = abandon
        self._listings = Listings(directory)
        self._followers = Followers(directory, wake)
        self._extensions = Extensions(self, start_tls)
        self._controls = ControlReader(directory, self._authorized)
        self._running: set[int] = set()
        self._handlers: dict[int, Callable[[Message], Iterator[Part]]] = {
            messages.BIND: self._bind,
            messages.SEARCH: self._search,
            messages.MODIFY: self._modify,
            messages.ADD: self._add,
            messages.DELETE: self._delete,
            messages.RENAME: self._rename,
            messages.COMPARE: self._compare,
            messages.EXTENDED: self._extended,
        }

    def answer(self, data: bytes) -> Iterator[Part]:
        """Do what a message asks and give the messages that answer it.

        Whoever takes them may answer another message before all are taken: what ends the operation then ends it.

        :param data: the content of the LDAPMessage
        :raises BerError: where it is not one; nothing has been done then
        """
        message = messages.read_message(data)
        if not 0 < message.number <= MAX_NUMBER:
            raise BerError("a request has a positive number")
        if message.operation == messages.UNBIND:
            self.directory.operations.note(Call("unbind", self.identity, ""))
            self.close()
            return
        if message.operation == messages.ABANDON:
            self.directory.operations.note(Call("abandon", self.identity, ""))
            self.end(ber.to_integer(message.content))
            return
        handler = self._handlers.get(message.operation)
        if handler is None:
            raise BerError("there is no such operation")
        self._running.add(message.number)
        try:
            for part in handler(message):
                yield part
                if message.number not in self._running:
                    return
        except LdapError as error:
            yield from self._failure(message, error)
        finally:
            self._running.discard(message.number)

    def end(self, number: int) -> bool:
        """End an operation, of which nothing more is given then; tell whether it was going on."""
        is_running = number in self._running
        self._running.discard(number)
        self._abandon(number)
        return self._followers.end(number) or is_running

    def pending(self) -> Iterator[bytes]:
        """Give the messages about changes that searches which go on have to tell."""
        yield from self._followers.pending()

    def close(self) -> None:
        """End all that goes on."""
        self.is_closed = True
        self._running.clear()
        self._followers.close()

    def _failure(self, message: Message, error: LdapError) -> Iterator[Part]:
        """Answer with an error, after what a search had found before it; or end the connection."""
        if error.partial is not None:
            yield from self._found(message, error.partial)
        if error.code is ResultCode.SERVER_DOWN:
            self.close()
        else:
            yield self._error(message, error)

    def perform(self, message: Message, call: Call, work: Callable[[], Result]) -> Generator[Pause, None, Result]:
        """Do an operation of the directory, after the pauses that fault rules make."""
        operations = self.directory.operations
        for seconds in operations.pauses(call):
            yield Pause(seconds, message.number)
        return operations.carry_out(call, work)

    def _asked(self, message: Message, extension: str = "") -> Asked:
        return self._controls.read(message.operation, message.controls, extension)

    def _error(self, message: Message, error: LdapError) -> bytes:
        tag = RESULT_TAGS[message.operation]
        result = messages.write_result(tag, error.code, error.text, error.matched, error.referrals)
        return messages.write_message(message.number, result, error.controls)

    def _success(self, message: Message, answers: list[Control] | None = None, code: int = 0) -> bytes:
        result = messages.write_result(RESULT_TAGS[message.operation], code)
        return messages.write_message(message.number, result, answers or ())

    def _who(self, asked: Asked) -> Identity:
        return self.identity if asked.who is None else asked.who

    def _authorized(self, name: str) -> Identity:
        """Return whom an operation is done as that names somebody (RFC 4370).

        :raises LdapError: PROXIED_AUTHORIZATION_DENIED
        """
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

    def _bind(self, message: Message) -> Iterator[Part]:
        version, name, credentials = messages.expect(message.content, 3)[:3]
        self._asked(message)
        self.identity = ANONYMOUS
        self.transaction.drop()
        if ber.to_integer(version[1]) != 3 and not (self.directory.allow_v2 and ber.to_integer(version[1]) == 2):
            raise LdapError(ResultCode.PROTOCOL_ERROR, "requested protocol version not supported")
        call = Call("bind", ANONYMOUS, messages.text_of(name[1]))
        self.identity = yield from self.perform(message, call, lambda: self._known(call.dn, *credentials))
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
            return self._vouched(self.external, messages.text_of(answer))
        if mechanism == b"PLAIN":
            return self._plain(answer)
        text = f"SASL(-4): no mechanism available: no mechanism {messages.text_of(mechanism)}"
        raise LdapError(ResultCode.AUTH_METHOD_NOT_SUPPORTED, text)

    def _vouched(self, name: str, asked: str) -> Identity:
        """Bind as whom the transport vouches for; the root DN may ask to be anybody.

        :param asked: an authorization identity (`dn:` and a DN), or nothing
        """
        schema = self.directory.schema
        known = self.directory.identity(schema.dn(self.directory.parse_dn(name).key))
        if not asked:
            return known
        try:
            wanted = schema.dn(schema.dn(asked[3:]).key) if asked.lower().startswith("dn:") else None
        except ValueError:
            wanted = None
        if wanted is None or not (known.is_root or wanted == known.dn):
            text = "SASL(-14): authorization failure: not authorized"
            raise LdapError(ResultCode.INSUFFICIENT_ACCESS, text)
        return self.directory.identity(wanted)

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

    def _search(self, message: Message) -> Iterator[Part]:
        request = messages.read_search(message.content)
        self.directory.parse_dn(request.base)
        asked = self._asked(message)
        who = self._who(asked)
        if self.directory.is_administrative(request.base) and request.scope is Scope.BASE:
            controls.refuse_outside_tree(message.controls)
        call = Call("search", who, request.base, request)
        if asked.sync is not None and not self.directory.is_administrative(request.base):
            refresh = yield from self.perform(
                message, call, lambda: self._followers.begin(message.number, who, request, asked)
            )
            yield from self._followers.answer(message.number, refresh)
            return
        answers: list[Control] = []
        result = yield from self.perform(message, call, lambda: self._listings.search(who, request, asked, answers))
        yield from self._found(message, result)
        yield self._success(message, answers, result.code)

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

    # -- changes -----------------------------------------------------------

    def _change(self, message: Message, asked: Asked, call: Call, prepare: Callable[[], Update]) -> Iterator[Part]:
        """Make a change, or let it wait for the others of its transaction."""
        if asked.in_transaction:
            update = prepare()
            carry_out = self.directory.operations.carry_out
            self.transaction.add(message.number, lambda: carry_out(call, update))
            yield self._success(message)
            return
        outcome: Outcome = yield from self.perform(message, call, lambda: prepare()())
        yield self._success(message, controls.read_entry_response(outcome.pre_read, outcome.post_read))

    def _add(self, message: Message) -> Iterator[Part]:
        name, attributes = messages.expect(message.content, 2)[:2]
        given = messages.read_attributes(attributes[1])
        if not all(values for _, values in given):
            raise LdapError(ResultCode.PROTOCOL_ERROR, "no values for attribute type")
        asked = self._asked(message)
        who, dn, updates = self._who(asked), messages.text_of(name[1]), self.directory.updates
        call = Call("add", who, dn)
        return self._change(message, asked, call, lambda: updates.add(who, dn, given, asked.options))

    def _delete(self, message: Message) -> Iterator[Part]:
        asked = self._asked(message)
        who, dn, updates = self._who(asked), messages.text_of(message.content), self.directory.updates
        call = Call("delete", who, dn)
        return self._change(message, asked, call, lambda: updates.delete(who, dn, asked.options))

    def _modify(self, message: Message) -> Iterator[Part]:
        name, changes = messages.expect(message.content, 2)[:2]
        given = messages.read_modifications(changes[1])
        check_counts(given)
        asked = self._asked(message)
        who, dn, updates = self._who(asked), messages.text_of(name[1]), self.directory.updates
        call = Call("modify", who, dn, (given,))
        return self._change(message, asked, call, lambda: updates.modify(who, dn, given, asked.options))

    def _rename(self, message: Message) -> Iterator[Part]:
        name, rdn, delete_old, *more = messages.expect(message.content, 3)
        asked = self._asked(message)
        who, dn, updates = self._who(asked), messages.text_of(name[1]), self.directory.updates
        new_rdn, superior = messages.text_of(rdn[1]), messages.text_of(more[0][1]) if more else None
        deletes = delete_old[1] != b"\x00"
        call = Call("rename", who, dn, (new_rdn, superior))
        return self._change(
            message, asked, call, lambda: updates.rename(who, dn, new_rdn, deletes, superior, asked.options)
        )

    def _compare(self, message: Message) -> Iterator[Part]:
        name, assertion = messages.expect(message.content, 2)[:2]
        attribute, value = messages.expect(assertion[1], 2)[:2]
        asked = self._asked(message)
        who, dn, compared = self._who(asked), messages.text_of(name[1]), messages.text_of(attribute[1])
        same = yield from self.perform(
            message,
            Call("compare", who, dn, (compared,)),
            lambda: self.directory.compare(who, dn, compared, value[1], asked.options),
        )
        yield self._success(message, code=ResultCode.COMPARE_TRUE if same else ResultCode.COMPARE_FALSE)

    def _extended(self, message: Message) -> Iterator[Part]:
        found = dict(messages.expect(message.content, 1))
        oid, value = found.get(0x80, b"").decode("latin-1"), found.get(0x81)
        asked = self._asked(message, oid)
        yield from self._extensions.answer(message, oid, value, self._who(asked))
