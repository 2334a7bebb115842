"""The bridges of a fabric: one for each network and host, joined where a network has several.

Two bridges of one network are never joined directly but through a trunk bridge, to which each has one uplink: a star
has no loop whatever the number of hosts, so no spanning tree is needed. The trunk is made when a network gets its
second host, and everything of a network goes with the last VIF on it.
"""

import errno
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nova_fakes.exceptions import KernelRefused, RealizerError
from nova_fakes.virt.vif import netlink, rtnetlink
from nova_fakes.virt.vif.instances import Link
from nova_fakes.virt.vif.ledger import Entry, Ledger

__all__ = ["Bridge", "Bridges", "NetworkBridges", "NetworkPorts", "delete", "preparation"]

#: An uplink carries whatever its network's instances send: the largest that a veth takes.
_UPLINK_MTU = 65535


@dataclass(slots=True)
class Bridge:
    """A bridge of the fabric. `host` is None for a trunk; `ports` are the host ends of VIFs on it."""

    name: str
    index: int
    network_id: str
    host: str | None
    entry: Entry
    ports: set[str] = field(default_factory=set)
    uplink: Entry | None = None


class NetworkPorts(Protocol):
    """Where a network's host ends are put on one host.

    `index` is the kernel's number of the bridge, 0 where they are on none of the kernel's; `ports` are their names.
    """

    index: int
    ports: set[str]


class NetworkBridges(Protocol):
    """What the wiring asks of a fabric's bridges, whatever they are made of."""

    def ensure(self, network_id: str, host: str, mtu: int) -> NetworkPorts:
        """Return where the network's host ends go on that host, made where it is missing."""

    def get(self, network_id: str, host: str) -> NetworkPorts | None:
        """Return where they go, None where that is not made yet."""

    def release(self, network_id: str, host: str) -> None:
        """Remove it where no VIF is on it."""

    def adopt(self, entry: Entry) -> bool:
        """Take over what an earlier process made; False where it is not there any more."""

    def join(self, network_id: str, mtu: int) -> None:
        """See that the network's bridges on several hosts are joined."""

    def clear(self, keep_in_kernel: bool = False) -> None:
        """Forget everything, and remove it unless the whole namespace goes anyway."""

    def move(self, links: Iterable[Link], source: str, destination: str) -> None:
        """Take host ends from where they are on one host to where they go on another; all or none."""

    def prepare(self, devname: str, entry: Entry) -> list[rtnetlink.Message]:
        """List what a new device of ours needs before it may go up."""


class Bridges:
    """Makes and removes a fabric's bridges; used by the fabric's worker alone.

    :param socket: the netlink socket of the namespace in which the bridges live
    :param within: that namespace's path where it belongs to the fabric, None where it is the process's own
    :param quiet: new devices of that namespace have no IPv6 of their own already
    """

    def __init__(self, socket: netlink.Socket, ledger: Ledger, within: str | None, quiet: bool) -> None:
        self._socket = socket
        self._ledger = ledger
        self._within = within
        self._quiet = quiet
        self._token = os.urandom(8).hex()  # two fabrics may share a namespace
        self._bridges: dict[tuple[str, str | None], Bridge] = {}

    def ensure(self, network_id: str, host: str, mtu: int) -> Bridge:
        """Return the host's bridge of the network, made where it is missing and joined to the others.

        :raises KernelRefused: it cannot be made; nothing of it is left
        """
        bridge = self._bridges.get((network_id, host))
        if bridge is None:
            bridge = self._make(network_id, host, mtu)
            try:
                self.join(network_id, mtu)
            except BaseException:
                self.release(network_id, host)
                raise
        return bridge

    def get(self, network_id: str, host: str) -> Bridge | None:
        """Return the host's bridge of the network, None where there is none."""
        return self._bridges.get((network_id, host))

    def release(self, network_id: str, host: str) -> None:
        """Remove the host's bridge of the network where no VIF is on it, and the trunk after the last bridge."""
        bridge = self._bridges.get((network_id, host))
        if bridge is None or bridge.ports:
            return
        self._remove(bridge)
        trunk = self._bridges.get((network_id, None))
        if trunk is not None and not any(self._of_network(network_id)):
            self._remove(trunk)

    def adopt(self, entry: Entry) -> bool:
        """Take over a bridge that an earlier process made; False where it is not there any more."""
        link = self._socket.link(entry.name)
        if link is None or (self._within is None and link.alias != entry.mark):
            return False
        network_id, host = str(entry.attributes["network"]), entry.attributes.get("host")
        key = (network_id, None if host is None else str(host))
        if entry.attributes["role"] == "uplink":
            bridge = self._bridges.get(key)
            if bridge is None or link.master != bridge.index or (network_id, None) not in self._bridges:
                delete(self._socket, entry.name)  # it leads nowhere; `join` makes another
                return False
            bridge.uplink = entry
        else:
            self._bridges[key] = Bridge(entry.name, link.index, key[0], key[1], entry)
        return True

    def join(self, network_id: str, mtu: int) -> None:
        """See that the network's bridges on several hosts are joined by way of its trunk.

        :raises KernelRefused: they cannot be
        """
        bridges = list(self._of_network(network_id))
        if len(bridges) < 2:
            return
        trunk = self._bridges.get((network_id, None)) or self._make(network_id, None, mtu)
        for bridge in bridges:
            if bridge.uplink is None:
                bridge.uplink = self._uplink(bridge, trunk)

    def move(self, links: Iterable[Link], source: str, destination: str) -> None:
        """Take host ends off the source's bridges and put them on the destination's; all or none.

        The bridges are told in the same message where the instance's MACs are now. They would learn it of the next
        frame from there; until then the trunk sends to the source whatever is for the instance.

        :raises RealizerError: a host has no bridge of a network
        :raises KernelRefused: a host end cannot be put on a bridge
        """
        moving = list(links)
        there, back = self._attachments(moving, source, destination), self._attachments(moving, destination, source)
        try:
            self._attach(there, len(moving))
        except KernelRefused:
            self._attach(back, len(moving))
            raise
        for link in moving:
            self._bridges[link.network_id, source].ports.discard(link.devname)
            self._bridges[link.network_id, destination].ports.add(link.devname)

    def devices(self) -> tuple[str, ...]:
        """Return the names of all the devices that are there for the bridges."""
        uplinks = [bridge.uplink.name for bridge in self._bridges.values() if bridge.uplink is not None]
        return (*(bridge.name for bridge in self._bridges.values()), *uplinks)

    def clear(self, keep_in_kernel: bool = False) -> None:
        """Forget every bridge, and remove it unless the whole namespace goes anyway."""
        for bridge in list(self._bridges.values()):
            self._remove(bridge, keep_in_kernel)

    def prepare(self, devname: str, entry: Entry) -> list[rtnetlink.Message]:
        """List what a new device of ours needs before it may go up: no IPv6 of its own, and our mark."""
        return preparation(devname, entry, self._quiet, self._within)

    def _attachments(self, links: Sequence[Link], source: str, destination: str) -> list[rtnetlink.Message]:
        """List what puts host ends on the destination's bridges, one for each, and then what redirects their frames."""
        attaching: list[rtnetlink.Message] = []
        redirecting: list[rtnetlink.Message] = []
        for link in links:
            left, entered = (self._must_have(link.network_id, host) for host in (source, destination))
            attaching.append(rtnetlink.LINK_ATTACH.fill(devname=rtnetlink.name(link.devname), bridge=entered.index))
            redirecting += self._redirection(link, left, entered)
        return attaching + redirecting

    def _must_have(self, network_id: str, host: str) -> Bridge:
        bridge = self._bridges.get((network_id, host))
        if bridge is None:
            raise RealizerError(f"host {host} has no bridge of network {network_id}; plan one first")
        return bridge

    def _redirection(self, link: Link, left: Bridge, entered: Bridge) -> list[rtnetlink.Message]:
        """List what tells the network's bridges where a host end is that goes from one of them to another.

        The bridge that it entered has it no longer behind its uplink but at itself; the trunk, at the far end of that
        uplink; the bridge that it left, behind its own. Bridges of further hosts had it behind their uplinks, and have.
        """
        names = (link.devname, *("" if one.uplink is None else one.uplink.name for one in (entered, left)))
        itself, below, above = (self._socket.link(name) if name else None for name in names)
        mac = bytes.fromhex(link.seat.mac.replace(":", ""))
        hints = []
        if below is not None:
            hints += [
                rtnetlink.FORGET.fill(port=below.index, mac=mac),
                rtnetlink.FORWARD.fill(port=below.peer, mac=mac),
            ]
        hints += [rtnetlink.FORWARD.fill(port=one.index, mac=mac) for one in (itself, above) if one is not None]
        return hints

    def _attach(self, messages: Sequence[rtnetlink.Message], attachments: int) -> None:
        """Send what `_attachments` lists; a bridge that takes no hint is no error.

        It may have nothing to forget; and where the guest has taken its own end down, nothing can be sent there.
        """
        try:
            self._socket.send(messages)
        except KernelRefused as error:
            if error.failed[0] < attachments:
                raise

    def _of_network(self, network_id: str) -> Iterable[Bridge]:
        return [b for (network, host), b in self._bridges.items() if network == network_id and host is not None]

    def _name(self, kind: str, network_id: str, host: str | None) -> str:
        key = f"{self._token} {kind} {network_id} {host}".encode()
        return f"nf{kind}{hashlib.blake2b(key, digest_size=5).hexdigest()}"

    def _make(self, network_id: str, host: str | None, mtu: int) -> Bridge:
        devname = self._name("b" if host else "t", network_id, host)
        entry = self._ledger.add(
            "device",
            devname,
            within=self._within,
            role="bridge" if host else "trunk",
            network=network_id,
            host=host,
        )
        try:
            encoded = rtnetlink.name(devname)
            # The first three characters are letters; the rest, hex digits, make a stable MAC, so that the bridge's
            # does not change with its ports.
            mac = b"\x02" + bytes.fromhex(devname[3:])
            self._create(
                devname,
                [rtnetlink.BRIDGE.fill(devname=encoded, mac=mac, mtu=mtu, flags=0), *self.prepare(devname, entry)],
            )
            link = self._socket.link(devname)
            if link is None:
                raise KernelRefused("make a bridge", errno.ENODEV, f"{devname} is gone already")
        except BaseException:
            self._ledger.done(entry)
            raise
        bridge = Bridge(devname, link.index, network_id, host, entry)
        self._bridges[network_id, host] = bridge
        return bridge

    def _uplink(self, bridge: Bridge, trunk: Bridge) -> Entry:
        near, far = (self._name(kind, bridge.network_id, bridge.host) for kind in "uf")
        entry = self._ledger.add(
            "device", near, within=self._within, role="uplink", network=bridge.network_id, host=bridge.host
        )
        macs = (b"\x02" + bytes.fromhex(devname[3:]) for devname in (near, far))
        messages = [
            rtnetlink.VETH.fill(
                index=0,
                devname=rtnetlink.name(near),
                mac=next(macs),
                bridge=bridge.index,
                flags=0,
                mtu=_UPLINK_MTU,
                peer_index=0,
                peer_name=rtnetlink.name(far),
                peer_mac=next(macs),
            ),
            *self.prepare(near, entry),
            *self.prepare(far, entry),
            rtnetlink.LINK_ATTACH.fill(devname=rtnetlink.name(far), bridge=trunk.index),
            rtnetlink.LINK_UP.fill(devname=rtnetlink.name(far)),
        ]
        try:
            self._create(near, messages)
        except BaseException:
            self._ledger.done(entry)
            raise
        return entry

    def _create(self, devname: str, messages: list[rtnetlink.Message]) -> None:
        """Make a device by the first message, prepare it by the others and bring it up; whole or not at all."""
        encoded = rtnetlink.name(devname)
        try:
            self._socket.send([*messages, rtnetlink.LINK_UP.fill(devname=encoded)])
        except KernelRefused as error:
            if 0 not in error.failed:  # the device was made, something after it failed
                self._socket.send([rtnetlink.DELETE_LINK.fill(devname=encoded)])
            raise

    def _remove(self, bridge: Bridge, keep_in_kernel: bool = False) -> None:
        del self._bridges[bridge.network_id, bridge.host]
        for entry in (bridge.uplink, bridge.entry):
            if entry is None:
                continue
            if not keep_in_kernel:
                delete(self._socket, entry.name)
            self._ledger.done(entry)


def preparation(devname: str, entry: Entry, quiet: bool, within: str | None) -> list[rtnetlink.Message]:
    """List what a new device needs before it may go up; see `Bridges` for `quiet` and `within`."""
    messages = []
    if not quiet:
        messages.append(rtnetlink.NO_AUTOCONF.fill(devname=rtnetlink.name(devname)))
    if within is None:
        messages.append(rtnetlink.LINK_ALIAS.fill(devname=rtnetlink.name(devname), alias=entry.mark.encode()))
    return messages


def delete(socket: netlink.Socket, devname: str) -> None:
    """Delete a device; one that is gone already is no error."""
    try:
        socket.send([rtnetlink.DELETE_LINK.fill(devname=rtnetlink.name(devname))])
    except KernelRefused as error:
        if error.errno != errno.ENODEV:
            raise
