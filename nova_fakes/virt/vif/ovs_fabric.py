"""A fabric whose host ends are ports of an Open vSwitch: one of our own, or the machine's.

On a switch of our own the fabric is whole: it starts the switch in its own namespace, watches it, and starts again what
dies. On the machine's switch it puts ports on the bridges that VIFs name and leaves everything else to Neutron's agent.
"""

import logging
import os
import select
from collections.abc import Callable, Sequence
from pathlib import Path

from nova_fakes.exceptions import InvalidInput, OvsdbUnavailable, RealizerError
from nova_fakes.virt.vif import namespaces, ovs_plan, plan
from nova_fakes.virt.vif.fabric import Fabric, Steps
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.ovs_service import OpenVSwitch
from nova_fakes.virt.vif.ovs_wiring import SwitchWiring
from nova_fakes.virt.vif.ovsdb import DEFAULT_DEADLINE_S
from nova_fakes.virt.vif.switch import Switch
from nova_fakes.virt.vif.wiring import Instance, Wiring

__all__ = ["SYSTEM_SOCKET", "SwitchFabric"]

LOG = logging.getLogger(__name__)

#: Where Debian's and Red Hat's Open vSwitch listens.
SYSTEM_SOCKET = Path("/run/openvswitch/db.sock")
#: Seconds between two revivals, so that a daemon that dies at once does not take a processor: at first, and at most.
_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 10.0


class SwitchFabric(Fabric):
    """Wires instances of several hosts together on an Open vSwitch.

    :param switch_directory: the private run directory of a switch of our own; needs a `namespace`
    :param socket: the database of the machine's switch, where there is no `switch_directory`
    :param deadline_s: seconds that the switch may take for a burst
    :raises OpenVSwitchMissing: a switch of our own cannot be started on this machine
    :raises OvsdbUnavailable: the machine's switch does not answer
    """

    _wiring: SwitchWiring
    #: The switch looks at all of its ports for each transaction: the fewer of these, the better.
    _burst_limit = 128

    def __init__(
        self,
        ledger: Ledger,
        *,
        directory: str | os.PathLike[str] | None = None,
        namespace: str | None = None,
        gateway_neighbours: bool = True,
        switch_directory: str | os.PathLike[str] | None = None,
        socket: str | os.PathLike[str] = SYSTEM_SOCKET,
        deadline_s: float = DEFAULT_DEADLINE_S,
    ) -> None:
        if (switch_directory is None) != (namespace is None):
            raise InvalidInput("namespace", namespace, "a switch of our own needs one, the machine's is in its own")
        self.service: OpenVSwitch | None = None
        self._switch_directory = switch_directory
        self._socket = Path(socket)
        self._deadline_s = deadline_s
        self._watch: _Watch | None = None
        super().__init__(ledger, directory=directory, namespace=namespace, gateway_neighbours=gateway_neighbours)
        self._start_watch()

    def settle(self, timeout_s: float = 60.0) -> bool:
        """Wait until kernel and switch have removed what was unplugged; False where it takes longer.

        The switch has a deadline of its own.
        """
        if not super().settle(timeout_s):
            return False
        try:
            self._wiring.wait_for_switch()
        except OvsdbUnavailable:
            return False
        return True

    def _start_watch(self) -> None:
        if self.service is not None:
            self._watch = _Watch(self.service.descriptors, self.service.revive)

    def _make_wiring(self, quiet: bool) -> Wiring:
        socket = self._socket
        if self._switch_directory is not None:
            self.service = OpenVSwitch(self.ledger, self._switch_directory, self.path, deadline_s=self._deadline_s)
            self.service.start()
            socket = self.service.socket
        switch = Switch(socket, deadline_s=self._deadline_s)
        with switch.connect():
            pass
        return SwitchWiring(
            self.ledger,
            self.directory,
            self.path,
            quiet,
            self._gateway_neighbours,
            switch=switch,
            own=self.service is not None,
            revive=self._revive,
        )

    def _start(self) -> None:
        new = not self.ledger.entries("namespace")
        try:
            super()._start()
        except BaseException:
            self._end_service(keep=not new)
            if new and self._entry is not None:
                namespaces.remove(self._entry.name)
                self.ledger.done(self._entry)
            raise

    def _revive(self) -> bool:
        """Start again what of our own switch has died; tells whether it may be asked once more."""
        if self.service is None:
            return False
        self.service.revive()
        return True

    def _adopt(self) -> None:
        entries = [entry for entry in self.ledger.entries("device") if entry.attributes.get("role") == "vif"]
        self._wiring.places.read_back()
        super()._adopt()
        self._wiring.adopt_filters()
        standing = {link.entry.mark for one in self._wiring.instances.values() for link in one.links.values()}
        self._wiring.reconcile([entry.mark for entry in entries if entry.mark not in standing])

    def _plug_operations(
        self, instance: str, host: str, planned: Sequence[plan.Interface], *, up: bool, new: bool
    ) -> Sequence[plan.Operation]:
        bridges = {ovs_plan.bridge_of(one.vif) for one in planned}
        userspace = [name for name in sorted(bridges) if self._wiring.places.datapath_type(name) == "netdev"]
        return ovs_plan.plug_operations(instance, host, planned, up=up, new=new, userspace=userspace)

    def _detach(self, instance: Instance, vif_ids: Sequence[str]) -> Steps:
        if vif_ids:
            yield plan.RemovePorts(instance.uuid, tuple(vif_ids))

    def _remove_everything(self) -> None:
        if self.service is None:  # else the ports go with the switch
            instances = [instance for instance in self._wiring.instances.values() if instance.links]
            for failure in self._wiring.commit([plan.RemovePorts(one.uuid, tuple(one.links)) for one in instances]):
                if failure is not None:
                    raise failure
        super()._remove_everything()

    def _stop(self, keep: bool) -> None:
        try:
            super()._stop(keep)
        finally:
            self._end_service(keep)

    def _end_service(self, keep: bool) -> None:
        if self.service is None:
            return
        if keep:
            self.service.leave_running()
        else:
            self.service.stop()

    def close(self, *, keep: bool = False) -> None:
        """Remove everything and end the worker; a second time does nothing."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        super().close(keep=keep)


class _Watch:
    """A thread that waits for a process to end, and calls for help until help comes.

    :param descriptors: pidfds of the processes
    :param revive: called when one has ended
    """

    def __init__(self, descriptors: Callable[[], Sequence[int]], revive: Callable[[], object]) -> None:
        self._descriptors = descriptors
        self._revive = revive
        self._closing = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = namespaces.native_threading().Thread(target=self._run, name="watch-switch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        os.eventfd_write(self._closing, 1)
        self._thread.join()
        os.close(self._closing)

    def _run(self) -> None:
        pause_s = _PAUSE_S
        closing = self._is_closing(self._descriptors(), None)
        while not closing:
            try:
                self._revive()
            except RealizerError as error:
                # It was killed again on its way up, or cannot come up; whoever plugs meanwhile waits or is told.
                LOG.warning("the switch is started again in %g s: %s", pause_s, error)
                closing = self._is_closing((), pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            pause_s = _PAUSE_S
            closing = self._is_closing((), pause_s) or self._is_closing(self._descriptors(), None)

    def _is_closing(self, descriptors: Sequence[int], timeout_s: float | None) -> bool:
        """Wait until a process has ended, or for so long; tells whether it is the end of this thread."""
        poll = select.poll()
        for descriptor in (self._closing, *descriptors):
            poll.register(descriptor, select.POLLIN)
        ready = poll.poll(None if timeout_s is None else timeout_s * 1000)
        return any(descriptor == self._closing for descriptor, _event in ready)
