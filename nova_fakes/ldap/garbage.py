"""Python's collector of garbage, held back where it cannot find any."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["uncollected"]

MANY = 256


@contextmanager
def uncollected(count: int) -> Iterator[None]:
    """Hold the collector back while so many entries are copied.

    A copied entry is a dozen containers, none of them garbage. The collector, which counts new containers, would look
    through the whole process again and again: ten thousand entries are copied five times as fast without it.
    """
    if count < MANY or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():
            # What is new becomes old without being looked through; what somebody else has frozen must stay so.
            gc.freeze()
            gc.unfreeze()
        gc.enable()
