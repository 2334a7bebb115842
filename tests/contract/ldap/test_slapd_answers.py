"""What OpenLDAP's slapd 2.5.13 answered to some hundred sequences of operations, and what the fake answers.

`slapd_answers.json` holds the operations with the results of slapd. They are replayed on a session, without a socket;
diagnostic messages are not compared, everything else is.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ldap_client import Answer, Client, entry, write_filter

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap import ber, messages, offered
from nova_fakes.ldap.access import AccessRule
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.filters import parse_filter
from nova_fakes.ldap.messages import Control
from nova_fakes.ldap.results import ResultCode
from nova_fakes.ldap.schema import Schema
from nova_fakes.ldap.session import Session

RECORDED = json.loads((Path(__file__).parent / "slapd_answers.json").read_text("utf-8"))
SUFFIX, ROOT = RECORDED["meta"]["suffix"], RECORDED["meta"]["rootdn"]
PEOPLE = {
    "anonymous": ("", ""),
    "admin": (ROOT, RECORDED["meta"]["rootpw"]),
    "alice": (f"uid=alice,ou=People,{SUFFIX}", "alicepw"),
}
# The access rules in the recording's `meta`.
RULES = (
    AccessRule((("self", "write"), ("anonymous", "auth")), frozenset({"userPassword"})),
    AccessRule((("*", "read"),)),
)
SCHEMA = Schema()
SCOPES = {"base": 0, "one": 1, "sub": 2, "subord": 3}
DEREF = {"never": 0, "searching": 1, "finding": 2, "always": 3}
CHANGES = {"add": 0, "delete": 1, "replace": 2, "increment": 3}
GENERATED = {"entryuuid": "<uuid>", "entrycsn": "<csn>", "createtimestamp": "<time>", "modifytimestamp": "<time>"}
# Names that python-ldap, with which the answers were recorded, has for result codes.
NAMES = {
    "STRONGER_AUTH_REQUIRED": "STRONG_AUTH_REQUIRED",
    "SIZE_LIMIT_EXCEEDED": "SIZELIMIT_EXCEEDED",
}


def octets(value: Any) -> bytes:
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value.encode()


def shown(value: bytes) -> Any:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\0"
    return text if all(char >= " " for char in text) else {"b64": base64.b64encode(value).decode()}


def shown_entry(found: tuple[str, dict[str, list[bytes]]]) -> list[Any]:
    attributes: dict[str, list[Any]] = {}
    for name, values in found[1].items():
        masked = GENERATED.get(name.lower())
        listed = [masked or shown(value) for value in values]
        if name.lower() == "userpassword":
            listed = [re.sub(r"^(\{SSHA\}).*", r"\1<hash>", one) for one in listed]
        attributes[name] = sorted(listed, key=json.dumps)
    return [found[0], attributes]


def shown_entries(answer: Answer, ordered: bool) -> dict[str, Any]:
    entries = [shown_entry(found) for found in answer.entries]
    if not ordered:
        entries.sort(key=lambda found: (found[0].lower(), found[0]))
    references = sorted(sorted(urls) for urls in answer.references)
    return {"entries": entries} | ({"refs": references} if references else {})


def fails(answer: Answer) -> dict[str, Any] | None:
    """Return what is compared of a refusal; None for a success."""
    if answer.code in (ResultCode.SUCCESS, ResultCode.COMPARE_TRUE, ResultCode.COMPARE_FALSE):
        return None
    name = ResultCode(answer.code).name
    return {"result": NAMES.get(name, name)} | ({"matched": answer.matched} if answer.matched else {})


def controls_of(step: dict[str, Any]) -> list[Control]:
    made = [
        Control(oid, critical, value.encode() if value else None) for oid, critical, value in step.get("controls", [])
    ]
    if "assert" in step:
        made.append(Control(offered.ASSERTION, True, write_filter(parse_filter(step["assert"]))))
    for key, oid in (("preread", offered.PRE_READ), ("postread", offered.POST_READ)):
        if key in step:
            made.append(Control(oid, True, ber.sequence(ber.octets(name.encode()) for name in step[key])))
    if "matchedvalues" in step:
        wanted = [write_filter(parse_filter(f"({one})")) for one in re.findall(r"\(([^()]+)\)", step["matchedvalues"])]
        made.append(Control(offered.MATCHED_VALUES, True, ber.sequence(wanted)))
    if "proxyauthz" in step:
        made.append(Control(offered.PROXIED, True, step["proxyauthz"].encode()))
    if "sort" in step:
        made.append(Control(offered.SORT, step.get("sort_critical", False), sort_value(step["sort"])))
    return made


def sort_value(keys: Sequence[str]) -> bytes:
    written = []
    for key in keys:
        name, _, rule = key.removeprefix("-").partition(":")
        parts = [ber.octets(name.encode())]
        if rule:
            parts.append(ber.octets(rule.encode(), 0x80))
        if key.startswith("-"):
            parts.append(ber.boolean(True, 0x81))
        written.append(ber.sequence(parts))
    return ber.sequence(written)


class Replay:
    """Does the steps of a case on one session."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def do(self, step: dict[str, Any]) -> dict[str, Any]:
        try:
            result: dict[str, Any] = getattr(self, step["op"])(step)
        except InvalidInput:
            return {"result": "FILTER_ERROR"}
        return {"result": "SUCCESS"} | result

    def outcome(self, answer: Answer) -> dict[str, Any]:
        failed = fails(answer)
        if failed is not None:
            return failed
        read = {}
        for key, oid in (("preread", offered.PRE_READ), ("postread", offered.POST_READ)):
            value = answer.controls.get(oid)
            if value is not None:
                read[key] = shown_entry(entry(ber.one(value, messages.ENTRY)))
        return read

    def bind(self, step: dict[str, Any]) -> dict[str, Any]:
        return fails(self.client.bind(step["dn"], step["pw"])) or {}

    def whoami(self, step: dict[str, Any]) -> dict[str, Any]:
        answer = self.client.extended(offered.WHO_AM_I, controls=controls_of(step))
        return fails(answer) or {"authzid": answer.more[0x8B].decode()}

    def searched(self, step: dict[str, Any], controls: list[Control]) -> Answer:
        return self.client.search(
            step["base"],
            step["filter"],
            SCOPES[step["scope"]],
            step["attrs"] or (),
            size_limit=step.get("sizelimit") or 0,
            types_only=bool(step.get("attrsonly")),
            deref=DEREF[step.get("deref", "never")],
            controls=controls,
        )

    def search(self, step: dict[str, Any]) -> dict[str, Any]:
        answer = self.searched(step, controls_of(step))
        failed = fails(answer)
        if failed is not None:
            is_cut = answer.code == ResultCode.SIZE_LIMIT_EXCEEDED
            return failed | ({"count": len(answer.entries)} if is_cut else {})
        found = shown_entries(answer, bool(step.get("ordered")))
        # python-ldap shows that there is a result of sorting, not which.
        return found | ({"sortresult": None} if step.get("sort") else {})

    def paged(self, step: dict[str, Any]) -> dict[str, Any]:
        size, wanted, cookie = step["size"], dict(step), b""
        pages: list[int] = []
        entries: list[Any] = []
        while True:
            value = ber.sequence((ber.integer(size), ber.octets(cookie)))
            answer = self.searched(wanted, [Control(offered.PAGED, True, value)])
            failed = fails(answer)
            if failed is not None:
                return failed
            pages.append(len(answer.entries))
            entries += answer.entries
            (_, _), (_, cookie) = ber.elements(ber.one(answer.controls[offered.PAGED] or b"", ber.SEQUENCE))
            if not cookie:
                break
            size = 0 if step.get("abandon_after") == len(pages) else step.get("change_size") or size
            cookie = b"garbage" if step.get("bad_cookie") else cookie
            wanted["filter"] = step.get("change_filter") or wanted["filter"]
        listed = sorted(map(shown_entry, entries), key=lambda found: (found[0].lower(), found[0]))
        return {"entries": listed, "pages": pages}

    def add(self, step: dict[str, Any]) -> dict[str, Any]:
        given = [(name, [octets(value) for value in values]) for name, values in step["attrs"]]
        return self.outcome(self.client.add(step["dn"], given, controls_of(step)))

    def modify(self, step: dict[str, Any]) -> dict[str, Any]:
        given = [
            (CHANGES[kind], name, [octets(value) for value in values or []]) for kind, name, values in step["mods"]
        ]
        return self.outcome(self.client.modify(step["dn"], given, controls_of(step)))

    def delete(self, step: dict[str, Any]) -> dict[str, Any]:
        return self.outcome(self.client.delete(step["dn"], controls_of(step)))

    def modrdn(self, step: dict[str, Any]) -> dict[str, Any]:
        asked = (step["dn"], step["newrdn"], bool(step["deloldrdn"]), step["newsuperior"])
        return self.outcome(self.client.rename(*asked, controls_of(step)))

    def compare(self, step: dict[str, Any]) -> dict[str, Any]:
        answer = self.client.compare(step["dn"], step["attr"], octets(step["value"]), controls_of(step))
        return fails(answer) or {"compare": answer.code == ResultCode.COMPARE_TRUE}

    def passwd(self, step: dict[str, Any]) -> dict[str, Any]:
        given = [(0x80, step["user"]), (0x81, step["old"]), (0x82, step["new"])]
        value = ber.sequence(ber.octets(text.encode(), tag) for tag, text in given if text is not None)
        answer = self.client.extended(offered.CHANGE_PASSWORD, value)
        return fails(answer) or ({"generated": 0x8B in answer.more} if step.get("gen") else {})

    def extop(self, step: dict[str, Any]) -> dict[str, Any]:
        return fails(self.client.extended(step["oid"], step["value"])) or {}

    def cancel_unknown(self, step: dict[str, Any]) -> dict[str, Any]:
        return fails(self.client.extended(offered.CANCEL, ber.sequence((ber.integer(9999),)))) or {}


@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda case: case["id"])
def test_slapd_and_the_fake_answer_alike(case: dict[str, Any]) -> None:
    directory = Directory(SUFFIX, root_dn=ROOT, schema=SCHEMA, access=RULES)
    root = directory.identity(directory.root_dn)
    for dn, attributes in RECORDED["meta"]["seed"]:
        directory.add(root, dn, [(name, [octets(value) for value in values]) for name, values in attributes])
    client = Client.of(Session(directory))
    assert client.bind(*PEOPLE[case["bind"]]).code == 0
    replay = Replay(client)
    expected = [{key: value for key, value in step.items() if key != "info"} for step in case["expect"]]
    assert [replay.do(step) for step in case["steps"]] == expected
