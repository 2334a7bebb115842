import random
from collections.abc import Callable

import pytest
from directory_kit import PEOPLE, SUFFIX, person

from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap.access import ANONYMOUS, AccessRule, Identity
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.filters import parse_filter
from nova_fakes.ldap.options import NONE, Change, Deref, Entries, Modification, Options, Scope, SearchRequest, SortKey
from nova_fakes.ldap.results import LdapError, ResultCode

ANN = f"uid=ann,{PEOPLE}"
BOB = f"uid=bob,{PEOPLE}"
Attempt = Callable[[Directory, Identity], object]


def search(
    directory: Directory,
    who: Identity,
    text: str = "(objectClass=*)",
    *,
    base: str = SUFFIX,
    scope: Scope = Scope.SUBTREE,
    attributes: tuple[str, ...] = ("1.1",),
    options: Options = NONE,
    size_limit: int = 0,
    deref: Deref = Deref.NEVER,
) -> Entries:
    request = SearchRequest(base, scope, parse_filter(text), attributes, False, size_limit, deref)
    return directory.search(who, request, options)


def names(result: Entries) -> list[str]:
    return [dn.removesuffix("," + SUFFIX) for dn, _ in result.found]


def read(directory: Directory, who: Identity, dn: str, *attributes: str) -> dict[str, list[bytes]]:
    return search(directory, who, base=dn, scope=Scope.BASE, attributes=attributes).found[0][1]


def modify(change: Change, name: str, *values: bytes, dn: str = ANN, options: Options = NONE) -> Attempt:
    return lambda directory, who: directory.modify(who, dn, [Modification(change, name, values)], options)


def add(dn: str, **attributes: list[bytes]) -> Attempt:
    return lambda directory, who: directory.add(who, dn, attributes.items())


REFUSED: list[tuple[Attempt, ResultCode, str, str]] = [
    (add("x"), ResultCode.INVALID_DN_SYNTAX, "invalid DN", ""),
    (add("cn=x,dc=org", cn=[b"x"]), ResultCode.UNWILLING_TO_PERFORM, "no global superior knowledge", ""),
    (add(ANN, objectClass=[b"account"]), ResultCode.ALREADY_EXISTS, "", ""),
    (add(f"uid=x,ou=No,{SUFFIX}", objectClass=[b"account"]), ResultCode.NO_SUCH_OBJECT, "", SUFFIX),
    (
        add(f"cn=x,{PEOPLE}", objectClass=[b"person"]),
        ResultCode.OBJECT_CLASS_VIOLATION,
        "object class 'person' requires attribute 'sn'",
        "",
    ),
    (
        add(f"cn=x,{PEOPLE}", objectClass=[b"person"], sn=[b"x"], mail=[b"x"]),
        ResultCode.OBJECT_CLASS_VIOLATION,
        "attribute 'mail' not allowed",
        "",
    ),
    (
        add(f"cn=x,{PEOPLE}", objectClass=[b"posixAccount"]),
        ResultCode.OBJECT_CLASS_VIOLATION,
        "no structural object class provided",
        "",
    ),
    (
        modify(Change.ADD, "objectClass", b"device"),
        ResultCode.OBJECT_CLASS_VIOLATION,
        "invalid structural object class chain (inetOrgPerson/device)",
        "",
    ),
    (
        modify(Change.REPLACE, "objectClass", b"person"),
        ResultCode.NO_OBJECT_CLASS_MODS,
        "structural object class modification from 'inetOrgPerson' to 'person' not allowed",
        "",
    ),
    (
        modify(Change.ADD, "cn", b"ANN"),
        ResultCode.TYPE_OR_VALUE_EXISTS,
        "modify/add: cn: value #0 already exists",
        "",
    ),
    (
        modify(Change.DELETE, "uid", b"ann"),
        ResultCode.NAMING_VIOLATION,
        "naming attribute 'uid' is not present in entry",
        "",
    ),
    (
        modify(Change.DELETE, "l"),
        ResultCode.NO_SUCH_ATTRIBUTE,
        "modify/delete: l: no such attribute",
        "",
    ),
    (
        modify(Change.REPLACE, "entryUUID", b"6d3e5c4e-0000-1000-8000-000000000000"),
        ResultCode.CONSTRAINT_VIOLATION,
        "entryUUID: no user modification allowed",
        "",
    ),
    (
        modify(Change.INCREMENT, "cn", b"1"),
        ResultCode.CONSTRAINT_VIOLATION,
        "cn: attribute syntax inappropriate for increment",
        "",
    ),
    (modify(Change.ADD, "l"), ResultCode.PROTOCOL_ERROR, "modify/add operation requires values", ""),
    (
        lambda d, w: d.delete(w, PEOPLE),
        ResultCode.NOT_ALLOWED_ON_NONLEAF,
        "subordinate objects must be deleted first",
        "",
    ),
    (lambda d, w: d.delete(w, f"cn=x,{ANN}"), ResultCode.NO_SUCH_OBJECT, "", ANN),
    (lambda d, w: d.rename(w, ANN, "uid=bob"), ResultCode.ALREADY_EXISTS, "", ""),
    (lambda d, w: d.rename(w, ANN, "nope"), ResultCode.INVALID_DN_SYNTAX, "invalid new RDN", ""),
    (
        lambda d, w: d.rename(w, PEOPLE, "ou=People", new_superior=ANN),
        ResultCode.UNWILLING_TO_PERFORM,
        "cannot place an entry below itself",
        "",
    ),
    (
        lambda d, w: d.rename(w, SUFFIX, "dc=x"),
        ResultCode.AFFECTS_MULTIPLE_DSAS,
        "cannot rename between DSAs",
        "",
    ),
    (lambda d, w: d.compare(w, ANN, "l", b"x"), ResultCode.NO_SUCH_ATTRIBUTE, "", ""),
    (
        lambda d, w: d.compare(w, ANN, "jpegPhoto", b"x"),
        ResultCode.INAPPROPRIATE_MATCHING,
        "inappropriate matching request",
        "",
    ),
    (lambda d, w: d.bind(ANN, b"wrong"), ResultCode.INVALID_CREDENTIALS, "", ""),
    (lambda d, w: search(d, w, base="dc=org"), ResultCode.NO_SUCH_OBJECT, "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("attempt", "code", "text", "matched"), REFUSED)
def test_refused_as_slapd_refuses(
    directory: Directory, root: Identity, attempt: Attempt, code: ResultCode, text: str, matched: str
) -> None:
    before = {entry: entry.attributes for entry in directory.entries()}
    with pytest.raises(LdapError) as caught:
        attempt(directory, root)
    assert (caught.value.code, caught.value.text, caught.value.matched) == (code, text, matched)
    assert {entry: entry.attributes for entry in directory.entries()} == before


def test_an_entry_gets_the_values_of_its_name_and_operational_attributes(
    directory: Directory, root: Identity, clock: ManualClock
) -> None:
    clock.advance(60)
    directory.add(root, f"uid=dora+cn=D,{PEOPLE}", [("objectClass", [b"inetOrgPerson"]), ("sn", [b"x"])])
    found = read(directory, root, f"cn=d+uid=Dora,{PEOPLE}", "*", "+")
    assert (found["cn"], found["uid"]) == ([b"D"], [b"dora"])
    assert found["entryDN"] == [f"cn=D+uid=dora,{PEOPLE}".encode()]
    assert found["createTimestamp"] == found["modifyTimestamp"] == [b"20231114221420Z"]
    assert found["creatorsName"] == [directory.root_dn.text.encode()]
    assert found["structuralObjectClass"] == [b"inetOrgPerson"]


def test_identifiers_follow_from_the_generator() -> None:
    def identifier(seed: int) -> bytes:
        made = Directory(rng=random.Random(seed))
        root = made.bind(made.root_dn.text, b"secret")
        made.add(root, SUFFIX, [("objectClass", [b"dcObject", b"organization"]), ("o", [b"x"])])
        return read(made, root, SUFFIX, "entryUUID")["entryUUID"][0]

    assert identifier(1) == identifier(1) != identifier(2)


@pytest.mark.parametrize(
    ("scope", "found"),
    [
        (Scope.BASE, ["ou=People"]),
        (Scope.ONE, ["uid=ann,ou=People", "uid=bob,ou=People", "uid=cid,ou=People"]),
        (Scope.SUBTREE, ["ou=People", "uid=ann,ou=People", "uid=bob,ou=People", "uid=cid,ou=People"]),
        (Scope.SUBORDINATES, ["uid=ann,ou=People", "uid=bob,ou=People", "uid=cid,ou=People"]),
    ],
)
def test_scopes(directory: Directory, root: Identity, scope: Scope, found: list[str]) -> None:
    assert names(search(directory, root, base=PEOPLE, scope=scope)) == found
    assert names(search(directory, root, "(|(uid=*)(ou=*))", base=PEOPLE, scope=scope)) == found


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ((), {"objectClass", "uid", "cn", "sn", "employeeNumber", "userPassword"}),
        (("1.1",), set()),
        (("CN", "1.1"), {"cn"}),
        (("name",), {"cn", "sn"}),
        (("@account",), {"objectClass", "uid"}),
        (("+",), {"structuralObjectClass", "entryUUID", "creatorsName", "createTimestamp", "entryCSN", "modifiersName"}
         | {"modifyTimestamp", "entryDN", "subschemaSubentry", "hasSubordinates"}),
        (("entryDN", "sn"), {"entryDN", "sn"}),
    ],
)  # fmt: skip
def test_attributes_that_are_asked_for(
    directory: Directory, root: Identity, asked: tuple[str, ...], found: set[str]
) -> None:
    assert set(read(directory, root, ANN, *asked)) == found


def test_a_subtree_moves_with_its_entries(directory: Directory, root: Identity) -> None:
    directory.rename(root, PEOPLE, "ou=Folk", new_superior=f"ou=Groups,{SUFFIX}")
    assert names(search(directory, root, "(uid=ann)")) == ["uid=ann,ou=Folk,ou=Groups"]
    assert read(directory, root, f"ou=Folk,ou=Groups,{SUFFIX}", "ou") == {"ou": [b"Folk"]}
    with pytest.raises(LdapError):
        read(directory, root, PEOPLE)


def test_the_old_name_may_stay_as_a_value(directory: Directory, root: Identity) -> None:
    directory.rename(root, ANN, "uid=anna", delete_old=False)
    assert read(directory, root, f"uid=anna,{PEOPLE}", "uid") == {"uid": [b"ann", b"anna"]}


def test_indexes_follow_every_change(directory: Directory, root: Identity) -> None:
    assert names(search(directory, root, "(sn=s)")) == [f"uid={uid},ou=People" for uid in ("ann", "bob", "cid")]
    directory.modify(root, ANN, [Modification(Change.REPLACE, "sn", (b"T", b"U"))])
    directory.delete(root, BOB)
    directory.add(root, f"uid=eve,{PEOPLE}", person("eve"))
    assert names(search(directory, root, "(sn=s)")) == ["uid=cid,ou=People", "uid=eve,ou=People"]
    assert names(search(directory, root, "(sn=t*)")) == ["uid=ann,ou=People"]
    directory.modify(root, ANN, [Modification(Change.DELETE, "sn", (b"T",))])
    assert names(search(directory, root, "(sn=t)")) == []
    assert names(search(directory, root, "(name=u)")) == ["uid=ann,ou=People"]


def test_limits_cut_and_say_so(directory: Directory, root: Identity) -> None:
    result = search(directory, root, "(uid=*)", size_limit=2)
    assert (len(result.found), result.is_cut) == (2, True)
    assert not search(directory, root, "(uid=*)", size_limit=3).is_cut
    directory.size_limit = 1
    assert search(directory, ANONYMOUS, "(uid=*)", size_limit=2).is_cut
    assert not search(directory, root, "(uid=*)").is_cut


def test_assertion_and_reading_before_and_after(directory: Directory, root: Identity) -> None:
    options = Options(assertion=parse_filter("(sn=S)"), pre_read=("sn",), post_read=("sn",))
    change = [Modification(Change.REPLACE, "sn", (b"T",))]
    outcome = directory.modify(root, ANN, change, options)
    assert (outcome.pre_read, outcome.post_read) == ((ANN, {"sn": [b"S"]}), (ANN, {"sn": [b"T"]}))
    with pytest.raises(LdapError) as caught:
        directory.modify(root, ANN, change, options)
    assert caught.value.code is ResultCode.ASSERTION_FAILED


def test_permissive_changes(directory: Directory, root: Identity) -> None:
    modify(Change.ADD, "cn", b"ann", b"new", options=Options(permissive=True))(directory, root)
    modify(Change.DELETE, "l", options=Options(permissive=True))(directory, root)
    assert read(directory, root, ANN, "cn") == {"cn": [b"Ann", b"new"]}


def test_a_tree_is_deleted_where_that_is_offered(directory: Directory, root: Identity) -> None:
    options = Options(tree_delete=True)
    with pytest.raises(LdapError):
        directory.delete(root, PEOPLE, options)
    directory.tree_delete = True
    directory.delete(root, PEOPLE, options)
    assert names(search(directory, root, "(uid=ann)")) == []
    assert len(directory) == 2


def test_sorting(directory: Directory, root: Identity) -> None:
    by_rule = SortKey("uid", "caseIgnoreOrderingMatch", reverse=True)
    found = names(search(directory, root, "(uid=*)", options=Options(sort=(by_rule,))))
    assert found == [f"uid={uid},ou=People" for uid in ("cid", "bob", "ann")]
    with pytest.raises(LdapError) as caught:
        search(directory, root, options=Options(sort=(SortKey("uid"),)))
    assert caught.value.code is ResultCode.INAPPROPRIATE_MATCHING


def test_matched_values(directory: Directory, root: Identity) -> None:
    modify(Change.ADD, "cn", b"zoe")(directory, root)
    options = Options(matched_values=(parse_filter("(cn=z*)"),))
    result = search(directory, root, base=ANN, scope=Scope.BASE, attributes=("cn", "sn"), options=options)
    assert result.found == [(ANN, {"cn": [b"zoe"]})]


def test_an_approximate_filter_matches_no_values(directory: Directory, root: Identity) -> None:
    options = Options(matched_values=(parse_filter("(cn~=ann)"), parse_filter("(sn=S)")))
    result = search(directory, root, base=ANN, scope=Scope.BASE, attributes=("cn", "sn"), options=options)
    assert result.found == [(ANN, {"sn": [b"S"]})]


def test_referrals(directory: Directory, root: Identity) -> None:
    managed = Options(manage_dsa_it=True)
    given = {"objectClass": [b"referral", b"extensibleObject"], "ou": [b"R"], "ref": [b"ldap://other/dc=x"]}
    directory.add(root, f"ou=R,{SUFFIX}", given.items(), managed)
    with pytest.raises(LdapError) as caught:
        directory.delete(root, f"cn=a,ou=R,{SUFFIX}")
    assert (caught.value.code, caught.value.referrals) == (ResultCode.REFERRAL, ("ldap://other/cn=a,dc=x",))
    assert search(directory, root, "(uid=ann)").references == [["ldap://other/dc=x??sub"]]
    assert search(directory, root, "(uid=ann)", options=managed).references == []
    assert names(search(directory, root, "(ou=R)", options=managed)) == ["ou=R"]


def test_aliases(directory: Directory, root: Identity) -> None:
    given = {"objectClass": [b"alias", b"extensibleObject"], "aliasedObjectName": [ANN.encode()]}
    directory.add(root, f"cn=ali,{SUFFIX}", given.items())
    base = f"cn=ali,{SUFFIX}"
    assert names(search(directory, root, base=base, scope=Scope.BASE)) == ["cn=ali"]
    assert names(search(directory, root, base=base, scope=Scope.BASE, deref=Deref.FINDING)) == ["uid=ann,ou=People"]
    found = names(search(directory, root, scope=Scope.ONE, deref=Deref.SEARCHING))
    assert found == ["ou=People", "ou=Groups", "uid=ann,ou=People"]
    directory.delete(root, ANN)
    with pytest.raises(LdapError) as caught:
        search(directory, root, base=base, scope=Scope.BASE, deref=Deref.ALWAYS)
    assert (caught.value.code, caught.value.text) == (ResultCode.ALIAS_PROBLEM, "aliasedObject not found")


def test_changing_a_password(directory: Directory, root: Identity) -> None:
    made = directory.change_password(root, ANN, b"ann", None)
    assert made is not None
    assert directory.bind(ANN, made).dn.text == ANN
    assert read(directory, root, ANN, "userPassword")["userPassword"][0].startswith(b"{SSHA}")
    with pytest.raises(LdapError) as caught:
        directory.change_password(ANONYMOUS, ANN, made, b"x")
    assert caught.value.code is ResultCode.STRONGER_AUTH_REQUIRED


RULES = (
    AccessRule((("self", "write"), ("anonymous", "auth")), frozenset({"userPassword"})),
    AccessRule((("users", "write"), ("*", "read")), subtree=f"ou=Groups,{SUFFIX}"),
    AccessRule((("*", "read"),)),
)


def test_access_rules(clock: ManualClock, directory: Directory) -> None:
    made = Directory(schema=directory.schema, clock=clock, access=RULES)
    made.root, directory.root = directory.root, None
    ann = made.bind(ANN, b"ann")
    assert read(made, ann, ANN, "userPassword") == {"userPassword": [b"ann"]}
    assert read(made, ann, BOB, "userPassword") == {}
    assert names(search(made, ann, "(userPassword=*)")) == ["uid=ann,ou=People"]
    assert names(search(made, ANONYMOUS, "(!(userPassword=*))")) == []
    group = [("objectClass", [b"organizationalRole"]), ("cn", [b"r"])]
    made.add(ann, f"cn=r,ou=Groups,{SUFFIX}", group)
    with pytest.raises(LdapError) as caught:
        made.add(ann, f"cn=r,{PEOPLE}", group)
    assert (caught.value.code, caught.value.text) == (ResultCode.INSUFFICIENT_ACCESS, "no write access to parent")
    made.change_password(ann, None, b"ann", b"new")
    assert made.bind(ANN, b"new").dn.text == ANN


@pytest.mark.parametrize(
    ("text", "rule"),
    list(
        zip(
            (
                "to attrs=userPassword by self write by anonymous auth",
                f'access to dn.subtree="ou=Groups,{SUFFIX}" by users write by * read',
                "to * by * read",
            ),
            RULES,
            strict=True,
        )
    ),
)
def test_access_rules_are_read_as_slapd_writes_them(text: str, rule: AccessRule) -> None:
    assert AccessRule.parse(text) == rule
    both = AccessRule.parse(f'to dn.subtree="{PEOPLE}" attrs=mail,cn by dn.exact="{ANN}" write')
    assert both == AccessRule(((ANN, "write"),), frozenset({"mail", "cn"}), PEOPLE)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "to WHAT by WHO LEVEL"),
        ("to *", "to WHAT by WHO LEVEL"),
        ("to * by self", "to WHAT by WHO LEVEL"),
        ("to by * read", "to WHAT by WHO LEVEL"),
        ('to dn.subtree="dc=x by * read', "close what is quoted"),
        ("to filter=(uid=*) by * read", "dn.subtree"),
        ("to * by group=cn=x read", "dn.exact"),
        ("to * by * everything", "a level is one of"),
    ],
)
def test_an_access_rule_that_says_nothing_known_is_refused(text: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        AccessRule.parse(text)


def test_root_dse_and_subschema(directory: Directory, root: Identity) -> None:
    assert read(directory, ANONYMOUS, "", "namingContexts") == {"namingContexts": [SUFFIX.encode()]}
    assert set(read(directory, ANONYMOUS, "")) == {"objectClass"}
    classes = read(directory, root, "cn=subschema", "objectClasses")["objectClasses"]
    assert any(b"'inetOrgPerson'" in value for value in classes)


def test_schema_checks_can_be_left_out(clock: ManualClock) -> None:
    lenient = Directory(clock=clock, check_schema=False)
    root = lenient.bind(lenient.root_dn.text, b"secret")
    lenient.add(root, SUFFIX, [("mail", [b"x"])])
    found = search(lenient, root, "(mail=*)", attributes=()).found
    assert found == [(SUFFIX, {"mail": [b"x"], "dc": [b"example"]})]


def test_a_suffix_is_a_dn() -> None:
    with pytest.raises(InvalidInput):
        Directory("nonsense")
