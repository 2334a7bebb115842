"""The image fake as Glance's own clients see it, nova's among them."""

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import glanceclient
import openstack
import pytest
from glanceclient import exc
from keystoneauth1 import session
from keystoneauth1.identity import v3
from openstack import exceptions as sdk_exceptions
from openstack_commands import run_openstack

from nova_fakes.api import identity, image
from nova_fakes.api.server import Server
from nova_fakes.api.stack import Stack
from nova_fakes.clock import SystemClock

DATA = os.urandom(3_000_001)


class Cloud:
    """A server with identity and image services."""

    def __init__(self, directory: Path) -> None:
        clock = SystemClock()
        self.server = Server()
        self.users = identity.IdentityService(clock)
        self.images = image.ImageService(clock, directory)
        self.url = f"{self.server.url}/identity"
        self.users.bootstrap("secret", {"identity": self.url, "image": f"{self.server.url}/image"})
        self.server.mount("/identity", identity.create_app(self.users))
        self.server.mount("/image", image.create_app(self.images, self.users))
        self.server.start()

    def session(self, user: str = "admin") -> session.Session:
        auth = v3.Password(
            self.url,
            username=user,
            password="secret",
            project_name=user,
            user_domain_name="Default",
            project_domain_name="Default",
        )
        return session.Session(auth)


@pytest.fixture
def cloud(tmp_path) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path / "images")
    yield cloud
    cloud.server.stop()


def test_glanceclient_as_nova_uses_it(cloud) -> None:
    ksa = cloud.session("demo")
    endpoint = ksa.get_endpoint(service_type="image")
    client = glanceclient.Client("2", session=ksa, endpoint_override=endpoint)
    assert "qcow2" in client.schemas.get("image").raw()["properties"]["disk_format"]["enum"]
    made = client.images.create(
        name="snap", disk_format="raw", container_format="bare", visibility="private", image_type="snapshot"
    )
    client.images.upload(made.id, io.BytesIO(DATA))
    shown = client.images.get(made.id)
    assert (shown.status, shown.size, shown.image_type) == ("active", len(DATA), "snapshot")
    assert b"".join(client.images.data(made.id)) == DATA  # checked against os_hash_value on the way
    client.images.update(made.id, remove_props=["image_type"], name="renamed", color="red")
    shown = client.images.get(made.id)
    assert (shown.name, shown.color, "image_type" in shown) == ("renamed", "red", False)
    assert [row.id for row in client.images.list(filters={"color": "red"})] == [made.id]
    with pytest.raises(exc.HTTPConflict):
        client.images.upload(made.id, io.BytesIO(b"again"))
    with pytest.raises(exc.HTTPForbidden):
        client.images.update(made.id, visibility="public")
    client.images.update(made.id, visibility="shared")
    client.image_members.create(made.id, "elsewhere")
    assert [member.member_id for member in client.image_members.list(made.id)] == ["elsewhere"]
    client.images.delete(made.id)
    with pytest.raises(exc.HTTPNotFound):
        client.images.get(made.id)


def test_an_empty_image_is_active(cloud) -> None:
    client = glanceclient.Client("2", session=cloud.session("demo"))
    made = client.images.create(name="volume", disk_format="raw", container_format="bare")
    client.images.upload(made.id, "")
    shown = client.images.get(made.id)
    assert (shown.status, shown.size) == ("active", 0)
    assert b"".join(client.images.data(made.id)) == b""


def test_openstacksdk(cloud, tmp_path) -> None:
    source = tmp_path / "source.img"
    source.write_bytes(DATA)
    with openstack.connection.Connection(session=cloud.session(), region_name="RegionOne") as connection:
        made = connection.image.create_image(
            "cirros", filename=str(source), disk_format="raw", container_format="bare", wait=True, tags=["t"]
        )
        assert connection.image.download_image(made).content == DATA
        assert connection.image.find_image("cirros").hash_value == hashlib.sha512(DATA).hexdigest()
        connection.image.update_image(made, min_disk=2, color="red")
        shown = connection.image.get_image(made.id)
        assert (shown.min_disk, shown.properties["color"], shown.tags) == (2, "red", ["t"])
        connection.image.deactivate_image(made)
        assert connection.image.get_image(made.id).status == "deactivated"
        connection.image.reactivate_image(made)
        connection.image.update_image(made, is_protected=True)
        with pytest.raises(sdk_exceptions.ForbiddenException, match="protected"):
            connection.image.delete_image(made.id, ignore_missing=False)
        connection.image.update_image(made, is_protected=False)
        connection.image.delete_image(made.id, ignore_missing=False)
        assert list(connection.image.images()) == []
    assert list((tmp_path / "images").iterdir()) == []


def test_the_openstack_command(cloud, tmp_path) -> None:
    source, target = tmp_path / "source.img", tmp_path / "target.img"
    source.write_bytes(DATA)
    formats = "--disk-format raw --container-format bare"
    outcomes = run_openstack(
        cloud.url,
        "demo",
        f"image create {formats} --file {source} --property a=b cirros",
        "image list -f value -c Name -c Status",
        "image set --name renamed --property c=d cirros",
        f"image save --file {target} renamed",
        "image show renamed",
        f"image create {formats} --file {source} --public mine",
        "image delete renamed",
    )
    assert [outcome.status for outcome in outcomes] == [0, 0, 0, 0, 0, 1, 0], outcomes
    assert outcomes[1].output == "cirros active\n"
    assert target.read_bytes() == DATA
    assert "c='d'" in outcomes[4].output
    assert "403" in outcomes[5].errors
    assert len(cloud.images) == 0


def test_openstacksdk_copies_an_image_into_another_store() -> None:
    with Stack(("identity", "image")) as stack:
        auth = v3.Password(
            stack.endpoint("identity"),
            username="admin",
            password="secret",
            project_name="admin",
            user_domain_id="default",
            project_domain_id="default",
        )
        ksa = session.Session(auth, session=stack.session())
        cloud = openstack.connection.Connection(session=ksa, region_name="RegionOne", identity_api_version="3").image
        spare = next(store for store in cloud.stores() if not store.is_default)
        made = cloud.create_image("x", disk_format="raw", container_format="bare", allow_duplicates=True)
        cloud.stage_image(made, data=DATA)
        cloud.import_image(made, "glance-direct")
        cloud.import_image(made, "copy-image", stores=[spare])
        assert [task.status for task in cloud.tasks()] == ["success", "success"]
        cloud.delete_image(made, store=next(store for store in cloud.stores() if store.is_default))
        assert hashlib.md5(cloud.download_image(made).content).digest() == hashlib.md5(DATA).digest()
        with pytest.raises(sdk_exceptions.NotFoundException, match="Caching"):
            cloud.get_image_cache()
