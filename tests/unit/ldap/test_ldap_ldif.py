from pathlib import Path

import pytest
from directory_kit import PEOPLE, SUFFIX
from hypothesis import given
from hypothesis import strategies as st

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.ldif import dump, load, read, read_changes, write, write_changes
from nova_fakes.ldap.ldif_changes import Add, Delete, Modify, Record, Rename
from nova_fakes.ldap.messages import Control
from nova_fakes.ldap.options import Change, Modification
from nova_fakes.ldap.results import LdapError, ResultCode

NAMES = st.text("abc=, ü", min_size=1)
VALUES = st.lists(st.binary(max_size=99), min_size=1)
ATTRIBUTES = st.dictionaries(st.sampled_from(["cn", "sn;lang-de", "x"]), VALUES)
CONTROLS = st.lists(
    st.builds(Control, st.sampled_from(["1.2.3", "2.16"]), st.booleans(), st.none() | st.binary(max_size=9)), max_size=2
)
CONTROL_TUPLES = CONTROLS.map(tuple)
MODIFICATIONS = st.builds(
    Modification, st.sampled_from(Change), st.sampled_from(["cn", "sn;lang-de"]), VALUES.map(tuple) | st.just(())
)
CHANGES = st.one_of(
    st.builds(Add, NAMES, ATTRIBUTES.map(lambda one: list(one.items())), controls=CONTROL_TUPLES),
    st.builds(Delete, NAMES, controls=CONTROL_TUPLES),
    st.builds(Modify, NAMES, st.lists(MODIFICATIONS, max_size=3), controls=CONTROL_TUPLES),
    st.builds(Rename, NAMES, NAMES, st.booleans(), st.none() | NAMES, controls=CONTROL_TUPLES),
)
# The examples of RFC 2849, on entries of ours.
STORY = f"""\
version: 1
# Add a new entry
dn: uid=fiona,{PEOPLE}
control: 1.2.3.4 false
changetype: add
objectclass: inetOrgPerson
cn: Fiona
sn: Jensen
description:: V2hhdCBhIGNhcmVmdWwgcmVhZGVyIHlvdSBhcmUhICBUaGlzIHZhbHVlIGlzIGJhc2U2NA=
 =
telephonenumber: +1 408 555 1212

# Delete an existing entry
dn: uid=bob,{PEOPLE}
changetype: delete

dn: uid=fiona,{PEOPLE}
changetype: modrdn
newrdn: uid=fia
deleteoldrdn: 1

dn: uid=cid,{PEOPLE}
changetype: moddn
newrdn: uid=cid
deleteoldrdn: 0
newsuperior: ou=Groups,{SUFFIX}

dn: uid=ann,{PEOPLE}
changetype: modify
add: postaladdress
postaladdress: 123 Anystreet $ Sunnyvale, CA $ 94086
-
# the comment goes
 on here
delete: userPassword
-
replace: telephonenumber
telephonenumber: +1 408 555 1234
telephonenumber: +1 408 555 5678
-
delete: employeeNumber
employeeNumber: 9
"""


@given(st.lists(st.tuples(NAMES, ATTRIBUTES), max_size=3))
def test_what_is_written_is_read_again(entries: list[tuple[str, dict[str, list[bytes]]]]) -> None:
    records = [(dn, list(attributes.items())) for dn, attributes in entries]
    assert list(read(write(records))) == records


@given(st.lists(CHANGES, max_size=4))
def test_changes_that_are_written_are_read_again(records: list[Record]) -> None:
    assert list(read_changes(write_changes(records))) == records


def test_comments_versions_and_folded_lines_are_read() -> None:
    text = "version: 1\r\n\n# a comment\n  goes on\ndn: cn=a,\n dc=b\nchangetype: add\ncn: a\n#\nCN:b\nsn:\n\n\n"
    assert list(read(text)) == [("cn=a,dc=b", [("cn", [b"a", b"b"]), ("sn", [b""])])]


@pytest.mark.parametrize(
    ("text", "line", "cure"),
    [
        ("cn: x", 1, "begins with its dn"),
        ("dn: cn=x\nnonsense", 2, "attribute: value"),
        ("\n\ndn: cn=x\ncn:: ?", 4, "base64"),
        ("dn: cn=x\ncn:< file:///x", 2, "unless it is asked for"),
        ("dn: cn=x\nchangetype: delete", 1, "not changes"),
        ("version: 2\ndn: cn=x", 1, "only version 1"),
        ("dn: cn=x\n\n cn: y", 3, "there is none"),
        ("dn: cn=x\n-", 2, "changetype: modify"),
        ("dn: cn=x\ncontrol: 1.2\ncn: x", 3, "write the changetype"),
        ("dn: cn=x\ncontrol: x\nchangetype: add", 2, "write an OID"),
        ("dn: cn=x\nchangetype: modify\nswap: cn", 3, "one of add, delete, replace, increment"),
        ("dn: cn=x\nchangetype: modify\nadd: cn\nsn: y", 4, "give values of cn"),
        ("dn: cn=x\nchangetype: move", 2, "changetype is"),
        ("dn: cn=x\nchangetype: delete\ncn: x", 3, "nothing more"),
        ("dn: cn=x\nchangetype: modrdn", 2, "give the newrdn"),
        ("dn: cn=x\nchangetype: modrdn\nnewrdn: cn=y\ndeleteoldrdn: 2", 4, "0 or 1"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(text: str, line: int, cure: str) -> None:
    with pytest.raises(InvalidInput, match=cure) as raised:
        list(read(text))
    assert raised.value.field == f"LDIF line {line}"


def test_values_are_read_from_files_where_that_is_asked_for(directory: Directory, tmp_path: Path) -> None:
    (tmp_path / "a photo").write_bytes(b"\xff\xd8")
    url = (tmp_path / "a photo").as_uri()
    text = f"dn: uid=ann,{PEOPLE}\nchangetype: modify\nreplace: jpegPhoto\njpegPhoto:< {url}\n-\n"
    assert load(directory, text, read_files=True) == 1
    assert "jpegPhoto:: /9g=\n" in dump(directory)
    for wrong in ("file:///nowhere", "http://localhost/x"):
        with pytest.raises(InvalidInput, match="LDIF line 2"):
            list(read(f"dn: cn=x\ncn:< {wrong}", read_files=True))


def test_a_story_of_changes_is_done(directory: Directory) -> None:
    assert load(directory, STORY) == 5
    entries = dict(read(dump(directory, operational=False)))
    assert f"uid=bob,{PEOPLE}" not in entries
    fia = dict(entries[f"uid=fia,{PEOPLE}"])
    assert fia["uid"] == [b"fia"]
    assert fia["description"] == [b"What a careful reader you are!  This value is base64"]
    assert f"uid=cid,ou=Groups,{SUFFIX}" in entries
    ann = dict(entries[f"uid=ann,{PEOPLE}"])
    assert ann["postalAddress"] == [b"123 Anystreet $ Sunnyvale, CA $ 94086"]
    assert ann["telephoneNumber"] == [b"+1 408 555 1234", b"+1 408 555 5678"]
    assert "employeeNumber" not in ann


def test_all_of_a_text_is_done_or_nothing(directory: Directory) -> None:
    before = dump(directory)
    with pytest.raises(LdapError) as raised:
        load(directory, f"{STORY}-\n\ndn: uid=nobody,{PEOPLE}\nchangetype: delete\n")
    assert raised.value.code is ResultCode.NO_SUCH_OBJECT
    assert raised.value.text == f"LDIF line 45, dn: uid=nobody,{PEOPLE}"
    assert dump(directory) == before


def test_a_directory_goes_through_a_file(directory: Directory) -> None:
    text = dump(directory)
    assert f"dn: uid=ann,{PEOPLE}\n" in text
    other = Directory(SUFFIX)
    assert load(other, text) == len(directory)
    assert dump(other) == text
    assert "entryUUID" not in dump(other, operational=False)


def test_loading_is_not_in_the_log(directory: Directory) -> None:
    directory.log.clear()
    load(directory, STORY)
    assert len(directory.log) == 0
