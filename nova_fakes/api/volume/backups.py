"""Backups of volumes."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import Any

from nova_fakes.api.auth import Token
from nova_fakes.api.volume.messages import Event, tell
from nova_fakes.api.volume.ownership import find_own, newest_own
from nova_fakes.api.volume.quotas import Quotas
from nova_fakes.api.volume.records import BackendService, Backup, Snapshot, Volume
from nova_fakes.api.volume.refusals import invalid_backup, invalid_snapshot, invalid_volume, not_found
from nova_fakes.api.volume.store import Store
from nova_fakes.api.volume.volumes import Volumes
from nova_fakes.exceptions import ApiError, NovaFakesError

__all__ = ["STATUSES", "Backups"]

LOG = logging.getLogger(__name__)

#: What an administrator may set.
STATUSES = ("available", "error")
#: What a backup keeps of its volume besides bytes.
KEPT = ("name", "description", "metadata", "image_metadata", "bootable", "type_id", "encryption_key_id")
#: Where Cinder's drivers put backups for which no container is named.
CONTAINER = "volumebackups"


class Backups:
    """The backups of one volume service, of which the first enabled cinder-backup service takes care.

    Args:
        store: the records.
        quotas: what projects may use.
        volumes: what is kept, and what is restored to.
    """

    def __init__(self, store: Store, quotas: Quotas, volumes: Volumes) -> None:
        self._store = store
        self._quotas = quotas
        self._volumes = volumes

    def get(self, token: Token, backup_id: str) -> Backup:
        """Return the backup.

        Raises:
            ApiError: 404, there is none, or it is another project's.
        """
        return find_own(token, self._store.backups, "Backup", backup_id)

    def visible(self, token: Token, *, all_projects: bool = False) -> list[Backup]:
        """Return the project's backups, the newest first; every project's if an administrator asks for that."""
        with self._store.lock:
            return newest_own(token, self._store.backups.values(), all_projects=all_projects)

    def has_dependents(self, backup_id: str) -> bool:
        """Tell whether others hold only what differs from this backup."""
        with self._store.lock:
            return any(one.parent_id == backup_id for one in self._store.backups.values())

    def create(
        self,
        token: Token,
        volume_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        container: str | None = None,
        incremental: bool = False,
        force: bool = False,
        snapshot_id: str | None = None,
        metadata: Mapping[str, str] | None = None,
        availability_zone: str | None = None,
    ) -> Backup:
        """Keep what a volume, or one of its snapshots, holds at this moment.

        Args:
            token: who asks; the backup becomes his project's.
            volume_id: the volume.
            name: free text.
            description: free text.
            container: where it is put; Cinder's default if None.
            incremental: only what differs from the volume's latest backup.
            force: whether the volume may be attached.
            snapshot_id: the snapshot that is kept in the volume's place.
            metadata: the user's own.
            availability_zone: of the service that does it; any if None.

        Returns:
            The backup while it is "creating". It is "available" by now, or in "error" with a `fail_reason`.

        Raises:
            ApiError: 404, unknown volume or snapshot; 400, their status does not allow it, or there is no backup that
                an incremental one could stand on; 413, a quota.
        """
        with self._store.lock:
            volume = self._volumes.get(token, volume_id)
            snapshot = None if snapshot_id is None else self._snapshot(token, volume_id, snapshot_id)
            if snapshot is None:
                _check_volume(volume, force)
            project_id = token.project_id or volume.project_id
            parent = self._parent(project_id, volume_id, snapshot) if incremental else None
            self._quotas.charge_backup(project_id, backups=1, gigabytes=volume.size_gb)
            now = self._store.clock.now()
            backup = Backup(
                id=self._store.new_id(),
                volume_id=volume_id,
                project_id=project_id,
                user_id=token.user_id,
                name=name,
                description=description,
                size_gb=volume.size_gb,
                status="creating",
                created_at=now,
                data_timestamp=now if snapshot is None else snapshot.created_at,
                container=container,
                availability_zone=availability_zone,
                snapshot_id=snapshot_id,
                parent_id=None if parent is None else parent.id,
                metadata=dict(metadata or {}),
                volume={name: copy.copy(getattr(volume, name)) for name in KEPT},
                encryption_key_id=None if volume.encryption_key_id is None else self._store.new_id(),
            )
            self._store.backups[backup.id] = backup
            answer = copy.deepcopy(backup)
            service = self.service(availability_zone)
            if service is None:
                backup.status, backup.fail_reason = "error", "Service not found for creating backup."
                tell(self._store, Event.NO_BACKUP_SERVICE, project_id, backup.id)
                return answer
            backup.availability_zone, backup.container = service.zone, container or CONTAINER
            kept = volume if snapshot is None else snapshot
            before, kept.status = kept.status, "backing-up"
        self._fill(backup, kept, before)
        return answer

    def _fill(self, backup: Backup, kept: Volume | Snapshot, before: str) -> None:
        """Copy the bytes; without the lock, for that takes its time."""
        status, reason = "available", None
        try:
            backup.object_count = self._store.content.backup(backup)
        except NovaFakesError as error:
            LOG.warning("backup %s: %s", backup.id, error)
            status, reason = "error", str(error)
        finally:
            with self._store.lock:
                kept.status = before
                if status == "error":
                    tell(self._store, Event.NO_BACKUP, backup.project_id, backup.id)
                backup.status, backup.fail_reason = status, reason
                backup.updated_at = self._store.clock.now()

    def restore(
        self, token: Token, backup_id: str, volume_id: str | None = None, name: str | None = None
    ) -> tuple[Backup, Volume]:
        """Put what a backup holds on a volume; return the backup, and the volume with the name that it has meanwhile.

        Args:
            token: who asks.
            backup_id: the backup.
            volume_id: an available volume that is as long or longer; None: a new one.
            name: of the new one.

        Raises:
            ApiError: 404, unknown backup or volume, or no service; 400, the status or the size of one does not allow
                it; 413, a quota.
        """
        with self._store.lock:
            backup = self.get(token, backup_id)
            if backup.status != "available":
                raise invalid_backup("Backup status must be available")
            if volume_id is None:
                volume_id = self._new_volume(token, backup, name)
            volume = self._volumes.get(token, volume_id)
            if volume.status != "available":
                raise invalid_volume("Volume to be restored to must be available")
            if backup.size_gb > volume.size_gb:
                raise invalid_volume(
                    f"volume size {volume.size_gb} is too small to restore backup of size {backup.size_gb}."
                )
            self.require_service(backup)
            backup.status, volume.status = "restoring", "restoring-backup"
            answer = copy.deepcopy(volume)
        status = "error_restoring"
        try:
            if not backup.suits(volume.type_id):
                raise invalid_backup("The volume's type is another than that of the encrypted volume it was made of.")
            self._store.content.restore(backup.id, volume.id)
            status = "available"
        except NovaFakesError as error:
            LOG.warning("volume %s from backup %s: %s", volume.id, backup_id, error)
        finally:
            with self._store.lock:
                if status == "available":
                    self._restore_metadata(backup, volume)
                else:
                    tell(self._store, Event.NOT_RESTORED, backup.project_id, backup.id)
                backup.status, volume.status = "available", status
                backup.updated_at = volume.updated_at = self._store.clock.now()
        return backup, answer

    def update(self, token: Token, backup_id: str, changes: Mapping[str, Any]) -> Backup:
        """Change name, description or metadata (the whole of it); ApiError 404."""
        with self._store.lock:
            backup = self.get(token, backup_id)
            for name, value in changes.items():
                setattr(backup, name, dict(value) if isinstance(value, Mapping) else value)
            backup.updated_at = self._store.clock.now()
            return backup

    def delete(self, token: Token, backup_id: str, *, force: bool = False) -> None:
        """Delete a backup, with `force` whatever its status is.

        Raises:
            ApiError: 404, unknown backup, or no service; 400, its status does not allow it, or others depend on it.
        """
        with self._store.lock:
            backup = self.get(token, backup_id)
            if not force and backup.status not in ("available", "error"):
                raise invalid_backup("Backup status must be available or error")
            if self.has_dependents(backup_id):
                raise invalid_backup("Incremental backups exist for this backup.")
            self.require_service(backup)
            try:
                self._store.content.delete_backup(backup_id)
            except NovaFakesError as error:
                LOG.warning("backup %s: %s", backup_id, error)
                backup.status, backup.fail_reason = "error_deleting", str(error)
                return
            self._quotas.charge_backup(backup.project_id, backups=-1, gigabytes=-backup.size_gb)
            del self._store.backups[backup_id]

    def reset_status(self, token: Token, backup_id: str, status: str) -> None:
        """Overwrite a backup's status (administrators).

        Raises:
            ApiError: 404, unknown backup; 400, a status that cannot be set.
        """
        with self._store.lock:
            backup = self.get(token, backup_id)
            if status.lower() not in STATUSES:
                raise ApiError(400, f"Backup status: {status} is invalid, valid statuses are: {', '.join(STATUSES)}.")
            self.require_service(backup)
            backup.status, backup.updated_at = status.lower(), self._store.clock.now()

    def _snapshot(self, token: Token, volume_id: str, snapshot_id: str) -> Snapshot:
        snapshot = find_own(token, self._store.snapshots, "Snapshot", snapshot_id)
        if snapshot.volume_id != volume_id:
            raise invalid_volume(f"Volume {volume_id} does not match with snapshot.volume_id {snapshot.volume_id}.")
        if snapshot.status != "available":
            raise invalid_snapshot(
                f'Snapshot to be backed up must be available, but the current status is "{snapshot.status}".'
            )
        return snapshot

    def _parent(self, project_id: str, volume_id: str, snapshot: Snapshot | None) -> Backup:
        """Return the backup whose data are the latest before those that are to be kept."""
        before = float("inf") if snapshot is None else snapshot.created_at
        usable = [
            one
            for one in self._store.backups.values()
            if (one.volume_id, one.project_id, one.status) == (volume_id, project_id, "available")
            and one.data_timestamp < before
        ]
        if not usable:
            raise invalid_backup("No backups available to do an incremental backup.")
        # The later made of two of the same time.
        return max(reversed(usable), key=lambda one: one.data_timestamp)

    def _new_volume(self, token: Token, backup: Backup, name: str | None) -> str:
        made = self._volumes.create(
            token,
            size_gb=backup.size_gb,
            name=f"restore_backup_{backup.id}" if name is None else name,
            description="auto-created_from_restore_from_backup",
        )
        if self._store.volumes[made.id].status == "error":
            raise invalid_volume(f"Error while creating volume {made.id} for restoring backup {backup.id}.")
        return made.id

    def service(self, zone: str | None = None) -> BackendService | None:
        """Return the service that takes care of backups there; None where there is none."""
        for one in self._store.services:
            if one.binary == "cinder-backup" and not one.disabled and zone in (None, one.zone):
                return one
        return None

    def require_service(self, backup: Backup) -> None:
        """Refuse what nobody could do with a backup; ApiError 404."""
        if self.service(backup.availability_zone) is None:
            raise not_found("Service", "cinder-backup")

    def _restore_metadata(self, backup: Backup, volume: Volume) -> None:
        """Give a volume what the backup's had besides bytes; its name only to one that was made for it."""
        kept = backup.volume
        if kept["name"] and (not volume.name or volume.name.startswith("restore_backup_")):
            volume.name, volume.description = kept["name"], kept["description"]
        volume.metadata = dict(kept["metadata"])
        if kept["image_metadata"]:
            volume.image_metadata, volume.bootable = dict(kept["image_metadata"]), kept["bootable"]
        if kept.get("encryption_key_id") not in (None, volume.encryption_key_id):
            volume.encryption_key_id = self._store.new_id()  # a copy of the backup's own
        self._store.content.change(volume, self._store.types[volume.type_id])


def _check_volume(volume: Volume, force: bool) -> None:
    if volume.status not in ("available", "in-use"):
        raise invalid_volume(
            f'Volume to be backed up must be available or in-use, but the current status is "{volume.status}".'
        )
    if volume.status == "in-use" and not force:
        raise invalid_volume("Backing up an in-use volume must use the force flag.")
