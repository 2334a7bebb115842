"""The devices of a hybrid plug: a Linux bridge where Neutron's iptables filter, and a pair from there to the switch."""

import errno
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from nova_fakes.exceptions import KernelRefused, RealizerError
from nova_fakes.virt.vif import netlink, plan, rtnetlink
from nova_fakes.virt.vif.claims import Claims
from nova_fakes.virt.vif.instances import Instance, Link
from nova_fakes.virt.vif.ledger import Entry, Ledger
from nova_fakes.virt.vif.ovs_plan import hybrid_names

__all__ = ["Filter", "Filters"]

#: What the ledger calls these devices.
_BRIDGE, _PAIR = "filter-bridge", "filter-pair"
_ROLES = frozenset({_BRIDGE, _PAIR})


@dataclass(slots=True)
class Filter:
    """A hybrid plug's own devices: the Linux bridge, and the pair from there (`near`) to the switch (`far`)."""

    bridge: Entry
    pair: Entry

    @property
    def far(self) -> str:
        """The name of the switch's port."""
        return self.pair.name

    @property
    def devices(self) -> tuple[str, ...]:
        """The names of both ends of the pair, and of the bridge: ends first, for a bridge is no larger than they."""
        suffix = self.bridge.name[3:]
        return f"qvb{suffix}", self.pair.name, self.bridge.name


class Filters:
    """Makes and removes the devices of hybrid plugs; a mapping's face of them by VIF id.

    :param within: the path of the namespace of the hosts' side, None for the process's own
    :param prepare: lists what a new device of ours needs before it may go up
    """

    def __init__(
        self,
        ledger: Ledger,
        socket: netlink.Socket,
        claims: Claims,
        within: str | None,
        prepare: Callable[[str, Entry], list[rtnetlink.Message]],
    ) -> None:
        self._ledger = ledger
        self._socket = socket
        self._claims = claims
        self._within = within
        self._prepare = prepare
        self._group = int.from_bytes(os.urandom(4)) | 1 << 31
        self._filters: dict[str, Filter] = {}

    def __contains__(self, vif_id: str) -> bool:
        return vif_id in self._filters

    def get(self, vif_id: str) -> Filter | None:
        """Return a VIF's filter, None where it has none."""
        return self._filters.get(vif_id)

    def adopt(self, vif_ids: Collection[str]) -> None:
        """Find the filters of these VIFs again that an earlier process made; half ones go, and those of others."""
        found: dict[str, dict[str, Entry]] = {}
        for entry in self._ledger.entries("device"):
            if entry.attributes.get("role") in _ROLES and entry.attributes.get("within") == self._within:
                found.setdefault(str(entry.attributes["vif"]), {})[str(entry.attributes["role"])] = entry
        for vif_id, entries in found.items():
            there = [entry for entry in entries.values() if self._is_there(entry)]
            if len(there) == len(_ROLES) and vif_id in vif_ids:
                self._filters[vif_id] = Filter(entries[_BRIDGE], entries[_PAIR])
                continue
            self._delete([entry.name for entry in there])
            for entry in entries.values():
                self._ledger.done(entry)

    def make(self, instance: Instance, interfaces: Sequence[plan.Interface]) -> None:
        """Put filters between the instance's links and the switch; all of them or none.

        :raises RealizerError: one cannot be made
        """
        made: list[str] = []
        try:
            for interface in interfaces:
                self._make(instance, interface)
                made.append(interface.vif.id)
        except BaseException:
            self.remove(made)
            raise

    def remove(self, vif_ids: Iterable[str]) -> None:
        """Remove the filters of these VIFs, where they have any."""
        going = [(vif_id, self._filters.pop(vif_id)) for vif_id in vif_ids if vif_id in self._filters]
        self._delete([entry.name for _vif_id, one in going for entry in (one.pair, one.bridge)])
        for _vif_id, one in going:
            self._claims.drop_names(one.devices)
            self._ledger.done(one.pair)
            self._ledger.done(one.bridge)

    def _is_there(self, entry: Entry) -> bool:
        link = self._socket.link(entry.name)
        return link is not None and (self._within is not None or link.alias == entry.mark)

    def _make(self, instance: Instance, interface: plan.Interface) -> None:
        vif_id = interface.vif.id
        names = hybrid_names(vif_id)
        if not self._claims.are_free(names):
            names = hybrid_names(os.urandom(5).hex())
        bridge, near, far = names
        facts = {"within": self._within, "instance": instance.uuid, "host": instance.host, "vif": vif_id}
        entry = self._ledger.add("device", bridge, role=_BRIDGE, **facts)
        pair = self._ledger.add("device", far, role=_PAIR, **facts)
        try:
            self._create(interface, instance.links[vif_id], names, entry, pair)
        except KernelRefused as error:
            self._ledger.done(entry)
            self._ledger.done(pair)
            if error.errno == errno.EEXIST:
                raise RealizerError(
                    f"one of {bridge}, {near} and {far} is taken by something else; remove that"
                ) from error
            raise
        self._filters[vif_id] = Filter(entry, pair)
        self._claims.take_names(vif_id, names)

    def _create(
        self, interface: plan.Interface, link: Link, names: tuple[str, str, str], entry: Entry, pair: Entry
    ) -> None:
        bridge, near, far = names
        mtu = interface.vif.mtu
        bridge_mac, near_mac, far_mac = _other_macs(interface.mac)
        made: list[str] = []
        try:
            preparation = self._prepare(bridge, entry)
            self._socket.send([rtnetlink.BRIDGE.fill(devname=rtnetlink.name(bridge), mac=bridge_mac, mtu=mtu, flags=0)])
            made.append(bridge)
            self._socket.send([*preparation, rtnetlink.LINK_UP.fill(devname=rtnetlink.name(bridge))])
            found = self._socket.link(bridge)
            index = 0 if found is None else found.index
            pair_message = rtnetlink.VETH.fill(
                index=0,
                devname=rtnetlink.name(far),
                mac=far_mac,
                bridge=0,
                flags=0,
                mtu=mtu,
                peer_index=0,
                peer_name=rtnetlink.name(near),
                peer_mac=near_mac,
            )
            self._socket.send([pair_message])
            made.append(far)
            attached = [
                rtnetlink.LINK_ATTACH.fill(devname=rtnetlink.name(name), bridge=index) for name in (near, link.devname)
            ]
            up = [rtnetlink.LINK_UP.fill(devname=rtnetlink.name(name)) for name in (near, far)]
            self._socket.send([*self._prepare(near, pair), *self._prepare(far, pair), *attached, *up])
        except BaseException:
            self._delete(made)
            raise

    def _delete(self, names: Sequence[str]) -> None:
        """Delete devices at once; those that are gone already are no error."""
        if not names:
            return
        moved = [rtnetlink.LINK_GROUP.fill(devname=rtnetlink.name(name), group=self._group) for name in names]
        try:
            self._socket.send([*moved, rtnetlink.DELETE_GROUP.fill(group=self._group)])
        except KernelRefused as error:
            if error.errno != errno.ENODEV:
                raise


def _other_macs(mac: bytes) -> tuple[bytes, bytes, bytes]:
    """Derive three MACs of local administration that are not the guest's, whose frames a bridge would keep."""
    first, second, third = (bytes([(mac[0] ^ flipped) | 2]) + mac[1:] for flipped in (0x04, 0x08, 0x10))
    return first, second, third
