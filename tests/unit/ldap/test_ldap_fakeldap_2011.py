"""The interface of 2011, and what was wrong with it."""

import pytest

from nova_fakes.ldap import fakeldap
from nova_fakes.ldap.client.errors import CLASSES

USERS = "ou=Users,dc=example,dc=com"


@pytest.fixture
def connection():
    fakeldap.Store.instance().flushdb()
    made = fakeldap.initialize("fakeldap://localhost")
    made.simple_bind_s("cn=Manager,dc=example,dc=com", "changeme")
    yield made
    fakeldap.Store.instance().flushdb()


def add(connection, name, **more):
    attributes = {"objectclass": ["person"], "cn": [name], "sn": [name], **more}
    connection.add_s(f"cn={name},{USERS}", list(attributes.items()))


def names(found):
    return [dn.partition(",")[0] for dn, _ in found]


def test_entries_come_back_as_text_and_as_they_were_written(connection):
    add(connection, "ann", secretKey="s3", isAdmin=["FALSE"])
    (found,) = connection.search_s(f"cn=ann,{USERS}", fakeldap.SCOPE_BASE)
    expected = {"objectclass": ["person"], "cn": ["ann"], "sn": ["ann"], "secretKey": ["s3"], "isAdmin": ["FALSE"]}
    assert found == (f"cn=ann,{USERS}", expected)
    (found,) = connection.search_s(USERS, fakeldap.SCOPE_SUBTREE, "(secretKey=s3)", ["cn"])
    assert found[1] == {"cn": ["ann"]}


def test_filters_take_any_number_of_parts(connection):
    for name in ("ann", "bob", "cid"):
        add(connection, name)
    found = connection.search_s(USERS, fakeldap.SCOPE_SUBTREE, "(|(cn=ann)(cn=bob)(cn=cid))")
    assert names(found) == ["cn=ann", "cn=bob", "cn=cid"]
    found = connection.search_s(USERS, fakeldap.SCOPE_SUBTREE, "(&(objectclass=person)(cn=*)(!(cn=a*)))")
    assert names(found) == ["cn=bob", "cn=cid"]


def test_one_level_is_one_level(connection):
    add(connection, "ann")
    connection.add_s(f"cn=key,cn=ann,{USERS}", [("objectclass", ["device"]), ("cn", ["key"])])
    assert names(connection.search_s(USERS, fakeldap.SCOPE_ONELEVEL)) == ["cn=ann"]
    assert len(connection.search_s(USERS, fakeldap.SCOPE_SUBTREE)) == 2


def test_a_search_makes_nothing(connection):
    with pytest.raises(fakeldap.NO_SUCH_OBJECT):
        connection.search_s(f"cn=nobody,{USERS}", fakeldap.SCOPE_BASE)
    assert fakeldap.Store.instance().keys() == []


def test_adding_does_not_merge(connection):
    add(connection, "ann")
    with pytest.raises(fakeldap.ALREADY_EXISTS):
        add(connection, "ann", description=["again"])
    assert "description" not in fakeldap.Store.instance().hgetall(f"ldap:cn=ann,{USERS}")


def test_a_group_keeps_a_member(connection):
    dn = "cn=staff,ou=Groups,dc=example,dc=com"
    member = f"cn=ann,{USERS}"
    connection.add_s(dn, [("objectclass", ["groupOfNames"]), ("cn", ["staff"]), ("member", [member])])
    with pytest.raises(fakeldap.OBJECT_CLASS_VIOLATION):
        connection.modify_s(dn, [(fakeldap.MOD_DELETE, "member", member)])
    assert fakeldap.Store.instance().hget(f"ldap:{dn}", "member") == [member]
    with pytest.raises(fakeldap.OBJECT_CLASS_VIOLATION):
        connection.add_s("cn=empty,ou=Groups,dc=example,dc=com", [("objectclass", ["groupOfNames"]), ("cn", "empty")])


def test_changes(connection):
    add(connection, "ann")
    dn = f"cn=ann,{USERS}"
    connection.modify_s(dn, [(fakeldap.MOD_ADD, "mail", "a@b"), (fakeldap.MOD_REPLACE, "sn", ["Archer"])])
    (found,) = connection.search_s(dn, fakeldap.SCOPE_BASE, None, ["mail", "sn"])
    assert found[1] == {"sn": ["Archer"], "mail": ["a@b"]}
    connection.modify_s(dn, [(fakeldap.MOD_DELETE, "mail", None)])
    connection.modrdn_s(dn, "cn=anna")
    assert names(connection.search_s(USERS, fakeldap.SCOPE_SUBTREE)) == ["cn=anna"]
    connection.delete_s(f"cn=anna,{USERS}")
    with pytest.raises(fakeldap.NO_SUCH_OBJECT):
        connection.delete_s(f"cn=anna,{USERS}")


def test_entries_with_others_below_them_stay(connection):
    add(connection, "ann")
    connection.add_s(USERS, [("objectclass", ["organizationalUnit"]), ("ou", ["Users"])])
    with pytest.raises(CLASSES["NOT_ALLOWED_ON_NONLEAF"]):
        connection.delete_s(USERS)
    assert len(connection.search_s(USERS, fakeldap.SCOPE_SUBTREE)) == 2


def test_passwords_of_entries_are_checked(connection):
    add(connection, "ann", userPassword=["secret"])
    connection.simple_bind_s(f"cn=ann,{USERS}", "secret")
    with pytest.raises(CLASSES["INVALID_CREDENTIALS"]):
        connection.simple_bind_s(f"cn=ann,{USERS}", "wrong")


def test_a_server_that_fails(connection, monkeypatch):
    add(connection, "ann")
    monkeypatch.setattr(fakeldap, "server_fail", True)
    for call in (
        lambda: connection.simple_bind_s("", ""),
        lambda: connection.search_s(USERS, fakeldap.SCOPE_SUBTREE),
        lambda: add(connection, "bob"),
        lambda: connection.modify_s(f"cn=ann,{USERS}", []),
        lambda: connection.modrdn_s(f"cn=ann,{USERS}", "cn=bob"),
        lambda: connection.delete_s(f"cn=ann,{USERS}"),
        connection.unbind_s,
    ):
        with pytest.raises(fakeldap.SERVER_DOWN):
            call()
    monkeypatch.setattr(fakeldap, "server_fail", False)
    assert names(connection.search_s(USERS, fakeldap.SCOPE_SUBTREE)) == ["cn=ann"]
