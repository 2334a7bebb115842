import pytest
from directory_kit import PEOPLE, SUFFIX
from hypothesis import given
from hypothesis import strategies as st

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.ldif import dump, load, read, write

ATTRIBUTES = st.dictionaries(st.sampled_from(["cn", "sn;lang-de", "x"]), st.lists(st.binary(max_size=99), min_size=1))


@given(st.lists(st.tuples(st.text("abc=, ü", min_size=1), ATTRIBUTES), max_size=3))
def test_what_is_written_is_read_again(entries: list[tuple[str, dict[str, list[bytes]]]]) -> None:
    records = [(dn, list(attributes.items())) for dn, attributes in entries]
    assert list(read(write(records))) == records


def test_comments_versions_and_folded_lines_are_read() -> None:
    text = "version: 1\n\n# a comment\ndn: cn=a,\n dc=b\nchangetype: add\ncn: a\nCN: b\n\n\n"
    assert list(read(text)) == [("cn=a,dc=b", [("cn", [b"a", b"b"])])]


@pytest.mark.parametrize(
    "text",
    ["cn: x", "dn: cn=x\nnonsense", "dn: cn=x\ncn:: ?", "dn: cn=x\ncn:< file:///x", "dn: cn=x\nchangetype: delete"],
)
def test_what_is_no_entry_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        list(read(text))


def test_a_directory_goes_through_a_file(directory: Directory) -> None:
    text = dump(directory)
    assert f"dn: uid=ann,{PEOPLE}\n" in text
    other = Directory(SUFFIX)
    assert load(other, text) == len(directory)
    assert dump(other) == text
    assert "entryUUID" not in dump(other, operational=False)
