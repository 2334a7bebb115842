"""A Cinder in place of a sandbox's volume service: its volumes under the sandbox's servers, down to the bytes."""

import importlib.util
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from running import connect, wait_for

from nova_fakes.exceptions import DeviceNotFound
from nova_fakes.sandbox import launcher
from nova_fakes.sandbox.spec import SandboxSpec

if importlib.util.find_spec("cinder") is None:
    pytest.skip("cinder is missing: uv sync --group contract", allow_module_level=True)

pytestmark = pytest.mark.slow
FAST, SLOW = "volumes@first#fast", "volumes@first#slow"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A sandbox and a connection to it; a Cinder that knows it."""
    directory = tmp_path_factory.mktemp("cinder")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    sandbox = launcher.up(SandboxSpec(state=directory / "sandbox", cinder_url=f"{url}/volume/v3"))
    services = {one["name"]: one["url"] for one in sandbox.status()["services"]}
    assert services["volume"] == f"{url}/volume/v3"
    cloud = {
        "identity": services["identity"],
        "image": services["image"],
        "password": sandbox.state.passwords()["service"],
        "port": port,
    }
    program = Path(__file__).with_name("cinder_process.py")
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", program, directory / "state", json.dumps(cloud)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdout.readline(), (directory / "log").read_text()[-4000:]
        yield sandbox, connect(sandbox)
        sandbox.down()
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


@pytest.fixture
def servers(world):
    _sandbox, cloud = world
    flavor, image = cloud.compute.find_flavor("m1.nano"), cloud.image.find_image("nova-fakes")
    made = [
        cloud.compute.create_server(name=name, flavor_id=flavor.id, image_id=image.id, networks="none")
        for name in ("first", "second")
    ]
    yield [cloud.compute.wait_for_server(one) for one in made]
    for one in made:
        cloud.compute.delete_server(one)
        cloud.compute.wait_for_delete(one)


@pytest.fixture
def volume(world):
    _sandbox, cloud = world
    kind = cloud.block_storage.create_type(name="first", extra_specs={"volume_backend_name": "first"})
    made = cloud.block_storage.create_volume(size=1, volume_type=kind.name)
    yield cloud.block_storage.wait_for_status(made, "available")
    cloud.block_storage.delete_volume(made)
    cloud.block_storage.wait_for_delete(made)
    cloud.block_storage.delete_type(kind)


def _attach(cloud, server, volume):
    attached = cloud.compute.create_volume_attachment(server, volume=volume)
    cloud.block_storage.wait_for_status(volume, "in-use")
    return attached.device.removeprefix("/dev/")


def _detach(cloud, server, volume):
    cloud.compute.delete_volume_attachment(server, volume)
    cloud.block_storage.wait_for_status(volume, "available")


def test_bytes_travel_with_the_volume(world, servers, volume):
    sandbox, cloud = world
    first, second = servers
    device = _attach(cloud, first, volume)
    sandbox.write_disk(first.id, device, 12_345, b"written by the first")
    # A user takes nothing from under nova: CVE-2023-2088.
    (held,) = cloud.block_storage.attachments(volume_id=volume.id)
    refused = cloud.block_storage.delete(f"/attachments/{held.id}", microversion="3.44")
    assert refused.status_code == 409
    cloud.block_storage.extend_volume(volume, 2)
    wait_for("the volume to have grown", lambda: cloud.block_storage.get_volume(volume).status == "in-use")
    wait_for("the server to see it", lambda: _writes(sandbox, first.id, device, (2 << 30) - 3, b"end"))
    _detach(cloud, first, volume)
    with pytest.raises(DeviceNotFound, match="no volume at"):
        sandbox.read_disk(first.id, device, 0, 1)
    device = _attach(cloud, second, volume)
    assert sandbox.read_disk(second.id, device, 12_345, 20) == b"written by the first"
    assert sandbox.read_disk(second.id, device, (2 << 30) - 3, 3) == b"end"
    _detach(cloud, second, volume)


def _writes(sandbox, server_id, device, offset, data):
    try:
        sandbox.write_disk(server_id, device, offset, data)
    except Exception:
        return False
    return True


def test_volume_moves_under_its_server(world, servers, volume):
    sandbox, cloud = world
    first, second = servers
    device = _attach(cloud, first, volume)
    sandbox.write_disk(first.id, device, 0, b"moves")
    host = cloud.block_storage.get_volume(volume).host
    target = {FAST: SLOW, SLOW: FAST}[host]
    cloud.block_storage.migrate_volume(volume, host=target)

    def moved():
        found = cloud.block_storage.get_volume(volume)
        assert found.migration_status != "error"
        return found if found.migration_status == "success" else None

    found = wait_for("the volume to have moved", moved)
    assert (found.host, found.status) == (target, "in-use")
    sandbox.write_disk(first.id, device, 5, b" on")
    wait_for("nova to note it", lambda: _swapped(cloud, first))
    _detach(cloud, first, volume)
    device = _attach(cloud, second, volume)
    assert sandbox.read_disk(second.id, device, 0, 8) == b"moves on"
    _detach(cloud, second, volume)


def _swapped(cloud, server):
    actions = cloud.compute.get(f"/servers/{server.id}/os-instance-actions").json()["instanceActions"]
    swap = next(one["request_id"] for one in actions if one["action"] == "swap_volume")
    found = cloud.compute.get(f"/servers/{server.id}/os-instance-actions/{swap}").json()["instanceAction"]
    return found["events"] and all(one["finish_time"] for one in found["events"])
