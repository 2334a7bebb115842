"""A host that does not answer: its guests go on, and whoever wants something of it waits."""

from __future__ import annotations

import math

from nova_fakes.clock import Clock
from nova_fakes.exceptions import InvalidInput

__all__ = ["DEFAULT_DEADLINE_S", "Hang"]

#: As long as nova waits for an answer by RPC (``[DEFAULT] rpc_response_timeout``).
DEFAULT_DEADLINE_S = 60.0


class Hang:
    """One hang, from its beginning to its end.

    :param clock: by which everybody waits
    :param deadline_s: how long an operation waits at most, seconds
    :raises InvalidInput: a deadline that is none
    """

    def __init__(self, clock: Clock, deadline_s: float) -> None:
        if not (math.isfinite(deadline_s) and deadline_s > 0):
            raise InvalidInput("deadline_s", deadline_s, "give seconds above 0")
        self.deadline_s = deadline_s
        self._over = clock.alarm()

    def wait(self) -> bool:
        """Wait for the end; tell whether it came before the deadline."""
        return self._over.wait(self.deadline_s)

    def end(self) -> None:
        """Let everybody who waits go on."""
        self._over.set()
