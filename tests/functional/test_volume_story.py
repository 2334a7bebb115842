"""From REST to bytes: what a server writes to its volume is there wherever the volume goes."""

import hashlib

import pytest
from openstack.exceptions import BadRequestException
from running import wait_for

from nova_fakes.exceptions import DeviceNotFound

IMAGE = hashlib.sha256(b"bootable").digest() * 4096


@pytest.fixture
def server(cloud):
    made = []

    def make(name, **values):
        flavor = cloud.compute.find_flavor("m1.nano")
        made.append(cloud.compute.create_server(name=name, flavor_id=flavor.id, networks="none", **values))
        return cloud.compute.wait_for_server(made[-1])

    yield make
    for one in made:
        cloud.compute.delete_server(one)
    for one in made:
        cloud.compute.wait_for_delete(one)


@pytest.fixture
def volume(cloud):
    made = []

    def make(**values):
        one = cloud.block_storage.create_volume(size=1, **values)
        made.append(one.id)
        return cloud.block_storage.wait_for_status(one, "available")

    yield make
    for one in made:
        found = cloud.block_storage.find_volume(one)
        if found is not None:
            cloud.block_storage.reset_volume_status(found, "available", "detached", None)
            cloud.block_storage.delete_volume(found)


def _attach(cloud, server, volume):
    attached = cloud.compute.create_volume_attachment(server, volume_id=volume.id)
    cloud.block_storage.wait_for_status(volume, "in-use")
    return attached.device.removeprefix("/dev/")


def _detach(cloud, server, volume):
    cloud.compute.delete_volume_attachment(server, volume)
    cloud.block_storage.wait_for_status(volume, "available")


def test_bytes_travel_with_the_volume(sandbox, cloud, server, volume):
    image = cloud.image.find_image("nova-fakes")
    first, second, disk = server("first", image_id=image.id), server("second", image_id=image.id), volume()
    device = _attach(cloud, first, disk)
    sandbox.write_disk(first.id, device, 12_345, b"written by the first")
    snapshot = cloud.block_storage.create_snapshot(volume_id=disk.id, is_forced=True)
    cloud.block_storage.wait_for_status(snapshot, "available")
    sandbox.write_disk(first.id, device, 12_345, b"and overwritten")
    _detach(cloud, first, disk)
    with pytest.raises(DeviceNotFound, match="no volume at"):
        sandbox.read_disk(first.id, device, 0, 1)
    assert sandbox.read_disk(second.id, _attach(cloud, second, disk), 12_345, 20) == b"and overwritten" + b"first"
    copy = volume(snapshot_id=snapshot.id)
    assert sandbox.read_disk(second.id, _attach(cloud, second, copy), 12_345, 20) == b"written by the first"
    with pytest.raises(BadRequestException):
        cloud.block_storage.delete_volume(copy, ignore_missing=False)
    _detach(cloud, second, copy)
    _detach(cloud, second, disk)
    cloud.block_storage.delete_snapshot(snapshot)


def test_volume_that_grows_while_it_is_used(sandbox, cloud, server, volume):
    one, disk = server("one", image_id=cloud.image.find_image("nova-fakes").id), volume()
    device = _attach(cloud, one, disk)
    sandbox.write_disk(one.id, device, 0, b"kept")
    cloud.block_storage.extend_volume(disk, 2)
    sandbox.write_disk(one.id, device, (2 << 30) - 3, b"end")
    assert sandbox.read_disk(one.id, device, 0, 4) == b"kept"
    _detach(cloud, one, disk)


SPARE = "nova-fakes@fake#spare"


def _migration(cloud, server, disk):
    """Wait until neither nova nor the volume is on its way; return how that ended, and where the volume lies then."""

    def swapped():
        actions = cloud.compute.get(f"/servers/{server.id}/os-instance-actions").json()["instanceActions"]
        swap = next((one["request_id"] for one in actions if one["action"] == "swap_volume"), None)
        if swap is None:
            return False
        found = cloud.compute.get(f"/servers/{server.id}/os-instance-actions/{swap}").json()["instanceAction"]
        return found["events"] and all(one["finish_time"] for one in found["events"])

    wait_for("nova to have swapped the volumes", swapped)

    def ended():
        found = cloud.block_storage.get_volume(disk)
        return found if found.migration_status in ("success", "error") else None

    found = wait_for("the volume to have moved", ended)
    return found.status, found.migration_status, found.host


def test_volume_moves_under_its_server_and_travels_on(sandbox, cloud, server, volume):
    image = cloud.image.find_image("nova-fakes")
    first, second, disk = server("moved", image_id=image.id), server("other", image_id=image.id), volume()
    device = _attach(cloud, first, disk)
    sandbox.write_disk(first.id, device, 1 << 20, b"before the move")

    cloud.block_storage.migrate_volume(disk, host=SPARE)
    assert _migration(cloud, first, disk) == ("in-use", "success", SPARE)
    assert sandbox.read_disk(first.id, device, 1 << 20, 15) == b"before the move"
    (attached,) = cloud.compute.volume_attachments(first)
    assert (attached.volume_id, attached.device) == (disk.id, f"/dev/{device}")

    cloud.block_storage.extend_volume(disk, 2)
    sandbox.write_disk(first.id, device, (2 << 30) - 5, b"grown")
    _detach(cloud, first, disk)
    device = _attach(cloud, second, disk)
    assert sandbox.read_disk(second.id, device, 1 << 20, 15) == b"before the move"
    assert sandbox.read_disk(second.id, device, (2 << 30) - 5, 5) == b"grown"
    _detach(cloud, second, disk)


def test_copy_that_fails_midway_leaves_the_server_its_volume(sandbox, cloud, server, volume):
    one, disk = server("unmoved", image_id=cloud.image.find_image("nova-fakes").id), volume()
    device = _attach(cloud, one, disk)
    home = cloud.block_storage.get_volume(disk).host
    sandbox.write_disk(one.id, device, 0, b"x" * (4 << 20))
    sandbox.add_faults([{"operation": "swap_volume.copy", "after": 2, "times": 1}])
    there = {found.id for found in cloud.block_storage.volumes(all_projects=True)}
    try:
        cloud.block_storage.migrate_volume(disk, host=SPARE)
        assert _migration(cloud, one, disk) == ("in-use", "error", home)
    finally:
        sandbox.clear_faults()
    assert {found.id for found in cloud.block_storage.volumes(all_projects=True)} == there
    assert sandbox.read_disk(one.id, device, (4 << 20) - 1, 2) == b"x\0"
    sandbox.write_disk(one.id, device, 0, b"goes on")
    cloud.block_storage.migrate_volume(disk, host=SPARE)
    assert _migration(cloud, one, disk) == ("in-use", "success", SPARE)
    assert sandbox.read_disk(one.id, device, 0, 8) == b"goes onx"
    _detach(cloud, one, disk)


def test_user_does_not_swap_volumes_behind_the_volume_service(cloud, server, volume):
    one, disk, other = server("one", image_id=cloud.image.find_image("nova-fakes").id), volume(), volume()
    _attach(cloud, one, disk)
    path = f"/servers/{one.id}/os-volume_attachments/{disk.id}"
    refused = cloud.compute.put(path, json={"volumeAttachment": {"volumeId": other.id}})
    assert refused.status_code in (403, 409)
    _detach(cloud, one, disk)


def test_what_the_guest_reads_and_writes_is_counted(sandbox, cloud, server, volume):
    one, disk = server("busy", image_id=cloud.image.find_image("nova-fakes").id), volume()
    device = _attach(cloud, one, disk)

    def counters():
        shown = cloud.compute.get(f"/servers/{one.id}/diagnostics", microversion="2.48").json()
        return shown["disk_details"][-1]

    before = counters()
    sandbox.write_disk(one.id, device, 0, b"y" * 4096)
    sandbox.read_disk(one.id, device, 0, 512)
    after = counters()
    assert after["write_bytes"] - before["write_bytes"] >= 4096
    assert after["read_bytes"] - before["read_bytes"] >= 512
    assert after["write_requests"] > before["write_requests"]
    _detach(cloud, one, disk)


def test_server_boots_from_the_bytes_of_an_image(sandbox, cloud, server):
    image = cloud.image.create_image("bootable", data=IMAGE, disk_format="raw", container_format="bare")
    block = {
        "boot_index": 0,
        "uuid": image.id,
        "source_type": "image",
        "destination_type": "volume",
        "volume_size": 1,
        "delete_on_termination": True,
    }
    one = server("booted", block_device_mapping=[block])
    (attached,) = cloud.compute.volume_attachments(one)
    root = attached.device.removeprefix("/dev/")
    assert sandbox.read_disk(one.id, root, 0, len(IMAGE)) == IMAGE
    sandbox.write_disk(one.id, root, 0, b"changed")
    cloud.compute.reboot_server(one, "HARD")
    cloud.compute.wait_for_server(one)
    assert sandbox.read_disk(one.id, root, 0, 7) == b"changed"
    cloud.image.delete_image(image)
