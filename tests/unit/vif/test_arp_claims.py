"""Which ARP packets say that an address is taken."""

import struct

import pytest

from nova_fakes.virt.vif.arp import claims

OURS, THEIRS = bytes.fromhex("fa163e000001"), bytes.fromhex("fa163e000002")
ADDRESS, OTHER, NONE = bytes((10, 0, 0, 5)), bytes((10, 0, 0, 6)), bytes(4)


def arp(sender, source, target, operation=1, kind=(1, 0x0800, 6, 4)):
    return struct.pack("!HHBBH6s4s6s4s", *kind, operation, sender, source, bytes(6), target)


@pytest.mark.parametrize(
    "packet",
    [
        arp(THEIRS, ADDRESS, NONE, operation=2),
        arp(THEIRS, ADDRESS, OTHER),
        arp(THEIRS, ADDRESS, ADDRESS),
        arp(THEIRS, NONE, ADDRESS) + bytes(18),
    ],
    ids=["an answer", "a question of its owner", "an announcement", "a probe, padded"],
)
def test_what_claims_an_address(packet):
    assert claims(packet, ADDRESS, OURS)


@pytest.mark.parametrize(
    "packet",
    [
        arp(OURS, ADDRESS, NONE, operation=2),
        arp(OURS, NONE, ADDRESS),
        arp(THEIRS, OTHER, ADDRESS),
        arp(THEIRS, NONE, OTHER),
        arp(THEIRS, ADDRESS, NONE, kind=(6, 0x0800, 6, 4)),
        arp(THEIRS, ADDRESS, NONE)[:-1],
        b"",
    ],
    ids=["our own", "our own probe", "a question by another", "a probe of another", "no Ethernet", "cut", "empty"],
)
def test_what_does_not(packet):
    assert not claims(packet, ADDRESS, OURS)
