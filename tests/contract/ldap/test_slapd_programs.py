"""Random programs of operations, asked of a real slapd and of the fake: they answer alike.

Result codes, matched DNs, diagnostic messages, entries with the order of their attributes and values, references,
response controls: all are compared, but what no two servers make alike, and what slapd says of parts of filters that
mean nothing. The number of a program is its seed: `Author(random.Random(number)).program(LENGTH)` writes it again.
"""

import random
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from group_programs import REFERRING, GroupAuthor
from ldap_client import Client
from programs import Author, Request
from real_slapd import running_slapd
from side_by_side import comparable, compare
from test_slapd_answers import RECORDED, ROOT, RULES, SCHEMA, SUFFIX, octets

from nova_fakes.ldap import ber, offered
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.messages import Control
from nova_fakes.ldap.session import Session

SEED = [
    (dn, [(name, [octets(value) for value in values]) for name, values in attributes])
    for dn, attributes in RECORDED["meta"]["seed"]
]
LENGTH = 30
QUICK, MANY, GROUPS = 300, 4000, 40
#: Of this one slapd 2.5.13 dies, when the transaction at its end is committed.
DEADLY = {2580}

Address = tuple[str, int]


OVERLAYS = {
    "sorting": ["sssvlv"],
    "memberof": ["memberof"],
    "refint": [f"refint; refint_attributes {' '.join(REFERRING)}"],
}
SWITCHES: dict[str, dict[str, Any]] = {
    "sorting": {},
    "memberof": {"member_of": True},
    "refint": {"integrity": REFERRING},
}
PATIENCE_S = 10.0


@pytest.fixture(scope="module")
def overlay(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", "sorting"))


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory, overlay: str) -> Iterator[Address]:
    directory, rules = tmp_path_factory.mktemp("slapd"), RECORDED["meta"]["acl"]
    with running_slapd(directory, SUFFIX, ROOT, rules, OVERLAYS[overlay]) as address:
        yield address


@pytest.fixture
def begin(slapd: Address) -> Iterator[Callable[[], Client]]:
    """Bring slapd back to the recorded entries and give a new connection to it, as often as wanted."""
    connections: list[socket.socket] = []

    def connect() -> Client:
        while connections:
            connections.pop().close()
        connections.append(socket.create_connection(slapd, 10))
        return Client.on(connections[0])

    def restore() -> Client:
        client = connect()
        assert client.bind(ROOT, "secret").code == 0
        plainly = Control(offered.MANAGE_DSA_IT)
        found = [entry[0] for entry in client.search(SUFFIX, attributes=["1.1"], controls=[plainly]).entries]
        hidden = Control(offered.SUBENTRIES, True, ber.boolean(True))
        found += [entry[0] for entry in client.search(SUFFIX, attributes=["1.1"], controls=[plainly, hidden]).entries]
        for dn in sorted(found, key=lambda dn: -SCHEMA.dn(dn).depth()):
            assert client.delete(dn, [plainly]).code == 0
        for dn, attributes in SEED:
            assert client.add(dn, attributes).code == 0
        return connect()

    yield restore
    while connections:
        connections.pop().close()


def fresh(**switches: Any) -> Client:
    directory = Directory(SUFFIX, root_dn=ROOT, schema=SCHEMA, access=RULES, **switches)
    root = directory.identity(directory.root_dn)
    for dn, attributes in SEED:
        directory.add(root, dn, attributes)
    return Client.of(Session(directory))


def differences(begin: Callable[[], Client], numbers: range) -> list[str]:
    found = []
    for number in sorted(set(numbers) - DEADLY):
        program = Author(random.Random(number)).program(LENGTH)
        found += [f"program {number} {one}" for one in compare(program, begin(), fresh())]
    return found


def test_slapd_and_the_fake_answer_programs_alike(begin: Callable[[], Client]) -> None:
    assert differences(begin, range(QUICK)) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_slapd_and_the_fake_answer_thousands_of_programs_alike(begin: Callable[[], Client]) -> None:
    assert differences(begin, range(QUICK, MANY)) == []


def settled(client: Client, request: Request, wanted: dict[str, Any]) -> dict[str, Any]:
    """Ask until the answer is the wanted one: slapd follows references a moment after it has answered."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := comparable(client.ask(request.operation), False)) != wanted and time.monotonic() < deadline:
        time.sleep(0.005)
    return found


@pytest.mark.parametrize("overlay", ["memberof", "refint"], indirect=True)
def test_slapd_and_the_fake_let_references_follow_entries_alike(overlay: str, begin: Callable[[], Client]) -> None:
    for number in range(GROUPS):
        theirs, ours = begin(), fresh(**SWITCHES[overlay])
        for place, request in enumerate(GroupAuthor(random.Random(number)).program(LENGTH)):
            answer = comparable(ours.ask(request.operation), False)
            found = settled(theirs, request, answer) if request.text == "look" else None
            found = found or comparable(theirs.ask(request.operation), False)
            assert found == answer, f"program {number} #{place} {request}"
