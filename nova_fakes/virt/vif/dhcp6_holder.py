"""An interface's DHCPv6 client with its sockets: what it says goes out, what it gets goes to the kernel.

A UDP socket and two of netlink, opened inside the instance; they belong to its namespace whatever thread uses them.
Routes and on-link prefixes come from router advertisements, which are the kernel's (RFC 8415 §6).
"""

import _socket
import logging
import os
import socket
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random

from nova_fakes.virt.vif import netlink, rtnetlink
from nova_fakes.virt.vif.dhcp6_client import Client6
from nova_fakes.virt.vif.dhcp6_message import CLIENT_PORT, FOREVER, SERVER_PORT, SERVERS, Lease6, Message6
from nova_fakes.virt.vif.dhcp_holder import mac_of
from nova_fakes.virt.vif.lease_holder import LeaseHolder
from nova_fakes.virt.vif.plan import Seat

__all__ = ["Holder6"]

LOG = logging.getLogger(__name__)

_RECEIVE_BYTES = 2048
#: A leased address stands for itself: what is on the link, the routers say.
_PREFIX_LENGTH = 128
#: Of the calling thread's namespace: address, index, prefix length and scope in hexadecimal, flags, interface.
_ADDRESSES = Path("/proc/thread-self/net/if_inet6")
_GLOBAL = "00"


class Holder6(LeaseHolder[Message6]):
    """An interface that holds an IPv6 lease or looks for one; made in a thread inside its instance.

    :param known: ask again for the address that the interface has already
    :param information: ask for what routers do not tell, and no address
    :raises OSError: the interface is not there
    """

    _client: Client6

    def __init__(self, seat: Seat, chance: Random, now: float, *, known: bool, information: bool = False) -> None:
        self._seat = seat
        self._name = f"eth{seat.ordinal}"
        self._address = _address_of(self._name) if known else None
        self._applied: Lease6 | None = None
        self._client = Client6(mac_of(seat), chance, now, self._address, information=information)
        with ExitStack() as undo:
            self._kernel = undo.enter_context(netlink.Socket())
            self._changes = undo.enter_context(closing(netlink.AddressListener()))
            self._messages = _message_socket(self._name)
            undo.pop_all()

    def descriptors(self) -> Sequence[int]:
        """Return what becomes readable when something has come."""
        return self._messages.fileno(), self._changes.fileno()

    def receive(self, now: float) -> None:
        """Let the client hear what has come, and answer."""
        self._see_duplicates(now)
        while True:
            try:
                payload, sender = self._messages.recvfrom(_RECEIVE_BYTES)
            except OSError:
                return  # there is nothing more, or the link went: the client asks again in its time
            if sender[1] == SERVER_PORT:
                self._send(self._client.receive(payload, now))

    def apply(self) -> None:
        """Give the interface what the client holds now, and take what it holds no more.

        :raises KernelRefused: the kernel takes it not
        """
        lease = self._client.lease
        if lease is self._applied or (lease is None and self._client.looks_for_known):
            return
        self._applied = lease
        address = None if lease is None else lease.address
        messages: list[rtnetlink.Message] = []
        if self._address is not None and address != self._address:
            messages.append(self._fill(rtnetlink.DELETE_ADDRESS6, self._address))
        if lease is not None and address is not None:
            times = {"preferred_s": _lifetime(lease.preferred_s), "valid_s": _lifetime(lease.valid_s)}
            messages.append(self._fill(rtnetlink.LEASED_ADDRESS6, address, **times))
        self._address = address
        self._kernel.send(messages)

    def close(self) -> None:
        """Close the sockets."""
        self._messages.close()
        self._changes.close()
        self._kernel.close()

    def _see_duplicates(self, now: float) -> None:
        """Refuse the address that the kernel has found in use."""
        for kind, change in self._changes.heard():
            if change.duplicate and (change.index, change.address) == (self._seat.index, self._address):
                LOG.warning("%s: another has %s", self._name, socket.inet_ntop(socket.AF_INET6, change.address))
                if kind == rtnetlink.GONE_ADDRESS:  # it keeps, and marks, the endless ones alone
                    self._address = None
                self._client.decline(now)

    def _send(self, messages: Iterable[Message6]) -> None:
        """Send what the client wants to say; what the interface does not take now is said again later."""
        for one in messages:
            try:
                self._messages.sendto(one.encode(), (SERVERS, SERVER_PORT, 0, self._seat.index))
            except OSError as error:
                LOG.debug("%s %s: %s", self._name, one.kind.name, error)

    def _fill(self, template: rtnetlink.Template, address: bytes, **times: int) -> rtnetlink.Message:
        return template.fill(index=self._seat.index, address=address, prefix_length=_PREFIX_LENGTH, **times)


def _lifetime(seconds: int | None) -> int:
    return FOREVER if seconds is None else seconds


def _message_socket(devname: str) -> _socket.socket:
    """Open a socket for the messages of one interface."""
    # Not socket.socket, which eventlet's monkey patching replaces.
    sock = _socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, os.fsencode(devname))
        sock.bind(("::", CLIENT_PORT))
    except BaseException:
        sock.close()
        raise
    return sock


def _address_of(devname: str) -> bytes | None:
    """Return the address that an interface of this thread's namespace has from an earlier lease."""
    for line in _ADDRESSES.read_text().splitlines():
        address, _index, length, scope, _flags, name = line.split()
        if name == devname and scope == _GLOBAL and int(length, 16) == _PREFIX_LENGTH:
            return bytes.fromhex(address)
    return None
