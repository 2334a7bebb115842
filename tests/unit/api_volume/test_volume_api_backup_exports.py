"""Records of backups: given away, lost with their service, and taken in by another that has the same bytes."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from volume_requests import ADMIN, ADMIN_PROJECT, Api, Validator

from nova_fakes.api.volume import VolumeService, create_app
from nova_fakes.clock import ManualClock
from nova_fakes.volume.pool import Pool
from nova_fakes.volume.store import VolumeStore

DRIVER = "cinder.backup.drivers.swift.SwiftBackupDriver"
UNKNOWN = "12345678-0000-4000-8000-000000000000"
LEAST = {
    "id": UNKNOWN,
    "size": 1,
    "display_name": "n",
    "display_description": None,
    "container": "c",
    "service_metadata": None,
    "object_count": 0,
}


@pytest.fixture
def store(clock: ManualClock, tmp_path: Path) -> Iterator[VolumeStore]:
    store = VolumeStore([Pool(name="fake")], clock=clock, path=tmp_path / "store")
    yield store
    store.close()


@pytest.fixture
def api(store: VolumeStore, clock: ManualClock) -> Iterator[Api]:
    service = VolumeService(clock=clock, volume_store=store, quotas={"backups": 2})
    with create_app(service, Validator()).test_client() as client:
        yield Api(client)


def back_up(api: Api, volume_id: str, **values: Any) -> str:
    made = api("POST", "/v3/backups", {"backup": {"volume_id": volume_id, **values}}, status=202)["backup"]
    return str(made["id"])


def export(api: Api, backup_id: str) -> dict[str, Any]:
    record: dict[str, Any] = api.as_(ADMIN)("GET", f"/v3/backups/{backup_id}/export_record")["backup-record"]
    return record


def take(api: Api, record: object, *, service: str = DRIVER, status: int = 201) -> Any:
    url = record if isinstance(record, str) else base64.b64encode(json.dumps(record).encode()).decode()
    body = {"backup-record": {"backup_service": service, "backup_url": url}}
    return api.as_(ADMIN)("POST", "/v3/backups/import_record", body, status=status)


def show(api: Api, backup_id: str) -> dict[str, Any]:
    backup: dict[str, Any] = api.as_(ADMIN)("GET", f"/v3/backups/{backup_id}")["backup"]
    return backup


def test_another_service_finds_the_bytes(api: Api, store: VolumeStore, clock: ManualClock, tmp_path: Path) -> None:
    volume_id = api.volume(name="data", metadata={"a": "b"})
    store.volume(volume_id).disk.write(5, b"bytes")
    full = back_up(api, volume_id, name="full", metadata={"k": "v"})
    clock.advance(60)
    store.volume(volume_id).disk.write(5, b"later")
    later = back_up(api, volume_id, incremental=True)
    records = [export(api, one) for one in (full, later)]
    known = [show(api, one) for one in (full, later)]
    store.close()

    again = VolumeStore([Pool(name="fake")], clock=clock, path=tmp_path / "store")
    service = VolumeService(clock=clock, volume_store=again)
    with create_app(service, Validator()).test_client() as client:
        other = Api(client)
        made = [take(other, record["backup_url"])["backup"] for record in records]
        assert [(one["id"], one["name"]) for one in made] == [(full, None), (later, None)]
        for before in known:
            found = show(other, before["id"])
            assert found["os-backup-project-attr:project_id"] == ADMIN_PROJECT
            changed = {name for name in found if found[name] != before[name]}
            assert changed - {"updated_at"} == {"os-backup-project-attr:project_id", "user_id"}
        restored = other.as_(ADMIN)("POST", f"/v3/backups/{later}/restore", {"restore": None}, status=202)["restore"]
        volume = other.as_(ADMIN).show(restored["volume_id"])
        assert (volume["status"], volume["name"], volume["metadata"]) == ("available", "data", {"a": "b"})
        assert again.volume(volume["id"]).disk.read(5, 5) == b"later"
        assert "Incremental backups exist" in str(other.as_(ADMIN)("DELETE", f"/v3/backups/{full}", status=400))
    again.close()


def test_administrators_alone(api: Api) -> None:
    backup_id = back_up(api, api.volume())
    assert "backup:export-import" in str(api("GET", f"/v3/backups/{backup_id}/export_record", status=403))
    body = {"backup-record": {"backup_service": DRIVER, "backup_url": "e30="}}
    assert "backup:backup-import" in str(api("POST", "/v3/backups/import_record", body, status=403))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("e3", "is not a 'base64'"),
        ("\u0100bc=", "is not a 'base64'"),
        (base64.b64encode(b"{").decode(), "Can't parse"),
        (base64.b64encode(b"\xff").decode(), "Can't parse"),
        ([1], "missing an id"),
        (7, "missing an id"),
        ({"size": 1}, "missing an id"),
        ({"id": UNKNOWN}, "missing size"),
        ({"id": 5, "size": 1}, "id"),
        ({"id": "../x", "size": 1}, "id"),
        ({"id": UNKNOWN, "size": -1}, "size"),
        ({"id": UNKNOWN, "size": "1"}, "size"),
        ({"id": UNKNOWN, "size": True}, "size"),
    ],
)
def test_what_is_no_record_is_refused(api: Api, record: object, reason: str) -> None:
    assert reason in str(take(api, record, status=400))
    assert api.as_(ADMIN)("GET", "/v3/backups?all_tenants=1")["backups"] == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"object_count": None}, "object_count"),
        ({"metadata": {"a": 1}}, "not of type"),
        ({"created_at": "yesterday"}, "is no time"),
        ({"driver_info": {"volume": {"metadata": None}}}, "metadata"),
        ({"parent_id": []}, "parent_id"),
    ],
)
def test_what_says_nonsense_is_in_error(api: Api, changes: dict[str, Any], reason: str) -> None:
    backup_id = take(api, LEAST | changes)["backup"]["id"]
    assert (show(api, backup_id)["status"], reason in show(api, backup_id)["fail_reason"]) == ("error", True)
    api.as_(ADMIN)("DELETE", f"/v3/backups/{backup_id}", status=202)


def test_record_that_lacks_something_is_in_error(api: Api) -> None:
    take(api, {"id": UNKNOWN, "size": 1})
    assert "missing fields (display_name, display_description" in show(api, UNKNOWN)["fail_reason"]
    assert "already exists" in str(take(api, LEAST, status=400))
    api.as_(ADMIN)("DELETE", f"/v3/backups/{UNKNOWN}", status=202)
    take(api, LEAST, service="cinder.backup.drivers.nfs.NFSBackupDriver")
    assert "cannot find backup service" in show(api, UNKNOWN)["fail_reason"]


def test_record_without_bytes_is_not_restored(api: Api) -> None:
    volume_id = api.volume()
    take(api, LEAST)
    assert show(api, UNKNOWN)["status"] == "available"
    admin = api.as_(ADMIN)
    admin("POST", f"/v3/backups/{UNKNOWN}/restore", {"restore": {"volume_id": volume_id}}, status=202)
    assert api.show(volume_id)["status"] == "error_restoring"


def test_quota_service_and_status(api: Api) -> None:
    backup_id = back_up(api, api.volume())
    admin = api.as_(ADMIN)
    admin("POST", f"/v3/backups/{backup_id}/action", {"os-reset_status": {"status": "error"}}, status=202)
    refused = admin("GET", f"/v3/backups/{backup_id}/export_record", status=400)
    assert "must be available and not error" in str(refused)
    for number in (1, 2):
        take(api, LEAST | {"id": UNKNOWN[:-1] + str(number)})
    assert "number of backups allowed" in str(take(api, LEAST, status=413))
    admin("PUT", "/v3/os-services/disable", {"host": "nova-fakes", "binary": "cinder-backup"})
    assert DRIVER in str(take(api, LEAST, status=503))
    admin("GET", f"/v3/backups/{UNKNOWN}/export_record", status=404)
