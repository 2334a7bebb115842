"""What lets others act, and what limits them: trusts, EC2 pairs, unified limits, tags of projects."""

import json
from typing import Any

import pytest
from identity_requests import password_auth, refused

from nova_fakes.api.identity import ec2


def user_id(service, name: str) -> str:
    found = service["users"].find("default", name)
    assert found is not None
    return str(found["id"])


def project_id(service, name: str) -> str:
    found = service["projects"].find("default", name)
    assert found is not None
    return str(found["id"])


@pytest.fixture
def trust(service, client, demo) -> dict[str, Any]:
    """The demo user trusts the administrator with his membership."""
    body = {
        "trustor_user_id": user_id(service, "demo"),
        "trustee_user_id": user_id(service, "admin"),
        "project_id": project_id(service, "demo"),
        "impersonation": True,
        "roles": [{"name": "member"}],
        "remaining_uses": 1,
    }
    response = client.post("/v3/OS-TRUST/trusts", json={"trust": body}, headers=demo)
    assert response.status_code == 201, response.text
    found: dict[str, Any] = response.get_json()["trust"]
    return found


def by_trust(trust: dict[str, Any]) -> dict[str, Any]:
    return password_auth(scope={"OS-TRUST:trust": {"id": trust["id"]}})


def test_a_trust_lets_another_act_as_oneself(service, client, trust) -> None:
    response = client.post("/v3/auth/tokens", json=by_trust(trust))
    token = response.get_json()["token"]
    assert token["user"]["name"] == "demo"
    assert token["project"]["name"] == "demo"
    assert token["OS-TRUST:trust"]["trustee_user"]["id"] == user_id(service, "admin")
    assert {role["name"] for role in token["roles"]} == {"member", "reader"}
    refused(client.post("/v3/auth/tokens", json=by_trust(trust)), 403)  # it was good for one


def test_the_tokens_of_a_trust_end_with_it(client, demo, admin, trust) -> None:
    token_id = client.post("/v3/auth/tokens", json=by_trust(trust)).headers["X-Subject-Token"]
    headers = {"X-Auth-Token": token_id}
    exchange = {"identity": {"methods": ["token"], "token": {"id": token_id}}}
    refused(client.post("/v3/auth/tokens", json={"auth": exchange}), 403)
    assert client.get("/v3/auth/projects", headers=headers).status_code == 200
    assert client.delete(f"/v3/OS-TRUST/trusts/{trust['id']}", headers=demo).status_code == 204
    refused(client.get("/v3/auth/projects", headers=headers), 401)
    refused(client.post("/v3/auth/tokens", json=by_trust(trust)), 401)


def test_trusts_are_seen_by_both_sides(service, client, demo, admin, trust) -> None:
    path = f"/v3/OS-TRUST/trusts/{trust['id']}"
    for headers in (demo, admin):
        assert client.get(path, headers=headers).get_json()["trust"]["id"] == trust["id"]
    own = client.get(f"/v3/OS-TRUST/trusts?trustor_user_id={user_id(service, 'demo')}", headers=demo)
    assert [row["id"] for row in own.get_json()["trusts"]] == [trust["id"]]
    refused(client.get("/v3/OS-TRUST/trusts", headers=demo), 403)
    (role,) = client.get(f"{path}/roles", headers=demo).get_json()["roles"]
    assert client.get(f"{path}/roles/{role['id']}", headers=demo).status_code == 200
    refused(client.get(f"{path}/roles/none-such", headers=demo), 404)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"roles": [{"name": "admin"}]}, 403),
        ({"roles": [{"name": "none-such"}]}, 404),
        ({"roles": []}, 403),
        ({"trustee_user_id": "none-such"}, 404),
        ({"trustor_user_id": "somebody-else"}, 403),
        ({"remaining_uses": 0}, 400),
        ({"expires_at": "soon"}, 400),
    ],
)
def test_trusts_that_are_refused(service, client, demo, change, status) -> None:
    body = {
        "trustor_user_id": user_id(service, "demo"),
        "trustee_user_id": user_id(service, "admin"),
        "project_id": project_id(service, "demo"),
        "impersonation": False,
        "roles": [{"name": "member"}],
    }
    refused(client.post("/v3/OS-TRUST/trusts", json={"trust": {**body, **change}}, headers=demo), status)


@pytest.fixture
def pair(service, client, demo) -> dict[str, str]:
    path = f"/v3/users/{user_id(service, 'demo')}/credentials/OS-EC2"
    response = client.post(path, json={"tenant_id": project_id(service, "demo")}, headers=demo)
    assert response.status_code == 201, response.text
    found: dict[str, str] = response.get_json()["credential"]
    assert client.get(path, headers=demo).get_json()["credentials"] == [found]
    assert client.get(f"{path}/{found['access']}", headers=demo).get_json()["credential"] == found
    return found


def claims(pair: dict[str, str]) -> list[dict[str, Any]]:
    query = {"SignatureVersion": "2", "SignatureMethod": "HmacSHA256", "AWSAccessKeyId": pair["access"], "Action": "X"}
    scope = f"{pair['access']}/20260131/RegionOne/ec2/aws4_request"
    authorization = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature=x"
    headers = {"Authorization": authorization, "Host": "cloud", "X-Amz-Date": "20260131T120000Z"}
    common = {"access": pair["access"], "host": "cloud", "verb": "GET", "path": "/services/Cloud/"}
    return [
        {**common, "params": query},
        {**common, "params": {"Action": "X"}, "headers": headers, "body_hash": "e" * 64},
    ]


@pytest.mark.parametrize("version", [0, 1], ids=["2", "4"])
def test_an_ec2_signature_gives_a_token(client, pair, version) -> None:
    claim = claims(pair)[version]
    body = {"credentials": {**claim, "signature": ec2.signature(pair["secret"], claim)}}
    response = client.post("/v3/ec2tokens", json=body)
    assert response.status_code == 200, response.text
    token = response.get_json()["token"]
    assert (token["user"]["name"], token["project"]["name"]) == ("demo", "demo")
    assert response.headers["X-Subject-Token"]
    body["credentials"]["signature"] = ec2.signature("another secret", claim)
    refused(client.post("/v3/ec2tokens", json=body), 401)


@pytest.mark.parametrize("version", [0, 1], ids=["2", "4"])
def test_signatures_are_those_of_keystones_own_client(version) -> None:
    utils = pytest.importorskip("keystoneclient.contrib.ec2.utils", reason="python-keystoneclient is not installed")
    claim = claims({"access": "a", "secret": "s"})[version]
    assert ec2.signature("s", claim) == utils.Ec2Signer("s").generate(claim)


def test_ec2_pairs_of_others_and_of_no_project_are_refused(service, client, demo, admin) -> None:
    path = f"/v3/users/{user_id(service, 'admin')}/credentials/OS-EC2"
    refused(client.post(path, json={"tenant_id": project_id(service, "demo")}, headers=demo), 403)
    own = f"/v3/users/{user_id(service, 'demo')}/credentials/OS-EC2"
    refused(client.post(own, json={"tenant_id": project_id(service, "admin")}, headers=demo), 401)
    refused(client.get(f"{own}/none-such", headers=demo), 404)
    refused(client.post("/v3/ec2tokens", json={"credentials": {"access": "none-such"}}), 401)


def test_credentials_of_other_kinds(service, client, demo, admin) -> None:
    body = {"credential": {"type": "cert", "blob": "x"}}
    made = client.post("/v3/credentials", json=body, headers=demo).get_json()["credential"]
    assert made["user_id"] == user_id(service, "demo")
    path = f"/v3/credentials/{made['id']}"
    changed = client.patch(path, json={"credential": {"blob": "y"}}, headers=demo)
    assert changed.get_json()["credential"]["blob"] == "y"
    assert len(client.get("/v3/credentials?type=cert", headers=admin).get_json()["credentials"]) == 1
    for wrong in ({"type": "ec2", "blob": "no JSON"}, {"type": "ec2", "blob": json.dumps({"access": "a"})}):
        refused(client.post("/v3/credentials", json={"credential": wrong}, headers=demo), 400)
    assert client.delete(path, headers=demo).status_code == 204
    refused(client.get(path, headers=demo), 404)


def test_one_time_passwords_are_refused_by_name(client) -> None:
    auth = {"identity": {"methods": ["totp"], "totp": {"user": {"id": "x", "passcode": "123456"}}}}
    assert "totp" in refused(client.post("/v3/auth/tokens", json={"auth": auth}), 401)


def test_unified_limits(service, client, demo, admin) -> None:
    compute = next(row["id"] for row in service["services"] if row["type"] == "compute")
    resource = {"service_id": compute, "region_id": "RegionOne", "resource_name": "servers"}
    limit = {**resource, "resource_limit": 5, "project_id": project_id(service, "demo")}
    refused(client.post("/v3/limits", json={"limits": [limit]}, headers=admin), 403)  # nothing is registered
    body = {"registered_limits": [{**resource, "default_limit": 10}]}
    refused(client.post("/v3/registered_limits", json=body, headers=demo), 403)
    (registered,) = client.post("/v3/registered_limits", json=body, headers=admin).get_json()["registered_limits"]
    refused(client.post("/v3/registered_limits", json=body, headers=admin), 409)
    (made,) = client.post("/v3/limits", json={"limits": [limit]}, headers=admin).get_json()["limits"]
    assert client.get("/v3/limits", headers=demo).get_json()["limits"][0]["resource_limit"] == 5
    assert client.get("/v3/limits/model", headers=demo).get_json()["model"]["name"] == "flat"
    path = f"/v3/registered_limits/{registered['id']}"
    refused(client.delete(path, headers=admin), 403)
    changed = client.patch(f"/v3/limits/{made['id']}", json={"limit": {"resource_limit": 6}}, headers=admin)
    assert changed.get_json()["limit"]["resource_limit"] == 6
    wrong = {"limit": {"resource_limit": -2}}
    refused(client.patch(f"/v3/limits/{made['id']}", json=wrong, headers=admin), 400)
    assert client.delete(f"/v3/limits/{made['id']}", headers=admin).status_code == 204
    assert client.delete(path, headers=admin).status_code == 204


def test_several_limits_are_made_together_or_none(service, client, admin) -> None:
    compute = next(row["id"] for row in service["services"] if row["type"] == "compute")
    good = {"service_id": compute, "region_id": None, "resource_name": "servers", "default_limit": 1}
    both = {"registered_limits": [good, {**good, "resource_name": "x", "service_id": "none-such"}]}
    refused(client.post("/v3/registered_limits", json=both, headers=admin), 400)
    assert client.get("/v3/registered_limits", headers=admin).get_json()["registered_limits"] == []


def test_tags_of_projects(service, client, demo, admin) -> None:
    path = f"/v3/projects/{project_id(service, 'demo')}/tags"
    assert client.put(path, json={"tags": ["a", "b", "a"]}, headers=admin).get_json()["tags"] == ["a", "b"]
    assert client.put(f"{path}/c", headers=admin).status_code == 201
    assert client.get(f"{path}/c", headers=demo).status_code == 204
    assert client.delete(f"{path}/a", headers=admin).status_code == 204
    assert client.get(path, headers=demo).get_json()["tags"] == ["b", "c"]
    refused(client.delete(f"{path}/a", headers=admin), 404)
    refused(client.put(path, json={"tags": ["a,b"]}, headers=admin), 400)
    refused(client.put(path, json={}, headers=admin), 400)
    refused(client.put(f"{path}/d", headers=demo), 403)
    assert client.delete(path, headers=admin).status_code == 204
    assert client.get(path, headers=demo).get_json()["tags"] == []


def test_what_a_user_has_goes_with_him(service, client, demo, admin, pair, trust) -> None:
    service.delete("users", user_id(service, "demo"))
    assert len(service["credentials"]) == len(service["trusts"]) == 0


def test_the_state_keeps_it_all(service, client, clock, pair, trust) -> None:
    from nova_fakes.api.identity import IdentityService

    other = IdentityService(clock)
    other.load(json.loads(json.dumps(service.dump())))
    assert other["trusts"].rows == service["trusts"].rows
    assert other["credentials"].rows == service["credentials"].rows
