"""What stands in for python-ldap's classes and functions where that is not installed."""

import subprocess
import sys
from importlib import import_module

import pytest

from nova_fakes.ldap.client import cidict, constants, dn, errors, filter, modlist, standins
from nova_fakes.ldap.client.standins import deref, extended, libldap, ppolicy, readentry, schema, simple, sss, vlv

WITHOUT = """
import sys
sys.modules["ldap"] = sys.modules["_ldap"] = None
import nova_fakes.ldap
from nova_fakes.ldap.client import errors, modules
assert not errors.IS_INSTALLED
with modules():
    import ldap
    import ldap.filter, ldap.modlist
    from ldap.controls.libldap import SimplePagedResultsControl
    from ldap.controls.readentry import PreReadControl
    from ldap.ldapobject import ReconnectLDAPObject
    connection = ldap.initialize("fake://memory")
    connection.add_s("dc=example,dc=com", ldap.modlist.addModlist({"objectClass": [b"domain"], "dc": [b"example"]}))
    try:
        connection.add_s("dc=example,dc=com", [("objectClass", [b"domain"]), ("dc", [b"example"])])
    except ldap.ALREADY_EXISTS as error:
        assert isinstance(error, ldap.LDAPError), error
        assert error.args[0]["desc"] == "Already exists", error
    else:
        raise AssertionError("it was added twice")
    page = SimplePagedResultsControl(True, size=1, cookie="")
    sent = connection.search_ext("dc=example,dc=com", ldap.SCOPE_SUBTREE, serverctrls=[page])
    _, found, _, (answer,) = connection.result3(sent)
    assert isinstance(answer, SimplePagedResultsControl), answer
    assert not answer.cookie and len(found) == 1
    before = PreReadControl(True, ["dc"])
    change = [(ldap.MOD_ADD, "description", [b"x"])]
    (answer,) = connection.modify_ext_s("dc=example,dc=com", change, [before])[3]
    assert answer.entry == {"dc": [b"example"]}, answer.entry
    schema = ldap.schema.SubSchema(connection.read_subschemasubentry_s(connection.search_subschemasubentry_s()))
    must, may = schema.attribute_types(["person"])
    assert {one.names[0] for one in must.values()} == {"objectClass", "cn", "sn"}
    assert ldap.filter.escape_filter_chars("a*") == "a\\\\2a"
assert sys.modules["ldap"] is None
"""


def test_the_interface_without_python_ldap():
    subprocess.run([sys.executable, "-c", WITHOUT], check=True, timeout=60)


CONTROLS = [
    ("libldap", "AssertionControl", (True, "(&(cn=a*b)(!(sn>=c))(mail:dn:caseExactMatch:=d))"), libldap),
    ("libldap", "MatchedValuesControl", (True, "((cn=a)(sn=b*))"), libldap),
    ("libldap", "MatchedValuesControl", (True, "(cn=a)"), libldap),
    ("libldap", "SimplePagedResultsControl", (True, 10, ""), libldap),
    ("libldap", "SimplePagedResultsControl", (True, 300, b"\xff\x00"), libldap),
    ("simple", "BooleanControl", ("1.2", True, True), simple),
    ("simple", "ManageDSAITControl", (True,), simple),
    ("simple", "RelaxRulesControl", (True,), simple),
    ("simple", "ProxyAuthzControl", (True, b"dn:cn=a"), simple),
    ("simple", "OctetStringInteger", ("1.2", True, 5), simple),
    ("readentry", "PreReadControl", (True, ["cn", "sn"]), readentry),
    ("sss", "SSSRequestControl", (True, ["-cn:caseIgnoreOrderingMatch", "sn"]), sss),
    ("vlv", "VLVRequestControl", (True, 1, 2, 3, 400), vlv),
    ("vlv", "VLVRequestControl", (True, 1, 2, None, None, "abc", "x"), vlv),
    ("deref", "DereferenceControl", (True, {"member": ["cn", "sn"]}), deref),
    ("ppolicy", "PasswordPolicyControl", (), ppolicy),
]
ANSWERS = [
    ("libldap", "SimplePagedResultsControl", b"0\x07\x02\x01\x05\x04\x02ab", libldap),
    ("sss", "SSSResponseControl", b"0\x03\n\x01\x10", sss),
    ("vlv", "VLVResponseControl", b"0\x0c\x02\x01\x05\x02\x01\x07\n\x01\x00\x04\x01x", vlv),
    ("ppolicy", "PasswordPolicyControl", b"0\x08\xa0\x03\x80\x01\x1e\x81\x01\x02", ppolicy),
]


@pytest.mark.parametrize(("module", "name", "arguments", "ours"), CONTROLS)
def test_requests_are_written_as_python_ldap_writes_them(module, name, arguments, ours):
    pytest.importorskip("ldap", reason="needs python-ldap to compare with")
    theirs = getattr(import_module(f"ldap.controls.{module}"), name)(*arguments)
    made = getattr(ours, name)(*arguments)
    assert made.encodeControlValue() == theirs.encodeControlValue()
    assert (made.controlType, made.criticality) == (theirs.controlType, theirs.criticality)


@pytest.mark.parametrize(("module", "name", "value", "ours"), ANSWERS)
def test_answers_are_read_as_python_ldap_reads_them(module, name, value, ours):
    pytest.importorskip("ldap", reason="needs python-ldap to compare with")
    found = []
    for kind in (getattr(import_module(f"ldap.controls.{module}"), name), getattr(ours, name)):
        control = kind()
        control.decodeControlValue(value)
        found.append({key: held for key, held in vars(control).items() if key not in ("controlType", "criticality")})
    theirs, made = found
    assert {key: made[key] for key in theirs if key in made} == theirs


def test_read_entries_and_extended_answers():
    control = readentry.PostReadControl()
    control.decodeControlValue(b"d\x12\x04\x04cn=a0\x0a0\x08\x04\x01b1\x03\x04\x01c")
    assert (control.dn, control.entry) == ("cn=a", {"b": [b"c"]})
    assert extended.PasswordModifyResponse(None, b"0\x03\x80\x01x").genPasswd == b"x"
    assert extended.RefreshResponse(None, b"0\x03\x81\x01\x09").responseTtl == 9
    assert extended.RefreshRequest(entryName="cn=a", requestTtl=9).encodedRequestValue() == (
        b"0\x09\x80\x04cn=a\x81\x01\x09"
    )


def test_what_cannot_be_written_or_read():
    with pytest.raises(errors.CLASSES["ENCODING_ERROR"]):
        libldap.AssertionControl(True, "(cn=").encodeControlValue()
    with pytest.raises(errors.CLASSES["DECODING_ERROR"]):
        libldap.SimplePagedResultsControl().decodeControlValue(b"x")
    with pytest.raises(errors.CLASSES["UNAVAILABLE_CRITICAL_EXTENSION"]):
        standins.DecodeControlTuples([("1.2.3", 1, b"")])
    assert standins.DecodeControlTuples([("1.2.3", 0, b"")]) == []
    with pytest.raises(AssertionError):
        vlv.VLVRequestControl(True)


def test_constants_and_exceptions_are_python_ldaps():
    theirs = pytest.importorskip("_ldap", reason="needs python-ldap to compare with")
    ours = {name: value for name, value in vars(constants).items() if name[0].isupper()}
    build = {"VENDOR_VERSION", "API_VERSION", "SASL_AVAIL", "TLS_AVAIL", "INIT_FD_AVAIL", "LIBLDAP_R"}
    shared = {name for name in ours if hasattr(theirs, name)} - build
    assert len(shared) > 150
    assert {name: ours[name] for name in shared} == {name: getattr(theirs, name) for name in shared}
    numbers = {name: getattr(theirs, name).errnum for name in errors.NUMBERS}
    assert numbers == errors.NUMBERS


DNS = [
    "", "cn=a", "cn=a+sn=b, dc=x", 'cn="a,b",dc=x', "cn=\\20a\\20", "cn= a b ;dc=x", "1.2.3=a", "cn=", "cn=\\,",
    "cn=a=b", "cn=ä", "cn=日本", "cn=a\\00b", "cn=\\e6\\97\\a5", "CN=Doe\\2C John,OU=Users", "cn=\\#a", "cn=a\tb",
    "cn=a,", "a", "=a", "cn=\\zz", "cn=a,,dc=b", " ", "cn=a+", "-cn=a", "cn=<",
]  # fmt: skip


@pytest.mark.parametrize("text", DNS)
def test_names_are_taken_apart_as_python_ldap_does_it(text):
    theirs = pytest.importorskip("ldap.dn", reason="needs python-ldap to compare with")

    def outcome(function, *arguments):
        try:
            return function(*arguments)
        except Exception as error:
            return type(error).__name__

    for name in ("str2dn", "explode_dn", "explode_rdn", "is_dn"):
        assert outcome(getattr(dn, name), text) == outcome(getattr(theirs, name), text)
    assert dn.escape_dn_chars(text) == theirs.escape_dn_chars(text)


def test_names_are_put_together():
    parts = [[("cn", "Doe, John", 1), ("uid", "j", 1)], [("dc", "x", 1)]]
    assert dn.dn2str(parts) == "cn=Doe\\, John+uid=j,dc=x"
    assert dn.str2dn(dn.dn2str(parts)) == parts
    assert [dn.escape_dn_chars(text) for text in (" ", "#a", " a ")] == ["\\ ", "\\#a", "\\ a\\ "]


def test_filters():
    assert filter.filter_format("(&(cn=%s)(sn=%s))", ["a*", "(b)"]) == "(&(cn=a\\2a)(sn=\\28b\\29))"
    assert filter.escape_filter_chars("aä/", 1) == "a\\e4\\2f"
    assert filter.escape_filter_chars("ab", 2) == "\\61\\62"
    wanted = "(&(cn=a)(modifyTimestamp>=19700101000000Z)(!(modifyTimestamp>=19700101000010Z)))"
    assert filter.time_span_filter("(cn=a)", 0, 10) == wanted
    for call, error in (
        (lambda: filter.escape_filter_chars(b"a"), TypeError),
        (lambda: filter.escape_filter_chars("a", 3), ValueError),
        (lambda: filter.time_span_filter("", 2, 1), ValueError),
    ):
        with pytest.raises(error):
            call()


ENTRIES = [
    ({"a": [b"1"], "b": [b"2", b"3"], "c": [b"x"]}, {"A": [b"1"], "b": [b"3"], "d": [b"n"], "e": []}),
    ({"a": [b"X"]}, {"a": [b"x"]}),
    ({}, {"a": [None, b"x"]}),
    ({"a": [b"x"]}, {"a": [None]}),
]


@pytest.mark.parametrize(("old", "new"), ENTRIES)
@pytest.mark.parametrize(
    "more", [{}, {"ignore_oldexistent": 1}, {"ignore_attr_types": ["A", "c"]}, {"case_ignore_attr_types": ["A"]}]
)
def test_changes_are_listed_as_python_ldap_lists_them(old, new, more):
    theirs = pytest.importorskip("ldap.modlist", reason="needs python-ldap to compare with")
    assert modlist.modifyModlist(old, new, **more) == theirs.modifyModlist(old, new, **more)
    assert modlist.addModlist(new, more.get("ignore_attr_types")) == theirs.addModlist(
        new, more.get("ignore_attr_types")
    )


def test_a_dictionary_without_case():
    made = cidict.cidict({"Cn": 1})
    made["CN"] = 2
    assert (dict(made), "cn" in made, made.has_key("x"), 5 in made) == ({"CN": 2}, True, False, False)
    assert made.copy() == made
    del made["cN"]
    assert len(made) == 0
    assert cidict.strlist_minus(["A", "b"], ["a"]) == ["b"]
    assert cidict.strlist_intersection(["A"], ["a", "b"]) == ["A"]
    assert sorted(cidict.strlist_union(["A"], ["a", "b"])) == ["a", "b"]


def test_the_schema():
    entry = {
        "attributeTypes": [
            b"( 1.1 NAME 'name' EQUALITY caseIgnoreMatch SYNTAX 1.3{32} )",
            b"( 1.2 NAME ( 'cn' 'commonName' ) SUP name SINGLE-VALUE )",
        ],
        "objectClasses": [
            b"( 2.0 NAME 'top' ABSTRACT MUST cn )",
            b"( 2.1 NAME 'thing' DESC 'a thing' SUP top MAY name )",
            b"( 2.2 NAME 'machine' SUP thing )",
        ],
    }
    made = schema.SubSchema(entry)
    assert made.listall(schema.ObjectClass) == ["2.0", "2.1", "2.2"]
    found = made.get_obj(schema.AttributeType, "COMMONNAME")
    assert (found.oid, found.single_value, found.syntax, made.get_syntax("cn")) == ("1.2", True, None, "1.3")
    assert made.get_obj(schema.AttributeType, "name").syntax_len == 32
    assert made.get_structural_oc(["top", "thing", "machine"]) == "2.2"
    must, may = made.attribute_types(["machine"])
    assert (list(must), list(may)) == (["1.2"], ["1.1"])
    assert made.get_obj(schema.ObjectClass, "none", default=5) == 5
    with pytest.raises(KeyError):
        made.getoid(schema.ObjectClass, "none", raise_keyerror=1)
    assert made.ldap_entry()["objectClasses"][1] == entry["objectClasses"][1].decode()
