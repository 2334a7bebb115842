"""Counters as closed-form functions of what a guest is, its seed, and for how long it has run.

Nothing runs in the background: a counter is computed when somebody asks. Each is the integral of a rate that is never
negative, so that it never decreases; one seed gives one history.
"""

from __future__ import annotations

import math
from typing import NamedTuple
from zlib import crc32

__all__ = ["DiskCounters", "NicCounters", "cpu_time_ns", "cpu_utilisation", "disk", "host_cpu", "memory_used_mb", "nic"]

_NS = 1_000_000_000
_FULL = 2.0**32

#: Seconds in which a guest reads most of what it reads to boot.
_BOOT_S = 20.0
_BOOT_READ_BYTES = 180 * 1024 * 1024
_BOOT_WRITE_BYTES = 24 * 1024 * 1024
#: Mean size of a request and of a packet.
_REQUEST_BYTES = 16_384
_PACKET_BYTES = 420


class DiskCounters(NamedTuple):
    """What a disk has done, in libvirt's order (``virDomainBlockStats``)."""

    read_requests: int
    read_bytes: int
    write_requests: int
    write_bytes: int
    errors: int


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


def _fraction(seed: int, what: str) -> float:
    """Return a number in [0, 1) that depends on nothing but the seed and the name."""
    return crc32(what.encode(), seed) / _FULL


def _wave(active_s: float, seed: int, what: str) -> float:
    """Return the integral of a rate that swings around 1 between 0.2 and 1.8 with a period of minutes to an hour."""
    phase = _fraction(seed, what) * math.tau
    frequency = math.tau / (180.0 + 3600.0 * _fraction(seed, what + "/period"))
    return active_s + 0.8 * (math.cos(phase) - math.cos(frequency * active_s + phase)) / frequency


def cpu_time_ns(seed: int, vcpu: int, active_s: float) -> int:
    """Return the processor time that one virtual CPU has used, nanoseconds."""
    what = f"cpu{vcpu}"
    load = 0.01 + 0.24 * _fraction(seed, what + "/load")
    boot_s = 2.5 * (1.0 - math.exp(-active_s / _BOOT_S))
    # Busy time cannot exceed the time that passed: 0.25 * 1.8 + 2.5 / 20 < 1.
    return int(_NS * (load * _wave(active_s, seed, what) + boot_s))


def cpu_utilisation(seed: int, vcpu: int, active_s: float) -> int:
    """Return the mean use of one virtual CPU over the last ten seconds, per cent."""
    span_s = min(active_s, 10.0)
    if span_s <= 0:
        return 0
    used_ns = cpu_time_ns(seed, vcpu, active_s) - cpu_time_ns(seed, vcpu, active_s - span_s)
    return round(100.0 * used_ns / (_NS * span_s))


def memory_used_mb(seed: int, memory_mb: int, active_s: float) -> int:
    """Return the memory that the guest has touched, MiB: it grows quickly at boot, then slowly towards a level."""
    level = 0.35 + 0.4 * _fraction(seed, "memory")
    share = level * (1.0 - 0.6 * math.exp(-active_s / 30.0) - 0.4 * math.exp(-active_s / 3600.0))
    return int(memory_mb * share)


def disk(seed: int, device: str, active_s: float, boots: bool) -> DiskCounters:
    """Return a disk's counters.

    :param device: its name
    :param boots: the guest boots from it
    """
    read = (2_000.0 + 60_000.0 * _fraction(seed, device + "/read")) * _wave(active_s, seed, device + "/r")
    write = (4_000.0 + 120_000.0 * _fraction(seed, device + "/write")) * _wave(active_s, seed, device + "/w")
    if boots:
        booted = 1.0 - math.exp(-active_s / _BOOT_S)
        read += _BOOT_READ_BYTES * booted
        write += _BOOT_WRITE_BYTES * booted
    read_requests, write_requests = int(read) // _REQUEST_BYTES, int(write) // _REQUEST_BYTES
    return DiskCounters(
        read_requests, read_requests * _REQUEST_BYTES, write_requests, write_requests * _REQUEST_BYTES, 0
    )


def nic(seed: int, vif_id: str, active_s: float) -> NicCounters:
    """Return the counters of an interface that no realizer has made."""
    received = (3_000.0 + 90_000.0 * _fraction(seed, vif_id + "/rx")) * _wave(active_s, seed, vif_id + "/r")
    sent = (2_000.0 + 70_000.0 * _fraction(seed, vif_id + "/tx")) * _wave(active_s, seed, vif_id + "/t")
    rx_packets, tx_packets = int(received) // _PACKET_BYTES, int(sent) // _PACKET_BYTES
    return NicCounters(
        rx_packets * _PACKET_BYTES, rx_packets, 0, rx_packets // 250_000, tx_packets * _PACKET_BYTES, tx_packets, 0, 0
    )


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
