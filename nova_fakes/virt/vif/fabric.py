"""The fabric: where the instances of several hosts are wired together on one machine.

A fabric owns one worker thread, one netlink socket on the side of the hosts and the namespace in which bridges and host
ends live: one of its own, so that nothing of it shows in the machine's, or the process's. Each instance is a namespace
``fake-<uuid>`` beside it. What the fabric makes is in its ledger first; a fabric that is made on the ledger of one that
was killed finds that one's instances again.
"""

import errno
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nova_fakes.exceptions import InvalidInput, KernelRefused, RealizerError
from nova_fakes.virt.vif import namespaces, netlink, plan
from nova_fakes.virt.vif.announcement import Announcer
from nova_fakes.virt.vif.base import VIF, InterfaceCounters
from nova_fakes.virt.vif.bridges import Bridges, delete
from nova_fakes.virt.vif.ledger import Entry, Ledger
from nova_fakes.virt.vif.worker import Worker

__all__ = ["Fabric"]

#: When this many devices are on their way out, those that have gone are forgotten.
_LEAVING_LIMIT = 512
#: In a namespace of our own: no IPv6 on the hosts' side, and no firewall hooks on bridged frames.
_QUIET_SETTINGS = {
    "/proc/sys/net/ipv6/conf/default/disable_ipv6": "1",
    "/proc/sys/net/ipv6/conf/default/addr_gen_mode": "1",
}
_BRIDGE_HOOKS = tuple(f"/proc/sys/net/bridge/bridge-nf-call-{table}" for table in ("iptables", "ip6tables", "arptables"))


@dataclass(slots=True)
class _Link:
    """A plugged VIF: its host end, its place in the guest, the addresses that it holds."""

    devname: str
    network_id: str
    seat: plan.Seat
    entry: Entry
    addresses: tuple[bytes, ...] = ()


@dataclass(slots=True)
class _Instance:
    """An instance on the fabric. `adopted`: an earlier process made it, and its inside is still to be checked."""

    uuid: str
    path: str
    host: str
    entry: Entry
    up: bool = True
    adopted: bool = False
    links: dict[str, _Link] = field(default_factory=dict)
    nsid: int | None = None


@dataclass(slots=True)
class _Inside:
    """The worker's stay inside an instance: the namespace's descriptor and a netlink socket there."""

    instance: str
    fd: int
    socket: netlink.Socket

    def close(self) -> None:
        self.socket.close()
        os.close(self.fd)


class Fabric:
    """Wires instances of several hosts together.

    :param ledger: where everything is written down first; the caller closes it
    :param directory: where namespaces get their names; ``/run/netns`` where None
    :param namespace: the name of the fabric's own namespace; None uses the one that the process is in
    :param gateway_neighbours: give instances a permanent neighbour for each gateway (see `plan.gateway_mac`)
    :raises NamespacesUnavailable: no namespaces can be made here
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        directory: str | os.PathLike[str] | None = None,
        namespace: str | None = None,
        gateway_neighbours: bool = True,
    ) -> None:
        self.ledger = ledger
        self.directory = Path(namespaces.RUN_NETNS if directory is None else directory)
        self.path = None if namespace is None else str(self.directory / namespace)
        self._gateway_neighbours = gateway_neighbours
        self._instances: dict[str, _Instance] = {}
        self._devnames: dict[str, str] = {}
        self._macs: dict[tuple[str, str], str] = {}
        self._leaving: set[str] = set()
        self._inside: _Inside | None = None
        self._entry: Entry | None = None
        self._closed = False
        #: Called ahead of each operation of a plan; what it raises makes that operation fail. For tests and fault rules.
        self.before: Callable[[plan.Operation], None] | None = None
        self._worker = Worker("fabric")
        try:
            self._worker.call(self._start)
        except BaseException:
            self._worker.close()
            raise

    def __enter__(self) -> "Fabric":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # What realizers ask for.

    def plug(self, host: str, instance: str, vifs: Sequence[VIF], *, up: bool = True) -> None:
        """Make whatever of these VIFs the instance lacks, on that host; all of them or none.

        An instance that is on another host is taken down there first: it was rebuilt here (an evacuation, a resize).
        `up` is for a new instance; what is added to one that is there gets the link state that it has.

        :raises InvalidInput: VIFs clash with each other or with another instance's
        :raises RealizerError: something failed; what had been made for these VIFs is gone again
        """
        self._worker.call(lambda: self._outside(lambda: self._plug(host, instance, vifs, up)))

    def unplug(self, host: str, instance: str, vifs: Sequence[VIF] | None = None) -> None:
        """Remove these VIFs of an instance on that host, or all and its namespace where None; missing is no error."""
        self._worker.call(lambda: self._outside(lambda: self._unplug(host, instance, vifs)))

    def set_link(self, instance: str, up: bool) -> None:
        """Bring the instance's host ends up or take them down; the instance keeps addresses, routes and sockets."""
        self._worker.call(lambda: self._set_link(instance, up))

    def counters(self, instance: str) -> Mapping[str, InterfaceCounters]:
        """Read the counters of the instance's interfaces from inside, by VIF id; empty where it has none."""
        return self._worker.call(lambda: self._outside(lambda: self._counters(instance)))

    def prepare_migration(self, host: str, vifs: Sequence[VIF]) -> None:
        """Make the bridges that the VIFs need on that host."""

        def prepare() -> None:
            networks = {vif.network_id: vif.mtu for vif in vifs}
            plan.execute((plan.MakeBridge(network, host, mtu) for network, mtu in networks.items()), self)

        self._worker.call(prepare)

    def abort_migration(self, host: str, vifs: Sequence[VIF]) -> None:
        """Remove the bridges on that host that no VIF uses after all."""

        def abort() -> None:
            for vif in vifs:
                self._bridges.release(vif.network_id, host)

        self._worker.call(abort)

    def migrate(self, host: str, instance: str, vifs: Sequence[VIF]) -> None:
        """Move the instance's host ends to that host's bridges and announce it from inside.

        The instance's namespace, and with it addresses and connections, stays as it is.

        :raises RealizerError: the instance is not on the fabric, or a step failed and it is where it was
        """
        self._worker.call(lambda: self._outside(lambda: self._migrate(host, instance, vifs)))

    def host_of(self, instance: str) -> str | None:
        """Return the host on which the instance is, None where it is not on the fabric."""
        found = self._instances.get(instance)
        return None if found is None else found.host

    def namespace(self, instance: str) -> str | None:
        """Return the path of the instance's namespace, None where it is not on the fabric."""
        found = self._instances.get(instance)
        return None if found is None else found.path

    def instances(self) -> tuple[str, ...]:
        """Return the uuids of the instances on the fabric."""
        return tuple(self._instances)

    def close(self, *, keep: bool = False) -> None:
        """Remove everything and end the worker; a second time does nothing.

        :param keep: leave the instances wired, for a fabric to come on the same ledger; only the worker ends
        """
        if self._closed:
            return
        self._closed = True
        try:
            self._worker.call(lambda: self._stop(keep))
        finally:
            self._worker.close()

    # An operator for plans, in the worker's thread.

    def do(self, operation: plan.Operation) -> None:
        """Do one operation of a plan; called by `plan.execute` in the worker's thread."""
        match operation:
            case plan.MakeBridge(network_id, host, mtu):
                self._bridges.ensure(network_id, host, mtu)
            case plan.MakeNamespace(instance):
                self._make_namespace(instance)
            case plan.MakeLinks():
                self._make_links(operation)
            case plan.ConfigureGuest():
                self._configure(operation)
            case plan.MoveLinks():
                self._move(operation)
            case plan.Announce(instance):
                for announcer in self._announcers:
                    announcer.send()

    def undo(self, operation: plan.Operation) -> None:
        """Undo one operation of a plan; called by `plan.execute` in the worker's thread."""
        match operation:
            case plan.MakeBridge(network_id, host):
                self._bridges.release(network_id, host)
            case plan.MakeNamespace(instance):
                self._forget(self._instances[instance])
            case plan.MakeLinks(instance, _, interfaces):
                self._remove_links(self._instances[instance], [interface.vif.id for interface in interfaces])
            case plan.ConfigureGuest() | plan.Announce():
                pass  # what was configured goes with the links; what was said cannot be unsaid, and the way back says more
            case plan.MoveLinks(instance, source, destination, interfaces):
                self._move(plan.MoveLinks(instance, destination, source, interfaces))

    # The worker's side.

    def _start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        quiet = False
        if self.path is not None:
            self._entry = self._own_namespace(self.path)
            quiet = _quieten()
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._host_socket = netlink.Socket()
        self._bridges = Bridges(self._host_socket, self.ledger, self.path, quiet)
        self._announcers: list[Announcer] = []
        self._adopt()

    def _own_namespace(self, path: str) -> Entry:
        for entry in self.ledger.entries("namespace"):
            if entry.name == path and entry.attributes.get("inode") == namespaces.inode(path):
                namespaces.enter(path)
                return entry
        if os.path.lexists(path):
            raise RealizerError(f"{path} exists and the ledger does not name it; choose another name for the fabric")
        entry = self.ledger.add("namespace", path, role="fabric")
        try:
            namespaces.make(path)
        except BaseException:
            self.ledger.done(entry)
            raise
        return self.ledger.note(entry, inode=namespaces.inode(path))

    def _adopt(self) -> None:
        """Find again what an earlier process left on our ledger; what is not there any more is struck off."""
        for entry in self.ledger.entries("namespace"):
            if entry.attributes.get("role") != "guest" or Path(entry.name).parent != self.directory:
                continue
            uuid, host = str(entry.attributes["instance"]), str(entry.attributes["host"])
            if entry.attributes.get("inode") is not None and entry.attributes["inode"] == namespaces.inode(entry.name):
                self._instances[uuid] = _Instance(uuid, entry.name, host, entry, adopted=True)
        devices = [e for e in self.ledger.entries("device") if e.attributes.get("within") == self.path]
        for role in ("trunk", "bridge", "uplink", "vif"):
            for entry in (e for e in devices if e.attributes.get("role") == role):
                found = self._adopt_link(entry) if role == "vif" else self._bridges.adopt(entry)
                if not found:
                    self.ledger.done(entry)
        for entry in self.ledger.entries("namespace"):
            if entry.attributes.get("role") == "guest" and Path(entry.name).parent == self.directory:
                uuid = str(entry.attributes["instance"])
                if uuid not in self._instances:
                    _remove_if_ours(entry)
                    self.ledger.done(entry)

    def _adopt_link(self, entry: Entry) -> bool:
        link = self._host_socket.link(entry.name)
        facts = entry.attributes
        instance = self._instances.get(str(facts["instance"]))
        if link is None or (self.path is None and link.alias != entry.mark):
            return False
        if instance is None:
            delete(self._host_socket, entry.name)
            return False
        seat = plan.Seat(int(str(facts["ordinal"])), str(facts["mac"]))
        self._register(instance, str(facts["vif"]), _Link(entry.name, str(facts["network"]), seat, entry))
        instance.up = link.up
        instance.host = str(facts["host"])
        return True

    def _outside(self, function: Callable[[], object]) -> object:
        """Run the function, then leave whatever namespace it entered: a stay would keep that namespace alive."""
        try:
            return function()
        finally:
            self._leave()

    def _leave(self) -> None:
        if self._inside is not None:
            self._inside.close()
            self._inside = None
            namespaces.enter(self._home)

    def _enter(self, instance: _Instance) -> _Inside:
        if self._inside is None or self._inside.instance != instance.uuid:
            self._leave()
            fd = namespaces.open_namespace(instance.path)
            try:
                namespaces.enter(fd)
                self._inside = _Inside(instance.uuid, fd, netlink.Socket())
            except BaseException:
                namespaces.enter(self._home)
                os.close(fd)
                raise
        return self._inside

    def _plug(self, host: str, uuid: str, vifs: Sequence[VIF], up: bool) -> None:
        instance = self._instances.get(uuid)
        seats = {} if instance is None else {vif_id: link.seat for vif_id, link in instance.links.items()}
        planned = plan.interfaces(vifs, seats if instance is None or instance.host == host else {})
        for interface in planned:
            self._check_mac(interface.vif, uuid)
        if instance is not None and instance.host != host:
            self._unplug(instance.host, uuid, None)
            instance = None
        new = instance is None
        if instance is not None and instance.adopted:
            self._complete(instance, vifs)
        self._host = host
        link_up = up if instance is None else instance.up
        operations = plan.plug_operations(uuid, host, planned, up=link_up, new=new)
        if planned or new:
            plan.execute(operations, self, self.before)
        if new:
            self._instances[uuid].up = up

    def _complete(self, instance: _Instance, vifs: Sequence[VIF]) -> None:
        """Configure an instance again that an earlier process made: it may have been killed before it had."""
        known = [
            plan.interface(vif, instance.links[vif.id].seat.ordinal) for vif in vifs if vif.id in instance.links
        ]
        self._configure(plan.ConfigureGuest(instance.uuid, tuple(known), loopback=True))
        instance.adopted = False

    def _check_mac(self, vif: VIF, uuid: str) -> None:
        other = self._macs.get((vif.network_id, vif.address))
        if other is not None and other != vif.id:
            raise InvalidInput(
                f"address of VIF {vif.id}",
                vif.address,
                f"VIF {other} has this MAC on network {vif.network_id}; give each port its own",
            )

    def _make_namespace(self, uuid: str) -> None:
        path = str(self.directory / f"fake-{uuid}")
        if os.path.lexists(path):
            raise RealizerError(f"{path} exists and is not ours; remove it (`ip netns delete`) or use another directory")
        entry = self.ledger.add("namespace", path, role="guest", instance=uuid, host=self._host)
        try:
            self._leave()
            namespaces.make(path)
            fd = -1
            try:
                fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
                self._inside = _Inside(uuid, fd, netlink.Socket())
                entry = self.ledger.note(entry, inode=os.fstat(fd).st_ino)
            except BaseException:
                self._leave()
                namespaces.enter(self._home)
                namespaces.remove(path)
                raise
        except BaseException:
            self.ledger.done(entry)
            raise
        self._instances[uuid] = _Instance(uuid, path, self._host, entry)

    def _make_links(self, operation: plan.MakeLinks) -> None:
        instance = self._instances[operation.instance]
        inside = self._enter(instance)
        links: list[tuple[plan.Interface, _Link]] = []
        messages: list[netlink.Message] = []
        starts: list[int] = []
        try:
            for interface in operation.interfaces:
                link = self._new_link(instance, interface)
                links.append((interface, link))
                starts.append(len(messages))
                messages += self._link_messages(interface, link, inside.fd, operation)
            self._host_socket.send(messages)
        except BaseException as error:
            failed: Sequence[int] = error.failed if isinstance(error, KernelRefused) else range(len(messages) + 1)
            for position, (_interface, link) in enumerate(links):
                # Only what this batch made may go: a name that was taken belongs to somebody else.
                if position < len(starts) and starts[position] not in failed:
                    delete(self._host_socket, link.devname)
                self.ledger.done(link.entry)
                self._devnames.pop(link.devname, None)
            if isinstance(error, KernelRefused) and error.errno == errno.EEXIST:
                taken = ", ".join(links[i][1].devname for i, start in enumerate(starts) if start in failed)
                raise RealizerError(f"the interface name {taken} is taken by something else; remove that") from error
            raise
        for interface, link in links:
            self._register(instance, interface.vif.id, link)
            bridge = self._bridges.get(link.network_id, operation.host)
            if bridge is not None:
                bridge.ports.add(link.devname)

    def _new_link(self, instance: _Instance, interface: plan.Interface) -> _Link:
        vif = interface.vif
        devname = vif.devname
        owner = self._devnames.get(devname)
        if owner is not None and owner != vif.id:
            # Two hosts may use one name; on the fabric they share a namespace.
            devname = f"nfv{os.urandom(5).hex()}"
        if devname in self._leaving:
            delete(self._host_socket, devname)
            self._leaving.discard(devname)
        entry = self.ledger.add(
            "device",
            devname,
            within=self.path,
            role="vif",
            instance=instance.uuid,
            host=self._host,
            vif=vif.id,
            network=vif.network_id,
            ordinal=interface.ordinal,
            mac=vif.address,
        )
        self._devnames[devname] = vif.id
        return _Link(devname, vif.network_id, interface.seat, entry, tuple(a.address for a in interface.addresses))

    def _link_messages(
        self, interface: plan.Interface, link: _Link, namespace: int, operation: plan.MakeLinks
    ) -> Iterable[netlink.Message]:
        bridge = self._bridges.get(link.network_id, operation.host)
        if bridge is None:
            raise RealizerError(f"host {operation.host} has no bridge of network {link.network_id}; plan one first")
        devname = netlink.name(link.devname)
        preparation = self._bridges.prepare(link.devname, link.entry)
        flags = netlink.UP if operation.up else 0
        yield netlink.VETH_INTO.fill(
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

    def _configure(self, operation: plan.ConfigureGuest) -> None:
        inside = self._enter(self._instances[operation.instance])
        inside.socket.send(list(guest_messages(operation, self._gateway_neighbours)))

    def _register(self, instance: _Instance, vif_id: str, link: _Link) -> None:
        instance.links[vif_id] = link
        self._devnames[link.devname] = vif_id
        self._macs[link.network_id, link.seat.mac] = vif_id
        bridge = self._bridges.get(link.network_id, str(link.entry.attributes["host"]))
        if bridge is not None:
            bridge.ports.add(link.devname)

    def _unregister(self, instance: _Instance, vif_id: str) -> _Link:
        link = instance.links.pop(vif_id)
        self._devnames.pop(link.devname, None)
        self._macs.pop((link.network_id, link.seat.mac), None)
        bridge = self._bridges.get(link.network_id, instance.host)
        if bridge is not None:
            bridge.ports.discard(link.devname)
        return link

    def _unplug(self, host: str, uuid: str, vifs: Sequence[VIF] | None) -> None:
        instance = self._instances.get(uuid)
        if instance is None or instance.host != host:
            return
        networks = {link.network_id for link in instance.links.values()}
        if vifs is None:
            self._forget(instance)
        else:
            self._remove_links(instance, [vif.id for vif in vifs if vif.id in instance.links])
        for network_id in networks:
            self._bridges.release(network_id, host)

    def _forget(self, instance: _Instance) -> None:
        """Take the instance's namespace away; the kernel deletes the interfaces, many instances' at once."""
        if self._inside is not None and self._inside.instance == instance.uuid:
            self._leave()
        namespaces.remove(instance.path)
        for vif_id in list(instance.links):
            link = self._unregister(instance, vif_id)
            self._leaving.add(link.devname)
            self.ledger.done(link.entry)
        self.ledger.done(instance.entry)
        del self._instances[instance.uuid]
        if len(self._leaving) > _LEAVING_LIMIT:
            self._leaving &= {link.name for link in self._host_socket.links()}

    def _remove_links(self, instance: _Instance, vif_ids: Iterable[str]) -> None:
        for vif_id in vif_ids:
            link = instance.links[vif_id]
            delete(self._host_socket, link.devname)
            self._unregister(instance, vif_id)
            self.ledger.done(link.entry)

    def _set_link(self, uuid: str, up: bool) -> None:
        instance = self._instances.get(uuid)
        if instance is None:
            return
        template = netlink.LINK_UP if up else netlink.LINK_DOWN
        self._host_socket.send(
            [template.fill(devname=netlink.name(link.devname)) for link in instance.links.values()]
        )
        instance.up = up

    def _counters(self, uuid: str) -> dict[str, InterfaceCounters]:
        instance = self._instances.get(uuid)
        if instance is None or not instance.links:
            return {}
        if instance.nsid is None:
            fd = namespaces.open_namespace(instance.path)
            try:
                instance.nsid = self._host_socket.nsid(fd)
            finally:
                os.close(fd)
        found = {}
        for vif_id, link in instance.links.items():
            guest = self._host_socket.guest_link(instance.nsid, 2 + link.seat.ordinal)
            if guest is not None:
                found[vif_id] = netlink.counters_of(guest)
        return found

    def _migrate(self, host: str, uuid: str, vifs: Sequence[VIF]) -> None:
        instance = self._instances.get(uuid)
        if instance is None:
            raise RealizerError(f"instance {uuid} is not on this fabric; plug it first")
        if instance.host == host:
            return
        source = instance.host
        given = {vif.id: vif for vif in vifs}
        if missing := sorted(instance.links.keys() - given.keys()):
            raise InvalidInput("vifs", missing, f"instance {uuid} has these too; migrate all of its VIFs")
        planned = [plan.interface(given[vif_id], link.seat.ordinal) for vif_id, link in instance.links.items()]
        networks = {link.network_id for link in instance.links.values()}
        try:
            if planned:
                self._enter(instance)
                # Ready before the switch-over, so that the announcement follows it at once.
                for interface in planned if instance.up else ():
                    self._announcers.append(Announcer(interface))
            plan.execute(plan.migrate_operations(uuid, source, host, planned), self, self.before)
        except OSError as error:
            raise RealizerError(f"instance {uuid} could not announce its new place: {error}") from error
        finally:
            for announcer in self._announcers:
                announcer.close()
            self._announcers.clear()
        instance.entry = self.ledger.note(instance.entry, host=host)
        for link in instance.links.values():
            link.entry = self.ledger.note(link.entry, host=host)
        for network_id in networks:
            self._bridges.release(network_id, source)

    def _move(self, operation: plan.MoveLinks) -> None:
        instance = self._instances[operation.instance]
        messages = []
        back = []
        for link in instance.links.values():
            bridge = self._bridges.get(link.network_id, operation.destination)
            before = self._bridges.get(link.network_id, operation.source)
            if bridge is None or before is None:
                raise RealizerError(f"network {link.network_id} has no bridge on {operation.destination}; plan one first")
            devname = netlink.name(link.devname)
            messages.append(netlink.LINK_ATTACH.fill(devname=devname, bridge=bridge.index))
            back.append(netlink.LINK_ATTACH.fill(devname=devname, bridge=before.index))
        try:
            self._host_socket.send(messages)
        except KernelRefused:
            self._host_socket.send(back)
            raise
        for link in instance.links.values():
            for host, change in ((operation.source, set.discard), (operation.destination, set.add)):
                bridge = self._bridges.get(link.network_id, host)
                if bridge is not None:
                    change(bridge.ports, link.devname)
        instance.host = operation.destination

    def _stop(self, keep: bool) -> None:
        self._leave()
        try:
            if not keep:
                whole = self.path is not None
                for instance in list(self._instances.values()):
                    self._forget(instance)
                self._bridges.clear(keep_in_kernel=whole)
                if self._entry is not None and self.path is not None:
                    namespaces.remove(self.path)
                    self.ledger.done(self._entry)
                elif self._leaving:
                    self._wait_for_leavers()
        finally:
            self._host_socket.close()
            os.close(self._home)

    def _wait_for_leavers(self) -> None:
        """Delete what the kernel has not got round to: in a namespace that others use, nothing of ours may linger."""
        for devname in self._leaving & {link.name for link in self._host_socket.links()}:
            delete(self._host_socket, devname)
        self._leaving.clear()


def guest_messages(operation: plan.ConfigureGuest, gateway_neighbours: bool = True) -> Iterable[netlink.Message]:
    """List the messages that configure the inside of an instance, in the order in which the kernel accepts them."""
    if operation.loopback:
        yield netlink.UP_INDEX.fill(index=1)
    for interface in operation.interfaces:
        index = interface.index
        yield netlink.NO_AUTOCONF_INDEX.fill(index=index)
        yield netlink.UP_INDEX.fill(index=index)
        for guest in interface.addresses:
            template = netlink.ADDRESS4 if len(guest.address) == 4 else netlink.ADDRESS6
            yield template.fill(index=index, address=guest.address, prefix_length=guest.prefix_length)
        for route in interface.routes:
            template = netlink.ROUTE4 if len(route.nexthop) == 4 else netlink.ROUTE6
            yield template.fill(
                index=index,
                destination=route.destination,
                prefix_length=route.prefix_length,
                nexthop=route.nexthop,
                metric=route.metric,
                flags=netlink.ON_LINK if route.on_link else 0,
            )
        for neighbour in interface.neighbours if gateway_neighbours else ():
            template = netlink.NEIGHBOUR4 if len(neighbour.address) == 4 else netlink.NEIGHBOUR6
            yield template.fill(index=index, address=neighbour.address, mac=neighbour.mac)


def _quieten() -> bool:
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


def _remove_if_ours(entry: Entry) -> None:
    """Remove the namespace of an entry, unless another one has that name by now."""
    noted = entry.attributes.get("inode")
    there = namespaces.inode(entry.name)
    if noted is None or there is None or noted == there:
        namespaces.remove(entry.name)
