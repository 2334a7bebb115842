"""What VIFs become inside their instance, as far as it can be decided without a kernel.

Names, addresses, routes, metrics, neighbours.
"""

import hashlib
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from nova_fakes.exceptions import InvalidInput
from nova_fakes.virt.vif.base import VIF, Route, Subnet

__all__ = [
    "ASKING",
    "IPV6_METRIC",
    "METADATA",
    "METRIC_STEP",
    "GuestAddress",
    "GuestNeighbour",
    "GuestRoute",
    "Interface",
    "Seat",
    "gateway_mac",
    "interface",
    "interfaces",
]

#: The loopback has index 1 in every namespace, so guests' interfaces follow it.
_FIRST_INDEX = 2
#: What the kernel gives an IPv6 route without a metric of its own (IP6_RT_PRIO_USER, ``include/uapi/linux/route.h``).
IPV6_METRIC = 1024
#: Room between two interfaces' metrics for the subnets of one.
METRIC_STEP = 100
_IPV6_MIN_MTU = 1280
#: Where instances ask for their metadata.
METADATA = "169.254.169.254/32"
_IPV6_BYTES = 16
_LINK_LOCAL_BITS = 64
#: DHCP for IPv4, DHCPv6 for an address, and DHCPv6 for what routers do not tell.
ASKING = ("dhcp4", "dhcp6", "information6")


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
    def asks(self) -> tuple[str, ...]:
        """Which DHCP clients it needs, of `ASKING`."""
        if self.vif.addressing != "dhcp":
            return ()
        subnets = self.vif.subnets
        modes = {one.ipv6_mode for one in subnets}
        found = ["dhcp4"] if not subnets or any(":" not in one.cidr for one in subnets) else []
        if "dhcpv6-stateful" in modes:
            return (*found, "dhcp6")
        return (*found, "information6") if "dhcpv6-stateless" in modes else tuple(found)

    @property
    def heeds_routers(self) -> bool:
        """Whether it gets IPv6 addresses or routes from router advertisements."""
        return self.vif.addressing == "dhcp" and any(one.ipv6_mode is not None for one in self.vif.subnets)

    @property
    def mac(self) -> bytes:
        """The port's MAC as six bytes."""
        return bytes.fromhex(self.vif.address.replace(":", ""))


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
    dynamic = vif.addressing == "dhcp"
    routes: dict[tuple[bytes, int, int], GuestRoute] = {}
    neighbours: list[GuestNeighbour] = []
    for position, subnet in enumerate(vif.subnets):
        host_routes = subnet.routes if subnet.dhcp_server is None else _with_metadata(subnet)
        shared = _shared(vif.network_id, subnet.cidr, subnet.gateway, host_routes, ordinal * METRIC_STEP + position)
        if shared.ipv6 and vif.mtu < _IPV6_MIN_MTU:
            raise InvalidInput(f"mtu of VIF {vif.id}", vif.mtu, f"IPv6 needs {_IPV6_MIN_MTU} bytes (RFC 8200 §5)")
        if dynamic and (not shared.ipv6 or subnet.ipv6_mode is not None):
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
    planned = Interface(vif, ordinal, tuple(addresses), tuple(ordered), tuple(neighbours))
    if planned.heeds_routers:
        # Routers and servers are asked from it; the kernel is told to make none itself.
        return replace(planned, addresses=(GuestAddress(_link_local(planned.mac), _LINK_LOCAL_BITS), *addresses))
    return planned


def _link_local(mac: bytes) -> bytes:
    """Return the link-local address that goes with a MAC (RFC 4291, appendix A)."""
    return b"\xfe\x80" + bytes(6) + bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]


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
    metric = precedence + (IPV6_METRIC if ipv6 else 0)
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
