"""Code written for python-ldap, on a directory in the same process."""

import io

import pytest

import nova_fakes.ldap as ldap
from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap import registry
from nova_fakes.ldap.client.reconnecting import ReconnectLDAPObject
from nova_fakes.ldap.client.standins import libldap, readentry, sss
from nova_fakes.ldap.directory import Directory

URI = "ldap://directory.example"
BASE = "dc=example,dc=com"
ADMIN = f"cn=admin,{BASE}"


@pytest.fixture(autouse=True)
def directories():
    with ldap.Registry() as made:
        yield made


@pytest.fixture
def connection(directories):
    made = ldap.initialize(URI)
    made.add_s(BASE, [("objectClass", [b"domain"]), ("dc", b"example")])
    for name in ("ann", "bob", "cid"):
        attributes = {"objectClass": [b"person"], "sn": [name.title().encode()], "userPassword": [b"secret"]}
        made.add_s(f"cn={name},{BASE}", ldap.modlist.addModlist(attributes))
    made.simple_bind_s(ADMIN, "secret")
    return made


def names(found):
    return [dn.partition(",")[0] for dn, _ in found]


def test_who_opens_an_empty_directory_may_fill_it_until_binding(connection):
    assert connection.whoami_s() == f"dn:{ADMIN}"
    stranger = ldap.initialize(URI)
    assert stranger.whoami_s() == ""
    with pytest.raises(ldap.STRONG_AUTH_REQUIRED):
        stranger.delete_s(BASE)


def test_values_are_bytes_in_lists(connection):
    found = connection.search_s(BASE, ldap.SCOPE_ONELEVEL, "(cn=ann)", ["SN"])
    assert found == [(f"cn=ann,{BASE}", {"sn": [b"Ann"]})]
    found = connection.search_s(BASE, ldap.SCOPE_BASE, None, ["dc"], 1)
    assert found == [(BASE, {"dc": []})]


def test_an_error_says_what_python_ldap_says(connection):
    with pytest.raises(ldap.NO_SUCH_OBJECT) as caught:
        connection.delete_s(f"cn=dan,{BASE}")
    told = caught.value.args[0]
    assert told.pop("msgid") > 0
    assert told == {
        "msgtype": ldap.RES_DELETE,
        "result": 32,
        "desc": "No such object",
        "ctrls": [],
        "matched": BASE,
    }
    assert isinstance(caught.value, ldap.LDAPError)
    assert connection.get_option(ldap.OPT_MATCHED_DN) == BASE


def test_answers_one_by_one_and_all_at_once(connection):
    sent = connection.search(BASE, ldap.SCOPE_ONELEVEL, "(|(cn=ann)(cn=bob))", ["1.1"])
    kind, data, number, controls = connection.result3(sent, 0)
    assert (kind, names(data), number, controls) == (ldap.RES_SEARCH_ENTRY, ["cn=ann"], sent, [])
    assert connection.result2(sent, 0)[1] == [(f"cn=bob,{BASE}", {})]
    assert connection.result(sent, 0) == (ldap.RES_SEARCH_RESULT, [])
    assert connection.result(sent, 0, 0) == (None, None)
    with pytest.raises(ldap.TIMEOUT):
        connection.result(sent, 1, 0.1)
    first, second = connection.search(BASE, ldap.SCOPE_BASE), connection.delete(f"cn=cid,{BASE}")
    assert connection.result3(second)[:3] == (ldap.RES_DELETE, [], second)
    assert connection.result2()[2] == first


def test_what_is_abandoned_never_comes(connection):
    sent = connection.search(BASE, ldap.SCOPE_SUBTREE)
    connection.abandon(sent)
    assert connection.result(sent, 1, 0) == (None, None)
    with pytest.raises(ldap.NO_SUCH_OPERATION):
        connection.cancel_s(sent)


def test_the_size_limit_leaves_what_came_before_it(connection):
    sent = connection.search_ext(BASE, ldap.SCOPE_ONELEVEL, sizelimit=2)
    assert [connection.result(sent, 0)[0] for _ in range(2)] == [ldap.RES_SEARCH_ENTRY] * 2
    with pytest.raises(ldap.SIZELIMIT_EXCEEDED):
        connection.result(sent, 0)


def test_pages(connection):
    control = ldap.controls.SimplePagedResultsControl(True, size=2, cookie="")
    seen = []
    while True:
        sent = connection.search_ext(BASE, ldap.SCOPE_ONELEVEL, attrlist=["1.1"], serverctrls=[control])
        _, data, _, (answer,) = connection.result3(sent)
        seen.append(names(data))
        assert answer.controlType == control.controlType
        if not answer.cookie:
            break
        control.cookie = answer.cookie
    assert seen == [["cn=ann", "cn=bob"], ["cn=cid"]]


def test_controls_of_ours_are_taken_and_what_answers_is_read(connection):
    sort = sss.SSSRequestControl(True, ["-cn:caseIgnoreOrderingMatch"])
    assert names(connection.search_ext_s(BASE, ldap.SCOPE_ONELEVEL, serverctrls=[sort])) == [
        "cn=cid",
        "cn=bob",
        "cn=ann",
    ]
    after = readentry.PostReadControl(True, ["description"])
    change = [(ldap.MOD_ADD, "description", [b"one"])]
    known = {after.controlType: readentry.PostReadControl}
    sent = connection.modify_ext(f"cn=ann,{BASE}", change, [after])
    (answer,) = connection.result3(sent, resp_ctrl_classes=known)[3]
    assert (answer.dn, answer.entry) == (f"cn=ann,{BASE}", {"description": [b"one"]})
    with pytest.raises(ldap.ASSERTION_FAILED):
        connection.delete_ext_s(f"cn=ann,{BASE}", [libldap.AssertionControl(True, "(sn=other)")])


def test_comparing(connection):
    assert connection.compare_s(f"cn=ann,{BASE}", "sn", b"ANN") is True
    assert connection.compare_s(f"cn=ann,{BASE}", "sn", "bob") is False
    with pytest.raises(ldap.COMPARE_TRUE):
        connection.result(connection.compare(f"cn=ann,{BASE}", "sn", "ann"))


def test_changes_names_and_passwords(connection):
    dn = f"cn=ann,{BASE}"
    old = connection.read_s(dn)
    connection.modify_s(dn, ldap.modlist.modifyModlist(old, {**old, "sn": [b"Archer"], "description": [b"x"]}))
    assert connection.read_s(dn, None, ["sn", "description"]) == {"sn": [b"Archer"], "description": [b"x"]}
    connection.rename_s(dn, "cn=anna", delold=1)
    _, answer = connection.passwd_s(f"cn=anna,{BASE}", None, None, extract_newpw=True)
    other = ldap.initialize(URI)
    assert other.simple_bind_s(f"cn=anna,{BASE}", answer.genPasswd)[0] == ldap.RES_BIND
    with pytest.raises(ldap.INVALID_CREDENTIALS):
        other.bind_s(f"cn=anna,{BASE}", "wrong")
    assert other.whoami_s() == ""


def test_sasl(connection):
    uri = "ldapi://%2Frun%2Fslapd"
    local = ldap.initialize(uri)
    local.sasl_external_bind_s()
    assert local.whoami_s().endswith("cn=peercred,cn=external,cn=auth")
    connection.sasl_bind_s("", "PLAIN", f"\0{ADMIN}\0secret".encode())
    assert connection.whoami_s() == f"dn:{ADMIN}"
    with pytest.raises(ldap.AUTH_UNKNOWN):
        connection.sasl_interactive_bind_s("", ldap.sasl.gssapi())


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda c: c.search_s(None, 0), TypeError("search_ext() argument 1 must be str, not None")),
        (lambda c: c.search_s(b"", 0), TypeError("search_ext() argument 1 must be str, not bytes")),
        (lambda c: c.search_s("a\0", 0), ValueError("embedded null character")),
        (lambda c: c.search_s("", "0"), TypeError("'str' object cannot be interpreted as an integer")),
        (
            lambda c: c.search_s("", 0, attrlist="cn"),
            TypeError("attrs_from_List(): expected *list* of strings, not a string", "cn"),
        ),
        (
            lambda c: c.add_s(BASE, [("cn", ["text"])]),
            TypeError("Tuple_to_LDAPMod(): expected a byte string in the list", "text"),
        ),
        (lambda c: c.add_s(BASE, [["cn", b"x"]]), TypeError("Tuple_to_LDAPMod(): expected a tuple", ["cn", b"x"])),
        (lambda c: c.add_s(BASE, {}), TypeError("List_to_LDAPMods(): expected list of tuples", {})),
        (
            lambda c: c.modify_s(BASE, [("cn", b"x")]),
            TypeError("Tuple_to_LDAPMod() takes exactly 3 arguments (2 given)"),
        ),
        (lambda c: c.compare_s(BASE, "dc", None), TypeError("a bytes-like object is required, not 'NoneType'")),
    ],
)
def test_wrong_types_are_refused_in_python_ldaps_words(connection, call, error):
    with pytest.raises(type(error)) as caught:
        call(connection)
    assert caught.value.args == error.args


def test_a_filter_that_is_none_never_reaches_the_directory(connection):
    with pytest.raises(ldap.FILTER_ERROR) as caught:
        connection.search_s(BASE, ldap.SCOPE_SUBTREE, "(cn=")
    assert caught.value.args[0] == {"result": -7, "desc": "Bad search filter", "ctrls": []}


def test_options(connection, directories):
    ldap.set_option(ldap.OPT_REFERRALS, 0)
    ldap.set_option(ldap.OPT_NETWORK_TIMEOUT, 3)
    made = ldap.initialize(URI)
    assert (made.referrals, made.network_timeout, connection.referrals) == (0, 3.0, -1)
    made.protocol_version = ldap.VERSION2
    assert made.get_option(ldap.OPT_PROTOCOL_VERSION) == 2
    for option, value, error in (
        (99999, 1, ValueError("unknown option 99999")),
        (ldap.OPT_DESC, 1, ValueError("read-only option")),
        (ldap.OPT_SIZELIMIT, "a", TypeError("'str' object cannot be interpreted as an integer")),
        (ldap.OPT_TIMEOUT, -2, ValueError("timeout must be >= 0 or -1/None for infinity, got -2")),
    ):
        with pytest.raises(type(error)) as caught:
            made.set_option(option, value)
        assert caught.value.args == error.args
    with ldap.Registry():
        assert ldap.get_option(ldap.OPT_REFERRALS) == -1


def test_uris_lead_to_directories(connection, directories):
    assert ldap.initialize("LDAP://Directory.Example:389/").search_s(BASE, ldap.SCOPE_BASE)
    assert directories.directory("ldap://elsewhere").root is None
    mine = Directory("o=mine")
    directories.put("ldaps://mine", mine)
    assert ldap.initialize("ldaps://mine").get_naming_contexts() == [b"o=mine"]
    with pytest.raises(ldap.LDAPError):
        ldap.initialize("directory.example")
    with pytest.raises(InvalidInput):
        directories.put("mine", mine)


def test_a_registry_may_know_no_directories():
    with ldap.Registry(make=None), pytest.raises(ldap.SERVER_DOWN):
        ldap.initialize(URI).whoami_s()


def test_a_server_that_stops_and_starts(connection, directories):
    directories.stop(URI)
    for _ in range(2):
        with pytest.raises(ldap.SERVER_DOWN) as caught:
            connection.search_s(BASE, ldap.SCOPE_BASE)
        assert caught.value.args[0]["desc"] == "Can't contact LDAP server"
    assert ldap.initialize(f"{URI} ldap://other").whoami_s() == f"dn:{ADMIN}"
    directories.start(URI)
    assert connection.whoami_s() == ""


def test_reset_forgets_everything(connection):
    ldap.set_option(ldap.OPT_SIZELIMIT, 7)
    ldap.reset()
    assert ldap.get_option(ldap.OPT_SIZELIMIT) == 0
    with pytest.raises(ldap.SERVER_DOWN):
        connection.whoami_s()
    with pytest.raises(ldap.NO_SUCH_OBJECT):
        connection.search_s(BASE, ldap.SCOPE_BASE)


def test_one_that_reconnects_binds_again(connection, directories):
    clock = ManualClock(0)
    lasting = ReconnectLDAPObject(URI, retry_max=3, retry_delay=5, clock=clock)
    lasting.simple_bind_s(f"cn=ann,{BASE}", "secret")
    directories.stop(URI)
    directories.start(URI)
    assert lasting.whoami_s() == f"dn:cn=ann,{BASE}"
    directories.stop(URI)
    lasting._retry_max = 1
    with pytest.raises(ldap.SERVER_DOWN):
        lasting.search_s(BASE, ldap.SCOPE_BASE)


def test_a_connection_that_has_ended(connection):
    connection.unbind_s()
    with pytest.raises(AttributeError):
        connection.whoami_s()


def test_a_trace(connection):
    out = io.StringIO()
    traced = ldap.initialize(URI, trace_level=2, trace_file=out)
    with pytest.raises(ldap.NO_SUCH_OBJECT):
        traced.search_s(f"cn=dan,{BASE}", ldap.SCOPE_BASE)
    assert "SimpleLDAPObject.search_ext" in out.getvalue()
    assert "=> LDAPError - NO_SUCH_OBJECT" in out.getvalue()


def test_the_root_dse_and_the_schema(connection):
    assert connection.get_naming_contexts() == [BASE.encode()]
    dn = connection.search_subschemasubentry_s()
    schema = ldap.client.schema.SubSchema(connection.read_subschemasubentry_s(dn))
    found = schema.get_obj(ldap.client.schema.AttributeType, "SN")
    assert found.names == ("sn", "surname")
    assert connection.find_unique_entry(BASE, filterstr="(cn=ann)")[0] == f"cn=ann,{BASE}"
    with pytest.raises(ldap.NO_UNIQUE_ENTRY):
        connection.find_unique_entry(BASE, filterstr="(|(cn=ann)(cn=bob))")


def test_the_names_of_the_package():
    assert registry.current() is ldap.current()
    assert {"initialize", "SCOPE_SUBTREE", "NO_SUCH_OBJECT", "directory"} <= set(dir(ldap))
    for name in dir(ldap.client):
        getattr(ldap, name)
    with pytest.raises(AttributeError):
        _ = ldap.no_such_name
    assert ldap.dn.str2dn("cn=a") == [[("cn", "a", 1)]]
