"""How long a delivery may wait for its acknowledgement before its channel is closed.

Source: RabbitMQ 3.10, `rabbit_channel:evaluate_consumer_timeout`; looked at once a minute, as there.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from nova_fakes.rabbit.errors import SoftError
from nova_fakes.rabbit.timers import Timer

if TYPE_CHECKING:
    from nova_fakes.rabbit.channel import Channel

__all__ = ["Patience"]

TICK_S = 60.0


class Patience:
    """Looks after the deliveries of one channel.

    Deliveries have no times of their own: once a minute it is noted which tag is the next, and what is older than a
    note of long ago has waited since.
    """

    __slots__ = ("_channel", "_notes", "_timer")

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        #: Readings of the clock, and the delivery tag that was the next.
        self._notes: deque[tuple[float, int]] = deque()
        self._timer: Timer | None = None

    def watch(self) -> None:
        """Begin, or go on: something waits."""
        if self._timer is None:
            broker = self._channel.broker
            self._notes.append((broker.clock.monotonic(), self._channel.next_tag))
            self._timer = broker.timers.after(TICK_S, self._look)

    def stop(self) -> None:
        """Look no more: the channel is closed."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        channel, notes = self._channel, self._notes
        oldest = channel.oldest_unacked
        if oldest is None:
            notes.clear()
            return
        while notes and notes[0][1] <= oldest:
            notes.popleft()
        limit_s = channel.broker.consumer_timeout_s
        if notes and channel.broker.clock.monotonic() - notes[0][0] > limit_s:
            text = (
                f"delivery acknowledgement on channel {channel.number} timed out. Timeout value used: "
                f"{limit_s * 1000:.0f} ms. This timeout value can be configured, see consumers doc guide to learn more"
            )
            channel.end(SoftError("PRECONDITION_FAILED", text))
        else:
            self.watch()
