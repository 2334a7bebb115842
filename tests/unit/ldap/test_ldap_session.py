import pytest
from directory_kit import PEOPLE, SUFFIX
from hypothesis import given
from hypothesis import strategies as st
from ldap_client import Client, entry, write_filter
from test_ldap_filters import TREES

from nova_fakes.ldap import ber, filters, messages, offered
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.filters import parse_filter
from nova_fakes.ldap.messages import Control
from nova_fakes.ldap.results import ResultCode
from nova_fakes.ldap.session import Session

ANN = f"uid=ann,{PEOPLE}"
ROOT = (f"cn=admin,{SUFFIX}", "secret")


@pytest.fixture
def session(directory: Directory) -> Session:
    return Session(directory, external="cn=peer,cn=auth")


@pytest.fixture
def client(session: Session) -> Client:
    made = Client.of(session)
    assert made.bind(*ROOT).code == 0
    return made


@given(TREES)
def test_filters_are_read_as_they_are_written(tree: filters.Filter) -> None:
    [element] = ber.elements(write_filter(tree))
    assert messages.read_filter(*element) == tree


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers(value: int) -> None:
    assert ber.to_integer(ber.one(ber.integer(value), ber.INTEGER)) == value


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_an_error(data: bytes) -> None:
    session = Session(EMPTY)
    try:
        answers = list(session.answer(data))
    except ber.BerError:
        return
    assert all(answer[0] == ber.SEQUENCE for answer in answers)


EMPTY = Directory()


def test_every_operation(client: Client) -> None:
    dora = f"uid=dora,{PEOPLE}"
    assert client.add(dora, [("objectClass", [b"account"]), ("uid", [b"dora"])]).code == 0
    assert client.modify(dora, [(0, "description", [b"x"])]).code == 0
    assert client.compare(dora, "description", b"X").code == ResultCode.COMPARE_TRUE
    assert client.compare(dora, "description", b"y").code == ResultCode.COMPARE_FALSE
    assert client.rename(dora, "uid=dorothy", True, f"ou=Groups,{SUFFIX}").code == 0
    moved = f"uid=dorothy,ou=Groups,{SUFFIX}"
    found = client.search(SUFFIX, "(description=x)", attributes=["uid"])
    assert (found.code, found.entries) == (0, [(moved, {"uid": [b"dorothy"]})])
    assert client.delete(moved).code == 0
    gone = client.delete(moved)
    assert (gone.code, gone.matched) == (ResultCode.NO_SUCH_OBJECT, f"ou=Groups,{SUFFIX}")


def test_a_size_limit_is_told(client: Client) -> None:
    answer = client.search(SUFFIX, "(uid=*)", size_limit=2)
    assert (answer.code, len(answer.entries)) == (ResultCode.SIZE_LIMIT_EXCEEDED, 2)


def page(size: int, cookie: bytes = b"") -> Control:
    return Control(offered.PAGED, True, ber.sequence((ber.integer(size), ber.octets(cookie))))


def cookie_of(controls: dict[str, bytes | None]) -> bytes:
    (_, _), (_, cookie) = ber.elements(ber.one(controls[offered.PAGED] or b"", ber.SEQUENCE))
    return cookie


REVERSED = ber.sequence(
    (ber.octets(b"uid"), ber.octets(b"caseIgnoreOrderingMatch", 0x80), ber.boolean(True, 0x81)),
)


@pytest.mark.parametrize(
    ("sorting", "found"),
    [([], ["ann", "bob", "cid"]), ([Control(offered.SORT, True, ber.sequence([REVERSED]))], ["cid", "bob", "ann"])],
)
def test_pages(client: Client, sorting: list[Control], found: list[str]) -> None:
    names: list[str] = []
    cookie = b""
    sizes = []
    while True:
        answer = client.search(PEOPLE, "(uid=*)", 1, ["1.1"], controls=[page(2, cookie), *sorting])
        names += [dn for dn, _ in answer.entries]
        sizes.append(len(answer.entries))
        cookie = cookie_of(answer.controls)
        if not cookie:
            break
    assert sizes == [2, 1]
    assert names == [f"uid={uid},{PEOPLE}" for uid in found]


def test_a_page_needs_the_last_cookie(client: Client) -> None:
    answer = client.search(PEOPLE, "(uid=*)", 1, controls=[page(2)])
    assert client.search(PEOPLE, "(uid=*)", 1, controls=[page(2, b"other")]).text == "paged results cookie is invalid"
    left = client.search(PEOPLE, "(uid=*)", 1, controls=[page(0, cookie_of(answer.controls))])
    assert (left.entries, cookie_of(left.controls)) == ([], b"")


def test_reading_before_and_after(client: Client) -> None:
    asked = ber.sequence((ber.octets(b"sn"),))
    controls = [Control(offered.PRE_READ, True, asked), Control(offered.POST_READ, True, asked)]
    answer = client.modify(ANN, [(2, "sn", [b"T"])], controls)
    read = [
        entry(ber.one(answer.controls[oid] or b"", messages.ENTRY)) for oid in (offered.PRE_READ, offered.POST_READ)
    ]
    assert read == [(ANN, {"sn": [b"S"]}), (ANN, {"sn": [b"T"]})]


def test_assertion_and_matched_values(client: Client) -> None:
    control = Control(offered.ASSERTION, True, write_filter(parse_filter("(sn=other)")))
    assert client.delete(ANN, [control]).code == ResultCode.ASSERTION_FAILED
    wanted = ber.sequence((write_filter(parse_filter("(objectClass=person)")),))
    answer = client.search(ANN, scope=0, controls=[Control(offered.MATCHED_VALUES, True, wanted)])
    assert answer.entries == [(ANN, {"objectClass": [b"inetOrgPerson"]})]


@pytest.mark.parametrize(
    ("control", "code"),
    [
        (Control("1.2.3", True), ResultCode.UNAVAILABLE_CRITICAL_EXTENSION),
        (Control("1.2.3"), ResultCode.SUCCESS),
        (Control(offered.TREE_DELETE, True), ResultCode.UNAVAILABLE_CRITICAL_EXTENSION),
        (Control(offered.PAGED, True, b"x"), ResultCode.UNAVAILABLE_CRITICAL_EXTENSION),
        (Control(offered.ASSERTION, True, b"x"), ResultCode.PROTOCOL_ERROR),
        (Control(offered.MANAGE_DSA_IT, True, b"x"), ResultCode.PROTOCOL_ERROR),
        (Control(offered.PROXIED, True, b"dn:" + ANN.encode()), ResultCode.INSUFFICIENT_ACCESS),
        (Control(offered.PROXIED, True, b"nonsense"), ResultCode.PROXIED_AUTHORIZATION_DENIED),
    ],
)
def test_controls_of_a_delete(client: Client, control: Control, code: ResultCode) -> None:
    assert client.delete(ANN, [control]).code == code


def test_who_am_i(client: Client, session: Session) -> None:
    assert client.extended(offered.WHO_AM_I).more[0x8B] == f"dn:{ROOT[0]}".encode()
    assert client.sasl("EXTERNAL").code == 0
    assert client.extended(offered.WHO_AM_I).more[0x8B] == b"dn:cn=peer,cn=auth"
    for name in ("ann", "u:ann", ANN, f"dn:{ANN}"):
        assert client.sasl("PLAIN", f"\0{name}\0ann".encode()).code == 0
        assert client.extended(offered.WHO_AM_I).more[0x8B] == f"dn:{ANN}".encode()
    assert client.sasl("PLAIN", b"\0ann\0wrong").code == ResultCode.INVALID_CREDENTIALS
    assert client.extended(offered.WHO_AM_I).more[0x8B] == b""
    assert client.sasl("GSSAPI").code == ResultCode.AUTH_METHOD_NOT_SUPPORTED


def test_a_changed_password(client: Client) -> None:
    asked = ber.sequence((ber.octets(ANN.encode(), 0x80), ber.octets(b"new", 0x82)))
    assert client.extended(offered.CHANGE_PASSWORD, asked).code == 0
    assert client.bind(ANN, "ann").code == ResultCode.INVALID_CREDENTIALS
    assert client.bind(ANN, "new").code == 0


@pytest.mark.parametrize("oid", ["1.2.3", offered.START_TLS, ""])
def test_other_extended_operations(client: Client, oid: str) -> None:
    answer = client.extended(oid)
    assert (answer.code, answer.text) == (ResultCode.PROTOCOL_ERROR, "unsupported extended operation")


def test_there_is_never_an_operation_to_cancel(client: Client) -> None:
    asked = ber.sequence((ber.integer(99),))
    assert client.extended(offered.CANCEL, asked).code == ResultCode.NO_SUCH_OPERATION


def test_unbinding_closes(session: Session) -> None:
    request = messages.write_message(1, ber.encode(messages.UNBIND, b""))
    assert list(session.answer(ber.one(request, ber.SEQUENCE))) == []
    assert session.is_closed
