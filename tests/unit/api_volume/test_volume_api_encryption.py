"""Types of encrypted volumes, and what is told of the volumes."""

from typing import Any

import pytest
from volume_requests import ADMIN, CONNECTOR, STRANGER, Api

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
