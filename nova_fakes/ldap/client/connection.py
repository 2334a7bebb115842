"""A client's connection to a directory in the same process: messages go through a session, without a socket.

It has the methods of `_ldap.LDAPObject`, the C class below python-ldap's Python classes. Requests are answered as they
are made; answers wait until they are asked for.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap import ber, messages, offered
from nova_fakes.ldap.client import arguments, constants, options, requests
from nova_fakes.ldap.client.answers import (
    Answer,
    Found,
    Result,
    read_answer,
    read_data,
    read_result,
    refusal,
    refused_search,
)
from nova_fakes.ldap.client.arguments import attribute_names, changes, controls_of, number, octets, text
from nova_fakes.ldap.client.errors import CLASSES, LDAPError, local_error
from nova_fakes.ldap.client.paused import Paused
from nova_fakes.ldap.client.sasl import CB_AUTHNAME, CB_PASS, CB_USER
from nova_fakes.ldap.filters import parse_filter
from nova_fakes.ldap.messages import Control
from nova_fakes.ldap.options import Deref, Scope, SearchRequest
from nova_fakes.ldap.registry import Registry, current, uris
from nova_fakes.ldap.results import LdapError
from nova_fakes.ldap.session import Part, Pause, Session

__all__ = ["Connection"]

Controls = Sequence[tuple[str, Any, Any]] | None
NO_MECHANISM = "SASL(-4): no mechanism available: "
SCOPES = frozenset(Scope)


def _peer(uri: str) -> str | None:
    """Return the DN that a UNIX socket would vouch for: that of this very process."""
    if not uri.startswith("ldapi:"):
        return None
    return f"gidNumber={os.getgid()}+uidNumber={os.getuid()},cn=peercred,cn=external,cn=auth"


def _no_tls() -> None:
    """Begin TLS between two ends in one process."""


class Connection:
    """A connection, made at the first request.

    :param uri: one or several, separated by spaces
    :param registry: where the directories are; the one that is asked now where it is None
    :raises LDAPError: where it is not a URI
    """

    def __init__(self, uri: str, registry: Registry | None = None) -> None:
        try:
            uris(uri)
        except InvalidInput:
            raise LDAPError(0, "Error") from None
        self._registry = registry if registry is not None else current()
        self._uri = uri
        self._options: dict[int, Any] = dict(self._registry.options)
        self._session: Session | None = None
        self._number = 0
        self._is_valid = True
        self._is_lost = False
        self._waiting: deque[Answer | Found] = deque()
        self._paused = Paused()

    # -- the connection ----------------------------------------------------

    def lose(self) -> None:
        """End the connection from the server's side. The next request fails, and the one after it connects again."""
        self._session = None
        self._is_lost = True
        self._waiting.clear()
        self._paused.clear()

    def _open(self) -> Session:
        """Return the session; connect first where there is none.

        :raises SERVER_DOWN: where nothing answers at the URI
        """
        if not self._is_valid:
            raise LDAPError("LDAP connection invalid")
        if self._session is not None:
            return self._session
        if self._is_lost:
            self._is_lost = False
            raise self._failed(local_error("SERVER_DOWN"))
        found = self._registry.open(self._uri, self)
        if found is None:
            raise self._failed(local_error("SERVER_DOWN", errno=107, info="Transport endpoint is not connected"))
        uri, directory = found
        self._session = Session(directory, external=_peer(uri), start_tls=_no_tls if uri.startswith("ldap:") else None)
        if directory.root is None:
            # Who opens an empty directory is about to fill it.
            self._session.identity = directory.identity(directory.root_dn)
        return self._session

    def _failed(self, error: Exception) -> Exception:
        """Note an error for those who ask by options what it was."""
        told = error.args[0] if error.args else {}
        self._options[constants.OPT_ERROR_NUMBER] = told.get("result", 0)
        self._options[constants.OPT_ERROR_STRING] = told.get("info")
        self._options[constants.OPT_MATCHED_DN] = told.get("matched")
        return error

    def _send(self, operation: bytes, server: Controls, client: Controls = None) -> int:
        """Make a request and return its number."""
        controls_of(client)
        if server is None:
            server = self._options.get(constants.OPT_SERVER_CONTROLS)
        return self._exchange(operation, controls_of(server))

    def _exchange(self, operation: bytes, controls: Sequence[Control]) -> int:
        session = self._open()
        self._number += 1
        request = messages.write_message(self._number, operation, controls)
        self._receive(session, self._number, session.answer(ber.one(request, ber.SEQUENCE)))
        return self._number

    def _receive(self, session: Session, request: int, parts: Iterator[Part]) -> None:
        """Take the parts of an answer up to its end, or up to a pause, after which the rest comes."""
        for part in parts:
            if isinstance(part, Pause):
                self._paused.put(request, session, parts, part.seconds)
                break
            self._waiting.append(read_answer(part))
        if session.is_closed:
            self._session, self._is_lost = None, True
            self._paused.clear()

    def unbind_ext(self, server: Controls = None, client: Controls = None) -> None:
        """End the connection; it cannot be used again."""
        if not self._is_valid:
            raise LDAPError("LDAP connection invalid")
        self.lose()
        self._is_valid = False

    # -- requests ----------------------------------------------------------

    def simple_bind(self, who: Any, cred: Any, server: Controls = None, client: Controls = None) -> int:
        """Bind by a name and a password."""
        name = text(who, "simple_bind", 1, optional=True)
        password = octets(cred, optional=True) or b""
        return self._send(requests.bind(name, password, self._version()), server, client)

    def _version(self) -> int:
        return int(options.get(self._options, constants.OPT_PROTOCOL_VERSION))

    def search_ext(
        self,
        base: Any,
        scope: Any,
        filterstr: Any,
        attrlist: Any = None,
        attrsonly: Any = 0,
        server: Controls = None,
        client: Controls = None,
        timeout: float = -1,
        sizelimit: int = 0,
    ) -> int:
        """Search."""
        text(base, "search_ext", 1)
        text(filterstr, "search_ext", 3)
        wanted_scope = number(scope)
        names = attribute_names(attrlist)
        controls_of(client)
        if timeout == 0:
            raise self._failed(local_error("PARAM_ERROR"))
        session = self._open()
        limit = number(sizelimit)
        try:
            request = SearchRequest(
                base,
                Scope(wanted_scope) if wanted_scope in SCOPES else Scope.BASE,
                parse_filter(filterstr),
                names,
                bool(attrsonly),
                limit if limit >= 0 else options.get(self._options, constants.OPT_SIZELIMIT),
                Deref(options.get(self._options, constants.OPT_DEREF)),
            )
        except InvalidInput:
            raise self._failed(local_error("FILTER_ERROR")) from None
        if server is None:
            server = self._options.get(constants.OPT_SERVER_CONTROLS)
        if server or wanted_scope not in SCOPES or session.directory.faults.active:
            time_limit = options.get(self._options, constants.OPT_TIMELIMIT) if timeout < 0 else max(1, int(timeout))
            return self._exchange(requests.search(request, wanted_scope, time_limit), controls_of(server))
        return self._find(session, request)

    def _find(self, session: Session, request: SearchRequest) -> int:
        """Search without writing messages: what most searches are should cost no more than the directory's own work."""
        self._number += 1
        try:
            found = session.find(request)
        except LdapError as error:
            self._waiting.append(refused_search(self._number, error))
            return self._number
        if found.is_cut:
            self._waiting.extend(Found(self._number, found).messages())
        else:
            self._waiting.append(Found(self._number, found))
        return self._number

    def add_ext(self, dn: Any, modlist: Any, server: Controls = None, client: Controls = None) -> int:
        """Add an entry."""
        name = text(dn, "add_ext", 1)
        given = changes(modlist, 2)
        try:
            listed = [(attribute, arguments.given_values(values)) for attribute, values in given]
        except CLASSES["PARAM_ERROR"] as error:
            raise self._failed(error) from None
        return self._send(requests.add(name, listed), server, client)

    def modify_ext(self, dn: Any, modlist: Any, server: Controls = None, client: Controls = None) -> int:
        """Change an entry's attributes."""
        name = text(dn, "modify_ext", 1)
        given = [
            (kind & ~constants.MOD_BVALUES, attribute, values or ()) for kind, attribute, values in changes(modlist, 3)
        ]
        return self._send(requests.modify(name, given), server, client)

    def delete_ext(self, dn: Any, server: Controls = None, client: Controls = None) -> int:
        """Delete an entry."""
        return self._send(ber.octets(text(dn, "delete_ext", 1), messages.DELETE), server, client)

    def rename(
        self,
        dn: Any,
        newrdn: Any,
        newsuperior: Any = None,
        delold: Any = 1,
        server: Controls = None,
        client: Controls = None,
    ) -> int:
        """Give an entry another RDN, another parent, or both."""
        name, rdn = text(dn, "rename", 1), text(newrdn, "rename", 2)
        superior = None if newsuperior is None else text(newsuperior, "rename", 3)
        return self._send(requests.rename(name, rdn, superior, bool(number(delold))), server, client)

    def compare_ext(self, dn: Any, attr: Any, value: Any, server: Controls = None, client: Controls = None) -> int:
        """Ask whether an entry has a value."""
        name, attribute = text(dn, "compare_ext", 1), text(attr, "compare_ext", 2)
        return self._send(requests.compare(name, attribute, octets(value) or b""), server, client)

    def extop(self, oid: Any, value: Any, server: Controls = None, client: Controls = None) -> int:
        """Ask for an extended operation."""
        name = text(oid, "extended_operation", 1)
        return self._send(requests.extended(name, octets(value, optional=True)), server, client)

    def passwd(self, user: Any, old: Any, new: Any, server: Controls = None, client: Controls = None) -> int:
        """Ask for another password."""
        value = requests.password(octets(user, optional=True), octets(old, optional=True), octets(new, optional=True))
        return self._send(requests.extended(offered.CHANGE_PASSWORD.encode(), value), server, client)

    def cancel(self, cancelid: Any, server: Controls = None, client: Controls = None) -> int:
        """Ask that an operation be ended (RFC 3909)."""
        value = ber.sequence((ber.integer(number(cancelid)),))
        return self._send(requests.extended(offered.CANCEL.encode(), value), server, client)

    def abandon_ext(self, msgid: Any, server: Controls = None, client: Controls = None) -> None:
        """End an operation, and forget what it has answered."""
        wanted = number(msgid)
        self._send(ber.integer(wanted, messages.ABANDON), server, client)
        self._waiting = deque(answer for answer in self._waiting if answer.number != wanted)
        self._paused.forget(wanted)

    # -- requests that wait ------------------------------------------------

    def whoami_s(self, server: Controls = None, client: Controls = None) -> str:
        """Return as whom the connection works: an authorization identity, empty where nobody has bound."""
        _, result = self._ask(requests.extended(offered.WHO_AM_I.encode(), None), server, client)
        return messages.text_of(result.more.get(0x8B, b""))

    def start_tls_s(self) -> None:
        """Ask for TLS; in one process there is nothing to encrypt, and it always begins."""
        self._ask(requests.extended(offered.START_TLS.encode(), None), None, None)

    def sasl_bind_s(
        self, dn: Any, mechanism: Any, cred: Any, server: Controls = None, client: Controls = None
    ) -> int | bytes:
        """Bind by a SASL mechanism with ready credentials; no mechanism is a simple bind."""
        name = text(dn, "sasl_bind_s", 1, optional=True)
        credentials = octets(cred, optional=True)
        if not mechanism:
            operation = requests.bind(name, credentials or b"", self._version())
        else:
            operation = requests.sasl(name, text(mechanism, "sasl_bind_s", 2), credentials, self._version())
        _, result = self._ask(operation, server, client)
        return result.more.get(0x87, 0)

    def sasl_interactive_bind_s(
        self, who: Any, auth: Any, server: Controls = None, client: Controls = None, flags: int = 0
    ) -> int:
        """Bind by SASL EXTERNAL or PLAIN.

        :param auth: says by `mech` which, and answers by `callback` what the mechanism has to know
        """
        session = self._open()
        mechanism = bytes(auth.mech)

        def asked(question: int) -> bytes:
            return bytes(auth.callback(question, "", "", ""))

        if mechanism == b"EXTERNAL" and session.external is not None:
            credentials = asked(CB_USER)
        elif mechanism == b"PLAIN":
            credentials = b"\0".join((asked(CB_USER), asked(CB_AUTHNAME), asked(CB_PASS)))
        else:
            raise self._failed(local_error("AUTH_UNKNOWN", info=NO_MECHANISM))
        name = text(who, "sasl_interactive_bind_s", 1, optional=True)
        self._ask(requests.sasl(name, mechanism, credentials, self._version()), server, client)
        self._options[constants.OPT_X_SASL_MECH] = mechanism.decode()
        return 0

    def _ask(self, operation: bytes, server: Controls, client: Controls) -> tuple[Answer, Result]:
        """Make a request and return what ends it.

        :raises LDAPError: where that is not success; it names no message, as from libldap's own functions that wait
        """
        sent = self._send(operation, server, client)
        for answer in self._taken(sent, constants.MSG_ALL):
            if isinstance(answer, Answer) and answer.is_final:
                result = read_result(answer.content)
                if result.code:
                    error = refusal(answer, result)
                    for name in ("msgtype", "msgid"):
                        del error.args[0][name]
                    raise self._failed(error)
                return answer, result
        raise self._failed(local_error("SERVER_DOWN"))

    # -- answers -----------------------------------------------------------

    def result4(
        self,
        msgid: Any = constants.RES_ANY,
        all: Any = constants.MSG_ALL,
        timeout: float = -1,
        add_ctrls: Any = 0,
        add_intermediates: Any = 0,
        add_extop: Any = 0,
    ) -> tuple[Any, ...]:
        """Return an answer: kind, what it lists, number, controls; where it was asked, name and value of an extension.

        :param msgid: of the request, or `RES_ANY`
        :param all: 0 for one message, 1 for all to the last, 2 for those that are there
        :raises TIMEOUT: where nothing comes, unless the timeout is 0
        :raises LDAPError: where the operation has failed
        """
        taken = self._taken(number(msgid), number(all), timeout)
        if not taken:
            if timeout != 0:
                raise CLASSES["TIMEOUT"]
            return (None,) * (6 if add_extop else 4)
        last = taken[-1]
        listed: list[tuple[Any, ...]] = []
        for one in taken:
            if isinstance(one, Found):
                listed.extend(one.data(with_controls=bool(add_ctrls)))
            else:
                listed.extend(read_data(one, with_controls=bool(add_ctrls), with_intermediates=bool(add_intermediates)))
        kind, controls, extension = self._ended(last)
        made = (kind, listed, last.number, controls)
        return (*made, *extension) if add_extop else made

    def _ended(self, last: Answer | Found) -> tuple[int, list[Any], tuple[str | None, bytes | None]]:
        """Return the kind of the last message, its controls, and name and value of an extended response."""
        if isinstance(last, Found):
            return messages.SEARCH_DONE, [], (None, None)
        controls: list[Any] = last.control_tuples()
        if not last.is_final:
            return last.kind, [], (None, None)
        result = read_result(last.content)
        if result.code:
            raise self._failed(refusal(last, result))
        name = result.more.get(0x8A)
        return last.kind, controls, (None if name is None else messages.text_of(name), result.more.get(0x8B))

    def _taken(self, wanted: int, how_many: int, timeout_s: float = -1) -> list[Answer | Found]:
        """Take answers, those that pause when their time has come; none where that is too late."""
        while not (taken := self._arrived(wanted, how_many)):
            rest, timeout_s = self._paused.next(timeout_s)
            if rest is None:
                break
            self._receive(rest.session, rest.request, rest.parts)
        return taken

    def _arrived(self, wanted: int, how_many: int) -> list[Answer | Found]:
        """Take answers from those that are there."""
        if wanted != constants.RES_ANY:
            numbers = [wanted]
        else:
            numbers = list(dict.fromkeys(answer.number for answer in self._waiting if answer.number))
        for one in numbers:
            there = [answer for answer in self._waiting if answer.number == one]
            if how_many == constants.MSG_ONE and there:
                return self._one(there[0])
            if there and (how_many == constants.MSG_RECEIVED or there[-1].is_final):
                self._waiting = deque(answer for answer in self._waiting if answer.number != one)
                return there
        if self._is_lost:
            self._is_lost = False
            self._waiting.clear()
            raise self._failed(local_error("SERVER_DOWN"))
        return []

    def _one(self, answer: Answer | Found) -> list[Answer | Found]:
        """Take one message; what was found by a search is made messages first."""
        if isinstance(answer, Found):
            at = self._waiting.index(answer)
            self._waiting.remove(answer)
            for place, message in enumerate(answer.messages()):
                self._waiting.insert(at + place, message)
            answer = self._waiting[at]
        self._waiting.remove(answer)
        return [answer]

    # -- options -----------------------------------------------------------

    def get_option(self, option: Any) -> Any:
        """Return an option of this connection."""
        wanted = number(option)
        if wanted == constants.OPT_URI:
            return self._options.get(wanted, self._uri)
        if wanted == constants.OPT_HOST_NAME:
            return " ".join(uri.partition("://")[2].split("/")[0] for uri in uris(self._uri))
        return options.get(self._options, wanted)

    def set_option(self, option: Any, value: Any) -> None:
        """Set an option of this connection."""
        options.set_option(self._options, number(option), value)
