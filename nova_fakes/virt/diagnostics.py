"""A guest's counters as one flat mapping, under the keys that libvirt's driver uses."""

from __future__ import annotations

from nova_fakes.virt.hypervisor import Statistics

__all__ = ["flat"]


def flat(statistics: Statistics) -> dict[str, int]:
    """Return processor times, ns; disk and interface counters; memory, KiB."""
    memory_kb = statistics.guest.spec.memory_mb * 1024
    found = {f"cpu{index}_time": time_ns for index, time_ns in enumerate(statistics.cpus)}
    for device, disk in statistics.disks:
        found[f"{device}_read_req"] = disk.read_requests
        found[f"{device}_read"] = disk.read_bytes
        found[f"{device}_write_req"] = disk.write_requests
        found[f"{device}_write"] = disk.write_bytes
        found[f"{device}_errors"] = disk.errors
    for nic, counters in statistics.nics:
        name = nic.devname
        found[f"{name}_rx"] = counters.rx_bytes
        found[f"{name}_rx_packets"] = counters.rx_packets
        found[f"{name}_rx_errors"] = counters.rx_errors
        found[f"{name}_rx_drop"] = counters.rx_dropped
        found[f"{name}_tx"] = counters.tx_bytes
        found[f"{name}_tx_packets"] = counters.tx_packets
        found[f"{name}_tx_errors"] = counters.tx_errors
        found[f"{name}_tx_drop"] = counters.tx_dropped
    found["memory"] = memory_kb
    found["memory-actual"] = memory_kb
    found["memory-rss"] = statistics.memory_used_mb * 1024
    return found
