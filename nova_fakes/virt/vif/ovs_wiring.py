"""How a plan's operations are done where the host ends go to an Open vSwitch.

Everything here runs in the fabric's worker thread.
"""

import ctypes
import dataclasses
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from nova_fakes.exceptions import KernelRefused, OvsdbUnavailable, RealizerError
from nova_fakes.virt.vif import netlink, plan
from nova_fakes.virt.vif.bridges import NetworkBridges
from nova_fakes.virt.vif.ledger import Entry, Ledger
from nova_fakes.virt.vif.ovs_bridges import NamedBridges, OwnBridges
from nova_fakes.virt.vif.ovs_plan import bridge_of, hybrid, hybrid_names
from nova_fakes.virt.vif.steps import SetMtu
from nova_fakes.virt.vif.switch import PORT_MARK, Attachment, Detachment, Switch
from nova_fakes.virt.vif.wiring import Instance, Link, Wiring

__all__ = ["Filter", "SwitchWiring"]

T = TypeVar("T")

# include/uapi/linux/{sockios,ethtool}.h
_SIOCETHTOOL, _ETHTOOL_STXCSUM = 0x8946, 0x17
#: What the ledger calls the devices of a hybrid plug.
_FILTER_BRIDGE, _FILTER_PAIR = "filter-bridge", "filter-pair"
_FILTER_ROLES = frozenset({_FILTER_BRIDGE, _FILTER_PAIR})


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


class SwitchWiring(Wiring):
    """Knows the instances on a switch and does operations on them.

    :param switch: the Open vSwitch
    :param own: the switch is ours, and so are its bridges
    :param revive: called where the switch does not answer; tells whether it may do so now
    """

    gathered = (plan.AddPorts,)

    def __init__(
        self,
        ledger: Ledger,
        directory: Path,
        within: str | None,
        quiet: bool,
        gateway_neighbours: bool,
        *,
        switch: Switch,
        own: bool,
        revive: Callable[[], bool],
    ) -> None:
        self._switch = switch
        self._own = own
        self._revive = revive
        self._group = int.from_bytes(os.urandom(4)) | 1 << 31
        self.filters: dict[str, Filter] = {}
        super().__init__(ledger, directory, within, quiet, gateway_neighbours)

    def _make_bridges(self, quiet: bool) -> NetworkBridges:
        kind: type[NamedBridges] = OwnBridges if self._own else NamedBridges
        self.places = kind(self._switch, quiet, self._within, self._asking)
        return self.places

    def do(self, operation: plan.Operation) -> None:
        """Do one operation of a plan, whole; where that fails, leave nothing of it.

        :raises RealizerError: it failed
        """
        match operation:
            case plan.MakeSwitchBridge(name):
                self.places.make_bridge(name)
            case plan.MakeFilterBridges(uuid, _host, interfaces):
                self._make_filters(self.instances[uuid], interfaces)
            case plan.StopChecksumOffload(uuid, interfaces):
                self._enter(self.instances[uuid])
                for interface in interfaces:
                    _stop_checksum_offload(interface.name)
            case plan.AddPorts() | plan.RemovePorts():
                (failure,) = self.commit([operation])
                if failure is not None:
                    raise failure
            case _:
                super().do(operation)

    def undo(self, operation: plan.Operation) -> None:
        """Undo one operation that was done.

        :raises RealizerError: it cannot be undone
        """
        match operation:
            case plan.MakeSwitchBridge():
                self.places.remove_idle()
            case plan.MakeFilterBridges(_uuid, _host, interfaces):
                self._remove_filters([interface.vif.id for interface in interfaces])
            case plan.AddPorts(uuid, _host, ports):
                self.do(plan.RemovePorts(uuid, tuple(port.iface_id for port in ports)))
            case plan.StopChecksumOffload():
                return  # it goes with the links
            case _:
                super().undo(operation)

    def commit(self, operations: Sequence[plan.Operation]) -> list[BaseException | None]:
        """Change the switch's ports for many instances in one transaction.

        Where the database refuses, each operation gets a transaction of its own, so that one instance's fault is not
        the others'.

        :param operations: `plan.AddPorts` and `plan.RemovePorts`
        :returns: for each None, or why it failed; a failed one left nothing
        """
        try:
            changes = [self._change(operation) for operation in operations]
            added = [one for attachments, _detachments in changes for one in attachments]
            removed = [one for _attachments, detachments in changes for one in detachments]
            errors = self._asking(lambda: self._switch.change(added, removed))
        except OvsdbUnavailable as error:
            return [OvsdbUnavailable(str(error)) for _operation in operations]
        except RealizerError as error:
            if len(operations) == 1:
                return [error]
            return [failure for operation in operations for failure in self.commit([operation])]
        return [self._outcome(attachments, errors) for attachments, _detachments in changes]

    def wait_for_switch(self) -> None:
        """Wait until the switch has applied every change; from any thread.

        :raises OvsdbUnavailable: it does not within its deadline
        """
        with self._switch.connect() as connection:
            connection.commit([])

    def register(self, instance: Instance, vif_id: str, link: Link) -> None:
        """Take a link into the books."""
        super().register(instance, vif_id, link)
        self.places.add_port(str(link.entry.attributes["bridge"]), link.devname)

    def restore(self) -> None:
        """Do nothing: `reconcile` does it, when the filters are known too."""

    def forget(self, instance: Instance) -> None:
        """Take the instance's namespace away, and the filters before its links."""
        self._remove_filters(instance.links)
        super().forget(instance)

    def remove_links(self, instance: Instance, vif_ids: Iterable[str]) -> None:
        """Delete some of the instance's interfaces with their filters."""
        going = list(vif_ids)
        self._remove_filters(going)
        super().remove_links(instance, going)

    def reconcile(self, lost: Iterable[str]) -> None:
        """Set the switch right after the links were adopted: what of ours is missing comes, what is orphaned goes.

        :param lost: the marks of links that are gone; a port of ours with one of them is an orphan
        """
        attachments = []
        orphans = set(lost)
        for instance in self.instances.values():
            for vif_id, link in list(instance.links.items()):
                if bool(link.entry.attributes.get("hybrid")) != (vif_id in self.filters):
                    orphans.add(link.entry.mark)
                    self.remove_links(instance, [vif_id])  # half a plug: the next one makes it anew
                    continue
                self.places.ensure(link.network_id, instance.host, 0).ports.add(link.devname)
                self.places.make_bridge(str(link.entry.attributes["bridge"]))
                self.places.add_port(str(link.entry.attributes["bridge"]), link.devname)
                attachments.append(self._attachment(instance, self._port_of(instance, vif_id, link)))
        standing = {one.mark for one in attachments}
        detachments = [
            Detachment(row.name, row.external_ids[PORT_MARK])
            for row in self._switch.ports().values()
            if PORT_MARK in row.external_ids
            and (row.external_ids[PORT_MARK] in orphans or (self._own and row.external_ids[PORT_MARK] not in standing))
        ]
        self._switch.change(attachments, detachments)
        self.places.remove_idle()

    def adopt_filters(self) -> None:
        """Find the hybrid plugs again that an earlier process made; half ones go."""
        found: dict[str, dict[str, Entry]] = {}
        for entry in self._ledger.entries("device"):
            if entry.attributes.get("role") in _FILTER_ROLES and entry.attributes.get("within") == self._within:
                found.setdefault(str(entry.attributes["vif"]), {})[str(entry.attributes["role"])] = entry
        links = {vif_id for instance in self.instances.values() for vif_id in instance.links}
        for vif_id, entries in found.items():
            there = [entry for entry in entries.values() if self._is_there(entry)]
            if len(there) == len(_FILTER_ROLES) and vif_id in links:
                self.filters[vif_id] = Filter(entries[_FILTER_BRIDGE], entries[_FILTER_PAIR])
                continue
            self._delete_devices([entry.name for entry in there])
            for entry in entries.values():
                self._ledger.done(entry)

    def _unregister(self, instance: Instance, vif_id: str) -> Link:
        link = super()._unregister(instance, vif_id)
        self.places.drop_port(str(link.entry.attributes["bridge"]), link.devname)
        return link

    def _is_there(self, entry: Entry) -> bool:
        link = self.socket.link(entry.name)
        return link is not None and (self._within is not None or link.alias == entry.mark)

    def _asking(self, function: Callable[[], T]) -> T:
        """Ask the switch, once more where it did not answer and could be revived; every request is idempotent."""
        try:
            return function()
        except OvsdbUnavailable:
            if not self._revive():
                raise
            return function()

    def _change(self, operation: plan.Operation) -> tuple[list[Attachment], list[Detachment]]:
        match operation:
            case plan.AddPorts(uuid, _host, ports):
                instance = self.instances[uuid]
                return [self._attachment(instance, self._named(instance, port)) for port in ports], []
            case plan.RemovePorts(uuid, vif_ids):
                links = self.instances[uuid].links
                return [], [
                    Detachment(self._devname(vif_id, links[vif_id]), links[vif_id].entry.mark) for vif_id in vif_ids
                ]
        raise RealizerError(f"{type(operation).__name__} is no change of a switch's ports")

    def _attachment(self, instance: Instance, port: plan.SwitchPort) -> Attachment:
        tag = self.places.tag(port.network_id)
        return Attachment(port, port.bridge, tag, instance.links[port.iface_id].entry.mark)

    def _named(self, instance: Instance, port: plan.SwitchPort) -> plan.SwitchPort:
        """Return the port under the name that its device really has."""
        devname = self._devname(port.iface_id, instance.links[port.iface_id])
        return port if devname == port.devname else dataclasses.replace(port, devname=devname)

    def _devname(self, vif_id: str, link: Link) -> str:
        filter_ = self.filters.get(vif_id)
        return link.devname if filter_ is None else filter_.far

    def _port_of(self, instance: Instance, vif_id: str, link: Link) -> plan.SwitchPort:
        """Return a link's port as the ledger describes it."""
        facts = link.entry.attributes
        return plan.SwitchPort(
            devname=self._devname(vif_id, link),
            bridge=str(facts["bridge"]),
            network_id=link.network_id,
            iface_id=vif_id,
            attached_mac=link.seat.mac,
            vm_uuid=instance.uuid,
            mtu_request=link.mtu,
        )

    def _outcome(self, attachments: Sequence[Attachment], errors: Mapping[str, str]) -> RealizerError | None:
        refused = [(one, errors[one.port.devname]) for one in attachments if one.port.devname in errors]
        if not refused:
            return None
        said = ", ".join(f"{one.port.devname}: {error}" for one, error in refused)
        failure = RealizerError(f"ovs-vswitchd cannot use {said}")
        try:
            self._switch.change((), [Detachment(one.port.devname, one.mark) for one in attachments])
        except RealizerError as error:
            failure.add_note(f"the ports are still in its database: {error}")
        return failure

    def _facts(self, interface: plan.Interface) -> Mapping[str, object]:
        vif = interface.vif
        facts = {"bridge": bridge_of(vif), "hybrid": hybrid(vif)}
        return facts if self._own else {**facts, "switch": str(self._switch.socket)}

    def _reattach(self, instance: Instance, source: str, destination: str) -> None:
        """Do nothing: the hosts of a fabric share the bridges, and the port stays where it is."""

    def _host_devices(self, vif_id: str, link: Link) -> Sequence[str]:
        filter_ = self.filters.get(vif_id)
        return (link.devname,) if filter_ is None else (link.devname, *filter_.devices)

    def _set_mtu(self, operation: SetMtu) -> None:
        super()._set_mtu(operation)
        instance = self.instances[operation.instance]
        changed = [(one.vif_id, instance.links[one.vif_id]) for one in operation.changes]
        try:
            # The switch holds its own opinion of an MTU until it is asked for another.
            self._asking(
                lambda: self._switch.change(
                    [self._attachment(instance, self._port_of(instance, vif_id, link)) for vif_id, link in changed]
                )
            )
        except RealizerError:
            super()._set_mtu(operation.reverse())
            raise

    def _make_filters(self, instance: Instance, interfaces: Sequence[plan.Interface]) -> None:
        made: list[str] = []
        try:
            for interface in interfaces:
                self._make_filter(instance, interface)
                made.append(interface.vif.id)
        except BaseException:
            self._remove_filters(made)
            raise

    def _make_filter(self, instance: Instance, interface: plan.Interface) -> None:
        vif_id = interface.vif.id
        names = hybrid_names(vif_id)
        if any(name in self._devnames for name in names):
            names = hybrid_names(os.urandom(5).hex())
        bridge, near, far = names
        facts = {"within": self._within, "instance": instance.uuid, "host": instance.host, "vif": vif_id}
        entry = self._ledger.add("device", bridge, role=_FILTER_BRIDGE, **facts)
        pair = self._ledger.add("device", far, role=_FILTER_PAIR, **facts)
        try:
            self._create_filter(interface, instance.links[vif_id], names, entry, pair)
        except KernelRefused as error:
            self._ledger.done(entry)
            self._ledger.done(pair)
            if error.errno == errno.EEXIST:
                raise RealizerError(
                    f"one of {bridge}, {near} and {far} is taken by something else; remove that"
                ) from error
            raise
        self.filters[vif_id] = Filter(entry, pair)
        self._devnames.update(dict.fromkeys(names, vif_id))

    def _create_filter(
        self, interface: plan.Interface, link: Link, names: tuple[str, str, str], entry: Entry, pair: Entry
    ) -> None:
        bridge, near, far = names
        mtu = interface.vif.mtu
        bridge_mac, near_mac, far_mac = _other_macs(interface.mac)
        made: list[str] = []
        try:
            preparation = self.places.prepare(bridge, entry)
            self.socket.send([netlink.BRIDGE.fill(devname=netlink.name(bridge), mac=bridge_mac, mtu=mtu, flags=0)])
            made.append(bridge)
            self.socket.send([*preparation, netlink.LINK_UP.fill(devname=netlink.name(bridge))])
            found = self.socket.link(bridge)
            index = 0 if found is None else found.index
            pair_message = netlink.VETH.fill(
                index=0,
                devname=netlink.name(far),
                mac=far_mac,
                bridge=0,
                flags=0,
                mtu=mtu,
                peer_index=0,
                peer_name=netlink.name(near),
                peer_mac=near_mac,
            )
            self.socket.send([pair_message])
            made.append(far)
            attached = [
                netlink.LINK_ATTACH.fill(devname=netlink.name(name), bridge=index) for name in (near, link.devname)
            ]
            up = [netlink.LINK_UP.fill(devname=netlink.name(name)) for name in (near, far)]
            self.socket.send([*self.places.prepare(near, pair), *self.places.prepare(far, pair), *attached, *up])
        except BaseException:
            self._delete_devices(made)
            raise

    def _remove_filters(self, vif_ids: Iterable[str]) -> None:
        going = [(vif_id, self.filters.pop(vif_id)) for vif_id in vif_ids if vif_id in self.filters]
        self._delete_devices([entry.name for _vif_id, one in going for entry in (one.pair, one.bridge)])
        for vif_id, one in going:
            for name in [name for name, owner in self._devnames.items() if owner == vif_id and name[:2] == "qb"]:
                del self._devnames[name]
            self._devnames.pop(one.far, None)
            self._ledger.done(one.pair)
            self._ledger.done(one.bridge)

    def _delete_devices(self, names: Sequence[str]) -> None:
        """Delete devices at once; those that are gone already are no error."""
        if not names:
            return
        moved = [netlink.LINK_GROUP.fill(devname=netlink.name(name), group=self._group) for name in names]
        try:
            self.socket.send([*moved, netlink.DELETE_GROUP.fill(group=self._group)])
        except KernelRefused as error:
            if error.errno != errno.ENODEV:
                raise


def _other_macs(mac: bytes) -> tuple[bytes, bytes, bytes]:
    """Derive three MACs of local administration that are not the guest's, whose frames a bridge would keep."""
    first, second, third = (bytes([(mac[0] ^ flipped) | 2]) + mac[1:] for flipped in (0x04, 0x08, 0x10))
    return first, second, third


def _stop_checksum_offload(devname: str) -> None:
    """Let the interface of this thread's namespace compute checksums before it sends.

    :raises RealizerError: the kernel refuses
    """
    command = ctypes.create_string_buffer(struct.pack("=II", _ETHTOOL_STXCSUM, 0))
    request = struct.pack("16sP16x", devname.encode(), ctypes.addressof(command))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            fcntl.ioctl(sock, _SIOCETHTOOL, request)
        except OSError as error:
            raise RealizerError(f"{devname} keeps its checksum offload: {error.strerror}") from error
