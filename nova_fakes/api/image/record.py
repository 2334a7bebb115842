"""An image as the service keeps it, and as the API shows it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

__all__ = ["CONTAINER_FORMATS", "DISK_FORMATS", "READ_ONLY", "VISIBILITIES", "Image", "Member", "timestamp"]

CONTAINER_FORMATS = ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed")
DISK_FORMATS = ("ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop")
VISIBILITIES = ("community", "public", "private", "shared")
# What the service alone sets.
READ_ONLY = frozenset(
    (
        "checksum",
        "created_at",
        "direct_url",
        "file",
        "os_hash_algo",
        "os_hash_value",
        "schema",
        "self",
        "size",
        "status",
        "stores",
        "updated_at",
        "virtual_size",
    )
)


@dataclass(slots=True)
class Member:
    """A project that an image is shared with.

    Attributes:
        member_id: the project.
        status: "pending", "accepted" or "rejected": whether the image is in the project's lists.
        created_at: unix seconds.
        updated_at: unix seconds.
    """

    member_id: str
    status: str
    created_at: float
    updated_at: float


@dataclass(slots=True)
class Image:
    """An image's description. Sizes are in bytes unless the API has them otherwise; times are unix seconds."""

    id: str
    owner: str | None
    created_at: float
    updated_at: float
    sequence: int
    name: str | None = None
    status: str = "queued"
    visibility: str = "shared"
    container_format: str | None = None
    disk_format: str | None = None
    min_disk: int = 0  # GiB
    min_ram: int = 0  # MiB
    protected: bool = False
    os_hidden: bool = False
    size: int | None = None
    virtual_size: int | None = None
    checksum: str | None = None
    os_hash_algo: str | None = None
    os_hash_value: str | None = None
    tags: list[str] = field(default_factory=list)
    properties: dict[str, str | None] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    stores: list[str] = field(default_factory=list)  # where the bytes are, if stores have names

    def show(self) -> dict[str, Any]:
        """Return the image as the API shows it: properties beside the attributes."""
        path = f"/v2/images/{self.id}"
        return {
            **self.properties,
            **({"stores": ",".join(self.stores)} if self.stores else {}),
            "name": self.name,
            "disk_format": self.disk_format,
            "container_format": self.container_format,
            "visibility": self.visibility,
            "size": self.size,
            "virtual_size": self.virtual_size,
            "status": self.status,
            "checksum": self.checksum,
            "protected": self.protected,
            "min_ram": self.min_ram,
            "min_disk": self.min_disk,
            "owner": self.owner,
            "os_hidden": self.os_hidden,
            "os_hash_algo": self.os_hash_algo,
            "os_hash_value": self.os_hash_value,
            "id": self.id,
            "created_at": timestamp(self.created_at),
            "updated_at": timestamp(self.updated_at),
            "tags": list(self.tags),
            "self": path,
            "file": f"{path}/file",
            "schema": "/v2/schemas/image",
        }

    def show_member(self, member: Member) -> dict[str, Any]:
        """Return one of the image's members as the API shows it."""
        return {
            "member_id": member.member_id,
            "image_id": self.id,
            "status": member.status,
            "created_at": timestamp(member.created_at),
            "updated_at": timestamp(member.updated_at),
            "schema": "/v2/schemas/member",
        }

    def dump(self) -> dict[str, Any]:
        """Return the image as JSON-able data."""
        return asdict(self)

    @classmethod
    def load(cls, values: dict[str, Any]) -> Image:
        """Return the image that `dump` was called on."""
        members = {name: Member(**member) for name, member in values["members"].items()}
        return cls(**{**values, "members": members})


def timestamp(unix_s: float) -> str:
    """Return a time in Glance's format, full seconds: 2026-01-31T12:00:00Z."""
    return datetime.fromtimestamp(int(unix_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
