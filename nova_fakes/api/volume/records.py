"""What the volume service keeps: volumes, attachments, snapshots, backups, groups, types and its own services."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "CIPHERING",
    "Attachment",
    "BackendService",
    "Backup",
    "Group",
    "GroupSnapshot",
    "GroupType",
    "Message",
    "QosSpecs",
    "Snapshot",
    "Transfer",
    "Volume",
    "VolumeType",
]

#: What a type says of how its volumes are encrypted.
CIPHERING = ("provider", "control_location", "cipher", "key_size")


@dataclass(slots=True, kw_only=True)
class Volume:
    """A volume. Times are seconds since the epoch.

    `status` is one of Cinder's: "creating", "available", "reserved", "attaching", "in-use", "detaching", "extending",
    "downloading", "deleting", "error" and what `os-reset_status` may set besides.
    """

    id: str
    project_id: str
    user_id: str
    name: str | None
    description: str | None
    size_gb: int
    status: str
    availability_zone: str
    type_id: str
    created_at: float
    attach_status: str = "detached"
    host: str | None = None
    updated_at: float | None = None
    snapshot_id: str | None = None
    source_id: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    image_metadata: dict[str, str] = field(default_factory=dict)
    bootable: bool = False
    multiattach: bool = False
    read_only: bool | None = None
    migration_status: str | None = None
    previous_status: str | None = None
    name_id: str | None = None
    group_id: str | None = None
    encryption_key_id: str | None = None

    @property
    def migrating(self) -> bool:
        """Whether it is on its way to another place, or is the place that another is on its way to."""
        return self.migration_status not in (None, "deleting", "error", "success")


@dataclass(slots=True, kw_only=True)
class Attachment:
    """A volume's bond to a server, or to a host where there is no server.

    `status` goes from "reserved" (no connector yet) over "attaching" (connection made) to "attached".
    """

    id: str
    volume_id: str
    instance_id: str | None
    status: str = "reserved"
    mode: str | None = None
    host: str | None = None
    mountpoint: str | None = None
    connector: dict[str, Any] | None = None
    connection_info: dict[str, Any] = field(default_factory=dict)
    attached_at: float | None = None


@dataclass(slots=True, kw_only=True)
class Snapshot:
    """A volume's state at one moment, with what a new volume inherits from it."""

    id: str
    volume_id: str
    project_id: str
    user_id: str
    name: str | None
    description: str | None
    size_gb: int
    status: str
    type_id: str
    created_at: float
    updated_at: float | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    image_metadata: dict[str, str] = field(default_factory=dict)
    bootable: bool = False
    group_snapshot_id: str | None = None


@dataclass(slots=True, kw_only=True)
class Backup:
    """What a volume held at one moment.

    `volume` has its name, description, type, metadata, what it took from an image, and the id of its key.
    """

    id: str
    volume_id: str
    project_id: str
    user_id: str
    name: str | None
    description: str | None
    size_gb: int
    status: str
    created_at: float
    data_timestamp: float
    volume: dict[str, Any]
    updated_at: float | None = None
    container: str | None = None
    availability_zone: str | None = None
    snapshot_id: str | None = None
    parent_id: str | None = None
    object_count: int = 0
    fail_reason: str | None = None
    encryption_key_id: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)

    def suits(self, type_id: str) -> bool:
        """Tell whether volumes of a type can take it: one of an encrypted volume goes to its own type alone."""
        return self.volume.get("encryption_key_id") is None or self.volume["type_id"] == type_id


@dataclass(slots=True, kw_only=True)
class VolumeType:
    """A kind of volume; `projects` may use it where it is not public.

    `encryption` is what is told of it: provider, control_location, cipher, key_size, encryption_id, volume_type_id.
    """

    id: str
    name: str
    description: str | None = None
    is_public: bool = True
    extra_specs: dict[str, str] = field(default_factory=dict)
    projects: list[str] = field(default_factory=list)
    qos_specs_id: str | None = None
    encryption: dict[str, Any] | None = None

    @property
    def ciphering(self) -> dict[str, Any] | None:
        """How its volumes are encrypted, whichever type says it: provider, control_location, cipher, key_size."""
        said = self.encryption
        if said is None:
            return None
        return {name: said[name] for name in CIPHERING}

    @property
    def multiattach(self) -> bool:
        """Whether volumes of this type can be attached to several servers at once."""
        return self.extra_specs.get("multiattach", "").strip().lower() == "<is> true"


@dataclass(slots=True, kw_only=True)
class GroupType:
    """A kind of group of volumes; users see those that are public."""

    id: str
    name: str
    description: str | None = None
    is_public: bool = True
    specs: dict[str, str | None] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Group:
    """Volumes of some types at one backend, `host`, which are snapshotted at one moment."""

    id: str
    project_id: str
    user_id: str
    status: str
    group_type_id: str
    volume_type_ids: list[str]
    availability_zone: str
    created_at: float
    name: str | None = None
    description: str | None = None
    updated_at: float | None = None
    host: str | None = None
    group_snapshot_id: str | None = None
    source_group_id: str | None = None


@dataclass(slots=True, kw_only=True)
class GroupSnapshot:
    """The snapshots that were taken of a group's volumes at one moment."""

    id: str
    group_id: str
    project_id: str
    user_id: str
    name: str | None
    description: str | None
    status: str
    group_type_id: str
    created_at: float
    updated_at: float | None = None


@dataclass(slots=True, kw_only=True)
class Message:
    """What a user is told of something that failed after his request was accepted."""

    id: str
    project_id: str
    event_id: str
    text: str
    resource_type: str
    resource_id: str
    created_at: float
    expires_at: float
    request_id: str | None = None


@dataclass(slots=True, kw_only=True)
class QosSpecs:
    """What volumes of some types are to be held to, and by whom: "front-end", "back-end" or "both"."""

    id: str
    name: str
    consumer: str = "back-end"
    specs: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Transfer:
    """The offer of a volume to whoever has the key, of which a digest is kept."""

    id: str
    volume_id: str
    name: str | None
    created_at: float
    salt: str
    digest: str
    source_project_id: str
    no_snapshots: bool = False


@dataclass(slots=True, kw_only=True)
class BackendService:
    """A process of the volume service, as `openstack volume service list` shows it."""

    binary: str
    host: str
    zone: str
    uuid: str
    disabled: bool = False
    disabled_reason: str | None = None
