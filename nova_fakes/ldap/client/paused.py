"""Answers that a fault rule delays: a client takes them when their time has come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nova_fakes.ldap.session import Part, Session

__all__ = ["Paused", "Rest"]


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left of the answer to a request, and when it goes on, by the directory's clock."""

    request: int
    session: Session
    parts: Iterator[Part]
    due_s: float


class Paused:
    """The answers of one connection that pause."""

    def __init__(self) -> None:
        self._rests: dict[int, Rest] = {}

    def put(self, request: int, session: Session, parts: Iterator[Part], pause_s: float) -> None:
        """Let an answer pause so many seconds."""
        self._rests[request] = Rest(request, session, parts, session.directory.clock.monotonic() + pause_s)

    def forget(self, request: int) -> None:
        """Drop an answer, if it pauses."""
        self._rests.pop(request, None)

    def clear(self) -> None:
        """Drop all answers."""
        self._rests.clear()

    def next(self, timeout_s: float) -> tuple[Rest | None, float]:
        """Wait for the first answer that goes on.

        :param timeout_s: how long, less than 0 for as long as it takes
        :returns: the answer, None where none goes on in time; and what is left of the time
        """
        if not self._rests:
            return None, timeout_s
        first = min(self._rests.values(), key=lambda rest: rest.due_s)
        clock = first.session.directory.clock
        pause_s = max(first.due_s - clock.monotonic(), 0.0)
        if 0 <= timeout_s < pause_s:
            clock.sleep(timeout_s)
            return None, 0.0
        clock.sleep(pause_s)
        del self._rests[first.request]
        return first, timeout_s if timeout_s < 0 else timeout_s - pause_s
