"""Calls that share a request to the agent.

A request costs more than what is in it, so one is under way at a time: calls that come meanwhile wait, and the next
request carries them all. Who comes alone waits for nobody, and nobody waits long for a request that is slow. There is
no thread behind it: one of those who wait sends for the others.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from nova_fakes.agent.calls import MAX_BATCH
from nova_fakes.agent.protocol import Request

__all__ = ["Flights", "Passenger"]

#: Seconds that a call waits for the request under way before it goes without that.
_PATIENCE_S = 0.02


class Passenger:
    """A call that waits for the next request; `error` or `result` is what came of it."""

    def __init__(self, request: Request, until: float) -> None:
        self.request = request
        self.until = until
        self.result: Any = None
        self.error: Exception | None = None
        #: The agent had not done it when it answered: it has to be sent again, alone.
        self.again = False
        #: Those for whom it is to send, itself first; empty where another sends for it.
        self.crew: list[Passenger] = []
        self._turn = threading.Lock()
        self._turn.acquire()

    def go(self) -> None:
        """Wake it: it is answered, or has to send."""
        self._turn.release()

    def wait(self, longest_s: float) -> bool:
        """Wait for that; False where its time is over, or the longest one may wait."""
        return self._turn.acquire(timeout=max(0.0, min(longest_s, self.until - time.monotonic())))


class Flights:
    """Brings calls to the agent; may be used by many threads at once.

    :param alone: sends one call until a moment of the monotonic clock, and returns its result
    :param together: sends several, and leaves with each its result or error
    """

    def __init__(self, alone: Callable[[Request, float], Any], together: Callable[[Sequence[Passenger]], None]) -> None:
        self._alone = alone
        self._together = together
        self._lock = threading.Lock()
        self._waiting: deque[Passenger] = deque()
        self._under_way = 0

    def fly(self, request: Request, until: float) -> Any:
        """Have a call brought to the agent, and return its result.

        :param until: the moment of the monotonic clock at which the caller stops waiting
        :raises TimeoutError: its turn has not come by then
        :raises Exception: whatever `alone` or `together` says
        """
        if not request.idempotent:
            return self._alone(request, until)
        with self._lock:
            passenger = Passenger(request, until) if self._under_way else None
            if passenger is None:
                self._under_way += 1
            else:
                self._waiting.append(passenger)
        if passenger is None:
            try:
                return self._alone(request, until)
            finally:
                self._land()
        return self._ride(passenger)

    def _ride(self, passenger: Passenger) -> Any:
        if not passenger.wait(_PATIENCE_S):
            with self._lock:
                if passenger in self._waiting and passenger.until > time.monotonic():
                    self._waiting.remove(passenger)
                    self._waiting.appendleft(passenger)
                    passenger.crew = self._board()
                    self._under_way += 1
            if not passenger.crew and not passenger.wait(threading.TIMEOUT_MAX):
                self._give_up(passenger)
        if passenger.crew:
            self._send(passenger.crew)
        if passenger.again:
            return self._alone(passenger.request, passenger.until)
        if passenger.error is not None:
            raise passenger.error
        return passenger.result

    def _send(self, crew: Sequence[Passenger]) -> None:
        first, *others = crew
        try:
            if others:
                self._together(crew)
            else:
                first.result = self._alone(first.request, first.until)
        except Exception as error:
            for passenger in crew:
                passenger.error = error
        except BaseException:
            for passenger in others:
                passenger.again = True  # whoever interrupts this caller does not mean them
            raise
        finally:
            for passenger in others:
                passenger.go()
            self._land()

    def _give_up(self, passenger: Passenger) -> None:
        with self._lock:
            if passenger in self._waiting:
                self._waiting.remove(passenger)
            if not passenger.crew:
                raise TimeoutError("its turn has not come")

    def _board(self) -> list[Passenger]:
        """Take those who wait, for the one request that carries them."""
        return [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]

    def _land(self) -> None:
        """Let the next go, where somebody waits."""
        with self._lock:
            crew = self._board()
            if not crew:
                self._under_way -= 1
                return
            crew[0].crew = crew
        crew[0].go()
