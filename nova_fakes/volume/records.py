"""What a volume store keeps. Times are seconds since the epoch, sizes are bytes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, Self, cast

from nova_fakes.exceptions import InvalidInput
from nova_fakes.volume.disk import SparseDisk
from nova_fakes.volume.file_disk import FileDisk

__all__ = [
    "Attachment",
    "Backup",
    "Group",
    "GroupSnapshot",
    "Record",
    "Snapshot",
    "Transfer",
    "Volume",
    "check_encryption",
    "check_qos",
]

_CONSUMERS = ("front-end", "back-end", "both")


class Record:
    """One of the dataclasses below."""

    __slots__ = ()

    #: What it is called in the file of a store.
    kind = ""
    id: str

    def to_record(self, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return everything about it that can be kept, ready for JSON.

        :param changes: values that some fields are about to have
        """
        values = {name: getattr(self, name) for name in _kept(cast(Hashable, type(self)))}
        return values if changes is None else values | {name: changes[name] for name in changes if name in values}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Make it again from what :meth:`to_record` returned."""
        return cls(**record)


@dataclass(slots=True, kw_only=True)
class Volume(Record):
    """A volume.

    `status` is one of Cinder's words; on the way from one to another ("creating", "deleting", "migrating" …) nothing
    else may be done to it. `encryption` is as Cinder tells nova: provider, control_location, cipher, key_size,
    encryption_key_id.
    """

    kind = "volume"

    id: str
    size_bytes: int
    pool: str
    status: str
    created_at: float
    name: str = ""
    owner: str | None = None
    type_name: str | None = None
    multiattach: bool = False
    read_only: bool = False
    bootable: bool = False
    snapshot_id: str | None = None
    source_id: str | None = None
    group_id: str | None = None
    encryption: dict[str, Any] | None = None
    qos: dict[str, Any] | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    disk: SparseDisk | FileDisk = field(repr=False, compare=False, metadata={"kept": False})

    @property
    def uuid(self) -> str:
        """The name by which fault rules know it."""
        return self.id

    @property
    def display_name(self) -> str:
        """Another such name: its user's."""
        return self.name

    @property
    def flavor(self) -> str | None:
        """What a fault rule's ``flavor`` is compared with: its type."""
        return self.type_name


@dataclass(slots=True, kw_only=True)
class Snapshot(Record):
    """A volume's content at one moment."""

    kind = "snapshot"

    id: str
    volume_id: str
    size_bytes: int
    created_at: float
    name: str = ""
    status: str = "available"
    group_snapshot_id: str | None = None
    encryption: dict[str, Any] | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    disk: SparseDisk = field(repr=False, compare=False, metadata={"kept": False})

    @property
    def uuid(self) -> str:
        """The name by which fault rules know it."""
        return self.id

    @property
    def display_name(self) -> str:
        """Another such name: its user's."""
        return self.name

    @property
    def flavor(self) -> None:
        """No type of its own."""


@dataclass(slots=True, kw_only=True)
class Backup(Record):
    """What a volume held at one moment, also where that is gone; `pieces` were copied, all else is its parent's."""

    kind = "backup"

    id: str
    volume_id: str
    size_bytes: int
    created_at: float
    parent_id: str | None = None
    pieces: int = 0
    disk: SparseDisk = field(repr=False, compare=False, metadata={"kept": False})


@dataclass(slots=True, kw_only=True)
class Attachment(Record):
    """A volume's bond to a server, or to a host where there is no server.

    `status` goes from "reserved" over "attaching" (the host's connection is made) to "attached".
    """

    kind = "attachment"

    id: str
    volume_id: str
    status: str
    mode: str = "rw"
    instance_id: str | None = None
    host: str | None = None
    mountpoint: str | None = None
    connector: dict[str, Any] | None = None
    connection_info: dict[str, Any] | None = None
    attached_at: float | None = None


@dataclass(slots=True, kw_only=True)
class Group(Record):
    """Volumes that are snapshotted at one moment."""

    kind = "group"

    id: str
    created_at: float
    name: str | None = None
    volume_ids: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class GroupSnapshot(Record):
    """The snapshots that were taken of a group's volumes at one moment."""

    kind = "group_snapshot"

    id: str
    group_id: str
    created_at: float
    name: str | None = None
    snapshot_ids: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Transfer(Record):
    """The offer of a volume to whoever has the key, of which only a digest is kept."""

    kind = "transfer"

    id: str
    volume_id: str
    created_at: float
    salt: str
    key_digest: str
    name: str | None = None


def check_encryption(encryption: Mapping[str, Any] | None, multiattach: bool) -> dict[str, Any] | None:
    """Return the metadata of an encryption where Cinder would take them.

    :raises InvalidInput: they are incomplete, or the volume is to be attached several times
    """
    if encryption is None:
        return None
    if not encryption.get("provider"):
        raise InvalidInput("encryption", dict(encryption), "name a provider: luks, luks2, plain")
    location = encryption.get("control_location", "front-end")
    if location not in ("front-end", "back-end"):
        raise InvalidInput("control_location", location, "give front-end or back-end")
    if multiattach:
        raise InvalidInput("encryption", dict(encryption), "an encrypted volume cannot be attached several times")
    return {"control_location": location, **encryption}


def check_qos(qos: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return specifications of quality of service where Cinder would take them: ``consumer`` and ``specs``.

    :raises InvalidInput: nobody consumes them
    """
    if qos is None:
        return None
    consumer = qos.get("consumer", "back-end")
    if consumer not in _CONSUMERS:
        raise InvalidInput("consumer", consumer, f"give one of {', '.join(_CONSUMERS)}")
    return {"consumer": consumer, "specs": {str(key): str(value) for key, value in qos.get("specs", {}).items()}}


@cache
def _kept(kind: Any) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind) if one.metadata.get("kept", True))
