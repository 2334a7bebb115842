"""Attachments: the way from available to in use and back, as nova goes it."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from volume_requests import ADMIN, CONNECTOR, NOVA, PROJECT, SERVERS, STRANGER, USER, Api

from nova_fakes.api.volume import VolumeService
from nova_fakes.exceptions import ApiError

NOWHERE = "99999999-9999-9999-9999-999999999999"


def reserve(api: Api, volume_id: str, server: str, *, status: int = 200, **more: object) -> dict[str, object]:
    body = {"attachment": {"volume_uuid": volume_id, "instance_uuid": server, **more}}
    answer = api("POST", "/v3/attachments", body, status=status)
    return dict(answer["attachment"]) if status == 200 else dict(answer)


def test_the_way_of_a_boot_from_volume(api: Api) -> None:
    volume_id = api.volume()
    attachment = reserve(api, volume_id, SERVERS[0])
    assert (attachment["status"], attachment["connection_info"]) == ("reserved", {})
    assert api.show(volume_id)["status"] == "reserved"
    path = f"/v3/attachments/{attachment['id']}"
    info = api("PUT", path, {"attachment": {"connector": CONNECTOR}})["attachment"]["connection_info"]
    assert info["driver_volume_type"] == "fake"
    assert (info["volume_id"], info["attachment_id"], info["access_mode"]) == (volume_id, attachment["id"], "rw")
    assert api.show(volume_id)["status"] == "attaching"
    api("POST", f"{path}/action", {"os-complete": None}, status=204)
    shown = api.show(volume_id)
    assert shown["status"] == "in-use"
    (seen,) = shown["attachments"]
    assert (seen["server_id"], seen["device"], seen["host_name"]) == (SERVERS[0], "/dev/vdb", None)
    assert api.as_(ADMIN).show(volume_id)["attachments"][0]["host_name"] == "compute-1"
    api.act(volume_id, "os-begin_detaching", {})
    assert api.show(volume_id)["status"] == "detaching"
    assert api.as_(NOVA)("DELETE", path) == {"attachments": []}
    assert api.show(volume_id)["status"] == "available"
    api("GET", path, status=404)


def test_a_user_cannot_take_a_connected_volume_from_nova(api: Api) -> None:
    attachment = reserve(api, api.volume(), SERVERS[0], connector=CONNECTOR)
    path = f"/v3/attachments/{attachment['id']}"
    refused = api("DELETE", path, status=409)
    assert refused == {
        "conflictingRequest": {
            "code": 409,
            "message": f"Detach volume from instance {SERVERS[0]} using the Compute API",
        }
    }
    api("DELETE", path, status=409, headers={"X-Service-Token": USER.id})
    api("DELETE", path, headers={"X-Service-Token": NOVA.id})


def test_a_user_may_take_back_what_he_only_reserved(api: Api) -> None:
    volume_id = api.volume()
    attachment = reserve(api, volume_id, SERVERS[0])
    api("DELETE", f"/v3/attachments/{attachment['id']}")
    assert api.show(volume_id)["status"] == "available"


def test_nova_is_asked_whether_it_still_holds_an_attachment() -> None:
    held: dict[tuple[str, str], str] = {}
    service = VolumeService(server_volumes=lambda server, volume: held.get((server, volume)))
    volume = service.volumes.create(USER, size_gb=1)
    attachment = service.attachments.create(USER, volume.id, SERVERS[0], connector=CONNECTOR)
    held[SERVERS[0], volume.id] = attachment.id
    with pytest.raises(ApiError, match="using the Compute API"):
        service.attachments.delete(USER, attachment.id, service=False)
    del held[SERVERS[0], volume.id]
    assert service.attachments.delete(USER, attachment.id, service=False) == []


def test_a_second_server_gets_a_volume_only_by_multiattach(api: Api) -> None:
    volume_id = api.volume()
    reserve(api, volume_id, SERVERS[0])
    refused = reserve(api, volume_id, SERVERS[1], status=400)
    assert refused["badRequest"]["message"] == (  # type: ignore[index]
        f"Invalid volume: Volume {volume_id} status must be available or downloading to reserve, but the current "
        f"status is reserved."
    )
    body = {"volume_type": {"name": "shared", "extra_specs": {"multiattach": "<is> True"}}}
    api.as_(ADMIN)("POST", "/v3/types", body)
    shared = api.volume(volume_type="shared")
    assert api.show(shared)["multiattach"] is True
    entries = []
    for server in SERVERS:
        entry = reserve(api, shared, server, connector=CONNECTOR)
        api("POST", f"/v3/attachments/{entry['id']}/action", {"os-complete": {}}, status=204)
        entries.append(entry)
    assert [seen["server_id"] for seen in api.show(shared)["attachments"]] == list(SERVERS)
    for left, entry in zip((2, 1, 0), entries, strict=True):
        others = api.as_(NOVA)("DELETE", f"/v3/attachments/{entry['id']}")["attachments"]
        assert len(others) == left
    assert api.show(shared)["status"] == "available"


def test_the_same_server_may_have_it_twice_while_it_moves(api: Api) -> None:
    volume_id = api.volume()
    old = reserve(api, volume_id, SERVERS[0], connector=CONNECTOR)
    api("POST", f"/v3/attachments/{old['id']}/action", {"os-complete": {}}, status=204)
    new = reserve(api, volume_id, SERVERS[0], connector={**CONNECTOR, "host": "compute-2"})
    api("POST", f"/v3/attachments/{new['id']}/action", {"os-complete": {}}, status=204)
    third = reserve(api, volume_id, SERVERS[0])
    elsewhere = {"attachment": {"connector": {**CONNECTOR, "host": "compute-3"}}}
    refused = api("PUT", f"/v3/attachments/{third['id']}", elsewhere, status=409)
    assert "duplicate connectors" in refused["conflictingRequest"]["message"]
    nova = api.as_(NOVA)
    nova("DELETE", f"/v3/attachments/{third['id']}")
    nova("DELETE", f"/v3/attachments/{old['id']}")
    assert api.show(volume_id)["status"] == "in-use"
    assert [entry["id"] for entry in api("GET", f"/v3/attachments?instance_id={SERVERS[0]}")["attachments"]] == [
        new["id"]
    ]


def test_refused_attachments_leave_nothing(api: Api) -> None:
    volume_id = api.volume()
    reserve(api, NOWHERE, SERVERS[0], status=404)
    reserve(api, volume_id, "not-a-uuid", status=400)
    reserve(api, volume_id, SERVERS[0], connector={"ip": "192.0.2.1"}, status=500)
    reserve(api, volume_id, SERVERS[0], mode="rx", status=400)
    reserve(api.at("3.53"), volume_id, SERVERS[0], mode="ro", status=400)
    reserve(api.as_(STRANGER), volume_id, SERVERS[0], status=404)
    reserve(api.at("3.26"), volume_id, SERVERS[0], status=404)
    assert api("GET", "/v3/attachments")["attachments"] == []
    assert api.show(volume_id)["status"] == "available"
    attachment = reserve(api, volume_id, SERVERS[0], mode="ro")
    path = f"/v3/attachments/{attachment['id']}"
    api("PUT", path, {"attachment": {"connector": {"ip": "192.0.2.1"}}}, status=400)
    api("PUT", path, {"attachment": {"connector": {}}}, status=400)
    api("PUT", f"/v3/attachments/{NOWHERE}", {"attachment": {"connector": CONNECTOR}}, status=404)
    api.at("3.43")("POST", f"{path}/action", {"os-complete": {}}, status=404)
    api("POST", f"{path}/action", {"os-finish": {}}, status=400)
    assert api("GET", path)["attachment"]["attach_mode"] == "ro"
    assert api.as_(STRANGER)("GET", path, status=404)["itemNotFound"]["message"].startswith("Volume attachment could")


def test_the_older_actions(api: Api) -> None:
    volume_id = api.volume()
    api.act(volume_id, "os-reserve", {})
    assert api.show(volume_id)["status"] == "attaching"
    api.act(volume_id, "os-reserve", {}, status=400)
    api.act(volume_id, "os-unreserve", {})
    assert api.show(volume_id)["status"] == "available"
    info = api.act(volume_id, "os-initialize_connection", {"connector": CONNECTOR}, status=200)["connection_info"]
    assert (info["driver_volume_type"], info["data"]["volume_id"]) == ("fake", volume_id)
    api.act(volume_id, "os-attach", {"instance_uuid": SERVERS[0], "mountpoint": "/dev/vdb"})
    api.act(volume_id, "os-attach", {"instance_uuid": SERVERS[0], "mountpoint": "/dev/vdb"})
    refused = api.act(volume_id, "os-attach", {"instance_uuid": SERVERS[1], "mountpoint": "/dev/vdb"}, status=400)
    assert "multiple attachments are not enabled" in refused["badRequest"]["message"]
    assert len(api.show(volume_id)["attachments"]) == 1
    api.act(volume_id, "os-begin_detaching", {})
    api.act(volume_id, "os-begin_detaching", {}, status=400)
    api.act(volume_id, "os-roll_detaching", {})
    assert api.show(volume_id)["status"] == "in-use"
    api.act(volume_id, "os-terminate_connection", {"connector": CONNECTOR})
    api.act(volume_id, "os-detach", {})
    shown = api.show(volume_id)
    assert (shown["status"], shown["attachments"]) == ("available", [])
    api.act(volume_id, "os-attach", {"mountpoint": "/dev/vdb"}, status=400)


def test_detach_names_one_of_several(api: Api) -> None:
    body = {"volume_type": {"name": "shared", "extra_specs": {"multiattach": "<is> True"}}}
    api.as_(ADMIN)("POST", "/v3/types", body)
    volume_id = api.volume(volume_type="shared")
    for server in SERVERS[:2]:
        api.act(volume_id, "os-attach", {"instance_uuid": server, "mountpoint": "/dev/vdb"})
    api.act(volume_id, "os-detach", {}, status=400)
    first, second = (entry["attachment_id"] for entry in api.show(volume_id)["attachments"])
    api.act(volume_id, "os-detach", {"attachment_id": first})
    assert [entry["attachment_id"] for entry in api.show(volume_id)["attachments"]] == [second]
    api.act(api.volume(), "os-detach", {"attachment_id": second}, status=400)


def test_force_detach_is_the_administrators(api: Api) -> None:
    volume_id = api.volume()
    reserve(api, volume_id, SERVERS[0], connector=CONNECTOR)
    api.act(volume_id, "os-force_detach", {"connector": CONNECTOR}, status=403)
    api.as_(ADMIN).act(volume_id, "os-force_detach", {"connector": CONNECTOR}, status=409)
    api.as_(NOVA).act(volume_id, "os-force_detach", {"connector": CONNECTOR})
    assert api.show(volume_id)["status"] == "available"


class Attaching(RuleBasedStateMachine):
    """Whatever comes in whatever order: volumes, their attachments and the quota agree."""

    volumes = Bundle("volumes")
    attachments = Bundle("attachments")

    def __init__(self) -> None:
        super().__init__()
        self.service = VolumeService(quotas={"volumes": 4, "gigabytes": 12})
        self.service.types.create("shared", specs={"multiattach": "<is> True"})
        self.alive: set[str] = set()

    @rule(target=volumes, size=st.integers(1, 5), kind=st.sampled_from([None, "shared"]))
    def create(self, size: int, kind: str | None) -> str:
        used = sum(volume.size_gb for volume in self.service.volumes.visible(USER))
        try:
            volume_id = self.service.volumes.create(USER, size_gb=size, type_reference=kind).id
        except ApiError as error:
            refused = error.status
        else:
            self.alive.add(volume_id)
            return volume_id
        assert refused == 413
        assert len(self.alive) == 4 or used + size > 12
        return NOWHERE

    @rule(volume_id=volumes, growth=st.integers(-1, 4))
    def extend(self, volume_id: str, growth: int) -> None:
        self.attempt(
            lambda: self.service.changes.extend(
                USER, volume_id, self.service.volumes.get(USER, volume_id).size_gb + growth, attached=True
            )
        )

    @rule(volume_id=consumes(volumes))
    def delete(self, volume_id: str) -> None:
        if self.attempt(lambda: self.service.volumes.delete(USER, volume_id)):
            self.alive.discard(volume_id)

    @rule(target=attachments, volume_id=volumes, server=st.sampled_from(SERVERS), connected=st.booleans())
    def attach(self, volume_id: str, server: str, connected: bool) -> str:
        made: list[str] = []
        self.attempt(
            lambda: made.append(
                self.service.attachments.create(USER, volume_id, server, connector=CONNECTOR if connected else None).id
            )
        )
        return made[0] if made else NOWHERE

    @rule(attachment_id=attachments)
    def update(self, attachment_id: str) -> None:
        self.attempt(lambda: self.service.attachments.update(USER, attachment_id, CONNECTOR))

    @rule(attachment_id=attachments)
    def complete(self, attachment_id: str) -> None:
        self.attempt(lambda: self.service.attachments.complete(USER, attachment_id))

    @rule(attachment_id=consumes(attachments), by_nova=st.booleans())
    def detach(self, attachment_id: str, by_nova: bool) -> None:
        self.attempt(lambda: self.service.attachments.delete(USER, attachment_id, service=by_nova))

    @rule()
    def restart(self) -> None:
        state = self.service.dump()
        self.service = VolumeService(quotas={"volumes": 4, "gigabytes": 12})
        self.service.load(state)

    @invariant()
    def agree(self) -> None:
        found = self.service.volumes.visible(USER)
        assert {volume.id for volume in found} == self.alive
        assert self.service.quotas.used(PROJECT, "volumes") == len(found)
        assert self.service.quotas.used(PROJECT, "gigabytes") == sum(volume.size_gb for volume in found)
        assert self.service.quotas.used(PROJECT, "gigabytes") <= 12
        for volume in found:
            entries = self.service.attachments.visible(USER, volume_id=volume.id)
            assert (volume.status == "available") == (not entries)
            if not volume.multiattach:
                assert len({entry.instance_id for entry in entries}) <= 1
            for entry in entries:
                assert bool(entry.connection_info) == (entry.host is not None)

    def attempt(self, call: object) -> bool:
        try:
            call()  # type: ignore[operator]
        except ApiError as error:
            refused = error.status
        else:
            return True
        assert refused in (400, 404, 409, 413)
        return False


TestAttaching = Attaching.TestCase
TestAttaching.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
