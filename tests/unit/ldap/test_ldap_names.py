import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_fakes.ldap.dn import InvalidDn, escape, parse_parts
from nova_fakes.ldap.schema import Schema

SCHEMA = Schema()


@pytest.mark.parametrize(
    ("text", "pretty", "key"),
    [
        ("CN=A  B, DC=x", "cn=A  B,dc=x", "cn=a b,dc=x"),
        ('cn="Doe, John" ; dc=x', r"cn=Doe\2C John,dc=x", r"cn=doe\2C john,dc=x"),
        ("sn=x+commonName=y", "cn=y+sn=x", "cn=y+sn=x"),
        ("2.5.4.3=x", "cn=x", "cn=x"),
        (r"cn=\20lead\ ", r"cn=\20lead\20", "cn=lead"),
        (r"cn=\#a", r"cn=\23a", r"cn=\23a"),
        (r"cn=\c3\84", "cn=Ä", "cn=ä"),
        (r"member=cn\=a\2C DC\=b", r"member=cn\3Da\2Cdc\3Db", r"member=cn\3Da\2Cdc\3Db"),
        ("", "", ""),
    ],
)
def test_names_are_spelled_and_compared_as_slapd_does(text: str, pretty: str, key: str) -> None:
    dn = SCHEMA.dn(text)
    assert (dn.text, dn.key) == (pretty, key)


@pytest.mark.parametrize(
    "text",
    [
        "cn",
        "=x",
        "cn=",
        'cn=a"b',
        "cn=a<b",
        "cn=a,",
        ",cn=a",
        "cn=a,,dc=b",
        "cn=a+",
        "cn=#0401ff",
        r"cn=\zz",
        'cn="x',
        "nosuch=x",
        "uidNumber=01",
        "cn=a+cn=b",
        "OID.2.5.4.3=x",
        r"cn=\ff",
        "dc=Ä",
        "member=x",
        'cn="a"b',
        "cn=\\",
    ],
)
def test_what_slapd_refuses_is_refused(text: str) -> None:
    with pytest.raises(InvalidDn):
        SCHEMA.dn(text)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_an_escaped_value_reads_as_itself(value: str) -> None:
    assert parse_parts(f"cn={escape(value)},dc=x")[0] == [("cn", value.encode())]


def test_a_name_knows_what_is_below_it() -> None:
    above, below = SCHEMA.dn("dc=b"), SCHEMA.dn("cn=a,dc=b")
    assert below.is_below(above)
    assert not above.is_below(below)
    assert not SCHEMA.dn("dc=ab").is_below(above)
    assert below.parent() == above
