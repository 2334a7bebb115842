import pytest

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap.results import LdapError, ResultCode
from nova_fakes.ldap.schema import Schema
from nova_fakes.ldap.syntaxes import PREFIX


def test_types_inherit_from_their_superior(schema: Schema) -> None:
    cn, name = schema.attribute("commonName"), schema.attribute("name")
    assert cn.name == "cn"
    assert cn.type.equality is name.type.equality
    assert cn.is_a(name)
    assert not name.is_a(cn)


def test_descriptions_are_one_object_however_they_are_written(schema: Schema) -> None:
    assert schema.attribute("2.5.4.13;lang-DE") is schema.attribute("Description;LANG-de")
    assert schema.attribute("description;lang-de").is_a(schema.attribute("description"))
    assert schema.attribute("description;lang-de").is_a(schema.attribute("description;lang-"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nosuch", "attribute type undefined"),
        ("cn;foo", "unrecognized option"),
        ("c n", "AttributeDescription contains inappropriate characters"),
    ],
)
def test_unknown_descriptions_are_refused_in_slapds_words(schema: Schema, name: str, text: str) -> None:
    with pytest.raises(LdapError) as caught:
        schema.attribute(name)
    assert (caught.value.code, caught.value.text) == (ResultCode.UNDEFINED_TYPE, text)


@pytest.mark.parametrize(
    ("number", "good", "bad"),
    [
        ("15", ["ä".encode()], [b"", b"\xff"]),
        ("26", [b"", b"a@b"], ["ä".encode()]),
        ("27", [b"0", b"-7", b"12"], [b"", b"01", b"-0", b"+1", b"1 "]),
        ("7", [b"TRUE"], [b"true"]),
        ("24", [b"20200229000000Z", b"202002291200+0100"], [b"20200230000000Z", b"20200229", b"2020022900Zx"]),
        ("36", [b"1 2"], [b"1-2", b""]),
        ("44", [b"a-b"], [b"a_b", b""]),
        ("11", [b"de"], [b"deu"]),
        ("12", [b"", b"cn=x"], [b"x"]),
        ("34", [b"cn=x#'01'B"], [b"x#'01'B"]),
        ("6", [b"'01'B"], [b"'2'B"]),
        ("41", [b"a$b", b"a$$b"], [rb"a\b", b"\xff"]),
    ],
)
def test_syntaxes(schema: Schema, number: str, good: list[bytes], bad: list[bytes]) -> None:
    validate = schema.syntaxes[PREFIX + number].validate
    assert validate is not None
    assert [value for value in good if not validate(value)] == []
    assert [value for value in bad if validate(value)] == []


@pytest.mark.parametrize(
    ("attribute", "one", "other", "equal"),
    [
        ("cn", b"A  b ", b"a B", True),
        ("cn", "Straße".encode(), b"strasse", False),
        ("sn", "MÜLLER".encode(), "mu\u0308ller".encode(), True),
        ("homeDirectory", b"/A", b"/a", False),
        ("telephoneNumber", b"+1 2-3", b"+123", True),
        ("x121Address", b"1 2", b"12", True),
        ("uniqueMember", b"CN=A#'1'B", b"cn=a#'1'B", True),
        ("createTimestamp", b"20200101000000Z", b"202001010000Z", True),
        ("postalAddress", b"A$b", b"a$B", True),
    ],
)
def test_equality(schema: Schema, attribute: str, one: bytes, other: bytes, equal: bool) -> None:
    type_ = schema.attribute(attribute).type
    assert (type_.key(one) == type_.key(other)) is equal


def test_schema_files_are_read_with_macros_and_continued_lines() -> None:
    text = "objectidentifier acme 1.3.6.1.4.1.99999\nattributetype ( acme:1 NAME 'rocket'\n  SUP name )\n"
    text += "objectclass ( acme:2 NAME 'launcher' SUP top\n\tAUXILIARY MUST rocket )\n"
    schema = Schema()
    schema.load(text)
    assert schema.attribute("1.3.6.1.4.1.99999.1").name == "rocket"
    assert schema.classes["launcher"].all_must[-1].name == "rocket"


def test_ldif_is_read_too() -> None:
    schema = Schema()
    schema.load("dn: cn=x,cn=schema,cn=config\ncn: x\nolcAttributeTypes: {0}( 1.2.3.4 NAME 'roc\n ket' SUP name )\n")
    assert schema.attribute("rocket").type.is_a(schema.attribute("name").type)


@pytest.mark.parametrize(
    "text",
    [
        "attributetype ( 1.2.3 NAME 'cn' SUP name )",
        "attributetype ( 1.2.3 NAME 'x' SUP nosuch )",
        "attributetype ( 1.2.3 NAME 'x' SYNTAX 1.2.3 )",
        "attributetype ( 1.2.3 NAME 'x )",
        "attributetype ( 1.2.3",
        "objectclass ( 1.2.3 NAME 'x' MUST nosuch )",
        "attributetype ( 1.2.3 NAME 'x' )",
        "nonsense",
    ],
)
def test_bad_definitions_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        Schema().load(text)
