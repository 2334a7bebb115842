"""DHCP messages, byte by byte."""

import struct
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_fakes.virt.vif.dhcp_message import ANY, BROADCAST, Kind, Lease, Message, Option, Route, enclose, open_packet

MAC = bytes.fromhex("fa163e000001")
SERVER = bytes((10, 0, 0, 2))


def packed(text):
    return IPv4Address(text).packed


def reply(kind=Kind.ACK, **options):
    given = {
        "SERVER": SERVER,
        "NETMASK": packed("255.255.255.0"),
        "LEASE_TIME": (3600).to_bytes(4),
        **options,
    }
    return Message(
        kind,
        0x01020304,
        MAC,
        yours=packed("10.0.0.5"),
        options={Option[name]: value for name, value in given.items() if value is not None},
    )


def test_a_request_as_bytes():
    data = Message(Kind.DISCOVER, 0x01020304, MAC, secs=7, options={Option.CLIENT: b"\x01" + MAC}).encode()
    assert data[:12] == bytes.fromhex("01010600 01020304 00070000")
    assert data[12:28] == bytes(16)
    assert data[28:44] == MAC + bytes(10)
    assert data[236:] == bytes.fromhex("63825363 350101 3d0701fa163e000001 ff").ljust(64, b"\0")


def test_an_ack_as_servers_lay_it_out():
    fixed = bytes.fromhex("02010600 a1b2c3d4 00000000 00000000 0a000005 0a000002 00000000") + MAC + bytes(202)
    options = (
        "350105 36040a000002 33040000012c 3a0400000096 3b0400000106 0104ffffff00 1c040a0000ff"
        "06040a000002 1a0205aa 7916 20a9fea9fe0a000002 18c000020a000009 000a000001 ff"
    )
    message = Message.decode(fixed + bytes.fromhex("63825363" + options))
    assert (message.kind, message.xid, message.mac) == (Kind.ACK, 0xA1B2C3D4, MAC)
    assert Lease.from_message(message) == Lease(
        address=packed("10.0.0.5"),
        prefix_length=24,
        server=SERVER,
        routes=(
            Route(packed("169.254.169.254"), 32, SERVER),
            Route(packed("192.0.2.0"), 24, packed("10.0.0.9")),
            Route(ANY, 0, packed("10.0.0.1")),
        ),
        dns=(SERVER,),
        mtu=1450,
        lease_s=300,
        renewal_s=150,
        rebinding_s=262,
    )


@pytest.mark.parametrize(
    ("options", "routes"),
    [
        ({}, ()),
        ({"ROUTER": packed("10.0.0.1") + packed("10.0.0.2")}, [("0.0.0.0", 0, "10.0.0.1")]),
        (
            {"CLASSLESS_ROUTES": b"\x00" + packed("10.0.0.9"), "ROUTER": packed("10.0.0.1")},
            [("0.0.0.0", 0, "10.0.0.9")],
        ),
        ({"CLASSLESS_ROUTES": bytes((20, 192, 168, 31)) + packed("10.0.0.9")}, [("192.168.16.0", 20, "10.0.0.9")]),
        ({"CLASSLESS_ROUTES": bytes((16, 10, 1)) + ANY}, [("10.1.0.0", 16, "0.0.0.0")]),
        ({"CLASSLESS_ROUTES": bytes((33, 1, 2, 3, 4, 5)) + ANY, "ROUTER": SERVER}, [("0.0.0.0", 0, "10.0.0.2")]),
        ({"CLASSLESS_ROUTES": bytes((16, 10, 1, 10)), "ROUTER": SERVER}, [("0.0.0.0", 0, "10.0.0.2")]),
    ],
    ids=["none", "router", "classless-alone", "host-bits", "on-link", "width", "cut"],
)
def test_routes(options, routes):
    found = Lease.from_message(reply(**options)).routes
    assert found == tuple(Route(packed(to), length, packed(by)) for to, length, by in routes)


@pytest.mark.parametrize(
    ("options", "times"),
    [
        ({}, (3600, 1800, 3150)),
        ({"RENEWAL_TIME": (60).to_bytes(4), "REBINDING_TIME": (90).to_bytes(4)}, (3600, 60, 90)),
        ({"RENEWAL_TIME": (90).to_bytes(4), "REBINDING_TIME": (60).to_bytes(4)}, (3600, 1800, 3150)),
        ({"RENEWAL_TIME": (60).to_bytes(4), "REBINDING_TIME": (4000).to_bytes(4)}, (3600, 1800, 3150)),
        ({"LEASE_TIME": b"\xff" * 4}, (None, None, None)),
    ],
)
def test_times(options, times):
    lease = Lease.from_message(reply(**options))
    assert (lease.lease_s, lease.renewal_s, lease.rebinding_s) == times


@pytest.mark.parametrize(
    "options",
    [{"SERVER": None}, {"LEASE_TIME": b"\0"}, {"NETMASK": packed("255.0.255.0")}, {"NETMASK": None}],
    ids=["server", "time", "netmask", "no-netmask"],
)
def test_what_grants_nothing_that_could_be_used(options):
    assert Lease.from_message(reply(**options)) is None


def test_long_options_come_in_pieces():
    long = bytes(range(256)) * 2
    message = Message(Kind.OFFER, 1, MAC, options={Option.DNS: long})
    assert Message.decode(message.encode()).options[Option.DNS] == long


def test_options_in_the_fields_of_name_and_file():
    data = bytearray(reply(OVERLOAD=b"\x03").encode())
    data[108:108] = b""
    data[44:48] = bytes((Option.MTU, 2, 5, 170))  # sname
    data[48] = 255
    data[108:114] = bytes((Option.DNS, 4, *SERVER))  # file
    data[114] = 255
    lease = Lease.from_message(Message.decode(bytes(data)))
    assert (lease.mtu, lease.dns) == (1450, (SERVER,))


def test_a_packet_around_a_message():
    packet = enclose(b"message", ANY, BROADCAST)
    assert packet[:10] == bytes.fromhex("45c00023 00000000 4011")
    assert (packet[12:16], packet[16:20]) == (ANY, BROADCAST)
    assert struct.unpack_from("!HHH", packet, 20) == (68, 67, 15)
    sums = [packet[:20], ANY + BROADCAST + b"\0\x11\0\x0f" + packet[20:] + b"\0"]
    for covered in sums:
        assert sum(struct.unpack(f"!{len(covered) // 2}H", covered)) % 0xFFFF == 0


def server_packet(payload, **changes):
    """A server's packet around a message; what is changed is wrong."""
    packet = bytearray(enclose(payload, SERVER, BROADCAST))
    packet[20:24] = struct.pack("!HH", 67, 68)
    for place, value in changes.get("at", {}).items():
        packet[place] = value
    if changes.get("sum", True):
        packet[10:12] = b"\0\0"
        total = sum(struct.unpack("!10H", packet[:20]))
        packet[10:12] = struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF)
    return bytes(packet)


def test_a_packet_is_opened():
    assert open_packet(server_packet(b"message")) == b"message"
    assert open_packet(server_packet(b"message") + b"padding of the link") == b"message"


@pytest.mark.parametrize(
    "changes",
    [
        {"at": {0: 0x65}},
        {"at": {0: 0x44}},
        {"at": {0: 0x4F}},
        {"at": {2: 0xFF}},
        {"at": {6: 0x20}},
        {"at": {7: 0x01}},
        {"at": {9: 6}},
        {"at": {21: 66}},
        {"at": {23: 67}},
        {"at": {25: 255}},
        {"at": {25: 3}},
        {"at": {8: 63}, "sum": False},
    ],
)
def test_what_is_no_servers_packet_is_not_opened(changes):
    assert open_packet(server_packet(b"message", **changes)) is None


@given(st.binary(max_size=600))
def test_no_bytes_do_harm(data):
    open_packet(data)
    head = bytes.fromhex("02010600") + bytes(232)
    for message in (Message.decode(data), Message.decode(head + b"\x63\x82\x53\x63" + data)):
        if message is not None:
            Lease.from_message(message)


@given(
    st.sampled_from(list(Kind)),
    st.integers(0, (1 << 32) - 1),
    st.binary(min_size=6, max_size=6),
    st.binary(min_size=4, max_size=4),
    st.dictionaries(st.sampled_from([1, 3, 6, 26, 50, 51, 54, 55, 121]), st.binary(max_size=600), max_size=5),
)
def test_a_message_survives_the_wire(kind, xid, mac, yours, options):
    message = Message(kind, xid, mac, yours=yours, options=options)
    assert Message.decode(message.encode()) == message
