"""Operations on a guest: one at a time, and each of them whole or not at all.

An operation changes the guest, then its interfaces, and holds when the journal has written its event and the guest, in
one transaction. Whatever fails before that is undone in reverse: the guest is as it was, its interfaces are those that
it had, and the journal has nothing but the event of a failed attempt.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nova_fakes.exceptions import Conflict, GuestNotFound, InvalidInput, NotFound
from nova_fakes.virt.event import NOTHING, Event
from nova_fakes.virt.guest import Guest, State
from nova_fakes.virt.host import Host
from nova_fakes.virt.journal import Write
from nova_fakes.virt.nic import Nic, leave_behind

__all__ = ["Operation", "UndoingHost"]

LOG = logging.getLogger(__name__)

#: What an operation is refused with, mostly before it has changed anything.
_REFUSALS = (Conflict, NotFound, InvalidInput)


class Operation:
    """One operation on a guest, as a context: alone in it, whole after it or as before.

    A class, because a generator would take longer than most operations do.

    :param uuid: of the guest
    :param name: as the journal knows it
    :param details: of its event; whoever learns them only meanwhile sets :attr:`details`
    :param asked_as: as fault rules know it, where that is something else
    :param retained: the guest, where it is one that a resize on this host retains
    """

    __slots__ = (
        "_asked_as",
        "_before",
        "_host",
        "_name",
        "_now_s",
        "_retained",
        "_undoing",
        "_uuid",
        "details",
        "guest",
        "writes",
    )

    guest: Guest

    def __init__(
        self,
        host: UndoingHost,
        uuid: str,
        name: str,
        details: Mapping[str, Any] = NOTHING,
        asked_as: str | None = None,
        retained: Guest | None = None,
    ) -> None:
        self._host = host
        self._uuid = uuid
        self._name = name
        self._asked_as = asked_as or name
        self._retained = retained
        self._now_s: float | None = None
        self._undoing: tuple[Callable[[], None], ...] = ()
        self.details = details
        #: What the journal is to write besides the guest.
        self.writes: tuple[Write, ...] = ()

    def __enter__(self) -> Operation:
        try:
            guest = self._found()
            guest.lock.acquire()
            try:
                self._require_alone(guest)
            except BaseException:
                guest.lock.release()
                raise
        except BaseException as error:
            self._host.record_failure(self._uuid, self._name, error)
            raise
        guest.busy = True
        self.guest = guest
        self._before = guest.marks(), guest.wired
        return self

    def _found(self) -> Guest:
        guest = self._retained
        if guest is None:
            return self._host.guest(self._uuid, self._asked_as)
        self._host.check(self._asked_as, guest)
        return guest

    def _require_alone(self, guest: Guest) -> None:
        host = self._host
        there = host.guests if self._retained is None else host.retained
        if there.get(self._uuid) is not guest:
            raise GuestNotFound(f"guest {self._uuid} is no longer on host {host.name}")
        if guest.busy:
            raise Conflict(f"{self._name} of guest {self._uuid} came in the midst of another operation: try it later")

    def apply(self, transition: str) -> None:
        """Change the power state; that is the moment of the operation.

        :raises InvalidTransition: the present state does not allow it
        :raises HostDown: the host has crashed meanwhile
        """
        host = self._host
        with host.lock:
            host.require_up(self._name)
            now_s = self._now_s = host.clock.now()
            self.guest.apply(transition, now_s)

    def undo_by(self, action: Callable[[], None]) -> None:
        """Call that, which raises nothing, after the guest is as it was, should the operation fail from here on."""
        self._undoing = (action, *self._undoing)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        host, guest = self._host, self.guest
        event: Event | None = None
        refused: BaseException | None = None
        try:
            if error is None:
                try:
                    now_s = host.clock.now() if self._now_s is None else self._now_s
                    with host.lock:
                        event = host.keep(guest, now_s, self._name, self.details, self.writes)
                except BaseException as caught:
                    error = refused = caught
            if error is not None:
                self._undo(error)
        finally:
            guest.busy = False
            guest.lock.release()
        if event is not None:
            host.journal.tell(event)
        elif error is not None:
            host.record_failure(self._uuid, self._name, error)
        if refused is not None:
            raise refused

    def _undo(self, error: BaseException) -> None:
        guest = self.guest
        untouched = isinstance(error, _REFUSALS) and (guest.marks(), guest.wired) == self._before
        if not untouched:
            self._host.undo(guest, *self._before)
        for action in self._undoing:
            action()
        if self._host.down:
            self._host.correct(self._uuid)


class UndoingHost(Host):
    """A host on which a failed operation leaves a guest as it was."""

    def operation(
        self, uuid: str, name: str, details: Mapping[str, Any] = NOTHING, *, asked_as: str | None = None
    ) -> Operation:
        """Return the context of an operation on a guest.

        Entering and leaving it raise besides what fails inside:

        :raises GuestNotFound: the guest is not here, or another operation has taken it away
        :raises HostDown: the host has crashed, or does so meanwhile
        :raises Conflict: it is begun inside another one
        :raises JournalError: the journal cannot be written
        """
        return Operation(self, uuid, name, details, asked_as)

    def undo(self, guest: Guest, marks: tuple[Any, ...], wired: frozenset[str]) -> None:
        """Bring a guest back to where an operation that failed found it."""
        with self.lock:
            tried, claim = guest.nics, guest.claim
            guest.restore(marks)
            here = self.guests.get(guest.uuid) is guest
            if here and guest.claim is not claim:
                self.capacity.release(claim, self.clock.now())
                self.capacity.restore(guest.claim)
            if here and self.down:
                # The crash found it in the midst of the operation.
                guest.apply("power_loss", self.clock.now())
        self.rewire(guest, wired if here and not self.down else frozenset(), {**tried, **guest.nics})

    def rewire(self, guest: Guest, wired: frozenset[str], known: Mapping[str, Nic]) -> None:
        """Bring a guest's interfaces and its link back to what they were; what cannot be is logged.

        :param wired: ids of those that it had
        :param known: all of which there is talk
        """
        try:
            # In the order of `known`: that of a set is another in each process, and events have the same for a seed.
            extra = [nic for vif_id, nic in known.items() if vif_id in guest.wired - wired]
            if extra:
                self._unplug(guest, extra if wired else None)
            missing = [nic for vif_id, nic in known.items() if vif_id in wired - guest.wired]
            if missing:
                self._plug(guest, missing, guest.state is State.RUNNING)
            self._set_link(guest)
        except Exception:
            LOG.exception("interfaces of guest %s on host %s are not what they were", guest.uuid, self.name)

    def unwire(self, guest: Guest) -> None:
        """Remove all interfaces of a guest from the host, in an operation of the caller's."""
        self._unplug(guest)

    def _plug(self, guest: Guest, nics: Iterable[Nic], up: bool) -> None:
        nics = list(nics)
        if self.realizer is not None:
            for nic in nics:
                nic.require_bound()
            realizer = self._active_realizer
            if realizer is not None:
                realizer.plug(guest.uuid, [nic.vif(self.read_vif) for nic in nics], up=up)
        guest.wired = guest.wired.union([nic.id for nic in nics])
        self.report_vifs("vif_plugged", guest.uuid, nics)

    def _plug_missing(self, guest: Guest) -> None:
        """Make those interfaces of a guest that is about to run that its host has lost, in a crash say."""
        missing = [nic for nic in guest.nics.values() if nic.id not in guest.wired]
        if missing:
            self._plug(guest, missing, up=True)

    def _unplug(self, guest: Guest, nics: Iterable[Nic] | None = None, *, moved: bool = False) -> None:
        """Remove these interfaces of a guest, or all, where this host has made them, or may have before a restart.

        :param moved: the guest lives on elsewhere, with all of its interfaces
        """
        gone = [nic for nic in (guest.nics.values() if nics is None else nics) if nic.id in guest.wired]
        if not guest.wired or (nics is not None and not gone):
            return
        realizer = self._active_realizer
        if realizer is not None and moved:
            leave_behind(realizer, guest.uuid)
        elif realizer is not None:
            realizer.unplug(guest.uuid, None if nics is None else [nic.vif(self.read_vif) for nic in gone])
        guest.wired = frozenset() if nics is None else guest.wired.difference([nic.id for nic in gone])
        self.report_vifs("vif_unplugged", guest.uuid, gone)

    def _set_link(self, guest: Guest) -> None:
        """Let the link follow the power state."""
        realizer = self._active_realizer
        if realizer is not None and guest.wired:
            realizer.set_link(guest.uuid, guest.state is State.RUNNING)
