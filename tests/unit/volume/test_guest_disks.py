"""What a guest reads and writes lies in the store; it keeps it through swap, growth and moves."""

import pytest

from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import DeviceNotFound, InjectedFault, InvalidTransition
from nova_fakes.faults import FaultRule
from nova_fakes.virt.disks import Volume
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.guest import GuestSpec
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.volume.errors import DeviceGone, ReadOnly
from nova_fakes.volume.file_disk import make_sparse
from nova_fakes.volume.medium import CHUNK_BYTES
from nova_fakes.volume.pool import GIB

UUID = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
def host(store):
    fleet = Fleet(ManualClock())
    fleet.volume_store = store
    host = fleet.add(Hypervisor("host"))
    host.spawn(GuestSpec(UUID, "guest", 1, 64, 1))
    return host


def _attached(host, store, device, size_bytes=GIB, **values):
    volume = store.create_volume(size_bytes)
    attachment = store.attach(volume.id, UUID, **values)
    return volume, Volume(device, {**attachment.connection_info, "serial": volume.id, "attachment_id": attachment.id})


def test_guest_writes_and_the_next_one_reads(host, store):
    volume, attached = _attached(host, store, "/dev/vdb")
    host.attach_volume(UUID, attached)
    disk = host.guest_disk(UUID, "/dev/vdb")
    before = host.disk_statistics(UUID, "vdb")
    disk.write(4096, b"from the guest")
    assert disk.read(4096, 14) == b"from the guest"
    counters = host.disk_statistics(UUID, "vdb")
    assert (counters.write_requests - before.write_requests, counters.write_bytes - before.write_bytes) == (1, 14)
    assert (counters.read_requests - before.read_requests, counters.read_bytes - before.read_bytes) == (1, 14)
    assert volume.disk.read(4096, 14) == b"from the guest"


def test_each_attachment_counts_from_nought(host, store):
    nothing = (0, 0, 0, 0, 0)
    host.clock.advance(3600)
    for _ in range(2):
        _volume, attached = _attached(host, store, "vdb")
        host.attach_volume(UUID, attached)
        assert host.disk_statistics(UUID, "vdb") == nothing
        host.guest_disk(UUID, "vdb").write(0, b"x")
        host.clock.advance(60)
        after = host.disk_statistics(UUID, "vdb")
        assert after.write_bytes > 1
        assert dict(host.statistics(UUID).disks)["vdb"] == after
        host.detach_volume(UUID, "vdb")


def test_counters_begin_anew_with_the_emulator(host, store):
    host.attach_volume(UUID, _attached(host, store, "vdb")[1])
    host.guest_disk(UUID, "vdb").write(0, b"x" * 512)
    host.clock.advance(60)
    host.change(UUID, "soft_reboot")
    assert host.disk_statistics(UUID, "vdb").write_bytes > 512
    host.change(UUID, "hard_reboot")
    assert host.disk_statistics(UUID, "vdb") == (0, 0, 0, 0, 0)


def test_what_fails_leaves_the_counters(host, store):
    host.attach_volume(UUID, _attached(host, store, "vdb")[1])
    host.clock.advance(60)
    host.guest_disk(UUID, "vdb").write(0, b"x")
    before = host.disk_statistics(UUID, "vdb")
    for operation in ("detach_volume", "hard_reboot"):
        host.faults.add(FaultRule(operation, times=1))
    with pytest.raises(InjectedFault):
        host.detach_volume(UUID, "vdb")
    with pytest.raises(InjectedFault):
        host.change(UUID, "hard_reboot")
    assert host.disk_statistics(UUID, "vdb") == before != (0, 0, 0, 0, 0)


def test_guest_that_does_not_run_writes_nothing(host, store):
    _volume, attached = _attached(host, store, "vdb")
    host.attach_volume(UUID, attached)
    disk = host.guest_disk(UUID, "vdb")
    host.change(UUID, "pause")
    with pytest.raises(InvalidTransition, match="paused"):
        disk.write(0, b"x")
    host.change(UUID, "unpause")
    host.detach_volume(UUID, "vdb")
    with pytest.raises(DeviceNotFound):
        disk.read(0, 1)


def test_detached_by_the_store_is_detached(host, store):
    volume, attached = _attached(host, store, "vdb")
    host.attach_volume(UUID, attached)
    disk = host.guest_disk(UUID, "vdb")
    store.detach(store.attachments_of(volume.id)[0].id)
    with pytest.raises((DeviceNotFound, DeviceGone)):
        disk.read(0, 1)
    with pytest.raises(DeviceNotFound, match="not attached"):
        host.guest_disk(UUID, "vdb")


def test_read_only_attachment_is_not_written_to(host, store):
    _volume, attached = _attached(host, store, "vdb", mode="ro")
    host.attach_volume(UUID, attached)
    with pytest.raises(ReadOnly):
        host.guest_disk(UUID, "vdb").write(0, b"x")


def test_swap_copies_every_byte(host, store):
    _old, attached = _attached(host, store, "vdb")
    new, other = _attached(host, store, "vdb", 2 * GIB)
    host.attach_volume(UUID, attached)
    disk = host.guest_disk(UUID, "vdb")
    disk.write(0, b"x" * 3 * CHUNK_BYTES)
    host.swap_volume(UUID, other)
    assert disk.read(0, 3 * CHUNK_BYTES) == b"x" * 3 * CHUNK_BYTES
    disk.write(0, b"after")
    assert new.disk.read(0, 6) == b"afterx"


def _local(path, device, size_bytes=4 * CHUNK_BYTES, mode="rw"):
    make_sparse(path, size_bytes)
    data = {"device_path": str(path), "access_mode": mode, "volume_id": path.name}
    return Volume(device, {"driver_volume_type": "local", "data": data})


def test_file_that_another_service_names_is_read_and_written(host, tmp_path):
    host.fleet.volume_store = None
    host.attach_volume(UUID, _local(tmp_path / "one", "vdb"))
    disk = host.guest_disk(UUID, "vdb")
    disk.write(CHUNK_BYTES, b"from the guest")
    assert (tmp_path / "one").read_bytes()[CHUNK_BYTES : CHUNK_BYTES + 14] == b"from the guest"
    assert (disk.size_bytes, disk.read(CHUNK_BYTES, 4)) == (4 * CHUNK_BYTES, b"from")
    host.swap_volume(UUID, _local(tmp_path / "other", "vdb"))
    (tmp_path / "one").unlink()
    assert disk.read(CHUNK_BYTES, 14) == b"from the guest"
    disk.discard(CHUNK_BYTES, 4)
    disk.flush()
    assert disk.read(CHUNK_BYTES, 8) == b"\0\0\0\0 the"
    assert sum(length for _offset, length in disk.extents()) >= 1
    (tmp_path / "other").unlink()
    with pytest.raises(DeviceGone, match="no more"):
        disk.read(0, 1)


def test_file_that_is_attached_for_reading_is_not_written_to(host, tmp_path):
    host.attach_volume(UUID, _local(tmp_path / "one", "vdb", mode="ro"))
    with pytest.raises(ReadOnly):
        host.guest_disk(UUID, "vdb").write(0, b"x")


@pytest.mark.parametrize("operation", ["swap_volume.copy", "swap_volume"])
def test_swap_that_fails_midway_leaves_the_guest_its_old_volume(host, store, operation):
    old, attached = _attached(host, store, "vdb")
    new, other = _attached(host, store, "vdb")
    host.attach_volume(UUID, attached)
    disk = host.guest_disk(UUID, "vdb")
    disk.write(0, b"x" * 3 * CHUNK_BYTES)
    host.faults.add(FaultRule(operation, host="host", after=1 if operation.endswith("copy") else 0))
    with pytest.raises(InjectedFault):
        host.swap_volume(UUID, other)
    assert new.disk.allocated_bytes == (2 * CHUNK_BYTES if operation.endswith("copy") else 0)
    disk.write(0, b"still")
    assert old.disk.read(0, 6) == b"stillx"
    assert host.guests[UUID].volumes["vdb"].volume_id == old.id


def test_guest_sees_growth_when_it_is_told(host, store):
    volume, attached = _attached(host, store, "vdb")
    attached.size_bytes = GIB
    host.attach_volume(UUID, attached)
    store.extend_volume(volume.id, 2 * GIB)
    disk = host.guest_disk(UUID, "vdb")
    assert disk.size_bytes == GIB
    host.extend_volume(UUID, volume.id, 2 * GIB)
    assert disk.size_bytes == 2 * GIB
    disk.write(2 * GIB - 1, b"x")


def test_volume_without_bytes_says_so(host):
    host.attach_volume(UUID, Volume("vdb", {"serial": "elsewhere"}))
    with pytest.raises(DeviceNotFound, match="no bytes here"):
        host.guest_disk(UUID, "vdb")
