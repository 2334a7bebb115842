"""Volumes: made, copied, grown, brought back, deleted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from nova_fakes.exceptions import InvalidInput
from nova_fakes.volume.disk import SparseDisk
from nova_fakes.volume.errors import PoolFull, VolumeBusy, VolumeExists, WrongState
from nova_fakes.volume.file_disk import FileDisk
from nova_fakes.volume.medium import copy
from nova_fakes.volume.pool import Pool
from nova_fakes.volume.records import Volume, check_encryption, check_qos
from nova_fakes.volume.shelf import Shelf

__all__ = ["VolumeShelf"]

#: In which a volume may be copied, snapshotted and grown.
STEADY = ("available", "in-use")
#: In which a volume may be deleted: those that are Cinder's.
DELETABLE = ("available", "error", "error_extending", "error_managing", "error_restoring", "error_deleting")


class VolumeShelf(Shelf):
    """A store in which volumes come and go."""

    def create_volume(
        self,
        size_bytes: int | None = None,
        *,
        volume_id: str | None = None,
        pool: str | None = None,
        snapshot_id: str | None = None,
        source_id: str | None = None,
        encryption: Mapping[str, Any] | None = None,
        qos: Mapping[str, Any] | None = None,
        multiattach: bool = False,
        metadata: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> Volume:
        """Make a volume: empty, or of the content of a snapshot or of another volume, of which it has every byte.

        A copy lies in the pool of its original, whose chunks it shares; in another pool they are copied.

        :param size_bytes: None: the original's
        :param volume_id: None: a new one
        :param pool: its name; None: the original's, else the first that has room
        :param encryption: as :class:`Volume` has it; a copy has its original's
        :param qos: ``consumer`` and ``specs``
        :param fields: further fields of :class:`Volume`: name, owner, type_name, bootable, read_only
        :raises PoolFull: no pool has room
        :raises VolumeExists: one has that id
        :raises InvalidInput: a copy would be smaller than its original, or a value cannot be used
        :raises WrongState: the original is on its way from one state to another
        """
        with self.lock:
            original = self._original(snapshot_id, source_id)
            if original is not None:
                size_bytes = original.size_bytes if size_bytes is None else size_bytes
                encryption = original.encryption if encryption is None else encryption
                if size_bytes < original.size_bytes:
                    raise InvalidInput("size_bytes", size_bytes, f"its original has {original.size_bytes}")
            if size_bytes is None or size_bytes <= 0:
                raise InvalidInput("size_bytes", size_bytes, "give 1 or more")
            identifier = volume_id or self._new_id()
            if identifier in self.volumes or identifier in self.snapshots:
                raise VolumeExists(f"there is a volume or snapshot {identifier} in this store already")
            home = None if original is None else self._home(original)
            place = self._place(pool if pool is not None or home is None else home, size_bytes)
            volume = Volume(
                id=identifier,
                size_bytes=size_bytes,
                pool=place.name,
                status="creating",
                created_at=self.clock.now(),
                snapshot_id=snapshot_id,
                source_id=source_id,
                multiattach=multiattach,
                encryption=None if encryption is None else check_encryption(encryption, multiattach),
                qos=None if qos is None else check_qos(qos),
                metadata={} if metadata is None else dict(metadata),
                disk=self._disk(identifier, size_bytes, place.meter),
                **fields,
            )
            place.promise(size_bytes)
            self.volumes[identifier], self._before[identifier] = volume, None
            with self._making(volume):
                # From here on the original may change, or go.
                still = None if original is None else self._taken(volume, original.disk, shared=home == place.name)
        with self._making(volume):
            self._check("volume.create", volume, place.name)
            if still is not None:
                self._copy_still(volume, still)
            with self.lock:
                volume.status = "available"
                self._add(volume)
                del self._before[identifier]
        return volume

    @contextmanager
    def _making(self, volume: Volume) -> Iterator[None]:
        """Forget a new volume where what is done inside fails."""
        try:
            yield
        except BaseException:
            with self.lock:
                del self.volumes[volume.id], self._before[volume.id]
                self.pools[volume.pool].promise(-volume.size_bytes)
                if volume.source_id is not None or volume.snapshot_id is not None:
                    self._drop_disk(volume.disk)  # type: ignore[arg-type]  # a new volume has no file
            raise

    def delete_volume(self, volume_id: str, *, cascade: bool = False) -> None:
        """Delete a volume.

        :param cascade: its snapshots too, which it may not have otherwise
        :raises VolumeNotFound: there is none
        :raises VolumeBusy: it is attached, exported, in a group, offered to somebody, or has snapshots
        :raises WrongState: its status does not allow it
        """
        with self.lock:
            volume = self.volume(volume_id)
            snapshots = self.snapshots_of(volume_id) if volume_id in self._snapshots_of else []
            self._require_unused(volume)
            if snapshots and not cascade:
                raise VolumeBusy(f"volume {volume_id} has {len(snapshots)} snapshots: delete them or cascade")
            busy = next((one for one in snapshots if one.status != "available" or one.group_snapshot_id), None)
            if busy is not None:
                raise VolumeBusy(f"snapshot {busy.id} of volume {volume_id} is {busy.status}, or one of a group's")
            held = ExitStack()
            held.enter_context(self._passing(volume, "deleting", *DELETABLE))
            for snapshot in snapshots:
                held.enter_context(self._passing(snapshot, "deleting", "available"))
        with held:
            self._check("volume.delete", volume, volume.pool)
            with self.lock:
                offers = [one for one in self.transfers.values() if one.volume_id == volume_id]
                self._remove(*snapshots, *offers, volume)
                self.pools[volume.pool].promise(-volume.size_bytes)

    def extend_volume(self, volume_id: str, size_bytes: int) -> Volume:
        """Make a volume longer, attached or not.

        :raises InvalidInput: it would not grow
        :raises PoolFull: its pool has no room
        :raises WrongState: its status does not allow it
        """
        volume = self.volume(volume_id)
        with self._passing(volume, "extending", *STEADY):
            if size_bytes <= volume.size_bytes:
                raise InvalidInput("size_bytes", size_bytes, f"volume {volume_id} has {volume.size_bytes}: give more")
            self._check("volume.extend", volume, volume.pool)
            pool, growth = self.pools[volume.pool], size_bytes - volume.size_bytes
            with self.lock:
                pool.promise(growth)
                try:
                    self._change((volume, {"size_bytes": size_bytes}))
                except BaseException:
                    pool.promise(-growth)
                    raise
                volume.disk.resize(size_bytes)
        return volume

    def revert(self, volume_id: str, snapshot_id: str) -> Volume:
        """Bring a volume back to a snapshot, which stays; where the volume has grown, so does the rest: zeroes.

        :raises InvalidInput: the snapshot is another volume's
        :raises WrongState: the volume is attached, or either's status does not allow it
        """
        volume, snapshot = self.volume(volume_id), self.snapshot(snapshot_id)
        if snapshot.volume_id != volume_id:
            raise InvalidInput("snapshot_id", snapshot_id, f"it is one of volume {snapshot.volume_id}")
        self._require_no_file(volume)
        with self._passing(volume, "reverting", "available"), self._passing(snapshot, "restoring", "available"):
            self._check("volume.revert", volume, volume.pool)
            self._taken(volume, snapshot.disk, shared=True)
        return volume

    def set_read_only(self, volume_id: str, read_only: bool) -> None:
        """Allow only reading from now on, or writing again.

        :raises WrongState: it is not available
        """
        with self.lock:
            volume = self.volume(volume_id)
            if volume.status != "available":
                raise WrongState(f"volume {volume_id} is {volume.status}: detach it first")
            self._change((volume, {"read_only": read_only}))

    def change_volume(self, volume_id: str, **values: Any) -> Volume:
        """Change what a volume is called or what belongs to it: name, owner, type_name, metadata, bootable, qos.

        :raises InvalidInput: a field that is not changed like that
        """
        allowed = {"name", "owner", "type_name", "metadata", "bootable", "qos", "multiattach", "encryption"}
        unknown = values.keys() - allowed
        if unknown:
            raise InvalidInput("field", min(unknown), f"give some of {', '.join(sorted(allowed))}")
        with self.lock:
            volume = self.volume(volume_id)
            if "multiattach" in values and values["multiattach"] != volume.multiattach and volume.status == "in-use":
                raise WrongState(f"volume {volume_id} is in use: detach it before multiattach is changed")
            if "qos" in values:
                values["qos"] = check_qos(values["qos"])
            if {"multiattach", "encryption"} & values.keys():
                multiattach = values.get("multiattach", volume.multiattach)
                values["encryption"] = check_encryption(values.get("encryption", volume.encryption), multiattach)
            self._change((volume, values))
        return volume

    def set_status(self, volume_id: str, status: str) -> None:
        """Overwrite a volume's status, as an administrator does where something went wrong."""
        with self.lock:
            self._change((self.volume(volume_id), {"status": status}))

    def _original(self, snapshot_id: str | None, source_id: str | None) -> Any:
        """Return the snapshot or volume that a new volume is to be a copy of."""
        if snapshot_id is not None:
            original: Any = self.snapshot(snapshot_id)
            allowed: tuple[str, ...] = ("available",)
        elif source_id is not None:
            original, allowed = self.volume(source_id), STEADY
        else:
            return None
        if original.status not in allowed:
            raise WrongState(f"{original.kind} {original.id} is {original.status} and cannot be copied now")
        return original

    def _home(self, original: Any) -> str:
        return original.pool if isinstance(original, Volume) else self.volumes[original.volume_id].pool

    def _place(self, name: str | None, size_bytes: int) -> Pool:
        """Return the pool in which a volume of that size is to lie."""
        if name is not None:
            return self.pool(name)
        refusal: PoolFull | None = None
        for pool in self.pools.values():
            try:
                pool.promise(size_bytes)
            except PoolFull as error:
                refusal = refusal or error
                continue
            pool.promise(-size_bytes)
            return pool
        assert refusal is not None
        raise refusal

    def _taken(self, volume: Volume, source: SparseDisk | FileDisk, *, shared: bool) -> SparseDisk | FileDisk | None:
        """Let a volume have the content of a disk that is not longer; it keeps its size.

        :returns: what is still to be copied for it, and stands still; None: nothing
        """
        target = volume.disk
        if shared and isinstance(target, SparseDisk) and isinstance(source, SparseDisk):
            target.adopt(source)
            target.resize(volume.size_bytes)
            return None
        return source.clone(f"{volume.id}@copy") if isinstance(source, SparseDisk) else source

    def _copy_still(self, volume: Volume, still: SparseDisk | FileDisk) -> None:
        try:
            for _copied in copy(still, volume.disk):
                self._check("volume.copy", volume, volume.pool)
        finally:
            if isinstance(still, SparseDisk):
                self._drop_disk(still)

    def _still(self, volume: Volume) -> SparseDisk:
        """Return a copy of a volume's content that stands still; the caller drops it."""
        name = f"{volume.id}@{self._new_id()}"
        with self.lock:
            self._require_there(volume)
            if isinstance(volume.disk, SparseDisk):
                return volume.disk.clone(name)
        still = self._disk(name, volume.size_bytes, self.pools[volume.pool].meter)
        for _copied in copy(volume.disk, still):
            pass
        return still

    def _require_unused(self, volume: Volume) -> None:
        if volume.id in self._attachments_of:
            raise VolumeBusy(f"volume {volume.id} is attached: detach it first")
        if volume.status not in DELETABLE:
            raise WrongState(f"volume {volume.id} is {volume.status}: it has to be one of {', '.join(DELETABLE)}")
        if volume.group_id is not None:
            raise VolumeBusy(f"volume {volume.id} belongs to group {volume.group_id}: take it out first")
        self._require_no_file(volume)

    def _require_no_file(self, volume: Volume) -> None:
        if isinstance(volume.disk, FileDisk):
            raise VolumeBusy(f"volume {volume.id} lies in {volume.disk.path}: take it back from there first")
