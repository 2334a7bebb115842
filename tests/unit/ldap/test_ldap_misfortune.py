import threading
from typing import Any

import pytest
from directory_kit import PEOPLE, SUFFIX

from nova_fakes.clock import ManualClock
from nova_fakes.delays import Constant
from nova_fakes.exceptions import InvalidInput
from nova_fakes.faults import FaultRule, Faults, named_error
from nova_fakes.ldap.access import ANONYMOUS, Identity
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.filters import parse_filter
from nova_fakes.ldap.ldif import dump
from nova_fakes.ldap.misfortune import DirectoryFault
from nova_fakes.ldap.options import Change, Entries, Modification, Scope, SearchRequest
from nova_fakes.ldap.results import LdapError, ResultCode

ANN = f"uid=ann,{PEOPLE}"
EVERYBODY = SearchRequest(PEOPLE, Scope.ONE, parse_filter("(uid=*)"), ("1.1",))


def search(directory: Directory, who: Identity = ANONYMOUS, base: str = PEOPLE) -> Entries:
    return directory.search(who, SearchRequest(base, Scope.SUBTREE, parse_filter("(uid=*)"), ("1.1",)))


def fails(directory: Directory, base: str = PEOPLE, who: Identity = ANONYMOUS) -> bool:
    try:
        search(directory, who, base)
    except LdapError:
        return True
    return False


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        ("busy", ResultCode.BUSY, "busy, as a fault rule says"),
        ("unwilling: come tomorrow", ResultCode.UNWILLING_TO_PERFORM, "come tomorrow"),
        ("ldap.UNAVAILABLE: gone", ResultCode.UNAVAILABLE, "gone"),
        ("server down", ResultCode.SERVER_DOWN, "server down, as a fault rule says"),
        (LdapError(ResultCode.OTHER, "odd"), ResultCode.OTHER, "odd"),
        (OSError("disk full"), ResultCode.OTHER, "disk full"),
        (
            None,
            ResultCode.OTHER,
            f"ldap.search on {SUFFIX} fails, a fault rule says so: remove it to let the call pass",
        ),
    ],
)
def test_an_operation_ends_as_the_rule_says(directory: Directory, error: Any, code: ResultCode, text: str) -> None:
    directory.faults.add(DirectoryFault("ldap.search", error=error, times=1))
    with pytest.raises(LdapError) as raised:
        search(directory)
    assert (raised.value.code, raised.value.text) == (code, text)
    assert directory.log.assert_any("search").code == code
    assert len(search(directory).found) == 3


def test_a_rule_is_about_entries_and_about_who_asks(directory: Directory, root: Identity) -> None:
    ann = directory.bind(ANN, b"ann")
    directory.faults.add(DirectoryFault("ldap.*", dn="UID=*, ou=People, " + SUFFIX, error="busy"))
    directory.faults.add(DirectoryFault("ldap.search", identity=f"*,{PEOPLE}", error="busy"))
    directory.faults.add(DirectoryFault("ldap.modify", identity="", error="busy"))
    assert fails(directory, ANN, root)
    assert fails(directory, PEOPLE, ann)
    assert not fails(directory, PEOPLE)
    assert not fails(directory, PEOPLE, root)


def test_a_plain_fault_rule_knows_entries_as_guests(directory: Directory) -> None:
    directory.faults.add(FaultRule("ldap.search", guest="uid=ann,*", error="busy"))
    directory.faults.add(FaultRule("ldap.search", host="dc=elsewhere", error="busy"))
    assert fails(directory, ANN)
    assert not fails(directory)


def test_rules_let_pass_count_and_throw_dice(directory: Directory) -> None:
    directory.faults.add(DirectoryFault("ldap.search", error="busy", after=1, times=2))
    assert [fails(directory) for _ in range(4)] == [False, True, True, False]
    directory.faults.clear()
    directory.faults.reseed(1)
    directory.faults.add(DirectoryFault("ldap.search", error="busy", probability=0.5))
    first = [fails(directory) for _ in range(50)]
    directory.faults.reseed(1)
    assert first == [fails(directory) for _ in range(50)]
    assert 0 < sum(first) < 50


def test_a_failed_change_changes_nothing(directory: Directory, root: Identity) -> None:
    before = dump(directory)
    directory.faults.add(DirectoryFault("ldap.*", error="unavailable"))
    for attempt in (
        lambda: directory.delete(root, ANN),
        lambda: directory.modify(root, ANN, [Modification(Change.DELETE, "sn")]),
        lambda: directory.change_password(root, ANN, None, b"new"),
        lambda: directory.rename(root, ANN, "uid=eve"),
        lambda: directory.bind(ANN, b"ann"),
        lambda: directory.compare(root, ANN, "sn", b"S"),
    ):
        with pytest.raises(LdapError, match="unavailable"):
            attempt()
    assert dump(directory) == before


def test_a_search_may_break_off_on_its_way(directory: Directory, root: Identity) -> None:
    directory.faults.add(DirectoryFault("ldap.search", entries=2, error="busy"))
    directory.faults.add(DirectoryFault("ldap.search", entries=1))
    with pytest.raises(LdapError) as raised:
        directory.search(root, EVERYBODY)
    assert raised.value.code is ResultCode.BUSY
    assert [dn for dn, _ in raised.value.partial.found] == [ANN, f"uid=bob,{PEOPLE}"]
    assert directory.log.assert_any("search").entries == 2
    directory.faults.remove(directory.faults.rules[0])
    with pytest.raises(LdapError) as raised:
        directory.search(root, EVERYBODY)
    assert raised.value.code is ResultCode.SERVER_DOWN
    assert len(raised.value.partial.found) == 1


def test_an_operation_takes_its_time_by_the_clock(directory: Directory, clock: ManualClock) -> None:
    directory.faults.add(DirectoryFault("ldap.search", delay=Constant(3)))
    found: list[Entries] = []
    thread = threading.Thread(target=lambda: found.append(search(directory)))
    thread.start()
    assert clock.wait_for_sleepers()
    directory.bind(ANN, b"ann")  # others need not wait
    assert not found
    clock.advance(3)
    thread.join(10)
    assert len(found[0].found) == 3


def test_directories_may_share_rules(directory: Directory) -> None:
    faults = Faults()
    one, other = Directory(SUFFIX, faults=faults), Directory("dc=other", faults=faults)
    faults.add(DirectoryFault("ldap.bind", host="dc=other", error="busy"))
    one.bind("", b"")
    with pytest.raises(LdapError, match="busy"):
        other.bind("", b"")
    assert faults.make_error is named_error
    directory.bind("", b"")


@pytest.mark.parametrize(
    ("rule", "cure"),
    [
        ({"operation": "spawn"}, r"ldap\.search"),
        ({"operation": "ldap.search", "error": "bussy"}, "busy, "),
        ({"operation": "ldap.search", "entries": -1}, "0 or more"),
        ({"operation": "ldap.add", "entries": 1}, r"for ldap\.search"),
        ({"operation": "ldap.add", "probability": 2}, "from 0 to 1"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(rule: dict[str, Any], cure: str) -> None:
    with pytest.raises(InvalidInput, match=cure):
        DirectoryFault(**rule)
