"""How often things happen: counters looked at now and then, over the last seconds."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from weakref import WeakKeyDictionary

__all__ = ["Rates"]

WINDOW_S = 10.0


class Rates:
    """Remembers what counters said, for as long as those live whose counters they are.

    :param now: seconds
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._seen: WeakKeyDictionary[object, deque[tuple[float, dict[str, int]]]] = WeakKeyDictionary()

    def statistics(self, of: object, counters: Mapping[str, int]) -> dict[str, object]:
        """Return the counters and, as ``<name>_details``, how much they have grown a second since they were seen."""
        now_s = self._now()
        with self._lock:
            seen = self._seen.setdefault(of, deque())
            seen.append((now_s, dict(counters)))
            while len(seen) > 2 and seen[1][0] <= now_s - WINDOW_S:
                seen.popleft()
            then_s, then = seen[0]
        passed_s = now_s - then_s
        told: dict[str, object] = {}
        for name, count in counters.items():
            told[name] = count
            told[f"{name}_details"] = {"rate": (count - then[name]) / passed_s if passed_s > 0 else 0.0}
        return told
