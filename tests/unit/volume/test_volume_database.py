"""A store in a file: found again, whole, whatever happened to its process."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from killed_writer import SIZE, Story, picture

from nova_fakes.exceptions import InvalidInput
from nova_fakes.rabbit.sqlite_store import SqliteStore
from nova_fakes.volume.errors import StoreUnwritable
from nova_fakes.volume.medium import CHUNK_BYTES
from nova_fakes.volume.pool import GIB, Pool
from nova_fakes.volume.store import VolumeStore


def test_everything_is_found_again(tmp_path):
    store = VolumeStore(path=tmp_path / "store")
    volume = store.create_volume(1 << 40, name="disk", metadata={"a": "b"}, qos={"consumer": "both", "specs": {"x": 1}})
    volume.disk.write(17, b"some bytes")
    volume.disk.write((1 << 40) - 3, b"end")
    snapshot = store.create_snapshot(volume.id)
    volume.disk.write(17, b"other bytes")
    attachment = store.attach(volume.id, "server")
    group = store.create_group(name="group")
    other = store.create_volume(GIB)
    store.update_group(group.id, add=[other.id])
    offered, key = store.offer(store.create_volume(GIB).id)
    kept = [[one.to_record() for one in kind.values()] for kind in store._by_kind.values()]
    digests = volume.disk.digest(), snapshot.disk.digest()
    store.close()

    again = VolumeStore(path=tmp_path / "store")
    assert [[one.to_record() for one in kind.values()] for kind in again._by_kind.values()] == kept
    assert (again.volume(volume.id).disk.digest(), again.snapshot(snapshot.id).disk.digest()) == digests
    (pool,) = again.pools.values()
    assert pool.provisioned_bytes == (1 << 40) + 2 * GIB
    assert pool.meter.used_bytes == 3 * CHUNK_BYTES
    assert again.open(attachment.id).read(17, 5) == b"other"
    again.volume(volume.id).disk.write(17, b"third")
    assert again.snapshot(snapshot.id).disk.read(17, 4) == b"some"
    assert again.accept(offered.id, key, "bob").owner == "bob"
    again.close()


def test_file_holds_no_bytes_that_nobody_has(tmp_path):
    store = VolumeStore([Pool(name="a"), Pool(name="b")], path=tmp_path / "store")
    volume = store.create_volume(SIZE)
    volume.disk.write(0, b"x" * SIZE)
    snapshot = store.create_snapshot(volume.id)
    volume.disk.write(0, b"y" * SIZE)
    store.migrate(volume.id, "b")
    store.save_image(volume.id, tmp_path / "image")
    store.create_volume(source_id=volume.id, volume_id="copy", pool="a")
    assert _chunks(store) == 3 * SIZE // CHUNK_BYTES
    store.delete_volume("copy")
    store.revert(volume.id, snapshot.id)
    assert _chunks(store) == SIZE // CHUNK_BYTES
    store.delete_volume(volume.id, cascade=True)
    assert _chunks(store) == 0
    store.close()


def test_what_was_taken_over_is_found_again(tmp_path):
    pools = [Pool(name="a"), Pool(name="b")]
    store = VolumeStore(pools, path=tmp_path / "store")
    volume, other = store.create_volume(SIZE, pool="a"), store.create_volume(SIZE, pool="b")
    volume.disk.write(0, b"x" * SIZE)
    attachment = store.attach(other.id, "server")
    device = store.open(attachment.id)
    device.write(0, b"y" * SIZE)
    store.take_over(volume.id, other.id)
    device.write(SIZE - 1, b"z")
    assert _chunks(store) == SIZE // CHUNK_BYTES
    store.close()
    again = VolumeStore([Pool(name="a"), Pool(name="b")], path=tmp_path / "store")
    assert list(again.volumes) == [volume.id]
    assert again.open(attachment.id).read(SIZE - 2, 2) == b"yz"
    assert (again.pools["a"].provisioned_bytes, again.pools["b"].provisioned_bytes) == (0, SIZE)
    again.close()


def _chunks(store):
    return store._database._file.execute("SELECT count(*) FROM chunks").fetchone()[0]


def test_unwritable_file_changes_nothing(tmp_path):
    store = VolumeStore(path=tmp_path / "store")
    volume = store.create_volume(GIB)
    volume.disk.write(0, b"before")
    other = store.create_volume(GIB)
    store._database._file.execute("PRAGMA query_only = ON")
    for act in (
        lambda: volume.disk.write(0, b"after!"),
        lambda: volume.disk.discard(0, GIB),
        lambda: store.create_volume(GIB),
        lambda: store.create_snapshot(volume.id),
        lambda: store.extend_volume(volume.id, 2 * GIB),
        lambda: store.attach(volume.id),
        lambda: store.take_over(volume.id, other.id),
        lambda: store.delete_volume(volume.id),
    ):
        with pytest.raises(StoreUnwritable, match="readonly"):
            act()
    assert volume.disk.read(0, 6) == b"before"
    assert (list(store.volumes), store.snapshots, store.attachments) == ([volume.id, other.id], {}, {})
    assert (volume.status, volume.size_bytes, volume.disk.size_bytes) == ("available", GIB, GIB)
    store._database._file.execute("PRAGMA query_only = OFF")
    store.delete_volume(volume.id)
    store.delete_volume(other.id)
    assert store.pools["fake"].provisioned_bytes == 0
    store.close()


def test_two_processes_do_not_share_a_file(tmp_path):
    store = VolumeStore(path=tmp_path / "store")
    with pytest.raises(InvalidInput, match="another process uses it"):
        VolumeStore(path=tmp_path / "store")
    store.close()
    (tmp_path / "text").write_text("this is no database, but a text that is long enough to be taken for one")
    with pytest.raises(InvalidInput, match="not a database"):
        VolumeStore(path=tmp_path / "text")


@pytest.mark.parametrize("seed", range(4))
def test_killed_writer_leaves_whole_operations(tmp_path, seed):
    writer = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("killed_writer.py"), tmp_path / "store", str(seed)],
        stdout=subprocess.PIPE,
        text=True,
    )
    told = 0
    for line in writer.stdout:
        told = int(line)
        if told >= 60 + 37 * seed:
            break
    os.kill(writer.pid, signal.SIGKILL)
    rest = writer.stdout.read().split()
    writer.wait()
    writer.stdout.close()
    told = int(rest[-1]) if rest else told

    model = Story(VolumeStore(), seed)
    for _ in range(told):
        model.step()
    found = picture(VolumeStore(path=tmp_path / "store"))
    if found != picture(model.store):
        model.step()  # it was done, but not told any more
    assert found == picture(model.store)


def test_file_of_another_format_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "store") as file:
        file.execute("CREATE TABLE records (something TEXT)")
    with pytest.raises(InvalidInput, match="another program"):
        VolumeStore(path=tmp_path / "store")


def test_file_of_another_fake_is_refused(tmp_path):
    path = tmp_path / "kept"
    with SqliteStore(path):
        pass
    with pytest.raises(InvalidInput, match="holds no volume store"):
        VolumeStore(path=path)
