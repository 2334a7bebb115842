"""How records look in responses, by microversion (cinder/api/v3/views)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from nova_fakes.api.auth import Token
from nova_fakes.api.volume.records import Attachment, BackendService, Snapshot, Volume, VolumeType
from nova_fakes.api.volume.service import VolumeService

__all__ = ["Views", "moment"]

# Users get to see these of a type's extra specs; the rest is the operator's business.
VISIBLE_SPECS = ("RESKEY:availability_zones", "multiattach", "replication_enabled")


def moment(seconds: float | None) -> str | None:
    """Return a time as Cinder writes it: UTC, microseconds, no zone."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


class Views:
    """The views of one response.

    Args:
        service: what is shown.
        token: who looks: an administrator sees more.
        version: microversion of the response.
        base: URL of the service, without a trailing slash.
    """

    def __init__(self, service: VolumeService, token: Token, version: tuple[int, int], base: str) -> None:
        self._service = service
        self._token = token
        self._version = version
        self._base = base

    def volume_summary(self, volume: Volume) -> dict[str, Any]:
        """Return a volume as in GET /volumes."""
        return {"id": volume.id, "name": volume.name, "links": self.links(volume.project_id, "volumes", volume.id)}

    def volume(self, volume: Volume, *, full: bool = True) -> dict[str, Any]:
        """Return a volume in detail.

        Args:
            volume: the volume.
            full: with the attributes that extensions add on show and detail, though not on create and update.
        """
        version, admin = self._version, self._token.is_admin
        view: dict[str, Any] = {
            "id": volume.id,
            "status": {"managing": "creating", "error_managing": "error"}.get(volume.status, volume.status),
            "size": volume.size_gb,
            "availability_zone": volume.availability_zone,
            "created_at": moment(volume.created_at),
            "updated_at": moment(volume.updated_at),
            "name": volume.name,
            "description": volume.description,
            "volume_type": self._service.type_name(volume.type_id),
            "snapshot_id": volume.snapshot_id,
            "source_volid": volume.source_id,
            "metadata": self._metadata(volume),
            "links": self.links(volume.project_id, "volumes", volume.id),
            "user_id": volume.user_id,
            "bootable": str(volume.bootable).lower(),
            "encrypted": volume.encryption_key_id is not None,
            "replication_status": None,
            "consistencygroup_id": None,
            "multiattach": volume.multiattach,
            "attachments": [
                self._attached(attachment)
                for attachment in self._service.attachments_of(volume.id)
                if attachment.status == "attached"
            ],
        }
        if admin:
            view["migration_status"] = volume.migration_status
        if full:
            view["os-vol-tenant-attr:tenant_id"] = volume.project_id
            if admin:
                view["os-vol-host-attr:host"] = volume.host
                view["os-vol-mig-status-attr:migstat"] = volume.migration_status
                view["os-vol-mig-status-attr:name_id"] = volume.name_id
            if volume.image_metadata:
                view["volume_image_metadata"] = dict(volume.image_metadata)
        if version >= (3, 13):
            view["group_id"] = volume.group_id
        if admin and version >= (3, 21):
            view["provider_id"] = None
        if version >= (3, 48):
            view["shared_targets"] = False
            view["service_uuid"] = self._service.service_uuid(volume.host)
        if admin and version >= (3, 61):
            view["cluster_name"] = None
        if version >= (3, 63):
            view["volume_type_id"] = volume.type_id
        if version >= (3, 64) and volume.encryption_key_id is not None:
            view["encryption_key_id"] = volume.encryption_key_id
        if version >= (3, 65):
            view["consumes_quota"] = True
        return view

    def attachment_summary(self, attachment: Attachment) -> dict[str, Any]:
        """Return an attachment as in GET /attachments."""
        return {
            "id": attachment.id,
            "status": attachment.status,
            "instance": attachment.instance_id,
            "volume_id": attachment.volume_id,
        }

    def attachment(self, attachment: Attachment) -> dict[str, Any]:
        """Return an attachment in detail."""
        return {
            **self.attachment_summary(attachment),
            "attached_at": moment(attachment.attached_at) or "",
            "detached_at": "",
            "attach_mode": attachment.mode or "null",
            "connection_info": dict(attachment.connection_info),
        }

    def snapshot_summary(self, snapshot: Snapshot) -> dict[str, Any]:
        """Return a snapshot as in GET /snapshots."""
        return {
            "id": snapshot.id,
            "created_at": moment(snapshot.created_at),
            "updated_at": moment(snapshot.updated_at),
            "name": snapshot.name,
            "description": snapshot.description,
            "volume_id": snapshot.volume_id,
            "status": snapshot.status,
            "size": snapshot.size_gb,
            "metadata": dict(snapshot.metadata),
        }

    def snapshot(self, snapshot: Snapshot, *, full: bool = True) -> dict[str, Any]:
        """Return a snapshot in detail; `full` as for a volume."""
        view = self.snapshot_summary(snapshot)
        if self._version >= (3, 14):
            view["group_snapshot_id"] = snapshot.group_snapshot_id
        if self._version >= (3, 41):
            view["user_id"] = snapshot.user_id
        if self._version >= (3, 65):
            view["consumes_quota"] = True
        if full:
            done = snapshot.status in ("available", "backing-up")
            view["os-extended-snapshot-attributes:project_id"] = snapshot.project_id
            view["os-extended-snapshot-attributes:progress"] = "100%" if done else "0%"
        return view

    def volume_type(self, kind: VolumeType) -> dict[str, Any]:
        """Return a volume type."""
        specs = kind.extra_specs
        if not self._token.is_admin:
            specs = {key: value for key, value in specs.items() if key in VISIBLE_SPECS}
        view: dict[str, Any] = {
            "id": kind.id,
            "name": kind.name,
            "is_public": kind.is_public,
            "extra_specs": dict(specs),
            "description": kind.description,
            "os-volume-type-access:is_public": kind.is_public,
        }
        if self._token.is_admin:
            view["qos_specs_id"] = kind.qos_specs_id
        return view

    def backend_service(self, service: BackendService) -> dict[str, Any]:
        """Return one of the volume service's own services."""
        view: dict[str, Any] = {
            "binary": service.binary,
            "host": service.host,
            "zone": service.zone,
            "status": "disabled" if service.disabled else "enabled",
            "state": "up",
            "updated_at": moment(self._service.now),
            "disabled_reason": service.disabled_reason,
        }
        if self._version >= (3, 7):
            view["cluster"] = None
        if self._version >= (3, 49) and service.binary == "cinder-volume":
            view["backend_state"] = "up"
        return view

    def links(self, project_id: str, collection: str, identifier: str) -> list[dict[str, str]]:
        """Return the links that lead to a record."""
        return [
            {"rel": "self", "href": f"{self._base}/v3/{project_id}/{collection}/{identifier}"},
            {"rel": "bookmark", "href": f"{self._base}/{project_id}/{collection}/{identifier}"},
        ]

    def _attached(self, attachment: Attachment) -> dict[str, Any]:
        seen = self._token.is_admin or self._token.is_service
        return {
            "id": attachment.volume_id,
            "attachment_id": attachment.id,
            "volume_id": attachment.volume_id,
            "server_id": attachment.instance_id,
            "host_name": attachment.host if seen else None,
            "device": attachment.mountpoint,
            "attached_at": moment(attachment.attached_at),
        }

    @staticmethod
    def _metadata(volume: Volume) -> dict[str, str]:
        # Cinder keeps the flag in metadata of its own, which it shows among the user's.
        own = {} if volume.read_only is None else {"readonly": str(volume.read_only)}
        return {**volume.metadata, **own}
