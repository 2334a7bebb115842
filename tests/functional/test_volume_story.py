"""From REST to bytes: what a server writes to its volume is there wherever the volume goes."""

import hashlib

import pytest
from openstack.exceptions import BadRequestException

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
    with pytest.raises(DeviceNotFound):
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
