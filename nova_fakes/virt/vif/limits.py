"""How many instances fit on this machine, by each of its limits: what breaks first, and what to type.

Every number comes from the running kernel's own settings and from what is in use; what an instance takes of each was
measured (Linux 6.18, one interface with IPv4 and IPv6).
"""

import os
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Capacity", "capacities", "next_to_break"]

#: ``BR_PORT_BITS`` in ``net/bridge/br_private.h``: a bridge numbers its ports with ten bits, and 0 is none.
BRIDGE_PORTS = 1023
#: Beyond this many ports an Open vSwitch takes seconds to apply each change.
SWITCH_PORTS = 500
#: ``arp_tbl.gc_thresh3`` in ``net/ipv4/arp.c``, where nobody has changed it.
_NEIGHBOURS = 1024
#: Kernel memory of a namespace with a veth pair and its settings, bytes.
_MEMORY_BYTES = 320 << 10
#: Descriptors that a process has open besides those of instances.
_OTHER_FILES = 128


@dataclass(frozen=True, slots=True)
class Capacity:
    """A limit: `instances` is how many it lets be on this machine, None where it cannot be told.

    `value` is the setting as it is; `why` says what an instance takes of it. `always`: whatever instances do; others
    matter where they do what `why` says.
    """

    name: str
    value: str
    instances: int | None
    why: str
    cure: Callable[[int], str]
    always: bool = False

    def allows(self, instances: int) -> bool:
        """Tell whether so many fit."""
        return self.instances is None or instances <= self.instances


def capacities(hosts: int = 1) -> list[Capacity]:
    """Read every limit.

    :param hosts: the hosts on this machine, each with its own bridges, over which the instances are spread evenly
    """
    return [
        _sysctl("user.max_net_namespaces", hosts, "each instance is a namespace, and each host has one", always=True),
        _sysctl("fs.mount-max", _mounts() + hosts, "each namespace is mounted under its name", always=True),
        _bridge_ports(hosts),
        _switch_ports(hosts),
        _neighbours(),
        _files(),
        _sysctl("kernel.pid_max", _tasks(), "a command in each instance at once takes a process each"),
        _cgroup_processes(),
        _maps(),
        _sysctl("fs.inotify.max_user_instances", 0, "a daemon of its own in each instance, as dnsmasq, takes one each"),
        _memory(),
    ]


def next_to_break(found: list[Capacity]) -> Capacity | None:
    """Return the limit that is met first when instances become more, whatever they do; None where none can be read."""
    told = [one for one in found if one.always and one.instances is not None]
    return min(told, key=lambda one: one.instances or 0, default=None)


def _sysctl(key: str, used: int, why: str, *, always: bool = False) -> Capacity:
    value = _number(Path("/proc/sys", *key.split(".")))
    fits = None if value is None else max(0, value - used)
    return Capacity(
        key,
        "not readable" if value is None else str(value),
        fits,
        why,
        lambda instances: f"sysctl -w {key}={_round_up(instances + used)}",
        always,
    )


def _bridge_ports(hosts: int) -> Capacity:
    return Capacity(
        "bridge-ports",
        f"{BRIDGE_PORTS} a bridge, {hosts} host{'s' * (hosts > 1)}",
        BRIDGE_PORTS * hosts - (hosts if hosts > 1 else 0),  # one port of each is the way to the others
        "of one network on one host no more fit on its Linux bridge",
        lambda instances: f"spread them over {-(-instances // (BRIDGE_PORTS - 1))} hosts, or over networks",
        always=True,
    )


def _switch_ports(hosts: int) -> Capacity:
    return Capacity(
        "switch-ports",
        f"{SWITCH_PORTS} a switch, {hosts} host{'s' * (hosts > 1)}",
        SWITCH_PORTS * hosts,
        "realizer ovs only: with more an Open vSwitch takes long over each change",
        lambda instances: f"spread them over {-(-instances // SWITCH_PORTS)} hosts",
    )


def _neighbours() -> Capacity:
    key = "net.ipv4.neigh.default.gc_thresh3"
    value = _number(Path("/proc/sys", *key.split(".")))
    return Capacity(
        key,
        # Only the machine's first network namespace shows it.
        f"not readable here, by default {_NEIGHBOURS}" if value is None else str(value),
        _NEIGHBOURS if value is None else value,
        "one that talks to all others at once needs an entry for each, in one table for all namespaces",
        lambda instances: f"sysctl -w {key}={_round_up(2 * instances)}, or let them talk in turns",
    )


def _files() -> Capacity:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fits = None if soft == resource.RLIM_INFINITY else max(0, soft - _OTHER_FILES)
    raised = "" if hard == soft else f" (up to {hard} without root)"
    return Capacity(
        "open-files",
        "unlimited" if fits is None else str(soft),
        fits,
        "a ping of all from all opens a socket in each",
        lambda instances: f"ulimit -n {_round_up(instances + _OTHER_FILES)}{raised}",
    )


def _cgroup_processes() -> Capacity:
    group = _cgroup()
    value = None if group is None else _number(group / "pids.max")
    used = None if group is None else _number(group / "pids.current")
    return Capacity(
        "cgroup-pids",
        "unlimited" if value is None else str(value),
        None if value is None else max(0, value - (used or 0)),
        "a command in each instance at once takes a process each",
        lambda instances: f"let the unit have more: TasksMax={_round_up(instances + (used or 0))}",
    )


def _maps() -> Capacity:
    key = "vm.max_map_count"
    value = _number(Path("/proc/sys", *key.split(".")))
    return Capacity(
        key,
        "not readable" if value is None else str(value),
        None if value is None else value // 2 - 1000,
        "callers that plug all at once are a thread each, whose stack takes two maps",
        lambda instances: f"sysctl -w {key}={_round_up(2 * instances + 2000)}",
    )


def _memory() -> Capacity:
    available = _available_bytes()
    return Capacity(
        "memory",
        "not readable" if available is None else f"{available >> 20} MiB available",
        None if available is None else available // _MEMORY_BYTES,
        f"each takes {_MEMORY_BYTES >> 10} KiB of the kernel's memory",
        lambda instances: f"use a machine with {(instances * _MEMORY_BYTES >> 20) + 1} MiB more than is in use",
        always=True,
    )


def _available_bytes() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        kib = next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))
        return int(kib) << 10
    except (OSError, StopIteration, ValueError):
        return None


def _cgroup() -> Path | None:
    """Return this process's directory in the unified hierarchy (cgroups(7)), None where there is none."""
    try:
        line = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return None
    return Path("/sys/fs/cgroup", line[len("0::") :].lstrip("/"))


def _mounts() -> int:
    try:
        return len(Path("/proc/self/mountinfo").read_text().splitlines())
    except OSError:
        return 0


def _tasks() -> int:
    """Return how many processes there are."""
    return sum(name.isdecimal() for name in os.listdir("/proc"))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text().split()[0])
    except (OSError, IndexError, ValueError):
        return None


def _round_up(number: int) -> int:
    """Return the next number with two digits that count."""
    step: int = 10 ** max(0, len(str(number)) - 2)
    return -(-number // step) * step
