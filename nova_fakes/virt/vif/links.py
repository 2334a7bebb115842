"""Making links: the pairs of interfaces between instances and their hosts' bridges, those of many plans at once."""

import errno
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from nova_fakes.exceptions import KernelRefused, RealizerError
from nova_fakes.virt.vif import netlink, plan, rtnetlink
from nova_fakes.virt.vif.bridges import NetworkBridges, delete
from nova_fakes.virt.vif.claims import Claims
from nova_fakes.virt.vif.guest_namespaces import GuestNamespaces
from nova_fakes.virt.vif.instances import Instance, Link
from nova_fakes.virt.vif.ledger import Ledger

__all__ = ["LinkMaker"]


@dataclass(slots=True)
class _Batch:
    """The messages of one plan's links within a burst: where each link's first is, and where they end."""

    instance: Instance
    made: list[tuple[int, str, Link]]
    end: int


class LinkMaker:
    """Makes links; they are in nobody's books before `register` is called for them.

    :param within: the path of the namespace of the hosts' side, None for the process's own
    :param leaving: names of devices that the kernel has yet to delete
    :param facts: what else the ledger has to know of a link
    :param register: takes a link that was made into the books
    """

    def __init__(
        self,
        ledger: Ledger,
        socket: netlink.Socket,
        bridges: NetworkBridges,
        claims: Claims,
        guests: GuestNamespaces,
        *,
        within: str | None,
        leaving: set[str],
        facts: Callable[[plan.Interface], Mapping[str, object]],
        register: Callable[[Instance, str, Link], None],
    ) -> None:
        self._ledger = ledger
        self._socket = socket
        self._bridges = bridges
        self._claims = claims
        self._guests = guests
        self._within = within
        self._leaving = leaving
        self._facts = facts
        self._register = register

    def make(self, operations: Sequence[tuple[plan.MakeLinks, Instance]]) -> list[BaseException | None]:
        """Make the links of many plans by one message: for each None, or why it failed; a failed one left nothing."""
        outcomes: list[BaseException | None] = [None] * len(operations)
        batches: dict[int, _Batch] = {}
        messages: list[rtnetlink.Message] = []
        with self._ledger.together():
            for place, (operation, instance) in enumerate(operations):
                try:
                    batches[place] = self._batch(operation, instance, messages)
                except Exception as error:
                    outcomes[place] = error
        refusal: KernelRefused | None = None
        try:
            self._socket.send(messages)
        except KernelRefused as error:
            refusal = error
        for place, batch in batches.items():
            outcomes[place] = self._settle(batch, refusal)
        return outcomes

    def _batch(self, operation: plan.MakeLinks, instance: Instance, messages: list[rtnetlink.Message]) -> _Batch:
        """Add the messages of one plan's links to those of the burst; where that fails, add none."""
        namespace = self._guests.reach(instance).fd
        begin = len(messages)
        made: list[tuple[int, str, Link]] = []
        try:
            for interface in operation.interfaces:
                link = self._new_link(instance, interface)
                made.append((len(messages), interface.vif.id, link))
                index = 0 if instance.pristine else rtnetlink.any_index()
                messages += self._messages(interface, link, index, namespace, operation)
        except BaseException:
            del messages[begin:]
            for _start, _vif_id, link in made:
                self._strike(link)
            raise
        instance.pristine = False
        return _Batch(instance, made, len(messages))

    def _settle(self, batch: _Batch, refusal: KernelRefused | None) -> RealizerError | None:
        """Take the links of a batch into the books, or remove what was made of them; returns why."""
        begin = batch.made[0][0] if batch.made else batch.end
        each = {} if refusal is None else refusal.each
        refused = {place: error for place, error in each.items() if begin <= place < batch.end}
        if not refused:
            for _start, vif_id, link in batch.made:
                self._register(batch.instance, vif_id, link)
            return None
        taken = []
        for start, _vif_id, link in batch.made:
            # Only what this batch made may go: a name that was taken belongs to somebody else.
            if start not in refused:
                delete(self._socket, link.devname)
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
        self._claims.drop(link)
        self._ledger.done(link.entry)

    def _new_link(self, instance: Instance, interface: plan.Interface) -> Link:
        vif = interface.vif
        self._claims.check_mac(vif)
        devname = self._claims.devname(vif)
        if devname in self._leaving:
            delete(self._socket, devname)
            self._leaving.discard(devname)
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
        link = Link(devname, vif.network_id, interface.seat, entry)
        self._claims.take(vif.id, link)
        return link

    def _messages(
        self, interface: plan.Interface, link: Link, index: int, namespace: int, operation: plan.MakeLinks
    ) -> Iterable[rtnetlink.Message]:
        # Another caller's unplug may have taken the bridge away since the plan's own step made it.
        bridge = self._bridges.ensure(link.network_id, operation.host, interface.vif.mtu)
        devname = rtnetlink.name(link.devname)
        preparation = self._bridges.prepare(link.devname, link.entry)
        flags = rtnetlink.UP if operation.up else 0
        yield rtnetlink.VETH_INTO.fill(
            index=index,
            devname=devname,
            # Not the guest's MAC, or the bridge would keep the guest's frames; libvirt uses fe: for host ends too.
            mac=b"\xfe" + interface.mac[1:],
            mtu=interface.vif.mtu,
            bridge=bridge.index,
            flags=0 if preparation else flags,
            peer_index=interface.index,
            peer_name=rtnetlink.name(interface.name),
            peer_mac=interface.mac,
            namespace=namespace,
        )
        yield from preparation
        if preparation and flags:
            yield rtnetlink.LINK_UP.fill(devname=devname)
