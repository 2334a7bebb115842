"""Backups: they outlive their volumes, hold what differs, and bring it back."""

import pytest

from nova_fakes.exceptions import InjectedFault, InvalidInput
from nova_fakes.faults import FaultRule
from nova_fakes.volume.errors import BackupNotFound, VolumeBusy, VolumeExists, WrongState
from nova_fakes.volume.medium import CHUNK_BYTES
from nova_fakes.volume.pool import GIB
from nova_fakes.volume.store import VolumeStore


def test_backup_outlives_its_volume_and_takes_no_room_in_the_pool(store):
    volume = store.create_volume(GIB)
    volume.disk.write(5, b"bytes")
    backup = store.create_backup(volume.id)
    assert (backup.pieces, backup.size_bytes) == (1, GIB)
    store.delete_volume(volume.id)
    assert (store.pool("fast").meter.used_bytes, store.backup_meter.used_bytes) == (0, CHUNK_BYTES)
    target = store.create_volume(2 * GIB)
    target.disk.write(GIB - 3, b"old")
    store.restore_backup(backup.id, target.id)
    assert (target.disk.read(5, 5), target.disk.read(GIB - 3, 3), target.status) == (b"bytes", b"\0\0\0", "available")
    store.delete_backup(backup.id)
    assert store.backup_meter.used_bytes == 0
    with pytest.raises(BackupNotFound):
        store.restore_backup(backup.id, target.id)


def test_incremental_backup_copies_what_differs(store):
    volume = store.create_volume(GIB)
    volume.disk.write(0, b"a" * 3 * CHUNK_BYTES)
    full = store.create_backup(volume.id)
    volume.disk.write(CHUNK_BYTES, b"b")
    volume.disk.discard(2 * CHUNK_BYTES, CHUNK_BYTES)
    store.extend_volume(volume.id, 2 * GIB)
    volume.disk.write(2 * GIB - 1, b"c")
    part = store.create_backup(volume.id, parent_id=full.id)
    assert (full.pieces, part.pieces) == (3, 2)
    assert (part.disk.digest(), part.size_bytes) == (volume.disk.digest(), 2 * GIB)
    assert full.disk.read(2 * CHUNK_BYTES, 1) == b"a"
    assert store.backup_meter.used_bytes == 5 * CHUNK_BYTES
    with pytest.raises(VolumeBusy, match="depend"):
        store.delete_backup(full.id)
    store.delete_backup(part.id)
    store.delete_backup(full.id)


def test_snapshot_is_kept_as_it_was(store):
    volume = store.create_volume(GIB)
    volume.disk.write(0, b"then")
    snapshot = store.create_snapshot(volume.id)
    volume.disk.write(0, b"now!")
    backup = store.create_backup(volume.id, snapshot_id=snapshot.id)
    assert backup.disk.read(0, 4) == b"then"


def test_refusals(store):
    volume, other = store.create_volume(GIB), store.create_volume(2 * GIB)
    backup = store.create_backup(other.id)
    with pytest.raises(InvalidInput, match="one of volume"):
        store.create_backup(volume.id, parent_id=backup.id)
    with pytest.raises(InvalidInput, match="shorter"):
        store.restore_backup(backup.id, volume.id)
    with pytest.raises(VolumeExists):
        store.create_backup(other.id, backup_id=backup.id)
    store.attach(other.id, "server")
    assert store.create_backup(other.id).volume_id == other.id
    with pytest.raises(WrongState):
        store.restore_backup(backup.id, other.id)
    store.set_status(volume.id, "error")
    with pytest.raises(WrongState):
        store.create_backup(volume.id)


def test_failure_midway_leaves_no_backup_and_a_volume_in_error(store):
    volume = store.create_volume(GIB)
    volume.disk.write(0, b"a" * 2 * CHUNK_BYTES)
    store.faults.add(FaultRule("volume.copy", after=1, times=1))
    with pytest.raises(InjectedFault):
        store.create_backup(volume.id)
    assert (store.backups, store.backup_meter.used_bytes, volume.status) == ({}, 0, "available")
    backup = store.create_backup(volume.id)
    store.faults.add(FaultRule("volume.copy", times=1))
    with pytest.raises(InjectedFault):
        store.restore_backup(backup.id, volume.id)
    assert volume.status == "error"


def test_backups_are_found_again(tmp_path):
    store = VolumeStore(path=tmp_path / "store")
    volume = store.create_volume(GIB)
    volume.disk.write(0, b"first")
    full = store.create_backup(volume.id)
    volume.disk.write(0, b"other")
    part = store.create_backup(volume.id, parent_id=full.id)
    store.delete_volume(volume.id)
    store.close()

    again = VolumeStore(path=tmp_path / "store")
    assert [again.backup(one.id).disk.read(0, 5) for one in (full, part)] == [b"first", b"other"]
    assert (again.backup(part.id).parent_id, again.backup_meter.used_bytes) == (full.id, 2 * CHUNK_BYTES)
    again.delete_backup(part.id)
    again.delete_backup(full.id)
    again.close()
    last = VolumeStore(path=tmp_path / "store")
    assert (last.backups, last._database.disks()) == ({}, [])
    last.close()
