"""Snapshots of volumes."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from nova_fakes.api.auth import Token
from nova_fakes.api.volume.messages import Event, tell
from nova_fakes.api.volume.ownership import find_own
from nova_fakes.api.volume.quotas import Quotas
from nova_fakes.api.volume.records import Snapshot, Volume
from nova_fakes.api.volume.refusals import invalid_input, invalid_snapshot, invalid_volume, key_not_found
from nova_fakes.api.volume.store import Store
from nova_fakes.api.volume.volumes import Volumes
from nova_fakes.exceptions import ApiError, NovaFakesError

__all__ = ["Snapshots"]

LOG = logging.getLogger(__name__)

STATUSES = (
    "available",
    "backing-up",
    "creating",
    "deleted",
    "deleting",
    "error",
    "error_deleting",
    "restoring",
    "unmanaging",
)


class Snapshots:
    """The snapshots of one volume service."""

    def __init__(self, store: Store, quotas: Quotas, volumes: Volumes) -> None:
        self._store = store
        self._quotas = quotas
        self._volumes = volumes

    def get(self, token: Token, snapshot_id: str) -> Snapshot:
        """Return the snapshot.

        Raises:
            ApiError: 404, there is none, or it is another project's.
        """
        return find_own(token, self._store.snapshots, "Snapshot", snapshot_id)

    def visible(self, token: Token, *, all_projects: bool = False) -> list[Snapshot]:
        """Return the project's snapshots, the newest first; every project's if an administrator asks for that."""
        with self._store.lock:
            return list(self._store.project_snapshots(None if all_projects and token.is_admin else token.project_id))

    def create(
        self,
        token: Token,
        volume_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        metadata: Mapping[str, str] | None = None,
        in_use: bool = False,
    ) -> Snapshot:
        """Take a snapshot of a volume.

        Args:
            token: who asks; the snapshot becomes his project's.
            volume_id: the volume.
            name: free text.
            description: free text.
            metadata: the user's own.
            in_use: whether the volume may be attached (`force`; implied from version 3.66).

        Returns:
            The snapshot while it is "creating"; it is "available" by now, or in "error".

        Raises:
            ApiError: 404, unknown volume; 400, its status does not allow it; 413, a quota.
        """
        with self._store.lock:
            volume = self._volumes.get(token, volume_id)
            valid = ("available", "in-use") if in_use else ("available",)
            if volume.status not in valid:
                raise invalid_volume(
                    f"Volume {volume_id} status must be {', '.join(valid)}, but current status is: {volume.status}."
                )
            (snapshot,) = self.record(token, [volume], name=name, description=description, metadata=metadata)
            answer = copy.deepcopy(snapshot)
            try:
                self._store.content.snapshot(snapshot)
                snapshot.status = "available"
            except NovaFakesError as error:
                LOG.warning("snapshot %s of volume %s: %s", snapshot.id, volume_id, error)
                tell(self._store, Event.NO_SNAPSHOT, snapshot.project_id, snapshot.id)
                snapshot.status = "error"
            snapshot.updated_at = self._store.clock.now()
            return answer

    def record(
        self,
        token: Token,
        volumes: Iterable[Volume],
        *,
        name: str | None,
        description: str | None,
        metadata: Mapping[str, str] | None = None,
        group_snapshot_id: str | None = None,
    ) -> list[Snapshot]:
        """Make records of snapshots of volumes, still without bytes: of each, or of none and ApiError 413."""
        made: list[Snapshot] = []
        try:
            for volume in volumes:
                project_id = token.project_id or volume.project_id
                kind = self._store.types[volume.type_id]
                self._quotas.charge(project_id, kind.name, snapshots=1, gigabytes=volume.size_gb)
                snapshot = Snapshot(
                    id=self._store.new_id(),
                    volume_id=volume.id,
                    project_id=project_id,
                    user_id=token.user_id,
                    name=name,
                    description=description,
                    size_gb=volume.size_gb,
                    status="creating",
                    type_id=volume.type_id,
                    created_at=self._store.clock.now(),
                    metadata=dict(metadata or {}),
                    image_metadata=dict(volume.image_metadata),
                    bootable=volume.bootable,
                    group_snapshot_id=group_snapshot_id,
                )
                self._store.add_snapshot(snapshot)
                made.append(snapshot)
        except ApiError:
            for snapshot in made:
                self.discard(snapshot)
            raise
        return made

    def discard(self, snapshot: Snapshot) -> None:
        """Forget a snapshot, whatever its state is."""
        kind = self._store.types[snapshot.type_id]
        self._quotas.charge(snapshot.project_id, kind.name, snapshots=-1, gigabytes=-snapshot.size_gb)
        self._store.remove_snapshot(snapshot)

    def update(self, token: Token, snapshot_id: str, **changes: Any) -> Snapshot:
        """Change name or description.

        Raises:
            ApiError: 404, unknown snapshot.
        """
        with self._store.lock:
            snapshot = self.get(token, snapshot_id)
            for name, value in changes.items():
                setattr(snapshot, name, value)
            snapshot.updated_at = self._store.clock.now()
            return snapshot

    def delete(self, token: Token, snapshot_id: str, *, force: bool = False) -> None:
        """Delete a snapshot, with `force` whatever its status is. One that the store keeps is in "error_deleting".

        Raises:
            ApiError: 404, unknown snapshot; 400, its status does not allow it.
        """
        with self._store.lock:
            snapshot = self.get(token, snapshot_id)
            if snapshot.group_snapshot_id is not None and force:
                raise invalid_snapshot(f"Snapshot {snapshot_id} must not be part of a group.")
            grouped = snapshot.group_snapshot_id is not None
            if grouped or (not force and snapshot.status not in ("available", "error")):
                raise invalid_snapshot("Snapshot status must be available or error and must not be part of a group.")
            try:
                self._store.content.delete_snapshot(snapshot_id)
            except NovaFakesError as error:
                LOG.warning("snapshot %s: %s", snapshot_id, error)
                tell(self._store, Event.SNAPSHOT_STAYS, snapshot.project_id, snapshot_id)
                snapshot.status = "error_deleting"
                return
            self.discard(snapshot)

    def reset_status(self, token: Token, snapshot_id: str, status: str) -> None:
        """Overwrite a snapshot's status (administrators, and nova while it takes one).

        Raises:
            ApiError: 404, unknown snapshot; 400, unknown status.
        """
        with self._store.lock:
            snapshot = self.get(token, snapshot_id)
            if status.lower() not in STATUSES:
                raise invalid_input(f"Must specify a valid status: one of {', '.join(STATUSES)}, not '{status}'.")
            snapshot.status = status.lower()
            snapshot.updated_at = self._store.clock.now()

    def report_status(self, token: Token, snapshot_id: str, status: str) -> None:
        """Take the status that nova reports of a snapshot that it takes itself (os-update_snapshot_status).

        Raises:
            ApiError: 404, unknown snapshot; 400, the present status does not lead to that one.
        """
        allowed = {"creating": ("creating", "available", "error"), "deleting": ("deleting", "error_deleting")}
        with self._store.lock:
            snapshot = self.get(token, snapshot_id)
            if snapshot.status not in allowed:
                raise ApiError(400, f"Snapshot status {snapshot.status} not allowed for update_snapshot_status")
            if status not in allowed[snapshot.status]:
                raise ApiError(
                    400,
                    f"Provided snapshot status {status} not allowed for snapshot with status {snapshot.status}.",
                )
            snapshot.status = status
            snapshot.updated_at = self._store.clock.now()

    def set_metadata(
        self, token: Token, snapshot_id: str, values: Mapping[str, str], *, replace: bool = False
    ) -> dict[str, str]:
        """Add to a snapshot's metadata, or replace all of it; return what it is then.

        Raises:
            ApiError: 404, unknown snapshot.
        """
        with self._store.lock:
            snapshot = self.get(token, snapshot_id)
            if replace:
                snapshot.metadata.clear()
            snapshot.metadata.update(values)
            snapshot.updated_at = self._store.clock.now()
            return dict(snapshot.metadata)

    def unset_metadata(self, token: Token, snapshot_id: str, key: str) -> None:
        """Forget one key of a snapshot's metadata.

        Raises:
            ApiError: 404, unknown snapshot or key.
        """
        with self._store.lock:
            snapshot = self.get(token, snapshot_id)
            if snapshot.metadata.pop(key, None) is None:
                raise key_not_found("Snapshot", snapshot_id, key)
