"""Snapshots of all volumes of a group at one moment."""

from __future__ import annotations

import copy
import logging

from nova_fakes.api.auth import Token
from nova_fakes.api.volume.groups import Groups, check_status
from nova_fakes.api.volume.ownership import find_own, newest_own
from nova_fakes.api.volume.records import GroupSnapshot, Volume
from nova_fakes.api.volume.refusals import invalid_volume
from nova_fakes.api.volume.snapshots import Snapshots
from nova_fakes.api.volume.store import Store
from nova_fakes.exceptions import ApiError, NovaFakesError

__all__ = ["GroupSnapshots"]

LOG = logging.getLogger(__name__)


class GroupSnapshots:
    """The group snapshots of one volume service."""

    def __init__(self, store: Store, groups: Groups, snapshots: Snapshots) -> None:
        self._store = store
        self._groups = groups
        self._snapshots = snapshots

    def get(self, token: Token, identifier: str) -> GroupSnapshot:
        """Return the group snapshot.

        Raises:
            ApiError: 404, there is none, or it is another project's.
        """
        return find_own(token, self._store.group_snapshots, "GroupSnapshot", identifier)

    def visible(self, token: Token, *, all_projects: bool = False) -> list[GroupSnapshot]:
        """Return the project's, the newest first; every project's if an administrator asks for that."""
        with self._store.lock:
            return newest_own(token, self._store.group_snapshots.values(), all_projects=all_projects)

    def create(
        self, token: Token, group_id: str, *, name: str | None = None, description: str | None = None
    ) -> GroupSnapshot:
        """Take a snapshot of each of a group's volumes, of all at one moment.

        Args:
            token: who asks; it becomes his project's.
            group_id: the group.
            name: free text; each snapshot has it too.
            description: likewise.

        Returns:
            The group snapshot while it is "creating". It is "available" by now, or in "error".

        Raises:
            ApiError: 404, unknown group; 400, a volume's status does not allow it; 413, a quota.
        """
        with self._store.lock:
            group = self._groups.get(token, group_id)
            members = self._groups.volumes_of(group_id)
            for volume in members:
                _require_steady(volume)
            whole = GroupSnapshot(
                id=self._store.new_id(),
                group_id=group_id,
                project_id=token.project_id or group.project_id,
                user_id=token.user_id,
                name=name,
                description=description,
                status="creating",
                group_type_id=group.group_type_id,
                created_at=self._store.clock.now(),
            )
            parts = self._snapshots.record(
                token, members, name=name, description=description, group_snapshot_id=whole.id
            )
            self._store.group_snapshots[whole.id] = whole
            answer = copy.deepcopy(whole)
            status = "available"
            try:
                self._store.content.group_snapshot(group_id, whole.id, {one.volume_id: one.id for one in parts})
            except NovaFakesError as error:
                LOG.warning("snapshot %s of group %s: %s", whole.id, group_id, error)
                status = "error"
            now = self._store.clock.now()
            whole.status, whole.updated_at = status, now
            for part in parts:
                part.status, part.updated_at = status, now
            return answer

    def delete(self, token: Token, identifier: str) -> None:
        """Delete a group snapshot, all of its parts.

        Raises:
            ApiError: 404, there is none; 400, its status does not allow it.
        """
        with self._store.lock:
            whole = self.get(token, identifier)
            if whole.status not in ("available", "error"):
                raise ApiError(
                    400,
                    "Invalid GroupSnapshot: GroupSnapshot status must be available or error, and no Group can be "
                    "currently using it as source for its creation.",
                )
            self._store.content.delete_group_snapshot(identifier)
            for part in self._store.parts_of(identifier):
                self._snapshots.discard(part)
            del self._store.group_snapshots[identifier]

    def reset_status(self, token: Token, identifier: str, status: str) -> None:
        """Overwrite its status (administrators); ApiError 404, or 400 for an unknown status."""
        with self._store.lock:
            whole = self.get(token, identifier)
            whole.status, whole.updated_at = check_status("GroupSnapshot", status), self._store.clock.now()


def _require_steady(volume: Volume) -> None:
    """Refuse a volume that no snapshot is taken of at present."""
    if not volume.host:
        reason = "because volume has not been scheduled to any host."
    elif volume.status == "maintenance":
        reason = "when the volume is in maintenance mode."
    elif volume.status == "error":
        reason = "when the volume is in error status."
    elif volume.migrating:
        raise invalid_volume("Snapshot cannot be created while volume is migrating.")
    else:
        return
    raise invalid_volume(f"The snapshot cannot be created {reason}")
