"""The driver's methods by which volumes and snapshots come and go."""

from __future__ import annotations

from typing import Any

from cinder import context as cinder_context
from cinder import exception
from cinder.volume import volume_types

from nova_fakes.exceptions import NovaFakesError
from nova_fakes.volume import errors
from nova_fakes.volume.cinder.base import StoreDriver, is_replicated, pool_of, translated
from nova_fakes.volume.pool import GIB

__all__ = ["VolumeMethods", "encryption_of", "qos_of"]

#: What hosts are told of a volume's encryption besides its key.
_CIPHERING = ("provider", "control_location", "cipher", "key_size")


class VolumeMethods(StoreDriver):
    """Create, copy, extend, snapshot, revert, delete."""

    @translated
    def create_volume(self, volume: Any) -> dict[str, Any]:
        """Make a volume."""
        self.store.create_volume(volume.size * GIB, **self._values(volume))
        return self._made(volume)

    @translated
    def create_volume_from_snapshot(self, volume: Any, snapshot: Any) -> dict[str, Any]:
        """Make a volume with a snapshot's bytes."""
        self.store.create_volume(volume.size * GIB, snapshot_id=snapshot.id, **self._values(volume))
        return self._made(volume)

    @translated
    def create_cloned_volume(self, volume: Any, src_vref: Any) -> dict[str, Any]:
        """Make a volume with another's bytes."""
        self.store.create_volume(volume.size * GIB, source_id=src_vref.name_id, **self._values(volume))
        return self._made(volume)

    def _values(self, volume: Any) -> dict[str, Any]:
        kind = volume.volume_type
        values = {
            "volume_id": volume.name_id,
            "pool": pool_of(volume.host),
            "name": volume.name,
            "owner": volume.project_id,
            "type_name": None if kind is None else kind.name,
            "multiattach": bool(volume.multiattach),
        }
        if kind is not None:
            values["qos"] = qos_of(kind.id)
        if volume.encryption_key_id:
            values["encryption"] = encryption_of(volume)
        return values

    def _made(self, volume: Any) -> dict[str, Any]:
        if volume.group_id:
            self._in_group(volume.group_id, volume.name_id)
        return {"replication_status": self._replication_status(volume)}

    def _in_group(self, group_id: str, volume_id: str) -> None:
        if group_id not in self.store.groups:
            self.store.create_group(group_id=group_id)
        self.store.update_group(group_id, add=[volume_id])

    def _replication_status(self, volume: Any) -> str:
        if not is_replicated(volume):
            return "disabled"
        if not self._targets:
            return "not-capable"
        return "failed-over" if self._active else "enabled"

    @translated
    def delete_volume(self, volume: Any) -> None:
        """Delete a volume; one that is not there is no error."""
        try:
            self.files.withdraw(volume.name_id)
            self._leave_group(volume.name_id)
            self.store.delete_volume(volume.name_id)
        except errors.VolumeNotFound:
            return
        except errors.VolumeBusy as error:
            raise exception.VolumeIsBusy(volume_name=volume.name) from error

    def _leave_group(self, volume_id: str) -> None:
        group_id = self.store.volume(volume_id).group_id
        if group_id is not None:
            self.store.update_group(group_id, remove=[volume_id])

    def extend_volume(self, volume: Any, new_size: int) -> None:
        """Make a volume larger, in GiB; it never shrinks."""
        try:
            if new_size * GIB != self.store.volume(volume.name_id).size_bytes:
                self.store.extend_volume(volume.name_id, new_size * GIB)
        except NovaFakesError as error:
            raise exception.ExtendVolumeError(reason=str(error)) from error

    @translated
    def create_snapshot(self, snapshot: Any) -> None:
        """Take a snapshot."""
        self.store.create_snapshot(snapshot.volume.name_id, snapshot_id=snapshot.id, name=snapshot.name)

    @translated
    def delete_snapshot(self, snapshot: Any) -> None:
        """Delete a snapshot; one that is not there is no error."""
        try:
            self.files.withdraw_snapshot(snapshot.id)
            self.store.delete_snapshot(snapshot.id)
        except errors.SnapshotNotFound:
            return
        except errors.VolumeBusy as error:
            raise exception.SnapshotIsBusy(snapshot_name=snapshot.name) from error

    @translated
    def revert_to_snapshot(self, context: Any, volume: Any, snapshot: Any) -> None:
        """Bring a volume back to a snapshot."""
        self.files.withdraw(volume.name_id)
        self.store.revert(volume.name_id, snapshot.id)

    def get_pool(self, volume: Any) -> str:
        """Return the name of a volume's pool."""
        return self.store.volume(volume.name_id).pool

    def local_path(self, volume: Any) -> str | None:
        """Return a volume's file, None where it has none."""
        path = self.files.path(volume.name_id)
        return None if path is None else str(path)

    def update_provider_info(self, volumes: Any, snapshots: Any) -> tuple[None, None]:
        """Tell Cinder that it knows everything already: names in the store are ids in Cinder."""
        return None, None

    @translated
    def accept_transfer(self, context: Any, volume: Any, new_user: str, new_project: str) -> None:
        """Note a volume's new owner."""
        self.store.change_volume(volume.name_id, owner=new_project)


def qos_of(type_id: str) -> dict[str, Any] | None:
    """Return what a type says about quality of service, as a store takes it."""
    specs = volume_types.get_volume_type_qos_specs(type_id)["qos_specs"]
    return None if specs is None else {"consumer": specs["consumer"], "specs": specs["specs"]}


def encryption_of(volume: Any) -> dict[str, Any]:
    """Return what Cinder tells hosts of an encrypted volume, as a store takes it."""
    said = volume_types.get_volume_type_encryption(cinder_context.get_admin_context(), volume.volume_type_id)
    return {**{name: said[name] for name in _CIPHERING}, "encryption_key_id": str(volume.encryption_key_id)}
