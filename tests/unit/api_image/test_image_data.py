"""The bytes: on their way in, kept, and on their way out."""

import hashlib
import json

import pytest
from image_requests import OCTETS, TOKENS, Tokens, asks, create, upload

from nova_fakes.api.image import ImageService, create_app
from nova_fakes.exceptions import ApiError

DATA = bytes(range(256)) * 100


def files(service) -> list[str]:
    return sorted(path.name for path in service._content.directory.iterdir())


def test_what_was_uploaded_comes_back(client, service) -> None:
    image = create(client)
    assert (image["status"], image["size"], image["checksum"]) == ("queued", None, None)
    assert client.get(image["file"], headers=asks("owner")).status_code == 204
    assert upload(client, image["id"], DATA).status_code == 204
    shown = client.get(image["self"], headers=asks("owner")).get_json()
    assert (shown["status"], shown["size"], shown["virtual_size"]) == ("active", len(DATA), len(DATA))
    assert shown["checksum"] == hashlib.md5(DATA).hexdigest()
    assert (shown["os_hash_algo"], shown["os_hash_value"]) == ("sha512", hashlib.sha512(DATA).hexdigest())
    response = client.get(image["file"], headers=asks("owner"))
    assert response.data == DATA
    assert response.headers["Content-MD5"] == shown["checksum"]
    assert response.headers["Content-Length"] == str(len(DATA))
    assert files(service) == [image["id"]]


@pytest.mark.parametrize(
    ("wanted", "start", "stop"), [("bytes=10-19", 10, 20), ("bytes=25590-", 25590, 25600), ("bytes=-5", 25595, 25600)]
)
def test_parts_can_be_had(client, wanted, start, stop) -> None:
    image = create(client)
    upload(client, image["id"], DATA)
    response = client.get(image["file"], headers=asks("owner", Range=wanted))
    assert (response.status_code, response.data) == (206, DATA[start:stop])
    assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(DATA)}"
    beyond = client.get(image["file"], headers=asks("owner", Range="bytes=99999-"))
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(DATA)}")


def test_bytes_come_once(client) -> None:
    image = create(client)
    upload(client, image["id"])
    again = upload(client, image["id"], b"other")
    assert again.status_code == 409
    assert "from active to saving" in again.get_json()["message"]
    assert client.get(image["file"], headers=asks("owner")).data == b"bytes"


def test_a_refused_upload_leaves_the_image_as_it_was(client, service) -> None:
    image = create(client)
    huge = upload(client, image["id"], bytes(1_000_001))
    assert huge.status_code == 413
    wrong = upload(client, image["id"], b"four", **{"X-OpenStack-Image-Size": "5"})
    assert wrong.status_code == 400
    typed = client.put(image["file"], data=b"x", content_type="text/plain", headers=asks("owner"))
    assert typed.status_code == 415
    assert client.get(image["self"], headers=asks("owner")).get_json()["status"] == "queued"
    assert files(service) == []
    assert upload(client, image["id"]).status_code == 204


def test_formats_come_before_bytes(client) -> None:
    image = create(client, disk_format=None)
    response = upload(client, image["id"])
    assert response.status_code == 400
    assert "disk_format" in response.get_json()["message"]


def test_an_interrupted_upload_can_be_repeated(service, owner) -> None:
    image = service.create(owner, {"disk_format": "raw", "container_format": "bare"})

    def broken():
        yield b"some"
        assert image.status == "saving"
        raise ConnectionError("the client went away")

    with pytest.raises(ConnectionError):
        service.upload(owner, image.id, broken())
    assert image.status == "queued"
    assert files(service) == []
    service.upload(owner, image.id, [b"all"])
    assert b"".join(service.read(image.id)) == b"all"


def test_an_image_deleted_during_its_upload_is_gone(service, owner) -> None:
    image = service.create(owner, {"disk_format": "raw", "container_format": "bare"})

    def blocks():
        yield b"some"
        service.delete(owner, image.id)

    with pytest.raises(ApiError) as caught:
        service.upload(owner, image.id, blocks())
    assert caught.value.status == 410
    assert files(service) == []


def test_a_download_outlives_the_image(client, service, owner) -> None:
    image = create(client)
    upload(client, image["id"], DATA)
    blocks = service.read(image["id"])
    service.delete(owner, image["id"])
    assert b"".join(blocks) == DATA
    assert files(service) == []


def test_deactivated_images_are_for_administrators(client) -> None:
    image = create(client)
    path = f"{image['self']}/actions"
    assert client.post(f"{path}/deactivate", headers=asks("owner")).status_code == 403  # still queued
    upload(client, image["id"])
    assert client.post(f"{path}/deactivate", headers=asks("owner")).status_code == 204
    assert client.get(image["file"], headers=asks("owner")).status_code == 403
    assert client.get(image["file"], headers=asks("root")).status_code == 200
    assert client.post(f"{path}/reactivate", headers=asks("owner")).status_code == 204
    assert client.get(image["file"], headers=asks("owner")).status_code == 200


def test_staged_bytes_are_imported(client, service) -> None:
    image = create(client)
    order = {"method": {"name": "glance-direct"}}
    early = client.post(f"{image['self']}/import", json=order, headers=asks("owner"))
    assert early.status_code == 409
    staged = client.put(f"{image['self']}/stage", data=DATA, content_type=OCTETS, headers=asks("owner"))
    assert staged.status_code == 204
    assert client.get(image["self"], headers=asks("owner")).get_json()["status"] == "uploading"
    other = client.post(f"{image['self']}/import", json={"method": {"name": "magic"}}, headers=asks("owner"))
    assert other.status_code == 400
    assert client.post(f"{image['self']}/import", json=order, headers=asks("owner")).status_code == 202
    assert client.get(image["file"], headers=asks("owner")).data == DATA
    assert files(service) == [image["id"]]


def test_the_size_of_the_disk_in_a_qcow2_is_found(client) -> None:
    image = create(client, disk_format="qcow2")
    head = b"QFI\xfb" + (3).to_bytes(4, "big") + bytes(16) + (5 << 30).to_bytes(8, "big") + bytes(100)
    upload(client, image["id"], head)
    shown = client.get(image["self"], headers=asks("owner")).get_json()
    assert (shown["size"], shown["virtual_size"]) == (len(head), 5 << 30)


def test_the_state_survives(client, service, clock) -> None:
    image = create(client, tags=["a"], color="red")
    upload(client, image["id"], DATA)
    client.post(f"{image['self']}/members", json={"member": "project-other"}, headers=asks("owner"))
    state = json.loads(json.dumps(service.dump()))
    again = ImageService(clock, service._content.directory)
    again.load(state)
    assert again.dump() == service.dump()
    assert again.get(TOKENS["other"], image["id"]).show() == service.get(TOKENS["owner"], image["id"]).show()
    assert b"".join(again.read(image["id"])) == DATA
    with pytest.raises(ApiError, match="version"):
        again.load({})


def test_an_upload_cut_off_by_the_end_has_failed(service, owner, clock) -> None:
    image = service.create(owner, {"disk_format": "raw", "container_format": "bare"})
    states = []

    def blocks():
        states.append(service.dump())
        yield b"x"

    service.upload(owner, image.id, blocks())
    again = ImageService(clock, service._content.directory)
    again.load(states[0])
    assert again.get(owner, image.id).status == "queued"


@pytest.fixture
def several(clock, tmp_path):
    return create_app(ImageService(clock, tmp_path / "several", stores=("fast", "slow")), Tokens()).test_client()


def test_an_image_is_copied_from_store_to_store(several) -> None:
    image = create(several)
    path = f"{image['self']}/import"

    def copy(who="root", **order):
        return several.post(path, json={"method": {"name": "copy-image"}, **order}, headers=asks(who))

    assert copy(stores=["slow"]).status_code == 409  # it has no bytes yet
    upload(several, image["id"], b"abc")
    assert several.get(image["self"], headers=asks("owner")).get_json()["stores"] == "fast"
    assert copy("owner", stores=["slow"]).status_code == 403
    assert copy(stores=["none"]).status_code == 409
    assert copy(stores=["fast"]).status_code == 400
    assert copy(stores=["slow"]).status_code == 202
    assert copy(all_stores=True).status_code == 202
    assert several.get(image["self"], headers=asks("owner")).get_json()["stores"] == "fast,slow"
    leave = "/v2/stores/{}/" + image["id"]
    assert several.delete(leave.format("fast"), headers=asks("owner")).status_code == 204
    assert several.delete(leave.format("fast"), headers=asks("owner")).status_code == 404
    assert several.delete(leave.format("slow"), headers=asks("owner")).status_code == 403
    assert several.get(image["file"], headers=asks("owner")).data == b"abc"


def test_an_image_goes_into_the_store_that_is_named(several) -> None:
    image = create(several)
    assert upload(several, image["id"], **{"X-Image-Meta-Store": "none"}).status_code == 400
    assert upload(several, image["id"], **{"X-Image-Meta-Store": "slow"}).status_code == 204
    staged = create(several)
    several.put(f"{staged['self']}/stage", data=b"xyz", content_type=OCTETS, headers=asks("owner"))
    order = {"method": {"name": "glance-direct"}, "all_stores": True}
    assert several.post(f"{staged['self']}/import", json=order, headers=asks("owner")).status_code == 202
    shown = [several.get(one["self"], headers=asks("owner")).get_json()["stores"] for one in (image, staged)]
    assert shown == ["slow", "fast,slow"]
    stores = several.get("/v2/info/stores", headers=asks("owner")).get_json()["stores"]
    assert [(store["id"], store.get("default")) for store in stores] == [("fast", "true"), ("slow", None)]


def test_imports_leave_tasks(client, service) -> None:
    image = create(client)
    client.put(f"{image['self']}/stage", data=b"xyz", content_type=OCTETS, headers=asks("owner"))
    order = {"method": {"name": "glance-direct"}}
    answer = client.post(f"{image['self']}/import", json=order, headers=asks("owner"))
    request_id = answer.headers["x-openstack-request-id"]
    (task,) = client.get(f"{image['self']}/tasks", headers=asks("owner")).get_json()["tasks"]
    assert (task["status"], task["input"]["import_req"]) == ("success", order)
    service.load(service.dump())
    assert client.get(task["self"], headers=asks("root")).get_json() == task
    assert task["request_id"] == request_id
    assert client.get("/v2/tasks", headers=asks("owner")).status_code == 403
    (row,) = client.get("/v2/tasks?status=success", headers=asks("root")).get_json()["tasks"]
    assert "input" not in row
    assert client.get("/v2/tasks?status=failure", headers=asks("root")).get_json()["tasks"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", "import", {"method": {"name": "web-download", "uri": "http://x"}}, 400, "web-download"),
        ("POST", "import", {"method": {"name": "copy-image"}}, 400, "copy-image"),
        ("POST", "/v2/tasks", {"type": "import", "input": {}}, 400, "/import"),
        ("GET", "/v2/cache", None, 404, "Caching via API is not supported"),
        ("GET", "/v2/info/stores/detail", None, 404, "Multi backend"),
    ],
)
def test_what_is_not_done_says_so(client, method, path, body, status, says) -> None:
    image = create(client, "root")
    where = path if path.startswith("/") else f"{image['self']}/{path}"
    response = client.open(where, method=method, json=body, headers=asks("root"))
    assert response.status_code == status
    assert says in response.get_json()["message"]
