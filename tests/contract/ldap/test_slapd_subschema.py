"""The root DSE and the subschema, asked of a real slapd and of the fake: both tell the same of them."""

import itertools
import random
from collections.abc import Callable

from ldap_client import Answer, Client
from test_slapd_answers import ROOT
from test_slapd_programs import begin, fresh, overlay, slapd

__all__ = ["begin", "overlay", "slapd"]

BASES = ("", "cn=Subschema", "CN=subschema")
DEFINITIONS = ("attributeTypes", "objectClasses", "matchingRules", "matchingRuleUse", "ldapSyntaxes")
ATTRIBUTES = (
    *DEFINITIONS, "objectClass", "structuralObjectClass", "cn", "createTimestamp", "subschemaSubentry", "entryDN",
    "namingContexts", "supportedControl", "supportedExtension", "supportedFeatures", "supportedLDAPVersion",
    "monitorContext", "configContext", "hasSubordinates", "dITContentRules", "altServer", "2.5.21.6",
)  # fmt: skip
VALUES = (
    "cn", "CN", "person", "caseIgnoreMatch", "nothing", "top", "subschema", "cn=Subschema", "dc=example,dc=com",
    "2.5.4.3", "2.5.6.6", "2.5.13.2", "1.3.6.1.4.1.1466.115.121.1.38", "1.2.3", "3", "2.05", "1cn", "c n", "TRUE",
)  # fmt: skip
SELECTIONS = (["1.1"], ["*"], ["+"], ["*", "+"], ["cn"], ["objectClass"], ["@subschema"], ["2.5.21.6"], [])
SEARCHES = 800


def part(chance: random.Random) -> str:
    name, value = chance.choice(ATTRIBUTES), chance.choice(VALUES)
    shape = chance.choice(("={}", "={}", "={}", ">={}", "~={}", "=*", "=*{}*", ":dn:={}", ":caseIgnoreMatch:={}"))
    return f"({name}{shape.format(value)})"


def wanted(chance: random.Random) -> str:
    one, other = part(chance), part(chance)
    return chance.choice((one, f"(!{one})", f"(&{one}{other})", f"(|{one}(!{other}))"))


def told(answer: Answer) -> tuple[object, ...]:
    """What both have alike: which schema is loaded, and which mechanisms there are, is their own affair."""
    return answer.code, answer.matched, answer.text, [(dn, list(held)) for dn, held in answer.entries]


def sides(begin: Callable[[], Client]) -> tuple[Client, Client]:
    both = begin(), fresh()
    for side in both:
        assert side.bind(ROOT, "secret").code == 0
    return both


def test_slapd_and_the_fake_find_the_same_of_themselves(begin: Callable[[], Client]) -> None:
    theirs, ours = sides(begin)
    chance = random.Random(0)
    for _ in range(SEARCHES):
        base, filtered, selected = chance.choice(BASES), wanted(chance), chance.choice(SELECTIONS)
        asked = {"scope": 0, "attributes": selected, "types_only": chance.random() < 0.1}
        found = [told(side.search(base, filtered, **asked)) for side in (theirs, ours)]
        assert found[0] == found[1], f"{base!r} {filtered} {asked}"


def test_slapd_and_the_fake_compare_alike(begin: Callable[[], Client]) -> None:
    theirs, ours = sides(begin)
    for base, name, value in itertools.product(("", "cn=Subschema", "dc=example,dc=com"), ATTRIBUTES, VALUES):
        answers = [side.compare(base, name, value.encode()) for side in (theirs, ours)]
        assert told(answers[0]) == told(answers[1]), f"{base!r} {name} {value}"
