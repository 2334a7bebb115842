"""What route netlink carries: messages whose shape is encoded once, and what the kernel says of an interface.

Message types and flags are those of rtnetlink(7), attribute numbers those of
``include/uapi/linux/{rtnetlink,if_link,if_addr,neighbour}.h``.
"""

import os
import socket
import struct
from dataclasses import dataclass

from nova_fakes.virt.vif.base import InterfaceCounters
from nova_fakes.virt.vif.template import ATTRIBUTE, Message, Part, Template, attr, join, slot, u32

__all__ = [
    "ADDRESS4",
    "ADDRESS6",
    "BRIDGE",
    "DELETE_ADDRESS4",
    "DELETE_ADDRESS6",
    "DELETE_GROUP",
    "DELETE_LINK",
    "DELETE_ROUTE4",
    "DUMP",
    "FORGET",
    "FORWARD",
    "GET_GUEST_LINK",
    "GET_LINK",
    "GET_LINKS",
    "GET_NSID",
    "GONE_ADDRESS",
    "LEASED_ADDRESS6",
    "LINK_ALIAS",
    "LINK_ATTACH",
    "LINK_DOWN",
    "LINK_GROUP",
    "LINK_MTU",
    "LINK_UP",
    "MTU_INDEX",
    "NEIGHBOUR4",
    "NEIGHBOUR6",
    "NEW_ADDRESS",
    "NEW_LINK",
    "NEW_NSID",
    "NO_AUTOCONF",
    "NO_AUTOCONF_INDEX",
    "ON_LINK",
    "ROUTE4",
    "ROUTE6",
    "UP",
    "UP_INDEX",
    "VETH",
    "VETH_INTO",
    "Address",
    "Link",
    "Message",
    "Template",
    "address_of",
    "any_index",
    "attributes",
    "counters_of",
    "link_of",
    "name",
    "nsid_of",
]

# Message types, flags and families.
NEW_LINK, _RTM_DELLINK, _RTM_GETLINK, _RTM_SETLINK = 16, 17, 18, 19
NEW_ADDRESS, GONE_ADDRESS, _RTM_NEWROUTE, _RTM_DELROUTE, _RTM_NEWNEIGH, _RTM_DELNEIGH = 20, 21, 24, 25, 28, 29
_RTM_NEWNSID, _RTM_GETNSID = 88, 90
_ACK, _REPLACE, _EXCL, _CREATE, DUMP = 0x4, 0x100, 0x200, 0x400, 0x300
#: The interface flag for the ``flags`` of a new link.
UP = 1

# Attributes.
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_MASTER, _IFLA_LINKINFO = 1, 3, 4, 5, 10, 18
_IFLA_IFALIAS, _IFLA_STATS64, _IFLA_AF_SPEC, _IFLA_GROUP, _IFLA_NET_NS_FD = 20, 23, 26, 27, 28
_IFLA_NUM_TX_QUEUES, _IFLA_NUM_RX_QUEUES, _IFLA_TARGET_NETNSID = 31, 32, 46
_INFO_KIND, _INFO_DATA, _VETH_PEER, _INET6_ADDR_GEN_MODE = 1, 2, 1, 8
_BR_FORWARD_DELAY, _BR_STP_STATE, _BR_MCAST_SNOOPING = 1, 5, 23
_IFA_ADDRESS, _IFA_LOCAL, _IFA_CACHEINFO, _IFA_FLAGS = 1, 2, 6, 8
_IFA_F_PERMANENT_NODAD, _IFA_F_DADFAILED = 0x82, 0x08
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY = 1, 4, 5, 6
_NDA_DST, _NDA_LLADDR = 1, 2
_NUD_REACHABLE, _NUD_PERMANENT, _NTF_MASTER = 0x02, 0x80, 0x04
_NETNSA_NSID, _NETNSA_FD = 1, 3

_IFINFO = struct.Struct("=BxHiII")
_IFADDR = struct.Struct("=BBBBI")


@dataclass(frozen=True, slots=True)
class Link:
    """What the kernel says of an interface; `peer` is the index of the other end of a pair, 0 for anything else."""

    index: int
    name: str
    up: bool
    master: int
    peer: int
    alias: str
    mac: bytes
    stats: bytes


@dataclass(frozen=True, slots=True)
class Address:
    """What the kernel says of an IPv6 address; `duplicate` where another on the link has it (RFC 4862 §5.4)."""

    index: int
    address: bytes
    duplicate: bool


def name(text: str) -> bytes:
    """Encode an interface name for a slot."""
    return text.encode()


def any_index() -> int:
    """Return an index for a host end, far from those that the kernel gives, so that it heeds the guest's index too."""
    return 1 << 30 | int.from_bytes(os.urandom(3))


def _ifinfo(index: Part | bytes = bytes(4), flags: Part | bytes | None = None) -> Part:
    """Encode ``struct ifinfomsg``; `flags` None leaves the interface's flags alone."""
    if flags is None:
        return join(bytes(4), index, bytes(8))
    return join(bytes(4), index, flags, u32(UP))


_IFNAME = attr(_IFLA_IFNAME, slot("devname", "16s"))
_ONE_QUEUE = join(attr(_IFLA_NUM_TX_QUEUES, u32(1)), attr(_IFLA_NUM_RX_QUEUES, u32(1)))
#: IN6_ADDR_GEN_MODE_NONE: no link-local address, and so no reports that flood the bridges.
_ADDR_GEN_NONE = attr(_IFLA_AF_SPEC, attr(socket.AF_INET6, attr(_INET6_ADDR_GEN_MODE, b"\x01")))
_PEER = join(
    _ifinfo(slot("peer_index", "i")),
    attr(_IFLA_IFNAME, slot("peer_name", "16s")),
    attr(_IFLA_ADDRESS, slot("peer_mac", "6s")),
    attr(_IFLA_MTU, slot("mtu", "I")),
    _ONE_QUEUE,
)


def _veth(summary: str, peer: Part) -> Template:
    return Template(
        summary,
        NEW_LINK,
        _CREATE | _EXCL,
        _ifinfo(slot("index", "i"), slot("flags", "I")),
        _IFNAME,
        attr(_IFLA_ADDRESS, slot("mac", "6s")),
        attr(_IFLA_MTU, slot("mtu", "I")),
        attr(_IFLA_MASTER, slot("bridge", "I")),
        _ONE_QUEUE,
        attr(_IFLA_LINKINFO, attr(_INFO_KIND, b"veth"), attr(_INFO_DATA, attr(_VETH_PEER, peer))),
    )


#: The kernel gives the peer the index that is asked for only where one is asked for this end too (``veth_newlink``).
VETH_INTO = _veth("make a veth pair into a namespace", join(_PEER, attr(_IFLA_NET_NS_FD, slot("namespace", "i"))))
VETH = _veth("make a veth pair", _PEER)
BRIDGE = Template(
    "make a bridge",
    NEW_LINK,
    _CREATE | _EXCL,
    _ifinfo(flags=slot("flags", "I")),
    _IFNAME,
    attr(_IFLA_ADDRESS, slot("mac", "6s")),
    attr(_IFLA_MTU, slot("mtu", "I")),
    attr(
        _IFLA_LINKINFO,
        attr(_INFO_KIND, b"bridge"),
        attr(
            _INFO_DATA,
            attr(_BR_FORWARD_DELAY, u32(0)),
            attr(_BR_STP_STATE, u32(0)),
            # Without a querier on the bridge snooping would cut neighbour discovery off after a while.
            attr(_BR_MCAST_SNOOPING, b"\x00"),
        ),
    ),
)
NO_AUTOCONF = Template("switch IPv6 autoconfiguration off", _RTM_SETLINK, 0, _ifinfo(), _IFNAME, _ADDR_GEN_NONE)
NO_AUTOCONF_INDEX = Template(
    "switch IPv6 autoconfiguration off", _RTM_SETLINK, 0, _ifinfo(slot("index", "i")), _ADDR_GEN_NONE
)
LINK_ATTACH = Template(
    "attach to a bridge", _RTM_SETLINK, 0, _ifinfo(), _IFNAME, attr(_IFLA_MASTER, slot("bridge", "I"))
)
LINK_UP = Template("bring an interface up", _RTM_SETLINK, 0, _ifinfo(flags=u32(UP)), _IFNAME)
LINK_DOWN = Template("take an interface down", _RTM_SETLINK, 0, _ifinfo(flags=u32(0)), _IFNAME)
LINK_MTU = Template("set an MTU", _RTM_SETLINK, 0, _ifinfo(), _IFNAME, attr(_IFLA_MTU, slot("mtu", "I")))
MTU_INDEX = Template("set an MTU", _RTM_SETLINK, 0, _ifinfo(slot("index", "i")), attr(_IFLA_MTU, slot("mtu", "I")))
LINK_ALIAS = Template(
    "mark an interface", _RTM_SETLINK, 0, _ifinfo(), _IFNAME, attr(_IFLA_IFALIAS, slot("alias", "64s"))
)
UP_INDEX = Template("bring an interface up", _RTM_SETLINK, 0, _ifinfo(slot("index", "i"), u32(UP)))
LINK_GROUP = Template(
    "put an interface into a group", _RTM_SETLINK, 0, _ifinfo(), _IFNAME, attr(_IFLA_GROUP, slot("group", "I"))
)
#: All of a group at once: deleted one by one, each would wait for the kernel's readers.
DELETE_GROUP = Template(
    "delete a group of interfaces", _RTM_DELLINK, 0, _ifinfo(), attr(_IFLA_GROUP, slot("group", "I"))
)
DELETE_LINK = Template("delete an interface", _RTM_DELLINK, 0, _ifinfo(), _IFNAME)


def _address(summary: str, family: int, size: int, flags: Part | bytes, kind: int = NEW_ADDRESS) -> Template:
    return Template(
        summary,
        kind,
        _CREATE | _REPLACE if kind == NEW_ADDRESS else 0,
        struct.pack("=B", family),
        slot("prefix_length", "B"),
        b"\x00\x00",
        slot("index", "I"),
        attr(_IFA_LOCAL, slot("address", f"{size}s")),
        attr(_IFA_ADDRESS, slot("address", f"{size}s")),
        flags,
    )


def _route(summary: str, family: int, size: int, kind: int = _RTM_NEWROUTE) -> Template:
    # rtmsg: family, destination and source length, tos, table main, protocol static, scope universe, type unicast.
    return Template(
        summary,
        kind,
        _CREATE | _REPLACE if kind == _RTM_NEWROUTE else 0,
        struct.pack("=B", family),
        slot("prefix_length", "B"),
        struct.pack("=BBBBBB", 0, 0, 254, 4, 0, 1),
        slot("flags", "I"),
        attr(_RTA_DST, slot("destination", f"{size}s")),
        attr(_RTA_GATEWAY, slot("nexthop", f"{size}s")),
        attr(_RTA_OIF, slot("index", "I")),
        attr(_RTA_PRIORITY, slot("metric", "I")),
    )


def _neighbour(summary: str, family: int, size: int) -> Template:
    return Template(
        summary,
        _RTM_NEWNEIGH,
        _CREATE | _REPLACE,
        struct.pack("=Bxxx", family),
        slot("index", "i"),
        struct.pack("=HBB", _NUD_PERMANENT, 0, 0),
        attr(_NDA_DST, slot("address", f"{size}s")),
        attr(_NDA_LLADDR, slot("mac", "6s")),
    )


#: RTNH_F_ONLINK, for the ``flags`` of a route whose nexthop lies outside the subnet.
ON_LINK = 4
ADDRESS4 = _address("add an IPv4 address", socket.AF_INET, 4, b"")
DELETE_ADDRESS4 = _address("remove an IPv4 address", socket.AF_INET, 4, b"", GONE_ADDRESS)
DELETE_ADDRESS6 = _address("remove an IPv6 address", socket.AF_INET6, 16, b"", GONE_ADDRESS)
#: Times in seconds, after which the kernel prefers others (RFC 4862 §5.5.4), and removes it. It is used when the kernel
#: has found that nobody else has it (RFC 8415 §18.2.10.1).
LEASED_ADDRESS6 = _address(
    "add a leased IPv6 address",
    socket.AF_INET6,
    16,
    attr(_IFA_CACHEINFO, slot("preferred_s", "I"), slot("valid_s", "I"), bytes(8)),
)
ADDRESS6 = _address("add an IPv6 address", socket.AF_INET6, 16, attr(_IFA_FLAGS, u32(_IFA_F_PERMANENT_NODAD)))
ROUTE4 = _route("add an IPv4 route", socket.AF_INET, 4)
DELETE_ROUTE4 = _route("remove an IPv4 route", socket.AF_INET, 4, _RTM_DELROUTE)
ROUTE6 = _route("add an IPv6 route", socket.AF_INET6, 16)
NEIGHBOUR4 = _neighbour("add an IPv4 neighbour", socket.AF_INET, 4)
NEIGHBOUR6 = _neighbour("add an IPv6 neighbour", socket.AF_INET6, 16)


def _forwarding(summary: str, kind: int, flags: int) -> Template:
    return Template(
        summary,
        kind,
        flags,
        struct.pack("=Bxxx", socket.AF_BRIDGE),
        slot("port", "i"),
        struct.pack("=HBB", _NUD_REACHABLE, _NTF_MASTER, 0),
        attr(_NDA_LLADDR, slot("mac", "6s")),
    )


#: As the bridge itself learns: the entry ages, and moves with the next frame from elsewhere (bridge(8), ``dynamic``).
FORWARD = _forwarding("tell a bridge at which port a MAC is", _RTM_NEWNEIGH, _CREATE | _REPLACE)
FORGET = _forwarding("tell a bridge that a MAC is no longer at a port", _RTM_DELNEIGH, 0)

GET_LINK = Template("look an interface up", _RTM_GETLINK, 0, _ifinfo(), _IFNAME)
GET_LINKS = Template("list the interfaces", _RTM_GETLINK, DUMP, _ifinfo())
GET_GUEST_LINK = Template(
    "read an interface's counters",
    _RTM_GETLINK,
    0,
    _ifinfo(slot("index", "i")),
    attr(_IFLA_TARGET_NETNSID, slot("nsid", "i")),
)
GET_NSID = Template("look a namespace's number up", _RTM_GETNSID, 0, bytes(4), attr(_NETNSA_FD, slot("fd", "i")))
NEW_NSID = Template(
    "give a namespace a number",
    _RTM_NEWNSID,
    _ACK,
    bytes(4),
    attr(_NETNSA_FD, slot("fd", "i")),
    attr(_NETNSA_NSID, struct.pack("=i", -1)),
)


def counters_of(link: Link) -> InterfaceCounters:
    """Read ``struct rtnl_link_stats64`` (``include/uapi/linux/if_link.h``)."""
    rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped = struct.unpack_from(
        "=8Q", link.stats
    )
    return InterfaceCounters(
        rx_bytes=rx_bytes,
        rx_packets=rx_packets,
        rx_errors=rx_errors,
        rx_dropped=rx_dropped,
        tx_bytes=tx_bytes,
        tx_packets=tx_packets,
        tx_errors=tx_errors,
        tx_dropped=tx_dropped,
    )


def link_of(body: bytes) -> Link:
    """Read what the kernel says of an interface (``struct ifinfomsg`` and its attributes)."""
    _family, _type, index, flags, _change = _IFINFO.unpack_from(body)
    found = attributes(body, _IFINFO.size)
    return Link(
        index=index,
        name=found.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(),
        up=bool(flags & UP),
        master=struct.unpack("=I", found.get(_IFLA_MASTER, bytes(4)))[0],
        peer=struct.unpack("=I", found.get(_IFLA_LINK, bytes(4)))[0],
        alias=found.get(_IFLA_IFALIAS, b"").rstrip(b"\0").decode(errors="replace"),
        mac=found.get(_IFLA_ADDRESS, b""),
        stats=found.get(_IFLA_STATS64, b""),
    )


def address_of(body: bytes) -> Address:
    """Read what the kernel says of an IPv6 address (``struct ifaddrmsg`` and its attributes)."""
    _family, _prefix_length, flags, _scope, index = _IFADDR.unpack_from(body)
    found = attributes(body, _IFADDR.size)
    return Address(index, found.get(_IFA_ADDRESS, b""), bool(flags & _IFA_F_DADFAILED))


def nsid_of(body: bytes) -> int:
    """Read a namespace's number from an answer; negative where it has none (``struct rtgenmsg`` and its attributes)."""
    number: int = struct.unpack("=i", attributes(body, 4)[_NETNSA_NSID])[0]
    return number


def attributes(body: bytes, offset: int) -> dict[int, bytes]:
    """Read the attributes from an offset of a message on, by number."""
    found = {}
    while offset + ATTRIBUTE.size <= len(body):
        length, kind = ATTRIBUTE.unpack_from(body, offset)
        found[kind & 0x3FFF] = body[offset + ATTRIBUTE.size : offset + length]
        offset += max(ATTRIBUTE.size, (length + 3) & ~3)
    return found
