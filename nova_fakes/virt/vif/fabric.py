"""The fabric: where the instances of several hosts are wired together on one machine.

A fabric owns one worker thread, one netlink socket on the side of the hosts and the namespace in which bridges and host
ends live: one of its own, so that nothing of it shows in the machine's, or the process's. Each instance is a namespace
``fake-<uuid>`` beside it. What the fabric makes is in its ledger first; a fabric that is made on the ledger of one that
was killed finds that one's instances again.
"""

import logging
import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from nova_fakes.exceptions import InvalidInput, RealizerError
from nova_fakes.virt.vif import home, namespaces, plan
from nova_fakes.virt.vif.adoption import adopt
from nova_fakes.virt.vif.base import VIF, InterfaceCounters
from nova_fakes.virt.vif.bridges import delete
from nova_fakes.virt.vif.gathering import GatheringWorker
from nova_fakes.virt.vif.ledger import Entry, Ledger
from nova_fakes.virt.vif.steps import BringNamespace
from nova_fakes.virt.vif.wiring import Instance, Wiring

__all__ = ["Fabric"]

LOG = logging.getLogger(__name__)

T = TypeVar("T")
#: What is done in stages: it hands on what is done together with others', and is resumed when that is done.
Steps = Generator[plan.Operation, None, None]


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
        self._entry: Entry | None = None
        self._closed = False
        #: Called ahead of each operation of a plan; what it raises makes that operation fail.
        self.before: Callable[[plan.Operation], None] | None = None
        self._worker = self._make_worker()
        try:
            self._worker.call(self._start)
        except BaseException:
            self._worker.close()
            raise

    #: How many operations make a burst. Of more, what the first opened is in no cache when it is its turn again.
    _burst_limit = 32

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
        self._perform(instance, lambda: self._plug(host, instance, vifs, up))

    def unplug(self, host: str, instance: str, vifs: Sequence[VIF] | None = None, *, moved: bool = False) -> None:
        """Remove these VIFs of an instance on that host, or all and its namespace where None; missing is no error.

        :param moved: it lives on elsewhere, so that its leases are not given back
        """
        self._perform(instance, lambda: self._unplug(host, instance, vifs, moved))

    def set_link(self, instance: str, up: bool) -> None:
        """Bring the instance's host ends up or take them down; the instance keeps addresses, routes and sockets."""
        self._perform(instance, lambda: self._set_link(instance, up))

    def counters(self, instance: str) -> Mapping[str, InterfaceCounters]:
        """Read the counters of the instance's interfaces from inside, by VIF id; empty where it has none."""
        return self._outside(lambda: self._wiring.counters(instance))

    def prepare_migration(self, host: str, vifs: Sequence[VIF]) -> None:
        """Make the bridges that the VIFs need on that host."""

        def prepare() -> None:
            networks = {vif.network_id: vif.mtu for vif in vifs}
            self._execute(plan.MakeBridge(network, host, mtu) for network, mtu in networks.items())

        self._worker.call(prepare)

    def abort_migration(self, host: str, vifs: Sequence[VIF]) -> None:
        """Remove the bridges on that host that no VIF uses after all."""

        def abort() -> None:
            for vif in vifs:
                self._wiring.bridges.release(vif.network_id, host)

        self._worker.call(abort)

    def migrate(self, host: str, instance: str, vifs: Sequence[VIF]) -> None:
        """Move the instance's host ends to that host's bridges and announce it from inside.

        The instance's namespace, and with it addresses and connections, stays as it is.

        :raises RealizerError: the instance is not on the fabric, or a step failed and it is where it was
        """
        self._perform(instance, lambda: self._migrate(host, instance, vifs))

    def take(self, host: str, instance: str, vifs: Sequence[VIF], source: str | None) -> None:
        """Take an instance over from another fabric, and announce from inside that it is here now.

        :param source: the path of its namespace, which it keeps with its processes and connections; None, as from
            another machine, makes it anew
        :raises RealizerError: a step failed; nothing of it is here, and the other fabric should plug it again
        """
        self._perform(instance, lambda: self._take(host, instance, vifs, source))

    def together(self, calls: Sequence[Callable[[], object]]) -> list[object]:
        """Make several calls, of this fabric or of realizers on it, side by side; those of an instance in order.

        :returns: of each call what it returned or the exception that it raised; one that fails stops no other
        """
        return self._worker.together(calls)

    def settle(self, timeout_s: float = 60.0) -> bool:
        """Wait until the kernel has removed all interfaces of what was unplugged; False where it takes longer.

        `unplug` does not wait for that: the kernel deletes many at once, later.
        """
        with self._outside(self._wiring.watch) as departures:
            return departures.wait(timeout_s)

    def host_of(self, instance: str) -> str | None:
        """Return the host on which the instance is, None where it is not on the fabric."""
        found = self._wiring.instances.get(instance)
        return None if found is None else found.host

    def namespace(self, instance: str) -> str | None:
        """Return the path of the instance's namespace, None where it is not on the fabric."""
        found = self._wiring.instances.get(instance)
        return None if found is None else found.path

    def instances(self) -> tuple[str, ...]:
        """Return the uuids of the instances on the fabric."""
        return tuple(self._wiring.instances)

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

    # The worker's side.

    def _start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        quiet = False
        if self.path is not None:
            self._entry = home.enter(self.ledger, self.path)
            quiet = home.quieten()
        self._wiring = self._make_wiring(quiet)
        self._adopt()

    def _make_worker(self) -> GatheringWorker:
        return GatheringWorker(
            "fabric",
            lambda burst: self._wiring.commit(burst),
            idle=lambda: self._wiring.leave(),
            limit=self._burst_limit,
        )

    def _make_wiring(self, quiet: bool) -> Wiring:
        return Wiring(self.ledger, self.directory, self.path, quiet, self._gateway_neighbours)

    def _adopt(self) -> None:
        """Find again what an earlier process left on our ledger, and remove what it left half made."""
        adopt(self._wiring, self.ledger, self.directory, self.path)
        self._wiring.restore()
        self._wiring.resume_leases()
        self._wiring.leave()

    def _outside(self, function: Callable[[], T]) -> T:
        """Run the function in the worker, then leave whatever namespace it entered."""

        def run() -> T:
            try:
                return function()
            finally:
                self._wiring.leave()

        return self._worker.call(run)

    def _perform(self, instance: str, steps: Callable[[], Steps]) -> None:
        """Do something that concerns one instance, in the worker; what it hands on together with others'."""

        def whole() -> Steps:
            try:
                yield from steps()
            finally:
                self._wiring.let_go(instance)

        self._worker.gather(instance, whole())

    def _execute(self, operations: Iterable[plan.Operation]) -> None:
        plan.execute(operations, self._wiring, self.before)

    def _stages(self, operations: Iterable[plan.Operation]) -> Steps:
        """Apply a plan, handing on what is done together with others' plans."""
        return plan.stages(operations, self._wiring, self.before, self._wiring.gathered)

    def _plug_operations(
        self, instance: str, host: str, planned: Sequence[plan.Interface], *, up: bool, new: bool
    ) -> Sequence[plan.Operation]:
        return plan.plug_operations(instance, host, planned, up=up, new=new)

    def _migrate_operations(
        self, instance: str, source: str, destination: str, planned: Sequence[plan.Interface]
    ) -> Sequence[plan.Operation]:
        return plan.migrate_operations(instance, source, destination, planned)

    def _detach(self, instance: Instance, vif_ids: Sequence[str]) -> Steps:
        """Do what has to be done before interfaces go."""
        yield from ()

    def _plug(self, host: str, uuid: str, vifs: Sequence[VIF], up: bool) -> Steps:
        instance = self._wiring.instances.get(uuid)
        here = instance is not None and instance.host == host
        seats = {vif_id: link.seat for vif_id, link in instance.links.items()} if instance is not None and here else {}
        planned = plan.interfaces(vifs, seats)
        for interface in planned:
            self._wiring.claims.check_mac(interface.vif)
        if instance is not None and not here:
            yield from self._unplug(instance.host, uuid, None)
            instance = None
        if instance is None:
            yield from self._stages(self._plug_operations(uuid, host, planned, up=up, new=True))
            self._wiring.instances[uuid].up = up
            return
        if instance.adopted:
            # It may have been killed between making the interfaces and configuring them; again does no harm.
            known = [plan.interface(vif, seats[vif.id].ordinal) for vif in vifs if vif.id in seats]
            self._wiring.do(plan.ConfigureGuest(uuid, tuple(known), loopback=True))
            instance.adopted = False
        operations: list[plan.Operation] = [*instance.mtu_changes(vifs)]
        if planned:
            operations += self._plug_operations(uuid, host, planned, up=instance.up, new=False)
        yield from self._stages(operations)

    def _take(self, host: str, uuid: str, vifs: Sequence[VIF], source: str | None) -> Steps:
        if source is None or uuid in self._wiring.instances:
            yield from self._plug(host, uuid, vifs, up=True)
        else:
            planned = plan.interfaces(vifs, {})
            brought = BringNamespace(uuid, host, source, planned)
            operations = self._plug_operations(uuid, host, planned, up=True, new=True)
            yield from self._stages([brought if isinstance(one, plan.MakeNamespace) else one for one in operations])
        instance = self._wiring.instances[uuid]
        given = {vif.id: vif for vif in vifs}
        seats = {vif_id: link.seat for vif_id, link in instance.links.items() if vif_id in given}
        try:
            self._wiring.ready_to_announce(
                instance, [plan.interface(given[vif_id], seat.ordinal) for vif_id, seat in seats.items()]
            )
            self._wiring.do(plan.Announce(uuid, ()))
        except (OSError, RealizerError) as error:
            LOG.warning("instance %s is here, and could not tell its network so: %s", uuid, error)

    def _unplug(self, host: str, uuid: str, vifs: Sequence[VIF] | None, moved: bool = False) -> Steps:
        instance = self._wiring.instances.get(uuid)
        if instance is None or instance.host != host:
            return
        networks = {link.network_id for link in instance.links.values()}
        going = list(instance.links) if vifs is None else [vif.id for vif in vifs if vif.id in instance.links]
        self._wiring.leases.stop(going, release=not moved)  # while the server can still hear it
        yield from self._detach(instance, going)
        if vifs is None:
            self._wiring.forget(instance)
        else:
            self._wiring.remove_links(instance, going)
        for network_id in networks:
            self._wiring.bridges.release(network_id, host)

    def _set_link(self, uuid: str, up: bool) -> Steps:
        yield from ()
        self._wiring.set_link(uuid, up)

    def _migrate(self, host: str, uuid: str, vifs: Sequence[VIF]) -> Steps:
        instance = self._wiring.instances.get(uuid)
        if instance is None:
            raise RealizerError(f"instance {uuid} is not on this fabric; plug it first")
        if instance.host == host:
            return
        source = instance.host
        given = {vif.id: vif for vif in vifs}
        if missing := sorted(instance.links.keys() - given.keys()):
            raise InvalidInput("vifs", missing, f"instance {uuid} has these too; migrate all of its VIFs")
        planned = [plan.interface(given[vif_id], link.seat.ordinal) for vif_id, link in instance.links.items()]
        if instance.up:
            self._wiring.ready_to_announce(instance, planned)
        yield from self._stages(self._migrate_operations(uuid, source, host, planned))
        instance.entry = self.ledger.note(instance.entry, host=host)
        for link in instance.links.values():
            link.entry = self.ledger.note(link.entry, host=host)
        for network_id in {link.network_id for link in instance.links.values()}:
            self._wiring.bridges.release(network_id, source)

    def _stop(self, keep: bool) -> None:
        try:
            if not keep:
                self._remove_everything()
        finally:
            self._wiring.close()

    def _remove_everything(self) -> None:
        instances = list(self._wiring.instances.values())
        self._wiring.leases.stop([vif_id for instance in instances for vif_id in instance.links])
        for instance in reversed(instances):  # what came first may serve the others
            self._wiring.forget(instance)
        self._wiring.bridges.clear(keep_in_kernel=self.path is not None)
        if self._entry is not None:
            namespaces.remove(self._entry.name)
            self.ledger.done(self._entry)
            return
        # In a namespace that others use, nothing of ours may linger until the kernel gets round to it.
        for devname in self._wiring.leaving & {link.name for link in self._wiring.socket.links()}:
            delete(self._wiring.socket, devname)
