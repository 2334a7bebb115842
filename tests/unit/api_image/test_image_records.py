"""Descriptions of images: made, changed, found, shared."""

import uuid

import pytest
from image_requests import PATCH, asks, create, patch, upload

LINES = {"text/html": "<h1>404 Not Found</h1>", "text/plain": "404 Not Found\n\n"}


def message(response, status: int) -> str:
    assert response.status_code == status, response.text
    body = response.get_json()
    assert body["code"].startswith(str(status))
    return str(body["message"])


def listed(client, query: str = "", who: str = "owner") -> list[str]:
    response = client.get(f"/v2/images?{query}", headers=asks(who))
    assert response.status_code == 200, response.text
    return [image["name"] for image in response.get_json()["images"]]


def test_a_new_image(client, clock) -> None:
    image_id = str(uuid.uuid4())
    image = create(client, id=image_id, name="cirros", min_disk=1, min_ram=64, tags=["a", "a"], color="red")
    assert image == {
        "id": image_id,
        "name": "cirros",
        "status": "queued",
        "visibility": "shared",
        "disk_format": "raw",
        "container_format": "bare",
        "min_disk": 1,
        "min_ram": 64,
        "protected": False,
        "os_hidden": False,
        "owner": "project-owner",
        "size": None,
        "virtual_size": None,
        "checksum": None,
        "os_hash_algo": None,
        "os_hash_value": None,
        "tags": ["a"],
        "color": "red",
        "created_at": "2023-11-14T22:13:20Z",
        "updated_at": "2023-11-14T22:13:20Z",
        "self": f"/v2/images/{image_id}",
        "file": f"/v2/images/{image_id}/file",
        "schema": "/v2/schemas/image",
    }


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"disk_format": "floppy"}, 400),
        ({"container_format": 5}, 400),
        ({"min_disk": -1}, 400),
        ({"min_ram": True}, 400),
        ({"protected": "yes"}, 400),
        ({"name": "x" * 256}, 400),
        ({"tags": "a"}, 400),
        ({"tags": [5]}, 400),
        ({"tags": [str(number) for number in range(129)]}, 413),
        ({"color": 5}, 400),
        ({"color": None}, 400),
        ({"kernel_id": "no uuid"}, 400),
        ({"id": "no uuid"}, 400),
        ({"visibility": "secret"}, 400),
        ({"visibility": "public"}, 403),
        ({"owner": "project-other"}, 403),
        ({"status": "active"}, 403),
        ({"locations": []}, 403),
    ],
)
def test_values_that_cannot_be_used(client, service, values, status) -> None:
    assert message(client.post("/v2/images", json=values, headers=asks("owner")), status)
    assert len(service) == 0


def test_an_id_is_taken_once(client) -> None:
    image = create(client)
    assert message(client.post("/v2/images", json={"id": image["id"]}, headers=asks("owner")), 409)


def test_a_patch_changes_attributes_and_properties(client, clock) -> None:
    image = create(client, color="red", size_hint="small")
    clock.advance(60)
    changed = patch(
        client,
        image["id"],
        [
            {"op": "replace", "path": "/name", "value": "new"},
            {"op": "replace", "path": "/color", "value": "blue"},
            {"op": "add", "path": "/a~1b", "value": "c"},
            {"op": "remove", "path": "/size_hint"},
            {"op": "replace", "path": "/tags", "value": ["t"]},
        ],
    ).get_json()
    assert (changed["name"], changed["color"], changed["a/b"], changed["tags"]) == ("new", "blue", "c", ["t"])
    assert "size_hint" not in changed
    assert (changed["created_at"], changed["updated_at"]) == ("2023-11-14T22:13:20Z", "2023-11-14T22:14:20Z")
    older = patch(
        client, image["id"], [{"replace": "/name", "value": "old"}], content_type=PATCH.replace("v2.1", "v2.0")
    )
    assert older.get_json()["name"] == "old"


@pytest.mark.parametrize(
    ("operations", "status"),
    [
        ({}, 400),
        ([5], 400),
        ([{"op": "move", "path": "/a", "value": "b"}], 400),
        ([{"op": "add", "path": "a", "value": "b"}], 400),
        ([{"op": "add", "path": "/a/", "value": "b"}], 400),
        ([{"op": "add", "path": "/a~2", "value": "b"}], 400),
        ([{"op": "add", "path": "/a/b", "value": "b"}], 400),
        ([{"op": "add", "path": "/a"}], 400),
        ([{"op": "add", "path": "/a", "value": 5}], 400),
        ([{"op": "replace", "path": "/a", "value": "b"}], 409),
        ([{"op": "remove", "path": "/a"}], 409),
        ([{"op": "remove", "path": "/name"}], 403),
        ([{"op": "remove", "path": "/checksum"}], 403),
        ([{"op": "replace", "path": "/id", "value": "6f8fc9d1-3c5b-4f38-a3cb-7c4b4b5b2b1a"}], 403),
        ([{"op": "replace", "path": "/status", "value": "active"}], 403),
        ([{"op": "replace", "path": "/visibility", "value": "public"}], 403),
    ],
)
def test_a_patch_that_is_refused_changes_nothing(client, operations, status) -> None:
    image = create(client)
    if isinstance(operations, list):
        operations = [{"op": "add", "path": "/touched", "value": "yes"}, *operations]
    assert message(patch(client, image["id"], operations), status)
    assert client.get(image["self"], headers=asks("owner")).get_json() == image


def test_only_patch_documents_are_patches(client) -> None:
    response = patch(client, create(client)["id"], [], content_type="application/json")
    assert message(response, 415)
    assert PATCH in response.headers["Accept-Patch"]


def test_formats_are_fixed_by_the_bytes(client) -> None:
    image = create(client)
    change = [{"op": "replace", "path": "/disk_format", "value": "qcow2"}]
    assert patch(client, image["id"], change).get_json()["disk_format"] == "qcow2"
    upload(client, image["id"])
    change[0]["value"] = "raw"
    assert "queued" in message(patch(client, image["id"], change), 403)


def test_a_protected_image_stays(client, service) -> None:
    image = create(client, protected=True)
    assert "protected" in message(client.delete(image["self"], headers=asks("owner")), 403)
    patch(client, image["id"], [{"op": "replace", "path": "/protected", "value": False}])
    assert client.delete(image["self"], headers=asks("owner")).status_code == 204
    assert image["id"] in message(client.get(image["self"], headers=asks("owner")), 404)
    assert len(service) == 0


@pytest.mark.parametrize(
    ("visibility", "seen", "found"),
    [("private", False, False), ("shared", False, False), ("community", True, False), ("public", True, True)],
)
def test_who_sees_an_image(client, visibility, seen, found) -> None:
    values = {"owner": "project-owner", "visibility": visibility}
    image = create(client, "root", **values)
    assert client.get(image["self"], headers=asks("owner")).status_code == 200
    assert client.get(image["self"], headers=asks("other")).status_code == (200 if seen else 404)
    assert listed(client) == ["image"]
    assert listed(client, who="other") == (["image"] if found else [])
    refusal = 403 if seen else 404
    for response in (
        patch(client, image["id"], [{"op": "add", "path": "/a", "value": "b"}], "other"),
        upload(client, image["id"], who="other"),
        client.delete(image["self"], headers=asks("other")),
        client.put(f"{image['self']}/tags/t", headers=asks("other")),
    ):
        assert message(response, refusal)


def test_community_images_are_listed_on_demand(client) -> None:
    create(client, visibility="community")
    assert listed(client, "visibility=community", "other") == ["image"]
    assert listed(client, "visibility=public", "other") == []


def test_sharing(client) -> None:
    image = create(client)
    path = f"{image['self']}/members"
    member = client.post(path, json={"member": "project-other"}, headers=asks("owner")).get_json()
    assert (member["status"], member["image_id"]) == ("pending", image["id"])
    assert message(client.post(path, json={"member": "project-other"}, headers=asks("owner")), 409)
    assert client.get(image["self"], headers=asks("other")).status_code == 200
    assert listed(client, who="other") == []
    assert listed(client, "member_status=pending&visibility=shared", "other") == ["image"]
    answer = {"status": "accepted"}
    assert message(client.put(f"{path}/project-other", json=answer, headers=asks("owner")), 403)
    assert message(client.put(f"{path}/project-other", json={"status": "maybe"}, headers=asks("other")), 400)
    assert client.put(f"{path}/project-other", json=answer, headers=asks("other")).get_json()["status"] == "accepted"
    assert listed(client, who="other") == ["image"]
    assert client.get(path, headers=asks("owner")).get_json()["members"][0]["status"] == "accepted"
    assert message(client.delete(f"{path}/project-other", headers=asks("other")), 403)
    assert client.delete(f"{path}/project-other", headers=asks("owner")).status_code == 204
    assert message(client.delete(f"{path}/project-other", headers=asks("owner")), 404)
    assert client.get(image["self"], headers=asks("other")).status_code == 404


def test_only_shared_images_have_members(client) -> None:
    image = create(client, visibility="private")
    path = f"{image['self']}/members"
    assert message(client.post(path, json={"member": "x"}, headers=asks("owner")), 403)
    assert message(client.get(path, headers=asks("owner")), 403)


def test_tags(client) -> None:
    image = create(client)
    path = f"{image['self']}/tags/t"
    assert client.put(path, headers=asks("owner")).status_code == 204
    assert listed(client, "tag=t") == ["image"]
    assert client.delete(path, headers=asks("owner")).status_code == 204
    assert message(client.delete(path, headers=asks("owner")), 404)


@pytest.fixture
def three(client, clock):
    """Images c (64 MiB of memory, red), a (hidden from nobody) and b (protected), made in this order."""
    create(client, name="c", min_ram=64, color="red", tags=["x", "y"])
    clock.advance(10)
    upload(client, create(client, name="a", disk_format="qcow2", tags=["x"])["id"], b"12345")
    clock.advance(10)
    create(client, name="b", protected=True)
    create(client, name="hidden", os_hidden=True)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", "bac"),
        ("name=a", "a"),
        ("name=in:a,c", "ac"),
        ("status=active", "a"),
        ("status=in:queued,active", "bac"),
        ("disk_format=raw", "bc"),
        ("min_ram=64", "c"),
        ("size_min=5", "a"),
        ("size_max=4", ""),
        ("protected=true", "b"),
        ("protected=False", "ac"),
        ("color=red", "c"),
        ("nothing=x", ""),
        ("tag=x", "ac"),
        ("tag=x&tag=y", "c"),
        ("owner=project-other", ""),
        ("created_at=gt:2023-11-14T22:13:20Z", "ba"),
        ("updated_at=lte:2023-11-14T22:13:30", "ac"),
        ("sort=name", "cba"),
        ("sort=name:asc", "abc"),
        ("sort_key=name&sort_dir=asc", "abc"),
        ("sort=status:asc,name:asc", "abc"),
        ("sort_key=size&sort_dir=desc", "abc"),
        ("limit=2", "ba"),
        ("limit=0", ""),
    ],
)
def test_lists(client, three, query, names) -> None:
    got = "".join(listed(client, query))
    if "size&" in query:  # those without a size come last, in no order that was asked for
        assert got[0] == names[0]
        assert sorted(got) == sorted(names)
    else:
        assert got == names


def test_hidden_images_are_listed_on_demand(client, three) -> None:
    assert listed(client, "os_hidden=true") == ["hidden"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=x",
        "limit=-1",
        "sort=color",
        "sort=name:up",
        "sort=name&sort_key=name",
        "sort_key=name&sort_dir=asc&sort_dir=asc",
        "marker=nothing",
        "visibility=x",
        "member_status=x",
        "protected=maybe",
        "size_min=x",
        "created_at=gt:yesterday",
    ],
)
def test_queries_that_cannot_be_understood(client, three, query) -> None:
    assert message(client.get(f"/v2/images?{query}", headers=asks("owner")), 400)


def test_pages_cover_everything_once(client) -> None:
    names = [f"i{number}" for number in range(7)]
    for name in names:
        create(client, name=name)
    seen: list[str] = []
    url = "/v2/images?limit=3&sort=name:asc"
    while url:
        body = client.get(url, headers=asks("owner")).get_json()
        seen += [image["name"] for image in body["images"]]
        assert body["first"].startswith("/v2/images?limit=3")
        url = body.get("next")
    assert seen == names


def test_discovery_and_schemas(client) -> None:
    root = client.get("/")
    assert root.status_code == 300
    assert root.get_json()["versions"][0]["status"] == "CURRENT"
    assert client.get("/versions").status_code == 200
    schema = client.get("/v2/schemas/image", headers=asks("owner")).get_json()
    image = create(client)
    assert set(image) <= set(schema["properties"])
    for name in ("images", "member", "members"):
        assert client.get(f"/v2/schemas/{name}", headers=asks("owner")).get_json()["name"] == name
    assert message(client.get("/v2/schemas/nothing", headers=asks("owner")), 404)
    assert message(client.get("/v2/info/stores", headers=asks("owner")), 404)


@pytest.mark.parametrize("kind", LINES)
def test_errors_come_in_the_form_that_the_client_prefers(client, kind) -> None:
    headers = {"X-Auth-Token": "owner"} | ({"Accept": "*/*"} if kind == "text/html" else {})
    response = client.get("/v2/images/<x>", headers=headers)
    assert response.status_code == 404
    assert response.mimetype == kind
    assert LINES[kind] in response.text
    assert ("&lt;x&gt;" in response.text) == (kind == "text/html")


def test_without_a_token_the_refusal_is_keystones(client) -> None:
    response = client.get("/v2/images")
    assert response.status_code == 401
    assert response.get_json()["error"]["title"] == "Unauthorized"
    assert "Keystone uri=" in response.headers["WWW-Authenticate"]


def test_unknown_paths_are_named(client) -> None:
    assert "GET /v2/nonsense" in message(client.get("/v2/nonsense", headers=asks("owner")), 404)
    assert "PUT /v2/images" in message(client.put("/v2/images", headers=asks("owner")), 405)
