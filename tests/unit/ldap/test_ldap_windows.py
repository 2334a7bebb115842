"""Windows on sorted entries (draft-ietf-ldapext-ldapv3-vlv-09), and transactions (RFC 5805), on one session."""

from collections.abc import Sequence

import pytest
from directory_kit import PEOPLE, person
from ldap_client import Answer, Client

from nova_fakes.ldap import ber, offered
from nova_fakes.ldap.access import Identity
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.messages import Control
from nova_fakes.ldap.results import ResultCode
from nova_fakes.ldap.session import Session

TRANSACTION = Control(offered.TRANSACTION, True, b"")


@pytest.fixture
def client(directory: Directory, root: Identity) -> Client:
    for letter in "efghij":
        directory.add(root, f"uid={letter},{PEOPLE}", person(letter, employeeNumber=[b"7"]))
    client = Client.of(Session(directory))
    client.bind(directory.root_dn.text, "secret")
    return client


def sort() -> Control:
    key = ber.sequence((ber.octets(b"uid"), ber.octets(b"caseIgnoreOrderingMatch", 0x80)))
    return Control(offered.SORT, True, ber.sequence((key,)))


def window(before: int, after: int, target: tuple[int, int] | bytes, context: bytes = b"") -> Control:
    parts = [ber.integer(before), ber.integer(after)]
    if isinstance(target, bytes):
        parts.append(ber.octets(target, 0x81))
    else:
        parts.append(ber.sequence(map(ber.integer, target), 0xA0))
    if context:
        parts.append(ber.octets(context))
    return Control(offered.VLV, True, ber.sequence(parts))


def seen(answer: Answer) -> list[str]:
    return [dn.split(",")[0].removeprefix("uid=") for dn, _ in answer.entries]


def placed(answer: Answer) -> tuple[int, int, int]:
    place, count, code, *_ = ber.elements(ber.one(answer.controls[offered.VLV_RESPONSE] or b"", ber.SEQUENCE))
    return ber.to_integer(place[1]), ber.to_integer(count[1]), ber.to_integer(code[1])


def look(client: Client, *controls: Control) -> Answer:
    return client.search(PEOPLE, "(uid=*)", 1, ["uid"], controls=controls)


@pytest.mark.parametrize(
    ("before", "after", "target", "entries", "place"),
    [
        (0, 2, (1, 0), ["ann", "bob", "cid"], 1),
        (1, 1, (4, 9), ["cid", "e", "f"], 4),
        (1, 0, (0, 0), ["i", "j"], 9),
        (0, 0, (5, 10), ["e"], 4),  # half of the way, whatever the client thinks how many there are
        (2, 1, (2, 40), ["ann", "bob"], 0),  # so near the beginning that it is no place
        (2, 1, (0, 5), ["ann", "bob"], 0),
        (1, 1, b"f", ["e", "f", "g"], 5),
        (2, 5, b"zz", ["i", "j"], 10),
    ],
)
def test_a_window_shows_a_part_of_the_sorted_entries(
    client: Client, before: int, after: int, target: tuple[int, int] | bytes, entries: Sequence[str], place: int
) -> None:
    answer = look(client, sort(), window(before, after, target))
    assert (seen(answer), placed(answer)) == (entries, (place, 9, 0))


def test_a_window_beyond_the_end_is_refused(client: Client) -> None:
    answer = look(client, sort(), window(0, 1, (10, 9)))
    assert (answer.code, placed(answer)[2]) == (ResultCode.VLV_ERROR, 77)


def test_a_context_keeps_the_entries_and_a_connection_has_five(
    client: Client, directory: Directory, root: Identity
) -> None:
    first = look(client, sort(), window(0, 1, (1, 0)))
    *_, (_, context) = ber.elements(ber.one(first.controls[offered.VLV_RESPONSE] or b"", ber.SEQUENCE))
    directory.add(root, f"uid=aaa,{PEOPLE}", person("aaa"))
    directory.delete(root, f"uid=bob,{PEOPLE}")
    assert seen(look(client, sort(), window(0, 1, (1, 0), context))) == ["ann"]
    assert seen(look(client, sort(), window(0, 1, (1, 0)))) == ["aaa", "ann"]
    codes = [look(client, sort(), window(0, 0, (1, 0))).code for _ in range(4)]
    assert codes == [0, 0, 0, ResultCode.BUSY]


def test_a_window_needs_an_order_and_no_pages(client: Client) -> None:
    paged = Control(offered.PAGED, True, ber.sequence((ber.integer(2), ber.octets(b""))))
    assert look(client, window(0, 0, (1, 0))).code == ResultCode.VLV_ERROR
    assert look(client, sort(), window(0, 0, (1, 0)), paged).code == ResultCode.UNWILLING_TO_PERFORM


def end(client: Client, commit: bool = True) -> Answer:
    return client.extended(offered.END_TRANSACTION, ber.sequence((ber.boolean(commit), ber.octets(b""))))


def begin(client: Client) -> None:
    assert client.extended(offered.START_TRANSACTION).code == 0


def test_a_transaction_is_done_when_it_ends(client: Client) -> None:
    begin(client)
    assert client.add(f"uid=new,{PEOPLE}", person("new"), [TRANSACTION]).code == 0
    assert client.modify(f"uid=new,{PEOPLE}", [(2, "sn", [b"N"])], [TRANSACTION]).code == 0
    assert client.search(f"uid=new,{PEOPLE}", scope=0).code == ResultCode.NO_SUCH_OBJECT
    assert end(client).code == 0
    assert client.search(f"uid=new,{PEOPLE}", scope=0, attributes=["sn"]).entries[0][1] == {"sn": [b"N"]}


def test_a_transaction_that_fails_leaves_nothing(client: Client) -> None:
    begin(client)
    client.delete(f"uid=ann,{PEOPLE}", [TRANSACTION])
    client.rename(f"uid=bob,{PEOPLE}", "uid=rob", True, controls=[TRANSACTION])
    failing = client.add(f"uid=cid,{PEOPLE}", person("cid"), [TRANSACTION])
    assert failing.code == 0
    answer = end(client)
    assert answer.code == ResultCode.ALREADY_EXISTS
    assert ber.to_integer(ber.one(ber.one(answer.more[0x8B], ber.SEQUENCE), ber.INTEGER)) == 5
    assert seen(look(client, sort()))[:3] == ["ann", "bob", "cid"]


def test_a_transaction_can_be_given_up(client: Client) -> None:
    begin(client)
    client.delete(f"uid=ann,{PEOPLE}", [TRANSACTION])
    assert end(client, commit=False).code == 0
    assert "ann" in seen(look(client))


def test_a_connection_has_one_transaction_at_a_time(client: Client, directory: Directory) -> None:
    assert client.delete(f"uid=ann,{PEOPLE}", [TRANSACTION]).code == ResultCode.TXN_ID_INVALID
    begin(client)
    assert client.extended(offered.START_TRANSACTION).code == ResultCode.BUSY
    client.bind(directory.root_dn.text, "secret")
    assert end(client).code == ResultCode.TXN_ID_INVALID
    begin(client)
    assert end(client).code == ResultCode.OPERATIONS_ERROR


def test_what_slapd_leaves_out_of_transactions_is_refused(client: Client) -> None:
    begin(client)
    read = Control(offered.PRE_READ, True, ber.sequence((ber.octets(b"sn"),)))
    dn = f"uid=ann,{PEOPLE}"
    assert client.delete(dn, [TRANSACTION, read]).code == ResultCode.UNWILLING_TO_PERFORM
    assert client.delete(dn, [read, TRANSACTION]).code == ResultCode.UNWILLING_TO_PERFORM
    assert client.delete(dn, [Control(offered.TRANSACTION, False, b"")]).code == ResultCode.PROTOCOL_ERROR
    assert client.search(dn, controls=[TRANSACTION]).code == ResultCode.UNAVAILABLE_CRITICAL_EXTENSION
