"""DHCPv6 messages as bytes, there and back, and what is made of a server's."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_fakes.virt.vif.dhcp6_message import (
    FOREVER,
    Kind6,
    Lease6,
    Message6,
    Option6,
    Status,
    duid_of,
    encode_association,
    status_of,
)

MAC = bytes.fromhex("fa163e000001")
IAID = MAC[2:]
ADDRESS = bytes.fromhex("fd00") + bytes(13) + b"\x05"


def option(code, value):
    return struct.pack("!HH", code, len(value)) + value


def association(*, iaid=IAID, renewal=0, rebinding=0, preferred=3600, valid=7200, address=ADDRESS, more=b""):
    inner = option(Option6.ADDRESS, address + struct.pack("!II", preferred, valid))
    return iaid + struct.pack("!II", renewal, rebinding) + more + inner


def reply(kind=Kind6.REPLY, **fields):
    return Message6(kind, 1, {Option6.SERVER: b"server", Option6.ASSOCIATION: association(**fields)})


def times(lease):
    return lease.preferred_s, lease.valid_s, lease.renewal_s, lease.rebinding_s


def test_the_identity_is_made_of_the_mac():
    assert duid_of(MAC) == bytes.fromhex("00030001fa163e000001")


def test_a_message_as_bytes():
    message = Message6(Kind6.SOLICIT, 0x123456, {Option6.CLIENT: duid_of(MAC), Option6.ELAPSED_TIME: b"\0\0"})
    assert message.encode().hex() == "01123456" + "0001000a00030001fa163e000001" + "000800020000"


@given(st.sampled_from(list(Kind6)), st.integers(0, 0xFFFFFF), st.dictionaries(st.integers(0, 0xFFFF), st.binary()))
def test_what_is_encoded_is_decoded(kind, xid, options):
    message = Message6(kind, xid, options)
    again = Message6.decode(message.encode())
    assert (again.kind, again.xid, dict(again.options)) == (kind, xid, options)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda data: b"\x07\0\0\1" + data))
def test_whatever_comes_from_the_network_is_a_message_or_none(data):
    message = Message6.decode(data)
    if message is not None:
        Lease6.from_message(message, IAID)
        Lease6.of_information(message)
        status_of(message)


@pytest.mark.parametrize("data", [b"", b"\x07\0\0", b"\x63\0\0\1", b"\x07\0\0\1\0\1\0\5abcd", b"\x07\0\0\1\0\1\0"])
def test_what_is_no_message(data):
    assert Message6.decode(data) is None


def test_a_whole_grant():
    lease = Lease6.from_message(reply(renewal=100, rebinding=200, preferred=300, valid=400), IAID)
    assert (lease.address, lease.server, times(lease)) == (ADDRESS, b"server", (300, 400, 100, 200))


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({}, (3600, 7200, 1800.0, 2880.0)),
        ({"renewal": 200, "rebinding": 100}, (3600, 7200, 1800.0, 2880.0)),
        ({"preferred": 0, "valid": 100}, (0, 100, 50.0, 80.0)),
        ({"preferred": 1, "valid": 1}, (1, 1, 1.0, 1.0)),
        ({"renewal": 9000, "rebinding": 9500}, (3600, 7200, 7200, 7200)),
        ({"preferred": FOREVER, "valid": FOREVER}, (None, None, None, None)),
        ({"preferred": FOREVER, "valid": FOREVER, "renewal": 50, "rebinding": 80}, (None, None, 50, 80)),
        ({"renewal": FOREVER, "rebinding": FOREVER}, (3600, 7200, None, None)),
    ],
)
def test_times_that_the_server_leaves_open_or_muddles(given_, expected):
    assert times(Lease6.from_message(reply(**given_), IAID)) == expected


@pytest.mark.parametrize("fields", [{"iaid": b"else"}, {"valid": 0, "preferred": 0}, {"preferred": 8000}])
def test_what_grants_nothing(fields):
    assert Lease6.from_message(reply(**fields), IAID) is None


def test_a_grant_without_a_server_is_none():
    assert Lease6.from_message(Message6(Kind6.REPLY, 1, {Option6.ASSOCIATION: association()}), IAID) is None


def test_information_alone():
    dns = ADDRESS * 2 + b"short"
    lease = Lease6.of_information(Message6(Kind6.REPLY, 1, {Option6.SERVER: b"s", Option6.DNS: dns}))
    assert (lease.address, lease.dns, lease.renewal_s) == (None, (ADDRESS, ADDRESS), 86400.0)
    for refresh, renewal_s in ((5, 600.0), (7000, 7000.0), (FOREVER, None)):
        message = Message6(Kind6.REPLY, 1, {Option6.REFRESH_TIME: refresh.to_bytes(4)})
        assert Lease6.of_information(message).renewal_s == renewal_s


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Status.SUCCESS),
        ({Option6.STATUS: b"\0\0fine"}, Status.SUCCESS),
        ({Option6.STATUS: b"\0\4"}, Status.NOT_ON_LINK),
        ({Option6.STATUS: b"\0\x63"}, Status.UNSPECIFIED_FAILURE),
        ({Option6.ASSOCIATION: association(more=option(Option6.STATUS, b"\0\3gone"))}, Status.NO_BINDING),
    ],
)
def test_what_became_of_a_request(options, expected):
    assert status_of(Message6(Kind6.REPLY, 1, options)) is expected


def test_an_association_names_the_address_that_is_asked_for():
    assert encode_association(IAID).hex() == IAID.hex() + "00" * 8
    assert encode_association(IAID, ADDRESS)[12:] == option(Option6.ADDRESS, ADDRESS + bytes(8))
