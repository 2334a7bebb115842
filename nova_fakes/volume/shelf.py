"""What lies in a store, and how it is kept: the ground on which the store's operations stand."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from nova_fakes.clock import Clock, SystemClock
from nova_fakes.exceptions import InvalidInput
from nova_fakes.faults import Faults
from nova_fakes.volume import errors
from nova_fakes.volume.chunks import Chunk, Meter
from nova_fakes.volume.database import Database
from nova_fakes.volume.disk import SparseDisk
from nova_fakes.volume.pool import Pool
from nova_fakes.volume.records import Attachment, Backup, Group, GroupSnapshot, Record, Snapshot, Transfer, Volume

__all__ = ["Shelf"]

_R = TypeVar("_R", bound=Record)
#: A record and the values that some of its fields are to have.
Change = tuple[Record, Mapping[str, Any]]


class Shelf:
    """Pools, volumes and whatever belongs to them. Whoever reads or changes several things holds `lock`.

    :param pools: where volumes are made; the first that has room takes those for which none is named
    :param backend: by which it is known to Cinder and to fault rules: host@backend
    :param clock: what times are stamped from
    :param faults: rules that are asked before anything is done; the host in them is host@backend#pool
    :param path: of the file in which everything is kept; None: nothing outlives the process
    :param new_id: makes identifiers
    :raises InvalidInput: no pool, two of one name, or a file that is no store
    """

    def __init__(
        self,
        pools: Iterable[Pool] = (),
        *,
        backend: str = "nova-fakes@fake",
        clock: Clock | None = None,
        faults: Faults | None = None,
        path: str | Path | None = None,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        given = list(pools) or [Pool(name=backend.rpartition("@")[2])]
        self.pools = {pool.name: pool for pool in given}
        if len(self.pools) < len(given):
            raise InvalidInput("pools", [pool.name for pool in given], "give each another name")
        self.backend = backend
        self.clock: Clock = clock or SystemClock()
        self.faults = faults or Faults(self.clock)
        self.lock = threading.RLock()
        self.volumes: dict[str, Volume] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.attachments: dict[str, Attachment] = {}
        self.groups: dict[str, Group] = {}
        self.group_snapshots: dict[str, GroupSnapshot] = {}
        self.transfers: dict[str, Transfer] = {}
        self.backups: dict[str, Backup] = {}
        #: What backups take up, which lie in no pool.
        self.backup_meter = Meter()
        self._by_kind: dict[str, dict[str, Any]] = {
            Volume.kind: self.volumes,
            Snapshot.kind: self.snapshots,
            Attachment.kind: self.attachments,
            Group.kind: self.groups,
            GroupSnapshot.kind: self.group_snapshots,
            Transfer.kind: self.transfers,
            Backup.kind: self.backups,
        }
        self._snapshots_of: dict[str, dict[str, Snapshot]] = {}
        self._attachments_of: dict[str, dict[str, Attachment]] = {}
        #: Of what is on its way from one status to another: the old one, which is its status in the file; None: it is
        #: being made, and not in the file.
        self._before: dict[str, str | None] = {}
        self._new_id = new_id or (lambda: str(uuid.uuid4()))
        self._database = None if path is None else Database(path)
        if self._database is not None:
            self._restore(self._database)

    def close(self) -> None:
        """Close the file of the store. What was done is in it."""
        if self._database is not None:
            self._database.close()

    # What there is

    def pool(self, name: str) -> Pool:
        """Return the pool of that name.

        :raises PoolNotFound: there is none
        """
        try:
            return self.pools[name]
        except KeyError:
            raise errors.PoolNotFound(f"there is no pool {name}: there are {', '.join(self.pools)}") from None

    def volume(self, volume_id: str) -> Volume:
        """Return the volume.

        :raises VolumeNotFound: there is none
        """
        return _found(self.volumes, volume_id, errors.VolumeNotFound)

    def snapshot(self, snapshot_id: str) -> Snapshot:
        """Return the snapshot.

        :raises SnapshotNotFound: there is none
        """
        return _found(self.snapshots, snapshot_id, errors.SnapshotNotFound)

    def attachment(self, attachment_id: str) -> Attachment:
        """Return the attachment.

        :raises AttachmentNotFound: there is none
        """
        return _found(self.attachments, attachment_id, errors.AttachmentNotFound)

    def snapshots_of(self, volume_id: str) -> list[Snapshot]:
        """Return a volume's snapshots in the order in which they were taken."""
        return list(self._snapshots_of.get(volume_id, {}).values())

    def attachments_of(self, volume_id: str) -> list[Attachment]:
        """Return a volume's attachments in the order in which they were made."""
        return list(self._attachments_of.get(volume_id, {}).values())

    # How it is changed: first in the file, all or nothing, then here

    def _check(self, operation: str, record: Volume | Snapshot, pool: str) -> None:
        """Let fault rules have their say; the caller does not hold the lock, for they may take their time.

        :raises BaseException: what a rule says
        """
        if self.faults.active:
            self.faults.check(operation, f"{self.backend}#{pool}", record)

    @contextmanager
    def _passing(self, record: Volume | Snapshot, status: str, *allowed: str) -> Iterator[str]:
        """Let nobody else do anything to a record while the caller does; it has its old status again afterwards.

        A process that is killed meanwhile finds the old status: this one is in memory alone.

        :param allowed: in which statuses it may be
        :returns: the old status
        :raises WrongState: it is in another
        :raises VolumeNotFound: it has been deleted meanwhile
        :raises SnapshotNotFound: likewise
        """
        with self.lock:
            self._require_there(record)
            before = record.status
            if before not in allowed:
                raise _wrong(record, allowed)
            record.status, self._before[record.id] = status, before
        try:
            yield before
        finally:
            with self.lock:
                del self._before[record.id]
                if record.status == status:
                    record.status = before

    def _require_there(self, record: Volume | Snapshot | Backup) -> None:
        """Refuse what somebody has deleted since it was looked up; the caller holds the lock."""
        if self._by_kind[record.kind].get(record.id) is not record:
            raise _GONE[record.kind](f"{record.kind} {record.id} has been deleted")

    def _add(self, *records: Record) -> None:
        self._commit(added=records)

    def _change(self, *changes: Change) -> None:
        self._commit(changes)

    def _remove(self, *records: Record) -> None:
        """Drop records, with the bytes of volumes, snapshots and backups."""
        self._commit(removed=records)

    def _commit(
        self,
        changes: Iterable[Change] = (),
        added: Iterable[Record] = (),
        removed: Iterable[Record] = (),
        shared: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Do all of that, in the file and then here, or nothing.

        :param shared: disks whose bytes others have from now on, which are dropped for it: from, to
        :raises StoreUnwritable: the file cannot be written
        """
        if self._database is not None:
            self._save(self._database, changes, added, removed, shared)
        for record, values in changes:
            for name, value in values.items():
                setattr(record, name, value)
        for record in added:
            self._index(record)
        for record in removed:
            del self._by_kind[record.kind][record.id]
            if isinstance(record, Volume | Snapshot | Backup) and isinstance(record.disk, SparseDisk):
                record.disk.release()
            if isinstance(record, Snapshot):
                _discard(self._snapshots_of, record.volume_id, record.id)
            elif isinstance(record, Attachment):
                _discard(self._attachments_of, record.volume_id, record.id)

    def _save(
        self,
        database: Database,
        changes: Iterable[Change],
        added: Iterable[Record],
        removed: Iterable[Record],
        shared: Iterable[tuple[str, str]],
    ) -> None:
        # No disk is touched in here: whoever writes to one holds its lock and waits for the file's.
        with database.transaction():
            for record, values in changes:
                before = self._before.get(record.id, "")
                if before is not None:
                    steady = {"status": before, **values} if before else values
                    database.save(record.kind, record.id, record.to_record(steady))
            for record in added:
                database.save(record.kind, record.id, record.to_record())
            for source, target in shared:
                database.share(source, target)
                database.forget(source)
            for record in removed:
                database.save(record.kind, record.id, None)
                if isinstance(record, Volume | Snapshot | Backup):
                    database.forget(record.id)

    def _index(self, record: Record) -> None:
        self._by_kind[record.kind][record.id] = record
        if isinstance(record, Snapshot):
            self._snapshots_of.setdefault(record.volume_id, {})[record.id] = record
        elif isinstance(record, Attachment):
            self._attachments_of.setdefault(record.volume_id, {})[record.id] = record

    # Disks

    def _disk(self, name: str, size_bytes: int, meter: Meter) -> SparseDisk:
        return SparseDisk(size_bytes, meter, self._database, name)

    def _drop_disk(self, disk: SparseDisk) -> None:
        """Forget a disk that has not become a volume's after all."""
        disk.release()
        if self._database is not None:
            self._database.forget(disk.name)

    def _restore(self, database: Database) -> None:
        chunks: dict[int, Chunk] = {}
        for record in database.records(Volume.kind):
            pool = self.pool(record["pool"])
            disk = self._restored(database, record, pool.meter, chunks)
            self._index(Volume(**record, disk=disk))
            pool.provisioned_bytes += record["size_bytes"]
        for record in database.records(Snapshot.kind):
            meter = self.pool(self.volumes[record["volume_id"]].pool).meter
            self._index(Snapshot(**record, disk=self._restored(database, record, meter, chunks)))
        for record in database.records(Backup.kind):
            self._index(Backup(**record, disk=self._restored(database, record, self.backup_meter, chunks)))
        for kind in (Attachment, Group, GroupSnapshot, Transfer):
            for record in database.records(kind.kind):
                self._index(kind.from_record(record))
        for name in database.disks():
            # Bytes that were on their way to a volume when the process was killed.
            if name not in self.volumes and name not in self.snapshots and name not in self.backups:
                database.forget(name)

    def _restored(
        self, database: Database, record: Mapping[str, Any], meter: Meter, chunks: dict[int, Chunk]
    ) -> SparseDisk:
        disk = self._disk(record["id"], record["size_bytes"], meter)
        places = database.places(record["id"])
        for _place, key in places:
            if key not in chunks:
                chunks[key] = Chunk(None, meter, key)
        disk.restore((place, chunks[key]) for place, key in places)
        return disk


_GONE: Mapping[str, type[errors.StorageError]] = {
    Volume.kind: errors.VolumeNotFound,
    Snapshot.kind: errors.SnapshotNotFound,
    Backup.kind: errors.BackupNotFound,
}


def _found(there: Mapping[str, _R], identifier: str, error: type[errors.StorageError]) -> _R:
    try:
        return there[identifier]
    except KeyError:
        kind = error.__name__.removesuffix("NotFound").lower()
        raise error(f"there is no {kind} {identifier} in this store") from None


def _wrong(record: Volume | Snapshot, allowed: tuple[str, ...]) -> errors.WrongState:
    return errors.WrongState(f"{record.kind} {record.id} is {record.status}: it has to be {' or '.join(allowed)}")


def _discard(index: dict[str, dict[str, Any]], key: str, member: str) -> None:
    members = index[key]
    del members[member]
    if not members:
        del index[key]
