"""Operations on a guest: one at a time, and each of them whole or not at all.

An operation changes the guest, then its interfaces, and holds when the journal has kept it. Whatever fails before that
is undone in reverse: the guest is as it was, its interfaces are those that it had, and the journal was not touched.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from nova_fakes.exceptions import Conflict, InvalidInput, JournalError, NotFound
from nova_fakes.virt.guest import Guest, State
from nova_fakes.virt.host import Host
from nova_fakes.virt.journal import Change
from nova_fakes.virt.nic import Nic

__all__ = ["Operation", "UndoingHost"]

LOG = logging.getLogger(__name__)

#: What an operation is refused with before it has begun: no event tells of it.
_REFUSALS = (Conflict, NotFound, InvalidInput)


class Operation:
    """One operation on a guest, as a context: alone in it, whole after it or as before. Those inside it are its parts.

    A class, because a generator would take longer than most operations do.

    :param name: as fault rules know it
    :param changes: what else the journal keeps or drops when the operation holds
    :param event: whether the journal tells of its success
    """

    __slots__ = ("_before", "_changes", "_event", "_guest", "_host", "_name", "details")

    def __init__(
        self, host: UndoingHost, guest: Guest, name: str, changes: tuple[Change, ...] = (), event: bool = True
    ) -> None:
        self._host = host
        self._guest = guest
        self._name = name
        self._changes = changes
        self._event = event
        self._before: tuple[tuple[Any, ...], frozenset[str]] | None = None
        #: Of the event; may be filled in meanwhile.
        self.details: dict[str, Any] = {}

    def __enter__(self) -> Operation:
        guest = self._guest
        guest.lock.acquire()
        try:
            self._host.require_here(guest)
        except BaseException:
            guest.lock.release()
            raise
        if not guest.busy:
            self._before = guest.marks(), guest.wired
            guest.busy = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        guest = self._guest
        try:
            if self._before is not None:
                self._end(error, *self._before)
        finally:
            guest.lock.release()
        if error is None and self._event:
            host = self._host
            host.journal.record(host.clock.now(), host.name, guest.uuid, self._name, details=self.details)

    def _end(self, error: BaseException | None, marks: tuple[Any, ...], wired: frozenset[str]) -> None:
        host, guest = self._host, self._guest
        try:
            if error is None:
                host.keep(guest, self._name, *self._changes)
        except BaseException as refused:
            error = refused
            raise
        finally:
            if error is not None:
                refused_at_once = isinstance(error, _REFUSALS) and (guest.marks(), guest.wired) == (marks, wired)
                if not refused_at_once:
                    host.undo(guest, marks, wired)
                if not isinstance(error, _REFUSALS):
                    outcome = type(error).__name__
                    host.journal.record(host.clock.now(), host.name, guest.uuid, self._name, outcome)
            guest.busy = False


class UndoingHost(Host):
    """A host on which a failed operation leaves a guest as it was."""

    def operation(self, guest: Guest, name: str, *changes: Change) -> Operation:
        """Return the context of an operation.

        Entering and leaving it raise besides what fails inside:

        :raises GuestNotFound: another operation has taken the guest away
        :raises HostDown: the host has crashed meanwhile
        :raises JournalError: the journal cannot be written
        """
        return Operation(self, guest, name, changes)

    def undo(self, guest: Guest, marks: tuple[Any, ...], wired: frozenset[str]) -> None:
        """Bring a guest back to where an operation that failed found it."""
        with self.lock:
            tried = guest.nics
            guest.restore(marks)
            if self.down and self.guests.get(guest.uuid) is guest:
                # The crash found it in the midst of the operation, and the journal knows it so.
                guest.apply("power_loss", self.clock.now())
                self.correct(Change(self.name, guest.uuid, guest.to_record()))
            here = not self.down and self.guests.get(guest.uuid) is guest
        self.rewire(guest, wired if here else frozenset(), {**tried, **guest.nics})

    def correct(self, *changes: Change) -> None:
        """Let the journal know what has become of a guest that it knows otherwise."""
        try:
            self.journal.change(*changes)
        except JournalError:
            LOG.exception("the journal keeps guest %s of host %s as it no longer is", changes[0].uuid, self.name)

    def rewire(self, guest: Guest, wired: frozenset[str], known: Mapping[str, Nic]) -> None:
        """Bring a guest's interfaces and its link back to what they were; what cannot be is logged.

        :param wired: ids of those that it had
        :param known: all of which there is talk
        """
        try:
            extra = [known[vif_id] for vif_id in guest.wired - wired]
            if extra:
                self._unplug(guest, extra if wired else None)
            missing = [known[vif_id] for vif_id in wired - guest.wired]
            if missing:
                self._plug(guest, missing, guest.state is State.RUNNING)
            self._set_link(guest)
        except Exception:
            LOG.exception("interfaces of guest %s on host %s are not what they were", guest.uuid, self.name)

    def _plug(self, guest: Guest, nics: Iterable[Nic], up: bool) -> None:
        realizer = self._active_realizer
        nics = list(nics)
        if realizer is not None:
            realizer.plug(guest.uuid, [nic.vif(self.read_vif) for nic in nics], up=up)
        guest.wired = guest.wired.union([nic.id for nic in nics])
        self.report_vifs("vif_plugged", guest.uuid, nics)

    def _plug_missing(self, guest: Guest) -> None:
        """Make those interfaces of a guest that is about to run that its host has lost, in a crash say."""
        missing = [nic for nic in guest.nics.values() if nic.id not in guest.wired]
        if missing:
            self._plug(guest, missing, up=True)

    def _unplug(self, guest: Guest, nics: Iterable[Nic] | None = None) -> None:
        """Remove these interfaces of a guest, or all, where this host has made them, or may have before a restart."""
        gone = [nic for nic in (guest.nics.values() if nics is None else nics) if nic.id in guest.wired]
        if not guest.wired or (nics is not None and not gone):
            return
        realizer = self._active_realizer
        if realizer is not None:
            realizer.unplug(guest.uuid, None if nics is None else [nic.vif(self.read_vif) for nic in gone])
        guest.wired = frozenset() if nics is None else guest.wired.difference([nic.id for nic in gone])
        self.report_vifs("vif_unplugged", guest.uuid, gone)

    def _set_link(self, guest: Guest) -> None:
        """Let the link follow the power state."""
        realizer = self._active_realizer
        if realizer is not None and guest.wired:
            realizer.set_link(guest.uuid, guest.state is State.RUNNING)
