import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap import filters
from nova_fakes.ldap.access import Identity
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.filters import parse_filter
from nova_fakes.ldap.matching import compile_filter
from nova_fakes.ldap.phonetics import metaphone
from nova_fakes.ldap.schema import Schema

NAMES = st.sampled_from(["cn", "sn;lang-de", "2.5.4.3"])
VALUES = st.binary(max_size=6)
PARTS = st.binary(min_size=1, max_size=4)
LEAVES = st.one_of(
    st.builds(filters.Equality, NAMES, VALUES),
    st.builds(filters.GreaterOrEqual, NAMES, VALUES),
    st.builds(filters.LessOrEqual, NAMES, VALUES),
    st.builds(filters.Approximate, NAMES, VALUES),
    st.builds(filters.Present, NAMES),
    st.builds(filters.Substrings, NAMES, PARTS, st.tuples(PARTS) | st.just(()), PARTS | st.none()),
    st.builds(filters.Extensible, st.just("caseExactMatch"), NAMES | st.none(), VALUES, st.booleans()),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda parts: filters.And(tuple(parts)), st.lists(inner, max_size=3)),
        st.builds(lambda parts: filters.Or(tuple(parts)), st.lists(inner, max_size=3)),
        st.builds(filters.Not, inner),
    ),
    max_leaves=6,
)


@given(TREES)
def test_what_is_written_is_read_again(tree: filters.Filter) -> None:
    assert parse_filter(str(tree)) == tree


@pytest.mark.parametrize(
    "text",
    [
        "",
        "()",
        "(=a)",
        "(cn)",
        "(cn=a",
        "cn=a)",
        r"(cn=\2)",
        "(!(cn=a)(cn=b))",
        "(!)",
        "(c n=x)",
        "(:=x)",
        "(cn=**)",
        "(cn=a**s)",
        "(oid.2.5.4.4=x)",
        "(cn:rule:=*b*)",
        "(cn:a:b:=x)",
        "(cn=a)(cn=b)",
        "(&(cn=a)",
        "(cn>=a*)",
    ],
)
def test_what_libldap_refuses_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_filter(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("uid=ANN", {"ann"}),
        ("(name=ann)", {"ann"}),
        ("(uid=a*)", {"ann"}),
        ("(uid=*i*)", {"cid"}),
        ("(cn=an *)", set()),
        ("(&(uid=*)(!(uid=bob)))", {"ann", "cid"}),
        ("(|(uid=ann)(uid=cid)(nosuch=x))", {"ann", "cid"}),
        ("(!(nosuch=x))", set()),
        ("(!(employeeNumber>=1))", set()),
        ("(!(uid=))", set()),
        ("(&(objectClass=person)(uid=bob))", {"bob"}),
        ("(structuralObjectClass=organizationalPerson)", {"ann", "bob", "cid"}),
        ("(objectClass=2.5.6.6)", {"ann", "bob", "cid"}),
        ("(uid:caseExactMatch:=ANN)", set()),
        ("(:caseExactMatch:=ann)", {"ann"}),
        ("(uid:caseIgnoreOrderingMatch:=bob)", {"ann"}),
        ("(&(objectClass=person)(ou:dn:=people))", {"ann", "bob", "cid"}),
        ("(entryDN=UID=Ann,ou=people,dc=example,dc=com)", {"ann"}),
        ("(createTimestamp>=20200101000000Z)", {"ann", "bob", "cid", None}),
        ("(cn~=Bop)", set()),
        ("(cn~=An)", {"ann"}),
        ("(!(cn:1.2.3:=x))", set()),
        ("(hasSubordinates=TRUE)", {None}),
        ("(member=*x*)", set()),
    ],
)
def test_three_valued_logic(directory: Directory, root: Identity, text: str, found: set[str | None]) -> None:
    matcher = compile_filter(parse_filter(text), directory.schema)
    uid = directory.schema.attribute("uid")
    matching = {
        entry.attributes[uid][0].decode() if uid in entry.attributes else None
        for entry in directory.entries()
        if matcher(entry, None)
    }
    assert matching == found


def test_bits_of_integers(schema: Schema, directory: Directory, root: Identity) -> None:
    group = [("objectClass", [b"posixGroup"]), ("cn", [b"g"]), ("gidNumber", [b"6"])]
    directory.add(root, "cn=g,ou=Groups,dc=example,dc=com", group)

    def matches(text: str) -> bool:
        matcher = compile_filter(parse_filter(text), directory.schema)
        return any(matcher(entry, None) for entry in directory.entries())

    assert matches("(gidNumber:integerBitAndMatch:=4)")
    assert not matches("(gidNumber:integerBitAndMatch:=5)")
    assert matches("(gidNumber:1.2.840.113556.1.4.804:=5)")
    assert matches("(gidNumber>=6)")
    assert not matches("(gidNumber>=10)")


@pytest.mark.parametrize(("word", "sound"), [("Alice", "ALS"), ("Thomas", "0MS"), ("School", "SKL"), ("Xavier", "SFR")])
def test_metaphone(word: str, sound: str) -> None:
    assert metaphone(word) == sound


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("Alice", "Alise", True),
        ("Bridge", "Brij", True),
        ("Night", "Nikt", True),
        ("Schmidt", "Skmit", True),
        ("Signed", "Sint", True),
        ("Bomba", "Bom", True),
        ("Brown", "Rown", True),
        ("Bob", "Rob", False),
        ("Berlin", "Berlinx", False),
        ("Texas", "Texs", False),
        ("Mixed", "Mixad", True),
        ("Ahab", "Ahb", False),
        ("Engineer", "Enjineer", False),
        ("Robert", "Rupert", False),
    ],
)
def test_words_that_sound_alike_to_slapd(one: str, other: str, alike: bool) -> None:
    assert (metaphone(one) == metaphone(other)) is alike
