"""Sending route netlink: many messages in one system call, and answers where they are wanted.

The kernel handles a netlink message inside ``send()`` and queues an answer only where one was asked for or something
failed. So a batch is one system call without acknowledgements, and a second that finds the queue empty (RFC 3549,
``net/netlink/af_netlink.c``).
"""

import _socket
import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence

from nova_fakes.exceptions import KernelRefused
from nova_fakes.virt.vif import rtnetlink
from nova_fakes.virt.vif.rtnetlink import Address, Link
from nova_fakes.virt.vif.template import HEADER, Message

__all__ = ["AddressListener", "Socket"]

_SEQUENCE = struct.Struct("=I")
_SEQUENCE_OFFSET = 8
_RECEIVE_BYTES = 1 << 16
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_SOL_NETLINK, _EXT_ACK, _CAP_ACK = 270, 11, 10
_ERROR_MESSAGE = 1
#: RTMGRP_IPV6_IFADDR.
_IPV6_ADDRESSES = 0x100


class Socket:
    """A route netlink socket of the namespace in which the calling thread is when it makes it.

    Not safe for several threads at once; its owner serialises.
    """

    def __init__(self) -> None:
        # Not socket.socket: under eventlet's monkey patching that one never says that there is nothing to read.
        self._socket = _socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        self._sequence = 0

    def __enter__(self) -> "Socket":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(self, messages: Sequence[Message]) -> None:
        """Send the messages in one system call; the kernel has handled them all when this returns.

        :raises KernelRefused: the kernel refused some; its ``failed`` lists their positions, the others were handled
        """
        if not messages:
            return
        first = self._sequence + 1
        sequence, place = self._sequence, _SEQUENCE_OFFSET
        batch = bytearray().join([data for _template, data in messages])
        for _template, data in messages:
            sequence += 1
            _SEQUENCE.pack_into(batch, place, sequence & 0xFFFFFFFF)
            place += len(data)
        self._sequence = sequence
        self._socket.send(batch)
        refusals: dict[int, tuple[int, bytes]] = {}
        while True:
            try:
                answer = self._socket.recv(_RECEIVE_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            for kind, sequence, body in _split(answer):
                position = (sequence - first) & 0xFFFFFFFF
                if kind == _NLMSG_ERROR and (code := -struct.unpack_from("=i", body)[0]) and position < len(messages):
                    refusals[position] = (code, body)
        if refusals:
            failed = tuple(sorted(refusals))
            each = {place: _refusal(messages[place].template.summary, *refusals[place], failed) for place in failed}
            error = each[failed[0]]
            error.each = each
            raise error

    def link(self, devname: str) -> Link | None:
        """Look an interface up by name; None where there is none."""
        return next(self._ask(rtnetlink.GET_LINK.fill(devname=rtnetlink.name(devname))), None)

    def links(self) -> list[Link]:
        """List the namespace's interfaces."""
        return list(self._ask(rtnetlink.GET_LINKS.fill()))

    def guest_link(self, nsid: int, index: int) -> Link | None:
        """Look an interface of another namespace up, by that namespace's number here; None where there is none."""
        return next(self._ask(rtnetlink.GET_GUEST_LINK.fill(nsid=nsid, index=index)), None)

    def nsid(self, fd: int) -> int:
        """Return the number under which this namespace knows the one behind the descriptor; gives it one first.

        :raises KernelRefused: the descriptor is no network namespace, or not one that we may manage
        """
        for _attempt in range(2):
            for _kind, body in self._request(rtnetlink.GET_NSID.fill(fd=fd)):
                number = rtnetlink.nsid_of(body)
                if number >= 0:
                    return number
            try:
                self.send([rtnetlink.NEW_NSID.fill(fd=fd)])
            except KernelRefused as error:
                if error.errno != errno.EEXIST:  # another thread was faster
                    raise
        raise KernelRefused(rtnetlink.GET_NSID.summary, errno.ENOENT, "")

    def _ask(self, message: Message) -> Iterator[Link]:
        try:
            for kind, body in self._request(message):
                if kind == rtnetlink.NEW_LINK:
                    yield rtnetlink.link_of(body)
        except KernelRefused as error:
            if error.errno not in (errno.ENODEV, errno.EINVAL):
                raise

    def _request(self, message: Message) -> list[tuple[int, bytes]]:
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        data = bytearray(message.data)
        _SEQUENCE.pack_into(data, _SEQUENCE_OFFSET, self._sequence)
        self._socket.send(data)
        answers: list[tuple[int, bytes]] = []
        dump = struct.unpack_from("=H", message.data, 6)[0] & rtnetlink.DUMP == rtnetlink.DUMP
        while True:
            for kind, sequence, body in _split(self._socket.recv(_RECEIVE_BYTES)):
                if sequence != self._sequence:
                    continue
                if kind == _NLMSG_ERROR and (code := -struct.unpack_from("=i", body)[0]):
                    raise _refusal(message.template.summary, code, body)
                if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                    return answers
                answers.append((kind, body))
            if answers and not dump:
                return answers


class AddressListener:
    """Hears what becomes of the IPv6 addresses of the namespace in which the calling thread is when it makes it."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = _socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        try:
            self._socket.bind((0, _IPV6_ADDRESSES))
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when something has happened."""
        return self._socket.fileno()

    def heard(self) -> Iterator[tuple[int, Address]]:
        """Tell what has happened since it was asked last: `rtnetlink.NEW_ADDRESS` or `GONE_ADDRESS`, and to which."""
        while True:
            try:
                answer = self._socket.recv(_RECEIVE_BYTES)
            except OSError:
                return  # there is nothing more, or more has happened than the kernel could keep
            for kind, _sequence, body in _split(answer):
                yield kind, rtnetlink.address_of(body)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _split(answer: bytes) -> Iterator[tuple[int, int, bytes]]:
    offset = 0
    while offset + HEADER.size <= len(answer):
        length, kind, _flags, sequence, _port = HEADER.unpack_from(answer, offset)
        yield kind, sequence, answer[offset + HEADER.size : offset + length]
        offset += (length + 3) & ~3


def _refusal(summary: str, code: int, body: bytes, failed: tuple[int, ...] = ()) -> KernelRefused:
    # nlmsgerr: the error, the header of the refused message (its body is capped away), then NLMSGERR_ATTR_MSG.
    text = rtnetlink.attributes(body, 4 + HEADER.size).get(_ERROR_MESSAGE, b"").rstrip(b"\0").decode(errors="replace")
    return KernelRefused(summary, code, text or os.strerror(code), failed)
