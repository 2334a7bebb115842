"""Snapshots: back and forth, with everything that follows from the entries."""

import random

import pytest
from directory_kit import PEOPLE, SUFFIX, person
from hypothesis import given, settings
from hypothesis import strategies as st

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap.access import Identity
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.filters import Equality
from nova_fakes.ldap.history import Snapshot
from nova_fakes.ldap.ldif import dump
from nova_fakes.ldap.options import Change, Modification, Options, Scope, SearchRequest
from nova_fakes.ldap.results import LdapError, ResultCode
from nova_fakes.ldap.schema import Schema
from nova_fakes.ldap.sync_messages import SyncCookie
from nova_fakes.ldap.synchronization import Subscription

UIDS = ("a", "b", "c")
UNITS = ("ou=x", "ou=y", "ou=y,ou=x")


def found(directory: Directory, root: Identity, uid: str) -> list[str]:
    request = SearchRequest(SUFFIX, Scope.SUBTREE, Equality("uid", uid.encode()), ("1.1",))
    return sorted(dn for dn, _ in directory.search(root, request).found)


def version(directory: Directory, root: Identity) -> tuple[str, list[list[str]]]:
    """Return all that a client can see of a directory, by listing and by the index."""
    return dump(directory), [found(directory, root, uid) for uid in UIDS]


def change(directory: Directory, root: Identity, rng: random.Random) -> None:
    """Do something to the directory, or fail to."""
    uid, other = rng.choice(UIDS), rng.choice(UIDS)
    unit, target = rng.choice(UNITS), rng.choice(UNITS)
    dn = f"uid={uid},{unit},{SUFFIX}"
    steps = [
        lambda: directory.add(root, dn, person(uid)),
        lambda: directory.add(root, f"{unit},{SUFFIX}", [("objectClass", [b"organizationalUnit"])]),
        lambda: directory.delete(root, dn),
        lambda: directory.delete(root, f"{unit},{SUFFIX}", Options(tree_delete=True)),
        lambda: directory.modify(root, dn, [Modification(Change.ADD, "uid", (other.encode(),))]),
        lambda: directory.rename(root, dn, f"uid={other}", new_superior=f"{target},{SUFFIX}"),
        lambda: directory.rename(root, f"{unit},{SUFFIX}", unit.partition(",")[0], new_superior=f"{target},{SUFFIX}"),
    ]
    try:
        rng.choice(steps)()
    except LdapError:
        pass


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.sampled_from("ccccccst-"), max_size=60))
def test_any_snapshot_can_be_gone_to_in_any_order(schema: Schema, seed: int, steps: list[str]) -> None:
    rng = random.Random(seed)
    directory = Directory(SUFFIX, schema=schema, rng=rng, tree_delete=True)
    root = directory.identity(directory.root_dn)
    directory.add(root, SUFFIX, [("objectClass", [b"dcObject", b"organization"]), ("o", [b"x"])])
    kept: list[tuple[Snapshot, tuple[str, list[list[str]]]]] = []
    for step in steps:
        if step == "c":
            change(directory, root, rng)
        elif step == "s":
            kept.append((directory.snapshot(), version(directory, root)))
        elif kept:
            snapshot, expected = kept[rng.randrange(len(kept))]
            if step == "-":
                kept.remove((snapshot, expected))
            else:
                directory.restore(snapshot)
                assert version(directory, root) == expected


def test_a_reset_can_be_undone(directory: Directory, root: Identity) -> None:
    before = dump(directory)
    snapshot = directory.snapshot()
    directory.reset()
    assert len(directory) == len(directory.log) == 0
    directory.restore(snapshot)
    assert dump(directory) == before


def test_what_nobody_holds_is_not_kept(directory: Directory, root: Identity) -> None:
    snapshot = directory.snapshot()
    directory.delete(root, f"uid=ann,{PEOPLE}")
    assert len(snapshot._changes) == 1
    del snapshot
    later = directory.snapshot()
    directory.delete(root, f"uid=bob,{PEOPLE}")
    assert [entry.rdn for entry, _, _ in later._changes] == ["uid=bob"]


def test_two_directories_do_not_share_snapshots(directory: Directory) -> None:
    with pytest.raises(InvalidInput, match="this directory"):
        Directory().restore(directory.snapshot())


def test_operations_in_one_context_hold_together_or_not_at_all(directory: Directory, root: Identity) -> None:
    def work() -> None:
        with directory.operations.atomic():
            directory.delete(root, f"uid=ann,{PEOPLE}")
            directory.rename(root, f"uid=bob,{PEOPLE}", "uid=a")
            directory.delete(root, f"uid=ann,{PEOPLE}")

    before = version(directory, root)
    with pytest.raises(LdapError, match="no such object"):
        work()
    assert version(directory, root) == before


def test_a_part_that_fails_and_is_caught_is_undone_alone(directory: Directory, root: Identity) -> None:
    def part() -> None:
        with directory.operations.atomic():
            directory.delete(root, f"uid=bob,{PEOPLE}")
            directory.delete(root, f"uid=nobody,{PEOPLE}")

    with directory.operations.atomic():
        directory.delete(root, f"uid=ann,{PEOPLE}")
        with pytest.raises(LdapError):
            part()
    assert {f"uid={uid},{PEOPLE}" in dump(directory) for uid in ("bob", "cid")} == {True}
    assert f"uid=ann,{PEOPLE}" not in dump(directory)


@pytest.mark.parametrize("become", ["restore", "reset"])
def test_copies_of_a_directory_whose_entries_became_others_begin_anew(become: str) -> None:
    directory = Directory(SUFFIX, sync=True, session_log=10)
    provider, root = directory.provider, directory.identity(directory.root_dn)
    assert provider is not None
    snapshot = directory.snapshot()
    directory.add(root, SUFFIX, [("objectClass", [b"dcObject", b"organization"]), ("o", [b"x"])])
    everything = SearchRequest(SUFFIX, Scope.SUBTREE, Equality("objectClass", b"top"))
    subscription = Subscription(provider, directory.prepared(root, everything), SyncCookie(), lambda: None)
    subscription.begin()
    assert provider.csn
    directory.restore(snapshot) if become == "restore" else directory.reset()
    assert provider.csn == ""
    with pytest.raises(LdapError) as raised:
        list(subscription.take())
    assert raised.value.code is ResultCode.SYNC_REFRESH_REQUIRED
