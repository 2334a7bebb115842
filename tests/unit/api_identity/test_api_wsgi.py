"""What all API fakes share."""

import flask
import pytest

from nova_fakes.api import auth, wsgi
from nova_fakes.exceptions import ApiError, NovaFakesError


class Tokens:
    def validate(self, token_id: str) -> auth.Token | None:
        roles = {"root": ("admin",), "guest": ("reader",)}.get(token_id)
        return auth.Token(token_id, "u", "user", None, None, "default", roles, 0.0, 1.0) if roles else None


@pytest.fixture
def app() -> flask.Flask:
    app = wsgi.application("t", "test", lambda error: wsgi.reply({"told": error.message}, error.status))
    auth.authenticate(app, Tokens(), public=("/", "/open"), identity_url="http://keystone")

    @app.get("/open")
    def open_to_all() -> flask.Response:
        return wsgi.reply({"token": flask.g.token and flask.g.token.id})

    @app.get("/admin")
    def admin() -> flask.Response:
        return wsgi.reply({"user": auth.require_admin("test:admin").user_id})

    @app.post("/body")
    def body() -> flask.Response:
        return wsgi.reply(wsgi.json_object("thing"))

    @app.get("/version")
    def version() -> flask.Response:
        return wsgi.reply(wsgi.microversion("volume", (3, 0), (3, 70)))

    @app.get("/bug")
    def bug() -> flask.Response:
        raise RuntimeError("a secret")

    @app.get("/id")
    def request_id() -> flask.Response:
        return wsgi.reply([wsgi.request_id(), wsgi.request_id()])

    return app


ROOT = {"X-Auth-Token": "root"}


def test_a_request_has_one_id_and_no_other_has_it(app) -> None:
    client, seen = app.test_client(), {wsgi.request_id()}
    for _ in range(2):
        response = client.get("/id", headers=ROOT)
        (one,) = {*response.get_json(), response.headers["x-openstack-request-id"]}
        seen.add(one)
    assert len(seen) == 3


def test_public_paths_need_no_token_but_take_one(app) -> None:
    client = app.test_client()
    assert client.get("/open").get_json() == {"token": None}
    assert client.get("/open/", headers=ROOT).get_json() == {"token": "root"}


@pytest.mark.parametrize("headers", [{}, {"X-Auth-Token": ""}, {"X-Auth-Token": "forged"}])
def test_everything_else_is_refused_without_a_valid_one(app, headers) -> None:
    for path in ("/admin", "/nowhere"):
        response = app.test_client().get(path, headers=headers)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == 'Keystone uri="http://keystone"'
        assert response.get_json() == {"told": "The request you have made requires authentication."}


def test_administrators_only(app) -> None:
    client = app.test_client()
    assert client.get("/admin", headers=ROOT).get_json() == {"user": "u"}
    response = client.get("/admin", headers={"X-Auth-Token": "guest"})
    assert response.status_code == 403
    assert "test:admin" in response.get_json()["told"]


def test_a_body_that_is_nested_too_deeply_is_refused(app) -> None:
    deep = b'{"thing":' * 5000 + b"{}" + b"}" * 5000
    response = app.test_client().post("/body", data=deep, headers=ROOT)
    assert response.status_code == 400
    assert "nested too deeply" in response.get_json()["told"]


def test_a_bug_is_an_error_that_tells_nothing(app, caplog) -> None:
    response = app.test_client().get("/bug", headers=ROOT)
    assert response.status_code == 500
    assert "secret" not in response.text
    assert "a secret" in caplog.text
    assert response.headers["x-openstack-request-id"].startswith("req-")


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"", "is empty"),
        (b"{", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"[1]", "array"),
        (b"{}", "'thing' is a required property"),
        (b'{"thing": null}', "null"),
        (b'{"thing": true}', "boolean"),
    ],
)
def test_bodies_are_read_strictly(app, data, hint) -> None:
    response = app.test_client().post("/body", data=data, headers=ROOT)
    assert response.status_code == 400
    assert hint in response.get_json()["told"]


@pytest.mark.parametrize(
    ("header", "answer"),
    [
        ("", [3, 0]),
        ("volume 3.59", [3, 59]),
        ("volume latest", [3, 70]),
        ("compute 2.1, volume 3.5", [3, 5]),
        ("compute 2.99", [3, 0]),
        ("volume 3.71", 406),
        ("volume 2.0", 406),
        ("volume three", 400),
        ("volume 3.05", 400),
    ],
)
def test_microversions(app, header, answer) -> None:
    response = app.test_client().get("/version", headers=ROOT | {"OpenStack-API-Version": header})
    assert (response.get_json() if response.status_code == 200 else response.status_code) == answer


def test_pages_cover_everything_once() -> None:
    items = [str(number) for number in range(10)]
    seen: list[str] = []
    marker, more = None, True
    while more:
        page, more = wsgi.paginate(items, marker=marker, limit=3, key=str)
        seen += page
        marker = page[-1]
    assert seen == items
    assert wsgi.paginate(items, marker="9", limit=3, key=str) == ([], False)
    with pytest.raises(ApiError) as caught:
        wsgi.paginate(items, marker="x", limit=3, key=str)
    assert caught.value.status == 400


def test_api_errors_are_the_projects_own() -> None:
    error = ApiError(409, "taken", kind="Taken", headers={"A": "b"})
    assert isinstance(error, NovaFakesError)
    assert (error.status, str(error), error.kind, error.headers) == (409, "taken", "Taken", {"A": "b"})
