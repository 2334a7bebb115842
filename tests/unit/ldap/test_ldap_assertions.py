import pytest
from directory_kit import PEOPLE, SUFFIX, person

from nova_fakes.ldap.access import Identity
from nova_fakes.ldap.assertions import assert_content, assert_entry, assert_no_entry
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.ldif import dump, load
from nova_fakes.ldap.options import Change, Modification

ANN = f"uid=ann,{PEOPLE}"


def test_what_is_so_passes(directory: Directory) -> None:
    assert_entry(directory, ANN)
    assert_entry(directory, ANN.upper(), {"cn": ["ANN"], "mail": [], "employeeNumber": [b"9"]})
    assert_no_entry(directory, f"uid=eve,{PEOPLE}")


def test_values_compare_by_the_rule_of_their_attribute(directory: Directory) -> None:
    load(directory, f"dn: {ANN}\nchangetype: modify\nadd: cn\ncn: Ann Archer\n-\nadd: jpegPhoto\njpegPhoto:: /9g=\n-\n")
    assert_entry(directory, ANN, {"CN": ["ann  archer", "Ann"], "jpegPhoto": [b"\xff\xd8"]})
    assert_entry(directory, ANN, {"name": ["ann  archer", "Ann", "S"]})


def test_what_is_not_so_is_told_with_what_is(directory: Directory) -> None:
    with pytest.raises(AssertionError) as raised:
        assert_entry(directory, ANN, {"cn": ["Anna"], "jpegPhoto": [b"\xff"], "sn": ["S"], "rocket": ["V2"]})
    assert str(raised.value).splitlines() == [
        f"the entry {ANN} is not as expected:",
        "  cn: 'Anna' is missing",
        "  cn: 'Ann' is too much",
        "  jpegPhoto: b'\\xff' is missing",
        "  rocket: the schema has no such attribute",
    ]
    with pytest.raises(AssertionError, match=f"there is no entry uid=anna,{PEOPLE}; there is {ANN}"):
        assert_entry(directory, f"uid=anna,{PEOPLE}")
    with pytest.raises(AssertionError, match="; there are 6 others"):
        assert_entry(directory, "o=x")
    with pytest.raises(AssertionError, match=f"there should be no entry {ANN}:\ndn: {ANN}\nobjectClass: inetOrgPerson"):
        assert_no_entry(directory, ANN)


def test_the_whole_content_is_compared(directory: Directory, root: Identity) -> None:
    before = dump(directory, operational=False)
    assert_content(directory, before)
    directory.delete(root, ANN)
    directory.add(root, ANN, reversed(person("ann", employeeNumber=[b"9"], userPassword=[b"ann"])))
    assert_content(directory, before)
    directory.modify(root, ANN, [Modification(Change.REPLACE, "cn", (b"Anna",))])
    directory.delete(root, f"uid=bob,{PEOPLE}")
    with pytest.raises(AssertionError) as raised:
        assert_content(directory, before)
    lines = str(raised.value).splitlines()
    assert lines[:3] == ["the directory has other entries than expected:", "--- expected", "+++ present"]
    assert {"-cn: Ann", "+cn: Anna", f"-dn: uid=bob,{PEOPLE}"} <= set(lines)
    assert f"-dn: {SUFFIX}" not in lines
