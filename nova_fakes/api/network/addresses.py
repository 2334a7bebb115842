"""Which addresses of which subnet are taken, and the choice of the next one."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from nova_fakes.api.network.refusals import bad_request, conflict, invalid_input
from nova_fakes.api.network.table import Record
from nova_fakes.exceptions import ApiError

__all__ = ["AddressPool", "default_pools", "eui64", "is_automatic", "new_mac", "same_family", "validated_pools"]

_AUTOMATIC = frozenset({"slaac", "dhcpv6-stateless"})


def new_mac(base: str = "fa:16:3e") -> str:
    """Return a random MAC address that begins with the three octets of `base`."""
    return f"{base}:{secrets.randbelow(256):02x}:{secrets.randbelow(256):02x}:{secrets.randbelow(256):02x}"


def eui64(cidr: str, mac: str) -> str:
    """Return the address that SLAAC forms in the /64 `cidr` from a MAC address (RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    interface = bytes((octets[0] ^ 2, octets[1], octets[2], 0xFF, 0xFE, octets[3], octets[4], octets[5]))
    return str(IPv6Address(int(IPv6Network(cidr).network_address) | int.from_bytes(interface, "big")))


def is_automatic(subnet: Record) -> bool:
    """Whether hosts of the subnet form their own addresses: SLAAC, or DHCPv6 for the rest of the configuration only."""
    return subnet["ipv6_address_mode"] in _AUTOMATIC or (
        subnet["ipv6_address_mode"] is None and subnet["ipv6_ra_mode"] in _AUTOMATIC
    )


def usable(network: IPv4Network | IPv6Network) -> tuple[int, int]:
    """Return the first and last address that a host can have, as numbers."""
    first, last = int(network.network_address), int(network.broadcast_address)
    if isinstance(network, IPv4Network):
        return (first + 1, last - 1) if network.prefixlen < 31 else (first, last)
    return (first + 1, last) if network.prefixlen < 127 else (first, last)


def default_pools(cidr: str, gateway: str | None) -> list[dict[str, str]]:
    """Return the pools of a subnet that was made without any: all addresses of hosts but the gateway's."""
    network = ip_network(cidr)
    first, last = usable(network)
    address = type(network.network_address)
    ranges = [(first, last)]
    if gateway is not None:
        number = int(ip_address(gateway))
        if first <= number <= last:
            ranges = [(first, number - 1), (number + 1, last)]
    return [{"start": str(address(start)), "end": str(address(end))} for start, end in ranges if start <= end]


def validated_pools(cidr: str, pools: Sequence[Mapping[str, str]], gateway: str | None) -> list[dict[str, str]]:
    """Return `pools` if they are proper ranges within the subnet, apart from each other and from the gateway.

    Raises:
        ApiError: 400 for a range outside or upside down, 409 for ranges or a gateway that collide.
    """
    network = ip_network(cidr)
    first, last = usable(network)
    seen: list[tuple[int, int, str]] = []
    for pool in pools:
        text = f"{pool['start']}-{pool['end']}"
        start, end = ip_address(pool["start"]), ip_address(pool["end"])
        if start.version != network.version or end.version != network.version or int(start) > int(end):
            raise bad_request(f"The allocation pool {text} is not valid.", "InvalidAllocationPool")
        if int(start) < first or int(end) > last:
            raise bad_request(
                f"The allocation pool {text} spans beyond the subnet cidr {cidr}.", "OutOfBoundsAllocationPool"
            )
        for low, high, other in seen:
            if int(start) <= high and low <= int(end):
                raise conflict(
                    "OverlappingAllocationPools",
                    f"Found overlapping allocation pools: {other} {text} for subnet {cidr}.",
                )
        if gateway is not None and int(start) <= int(ip_address(gateway)) <= int(end):
            raise conflict(
                "GatewayConflictWithAllocationPools", f"Gateway ip {gateway} conflicts with allocation pool {text}."
            )
        seen.append((int(start), int(end), text))
    return [dict(pool) for pool in pools]


class AddressPool:
    """The addresses of one subnet.

    Taking the next free one costs the same however many are taken: a cursor walks once through the pools, then
    addresses that were given back are used again, the longest free first.

    Args:
        subnet: the subnet's record.
        taken: addresses in use already.
    """

    def __init__(self, subnet: Record, taken: Iterable[str] = ()) -> None:
        self._subnet_id: str = subnet["id"]
        self._network_id: str = subnet["network_id"]
        self._network = ip_network(subnet["cidr"])
        self._make = type(self._network.network_address)
        self._used: set[int] = {int(ip_address(address)) for address in taken}
        self._ranges: list[tuple[int, int]] = []
        self._freed: deque[int] = deque()
        self._range = 0
        self._next = 0
        self.set_pools(subnet["allocation_pools"])

    def set_pools(self, pools: Sequence[Mapping[str, str]]) -> None:
        """Take addresses from other pools from now on; those in use stay so."""
        self._ranges = [(int(ip_address(pool["start"])), int(ip_address(pool["end"]))) for pool in pools]
        self._freed.clear()
        self._range = 0
        self._next = self._ranges[0][0] if self._ranges else 0

    def __contains__(self, address: str) -> bool:
        return ip_address(address) in self._network

    @property
    def used(self) -> int:
        """How many addresses are taken."""
        return len(self._used)

    @property
    def total(self) -> int:
        """How many addresses the pools hold."""
        return sum(end - start + 1 for start, end in self._ranges)

    def take(self) -> str | None:
        """Take the next free address of the pools; None if there is none."""
        while self._range < len(self._ranges):
            end = self._ranges[self._range][1]
            while self._next <= end:
                candidate = self._next
                self._next += 1
                if candidate not in self._used:
                    self._used.add(candidate)
                    return str(self._make(candidate))
            self._range += 1
            if self._range < len(self._ranges):
                self._next = self._ranges[self._range][0]
        while self._freed:
            candidate = self._freed.popleft()
            if candidate not in self._used:
                self._used.add(candidate)
                return str(self._make(candidate))
        return None

    def reserve(self, address: str) -> str:
        """Take this very address, which need not be in a pool.

        Raises:
            ApiError: 400 if it is not in the subnet, 409 if it is taken.
        """
        number = int(ip_address(address))
        if address not in self or not self._is_host(number):
            raise bad_request(f"IP address {address} is not a valid IP for the specified subnet.", "InvalidIpForSubnet")
        if number in self._used:
            raise self._taken(address)
        self._used.add(number)
        return str(self._make(number))

    def release(self, address: str) -> None:
        """Give an address back."""
        number = int(ip_address(address))
        if number in self._used:
            self._used.remove(number)
            if any(start <= number <= end for start, end in self._ranges):
                self._freed.append(number)

    def _is_host(self, number: int) -> bool:
        first, last = usable(self._network)
        return first <= number <= last

    def _taken(self, address: str) -> ApiError:
        return conflict(
            "IpAddressAlreadyAllocated", f"IP address {address} already allocated in subnet {self._subnet_id}"
        )


def same_family(version: int, name: str, address: str) -> None:
    """Check that an address has the subnet's IP version.

    Raises:
        ApiError: 400, it has the other.
    """
    if ip_address(address).version != version:
        raise invalid_input(f"{name} '{address}' does not match the ip_version '{version}'")
