"""Sees to it that what is due happens: by the loop's timers, or as a clock that a test moves says."""

from __future__ import annotations

import asyncio
import threading

from nova_fakes.clock import SystemClock
from nova_fakes.rabbit.broker import Broker

__all__ = ["Ticker"]

FOREVER_S = 86_400.0


class Ticker:
    """Drives a broker's timers.

    :param loop: does it, for the machine's clock; a thread waits on any other
    """

    def __init__(self, broker: Broker, loop: asyncio.AbstractEventLoop) -> None:
        self._broker = broker
        self._loop = loop
        self._is_real = isinstance(broker.clock, SystemClock)
        self._handle: asyncio.TimerHandle | None = None
        self._alarm = broker.clock.alarm()
        self._is_stopped = False
        self._thread = threading.Thread(target=self._wait, name="rabbit-ticker", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._broker.timers.on_earlier.append(self._earlier)
        if not self._is_real:
            self._thread.start()

    def stop(self) -> None:
        """End."""
        self._broker.timers.on_earlier.remove(self._earlier)
        self._is_stopped = True
        self._alarm.set()
        if self._thread.is_alive():
            self._thread.join()

    def _earlier(self) -> None:
        if self._is_real:
            self._loop.call_soon_threadsafe(self._schedule)
        else:
            self._alarm.set()

    def _schedule(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        due_s = self._broker.timers.next_due_s
        if due_s is not None and not self._is_stopped:
            delay_s = max(due_s - self._broker.clock.monotonic(), 0.0)
            self._handle = self._loop.call_later(delay_s, self._tick)

    def _tick(self) -> None:
        with self._broker:  # whose turn begins with what is due
            pass
        self._schedule()

    def _wait(self) -> None:
        clock, timers = self._broker.clock, self._broker.timers
        while not self._is_stopped:
            with self._broker:
                due_s = timers.next_due_s
            self._alarm.wait(FOREVER_S if due_s is None else due_s - clock.monotonic())
            self._alarm.clear()
