"""Keeping copies of a directory up to date (RFC 4533), as slapd's overlay syncprov does.

A refresh tells what has become of the entries that a search finds since a cookie: changed ones are given anew; of the
others either those that are gone are named, where the log of deletions reaches back so far, or those that are present.
A subscription tells of each change as it is made.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field

from nova_fakes.ldap.dn import Dn
from nova_fakes.ldap.entry import Entry, Values
from nova_fakes.ldap.options import Attributes, Entries
from nova_fakes.ldap.results import LdapError, ResultCode
from nova_fakes.ldap.schema import Attribute
from nova_fakes.ldap.searching import Search
from nova_fakes.ldap.sync_messages import State, SyncCookie, SyncRequest

__all__ = ["Changed", "Identifiers", "Provider", "Refresh", "Subscription"]

SET_SIZE = 256
QUEUE_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class Changed:
    """An entry and what has become of it.

    :param cookie: where a copy is that has this change; None where more is to come first
    """

    state: State
    identifier: str
    dn: str
    attributes: Attributes
    cookie: bytes | None = None


@dataclass(frozen=True, slots=True)
class Identifiers:
    """UUIDs of entries that are still there, or that are gone."""

    identifiers: tuple[str, ...]
    gone: bool
    cookie: bytes | None = None


@dataclass(slots=True)
class Refresh:
    """What brings a copy up to date.

    :param deletes: whether what is not named is still as it was; else it is gone
    :param cookie: where the copy is then; None where nothing has changed
    """

    steps: list[Identifiers | Changed] = field(default_factory=list)
    deletes: bool = True
    cookie: bytes | None = None
    references: list[list[str]] = field(default_factory=list)


class Subscription:
    """Changes as they are made, for one client that may be slow.

    :param wake: called where there is something new to take, by whoever makes the change
    :param limit: how many changes are kept; where more come the subscription ends
    """

    def __init__(
        self, provider: Provider, search: Search, cookie: SyncCookie, wake: Callable[[], None], limit: int = QUEUE_SIZE
    ) -> None:
        self._provider = provider
        self._search = search
        self._base = search.base()
        self._cookie = cookie
        self._wake = wake
        self._limit = limit
        self._queue: deque[Changed] = deque()
        self._known: set[str] = set()
        self.is_overrun = False

    def begin(self) -> None:
        """Take what there is now as known, and follow from here."""
        self._known = {entry.uuid for entry in self._search.entries(Entries())}
        self._provider.subscriptions.append(self)

    def close(self) -> None:
        """Follow no longer."""
        if self in self._provider.subscriptions:
            self._provider.subscriptions.remove(self)

    def take(self) -> Iterator[Changed]:
        """Give, and forget, the changes that have been made.

        :raises LdapError: SYNC_REFRESH_REQUIRED where there have been too many
        """
        while self._queue:
            yield self._queue.popleft()
        if self.is_overrun:
            raise LdapError(ResultCode.SYNC_REFRESH_REQUIRED, "too many changes wait to be taken")

    def overrun(self) -> None:
        """End where more has changed than can be told."""
        self.is_overrun = True
        self.close()
        self._wake()

    def follow(self, entry: Entry, csn: str, *, is_gone: bool = False) -> None:
        """Note a change of an entry."""
        matches = not is_gone and self._search.finds(entry, self._base)
        if not matches and entry.uuid not in self._known:
            return
        if len(self._queue) >= self._limit:
            self.overrun()
            return
        state = State.DELETE if not matches else State.MODIFY if entry.uuid in self._known else State.ADD
        (self._known.add if matches else self._known.discard)(entry.uuid)
        self._queue.append(_changed(self._search, state, entry, self._cookie.at(csn)))
        self._wake()


def _changed(search: Search, state: State, entry: Entry, cookie: bytes | None = None) -> Changed:
    if state is State.DELETE:
        return Changed(state, entry.uuid, entry.dn(), {}, cookie)
    result = Entries()
    search.give([entry], result)
    return Changed(state, entry.uuid, *result.found[0], cookie)


class Provider:
    """What a directory knows of its changes.

    :param defer: calls a function once what has been changed will stay
    :param log_size: how many deletions are remembered; with 0 a refresh always names what is present
    """

    def __init__(self, defer: Callable[[Callable[[], None]], None], log_size: int = 0) -> None:
        self._defer = defer
        self.csn = ""
        self.subscriptions: list[Subscription] = []
        self._log: deque[tuple[str, str]] = deque(maxlen=log_size)
        self._log_begins = ""

    # -- what the directory tells ------------------------------------------

    def added(self, entry: Entry) -> None:
        """Note a new entry."""
        self._note(entry.csn().decode(), entry)

    def modified(self, entry: Entry, before: dict[Attribute, Values], replaced: Container[Attribute]) -> None:
        """Note that an entry has other attributes."""
        self._note(entry.csn().decode(), entry)

    def renamed(self, entry: Entry, old: Dn) -> None:
        """Note that an entry has another name."""
        self._note(entry.csn().decode(), entry)

    def removed(self, entry: Entry, number: bytes) -> None:
        """Note that an entry is gone."""
        csn = number.decode()
        if self._log.maxlen and len(self._log) == self._log.maxlen:
            self._log_begins = self._log[0][0]
        self._log.append((csn, entry.uuid))
        self._note(csn, entry, is_gone=True)

    def _note(self, csn: str, entry: Entry, *, is_gone: bool = False) -> None:
        self._log_begins = self._log_begins or csn
        self._defer(lambda: self._tell(csn, entry, is_gone))

    def _tell(self, csn: str, entry: Entry, is_gone: bool) -> None:
        self.csn = max(self.csn, csn)
        for subscription in [*self.subscriptions]:
            subscription.follow(entry, csn, is_gone=is_gone)

    def restart(self, csn: str) -> None:
        """Begin anew where the entries have become others, as from a backup: copies have to be made again.

        :param csn: of the last change that the entries have
        """
        self.csn, self._log_begins = csn, csn
        self._log.clear()
        for subscription in [*self.subscriptions]:
            subscription.overrun()

    # -- what clients ask --------------------------------------------------

    def refresh(self, search: Search, request: SyncRequest) -> Refresh:
        """Tell what has become of the entries that a search finds.

        :raises LdapError: UNWILLING_TO_PERFORM where the cookie is of another directory, or what the search raises
        """
        cookie = request.cookie or SyncCookie()
        if cookie.csn > self.csn:
            raise LdapError(ResultCode.UNWILLING_TO_PERFORM, "consumer state is newer than provider!")
        refresh = Refresh(cookie=cookie.at(self.csn))
        result = Entries()
        if cookie.csn == self.csn and self.csn:
            refresh.cookie = None
            return refresh
        entries = search.entries(result)
        refresh.references = result.references
        new = [entry for entry in entries if entry.csn().decode() > cookie.csn]
        if cookie.csn:
            if self._log.maxlen and self._log_begins <= cookie.csn:
                refresh.steps += self._gone(search, cookie, {entry.uuid for entry in entries})
            else:
                refresh.deletes = False
                refresh.steps += _sets([entry.uuid for entry in entries], gone=False)
        refresh.steps += [_changed(search, State.ADD, entry) for entry in new]
        return refresh

    def _gone(self, search: Search, cookie: SyncCookie, present: set[str]) -> Iterator[Identifiers]:
        """Name the entries that were deleted since, and those that have changed and match no more."""
        deleted = [(csn, identifier) for csn, identifier in self._log if csn > cookie.csn]
        if deleted:
            at = cookie.at(cookie.csn, deleted[-1][0])
            yield from _sets([identifier for _, identifier in deleted], gone=True, cookie=at)
        changed = [
            (entry.csn().decode(), entry.uuid)
            for entry in search.surroundings()
            if entry.uuid not in present and entry.csn().decode() > cookie.csn
        ]
        if changed:
            at = cookie.at(cookie.csn, max(changed)[0])
            yield from _sets([identifier for _, identifier in changed], gone=True, cookie=at)


def _sets(identifiers: list[str], *, gone: bool, cookie: bytes | None = None) -> Iterator[Identifiers]:
    for start in range(0, len(identifiers), SET_SIZE):
        yield Identifiers(tuple(identifiers[start : start + SET_SIZE]), gone, cookie)
