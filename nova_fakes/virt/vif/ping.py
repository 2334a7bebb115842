"""ICMP echo from inside network namespaces, many at once, without a ping program.

Raw sockets for ICMP (RFC 792) and ICMPv6 (RFC 4443). A socket belongs to the namespace in which it was made, whatever
its thread does later: one thread opens a socket in every instance and then drives them all, so a mesh of all pairs is
one process and one thread. Replies are told apart by an identifier for each probe and a number for each echo.
"""

import os
import selectors
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from itertools import pairwise

from nova_fakes.exceptions import InvalidInput
from nova_fakes.virt.vif import namespaces

__all__ = ["PingResult", "Pinger", "mesh", "ping", "ping_all"]

_ECHO_REQUEST4, _ECHO_REPLY4, _ECHO_REQUEST6, _ECHO_REPLY6 = 8, 0, 128, 129
_PAYLOAD = b"nova-fakes echo ".ljust(48, b".")
_SOL_RAW, _ICMP_FILTER, _ICMP6_FILTER = 255, 1, 1
#: A reply that is not here by then counts as lost.
DEFAULT_TIMEOUT_S = 1.0
#: For fewer destinations a thread more does not pay.
_SHARE = 64


@dataclass(slots=True)
class PingResult:
    """What came of the echoes to one destination; round trips in seconds, in order of arrival.

    `arrivals_s` are the moments of the monotonic clock at which the replies came. `unsent` counts echoes that the
    source's kernel refused to send (no route, no link…); they count as sent and lost.
    """

    destination: str
    sent: int = 0
    unsent: int = 0
    round_trips_s: list[float] = field(default_factory=list)
    arrivals_s: list[float] = field(default_factory=list)

    @property
    def received(self) -> int:
        """Replies in time."""
        return len(self.round_trips_s)

    @property
    def gaps_s(self) -> tuple[float, ...]:
        """The times between two replies that follow each other."""
        return tuple(later - earlier for earlier, later in pairwise(self.arrivals_s))

    @property
    def lost(self) -> int:
        """Echoes without a reply in time."""
        return self.sent - self.received


class _Probe:
    """One source and one destination."""

    __slots__ = ("destination", "family", "identifier", "pending", "result", "socket")

    def __init__(self, sock: socket.socket, destination: str, identifier: int) -> None:
        self.socket = sock
        self.destination = destination
        self.family = sock.family
        self.identifier = identifier
        self.pending: dict[int, float] = {}
        self.result = PingResult(destination)

    def send(self, now: float) -> None:
        number = self.result.sent & 0xFFFF
        self.result.sent += 1
        kind = _ECHO_REQUEST4 if self.family == socket.AF_INET else _ECHO_REQUEST6
        message = struct.pack("!BBHHH", kind, 0, 0, self.identifier, number) + _PAYLOAD
        if self.family == socket.AF_INET:  # the kernel computes ICMPv6's, which covers addresses too
            message = message[:2] + struct.pack("!H", _checksum(message)) + message[4:]
        try:
            self.socket.sendto(message, (self.destination, 0))
        except OSError:
            self.result.unsent += 1
            return
        self.pending[number] = now

    def received(self, number: int, now: float) -> None:
        sent = self.pending.pop(number, None)
        if sent is not None:
            self.result.round_trips_s.append(now - sent)
            self.result.arrivals_s.append(now)


class _Echoes:
    """Sockets and probes of one thread, and the loop that drives them.

    :param first: the number of its first probe among those of all threads that share the namespaces
    """

    def __init__(self, first: int = 0) -> None:
        self._first = first
        self._selector = selectors.DefaultSelector()
        self._sockets: dict[tuple[str, int], socket.socket] = {}
        self._probes: dict[tuple[socket.socket, int], _Probe] = {}
        self.probes: list[_Probe] = []

    def add(self, source: str, destination: str) -> None:
        """Add a probe; the calling thread moves into the source's namespace where it has no socket there yet."""
        family = _family(destination)
        sock = self._sockets.get((source, family))
        if sock is None:
            namespaces.enter(source)
            sock = self._sockets[source, family] = _open(family)
            self._selector.register(sock, selectors.EVENT_READ)
        probe = _Probe(sock, destination, (os.getpid() + self._first + len(self.probes)) & 0xFFFF)
        self.probes.append(probe)
        self._probes[sock, probe.identifier] = probe

    def close(self) -> None:
        self._selector.close()
        for sock in self._sockets.values():
            sock.close()

    def outstanding(self) -> bool:
        return any(probe.pending for probe in self.probes)

    def rounds(self, rounds: int, timeout_s: float) -> None:
        """Send to all, then again to those that were silent."""
        for _round in range(rounds):
            silent = [probe for probe in self.probes if not probe.result.received]
            for position, probe in enumerate(silent):
                probe.send(time.monotonic())
                if position % 64 == 63:  # keep the sockets' queues short
                    self.receive(time.monotonic())
            deadline = time.monotonic() + timeout_s
            while self.outstanding() and time.monotonic() < deadline:
                self.receive(deadline)
            for probe in silent:
                probe.pending.clear()

    def receive(self, until: float) -> bool:
        """Take replies in until a moment of the monotonic clock, or until none is outstanding; True where one came."""
        came = False
        for key, _events in self._selector.select(max(0.0, until - time.monotonic())):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            while True:
                try:
                    packet = sock.recv(2048)
                except BlockingIOError:
                    break
                except OSError:
                    break  # an ICMP error that the kernel hands on: the echo counts as lost
                came = self._take(sock, packet) or came
        return came

    def _take(self, sock: socket.socket, packet: bytes) -> bool:
        if sock.family == socket.AF_INET:
            packet = packet[(packet[0] & 15) * 4 :]  # a raw IPv4 socket hands the IP header on too
        if len(packet) < 8 or packet[0] not in (_ECHO_REPLY4, _ECHO_REPLY6):
            return False
        identifier, number = struct.unpack_from("!HH", packet, 4)
        probe = self._probes.get((sock, identifier))
        if probe is None:
            return False
        probe.received(number, time.monotonic())
        return True


def ping(
    namespace: str | os.PathLike[str],
    destination: str,
    *,
    count: int = 1,
    interval_s: float = 0.01,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> PingResult:
    """Ping an address from inside a namespace and wait for the replies.

    :param namespace: the path of the source's namespace
    :param interval_s: seconds between two echoes
    :param timeout_s: seconds to wait for replies after the last echo
    :raises InvalidInput: the destination is no IP address
    :raises RealizerError: there is no such namespace
    """
    with Pinger(namespace, destination, interval_s=interval_s, timeout_s=timeout_s, count=count) as pinger:
        return pinger.wait()


def mesh(
    members: Mapping[str, tuple[str, Sequence[str]]], *, rounds: int = 1, timeout_s: float = DEFAULT_TIMEOUT_S
) -> dict[tuple[str, str], PingResult]:
    """Ping every address of every member from every other member.

    A round is sent in full before the next, and another goes out only for what the round before did not reach, so
    `rounds` is the number of tries.

    :param members: name → (path of its namespace, its addresses)
    :returns: (name of the source, address of the destination) → result
    :raises RealizerError: a member has no namespace
    """

    def run() -> dict[tuple[str, str], PingResult]:
        echoes = _Echoes()
        try:
            pairs: dict[tuple[str, str], _Probe] = {}
            for source, (path, _own) in members.items():
                for other, (_path, addresses) in members.items():
                    for address in addresses if other != source else ():
                        echoes.add(path, address)
                        pairs[source, address] = echoes.probes[-1]
            echoes.rounds(rounds, timeout_s)
            return {pair: probe.result for pair, probe in pairs.items()}
        finally:
            echoes.close()

    return namespaces.in_thread(run)


def ping_all(
    namespace: str | os.PathLike[str],
    destinations: Sequence[str],
    *,
    rounds: int = 1,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> dict[str, PingResult]:
    """Ping many addresses from inside one namespace, all at once.

    :param rounds: the number of tries; each goes out for what the one before did not reach
    :returns: address → result
    :raises InvalidInput: a destination is no IP address
    :raises RealizerError: there is no such namespace
    """
    source = os.fspath(namespace)

    def run(first: int, share: Sequence[str]) -> dict[str, PingResult]:
        echoes = _Echoes(first)
        try:
            for destination in share:
                echoes.add(source, destination)
            echoes.rounds(rounds, timeout_s)
            return {probe.destination: probe.result for probe in echoes.probes}
        finally:
            echoes.close()

    # Where the source has to ask for each MAC, the kernel hands the question to every port of the bridge within the
    # sender's system call: a thread for each processor shares that out.
    size = max(_SHARE, -(-len(destinations) // len(os.sched_getaffinity(0))))
    shares = [
        namespaces.begin_thread(partial(run, first, destinations[first : first + size]))
        for first in range(0, len(destinations), size)
    ]
    results = [finish() for finish in shares]
    return {destination: result for share in results for destination, result in share.items()}


class Pinger:
    """Pings an address from inside a namespace in the background, at a steady interval, until it is stopped.

    :param namespace: the path of the source's namespace
    :param interval_s: seconds between two echoes
    :param timeout_s: seconds to wait for replies after the last echo
    :param count: stop after so many echoes; None goes on until `stop`
    :raises InvalidInput: the destination is no IP address
    :raises RealizerError: there is no such namespace
    """

    def __init__(
        self,
        namespace: str | os.PathLike[str],
        destination: str,
        *,
        interval_s: float = 0.01,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        count: int | None = None,
    ) -> None:
        _family(destination)
        self._source = os.fspath(namespace)
        self._destination = destination
        self._interval_s, self._timeout_s, self._count = interval_s, timeout_s, count
        threading = namespaces.native_threading()
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._first_reply = threading.Event()
        self._failures: list[BaseException] = []
        self._result = PingResult(destination)
        self._thread = threading.Thread(target=self._run, name=f"ping {destination}", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failures:
            self._thread.join()
            raise self._failures[0]

    def __enter__(self) -> "Pinger":
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def wait_for_reply(self, timeout_s: float) -> bool:
        """Wait for the first reply; False where none came in time."""
        return bool(self._first_reply.wait(timeout_s))

    def stop(self) -> PingResult:
        """Send no more, wait for what is on its way and return the result."""
        self._stopping.set()
        return self.wait()

    def wait(self) -> PingResult:
        """Wait for the last echo's reply, where a count was given, and return the result.

        :raises OSError: the sockets failed in the middle
        """
        self._thread.join()
        if self._failures:
            raise self._failures[0]
        return self._result

    def _run(self) -> None:
        echoes = _Echoes()
        try:
            echoes.add(self._source, self._destination)
            self._result = echoes.probes[0].result
            self._ready.set()
            self._drive(echoes, echoes.probes[0])
        except BaseException as error:
            self._failures.append(error)
        finally:
            echoes.close()
            self._ready.set()

    def _drive(self, echoes: _Echoes, probe: _Probe) -> None:
        due = time.monotonic()
        while not self._stopping.is_set() and probe.result.sent != self._count:
            probe.send(time.monotonic())
            # Who was held up sends no burst: lost echoes then would not tell how long the way was cut.
            due = max(due + self._interval_s, time.monotonic())
            self._collect(echoes, probe, due)
        deadline = time.monotonic() + self._timeout_s
        while probe.pending and time.monotonic() < deadline:
            if echoes.receive(deadline):
                self._first_reply.set()

    def _collect(self, echoes: _Echoes, probe: _Probe, until: float) -> None:
        """Take replies in until it is time for the next echo, or there will be none."""
        while (now := time.monotonic()) < until and not self._stopping.is_set() and probe.result.sent != self._count:
            # Short naps only, so that `stop` need not wait for a long interval.
            if echoes.receive(min(until, now + 0.1)):
                self._first_reply.set()


def _family(destination: str) -> int:
    try:
        return socket.AF_INET if ip_address(destination).version == 4 else socket.AF_INET6
    except ValueError:
        raise InvalidInput("destination", destination, "give an IPv4 or IPv6 address") from None


def _open(family: int) -> socket.socket:
    protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
    sock = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
    # A raw socket sees every ICMP packet of its namespace; let the kernel pass echo replies alone.
    if family == socket.AF_INET:
        sock.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", ~(1 << _ECHO_REPLY4) & 0xFFFFFFFF))
    else:
        blocked = [0xFFFFFFFF] * 8
        blocked[_ECHO_REPLY6 >> 5] &= ~(1 << (_ECHO_REPLY6 & 31))
        sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("=8I", *blocked))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    return sock


def _checksum(data: bytes) -> int:
    """Compute the Internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
