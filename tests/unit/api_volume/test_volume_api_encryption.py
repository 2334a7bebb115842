"""Types of encrypted volumes, and what is told of the volumes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from volume_requests import ADMIN, CONNECTOR, SERVERS, STRANGER, Api, Validator

from nova_fakes.api.volume import VolumeService, create_app
from nova_fakes.clock import ManualClock
from nova_fakes.volume.pool import GIB, Pool
from nova_fakes.volume.store import VolumeStore

LUKS = {"provider": "luks", "control_location": "front-end", "cipher": "aes-xts-plain64", "key_size": "256"}


def new_type(api: Api, name: str, **values: Any) -> str:
    kind = {"volume_type": {"name": name, **values}}
    return str(api.as_(ADMIN)("POST", "/v3/types", kind)["volume_type"]["id"])


@pytest.fixture
def secret(api: Api) -> str:
    """A type whose volumes are encrypted."""
    kind = new_type(api, "secret")
    api.as_(ADMIN)("POST", f"/v3/types/{kind}/encryption", {"encryption": LUKS})
    return kind


def test_type_says_how(api: Api) -> None:
    admin, kind = api.as_(ADMIN), new_type(api, "secret")
    path = f"/v3/types/{kind}/encryption"
    api("POST", path, {"encryption": LUKS}, status=403)
    assert admin("GET", path) == {}
    made = admin("POST", path, {"encryption": LUKS})["encryption"]
    assert (made["key_size"], made["volume_type_id"]) == (256, kind)
    assert admin("GET", path) == made
    assert "already exists" in str(admin("POST", path, {"encryption": LUKS}, status=400))
    assert admin("GET", f"{path}/cipher") == {"cipher": "aes-xts-plain64"}
    admin("GET", f"{path}/colour", status=404)
    one = f"{path}/{made['encryption_id']}"
    admin("PUT", one, {"encryption": {"key_size": 512}})
    assert admin("GET", f"{path}/key_size") == {"key_size": 512}
    admin("PUT", f"{path}/other", {"encryption": {}}, status=404)
    admin("DELETE", one, status=202)
    admin("DELETE", one, status=404)
    assert admin("GET", path) == {}
    admin("GET", "/v3/types/none/encryption", status=404)


def test_volume_is_encrypted(api: Api, secret: str) -> None:
    volume_id, plain = api.volume(volume_type="secret"), api.volume()
    shown = api.show(volume_id)
    assert (shown["encrypted"], api.show(plain)["encrypted"]) == (True, False)
    assert "encryption_key_id" not in api.at("3.63").show(volume_id)
    path = f"/v3/volumes/{volume_id}/encryption"
    assert api("GET", path) == {**LUKS, "key_size": 256, "encryption_key_id": shown["encryption_key_id"]}
    assert api("GET", f"{path}/provider") == "luks"
    api("GET", f"{path}/colour", status=404)
    assert api("GET", f"/v3/volumes/{plain}/encryption") == {"encryption_key_id": None}
    api.as_(STRANGER)("GET", path, status=404)
    body = {"attachment": {"volume_uuid": volume_id, "connector": CONNECTOR}}
    assert api("POST", "/v3/attachments", body)["attachment"]["connection_info"]["encrypted"] is True
    admin = api.as_(ADMIN)
    for method, where in (("POST", ""), ("PUT", "/x"), ("DELETE", "/x")):
        refused = admin(method, f"/v3/types/{secret}/encryption{where}", {"encryption": LUKS}, status=400)
        assert "in use" in str(refused)


def test_not_attached_several_times(api: Api, secret: str) -> None:
    several = {"multiattach": "<is> True"}
    shared = new_type(api, "shared", extra_specs=several)
    api.as_(ADMIN)("POST", f"/v3/types/{shared}/encryption", {"encryption": LUKS})
    body = {"volume": {"size": 1, "volume_type": "shared"}}
    assert "Multiattach cannot be used" in str(api("POST", "/v3/volumes", body, status=400))
    api.act(api.volume(), "os-retype", {"new_type": "shared", "migration_policy": "on-demand"}, status=400)


def test_encryption_comes_and_goes_by_migration_alone(api: Api, secret: str) -> None:
    volume_id = api.volume()
    api.act(volume_id, "os-retype", {"new_type": "secret"})
    assert (api.show(volume_id)["volume_type"], api.show(volume_id)["encrypted"]) == ("__DEFAULT__", False)
    api.act(volume_id, "os-retype", {"new_type": "secret", "migration_policy": "on-demand"})
    assert (api.show(volume_id)["volume_type"], api.show(volume_id)["encrypted"]) == ("secret", True)
    api.act(volume_id, "os-retype", {"new_type": "__DEFAULT__", "migration_policy": "on-demand"})
    assert api.show(volume_id)["encrypted"] is False


@pytest.fixture
def store(clock: ManualClock, tmp_path: Path) -> Iterator[VolumeStore]:
    store = VolumeStore([Pool(name="fake")], clock=clock, path=tmp_path / "store")
    yield store
    store.close()


@pytest.fixture
def kept(store: VolumeStore, clock: ManualClock) -> Iterator[Api]:
    """An API whose volumes hold bytes, with two types of volumes that are encrypted alike and one that is not."""
    service = VolumeService(clock=clock, volume_store=store, server_swap=lambda *ids: None)
    with create_app(service, Validator()).test_client() as client:
        api = Api(client)
        for name in ("secret", "likewise"):
            kind = new_type(api, name)
            api.as_(ADMIN)("POST", f"/v3/types/{kind}/encryption", {"encryption": LUKS})
        yield api


def told(store: VolumeStore, volume_id: str) -> Any:
    """What the store knows of a volume's encryption."""
    return store.volume(volume_id).encryption


def test_store_is_told_and_remembers(kept: Api, store: VolumeStore, tmp_path: Path) -> None:
    volume_id = kept.volume(volume_type="secret")
    said = kept("GET", f"/v3/volumes/{volume_id}/encryption")
    assert (told(store, volume_id), told(store, kept.volume())) == (said, None)
    assert store.volume(volume_id).type_name == "secret"
    body = {"volume_uuid": volume_id, "instance_uuid": SERVERS[0], "connector": CONNECTOR}
    kept("POST", "/v3/attachments", {"attachment": body})
    (attachment,) = store.attachments_of(volume_id)
    assert attachment.connection_info is not None
    assert attachment.connection_info["data"]["encrypted"] is True
    store.close()
    again = VolumeStore([Pool(name="fake")], path=tmp_path / "store")
    assert told(again, volume_id) == said
    assert again.attachment(attachment.id).connection_info == attachment.connection_info
    again.close()


def test_copies_have_keys_of_their_own(kept: Api, store: VolumeStore) -> None:
    volume_id = kept.volume(volume_type="secret")
    snapshot = kept("POST", "/v3/snapshots", {"snapshot": {"volume_id": volume_id}}, status=202)["snapshot"]["id"]
    assert store.snapshot(snapshot).encryption == told(store, volume_id)
    copies = [kept.volume(source_volid=volume_id), kept.volume(snapshot_id=snapshot, volume_type="likewise")]
    keys = {told(store, one)["encryption_key_id"] for one in (volume_id, *copies)}
    assert len(keys) == 3
    body = {"volume": {"source_volid": volume_id, "volume_type": "__DEFAULT__"}}
    assert "not compatible" in str(kept("POST", "/v3/volumes", body, status=400))


def test_key_changes_with_the_encryption_alone(kept: Api, store: VolumeStore) -> None:
    volume_id = kept.volume(volume_type="secret")
    before = told(store, volume_id)
    kept.act(volume_id, "os-retype", {"new_type": "likewise"})
    assert (kept.show(volume_id)["volume_type"], told(store, volume_id)) == ("likewise", before)
    kept.act(volume_id, "os-retype", {"new_type": "__DEFAULT__", "migration_policy": "on-demand"})
    assert told(store, volume_id) is None
    kept("POST", "/v3/snapshots", {"snapshot": {"volume_id": volume_id}}, status=202)
    kept.act(volume_id, "os-retype", {"new_type": "secret", "migration_policy": "on-demand"})
    assert (kept.show(volume_id)["volume_type"], told(store, volume_id)) == ("__DEFAULT__", None)


def test_volume_in_use_is_encrypted_by_way_of_nova(kept: Api, store: VolumeStore) -> None:
    volume_id = kept.volume()
    body = {"volume_uuid": volume_id, "instance_uuid": SERVERS[0], "connector": CONNECTOR}
    made = kept("POST", "/v3/attachments", {"attachment": body})["attachment"]["id"]
    kept("POST", f"/v3/attachments/{made}/action", {"os-complete": None}, status=204)
    kept.act(volume_id, "os-retype", {"new_type": "secret", "migration_policy": "on-demand"})
    admin = kept.as_(ADMIN)
    (new,) = [one["id"] for one in admin("GET", "/v3/volumes?all_tenants=1")["volumes"] if one["id"] != volume_id]
    assert (kept.show(volume_id)["encrypted"], admin.show(new)["encrypted"]) == (False, True)
    key = told(store, new)
    admin("POST", "/v3/attachments", {"attachment": {**body, "volume_uuid": new}})
    admin.act(volume_id, "os-migrate_volume_completion", {"new_volume": new, "error": False}, status=200)
    assert (kept.show(volume_id)["volume_type"], told(store, volume_id)) == ("secret", key)


def test_backups_go_to_volumes_of_the_same_type_alone(kept: Api, store: VolumeStore) -> None:
    volume_id, plain = kept.volume(volume_type="secret"), kept.volume()
    key = told(store, volume_id)["encryption_key_id"]
    made = kept("POST", "/v3/backups", {"backup": {"volume_id": volume_id}}, status=202)["backup"]["id"]
    backup = kept("GET", f"/v3/backups/{made}")["backup"]
    assert backup["encryption_key_id"] not in (None, key)
    assert "encryption_key_id" not in kept.at("3.63")("GET", f"/v3/backups/{made}")["backup"]

    def restore(target: str) -> str:
        kept("POST", f"/v3/backups/{made}/restore", {"restore": {"volume_id": target}}, status=202)
        return str(kept.show(target)["status"])

    assert (restore(plain), restore(volume_id)) == ("error_restoring", "available")
    assert told(store, volume_id)["encryption_key_id"] == key
    other = kept.volume(volume_type="secret")
    before = told(store, other)["encryption_key_id"]
    assert restore(other) == "available"
    assert told(store, other)["encryption_key_id"] not in (before, key, backup["encryption_key_id"])
    lost = kept("POST", "/v3/volumes", {"volume": {"backup_id": made}}, status=202)["volume"]["id"]
    assert kept.show(lost)["status"] == "error"


def test_loaded_records_are_told_again(kept: Api, clock: ManualClock) -> None:
    first, store = VolumeService(clock=clock), VolumeStore([Pool(name="fake")], clock=clock)
    with create_app(first, Validator()).test_client() as client:
        api = Api(client)
        kind = new_type(api, "secret")
        api.as_(ADMIN)("POST", f"/v3/types/{kind}/encryption", {"encryption": LUKS})
        volume_id = api.volume(volume_type="secret")
        said = api("GET", f"/v3/volumes/{volume_id}/encryption")
    store.create_volume(GIB, volume_id=volume_id)
    second = VolumeService(clock=clock, volume_store=store)
    second.load(first.dump())
    assert store.volume(volume_id).encryption == said


def test_encrypted_volumes_are_transferred_with_their_snapshots(api: Api, secret: str) -> None:
    body = {"volume_id": api.volume(volume_type="secret")}
    path = "/v3/volume-transfers"
    old = api.at("3.69")("POST", path, {"transfer": body}, status=400)
    assert "transferring encrypted volume is not supported" in str(old)
    assert "without its snapshots" in str(api("POST", path, {"transfer": {**body, "no_snapshots": True}}, status=400))
    api("POST", path, {"transfer": body}, status=202)
