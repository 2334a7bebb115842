import sqlite3
from pathlib import Path

import pytest
from directory_kit import PEOPLE, SUFFIX, person

from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap.access import Identity
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.ldif import dump, load
from nova_fakes.ldap.options import Change, Modification
from nova_fakes.ldap.results import LdapError, ResultCode
from nova_fakes.ldap.schema import Schema

ANN = f"uid=ann,{PEOPLE}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "directory.sqlite"


def opened(path: Path, schema: Schema) -> Directory:
    return Directory(SUFFIX, schema=schema, clock=ManualClock(1_800_000_000.25), persist=path)


def every_kind_of_change(directory: Directory) -> None:
    root = directory.identity(directory.root_dn)
    odd = "uid=Jürgen\\2C\\E4\\BA\\95  X"
    directory.add(root, f"{odd},{PEOPLE}", person("x", jpegPhoto=[b"\xff\x00\xfe"], **{"cn;lang-de": [b"\xc3\xbc"]}))
    directory.add(root, f"ou=New,{SUFFIX}", [("objectClass", [b"organizationalUnit"])])
    directory.rename(root, f"ou=Groups,{SUFFIX}", "ou=Old", new_superior=f"ou=New,{SUFFIX}")
    directory.rename(root, f"uid=bob,{PEOPLE}", "uid=BOB", new_superior=f"ou=Old,ou=New,{SUFFIX}")
    directory.modify(root, ANN, [Modification(Change.REPLACE, "sn", (b"T",))])
    directory.delete(root, f"uid=cid,{PEOPLE}")
    with pytest.raises(LdapError):
        directory.modify(root, ANN, [Modification(Change.REPLACE, "sn", ())])


def all_of(directory: Directory) -> tuple[str, list[bytes]]:
    return dump(directory), sorted(entry.csn() for entry in directory.entries())


def test_a_directory_is_found_again(directory: Directory, path: Path, schema: Schema) -> None:
    first = opened(path, schema)
    load(first, dump(directory))
    every_kind_of_change(first)
    before = all_of(first)
    first.close()
    second = opened(path, schema)
    assert all_of(second) == before
    root = second.identity(second.root_dn)
    assert second.bind(ANN, b"ann").dn.text == ANN
    numbers = {entry.id for entry in second.entries()}
    csns = [entry.csn() for entry in second.entries()]
    second.add(root, f"uid=dan,{PEOPLE}", person("dan"))
    (new,) = {entry for entry in second.entries() if entry.id not in numbers}
    assert new.csn() > max(csns)
    second.close()


def test_snapshots_and_resets_are_written_too(directory: Directory, path: Path, schema: Schema) -> None:
    first = opened(path, schema)
    load(first, dump(directory))
    snapshot, before = first.snapshot(), all_of(first)
    every_kind_of_change(first)
    first.reset()
    first.restore(snapshot)
    first.close()
    second = opened(path, schema)
    assert all_of(second) == before
    second.reset()
    second.close()
    third = opened(path, schema)
    assert len(third) == 0
    third.close()


def test_two_processes_cannot_have_one_file(path: Path, schema: Schema) -> None:
    first = opened(path, schema)
    with pytest.raises(InvalidInput, match="another process uses it"):
        opened(path, schema)
    first.close()
    opened(path, schema).close()


def test_what_cannot_be_written_does_not_hold(directory: Directory, path: Path, schema: Schema) -> None:
    first = opened(path, schema)
    load(first, dump(directory))
    before = all_of(first)
    first._store._file.execute("PRAGMA query_only = ON")
    root = first.identity(first.root_dn)
    with pytest.raises(LdapError, match="cannot be written") as raised:
        first.delete(root, ANN)
    assert raised.value.code is ResultCode.OTHER
    assert all_of(first) == before
    first.log.assert_none("delete", result="success")
    first.close()


def test_a_file_that_is_not_this_directorys_is_refused(tmp_path: Path, path: Path, schema: Schema) -> None:
    opened(path, schema).close()
    with pytest.raises(InvalidInput, match=r"dc=example,dc=com: give that suffix"):
        Directory("dc=other", persist=path)
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 99")
    file.close()
    with pytest.raises(InvalidInput, match="version 99"):
        opened(path, schema)
    other = tmp_path / "other"
    with sqlite3.connect(other) as file:
        file.execute("CREATE TABLE x (y)")
    file.close()
    with pytest.raises(InvalidInput, match="another program's"):
        opened(other, schema)
    text = tmp_path / "text"
    text.write_text("nothing like a database, but long enough to be taken for one" * 20)
    with pytest.raises(InvalidInput, match="give a writable file"):
        opened(text, schema)


def test_entries_that_the_schema_does_not_know_are_refused(path: Path, schema: Schema, root: Identity) -> None:
    first = opened(path, schema)
    load(first, f"dn: {SUFFIX}\nobjectClass: organization\nobjectClass: dcObject\no: x\n")
    load(first, f"dn: uid=x,{SUFFIX}\nobjectClass: posixAccount\nobjectClass: account\ncn: x\nuidNumber: 1\n"
                "gidNumber: 1\nhomeDirectory: /\n")  # fmt: skip
    first.close()
    with pytest.raises(InvalidInput, match="uidNumber: give the schema"):
        opened(path, Schema(("core", "cosine", "inetorgperson")))
    opened(path, schema).close()
