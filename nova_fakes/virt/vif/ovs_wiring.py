"""How a plan's operations are done where the host ends go to an Open vSwitch.

Everything here runs in the fabric's worker thread.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from nova_fakes.exceptions import OvsdbUnavailable, RealizerError
from nova_fakes.virt.vif import plan
from nova_fakes.virt.vif.bridges import NetworkBridges
from nova_fakes.virt.vif.filters import Filters
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.offload import stop_checksum_offload
from nova_fakes.virt.vif.ovs_bridges import NamedBridges, OwnBridges
from nova_fakes.virt.vif.ovs_plan import bridge_of, hybrid
from nova_fakes.virt.vif.steps import SetMtu
from nova_fakes.virt.vif.switch import PORT_MARK, Attachment, Detachment, Switch
from nova_fakes.virt.vif.wiring import Instance, Link, Wiring

__all__ = ["SwitchWiring"]

T = TypeVar("T")


class SwitchWiring(Wiring):
    """Knows the instances on a switch and does operations on them.

    :param switch: the Open vSwitch
    :param own: the switch is ours, and so are its bridges
    :param revive: called where the switch does not answer; tells whether it may do so now
    """

    gathered = (*Wiring.gathered, plan.AddPorts)

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
        super().__init__(ledger, directory, within, quiet, gateway_neighbours)
        self._filters = Filters(ledger, self.socket, self.claims, within, self.places.prepare)

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
                self._filters.make(self.instances[uuid], interfaces)
            case plan.StopChecksumOffload(uuid, interfaces):
                self._enter(self.instances[uuid])
                for interface in interfaces:
                    stop_checksum_offload(interface.name)
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
                self._filters.remove([interface.vif.id for interface in interfaces])
            case plan.AddPorts(uuid, _host, ports):
                self.do(plan.RemovePorts(uuid, tuple(port.iface_id for port in ports)))
            case plan.StopChecksumOffload():
                return  # it goes with the links
            case _:
                super().undo(operation)

    def commit(self, operations: Sequence[plan.Operation]) -> Sequence[BaseException | None]:
        """Do operations of many plans, those of one kind in a row, and all changes of ports in one transaction.

        :param operations: of the kinds in `gathered`, and `plan.RemovePorts`
        :returns: for each None, or why it failed; a failed one left nothing
        """
        places = [place for place, one in enumerate(operations) if isinstance(one, plan.AddPorts | plan.RemovePorts)]
        outcomes: list[BaseException | None] = [None] * len(operations)
        if len(places) < len(operations):
            outcomes[:] = super().commit(operations)
        if not places:
            return outcomes
        for place, failure in zip(places, self._change_ports([operations[place] for place in places]), strict=True):
            outcomes[place] = failure
        return outcomes

    def _change_ports(self, operations: Sequence[plan.Operation]) -> list[BaseException | None]:
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
            return [failure for operation in operations for failure in self._change_ports([operation])]
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
        self._filters.remove(instance.links)
        super().forget(instance)

    def remove_links(self, instance: Instance, vif_ids: Iterable[str]) -> None:
        """Delete some of the instance's interfaces with their filters."""
        going = list(vif_ids)
        self._filters.remove(going)
        super().remove_links(instance, going)

    def reconcile(self, lost: Iterable[str]) -> None:
        """Set the switch right after the links were adopted: what of ours is missing comes, what is orphaned goes.

        :param lost: the marks of links that are gone; a port of ours with one of them is an orphan
        """
        attachments = []
        orphans = set(lost)
        for instance in self.instances.values():
            for vif_id, link in list(instance.links.items()):
                if bool(link.entry.attributes.get("hybrid")) != (vif_id in self._filters):
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
        self._filters.adopt({vif_id for instance in self.instances.values() for vif_id in instance.links})

    def _unregister(self, instance: Instance, vif_id: str) -> Link:
        link = super()._unregister(instance, vif_id)
        self.places.drop_port(str(link.entry.attributes["bridge"]), link.devname)
        return link

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
        filter_ = self._filters.get(vif_id)
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

    def _host_devices(self, vif_id: str, link: Link) -> Sequence[str]:
        filter_ = self._filters.get(vif_id)
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
