"""Heartbeats of one connection: sent where nothing else went, and missed where nothing came."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nova_fakes.rabbit.wire.frames import FrameKind, frame

if TYPE_CHECKING:
    from nova_fakes.rabbit.wire.connection import Connection

__all__ = ["Heartbeat"]

BEATS_MISSED = 4


class Heartbeat:
    """Looks twice an interval whether something went out and came in.

    :param interval_s: that was agreed on
    :param missed: called where nothing came for two intervals
    """

    def __init__(self, connection: Connection, interval_s: int, missed: Callable[[], None]) -> None:
        self._connection = connection
        self._half_s = interval_s / 2
        self._missed = missed
        self._sent, self._received, self._silent = connection.sent, connection.received, 0
        self._timer = connection.broker.timers.after(self._half_s, self._beat)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _beat(self) -> None:
        connection = self._connection
        if connection.sent == self._sent:
            connection.write(frame(FrameKind.HEARTBEAT, 0, b""))
        self._silent = self._silent + 1 if connection.received == self._received else 0
        self._sent, self._received = connection.sent, connection.received
        if self._silent >= BEATS_MISSED and not connection.is_held:
            self._missed()
        else:
            self._timer = connection.broker.timers.after(self._half_s, self._beat)
