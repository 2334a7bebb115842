"""Calls side by side in one thread: while one waits, the others go on (greenlet)."""

from collections import deque
from collections.abc import Callable

from greenlet import getcurrent, greenlet

__all__ = ["Turn", "Turns"]


class Turns:
    """Calls in one thread of which some wait: each is a greenlet, and who need not wait any more has a turn."""

    def __init__(self) -> None:
        self._hub = getcurrent()
        self._ready: deque[greenlet] = deque()

    def add(self, call: Callable[[], None]) -> None:
        """Have a call made."""
        self._ready.append(greenlet(call))

    def take(self) -> None:
        """Let everybody go on who can, until all wait or are done."""
        while self._ready:
            self._ready.popleft().switch()

    def wait(self) -> None:
        """Let the others go on until the calling one's turn comes again."""
        self._hub.switch()

    def turn(self) -> "Turn":
        """Return the calling one's next turn."""
        return Turn(self._ready, getcurrent())


class Turn:
    """The next turn of a call that waits."""

    def __init__(self, ready: deque[greenlet], waiting: greenlet) -> None:
        self._ready = ready
        self._waiting = waiting

    def release(self) -> None:
        """Let it come."""
        self._ready.append(self._waiting)
