"""Users, projects, roles and the rest, over the API."""

import pytest
from identity_requests import refused

from nova_fakes.api.identity.assignments import Grant

KINDS = {
    "domains": {"name": "d"},
    "projects": {"name": "p"},
    "users": {"name": "u", "password": "x"},
    "groups": {"name": "g"},
    "roles": {"name": "r"},
    "regions": {"id": "R2"},
    "services": {"type": "key-manager", "name": "barbican"},
}


def ident(service, plural: str, name: str) -> str:
    row = service[plural].find(None if plural == "roles" else "default", name)
    assert row is not None
    return str(row["id"])


@pytest.mark.parametrize("plural", KINDS)
def test_create_show_list_change_delete(client, service, admin, plural) -> None:
    singular = service[plural].singular
    made = client.post(f"/v3/{plural}", json={singular: KINDS[plural]}, headers=admin)
    assert made.status_code == 201, made.text
    row = made.get_json()[singular]
    path = f"/v3/{plural}/{row['id']}"
    assert row["links"]["self"].endswith(path)
    assert "password" not in row
    assert client.get(path, headers=admin).get_json() == {singular: row}
    listed = client.get(f"/v3/{plural}", headers=admin).get_json()
    assert row in listed[plural]
    assert set(listed["links"]) == {"self", "next", "previous"}
    changed = client.patch(path, json={singular: {"description": "new"}}, headers=admin)
    assert changed.get_json()[singular]["description"] == "new"
    if plural == "domains":
        assert "disable it first" in refused(client.delete(path, headers=admin), 403)
        client.patch(path, json={"domain": {"enabled": False}}, headers=admin)
    assert client.delete(path, headers=admin).status_code == 204
    assert row["id"] in refused(client.get(path, headers=admin), 404)
    assert refused(client.delete(path, headers=admin), 404)


@pytest.mark.parametrize("plural", [*KINDS, "endpoints"])
def test_only_administrators_change_things(client, service, demo, plural) -> None:
    singular = service[plural].singular
    message = refused(client.post(f"/v3/{plural}", json={singular: {}}, headers=demo), 403)
    assert message == f"You are not authorized to perform the requested action: identity:create_{singular}."
    assert refused(client.delete(f"/v3/{plural}/x", headers=demo), 403)
    assert refused(client.patch(f"/v3/{plural}/x", json={singular: {}}, headers=demo), 403)


def test_without_a_token_nothing_but_discovery_is_shown(client) -> None:
    assert client.get("/").status_code == 300
    assert client.get("/v3/").get_json()["version"]["id"] == "v3.14"
    for path in ("/v3/users", "/v3/auth/tokens", "/v3/auth/catalog", "/v3/nonsense"):
        assert refused(client.get(path), 401)


def test_unknown_paths_and_methods_are_named(client, admin) -> None:
    assert "/v3/nonsense" in refused(client.get("/v3/nonsense", headers=admin), 404)
    response = client.patch("/v3/users", headers=admin)
    assert "PATCH /v3/users" in refused(response, 405)
    assert "POST" in response.headers["Allow"]


@pytest.mark.parametrize(
    ("plural", "values", "status"),
    [
        ("users", {}, 400),
        ("users", {"name": ""}, 400),
        ("users", {"name": 5}, 400),
        ("users", {"name": "x" * 256}, 400),
        ("users", {"name": "u", "enabled": "yes"}, 400),
        ("users", {"name": "u", "password": 5}, 400),
        ("users", {"name": "u", "domain_id": "nowhere"}, 404),
        ("users", {"name": "admin"}, 409),
        ("projects", {"name": "demo"}, 409),
        ("projects", {"name": "p", "parent_id": "nowhere"}, 404),
        ("roles", {"name": "member"}, 409),
        ("endpoints", {"service_id": "x", "interface": "public", "url": "http://x"}, 400),
        ("endpoints", {"interface": "public", "url": "http://x"}, 400),
        ("regions", {"id": "R2", "parent_region_id": "nowhere"}, 404),
        ("regions", {"id": "RegionOne"}, 409),
    ],
)
def test_values_that_cannot_be_used(client, service, admin, plural, values, status) -> None:
    before = service.dump()
    assert refused(client.post(f"/v3/{plural}", json={service[plural].singular: values}, headers=admin), status)
    assert service.dump() == before


def test_a_change_that_is_refused_changes_nothing(client, service, admin) -> None:
    user_id = ident(service, "users", "demo")
    before = service.dump()
    for values, status in (({"name": "admin"}, 409), ({"domain_id": "x"}, 404), ({"id": "x"}, 400)):
        assert refused(client.patch(f"/v3/users/{user_id}", json={"user": values}, headers=admin), status)
    assert service.dump() == before


def test_users_see_themselves_and_their_project(client, service, demo) -> None:
    assert client.get(f"/v3/users/{ident(service, 'users', 'demo')}", headers=demo).status_code == 200
    assert client.get(f"/v3/projects/{ident(service, 'projects', 'demo')}", headers=demo).status_code == 200
    assert refused(client.get(f"/v3/users/{ident(service, 'users', 'admin')}", headers=demo), 403)
    assert refused(client.get("/v3/users/nobody", headers=demo), 403)
    assert refused(client.get("/v3/projects", headers=demo), 403)
    assert client.get("/v3/domains/default", headers=demo).status_code == 200
    mine = client.get("/v3/auth/projects", headers=demo).get_json()["projects"]
    assert [project["name"] for project in mine] == ["demo"]


def test_a_reader_on_the_system_looks_but_does_not_touch(client, service, admin, log_in) -> None:
    user_id, reader = ident(service, "users", "demo"), ident(service, "roles", "reader")
    path = f"/v3/system/users/{user_id}/roles/{reader}"
    assert client.put(path, headers=admin).status_code == 204
    headers = log_in("demo", "demo-secret", {"system": {"all": True}})
    assert client.get("/v3/users", headers=headers).status_code == 200
    assert refused(client.delete(f"/v3/users/{user_id}", headers=headers), 403)


def test_lists_can_be_filtered_and_cut(client, admin) -> None:
    def names(query: str) -> list[str]:
        return [row["name"] for row in client.get(f"/v3/users?{query}", headers=admin).get_json()["users"]]

    assert names("name=nova") == ["nova"]
    assert names("name__startswith=n") == ["nova", "neutron"]
    assert names("enabled=false") == []
    seen: list[str] = []
    url = "/v3/users?limit=3"
    while url:
        body = client.get(url, headers=admin).get_json()
        assert len(body["users"]) <= 3
        seen += [row["name"] for row in body["users"]]
        url = body["links"]["next"]
    assert sorted(seen) == sorted(names(""))
    assert refused(client.get("/v3/users?limit=x", headers=admin), 400)
    assert refused(client.get("/v3/users?marker=x", headers=admin), 400)


def test_grants(client, service, admin, log_in) -> None:
    user, project, role = (
        ident(service, "users", "demo"),
        ident(service, "projects", "admin"),
        ident(service, "roles", "reader"),
    )
    path = f"/v3/projects/{project}/users/{user}/roles"
    assert client.get(path, headers=admin).get_json()["roles"] == []
    assert refused(client.get(f"{path}/{role}", headers=admin), 404)
    assert client.put(f"{path}/{role}", headers=admin).status_code == 204
    assert client.head(f"{path}/{role}", headers=admin).status_code == 204
    assert [row["name"] for row in client.get(path, headers=admin).get_json()["roles"]] == ["reader"]
    assert log_in("demo", "demo-secret", {"project": {"id": project}})
    assert client.delete(f"{path}/{role}", headers=admin).status_code == 204
    assert refused(client.delete(f"{path}/{role}", headers=admin), 404)
    assert refused(client.put(f"{path}/nothing", headers=admin), 404)
    assert refused(client.put(f"/v3/projects/x/users/{user}/roles/{role}", headers=admin), 404)


def test_groups_and_inheritance_give_roles(client, service, admin, log_in) -> None:
    group = client.post("/v3/groups", json={"group": {"name": "g"}}, headers=admin).get_json()["group"]["id"]
    user, role, project = (
        ident(service, "users", "demo"),
        ident(service, "roles", "reader"),
        ident(service, "projects", "service"),
    )
    assert client.head(f"/v3/groups/{group}/users/{user}", headers=admin).status_code == 404
    assert client.put(f"/v3/groups/{group}/users/{user}", headers=admin).status_code == 204
    assert client.head(f"/v3/groups/{group}/users/{user}", headers=admin).status_code == 204
    path = f"/v3/OS-INHERIT/domains/default/groups/{group}/roles/{role}/inherited_to_projects"
    assert client.put(path, headers=admin).status_code == 204
    assert client.head(path, headers=admin).status_code == 204
    headers = log_in("demo", "demo-secret", {"project": {"id": project}})
    assert client.get(f"/v3/users/{user}/groups", headers=headers).get_json()["groups"][0]["id"] == group
    client.delete(f"/v3/groups/{group}/users/{user}", headers=admin)
    assert refused(client.get(f"/v3/users/{user}/groups", headers=headers), 401)


def test_role_assignments(client, service, admin) -> None:
    user = ident(service, "users", "demo")

    def listed(query: str) -> list[dict]:
        response = client.get(f"/v3/role_assignments?{query}", headers=admin)
        return response.get_json()["role_assignments"]

    plain = listed(f"user.id={user}&include_names")
    assert len(plain) == 1
    assert plain[0]["role"]["name"] == "member"
    assert plain[0]["user"] == {"id": user, "name": "demo", "domain": {"id": "default", "name": "Default"}}
    assert plain[0]["scope"]["project"]["name"] == "demo"
    effective = listed(f"user.id={user}&include_names&effective")
    assert {row["role"]["name"] for row in effective} == {"member", "reader"}
    assert [row["scope"] for row in listed("scope.system=all")] == [{"system": {"all": True}}]
    assert listed("role.id=nothing") == []


def test_implied_roles(client, service, admin) -> None:
    body = client.get("/v3/role_inferences", headers=admin).get_json()
    rules = {rule["prior_role"]["name"]: [role["name"] for role in rule["implies"]] for rule in body["role_inferences"]}
    assert rules == {"admin": ["manager"], "manager": ["member"], "member": ["reader"]}
    reader, top = ident(service, "roles", "reader"), ident(service, "roles", "admin")
    assert refused(client.put(f"/v3/roles/{reader}/implies/{top}", headers=admin), 403)
    assert refused(client.get(f"/v3/roles/{reader}/implies/{top}", headers=admin), 404)
    member = ident(service, "roles", "member")
    assert client.delete(f"/v3/roles/{member}/implies/{reader}", headers=admin).status_code == 204
    assert client.get(f"/v3/roles/{member}/implies", headers=admin).get_json()["role_inference"]["implies"] == []


def test_projects_have_parents_and_tags(client, service, admin) -> None:
    parent = ident(service, "projects", "demo")
    values = {"name": "child", "parent_id": parent, "tags": ["a"]}
    child = client.post("/v3/projects", json={"project": values}, headers=admin).get_json()["project"]
    assert (child["parent_id"], child["domain_id"], child["tags"]) == (parent, "default", ["a"])
    assert "not a leaf" in refused(client.delete(f"/v3/projects/{parent}", headers=admin), 403)
    assert client.delete(f"/v3/projects/{child['id']}", headers=admin).status_code == 204
    assert client.delete(f"/v3/projects/{parent}", headers=admin).status_code == 204


def test_deleting_a_domain_takes_everything_in_it_along(client, service, admin) -> None:
    domain = service.create("domains", {"name": "d"})["id"]
    project = service.create("projects", {"name": "p", "domain_id": domain})["id"]
    service.create("projects", {"name": "q", "parent_id": project})
    user = service.create("users", {"name": "u", "domain_id": domain})["id"]
    role = ident(service, "roles", "member")
    service.grant(Grant("user", user, "project", project, role))
    service.update("domains", domain, {"enabled": False})
    assert client.delete(f"/v3/domains/{domain}", headers=admin).status_code == 204
    for plural in ("projects", "users", "domains"):
        assert not [row for row in service[plural] if domain in (row.get("domain_id"), row["id"])]
    assert not [grant for grant in service.assignments if user == grant.actor_id]


def test_endpoints_come_and_go_with_their_service(client, service, admin) -> None:
    row = client.post("/v3/services", json={"service": {"type": "dns", "name": "designate"}}, headers=admin).get_json()
    values = {"service_id": row["service"]["id"], "interface": "public", "url": "http://d", "region": "R9"}
    made = client.post("/v3/endpoints", json={"endpoint": values}, headers=admin).get_json()["endpoint"]
    assert (made["region"], made["region_id"], made["enabled"]) == ("R9", "R9", True)
    assert "R9" in refused(client.delete("/v3/regions/R9", headers=admin), 403)
    catalog = client.get("/v3/auth/catalog", headers=admin).get_json()["catalog"]
    assert "dns" in {entry["type"] for entry in catalog}
    client.delete(f"/v3/services/{row['service']['id']}", headers=admin)
    assert made["id"] not in service["endpoints"]
    assert client.delete("/v3/regions/R9", headers=admin).status_code == 204
