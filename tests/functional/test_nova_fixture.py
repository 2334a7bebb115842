"""A whole nova as a fixture: two at once, servers that ping, and nothing left."""

import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fixtures
import openstack
import pytest
import requests
import testtools

from nova_fakes.exceptions import SandboxError
from nova_fakes.fixtures import NamespaceFixture, NovaFixture
from nova_fakes.virt.vif import namespaces


def everything() -> set[str]:
    """What is there that a sandbox may make outside its process: files, namespaces, devices; and our own threads."""
    tasks = Path("/proc/self/task").iterdir()
    found = {f"child {one}" for task in tasks for one in (task / "children").read_text().split()}
    for directory in map(Path, (tempfile.gettempdir(), namespaces.RUN_NETNS)):
        found |= set(map(str, directory.iterdir())) if directory.is_dir() else set()
    found |= {f"device {name}" for _, name in socket.if_nameindex()}
    return found | {f"thread {thread.name}" for thread in threading.enumerate()}


def start(fixture: NovaFixture) -> NovaFixture:
    fixture.setUp()
    return fixture


@pytest.fixture(scope="module")
def pair(realizer: str) -> Iterator[tuple[NovaFixture, NovaFixture]]:
    """Two novas, the second without interfaces; afterwards nothing of them is left."""
    before = everything()
    made = NovaFixture(realizer=realizer), NovaFixture(("alone",))
    try:
        with ThreadPoolExecutor(len(made)) as pool:
            one, other = pool.map(start, made)
        yield one, other
    finally:
        for fixture in made:
            fixture.cleanUp()
    assert everything() - before == set()
    for fixture in made:
        with pytest.raises(requests.ConnectionError):
            requests.get(fixture.url, timeout=10)


def test_two_know_nothing_of_each_other(pair: tuple[NovaFixture, NovaFixture]) -> None:
    hosts = [sorted(one.name for one in nova.connect().compute.hypervisors()) for nova in pair]
    assert hosts == [["compute-1", "compute-2"], ["alone"]]
    assert pair[0].url != pair[1].url


def test_servers_on_two_hosts_ping(pair: tuple[NovaFixture, NovaFixture], needs_packets: None) -> None:
    nova, _ = pair
    cloud = nova.connect()
    wanted = {"image_id": cloud.image.find_image("nova-fakes").id, "networks": "auto"}
    wanted["flavor_id"] = cloud.compute.find_flavor("m1.nano").id
    servers = [cloud.compute.create_server(name=host, host=host, **wanted) for host in ("compute-1", "compute-2")]
    first, second = (cloud.compute.wait_for_server(server, wait=300) for server in servers)
    assert (first.compute_host, second.compute_host) == ("compute-1", "compute-2")
    for port in second.addresses["private"]:
        assert "1 received" in nova.run(first.id, "ping", "-c1", "-W30", port["addr"]).stdout
    with pytest.raises(subprocess.CalledProcessError):
        nova.run(first.id, "false")


def test_a_port_with_a_minimum_is_placed_where_there_is_bandwidth(pair: tuple[NovaFixture, NovaFixture]) -> None:
    cloud = pair[1].connect()
    bandwidth, traits = "NET_BW_EGR_KILOBIT_PER_SEC", ["CUSTOM_NETWORK_TUNNEL_PROVIDER", "CUSTOM_VNIC_TYPE_NORMAL"]
    policy = cloud.network.create_qos_policy(name="at-least")
    cloud.network.create_qos_minimum_bandwidth_rule(policy, min_kbps=600, direction="egress")
    network = cloud.network.find_network("private")
    flavor, image = cloud.compute.find_flavor("m1.nano").id, cloud.image.find_image("nova-fakes").id

    def boot(name: str) -> tuple[str, dict[str, str]]:
        port = cloud.network.create_port(network_id=network.id, qos_policy_id=policy.id)
        wanted = {"name": name, "flavor_id": flavor, "image_id": image, "networks": [{"port": port.id}]}
        server = cloud.compute.create_server(**wanted)
        cloud.compute.wait_for_status(server, "ACTIVE", ["ERROR"], interval=1, wait=120)
        return port.id, cloud.network.get_port(port.id).binding_profile.get("allocation", {})

    with pytest.raises(openstack.exceptions.ResourceFailure):
        boot("nowhere")
    (host,) = cloud.compute.hypervisors()
    headers = {"OpenStack-API-Version": "placement 1.39"}
    body = {"name": "alone:tunnel", "parent_provider_uuid": host.id}
    made = cloud.placement.post("/resource_providers", json=body, headers=headers).json()
    path = f"/resource_providers/{made['uuid']}"
    stock = {"resource_provider_generation": 0, "inventories": {bandwidth: {"total": 1000}}}
    for trait in traits:
        cloud.placement.put(f"/traits/{trait}", headers=headers)
    assert cloud.placement.put(f"{path}/inventories", json=stock, headers=headers).ok
    had = {"resource_provider_generation": 1, "traits": traits}
    assert cloud.placement.put(f"{path}/traits", json=had, headers=headers).ok
    port_id, allocation = boot("somewhere")
    (group,) = cloud.network.get_port(port_id).resource_request["request_groups"]
    assert allocation == {group["id"]: made["uuid"]}
    with pytest.raises(openstack.exceptions.ResourceFailure):  # 600 of 1000 are taken
        boot("again")


class Failing(testtools.TestCase):
    __test__ = False  # for pytest, which is not to run it
    nova: NovaFixture

    def test_it(self) -> None:
        for name, content in self.nova.getDetails().items():
            self.addDetail(name, content)
        self.fail("as it must")


def test_a_failure_shows_the_logs(pair: tuple[NovaFixture, NovaFixture]) -> None:
    Failing.nova = pair[1]
    result = testtools.TestResult()
    Failing("test_it").run(result)
    ((_, text),) = result.failures
    for name in ("daemon", "nova-api", "nova-compute", "nova-conductor", "nova-scheduler", "placement"):
        assert f"log of {name}" in text
    assert "Compute node record created for alone" in text


def test_one_that_does_not_come_up_leaves_nothing() -> None:
    before = everything()
    with pytest.raises(fixtures.MultipleExceptions) as raised:
        NovaFixture(options={"DEFAULT/transport_url": "nonsense://"}).setUp()
    assert raised.value.args[0][0] is SandboxError
    assert "nonsense" in str(raised.value.args[0][1])
    assert everything() - before == set()


def test_a_killed_test_leaves_no_nova(realizer: str) -> None:
    before = everything()
    program = (
        "import os, signal; from nova_fakes.fixtures import NovaFixture\n"
        f"made = NovaFixture(1, realizer={realizer!r}); made.setUp(); print(made.client.status()['pid'], flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    deadline = time.monotonic() + 120
    while Path("/proc", done.stdout.strip()).exists():
        assert time.monotonic() < deadline, "its daemon lives on"
        time.sleep(0.05)
    with NamespaceFixture():
        pass
    assert everything() - before == set()
