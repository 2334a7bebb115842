import pytest
from directory_kit import PEOPLE, SUFFIX

from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap.access import ANONYMOUS, Identity
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.filters import parse_filter
from nova_fakes.ldap.operation_log import OperationLog
from nova_fakes.ldap.options import Change, Modification, Scope, SearchRequest
from nova_fakes.ldap.results import LdapError, ResultCode

ANN = f"uid=ann,{PEOPLE}"


@pytest.fixture
def log(directory: Directory, root: Identity, clock: ManualClock) -> OperationLog:
    """Return the log of a few operations."""
    directory.log.clear()
    directory.search(ANONYMOUS, SearchRequest(PEOPLE, Scope.ONE, parse_filter("(uid=*)"), ("cn",), size_limit=2))
    clock.advance(1)
    directory.modify(root, ANN, [Modification(Change.REPLACE, "userPassword", (b"hidden",))])
    directory.compare(root, ANN, "sn", b"S")
    with pytest.raises(LdapError):
        directory.delete(root, "uid = dan , " + PEOPLE)
    directory.bind(ANN, b"hidden")
    directory.rename(root, ANN, "uid=eve")
    return directory.log


def test_each_operation_is_there_with_its_end(log: OperationLog, clock: ManualClock) -> None:
    assert [(one.number, one.name, one.result, one.entries) for one in log] == [
        (1, "search", "size limit exceeded", 2),
        (2, "modify", "success", 0),
        (3, "compare", "compare true", 0),
        (4, "delete", "no such object", 0),
        (5, "bind", "success", 0),
        (6, "rename", "success", 0),
    ]
    assert [one.time_s - clock.now() for one in log] == [-1, 0, 0, 0, 0, 0]


def test_it_reads_well_and_tells_no_values(log: OperationLog) -> None:
    first, second, *_, last = str(log).splitlines()
    assert first == f"    1  search   {PEOPLE} by anonymous: size limit exceeded, 2 entries  one (uid=*) cn"
    assert second == f"    2  modify   {ANN} by cn=admin,{SUFFIX}: success  replace userPassword"
    assert last.endswith(": success  uid=eve")
    assert "hidden" not in str(log)


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ({"operation": "search"}, [1]),
        ({"operation": "*e*"}, [1, 3, 4, 6]),
        ({"dn": ANN.upper()}, [2, 3, 5, 6]),
        ({"dn": f"uid=dan,{PEOPLE}"}, [4]),
        ({"subtree": PEOPLE}, [1, 2, 3, 4, 5, 6]),
        ({"identity": ""}, [1, 5]),
        ({"identity": f"cn=Admin, {SUFFIX}", "operation": "modify"}, [2]),
        ({"result": "no such object"}, [4]),
        ({"result": ResultCode.SUCCESS}, [2, 5, 6]),
        ({}, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_operations_are_chosen(log: OperationLog, wanted: dict[str, str], numbers: list[int]) -> None:
    assert [one.number for one in log.matching(**wanted)] == numbers


@pytest.mark.parametrize("wanted", [{"dn": "x"}, {"result": "fine"}, {"result": 4711}, {"identity": "?"}])
def test_what_is_no_dn_or_result_is_refused(log: OperationLog, wanted: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        log.matching(**wanted)


def test_assertions_return_what_they_found(log: OperationLog) -> None:
    assert log.assert_any("modify", subtree=SUFFIX).number == 2
    assert [one.number for one in log.assert_count(2, identity="")] == [1, 5]
    log.assert_none("add")


def test_assertions_show_what_was_there_instead(log: OperationLog) -> None:
    with pytest.raises(AssertionError) as missing:
        log.assert_any("add", subtree=PEOPLE)
    assert str(missing.value).startswith(
        f"no operation was add, subtree='{PEOPLE}'\nthe last 6 of 6 operations:\n    1  search"
    )
    with pytest.raises(AssertionError) as unwanted:
        log.assert_none("delete")
    assert str(unwanted.value).splitlines()[0] == "no operation was expected to be delete; 1 were:"
    with pytest.raises(AssertionError, match=r"3 operations were expected to be bind; 1 were:\n    5  bind"):
        log.assert_count(3, "bind")
    log.clear()
    with pytest.raises(AssertionError, match="at all"):
        log.assert_any()


def test_it_keeps_no_more_than_it_shall() -> None:
    directory = Directory(keep_operations=2)
    for _ in range(3):
        directory.bind("", b"")
    assert [one.number for one in directory.log] == [2, 3]
    with pytest.raises(InvalidInput):
        Directory(keep_operations=-1)
