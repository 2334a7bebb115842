"""Ctrl-C and its kin: they stop the step that runs, and wait for the next one where none does."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interruption"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Whether somebody wants the run to end: by Ctrl-C, by SIGTERM, by closing the terminal.

    Entered, it answers the signals. A KeyboardInterrupt reaches only what runs :meth:`exposed`: between two steps, or
    in a destructor that swallows it, one would get lost or end the program in the middle of its tidying up.
    """

    def __init__(self) -> None:
        #: Set once somebody has asked.
        self.asked = False
        self._exposed = False

    def __enter__(self) -> Interruption:
        self._before = {number: signal.signal(number, self._answer) for number in _SIGNALS}
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def exposed(self) -> Iterator[None]:
        """Let a signal raise KeyboardInterrupt from here on."""
        self._exposed = True
        try:
            yield
        except KeyboardInterrupt:
            self.asked = True
            raise
        finally:
            self._exposed = False

    def _answer(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if self._exposed:
            raise KeyboardInterrupt
