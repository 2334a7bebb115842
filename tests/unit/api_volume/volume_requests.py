"""Hand-made tokens and images, and requests to the volume API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import flask.testing

from nova_fakes.api.auth import Token

GIB = 1024**3
PROJECT, OTHER_PROJECT, ADMIN_PROJECT = "a" * 32, "b" * 32, "c" * 32


def make_token(name: str, project_id: str, *roles: str) -> Token:
    return Token(
        id=name,
        user_id=f"user-{name}",
        user_name=name,
        project_id=project_id,
        project_name=name,
        domain_id="default",
        roles=roles,
        issued_at=0.0,
        expires_at=1e12,
    )


USER = make_token("demo", PROJECT, "member")
STRANGER = make_token("stranger", OTHER_PROJECT, "member")
ADMIN = make_token("admin", ADMIN_PROJECT, "admin")
NOVA = make_token("nova", ADMIN_PROJECT, "admin", "service")
TOKENS = {token.id: token for token in (USER, STRANGER, ADMIN, NOVA)}
IMAGES: dict[str, dict[str, Any]] = {
    "11111111-1111-1111-1111-111111111111": {
        "name": "cirros",
        "status": "active",
        "size": GIB + 1,
        "min_disk": 1,
        "min_ram": 64,
        "checksum": "0" * 32,
        "disk_format": "qcow2",
        "container_format": "bare",
        "visibility": "public",
        "hw_disk_bus": "virtio",
        "tags": [],
    },
    "22222222-2222-2222-2222-222222222222": {"name": "queued", "status": "queued", "size": None},
    "33333333-3333-3333-3333-333333333333": {"name": "demanding", "status": "active", "size": 1, "min_disk": 40},
}
CIRROS, QUEUED, DEMANDING = IMAGES
SERVERS = tuple(f"{number:08d}-0000-4000-8000-000000000000" for number in range(1, 4))
CONNECTOR = {
    "host": "compute-1",
    "initiator": "iqn.2026-01.test:compute-1",
    "ip": "192.0.2.1",
    "mountpoint": "/dev/vdb",
}


def find_image(reference: str, token: Token) -> Mapping[str, Any] | None:
    for image_id, image in IMAGES.items():
        if reference in (image_id, image["name"]):
            return {"id": image_id, **image}
    return None


class Validator:
    def validate(self, token_id: str) -> Token | None:
        return TOKENS.get(token_id)


class Api:
    """Requests to the application, as one user and in one version unless said otherwise."""

    def __init__(self, client: flask.testing.FlaskClient) -> None:
        self._client = client
        self.token: Token | None = USER
        self.version = "3.71"

    def __call__(
        self, method: str, path: str, body: Any = None, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Any:
        sent = {"OpenStack-API-Version": f"volume {self.version}"} if self.version else {}
        if self.token is not None:
            sent["X-Auth-Token"] = self.token.id
        data = body if isinstance(body, str) else None if body is None else json.dumps(body)
        self.response = self._client.open(path, method=method, data=data, headers={**sent, **(headers or {})})
        assert self.response.status_code == status, self.response.get_data(as_text=True)
        return self.response.get_json(silent=True)

    def volume(self, **body: Any) -> str:
        """Make a volume; return its id."""
        return str(self("POST", "/v3/volumes", {"volume": {"size": 1, **body}}, status=202)["volume"]["id"])

    def act(self, volume_id: str, action: str, arguments: Any = None, *, status: int = 202) -> Any:
        return self("POST", f"/v3/volumes/{volume_id}/action", {action: arguments}, status=status)

    def show(self, volume_id: str) -> dict[str, Any]:
        volume: dict[str, Any] = self("GET", f"/v3/volumes/{volume_id}")["volume"]
        return volume

    def as_(self, token: Token | None) -> Api:
        other = Api(self._client)
        other.token = token
        other.version = self.version
        return other

    def at(self, version: str) -> Api:
        other = self.as_(self.token)
        other.version = version
        return other
