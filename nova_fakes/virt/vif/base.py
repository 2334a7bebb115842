"""What the driver tells a VIF realizer, and what a realizer can do.

A VIF is nova's word for one interface of one instance. `VIF.from_network_info` is the only place that reads nova's
dictionaries (the shape comes from ``nova/network/model.py``, nova 34.0.0); behind it everything is checked and typed,
so that a realizer never meets a value that the kernel would refuse half-way.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from nova_fakes.exceptions import InvalidInput, VIFTypeRefused

__all__ = [
    "ADDRESSINGS",
    "ADDRESSING_KEY",
    "IPV6_MODES",
    "UNBOUND_TYPES",
    "VIF",
    "InterfaceCounters",
    "Realizer",
    "RealizerDescription",
    "Route",
    "Subnet",
    "addressing",
    "interface_name",
]

#: Linux keeps 16 bytes for an interface name, the last of which is NUL (``include/uapi/linux/if.h``).
MAX_DEVNAME_LENGTH = 15
#: What `ip link` accepts: IPv4 needs 68 bytes (RFC 791), a veth carries at most 65535.
MIN_MTU, MAX_MTU = 68, 65535
DEFAULT_MTU = 1500

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
#: A percent sign would be a pattern to the kernel, which puts a number in its place (``dev_alloc_name``).
_INTERFACE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
#: Neutron could not bind such a port: nova's libvirt driver refuses to plug it too.
UNBOUND_TYPES = frozenset({"unbound", "binding_failed"})
#: How an interface gets its addresses: set from outside, or from the network, as a guest's own clients would get them.
ADDRESSINGS = ("static", "dhcp")
#: How instances get addresses of an IPv6 subnet (Neutron's ``ipv6_address_mode``).
IPV6_MODES = ("slaac", "dhcpv6-stateful", "dhcpv6-stateless")
#: The key of a port's ``binding:profile`` by which one port differs from what its host does.
ADDRESSING_KEY = "nova_fakes_addressing"


@dataclass(frozen=True, slots=True)
class Route:
    """A host route of a subnet: `destination` as a CIDR, `nexthop` as an address."""

    destination: str
    nexthop: str


@dataclass(frozen=True, slots=True)
class Subnet:
    """One subnet of a VIF with the fixed addresses that the port holds in it.

    `addresses` are without prefix length; `gateway` is None where the subnet has none, `dhcp_server` where Neutron's
    DHCP agent serves it not. `ipv6_mode` is one of `IPV6_MODES`, None where addresses are set from outside.
    """

    cidr: str
    gateway: str | None
    addresses: tuple[str, ...]
    routes: tuple[Route, ...] = ()
    dns: tuple[str, ...] = ()
    dhcp_server: str | None = None
    ipv6_mode: str | None = None


@dataclass(frozen=True, slots=True)
class InterfaceCounters:
    """Interface counters as the guest sees them: `rx_*` is what the guest received."""

    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int


@dataclass(frozen=True, slots=True)
class RealizerDescription:
    """What a realizer can do, for the driver's decisions and for a test matrix.

    `vif_types` and `vnic_types` are nova's names. `needs_namespaces` says that root or a user namespace is required.
    """

    name: str
    vif_types: frozenset[str]
    vnic_types: frozenset[str]
    needs_namespaces: bool
    real_counters: bool
    hot_plug: bool
    live_migration: bool
    summary: str


@dataclass(frozen=True, slots=True)
class VIF:
    """One interface of one instance.

    `id` is the Neutron port, `address` its MAC in lower case, `devname` the name of the host's end (15 characters at
    most), `bridge` the bridge that Neutron named (None where it named none), `mtu` in bytes, `active` whether Neutron
    already reported the port up, `addressing` one of `ADDRESSINGS` or None: as its host does it.
    """

    id: str
    address: str
    devname: str
    network_id: str
    bridge: str | None
    mtu: int
    type: str
    vnic_type: str
    active: bool
    subnets: tuple[Subnet, ...]
    details: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}), hash=False, compare=False)
    addressing: str | None = None

    @classmethod
    def from_network_info(cls, vif: Mapping[str, Any]) -> "VIF":
        """Read one element of nova's network_info.

        A VIF without ``devname`` gets ``tap`` and the first eleven characters of the port's id, as nova does
        (``nova/network/neutron.py``).

        :param vif: a ``nova.network.model.VIF`` or a plain dictionary of that shape
        :raises InvalidInput: a field is missing or cannot be used; names the field, its value and the cure
        :raises VIFTypeRefused: the port is bound to no host
        """
        port = _text(vif, "id", "give the id of the Neutron port")
        network = vif.get("network")
        if not isinstance(network, Mapping):
            raise InvalidInput(f"network of VIF {port}", network, "give the network's id, meta and subnets")
        vif_type = str(vif.get("type") or "other")
        if vif_type in UNBOUND_TYPES:
            raise VIFTypeRefused(
                f"type of VIF {port}", vif_type, "bind the port to this host first (see Neutron's binding:vif_type)"
            )
        bridge = network.get("bridge") or None
        details = dict(vif.get("details") or {})
        if details.get("bridge_name"):
            interface_name(details["bridge_name"], f"bridge_name of VIF {port}")
        chosen = (vif.get("profile") or {}).get(ADDRESSING_KEY)
        meta = network.get("meta") or {}
        return cls(
            id=port,
            address=_mac(vif, port),
            devname=_devname(vif, port),
            network_id=_text(network, "id", f"give the id of the network of VIF {port}"),
            bridge=None if bridge is None else interface_name(bridge, f"bridge of VIF {port}"),
            mtu=_mtu(meta.get("mtu"), port),
            type=vif_type,
            vnic_type=str(vif.get("vnic_type") or "normal"),
            active=bool(vif.get("active")),
            subnets=tuple(_subnet(subnet, port) for subnet in network.get("subnets") or ()),
            details=MappingProxyType(details),
            addressing=None if chosen is None else addressing(chosen, f"addressing of VIF {port}"),
        )


@runtime_checkable
class Realizer(Protocol):
    """Makes an instance's interfaces real, on one host.

    `instance` is always the instance's uuid. Every method may be called from any thread.
    """

    name: str

    def describe(self) -> RealizerDescription:
        """Tell what this realizer can do."""

    def plug(self, instance: str, vifs: Sequence[VIF], *, up: bool = True) -> None:
        """Make whatever of these VIFs is missing; all of them or none.

        :param up: False leaves the instance's interfaces without link, as those of an instance that is not running
        :raises RealizerError: something failed; what had been made is gone again
        :raises InvalidInput: the VIFs cannot be realized as given
        """

    def unplug(self, instance: str, vifs: Sequence[VIF] | None = None) -> None:
        """Remove these VIFs, or all of them and the namespace where None; what is not there is no error."""

    def set_link(self, instance: str, up: bool) -> None:
        """Give the instance its link or take it: without, it answers nobody, and keeps everything it has."""

    def counters(self, instance: str) -> Mapping[str, InterfaceCounters]:
        """Read the guest's interface counters by VIF id; empty where there are no real interfaces."""

    def prepare_migration(self, instance: str, vifs: Sequence[VIF]) -> None:
        """Prepare this host, the destination, so that the switch-over is short."""

    def migrate(self, instance: str, vifs: Sequence[VIF], source: "Realizer") -> None:
        """Take the instance's interfaces over from `source` and announce where they are now."""

    def abort_migration(self, instance: str, vifs: Sequence[VIF]) -> None:
        """Undo `prepare_migration` on this host, the destination."""

    def namespace(self, instance: str) -> str | None:
        """Return the path of the instance's network namespace, None where there is none."""

    def close(self) -> None:
        """Give up everything that the realizer holds."""


def _text(mapping: Mapping[str, Any], key: str, cure: str) -> str:
    value = mapping.get(key)
    if not value or not isinstance(value, str):
        raise InvalidInput(key, value, cure)
    return value


def _mac(vif: Mapping[str, Any], port: str) -> str:
    value = vif.get("address")
    address = str(value or "").lower()
    if not _MAC.fullmatch(address):
        raise InvalidInput(f"address of VIF {port}", value, "give a MAC as six pairs of hex digits, fa:16:3e:00:00:01")
    if int(address[:2], 16) & 1:
        raise InvalidInput(f"address of VIF {port}", value, "a group address cannot be an interface's own; clear bit 0")
    if address == "00:00:00:00:00:00":
        raise InvalidInput(f"address of VIF {port}", value, "the kernel refuses the zero MAC; give the port's own")
    return address


def interface_name(value: object, field: str) -> str:
    """Return the name of a network interface or bridge, which can be part of a path and of a log line too.

    :raises InvalidInput: it is none that every tool takes as it is
    """
    if not isinstance(value, str) or not _INTERFACE_NAME.fullmatch(value):
        raise InvalidInput(field, value, "give letters, digits, '_', '.' and '-', and neither '-' nor '.' first")
    if len(value) > MAX_DEVNAME_LENGTH:
        raise InvalidInput(field, value, f"use at most {MAX_DEVNAME_LENGTH} characters")
    return value


def addressing(value: object, field: str) -> str:
    """Return how an interface gets its addresses.

    :raises InvalidInput: it is none of `ADDRESSINGS`
    """
    if value not in ADDRESSINGS:
        raise InvalidInput(field, value, f"use one of {', '.join(ADDRESSINGS)}")
    return str(value)


def _devname(vif: Mapping[str, Any], port: str) -> str:
    value = vif.get("devname")
    if value is None or value == "":
        return f"tap{port[:11]}"
    return interface_name(value, f"devname of VIF {port}")


def _mtu(value: object, port: str) -> int:
    if value is None or value == 0:
        return DEFAULT_MTU
    try:
        mtu = int(str(value))
    except ValueError:
        mtu = -1
    if not MIN_MTU <= mtu <= MAX_MTU:
        raise InvalidInput(f"mtu of VIF {port}", value, f"use {MIN_MTU} to {MAX_MTU} bytes")
    return mtu


def _address(value: object) -> str | None:
    """Take the address out of nova's IP dictionary, or a plain string."""
    if isinstance(value, Mapping):
        value = value.get("address")
    return str(value) if value else None


def _subnet(subnet: Mapping[str, Any], port: str) -> Subnet:
    cidr_value = subnet.get("cidr")
    try:
        cidr = _network(str(cidr_value))
    except ValueError:
        raise InvalidInput(f"cidr of a subnet of VIF {port}", cidr_value, "give network/prefix, 10.0.0.0/24") from None
    addresses = [_fixed_address(entry, cidr, port) for entry in subnet.get("ips") or ()]
    gateway = _address(subnet.get("gateway"))
    if gateway is not None:
        gateway = _ip(gateway, f"gateway of subnet {cidr} of VIF {port}", cidr.version)
    dns = tuple(_ip(a, f"DNS server of subnet {cidr} of VIF {port}") for a in map(_address, subnet.get("dns") or ()))
    meta = subnet.get("meta") or {}
    server, mode = meta.get("dhcp_server"), meta.get("ipv6_address_mode")
    if server is not None:
        server = _ip(server, f"DHCP server of subnet {cidr} of VIF {port}", cidr.version)
    if mode is not None and (mode not in IPV6_MODES or cidr.version != 6):
        raise InvalidInput(f"ipv6_address_mode of subnet {cidr} of VIF {port}", mode, f"use {', '.join(IPV6_MODES)}")
    routes = tuple(_routes(subnet, cidr.version, port))
    return Subnet(str(cidr), gateway, tuple(addresses), routes, dns, server, mode)


@lru_cache(maxsize=1024)  # all the instances of a network share it
def _network(cidr: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(_without_zone(cidr), strict=False)


def _without_zone(address: str) -> str:
    """Refuse ``fe80::1%eth0``: the zone is an interface of the machine that wrote it, not of the instance."""
    if "%" in address:
        raise ValueError(address)
    return address


def _fixed_address(entry: object, cidr: ipaddress.IPv4Network | ipaddress.IPv6Network, port: str) -> str:
    field_name = f"fixed address of VIF {port}"
    address = _ip(_address(entry), field_name, cidr.version)
    if ipaddress.ip_address(address) not in cidr:
        raise InvalidInput(field_name, address, f"the subnet {cidr} does not hold it; use an address inside")
    return address


def _routes(subnet: Mapping[str, Any], version: int, port: str) -> Iterable[Route]:
    for entry in subnet.get("routes") or ():
        destination, nexthop = entry.get("cidr"), _address(entry.get("gateway"))
        name = f"host route of VIF {port}"
        try:
            network = _network(str(destination))
        except ValueError:
            raise InvalidInput(name, destination, "give the destination as network/prefix") from None
        if network.version != version:
            raise InvalidInput(name, destination, f"the subnet is IPv{version}; use a destination of that family")
        yield Route(str(network), _ip(nexthop, f"nexthop of the {name} to {network}", version))


def _ip(value: object, field_name: str, version: int | None = None) -> str:
    try:
        address = ipaddress.ip_address(_without_zone(str(value or "")))
    except ValueError:
        raise InvalidInput(field_name, value, "give an IP address, without a zone") from None
    if version is not None and address.version != version:
        raise InvalidInput(field_name, value, f"the subnet is IPv{version}; use an address of that family")
    return str(address)
