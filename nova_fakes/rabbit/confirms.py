"""Publisher confirms of one channel: gathered during a turn, answered in RabbitMQ's way at its end."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Confirms"]

Answer = Callable[[int, bool], None]


class Confirms:
    """Which messages wait to be confirmed, and which may be told."""

    __slots__ = ("_acked", "_next", "_refused", "open")

    def __init__(self) -> None:
        self._next = 1
        self._acked: list[int] = []
        self._refused: list[int] = []
        #: Messages that are neither taken nor refused yet.
        self.open: set[int] = set()

    @property
    def count(self) -> int:
        """How many messages have not been answered."""
        return len(self.open) + len(self._acked) + len(self._refused)

    def number(self) -> int:
        """Number the next message."""
        number = self._next
        self._next = number + 1
        return number

    def settle(self, number: int, is_taken: bool) -> bool:
        """Note what became of a message; tell whether it is the first since :meth:`flush`."""
        is_first = not self._acked and not self._refused
        (self._acked if is_taken else self._refused).append(number)
        return is_first

    def flush(self, ack: Answer, nack: Answer) -> None:
        """Answer what is settled: refusals first; what nothing open or refused precedes by one answer for all."""
        acked, refused = self._acked, self._refused
        if not refused and len(acked) == 1:
            self._acked = []
            ack(acked[0], False)
            return
        self._acked, self._refused = [], []
        if refused:
            _answer(refused, min(self.open.union(acked), default=None), nack)
        if len(acked) == 1:
            ack(acked[0], False)
        elif acked:
            _answer(acked, min(self.open.union(refused), default=None), ack)


def _answer(numbers: list[int], cutoff: int | None, answer: Answer) -> None:
    numbers.sort()
    joint = numbers if cutoff is None else [number for number in numbers if number < cutoff]
    if joint:
        answer(joint[-1], True)
    for number in numbers[len(joint) :]:
        answer(number, False)
