"""Volumes, snapshots, groups, transfers and moves: what they hold, and what is refused."""

import hashlib
import shutil
import threading

import pytest

from nova_fakes.delays import Constant
from nova_fakes.exceptions import InjectedFault, InvalidInput
from nova_fakes.faults import FaultRule
from nova_fakes.volume import errors
from nova_fakes.volume.medium import CHUNK_BYTES
from nova_fakes.volume.pool import GIB, Pool
from nova_fakes.volume.store import VolumeStore


def _written(store, data=b"data", size_bytes=GIB, **values):
    volume = store.create_volume(size_bytes, **values)
    volume.disk.write(0, data)
    return volume


def test_volume_from_snapshot_has_its_bytes_and_may_be_larger(store):
    volume = _written(store, b"before")
    snapshot = store.create_snapshot(volume.id, name="first")
    volume.disk.write(0, b"after!")
    copy = store.create_volume(2 * GIB, snapshot_id=snapshot.id)
    assert copy.disk.read(0, 6) == b"before"
    assert copy.disk.read(2 * GIB - 1, 1) == b"\0"
    assert (copy.pool, copy.snapshot_id) == ("fast", snapshot.id)
    with pytest.raises(InvalidInput, match="its original has"):
        store.create_volume(GIB - 1, snapshot_id=snapshot.id)


def test_clone_in_another_pool_is_copied_and_in_the_same_is_shared(store):
    volume = _written(store)
    near = store.create_volume(source_id=volume.id)
    assert store.pool("fast").meter.used_bytes == CHUNK_BYTES
    far = store.create_volume(source_id=volume.id, pool="slow")
    assert store.pool("slow").meter.used_bytes == CHUNK_BYTES
    assert near.disk.digest() == far.disk.digest() == volume.disk.digest()


def test_snapshot_outlives_what_was_made_from_it_and_the_copy_outlives_the_snapshot(store):
    volume = _written(store)
    snapshot = store.create_snapshot(volume.id)
    copy = store.create_volume(snapshot_id=snapshot.id)
    with pytest.raises(errors.VolumeBusy, match="1 snapshots"):
        store.delete_volume(volume.id)
    store.delete_snapshot(snapshot.id)
    store.delete_volume(volume.id)
    assert copy.disk.read(0, 4) == b"data"
    store.delete_volume(copy.id)
    assert store.pool("fast").meter.used_bytes == store.pool("fast").provisioned_bytes == 0


def test_delete_with_cascade_takes_the_snapshots_along(store):
    volume = _written(store)
    store.create_snapshot(volume.id)
    store.delete_volume(volume.id, cascade=True)
    assert not store.snapshots
    assert not store.volumes


def test_revert_brings_bytes_back_and_keeps_the_size(store):
    volume = _written(store, b"first")
    snapshot = store.create_snapshot(volume.id)
    volume.disk.write(0, b"other")
    store.extend_volume(volume.id, 2 * GIB)
    volume.disk.write(2 * GIB - 1, b"x")
    store.revert(volume.id, snapshot.id)
    assert volume.disk.read(0, 5) == b"first"
    assert (volume.disk.size_bytes, volume.disk.read(2 * GIB - 1, 1)) == (2 * GIB, b"\0")
    other = store.create_volume(GIB)
    with pytest.raises(InvalidInput, match="one of volume"):
        store.revert(other.id, snapshot.id)


@pytest.mark.parametrize("size_bytes", [GIB - 1, GIB, 0, -5])
def test_volume_never_shrinks(store, size_bytes):
    volume = _written(store)
    with pytest.raises(InvalidInput, match="give more"):
        store.extend_volume(volume.id, size_bytes)
    assert (volume.size_bytes, volume.status) == (GIB, "available")


def test_thin_pool_promises_as_often_as_it_may_and_no_more(store):
    for _ in range(2):
        store.create_volume(9 * GIB, pool="fast")
    with pytest.raises(errors.PoolFull, match="promised"):
        store.create_volume(3 * GIB, pool="fast")
    assert store.create_volume(3 * GIB).pool == "slow"
    volume = store.create_volume(GIB, pool="fast")
    with pytest.raises(errors.PoolFull):
        store.extend_volume(volume.id, 4 * GIB)
    assert store.pool("fast").provisioned_bytes == 19 * GIB


def test_reserved_room_is_promised_to_nobody():
    store = VolumeStore([Pool(name="thick", total_bytes=10 * GIB, reserved_percentage=20, thin=False)])
    store.create_volume(8 * GIB)
    with pytest.raises(errors.PoolFull, match="room for 0 bytes"):
        store.create_volume(1)
    (statistics,) = store.statistics()
    assert statistics["free_capacity_gb"] == 2
    assert statistics["thick_provisioning_support"] is True


def test_full_pool_refuses_bytes_and_serves_those_that_it_has():
    store = VolumeStore([Pool(name="small", total_bytes=2 * CHUNK_BYTES)])
    volume = store.create_volume(10 * CHUNK_BYTES)
    device = store.open(store.attach(volume.id).id)
    device.write(0, b"x" * 2 * CHUNK_BYTES)
    with pytest.raises(errors.PoolFull):
        device.write(3 * CHUNK_BYTES, b"y")
    assert device.read(CHUNK_BYTES, 1) == b"x"
    device.discard(0, CHUNK_BYTES)
    device.write(3 * CHUNK_BYTES, b"y")


def test_migration_moves_every_byte_and_the_snapshots(store):
    volume = _written(store, b"m" * 3 * CHUNK_BYTES)
    snapshot = store.create_snapshot(volume.id)
    volume.disk.write(0, b"new")
    digest = volume.disk.digest()
    store.migrate(volume.id, "slow")
    assert (volume.pool, volume.status, volume.disk.digest()) == ("slow", "available", digest)
    assert snapshot.disk.read(0, 3) == b"mmm"
    assert store.pool("fast").meter.used_bytes == store.pool("fast").provisioned_bytes == 0
    assert store.pool("slow").provisioned_bytes == GIB


def test_migration_that_fails_midway_leaves_everything_where_it_was(store):
    volume = _written(store, b"m" * 5 * CHUNK_BYTES)
    digest = volume.disk.digest()
    store.faults.add(FaultRule("volume.copy", after=3, error=OSError("the array has gone")))
    with pytest.raises(OSError, match="gone"):
        store.migrate(volume.id, "slow")
    assert (volume.pool, volume.status, volume.disk.digest()) == ("fast", "available", digest)
    assert store.pool("slow").provisioned_bytes == store.pool("slow").meter.used_bytes == 0


def test_volume_takes_over_place_bytes_and_attachments_of_another(store):
    volume = _written(store, b"old")
    other = store.create_volume(2 * GIB, pool="slow")
    attachment = store.attach(other.id, "server")
    device = store.open(attachment.id)
    device.write(0, b"new")
    store.take_over(volume.id, other.id)
    assert (volume.pool, volume.size_bytes, volume.status) == ("slow", 2 * GIB, "in-use")
    assert store.attachments_of(volume.id) == [attachment]
    assert other.id not in store.volumes
    device.write(1, b"E")
    assert (volume.disk.read(0, 4), device.read(0, 4)) == (b"nEw\0", b"nEw\0")
    assert store.pool("fast").meter.used_bytes == store.pool("fast").provisioned_bytes == 0
    store.detach(attachment.id)
    store.delete_volume(volume.id)
    assert store.pool("slow").meter.used_bytes == store.pool("slow").provisioned_bytes == 0


def test_volume_in_use_takes_nothing_over(store):
    volume, other = _written(store, b"old"), store.create_volume(GIB)
    snapshot = store.create_snapshot(other.id)
    with pytest.raises(errors.VolumeBusy, match="snapshots"):
        store.take_over(volume.id, other.id)
    store.delete_snapshot(snapshot.id)
    attachment = store.attach(volume.id, "server")
    with pytest.raises(errors.VolumeBusy, match="attached"):
        store.take_over(volume.id, other.id)
    assert store.open(attachment.id).read(0, 3) == b"old"


@pytest.mark.parametrize(
    ("operation", "act"),
    [
        ("volume.create", lambda store, volume, snapshot: store.create_volume(GIB)),
        ("volume.create", lambda store, volume, snapshot: store.create_volume(snapshot_id=snapshot.id)),
        ("volume.delete", lambda store, volume, snapshot: store.delete_volume(volume.id, cascade=True)),
        ("volume.extend", lambda store, volume, snapshot: store.extend_volume(volume.id, 2 * GIB)),
        ("volume.revert", lambda store, volume, snapshot: store.revert(volume.id, snapshot.id)),
        ("volume.connect", lambda store, volume, snapshot: store.attach(volume.id, "server")),
        ("volume.migrate", lambda store, volume, snapshot: store.migrate(volume.id, "slow")),
        ("snapshot.create", lambda store, volume, snapshot: store.create_snapshot(volume.id)),
        ("snapshot.delete", lambda store, volume, snapshot: store.delete_snapshot(snapshot.id)),
    ],
)
def test_whatever_fails_leaves_the_store_as_it_was(store, operation, act):
    volume = _written(store)
    snapshot = store.create_snapshot(volume.id)
    before = _picture(store)
    store.faults.add(FaultRule(operation, host="nova-fakes@fake#*", times=1))
    with pytest.raises(InjectedFault):
        act(store, volume, snapshot)
    assert _picture(store) == before
    act(store, volume, snapshot)
    assert _picture(store) != before or operation == "volume.revert"


def _picture(store):
    kinds = (store.volumes, store.snapshots, store.attachments)
    records = [
        one.to_record() | {"digest": getattr(one, "disk", None) and one.disk.digest()}
        for kind in kinds
        for one in kind.values()
    ]
    return records, [(pool.provisioned_bytes, pool.meter.used_bytes) for pool in store.pools.values()]


def test_fault_rules_know_volumes_by_name_and_type(store):
    store.faults.add(FaultRule("volume.create", guest="db-*", error="InjectedFault: no databases here"))
    store.faults.add(FaultRule("volume.create", flavor="gold"))
    with pytest.raises(InjectedFault, match="no databases"):
        store.create_volume(GIB, name="db-1")
    with pytest.raises(InjectedFault):
        store.create_volume(GIB, name="web", type_name="gold")
    store.create_volume(GIB, name="web")


def test_volume_on_its_way_is_left_alone(store, clock):
    volume = _written(store)
    store.faults.add(FaultRule("volume.delete", delay=Constant(60)))
    deleting = threading.Thread(target=store.delete_volume, args=(volume.id,))
    deleting.start()
    assert clock.wait_for_sleepers()
    for act in (store.create_snapshot, store.delete_volume, store.attach, store.reserve):
        with pytest.raises(errors.WrongState, match="deleting"):
            act(volume.id)
    with pytest.raises(errors.WrongState, match="deleting"):
        store.create_volume(source_id=volume.id)
    with pytest.raises(errors.WrongState, match="deleting"):
        store.extend_volume(volume.id, 2 * GIB)
    clock.advance(60)
    deleting.join(10)
    assert not store.volumes


def test_group_snapshot_is_of_one_moment_and_whole(store):
    first, second = _written(store, b"1"), _written(store, b"2")
    group = store.create_group(name="pair")
    store.update_group(group.id, add=[first.id, second.id])
    whole = store.create_group_snapshot(group.id, snapshot_ids={first.id: "of-first"})
    assert whole.snapshot_ids[0] == "of-first"
    first.disk.write(0, b"x")
    assert [store.snapshot(one).disk.read(0, 1) for one in whole.snapshot_ids] == [b"1", b"2"]
    with pytest.raises(errors.VolumeBusy, match="group snapshot"):
        store.delete_snapshot("of-first")
    with pytest.raises(errors.VolumeBusy, match="has snapshots"):
        store.delete_group(group.id, volumes=True)
    store.delete_group_snapshot(whole.id)
    with pytest.raises(errors.VolumeBusy, match="take it out"):
        store.delete_volume(first.id)
    store.update_group(group.id, remove=[first.id])
    with pytest.raises(errors.VolumeBusy, match="1 volumes"):
        store.delete_group(group.id)
    store.delete_group(group.id, volumes=True)
    assert list(store.volumes) == [first.id]


def test_group_snapshot_fails_as_a_whole(store):
    first, second = _written(store, b"1"), _written(store, b"2")
    group = store.create_group()
    store.update_group(group.id, add=[first.id, second.id])
    store.set_status(second.id, "error")
    with pytest.raises(errors.WrongState, match="error"):
        store.create_group_snapshot(group.id)
    assert not store.snapshots
    with pytest.raises(InvalidInput, match="no volumes"):
        store.create_group_snapshot(store.create_group().id)


def test_transfer_hands_a_volume_to_whoever_has_the_key(store):
    volume = _written(store, owner="alice")
    transfer, key = store.offer(volume.id)
    for act in (store.attach, store.create_snapshot, store.delete_volume):
        with pytest.raises(errors.WrongState, match="awaiting-transfer"):
            act(volume.id)
    with pytest.raises(errors.TransferRefused):
        store.accept(transfer.id, "0" * 16, "bob")
    assert key not in str(transfer.to_record())
    assert store.accept(transfer.id, key, "bob").owner == "bob"
    with pytest.raises(errors.TransferNotFound):
        store.accept(transfer.id, key, "carol")
    transfer, _key = store.offer(volume.id)
    store.withdraw(transfer.id)
    assert (volume.status, volume.owner) == ("available", "bob")


def test_image_goes_in_and_out_with_every_byte(store, tmp_path):
    volume = store.create_volume(4 * CHUNK_BYTES)
    volume.disk.write(3 * CHUNK_BYTES, b"old")
    content = b"image" + bytes(2 * CHUNK_BYTES) + b"end"
    store.load_image(volume.id, [content[:7], content[7:]])
    assert volume.disk.read(0, len(content)) == content
    assert volume.disk.read(3 * CHUNK_BYTES, 3) == b"\0\0\0"
    assert volume.disk.allocated_bytes == 2 * CHUNK_BYTES
    store.save_image(volume.id, tmp_path / "raw")
    assert (tmp_path / "raw").read_bytes() == content.ljust(4 * CHUNK_BYTES, b"\0")
    with pytest.raises(FileExistsError):
        store.save_image(volume.id, tmp_path / "raw")


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is missing: apt install qemu-utils")
@pytest.mark.parametrize("image_format", ["qcow2", "vmdk", "vdi", "vhdx"])
def test_other_formats_go_by_way_of_qemu_img(store, tmp_path, image_format):
    volume = _written(store, hashlib.sha256(b"seed").digest() * 5000, 3 * CHUNK_BYTES)
    store.save_image(volume.id, tmp_path / "image", image_format)
    other = store.create_volume(5 * CHUNK_BYTES)
    store.load_image(other.id, [(tmp_path / "image").read_bytes()], image_format)
    assert other.disk.read(0, 3 * CHUNK_BYTES) == volume.disk.read(0, 3 * CHUNK_BYTES)
    with pytest.raises(errors.ImageUnreadable):
        store.load_image(other.id, [b"this is none"], image_format)


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is missing: apt install qemu-utils")
def test_image_that_refers_to_another_file_is_refused(store, tmp_path):
    import subprocess

    (tmp_path / "secret").write_bytes(b"s" * 1024)
    command = [
        "qemu-img",
        "create",
        "-q",
        "-f",
        "qcow2",
        "-b",
        str(tmp_path / "secret"),
        "-F",
        "raw",
        str(tmp_path / "i"),
    ]
    subprocess.run(command, check=True)
    volume = store.create_volume(GIB)
    with pytest.raises(errors.ImageUnreadable, match="other files"):
        store.load_image(volume.id, [(tmp_path / "i").read_bytes()], "qcow2")
    assert volume.disk.read(0, 10) == bytes(10)
    assert volume.status == "available"


def test_image_that_is_too_large_leaves_the_volume_in_error(store):
    volume = store.create_volume(CHUNK_BYTES)
    with pytest.raises(errors.ImageUnreadable, match="larger"):
        store.load_image(volume.id, [b"x" * CHUNK_BYTES, b"y"])
    assert volume.status == "error"
    store.delete_volume(volume.id)


def test_renamed_volume_keeps_its_bytes(store):
    volume = _written(store)
    snapshot = store.create_snapshot(volume.id)
    store.rename(volume.id, "managed")
    store.rename_snapshot(snapshot.id, "of-managed")
    assert [one.id for one in store.snapshots_of("managed")] == ["of-managed"]
    assert store.snapshot("of-managed").disk.read(0, 4) == b"data"
    assert store.volume("managed").disk.read(0, 4) == b"data"
    with pytest.raises(errors.VolumeNotFound):
        store.volume(volume.id)
    with pytest.raises(errors.VolumeExists):
        store.create_volume(GIB, volume_id="managed")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"encryption": {}}, "provider"),
        ({"encryption": {"provider": "luks", "control_location": "moon"}}, "front-end or back-end"),
        ({"encryption": {"provider": "luks"}, "multiattach": True}, "several times"),
        ({"qos": {"consumer": "nobody"}}, "front-end"),
        ({"size_bytes": 0}, "1 or more"),
    ],
)
def test_what_cannot_be_is_refused(store, values, message):
    with pytest.raises(InvalidInput, match=message):
        store.create_volume(**{"size_bytes": GIB, **values})
    assert not store.volumes


def test_two_stores_know_nothing_of_each_other(store):
    other = VolumeStore()
    store.create_volume(GIB, volume_id="one")
    with pytest.raises(errors.VolumeNotFound, match="no volume one"):
        other.volume("one")
