"""When a program that died is started again: soon, later where it dies again at once, and at last not at all."""

from __future__ import annotations

__all__ = ["Revival"]


#: More doublings than anybody waits for, and few enough for a float.
_DOUBLINGS = 64


class Revival:
    """Decides about the starts of one program by how long each lasted.

    :param first_s: between the first death and the next start, seconds; doubled for each death that follows at once
    :param longest_s: what that grows to
    :param steady_s: one that lasted so long has come up; its death is a first one again
    :param deaths: after so many in a row no more is tried; None never gives up
    """

    def __init__(
        self, *, first_s: float = 0.5, longest_s: float = 30.0, steady_s: float = 30.0, deaths: int | None = 6
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._steady_s = steady_s
        self._deaths = deaths
        #: How many deaths there were in a row.
        self.in_a_row = 0

    def pause_after(self, lasted_s: float) -> float | None:
        """Return how long to wait before the next start, seconds; None where there is to be none.

        :param lasted_s: from the last start to the death
        """
        if lasted_s >= self._steady_s:
            self.in_a_row = 0
        self.in_a_row += 1
        if self._deaths is not None and self.in_a_row >= self._deaths:
            return None
        return min(self._longest_s, self._first_s * 2.0 ** min(self.in_a_row - 1, _DOUBLINGS))
