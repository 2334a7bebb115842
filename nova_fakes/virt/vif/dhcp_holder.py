"""An interface's DHCP client with its sockets: what it says goes out, what it gets goes to the kernel.

A packet socket, since a client without an address can have no other, one for ARP, and a netlink socket. All are opened
inside the instance and belong to its namespace whatever thread uses them.
"""

import _socket
import fcntl
import logging
import socket
import struct
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from random import Random

from nova_fakes.virt.vif import netlink, rtnetlink
from nova_fakes.virt.vif.arp import ProbeSocket, attach_filter
from nova_fakes.virt.vif.dhcp_client import Client, Probe, Send, State
from nova_fakes.virt.vif.dhcp_message import BROADCAST, Lease, Route, enclose, open_packet
from nova_fakes.virt.vif.lease_holder import LeaseHolder
from nova_fakes.virt.vif.plan import METRIC_STEP, Seat

__all__ = ["Holder4", "mac_of"]

LOG = logging.getLogger(__name__)

_ETH_IPV4, _ETHERNET = 0x0800, 1
_EVERYBODY = b"\xff" * 6
_SIOCGIFADDR, _SIOCGIFNETMASK = 0x8915, 0x891B
_RECEIVE_BYTES = 2048
#: IPv4 needs 68 bytes (RFC 791); a server that says less is wrong.
_MIN_MTU = 68
#: Passes UDP to port 68 that is no later fragment.
_FILTER = (
    (0x30, 0, 0, 9),  # the protocol
    (0x15, 0, 6, 17),
    (0x28, 0, 0, 6),  # the fragment's offset
    (0x45, 4, 0, 0x1FFF),
    (0xB1, 0, 0, 0),  # the header's length
    (0x48, 0, 0, 2),  # the port
    (0x15, 0, 1, 68),
    (0x06, 0, 0, 0xFFFF),
    (0x06, 0, 0, 0),
)


class Holder4(LeaseHolder[Send | Probe]):
    """An interface that holds an IPv4 lease or looks for one; made in a thread inside its instance.

    :param known: ask again for the address that the interface has already
    :raises OSError: the interface is not there
    """

    _client: Client

    def __init__(self, seat: Seat, mtu: int, chance: Random, now: float, *, known: bool) -> None:
        self._seat = seat
        self._mtu = mtu
        self._name = f"eth{seat.ordinal}"
        self._server_mac = _EVERYBODY
        self._address = _address_of(self._name) if known else None
        known_address = None if self._address is None else self._address[0]
        self._client = Client(mac_of(seat), chance, now, known_address, probing=True)
        self._routes: tuple[Route, ...] = ()
        self._lease_mtu: int | None = None
        with ExitStack() as undo:
            self._kernel = undo.enter_context(netlink.Socket())
            self._arp = undo.enter_context(closing(ProbeSocket(self._name, mac_of(seat))))
            self._packets = _packet_socket(self._name)
            undo.pop_all()

    def descriptors(self) -> Sequence[int]:
        """Return what becomes readable when something has come."""
        return self._packets.fileno(), self._arp.fileno()

    def _send(self, messages: Iterable[Send | Probe]) -> None:
        """Send what the client wants to say; what the interface does not take now is said again later."""
        for one in messages:
            try:
                if isinstance(one, Probe):
                    self._arp.ask(one.address)
                    continue
                packet = enclose(one.message.encode(), one.source, one.destination)
                mac = _EVERYBODY if one.destination == BROADCAST else self._server_mac
                self._packets.sendto(packet, (self._name, _ETH_IPV4, 0, _ETHERNET, mac))
            except OSError as error:
                LOG.debug("%s %s: %s", self._name, one, error)

    def receive(self, now: float) -> None:
        """Let the client hear what has come, and answer."""
        if self._arp.is_claimed() and (refusal := self._client.decline(now)):
            LOG.warning("%s: another has the address that was leased", self._name)
            self._send(refusal)
        while True:
            try:
                packet, sender = self._packets.recvfrom(_RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                return  # the link went; the client asks again in its time
            payload = open_packet(packet)
            if payload is None:
                continue
            had = self._client.lease
            self._send(self._client.receive(payload, now))
            if self._client.lease is not had or self._client.state is State.PROBING:
                self._server_mac = sender[4]

    def apply(self) -> None:
        """Give the interface what the client holds now, and take what it holds no more.

        :raises KernelRefused: the kernel takes some of it not; the rest is as it should be
        """
        lease = self._client.lease
        if lease is None and self._client.looks_for_known:
            return
        address = None if lease is None else (lease.address, lease.prefix_length)
        routes = () if lease is None else lease.routes
        mtu = self._mtu_of(lease)
        messages: list[rtnetlink.Message] = []
        if address != self._address:
            # Were it taken after the new one had come, the kernel would take that too: it would be its secondary.
            if self._address is not None:
                messages.append(self._fill_address(rtnetlink.DELETE_ADDRESS4, *self._address))
            if address is not None:
                messages.append(self._fill_address(rtnetlink.ADDRESS4, *address))
        elif routes != self._routes:
            messages += [self._fill_route(rtnetlink.DELETE_ROUTE4, one) for one in self._routes if one not in routes]
        if lease is not None and (address != self._address or routes != self._routes):
            ordered = sorted(routes, key=lambda one: -one.prefix_length)
            messages += [self._fill_route(rtnetlink.ROUTE4, one, lease) for one in ordered]
        if mtu != self._lease_mtu:
            messages.append(rtnetlink.MTU_INDEX.fill(index=self._seat.index, mtu=mtu or self._mtu))
        self._address, self._routes, self._lease_mtu = address, routes, mtu
        self._kernel.send(messages)

    def close(self) -> None:
        """Close the sockets."""
        self._packets.close()
        self._arp.close()
        self._kernel.close()

    def _mtu_of(self, lease: Lease | None) -> int | None:
        if lease is None or lease.mtu is None or lease.mtu < _MIN_MTU:
            return None
        return min(lease.mtu, self._mtu)

    def _fill_address(self, template: rtnetlink.Template, address: bytes, prefix_length: int) -> rtnetlink.Message:
        return template.fill(index=self._seat.index, address=address, prefix_length=prefix_length)

    def _fill_route(self, template: rtnetlink.Template, route: Route, lease: Lease | None = None) -> rtnetlink.Message:
        outside = lease is not None and any(route.router) and not _holds(lease, route.router)
        return template.fill(
            index=self._seat.index,
            destination=route.destination,
            prefix_length=route.prefix_length,
            nexthop=route.router,
            metric=self._seat.ordinal * METRIC_STEP,
            flags=rtnetlink.ON_LINK if outside else 0,
        )


def mac_of(seat: Seat) -> bytes:
    """Return the MAC of a seat as six bytes."""
    return bytes.fromhex(seat.mac.replace(":", ""))


def _packet_socket(devname: str) -> _socket.socket:
    """Open a socket that hears what comes for a DHCP client at an interface, headers of the link left off."""
    # Not socket.socket, which eventlet's monkey patching replaces.
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    sock = _socket.socket(socket.AF_PACKET, kind, 0)
    try:
        attach_filter(sock, _FILTER)
        sock.bind((devname, _ETH_IPV4))
    except BaseException:
        sock.close()
        raise
    return sock


def _address_of(devname: str) -> tuple[bytes, int] | None:
    """Return the first IPv4 address of an interface of this thread's namespace, with its prefix length."""
    request = struct.pack("16s16x", devname.encode())
    with closing(_socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)) as sock:
        try:
            address = fcntl.ioctl(sock, _SIOCGIFADDR, request)[20:24]
            netmask = fcntl.ioctl(sock, _SIOCGIFNETMASK, request)[20:24]
        except OSError:
            return None
    return address, int.from_bytes(netmask).bit_count()


def _holds(lease: Lease, address: bytes) -> bool:
    """Tell whether an address is in the lease's subnet."""
    return (int.from_bytes(lease.address) ^ int.from_bytes(address)) >> (32 - lease.prefix_length) == 0
