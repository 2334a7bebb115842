"""DHCP messages as bytes: the fixed part, the options, and the IPv4 and UDP headers around them.

RFC 2131 (messages), RFC 2132 (options), RFC 3396 (long options), RFC 3442 (classless routes). What cannot be read is
None and not an error: it came from the network, and the protocol's answer to it is silence.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType

__all__ = [
    "ANY",
    "BROADCAST",
    "CLIENT_PORT",
    "SERVER_PORT",
    "Kind",
    "Lease",
    "Message",
    "Option",
    "Route",
    "enclose",
    "open_packet",
]

SERVER_PORT, CLIENT_PORT = 67, 68
ANY, BROADCAST = bytes(4), b"\xff" * 4
#: A lease that never ends.
FOREVER = 0xFFFFFFFF

_COOKIE = b"\x63\x82\x53\x63"
#: op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file (RFC 2131 §2).
_FIXED = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
_REQUEST, _REPLY, _ETHERNET = 1, 2, 1
_PAD, _END = 0, 255
_UDP = 17
#: Relay agents and old servers drop what is shorter (RFC 1542 §2.1).
_SHORTEST = 300
_LONGEST_OPTION = 255


class Kind(IntEnum):
    """What a message is."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7


class Option(IntEnum):
    """The options that are used here."""

    NETMASK = 1
    ROUTER = 3
    DNS = 6
    MTU = 26
    REQUESTED_ADDRESS = 50
    LEASE_TIME = 51
    OVERLOAD = 52
    KIND = 53
    SERVER = 54
    PARAMETERS = 55
    LARGEST_MESSAGE = 57
    RENEWAL_TIME = 58
    REBINDING_TIME = 59
    CLIENT = 61
    CLASSLESS_ROUTES = 121


@dataclass(frozen=True, slots=True)
class Message:
    """A message; addresses are four bytes, `mac` six, `secs` seconds since its sender began."""

    kind: Kind
    xid: int
    mac: bytes
    client: bytes = ANY
    yours: bytes = ANY
    secs: int = 0
    options: Mapping[int, bytes] = field(default_factory=lambda: MappingProxyType({}))

    def encode(self) -> bytes:
        """Return the message as bytes; a client's are requests, a server's replies."""
        reply = self.kind in (Kind.OFFER, Kind.ACK, Kind.NAK)
        fixed = _FIXED.pack(
            _REPLY if reply else _REQUEST,
            _ETHERNET,
            len(self.mac),
            0,
            self.xid,
            min(self.secs, 0xFFFF),
            0,
            self.client,
            self.yours,
            ANY,
            ANY,
            self.mac,
            b"",
            b"",
        )
        options = b"".join(_encode_option(code, value) for code, value in self.options.items())
        kind = _encode_option(Option.KIND, bytes([self.kind]))
        return (fixed + _COOKIE + kind + options + bytes([_END])).ljust(_SHORTEST, bytes([_PAD]))

    @classmethod
    def decode(cls, data: bytes) -> "Message | None":
        """Return the message that the bytes are, None where they are none."""
        if len(data) < _FIXED.size + len(_COOKIE) or data[_FIXED.size : _FIXED.size + len(_COOKIE)] != _COOKIE:
            return None
        fields = _FIXED.unpack_from(data)
        _op, hardware, length, _hops, xid, secs, _flags, client, yours, _next, _relay, chaddr, sname, file = fields
        if hardware != _ETHERNET or length != 6:
            return None
        options = _decode_options(data[_FIXED.size + len(_COOKIE) :], sname, file)
        if options is None:
            return None
        kinds = options.pop(Option.KIND, b"")
        if len(kinds) != 1 or kinds[0] not in Kind._value2member_map_:
            return None
        return cls(Kind(kinds[0]), xid, chaddr[:length], client, yours, secs, MappingProxyType(options))


@dataclass(frozen=True, slots=True)
class Route:
    """A route that a server gives: `router` is zero where the destination is on the link itself."""

    destination: bytes
    prefix_length: int
    router: bytes


@dataclass(frozen=True, slots=True)
class Lease:
    """What a server grants; times in seconds, None for ever."""

    address: bytes
    prefix_length: int
    server: bytes
    routes: tuple[Route, ...]
    dns: tuple[bytes, ...]
    mtu: int | None
    lease_s: int | None
    renewal_s: float | None
    rebinding_s: float | None

    @classmethod
    def from_message(cls, message: Message) -> "Lease | None":
        """Read a server's OFFER or ACK; None where it grants nothing that could be used.

        Times that make no sense (renewal after the end) are those of RFC 2131 §4.4.5: half, and seven eighths.
        """
        options = message.options
        netmask, server = options.get(Option.NETMASK, b""), options.get(Option.SERVER, b"")
        time = options.get(Option.LEASE_TIME, b"")
        prefix_length = _prefix_length(netmask)
        if message.yours == ANY or len(server) != 4 or len(time) != 4 or prefix_length is None:
            return None
        lease_s = int.from_bytes(time)
        mtu = options.get(Option.MTU, b"")
        renewal_s, rebinding_s = _times(options, lease_s)
        eternal = lease_s == FOREVER
        return cls(
            address=message.yours,
            prefix_length=prefix_length,
            server=server,
            routes=_routes(options),
            dns=_addresses(options.get(Option.DNS, b"")),
            mtu=int.from_bytes(mtu) if len(mtu) == 2 else None,
            lease_s=None if eternal else lease_s,
            renewal_s=None if eternal else renewal_s,
            rebinding_s=None if eternal else rebinding_s,
        )


def enclose(payload: bytes, source: bytes, destination: bytes) -> bytes:
    """Put a client's message into UDP and IPv4.

    :param source: of the client, zero while it has none
    """
    length = 8 + len(payload)
    pseudo_header = source + destination + struct.pack("!BBH", 0, _UDP, length)
    head = struct.pack("!HHH", CLIENT_PORT, SERVER_PORT, length)
    # Zero would say that there is no checksum (RFC 768).
    checksum = _checksum(pseudo_header + head + b"\0\0" + payload) or 0xFFFF
    udp = head + struct.pack("!H", checksum) + payload
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0xC0, 20 + length, 0, 0, 64, _UDP, 0, source, destination)
    return ip[:10] + struct.pack("!H", _checksum(ip)) + ip[12:] + udp


def open_packet(packet: bytes) -> bytes | None:
    """Take a server's message out of an IPv4 packet; None where there is none for a client in it.

    UDP's checksum is not looked at: a server on the same machine leaves it to hardware that is not there.
    """
    if len(packet) < 28 or packet[0] >> 4 != 4 or packet[9] != _UDP:
        return None
    header = (packet[0] & 15) * 4
    total, fragment = struct.unpack_from("!H2xH", packet, 2)
    if not 20 <= header <= total - 8 or total > len(packet) or fragment & 0x3FFF or _checksum(packet[:header]):
        return None
    source, destination, length = struct.unpack_from("!HHH", packet, header)
    if (source, destination) != (SERVER_PORT, CLIENT_PORT) or not 8 <= length <= total - header:
        return None
    return packet[header + 8 : header + length]


def _encode_option(code: int, value: bytes) -> bytes:
    parts = [value[start : start + _LONGEST_OPTION] for start in range(0, len(value), _LONGEST_OPTION)] or [b""]
    return b"".join(bytes([code, len(part)]) + part for part in parts)


def _decode_options(data: bytes, sname: bytes, file: bytes) -> dict[int, bytes] | None:
    """Read the options, where a server ran out of room in the fields of name and file too; None for nonsense."""
    found: dict[int, bytes] = {}
    if not _collect(data, found):
        return None
    overload = found.pop(Option.OVERLOAD, b"\0")[:1]
    for bit, area in ((1, file), (2, sname)):
        if overload and overload[0] & bit and not _collect(area, found):
            return None
    return found


def _collect(data: bytes, found: dict[int, bytes]) -> bool:
    """Add an area's options; those that come several times are one in pieces (RFC 3396 §7)."""
    position = 0
    while position < len(data):
        code = data[position]
        position += 1
        if code == _END:
            return True
        if code == _PAD:
            continue
        if position >= len(data) or position + 1 + data[position] > len(data):
            return False
        end = position + 1 + data[position]
        found[code] = found.get(code, b"") + data[position + 1 : end]
        position = end
    return True


def _routes(options: Mapping[int, bytes]) -> tuple[Route, ...]:
    """Return the classless routes, or else a default route by the first router: never both (RFC 3442)."""
    classless = _classless_routes(options.get(Option.CLASSLESS_ROUTES, b""))
    if classless:
        return classless
    routers = _addresses(options.get(Option.ROUTER, b""))
    return (Route(ANY, 0, routers[0]),) if routers else ()


def _classless_routes(data: bytes) -> tuple[Route, ...]:
    """Read ``width, significant octets of the destination, router`` as often as it comes; none where one is broken."""
    routes = []
    position = 0
    while position < len(data):
        width = data[position]
        end = position + 1 + (width + 7) // 8
        if width > 32 or end + 4 > len(data):
            return ()
        mask = (0xFFFFFFFF << (32 - width)) & 0xFFFFFFFF
        destination = int.from_bytes(data[position + 1 : end].ljust(4, b"\0")) & mask
        routes.append(Route(destination.to_bytes(4), width, data[end : end + 4]))
        position = end + 4
    return tuple(routes)


def _times(options: Mapping[int, bytes], lease_s: int) -> tuple[float, float]:
    renewal, rebinding = (
        int.from_bytes(options[code]) if len(options.get(code, b"")) == 4 else None
        for code in (Option.RENEWAL_TIME, Option.REBINDING_TIME)
    )
    if renewal is not None and rebinding is not None and 0 < renewal <= rebinding <= lease_s:
        return renewal, rebinding
    return lease_s * 0.5, lease_s * 0.875


def _addresses(data: bytes) -> tuple[bytes, ...]:
    return tuple(data[start : start + 4] for start in range(0, len(data) // 4 * 4, 4))


def _prefix_length(netmask: bytes) -> int | None:
    if len(netmask) != 4:
        return None
    inverse = int.from_bytes(netmask) ^ 0xFFFFFFFF
    return None if inverse & (inverse + 1) else 32 - inverse.bit_length()


def _checksum(data: bytes) -> int:
    """Compute the Internet checksum (RFC 1071)."""
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
