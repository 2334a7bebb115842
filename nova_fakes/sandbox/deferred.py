"""Modules that nova and placement import and a sandbox seldom needs: imported when something of them is first used.

They are a tenth of a sandbox's start.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

__all__ = ["SELDOM_NEEDED", "defer"]

#: None of them is a package, so that nobody looks for a submodule in what stands there for it.
SELDOM_NEEDED = (
    "nova.crypto",  # takes paramiko, for keys and certificates
    "osprofiler.notifier",  # takes all stores of traces
    "placement.db.sqlalchemy.migration",  # takes alembic, for a database without a schema
)


class _Deferred(ModuleType):
    """Stands where a module will be, and hands out what that has."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            sys.modules.pop(self.__name__, None)
        return getattr(importlib.import_module(self.__name__), name)


def defer(names: Iterable[str] = SELDOM_NEEDED) -> None:
    """Have modules imported when they are first used; those that are imported already stay as they are."""
    for name in names:
        sys.modules.setdefault(name, _Deferred(name))
