"""Volumes: made, changed, extended, deleted."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import Any

from nova_fakes.api.auth import Token
from nova_fakes.api.volume import images
from nova_fakes.api.volume.backends import Backends
from nova_fakes.api.volume.images import ImageSource
from nova_fakes.api.volume.messages import Event, tell
from nova_fakes.api.volume.ownership import find_own
from nova_fakes.api.volume.quotas import Quotas
from nova_fakes.api.volume.records import Backup, Group, Snapshot, Volume, VolumeType
from nova_fakes.api.volume.refusals import (
    invalid_backup,
    invalid_input,
    invalid_volume,
    key_not_found,
    one_of,
)
from nova_fakes.api.volume.store import Store
from nova_fakes.api.volume.volume_types import VolumeTypes
from nova_fakes.exceptions import ApiError, NovaFakesError

__all__ = ["Volumes"]

LOG = logging.getLogger(__name__)


DELETABLE = ("available", "error", "error_restoring", "error_extending", "error_managing")


class Volumes:
    """The volumes of one volume service.

    What takes the real service time (creating, deleting) is done when the call returns; what the call
    returns shows the volume as the real service would, on its way.

    Args:
        store: the records.
        quotas: what projects may use.
        types: the volume types.
        backends: where they may lie.
        zones: availability zones; the first is the default.
        images: where images are looked up; None: volumes cannot be made from images.
    """

    def __init__(
        self,
        store: Store,
        quotas: Quotas,
        types: VolumeTypes,
        backends: Backends,
        *,
        zones: tuple[str, ...],
        images: ImageSource | None,
    ) -> None:
        self._store = store
        self._quotas = quotas
        self._types = types
        self._backends = backends
        self._zones = zones
        self._images = images

    def get(self, token: Token, volume_id: str) -> Volume:
        """Return the volume.

        Raises:
            ApiError: 404, there is none, or it is another project's.
        """
        return find_own(token, self._store.volumes, "Volume", volume_id)

    def visible(self, token: Token, *, all_projects: bool = False) -> list[Volume]:
        """Return the project's volumes, the newest first; every project's if an administrator asks for that."""
        with self._store.lock:
            found = self._store.volumes_of(None if all_projects and token.is_admin else token.project_id)
            return [one for one in found if token.is_admin or not (one.migration_status or "").startswith("target:")]

    def create(
        self,
        token: Token,
        *,
        size_gb: int | None = None,
        name: str | None = None,
        description: str | None = None,
        type_reference: str | None = None,
        availability_zone: str | None = None,
        metadata: Mapping[str, str] | None = None,
        snapshot_id: str | None = None,
        source_id: str | None = None,
        image_reference: str | None = None,
        backup_id: str | None = None,
        group_id: str | None = None,
    ) -> Volume:
        """Make a volume, empty or from a snapshot, a volume, an image or a backup.

        Args:
            token: who asks; the volume becomes his project's.
            size_gb: size in GiB; the source's if None.
            name: free text.
            description: free text.
            type_reference: id or name of its type; the default type if None.
            availability_zone: the source's or the default if None.
            metadata: the user's own.
            snapshot_id: the snapshot that it is to be a copy of.
            source_id: the volume that it is to be a copy of.
            image_reference: id or name of the image to put on it.
            backup_id: the backup to put on it.
            group_id: the group that it is to belong to, which names the types to choose from.

        Returns:
            The volume while it is "creating". It is "available" by now, or in "error" where every cinder-volume
            service is disabled.

        Raises:
            ApiError: 400, sizes, zones or states do not fit; 404, the type or source is unknown; 413, a quota.
        """
        if token.project_id is None:
            raise ApiError(400, "Malformed request url")
        # The image service may be another process's; it is not asked while everybody waits for the lock.
        image = images.find(self._images, image_reference, token) if image_reference is not None else None
        with self._store.lock:
            kind = (
                self._types.find(token, type_reference) if type_reference else self._types.default_of(token.project_id)
            )
            snapshot = source = None
            if snapshot_id is not None:
                snapshot = find_own(token, self._store.snapshots, "Snapshot", snapshot_id)
                if snapshot.status not in ("available", "backing-up"):
                    raise invalid_input("Originating snapshot status must be one of 'available, backing-up' values")
                original = self._store.volumes.get(snapshot.volume_id)
                availability_zone = availability_zone or (original.availability_zone if original else None)
                kind = self._type_of_copy(kind, self._store.types[snapshot.type_id], named=type_reference is not None)
            elif source_id is not None:
                source = self.get(token, source_id)
                if source.status not in ("available", "in-use"):
                    raise invalid_input("Originating source volume status must be one of 'available, in-use' values")
                availability_zone = availability_zone or source.availability_zone
                kind = self._type_of_copy(kind, self._store.types[source.type_id], named=type_reference is not None)
            backup = None if backup_id is None else self._backup(token, backup_id)
            if backup is not None:
                size_gb = backup.size_gb if size_gb is None else size_gb
                if size_gb < backup.size_gb:
                    raise invalid_input(
                        f"Volume size {size_gb}GB cannot be smaller than the backup size {backup.size_gb}GB. It must "
                        f"be >= backup size."
                    )
            origin_gb = snapshot.size_gb if snapshot else source.size_gb if source else 0
            size_gb = origin_gb or None if size_gb is None else size_gb
            self._check_size(size_gb, snapshot.size_gb if snapshot else None, source.size_gb if source else None)
            assert size_gb is not None
            zone = availability_zone or self._zones[0]
            if zone not in self._zones:
                raise ApiError(400, f"Availability zone '{zone}' is invalid.")
            if image is not None:
                images.check_fits(image, size_gb)
            if kind.encryption is not None and kind.multiattach:
                raise invalid_volume("Multiattach cannot be used with encrypted volumes.")
            group = None if group_id is None else self._group(token, group_id, kind if type_reference else None)
            self._quotas.check_size(token.project_id, size_gb)
            self._quotas.charge(token.project_id, kind.name, volumes=1, gigabytes=size_gb)
            origin = snapshot or source
            near = self._place_of(origin) if group is None else group.host
            volume = Volume(
                id=self._store.new_id(),
                project_id=token.project_id,
                user_id=token.user_id,
                name=name,
                description=description,
                size_gb=size_gb,
                status="creating",
                availability_zone=zone,
                type_id=kind.id,
                created_at=self._store.clock.now(),
                snapshot_id=snapshot_id,
                source_id=source_id,
                metadata=dict(metadata or {}),
                multiattach=kind.multiattach,
                group_id=group_id,
                encryption_key_id=None if kind.encryption is None else self._store.new_id(),
            )
            self._store.add_volume(volume)
            answer = copy.deepcopy(volume)
            backend = self._backends.choose(zone, kind, size_gb, near=near)
            if group is not None and (backend or "").partition("#")[0] != (group.host or "").partition("#")[0]:
                backend = None
            volume.updated_at = self._store.clock.now()
            if backend is None:
                LOG.warning(
                    "volume %s: no backend of zone %s takes it: disabled, full or of another type", volume.id, zone
                )
                tell(self._store, Event.NO_BACKEND, volume.project_id, volume.id)
                volume.status = "error"
                return answer
            volume.host = backend
            fits = backup is None or backup.suits(kind.id)
            made = fits and self._store.content.create(volume, kind, token, image, backup_id)
            if group is not None:
                self._store.content.regroup(group.id, add=[volume.id])
            if not made:
                tell(self._store, Event.NOT_CREATED, volume.project_id, volume.id)
                volume.status = "error"
                return answer
            volume.status = "available"
            if image is not None:
                volume.image_metadata = images.metadata(image)
                volume.bootable = True
            elif backup is not None:
                volume.image_metadata = dict(backup.volume["image_metadata"])
                volume.bootable = backup.volume["bootable"]
            elif origin is not None:
                volume.image_metadata = dict(origin.image_metadata)
                volume.bootable = origin.bootable
            return answer

    def update(self, token: Token, volume_id: str, **changes: Any) -> Volume:
        """Change name, description or metadata (the whole of it).

        Raises:
            ApiError: 404, unknown volume; 400, it is in maintenance.
        """
        with self._store.lock:
            volume = self.get(token, volume_id)
            if volume.status == "maintenance":
                raise invalid_volume("The volume cannot be updated during maintenance.")
            for name, value in changes.items():
                setattr(volume, name, dict(value) if isinstance(value, Mapping) else value)
            self._store.content.change(volume, self._store.types[volume.type_id])
            self._touch(volume)
            return volume

    def delete(self, token: Token, volume_id: str, *, force: bool = False, cascade: bool = False) -> None:
        """Delete a volume. One that the store keeps is in "error_deleting".

        Args:
            token: who asks.
            volume_id: the volume.
            force: whatever its status is; an attached one stays refused.
            cascade: its snapshots too, which it may not have otherwise.

        Raises:
            ApiError: 404, unknown volume; 400, it is attached, in the wrong status, or has snapshots.
        """
        with self._store.lock:
            volume = self.get(token, volume_id)
            snapshots = self._store.snapshots_of(volume_id)
            stuck = [snapshot for snapshot in snapshots if snapshot.status not in ("available", "error", "deleting")]
            if (
                volume.attach_status == "attached"
                or volume.migrating
                or volume.group_id is not None
                or any(snapshot.group_snapshot_id is not None for snapshot in snapshots)
                or (not force and volume.status not in DELETABLE)
                or (snapshots and not cascade)
                or (stuck and not force)
            ):
                status = "None" if force else f"status must be {one_of(DELETABLE)} and"
                raise invalid_volume(
                    f"Volume {status} must not be migrating, attached, belong to a group, have snapshots, awaiting a "
                    f"transfer, or be disassociated from snapshots after volume transfer."
                )
            try:
                self._store.content.delete(volume_id)
            except NovaFakesError as error:
                LOG.warning("volume %s: %s", volume_id, error)
                volume.status = "error_deleting"
                return
            self.discard(volume)

    def discard(self, volume: Volume) -> None:
        """Forget a volume with its snapshots, whatever its state is; NovaFakesError, and it stays."""
        self._store.content.delete(volume.id)
        for snapshot in self._store.snapshots_of(volume.id):
            kind = self._store.types[snapshot.type_id]
            self._quotas.charge(snapshot.project_id, kind.name, snapshots=-1, gigabytes=-snapshot.size_gb)
            self._store.remove_snapshot(snapshot)
        kind = self._store.types[volume.type_id]
        self._quotas.charge(volume.project_id, kind.name, volumes=-1, gigabytes=-volume.size_gb)
        self._store.remove_volume(volume)

    def set_metadata(
        self, token: Token, volume_id: str, values: Mapping[str, str], *, replace: bool = False, image: bool = False
    ) -> dict[str, str]:
        """Add to a volume's metadata, or replace all of it; return what it is then.

        Args:
            token: who asks.
            volume_id: the volume.
            values: strings by key.
            replace: forget all other keys.
            image: the metadata of its image rather than the user's own.

        Raises:
            ApiError: 404, unknown volume; 400, it is in maintenance.
        """
        with self._store.lock:
            volume = self.get(token, volume_id)
            if volume.status == "maintenance":
                raise invalid_volume("The volume metadata cannot be updated when the volume is in maintenance mode.")
            table = volume.image_metadata if image else volume.metadata
            if replace:
                table.clear()
            table.update(values)
            self._touch(volume)
            return dict(table)

    def unset_metadata(self, token: Token, volume_id: str, key: str, *, image: bool = False) -> None:
        """Forget one key of a volume's metadata, or of its image's.

        Raises:
            ApiError: 404, unknown volume or key.
        """
        with self._store.lock:
            volume = self.get(token, volume_id)
            table = volume.image_metadata if image else volume.metadata
            if key not in table:
                if image:
                    raise ApiError(404, f"Glance metadata for volume/snapshot {volume_id} cannot be found.")
                raise key_not_found("Volume", volume_id, key)
            del table[key]
            self._touch(volume)

    @staticmethod
    def _type_of_copy(kind: VolumeType, original: VolumeType, *, named: bool) -> VolumeType:
        """Return a copy's type, which is its original's unless another was named that encrypts as that does."""
        if not named:
            return original
        if kind.ciphering != original.ciphering:
            raise invalid_input(
                f"Invalid volume_type provided: {kind.id} (requested type is not compatible; either match source "
                f"volume, or omit type argument)."
            )
        return kind

    def _check_size(self, size_gb: int | None, snapshot_gb: int | None, source_gb: int | None) -> None:
        if size_gb is None or size_gb <= 0:
            raise invalid_input(f"Volume size '{size_gb}' must be an integer and greater than 0")
        if snapshot_gb is not None and size_gb < snapshot_gb:
            raise invalid_input(
                f"Volume size '{size_gb}'GB cannot be smaller than the snapshot size {snapshot_gb}GB. They must be >= "
                f"original snapshot size."
            )
        if source_gb is not None and size_gb < source_gb:
            raise invalid_input(
                f"Volume size '{size_gb}'GB cannot be smaller than original volume size  {source_gb}GB. They must be "
                f">= original volume size."
            )

    def _backup(self, token: Token, backup_id: str) -> Backup:
        """Return a backup that may become a volume."""
        backup = find_own(token, self._store.backups, "Backup", backup_id)
        if backup.status != "available":
            raise invalid_backup("Originating backup status must be one of 'available' values")
        return backup

    def _group(self, token: Token, group_id: str, kind: VolumeType | None) -> Group:
        """Return a group that a new volume may belong to, of a type that was named."""
        group = find_own(token, self._store.groups, "Group", group_id)
        if kind is None:
            raise invalid_input("volume_type must be provided when creating a volume in a group.")
        if kind.id not in group.volume_type_ids:
            raise invalid_input(
                f"Invalid volume_type provided: {kind.name} (requested type must be supported by this group)."
            )
        return group

    def _place_of(self, origin: Snapshot | Volume | None) -> str | None:
        """Return where a volume lies, or the one that a snapshot is of."""
        if isinstance(origin, Snapshot):
            return self._store.volumes[origin.volume_id].host
        return None if origin is None else origin.host

    def _touch(self, volume: Volume) -> None:
        volume.updated_at = self._store.clock.now()
