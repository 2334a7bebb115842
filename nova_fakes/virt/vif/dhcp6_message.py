"""DHCPv6 messages as bytes, and what a server's says (RFC 8415).

What cannot be read is None and not an error: it came from the network, and the protocol's answer to it is silence.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType

__all__ = [
    "CLIENT_PORT",
    "FOREVER",
    "SERVERS",
    "SERVER_PORT",
    "Kind6",
    "Lease6",
    "Message6",
    "Option6",
    "Status",
    "duid_of",
    "encode_association",
    "status_of",
]

SERVER_PORT, CLIENT_PORT = 547, 546
#: All_DHCP_Relay_Agents_and_Servers.
SERVERS = "ff02::1:2"
#: A lifetime that never ends.
FOREVER = 0xFFFFFFFF

_OPTION = struct.Struct("!HH")
#: IAID, T1, T2 (§21.4); address, preferred and valid lifetime (§21.6).
_ASSOCIATION, _ADDRESS = struct.Struct("!4sII"), struct.Struct("!16sII")
_DUID_LL, _ETHERNET = 3, 1
_ADDRESS_BYTES = 16
#: What a server that names no T1 or T2 leaves to the client is half and four fifths of the preferred lifetime (§21.4).
_RENEWAL, _REBINDING = 0.5, 0.8
#: However little a server grants, it is not asked without a pause.
_SHORTEST_RENEWAL_S = 1.0


class Kind6(IntEnum):
    """What a message is (§7.3)."""

    SOLICIT = 1
    ADVERTISE = 2
    REQUEST = 3
    CONFIRM = 4
    RENEW = 5
    REBIND = 6
    REPLY = 7
    RELEASE = 8
    DECLINE = 9
    INFORMATION_REQUEST = 11


class Option6(IntEnum):
    """The options that are used here (§21; RFC 3646 of DNS)."""

    CLIENT = 1
    SERVER = 2
    ASSOCIATION = 3
    ADDRESS = 5
    WANTED = 6
    PREFERENCE = 7
    ELAPSED_TIME = 8
    STATUS = 13
    DNS = 23
    REFRESH_TIME = 32
    LONGEST_SOLICIT_WAIT = 82
    LONGEST_INFORMATION_WAIT = 83


class Status(IntEnum):
    """What became of a request (§21.13)."""

    SUCCESS = 0
    UNSPECIFIED_FAILURE = 1
    NO_ADDRESSES = 2
    NO_BINDING = 3
    NOT_ON_LINK = 4
    USE_MULTICAST = 5


@dataclass(frozen=True, slots=True)
class Message6:
    """A message; `xid` has 24 bits. Of an option that comes several times the first counts."""

    kind: Kind6
    xid: int
    options: Mapping[int, bytes] = field(default_factory=lambda: MappingProxyType({}))

    def encode(self) -> bytes:
        """Return the message as bytes."""
        return bytes([self.kind]) + self.xid.to_bytes(3) + _encode(self.options.items())

    @classmethod
    def decode(cls, data: bytes) -> "Message6 | None":
        """Return the message that the bytes are, None where they are none."""
        if len(data) < 4 or data[0] not in Kind6._value2member_map_:
            return None
        options = _decode(data[4:])
        if options is None:
            return None
        found: dict[int, bytes] = {}
        for code, value in options:
            found.setdefault(code, value)
        return cls(Kind6(data[0]), int.from_bytes(data[1:4]), MappingProxyType(found))


@dataclass(frozen=True, slots=True)
class Lease6:
    """What a server grants; times in seconds, None for ever. `address` is None where it gives information alone."""

    address: bytes | None
    server: bytes
    dns: tuple[bytes, ...]
    preferred_s: int | None
    valid_s: int | None
    renewal_s: float | None
    rebinding_s: float | None

    @classmethod
    def from_message(cls, message: Message6, iaid: bytes) -> "Lease6 | None":
        """Read the grant of an ADVERTISE or REPLY; None where it grants nothing to that association.

        The first address that lives counts: Neutron gives a port one of each subnet, and an association has one subnet.
        """
        options = message.options
        granted = _granted(options.get(Option6.ASSOCIATION, b""), iaid)
        server = options.get(Option6.SERVER, b"")
        if granted is None or not server:
            return None
        address, preferred, valid, renewal, rebinding = granted
        if not 0 < renewal <= rebinding:
            # Zero leaves it to us; a rebinding before the renewal is nonsense (§21.4).
            lives = preferred or valid
            renewal, rebinding = (FOREVER if lives == FOREVER else part * lives for part in (_RENEWAL, _REBINDING))
        return cls(
            address=address,
            server=server,
            dns=_addresses(options.get(Option6.DNS, b"")),
            preferred_s=None if preferred == FOREVER else preferred,
            valid_s=None if valid == FOREVER else valid,
            renewal_s=None if renewal == FOREVER else max(_SHORTEST_RENEWAL_S, min(renewal, valid)),
            rebinding_s=None if rebinding == FOREVER else max(_SHORTEST_RENEWAL_S, min(rebinding, valid)),
        )

    @classmethod
    def of_information(cls, message: Message6) -> "Lease6":
        """Read a REPLY that gives information alone; `renewal_s` is when it is to be asked for again (§21.23)."""
        options = message.options
        refresh = options.get(Option6.REFRESH_TIME, b"")
        refresh_s = int.from_bytes(refresh) if len(refresh) == 4 else _DEFAULT_REFRESH_S
        return cls(
            address=None,
            server=options.get(Option6.SERVER, b""),
            dns=_addresses(options.get(Option6.DNS, b"")),
            preferred_s=None,
            valid_s=None,
            renewal_s=None if refresh_s == FOREVER else float(max(_SHORTEST_REFRESH_S, refresh_s)),
            rebinding_s=None,
        )


#: IRT_DEFAULT and IRT_MINIMUM (§7.6).
_DEFAULT_REFRESH_S, _SHORTEST_REFRESH_S = 86_400, 600


def duid_of(mac: bytes) -> bytes:
    """Return the DUID of an interface that has its MAC for good (DUID-LL, §11.4)."""
    return struct.pack("!HH", _DUID_LL, _ETHERNET) + mac


def encode_association(iaid: bytes, address: bytes | None = None) -> bytes:
    """Encode an association of addresses, without wishes for times; with the address that it has or would like."""
    inner = [] if address is None else [(Option6.ADDRESS, _ADDRESS.pack(address, 0, 0))]
    return _ASSOCIATION.pack(iaid, 0, 0) + _encode(inner)


def status_of(message: Message6) -> Status:
    """Return what became of a request, by the worst that the message says of itself or of its association."""
    places = [message.options, dict(_decode(message.options.get(Option6.ASSOCIATION, b"")[_ASSOCIATION.size :]) or ())]
    codes = [int.from_bytes(place[Option6.STATUS][:2]) for place in places if Option6.STATUS in place]
    worst = next((code for code in codes if code != Status.SUCCESS), Status.SUCCESS)
    return Status(worst) if worst in Status._value2member_map_ else Status.UNSPECIFIED_FAILURE


def _granted(association: bytes, iaid: bytes) -> tuple[bytes, int, int, float, float] | None:
    """Return the first address of an association that lives, with preferred and valid lifetime, T1 and T2."""
    if len(association) < _ASSOCIATION.size:
        return None
    own, renewal, rebinding = _ASSOCIATION.unpack_from(association)
    if own != iaid:
        return None
    for code, value in _decode(association[_ASSOCIATION.size :]) or ():
        if code == Option6.ADDRESS and len(value) >= _ADDRESS.size:
            address, preferred, valid = _ADDRESS.unpack_from(value)
            if valid and preferred <= valid:
                return address, preferred, valid, renewal, rebinding
    return None


def _encode(options: Iterable[tuple[int, bytes]]) -> bytes:
    return b"".join(_OPTION.pack(code, len(value)) + value for code, value in options)


def _decode(data: bytes) -> list[tuple[int, bytes]] | None:
    """Read options; None where one reaches beyond the end."""
    found = []
    position = 0
    while position < len(data):
        if position + _OPTION.size > len(data):
            return None
        code, length = _OPTION.unpack_from(data, position)
        position += _OPTION.size
        if position + length > len(data):
            return None
        found.append((code, data[position : position + length]))
        position += length
    return found


def _addresses(data: bytes) -> tuple[bytes, ...]:
    whole = len(data) // _ADDRESS_BYTES * _ADDRESS_BYTES
    return tuple(data[start : start + _ADDRESS_BYTES] for start in range(0, whole, _ADDRESS_BYTES))
