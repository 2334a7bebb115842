"""Every matching rule in filters, with and without an attribute: a real slapd and the fake find the same entries."""

import socket
from collections.abc import Iterator
from itertools import product

import pytest
from ldap_client import Client
from real_slapd import running_slapd

from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.rules import MatchingRule
from nova_fakes.ldap.schema import Schema
from nova_fakes.ldap.session import Session

SUFFIX, ROOT = "dc=example,dc=com", "cn=admin,dc=example,dc=com"
WHOLE = [0, 1, -1, 5, 2**31, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**70 + 1]
TEXTS = ["alice", "Alice", "ALICE  Adams", " x ", "+1 2-3", "1 2", "é", "O=a", "o = A", "20240101000000Z", "top"]
ODD = [
    "-0", "01", "+1", "", "TRUE", "'101'B", "a$b", "1.2.3", "1.2.03", "1..2", "a#'1'B", "posixAccount", "2.5.6.0",
    "12345678-1234-1234-1234-123456789abc", "20240101000000.000000Z#000000#000#000000", "1.3.6.1.1.1.2.0",
    "( 1 )", "uid=t1,dc=example,dc=com", "dc=example,dc=com",
]  # fmt: skip
ATTRIBUTES = ("", ":dn", "uidNumber", "cn", "member", "objectClass", "supportedApplicationContext")
EVERY = sorted(set(Schema().rules.values()), key=lambda rule: rule.name)


def entries() -> Iterator[tuple[str, list[tuple[str, list[bytes]]]]]:
    yield SUFFIX, [("objectClass", [b"dcObject", b"organization"]), ("dc", [b"example"]), ("o", [b"Example"])]
    base = [("objectClass", [b"account", b"posixAccount", b"extensibleObject"]), ("homeDirectory", [b"/"])]
    for place, whole in enumerate(WHOLE):
        numbers = [("uidNumber", [b"%d" % whole]), ("gidNumber", [b"%d" % -whole])]
        yield f"uid=n{place},{SUFFIX}", [*base, ("uid", [b"n%d" % place]), ("cn", [b"n"]), *numbers]
    for place, text in enumerate(TEXTS):
        more = [("uid", [b"t%d" % place]), ("cn", [text.encode()]), ("uidNumber", [b"1"]), ("gidNumber", [b"1"])]
        if place % 2:
            more += [("supportedApplicationContext", [b"1.2.3", b"2.5.6.0"]), ("member", [b"o=a"])]
        yield f"uid=t{place},{SUFFIX}", [*base, *more]


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Client]]:
    directory = Directory(SUFFIX, root_dn=ROOT)
    with (
        running_slapd(tmp_path_factory.mktemp("slapd"), SUFFIX, ROOT, ["* by * read"], []) as address,
        socket.create_connection(address, 10) as connection,
    ):
        theirs, ours = Client.on(connection), Client.of(Session(directory))
        assert theirs.bind(ROOT, "secret").code == 0
        for dn, attributes in entries():
            assert theirs.add(dn, attributes).code == 0, dn
            directory.add(directory.identity(directory.root_dn), dn, attributes)
        yield theirs, ours


def escaped(value: str) -> str:
    return "".join(f"\\{octet:02x}" for octet in value.encode())


def found(client: Client, wanted: str) -> tuple[int, tuple[str, ...]]:
    answer = client.search(SUFFIX, wanted)
    return answer.code, tuple(sorted(dn for dn, _ in answer.entries))


def wanted(rule: MatchingRule) -> Iterator[str]:
    for value, attribute in product([*map(str, WHOLE), *TEXTS, *ODD], ATTRIBUTES):
        one = f"({attribute}:{rule.oid}:={escaped(value)})"
        yield from (one, f"(!{one})")


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.name)
def test_slapd_and_the_fake_find_alike_by_a_rule(sides: tuple[Client, Client], rule: MatchingRule) -> None:
    theirs, ours = sides
    answers = [(one, found(theirs, one), found(ours, one)) for one in wanted(rule)]
    assert [one for one in answers if one[1] != one[2]] == []
