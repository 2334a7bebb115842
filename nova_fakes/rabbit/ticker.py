"""Lets happen what is due in a broker, by the timers of the loop that serves it."""

from __future__ import annotations

import asyncio

from nova_fakes.rabbit.broker import Broker

__all__ = ["Ticker"]


class Ticker:
    """Takes a turn of a broker whenever a timer is due; of a broker by the machine's clock, as the loop knows no other.

    `nova_fakes.rabbit.pacer.Pacer` does the same by any clock, with a thread.
    """

    def __init__(self, broker: Broker, loop: asyncio.AbstractEventLoop) -> None:
        self._broker = broker
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None
        self._is_stopped = False

    def start(self) -> None:
        """Begin."""
        with self._broker:
            self._broker.timers.on_earlier.append(self._earlier)
        self._earlier()

    def stop(self) -> None:
        """End."""
        with self._broker:
            self._broker.timers.on_earlier.remove(self._earlier)
        self._is_stopped = True

    def _earlier(self) -> None:
        self._loop.call_soon_threadsafe(self._schedule)

    def _schedule(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        with self._broker:  # whose turn begins with what is due
            due_s = self._broker.timers.next_due_s
        if due_s is not None and not self._is_stopped:
            delay_s = max(due_s - self._broker.clock.monotonic(), 0.0)
            self._handle = self._loop.call_later(delay_s, self._schedule)
