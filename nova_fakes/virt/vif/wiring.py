"""How a plan's operations are done on this machine: the operator behind a fabric.

Everything here runs in the fabric's worker thread, which is what enters the namespaces.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from nova_fakes.clock import SystemClock
from nova_fakes.exceptions import KernelRefused
from nova_fakes.virt.vif import advertisements, namespaces, netlink, plan, rtnetlink
from nova_fakes.virt.vif.base import InterfaceCounters
from nova_fakes.virt.vif.bridges import Bridges, NetworkBridges, delete
from nova_fakes.virt.vif.claims import Claims
from nova_fakes.virt.vif.departures import Departures
from nova_fakes.virt.vif.guest_namespaces import GuestNamespaces
from nova_fakes.virt.vif.instances import Instance, Link
from nova_fakes.virt.vif.interior import guest_messages
from nova_fakes.virt.vif.leases import Leases
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.links import LinkMaker
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
    gathered: tuple[type, ...] = (plan.MakeNamespace, plan.MakeLinks, plan.ConfigureGuest)

    def __init__(
        self, ledger: Ledger, directory: Path, within: str | None, quiet: bool, gateway_neighbours: bool
    ) -> None:
        self._ledger = ledger
        self._within = within
        self._gateway_neighbours = gateway_neighbours
        self._stays = Stays()
        self._guests = GuestNamespaces(ledger, directory, self._stays)
        self.claims = Claims()
        self.leases = Leases(SystemClock(), Random(int.from_bytes(os.urandom(8))))
        self.socket = netlink.Socket()
        self.bridges: NetworkBridges = self._make_bridges(quiet)
        self.instances: dict[str, Instance] = {}
        self.leaving: set[str] = set()
        self._link_maker = LinkMaker(
            ledger,
            self.socket,
            self.bridges,
            self.claims,
            self._guests,
            within=within,
            leaving=self.leaving,
            facts=self._facts,
            register=self.register,
        )
        #: How operations of a kind are done in a row: for each None, or why it failed; a failed one left nothing.
        self._rows: dict[type, Callable[[Sequence[Any]], Sequence[BaseException | None]]] = {
            plan.MakeNamespace: self._make_namespaces,
            plan.MakeLinks: self._make_links,
            plan.ConfigureGuest: self._configure,
        }

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
            case plan.MakeNamespace() | plan.MakeLinks() | plan.ConfigureGuest():
                (failure,) = self._rows[type(operation)]([operation])
                if failure is not None:
                    raise failure
            case BringNamespace(uuid):
                self.instances[uuid] = self._guests.bring(operation)
            case SetMtu():
                self._set_mtu(operation)
            case HeedRouters(uuid, interfaces):
                self._enter(self.instances[uuid])
                for one in interfaces:
                    advertisements.heed(one)
            case AskForLeases():
                self._ask_for_leases(operation)
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

    def commit(self, operations: Sequence[plan.Operation]) -> Sequence[BaseException | None]:
        """Do operations of many plans, those of one kind in a row, and all links by one message to the kernel.

        :param operations: of the kinds in `gathered`
        :returns: for each None, or why it failed; a failed one left nothing
        """
        if len(operations) == 1:
            return self._rows[type(operations[0])](operations)
        outcomes: list[BaseException | None] = [None] * len(operations)
        for kind, do in self._rows.items():
            places = [place for place, operation in enumerate(operations) if type(operation) is kind]
            if places:
                found = do([operations[place] for place in places])
                for place, failure in zip(places, found, strict=True):
                    outcomes[place] = failure
        return outcomes

    def set_link(self, uuid: str, up: bool) -> None:
        """Bring an instance's host ends up or take them down; nothing for one that is not there.

        Without carrier the guest keeps addresses, routes and sockets; were its own end taken down, the kernel would
        throw IPv6 addresses and routes away.
        """
        instance = self.instances.get(uuid)
        if instance is None:
            return
        template = rtnetlink.LINK_UP if up else rtnetlink.LINK_DOWN
        self.socket.send([template.fill(devname=rtnetlink.name(link.devname)) for link in instance.links.values()])
        if up and not instance.up:
            self.leases.reboot(instance.links)
        instance.up = up

    def counters(self, uuid: str) -> dict[str, InterfaceCounters]:
        """Read the counters of an instance's interfaces from inside, by VIF id; empty where it has none."""
        instance = self.instances.get(uuid)
        if instance is None or not instance.links:
            return {}
        nsid = self.number(instance)
        found = {}
        for vif_id, link in instance.links.items():
            guest = self.socket.guest_link(nsid, link.seat.index)
            if guest is not None:
                found[vif_id] = rtnetlink.counters_of(guest)
        return found

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
        self.claims.take(vif_id, link)
        bridge = self.bridges.get(link.network_id, instance.host)
        if bridge is not None:
            bridge.ports.add(link.devname)

    def restore(self) -> None:
        """Set right, after links were adopted, what was changed meanwhile: each is on its bridge, and these are joined.

        :raises KernelRefused: a bridge cannot be made
        """
        masters = {link.name: link.master for link in self.socket.links()}
        lost: list[rtnetlink.Message] = []
        mtus: dict[str, int] = {}
        for instance in self.instances.values():
            for link in instance.links.values():
                bridge = self.bridges.ensure(link.network_id, instance.host, link.mtu)
                bridge.ports.add(link.devname)
                mtus[link.network_id] = max(link.mtu, mtus.get(link.network_id, 0))
                if masters[link.devname] != bridge.index:
                    lost.append(rtnetlink.LINK_ATTACH.fill(devname=rtnetlink.name(link.devname), bridge=bridge.index))
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
        self.claims.drop(link)
        bridge = self.bridges.get(link.network_id, instance.host)
        if bridge is not None:
            bridge.ports.discard(link.devname)
        self._ledger.done(link.entry)
        return link

    def _ask_for_leases(self, operation: AskForLeases) -> None:
        self._enter(self.instances[operation.instance])
        try:
            for one in operation.interfaces:
                self.leases.ask(one.vif.id, one.seat, one.vif.mtu, one.asks)
        except BaseException:
            self.leases.stop([one.vif.id for one in operation.interfaces])
            raise

    def _enter(self, instance: Instance) -> None:
        """Take the thread into an instance."""
        self._stays.enter(instance.uuid, instance.path)

    def _configure(self, operations: Sequence[plan.ConfigureGuest]) -> list[BaseException | None]:
        outcomes: list[BaseException | None] = []
        for operation in operations:
            try:
                self._guests.reach(self.instances[operation.instance]).socket.send(
                    list(guest_messages(operation, self._gateway_neighbours))
                )
                outcomes.append(None)
            except Exception as error:
                outcomes.append(error)
        return outcomes

    def _make_namespaces(self, operations: Sequence[plan.MakeNamespace]) -> list[BaseException | None]:
        made = self._guests.make(operations)
        self.instances.update({one.uuid: one for one in made if isinstance(one, Instance)})
        return [None if isinstance(one, Instance) else one for one in made]

    def _make_links(self, operations: Sequence[plan.MakeLinks]) -> list[BaseException | None]:
        return self._link_maker.make([(one, self.instances[one.instance]) for one in operations])

    def _facts(self, interface: plan.Interface) -> Mapping[str, object]:
        """Return what else the ledger has to know of a link."""
        return {}

    def _set_mtu(self, operation: SetMtu) -> None:
        instance = self.instances[operation.instance]
        try:
            self._send_mtus(instance, {one.vif_id: one.after for one in operation.changes})
        except KernelRefused:
            self._send_mtus(instance, {one.vif_id: one.before for one in operation.changes})
            raise

    def _send_mtus(self, instance: Instance, mtus: Mapping[str, int]) -> None:
        outside = [
            rtnetlink.LINK_MTU.fill(devname=rtnetlink.name(devname), mtu=mtu)
            for vif_id, mtu in mtus.items()
            for devname in self._host_devices(vif_id, instance.links[vif_id])
        ]
        inside = [
            rtnetlink.MTU_INDEX.fill(index=instance.links[vif_id].seat.index, mtu=mtu) for vif_id, mtu in mtus.items()
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
        self.bridges.move(instance.links.values(), operation.source, operation.destination)
        instance.host = operation.destination


def _asking(noted: object) -> Sequence[str]:
    """Read which DHCP clients an interface had; a ledger from before there were several says True."""
    return [str(kind) for kind in noted] if isinstance(noted, list) else ("dhcp4",)
