"""The records with their indexes, so that every look-up stays flat however many there are."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from nova_fakes.api.volume.content import Content
from nova_fakes.api.volume.records import (
    Attachment,
    BackendService,
    Backup,
    Group,
    GroupSnapshot,
    GroupType,
    Message,
    QosSpecs,
    Snapshot,
    Transfer,
    Volume,
    VolumeType,
)
from nova_fakes.clock import Clock, SystemClock

__all__ = ["Store"]


class Store:
    """All records of one volume service. Whoever reads or writes holds `lock`.

    Args:
        clock: what times are stamped from.
        new_id: makes identifiers.
        content: what the volumes hold.
    """

    def __init__(
        self, clock: Clock | None = None, new_id: Callable[[], str] | None = None, content: Content | None = None
    ) -> None:
        self.lock = threading.RLock()
        self.content = content or Content()
        self.clock = clock or SystemClock()
        self.new_id = new_id or (lambda: str(uuid.uuid4()))
        self.volumes: dict[str, Volume] = {}
        self.attachments: dict[str, Attachment] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.types: dict[str, VolumeType] = {}
        self.services: list[BackendService] = []
        self.transfers: dict[str, Transfer] = {}
        self.qos: dict[str, QosSpecs] = {}
        self.backups: dict[str, Backup] = {}
        #: Type of the volumes that a project makes without naming one, where that is not everybody's.
        self.default_types: dict[str, str] = {}
        self.messages: dict[str, Message] = {}
        self.group_types: dict[str, GroupType] = {}
        self.groups: dict[str, Group] = {}
        self.group_snapshots: dict[str, GroupSnapshot] = {}
        # Dicts instead of sets, since they keep the order of creation.
        self._project_volumes: dict[str, dict[str, Volume]] = {}
        self._project_snapshots: dict[str, dict[str, Snapshot]] = {}
        self._volume_snapshots: dict[str, dict[str, Snapshot]] = {}
        self._volume_attachments: dict[str, dict[str, Attachment]] = {}
        self._instance_attachments: dict[str, dict[str, Attachment]] = {}
        self._type_volumes: dict[str, int] = {}

    def add_volume(self, volume: Volume) -> None:
        """Keep a new volume."""
        self.volumes[volume.id] = volume
        self._project_volumes.setdefault(volume.project_id, {})[volume.id] = volume
        self._type_volumes[volume.type_id] = self._type_volumes.get(volume.type_id, 0) + 1

    def remove_volume(self, volume: Volume) -> None:
        """Forget a volume with its attachments."""
        for attachment in self.attachments_of(volume.id):
            self.remove_attachment(attachment)
        self.content.delete(volume.id)
        for transfer in [one for one in self.transfers.values() if one.volume_id == volume.id]:
            del self.transfers[transfer.id]
        del self.volumes[volume.id]
        _discard(self._project_volumes, volume.project_id, volume.id)
        self._type_volumes[volume.type_id] -= 1

    def change_type(self, volume: Volume, type_id: str) -> None:
        """Make a volume one of another type."""
        self._type_volumes[volume.type_id] -= 1
        self._type_volumes[type_id] = self._type_volumes.get(type_id, 0) + 1
        volume.type_id = type_id

    def change_owner(self, volume: Volume, snapshots: Iterable[Snapshot], project_id: str, user_id: str) -> None:
        """Give a volume and some of its snapshots to a project."""
        _discard(self._project_volumes, volume.project_id, volume.id)
        for snapshot in snapshots:
            _discard(self._project_snapshots, snapshot.project_id, snapshot.id)
            self._project_snapshots.setdefault(project_id, {})[snapshot.id] = snapshot
            snapshot.project_id, snapshot.user_id = project_id, user_id
        self._project_volumes.setdefault(project_id, {})[volume.id] = volume
        volume.project_id, volume.user_id = project_id, user_id

    def type_is_used(self, type_id: str) -> bool:
        """Tell whether any volume has that type."""
        return self._type_volumes.get(type_id, 0) > 0

    def volumes_of(self, project_id: str | None) -> Iterator[Volume]:
        """Yield a project's volumes, or all (None), the newest first."""
        yield from reversed(
            (self.volumes if project_id is None else self._project_volumes.get(project_id, {})).values()
        )

    def add_attachment(self, attachment: Attachment) -> None:
        """Keep a new attachment."""
        self.attachments[attachment.id] = attachment
        self._volume_attachments.setdefault(attachment.volume_id, {})[attachment.id] = attachment
        if attachment.instance_id is not None:
            self._instance_attachments.setdefault(attachment.instance_id, {})[attachment.id] = attachment

    def remove_attachment(self, attachment: Attachment) -> None:
        """Forget an attachment."""
        self.content.detach(attachment.id)
        del self.attachments[attachment.id]
        _discard(self._volume_attachments, attachment.volume_id, attachment.id)
        if attachment.instance_id is not None:
            _discard(self._instance_attachments, attachment.instance_id, attachment.id)

    def move_attachments(self, source_id: str, target_id: str) -> None:
        """Let the attachments of one volume be another's."""
        for attachment in self._volume_attachments.pop(source_id, {}).values():
            attachment.volume_id = target_id
            self._volume_attachments.setdefault(target_id, {})[attachment.id] = attachment

    def attachments_of(self, volume_id: str) -> list[Attachment]:
        """Return a volume's attachments in the order they were made."""
        return list(self._volume_attachments.get(volume_id, {}).values())

    def attachments_to(self, instance_id: str) -> list[Attachment]:
        """Return a server's attachments in the order they were made."""
        return list(self._instance_attachments.get(instance_id, {}).values())

    def add_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a new snapshot."""
        self.snapshots[snapshot.id] = snapshot
        self._project_snapshots.setdefault(snapshot.project_id, {})[snapshot.id] = snapshot
        self._volume_snapshots.setdefault(snapshot.volume_id, {})[snapshot.id] = snapshot

    def remove_snapshot(self, snapshot: Snapshot) -> None:
        """Forget a snapshot."""
        self.content.delete_snapshot(snapshot.id)
        del self.snapshots[snapshot.id]
        _discard(self._project_snapshots, snapshot.project_id, snapshot.id)
        _discard(self._volume_snapshots, snapshot.volume_id, snapshot.id)

    def snapshots_of(self, volume_id: str) -> list[Snapshot]:
        """Return a volume's snapshots in the order they were taken."""
        return list(self._volume_snapshots.get(volume_id, {}).values())

    def parts_of(self, group_snapshot_id: str) -> list[Snapshot]:
        """Return the snapshots that were taken of a group's volumes at one moment."""
        return [one for one in self.snapshots.values() if one.group_snapshot_id == group_snapshot_id]

    def project_snapshots(self, project_id: str | None) -> Iterator[Snapshot]:
        """Yield a project's snapshots, or all (None), the newest first."""
        yield from reversed(
            (self.snapshots if project_id is None else self._project_snapshots.get(project_id, {})).values()
        )

    def dump(self) -> dict[str, Any]:
        """Return every record as JSON-able data."""
        return {
            "volumes": [asdict(record) for record in self.volumes.values()],
            "attachments": [asdict(record) for record in self.attachments.values()],
            "snapshots": [asdict(record) for record in self.snapshots.values()],
            "types": [asdict(record) for record in self.types.values()],
            "services": [asdict(record) for record in self.services],
            "transfers": [asdict(record) for record in self.transfers.values()],
            "qos": [asdict(record) for record in self.qos.values()],
            "backups": [asdict(record) for record in self.backups.values()],
            "default_types": dict(self.default_types),
            "messages": [asdict(record) for record in self.messages.values()],
            "group_types": [asdict(record) for record in self.group_types.values()],
            "groups": [asdict(record) for record in self.groups.values()],
            "group_snapshots": [asdict(record) for record in self.group_snapshots.values()],
        }

    def load(self, data: Mapping[str, Any]) -> None:
        """Take the records of a `dump`, in place of what is there.

        Raises:
            TypeError: the data is no dump of this version; what is there stays.
            KeyError: likewise.
        """
        volumes = [Volume(**record) for record in data["volumes"]]
        attachments = [Attachment(**record) for record in data["attachments"]]
        snapshots = [Snapshot(**record) for record in data["snapshots"]]
        types = [VolumeType(**record) for record in data["types"]]
        services = [BackendService(**record) for record in data["services"]]
        # None of these was there in the first versions.
        transfers = [Transfer(**record) for record in data.get("transfers", ())]
        qos = [QosSpecs(**record) for record in data.get("qos", ())]
        backups = [Backup(**record) for record in data.get("backups", ())]
        group_types = [GroupType(**record) for record in data.get("group_types", ())]
        messages = [Message(**record) for record in data.get("messages", ())]
        groups = [Group(**record) for record in data.get("groups", ())]
        group_snapshots = [GroupSnapshot(**record) for record in data.get("group_snapshots", ())]
        self.types = {record.id: record for record in types}
        self.services = services
        self.transfers = {record.id: record for record in transfers}
        self.qos = {record.id: record for record in qos}
        self.backups = {record.id: record for record in backups}
        self.group_types = {record.id: record for record in group_types}
        self.default_types = dict(data.get("default_types", {}))
        self.messages = {record.id: record for record in messages}
        self.groups = {record.id: record for record in groups}
        self.group_snapshots = {record.id: record for record in group_snapshots}
        for index in (
            self.volumes,
            self.attachments,
            self.snapshots,
            self._project_volumes,
            self._project_snapshots,
            self._volume_snapshots,
            self._volume_attachments,
            self._instance_attachments,
            self._type_volumes,
        ):
            index.clear()
        for volume in volumes:
            self.add_volume(volume)
        for attachment in attachments:
            self.add_attachment(attachment)
        for snapshot in snapshots:
            self.add_snapshot(snapshot)
        self.content.reconcile(volumes, self.types, snapshots, attachments, backups)


def _discard(index: dict[str, dict[str, Any]], key: str, member: str) -> None:
    members = index[key]
    del members[member]
    if not members:
        del index[key]
