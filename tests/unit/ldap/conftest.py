import random

import pytest
from directory_kit import PEOPLE, SUFFIX, person

from nova_fakes.clock import ManualClock
from nova_fakes.ldap.access import Identity
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.schema import Schema


@pytest.fixture(scope="session")
def schema() -> Schema:
    return Schema()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_700_000_000)


@pytest.fixture
def directory(clock: ManualClock) -> Directory:
    made = Directory(clock=clock, rng=random.Random(1))
    root = made.bind(made.root_dn.text, b"secret")
    made.add(root, SUFFIX, [("objectClass", [b"dcObject", b"organization"]), ("dc", [b"example"]), ("o", [b"E"])])
    for unit in ("People", "Groups"):
        made.add(root, f"ou={unit},{SUFFIX}", [("objectClass", [b"organizationalUnit"]), ("ou", [unit.encode()])])
    for uid, number in (("ann", b"9"), ("bob", b"10"), ("cid", b"11")):
        made.add(root, f"uid={uid},{PEOPLE}", person(uid, employeeNumber=[number], userPassword=[uid.encode()]))
    return made


@pytest.fixture
def root(directory: Directory) -> Identity:
    return directory.bind(directory.root_dn.text, b"secret")
