"""DHCP clients at work: one thread drives those of all instances of a fabric and gives the kernel what they get.

Each interface has a packet socket, since a client without an address can have no other, and a netlink socket. Both are
opened inside the instance and belong to its namespace whatever thread uses them, so that this thread goes nowhere.
"""

import _socket
import ctypes
import fcntl
import heapq
import logging
import math
import os
import socket
import struct
from collections.abc import Iterable
from contextlib import closing
from random import Random
from typing import Any

from nova_fakes.clock import Clock
from nova_fakes.exceptions import KernelRefused, RealizerError
from nova_fakes.virt.vif import namespaces, netlink, rtnetlink
from nova_fakes.virt.vif.dhcp_client import Client, Send
from nova_fakes.virt.vif.dhcp_message import BROADCAST, Lease, Route, enclose, open_packet
from nova_fakes.virt.vif.plan import METRIC_STEP, Seat

__all__ = ["Leases"]

LOG = logging.getLogger(__name__)

_ETH_IPV4, _ETHERNET = 0x0800, 1
_EVERYBODY = b"\xff" * 6
_SO_ATTACH_FILTER = 26
_SIOCGIFADDR, _SIOCGIFNETMASK = 0x8915, 0x891B
_RECEIVE_BYTES = 2048
#: EPOLLIN.
_READABLE = 1
#: Nobody sleeps longer: a clock that is moved by hand is looked at now and then.
_LONGEST_SLEEP_S = 3600.0
#: IPv4 needs 68 bytes (RFC 791); a server that says less is wrong.
_MIN_MTU = 68
#: Passes UDP to port 68 that is no later fragment (``linux/filter.h``): code, jump if true, if false, operand.
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


class _Holder:
    """An interface that holds a lease or looks for one; made in a thread inside its instance.

    :param known: address and prefix length that the interface has already
    """

    def __init__(self, seat: Seat, mtu: int, client: Client, known: tuple[bytes, int] | None) -> None:
        self.client = client
        self._seat = seat
        self._mtu = mtu
        self._name = f"eth{seat.ordinal}"
        self._server_mac = _EVERYBODY
        self._address = known
        self._routes: tuple[Route, ...] = ()
        self._lease_mtu: int | None = None
        self._kernel = netlink.Socket()
        try:
            self.packets = _packet_socket(self._name)
        except BaseException:
            self._kernel.close()
            raise

    def send(self, messages: Iterable[Send]) -> None:
        """Send what the client wants to say; what the interface does not take now is said again later."""
        for one in messages:
            packet = enclose(one.message.encode(), one.source, one.destination)
            mac = _EVERYBODY if one.destination == BROADCAST else self._server_mac
            try:
                self.packets.sendto(packet, (self._name, _ETH_IPV4, 0, _ETHERNET, mac))
            except OSError as error:
                LOG.debug("%s %s: %s", self._name, one.message.kind.name, error)

    def receive(self, now: float) -> None:
        """Let the client hear what has come, and answer."""
        while True:
            try:
                packet, sender = self.packets.recvfrom(_RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                return  # the link went; the client asks again in its time
            payload = open_packet(packet)
            if payload is None:
                continue
            had = self.client.lease
            self.send(self.client.receive(payload, now))
            if self.client.lease is not had:
                self._server_mac = sender[4]

    def apply(self) -> None:
        """Give the interface what the client holds now, and take what it holds no more.

        :raises KernelRefused: the kernel takes some of it not; the rest is as it should be
        """
        lease = self.client.lease
        if lease is None and self.client.looks_for_known:
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
        self.packets.close()
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


class Leases:
    """The clients of a fabric's instances, by VIF id. `ask` is for a thread inside the instance, the others for any.

    :param clock: by which leases run out
    :param chance: for transaction numbers and the spread of repetitions
    """

    def __init__(self, clock: Clock, chance: Random) -> None:
        self._clock = clock
        self._chance = chance
        self._threading = namespaces.native_threading()
        self._lock = self._threading.Lock()
        self._holders: dict[str, _Holder] = {}
        self._by_descriptor: dict[int, str] = {}
        self._due: list[tuple[float, str]] = []
        self._closing = False
        self._poll = namespaces.native_select().epoll()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll.register(self._bell, _READABLE)
        self._thread: Any = None

    def ask(self, vif_id: str, seat: Seat, mtu: int, *, known: bool = False) -> None:
        """Start a client for an interface of the namespace in which the calling thread is; once is enough.

        :param mtu: the interface's, bytes; a server may lower it
        :param known: the interface has an address from an earlier lease, which is asked for again
        :raises RealizerError: the interface is not there
        """
        with self._lock:
            if vif_id in self._holders:
                return
            address = _address_of(f"eth{seat.ordinal}") if known else None
            mac = bytes.fromhex(seat.mac.replace(":", ""))
            now = self._clock.monotonic()
            client = Client(mac, self._chance, now, None if address is None else address[0])
            try:
                holder = _Holder(seat, mtu, client, address)
            except OSError as error:
                raise RealizerError(f"eth{seat.ordinal} cannot ask for an address: {error}") from error
            self._holders[vif_id] = holder
            self._by_descriptor[holder.packets.fileno()] = vif_id
            self._poll.register(holder.packets.fileno(), _READABLE)
            heapq.heappush(self._due, (client.due, vif_id))
            if self._thread is None:
                self._thread = self._threading.Thread(target=self._run, name="leases", daemon=True)
                self._thread.start()
        self.ring()

    def stop(self, vif_ids: Iterable[str]) -> None:
        """Give the leases of these interfaces back and end their clients; those that have none are passed over."""
        with self._lock:
            for vif_id in vif_ids:
                holder = self._holders.pop(vif_id, None)
                if holder is not None:
                    farewell = holder.client.release()
                    if farewell is not None:
                        holder.send([farewell])
                    self._end(holder)

    def reboot(self, vif_ids: Iterable[str]) -> None:
        """Have the addresses of these interfaces confirmed: they have their link again."""
        with self._lock:
            for vif_id in vif_ids:
                holder = self._holders.get(vif_id)
                if holder is not None:
                    holder.client.reboot(self._clock.monotonic())
                    heapq.heappush(self._due, (holder.client.due, vif_id))
        self.ring()

    def lease(self, vif_id: str) -> Lease | None:
        """Return what an interface holds, None where it holds nothing."""
        with self._lock:
            holder = self._holders.get(vif_id)
            return None if holder is None else holder.client.lease

    def ring(self) -> None:
        """Have the thread look at the clock."""
        os.eventfd_write(self._bell, 1)

    def close(self) -> None:
        """End all clients; the interfaces keep what they have, and the servers are not told."""
        with self._lock:
            self._closing = True
        self.ring()
        if self._thread is not None:
            self._thread.join()
        for holder in self._holders.values():
            holder.close()
        self._holders.clear()
        self._poll.close()
        os.close(self._bell)

    def _end(self, holder: _Holder) -> None:
        del self._by_descriptor[holder.packets.fileno()]
        self._poll.unregister(holder.packets.fileno())
        holder.close()

    def _run(self) -> None:
        while True:
            events = self._poll.poll(self._rest())
            with self._lock:
                if self._closing:
                    return
                now = self._clock.monotonic()
                touched: dict[str, None] = {}
                for descriptor, _event in events:
                    vif_id = self._by_descriptor.get(descriptor)
                    if vif_id is not None:
                        self._holders[vif_id].receive(now)
                        touched[vif_id] = None
                    elif descriptor == self._bell:
                        os.eventfd_read(self._bell)
                while self._due and self._due[0][0] <= now:
                    _due, vif_id = heapq.heappop(self._due)
                    holder = self._holders.get(vif_id)
                    if holder is not None and holder.client.due <= now:  # else another entry tells when it is due
                        holder.send(holder.client.wake(now))
                        touched[vif_id] = None
                for vif_id in touched:
                    self._settle(vif_id)

    def _settle(self, vif_id: str) -> None:
        holder = self._holders[vif_id]
        try:
            holder.apply()
        except (KernelRefused, OSError) as error:
            LOG.warning("VIF %s: the lease cannot be used whole: %s", vif_id, error)
        if holder.client.due < math.inf:
            heapq.heappush(self._due, (holder.client.due, vif_id))

    def _rest(self) -> float:
        with self._lock:
            if not self._due:
                return _LONGEST_SLEEP_S
            return min(_LONGEST_SLEEP_S, max(0.0, self._due[0][0] - self._clock.monotonic()))


def _packet_socket(devname: str) -> _socket.socket:
    """Open a socket that hears what comes for a DHCP client at an interface, headers of the link left off."""
    # Not socket.socket, which eventlet's monkey patching replaces.
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    sock = _socket.socket(socket.AF_PACKET, kind, 0)
    try:
        code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in _FILTER))
        program = struct.pack("@HP", len(_FILTER), ctypes.addressof(code))
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
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
