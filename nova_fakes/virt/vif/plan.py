"""From VIFs to operations, and the executor that applies them or leaves nothing.

What the VIFs become inside is decided in `nova_fakes.virt.vif.interfaces`. `plug_operations` and `migrate_operations`
put the steps in order. `stages` applies them through an `Operator` and, where one fails, undoes those before it in
reverse.

Each operation is whole or nothing on its own: `Operator.do` cleans up after itself when it raises, so the executor
never has to guess how far a failed step got.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from nova_fakes.exceptions import RealizerError
from nova_fakes.virt.vif.interfaces import (
    METADATA,
    METRIC_STEP,
    GuestAddress,
    GuestNeighbour,
    GuestRoute,
    Interface,
    Seat,
    gateway_mac,
    interface,
    interfaces,
)
from nova_fakes.virt.vif.steps import AskForLeases, BringNamespace, HeedRouters, SetMtu

__all__ = [
    "METADATA",
    "METRIC_STEP",
    "AddPorts",
    "Announce",
    "ConfigureGuest",
    "GuestAddress",
    "GuestNeighbour",
    "GuestRoute",
    "Interface",
    "MakeBridge",
    "MakeFilterBridges",
    "MakeLinks",
    "MakeNamespace",
    "MakeSwitchBridge",
    "MoveLinks",
    "Operation",
    "Operator",
    "RemovePorts",
    "Seat",
    "StopChecksumOffload",
    "SwitchPort",
    "execute",
    "gateway_mac",
    "interface",
    "interfaces",
    "lease_operations",
    "migrate_operations",
    "plug_operations",
    "stages",
]


@dataclass(frozen=True, slots=True)
class MakeNamespace:
    """Make the instance's network namespace."""

    instance: str
    host: str


@dataclass(frozen=True, slots=True)
class MakeBridge:
    """Make the host's bridge of a network, joined to the network's bridges on the other hosts."""

    network_id: str
    host: str
    mtu: int


@dataclass(frozen=True, slots=True)
class MakeLinks:
    """Make a pair of interfaces for each VIF: one end in the instance, one on the host's bridge of its network."""

    instance: str
    host: str
    interfaces: tuple[Interface, ...]
    up: bool


@dataclass(frozen=True, slots=True)
class ConfigureGuest:
    """Give the instance its addresses, routes and neighbours; `loopback` also brings lo up."""

    instance: str
    interfaces: tuple[Interface, ...]
    loopback: bool


@dataclass(frozen=True, slots=True)
class MoveLinks:
    """Take the instance's host ends off the source's bridges and put them on the destination's."""

    instance: str
    source: str
    destination: str
    interfaces: tuple[Interface, ...]


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell the network from inside where the instance's addresses are now."""

    instance: str
    interfaces: tuple[Interface, ...]


@dataclass(frozen=True, slots=True)
class MakeSwitchBridge:
    """Make the Open vSwitch bridge that VIFs name; on a switch that is not ours, see that it is there."""

    name: str


@dataclass(frozen=True, slots=True)
class MakeFilterBridges:
    """Make each VIF's Linux bridge of the hybrid plug, where Neutron's iptables filter, and its pair to the switch."""

    instance: str
    host: str
    interfaces: tuple[Interface, ...]


@dataclass(frozen=True, slots=True)
class StopChecksumOffload:
    """Let the instance compute checksums itself: a userspace datapath hands on what the kernel would have completed."""

    instance: str
    interfaces: tuple[Interface, ...]


@dataclass(frozen=True, slots=True)
class SwitchPort:
    """A port of an Open vSwitch: which host end, on which bridge, and what the bridge's agent finds it by.

    `bridge` is the one that the VIF names; `iface_id`, `attached_mac` and `vm_uuid` become external_ids.
    """

    devname: str
    bridge: str
    network_id: str
    iface_id: str
    attached_mac: str
    vm_uuid: str
    mtu_request: int


@dataclass(frozen=True, slots=True)
class AddPorts:
    """Put host ends of the instance on an Open vSwitch."""

    instance: str
    host: str
    ports: tuple[SwitchPort, ...]


@dataclass(frozen=True, slots=True)
class RemovePorts:
    """Take host ends of the instance off the Open vSwitch."""

    instance: str
    vif_ids: tuple[str, ...]


Operation = (
    MakeNamespace
    | MakeBridge
    | MakeLinks
    | ConfigureGuest
    | MoveLinks
    | Announce
    | MakeSwitchBridge
    | MakeFilterBridges
    | StopChecksumOffload
    | AddPorts
    | RemovePorts
    | SetMtu
    | HeedRouters
    | AskForLeases
    | BringNamespace
)


class Operator(Protocol):
    """Knows how to do an operation and how to undo one that was done."""

    def do(self, operation: Operation) -> None:
        """Do it whole; where that fails, leave nothing of it and raise."""

    def undo(self, operation: Operation) -> None:
        """Undo an operation that was done."""


def stages(
    operations: Iterable[Operation],
    operator: Operator,
    before: Callable[[Operation], None] | None = None,
    gathered: tuple[type, ...] = (),
) -> Generator[Operation, None, None]:
    """Apply the operations in order; where one fails, undo those before it in reverse and raise its error.

    :param before: called ahead of each operation; what it raises counts as that operation's failure
    :param gathered: types of operations that are yielded instead, for the caller to do together with others' of
        that type; it resumes the generator when they are done, and throws into it where they failed
    :raises Exception: whatever the failed operation raised; a `RealizerError` names the operation, and errors of
        undoing are added as notes
    """
    done: list[Operation] = []
    doing = ""
    try:
        for operation in operations:
            doing = type(operation).__name__
            if before is not None:
                before(operation)
            if isinstance(operation, gathered):
                yield operation
            else:
                operator.do(operation)
            done.append(operation)
    except BaseException as error:
        if isinstance(error, RealizerError):
            error.operation = doing
        for operation in reversed(done):
            try:
                operator.undo(operation)
            except Exception as second:
                error.add_note(f"{type(operation).__name__} could not be undone: {second}")
        raise


def execute(
    operations: Iterable[Operation], operator: Operator, before: Callable[[Operation], None] | None = None
) -> None:
    """Apply the operations as `stages` does, all of them at once."""
    for _gathered in stages(operations, operator, before):
        raise AssertionError("nothing is gathered here")


def plug_operations(
    instance: str, host: str, planned: Sequence[Interface], *, up: bool, new: bool
) -> tuple[Operation, ...]:
    """Order the steps that plug these interfaces.

    :param new: the instance has no namespace yet
    """
    mtus: dict[str, int] = {}
    for one in planned:
        network = one.vif.network_id
        mtus[network] = max(one.vif.mtu, mtus.get(network, 0))
    operations: list[Operation] = [MakeBridge(network, host, mtu) for network, mtu in mtus.items()]
    if new:
        operations.append(MakeNamespace(instance, host))
    if planned:
        operations.append(MakeLinks(instance, host, tuple(planned), up))
    if heeding := tuple(one for one in planned if one.heeds_routers):
        operations.append(HeedRouters(instance, heeding))
    if planned or new:
        operations.append(ConfigureGuest(instance, tuple(planned), loopback=new))
    return (*operations, *lease_operations(instance, planned))


def lease_operations(instance: str, planned: Sequence[Interface]) -> tuple[Operation, ...]:
    """Order the steps by which these interfaces get the addresses that are not set from outside; none, mostly."""
    asking = tuple(one for one in planned if one.asks)
    return (AskForLeases(instance, asking),) if asking else ()


def migrate_operations(
    instance: str, source: str, destination: str, planned: Sequence[Interface]
) -> tuple[Operation, ...]:
    """Order the steps that move an instance's interfaces from one host of the fabric to another."""
    networks = {interface.vif.network_id: interface.vif.mtu for interface in planned}
    everything = tuple(planned)
    return (
        *(MakeBridge(network, destination, mtu) for network, mtu in networks.items()),
        MoveLinks(instance, source, destination, everything),
        Announce(instance, everything),
    )
