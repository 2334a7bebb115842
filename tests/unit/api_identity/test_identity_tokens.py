"""Getting, checking and losing tokens."""

import json
from typing import Any

import pytest
from identity_requests import password_auth, project_scope, refused

from nova_fakes.api.auth import Token
from nova_fakes.api.identity.assignments import Grant
from nova_fakes.exceptions import ApiError


def token_of(client, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    response = client.post("/v3/auth/tokens", json=body)
    assert response.status_code == 201, response.text
    return response.headers["X-Subject-Token"], response.get_json()["token"]


def test_a_password_gives_a_token_with_the_catalog(client) -> None:
    _, token = token_of(client, password_auth(scope=project_scope("admin")))
    assert token["methods"] == ["password"]
    assert token["user"]["name"] == "admin"
    assert token["user"]["domain"] == {"id": "default", "name": "Default"}
    assert token["project"]["name"] == "admin"
    assert {role["name"] for role in token["roles"]} == {"admin", "manager", "member", "reader"}
    catalog = {entry["type"]: entry for entry in token["catalog"]}
    assert set(catalog) == {"identity", "compute", "volumev3"}
    assert {endpoint["interface"] for endpoint in catalog["compute"]["endpoints"]} == {"public", "internal", "admin"}
    assert catalog["volumev3"]["endpoints"][0]["url"] == f"http://cloud/volume/v3/{token['project']['id']}"


def test_without_a_scope_the_default_project_is_taken(client) -> None:
    assert token_of(client, password_auth("demo", "demo-secret"))[1]["project"]["name"] == "demo"


def test_an_unscoped_token_has_neither_project_nor_catalog(client) -> None:
    _, token = token_of(client, password_auth(scope="unscoped"))
    assert not {"project", "catalog", "roles"} & set(token)


def test_system_and_domain_scopes(client, service) -> None:
    _, token = token_of(client, password_auth(scope={"system": {"all": True}}))
    assert token["system"] == {"all": True}
    domain = {"domain": {"id": "default"}}
    assert client.post("/v3/auth/tokens", json=password_auth(scope=domain)).status_code == 401
    admin = service["users"].find("default", "admin")
    role = service["roles"].find(None, "admin")
    service.grant(Grant("user", admin["id"], "domain", "default", role["id"]))
    token_id, token = token_of(client, password_auth(scope=domain))
    assert token["domain"] == {"id": "default", "name": "Default"}
    found = service.validate(token_id)
    assert found is not None
    assert (found.domain_id, found.project_id) == ("default", None)


def test_endpoints_that_need_a_project_are_left_out_without_one(client) -> None:
    _, token = token_of(client, password_auth(scope={"system": {"all": True}}))
    volume = next(entry for entry in token["catalog"] if entry["type"] == "volumev3")
    assert volume["endpoints"] == []


@pytest.mark.parametrize(
    ("user", "password", "scope"),
    [
        ("admin", "wrong", None),
        ("nobody", "secret", None),
        ("demo", "demo-secret", project_scope("admin")),
        ("demo", "demo-secret", project_scope("nowhere")),
        ("demo", "demo-secret", {"system": {"all": True}}),
    ],
)
def test_what_proves_nothing_is_refused_alike(client, user, password, scope) -> None:
    response = client.post("/v3/auth/tokens", json=password_auth(user, password, scope))
    assert refused(response, 401) == "The request you have made requires authentication."
    assert response.headers["WWW-Authenticate"].startswith("Keystone uri=")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"auth": []}',
        b'{"auth": {"identity": {"methods": []}}}',
        b'{"auth": {"identity": {"methods": ["password"]}}}',
        b'{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "admin", "password": "x"}}}}}',
        b'{"auth": {"identity": {"methods": ["password"], "password": {"user": {"id": "x"}}}}}',
    ],
)
def test_malformed_requests_are_bad_requests(client, body) -> None:
    assert refused(client.post("/v3/auth/tokens", data=body, content_type="application/json"), 400)


def test_an_unknown_method_is_refused(client) -> None:
    body = {"auth": {"identity": {"methods": ["telepathy"], "telepathy": {}}}}
    assert "telepathy" in refused(client.post("/v3/auth/tokens", json=body), 401)


def test_a_token_can_be_exchanged_for_another_scope(client, clock) -> None:
    token_id, first = token_of(client, password_auth())
    clock.advance(600)
    identity = {"methods": ["token"], "token": {"id": token_id}}
    _, second = token_of(client, {"auth": {"identity": identity, "scope": project_scope("demo")}})
    assert second["project"]["name"] == "demo"
    assert second["expires_at"] == first["expires_at"]
    assert second["audit_ids"][1] == first["audit_ids"][0]
    assert second["methods"] == ["token", "password"]


def test_tokens_expire(client, clock, service, admin) -> None:
    token_id = admin["X-Auth-Token"]
    clock.advance(3599)
    assert service.validate(token_id) is not None
    assert client.get("/v3/projects", headers=admin).status_code == 200
    clock.advance(1)
    assert service.validate(token_id) is None
    assert refused(client.get("/v3/projects", headers=admin), 401)


def test_an_expired_token_can_still_be_asked_about_for_two_days(client, clock, log_in) -> None:
    old = log_in("demo", "demo-secret")["X-Auth-Token"]
    clock.advance(7200)
    ask = log_in() | {"X-Subject-Token": old}
    assert client.get("/v3/auth/tokens", headers=ask).status_code == 404
    assert client.get("/v3/auth/tokens?allow_expired=1", headers=ask).status_code == 200
    clock.advance(172800)
    ask = log_in() | {"X-Subject-Token": old}
    assert client.get("/v3/auth/tokens?allow_expired=1", headers=ask).status_code == 404


def test_validation_shows_the_token_and_its_catalog_if_wanted(client, admin, demo) -> None:
    ask = admin | {"X-Subject-Token": demo["X-Auth-Token"]}
    response = client.get("/v3/auth/tokens", headers=ask)
    assert response.status_code == 200
    assert response.headers["X-Subject-Token"] == demo["X-Auth-Token"]
    assert response.get_json()["token"]["catalog"]
    assert "catalog" not in client.get("/v3/auth/tokens?nocatalog", headers=ask).get_json()["token"]
    head = client.head("/v3/auth/tokens", headers=ask)
    assert (head.status_code, head.data) == (200, b"")


def test_others_tokens_are_not_for_everyone(client, admin, demo) -> None:
    ask = demo | {"X-Subject-Token": admin["X-Auth-Token"]}
    assert refused(client.get("/v3/auth/tokens", headers=ask), 403)
    assert refused(client.delete("/v3/auth/tokens", headers=ask), 403)
    own = demo | {"X-Subject-Token": demo["X-Auth-Token"]}
    assert client.get("/v3/auth/tokens", headers=own).status_code == 200


def test_a_revoked_token_is_gone(client, service, admin, demo) -> None:
    token_id = demo["X-Auth-Token"]
    assert service.validate(token_id) is not None
    assert client.delete("/v3/auth/tokens", headers=admin | {"X-Subject-Token": token_id}).status_code == 204
    assert service.validate(token_id) is None
    assert refused(client.get("/v3/auth/tokens", headers=admin | {"X-Subject-Token": token_id}), 404)


def test_losing_rights_ends_tokens_at_once(service, demo) -> None:
    token_id = demo["X-Auth-Token"]
    user = service["users"].find("default", "demo")
    project = service["projects"].find("default", "demo")
    member = service["roles"].find(None, "member")
    grant = Grant("user", user["id"], "project", project["id"], member["id"])
    for plural, row in (("users", user), ("projects", project)):
        assert service.validate(token_id) is not None
        service.update(plural, row["id"], {"enabled": False})
        assert service.validate(token_id) is None
        service.update(plural, row["id"], {"enabled": True})
    service.revoke_grant(grant)
    assert service.validate(token_id) is None
    service.grant(grant)
    assert service.validate(token_id) is not None
    service.update("users", user["id"], {"password": "other"})
    assert service.validate(token_id) is None


def test_users_change_their_own_password(client, service, demo, admin) -> None:
    user_id = service["users"].find("default", "demo")["id"]
    path = f"/v3/users/{user_id}/password"
    good = {"user": {"original_password": "demo-secret", "password": "new"}}
    assert refused(client.post(path, json=good, headers=admin), 401)
    wrong = {"user": {"original_password": "x", "password": "new"}}
    assert refused(client.post(path, json=wrong, headers=demo), 401)
    assert client.post(path, json=good, headers=demo).status_code == 204
    assert service.check_password(user_id, "new")
    assert refused(client.get("/v3/auth/projects", headers=demo), 401)


def test_the_token_says_what_a_service_needs(service, client) -> None:
    token_id, body = token_of(client, password_auth("nova", scope=project_scope("service")))
    token = service.validate(token_id)
    assert token == Token(
        id=token_id,
        user_id=body["user"]["id"],
        user_name="nova",
        project_id=body["project"]["id"],
        project_name="service",
        domain_id="default",
        roles=("admin", "service", "manager", "member", "reader"),
        issued_at=token.issued_at,
        expires_at=token.issued_at + 3600,
    )
    assert token.is_admin
    assert token.is_service


def test_application_credentials(client, service, demo, clock) -> None:
    user_id = service["users"].find("default", "demo")["id"]
    path = f"/v3/users/{user_id}/application_credentials"
    body = {"name": "ci", "roles": [{"name": "reader"}], "expires_at": "2023-11-14T22:23:20"}
    made = client.post(path, json={"application_credential": body}, headers=demo)
    assert made.status_code == 201, made.text
    credential = made.get_json()["application_credential"]
    identity = {
        "methods": ["application_credential"],
        "application_credential": {"id": credential["id"], "secret": credential["secret"]},
    }
    token_id, token = token_of(client, {"auth": {"identity": identity}})
    assert [role["name"] for role in token["roles"]] == ["reader"]
    assert token["expires_at"] == "2023-11-14T22:23:20.000000Z"
    assert "secret" not in client.get(path, headers=demo).get_json()["application_credentials"][0]
    limited = {"X-Auth-Token": token_id}
    assert refused(client.post(path, json={"application_credential": {"name": "x"}}, headers=limited), 403)
    ruled = {"name": "r", "access_rules": [{"service": "image", "method": "GET", "path": "/v2/images"}]}
    assert "access rules" in refused(client.post(path, json={"application_credential": ruled}, headers=demo), 400)
    rules = f"/v3/users/{user_id}/access_rules"
    # What the openstack command sends where its user names none.
    plain = {"name": "plain", "access_rules": []}
    assert client.post(path, json={"application_credential": plain}, headers=demo).status_code == 201
    assert client.get(rules, headers=demo).get_json()["access_rules"] == []
    assert refused(client.delete(f"{rules}/none", headers=demo), 404)
    clock.advance(601)
    assert service.validate(token_id) is None
    assert refused(client.post("/v3/auth/tokens", json={"auth": {"identity": identity}}), 401)


def test_a_deleted_application_credential_ends_its_tokens(client, service, demo) -> None:
    user_id = service["users"].find("default", "demo")["id"]
    path = f"/v3/users/{user_id}/application_credentials"
    made = client.post(path, json={"application_credential": {"name": "ci"}}, headers=demo).get_json()
    credential = made["application_credential"]
    proof = {"id": credential["id"], "secret": credential["secret"]}
    identity = {"methods": ["application_credential"], "application_credential": proof}
    token_id, _ = token_of(client, {"auth": {"identity": identity}})
    assert client.delete(f"{path}/{credential['id']}", headers=demo).status_code == 204
    assert service.validate(token_id) is None


def test_the_state_survives_and_tells_no_secrets(service, client, demo, clock) -> None:
    state = json.dumps(service.dump())
    assert "demo-secret" not in state
    assert demo["X-Auth-Token"] not in state
    again = type(service)(clock)
    again.load(json.loads(state))
    assert again.validate(demo["X-Auth-Token"]) == service.validate(demo["X-Auth-Token"])
    assert again.dump() == service.dump()
    again.bootstrap("secret", {"compute": "http://elsewhere/compute"}, demo_password="demo-secret")
    urls = {row["url"] for row in again["endpoints"] if "compute" in row["url"]}
    assert urls == {"http://elsewhere/compute"}
    assert len(again["users"]) == len(service["users"])
    with pytest.raises(ApiError, match="version"):
        again.load({})
