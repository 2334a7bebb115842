"""One program asked of two servers: what each answered, brought into a form that can be compared."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ldap_client import Answer, Client, entry
from programs import Request

from nova_fakes.ldap import ber, messages, offered
from nova_fakes.ldap.messages import Control
from nova_fakes.ldap.results import ResultCode

# What no two servers make alike.
MASKED = {
    "entryuuid", "entrycsn", "createtimestamp", "modifytimestamp", "contextcsn", "supportedsaslmechanisms",
    # The configuration of slapd is in its schema.
    "attributetypes", "objectclasses", "ldapsyntaxes", "matchingrules", "matchingruleuse",
}  # fmt: skip
# What slapd says of a part of a filter, and leaves standing whatever the search then ends with.
LEAKED = {
    "AttributeDescription contains inappropriate characters",
    "attribute type undefined",
    "empty AttributeDescription",
    "inappropriate matching request",
    "matching rule not recognized",
    "matching rule use with this attribute not appropriate",
    "no appropriate rule to use for type",
    "unable to normalize value for matching",
    "unrecognized option",
    "value does not conform to assertion syntax",
    "zero length option is invalid",
}


@dataclass(frozen=True)
class Difference:
    """A request that was answered in two ways, and the place of it in its program."""

    number: int
    request: Request
    theirs: dict[str, Any]
    ours: dict[str, Any]

    def __str__(self) -> str:
        keys = [key for key in self.theirs | self.ours if self.theirs.get(key) != self.ours.get(key)]
        theirs, ours = ({key: side.get(key) for key in keys} for side in (self.theirs, self.ours))
        return f"#{self.number} {self.request}\n  slapd: {theirs}\n  ours:  {ours}"


def _attributes(found: tuple[str, dict[str, list[bytes]]]) -> tuple[str, dict[str, Any]]:
    shown = {
        name: ["*"] if name.lower() in MASKED and values else [_unsalted(value) for value in values]
        for name, values in found[1].items()
    }
    return found[0], shown


def _unsalted(value: bytes) -> bytes:
    return re.sub(rb"^(\{SSHA\})[A-Za-z0-9+/=]{30,}$", rb"\1*", value)


def _control(oid: str, value: bytes | None) -> Any:
    if oid in (offered.PRE_READ, offered.POST_READ):
        return _attributes(entry(ber.one(value or b"", messages.ENTRY)))
    if oid == offered.PAGED:
        (_, _), (_, cookie) = ber.elements(ber.one(value or b"", ber.SEQUENCE))
        return "more" if cookie else "end"
    if oid == offered.VLV_RESPONSE:
        place, count, code, *context = ber.elements(ber.one(value or b"", ber.SEQUENCE))
        return place, count, code, len(context)
    return value


def comparable(answer: Answer, is_sorted: bool) -> dict[str, Any]:
    """Return what is compared of an answer."""
    entries = [_attributes(one) for one in answer.entries]
    is_cut = answer.code == ResultCode.SIZE_LIMIT_EXCEEDED or offered.PAGED in answer.controls
    return {
        "code": answer.code,
        "matched": answer.matched,
        "text": "" if answer.text in LEAKED and answer.tag == messages.SEARCH_DONE else answer.text,
        "referrals": sorted(answer.referrals),
        # Which entries come before a limit follows from their order in the database.
        "entries": entries if is_sorted else len(entries) if is_cut else sorted(entries),
        "references": [] if is_cut else sorted(sorted(urls) for urls in answer.references),
        "controls": {oid: _control(oid, value) for oid, value in answer.controls.items()},
        "more": {tag: len(value) if tag == 0x8B and value[:1] == b"0" else value
                 for tag, value in answer.more.items() if tag != 0xA3},
    }  # fmt: skip


class Side:
    """A client of one of the servers, which goes through the pages of a search by that server's own cookies."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._cookie = b""

    def ask(self, request: Request) -> dict[str, Any]:
        """Ask, and return what is compared of the answer."""
        if request.follows:
            request = replace(request, controls=tuple(self._with_cookie(one) for one in request.controls))
        answer = self._client.ask(request.operation, request.controls)
        paged = answer.controls.get(offered.PAGED)
        if paged:
            (_, _), (_, self._cookie) = ber.elements(ber.one(paged, ber.SEQUENCE))
        return comparable(answer, request.is_sorted)

    def _with_cookie(self, control: Control) -> Control:
        if control.oid != offered.PAGED:
            return control
        (_, size), _ = ber.elements(ber.one(control.value or b"", ber.SEQUENCE))
        return replace(control, value=ber.sequence((ber.octets(size, ber.INTEGER), ber.octets(self._cookie))))


def compare(program: Sequence[Request], theirs: Client, ours: Client) -> list[Difference]:
    """Ask both servers the requests of a program and return what they answered differently."""
    sides = Side(theirs), Side(ours)
    found = []
    for number, request in enumerate(program):
        answers = [side.ask(request) for side in sides]
        if answers[0] != answers[1]:
            found.append(Difference(number, request, *answers))
    return found
