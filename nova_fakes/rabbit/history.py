"""What clients asked of a broker, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

__all__ = ["Call", "History"]


@dataclass(frozen=True, slots=True)
class Call:
    """One call.

    :param time_s: by the broker's clock, since the epoch
    :param session: the connection's name
    :param operation: AMQP's name: `queue.declare`, `basic.publish` …
    :param arguments: the ones that tell most
    """

    time_s: float
    session: str
    vhost: str
    operation: str
    arguments: Mapping[str, object]


class History:
    """The last calls.

    :param limit: how many are kept
    """

    def __init__(self, limit: int) -> None:
        self._calls: deque[Call] = deque(maxlen=limit)

    def add(self, call: Call) -> None:
        """Note a call."""
        self._calls.append(call)

    def clear(self) -> None:
        """Forget all calls."""
        self._calls.clear()

    def of(self, operation: str) -> list[Call]:
        """Return the calls of an operation, a shell pattern."""
        return [call for call in self._calls if fnmatchcase(call.operation, operation)]

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._calls))

    def __len__(self) -> int:
        return len(self._calls)
