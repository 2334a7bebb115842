"""Volumes under the servers of the compute fake: they move while the guest has them."""

from collections.abc import Iterator
from typing import Any

import pytest

from nova_fakes.api.stack import Stack
from nova_fakes.faults import FaultRule

SPARE = "nova-fakes@fake#spare"
VERSIONS = "volume 3.71, compute 2.100"


class Cloud:
    """A server with a volume that has some bytes on it."""

    def __init__(self, stack: Stack) -> None:
        assert stack.compute is not None
        self.stack = stack
        self.fleet = stack.compute.fleet
        image = self("image", "GET", "/v2/images", key="images")[0]["id"]
        asked = {"name": "x", "imageRef": image, "flavorRef": "1", "networks": "none"}
        self.server = self("compute", "POST", "/v2.1/servers", {"server": asked}, key="server")["id"]
        self.volume = self("volume", "POST", "/v3/volumes", {"volume": {"size": 1}}, key="volume")["id"]
        self.attachments = f"/v2.1/servers/{self.server}/os-volume_attachments"
        self("compute", "POST", self.attachments, {"volumeAttachment": {"volumeId": self.volume}})
        self.disk.write(0, b"x" * (3 << 20))

    def __call__(
        self, service: str, method: str, path: str, body: Any = None, *, key: str = "", token: str = "admin:admin"
    ) -> Any:
        headers = {"X-Auth-Token": token, "OpenStack-API-Version": VERSIONS}
        client = self.stack.applications[service].test_client()
        response = client.open(path, method=method, json=body, headers=headers)
        assert response.status_code < 300, response.get_data(as_text=True)
        return response.get_json()[key] if key else response

    @property
    def disk(self) -> Any:
        return self.fleet.find(self.server).guest_disk(self.server, "vdb")

    def migrate(self) -> tuple[str, str]:
        self("volume", "POST", f"/v3/volumes/{self.volume}/action", {"os-migrate_volume": {"host": SPARE}})
        found = self("volume", "GET", f"/v3/volumes/{self.volume}", key="volume")
        return found["status"], found["migration_status"]


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Stack(("image", "volume", "compute")) as stack:
        yield Cloud(stack)


def test_volume_moves_under_its_server(cloud: Cloud) -> None:
    assert cloud.migrate() == ("in-use", "success")
    assert cloud.disk.read(0, 3 << 20) == b"x" * (3 << 20)
    (attached,) = cloud("compute", "GET", cloud.attachments, key="volumeAttachments")
    assert (attached["volumeId"], attached["device"]) == (cloud.volume, "/dev/vdb")
    cloud("volume", "POST", f"/v3/volumes/{cloud.volume}/action", {"os-extend": {"new_size": 2}})
    cloud("compute", "DELETE", f"{cloud.attachments}/{cloud.volume}")
    (volume,) = cloud("volume", "GET", "/v3/volumes/detail", key="volumes")
    assert (volume["id"], volume["status"], volume["size"]) == (cloud.volume, "available", 2)


def test_guest_that_is_started_again_has_the_bytes(cloud: Cloud) -> None:
    assert cloud.migrate() == ("in-use", "success")
    guest = cloud.fleet.find(cloud.server).guests[cloud.server]
    # As the journal has kept it: with the id that the volume had on its way.
    record = guest.volumes["vdb"].to_record()
    assert record["connection_info"]["data"]["volume_id"] != cloud.volume
    assert cloud.disk.read(0, 1) == b"x"


def test_copy_that_fails_midway_leaves_the_server_its_volume(cloud: Cloud) -> None:
    cloud.fleet.faults.add(FaultRule("swap_volume.copy", after=1, times=1))
    assert cloud.migrate() == ("in-use", "error")
    assert cloud.disk.read((3 << 20) - 1, 2) == b"x\0"
    assert len(cloud("volume", "GET", "/v3/volumes?all_tenants=1", key="volumes")) == 1
    assert cloud.migrate() == ("in-use", "success")
    assert cloud.disk.read((3 << 20) - 1, 2) == b"x\0"


def test_user_does_not_swap_volumes(cloud: Cloud) -> None:
    other = cloud("volume", "POST", "/v3/volumes", {"volume": {"size": 1}}, key="volume")["id"]
    client = cloud.stack.applications["compute"].test_client()
    response = client.put(
        f"{cloud.attachments}/{cloud.volume}",
        json={"volumeAttachment": {"volumeId": other}},
        headers={"X-Auth-Token": "admin:admin"},
    )
    assert response.status_code == 409
    assert "not migrating" in response.get_json()["conflictingRequest"]["message"]
