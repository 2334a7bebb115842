"""What a fabric knows of the instances on it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from nova_fakes.virt.vif.base import VIF
from nova_fakes.virt.vif.ledger import Entry
from nova_fakes.virt.vif.plan import Seat, interface
from nova_fakes.virt.vif.steps import MtuChange, SetMtu

__all__ = ["Instance", "Link"]


@dataclass(slots=True)
class Link:
    """A plugged VIF: its host end and its place in the guest."""

    devname: str
    network_id: str
    seat: Seat
    entry: Entry

    @property
    def mtu(self) -> int:
        """Its MTU, bytes."""
        return int(str(self.entry.attributes["mtu"]))


@dataclass(slots=True)
class Instance:
    """An instance on the fabric; `links` by VIF id.

    `adopted`: an earlier process made it, and whether that got to configuring its inside is not known. `nsid` is the
    number under which the hosts' namespace knows the instance's, once it was asked for. `pristine`: no interface was
    made in it yet, so that the kernel numbers the first ones as the plan does. `unnoted` is its namespace's inode until
    the ledger has it.
    """

    uuid: str
    path: str
    host: str
    entry: Entry
    up: bool = True
    adopted: bool = False
    links: dict[str, Link] = field(default_factory=dict)
    nsid: int | None = None
    pristine: bool = False
    unnoted: int | None = None

    def mtu_changes(self, vifs: Iterable[VIF]) -> tuple[SetMtu, ...]:
        """Return the step that gives what the instance has the MTUs of these VIFs; none where it has them.

        :raises InvalidInput: an MTU cannot carry the VIF's addresses
        """
        changes = []
        for vif in vifs:
            link = self.links.get(vif.id)
            if link is not None and link.mtu != vif.mtu:
                interface(vif, link.seat.ordinal)
                changes.append(MtuChange(vif.id, link.mtu, vif.mtu))
        return (SetMtu(self.uuid, tuple(changes)),) if changes else ()
