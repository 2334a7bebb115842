"""DHCP clients at work: one thread drives those of all instances of a fabric and gives the kernel what they get.

Each belongs to an interface, as a *holder* (`dhcp_holder`, `dhcp6_holder`) with sockets that were opened inside the
instance, so that this thread goes nowhere.
"""

import heapq
import logging
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any

from nova_fakes.clock import Clock
from nova_fakes.exceptions import KernelRefused, RealizerError
from nova_fakes.virt.vif import namespaces
from nova_fakes.virt.vif.dhcp6_holder import Holder6
from nova_fakes.virt.vif.dhcp_holder import Holder4
from nova_fakes.virt.vif.lease_holder import LeaseHolder
from nova_fakes.virt.vif.plan import Seat

__all__ = ["Leases"]

LOG = logging.getLogger(__name__)

#: EPOLLIN.
_READABLE = 1
#: Nobody sleeps longer: a clock that is moved by hand is looked at now and then.
_LONGEST_SLEEP_S = 3600.0
#: A VIF's id, and which of its clients.
_Key = tuple[str, str]


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
        self._holders: dict[_Key, LeaseHolder[Any]] = {}
        self._by_descriptor: dict[int, _Key] = {}
        self._due: list[tuple[float, _Key]] = []
        self._closing = False
        self._poll = namespaces.native_select().epoll()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll.register(self._bell, _READABLE)
        self._thread: Any = None

    def ask(
        self, vif_id: str, seat: Seat, mtu: int, asking: Sequence[str] = ("dhcp4",), *, known: bool = False
    ) -> None:
        """Start the clients of an interface of the namespace in which the calling thread is; once is enough.

        :param mtu: the interface's, bytes; a server may lower it
        :param asking: which clients, of `interfaces.ASKING`
        :param known: the interface has addresses from earlier leases, which are asked for again
        :raises RealizerError: the interface is not there; nothing is asked
        """
        try:
            with self._lock:
                for kind in asking:
                    if (vif_id, kind) not in self._holders:
                        self._start(
                            (vif_id, kind), _MAKERS[kind](seat, mtu, self._chance, self._clock.monotonic(), known)
                        )
        except OSError as error:
            self.stop([vif_id])
            raise RealizerError(f"eth{seat.ordinal} cannot ask for an address: {error}") from error
        self.ring()

    def stop(self, vif_ids: Iterable[str], *, release: bool = True) -> None:
        """End the clients of these interfaces; those that have none are passed over.

        :param release: give their leases back; else they have gone elsewhere with their instance
        """
        with self._lock:
            for key in self._keys(vif_ids):
                holder = self._holders.pop(key)
                if release:
                    holder.release()
                self._end(holder)

    def reboot(self, vif_ids: Iterable[str]) -> None:
        """Have the addresses of these interfaces confirmed: they have their link again."""
        with self._lock:
            for key in self._keys(vif_ids):
                holder = self._holders[key]
                holder.reboot(self._clock.monotonic())
                heapq.heappush(self._due, (holder.due, key))
        self.ring()

    def lease(self, vif_id: str, kind: str = "dhcp4") -> Any:
        """Return what a client of an interface holds, a `Lease` or `Lease6`, None where it holds nothing."""
        with self._lock:
            holder = self._holders.get((vif_id, kind))
            return None if holder is None else holder.lease

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

    def _keys(self, vif_ids: Iterable[str]) -> list[_Key]:
        return [(vif_id, kind) for vif_id in vif_ids for kind in _MAKERS if (vif_id, kind) in self._holders]

    def _start(self, key: _Key, holder: LeaseHolder[Any]) -> None:
        self._holders[key] = holder
        for descriptor in holder.descriptors():
            self._by_descriptor[descriptor] = key
            self._poll.register(descriptor, _READABLE)
        heapq.heappush(self._due, (holder.due, key))
        if self._thread is None:
            self._thread = self._threading.Thread(target=self._run, name="leases", daemon=True)
            self._thread.start()

    def _end(self, holder: LeaseHolder[Any]) -> None:
        for descriptor in holder.descriptors():
            del self._by_descriptor[descriptor]
            self._poll.unregister(descriptor)
        holder.close()

    def _run(self) -> None:
        while True:
            events = self._poll.poll(self._rest())
            with self._lock:
                if self._closing:
                    return
                now = self._clock.monotonic()
                touched: dict[_Key, None] = {}
                for descriptor, _event in events:
                    key = self._by_descriptor.get(descriptor)
                    if key is not None:
                        touched[key] = None
                    elif descriptor == self._bell:
                        os.eventfd_read(self._bell)
                for key in touched:
                    self._holders[key].receive(now)
                while self._due and self._due[0][0] <= now:
                    _due, key = heapq.heappop(self._due)
                    holder = self._holders.get(key)
                    if holder is not None and holder.due <= now:  # else another entry tells when it is due
                        holder.wake(now)
                        touched[key] = None
                for key in touched:
                    self._settle(key)

    def _settle(self, key: _Key) -> None:
        holder = self._holders[key]
        try:
            holder.apply()
        except (KernelRefused, OSError) as error:
            LOG.warning("VIF %s: the %s lease cannot be used whole: %s", *key, error)
        if holder.due < math.inf:
            heapq.heappush(self._due, (holder.due, key))

    def _rest(self) -> float:
        with self._lock:
            if not self._due:
                return _LONGEST_SLEEP_S
            return min(_LONGEST_SLEEP_S, max(0.0, self._due[0][0] - self._clock.monotonic()))


def _dhcp4(seat: Seat, mtu: int, chance: Random, now: float, known: bool) -> LeaseHolder[Any]:
    return Holder4(seat, mtu, chance, now, known=known)


def _dhcp6(seat: Seat, mtu: int, chance: Random, now: float, known: bool) -> LeaseHolder[Any]:
    return Holder6(seat, chance, now, known=known)


def _information6(seat: Seat, mtu: int, chance: Random, now: float, known: bool) -> LeaseHolder[Any]:
    return Holder6(seat, chance, now, known=False, information=True)


#: What makes each kind of client: seat, MTU, chance, the time, and whether addresses from earlier leases are there.
_MAKERS: Mapping[str, Callable[[Seat, int, Random, float, bool], LeaseHolder[Any]]] = {
    "dhcp4": _dhcp4,
    "dhcp6": _dhcp6,
    "information6": _information6,
}
