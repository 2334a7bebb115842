"""Backups: of volumes and snapshots, full and incremental, restored to new and to given volumes."""

from collections.abc import Iterator
from typing import Any

import pytest
from volume_requests import ADMIN, OTHER_PROJECT, PROJECT, STRANGER, Api, Validator

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
    return VolumeService(clock=clock, volume_store=store, quotas={"backups": 3, "backup_gigabytes": 10})


@pytest.fixture
def api(service: VolumeService) -> Iterator[Api]:
    with create_app(service, Validator()).test_client() as client:
        yield Api(client)


def back_up(api: Api, volume_id: str, **values: Any) -> str:
    made = api("POST", "/v3/backups", {"backup": {"volume_id": volume_id, **values}}, status=202)["backup"]
    return str(made["id"])


def show(api: Api, backup_id: str) -> dict[str, Any]:
    backup: dict[str, Any] = api("GET", f"/v3/backups/{backup_id}")["backup"]
    return backup


def test_bytes_come_back_on_a_new_volume(api: Api, store: VolumeStore) -> None:
    volume_id = api.volume(name="data", description="mine", metadata={"a": "b"})
    store.volume(volume_id).disk.write(5, b"bytes")
    backup_id = back_up(api, volume_id, name=" full ", metadata={"k": "v"})
    shown = show(api, backup_id)
    assert (shown["name"], shown["status"], shown["size"], shown["object_count"]) == ("full", "available", 1, 1)
    assert (shown["container"], shown["availability_zone"], shown["is_incremental"]) == ("volumebackups", "nova", False)
    assert (shown["metadata"], shown["data_timestamp"]) == ({"k": "v"}, shown["created_at"])
    assert api.show(volume_id)["status"] == "available"
    api("DELETE", f"/v3/volumes/{volume_id}", status=202)

    answer = api("POST", f"/v3/backups/{backup_id}/restore", {"restore": None}, status=202)["restore"]
    assert (answer["backup_id"], answer["volume_name"]) == (backup_id, f"restore_backup_{backup_id}")
    restored = api.show(answer["volume_id"])
    assert (restored["name"], restored["description"], restored["metadata"]) == ("data", "mine", {"a": "b"})
    assert restored["status"] == "available"
    assert store.volume(answer["volume_id"]).disk.read(5, 5) == b"bytes"


def test_restore_to_a_given_volume(api: Api, store: VolumeStore) -> None:
    volume_id, target, small = api.volume(size=2, name="data"), api.volume(size=3, name="target"), api.volume()
    store.volume(volume_id).disk.write(0, b"new")
    store.volume(target).disk.write(0, b"old")
    backup_id = back_up(api, volume_id)
    where = f"/v3/backups/{backup_id}/restore"
    assert "too small" in str(api("POST", where, {"restore": {"volume_id": small}}, status=400))
    api("POST", where, {"restore": {"volume_id": target, "name": "ignored"}}, status=202)
    assert (store.volume(target).disk.read(0, 3), api.show(target)["name"]) == (b"new", "target")
    api.as_(ADMIN).act(target, "os-reset_status", {"status": "error"})
    assert "must be available" in str(api("POST", where, {"restore": {"volume_id": target}}, status=400))


def test_incremental_backups_stand_on_the_latest_before_them(
    api: Api, store: VolumeStore, clock: ManualClock, service: VolumeService
) -> None:
    volume_id = api.volume()
    body = {"backup": {"volume_id": volume_id, "incremental": True}}
    assert "No backups available" in str(api("POST", "/v3/backups", body, status=400))
    full = back_up(api, volume_id)
    clock.advance(60)
    snapshot = api("POST", "/v3/snapshots", {"snapshot": {"volume_id": volume_id}}, status=202)["snapshot"]["id"]
    clock.advance(60)
    store.volume(volume_id).disk.write(0, b"x")
    later = back_up(api, volume_id, incremental=True)
    of_snapshot = back_up(api, volume_id, incremental=True, snapshot_id=snapshot)
    assert [service.backups.get(ADMIN, one).parent_id for one in (later, of_snapshot)] == [full, full]
    assert (show(api, later)["object_count"], show(api, of_snapshot)["object_count"]) == (1, 0)
    taken = api("GET", f"/v3/snapshots/{snapshot}")["snapshot"]["created_at"]
    assert show(api, of_snapshot)["data_timestamp"] == taken
    assert show(api, full)["has_dependent_backups"] is True
    assert "Incremental backups exist" in str(api("DELETE", f"/v3/backups/{full}", status=400))
    for backup_id in (later, of_snapshot, full):
        api("DELETE", f"/v3/backups/{backup_id}", status=202)
    assert (store.backups, api("GET", "/v3/backups")["backups"]) == ({}, [])


def test_volume_in_use_is_backed_up_by_force(api: Api) -> None:
    volume_id, other = api.volume(), api.volume()
    api.act(volume_id, "os-attach", {"instance_uuid": other, "mountpoint": "/dev/vdb"})
    body = {"backup": {"volume_id": volume_id}}
    assert "force flag" in str(api("POST", "/v3/backups", body, status=400))
    back_up(api, volume_id, force=True)
    assert api.show(volume_id)["status"] == "in-use"
    snapshot = api("POST", "/v3/snapshots", {"snapshot": {"volume_id": other}}, status=202)["snapshot"]["id"]
    body["backup"]["snapshot_id"] = snapshot
    assert "does not match" in str(api("POST", "/v3/backups", body, status=400))


def test_volume_is_made_from_a_backup(api: Api, store: VolumeStore) -> None:
    volume_id = api.volume(size=2)
    store.volume(volume_id).disk.write(0, b"bytes")
    backup_id = back_up(api, volume_id)
    made = api("POST", "/v3/volumes", {"volume": {"backup_id": backup_id}}, status=202)["volume"]
    assert (made["size"], store.volume(made["id"]).disk.read(0, 5)) == (2, b"bytes")
    api("POST", "/v3/volumes", {"volume": {"backup_id": backup_id, "size": 1}}, status=400)
    api("POST", "/v3/volumes", {"volume": {"backup_id": volume_id}}, status=404)


def test_quotas_count_backups_apart(api: Api) -> None:
    volume_id, large = api.volume(size=4), api.volume(size=7)
    backup_id = back_up(api, volume_id)
    body = {"backup": {"volume_id": large}}
    assert "Backup gigabytes" in str(api("POST", "/v3/backups", body, status=413))
    usage = api("GET", f"/v3/os-quota-sets/{PROJECT}?usage=true")["quota_set"]
    assert (usage["backups"]["in_use"], usage["backup_gigabytes"]["in_use"]) == (1, 4)
    small = api.volume()
    back_up(api, small), back_up(api, small)
    body = {"backup": {"volume_id": small}}
    assert "number of backups allowed (3)" in str(api("POST", "/v3/backups", body, status=413))
    api("DELETE", f"/v3/backups/{backup_id}", status=202)
    assert api("GET", "/v3/limits")["limits"]["absolute"]["totalBackupGigabytesUsed"] == 2


def test_what_fails_says_why(api: Api, store: VolumeStore) -> None:
    volume_id = api.volume()
    store.volume(volume_id).disk.write(0, b"x")
    store.faults.add(FaultRule("backup.create", times=1))
    failed = show(api, back_up(api, volume_id))
    assert (failed["status"], api.show(volume_id)["status"]) == ("error", "available")
    assert "backup.create" in failed["fail_reason"]
    api("POST", f"/v3/backups/{failed['id']}/restore", {"restore": {}}, status=400)

    backup_id = back_up(api, volume_id)
    store.faults.add(FaultRule("volume.copy", times=1))
    where, restore = f"/v3/backups/{backup_id}/restore", {"restore": {"volume_id": volume_id}}
    api("POST", where, restore, status=202)
    assert (api.show(volume_id)["status"], show(api, backup_id)["status"]) == ("error_restoring", "available")
    api.as_(ADMIN).act(volume_id, "os-reset_status", {"status": "available"})
    api("POST", where, restore, status=202)
    assert api.show(volume_id)["status"] == "available"


def test_without_a_service_nothing_is_backed_up(api: Api) -> None:
    volume_id = api.volume()
    backup_id = back_up(api, volume_id)
    assert "Service not found" in show(api, back_up(api, volume_id, availability_zone="elsewhere"))["fail_reason"]
    api.as_(ADMIN)("PUT", "/v3/os-services/disable", {"host": "nova-fakes", "binary": "cinder-backup"})
    assert show(api, back_up(api, volume_id))["status"] == "error"
    restore = {"restore": {"volume_id": volume_id}}
    assert "cinder-backup" in str(api("POST", f"/v3/backups/{backup_id}/restore", restore, status=404))


def test_others_see_nothing_and_administrators_more(api: Api) -> None:
    volume_id = api.volume()
    backup_id = back_up(api, volume_id)
    api.as_(STRANGER)("GET", f"/v3/backups/{backup_id}", status=404)
    admin = api.as_(ADMIN)
    assert admin("GET", "/v3/backups")["backups"] == []
    (seen,) = admin("GET", "/v3/backups/detail?all_tenants=1")["backups"]
    assert (seen["os-backup-project-attr:project_id"], seen["user_id"]) == (PROJECT, "user-demo")
    assert "user_id" not in admin.at("3.55")("GET", f"/v3/backups/{backup_id}")["backup"]
    assert "metadata" not in admin.at("3.42")("GET", f"/v3/backups/{backup_id}")["backup"]
    action = f"/v3/backups/{backup_id}/action"
    api("POST", action, {"os-reset_status": {"status": "error"}}, status=403)
    admin("POST", action, {"os-reset_status": {"status": "creating"}}, status=400)
    admin("POST", action, {"os-reset_status": {"status": "error"}}, status=202)
    assert show(api, backup_id)["status"] == "error"
    assert "no such action" in str(admin("POST", action, {"other": {}}, status=400))
    admin("POST", action, {"os-force_delete": {}}, status=202)
    api("GET", f"/v3/backups/{backup_id}", status=404)


def test_lists_filter_and_page(api: Api) -> None:
    volumes = [api.volume(), api.volume()]
    ids = [back_up(api, one, name=name) for one, name in zip(volumes, "ab", strict=True)]
    (found,) = api("GET", f"/v3/backups/detail?volume_id={volumes[0]}")["backups"]
    assert found["id"] == ids[0]
    first = api("GET", "/v3/backups?limit=1&with_count=true&sort=name:asc")
    assert ([one["id"] for one in first["backups"]], first["count"]) == ([ids[0]], 2)
    assert f"marker={ids[0]}" in first["backups_links"][0]["href"]
    api("GET", "/v3/backups?container=x", status=400)


def test_update_and_restart(api: Api, service: VolumeService, store: VolumeStore) -> None:
    backup_id = back_up(api, api.volume())
    api("PUT", f"/v3/backups/{backup_id}", {"backup": {"name": "other", "metadata": {"k": "v"}}})
    api.at("3.8")("PUT", f"/v3/backups/{backup_id}", {"backup": {"name": "old"}}, status=404)
    before = show(api, backup_id)
    state = service.dump()
    later = back_up(api, before["volume_id"], incremental=True)
    service.load(state)
    assert (show(api, backup_id), list(store.backups)) == (before, [backup_id])
    api("GET", f"/v3/backups/{later}", status=404)
    usage = api("GET", f"/v3/os-quota-sets/{PROJECT}?usage=true")["quota_set"]
    assert (usage["backups"]["in_use"], before["name"]) == (1, "other")
    assert service.quotas.used(OTHER_PROJECT, "backups") == 0
