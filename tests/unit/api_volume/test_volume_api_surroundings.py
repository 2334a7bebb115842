"""Versions, lists, snapshots, types, quotas and what else surrounds the volumes."""

from __future__ import annotations

import threading

import pytest
from volume_requests import ADMIN, OTHER_PROJECT, PROJECT, SERVERS, STRANGER, USER, Api

from nova_fakes.api.volume import VolumeService
from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import ApiError, InvalidInput


def test_versions_need_no_token(api: Api) -> None:
    anybody = api.as_(None)
    for path, status in (("/", 300), ("/v3", 200), ("/v3/", 200)):
        (version,) = anybody("GET", path, status=status)["versions"]
        assert (version["id"], version["min_version"], version["version"]) == ("v3.0", "3.0", "3.71")
    refused = anybody("GET", "/v3/volumes", status=401)
    assert refused["error"]["code"] == 401
    assert "x-compute-request-id" not in anybody.response.headers
    assert anybody.response.headers["WWW-Authenticate"].startswith("Keystone uri=")


def test_microversions(api: Api) -> None:
    volume_id = api.volume()
    later = {
        "3.13": {"group_id"},
        "3.48": {"shared_targets", "service_uuid"},
        "3.63": {"volume_type_id"},
        "3.65": {"consumes_quota"},
    }
    known = set(api.at("3.0").show(volume_id))
    for version, added in later.items():
        major, minor = version.split(".")
        assert set(api.at(f"{major}.{int(minor) - 1}").show(volume_id)) == known
        other = api.at(version)
        known |= added
        assert set(other.show(volume_id)) == known
        assert other.response.headers["OpenStack-API-Version"] == f"volume {version}"
    refused = api.at("3.99")("GET", "/v3/volumes", status=406)
    assert refused["computeFault"]["message"].endswith("Minimum is 3.0 and maximum is 3.71.")
    api.at("three")("GET", "/v3/volumes", status=400)


def test_requests_have_an_id_under_two_names(api: Api) -> None:
    seen = set()
    for path, status in (("volumes", 200), ("volumes/x", 404), ("nowhere", 404)):
        api("GET", f"/v3/{path}", status=status)
        names = ("x-openstack-request-id", "x-compute-request-id")
        (request_id,) = {api.response.headers[name] for name in names}
        seen.add(request_id)
    api.at("3.99")("GET", "/v3/volumes", status=406)
    assert len(seen) == 3


def test_unknown_paths_and_methods_are_named(api: Api) -> None:
    for path in ("clusters", "consistencygroups", "os-volume-manage", "workers"):
        assert f"/v3/{path}" in api("GET", f"/v3/{path}", status=404)["itemNotFound"]["message"]
    assert "os-unmanage" in str(api.act(api.volume(), "os-unmanage", {}, status=400))
    assert "PATCH" in api("PATCH", "/v3/volumes", status=405)["badMethod"]["message"]


def test_lists_are_filtered_sorted_and_paged(api: Api, clock: ManualClock) -> None:
    for number in range(5):
        api.volume(name=f"v{number}", size=5 - number, metadata={"odd": str(number % 2)})
        clock.advance(1)

    def names(query: str, **options: str) -> list[str]:
        found = api.at(options.get("version", "3.71"))("GET", f"/v3/volumes/detail?{query}")
        return [volume["name"] for volume in found["volumes"]]

    assert names("") == ["v4", "v3", "v2", "v1", "v0"]
    assert names("sort=size:asc") == ["v4", "v3", "v2", "v1", "v0"]
    assert names("sort_key=name&sort_dir=asc&limit=2") == ["v0", "v1"]
    assert names("name=v2") == ["v2"]
    assert names("name~=V") == ["v4", "v3", "v2", "v1", "v0"]
    assert names("metadata={'odd':'1'}") == ["v3", "v1"]
    assert names("size=4") == ["v1"]
    assert names("bootable=true") == []
    assert names("offset=3") == ["v1", "v0"]
    created = api("GET", "/v3/volumes/detail?name=v2")["volumes"][0]["created_at"]
    assert names(f"created_at=lt:{created}") == ["v1", "v0"]
    assert names("user_id=x", version="3.30") == ["v4", "v3", "v2", "v1", "v0"]
    api("GET", "/v3/volumes?user_id=x", status=400)
    for refused in ("limit=-1", "limit=x", "sort=size:up", "sort=colour", "metadata=x", "bootable=perhaps"):
        api("GET", f"/v3/volumes/detail?{refused}", status=400)
    api("GET", "/v3/volumes?marker=nowhere", status=404)
    first = api("GET", "/v3/volumes?limit=2&with_count=true")
    assert first["count"] == 5
    seen = [volume["name"] for volume in first["volumes"]]
    while "volumes_links" in first:
        first = api("GET", first["volumes_links"][0]["href"])
        seen += [volume["name"] for volume in first["volumes"]]
    assert seen == ["v4", "v3", "v2", "v1", "v0"]
    assert api.as_(ADMIN)("GET", "/v3/volumes?all_tenants=1&colour=red")["volumes"] == []
    summary = api("GET", "/v3/volumes/summary")["volume-summary"]
    assert (summary["total_count"], summary["total_size"], summary["metadata"]) == (5, 15, {"odd": ["0", "1"]})


def test_snapshots(api: Api) -> None:
    volume_id = api.volume(size=2)
    made = api("POST", "/v3/snapshots", {"snapshot": {"volume_id": volume_id, "name": "first"}}, status=202)
    snapshot = made["snapshot"]
    assert (snapshot["status"], snapshot["size"]) == ("creating", 2)
    path = f"/v3/snapshots/{snapshot['id']}"
    shown = api("GET", path)["snapshot"]
    assert (shown["status"], shown["os-extended-snapshot-attributes:progress"]) == ("available", "100%")
    api("PUT", path, {"snapshot": {"name": "second"}})
    assert [entry["name"] for entry in api("GET", "/v3/snapshots/detail?name=second")["snapshots"]] == ["second"]
    assert api("POST", f"{path}/metadata", {"metadata": {"a": "b"}}) == {"metadata": {"a": "b"}}
    api("DELETE", f"{path}/metadata/c", status=404)
    api.as_(STRANGER)("GET", path, status=404)
    api("POST", f"{path}/action", {"os-reset_status": {"status": "error"}}, status=403)
    admin = api.as_(ADMIN)
    admin("POST", f"{path}/action", {"os-reset_status": {"status": "blue"}}, status=400)
    admin("POST", f"{path}/action", {"os-reset_status": {"status": "deleting"}}, status=202)
    api("DELETE", path, status=400)
    admin("POST", f"{path}/action", {"os-update_snapshot_status": {"status": "available"}}, status=400)
    admin("POST", f"{path}/action", {"os-update_snapshot_status": {"status": "error_deleting"}}, status=202)
    admin("POST", f"{path}/action", {"os-force_delete": {}}, status=202)
    api("GET", path, status=404)
    assert api("GET", "/v3/limits")["limits"]["absolute"]["totalGigabytesUsed"] == 2


def test_snapshots_of_volumes_in_use(api: Api) -> None:
    volume_id = api.volume()
    api.act(volume_id, "os-attach", {"instance_uuid": SERVERS[0], "mountpoint": "/dev/vdb"})
    old = api.at("3.65")
    body = {"volume_id": volume_id}
    refused = old("POST", "/v3/snapshots", {"snapshot": body}, status=400)
    assert "status must be available, but current status is: in-use" in refused["badRequest"]["message"]
    old("POST", "/v3/snapshots", {"snapshot": {**body, "force": True}}, status=202)
    api("POST", "/v3/snapshots", {"snapshot": body}, status=202)
    api("POST", "/v3/snapshots", {"snapshot": {**body, "force": False}}, status=400)


def test_types_and_their_specs(api: Api) -> None:
    admin = api.as_(ADMIN)
    api("POST", "/v3/types", {"volume_type": {"name": "gold"}}, status=403)
    specs = {"volume_backend_name": "fake", "multiattach": "<is> False"}
    gold = admin("POST", "/v3/types", {"volume_type": {"name": "gold", "extra_specs": specs}})["volume_type"]
    admin("POST", "/v3/types", {"volume_type": {"name": "gold"}}, status=409)
    path = f"/v3/types/{gold['id']}"
    assert api("GET", path)["volume_type"]["extra_specs"] == {"multiattach": "<is> False"}
    assert admin("GET", f"{path}/extra_specs") == {"extra_specs": specs}
    admin("PUT", f"{path}/extra_specs/multiattach", {"multiattach": "<is> True"})
    admin("DELETE", f"{path}/extra_specs/volume_backend_name", status=202)
    admin("DELETE", f"{path}/extra_specs/volume_backend_name", status=404)
    assert admin("GET", f"{path}/extra_specs/multiattach") == {"multiattach": "<is> True"}
    admin("PUT", path, {"volume_type": {"name": "silver", "is_public": False}})
    assert api("GET", "/v3/types/default")["volume_type"]["name"] == "__DEFAULT__"
    assert [kind["name"] for kind in admin("GET", "/v3/types?is_public=None")["volume_types"]] == [
        "silver",
        "__DEFAULT__",
    ]
    assert [kind["name"] for kind in api("GET", "/v3/types")["volume_types"]] == ["__DEFAULT__"]
    api("GET", path, status=404)
    api("POST", "/v3/volumes", {"volume": {"size": 1, "volume_type": "silver"}}, status=404)
    admin("POST", f"{path}/action", {"addProjectAccess": {"project": PROJECT}}, status=202)
    admin("POST", f"{path}/action", {"addProjectAccess": {"project": PROJECT}}, status=409)
    assert admin("GET", f"{path}/os-volume-type-access")["volume_type_access"][0]["project_id"] == PROJECT
    volume_id = api.volume(volume_type="silver")
    admin("DELETE", path, status=400)
    api("DELETE", f"/v3/volumes/{volume_id}", status=202)
    admin("POST", f"{path}/action", {"removeProjectAccess": {"project": PROJECT}}, status=202)
    admin("POST", f"{path}/action", {"removeProjectAccess": {"project": PROJECT}}, status=404)
    admin("DELETE", path, status=202)
    default = api("GET", "/v3/types/default")["volume_type"]["id"]
    admin("DELETE", f"/v3/types/{default}", status=400)


def test_quotas(api: Api) -> None:
    admin = api.as_(ADMIN)
    path = f"/v3/os-quota-sets/{PROJECT}"
    assert api("GET", path)["quota_set"]["volumes"] == 10
    api("GET", f"/v3/os-quota-sets/{OTHER_PROJECT}", status=403)
    api("PUT", path, {"quota_set": {"volumes": 1}}, status=403)
    admin("PUT", path, {"quota_set": {"volumes": "2", "gigabytes": 5, "per_volume_gigabytes": 4, "snapshots": 1}})
    refused = api("POST", "/v3/volumes", {"volume": {"size": 5}}, status=413)
    assert refused["overLimit"]["message"] == "Requested volume size 5G is larger than maximum allowed limit 4G."
    assert (refused["overLimit"]["retryAfter"], api.response.headers["Retry-After"]) == ("0", "0")
    volume_id = api.volume(size=3)
    refused = api("POST", "/v3/volumes", {"volume": {"size": 3}}, status=413)
    assert refused["overLimit"]["message"] == (
        "Requested volume or snapshot exceeds allowed gigabytes quota. Requested 3G, quota is 5G and 3G has been "
        "consumed."
    )
    api.act(volume_id, "os-extend", {"new_size": 5}, status=413)
    assert api.show(volume_id)["size"] == 3
    api("POST", "/v3/snapshots", {"snapshot": {"volume_id": volume_id}}, status=413)
    api.volume(size=1)
    refused = api("POST", "/v3/volumes", {"volume": {"size": 1}}, status=413)
    assert refused["overLimit"]["message"] == "Maximum number of volumes allowed (2) exceeded for quota 'volumes'."
    usage = api("GET", f"{path}?usage=True")["quota_set"]
    assert usage["gigabytes"] == {"limit": 5, "in_use": 4, "reserved": 0}
    assert usage["volumes___DEFAULT__"]["in_use"] == 2
    for refused in ({"volumes": 1}, {"colours": 3}, {"volumes": -2}, {"volumes": "many"}):
        admin("PUT", path, {"quota_set": {"snapshots": 7, **refused}}, status=400)
    assert api("GET", path)["quota_set"]["snapshots"] == 1
    admin("DELETE", path)
    assert api("GET", path)["quota_set"] == api("GET", f"{path}/defaults")["quota_set"]


def test_zones_services_and_extensions(api: Api) -> None:
    zones = api("GET", "/v3/os-availability-zone")
    assert zones == {"availabilityZoneInfo": [{"zoneName": "nova", "zoneState": {"available": True}}]}
    api("GET", "/v3/os-services", status=403)
    services = api.as_(ADMIN)("GET", "/v3/os-services?binary=cinder-volume")["services"]
    assert [(entry["host"], entry["state"]) for entry in services] == [("nova-fakes@fake", "up")]
    assert "os-volume-actions" in {entry["alias"] for entry in api("GET", "/v3/extensions")["extensions"]}


def test_a_service_needs_a_zone() -> None:
    with pytest.raises(InvalidInput, match="zones"):
        VolumeService(zones=())


def test_many_threads_reserve_a_volume_once(service: VolumeService) -> None:
    volume = service.volumes.create(USER, size_gb=1)
    start = threading.Barrier(8)
    won: list[int] = []

    def reserve(number: int) -> None:
        start.wait()
        try:
            service.attachments.create(USER, volume.id, f"{number:08d}-0000-4000-8000-000000000000")
        except ApiError:
            return
        won.append(number)

    threads = [threading.Thread(target=reserve, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_projects_have_default_types_of_their_own(api: Api, service: VolumeService) -> None:
    admin = api.as_(ADMIN)
    kind = admin("POST", "/v3/types", {"volume_type": {"name": "gold"}})["volume_type"]["id"]
    path, asked = f"/v3/default-types/{PROJECT}", {"default_type": {"volume_type": "gold"}}
    api("PUT", path, asked, status=403)
    admin("GET", path, status=404)
    admin("PUT", path, {"default_type": {"volume_type": "tin"}}, status=400)
    set_to = {"project_id": PROJECT, "volume_type_id": kind}
    assert admin("PUT", path, asked) == {"default_type": set_to} == admin("GET", path)
    assert admin("GET", "/v3/default-types") == {"default_types": [set_to]}
    assert api("GET", "/v3/types/default")["volume_type"]["name"] == "gold"
    assert admin("GET", "/v3/types/default")["volume_type"]["name"] == "__DEFAULT__"
    assert "default volume type" in str(admin("DELETE", f"/v3/types/{kind}", status=400))
    service.load(service.dump())
    assert api.show(api.volume())["volume_type"] == "gold"
    admin("DELETE", path, status=204)
    assert api.show(api.volume())["volume_type"] == "__DEFAULT__"
    admin.at("3.61")("GET", path, status=404)


def test_filters_are_told(api: Api) -> None:
    (found,) = api("GET", "/v3/resource_filters?resource=backup")["resource_filters"]
    assert found == {"resource": "backup", "filters": ["name", "status", "volume_id"]}
    assert len(api("GET", "/v3/resource_filters")["resource_filters"]) == 9
    assert api("GET", "/v3/resource_filters?resource=none") == {"resource_filters": []}
    api.at("3.32")("GET", "/v3/resource_filters", status=404)
