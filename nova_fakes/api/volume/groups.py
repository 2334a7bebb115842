"""Groups of volumes."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence

from nova_fakes.api.auth import Token
from nova_fakes.api.volume.backends import Backends
from nova_fakes.api.volume.group_types import GroupTypes
from nova_fakes.api.volume.ownership import find_own, newest_own
from nova_fakes.api.volume.quotas import Quotas
from nova_fakes.api.volume.records import Group, Snapshot, Volume
from nova_fakes.api.volume.refusals import invalid_group, invalid_input, invalid_volume
from nova_fakes.api.volume.store import Store
from nova_fakes.api.volume.volume_types import VolumeTypes
from nova_fakes.api.volume.volumes import Volumes
from nova_fakes.exceptions import ApiError, NovaFakesError

__all__ = ["STATUSES", "Groups"]

LOG = logging.getLogger(__name__)

STATUSES = ("error", "available", "creating", "deleting", "deleted", "updating", "error_deleting")
JOINING = ("available", "in-use")
LEAVING = ("available", "in-use", "error", "error_deleting")


class Groups:
    """The groups of one volume service. All volumes of a group lie with one backend.

    Args:
        store: the records.
        quotas: what projects may use.
        group_types: types of groups.
        types: types of volumes.
        volumes: what is grouped.
        backends: where they may lie.
        zones: availability zones; the first is the default.
    """

    def __init__(
        self,
        store: Store,
        quotas: Quotas,
        group_types: GroupTypes,
        types: VolumeTypes,
        volumes: Volumes,
        backends: Backends,
        zones: tuple[str, ...],
    ) -> None:
        self._store = store
        self._quotas = quotas
        self._group_types = group_types
        self._types = types
        self._volumes = volumes
        self._backends = backends
        self._zones = zones

    def get(self, token: Token, group_id: str) -> Group:
        """Return the group.

        Raises:
            ApiError: 404, there is none, or it is another project's.
        """
        return find_own(token, self._store.groups, "Group", group_id)

    def visible(self, token: Token, *, all_projects: bool = False) -> list[Group]:
        """Return the project's groups, the newest first; every project's if an administrator asks for that."""
        with self._store.lock:
            return newest_own(token, self._store.groups.values(), all_projects=all_projects)

    def volumes_of(self, group_id: str) -> list[Volume]:
        """Return a group's volumes in the order in which they were made."""
        with self._store.lock:
            return [one for one in self._store.volumes.values() if one.group_id == group_id]

    def create(
        self,
        token: Token,
        group_type: str,
        volume_types: Sequence[str],
        *,
        name: str | None = None,
        description: str | None = None,
        availability_zone: str | None = None,
    ) -> Group:
        """Make a group without volumes.

        Args:
            token: who asks; the group becomes his project's.
            group_type: id or name of its type.
            volume_types: ids or names of the types that its volumes may have.
            name: free text.
            description: free text.
            availability_zone: the default if None.

        Returns:
            The group while it is "creating". It is "available" by now, or in "error" where no backend serves all of its
            types.

        Raises:
            ApiError: 404, a type is unknown; 400, the zone is; 413, a quota.
        """
        with self._store.lock:
            kinds = [self._types.find(token, one) for one in dict.fromkeys(volume_types)]
            group_kind = self._group_types.find(token, group_type)
            zone = availability_zone or self._zones[0]
            if zone not in self._zones:
                raise invalid_input(f"Availability zone '{zone}' is invalid.")
            group = self._new(token, group_kind.id, list(dict.fromkeys(one.id for one in kinds)), zone)
            group.name, group.description = name, description
            answer = copy.deepcopy(group)
            group.host = next(
                (
                    place
                    for place in self._backends.places()
                    if all(self._backends.choose(zone, kind, 0, near=place) == place for kind in kinds)
                ),
                None,
            )
            group.status = "error" if group.host is None else "available"
            return answer

    def create_from_source(
        self,
        token: Token,
        *,
        group_snapshot_id: str | None = None,
        source_group_id: str | None = None,
        name: str | None = None,
        description: str | None = None,
    ) -> Group:
        """Make a group whose volumes are copies of those of another, now or when a snapshot was taken of it.

        Raises:
            ApiError: 404, unknown source; 400, it has no volumes, or one of them cannot be copied; 413, a quota of
                groups.
        """
        with self._store.lock:
            originals: Sequence[Snapshot | Volume]
            if group_snapshot_id is not None:
                whole = find_own(token, self._store.group_snapshots, "GroupSnapshot", group_snapshot_id)
                source, originals = self.get(token, whole.group_id), self._store.parts_of(group_snapshot_id)
                refusal = "Group snapshot is empty. No group will be created."
            else:
                assert source_group_id is not None
                source = self.get(token, source_group_id)
                originals, refusal = self.volumes_of(source.id), "Source Group is empty. No group will be created."
            if not originals:
                raise invalid_group(refusal)
            group = self._new(token, source.group_type_id, list(source.volume_type_ids), source.availability_zone)
            group.name, group.description, group.host = name, description, source.host
            group.group_snapshot_id, group.source_group_id = group_snapshot_id, source_group_id
            answer = copy.deepcopy(group)
            try:
                for original in originals:
                    self._copy(token, group, original)
            except ApiError as error:
                self._dissolve(group)
                raise error if error.status == 404 else ApiError(400, error.message) from error
            made = self.volumes_of(group.id)
            group.status = "available" if all(one.status == "available" for one in made) else "error"
            return answer

    def _copy(self, token: Token, group: Group, original: Snapshot | Volume) -> None:
        """Let a group have a copy of a volume or snapshot."""
        values = {"snapshot_id": original.id} if isinstance(original, Snapshot) else {"source_id": original.id}
        self._volumes.create(
            token,
            size_gb=original.size_gb,
            type_reference=original.type_id,
            availability_zone=group.availability_zone,
            group_id=group.id,
            **values,  # type: ignore[arg-type]
        )

    def update(
        self,
        token: Token,
        group_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        add: Sequence[str] = (),
        remove: Sequence[str] = (),
    ) -> None:
        """Change what is given of a group: its name, its description, what belongs to it; all or nothing.

        Raises:
            ApiError: 404, unknown group; 400, nothing is to be changed, or a volume may not come or go.
        """
        with self._store.lock:
            group = self.get(token, group_id)
            both = [one for one in add if one in remove]
            if both:
                raise invalid_volume(f"UUIDs {both} are in both add and remove volume list.")
            members = {one.id: one for one in self.volumes_of(group_id)}
            joining = [self._joining(group, one) for one in dict.fromkeys(add) if one not in members]
            leaving = [_leaving(group, members, one) for one in dict.fromkeys(remove)]
            name = None if name == group.name else name
            description = None if description == group.description else description
            if name is None and description is None and not joining and not leaving:
                raise invalid_group(
                    f"Cannot update group {group_id} because no valid name, description, add_volumes, or "
                    f"remove_volumes were provided."
                )
            if (joining or leaving) and group.status != "available":
                raise invalid_group("Group status must be available.")
            group.name = group.name if name is None else name
            group.description = group.description if description is None else description
            for volume in joining:
                volume.group_id = group_id
            for volume in leaving:
                volume.group_id = None
            self._store.content.regroup(group_id, add=[one.id for one in joining], remove=[one.id for one in leaving])
            group.status, group.updated_at = "available", self._store.clock.now()

    def delete(self, token: Token, group_id: str, *, volumes: bool = False) -> None:
        """Dissolve a group.

        Args:
            token: who asks.
            group_id: the group.
            volumes: delete its volumes too, which it may not have otherwise.

        Raises:
            ApiError: 404, unknown group; 400, its status does not allow it, it has volumes or snapshots, or one of its
                volumes is attached or has snapshots.
        """
        with self._store.lock:
            group = self.get(token, group_id)
            if group.host is not None:
                self._require_deletable(group, volumes)
            self._dissolve(group)

    def _require_deletable(self, group: Group, volumes: bool) -> None:
        if not volumes and group.status not in ("available", "error"):
            raise invalid_group(f"Group status must be available or error, but current status is: {group.status}")
        if any(one.group_id == group.id for one in self._store.group_snapshots.values()):
            raise invalid_group("Group has existing snapshots.")
        members = self.volumes_of(group.id)
        if members and not volumes:
            raise invalid_group(
                f"Group {group.id} still contains volumes. The delete-volumes flag is required to delete it."
            )
        if any(one.attach_status == "attached" for one in members):
            raise invalid_group(f"Volume in group {group.id} is attached. Need to detach first.")
        if any(self._store.snapshots_of(one.id) for one in members):
            raise invalid_group("Volume in group still has dependent snapshots.")

    def reset_status(self, token: Token, group_id: str, status: str) -> None:
        """Overwrite a group's status (administrators); ApiError 404, or 400 for an unknown status."""
        with self._store.lock:
            group = self.get(token, group_id)
            group.status, group.updated_at = check_status("Group", status), self._store.clock.now()

    def _new(self, token: Token, type_id: str, volume_type_ids: list[str], zone: str) -> Group:
        if token.project_id is None:
            raise ApiError(400, "Malformed request url")
        self._quotas.charge_groups(token.project_id, 1)
        group = Group(
            id=self._store.new_id(),
            project_id=token.project_id,
            user_id=token.user_id,
            status="creating",
            group_type_id=type_id,
            volume_type_ids=volume_type_ids,
            availability_zone=zone,
            created_at=self._store.clock.now(),
        )
        self._store.groups[group.id] = group
        return group

    def _dissolve(self, group: Group) -> None:
        """Forget a group with its volumes; what the store keeps is in error, and so is the group then."""
        members = self.volumes_of(group.id)
        self._store.content.regroup(group.id, remove=[one.id for one in members])
        for volume in members:
            try:
                self._volumes.discard(volume)
            except NovaFakesError as error:
                LOG.warning("volume %s of group %s: %s", volume.id, group.id, error)
                volume.status = "error_deleting"
        stuck = self.volumes_of(group.id)
        if stuck:
            self._store.content.regroup(group.id, add=[one.id for one in stuck])
            group.status = "error"
            return
        self._store.content.dissolve(group.id)
        self._quotas.charge_groups(group.project_id, -1)
        del self._store.groups[group.id]

    def _joining(self, group: Group, volume_id: str) -> Volume:
        """Return a volume that may join a group."""
        volume = self._store.volumes.get(volume_id)
        start = f"Cannot add volume {volume_id} to group {group.id} because"
        if volume is None:
            raise invalid_volume(f"{start} volume cannot be found.")
        if volume.group_id is not None:
            raise invalid_volume(f"{start} it is already in group {volume.group_id}.")
        if volume.project_id != group.project_id:
            raise invalid_volume(
                f"Cannot add volume {volume_id} to group {group.id} as they belong to different projects."
            )
        if volume.type_id not in group.volume_type_ids:
            raise invalid_volume(f"{start} volume type {volume.type_id} is not supported by the group.")
        if volume.status not in JOINING:
            raise invalid_volume(
                f"{start} volume is in an invalid state: {volume.status}. Valid states are: {JOINING}."
            )
        if (volume.host or "").partition("#")[0] != (group.host or "").partition("#")[0]:
            raise invalid_volume("Volume is not local to this node.")
        return volume


def check_status(kind: str, status: str) -> str:
    """Return a status of a group, or of a group's snapshot, as it is kept; ApiError 400 for one that there is not."""
    if not status.strip():
        raise ApiError(400, f"Invalid {kind} Status: The 'status' can not be empty.")
    if status.lower() not in STATUSES:
        raise ApiError(
            400,
            f"Invalid {kind} Status: {kind} status: {status} is invalid, valid status are: {', '.join(STATUSES)}.",
        )
    return status.lower()


def _leaving(group: Group, members: dict[str, Volume], volume_id: str) -> Volume:
    """Return a volume that may leave a group."""
    if volume_id not in members:
        raise invalid_volume(f"Cannot remove volume {volume_id} from group {group.id} because it is not in the group.")
    if members[volume_id].status not in LEAVING:
        raise invalid_volume(
            f"Cannot remove volume {volume_id} from group {group.id} because volume is in an invalid state: "
            f"{members[volume_id].status}. Valid states are: {LEAVING}."
        )
    return members[volume_id]
