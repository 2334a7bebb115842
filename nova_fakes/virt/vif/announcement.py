"""Frames by which an instance tells its network where it is now: ARP, neighbour advertisement, RARP.

After a live migration the bridges still send the instance's frames to where it was. One frame from it teaches every
bridge that it crosses; one for each address also teaches the neighbours (RFC 5227 §3, RFC 4861 §7.2.6). An interface
without addresses sends a RARP request, as QEMU does.
"""

import _socket
import errno
import socket
import struct

from nova_fakes.virt.vif.plan import Interface

__all__ = ["Announcer", "frames"]

_BROADCAST = b"\xff" * 6
_ALL_NODES_MAC = bytes.fromhex("333300000001")
_ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
_ETH_ARP, _ETH_RARP, _ETH_IPV6 = 0x0806, 0x8035, 0x86DD
_ICMPV6, _NEIGHBOUR_ADVERTISEMENT, _OVERRIDE, _TARGET_LINK_LAYER = 58, 136, 0x20000000, 2
_ARP_REQUEST, _RARP_REQUEST = 1, 3


class Announcer:
    """Sends an interface's announcements; made ahead, in a thread inside the instance's namespace, it sends at once."""

    def __init__(self, interface: Interface) -> None:
        self._frames = frames(interface)
        self._socket = _socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        try:
            self._socket.bind((interface.name, 0))
        except OSError:
            self._socket.close()
            raise

    def send(self) -> None:
        """Send every announcement once; an interface that the guest has taken down says nothing.

        :raises OSError: the interface is gone
        """
        for frame in self._frames:
            try:
                self._socket.send(frame)
            except OSError as error:
                if error.errno != errno.ENETDOWN:
                    raise

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def frames(interface: Interface) -> tuple[bytes, ...]:
    """Build the announcements of an interface: one for each address, or a RARP request where it has none."""
    mac = interface.mac
    found = tuple(
        _gratuitous_arp(mac, guest.address) if len(guest.address) == 4 else _advertisement(mac, guest.address)
        for guest in interface.addresses
    )
    return found or (_arp(mac, _ETH_RARP, _RARP_REQUEST, bytes(4), mac),)


def _gratuitous_arp(mac: bytes, address: bytes) -> bytes:
    return _arp(mac, _ETH_ARP, _ARP_REQUEST, address, bytes(6))


def _arp(mac: bytes, ether_type: int, operation: int, address: bytes, target: bytes) -> bytes:
    header = struct.pack("!6s6sHHHBBH", _BROADCAST, mac, ether_type, 1, 0x0800, 6, 4, operation)
    return header + mac + address + target + address


def _advertisement(mac: bytes, address: bytes) -> bytes:
    message = struct.pack("!BBHI", _NEIGHBOUR_ADVERTISEMENT, 0, 0, _OVERRIDE) + address
    message += struct.pack("!BB", _TARGET_LINK_LAYER, 1) + mac
    pseudo_header = address + _ALL_NODES + struct.pack("!II", len(message), _ICMPV6)
    message = message[:2] + struct.pack("!H", _checksum(pseudo_header + message)) + message[4:]
    # Hop limit 255 proves to the receiver that no router forwarded it (RFC 4861 §7.1.2).
    ip = struct.pack("!IHBB", 6 << 28, len(message), _ICMPV6, 255) + address + _ALL_NODES
    return struct.pack("!6s6sH", _ALL_NODES_MAC, mac, _ETH_IPV6) + ip + message


def _checksum(data: bytes) -> int:
    """Compute the Internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
