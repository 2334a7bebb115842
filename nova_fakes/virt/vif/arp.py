"""Whether another has an IPv4 address: ARP probes, and what answers them (RFC 5227 §2.1)."""

import _socket
import ctypes
import socket
import struct
from collections.abc import Sequence

__all__ = ["ProbeSocket", "attach_filter", "claims"]

_ETH_ARP, _ETHERNET = 0x0806, 1
_EVERYBODY = b"\xff" * 6
_SO_ATTACH_FILTER = 26
#: Hardware and protocol type, their lengths, operation; sender's MAC and address, target's.
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_IPV4_OVER_ETHERNET = (1, 0x0800, 6, 4)
_REQUEST = 1
_RECEIVE_BYTES = 64
_NOTHING = ((0x06, 0, 0, 0),)


class ProbeSocket:
    """Asks at an interface who has an address; made in a thread inside its instance.

    :param mac: the interface's
    :raises OSError: the interface is not there
    """

    def __init__(self, devname: str, mac: bytes) -> None:
        self._name, self._mac = devname, mac
        self._address: bytes | None = None
        # Not socket.socket, which eventlet's monkey patching replaces.
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = _socket.socket(socket.AF_PACKET, kind, 0)
        try:
            # Nobody is woken by the network's ARP while nothing is asked.
            attach_filter(self._socket, _NOTHING)
            self._socket.bind((devname, _ETH_ARP))
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when somebody has spoken of the address."""
        return self._socket.fileno()

    def ask(self, address: bytes) -> None:
        """Ask who has an address.

        :raises OSError: the interface does not take it now
        """
        if address != self._address:
            attach_filter(self._socket, _speaking_of(address))
            self._address = address
        probe = _ARP.pack(*_IPV4_OVER_ETHERNET, _REQUEST, self._mac, bytes(4), bytes(6), address)
        self._socket.sendto(probe, (self._name, _ETH_ARP, 0, _ETHERNET, _EVERYBODY))

    def is_claimed(self) -> bool:
        """Tell whether, since this was asked last, another has claimed the address that was asked for."""
        found = False
        while True:
            try:
                packet = self._socket.recv(_RECEIVE_BYTES)
            except OSError:
                return found  # there is nothing more, or the link went
            found = found or (self._address is not None and claims(packet, self._address, self._mac))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def claims(packet: bytes, address: bytes, mac: bytes) -> bool:
    """Tell whether a packet says that another than `mac` has the address, or probes for it too."""
    if len(packet) < _ARP.size:
        return False
    *kind, _operation, sender, source, _target_mac, target = _ARP.unpack_from(packet)
    if tuple(kind) != _IPV4_OVER_ETHERNET or sender == mac:
        return False
    return source == address or (not any(source) and target == address)


def attach_filter(sock: _socket.socket, steps: Sequence[tuple[int, int, int, int]]) -> None:
    """Let a packet socket hear only what a program passes (``linux/filter.h``): code, jump if true, if false, operand.

    :raises OSError: the kernel refuses it
    """
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = struct.pack("@HP", len(steps), ctypes.addressof(code))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _speaking_of(address: bytes) -> tuple[tuple[int, int, int, int], ...]:
    """Pass ARP in which the address is the sender's or the target's."""
    number = int.from_bytes(address)
    return (
        (0x20, 0, 0, 14),
        (0x15, 2, 0, number),
        (0x20, 0, 0, 24),
        (0x15, 0, 1, number),
        (0x06, 0, 0, 0xFFFF),
        (0x06, 0, 0, 0),
    )
