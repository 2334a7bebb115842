"""Counters as closed-form functions of a guest's workload, its seed, and for how long it has run.

Nothing runs in the background: a counter is computed when somebody asks. Each is the integral of a rate that is never
negative, so that it never decreases; one seed gives one history.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from nova_fakes.virt.disks import MIB
from nova_fakes.virt.workload import Workload

__all__ = ["DiskCounters", "NicCounters", "cpu_time_ns", "dirty_bytes_s", "disk", "host_cpu", "memory_used_mb", "nic"]

_NS = 1_000_000_000
#: Seconds in which a guest reads most of what it reads to boot.
_BOOT_S = 20.0
_BOOT_READ_BYTES = 180 * 1024 * 1024
_BOOT_WRITE_BYTES = 24 * 1024 * 1024


class DiskCounters(NamedTuple):
    """What a disk has done, in libvirt's order (``virDomainBlockStats``)."""

    read_requests: int
    read_bytes: int
    write_requests: int
    write_bytes: int
    errors: int

    def with_traffic(self, traffic: tuple[int, int, int, int] | None) -> DiskCounters:
        """Return them with what the guest has read and written itself: requests and bytes, then likewise written."""
        if traffic is None:
            return self
        reads, read, writes, written = traffic
        return DiskCounters(
            self.read_requests + reads,
            self.read_bytes + read,
            self.write_requests + writes,
            self.write_bytes + written,
            self.errors,
        )


class NicCounters(NamedTuple):
    """What an interface has carried, as the guest sees it."""

    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int


def cpu_time_ns(workload: Workload, seed: int, vcpu: int, active_s: float) -> int:
    """Return the processor time that one virtual CPU has used, nanoseconds."""
    what = f"cpu{vcpu}"
    boot_s = 2.5 * (1.0 - math.exp(-active_s / _BOOT_S))
    # A workload leaves the boot its eighth of the processor: busy time cannot exceed the time that passed.
    return int(
        _NS * (workload.pick(workload.cpu, seed, what + "/load") * workload.busy_s(active_s, seed, what) + boot_s)
    )


def memory_used_mb(workload: Workload, seed: int, memory_mb: int, active_s: float) -> int:
    """Return the memory that the guest has touched, MiB: it grows quickly at boot, then slowly towards a level."""
    level = workload.pick(workload.memory, seed, "memory")
    share = level * (1.0 - 0.6 * math.exp(-active_s / 30.0) - 0.4 * math.exp(-active_s / 3600.0))
    return int(memory_mb * share)


def disk(workload: Workload, seed: int, device: str, active_s: float, boots: bool) -> DiskCounters:
    """Return a disk's counters.

    :param device: its name
    :param boots: the guest boots from it
    """
    read = workload.pick(workload.disk_read, seed, device + "/read") * workload.busy_s(active_s, seed, device + "/r")
    write = workload.pick(workload.disk_write, seed, device + "/write") * workload.busy_s(active_s, seed, device + "/w")
    if boots:
        booted = 1.0 - math.exp(-active_s / _BOOT_S)
        read += _BOOT_READ_BYTES * booted
        write += _BOOT_WRITE_BYTES * booted
    size = workload.request_bytes
    read_requests, write_requests = int(read) // size, int(write) // size
    return DiskCounters(read_requests, read_requests * size, write_requests, write_requests * size, 0)


def nic(workload: Workload, seed: int, vif_id: str, active_s: float) -> NicCounters:
    """Return the counters of an interface that no realizer has made."""
    received = workload.pick(workload.received, seed, vif_id + "/rx") * workload.busy_s(active_s, seed, vif_id + "/r")
    sent = workload.pick(workload.sent, seed, vif_id + "/tx") * workload.busy_s(active_s, seed, vif_id + "/t")
    size = workload.packet_bytes
    rx_packets, tx_packets = int(received) // size, int(sent) // size
    return NicCounters(rx_packets * size, rx_packets, 0, rx_packets // 250_000, tx_packets * size, tx_packets, 0, 0)


def dirty_bytes_s(workload: Workload, seed: int) -> float:
    """Return how much memory the guest writes to while it is live-migrated, bytes a second."""
    return workload.pick(workload.dirty, seed, "dirty") * MIB


def host_cpu(seed: int, vcpus: int, uptime_s: float, guests_ns: int) -> dict[str, int]:
    """Return a host's processor times since it booted, nanoseconds, and its frequency in MHz.

    :param guests_ns: what its guests have used
    """
    total_ns = int(_NS * uptime_s) * vcpus
    kernel_ns = int(total_ns * 0.004)
    iowait_ns = int(total_ns * 0.001)
    user_ns = min(guests_ns, total_ns - kernel_ns - iowait_ns)
    return {
        "kernel": kernel_ns,
        "user": user_ns,
        "iowait": iowait_ns,
        "idle": total_ns - kernel_ns - iowait_ns - user_ns,
        "frequency": 2_000 + 100 * (seed % 15),
    }
