"""Searches that keep copies up to date, on one connection: the messages of RFC 4533."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from nova_fakes.ldap import messages
from nova_fakes.ldap.access import Identity
from nova_fakes.ldap.controls import Asked
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.options import SearchRequest
from nova_fakes.ldap.results import LdapError
from nova_fakes.ldap.sync_messages import SyncCookie, done_control, refresh_done, state_control, uuid_set
from nova_fakes.ldap.synchronization import Changed, Identifiers, Refresh, Subscription

__all__ = ["Followers"]


class Followers:
    """The searches of a connection that tell of changes.

    :param wake: called where one has something to tell
    """

    def __init__(self, directory: Directory, wake: Callable[[], None]) -> None:
        self._directory = directory
        self._wake = wake
        self._going_on: dict[int, Subscription] = {}

    def begin(self, number: int, who: Identity, request: SearchRequest, asked: Asked) -> Refresh:
        """Find out what brings a copy up to date; where the search shall go on, follow from there.

        :raises LdapError: what slapd answers where it cannot search
        """
        provider, wanted = self._directory.provider, asked.sync
        if provider is None or wanted is None:
            return Refresh()
        search = self._directory.prepared(who, request, asked.options)
        if not wanted.persist:
            return provider.refresh(search, wanted)
        subscription = Subscription(provider, search, wanted.cookie or SyncCookie(), self._wake)
        refresh = provider.refresh(search, wanted)
        subscription.begin()
        self._going_on[number] = subscription
        return refresh

    def answer(self, number: int, refresh: Refresh) -> Iterator[bytes]:
        """Give the messages that bring a copy up to date; then end the search, or let it go on."""
        yield from self._steps(number, refresh)
        if number in self._going_on:
            yield refresh_done(number, refresh.cookie, refresh.deletes)
            return
        done = messages.write_result(messages.SEARCH_DONE)
        yield messages.write_message(number, done, [done_control(refresh.cookie, refresh.deletes)])

    def _steps(self, number: int, refresh: Refresh) -> Iterator[bytes]:
        for step in refresh.steps:
            if isinstance(step, Identifiers):
                yield uuid_set(number, step.identifiers, step.cookie, step.gone)
            else:
                yield _entry(number, step)
        for urls in refresh.references:
            yield messages.write_message(number, messages.write_reference(urls))

    def pending(self) -> Iterator[bytes]:
        """Give the messages about changes since this was last asked."""
        for number, subscription in [*self._going_on.items()]:
            try:
                for changed in subscription.take():
                    yield _entry(number, changed)
            except LdapError as error:
                self.end(number)
                result = messages.write_result(messages.SEARCH_DONE, error.code, error.text)
                yield messages.write_message(number, result)

    def end(self, number: int) -> bool:
        """End a search; tell whether it was going on."""
        subscription = self._going_on.pop(number, None)
        if subscription is not None:
            subscription.close()
        return subscription is not None

    def close(self) -> None:
        """End all searches."""
        for number in [*self._going_on]:
            self.end(number)


def _entry(number: int, changed: Changed) -> bytes:
    control = state_control(changed.state, changed.identifier, changed.cookie)
    return messages.write_message(number, messages.write_entry(changed.dn, changed.attributes), [control])
