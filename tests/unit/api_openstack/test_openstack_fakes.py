"""The module of 2011: accounts, the pipeline of its API, and its stubs over the nova that is installed."""

import contextlib
import io
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import nova.api.auth
import nova.compute.api
import nova.conf
import nova.exception
import nova.image.glance
import nova.objects
import nova.rpc
import nova.service
import pytest
import testtools
from oslo_config import cfg
from oslo_utils import netutils
from werkzeug.test import Client

from nova_fakes.api.openstack import fakes, pipeline
from nova_fakes.api.openstack.accounts import Project, User
from nova_fakes.api.openstack.stubs import Stubs
from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import Conflict, InvalidInput, NotFound

NAMES = (
    "Context FakeAuthDatabase FakeAuthManager FakeRateLimiter FakeRequestContext FakeRouter FakeToken fake_auth_init "
    "wsgi_app stub_out_auth stub_out_compute_api_snapshot stub_out_glance stub_out_glance_add_image "
    "stub_out_image_service stub_out_key_pair_funcs stub_out_networking stub_out_rate_limiting FakeManager"
)


@pytest.fixture(autouse=True)
def configuration() -> None:
    """What nova's own objects look into."""
    # Another test of this process may have had nova register what only a cloud with cinder has to say.
    with contextlib.suppress(cfg.RequiredOptError):
        nova.conf.CONF([], project="nova", default_config_files=[])


@pytest.fixture
def stubs() -> Iterator[Stubs]:
    with Stubs() as stubs:
        yield stubs


@pytest.fixture
def auth() -> fakes.FakeAuthManager:
    auth = fakes.FakeAuthManager()
    auth.reset_fake_data()
    return auth


def test_every_name_is_there() -> None:
    assert set(fakes.__all__) == set(NAMES.split())
    for name in fakes.__all__:
        assert callable(getattr(fakes, name))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = fakes.nonsense


def test_what_needs_no_nova_loads_none() -> None:
    program = "import sys, nova_fakes.api.openstack.fakes as f; f.wsgi_app(); assert 'nova' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


# Accounts


def test_two_managers_know_nothing_of_each_other(auth) -> None:
    assert auth.get_users() == [User("id1", "guy1", "acc1", "secret1", False)]
    assert fakes.FakeAuthManager().get_users() == []
    auth.clear_fakes()
    assert (auth.get_users(), auth.get_projects()) == ([], [])


def test_what_is_not_given_is_not_changed(auth) -> None:
    auth.modify_user("id1", secret="new")
    assert auth.get_user("id1") == User("id1", "guy1", "acc1", "new", False)
    auth.modify_user("id1", admin=True)
    assert auth.is_admin("id1")
    auth.modify_project("testacct", description="other")
    found = auth.get_project("testacct")
    assert (found.project_manager_id, found.description) == ("id1", "other")


def test_users_and_projects(auth) -> None:
    other = auth.create_user("guy2", access="acc2", admin=True)
    assert other.secret
    assert auth.get_user_from_access_key("acc2") is other
    assert auth.get_user_from_access_key("none such") is None
    made = auth.create_project("p", other, "mine", ["id1"])
    assert made == Project("p", "p", "guy2", "mine", ["id1", "guy2"])
    assert auth.is_project_member("id1", "p")
    assert {one.id for one in auth.get_projects("id1")} == {"p", "testacct"}
    assert [one.id for one in auth.get_projects(other)] == ["p"]
    auth.modify_project(made, manager_user="id1")
    assert made.project_manager_id == "id1"
    auth.delete_user("guy2")
    assert made.member_ids == ["id1"]
    auth.delete_project("p")
    assert auth.get_project("p") is None


def test_what_is_not_there_or_there_already_is_refused(auth) -> None:
    for call in (
        lambda: auth.modify_user("none such"),
        lambda: auth.delete_user("none such"),
        lambda: auth.delete_project("none such"),
        lambda: auth.modify_project("none such"),
        lambda: auth.create_project("p", "none such"),
        lambda: auth.is_project_member("id1", "none such"),
    ):
        with pytest.raises(NotFound, match="none such"):
            call()
    with pytest.raises(Conflict):
        auth.add_user(User("id1", "x", "y", "z"))
    with pytest.raises(Conflict):
        auth.create_project("testacct", "id1")


def test_tokens_have_numbers_of_their_database() -> None:
    clock = ManualClock(1_300_000_000.0)
    one, other = fakes.FakeAuthDatabase(clock), fakes.FakeAuthDatabase(clock)
    context = fakes.Context()
    token = one.auth_token_create(context, {"token_hash": "h", "user_id": "id1"})
    assert (token.id, token["id"], token["user_id"]) == (1, 1, "id1")
    assert token["created_at"] == datetime.fromtimestamp(1_300_000_000.0)
    assert other.auth_token_create(context, {"token_hash": "h"}).id == 1
    assert one.auth_token_get(context, "h") is token
    one.auth_token_destroy(context, token.id)
    one.auth_token_destroy(context, token.id)
    assert one.auth_token_get(context, "h") is None
    assert other.auth_token_get(context, "h") is not None
    with pytest.raises(KeyError):
        token["colour"]
    assert fakes.FakeToken(colour="red").colour == "red"


# The pipeline


def test_a_key_gives_a_token_and_that_opens_the_api(auth) -> None:
    client = Client(fakes.wsgi_app(auth=auth))
    given = client.get("/v1.0/", headers={"X-Auth-User": "guy1", "X-Auth-Key": "acc1"})
    assert given.status_code == 204
    assert given.headers["X-Server-Management-Url"] == "http://localhost/v1.0/"
    headers = {"X-Auth-Token": given.headers["X-Auth-Token"]}
    for version in ("v1.0", "v1.1"):
        assert client.get(f"/{version}/servers", headers=headers).headers["X-Test-Success"] == "True"
    assert client.get("/v1.0/servers", headers={**headers, "X-Auth-Project-Id": "none such"}).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Auth-User": "guy1", "X-Auth-Key": "wrong"},
        {"X-Auth-User": "somebody", "X-Auth-Key": "acc1"},
        {"X-Auth-Token": "wrong"},
    ],
)
def test_others_are_turned_away(auth, headers) -> None:
    response = Client(fakes.wsgi_app(auth=auth)).get("/v1.1/", headers=headers)
    assert response.status_code == 401
    assert response.get_json()["unauthorized"]["code"] == 401


def test_the_inner_application_learns_who_asks(auth) -> None:
    seen = []

    def inner(environ: Any, start_response: Any) -> Any:
        seen.append(environ["nova.context"])
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    client = Client(fakes.wsgi_app(inner_app11=inner, auth=auth))
    token = client.get("/v1.1", headers={"X-Auth-User": "guy1", "X-Auth-Key": "acc1"}).headers["X-Auth-Token"]
    assert client.get("/v1.1/servers", headers={"X-Auth-Token": token}).text == "/servers"
    assert (seen[0].user_id, seen[0].project_id, seen[0].is_admin) == ("id1", "testacct", False)


def test_tokens_grow_old(auth) -> None:
    clock = ManualClock(1_300_000_000.0)
    db = fakes.FakeAuthDatabase(clock)
    client = Client(fakes.wsgi_app(auth=auth, db=db))
    token = client.get("/v1.1/", headers={"X-Auth-User": "guy1", "X-Auth-Key": "acc1"}).headers["X-Auth-Token"]
    clock.advance(2 * 86400 + 1)
    assert client.get("/v1.1/servers", headers={"X-Auth-Token": token}).status_code == 401
    assert db.auth_token_get(None, token) is None


def test_the_root_lists_the_versions() -> None:
    client = Client(fakes.wsgi_app())
    assert [one["id"] for one in client.get("/").get_json()["versions"]] == ["v1.1", "v1.0"]
    assert client.get("/v2").status_code == 404


def test_rate_limits_refuse_what_comes_too_often(auth, stubs) -> None:
    clock = ManualClock(1000.0)
    limits = (pipeline.Limit("GET", ".*", 2, 60.0),)

    def limiter(application: Any) -> Any:
        return pipeline.RateLimitingMiddleware(application, limits, clock)

    client = Client(fakes.wsgi_app(auth=auth, limiter=limiter))
    token = client.get("/v1.1/", headers={"X-Auth-User": "guy1", "X-Auth-Key": "acc1"}).headers["X-Auth-Token"]
    headers = {"X-Auth-Token": token}
    statuses = [client.get("/v1.1/servers", headers=headers).status_code for _ in range(3)]
    assert statuses == [200, 200, 413]
    clock.advance(30)
    refused = client.get("/v1.1/servers", headers=headers)
    assert (refused.status_code, refused.headers["Retry-After"]) == (413, "31")
    clock.advance(31)
    assert client.get("/v1.1/servers", headers=headers).status_code == 200
    fakes.stub_out_rate_limiting(stubs)
    assert {client.get("/v1.1/servers", headers=headers).status_code for _ in range(5)} == {200}


def test_questions_for_changes_have_a_limit_of_their_own(auth) -> None:
    def limiter(application: Any) -> Any:
        return pipeline.RateLimitingMiddleware(application, clock=ManualClock(1000.0))

    client = Client(fakes.wsgi_app(auth=auth, limiter=limiter))
    token = client.get("/v1.1/", headers={"X-Auth-User": "guy1", "X-Auth-Key": "acc1"}).headers["X-Auth-Token"]

    def statuses(path: str) -> list[int]:
        return [client.get(path, headers={"X-Auth-Token": token}).status_code for _ in range(4)]

    assert statuses("/v1.1/servers?changes-since=2011-01-01") == [200, 200, 200, 413]
    assert statuses("/v1.1/servers") == [200] * 4


def test_fake_auth_init_fits_any_middleware(stubs) -> None:
    stubs.Set(nova.api.auth.NovaKeystoneContext, "__init__", fakes.fake_auth_init)
    one, other = (nova.api.auth.NovaKeystoneContext(fakes.FakeRouter()) for _ in range(2))
    one.auth.create_user("u")
    assert other.auth.get_users() == []
    assert isinstance(one.db, fakes.FakeAuthDatabase)


# The stubs


def test_nova_takes_every_request_as_the_fake_users(stubs) -> None:
    seen = []

    def inner(environ: Any, start_response: Any) -> Any:
        seen.append(environ["nova.context"])
        start_response("200 OK", [])
        return [b""]

    middleware = nova.api.auth.NovaKeystoneContext(inner)
    assert Client(middleware).get("/").status_code == 401
    fakes.stub_out_auth(stubs, user_id="u", project_id="p")
    assert Client(middleware).get("/").status_code == 200
    assert (seen[0].user_id, seen[0].project_id, seen[0].is_admin) == ("u", "p", False)
    stubs.UnsetAll()
    assert Client(middleware).get("/").status_code == 401


def test_a_user_has_a_key_pair_or_none(stubs) -> None:
    nova.objects.register_all()
    fakes.stub_out_key_pair_funcs(stubs)
    (pair,) = nova.objects.KeyPairList.get_by_user(None, "u")
    assert (pair.name, pair.user_id, nova.objects.KeyPairList.get_count_by_user(None, "u")) == ("key", "u", 1)
    assert nova.objects.KeyPair.get_by_name(None, "u", "key").public_key == pair.public_key
    fakes.stub_out_key_pair_funcs(stubs, have_key_pair=False)
    assert list(nova.objects.KeyPairList.get_by_user(None, "u")) == []
    with pytest.raises(nova.exception.KeypairNotFound):
        nova.objects.KeyPair.get_by_name(None, "u", "key")


def test_every_image_has_a_kernel(stubs) -> None:
    fakes.stub_out_image_service(stubs)
    found = nova.image.glance.API().get(None, "http://glance/images/abc")
    assert (found["id"], found["status"], found["properties"]["kernel_id"]) == ("abc", "active", "1")


def test_novas_image_api_over_a_dictionary(stubs, tmp_path) -> None:
    images = fakes.stub_out_glance(stubs, [{"id": "i1", "name": "one", "properties": {"a": "b"}}])
    api = nova.image.glance.API()
    made = api.create(None, {"name": "two"}, io.BytesIO(b"bytes"))
    assert (made["status"], made["size"]) == ("active", 5)
    assert {one["name"] for one in api.get_all(None)} == {"one", "two"}
    api.update(None, "i1", {"name": "1", "properties": {"c": "d"}})
    assert images["i1"]["properties"] == {"a": "b", "c": "d"}
    api.update(None, "i1", {"properties": {}}, purge_props=True)
    assert images["i1"]["properties"] == {}
    assert b"".join(api.download(None, made["id"])) == b"bytes"
    api.download(None, made["id"], dest_path=tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"bytes"
    api.delete(None, "i1")
    for call in (api.get, api.delete):
        with pytest.raises(nova.exception.ImageNotFound):
            call(None, "i1")
    with pytest.raises(nova.exception.ImageBadRequest):
        api.create(None, {"id": made["id"]})


def test_what_is_sent_to_glance_is_noted(stubs) -> None:
    fakes.stub_out_glance(stubs)
    sent: dict[str, Any] = {}
    fakes.stub_out_glance_add_image(stubs, sent)
    made = nova.image.glance.API().create(None, {"name": "x"}, b"data")
    assert (made["name"], sent) == ("x", {"metadata": {"name": "x"}, "data": b"data"})


def test_snapshots_and_addresses(stubs) -> None:
    fakes.stub_out_compute_api_snapshot(stubs)
    found = nova.compute.api.API.snapshot(None, None, None, "s")
    assert (found["id"], found["properties"]) == ("123", {"instance_id": "123"})
    fakes.stub_out_networking(stubs)
    assert netutils.get_my_ipv4() == "127.0.0.1"


def test_a_service_forwards_to_its_manager(stubs) -> None:
    stubs.Set(nova.rpc, "get_notifier", lambda *arguments, **more: None)
    service = nova.service.Service.__new__(nova.service.Service)
    service.manager = fakes.FakeManager()
    assert service.test_method() == "manager"


def test_whatever_the_tests_put_things_back_with(monkeypatch) -> None:
    get = nova.image.glance.API.get

    class Case(testtools.TestCase):
        def runTest(self) -> None:
            fakes.stub_out_image_service(self)
            assert nova.image.glance.API.get is not get

    with monkeypatch.context() as patch:
        fakes.stub_out_image_service(patch)
        assert nova.image.glance.API.get is not get
    assert nova.image.glance.API.get is get
    assert Case().run().wasSuccessful()
    assert nova.image.glance.API.get is get
    with pytest.raises(InvalidInput, match="stubs"):
        fakes.stub_out_image_service(object())


def test_stubs_put_inherited_attributes_back(stubs) -> None:
    class Parent:
        word = "parent"

    class Child(Parent):
        pass

    stubs.Set(Child, "word", "child")
    stubs.UnsetAll()
    assert "word" not in vars(Child)
    with pytest.raises(AttributeError):
        stubs.Set(Child, "none_such", 1)
