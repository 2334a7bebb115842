"""How a plan's operations are done on this machine: the operator behind a fabric.

Everything here runs in the fabric's worker thread, which is what enters the namespaces.
"""

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random

from nova_fakes.clock import SystemClock
from nova_fakes.exceptions import InvalidInput, KernelRefused, RealizerError
from nova_fakes.virt.vif import advertisements, namespaces, netlink, plan
from nova_fakes.virt.vif.base import VIF
from nova_fakes.virt.vif.bridges import Bridges, NetworkBridges, delete
from nova_fakes.virt.vif.departures import Departures
from nova_fakes.virt.vif.instances import Batch, Instance, Link
from nova_fakes.virt.vif.interior import guest_messages
from nova_fakes.virt.vif.leases import Leases
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.stays import Stays
from nova_fakes.virt.vif.steps import AskForLeases, BringNamespace, HeedRouters, SetMtu

__all__ = ["Instance", "Link", "Wiring"]

#: When this many devices are on their way out, those that have gone are forgotten.
_LEAVING_LIMIT = 512


class Wiring:
    """Knows the instances and does operations on them.

    :param ledger: where everything is written down first
    :param directory: where namespaces get their names
    :param within: the path of the namespace in which the host ends live, None for the process's own
    :param quiet: new devices in that namespace have no IPv6 of their own already
    :param gateway_neighbours: give instances a permanent neighbour for each gateway
    """

    #: The operations that `commit` does for many plans at once.
    gathered: tuple[type, ...] = (plan.MakeLinks,)

    def __init__(
        self, ledger: Ledger, directory: Path, within: str | None, quiet: bool, gateway_neighbours: bool
    ) -> None:
        self._ledger = ledger
        self._directory = directory
        self._within = within
        self._gateway_neighbours = gateway_neighbours
        self._stays = Stays()
        self._devnames: dict[str, str] = {}
        self._macs: dict[tuple[str, str], str] = {}
        self.leases = Leases(SystemClock(), Random(int.from_bytes(os.urandom(8))))
        self.socket = netlink.Socket()
        self.bridges: NetworkBridges = self._make_bridges(quiet)
        self.instances: dict[str, Instance] = {}
        self.leaving: set[str] = set()

    def _make_bridges(self, quiet: bool) -> NetworkBridges:
        return Bridges(self.socket, self._ledger, self._within, quiet)

    def close(self) -> None:
        """Leave whatever the thread is in and give the descriptors up."""
        self.leases.close()
        self._stays.close()
        self.socket.close()

    def do(self, operation: plan.Operation) -> None:
        """Do one operation of a plan, whole; where that fails, leave nothing of it.

        :raises RealizerError: it failed
        """
        match operation:
            case plan.MakeBridge(network_id, host, mtu):
                self.bridges.ensure(network_id, host, mtu)
            case plan.MakeNamespace(uuid, host):
                self._make_namespace(uuid, host)
            case BringNamespace():
                self._bring_namespace(operation)
            case plan.MakeLinks():
                (failure,) = self._make_links([operation])
                if failure is not None:
                    raise failure
            case plan.ConfigureGuest():
                instance = self.instances[operation.instance]
                self._note_inode(instance)
                self._stays.reach(instance.uuid, instance.path).socket.send(
                    list(guest_messages(operation, self._gateway_neighbours))
                )
            case SetMtu():
                self._set_mtu(operation)
            case HeedRouters(uuid, interfaces):
                self._enter(self.instances[uuid])
                for one in interfaces:
                    advertisements.heed(one)
            case AskForLeases(uuid, interfaces):
                self._enter(self.instances[uuid])
                try:
                    for one in interfaces:
                        self.leases.ask(one.vif.id, one.seat, one.vif.mtu, one.asks)
                except BaseException:
                    self.leases.stop([one.vif.id for one in interfaces])
                    raise
            case plan.MoveLinks():
                self._move(operation)
            case plan.Announce(uuid):
                self._stays.announce(uuid)

    def undo(self, operation: plan.Operation) -> None:
        """Undo one operation that was done.

        :raises RealizerError: it cannot be undone
        """
        match operation:
            case plan.MakeBridge(network_id, host):
                self.bridges.release(network_id, host)
            case plan.MakeNamespace(uuid) | BringNamespace(uuid):
                self.forget(self.instances[uuid])
            case plan.MakeLinks(uuid, _, interfaces):
                self.remove_links(self.instances[uuid], [interface.vif.id for interface in interfaces])
            case plan.MoveLinks(uuid, source, destination, interfaces):
                self._move(plan.MoveLinks(uuid, destination, source, interfaces))
                self._stays.announce(uuid)  # whatever was announced so far points to the wrong bridge
            case SetMtu():
                self.do(operation.reverse())
            case AskForLeases(_uuid, interfaces):
                self.leases.stop([one.vif.id for one in interfaces])
            case plan.ConfigureGuest() | HeedRouters() | plan.Announce():
                return  # the first two go with the links, the last is followed by an announcement of the way back

    def commit(self, operations: Sequence[plan.Operation]) -> list[BaseException | None]:
        """Make the links of many plans by one message to the kernel.

        :param operations: `plan.MakeLinks`
        :returns: for each None, or why it failed; a failed one left nothing
        """
        return self._make_links([one for one in operations if isinstance(one, plan.MakeLinks)])

    def check_mac(self, vif: VIF) -> None:
        """Refuse a VIF whose MAC another one has on its network.

        :raises InvalidInput: it does
        """
        other = self._macs.get((vif.network_id, vif.address))
        if other is not None and other != vif.id:
            raise InvalidInput(
                f"address of VIF {vif.id}",
                vif.address,
                f"VIF {other} has this MAC on network {vif.network_id}; give each port its own",
            )

    def ready_to_announce(self, instance: Instance, interfaces: Iterable[plan.Interface]) -> None:
        """Open what the announcements need ahead of the switch-over, so that they follow it at once.

        :raises RealizerError: an interface cannot send
        """
        self._enter(instance)
        self._stays.ready_to_announce(instance.uuid, interfaces)

    def let_go(self, uuid: str) -> None:
        """Give up what is open for an instance: a socket inside would keep its namespace alive."""
        self._stays.let_go(uuid)

    def leave(self) -> None:
        """Give up what is open for any instance, and go home: a stay would keep a namespace alive."""
        self._stays.leave()

    def register(self, instance: Instance, vif_id: str, link: Link) -> None:
        """Take a link into the books."""
        instance.links[vif_id] = link
        self._devnames[link.devname] = vif_id
        self._macs[link.network_id, link.seat.mac] = vif_id
        bridge = self.bridges.get(link.network_id, instance.host)
        if bridge is not None:
            bridge.ports.add(link.devname)

    def restore(self) -> None:
        """Set right, after links were adopted, what was changed meanwhile: each is on its bridge, and these are joined.

        :raises KernelRefused: a bridge cannot be made
        """
        masters = {link.name: link.master for link in self.socket.links()}
        lost: list[netlink.Message] = []
        mtus: dict[str, int] = {}
        for instance in self.instances.values():
            for link in instance.links.values():
                bridge = self.bridges.ensure(link.network_id, instance.host, link.mtu)
                bridge.ports.add(link.devname)
                mtus[link.network_id] = max(link.mtu, mtus.get(link.network_id, 0))
                if masters[link.devname] != bridge.index:
                    lost.append(netlink.LINK_ATTACH.fill(devname=netlink.name(link.devname), bridge=bridge.index))
        for network_id, mtu in mtus.items():
            self.bridges.join(network_id, mtu)
        self.socket.send(lost)

    def forget(self, instance: Instance) -> None:
        """Take the instance's namespace away; the kernel deletes the interfaces, many instances' at once."""
        self.leases.stop(instance.links)
        self.let_go(instance.uuid)
        namespaces.remove(instance.path)
        with self._ledger.together():
            for vif_id in list(instance.links):
                self.leaving.add(self._unregister(instance, vif_id).devname)
            self._ledger.done(instance.entry)
        del self.instances[instance.uuid]
        if len(self.leaving) > _LEAVING_LIMIT:
            self.leaving &= {link.name for link in self.socket.links()}

    def remove_links(self, instance: Instance, vif_ids: Iterable[str]) -> None:
        """Delete some of the instance's interfaces."""
        going = list(vif_ids)
        self.leases.stop(going)
        for vif_id in going:
            delete(self.socket, instance.links[vif_id].devname)
            self._unregister(instance, vif_id)

    def watch(self) -> Departures:
        """Return a watch on the devices that are on their way out, for any thread; the caller closes it."""
        departures = Departures(self.leaving)
        self.leaving &= departures.waiting
        return departures

    def number(self, instance: Instance) -> int:
        """Return the number under which the hosts' namespace knows the instance's.

        :raises RealizerError: the namespace is gone
        """
        if instance.nsid is None:
            fd = namespaces.open_namespace(instance.path)
            try:
                instance.nsid = self.socket.nsid(fd)
            finally:
                os.close(fd)
        return instance.nsid

    def resume_leases(self) -> None:
        """Start the DHCP clients of instances that an earlier process left: their leases would run out."""
        for instance in self.instances.values():
            for vif_id, link in instance.links.items():
                if asking := link.entry.attributes.get("asks"):
                    self._enter(instance)
                    self.leases.ask(vif_id, link.seat, link.mtu, _asking(asking), known=True)
            self.let_go(instance.uuid)

    def _unregister(self, instance: Instance, vif_id: str) -> Link:
        link = instance.links.pop(vif_id)
        self._devnames.pop(link.devname, None)
        self._macs.pop((link.network_id, link.seat.mac), None)
        bridge = self.bridges.get(link.network_id, instance.host)
        if bridge is not None:
            bridge.ports.discard(link.devname)
        self._ledger.done(link.entry)
        return link

    def _enter(self, instance: Instance) -> None:
        """Take the thread into an instance."""
        self._stays.enter(instance.uuid, instance.path)

    def _make_namespace(self, uuid: str, host: str) -> None:
        path = f"{self._directory}/fake-{uuid}"
        if os.path.lexists(path):
            raise RealizerError(f"{path} exists and is not ours; remove it (`ip netns delete`) or use another place")
        entry = self._ledger.add("namespace", path, role="guest", instance=uuid, host=host)
        try:
            inode = self._stays.make(uuid, path)
        except BaseException:
            self._ledger.done(entry)
            raise
        self.instances[uuid] = Instance(uuid, path, host, entry, pristine=True, unnoted=inode)

    def _bring_namespace(self, operation: BringNamespace) -> None:
        uuid = operation.instance
        path = f"{self._directory}/fake-{uuid}"
        if os.path.lexists(path):
            path += ".2"  # the other fabric's name for it, in the same directory
        entry = self._ledger.add("namespace", path, role="guest", instance=uuid, host=operation.host)
        try:
            namespaces.share(operation.source, path)
            try:
                socket = self._stays.reach(uuid, path).socket
                for interface in operation.interfaces:
                    delete(socket, interface.name)
                entry = self._ledger.note(entry, inode=namespaces.inode(path))
            except BaseException:
                self._stays.let_go(uuid)
                namespaces.remove(path)
                raise
        except BaseException:
            self._ledger.done(entry)
            raise
        self.instances[uuid] = Instance(uuid, path, operation.host, entry)

    def _note_inode(self, instance: Instance) -> None:
        """Write down by what the namespace is known again; with the links, where there are any."""
        if instance.unnoted is not None:
            instance.entry = self._ledger.note(instance.entry, inode=instance.unnoted)
            instance.unnoted = None

    def _make_links(self, operations: Sequence[plan.MakeLinks]) -> list[BaseException | None]:
        outcomes: list[BaseException | None] = [None] * len(operations)
        batches: dict[int, Batch] = {}
        messages: list[netlink.Message] = []
        with self._ledger.together():
            for position, operation in enumerate(operations):
                try:
                    batches[position] = self._batch(operation, messages)
                except Exception as error:
                    outcomes[position] = error
        refusal: KernelRefused | None = None
        try:
            self.socket.send(messages)
        except KernelRefused as error:
            refusal = error
        for position, batch in batches.items():
            outcomes[position] = self._settle(batch, refusal)
        return outcomes

    def _batch(self, operation: plan.MakeLinks, messages: list[netlink.Message]) -> Batch:
        """Add the messages of one plan's links to those of the burst; where that fails, add none."""
        instance = self.instances[operation.instance]
        self._note_inode(instance)
        namespace = self._stays.reach(instance.uuid, instance.path).fd
        begin = len(messages)
        made: list[tuple[int, str, Link]] = []
        try:
            for interface in operation.interfaces:
                link = self._new_link(instance, interface)
                made.append((len(messages), interface.vif.id, link))
                index = 0 if instance.pristine else netlink.any_index()
                messages += self._link_messages(interface, link, index, namespace, operation)
        except BaseException:
            del messages[begin:]
            for _start, _vif_id, link in made:
                self._strike(link)
            raise
        instance.pristine = False
        return Batch(instance, made, len(messages))

    def _settle(self, batch: Batch, refusal: KernelRefused | None) -> RealizerError | None:
        """Take the links of a batch into the books, or remove what was made of them; returns why."""
        begin = batch.made[0][0] if batch.made else batch.end
        each = {} if refusal is None else refusal.each
        refused = {place: error for place, error in each.items() if begin <= place < batch.end}
        if not refused:
            for _start, vif_id, link in batch.made:
                self.register(batch.instance, vif_id, link)
            return None
        taken = []
        for start, _vif_id, link in batch.made:
            # Only what this batch made may go: a name that was taken belongs to somebody else.
            if start not in refused:
                delete(self.socket, link.devname)
            elif refused[start].errno == errno.EEXIST:
                taken.append(link.devname)
            self._strike(link)
        first = refused[min(refused)]
        if not taken:
            return first
        failure = RealizerError(f"the interface name {', '.join(taken)} is taken by something else; remove that")
        failure.__cause__ = first
        return failure

    def _strike(self, link: Link) -> None:
        """Forget a link that was written down and is not there."""
        self._devnames.pop(link.devname, None)
        self._macs.pop((link.network_id, link.seat.mac), None)
        self._ledger.done(link.entry)

    def _new_link(self, instance: Instance, interface: plan.Interface) -> Link:
        vif = interface.vif
        self.check_mac(vif)
        devname = vif.devname
        if self._devnames.get(devname, vif.id) != vif.id:
            # Two hosts may use one name; on the fabric they share a namespace.
            devname = f"nfv{os.urandom(5).hex()}"
        if devname in self.leaving:
            delete(self.socket, devname)
            self.leaving.discard(devname)
        entry = self._ledger.add(
            "device",
            devname,
            within=self._within,
            role="vif",
            instance=instance.uuid,
            host=instance.host,
            vif=vif.id,
            network=vif.network_id,
            ordinal=interface.ordinal,
            mac=vif.address,
            mtu=vif.mtu,
            asks=list(interface.asks),
            **self._facts(interface),
        )
        self._devnames[devname] = vif.id
        self._macs[vif.network_id, vif.address] = vif.id
        return Link(devname, vif.network_id, interface.seat, entry)

    def _facts(self, interface: plan.Interface) -> Mapping[str, object]:
        """Return what else the ledger has to know of a link."""
        return {}

    def _link_messages(
        self, interface: plan.Interface, link: Link, index: int, namespace: int, operation: plan.MakeLinks
    ) -> Iterable[netlink.Message]:
        # Another caller's unplug may have taken the bridge away since the plan's own step made it.
        bridge = self.bridges.ensure(link.network_id, operation.host, interface.vif.mtu)
        devname = netlink.name(link.devname)
        preparation = self.bridges.prepare(link.devname, link.entry)
        flags = netlink.UP if operation.up else 0
        yield netlink.VETH_INTO.fill(
            index=index,
            devname=devname,
            # Not the guest's MAC, or the bridge would keep the guest's frames; libvirt uses fe: for host ends too.
            mac=b"\xfe" + interface.mac[1:],
            mtu=interface.vif.mtu,
            bridge=bridge.index,
            flags=0 if preparation else flags,
            peer_index=interface.index,
            peer_name=netlink.name(interface.name),
            peer_mac=interface.mac,
            namespace=namespace,
        )
        yield from preparation
        if preparation and flags:
            yield netlink.LINK_UP.fill(devname=devname)

    def _set_mtu(self, operation: SetMtu) -> None:
        instance = self.instances[operation.instance]
        try:
            self._send_mtus(instance, {one.vif_id: one.after for one in operation.changes})
        except KernelRefused:
            self._send_mtus(instance, {one.vif_id: one.before for one in operation.changes})
            raise

    def _send_mtus(self, instance: Instance, mtus: Mapping[str, int]) -> None:
        outside = [
            netlink.LINK_MTU.fill(devname=netlink.name(devname), mtu=mtu)
            for vif_id, mtu in mtus.items()
            for devname in self._host_devices(vif_id, instance.links[vif_id])
        ]
        inside = [
            netlink.MTU_INDEX.fill(index=instance.links[vif_id].seat.index, mtu=mtu) for vif_id, mtu in mtus.items()
        ]
        self.socket.send(outside)
        self._stays.reach(instance.uuid, instance.path).socket.send(inside)
        for vif_id, mtu in mtus.items():
            link = instance.links[vif_id]
            link.entry = self._ledger.note(link.entry, mtu=mtu)

    def _host_devices(self, vif_id: str, link: Link) -> Sequence[str]:
        """Return the names of the devices of the hosts' side that carry a VIF's frames."""
        return (link.devname,)

    def _move(self, operation: plan.MoveLinks) -> None:
        instance = self.instances[operation.instance]
        self._reattach(instance, operation.source, operation.destination)
        for link in instance.links.values():
            for host, change in ((operation.source, set.discard), (operation.destination, set.add)):
                bridge = self.bridges.get(link.network_id, host)
                if bridge is not None:
                    change(bridge.ports, link.devname)
        instance.host = operation.destination

    def _reattach(self, instance: Instance, source: str, destination: str) -> None:
        there: list[netlink.Message] = []
        back: list[netlink.Message] = []
        for link in instance.links.values():
            for host, messages in ((destination, there), (source, back)):
                bridge = self.bridges.get(link.network_id, host)
                if bridge is None:
                    raise RealizerError(f"host {host} has no bridge of network {link.network_id}; plan one first")
                messages.append(netlink.LINK_ATTACH.fill(devname=netlink.name(link.devname), bridge=bridge.index))
        self._attach(there, back)

    def _attach(self, there: Sequence[netlink.Message], back: Sequence[netlink.Message]) -> None:
        try:
            self.socket.send(there)
        except KernelRefused:
            self.socket.send(back)
            raise


def _asking(noted: object) -> Sequence[str]:
    """Read which DHCP clients an interface had; a ledger from before there were several says True."""
    return [str(kind) for kind in noted] if isinstance(noted, list) else ("dhcp4",)
