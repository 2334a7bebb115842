"""Fault rules of a directory as clients in the same process meet them."""

import threading
from collections.abc import Iterator

import pytest
from directory_kit import PEOPLE, SUFFIX

import nova_fakes.ldap as ldap
from nova_fakes.clock import ManualClock
from nova_fakes.delays import Constant
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.misfortune import DirectoryFault
from nova_fakes.ldap.registry import Registry

URI = "ldap://directory"
ANN = f"uid=ann,{PEOPLE}"


@pytest.fixture
def connection(directory: Directory) -> Iterator[ldap.ldapobject.SimpleLDAPObject]:
    with Registry() as registry:
        registry.put(URI, directory)
        made = ldap.initialize(URI)
        made.simple_bind_s(f"cn=admin,{SUFFIX}", "secret")
        yield made


def test_result_codes_are_python_ldaps_exceptions(
    directory: Directory, connection: ldap.ldapobject.SimpleLDAPObject
) -> None:
    directory.faults.add(DirectoryFault("ldap.search", error="busy: later", times=1))
    directory.faults.add(DirectoryFault("ldap.delete", error="unwilling"))
    with pytest.raises(ldap.BUSY) as raised:
        connection.search_s(PEOPLE, ldap.SCOPE_ONELEVEL)
    assert raised.value.args[0]["info"] == "later"
    with pytest.raises(ldap.UNWILLING_TO_PERFORM):
        connection.delete_s(ANN)
    assert len(connection.search_s(PEOPLE, ldap.SCOPE_ONELEVEL)) == 3


def test_a_server_that_is_down_comes_back(directory: Directory, connection: ldap.ldapobject.SimpleLDAPObject) -> None:
    directory.faults.add(DirectoryFault("ldap.search", error="server down", times=1))
    with pytest.raises(ldap.SERVER_DOWN):
        connection.search_s(PEOPLE, ldap.SCOPE_ONELEVEL)
    assert len(connection.search_s(PEOPLE, ldap.SCOPE_ONELEVEL)) == 3


def test_a_search_breaks_off_after_some_entries(
    directory: Directory, connection: ldap.ldapobject.SimpleLDAPObject
) -> None:
    directory.faults.add(DirectoryFault("ldap.search", entries=2))
    number = connection.search(PEOPLE, ldap.SCOPE_ONELEVEL)
    assert [connection.result(number, all=0)[1][0][0] for _ in range(2)] == [ANN, f"uid=bob,{PEOPLE}"]
    with pytest.raises(ldap.SERVER_DOWN):
        connection.result(number, all=0)
    with pytest.raises(ldap.SERVER_DOWN):
        connection.search_s(PEOPLE, ldap.SCOPE_ONELEVEL)


def in_thread(work: object, clock: ManualClock, *advances: float) -> list[object]:
    """Run something that waits by the clock, and advance that as often as it waits."""
    results: list[object] = []

    def run() -> None:
        try:
            results.append(work())
        except ldap.LDAPError as error:
            results.append(type(error))

    thread = threading.Thread(target=run)
    thread.start()
    for duration_s in advances:
        assert clock.wait_for_sleepers()
        clock.advance(duration_s)
    thread.join(10)
    return results


def test_a_slow_operation_lets_a_client_wait_or_give_up(
    directory: Directory, connection: ldap.ldapobject.SimpleLDAPObject, clock: ManualClock
) -> None:
    directory.faults.add(DirectoryFault("ldap.search", delay=Constant(5)))
    number = connection.search(PEOPLE, ldap.SCOPE_ONELEVEL)
    assert connection.result(number, timeout=0) == (None, None)
    assert in_thread(lambda: connection.result(number, timeout=2), clock, 2) == [ldap.TIMEOUT]
    assert connection.whoami_s() == f"dn:cn=admin,{SUFFIX}"
    (result,) = in_thread(lambda: connection.result(number, timeout=4), clock, 3)
    assert len(result[1]) == 3
    assert len(in_thread(lambda: connection.search_s(PEOPLE, ldap.SCOPE_ONELEVEL), clock, 5)[0]) == 3


def test_an_abandoned_operation_is_not_done(
    directory: Directory, connection: ldap.ldapobject.SimpleLDAPObject, clock: ManualClock
) -> None:
    directory.faults.add(DirectoryFault("ldap.delete", delay=Constant(5)))
    connection.abandon(connection.delete(ANN))
    clock.advance(10)
    assert len(connection.search_s(PEOPLE, ldap.SCOPE_ONELEVEL)) == 3
    directory.log.assert_none("delete")


def test_the_log_tells_of_clients_in_process(
    directory: Directory, connection: ldap.ldapobject.SimpleLDAPObject
) -> None:
    connection.search_s(PEOPLE, ldap.SCOPE_ONELEVEL, "(uid=a*)", ["cn"])
    connection.modify_s(ANN, [(ldap.MOD_REPLACE, "sn", [b"T"])])
    directory.log.assert_any("search", dn=PEOPLE, identity=f"cn=admin,{SUFFIX}")
    directory.log.assert_count(1, "modify", dn=ANN)
