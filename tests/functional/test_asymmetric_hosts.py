"""A sandbox of hosts that differ: nova's scheduler finds the one that has what a flavor asks for."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from running import connect, wait_for

from nova_fakes.cmd import exits
from nova_fakes.sandbox.client import Client

COMMAND = Path(sys.executable).with_name("nova-fakes")
FLEET = """
[[host]]
name = "small"
latency = "uniform:0.001,0.01"
vcpus = 4
memory_mb = 8192
disk_gb = 100

[[host]]
name = "gold"
vcpus = 64
memory_mb = 262144
disk_gb = 4000
traits = ["CUSTOM_GOLD"]
resources = { CUSTOM_LICENSE = 1 }

[[host.numa]]
vcpus = 32
pcpus = 4
memory_mb = 131072
huge_pages = { 2048 = 1024 }

[[host.numa]]
vcpus = 32
memory_mb = 131072

[[host.pci]]
address = "0000:81:00.0"
vendor_id = "10de"
product_id = "1eb8"
numa_node = 0

[[host.pmem]]
name = "ns_0"
label = "1GB"
size_mb = 1024

[[host.provider]]
name = "magic"
resources = { CUSTOM_MAGIC = 2 }

[[aggregate]]
name = "edge"
hosts = ["sm*"]
availability_zone = "az-edge"
metadata = { small = "true" }

[nova]
"pci/device_spec" = '{"vendor_id": "10de", "product_id": "1eb8"}'
"pci/alias" = '{"vendor_id": "10de", "product_id": "1eb8", "device_type": "type-PCI", "name": "gpu"}'

[[host.fault]]
operation = "suspend"
"""
FAULTS = """
[[fault]]
operation = "spawn"
flavor = "doomed"
error = "BuildAbortException: no luck"
"""


def up(state: Path, fleet: Path, *options: Any) -> subprocess.CompletedProcess[str]:
    command = [COMMAND, "up", "--realizer", "null", "--state", state, "--fleet", fleet, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_servers_land_where_there_is_what_they_need(state: Path, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.toml"
    fleet.write_text(FLEET)
    faults = tmp_path / "faults.toml"
    faults.write_text(FAULTS)
    ran = up(state, fleet, "--faults", faults)
    assert ran.returncode == 0, ran.stderr
    cloud = connect(Client(state))
    found = {host.name: host for host in cloud.compute.hypervisors(details=True)}
    assert found.keys() == {"small", "gold"}
    image, network = cloud.image.find_image("nova-fakes"), cloud.network.find_network("private")

    def boot(name: str, extra_specs: dict[str, str]) -> Any:
        flavor = cloud.compute.create_flavor(name=name, vcpus=1, ram=64, disk=0)
        cloud.compute.create_flavor_extra_specs(flavor, extra_specs)
        server = cloud.compute.create_server(
            name=name, image_id=image.id, flavor_id=flavor.id, networks=[{"uuid": network.id}]
        )
        wait_for(name, lambda: cloud.compute.get_server(server.id).status != "BUILD")
        return cloud.compute.get_server(server.id)

    gold = boot("gold", {"trait:CUSTOM_GOLD": "required"})
    licensed = boot("licensed", {"resources:CUSTOM_LICENSE": "1"})
    magic = boot("magic", {"resources:CUSTOM_MAGIC": "2"})
    plain = boot("plain", {"trait:CUSTOM_GOLD": "forbidden"})
    assert [server.compute_host for server in (gold, licensed, magic, plain)] == ["gold", "gold", "gold", "small"]
    assert boot("doomed", {}).fault["message"].endswith("no luck")
    told = [(rule["operation"], rule.get("host"), rule["struck"] > 0) for rule in Client(state).faults()]
    assert told == [("*", "small", True), ("suspend", "gold", False), ("spawn", None, True)]
    zones = {server.name: server.availability_zone for server in (gold, plain)}
    assert zones == {"gold": "nova", "plain": "az-edge"}
    (aggregate,) = cloud.compute.aggregates()
    assert (aggregate.name, aggregate.hosts, aggregate.metadata["small"]) == ("edge", ["small"], "true")

    pinned = boot("pinned", {"hw:cpu_policy": "dedicated", "hw:mem_page_size": "2MB"})
    device = boot("device", {"pci_passthrough:alias": "gpu:1"})
    memory = boot("memory", {"hw:pmem": "1GB"})
    assert [server.compute_host for server in (pinned, device, memory)] == ["gold"] * 3
    # Each of these there is once, but processors, and somebody has it.
    for name, extra_specs in (
        ("second licence", {"resources:CUSTOM_LICENSE": "1"}),
        ("second device", {"pci_passthrough:alias": "gpu:1"}),
        ("second namespace", {"hw:pmem": "1GB"}),
    ):
        refused = boot(name, extra_specs)
        assert refused.status == "ERROR"
        assert "No valid host" in refused.fault["message"]
    held = {instance["name"]: instance["equipment"] for instance in Client(state).instances()}
    assert held["pinned"]["pinned_cpus"]
    assert held["device"]["pci"] == ["0000:81:00.0"]
    assert held["memory"]["pmem"] == ["ns_0"]
    assert held["plain"] == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [("[[host]]\nname = 'a'\nvcpu = 1", "line 3: vcpu"), ("[[hosts]]\nname = 'a'", "did you mean host")],
)
def test_a_wrong_file_starts_nothing(state: Path, tmp_path: Path, text: str, told: str) -> None:
    fleet = tmp_path / "fleet.toml"
    fleet.write_text(text)
    ran = up(state, fleet)
    assert ran.returncode == exits.USAGE
    assert told in ran.stderr
    assert not (state / "etc").exists()
