"""A token cache for keystonemiddleware, in the process's memory instead of memcached."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from nova_fakes.sandbox.config import TOKEN_CACHE_KEY

__all__ = ["TokenCache", "WSGIApplication", "with_token_cache"]

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class TokenCache:
    """The part of memcached's interface that auth_token calls on a cache found in the WSGI environment.

    :param monotonic: seconds that only grow, for expiry
    :param size: entries kept; the oldest go first
    """

    def __init__(self, monotonic: Callable[[], float], size: int = 4096) -> None:
        self._monotonic = monotonic
        self._size = size
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, tuple[float, Any]] = OrderedDict()

    def get(self, key: str) -> Any:
        """Return the value, or None when it is unknown or has expired."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if entry[0] <= self._monotonic():
                del self._entries[key]
                return None
            return entry[1]

    def set(self, key: str, value: Any, time: float = 0) -> None:
        """Keep the value for ``time`` seconds."""
        with self._lock:
            self._entries[key] = (self._monotonic() + time, value)
            self._entries.move_to_end(key)
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)


def with_token_cache(application: WSGIApplication, cache: TokenCache) -> WSGIApplication:
    """Return the application with the cache in each request's environment."""

    def call(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ[TOKEN_CACHE_KEY] = cache
        return application(environ, start_response)

    return call
