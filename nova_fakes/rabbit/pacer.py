"""A thread that lets happen what is due in a broker, by the clock of the broker."""

from __future__ import annotations

import threading

from nova_fakes.rabbit.broker import Broker

__all__ = ["Pacer"]

FOREVER_S = 86_400.0


class Pacer:
    """Takes a turn of a broker whenever a timer is due, be the clock the machine's or one that a test moves."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._alarm = broker.clock.alarm()
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="rabbit-pacer", daemon=True)

    def start(self) -> None:
        """Begin."""
        with self._broker:
            self._broker.timers.on_earlier.append(self._alarm.set)
        self._thread.start()

    def stop(self) -> None:
        """End, and wait until it has ended."""
        with self._broker:
            self._broker.timers.on_earlier.remove(self._alarm.set)
        self._is_stopped = True
        self._alarm.set()
        self._thread.join()

    def _run(self) -> None:
        clock, timers = self._broker.clock, self._broker.timers
        while not self._is_stopped:
            with self._broker:  # whose turn begins with what is due
                due_s = timers.next_due_s
            self._alarm.wait(FOREVER_S if due_s is None else max(due_s - clock.monotonic(), 0.0))
            self._alarm.clear()
