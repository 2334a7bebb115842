"""The bridge realizer: each instance a network namespace, each VIF a veth pair into a Linux bridge."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from nova_fakes.exceptions import InvalidInput
from nova_fakes.virt.nic import leave_behind
from nova_fakes.virt.vif import namespaces
from nova_fakes.virt.vif.acceptance import Acceptance, flag
from nova_fakes.virt.vif.base import VIF, InterfaceCounters, Realizer, RealizerDescription
from nova_fakes.virt.vif.fabric import Fabric
from nova_fakes.virt.vif.ledger import Ledger

__all__ = ["BridgeRealizer"]

LEDGER_NAME = "ledger.jsonl"


class BridgeRealizer:
    """Wires the instances of one host into a fabric.

    :param host: the name of the hypervisor
    :param fabric: the fabric that the host shares with others; None makes one in the process's own network namespace
    :param state_directory: where a fabric of one's own keeps its ledger; by default ``/run/nova-fakes/<host>`` for root
        and ``$XDG_RUNTIME_DIR/nova-fakes/<host>`` for others
    :param persistent: `close` leaves the instances wired, and a realizer on the same state directory finds them again
    :param allow_substitute: make a plain port of a VIF whose type it cannot make (vhostuser, hw_veb…)
    :param addressing: ``dhcp`` has the network give the addresses, for VIFs that say nothing of it
    :raises NamespacesUnavailable: no namespaces can be made here
    :raises InvalidInput: an option cannot be used
    """

    name = "bridge"
    _summary = "a network namespace for each instance, veth pairs into Linux bridges"

    def __init__(
        self,
        host: str = "localhost",
        fabric: Fabric | None = None,
        *,
        state_directory: str | os.PathLike[str] | None = None,
        persistent: bool | str = False,
        allow_substitute: bool | str = False,
        addressing: str = "static",
    ) -> None:
        self._acceptance = Acceptance(self.name, allow_substitute=allow_substitute, host_addressing=addressing)
        self.host = host
        self._own_ledger: Ledger | None = None
        self._persistent = flag(persistent, "persistent")
        if fabric is None:
            state = Path(state_directory) if state_directory is not None else _default_state(host)
            self._own_ledger = Ledger(state / LEDGER_NAME)
            directory = state / "netns" if namespaces.in_user_namespace() else namespaces.RUN_NETNS
            try:
                fabric = self._make_fabric(self._own_ledger, directory)
            except BaseException:
                self._own_ledger.close()
                raise
        self.fabric = fabric

    @staticmethod
    def make_fabric(ledger: Ledger, directory: Path | None, namespace: str | None) -> Fabric:
        """Make what the realizers of several hosts share, as `fabric`; see `registry.fabric`."""
        # With a namespace the network is our own; without, Neutron's routers have MACs of theirs.
        return Fabric(ledger, directory=directory, namespace=namespace, gateway_neighbours=namespace is not None)

    def describe(self) -> RealizerDescription:
        """Tell that normal VIFs become real interfaces."""
        return RealizerDescription(
            name=self.name,
            vif_types=self._acceptance.vif_types,
            vnic_types=self._acceptance.vnic_types,
            needs_namespaces=True,
            real_counters=True,
            hot_plug=True,
            live_migration=True,
            summary=self._summary,
        )

    def plug(self, instance: str, vifs: Sequence[VIF], *, up: bool = True) -> None:
        """Make whatever of these VIFs is missing; all of them or none.

        :raises VIFTypeRefused: a VIF of a type that is no ordinary interface
        :raises InvalidInput: VIFs that clash
        :raises RealizerError: something failed; what had been made is gone again
        """
        self.fabric.plug(self.host, instance, self._acceptance.accept(vifs), up=up)

    def unplug(self, instance: str, vifs: Sequence[VIF] | None = None) -> None:
        """Remove these VIFs of an instance on this host, or all and its namespace where None."""
        self.fabric.unplug(self.host, instance, vifs)

    def depart(self, instance: str, vifs: Sequence[VIF] | None = None) -> None:
        """Remove what `unplug` removes, of an instance that lives on elsewhere: its leases are not given back."""
        self.fabric.unplug(self.host, instance, vifs, moved=True)

    def set_link(self, instance: str, up: bool) -> None:
        """Give an instance on this host its link or take it."""
        if self.fabric.host_of(instance) == self.host:
            self.fabric.set_link(instance, up)

    def counters(self, instance: str) -> Mapping[str, InterfaceCounters]:
        """Read the counters of an instance on this host, by VIF id."""
        return self.fabric.counters(instance) if self.fabric.host_of(instance) == self.host else {}

    def prepare_migration(self, instance: str, vifs: Sequence[VIF]) -> None:
        """Make this host's bridges ahead of the switch-over."""
        self.fabric.prepare_migration(self.host, self._acceptance.accept(vifs))

    def migrate(self, instance: str, vifs: Sequence[VIF], source: Realizer) -> None:
        """Take the instance over: on one fabric its connections live on, else it is made anew here, then removed there.

        :raises RealizerError: a step failed; the instance is where it was
        """
        if isinstance(source, BridgeRealizer) and source.fabric is self.fabric:
            self.fabric.migrate(self.host, instance, self._acceptance.accept(vifs))
            return
        self.plug(instance, vifs)
        leave_behind(source, instance)

    def take(self, instance: str, vifs: Sequence[VIF], source: str | None) -> None:
        """Take an instance over from another machine or fabric; see `Fabric.take`.

        :raises RealizerError: a step failed; nothing of it is here
        """
        self.fabric.take(self.host, instance, self._acceptance.accept(vifs), source)

    def abort_migration(self, instance: str, vifs: Sequence[VIF]) -> None:
        """Remove what `prepare_migration` made, where nothing else uses it."""
        self.fabric.abort_migration(self.host, vifs)

    def namespace(self, instance: str) -> str | None:
        """Return the path of the namespace of an instance on this host, None where it is not here."""
        return self.fabric.namespace(instance) if self.fabric.host_of(instance) == self.host else None

    def settle(self, timeout_s: float = 60.0) -> bool:
        """Wait until nothing of what was unplugged is left; False where it takes longer."""
        return self.fabric.settle(timeout_s)

    def close(self) -> None:
        """Close a fabric of one's own; a shared one is its owner's to close."""
        if self._own_ledger is not None:
            self.fabric.close(keep=self._persistent)
            self._own_ledger.close()

    def _make_fabric(self, ledger: Ledger, directory: Path) -> Fabric:
        return Fabric(ledger, directory=directory, gateway_neighbours=False)


def _default_state(host: str) -> Path:
    if os.geteuid() == 0 and not namespaces.in_user_namespace():
        base = Path("/run")
    else:
        runtime = os.environ.get("XDG_RUNTIME_DIR")
        if not runtime:
            raise InvalidInput("state_directory", None, "set it, or XDG_RUNTIME_DIR, to a directory that you may write")
        base = Path(runtime)
    return base / "nova-fakes" / host
