"""Groups of volumes, their types, their snapshots, and the groups that are made from them."""

from collections.abc import Iterator
from typing import Any

import pytest
from volume_requests import ADMIN, CONNECTOR, PROJECT, STRANGER, Api, Validator

from nova_fakes.api.volume import VolumeService, create_app
from nova_fakes.clock import ManualClock
from nova_fakes.faults import FaultRule
from nova_fakes.volume.pool import Pool
from nova_fakes.volume.store import VolumeStore

TYPE = "__DEFAULT__"


@pytest.fixture
def store(clock: ManualClock) -> VolumeStore:
    return VolumeStore([Pool(name="fake")], clock=clock)


@pytest.fixture
def service(store: VolumeStore, clock: ManualClock) -> VolumeService:
    return VolumeService(clock=clock, volume_store=store, quotas={"groups": 2})


@pytest.fixture
def api(service: VolumeService) -> Iterator[Api]:
    with create_app(service, Validator()).test_client() as client:
        api = Api(client)
        api.as_(ADMIN)("POST", "/v3/group_types", {"group_type": {"name": "consistent"}}, status=202)
        yield api


def new_group(api: Api, **values: Any) -> str:
    asked = {"group_type": "consistent", "volume_types": [TYPE], **values}
    return str(api("POST", "/v3/groups", {"group": asked}, status=202)["group"]["id"])


def show(api: Api, group_id: str) -> dict[str, Any]:
    group: dict[str, Any] = api("GET", f"/v3/groups/{group_id}?list_volume=true")["group"]
    return group


def update(api: Api, group_id: str, *, status: int = 202, **values: Any) -> str:
    return str(api("PUT", f"/v3/groups/{group_id}", {"group": values}, status=status))


def delete(api: Api, group_id: str, *, volumes: bool = False, status: int = 202) -> str:
    return str(api("POST", f"/v3/groups/{group_id}/action", {"delete": {"delete-volumes": volumes}}, status=status))


def snapshot(api: Api, group_id: str, *, status: int = 202, **values: Any) -> Any:
    answer = api("POST", "/v3/group_snapshots", {"group_snapshot": {"group_id": group_id, **values}}, status=status)
    return answer["group_snapshot"]["id"] if status == 202 else str(answer)


def from_source(api: Api, status: int = 202, **values: Any) -> Any:
    answer = api("POST", "/v3/groups/action", {"create-from-src": values}, status=status)
    return answer["group"]["id"] if status == 202 else str(answer)


def test_volumes_come_and_go(api: Api, store: VolumeStore) -> None:
    group_id = new_group(api, name=" data ", description="d")
    shown = show(api, group_id)
    assert (shown["name"], shown["status"], shown["volumes"], shown["replication_status"]) == (
        "data",
        "available",
        [],
        "disabled",
    )
    inside, outside = api.volume(volume_type=TYPE, group_id=group_id), api.volume()
    assert (api.show(inside)["group_id"], api.show(outside)["group_id"]) == (group_id, None)
    update(api, group_id, add_volumes=outside, remove_volumes=inside)
    assert show(api, group_id)["volumes"] == [outside] == store.group(group_id).volume_ids
    assert "not in the group" in update(api, group_id, remove_volumes=inside, status=400)
    assert "both" in update(api, group_id, remove_volumes=outside, add_volumes=outside, status=400)
    assert "cannot be found" in update(api, group_id, add_volumes="x", status=400)
    assert "no valid name" in update(api, group_id, name="data", status=400)
    update(api, group_id, name="other")
    assert show(api, group_id)["name"] == "other"
    assert [one["id"] for one in api("GET", f"/v3/volumes?group_id={group_id}")["volumes"]] == [outside]


def test_volume_of_a_group_stays_where_it_is(api: Api, store: VolumeStore) -> None:
    group_id = new_group(api)
    volume_id = api.volume(volume_type=TYPE, group_id=group_id)
    other = new_group(api)
    assert f"already in group {group_id}" in update(api, other, add_volumes=volume_id, status=400)
    assert "belong to a group" in str(api("DELETE", f"/v3/volumes/{volume_id}", status=400))
    admin = api.as_(ADMIN)
    admin.act(volume_id, "os-force_delete", {}, status=400)
    admin.act(volume_id, "os-migrate_volume", {"host": "nova-fakes@fake#fake"}, status=400)
    assert "still contains volumes" in delete(api, group_id, status=400)
    api("POST", "/v3/attachments", {"attachment": {"volume_uuid": volume_id, "connector": CONNECTOR}})
    api.act(volume_id, "os-attach", {"host_name": "h", "mountpoint": "/dev/vdb"}, status=400)
    delete(api, group_id, volumes=True)
    api("GET", f"/v3/volumes/{volume_id}", status=404)
    assert (list(store.groups), store.volumes) == ([], {})
    usage = api("GET", f"/v3/os-quota-sets/{PROJECT}?usage=true")["quota_set"]
    assert (usage["groups"]["in_use"], usage["volumes"]["in_use"]) == (1, 0)


def test_volumes_are_of_the_groups_types(api: Api) -> None:
    kind = api.as_(ADMIN)("POST", "/v3/types", {"volume_type": {"name": "gold"}})["volume_type"]["id"]
    group_id = new_group(api, volume_types=["gold"])
    assert show(api, group_id)["volume_types"] == [kind]
    for volume_type, reason in ((None, "must be provided"), (TYPE, "supported by this group")):
        body = {"volume": {"size": 1, "group_id": group_id, "volume_type": volume_type}}
        assert reason in str(api("POST", "/v3/volumes", body, status=400))
    assert "not supported by the group" in update(api, group_id, add_volumes=api.volume(), status=400)
    api("POST", "/v3/groups", {"group": {"group_type": "consistent", "volume_types": ["tin"]}}, status=404)
    api("POST", "/v3/groups", {"group": {"group_type": "none", "volume_types": ["gold"]}}, status=404)
    new_group(api)
    body = {"group": {"group_type": "consistent", "volume_types": [TYPE]}}
    assert "number of groups allowed (2)" in str(api("POST", "/v3/groups", body, status=413))


def test_snapshots_of_one_moment_become_a_group_again(api: Api, store: VolumeStore) -> None:
    group_id = new_group(api)
    volumes = [api.volume(volume_type=TYPE, group_id=group_id) for _ in range(2)]
    for number, volume_id in enumerate(volumes):
        store.volume(volume_id).disk.write(0, b"%d" % number)
    whole = snapshot(api, group_id, name="both")
    for volume_id in volumes:
        store.volume(volume_id).disk.write(0, b"x")
    shown = api("GET", f"/v3/group_snapshots/{whole}")["group_snapshot"]
    assert (shown["status"], shown["name"], shown["group_id"]) == ("available", "both", group_id)
    parts = api("GET", "/v3/snapshots/detail")["snapshots"]
    assert [one["group_snapshot_id"] for one in parts] == [whole, whole]
    assert "part of a group" in str(api("DELETE", f"/v3/snapshots/{parts[0]['id']}", status=400))
    api.as_(ADMIN)("POST", f"/v3/snapshots/{parts[0]['id']}/action", {"os-force_delete": {}}, status=400)
    assert "existing snapshots" in delete(api, group_id, volumes=True, status=400)

    again = from_source(api, group_snapshot_id=whole, name="again")
    made = show(api, again)
    assert (made["status"], made["group_snapshot_id"], made["source_group_id"]) == ("available", whole, None)
    assert [store.volume(one).disk.read(0, 1) for one in made["volumes"]] == [b"0", b"1"]
    api("DELETE", f"/v3/group_snapshots/{whole}", status=202)
    assert (api("GET", "/v3/snapshots")["snapshots"], store.snapshots) == ([], {})
    for one in (group_id, again):
        delete(api, one, volumes=True)
    assert (store.volumes, store.groups) == ({}, {})


def test_group_is_copied_as_it_is(api: Api, store: VolumeStore, service: VolumeService) -> None:
    group_id = new_group(api)
    assert "Source Group is empty" in from_source(api, 400, source_group_id=group_id)
    volume_id = api.volume(volume_type=TYPE, group_id=group_id)
    store.volume(volume_id).disk.write(0, b"now")
    api.as_(ADMIN)("PUT", f"/v3/os-quota-sets/{PROJECT}", {"quota_set": {"volumes": 1}})
    assert "number of volumes" in from_source(api, 400, source_group_id=group_id)
    assert [one["id"] for one in api("GET", "/v3/groups")["groups"]] == [group_id]
    api.as_(ADMIN)("DELETE", f"/v3/os-quota-sets/{PROJECT}")
    copied = show(api, from_source(api, source_group_id=group_id))["volumes"]
    assert [store.volume(one).disk.read(0, 3) for one in copied] == [b"now"]
    assert api.show(copied[0])["source_volid"] == volume_id
    from_source(api, 404, group_snapshot_id=group_id)
    from_source(api, 404, source_group_id=volume_id)


def test_snapshot_that_fails_is_in_error(api: Api, store: VolumeStore) -> None:
    group_id = new_group(api)
    volume_id = api.volume(volume_type=TYPE, group_id=group_id)
    store.faults.add(FaultRule("snapshot.create", times=1))
    whole = snapshot(api, group_id)
    assert api("GET", f"/v3/group_snapshots/{whole}")["group_snapshot"]["status"] == "error"
    api("DELETE", f"/v3/group_snapshots/{whole}", status=202)
    api.as_(ADMIN).act(volume_id, "os-reset_status", {"status": "error"})
    assert "error status" in snapshot(api, group_id, status=400)
    usage = api("GET", f"/v3/os-quota-sets/{PROJECT}?usage=true")["quota_set"]
    assert (usage["snapshots"]["in_use"], usage["gigabytes"]["in_use"]) == (0, 1)


def test_statuses_versions_and_owners(api: Api) -> None:
    group_id = new_group(api)
    whole = snapshot(api, group_id)
    admin, stranger = api.as_(ADMIN), api.as_(STRANGER)
    for path in (f"/v3/groups/{group_id}", f"/v3/group_snapshots/{whole}"):
        stranger("GET", path, status=404)
        reset = f"{path}/action"
        api("POST", reset, {"reset_status": {"status": "error"}}, status=403)
        admin("POST", reset, {"reset_status": {"status": "odd"}}, status=400)
        admin("POST", reset, {"reset_status": {"status": "Error"}}, status=202)
        assert next(iter(api("GET", path).values()))["status"] == "error"
        assert next(iter(admin("GET", path).values()))["project_id"] == PROJECT
        assert "no such action" in str(api("POST", reset, {"other": {}}, status=400))
    assert "not a replication group" in str(
        api("POST", f"/v3/groups/{group_id}/action", {"enable_replication": {}}, status=400)
    )
    assert len(admin("GET", "/v3/groups/detail?all_tenants=1")["groups"]) == 1
    assert admin("GET", "/v3/group_snapshots")["group_snapshots"] == []
    assert "source_group_id" not in api.at("3.13")("GET", f"/v3/groups/{group_id}")["group"]
    api.at("3.12")("GET", "/v3/groups", status=404)
    api.at("3.13")("GET", "/v3/group_snapshots", status=404)
    api.at("3.10")("GET", "/v3/group_types", status=404)


def test_types_and_specs(api: Api) -> None:
    admin = api.as_(ADMIN)
    api("POST", "/v3/group_types", {"group_type": {"name": "x"}}, status=403)
    hidden = {"name": "hidden", "is_public": False, "group_specs": {"a": "b"}}
    made = admin("POST", "/v3/group_types", {"group_type": hidden}, status=202)["group_type"]
    admin("POST", "/v3/group_types", {"group_type": hidden}, status=409)
    path = f"/v3/group_types/{made['id']}"
    assert made["group_specs"] == {"a": "b"}
    api("GET", path, status=404)
    assert [one["name"] for one in api("GET", "/v3/group_types")["group_types"]] == ["consistent"]
    assert len(admin("GET", "/v3/group_types?is_public=none")["group_types"]) == 2
    admin("PUT", path, {"group_type": {"name": "shown", "description": "d", "is_public": True}})
    admin("PUT", path, {"group_type": {"name": "consistent"}}, status=409)
    admin("PUT", path, {"group_type": {"name": " "}}, status=400)
    admin("PUT", path, {"group_type": {}}, status=400)
    assert api("GET", path)["group_type"] == {"id": made["id"], "name": "shown", "description": "d", "is_public": True}
    admin("POST", f"{path}/group_specs", {"group_specs": {"c": "d"}}, status=202)
    admin("PUT", f"{path}/group_specs/c", {"c": "e"})
    admin("PUT", f"{path}/group_specs/c", {"d": "e"}, status=400)
    assert admin("GET", f"{path}/group_specs/c") == {"c": "e"}
    admin("DELETE", f"{path}/group_specs/a", status=202)
    admin("DELETE", f"{path}/group_specs/a", status=404)
    admin("GET", f"{path}/group_specs/a", status=404)
    assert admin("GET", f"{path}/group_specs") == {"group_specs": {"c": "e"}}
    api("GET", f"{path}/group_specs", status=403)
    new_group(api, group_type=made["id"])
    assert "still in use" in str(admin("DELETE", path, status=400))
    api("GET", "/v3/group_types/default", status=404)


def test_everything_is_there_after_a_restart(api: Api, service: VolumeService, store: VolumeStore) -> None:
    group_id = new_group(api)
    volume_id = api.volume(volume_type=TYPE, group_id=group_id)
    whole = snapshot(api, group_id)
    state, before = service.dump(), show(api, group_id)
    update(api, group_id, remove_volumes=volume_id)
    other = new_group(api)
    service.load(state)
    assert (show(api, group_id), store.group(group_id).volume_ids) == (before, [volume_id])
    assert api("GET", f"/v3/group_snapshots/{whole}")["group_snapshot"]["status"] == "available"
    api("GET", f"/v3/groups/{other}", status=404)
    assert service.quotas.used(PROJECT, "groups") == 1
    api("DELETE", f"/v3/group_snapshots/{whole}", status=202)
    delete(api, group_id, volumes=True)
    service.load(service.dump())
    assert (store.groups, store.volumes, store.snapshots) == ({}, {}, {})
