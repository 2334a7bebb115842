"""Versions of a directory: what each operation changed, to undo it, to write it down, to go back to a snapshot.

A snapshot costs nothing but the changes after it: it keeps of each changed entry what it was, and points to the next
snapshot, at whose end is the present. Going back turns the pointers on the way round, so that snapshots taken later
can be gone to again (Baker, *Shallow binding in Lisp 1.5*, 1978). One that nobody holds any more is dropped, with what
it kept.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap.entry import Entry

if TYPE_CHECKING:
    from nova_fakes.ldap.tree import Tree

__all__ = ["History", "Keeper", "Mark", "Snapshot"]

Mark = tuple[int, int]
"""How many changes and how many notices there were."""

FIELDS = tuple(name for name in Entry.__slots__ if name not in ("children", "id"))
"""What an entry is restored by; its children restore themselves."""

read_fields = attrgetter(*FIELDS)
Was = tuple[Entry, bool, tuple[Any, ...]]
"""An entry, whether it was in the tree, and its fields."""


class Keeper(Protocol):
    """Something that entries are written to, to outlive the process."""

    def write(self, entries: Iterable[tuple[Entry, bool]]) -> None:
        """Write entries as they are, and whether they are in the tree; all or nothing.

        :raises LdapError: it cannot be done
        """


class Snapshot:
    """A version of a directory, to go back to."""

    __slots__ = ("__weakref__", "_changes", "_next", "_owner")

    def __init__(self, owner: History) -> None:
        self._owner = owner
        self._changes: list[Was] = []
        self._next: Snapshot | None = None


class History:
    """Follows the changes of a directory's entries."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._pending: list[Was] = []
        self._newest: weakref.ref[Snapshot] | None = None
        self.keeper: Keeper | None = None
        self._deferred: list[Callable[[], None]] = []

    def defer(self, notify: Callable[[], None]) -> None:
        """Call a function once what the operation changes holds; never where it is undone."""
        self._deferred.append(notify)

    def note(self, entry: Entry) -> None:
        """Keep what an entry is, before the present operation changes it."""
        self._pending.append((entry, self._is_linked(entry), read_fields(entry)))

    def _is_linked(self, entry: Entry) -> bool:
        while entry.parent is not None:
            siblings = entry.parent.children
            if siblings is None or siblings.get(entry.key) is not entry:
                return False
            entry = entry.parent
        return self._tree.root is entry

    def commit(self) -> None:
        """Let what the operation changed hold: written down where it is to be, and kept for snapshots.

        :raises LdapError: it cannot be written; nothing holds then
        """
        pending = self._pending
        if not pending:
            return
        if self.keeper is not None:
            self._keep(pending)
        self._pending = []
        newest = self._newest() if self._newest is not None else None
        if newest is not None:
            newest._changes.extend(pending)
        deferred, self._deferred = self._deferred, []
        for notify in deferred:
            notify()

    def _keep(self, changes: Iterable[Was]) -> None:
        changed = {entry: None for entry, _, _ in changes}
        if self.keeper is not None:
            try:
                self.keeper.write((entry, self._is_linked(entry)) for entry in changed)
            except BaseException:
                self.roll_back()
                raise

    def begin(self) -> Mark:
        """Return where the present operation is, to go back to."""
        return len(self._pending), len(self._deferred)

    def roll_back(self, mark: Mark = (0, 0)) -> None:
        """Undo what the operation has changed since a mark."""
        changes, notices = mark
        undone = self._pending[changes:]
        del self._pending[changes:], self._deferred[notices:]
        for was in reversed(undone):
            self._put(was)

    def snapshot(self) -> Snapshot:
        """Return the present version."""
        made = Snapshot(self)
        newest = self._newest() if self._newest is not None else None
        if newest is not None:
            newest._next = made
        self._newest = weakref.ref(made)
        return made

    def restore(self, snapshot: Snapshot) -> None:
        """Make a version the present one.

        :raises InvalidInput: it is of another directory
        :raises LdapError: it cannot be written down; the directory is as before
        """
        if snapshot._owner is not self:
            raise InvalidInput("snapshot", snapshot, "give one that this directory has taken")
        present = self.snapshot()
        way: list[tuple[Snapshot, Snapshot]] = []
        at = snapshot
        while at is not present and at._next is not None:
            way.append((at, at._next))
            at = at._next
        spans: list[int] = []
        for earlier, _ in reversed(way):
            spans.append(len(self._pending))
            for was in reversed(earlier._changes):
                self.note(was[0])
                self._put(was)
        if self.keeper is not None:
            self._keep(self._pending)
        undone, self._pending = self._pending, []
        for (earlier, later), start, end in zip(reversed(way), spans, [*spans[1:], len(undone)], strict=True):
            later._changes, later._next = undone[start:end], earlier
            earlier._changes, earlier._next = [], None
        self._newest = weakref.ref(snapshot)

    def _put(self, was: Was) -> None:
        """Make an entry what it was; entries are put in the reverse order of their changes."""
        entry, linked, fields = was
        before = {}
        if self._is_linked(entry):
            before = entry.attributes
            self._tree.detach(entry)
        for name, value in zip(FIELDS, fields, strict=True):
            setattr(entry, name, value)
        if linked:
            self._tree.attach(entry)
        self._tree.indexes.change(entry, before, entry.attributes if linked else {})
