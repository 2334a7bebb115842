"""What others do to a store while an operation is on its way: each either comes before or after it, or is refused."""

import contextlib
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import InjectedFault, NovaFakesError
from nova_fakes.faults import FaultRule, Faults
from nova_fakes.volume.errors import BackupNotFound, SnapshotNotFound, VolumeNotFound, WrongState
from nova_fakes.volume.medium import CHUNK_BYTES
from nova_fakes.volume.pool import Pool
from nova_fakes.volume.store import VolumeStore

SIZE = 4 * CHUNK_BYTES


class Meanwhile(Faults):
    """Does what it is told when an operation asks for faults, which is when the store's lock is free."""

    def __init__(self) -> None:
        super().__init__(ManualClock())
        self.acts: dict[str, Callable[[], object]] = {}

    @property
    def active(self) -> bool:
        return True

    @active.setter
    def active(self, value: bool) -> None:
        """What happens meanwhile needs no rules."""

    def check(self, operation: str, *about: Any) -> Any:
        act = self.acts.pop(operation, None)
        if act is not None:
            act()
        return super().check(operation, *about)


def pools() -> list[Pool]:
    return [Pool(name="fast"), Pool(name="slow")]


@pytest.fixture
def meanwhile() -> Meanwhile:
    return Meanwhile()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(meanwhile: Meanwhile, path: Path) -> Iterator[VolumeStore]:
    store = VolumeStore(pools(), faults=meanwhile, path=path)
    yield store
    store.close()


def written(store: VolumeStore, **values: Any) -> str:
    volume = store.create_volume(SIZE, **values)
    volume.disk.write(CHUNK_BYTES, b"bytes")
    return volume.id


def killed_now(path: Path) -> VolumeStore:
    """The store that another process would find if this one were killed at this moment."""
    copy = path.with_name("copy")
    copy.mkdir()
    for one in path.parent.glob("store*"):
        shutil.copy(one, copy)
    return VolumeStore(pools(), path=copy / path.name)


def test_snapshots_go_with_their_volume_or_stay(store: VolumeStore, meanwhile: Meanwhile) -> None:
    volume_id = written(store)
    snapshot = store.create_snapshot(volume_id)

    def meddle() -> None:
        with pytest.raises(WrongState, match="deleting"):
            store.delete_snapshot(snapshot.id)

    meanwhile.acts["volume.delete"] = meddle
    meanwhile.add(FaultRule("volume.delete", times=1))
    with pytest.raises(InjectedFault):
        store.delete_volume(volume_id, cascade=True)
    assert (store.volume(volume_id).status, snapshot.status) == ("available", "available")
    store.delete_volume(volume_id, cascade=True)
    assert (store.volumes, store.snapshots) == ({}, {})


@pytest.mark.parametrize("pool", ["fast", "slow"])
def test_copy_outlives_its_original(store: VolumeStore, meanwhile: Meanwhile, pool: str) -> None:
    source = written(store)
    meanwhile.acts["volume.create"] = lambda: store.delete_volume(source)
    copy = store.create_volume(source_id=source, pool=pool)
    assert copy.disk.read(CHUNK_BYTES, 5) == b"bytes"
    assert source not in store.volumes


def test_backup_is_restored_though_it_goes(store: VolumeStore, meanwhile: Meanwhile) -> None:
    backup, target = store.create_backup(written(store)).id, store.create_volume(SIZE).id
    meanwhile.acts["volume.copy"] = lambda: store.delete_backup(backup)
    store.restore_backup(backup, target)
    assert store.volume(target).disk.read(CHUNK_BYTES, 5) == b"bytes"
    other = store.create_backup(target).id
    meanwhile.acts["backup.restore"] = lambda: store.delete_backup(other)
    with pytest.raises(BackupNotFound):
        store.restore_backup(other, target)
    assert store.volume(target).status == "available"


def test_backup_needs_what_it_is_made_of_to_its_end(store: VolumeStore, meanwhile: Meanwhile) -> None:
    volume_id = written(store)
    snapshot, parent = store.create_snapshot(volume_id).id, store.create_backup(volume_id).id
    meanwhile.acts["backup.create"] = lambda: store.delete_snapshot(snapshot)
    with pytest.raises(SnapshotNotFound):
        store.create_backup(volume_id, snapshot_id=snapshot)
    store.volume(volume_id).disk.write(0, b"x")
    meanwhile.acts["volume.copy"] = lambda: store.delete_backup(parent)
    with pytest.raises(BackupNotFound):
        store.create_backup(volume_id, parent_id=parent)
    meanwhile.acts["backup.create"] = lambda: store.delete_volume(volume_id)
    with pytest.raises(VolumeNotFound):
        store.create_backup(volume_id)
    assert (store.backups, store.backup_meter.used_bytes) == ({}, 0)


def test_image_of_a_volume_that_goes_is_none(store: VolumeStore, meanwhile: Meanwhile, tmp_path: Path) -> None:
    volume_id = written(store)
    meanwhile.acts["volume.upload"] = lambda: store.delete_volume(volume_id)
    with pytest.raises(VolumeNotFound):
        store.save_image(volume_id, tmp_path / "image")


def test_status_on_the_way_is_not_in_the_file(store: VolumeStore, meanwhile: Meanwhile, path: Path) -> None:
    volume_id = written(store, pool="fast")
    seen = []

    def look() -> None:
        store.change_volume(volume_id, name="renamed")
        with contextlib.closing(killed_now(path)) as other:
            seen.append((store.volume(volume_id).status, other.volume(volume_id).status, other.volume(volume_id).name))

    meanwhile.acts["volume.copy"] = look
    store.migrate(volume_id, "slow")
    assert seen == [("migrating", "available", "renamed")]
    assert (store.volume(volume_id).status, store.volume(volume_id).pool) == ("available", "slow")


def test_volume_that_is_not_made_is_not_in_the_file(store: VolumeStore, meanwhile: Meanwhile, path: Path) -> None:
    meanwhile.acts["volume.create"] = lambda: store.change_volume("new", name="renamed")
    meanwhile.add(FaultRule("volume.create", times=1))
    with pytest.raises(InjectedFault):
        store.create_volume(SIZE, volume_id="new")
    meanwhile.acts["volume.create"] = lambda: store.change_volume("made", name="renamed")
    store.create_volume(SIZE, volume_id="made")
    with contextlib.closing(killed_now(path)) as other:
        assert {one.id: one.name for one in other.volumes.values()} == {"made": "renamed"}


def test_nothing_takes_what_is_on_its_way(store: VolumeStore, meanwhile: Meanwhile) -> None:
    volume_id, other_id, group = written(store), written(store), store.create_group().id

    def meddle() -> None:
        with pytest.raises(WrongState, match="extending"):
            store.take_over(volume_id, other_id)
        with pytest.raises(WrongState, match="extending"):
            store.update_group(group, add=[other_id])

    meanwhile.acts["volume.extend"] = meddle
    store.extend_volume(other_id, 2 * SIZE)
    assert store.volume(other_id).size_bytes == 2 * SIZE
    store.offer(other_id)
    with pytest.raises(WrongState, match="awaiting-transfer"):
        store.take_over(volume_id, other_id)


def test_attachment_moves_while_it_is_made(store: VolumeStore, meanwhile: Meanwhile) -> None:
    volume_id, other_id = written(store), store.create_volume(SIZE).id
    attachment = store.reserve(other_id, "server")
    meanwhile.acts["volume.connect"] = lambda: store.take_over(volume_id, other_id)
    store.connect(attachment.id, {"host": "h"})
    assert (store.volume(volume_id).status, attachment.volume_id) == ("attaching", volume_id)
    assert attachment.connection_info is not None
    assert attachment.connection_info["data"]["volume_id"] == volume_id


def test_offer_goes_with_its_volume(store: VolumeStore) -> None:
    volume_id = written(store)
    store.offer(volume_id)
    store.set_status(volume_id, "error")
    store.delete_volume(volume_id)
    assert store.transfers == {}


class Crowd:
    """Threads that do whatever they like to a store, from a seed; what is not refused is an error."""

    def __init__(self, store: VolumeStore, steps: int) -> None:
        self.store = store
        self.steps = steps
        self.errors: list[BaseException] = []

    def run(self, threads: int) -> None:
        crowd = [threading.Thread(target=self._wander, args=(random.Random(seed),)) for seed in range(threads)]
        for one in crowd:
            one.start()
        for one in crowd:
            one.join()

    def _wander(self, chance: random.Random) -> None:
        for _ in range(self.steps):
            try:
                self._step(chance)
            except NovaFakesError:
                pass
            except BaseException as error:
                self.errors.append(error)

    def _step(self, chance: random.Random) -> object:
        store = self.store

        def some(records: dict[str, Any]) -> str:
            return chance.choice(list(records) or ["none"])

        volume, snapshot, backup = some(store.volumes), some(store.snapshots), some(store.backups)
        attachment, group, pool = some(store.attachments), some(store.groups), chance.choice(["fast", "slow"])
        whole = some(store.group_snapshots)
        acts: list[Callable[[], object]] = [
            lambda: written(store, pool=pool, multiattach=chance.random() < 0.3),
            lambda: store.create_volume(source_id=volume, pool=pool),
            lambda: store.create_volume(snapshot_id=snapshot),
            lambda: store.delete_volume(volume, cascade=chance.random() < 0.7),
            lambda: store.extend_volume(volume, SIZE + CHUNK_BYTES),
            lambda: store.migrate(volume, pool),
            lambda: store.take_over(volume, some(store.volumes)),
            lambda: store.rename(volume, f"volume-{chance.random()}"),
            lambda: store.change_volume(volume, name="n"),
            lambda: store.create_snapshot(volume),
            lambda: store.delete_snapshot(snapshot),
            lambda: store.rename_snapshot(snapshot, f"snapshot-{chance.random()}"),
            lambda: store.revert(volume, snapshot),
            lambda: store.attach(volume, chance.choice("ab")),
            lambda: store.open(attachment).write(chance.randrange(SIZE - 4096), bytes(4096)),
            lambda: store.detach(attachment),
            lambda: store.create_backup(volume),
            lambda: store.create_backup(store.backup(backup).volume_id, parent_id=backup),
            lambda: store.restore_backup(backup, volume),
            lambda: store.delete_backup(backup),
            lambda: store.withdraw(store.offer(volume)[0].id),
            lambda: store.create_group(),
            lambda: store.update_group(group, add=[volume]),
            lambda: store.create_group_snapshot(group),
            lambda: store.delete_group_snapshot(whole),
            lambda: store.delete_group(group, volumes=True),
        ]
        return chance.choice(acts)()


def content(store: VolumeStore) -> dict[str, Any]:
    disks = [*store.volumes.values(), *store.snapshots.values(), *store.backups.values()]
    others = [*store.attachments.values(), *store.groups.values(), *store.group_snapshots.values()]
    found: dict[str, Any] = {one.id: (one.to_record(), one.disk.digest()) for one in disks}
    return found | {one.id: one.to_record() for one in others}


def require_sound(store: VolumeStore) -> None:
    """Check what has to hold whenever nothing is on its way."""
    for name, pool in store.pools.items():
        there = [one for one in store.volumes.values() if one.pool == name]
        assert pool.provisioned_bytes == sum(one.size_bytes for one in there)
        if not there:
            assert pool.meter.used_bytes == 0
    for volume in store.volumes.values():
        attached = {"available": False, "error": False, "in-use": True}
        assert attached[volume.status] == bool(store.attachments_of(volume.id))
        assert volume.disk.size_bytes == volume.size_bytes
        assert volume.group_id is None or volume.id in store.group(volume.group_id).volume_ids
    for group in store.groups.values():
        assert all(store.volume(one).group_id == group.id for one in group.volume_ids)
    for whole in store.group_snapshots.values():
        assert set(whole.snapshot_ids) <= store.snapshots.keys()
    for belonging in (*store.snapshots.values(), *store.attachments.values()):
        assert belonging.volume_id in store.volumes
    assert {one.status for one in store.snapshots.values()} <= {"available"}
    assert all(one.parent_id is None or one.parent_id in store.backups for one in store.backups.values())
    assert store.transfers == {}


@pytest.mark.parametrize(("steps", "kept"), [(1500, False), (150, True)])
def test_a_crowd_leaves_a_sound_store(path: Path, steps: int, kept: bool) -> None:
    store = VolumeStore(pools(), path=path if kept else None)
    store.faults.add(FaultRule("volume.copy", probability=0.05))
    crowd = Crowd(store, steps)
    crowd.run(4)
    assert crowd.errors == []
    require_sound(store)
    if kept:
        before = content(store)
        store.close()
        with contextlib.closing(VolumeStore(pools(), path=path)) as again:
            assert content(again) == before
            require_sound(again)
