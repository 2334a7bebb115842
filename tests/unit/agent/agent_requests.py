"""Requests of every verb, for hypothesis."""

import string
import uuid
from ipaddress import IPv4Network, IPv6Network
from types import MappingProxyType

from hypothesis import strategies as st

from nova_fakes.agent import protocol
from nova_fakes.virt.vif.base import IPV6_MODES, VIF, Route, Subnet

NAME = string.ascii_letters + string.digits
UUIDS = st.uuids().map(str)
HOSTS = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True)
DEVNAMES = st.text(NAME + "-_.", min_size=1, max_size=15).filter(lambda name: name[0] not in "-.")
MACS = st.binary(min_size=5, max_size=5).map(lambda tail: (b"\xfa" + tail).hex(":"))
PRINTABLE = st.text(string.ascii_letters + string.digits + " äöü;$`'\"|&<>", max_size=20)
DETAILS = st.fixed_dictionaries(
    {},
    optional={
        "bridge_name": DEVNAMES,
        "datapath_type": st.sampled_from(["system", "netdev"]),
        "ovs_hybrid_plug": st.booleans(),
        "vhostuser_socket": st.just("/var/run/vhu"),
        "other": st.recursive(
            st.none() | st.booleans() | st.integers() | PRINTABLE,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PRINTABLE, inner, max_size=3),
            max_leaves=5,
        ),
    },
)


@st.composite
def subnets(draw):
    mode = None
    if draw(st.booleans()):
        network = IPv4Network((draw(st.integers(1 << 24, (1 << 31) - 1)) & ~0xFF, 24))
        elsewhere = "192.168.0.0/16"
    else:
        network = IPv6Network((0xFD << 120 | draw(st.integers(0, (1 << 56) - 1)) << 64, 64))
        elsewhere = "fd12::/16"
        mode = draw(st.sampled_from([None, *IPV6_MODES]))
    addresses = draw(st.lists(st.integers(2, 254), max_size=3, unique=True))
    return Subnet(
        str(network),
        draw(st.none() | st.just(str(network[1]))),
        tuple(str(network[number]) for number in addresses),
        tuple(Route(elsewhere, str(network[9])) for _ in range(draw(st.integers(0, 2)))),
        tuple(draw(st.lists(st.sampled_from(["10.0.0.53", "fd00::53"]), max_size=2))),
        draw(st.none() | st.just(str(network[2]))),
        mode,
    )


VIFS = st.builds(
    VIF,
    id=UUIDS,
    address=MACS,
    devname=DEVNAMES,
    network_id=UUIDS,
    bridge=st.none() | DEVNAMES,
    mtu=st.integers(68, 65535),
    type=st.sampled_from(["bridge", "ovs", "tap", "vhostuser", "hw_veb"]),
    vnic_type=st.sampled_from(["normal", "direct", "remote-managed"]),
    active=st.booleans(),
    subnets=st.lists(subnets(), max_size=3).map(tuple),
    details=DETAILS.map(MappingProxyType),
    addressing=st.sampled_from([None, "static", "dhcp"]),
)
MANY = st.lists(VIFS, max_size=3).map(tuple)
REQUESTS = st.one_of(
    st.builds(protocol.Plug, HOSTS, UUIDS, MANY, st.booleans()),
    st.builds(protocol.Unplug, HOSTS, UUIDS, st.none() | MANY, st.booleans()),
    st.builds(protocol.SetLink, HOSTS, UUIDS, st.booleans()),
    st.builds(protocol.PrepareMigration, HOSTS, UUIDS, MANY),
    st.builds(protocol.Migrate, HOSTS, UUIDS, MANY, HOSTS),
    st.builds(protocol.AbortMigration, HOSTS, UUIDS, MANY),
    st.builds(protocol.TakeOver, HOSTS, UUIDS, MANY, HOSTS, st.just("/run/other.sock")),
    st.builds(protocol.Counters, HOSTS, UUIDS),
    st.builds(protocol.Namespace, HOSTS, UUIDS),
    st.builds(protocol.Execute, HOSTS, UUIDS, st.lists(PRINTABLE, max_size=4).map(lambda more: ("ip", *more))),
    st.builds(protocol.Describe, HOSTS),
    st.just(protocol.Health()),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def port(number, network=0):
    """VIF number n of a network, with 10.<network>.0.<n>."""
    name = str(uuid.UUID(int=number + (network << 16) + 1))
    return VIF.from_network_info(
        {
            "id": name,
            "address": f"fa:16:3e:00:{network:02x}:{number:02x}",
            "devname": f"tap{network}-{number}",
            "type": "bridge",
            "network": {
                "id": f"network-{network}",
                "meta": {"mtu": 1450},
                "subnets": [{"cidr": f"10.{network}.0.0/16", "ips": [{"address": f"10.{network}.0.{number}"}]}],
            },
        }
    )
