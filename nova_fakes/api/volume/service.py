"""The volume service as a whole."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nova_fakes.api.volume.attachments import Attachments, ServerVolumes
from nova_fakes.api.volume.backends import Backends
from nova_fakes.api.volume.backup_exports import BackupExports
from nova_fakes.api.volume.backups import Backups
from nova_fakes.api.volume.changes import Changes, Notifier
from nova_fakes.api.volume.content import Content, ImageBytes
from nova_fakes.api.volume.encryption import Encryption
from nova_fakes.api.volume.group_snapshots import GroupSnapshots
from nova_fakes.api.volume.group_types import GroupTypes
from nova_fakes.api.volume.groups import Groups
from nova_fakes.api.volume.images import ImageSink, ImageSource
from nova_fakes.api.volume.messages import Messages
from nova_fakes.api.volume.migrations import Migrations, ServerSwap
from nova_fakes.api.volume.qos import QualityOfService
from nova_fakes.api.volume.quotas import Quotas
from nova_fakes.api.volume.records import Attachment, BackendService
from nova_fakes.api.volume.snapshots import Snapshots
from nova_fakes.api.volume.store import Store
from nova_fakes.api.volume.transfers import Transfers
from nova_fakes.api.volume.volume_types import VolumeTypes
from nova_fakes.api.volume.volumes import Volumes
from nova_fakes.clock import Clock
from nova_fakes.exceptions import ApiError, InvalidInput
from nova_fakes.volume.store import VolumeStore

__all__ = ["VolumeService"]

FORMAT = 1


class VolumeService:
    """Volumes, attachments, snapshots, backups, groups, types and quotas, in memory and safe to use from many threads.

    Args:
        images: looks images up by id or name: `(reference, token) -> image as the image API v2 shows it, or None`.
        notifier: takes the external events that nova has to hear of (volume-extended, volume-reimaged).
        server_volumes: `(server id, volume id) -> attachment id that nova holds, or None`; see `Attachments`.
        clock: what times are stamped from.
        hosts: hosts that pretend to run cinder-volume, as host@backend.
        zones: availability zones; the first is the default and that of the services.
        quotas: limits by resource, in place of Cinder's defaults; -1 for none.
        new_id: makes identifiers.
        volume_store: keeps the volumes' bytes; None: they hold none.
        image_bytes: where the bytes of images come from.
        image_sink: takes images that are made of volumes; None: there is no image service.
        server_swap: asks nova to copy a volume in use onto another; see `Migrations`.

    Attributes:
        volumes: see `Volumes`.
        changes: see `Changes`.
        backends: see `Backends`.
        migrations: see `Migrations`.
        attachments: see `Attachments`.
        snapshots: see `Snapshots`.
        backups: see `Backups`.
        backup_exports: see `BackupExports`.
        encryption: see `Encryption`.
        messages: see `Messages`.
        group_types: see `GroupTypes`.
        groups: see `Groups`.
        group_snapshots: see `GroupSnapshots`.
        types: see `VolumeTypes`.
        transfers: see `Transfers`.
        qos: see `QualityOfService`.
        quotas: see `Quotas`.
        zones: names of the availability zones.
    """

    def __init__(
        self,
        *,
        images: ImageSource | None = None,
        notifier: Notifier | None = None,
        server_volumes: ServerVolumes | None = None,
        clock: Clock | None = None,
        hosts: Sequence[str] = ("nova-fakes@fake",),
        zones: Sequence[str] = ("nova",),
        quotas: Mapping[str, int] | None = None,
        new_id: Callable[[], str] | None = None,
        volume_store: VolumeStore | None = None,
        image_bytes: ImageBytes | None = None,
        image_sink: ImageSink | None = None,
        server_swap: ServerSwap | None = None,
    ) -> None:
        if not zones:
            raise InvalidInput("zones", zones, "name at least one availability zone")
        self._store = Store(clock, new_id, Content(volume_store, image_bytes))
        self.zones = tuple(zones)
        self.quotas = Quotas(self._store, quotas)
        self.types = VolumeTypes(self._store, self.quotas)
        self.backends = Backends(self._store)
        self.volumes = Volumes(self._store, self.quotas, self.types, self.backends, zones=self.zones, images=images)
        self.changes = Changes(
            self._store, self.quotas, self.volumes, images=images, notifier=notifier, sink=image_sink
        )
        self.migrations = Migrations(
            self._store, self.quotas, self.types, self.volumes, self.backends, swap=server_swap
        )
        self.attachments = Attachments(self._store, self.volumes, server_volumes=server_volumes)
        self.transfers = Transfers(self._store, self.quotas, self.volumes)
        self.qos = QualityOfService(self._store)
        self.snapshots = Snapshots(self._store, self.quotas, self.volumes)
        self.backups = Backups(self._store, self.quotas, self.volumes)
        self.backup_exports = BackupExports(self._store, self.quotas, self.backups)
        self.messages = Messages(self._store)
        self.encryption = Encryption(self._store, self.volumes)
        self.group_types = GroupTypes(self._store)
        self.groups = Groups(
            self._store, self.quotas, self.group_types, self.types, self.volumes, self.backends, self.zones
        )
        self.group_snapshots = GroupSnapshots(self._store, self.groups, self.snapshots)
        scheduler = hosts[0].partition("@")[0] if hosts else "nova-fakes"
        central = (("cinder-scheduler", scheduler), ("cinder-backup", scheduler))
        for binary, host in (*central, *(("cinder-volume", host) for host in hosts)):
            identifier = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{binary}.{host}"))
            self._store.services.append(BackendService(binary=binary, host=host, zone=self.zones[0], uuid=identifier))

    @property
    def now(self) -> float:
        """The service's time, in seconds since the epoch."""
        return self._store.clock.now()

    def attachments_of(self, volume_id: str) -> list[Attachment]:
        """Return the attachments of a volume, whoever asks."""
        return self._store.attachments_of(volume_id)

    def type_name(self, type_id: str) -> str:
        """Return a volume type's name."""
        return self._store.types[type_id].name

    def service_uuid(self, host: str | None) -> str | None:
        """Return the identifier of the cinder-volume service that a volume's host (host@backend#pool) names."""
        name = (host or "").partition("#")[0]
        return next((s.uuid for s in self._store.services if s.binary == "cinder-volume" and s.host == name), None)

    def services(self, *, host: str | None = None, binary: str | None = None) -> list[BackendService]:
        """Return the services, all or those of a host or a binary."""
        with self._store.lock:
            return [
                service
                for service in self._store.services
                if host in (None, service.host, service.host.partition("@")[0]) and binary in (None, service.binary)
            ]

    def enable(self, host: str, binary: str, *, enabled: bool, reason: str | None = None) -> BackendService:
        """Let a service take new volumes, or not any longer.

        Args:
            host: the service's host.
            binary: the service's program.
            enabled: whether it takes new volumes.
            reason: why not, for those who ask later.

        Raises:
            ApiError: 404, there is no such service.
        """
        with self._store.lock:
            for service in self._store.services:
                if service.host == host and service.binary == binary:
                    service.disabled = not enabled
                    service.disabled_reason = None if enabled else reason
                    return service
        raise ApiError(404, f"Service {binary} could not be found on host {host}.")

    def dump(self) -> dict[str, Any]:
        """Return the service's whole state as JSON-able data."""
        with self._store.lock:
            return {"format": FORMAT, **self._store.dump(), "quotas": self.quotas.dump()}

    def load(self, data: Mapping[str, Any]) -> None:
        """Take over the state of a `dump`, in place of the present one.

        Raises:
            InvalidInput: the data is no dump of this version; the present state stays.
        """
        if data.get("format") != FORMAT:
            raise InvalidInput("format", data.get("format"), f"give what dump() returned, in format {FORMAT}")
        with self._store.lock:
            try:
                limits = data["quotas"]
                self._store.load(data)
                self.quotas.load(limits)
            except (KeyError, TypeError) as error:
                raise InvalidInput("dump", str(error), "give what dump() returned, unchanged") from error
