"""Searches that follow aliases, asked of a real slapd and of the fake: they find the same, as often."""

import itertools
from collections import Counter
from collections.abc import Callable

import pytest
from ldap_client import Client
from test_slapd_answers import ROOT, SUFFIX
from test_slapd_programs import begin, fresh, overlay, slapd

__all__ = ["begin", "overlay", "slapd"]

PEOPLE, GROUPS, DEEP = (f"ou={name},{SUFFIX}" for name in ("People", "Groups", "Deep"))
INNER = f"ou=L1,{DEEP}"
ALIASES = {
    "none but the recorded": (),
    "from the top": ((SUFFIX, GROUPS),),
    "to another subtree": ((DEEP, GROUPS),),
    "to a leaf": ((DEEP, f"uid=bob,{PEOPLE}"),),
    "two to one subtree": ((DEEP, GROUPS), (PEOPLE, GROUPS)),
    "to the top": ((DEEP, SUFFIX),),
    "to a part and to the whole": ((PEOPLE, INNER), (PEOPLE, DEEP)),
    "to the whole and to a part": ((PEOPLE, DEEP), (PEOPLE, INNER)),
    "one to another": ((PEOPLE, f"cn=alias1,{DEEP}"), (DEEP, GROUPS)),
    "to and fro": ((PEOPLE, DEEP), (DEEP, PEOPLE)),
}
BASES = (SUFFIX, PEOPLE, DEEP, GROUPS, f"cn=alias0,{PEOPLE}", f"cn=alias0,{SUFFIX}")
FILTERS = (
    "(objectClass=*)", "(objectClass=inetOrgPerson)", "(uid=*)", "(uid=bob)", "(!(objectClass=inetOrgPerson))",
    "(&(objectClass=inetOrgPerson)(uid=bob))", "(objectClass=organizationalUnit)", "(|(objectClass=person)(cn=*))",
    "(|(objectClass=inetOrgPerson)(objectClass=organizationalUnit))",
)  # fmt: skip
ONE, SUBTREE, SUBORDINATES = 1, 2, 3
SEARCHING, FINDING, ALWAYS = 1, 2, 3


def add_aliases(client: Client, aliases: tuple[tuple[str, str], ...]) -> None:
    assert client.bind(ROOT, "secret").code == 0
    for number, (parent, target) in enumerate(aliases):
        name = f"alias{number}"
        classes = ("objectClass", [b"alias", b"extensibleObject"])
        added = client.add(
            f"cn={name},{parent}", [classes, ("cn", [name.encode()]), ("aliasedObjectName", [target.encode()])]
        )
        assert added.code == 0


@pytest.mark.parametrize("aliases", ALIASES.values(), ids=ALIASES.keys())
def test_slapd_and_the_fake_follow_aliases_alike(
    begin: Callable[[], Client],
    aliases: tuple[tuple[str, str], ...],
) -> None:
    sides = begin(), fresh()
    for side in sides:
        add_aliases(side, aliases)
    asked = itertools.product(BASES, (ONE, SUBTREE, SUBORDINATES), (SEARCHING, FINDING, ALWAYS), FILTERS)
    for base, scope, deref, wanted in asked:
        answers = [side.search(base, wanted, scope=scope, deref=deref, attributes=["1.1"]) for side in sides]
        theirs, ours = ((one.code, one.matched, Counter(dn for dn, _ in one.entries)) for one in answers)
        assert theirs == ours, f"base={base} scope={scope} deref={deref} {wanted}"
