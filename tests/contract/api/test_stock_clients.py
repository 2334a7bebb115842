"""The clients of the single services, pointed at the fakes by keystoneauth, without a socket."""

import io
from collections.abc import Iterator

import pytest
from keystoneauth1 import session
from keystoneauth1.identity import v3

from nova_fakes.api.stack import Stack


@pytest.fixture(scope="module")
def ksa() -> Iterator[session.Session]:
    with Stack() as stack:
        auth = v3.Password(
            stack.endpoint("identity"),
            username="admin",
            password="secret",
            project_name="admin",
            user_domain_id="default",
            project_domain_id="default",
        )
        yield session.Session(auth, session=stack.session())


def test_glanceclient(ksa) -> None:
    glanceclient = pytest.importorskip("glanceclient", reason="python-glanceclient is not installed")
    glance = glanceclient.Client("2", session=ksa)
    image = glance.images.create(name="x", disk_format="raw", container_format="bare", colour="red")
    glance.images.upload(image.id, io.BytesIO(b"bytes"))
    assert b"".join(glance.images.data(image.id)) == b"bytes"
    assert glance.images.get(image.id).status == "active"
    assert glance.images.update(image.id, remove_props=["colour"], name="y").name == "y"
    glance.image_tags.update(image.id, "t")
    assert [one.id for one in glance.images.list(filters={"tag": ["t"]})] == [image.id]
    glance.images.update(image.id, visibility="shared")
    glance.image_members.create(image.id, "somebody")
    assert [one.member_id for one in glance.image_members.list(image.id)] == ["somebody"]
    glance.images.delete(image.id)
    with pytest.raises(glanceclient.exc.HTTPNotFound):
        glance.images.get(image.id)


def test_cinderclient(ksa) -> None:
    cinderclient = pytest.importorskip("cinderclient.client", reason="python-cinderclient is not installed")
    cinder = cinderclient.Client("3.60", session=ksa)
    volume = cinder.volumes.create(1, name="v")
    assert cinder.volumes.get(volume.id).status == "available"
    cinder.volumes.extend(volume, 2)
    assert cinder.volumes.get(volume.id).size == 2
    snapshot = cinder.volume_snapshots.create(volume.id, name="s")
    assert [one.id for one in cinder.volume_snapshots.list()] == [snapshot.id]
    cinder.volume_snapshots.delete(snapshot)
    cinder.volumes.delete(volume)
    assert cinder.volumes.list() == []


def test_neutronclient(ksa) -> None:
    neutronclient = pytest.importorskip("neutronclient.v2_0.client", reason="python-neutronclient is not installed")
    from neutronclient.common import exceptions

    neutron = neutronclient.Client(session=ksa)
    assert {"binding-extended", "trunk", "rbac-policies"} <= {
        one["alias"] for one in neutron.list_extensions()["extensions"]
    }
    net = neutron.create_network({"network": {"name": "n"}})["network"]
    subnet = {"subnet": {"network_id": net["id"], "ip_version": 4, "cidr": "10.9.0.0/24"}}
    neutron.create_subnet(subnet)
    # As nova makes, binds and unbinds a port (nova/network/neutron.py).
    port = neutron.create_port({"port": {"network_id": net["id"], "device_id": "s", "admin_state_up": True}})["port"]
    bound = {"binding:host_id": "compute-1", "device_owner": "compute:nova", "dns_name": "web"}
    assert neutron.update_port(port["id"], {"port": bound})["port"]["binding:vif_type"] == "ovs"
    assert [one["id"] for one in neutron.list_ports(device_id="s")["ports"]] == [port["id"]]
    made = neutron.create_port_binding(port["id"], {"binding": {"host": "compute-2"}})["binding"]
    assert (made["host"], made["status"]) == ("compute-2", "INACTIVE")
    neutron.delete_port_binding(port["id"], "compute-2")
    with pytest.raises(exceptions.NetworkInUseClient):
        neutron.delete_network(net["id"])
    neutron.delete_port(port["id"])
    neutron.delete_network(net["id"])


def test_novaclient(ksa) -> None:
    novaclient = pytest.importorskip("novaclient.client", reason="python-novaclient is not installed")
    nova = novaclient.Client("2.95", session=ksa)
    flavor = nova.flavors.find(name="m1.tiny")
    image = next(iter(nova.glance.list()))
    server = nova.servers.create("a", image, flavor, nics="auto")
    assert nova.servers.get(server.id).status == "ACTIVE"
    nova.servers.pause(server)
    assert nova.servers.get(server.id).status == "PAUSED"
    assert [one.state for one in nova.services.list(binary="nova-compute")] == ["up", "up"]
    nova.servers.delete(server)
