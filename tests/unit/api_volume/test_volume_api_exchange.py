"""What volumes are exchanged for: other projects' by transfers, images by uploads, their past by reverts; and QoS."""

from collections.abc import Iterable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from volume_requests import ADMIN, ADMIN_PROJECT, CONNECTOR, OTHER_PROJECT, PROJECT, STRANGER, Api, Validator

from nova_fakes.api.auth import Token
from nova_fakes.api.volume import VolumeService, create_app
from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import ApiError
from nova_fakes.volume.pool import Pool
from nova_fakes.volume.store import VolumeStore


class Images:
    """An image service that keeps what it is given."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []
        self.content = b""
        self.full = False

    def create(self, token: Token, values: Mapping[str, Any]) -> Any:
        self.made.append(dict(values))
        return SimpleNamespace(id=f"image-{len(self.made)}")

    def upload(self, token: Token, image_id: str, blocks: Iterable[bytes]) -> None:
        if self.full:
            raise ApiError(413, "too large")
        self.content = b"".join(blocks)

    def delete(self, token: Token, image_id: str) -> None:
        self.made.pop()


@pytest.fixture
def store(clock: ManualClock) -> VolumeStore:
    return VolumeStore([Pool(name="fake")], clock=clock)


@pytest.fixture
def images() -> Images:
    return Images()


@pytest.fixture
def service(store: VolumeStore, images: Images, clock: ManualClock) -> VolumeService:
    return VolumeService(clock=clock, volume_store=store, image_sink=images)


@pytest.fixture
def api(service: VolumeService) -> Iterator[Api]:
    with create_app(service, Validator()).test_client() as client:
        yield Api(client)


@pytest.mark.parametrize("prefix", ["/v3/os-volume-transfer", "/v3/volume-transfers"])
def test_volume_changes_hands_with_its_snapshots(api: Api, prefix: str) -> None:
    volume_id = api.volume(name="gift")
    snapshot = api("POST", "/v3/snapshots", {"snapshot": {"volume_id": volume_id}}, status=202)["snapshot"]["id"]
    asked = {"transfer": {"volume_id": volume_id, "name": "offer"}}
    made = api("POST", prefix, asked, status=202)["transfer"]
    assert api.show(volume_id)["status"] == "awaiting-transfer"
    assert api("GET", f"{prefix}/{made['id']}")["transfer"]["name"] == "offer"
    assert "auth_key" not in api("GET", f"{prefix}/detail")["transfers"][0]
    api("DELETE", f"/v3/volumes/{volume_id}", status=400)
    other = api.as_(STRANGER)
    other("GET", f"{prefix}/{made['id']}", status=404)
    accept = f"{prefix}/{made['id']}/accept"
    assert "auth key" in str(other("POST", accept, {"accept": {"auth_key": "wrong"}}, status=400))
    other("POST", accept, {"accept": {"auth_key": made["auth_key"]}}, status=202)
    assert (other.show(volume_id)["status"], other.show(volume_id)["os-vol-tenant-attr:tenant_id"]) == (
        "available",
        OTHER_PROJECT,
    )
    assert [one["id"] for one in other("GET", "/v3/snapshots")["snapshots"]] == [snapshot]
    assert (api("GET", "/v3/volumes")["volumes"], api("GET", "/v3/snapshots")["snapshots"]) == ([], [])
    for who, project, count in ((api, PROJECT, 0), (other, OTHER_PROJECT, 1)):
        usage = who("GET", f"/v3/os-quota-sets/{project}?usage=true")["quota_set"]
        assert (usage["volumes"]["in_use"], usage["snapshots"]["in_use"]) == (count, count)
    other("POST", accept, {"accept": {"auth_key": made["auth_key"]}}, status=404)


def test_offer_is_taken_back_and_kept_over_a_restart(api: Api, service: VolumeService) -> None:
    volume_id = api.volume()
    offer = {"transfer": {"volume_id": volume_id}}
    made = api("POST", "/v3/volume-transfers", offer, status=202)["transfer"]
    api("POST", "/v3/volume-transfers", offer, status=400)
    api.as_(ADMIN)("POST", "/v3/qos-specs", {"qos_specs": {"name": "slow"}})
    service.load(service.dump())
    assert [one["id"] for one in api("GET", "/v3/volume-transfers")["transfers"]] == [made["id"]]
    assert len(api.as_(ADMIN)("GET", "/v3/qos-specs")["qos_specs"]) == 1
    api("DELETE", f"/v3/volume-transfers/{made['id']}", status=202)
    assert api.show(volume_id)["status"] == "available"


def test_volume_becomes_an_image(api: Api, store: VolumeStore, images: Images) -> None:
    volume_id = api.volume()
    store.volume(volume_id).disk.write(5, b"bytes")
    answer = api.act(volume_id, "os-volume_upload_image", {"image_name": "copy", "disk_format": "raw"})
    shown = answer["os-volume_upload_image"]
    assert (shown["status"], shown["image_id"], shown["disk_format"]) == ("uploading", "image-1", "raw")
    assert images.made[0]["name"] == "copy"
    assert (images.content[:10], len(images.content)) == (b"\0" * 5 + b"bytes", 1 << 30)
    assert api.show(volume_id)["status"] == "available"
    images.full = True
    api.act(volume_id, "os-volume_upload_image", {"image_name": "copy"})
    assert (len(images.made), api.show(volume_id)["status"]) == (1, "available")


def test_volume_in_use_becomes_an_image_by_force_alone(api: Api, images: Images) -> None:
    volume_id = api.volume()
    api("POST", "/v3/attachments", {"attachment": {"volume_uuid": volume_id, "connector": CONNECTOR}})
    api.as_(ADMIN).act(volume_id, "os-reset_status", {"status": "in-use"})
    api.act(volume_id, "os-volume_upload_image", {"image_name": "x"}, status=400)
    api.act(volume_id, "os-volume_upload_image", {"image_name": "x", "force": True})
    assert api.show(volume_id)["status"] == "in-use"


def test_volume_goes_back_to_its_latest_snapshot(api: Api, store: VolumeStore) -> None:
    volume_id = api.volume()
    disk = store.volume(volume_id).disk
    api.act(volume_id, "revert", {"snapshot_id": volume_id}, status=400)
    taken = []
    for content in (b"one", b"two"):
        disk.write(0, content)
        taken.append(api("POST", "/v3/snapshots", {"snapshot": {"volume_id": volume_id}}, status=202)["snapshot"]["id"])
    disk.write(0, b"now")
    assert "latest" in str(api.act(volume_id, "revert", {"snapshot_id": taken[0]}, status=400))
    api.act(volume_id, "revert", {"snapshot_id": taken[1]})
    assert (disk.read(0, 3), api.show(volume_id)["status"]) == (b"two", "available")
    api.at("3.39").act(volume_id, "revert", {"snapshot_id": taken[1]}, status=404)
    api.act(volume_id, "os-extend", {"new_size": 2})
    api.act(volume_id, "revert", {"snapshot_id": taken[1]}, status=400)


def test_quality_of_service_goes_with_the_connection(api: Api) -> None:
    admin = api.as_(ADMIN)
    api("GET", "/v3/qos-specs", status=403)
    specs = {"name": "slow", "consumer": "front-end", "total_iops_sec": "100", "x": "y"}
    qos = admin("POST", "/v3/qos-specs", {"qos_specs": specs})["qos_specs"]["id"]
    admin("POST", "/v3/qos-specs", {"qos_specs": specs}, status=409)
    admin("PUT", f"/v3/qos-specs/{qos}", {"qos_specs": {"total_iops_sec": "200"}})
    admin("PUT", f"/v3/qos-specs/{qos}/delete_keys", {"keys": ["x", "absent"]}, status=404)
    admin("PUT", f"/v3/qos-specs/{qos}/delete_keys", {"keys": ["x"]}, status=202)
    kind = admin("POST", "/v3/types", {"volume_type": {"name": "gold"}})["volume_type"]["id"]
    admin("GET", f"/v3/qos-specs/{qos}/associate", status=400)
    admin("GET", f"/v3/qos-specs/{qos}/associate?vol_type_id={kind}", status=202)
    assert admin("GET", f"/v3/types/{kind}")["volume_type"]["qos_specs_id"] == qos
    (joined,) = admin("GET", f"/v3/qos-specs/{qos}/associations")["qos_associations"]
    assert joined == {"association_type": "volume_type", "name": "gold", "id": kind}

    body = {"volume_uuid": api.volume(volume_type="gold"), "connector": CONNECTOR}
    info = api("POST", "/v3/attachments", {"attachment": body})["attachment"]["connection_info"]
    assert info["qos_specs"] == {"total_iops_sec": "200"}
    admin("DELETE", f"/v3/qos-specs/{qos}", status=400)
    admin("GET", f"/v3/qos-specs/{qos}/disassociate_all", status=202)
    admin("DELETE", f"/v3/qos-specs/{qos}", status=202)
    admin("GET", f"/v3/qos-specs/{qos}", status=404)


def test_pools_tell_what_room_they_have(api: Api) -> None:
    api.volume(size=7)
    api("GET", "/v3/scheduler-stats/get_pools", status=403)
    (pool,) = api.as_(ADMIN)("GET", "/v3/scheduler-stats/get_pools?detail=true")["pools"]
    assert pool["name"] == "nova-fakes@fake#fake"
    capabilities = pool["capabilities"]
    assert (capabilities["provisioned_capacity_gb"], capabilities["total_capacity_gb"]) == (7, "infinite")
    assert api.as_(ADMIN)("GET", "/v3/scheduler-stats/get_pools") == {"pools": [{"name": "nova-fakes@fake#fake"}]}


def test_snapshots_of_an_administrator_count_as_his(api: Api, service: VolumeService) -> None:
    volume_id = api.volume()
    api.as_(ADMIN)("POST", "/v3/snapshots", {"snapshot": {"volume_id": volume_id}}, status=202)
    assert service.quotas.used(ADMIN_PROJECT, "snapshots") == 1
    offer = api("POST", "/v3/volume-transfers", {"transfer": {"volume_id": volume_id}}, status=202)["transfer"]
    path = f"/v3/volume-transfers/{offer['id']}/accept"
    api.as_(STRANGER)("POST", path, {"accept": {"auth_key": offer["auth_key"]}}, status=202)
    used = [service.quotas.used(one, "gigabytes") for one in (PROJECT, ADMIN_PROJECT, OTHER_PROJECT)]
    assert (used, service.quotas.used(ADMIN_PROJECT, "snapshots")) == ([0, 0, 2], 0)


def test_offers_are_paged(api: Api) -> None:
    offers = []
    for name in "abc":
        body = {"volume_id": api.volume(), "name": name}
        offers.append(api("POST", "/v3/volume-transfers", {"transfer": body}, status=202)["transfer"]["id"])
    seen, path = [], "/v3/volume-transfers/detail?limit=2"
    while path:
        page = api("GET", path)
        seen += [one["id"] for one in page["transfers"]]
        path = page["transfers_links"][0]["href"] if "transfers_links" in page else ""
    assert seen == offers[::-1]
    old = api.at("3.58")("GET", "/v3/os-volume-transfer")["transfers"]
    assert [one["id"] for one in old] == offers


def test_offer_goes_with_its_volume(api: Api) -> None:
    volume_id = api.volume()
    offer = api("POST", "/v3/volume-transfers", {"transfer": {"volume_id": volume_id}}, status=202)["transfer"]
    api.as_(ADMIN).act(volume_id, "os-force_delete", {})
    path = f"/v3/volume-transfers/{offer['id']}"
    api("GET", path, status=404)
    api.as_(STRANGER)("POST", f"{path}/accept", {"accept": {"auth_key": offer["auth_key"]}}, status=404)


def test_snapshots_that_go_along_are_available(api: Api) -> None:
    volume_id = api.volume()
    snapshot = api("POST", "/v3/snapshots", {"snapshot": {"volume_id": volume_id}}, status=202)["snapshot"]["id"]
    api.as_(ADMIN)("POST", f"/v3/snapshots/{snapshot}/action", {"os-reset_status": {"status": "error"}}, status=202)
    body: dict[str, Any] = {"volume_id": volume_id}
    assert snapshot in str(api("POST", "/v3/volume-transfers", {"transfer": body}, status=400))
    api("POST", "/v3/volume-transfers", {"transfer": {**body, "no_snapshots": True}}, status=202)


def test_store_follows_names_and_owners(api: Api, store: VolumeStore) -> None:
    volume_id = api.volume(name="before")
    api("PUT", f"/v3/volumes/{volume_id}", {"volume": {"name": "after"}})
    offer = api("POST", "/v3/volume-transfers", {"transfer": {"volume_id": volume_id}}, status=202)["transfer"]
    path = f"/v3/volume-transfers/{offer['id']}/accept"
    api.as_(STRANGER)("POST", path, {"accept": {"auth_key": offer["auth_key"]}}, status=202)
    assert (store.volume(volume_id).name, store.volume(volume_id).owner) == ("after", OTHER_PROJECT)
