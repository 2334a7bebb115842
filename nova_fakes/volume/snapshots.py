"""Snapshots, of one volume or of all volumes of a group at one moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nova_fakes.exceptions import InvalidInput
from nova_fakes.volume.disk import SparseDisk
from nova_fakes.volume.errors import GroupNotFound, VolumeBusy, VolumeExists, WrongState
from nova_fakes.volume.medium import copy
from nova_fakes.volume.records import Group, GroupSnapshot, Record, Snapshot, Volume
from nova_fakes.volume.volumes import STEADY, VolumeShelf

__all__ = ["SnapshotShelf"]


class SnapshotShelf(VolumeShelf):
    """A store that takes snapshots."""

    def create_snapshot(
        self,
        volume_id: str,
        *,
        snapshot_id: str | None = None,
        name: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> Snapshot:
        """Take a snapshot of a volume, attached or not.

        :raises WrongState: the volume is being deleted, or otherwise on its way
        :raises VolumeExists: something has that id
        """
        volume = self.volume(volume_id)
        self._require_steady(volume)
        self._check("snapshot.create", volume, volume.pool)
        with self.lock:
            self._require_steady(volume)
            snapshot = self._snapshot(volume, snapshot_id or self._new_id(), name, metadata)
            self._add_copies([snapshot])
        return snapshot

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Delete a snapshot; volumes that were made from it keep every byte.

        :raises SnapshotNotFound: there is none
        :raises VolumeBusy: it is one of a group's
        :raises WrongState: its status does not allow it
        """
        snapshot = self.snapshot(snapshot_id)
        if snapshot.group_snapshot_id is not None:
            raise VolumeBusy(
                f"snapshot {snapshot_id} is one of group snapshot {snapshot.group_snapshot_id}: delete that"
            )
        with self._passing(snapshot, "deleting", "available", "error"):
            self._check("snapshot.delete", snapshot, self.volumes[snapshot.volume_id].pool)
            with self.lock:
                self._remove(snapshot)

    # Groups

    def create_group(self, *, group_id: str | None = None, name: str | None = None) -> Group:
        """Make a group without volumes.

        :raises VolumeExists: one has that id
        """
        with self.lock:
            identifier = group_id or self._new_id()
            if identifier in self.groups:
                raise VolumeExists(f"there is a group {identifier} in this store already")
            group = Group(id=identifier, created_at=self.clock.now(), name=name)
            self._add(group)
        return group

    def update_group(self, group_id: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Group:
        """Put volumes into a group and take others out, all or none.

        :raises VolumeBusy: a volume to be added is in another group, or one to be removed is not in this one
        """
        with self.lock:
            group = self.group(group_id)
            joining = [self.volume(one) for one in add]
            leaving = [self.volume(one) for one in remove]
            stray = next((one for one in joining if one.group_id not in (None, group_id)), None)
            if stray is not None:
                raise VolumeBusy(f"volume {stray.id} is in group {stray.group_id} already")
            moving = next((one for one in joining if one.id in self._before), None)
            if moving is not None:
                raise WrongState(f"volume {moving.id} is {moving.status}: wait until it is not")
            stray = next((one for one in leaving if one.group_id != group_id), None)
            if stray is not None:
                raise VolumeBusy(f"volume {stray.id} is not in group {group_id}")
            gone = {volume.id for volume in leaving}
            members = dict.fromkeys([*group.volume_ids, *(one.id for one in joining)])
            self._change(
                (group, {"volume_ids": [one for one in members if one not in gone]}),
                *((volume, {"group_id": group_id}) for volume in joining),
                *((volume, {"group_id": None}) for volume in leaving),
            )
        return group

    def delete_group(self, group_id: str, *, volumes: bool = False) -> None:
        """Dissolve a group.

        :param volumes: delete its volumes too, which it may not have otherwise
        :raises VolumeBusy: it has volumes or snapshots, or one of its volumes is in use
        """
        with self.lock:
            group = self.group(group_id)
            if any(one.group_id == group_id for one in self.group_snapshots.values()):
                raise VolumeBusy(f"group {group_id} has snapshots: delete them first")
            if group.volume_ids and not volumes:
                raise VolumeBusy(f"group {group_id} has {len(group.volume_ids)} volumes: take them out or delete them")
            members = [self.volume(one) for one in group.volume_ids]
            for volume in members:
                if volume.status not in ("available", "error") or self.snapshots_of(volume.id):
                    raise VolumeBusy(f"volume {volume.id} of group {group_id} is {volume.status}, or has snapshots")
            self._remove(*members, group)
            for volume in members:
                self.pools[volume.pool].promise(-volume.size_bytes)

    def create_group_snapshot(
        self,
        group_id: str,
        *,
        group_snapshot_id: str | None = None,
        name: str = "",
        snapshot_ids: Mapping[str, str] | None = None,
    ) -> GroupSnapshot:
        """Take a snapshot of each of a group's volumes at one moment, or of none.

        :param snapshot_ids: by volume; new ones where they are missing
        :raises InvalidInput: the group is empty
        :raises WrongState: a volume's status does not allow it
        """
        with self.lock:
            volumes = [self.volume(one) for one in self.group(group_id).volume_ids]
        if not volumes:
            raise InvalidInput("group_id", group_id, "it has no volumes: put some in first")
        for volume in volumes:
            self._require_steady(volume)
            self._check("snapshot.create", volume, volume.pool)
        with self.lock:
            identifier = group_snapshot_id or self._new_id()
            if identifier in self.group_snapshots:
                raise VolumeExists(f"there is a group snapshot {identifier} in this store already")
            given = snapshot_ids or {}
            snapshots: list[Snapshot] = []
            for volume in volumes:
                self._require_steady(volume)
                snapshot = self._snapshot(volume, given.get(volume.id) or self._new_id(), name, None)
                snapshot.group_snapshot_id = identifier
                snapshots.append(snapshot)
            whole = GroupSnapshot(
                id=identifier,
                group_id=group_id,
                created_at=self.clock.now(),
                name=name,
                snapshot_ids=[one.id for one in snapshots],
            )
            self._add_copies(snapshots, whole)
        return whole

    def delete_group_snapshot(self, group_snapshot_id: str) -> None:
        """Delete a group's snapshot, all of its parts.

        :raises GroupNotFound: there is none
        """
        with self.lock:
            whole = self.group_snapshot(group_snapshot_id)
            self._remove(*(self.snapshot(one) for one in whole.snapshot_ids), whole)

    def group(self, group_id: str) -> Group:
        """Return the group.

        :raises GroupNotFound: there is none
        """
        if group_id not in self.groups:
            raise GroupNotFound(f"there is no group {group_id} in this store")
        return self.groups[group_id]

    def group_snapshot(self, group_snapshot_id: str) -> GroupSnapshot:
        """Return the group's snapshot.

        :raises GroupNotFound: there is none
        """
        if group_snapshot_id not in self.group_snapshots:
            raise GroupNotFound(f"there is no group snapshot {group_snapshot_id} in this store")
        return self.group_snapshots[group_snapshot_id]

    def _require_steady(self, volume: Volume) -> None:
        if volume.status not in STEADY or self.volumes.get(volume.id) is not volume:
            raise WrongState(f"volume {volume.id} is {volume.status}: it has to be {' or '.join(STEADY)}")

    def _snapshot(self, volume: Volume, identifier: str, name: str, metadata: Mapping[str, str] | None) -> Snapshot:
        """Copy a volume as it is at this moment; the snapshot is not the store's yet."""
        if identifier in self.snapshots or identifier in self.volumes:
            raise VolumeExists(f"there is a volume or snapshot {identifier} in this store already")
        disk = volume.disk
        if isinstance(disk, SparseDisk):
            frozen = disk.clone(identifier)
        else:
            # It lies in a file that others write to; its bytes are read while it is.
            frozen = self._disk(identifier, volume.size_bytes, self.pools[volume.pool].meter)
            for _copied in copy(disk, frozen):
                pass
        return Snapshot(
            id=identifier,
            volume_id=volume.id,
            size_bytes=volume.size_bytes,
            created_at=self.clock.now(),
            name=name,
            encryption=volume.encryption,
            metadata=dict(metadata or {}),
            disk=frozen,
        )

    def _add_copies(self, snapshots: list[Snapshot], *further: Record) -> None:
        try:
            self._add(*snapshots, *further)
        except BaseException:
            for snapshot in snapshots:
                self._drop_disk(snapshot.disk)
            raise
