"""Volumes: their lives, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from volume_requests import (
    ADMIN,
    ADMIN_PROJECT,
    CIRROS,
    CONNECTOR,
    DEMANDING,
    OTHER_PROJECT,
    PROJECT,
    QUEUED,
    SERVERS,
    STRANGER,
    Api,
)

from nova_fakes.api.volume import VolumeService
from nova_fakes.clock import ManualClock

NOWHERE = "99999999-9999-9999-9999-999999999999"


def test_a_new_volume_is_creating_and_then_available(api: Api) -> None:
    made = api("POST", "/v3/volumes", {"volume": {"size": 2, "name": " data ", "metadata": {"a": "b"}}}, status=202)
    volume = made["volume"]
    assert (volume["status"], volume["size"], volume["name"], volume["metadata"]) == ("creating", 2, "data", {"a": "b"})
    shown = api.show(volume["id"])
    assert (shown["status"], shown["bootable"], shown["attachments"]) == ("available", "false", [])
    assert shown["os-vol-tenant-attr:tenant_id"] == PROJECT
    assert shown["volume_type"] == "__DEFAULT__"
    assert shown["links"][0]["href"] == f"http://localhost/v3/{PROJECT}/volumes/{volume['id']}"


def test_paths_with_and_without_the_project(api: Api) -> None:
    volume_id = api.volume()
    assert api("GET", f"/v3/{PROJECT}/volumes/{volume_id}")["volume"]["id"] == volume_id
    refused = api("GET", f"/v3/{OTHER_PROJECT}/volumes/{volume_id}", status=400)
    assert refused == {"badRequest": {"code": 400, "message": "Malformed request url"}}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"size": 0}, 400, "field/attribute size"),
        ({"size": "many"}, 400, "field/attribute size"),
        ({}, 400, "must be an integer and greater than 0"),
        ({"size": 1, "volume_type": "gold"}, 404, "gold could not be found"),
        ({"size": 1, "snapshot_id": NOWHERE}, 404, f"Snapshot {NOWHERE} could not be found."),
        ({"size": 1, "source_volid": NOWHERE}, 404, f"Volume {NOWHERE} could not be found."),
        ({"size": 1, "imageRef": NOWHERE}, 400, "Invalid image identifier"),
        ({"size": 1, "imageRef": QUEUED}, 400, f"Image {QUEUED} is not active."),
        ({"size": 1, "imageRef": CIRROS}, 400, "Size of specified image 2GB is larger than volume size 1GB."),
        ({"size": 8, "imageRef": DEMANDING}, 400, "image minDisk size 40GB"),
        ({"size": 1, "availability_zone": "mars"}, 400, "Availability zone 'mars' is invalid."),
        ({"size": 1, "multiattach": True}, 400, "multiattach parameter has been removed"),
        ({"size": 1, "metadata": {"a": 1}}, 400, "field/attribute a"),
        ({"size": 1, "colour": "red"}, 400, "colour"),
        ({"size": 1, "backup_id": NOWHERE}, 404, "could not be found"),
    ],
)
def test_refused_creations(api: Api, body: dict[str, Any], status: int, words: str) -> None:
    refused = api("POST", "/v3/volumes", {"volume": body}, status=status)
    ((fault, detail),) = refused.items()
    assert fault == {400: "badRequest", 404: "itemNotFound"}[status]
    assert words in detail["message"]
    assert detail["code"] == status
    assert api("GET", "/v3/volumes")["volumes"] == []
    assert api("GET", "/v3/limits")["limits"]["absolute"]["totalVolumesUsed"] == 0


def test_unknown_members_pass_before_version_3_53(api: Api) -> None:
    api.at("3.52")("POST", "/v3/volumes", {"volume": {"size": 1, "colour": "red"}}, status=202)


@pytest.mark.parametrize("body", ["", "{", "[]", "7", '{"volume": []}', "{}"])
def test_bodies_that_are_none(api: Api, body: str) -> None:
    assert api("POST", "/v3/volumes", body, status=400)["badRequest"]["code"] == 400


@pytest.mark.parametrize("reference", [CIRROS, "cirros", f"http://127.0.0.1/image/v2/images/{CIRROS}"])
def test_a_volume_from_an_image_keeps_the_images_metadata(api: Api, reference: str) -> None:
    shown = api.show(api.volume(size=2, imageRef=reference))
    assert shown["bootable"] == "true"
    assert shown["volume_image_metadata"] == {
        "image_id": CIRROS,
        "image_name": "cirros",
        "size": str(1024**3 + 1),
        "min_disk": "1",
        "min_ram": "64",
        "checksum": "0" * 32,
        "disk_format": "qcow2",
        "container_format": "bare",
        "hw_disk_bus": "virtio",
    }


def test_copies_inherit_from_volumes_and_snapshots(api: Api) -> None:
    first = api.volume(size=3, imageRef=CIRROS)
    snapshot = api("POST", "/v3/snapshots", {"snapshot": {"volume_id": first}}, status=202)["snapshot"]
    for source in ({"source_volid": first}, {"snapshot_id": snapshot["id"]}):
        copy = api.show(api.volume(size=None, **source))
        assert (copy["size"], copy["bootable"]) == (3, "true")
        assert copy["volume_image_metadata"]["image_id"] == CIRROS
        small = api("POST", "/v3/volumes", {"volume": {"size": 2, **source}}, status=400)
        assert "cannot be smaller than" in small["badRequest"]["message"]


def test_projects_do_not_see_each_others_volumes(api: Api) -> None:
    volume_id = api.volume()
    stranger = api.as_(STRANGER)
    assert stranger("GET", f"/v3/volumes/{volume_id}", status=404) == {
        "itemNotFound": {"code": 404, "message": f"Volume {volume_id} could not be found."}
    }
    assert stranger("GET", "/v3/volumes/detail?all_tenants=1")["volumes"] == []
    stranger("DELETE", f"/v3/volumes/{volume_id}", status=404)
    admin = api.as_(ADMIN)
    assert admin("GET", "/v3/volumes")["volumes"] == []
    (seen,) = admin("GET", "/v3/volumes/detail?all_tenants=1")["volumes"]
    assert seen["os-vol-host-attr:host"] == "nova-fakes@fake#fake"


def test_delete(api: Api) -> None:
    volume_id = api.volume()
    api("DELETE", f"/v3/volumes/{volume_id}", status=202)
    api("GET", f"/v3/volumes/{volume_id}", status=404)
    api("DELETE", f"/v3/volumes/{volume_id}", status=404)
    assert api("GET", "/v3/limits")["limits"]["absolute"]["totalGigabytesUsed"] == 0


def test_a_volume_with_snapshots_goes_only_with_them(api: Api) -> None:
    volume_id = api.volume()
    api("POST", "/v3/snapshots", {"snapshot": {"volume_id": volume_id}}, status=202)
    refused = api("DELETE", f"/v3/volumes/{volume_id}", status=400)["badRequest"]["message"]
    assert refused.startswith("Invalid volume: Volume status must be available, error")
    assert "have snapshots" in refused
    api("DELETE", f"/v3/volumes/{volume_id}?cascade=true", status=202)
    assert api("GET", "/v3/snapshots")["snapshots"] == []


def test_an_attached_volume_cannot_be_deleted_even_by_force(api: Api) -> None:
    volume_id = api.volume()
    api.act(volume_id, "os-attach", {"instance_uuid": SERVERS[0], "mountpoint": "/dev/vdb"})
    api("DELETE", f"/v3/volumes/{volume_id}", status=400)
    api.as_(ADMIN).act(volume_id, "os-force_delete", {}, status=400)


def test_force_delete_is_the_administrators(api: Api) -> None:
    volume_id = api.volume()
    api.act(volume_id, "os-reserve", {})
    api("DELETE", f"/v3/volumes/{volume_id}", status=400)
    refused = api.act(volume_id, "os-force_delete", {}, status=403)
    assert refused["forbidden"]["message"].startswith("Policy doesn't allow")
    api("DELETE", f"/v3/volumes/{volume_id}?force=true", status=403)
    api.as_(ADMIN).act(volume_id, "os-force_delete", {})
    api("GET", f"/v3/volumes/{volume_id}", status=404)


def test_update_and_metadata(api: Api, clock: ManualClock) -> None:
    volume_id = api.volume(name="old", metadata={"a": "1", "b": "2"})
    clock.advance(60)
    api("PUT", f"/v3/volumes/{volume_id}", {"volume": {"name": "new", "description": "text"}})
    shown = api.show(volume_id)
    assert (shown["name"], shown["description"]) == ("new", "text")
    assert shown["updated_at"] > shown["created_at"]
    path = f"/v3/volumes/{volume_id}/metadata"
    assert api("POST", path, {"metadata": {"b": "3"}}) == {"metadata": {"a": "1", "b": "3"}}
    assert api("PUT", path, {"metadata": {"c": "4"}}) == {"metadata": {"c": "4"}}
    assert api("PUT", f"{path}/c", {"meta": {"c": "5"}}) == {"meta": {"c": "5"}}
    assert api("GET", f"{path}/c") == {"meta": {"c": "5"}}
    api("PUT", f"{path}/c", {"meta": {"d": "5"}}, status=400)
    api("PUT", f"{path}/c", {"meta": {"c": "5", "d": "5"}}, status=400)
    api("DELETE", f"{path}/c")
    api("DELETE", f"{path}/c", status=404)
    assert api("GET", path) == {"metadata": {}}
    api("PUT", f"/v3/volumes/{volume_id}", {"volume": {}}, status=400)


def test_image_metadata_actions(api: Api) -> None:
    volume_id = api.volume()
    api.act(volume_id, "os-set_image_metadata", {"metadata": {"hw_rng_model": "virtio"}}, status=200)
    shown = api.act(volume_id, "os-show_image_metadata", status=200)
    assert shown == {"metadata": {"hw_rng_model": "virtio"}}
    api.act(volume_id, "os-unset_image_metadata", {"key": "hw_rng_model"}, status=200)
    api.act(volume_id, "os-unset_image_metadata", {"key": "hw_rng_model"}, status=404)


def test_set_bootable_and_read_only(api: Api) -> None:
    volume_id = api.volume()
    api.act(volume_id, "os-set_bootable", {"bootable": "True"}, status=200)
    assert api.show(volume_id)["bootable"] == "true"
    api.act(volume_id, "os-update_readonly_flag", {"readonly": True})
    assert api.show(volume_id)["metadata"] == {"readonly": "True"}
    api.act(volume_id, "os-attach", {"instance_uuid": SERVERS[0], "mountpoint": "/dev/vdb"}, status=400)
    api.act(volume_id, "os-attach", {"instance_uuid": SERVERS[0], "mountpoint": "/dev/vdb", "mode": "ro"})
    api.act(volume_id, "os-update_readonly_flag", {"readonly": False}, status=400)


def test_extend(api: Api, events: list[dict[str, Any]]) -> None:
    volume_id = api.volume(size=2)
    api.act(volume_id, "os-extend", {"new_size": 3})
    assert api.show(volume_id)["size"] == 3
    assert api("GET", "/v3/limits")["limits"]["absolute"]["totalGigabytesUsed"] == 3
    refused = api.act(volume_id, "os-extend", {"new_size": 3}, status=400)
    assert "New size for extend must be greater" in refused["badRequest"]["message"]
    assert events == []


def test_extend_of_an_attached_volume_tells_nova(api: Api, events: list[dict[str, Any]]) -> None:
    volume_id = api.volume()
    api.act(volume_id, "os-attach", {"instance_uuid": SERVERS[0], "mountpoint": "/dev/vdb"})
    api.at("3.41").act(volume_id, "os-extend", {"new_size": 2}, status=400)
    assert events == []
    api.at("3.42").act(volume_id, "os-extend", {"new_size": 2})
    assert events == [{"name": "volume-extended", "server_uuid": SERVERS[0], "tag": volume_id}]
    assert api.show(volume_id)["size"] == 2


def test_reimage_of_a_reserved_volume_tells_nova(api: Api, events: list[dict[str, Any]]) -> None:
    volume_id = api.volume(size=2)
    attachment = {"volume_uuid": volume_id, "instance_uuid": SERVERS[0]}
    api("POST", "/v3/attachments", {"attachment": attachment})
    api.act(volume_id, "os-reimage", {"image_id": CIRROS}, status=400)
    api.at("3.67").act(volume_id, "os-reimage", {"image_id": CIRROS, "reimage_reserved": True}, status=404)
    api.act(volume_id, "os-reimage", {"image_id": CIRROS, "reimage_reserved": True})
    assert events == [{"name": "volume-reimaged", "server_uuid": SERVERS[0], "tag": volume_id}]
    assert api.show(volume_id)["volume_image_metadata"]["image_name"] == "cirros"


def test_reset_status(api: Api) -> None:
    volume_id = api.volume()
    admin = api.as_(ADMIN)
    api.act(volume_id, "os-reset_status", {"status": "error"}, status=403)
    admin.act(volume_id, "os-reset_status", {"status": "error"})
    assert api.show(volume_id)["status"] == "error"
    for refused in ({"status": "green"}, {"status": "deleting"}, {"status": "in-use"}, {}):
        admin.act(volume_id, "os-reset_status", refused, status=400)
    assert api.show(volume_id)["status"] == "error"
    attachment = {"volume_uuid": volume_id, "instance_uuid": SERVERS[0], "connector": CONNECTOR}
    api("POST", "/v3/attachments", {"attachment": attachment}, status=400)
    admin.act(volume_id, "os-reset_status", {"status": "available"})
    api("POST", "/v3/attachments", {"attachment": attachment})
    admin.act(volume_id, "os-reset_status", {"status": "available", "attach_status": "detached"})
    assert api("GET", "/v3/attachments")["attachments"] == []


def test_retype(api: Api) -> None:
    admin = api.as_(ADMIN)
    admin("POST", "/v3/types", {"volume_type": {"name": "gold"}})
    volume_id = api.volume()
    api.act(volume_id, "os-retype", {"new_type": "gold", "migration_policy": "never"})
    assert api.show(volume_id)["volume_type"] == "gold"
    api.act(volume_id, "os-retype", {"new_type": "gold"}, status=400)
    api.act(volume_id, "os-retype", {"new_type": "lead"}, status=404)


@pytest.mark.parametrize("action", ["os-dance", "os-vol-backup"])
def test_unknown_actions(api: Api, action: str) -> None:
    refused = api.act(api.volume(), action, {}, status=400)
    assert refused["badRequest"]["message"].startswith(f"There is no such action: {action}.")


def test_an_action_is_one_member(api: Api) -> None:
    path = f"/v3/volumes/{api.volume()}/action"
    api("POST", path, {"os-reserve": {}, "os-unreserve": {}}, status=400)
    api("POST", path, {}, status=400)


def test_without_an_enabled_service_a_volume_ends_in_error(api: Api) -> None:
    admin = api.as_(ADMIN)
    body = {"host": "nova-fakes@fake", "binary": "cinder-volume", "disabled_reason": "broken"}
    api("PUT", "/v3/os-services/disable-log-reason", body, status=403)
    admin("PUT", "/v3/os-services/disable-log-reason", body)
    (scheduler, _backup, volume) = admin("GET", "/v3/os-services")["services"]
    assert (scheduler["status"], volume["status"], volume["disabled_reason"]) == ("enabled", "disabled", "broken")
    volume_id = api.volume()
    assert api.show(volume_id)["status"] == "error"
    api("DELETE", f"/v3/volumes/{volume_id}", status=202)
    admin("PUT", "/v3/os-services/enable", {"host": "nova-fakes@fake", "binary": "cinder-volume"})
    assert api.show(api.volume())["status"] == "available"
    admin("PUT", "/v3/os-services/enable", {"host": "mars", "binary": "cinder-volume"}, status=404)


def test_state_survives_dump_and_load(service: VolumeService, api: Api) -> None:
    api.as_(ADMIN)("PUT", f"/v3/os-quota-sets/{PROJECT}", {"quota_set": {"volumes": 2}})
    volume_id = api.volume(size=4, name="kept", imageRef=CIRROS)
    api("POST", "/v3/snapshots", {"snapshot": {"volume_id": volume_id, "name": "s"}}, status=202)
    api.act(volume_id, "os-attach", {"instance_uuid": SERVERS[0], "mountpoint": "/dev/vdb"})
    paths = ("/v3/volumes/detail", "/v3/snapshots/detail", "/v3/attachments/detail", "/v3/types", "/v3/limits")
    before = [api("GET", path) for path in paths]
    state = service.dump()
    later = VolumeService()
    later.load(state)
    assert later.dump() == state
    service.load(VolumeService().dump())
    assert api("GET", "/v3/volumes")["volumes"] == []
    service.load(state)
    assert [api("GET", path) for path in paths] == before
    api.volume()
    api("POST", "/v3/volumes", {"volume": {"size": 1}}, status=413)


def test_load_refuses_what_is_no_dump(service: VolumeService, api: Api) -> None:
    volume_id = api.volume()
    for data in ({}, {**service.dump(), "format": 99}, {"format": 1, "volumes": [{"id": "x"}]}):
        with pytest.raises(Exception, match="cannot be used"):
            service.load(data)
    assert api.show(volume_id)["id"] == volume_id


def test_administrators_see_more(api: Api) -> None:
    volume_id = api.volume()
    mine, admins = api.show(volume_id), api.as_(ADMIN).show(volume_id)
    assert set(admins) - set(mine) == {
        "migration_status",
        "os-vol-host-attr:host",
        "os-vol-mig-status-attr:migstat",
        "os-vol-mig-status-attr:name_id",
        "provider_id",
        "cluster_name",
    }
    assert ADMIN_PROJECT not in str(mine)
