"""A guest's counters in the shape that microversion 2.48 gave them (`nova/…/views/server_diagnostics.py`)."""

from __future__ import annotations

from typing import Any

from nova_fakes.virt.guest import State
from nova_fakes.virt.hypervisor import Statistics

__all__ = ["described"]

_STATES = {
    State.NOSTATE: "pending",
    State.RUNNING: "running",
    State.PAUSED: "paused",
    State.SHUTDOWN: "shutdown",
    State.CRASHED: "crashed",
    State.SUSPENDED: "suspended",
}


def described(found: Statistics, config_drive: bool) -> dict[str, Any]:
    """Return a guest's counters: times in ns, memory in MiB."""
    return {
        "state": _STATES[found.guest.state],
        "driver": "libvirt",
        "hypervisor": "fake",
        "hypervisor_os": "linux",
        "uptime": int(found.active_s),
        "config_drive": config_drive,
        "num_cpus": len(found.cpus),
        "num_nics": len(found.nics),
        "num_disks": len(found.disks),
        "cpu_details": [{"id": index, "time": time, "utilisation": None} for index, time in enumerate(found.cpus)],
        "disk_details": [
            {
                "read_bytes": disk.read_bytes,
                "read_requests": disk.read_requests,
                "write_bytes": disk.write_bytes,
                "write_requests": disk.write_requests,
                "errors_count": disk.errors,
            }
            for _, disk in found.disks
        ],
        "nic_details": [
            {
                "mac_address": nic.address,
                "rx_octets": counters.rx_bytes,
                "rx_errors": counters.rx_errors,
                "rx_drop": counters.rx_dropped,
                "rx_packets": counters.rx_packets,
                "rx_rate": None,
                "tx_octets": counters.tx_bytes,
                "tx_errors": counters.tx_errors,
                "tx_drop": counters.tx_dropped,
                "tx_packets": counters.tx_packets,
                "tx_rate": None,
            }
            for nic, counters in found.nics
        ],
        "memory_details": {"maximum": found.guest.spec.memory_mb, "used": found.memory_used_mb},
    }
