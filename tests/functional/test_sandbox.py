"""A real nova over the fakes: every action that a user of the API takes, and what is there afterwards."""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openstack
import pytest
from running import WAIT_S, connect, wait_for

from nova_fakes.sandbox.client import Client
from nova_fakes.virt.vif import ping


class Servers:
    """Boots servers in the shared sandbox and forgets none of them."""

    def __init__(self, cloud: openstack.connection.Connection) -> None:
        self.cloud = cloud
        self.booted: list[str] = []
        self.image = cloud.image.find_image("nova-fakes", ignore_missing=False)
        self.network = cloud.network.find_network("private", ignore_missing=False)

    def ask(self, flavor: str = "m1.tiny", **values: Any) -> Any:
        values.setdefault("image_id", self.image.id)
        values.setdefault("networks", [{"uuid": self.network.id}])
        flavor_id = self.cloud.compute.find_flavor(flavor, ignore_missing=False).id
        server = self.cloud.compute.create_server(name=f"t-{uuid.uuid4().hex[:6]}", flavor_id=flavor_id, **values)
        self.booted.append(server.id)
        return server

    def boot(self, **values: Any) -> Any:
        return self.until(self.ask(**values), "ACTIVE")

    def until(self, server: Any, status: str, **attributes: Any) -> Any:
        def look() -> Any:
            found = self.cloud.compute.get_server(server.id)
            if found.status == "ERROR" and status != "ERROR":
                pytest.fail(f"{found.name} is in ERROR: {found.fault}")
            same = all(getattr(found, name) == value for name, value in attributes.items())
            return found if found.status == status and not found.task_state and same else None

        return wait_for(f"{server.name} to be {status} {attributes or ''}", look)

    def clear(self) -> None:
        for server_id in self.booted:
            self.cloud.compute.delete_server(server_id, ignore_missing=True)
        for server_id in self.booted:
            wait_for("the server's end", lambda server_id=server_id: self.gone(server_id))
        self.booted.clear()

    def gone(self, server_id: str) -> bool:
        return self.cloud.compute.find_server(server_id, ignore_missing=True) is None


@pytest.fixture
def servers(cloud: openstack.connection.Connection) -> Iterator[Servers]:
    servers = Servers(cloud)
    yield servers
    servers.clear()


def addresses(server: Any) -> list[str]:
    return [entry["addr"] for entries in server.addresses.values() for entry in entries]


def guest(sandbox: Client, server: Any) -> dict[str, Any]:
    return next(row for row in sandbox.instances() if row["uuid"] == server.id)


@pytest.fixture
def reaches(sandbox: Client, realizer: str) -> Callable[[Any, Any], bool]:
    """Tell whether one server gets a reply from every address of another; there must be interfaces for it."""

    def look(source: Any, target: Any) -> bool:
        namespace = guest(sandbox, source)["namespace"]
        results = [ping.ping(namespace, address, count=1, timeout_s=1.0) for address in addresses(target)]
        replies = {result.received for result in results}
        assert len(replies) == 1, f"one family answers and the other does not: {results}"
        return replies == {1}

    return look


def test_boot_gives_an_address_of_each_family_and_a_namespace(servers: Servers, sandbox: Client, realizer: str) -> None:
    server = servers.boot()
    assert {":" in address for address in addresses(server)} == {True, False}
    row = guest(sandbox, server)
    assert (row["power_state"], row["host"]) == ("running", server.compute_host)
    assert sorted(row["vifs"][0]["addresses"]) == sorted(addresses(server))
    assert (row["namespace"] is not None) == (realizer == "bridge")
    port = next(iter(servers.cloud.network.ports(device_id=server.id)))
    assert (port.status, port.binding_host_id) == ("ACTIVE", server.compute_host)


@pytest.mark.usefixtures("needs_packets")
@pytest.mark.parametrize(
    ("stop", "stopped", "start"),
    [
        ("pause_server", "PAUSED", "unpause_server"),
        ("suspend_server", "SUSPENDED", "resume_server"),
        ("stop_server", "SHUTOFF", "start_server"),
        ("shelve_server", "SHELVED_OFFLOADED", "unshelve_server"),
    ],
)
def test_server_answers_pings_while_it_runs_and_only_then(
    servers: Servers, reaches: Callable[[Any, Any], bool], stop: str, stopped: str, start: str
) -> None:
    witness, server = servers.boot(), servers.boot()
    assert reaches(witness, server)
    getattr(servers.cloud.compute, stop)(server.id)
    servers.until(server, stopped)
    assert not reaches(witness, server)
    getattr(servers.cloud.compute, start)(server.id)
    assert reaches(witness, servers.until(server, "ACTIVE"))


@pytest.mark.parametrize("kind", ["SOFT", "HARD"])
def test_reboot(servers: Servers, kind: str) -> None:
    server = servers.boot()
    servers.cloud.compute.reboot_server(server.id, kind)
    servers.until(server, "ACTIVE")


def test_rescue_and_unrescue(servers: Servers) -> None:
    server = servers.boot()
    servers.cloud.compute.rescue_server(server.id)
    servers.until(server, "RESCUE")
    servers.cloud.compute.unrescue_server(server.id)
    servers.until(server, "ACTIVE")


def test_resize_is_confirmed_and_reverted(servers: Servers, sandbox: Client) -> None:
    compute = servers.cloud.compute
    small, large = (compute.find_flavor(name, ignore_missing=False) for name in ("m1.tiny", "m1.medium"))
    server = servers.boot()
    compute.resize_server(server.id, large.id)
    servers.until(server, "VERIFY_RESIZE")
    compute.revert_server_resize(server.id)
    assert servers.until(server, "ACTIVE").flavor.vcpus == small.vcpus
    compute.resize_server(server.id, large.id)
    servers.until(server, "VERIFY_RESIZE")
    compute.confirm_server_resize(server.id)
    assert servers.until(server, "ACTIVE").flavor.vcpus == large.vcpus
    assert len([row for row in sandbox.instances() if row["uuid"] == server.id]) == 1


@pytest.mark.parametrize("way", ["live", "cold"])
def test_migration_moves_the_guest(servers: Servers, sandbox: Client, way: str) -> None:
    server = servers.boot()
    source = server.compute_host
    if way == "live":
        servers.cloud.compute.live_migrate_server(server.id, host=None, block_migration="auto")
    else:
        servers.cloud.compute.migrate_server(server.id)
        servers.until(server, "VERIFY_RESIZE")
        servers.cloud.compute.confirm_server_resize(server.id)
    wait_for("another host", lambda: servers.cloud.compute.get_server(server.id).compute_host != source)
    moved = servers.until(server, "ACTIVE")
    assert [row["host"] for row in sandbox.instances() if row["uuid"] == server.id] == [moved.compute_host]
    port = next(iter(servers.cloud.network.ports(device_id=server.id)))
    assert (port.status, port.binding_host_id) == ("ACTIVE", moved.compute_host)


def test_rebuild_keeps_the_address(servers: Servers) -> None:
    server = servers.boot()
    before = addresses(server)
    servers.cloud.compute.rebuild_server(server.id, image=servers.image.id)
    assert addresses(servers.until(server, "ACTIVE")) == before


def test_snapshot_has_bytes_and_boots(servers: Servers) -> None:
    server = servers.boot()
    image = servers.cloud.compute.create_server_image(server.id, name="snap", wait=True)
    try:
        kept = servers.cloud.image.get_image(image.id)
        assert kept.size == len(servers.cloud.image.download_image(kept).content) > 0
        servers.boot(image_id=kept.id)
    finally:
        servers.cloud.image.delete_image(image.id)


def test_console_log_knows_the_server(servers: Servers) -> None:
    server = servers.boot()
    console = servers.cloud.compute.get_server_console_output
    wait_for("its name at the login prompt", lambda: f"{server.name} login:" in console(server.id)["output"])


def test_interface_is_added_and_removed(servers: Servers, sandbox: Client) -> None:
    server = servers.boot()
    added = servers.cloud.compute.create_server_interface(server.id, net_id=servers.network.id)
    assert len(guest(sandbox, server)["vifs"]) == 2
    servers.cloud.compute.delete_server_interface(added.port_id, server=server.id)
    wait_for("one interface", lambda: len(guest(sandbox, server)["vifs"]) == 1)


def test_volume_is_attached_and_detached(servers: Servers) -> None:
    cloud = servers.cloud
    server = servers.boot()
    volume = cloud.block_storage.create_volume(size=1, name="data")
    try:
        cloud.block_storage.wait_for_status(volume, "available", interval=1, wait=WAIT_S)
        cloud.compute.create_volume_attachment(server.id, volume_id=volume.id)
        wait_for("in-use", lambda: cloud.block_storage.get_volume(volume.id).status == "in-use")
        disks = cloud.compute.get_server_diagnostics(server.id).disk_details
        assert len(disks) == 2
        cloud.compute.delete_volume_attachment(server.id, volume.id)
        wait_for("available", lambda: cloud.block_storage.get_volume(volume.id).status == "available")
    finally:
        cloud.block_storage.delete_volume(volume.id)


def test_boot_from_volume(servers: Servers) -> None:
    mapping = {
        "boot_index": 0,
        "uuid": servers.image.id,
        "source_type": "image",
        "destination_type": "volume",
        "volume_size": 1,
        "delete_on_termination": True,
    }
    server = servers.boot(image_id="", block_device_mapping_v2=[mapping])
    assert len(server.attached_volumes) == 1
    servers.clear()
    wait_for("no volume", lambda: not list(servers.cloud.block_storage.volumes()))


def test_twenty_servers_at_once(servers: Servers, sandbox: Client) -> None:
    with ThreadPoolExecutor(20) as pool:
        asked = list(pool.map(lambda _: servers.ask(flavor="m1.nano"), range(20)))
    for server in asked:
        servers.until(server, "ACTIVE")
    for name in sandbox.log_names():
        assert "database is locked" not in sandbox.log_path(name).read_text()
    found = [address for server in asked for address in addresses(servers.cloud.compute.get_server(server.id))]
    assert len(set(found)) == 40
    servers.clear()
    assert sandbox.instances() == []
    for provider in servers.cloud.placement.resource_providers():
        usage = servers.cloud.session.get(
            f"/resource_providers/{provider.id}/usages", endpoint_filter={"service_type": "placement"}
        ).json()["usages"]
        assert set(usage.values()) <= {0}, f"{provider.name} still holds {usage}"


def test_refusals_are_novas_own(servers: Servers) -> None:
    server = servers.boot()
    with pytest.raises(openstack.exceptions.ConflictException, match="unpause"):
        servers.cloud.compute.unpause_server(server.id)
    with pytest.raises(openstack.exceptions.NotFoundException):
        servers.cloud.compute.get_server(str(uuid.uuid4()))


def test_hypervisors_and_usage(servers: Servers, sandbox: Client) -> None:
    servers.boot()
    found = {row.name: row for row in servers.cloud.compute.hypervisors(details=True)}
    assert set(found) == {host["name"] for host in sandbox.status()["hosts"]}
    assert all(row.state == "up" and row.uptime for row in found.values())


def test_demo_user_sees_his_own_alone(servers: Servers, sandbox: Client) -> None:
    servers.boot()
    demo = connect(sandbox, "nova-fakes-demo")
    assert list(demo.compute.servers()) == []
    with pytest.raises(openstack.exceptions.ForbiddenException):
        list(demo.compute.hypervisors(details=True))


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("token issue", "project_id"),
        ("catalog list", "placement"),
        ("image list", "nova-fakes"),
        ("network list", "private"),
        ("flavor list", "m1.tiny"),
        ("hypervisor list", "compute-1"),
        ("compute service list", "nova-scheduler"),
        ("network agent list", "compute-2"),
        ("volume list", ""),
        ("usage list", "Project"),
    ],
)
def test_stock_client(sandbox: Client, command: str, expected: str) -> None:

    done = subprocess.run(
        [str(Path(sys.executable).with_name("openstack")), *command.split()],
        env=os.environ | sandbox.environment(),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout
