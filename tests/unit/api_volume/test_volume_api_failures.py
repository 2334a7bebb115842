"""A backend that fails: what was asked for is refused or in error, and nothing is lost or counted twice."""

from collections.abc import Iterator

import pytest
from volume_requests import ADMIN, CONNECTOR, NOVA, PROJECT, SERVERS, Api, Validator

from nova_fakes.api.volume import VolumeService, create_app
from nova_fakes.clock import ManualClock
from nova_fakes.faults import FaultRule
from nova_fakes.volume.pool import Pool
from nova_fakes.volume.store import VolumeStore

SPARE = "nova-fakes@fake#spare"


@pytest.fixture
def store(clock: ManualClock) -> VolumeStore:
    return VolumeStore([Pool(name="fake"), Pool(name="spare")], clock=clock)


@pytest.fixture
def service(store: VolumeStore, clock: ManualClock) -> VolumeService:
    return VolumeService(clock=clock, volume_store=store, server_swap=lambda *ids: None)


@pytest.fixture
def api(service: VolumeService) -> Iterator[Api]:
    with create_app(service, Validator()).test_client() as client:
        yield Api(client)


def fail(store: VolumeStore, operation: str) -> None:
    store.faults.add(FaultRule(operation, times=1))


def attach(api: Api, volume_id: str, *, status: int = 200) -> str:
    body = {"volume_uuid": volume_id, "instance_uuid": SERVERS[0], "connector": CONNECTOR}
    answer = api("POST", "/v3/attachments", {"attachment": body}, status=status)
    return str(answer["attachment"]["id"]) if status == 200 else str(answer)


def count(service: VolumeService) -> tuple[int, int, int]:
    """What the project uses, which has to be what is there."""
    used = (service.quotas.used(PROJECT, name) for name in ("volumes", "gigabytes", "groups"))
    found = tuple(used)
    service.quotas.load(service.quotas.dump())
    assert found == tuple(service.quotas.used(PROJECT, name) for name in ("volumes", "gigabytes", "groups"))
    return found[0], found[1], found[2]


def test_connection_that_fails_leaves_the_volume_reserved(api: Api, store: VolumeStore) -> None:
    volume_id = api.volume()
    fail(store, "volume.connect")
    assert "Unable to create attachment for volume (volume.connect" in attach(api, volume_id, status=500)
    assert api.show(volume_id)["status"] == "reserved"
    (failed,) = api("GET", "/v3/attachments/detail")["attachments"]
    assert (failed["status"], failed["connection_info"], failed["attached_at"]) == ("error_attaching", {}, "")
    assert api("GET", "/v3/messages")["messages"][0]["event_id"] == "VOLUME_VOLUME_004_001"
    path = f"/v3/attachments/{failed['id']}"
    fail(store, "volume.connect")
    refused = api("PUT", path, {"attachment": {"connector": CONNECTOR}}, status=500)
    assert "Unable to update attachment (volume.connect" in str(refused)
    api("PUT", path, {"attachment": {"connector": CONNECTOR}})
    assert api.show(volume_id)["status"] == "attaching"
    api.as_(NOVA)("DELETE", path)
    assert (api.show(volume_id)["status"], store.attachments) == ("available", {})


def test_connection_that_does_not_end_stays(api: Api, store: VolumeStore) -> None:
    volume_id = api.volume()
    attachment = attach(api, volume_id)
    fail(store, "volume.detach")
    refused = api.as_(NOVA)("DELETE", f"/v3/attachments/{attachment}", status=500)
    assert "Terminate volume connection failed" in str(refused)
    assert (list(store.attachments), api.show(volume_id)["status"]) == ([attachment], "attaching")
    api.as_(NOVA)("DELETE", f"/v3/attachments/{attachment}")
    assert (store.attachments, api.show(volume_id)["status"]) == ({}, "available")


def test_group_keeps_what_cannot_be_deleted(api: Api, store: VolumeStore, service: VolumeService) -> None:
    admin = api.as_(ADMIN)
    kind = admin("POST", "/v3/group_types", {"group_type": {"name": "g"}}, status=202)["group_type"]["id"]
    group = {"group_type": kind, "volume_types": ["__DEFAULT__"]}
    group_id = api("POST", "/v3/groups", {"group": group}, status=202)["group"]["id"]
    stays, _goes = (api.volume(group_id=group_id, volume_type="__DEFAULT__") for _ in range(2))
    store.faults.add(FaultRule("volume.delete", guest=stays, times=1))
    delete = {"delete": {"delete-volumes": True}}
    api("POST", f"/v3/groups/{group_id}/action", delete, status=202)
    assert api("GET", f"/v3/groups/{group_id}")["group"]["status"] == "error"
    assert (api.show(stays)["status"], list(store.volumes)) == ("error_deleting", [stays])
    assert (store.group(group_id).volume_ids, count(service)) == ([stays], (1, 1, 1))
    api("POST", f"/v3/groups/{group_id}/action", delete, status=202)
    assert (store.volumes, store.groups, count(service)) == ({}, {}, (0, 0, 0))


def test_second_volume_that_stays_is_an_administrators(api: Api, store: VolumeStore, service: VolumeService) -> None:
    volume_id = api.volume()
    attachment = attach(api, volume_id)
    api("POST", f"/v3/attachments/{attachment}/action", {"os-complete": None}, status=204)
    admin = api.as_(ADMIN)
    admin.act(volume_id, "os-migrate_volume", {"host": SPARE})
    (new,) = set(store.volumes) - {volume_id}
    fail(store, "volume.delete")
    admin.act(volume_id, "os-migrate_volume_completion", {"new_volume": new, "error": True}, status=200)
    assert (admin.show(volume_id)["migration_status"], api.show(volume_id)["status"]) == ("error", "in-use")
    assert admin.show(new)["status"] == "error_deleting"
    admin.act(new, "os-force_delete", {})
    assert list(store.volumes) == [volume_id]


def test_records_are_loaded_though_the_store_takes_less(clock: ManualClock, api: Api, service: VolumeService) -> None:
    large, small = api.volume(size=9), api.volume()
    store = VolumeStore([Pool(name="fake", total_bytes=2 << 30, max_over_subscription_ratio=1.0)], clock=clock)
    other = VolumeService(clock=clock, volume_store=store)
    other.load(service.dump())
    assert (list(store.volumes), other.volumes.get(ADMIN, large).size_gb) == ([small], 9)
