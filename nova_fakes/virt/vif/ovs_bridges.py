"""Where a network's ports go on an Open vSwitch: always on the bridge that the VIF names.

On the machine's switch that bridge is somebody else's, and so is the VLAN. On a switch of our own we make it, one for
all hosts of the fabric, and each network is a VLAN on it: an instance that moves from host to host keeps its port.
Where VIFs name several bridges, patch ports join them by way of a trunk bridge: a star, which has no loop whatever
their number. All of it can be read back from the database.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from nova_fakes.exceptions import InvalidInput, RealizerError
from nova_fakes.virt.vif import rtnetlink
from nova_fakes.virt.vif.base import MAX_DEVNAME_LENGTH
from nova_fakes.virt.vif.bridges import preparation
from nova_fakes.virt.vif.instances import Link
from nova_fakes.virt.vif.ledger import Entry
from nova_fakes.virt.vif.switch import NETWORK, ROLE, Switch

__all__ = ["NamedBridges", "OwnBridges", "Segment"]

_LAST_TAG = 4094
_TRUNK = "nfo-trunk"


@dataclass(slots=True)
class Segment:
    """A network on one host: `ports` are its VIFs' host ends."""

    network_id: str
    host: str
    index: int = 0
    ports: set[str] = field(default_factory=set)


def _once(function: Callable[[], None]) -> None:
    function()


class NamedBridges:
    """The bridges that VIFs name, on a switch that is not ours: nothing is made, and Neutron's agent chooses VLANs.

    :param asking: calls what asks the switch, again where it did not answer and has been revived
    """

    def __init__(
        self, switch: Switch, quiet: bool, within: str | None, asking: Callable[[Callable[[], None]], None] = _once
    ) -> None:
        self._switch = switch
        self._asking = asking
        self._quiet = quiet
        self._within = within
        self._segments: dict[tuple[str, str], Segment] = {}

    def ensure(self, network_id: str, host: str, mtu: int) -> Segment:
        """Return the network's segment on that host."""
        return self._segments.setdefault((network_id, host), Segment(network_id, host))

    def get(self, network_id: str, host: str) -> Segment | None:
        """Return the network's segment on that host."""
        return self.ensure(network_id, host, 0)

    def release(self, network_id: str, host: str) -> None:
        """Forget the segment where no VIF is on it."""
        segment = self._segments.get((network_id, host))
        if segment is not None and not segment.ports:
            del self._segments[network_id, host]

    def adopt(self, entry: Entry) -> bool:
        """Tell that no device is there for a bridge."""
        return False

    def join(self, network_id: str, mtu: int) -> None:
        """Do nothing: the hosts of a switch share its bridges."""

    def clear(self, keep_in_kernel: bool = False) -> None:
        """Forget every segment."""
        self._segments.clear()

    def move(self, links: Iterable[Link], source: str, destination: str) -> None:
        """Take note that ports belong to another host; they stay where they are, for the hosts share the bridges."""
        for link in links:
            for host, change in ((source, set.discard), (destination, set.add)):
                segment = self.get(link.network_id, host)
                if segment is not None:
                    change(segment.ports, link.devname)

    def prepare(self, devname: str, entry: Entry) -> list[rtnetlink.Message]:
        """List what a new device of ours needs before it may go up."""
        return preparation(devname, entry, self._quiet, self._within)

    def read_back(self) -> None:
        """Find again what an earlier process made: nothing."""

    def make_bridge(self, name: str) -> None:
        """See that the bridge is there.

        :raises RealizerError: it is not
        """
        self._switch.datapath_type(name)

    def remove_idle(self) -> None:
        """Remove bridges of ours on which nothing is: none are."""

    def add_port(self, bridge: str, devname: str) -> None:
        """Take note of a port."""

    def drop_port(self, bridge: str, devname: str) -> None:
        """Take note that a port is gone."""

    def tag(self, network_id: str) -> int | None:
        """Return the network's VLAN, None where it is not ours to choose."""
        return None

    def datapath_type(self, name: str) -> str:
        """Return the datapath type of the bridge that a VIF names.

        :raises RealizerError: there is no such bridge
        """
        return self._switch.datapath_type(name)


class OwnBridges(NamedBridges):
    """Bridges of our own on a switch of our own, under the names that VIFs have for them."""

    def __init__(
        self, switch: Switch, quiet: bool, within: str | None, asking: Callable[[Callable[[], None]], None] = _once
    ) -> None:
        super().__init__(switch, quiet, within, asking)
        self._bridges: dict[str, set[str]] = {}
        self._tags: dict[str, int] = {}
        self._trunk = False

    def ensure(self, network_id: str, host: str, mtu: int) -> Segment:
        """Return the network's segment on that host, with a VLAN for the network.

        :raises RealizerError: there are no VLANs left
        """
        segment = self._segments.get((network_id, host))
        if segment is None:
            self._choose_tag(network_id)
            segment = self._segments[network_id, host] = Segment(network_id, host)
        return segment

    def get(self, network_id: str, host: str) -> Segment | None:
        """Return the network's segment on that host, None where there is none."""
        return self._segments.get((network_id, host))

    def release(self, network_id: str, host: str) -> None:
        """Forget the segment where no VIF is on it, its VLAN with its last, and the bridges on which nothing is."""
        super().release(network_id, host)
        if not any(network == network_id for network, _host in self._segments):
            self._tags.pop(network_id, None)
        self.remove_idle()

    def clear(self, keep_in_kernel: bool = False) -> None:
        """Forget everything; the bridges go with the switch."""
        super().clear(keep_in_kernel)
        self._bridges.clear()
        self._tags.clear()
        self._trunk = False

    def read_back(self) -> None:
        """Find again what an earlier process made on this switch."""
        for name, bridge in self._switch.bridges().items():
            if bridge.external_ids.get(ROLE) == "bridge":
                self._bridges[name] = set()
            self._trunk = self._trunk or bridge.external_ids.get(ROLE) == "trunk"
        for port in self._switch.ports().values():
            if port.tag is not None and NETWORK in port.external_ids:
                self._tags[port.external_ids[NETWORK]] = port.tag

    def make_bridge(self, name: str) -> None:
        """Make the bridge where it is missing, joined to the others.

        :raises InvalidInput: no device can have that name
        :raises RealizerError: it cannot be made; nothing of it is left
        """
        if name in self._bridges:
            return
        if len(name.encode()) > MAX_DEVNAME_LENGTH or "/" in name or name == _TRUNK:
            raise InvalidInput("bridge_name", name, f"use a device's name of at most {MAX_DEVNAME_LENGTH} characters")
        made: list[tuple[str, dict[str, str]]] = [(name, {ROLE: "bridge"})]
        joining: list[str] = []
        if self._bridges:
            joining.append(name)
            if not self._trunk:
                made.append((_TRUNK, {ROLE: "trunk"}))
                joining += self._bridges
        patches = [patch for one in joining for patch in _patches(one)]
        self._asking(lambda: self._switch.make_bridges(made, patches, self.datapath_type(name)))
        self._bridges[name] = set()
        self._trunk = self._trunk or bool(joining)

    def remove_idle(self) -> None:
        """Remove the bridges on which nothing is, and the trunk after the last."""
        idle = [name for name, ports in self._bridges.items() if not ports]
        if not idle:
            return
        for name in idle:
            del self._bridges[name]
        patches = [_patch_names(name)[1] for name in idle]
        if self._trunk and not self._bridges:
            idle.append(_TRUNK)
            self._trunk = False
        self._asking(lambda: self._switch.remove_bridges(idle, patches))

    def add_port(self, bridge: str, devname: str) -> None:
        """Take note of a port."""
        if bridge in self._bridges:
            self._bridges[bridge].add(devname)

    def drop_port(self, bridge: str, devname: str) -> None:
        """Take note that a port is gone."""
        if bridge in self._bridges:
            self._bridges[bridge].discard(devname)

    def tag(self, network_id: str) -> int | None:
        """Return the network's VLAN."""
        return self._tags.get(network_id)

    def datapath_type(self, name: str) -> str:
        """Return ours: the kernel's datapath would show on the machine."""
        return "netdev"

    def _choose_tag(self, network_id: str) -> None:
        if network_id in self._tags:
            return
        taken = set(self._tags.values())
        tag = next((tag for tag in range(1, _LAST_TAG + 1) if tag not in taken), None)
        if tag is None:
            raise RealizerError(f"the fabric has {_LAST_TAG} networks already, as many as there are VLANs")
        self._tags[network_id] = tag


def _patch_names(bridge: str) -> tuple[str, str]:
    end = hashlib.blake2b(bridge.encode(), digest_size=5).hexdigest()
    return f"nfp{end}", f"nfq{end}"


def _patches(bridge: str) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    near, far = _patch_names(bridge)
    return (bridge, near, far), (_TRUNK, far, near)
