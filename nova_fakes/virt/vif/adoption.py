"""What an earlier process left on a fabric's ledger, found again; what it left half made goes."""

from pathlib import Path

from nova_fakes.virt.vif import namespaces
from nova_fakes.virt.vif.bridges import delete
from nova_fakes.virt.vif.instances import Instance, Link
from nova_fakes.virt.vif.ledger import Entry, Ledger
from nova_fakes.virt.vif.plan import Seat
from nova_fakes.virt.vif.wiring import Wiring

__all__ = ["adopt"]


def adopt(wiring: Wiring, ledger: Ledger, directory: Path, within: str | None) -> None:
    """Take the ledger's namespaces, bridges and links into the wiring's books.

    :param directory: where the instances' namespaces have their names
    :param within: the path of the namespace in which bridges and host ends live, None for the process's own
    """
    for entry in ledger.entries("namespace"):
        ours = entry.attributes.get("role") == "guest" and Path(entry.name).parent == directory
        if ours and not _adopt_namespace(wiring, entry):
            ledger.done(entry)
    devices = [entry for entry in ledger.entries("device") if entry.attributes.get("within") == within]
    for role in ("trunk", "bridge", "uplink", "vif"):
        for entry in (entry for entry in devices if entry.attributes.get("role") == role):
            found = _adopt_link(wiring, entry, within) if role == "vif" else wiring.bridges.adopt(entry)
            if not found:
                ledger.done(entry)


def _adopt_namespace(wiring: Wiring, entry: Entry) -> bool:
    uuid, host = str(entry.attributes["instance"]), str(entry.attributes["host"])
    there = namespaces.inode(entry.name)
    noted = entry.attributes.get("inode")
    if noted is not None and noted == there:
        wiring.instances[uuid] = Instance(uuid, entry.name, host, entry, adopted=True)
        return True
    if noted is None or there is None:  # else another namespace has that name by now
        namespaces.remove(entry.name)
    return False


def _adopt_link(wiring: Wiring, entry: Entry, within: str | None) -> bool:
    link, facts = wiring.socket.link(entry.name), entry.attributes
    if link is None or (within is None and link.alias != entry.mark):
        return False
    instance = wiring.instances.get(str(facts["instance"]))
    if instance is None:
        delete(wiring.socket, entry.name)
        return False
    seat = Seat(int(str(facts["ordinal"])), str(facts["mac"]))
    wiring.register(instance, str(facts["vif"]), Link(entry.name, str(facts["network"]), seat, entry))
    instance.up = link.up
    return True
