"""The directories that URIs lead to inside this process.

Code that calls `nova_fakes.ldap.initialize(uri)` finds its directory by the URI. Which directories there are, and the
client library's global options, is kept in a `Registry`. One is there from the beginning; inside `with Registry():`
another one takes its place, so that nothing of one test reaches the next.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol
from weakref import WeakSet

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap.access import AccessRule
from nova_fakes.ldap.directory import Directory

__all__ = ["Registry", "current", "default_directory", "reset"]

PASSWORDS = AccessRule((("self", "write"), ("anonymous", "auth")), frozenset({"userPassword"}))


class Link(Protocol):
    """A client's connection to one of the directories."""

    def lose(self) -> None:
        """End it as if the server had gone."""


def default_directory(uri: str) -> Directory:
    """Make the directory that a URI leads to where nobody has put one: `dc=example,dc=com`, as Debian sets slapd up.

    Everybody may read all but passwords, which their owners may write; `cn=admin,dc=example,dc=com` with the password
    `secret` may do everything.
    """
    return Directory(access=(PASSWORDS, AccessRule((("*", "read"),))))


class Registry:
    """Directories by URI, and the client library's global options.

    Of a URI the scheme, the host and the port count. As a context manager a registry is the one that
    `nova_fakes.ldap.initialize` asks.

    :param make: makes the directory of a URI that is not known; None where nothing shall answer there
    """

    def __init__(self, make: Callable[[str], Directory] | None = default_directory) -> None:
        self.options: dict[int, Any] = {}
        self._make = make
        self._directories: dict[str, Directory] = {}
        self._down: set[str] = set()
        self._links: dict[str, WeakSet[Link]] = {}

    def put(self, uri: str, directory: Directory) -> None:
        """Let a URI lead to a directory.

        :raises InvalidInput: where it is not a URI
        """
        self._directories[_place(uri)] = directory

    def directory(self, uri: str) -> Directory:
        """Return the directory that a URI leads to; it is made at the first time.

        :raises InvalidInput: where it is not a URI, or there is no directory and none is to be made
        """
        place = _place(uri)
        found = self._directories.get(place)
        if found is None:
            if self._make is None:
                raise InvalidInput("uri", uri, "put a directory there first")
            found = self._directories[place] = self._make(uri)
        return found

    def stop(self, uri: str) -> None:
        """Let nothing answer at a URI, and end the connections there; its directory is kept.

        :raises InvalidInput: where it is not a URI
        """
        place = _place(uri)
        self._down.add(place)
        self._lose(place)

    def start(self, uri: str) -> None:
        """Let the directory at a URI answer again."""
        self._down.discard(_place(uri))

    def open(self, uri: str, link: Link) -> tuple[str, Directory] | None:
        """Connect to the first of one or several URIs at which something answers.

        :param link: told when the connection ends from the other side
        :returns: which one, and what is there; None where nothing answers
        :raises InvalidInput: where there is something that is not a URI
        """
        for one in uris(uri):
            place = _place(one)
            if place not in self._down and (self._make is not None or place in self._directories):
                self._links.setdefault(place, WeakSet()).add(link)
                return one, self.directory(one)
        return None

    def reset(self) -> None:
        """Forget all directories and options, and end all connections."""
        for place in list(self._links):
            self._lose(place)
        self._directories.clear()
        self._down.clear()
        self.options.clear()

    def _lose(self, place: str) -> None:
        for link in self._links.pop(place, ()):
            link.lose()

    def __enter__(self) -> Registry:
        _STACK.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _STACK.remove(self)
        self.reset()


# The one that is asked is the last. The first is there for code that cannot be told of another one.
_STACK = [Registry()]


def current() -> Registry:
    """Return the registry that is asked now."""
    return _STACK[-1]


def reset() -> None:
    """Forget all directories and options of the registry that is asked now, and end all connections."""
    current().reset()


def uris(text: str) -> list[str]:
    """Take a list of URIs apart, as libldap does: at spaces and commas.

    :raises InvalidInput: where one has no scheme
    """
    found = re.split(r"[ ,]+(?=[A-Za-z]+://)", text.strip())
    for one in found:
        _place(one)
    return found


def _place(uri: str) -> str:
    """Return what two URIs have in common that lead to the same place."""
    scheme, separator, rest = uri.partition("://")
    if not separator or not scheme:
        raise InvalidInput("uri", uri, "write it as ldap://host:port")
    host = rest.split("/", 1)[0].split("?", 1)[0].lower()
    scheme = scheme.lower()
    port = {"ldap": ":389", "ldaps": ":636"}.get(scheme, "")
    if port and ":" not in host.rpartition("]")[2]:
        host = (host or "localhost") + port
    return f"{scheme}://{host}"
