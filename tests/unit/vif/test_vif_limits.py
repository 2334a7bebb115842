"""What a number of instances takes of the machine's limits."""

import pytest

from nova_fakes.virt.vif import limits
from nova_fakes.virt.vif.limits import capacities, next_to_break


@pytest.fixture
def machine(monkeypatch):
    """A machine with stock settings, of which tests change some."""
    values = {
        "/proc/sys/user/max_net_namespaces": 96365,
        "/proc/sys/fs/mount-max": 100_000,
        "/proc/sys/net/ipv4/neigh/default/gc_thresh3": 1024,
        "/proc/sys/kernel/pid_max": 32768,
        "/proc/sys/vm/max_map_count": 65530,
        "/proc/sys/fs/inotify/max_user_instances": 128,
        "/group/pids.max": 5000,
        "/group/pids.current": 40,
    }
    monkeypatch.setattr(limits, "_number", lambda path: values.get(str(path)))
    monkeypatch.setattr(limits, "_mounts", lambda: 30)
    monkeypatch.setattr(limits, "_tasks", lambda: 100)
    monkeypatch.setattr(limits, "_available_bytes", lambda: 8 << 30)
    monkeypatch.setattr(limits, "_cgroup", lambda: limits.Path("/group"))
    monkeypatch.setattr(limits.resource, "getrlimit", lambda which: (1024, 4096))
    return values


def room(hosts=1):
    return {one.name: one.instances for one in capacities(hosts)}


def test_each_limit_lets_so_many_be(machine):
    assert room() == {
        "user.max_net_namespaces": 96364,
        "fs.mount-max": 99969,
        "bridge-ports": 1023,
        "switch-ports": 500,
        "net.ipv4.neigh.default.gc_thresh3": 1024,
        "open-files": 896,
        "kernel.pid_max": 32668,
        "cgroup-pids": 4960,
        "vm.max_map_count": 31765,
        "fs.inotify.max_user_instances": 128,
        "memory": 26214,
    }


def test_what_breaks_next_is_what_has_least_room(machine):
    """Of those that every instance meets; inotify, say, matters to daemons alone."""
    assert next_to_break(capacities()).name == "bridge-ports"
    assert next_to_break(capacities(hosts=30)).name == "memory"
    machine["/proc/sys/user/max_net_namespaces"] = 15
    assert next_to_break(capacities()).name == "user.max_net_namespaces"


def test_more_hosts_have_more_bridges(machine):
    assert room(10)["bridge-ports"] == 10 * 1022
    assert room(10)["switch-ports"] == 5000


def test_a_cure_is_enough_for_what_was_asked(machine):
    found = {one.name: one for one in capacities()}
    assert not found["bridge-ports"].allows(5000)
    assert found["bridge-ports"].cure(5000) == "spread them over 5 hosts, or over networks"
    assert found["switch-ports"].cure(5000) == "spread them over 10 hosts"
    assert found["fs.mount-max"].cure(123_456) == "sysctl -w fs.mount-max=130000"
    assert found["open-files"].cure(5000) == "ulimit -n 5200 (up to 4096 without root)"
    assert found["memory"].allows(26214)
    assert not found["memory"].allows(26215)


def test_a_limit_that_cannot_be_read_stands_in_nobodys_way(machine):
    machine.clear()
    found = {one.name: one for one in capacities()}
    assert found["fs.mount-max"].value == "not readable"
    assert found["cgroup-pids"].value == "unlimited"
    assert found["net.ipv4.neigh.default.gc_thresh3"].instances == 1024
    assert found["fs.mount-max"].allows(1_000_000)
