"""Three users of the image API, and how they ask."""

from nova_fakes.api.auth import Token

OCTETS = "application/octet-stream"
PATCH = "application/openstack-images-v2.1-json-patch"


def _token(name: str, role: str) -> Token:
    return Token(name, f"user-{name}", name, f"project-{name}", name, "default", (role,), 0.0, 1e12)


TOKENS = {"owner": _token("owner", "member"), "other": _token("other", "member"), "root": _token("root", "admin")}


class Tokens:
    def validate(self, token_id: str) -> Token | None:
        return TOKENS.get(token_id)


def asks(name: str, **headers: str) -> dict[str, str]:
    """Headers of a request by that user."""
    return {"X-Auth-Token": name, "Accept": "application/json", **headers}


def create(client, who: str = "owner", **values: object) -> dict:
    """Register an image and return it."""
    body = {"name": "image", "disk_format": "raw", "container_format": "bare", **values}
    response = client.post("/v2/images", json=body, headers=asks(who))
    assert response.status_code == 201, response.text
    return response.get_json()


def upload(client, image_id: str, data: bytes = b"bytes", who: str = "owner", **headers: str):
    """Upload bytes and return the response."""
    return client.put(f"/v2/images/{image_id}/file", data=data, content_type=OCTETS, headers=asks(who, **headers))


def patch(client, image_id: str, operations: object, who: str = "owner", content_type: str = PATCH):
    """Patch an image and return the response."""
    return client.patch(f"/v2/images/{image_id}", json=operations, content_type=content_type, headers=asks(who))
