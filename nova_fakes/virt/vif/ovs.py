"""The Open vSwitch realizer: each instance a network namespace, each VIF a port of an Open vSwitch.

A VIF that asks for the hybrid plug (``ovs_hybrid_plug``) gets a Linux bridge between, where Neutron's iptables filter.
"""

import os
import tempfile
from pathlib import Path

from nova_fakes.virt.vif.bridge import BridgeRealizer
from nova_fakes.virt.vif.fabric import Fabric
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.ovs_fabric import SYSTEM_SOCKET, SwitchFabric

__all__ = ["OVSRealizer"]


class OVSRealizer(BridgeRealizer):
    """Wires the instances of one host into a fabric on an Open vSwitch.

    :param host: the name of the hypervisor
    :param fabric: the fabric that the host shares with others; None uses the machine's switch, and puts ports on the
        bridges that VIFs name
    :param state_directory: where a fabric of one's own keeps its ledger, as of `BridgeRealizer`
    :param persistent: `close` leaves the instances wired, and a realizer on the same state directory finds them again
    :param socket: the database of the machine's switch
    :param allow_substitute: as of `BridgeRealizer`
    :param addressing: likewise
    :raises OvsdbUnavailable: the machine's switch does not answer
    """

    name = "ovs"
    _summary = "a network namespace for each instance, veth pairs into an Open vSwitch, native or hybrid"

    def __init__(
        self,
        host: str = "localhost",
        fabric: SwitchFabric | None = None,
        *,
        state_directory: str | os.PathLike[str] | None = None,
        persistent: bool | str = False,
        allow_substitute: bool | str = False,
        addressing: str = "static",
        socket: str | os.PathLike[str] = SYSTEM_SOCKET,
    ) -> None:
        self._socket = socket
        super().__init__(
            host,
            fabric,
            state_directory=state_directory,
            persistent=persistent,
            allow_substitute=allow_substitute,
            addressing=addressing,
        )

    @staticmethod
    def make_fabric(
        ledger: Ledger,
        directory: Path | None,
        namespace: str | None,
        socket: str | os.PathLike[str] = SYSTEM_SOCKET,
    ) -> Fabric:
        """Make what the realizers of several hosts share, as `fabric`; see `registry.fabric`.

        On the machine's switch; with a namespace on a switch of our own, whose run directory is beside the ledger.
        """
        if namespace is None:
            # The network is not ours alone: Neutron's routers have MACs of theirs.
            return SwitchFabric(ledger, directory=directory, socket=socket, gateway_neighbours=False)
        state = Path(tempfile.gettempdir()) if ledger.path is None else ledger.path.parent
        return SwitchFabric(ledger, directory=directory, namespace=namespace, switch_directory=state / "ovs")

    def _make_fabric(self, ledger: Ledger, directory: Path) -> Fabric:
        return SwitchFabric(ledger, directory=directory, socket=self._socket, gateway_neighbours=False)
