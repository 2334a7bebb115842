"""Answers as a client reads them: messages into what python-ldap's functions give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from nova_fakes.ldap import ber, messages
from nova_fakes.ldap.client import errors
from nova_fakes.ldap.messages import Control, text_of
from nova_fakes.ldap.options import Entries
from nova_fakes.ldap.results import LdapError

__all__ = [
    "Answer",
    "Found",
    "Result",
    "raised",
    "read_answer",
    "read_data",
    "read_result",
    "refusal",
    "refused_search",
]

INTERMEDIATE = 0x79
NOT_FINAL = frozenset({messages.ENTRY, messages.REFERENCE, INTERMEDIATE})


@dataclass(frozen=True, slots=True)
class Answer:
    """A message of the server: of what kind, to which request, and what it says."""

    number: int
    kind: int
    content: bytes
    controls: tuple[Control, ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether nothing more comes in answer to the request."""
        return self.kind not in NOT_FINAL

    def control_tuples(self) -> list[tuple[str, int, bytes | None]]:
        """Return the controls as python-ldap's C module gives them."""
        return [(control.oid, int(control.critical), control.value) for control in self.controls]


@dataclass(frozen=True, slots=True)
class Result:
    """What ends an operation (RFC 4511 §4.1.9), and what an extended or bind response has besides."""

    code: int
    matched: str
    text: str
    referrals: list[str]
    more: dict[int, bytes]


def read_answer(data: bytes) -> Answer:
    """Read a message as it comes from the server."""
    message = messages.read_message(ber.one(data, ber.SEQUENCE))
    return Answer(message.number, message.operation, message.content, message.controls)


def read_result(content: bytes) -> Result:
    """Read what ends an operation."""
    (_, code), (_, matched), (_, text), *rest = messages.expect(content, 3)
    more = dict(rest)
    referrals = [text_of(url) for _, url in ber.elements(more.pop(0xA3, b""))]
    return Result(ber.to_integer(code), text_of(matched), text_of(text), referrals, more)


def refusal(answer: Answer, result: Result) -> Exception:
    """Make the exception that python-ldap raises for a result."""
    told: dict[str, Any] = {
        "msgtype": answer.kind,
        "msgid": answer.number,
        "result": result.code,
        "desc": errors.TEXTS.get(result.code, "Unknown error"),
        "ctrls": answer.control_tuples(),
    }
    if result.matched:
        told["matched"] = result.matched
    if result.code == errors.NUMBERS["REFERRAL"] and result.referrals:
        told["info"] = f"Referral:\n{result.referrals[0]}"
    elif result.text:
        told["info"] = result.text
    return errors.class_of(result.code)(told)


def read_data(answer: Answer, *, with_controls: bool, with_intermediates: bool) -> list[tuple[Any, ...]]:
    """Return what python-ldap lists of a message: an entry, references, or an intermediate response."""
    found: tuple[Any, ...]
    if answer.kind == messages.ENTRY:
        name, attributes = messages.expect(answer.content, 2)[:2]
        found = (text_of(name[1]), _attributes(attributes[1]))
    elif answer.kind == messages.REFERENCE:
        found = (None, [text_of(url) for _, url in ber.elements(answer.content)])
    elif answer.kind == INTERMEDIATE and with_intermediates:
        parts = dict(ber.elements(answer.content))
        return [(text_of(parts.get(0x80, b"")), parts.get(0x81), answer.control_tuples())]
    else:
        return []
    return [(*found, answer.control_tuples())] if with_controls else [found]


def _attributes(content: bytes) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for name, values in messages.read_attributes(content):
        found.setdefault(name, []).extend(values)
    return found


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found, before it is made messages of."""

    number: int
    entries: Entries
    is_final: ClassVar[bool] = True

    def data(self, *, with_controls: bool) -> list[tuple[Any, ...]]:
        """Return what python-ldap lists."""
        found: list[tuple[Any, ...]] = [*self.entries.found, *((None, urls) for urls in self.entries.references)]
        return [(*one, []) for one in found] if with_controls else found

    def messages(self) -> list[Answer]:
        """Return the messages in which a server would have told it."""
        written = [messages.write_entry(dn, attributes) for dn, attributes in self.entries.found]
        written += map(messages.write_reference, self.entries.references)
        written.append(messages.write_result(messages.SEARCH_DONE, self.entries.code))
        return [Answer(self.number, kind, content) for one in written for kind, content in ber.elements(one)]


def refused_search(number: int, error: LdapError) -> Answer:
    """Return the message in which a server would have refused a search."""
    written = messages.write_result(messages.SEARCH_DONE, error.code, error.text, error.matched, error.referrals)
    return Answer(number, messages.SEARCH_DONE, ber.one(written, messages.SEARCH_DONE), tuple(error.controls))


def raised(error: LdapError) -> Exception:
    """Make python-ldap's exception of one of the engine's."""
    answer = refused_search(0, error)
    made = refusal(answer, read_result(answer.content))
    for name in ("msgtype", "msgid"):
        del made.args[0][name]
    return made
