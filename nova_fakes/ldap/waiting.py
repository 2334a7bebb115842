"""Delays on a server: what is to happen later, by the directory's clock, while others are answered."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from nova_fakes.clock import Alarm, Clock

__all__ = ["Waiting"]


class Waiting:
    """What waits to happen in a server's loop; each in a thread, since any clock may count its seconds."""

    def __init__(self, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:
        self._clock = clock
        self._loop = loop
        self._lock = threading.Lock()
        self._alarms: dict[Alarm, threading.Thread] = {}
        self._has_stopped = False

    def begin(self, delay_s: float, then: Callable[[], None]) -> None:
        """Call a function in the loop once that many seconds have passed."""
        alarm = self._clock.alarm()
        thread = threading.Thread(target=self._wait, args=(alarm, delay_s, then), name="ldap delay", daemon=True)
        with self._lock:
            if self._has_stopped:
                return
            self._alarms[alarm] = thread
            thread.start()

    def _wait(self, alarm: Alarm, delay_s: float, then: Callable[[], None]) -> None:
        is_over = alarm.wait(delay_s)
        with self._lock:
            self._alarms.pop(alarm, None)
            if not is_over and not self._has_stopped:
                self._loop.call_soon_threadsafe(then)

    def stop(self) -> None:
        """End all waiting; nothing of it happens any more."""
        with self._lock:
            self._has_stopped = True
            waiting = dict(self._alarms)
        for alarm, thread in waiting.items():
            alarm.set()
            thread.join()
