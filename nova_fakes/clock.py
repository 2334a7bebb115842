"""Time as an argument: the machine's clock, and one that a test moves by hand.

Whatever passes time takes a :class:`Clock`; nothing else in the project sleeps.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

__all__ = ["Alarm", "Clock", "ManualClock", "SystemClock"]


class Alarm(Protocol):
    """A flag that a waiter on some clock can be woken by."""

    def set(self) -> None:
        """Raise the flag; whoever waits for it wakes."""

    def clear(self) -> None:
        """Lower the flag."""

    def is_set(self) -> bool:
        """Tell whether the flag is up."""

    def wait(self, timeout_s: float) -> bool:
        """Wait until the flag is up or that many seconds have passed by the clock; tell whether it is up."""


class Clock(Protocol):
    """Something that tells and passes time. Seconds everywhere."""

    def now(self) -> float:
        """Return the seconds since the epoch; never less than it returned before."""

    def monotonic(self) -> float:
        """Return seconds from an arbitrary origin, for measuring durations."""

    def sleep(self, duration_s: float) -> None:
        """Return once that many seconds have passed."""

    def alarm(self) -> Alarm:
        """Make an alarm whose waiting passes by this clock."""


class SystemClock:
    """The machine's time. Counts monotonically from the wall clock's reading when it was made."""

    def __init__(self) -> None:
        # A step of the wall clock must not make a guest's counters run backwards.
        self._epoch_s = time.time() - time.monotonic()

    def now(self) -> float:
        """Return the seconds since the epoch."""
        return self._epoch_s + time.monotonic()

    def monotonic(self) -> float:
        """Return the seconds of the machine's monotonic clock."""
        return time.monotonic()

    def sleep(self, duration_s: float) -> None:
        """Sleep."""
        if duration_s > 0:
            time.sleep(duration_s)

    def alarm(self) -> Alarm:
        """Make an alarm."""
        return _SystemAlarm()


class _SystemAlarm:
    """A threading.Event with this module's parameter names."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.set = self._event.set
        self.clear = self._event.clear
        self.is_set = self._event.is_set

    def wait(self, timeout_s: float) -> bool:
        return self._event.wait(max(timeout_s, 0.0))


class ManualClock:
    """A clock that stands still until :meth:`advance` moves it.

    :param start_s: its first reading, seconds since the epoch
    """

    def __init__(self, start_s: float = 1_700_000_000.0) -> None:
        self._now_s = start_s
        self._moved = threading.Condition()
        self._waiting = 0

    def now(self) -> float:
        """Return the present reading."""
        return self._now_s

    def monotonic(self) -> float:
        """Return the present reading."""
        return self._now_s

    def advance(self, duration_s: float) -> None:
        """Let that many seconds pass and wake whoever's time has come.

        :raises ValueError: for a negative duration; time does not go back
        """
        if duration_s < 0:
            raise ValueError(f"a clock cannot advance by {duration_s} s: give a duration of 0 or more")
        with self._moved:
            self._now_s += duration_s
            self._moved.notify_all()

    def advance_to(self, time_s: float) -> None:
        """Let the time pass until then, exactly; no time passes where that is gone by."""
        with self._moved:
            self._now_s = max(self._now_s, time_s)
            self._moved.notify_all()

    def sleep(self, duration_s: float) -> None:
        """Return once another thread has advanced the clock that far."""
        self.alarm().wait(duration_s)

    def alarm(self) -> Alarm:
        """Make an alarm whose time-out passes by this clock."""
        return _ManualAlarm(self)

    def wait_for_sleepers(self, count: int = 1, patience_s: float = 10.0) -> bool:
        """Wait, in real time, until that many threads wait on this clock; tell whether it came to that.

        A test calls it before :meth:`advance`, so that the time it lets pass is not missed by a thread on its way.
        """
        with self._moved:
            return self._moved.wait_for(lambda: self._waiting >= count, patience_s)

    def _wait(self, alarm: _ManualAlarm, timeout_s: float) -> bool:
        with self._moved:
            deadline_s = self._now_s + timeout_s
            self._waiting += 1
            self._moved.notify_all()
            try:
                while not alarm.is_set() and self._now_s < deadline_s:
                    self._moved.wait()
            finally:
                self._waiting -= 1
            return alarm.is_set()

    def _ring(self, alarm: _ManualAlarm) -> None:
        with self._moved:
            alarm.raised = True
            self._moved.notify_all()


class _ManualAlarm:
    """A flag that shares its clock's condition, so that either wakes the waiter."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.raised = False

    def set(self) -> None:
        self._clock._ring(self)

    def clear(self) -> None:
        self.raised = False

    def is_set(self) -> bool:
        return self.raised

    def wait(self, timeout_s: float) -> bool:
        return self._clock._wait(self, timeout_s)
