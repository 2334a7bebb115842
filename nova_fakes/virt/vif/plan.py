"""From VIFs to operations, and the executor that applies them or leaves nothing.

`interfaces` decides everything about the inside of an instance that can be decided without a kernel: names, addresses,
routes, metrics, neighbours. `plug_operations` and `migrate_operations` put the steps in order. `stages` applies them
through an `Operator` and, where one fails, undoes those before it in reverse.

Each operation is whole or nothing on its own: `Operator.do` cleans up after itself when it raises, so the executor
never has to guess how far a failed step got.
"""

import hashlib
import socket
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

from nova_fakes.exceptions import InvalidInput, RealizerError
from nova_fakes.virt.vif.base import VIF, Route, Subnet
from nova_fakes.virt.vif.steps import AskForLeases, SetMtu

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

#: The loopback has index 1 in every namespace, so guests' interfaces follow it.
_FIRST_INDEX = 2
#: What the kernel gives an IPv6 route without a metric of its own (IP6_RT_PRIO_USER, ``include/uapi/linux/route.h``).
_IPV6_METRIC = 1024
#: Room between two interfaces' metrics for the subnets of one.
METRIC_STEP = 100
_IPV6_MIN_MTU = 1280
#: Where instances ask for their metadata.
METADATA = "169.254.169.254/32"
_IPV6_BYTES = 16


class GuestAddress(NamedTuple):
    """An address inside an instance, with its subnet's prefix length."""

    address: bytes
    prefix_length: int


class GuestRoute(NamedTuple):
    """A route inside an instance; `on_link` where the nexthop is outside the subnet, which Neutron allows."""

    destination: bytes
    prefix_length: int
    nexthop: bytes
    metric: int
    on_link: bool


class GuestNeighbour(NamedTuple):
    """A permanent neighbour inside an instance."""

    address: bytes
    mac: bytes


@dataclass(frozen=True, slots=True)
class Seat:
    """The place of an interface in its instance: its number and its MAC."""

    ordinal: int
    mac: str

    @property
    def index(self) -> int:
        """The interface's index inside the instance."""
        return _FIRST_INDEX + self.ordinal


@dataclass(frozen=True, slots=True)
class Interface:
    """What a VIF becomes inside its instance: eth0, eth1… with everything that is configured on it."""

    vif: VIF
    ordinal: int
    addresses: tuple[GuestAddress, ...]
    routes: tuple[GuestRoute, ...]
    neighbours: tuple[GuestNeighbour, ...]

    @property
    def name(self) -> str:
        """The interface's name inside the instance."""
        return f"eth{self.ordinal}"

    @property
    def index(self) -> int:
        """The interface's index inside the instance."""
        return _FIRST_INDEX + self.ordinal

    @property
    def seat(self) -> Seat:
        """The interface's place in its instance."""
        return Seat(self.ordinal, self.vif.address)

    @property
    def asks(self) -> bool:
        """Whether it gets its IPv4 addresses by DHCP."""
        subnets = self.vif.subnets
        return self.vif.addressing == "dhcp" and (not subnets or any(":" not in one.cidr for one in subnets))

    @property
    def mac(self) -> bytes:
        """The port's MAC as six bytes."""
        return bytes.fromhex(self.vif.address.replace(":", ""))


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
    | AskForLeases
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
    for interface in planned:
        network = interface.vif.network_id
        mtus[network] = max(interface.vif.mtu, mtus.get(network, 0))
    operations: list[Operation] = [MakeBridge(network, host, mtu) for network, mtu in mtus.items()]
    if new:
        operations.append(MakeNamespace(instance, host))
    if planned:
        operations.append(MakeLinks(instance, host, tuple(planned), up))
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


def interfaces(vifs: Sequence[VIF], have: Mapping[str, Seat]) -> tuple[Interface, ...]:
    """Plan the VIFs that the instance does not have yet.

    An interface takes the lowest free number; the number decides its routes' metrics, so that the first interface with
    a gateway wins and the others stand behind it, also when interfaces come and go.

    :param have: what the instance has already, by VIF id
    :raises InvalidInput: two VIFs share an id or a MAC, or an MTU cannot carry the addresses
    """
    macs = {seat.mac: vif_id for vif_id, seat in have.items()}
    taken = {seat.ordinal for seat in have.values()}
    planned: dict[str, Interface] = {}
    for vif in vifs:
        if vif.id in planned:
            raise InvalidInput("id", vif.id, "two VIFs of one instance have it; list each port once")
        if vif.id in have:
            continue
        other = macs.setdefault(vif.address, vif.id)
        if other != vif.id:
            raise InvalidInput(f"address of VIF {vif.id}", vif.address, f"VIF {other} has this MAC; give each its own")
        ordinal = next(number for number in range(len(taken) + 1) if number not in taken)
        taken.add(ordinal)
        planned[vif.id] = interface(vif, ordinal)
    return tuple(planned.values())


def gateway_mac(network_id: str, gateway: str) -> str:
    """Return the MAC under which the instances of a network know their gateway, as ``02:6e:…``.

    Nova does not tell a driver the gateway's MAC. Without an entry, a thousand instances that look for a gateway fill
    the machine's neighbour table (``gc_thresh3``, one for all namespaces), and half of them answer nobody. The MAC is a
    function of network and address, so whatever plays the router can take it and be reached at once.
    """
    return _gateway_mac(network_id, gateway).hex(":")


def interface(vif: VIF, ordinal: int) -> Interface:
    """Plan one VIF as the interface of that number.

    :raises InvalidInput: its MTU cannot carry its addresses
    """
    addresses: list[GuestAddress] = []
    routes: dict[tuple[bytes, int, int], GuestRoute] = {}
    neighbours: list[GuestNeighbour] = []
    for position, subnet in enumerate(vif.subnets):
        host_routes = subnet.routes if subnet.dhcp_server is None else _with_metadata(subnet)
        shared = _shared(vif.network_id, subnet.cidr, subnet.gateway, host_routes, ordinal * METRIC_STEP + position)
        if shared.ipv6 and vif.mtu < _IPV6_MIN_MTU:
            raise InvalidInput(f"mtu of VIF {vif.id}", vif.mtu, f"IPv6 needs {_IPV6_MIN_MTU} bytes (RFC 8200 §5)")
        if vif.addressing == "dhcp" and not shared.ipv6:
            continue
        own = [_packed(address) for address in subnet.addresses]
        addresses += [GuestAddress(address, shared.prefix_length) for address in own]
        if not own:
            continue  # a gateway that no address of ours can reach
        for key, route in shared.routes:
            if route.nexthop not in own:
                routes.setdefault(key, route)
        # An appliance that holds the gateway's address itself must not have a neighbour of that name.
        if shared.neighbour is not None and shared.neighbour.address not in own:
            neighbours.append(shared.neighbour)
    # Direct routes first: the kernel refuses a nexthop that it cannot reach yet.
    ordered = sorted(routes.values(), key=_longest_prefix_first)
    return Interface(vif, ordinal, tuple(addresses), tuple(ordered), tuple(neighbours))


def _longest_prefix_first(route: GuestRoute) -> int:
    return -route.prefix_length


class _SharedSubnet(NamedTuple):
    """What the instances of a subnet have in common; each route with what tells it from others."""

    ipv6: bool
    prefix_length: int
    routes: tuple[tuple[tuple[bytes, int, int], GuestRoute], ...]
    neighbour: GuestNeighbour | None


@lru_cache(maxsize=1024)
def _shared(
    network_id: str, cidr: str, gateway: str | None, host_routes: tuple[Route, ...], precedence: int
) -> _SharedSubnet:
    network, prefix_length = _network(cidr)
    ipv6 = len(network) == _IPV6_BYTES
    metric = precedence + (_IPV6_METRIC if ipv6 else 0)
    routes = tuple(
        ((route.destination, route.prefix_length, route.metric), route)
        for route in _routes(cidr, gateway, host_routes, metric)
    )
    neighbour = None if gateway is None else GuestNeighbour(_packed(gateway), _gateway_mac(network_id, gateway))
    return _SharedSubnet(ipv6, prefix_length, routes, neighbour)


def _routes(cidr: str, gateway: str | None, host_routes: tuple[Route, ...], metric: int) -> Iterable[GuestRoute]:
    """List the host routes, then the default route by the gateway unless a host route already is one.

    Neutron's DHCP agent leaves the gateway out in that case too (RFC 3442: with classless routes a client ignores the
    router option).
    """
    has_default = False
    for route in host_routes:
        destination, prefix_length = _network(route.destination)
        has_default = has_default or prefix_length == 0
        yield _route(destination, prefix_length, route.nexthop, cidr, metric)
    if gateway is not None and not has_default:
        yield _route(bytes(len(_packed(gateway))), 0, gateway, cidr, metric)


def _with_metadata(subnet: Subnet) -> tuple[Route, ...]:
    """Return the host routes, with one to the metadata service by the DHCP server where no gateway leads there.

    So Neutron's DHCP agent announces it for isolated networks (``enable_isolated_metadata``); elsewhere the router has
    the service, or the subnet's own host routes name the way.
    """
    server = subnet.dhcp_server
    named = any(route.destination == METADATA for route in subnet.routes)
    if server is None or ":" in server or subnet.gateway is not None or named:
        return subnet.routes
    return (*subnet.routes, Route(METADATA, server))


def _route(destination: bytes, prefix_length: int, nexthop: str, cidr: str, metric: int) -> GuestRoute:
    via = _packed(nexthop)
    network, length = _network(cidr)
    outside = (int.from_bytes(via) ^ int.from_bytes(network)) >> (8 * len(via) - length) != 0
    link_local = len(via) == _IPV6_BYTES and via[0] == 0xFE and via[1] & 0xC0 == 0x80
    return GuestRoute(destination, prefix_length, via, metric, outside and not link_local)


def _packed(address: str) -> bytes:
    """Encode an address that `VIF.from_network_info` has checked; far quicker than the ipaddress module."""
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


# All the instances of a network share these.


@lru_cache(maxsize=1024)
def _gateway_mac(network_id: str, gateway: str) -> bytes:
    return b"\x02\x6e" + hashlib.blake2b(f"{network_id} {gateway}".encode(), digest_size=4).digest()


@lru_cache(maxsize=1024)
def _network(cidr: str) -> tuple[bytes, int]:
    address, _slash, length = cidr.partition("/")
    return _packed(address), int(length)
