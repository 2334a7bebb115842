"""The namespace of a fabric's own, in which bridges and host ends live out of the machine's sight."""

import os
from pathlib import Path

from nova_fakes.exceptions import RealizerError
from nova_fakes.virt.vif import namespaces
from nova_fakes.virt.vif.ledger import Entry, Ledger

__all__ = ["enter", "quieten"]

#: No IPv6 on the hosts' side, and no firewall hooks on bridged frames.
_QUIET_SETTINGS = {
    "/proc/sys/net/ipv6/conf/default/disable_ipv6": "1",
    "/proc/sys/net/ipv6/conf/default/addr_gen_mode": "1",
}
_BRIDGE_HOOKS = tuple(f"/proc/sys/net/bridge/bridge-nf-call-{hook}" for hook in ("iptables", "ip6tables", "arptables"))


def enter(ledger: Ledger, path: str) -> Entry:
    """Move the calling thread into the namespace at `path`, made where the ledger does not name it; returns its entry.

    :raises RealizerError: something else is there
    :raises NamespacesUnavailable: no namespaces can be made here
    """
    for entry in ledger.entries("namespace"):
        if entry.name == path and entry.attributes.get("inode") == namespaces.inode(path):
            namespaces.enter(path)
            return entry
    if os.path.lexists(path):
        raise RealizerError(f"{path} exists and the ledger does not name it; choose another name for the fabric")
    entry = ledger.add("namespace", path, role="fabric")
    try:
        namespaces.make(path)
    except BaseException:
        ledger.done(entry)
        raise
    return ledger.note(entry, inode=namespaces.inode(path))


def quieten() -> bool:
    """Set the calling thread's namespace up for bridges; tells whether new devices there stay silent by themselves."""
    for path in _BRIDGE_HOOKS:
        try:
            Path(path).write_text("0")
        except OSError:
            pass  # the module br_netfilter is not there, so there are no hooks either
    try:
        for path, value in _QUIET_SETTINGS.items():
            Path(path).write_text(value)
    except OSError:
        return False  # each device is told on its own then
    return True
