"""A host that crashes, hangs and comes back, and what its operations find then."""

from __future__ import annotations

import logging
from collections.abc import Collection

from nova_fakes.exceptions import GuestNotFound, HostDown, HostHangs
from nova_fakes.virt.event import NOTHING
from nova_fakes.virt.guest import Guest, GuestSpec
from nova_fakes.virt.hang import DEFAULT_DEADLINE_S, Hang
from nova_fakes.virt.journal import Event
from nova_fakes.virt.nic import Wiring
from nova_fakes.virt.records import Arrival, RecordedHost

__all__ = ["FailingHost"]

LOG = logging.getLogger(__name__)

#: Realizers that make nothing. The model does not read nova's network descriptions for them before somebody asks.
_PASSIVE = frozenset({"null"})


class FailingHost(RecordedHost):
    """A host whose operations fail while it is down, and wait while it hangs."""

    def crash(self) -> None:
        """Lose power: every guest dies, nothing answers until :meth:`recover`.

        :raises JournalError: that cannot be kept; nothing has happened
        """
        with self.whole("down", "silent"):
            if self.down:
                return
            self.down = self.silent = True
            now_s = self.clock.now()
            guests = list(self.guests.values())
            event = self._lose_power(guests, now_s)
            self._end_hang()
            arrivals = self._lose_arrivals(now_s)
            for migration in self.migrations.values():
                migration.abort()
        for guest in guests:
            try:
                # A dead host's agent reports nothing: no vif_unplugged here.
                if guest.wired and self._active_realizer is not None:
                    self._active_realizer.unplug(guest.uuid)
            except Exception:
                LOG.exception("interfaces of guest %s stay behind on crashed host %s", guest.uuid, self.name)
            guest.wired = frozenset()
        for arrival in arrivals:
            try:
                if arrival.nics and self._active_realizer is not None:
                    vifs = [nic.vif(self.read_vif) for nic in arrival.nics.values()]
                    self._active_realizer.abort_migration(arrival.spec.uuid, vifs)
            except Exception:
                LOG.exception("what was prepared for guest %s stays on crashed host %s", arrival.spec.uuid, self.name)
        self.journal.tell(event)

    def _lose_power(self, guests: Collection[Guest], now_s: float) -> Event:
        """Shut these guests down, all or none; the caller holds the lock."""
        marks = [guest.marks() for guest in guests]
        for guest in guests:
            guest.apply("power_loss", now_s)
        try:
            rows = [*self.rows(), *map(self.guest_row, guests)] if self.journal.persistent else ()
            return self.note(now_s, None, "host_crash", {"guests": len(guests)}, rows)
        except BaseException:
            for guest, before in zip(guests, marks, strict=True):
                guest.restore(before)
            raise

    def _lose_arrivals(self, now_s: float) -> list[Arrival]:
        """Forget every guest that was on its way here, and return what was ready for them."""
        lost = list(self.arrivals.values())
        for arrival in lost:
            self.capacity.release(arrival.claim, now_s)
        self.arrivals.clear()
        return lost

    @property
    def _active_realizer(self) -> Wiring | None:
        realizer = self.realizer
        return None if realizer is None or realizer.name in _PASSIVE else realizer

    def hang(self, deadline_s: float = DEFAULT_DEADLINE_S) -> None:
        """Stop to answer: guests go on, operations wait until :meth:`recover`; those under way, at their next step.

        :param deadline_s: how long an operation waits before it fails with :class:`HostHangs`, seconds
        :raises HostDown: it has crashed
        :raises JournalError: that cannot be kept; it still answers
        """
        with self.lock:
            if self.down:
                raise HostDown(f"host {self.name} has crashed, so it cannot hang: recover it first")
            if self._hang is not None:
                return
            hang = Hang(self.clock, deadline_s)
            event = self.note(self.clock.now(), None, "host_hang", {"deadline_s": deadline_s})
            self._hang = hang
            self.silent = True
        self.journal.tell(event)

    def recover(self) -> None:
        """Come back: after a crash with every guest shut down, on its disks; after a hang as if nothing had been.

        :raises JournalError: that cannot be kept; it is not back
        """
        with self.whole("down", "booted_at_s"):
            if not self.silent:
                return
            now_s = self.clock.now()
            if self.down:
                self.down = False
                self.booted_at_s = now_s
            event = self.note(now_s, None, "host_recover", NOTHING, self.rows())
            self._end_hang()
            self.silent = False
        self.journal.tell(event)

    def check(self, operation: str, guest: Guest | GuestSpec | None = None) -> None:
        """Let an operation begin, unless the host is dead or a fault rule objects; wait while it hangs.

        :raises HostDown: the host has crashed
        :raises HostHangs: it hangs, and the deadline has passed
        :raises BaseException: what the rule says
        """
        if self.silent:
            self._await_answer(operation)
        if self.faults.active:
            self.faults.check(operation, self.name, guest)
            if self.silent:
                self._await_answer(operation)

    def _await_answer(self, operation: str) -> None:
        """Wait until the host answers; who holds its lock does so only where it is down, which takes no time."""
        while (hang := self._hang) is not None:
            if not hang.wait():
                raise HostHangs(
                    f"host {self.name} hangs: {operation} had no answer within {hang.deadline_s:g} s; recover it first"
                )
        self.require_up(operation)

    def guest(self, uuid: str, operation: str = "find") -> Guest:
        """Return a guest for an operation that is about to begin.

        :raises GuestNotFound: it is not on this host
        :raises HostDown: the host has crashed, or hangs for too long
        """
        guest = self.guests.get(uuid)
        if guest is None:
            self.check(operation)
            raise GuestNotFound(f"guest {uuid} is not on host {self.name}")
        if self.silent or self.faults.active:
            self.check(operation, guest)
            # What took its time to begin finds what is there then.
            guest = self.guests.get(uuid)
            if guest is None:
                raise GuestNotFound(f"guest {uuid} has left host {self.name} while {operation} was waiting")
        return guest
