"""A fleet's file: what it says becomes hosts; what is wrong in it is told by line, key and value."""

from __future__ import annotations

from pathlib import Path

import pytest

from nova_fakes.clock import ManualClock
from nova_fakes.delays import Uniform
from nova_fakes.exceptions import InjectedFault, InvalidInput
from nova_fakes.faults import FaultRule
from nova_fakes.virt.fleet_file import load
from nova_fakes.virt.guest import GuestSpec
from nova_fakes.virt.hypervisor import Hypervisor

WHOLE = """
seed = 7
shared_storage = false
migration_bandwidth_mb_s = 500

[workload.database]
cpu = [0.1, 0.3]
burst = 0.4

[[host]]
name = "big"
vcpus = 128
memory_mb = 1048576
disk_gb = 8000
memory_limit = 1.0
traits = ["CUSTOM_GOLD", "HW_CPU_X86_AVX512F"]
cpu_features = ["avx512f", "vmx"]
resources = { CUSTOM_LICENSE = 4 }

[[host.provider]]
name = "gpu"
resources = { VGPU = 8 }
traits = ["CUSTOM_A100"]

[[host.pci]]
address = "0000:81:00.0"
vendor_id = "8086"
product_id = "1572"
kind = "type-PF"

[[host.pci]]
address = "0000:81:00.1"
vendor_id = "8086"
product_id = "154c"
kind = "type-VF"
parent = "0000:81:00.0"
parent_interface = "ens1"
numa_node = 1

[[host]]
name = "edge-{n:02}"
count = 3
vcpus = 4
memory_mb = 8192

[[host.pci]]
address = "0000:02:00.0"
vendor_id = "10de"
product_id = "20b0"

[[fault]]
operation = "spawn"
host = "edge-*"
times = 1
error = "no room today"

[nova]
"pci/alias" = '{"name": "gpu"}'
"""


TWO_HOSTS_WITH_DEVICES = """[[host]]
name = "a"
[[host.pci]]
address = "0000:01:00.0"
vendor_id = "1"
product_id = "1"
[[host]]
name = "b"
[[host.pci]]
vendor_id = "1"
"""


@pytest.fixture
def write(tmp_path: Path):
    path = tmp_path / "fleet.toml"

    def write(text: str) -> Path:
        path.write_text(text)
        return path

    return write


def test_all_of_it(write) -> None:
    plan = load(write(WHOLE))
    assert list(plan.hosts) == ["big", "edge-01", "edge-02", "edge-03"]
    big, edge = plan.inventory("big"), plan.inventory("edge-02")
    assert (big.vcpus, big.memory_limit, big.resources["CUSTOM_LICENSE"]) == (128, 1.0, 4)
    assert big.traits == {"CUSTOM_GOLD", "HW_CPU_X86_AVX512F"}
    assert [(provider.name, dict(provider.resources)) for provider in big.providers] == [("gpu", {"VGPU": 8})]
    assert [(device.kind, device.numa_node) for device in big.pci] == [("type-PF", None), ("type-VF", 1)]
    assert [device.vendor_id for device in edge.pci] == ["10de"]
    assert edge.disk_gb == type(edge)().disk_gb
    assert plan.nova == {"pci/alias": '{"name": "gpu"}'}
    fleet = plan.make_fleet(ManualClock())
    assert (fleet.seed, fleet.shared_storage, fleet.migration_bandwidth_mb_s) == (7, False, 500.0)
    host = fleet.add(Hypervisor("edge-01", plan.inventory("edge-01")))
    spec = GuestSpec("uuid", "instance", 1, 512, 1, workload="database")
    with pytest.raises(InjectedFault, match="no room today"):
        host.spawn(spec)
    assert host.spawn(spec).workload.name == "database"
    with pytest.raises(InvalidInput, match="big, edge-01"):
        plan.inventory("edge-09")


def test_hosts_have_faults_and_latency_of_their_own(write) -> None:
    text = """
[[host]]
name = "slow[1]"
latency = "uniform:1,2"

[[host]]
name = "edge-{n}"
count = 2

[[host.fault]]
operation = "pause"
times = 1
"""
    plan = load(write(text))
    assert plan.faults == (
        FaultRule("*", host="slow[[]1]", delay=Uniform(1, 2)),
        FaultRule("pause", host="edge-1", times=1),
        FaultRule("pause", host="edge-2", times=1),
    )
    latency = plan.faults[0]
    assert [latency.concerns(host) for host in ("slow[1]", "slow1", "edge-1")] == [True, False, False]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('name = "a"\nvcpus = four', "no TOML.*line 2"),
        ("", r"line 1: host: None.*\[\[host\]\]"),
        ("seed = 'x'\n[[host]]\nname = 'a'", "line 1: seed: 'x'.*whole number"),
        ("sead = 1\n[[host]]\nname = 'a'", "line 1: sead: 1.*did you mean seed"),
        ("[[host]]\nvcpus = 4", "line 1: name: None.*a text"),
        ("[[host]]\nname = 'a'\n[[host]]\nname = 'b'\n\nvcpus = 'four'", "line 6: vcpus: 'four'.*whole number"),
        ("[[host]]\nname = 'a'\nvcpu = 4", "line 3: vcpu: 4.*did you mean vcpus"),
        ("[[host]]\nname = 'a'\nvcpus = 0", "line 3: vcpus: 0.*1 or more"),
        ("[[host]]\nname = 'a'\n[[host]]\nname = 'a'", "line 4: name: 'a'.*no other host"),
        ("[[host]]\nname = 'a'\ncount = 2", r"line 2: name: 'a'.*\{n\}"),
        ("[[host]]\nname = 'a{m}'\ncount = 2", r"line 2: name: 'a\{m\}'.*\{n\}"),
        ("[[host]]\nname = 'a{n}'\ncount = 0", "line 3: count: 0.*from 1"),
        ("[[host]]\nname = 'a'\ntraits = 'GOLD'", "line 3: traits.*list of texts"),
        ("[[host]]\nname = 'a'\nresources = { X = 'y' }", "line 3: resources.*whole numbers"),
        (
            "[[host]]\nname = 'a'\n[[host.pci]]\naddress = '1'\nvendor_id = '1'\nproduct_id = '1'",
            "line 4: address of PCI device 1.*0000:81:00.0",
        ),
        (
            TWO_HOSTS_WITH_DEVICES,
            "line 9: address: None.*cannot be left out",
        ),
        ("[[host]]\nname = 'a'\npci = 3", r"line 3: pci: 3.*\[\[host.pci\]\]"),
        ("[[host]]\nname = 'a'\n[[fault]]\ntimes = 1", "line 3: operation: None.*cannot be left out"),
        ("[[host]]\nname = 'a'\n[[fault]]\noperation = 'spawn'\nprobability = 3.0", "line 5: probability: 3.0"),
        ("[[host]]\nname = 'a'\nlatency = 'soon'", "line 3: latency: 'soon'.*write seconds"),
        ("[[host]]\nname = 'a'\n[[host.fault]]\noperation = 'pause'\nhost = 'b'", "line 5: host: 'b'.*use operation"),
        ("[[host]]\nname = 'a'\n[[fault]]\noperation = 'spwan'", "line 4: operation: 'spwan'.*use one of"),
        ("[workload]\nmine = 3\n[[host]]\nname = 'a'", r"line 1: workload: .*\[workload.NAME\]"),
        ("[workload.mine]\ncpus = [0, 1]\n[[host]]\nname = 'a'", "line 2: cpus of workload mine.*did you mean cpu"),
        ("workload = 1\n[[host]]\nname = 'a'", r"line 1: workload: 1.*\[workload.NAME\]"),
        ("[nova]\ndebug = true\n[[host]]\nname = 'a'", "line 2: debug: True.*group/option"),
    ],
)
def test_what_is_wrong_is_told_by_line_key_and_value(write, text: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told) as caught:
        load(write(text))
    assert "fleet.toml" in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"nothing\.toml"):
        load(tmp_path / "nothing.toml")
