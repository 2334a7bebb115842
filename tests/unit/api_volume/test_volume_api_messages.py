"""Messages: what users are told of that which failed after their request was accepted."""

from collections.abc import Iterator

import pytest
from volume_requests import ADMIN, STRANGER, Api, Validator

from nova_fakes.api.volume import VolumeService, create_app
from nova_fakes.clock import ManualClock
from nova_fakes.faults import FaultRule
from nova_fakes.volume.pool import Pool
from nova_fakes.volume.store import VolumeStore


@pytest.fixture
def store(clock: ManualClock) -> VolumeStore:
    return VolumeStore([Pool(name="fake")], clock=clock)


@pytest.fixture
def service(store: VolumeStore, clock: ManualClock) -> VolumeService:
    return VolumeService(clock=clock, volume_store=store)


@pytest.fixture
def api(service: VolumeService) -> Iterator[Api]:
    with create_app(service, Validator()).test_client() as client:
        yield Api(client)


def test_each_failure_is_told(api: Api, store: VolumeStore) -> None:
    volume_id = api.volume()
    snapshot = {"snapshot": {"volume_id": volume_id}}
    for operation in ("volume.create", "volume.extend", "snapshot.create", "backup.create", "backup.restore"):
        store.faults.add(FaultRule(operation, times=1))
    lost = api.volume()
    taken = api("POST", "/v3/snapshots", snapshot, status=202)["snapshot"]["id"]
    assert api("GET", f"/v3/snapshots/{taken}")["snapshot"]["status"] == "error"
    backups = [
        api("POST", "/v3/backups", {"backup": {"volume_id": volume_id}}, status=202)["backup"]["id"] for _ in range(2)
    ]
    restore = {"restore": {"volume_id": volume_id}}
    api("POST", f"/v3/backups/{backups[1]}/restore", restore, status=202)
    api.as_(ADMIN).act(volume_id, "os-reset_status", {"status": "available"})
    api.act(volume_id, "os-extend", {"new_size": 2})
    request_id = api.response.headers["x-openstack-request-id"]
    assert api("GET", f"/v3/messages?request_id={request_id}")["messages"][0]["event_id"] == "VOLUME_VOLUME_007_010"
    told = [(one["resource_uuid"], one["event_id"]) for one in api("GET", "/v3/messages")["messages"]]
    assert told[::-1] == [
        (lost, "VOLUME_VOLUME_008_012"),
        (taken, "VOLUME_VOLUME_SNAPSHOT_009_013"),
        (backups[0], "VOLUME_VOLUME_BACKUP_013_020"),
        (backups[1], "VOLUME_VOLUME_BACKUP_015_026"),
        (volume_id, "VOLUME_VOLUME_007_010"),
    ]
    (found,) = api("GET", f"/v3/messages?resource_uuid={lost}")["messages"]
    assert found["user_message"] == "create volume from backend storage:Driver failed to create the volume."


def test_messages_are_the_projects_and_end(api: Api, service: VolumeService, clock: ManualClock) -> None:
    api.as_(ADMIN)("PUT", "/v3/os-services/disable", {"host": "nova-fakes@fake", "binary": "cinder-volume"})
    volumes = [api.volume(), api.volume()]
    service.load(service.dump())
    first, second = api("GET", "/v3/messages?sort=created_at:asc")["messages"]
    assert {first["resource_uuid"], second["resource_uuid"]} == set(volumes)
    assert (first["resource_type"], first["message_level"]) == ("VOLUME", "ERROR")
    path = f"/v3/messages/{first['id']}"
    assert api("GET", path)["message"] == first
    api.as_(STRANGER)("GET", path, status=404)
    api.at("3.2")("GET", path, status=404)
    assert len(api.as_(ADMIN)("GET", "/v3/messages")["messages"]) == 2
    api("GET", "/v3/messages?text=x", status=400)
    api("DELETE", path, status=204)
    api("DELETE", path, status=404)
    clock.advance(31 * 24 * 3600)
    assert api("GET", "/v3/messages")["messages"] == []


def test_what_the_store_keeps_is_in_error(api: Api, store: VolumeStore, service: VolumeService) -> None:
    volume_id = api.volume()
    taken = api("POST", "/v3/snapshots", {"snapshot": {"volume_id": volume_id}}, status=202)["snapshot"]["id"]
    for operation in ("snapshot.delete", "volume.delete"):
        store.faults.add(FaultRule(operation, times=1))
    api("DELETE", f"/v3/snapshots/{taken}", status=202)
    assert api("GET", f"/v3/snapshots/{taken}")["snapshot"]["status"] == "error_deleting"
    (told,) = api("GET", "/v3/messages")["messages"]
    assert (told["resource_uuid"], told["event_id"]) == (taken, "VOLUME_VOLUME_SNAPSHOT_010_016")
    admin = api.as_(ADMIN)
    admin("POST", f"/v3/snapshots/{taken}/action", {"os-force_delete": {}}, status=202)
    api("DELETE", f"/v3/volumes/{volume_id}", status=202)
    assert (api.show(volume_id)["status"], store.volume(volume_id).status) == ("error_deleting", "available")
    admin.act(volume_id, "os-force_delete", {})
    assert (store.volumes, service.quotas.used("a" * 32, "gigabytes")) == ({}, 0)
