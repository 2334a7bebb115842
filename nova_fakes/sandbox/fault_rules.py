"""Fault rules as the command line and files say them: errors by their names."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from typing import Any

from nova_fakes.exceptions import InvalidInput
from nova_fakes.faults import FaultRule, Standing
from nova_fakes.virt.operations import check_pattern

__all__ = ["describe", "make"]

_NAMES = frozenset(field.name for field in fields(FaultRule))


class _Named:
    """Makes the exceptions of a rule; tells its own name."""

    def __init__(self, text: str, make: Callable[[], BaseException]) -> None:
        self.text = text
        self._make = make

    def __call__(self, uuid: str | None) -> BaseException:
        return self._make()


def make(values: Mapping[str, Any]) -> FaultRule:
    """Make a rule of what somebody wrote.

    :param values: by the names of :class:`FaultRule`; ``error`` is the name of an exception of nova's or of Python's,
        with a colon and a text behind it if one is wanted, or else a text
    :raises InvalidInput: a name or a value that no rule has
    """
    for name, value in values.items():
        if name not in _NAMES:
            raise InvalidInput(name, value, f"use {', '.join(sorted(_NAMES))}")
    check_pattern(values["operation"])
    error = values.get("error")
    return FaultRule(**{**values, "error": None if error is None else _error(str(error))})


def describe(standing: Standing) -> dict[str, Any]:
    """Return a rule, and how far it has come, ready for JSON."""
    rule = standing.rule
    found = {field.name: getattr(rule, field.name) for field in fields(rule)}
    error = rule.error
    found["error"] = error.text if isinstance(error, _Named) else None if error is None else str(error)
    return {**found, "matched": standing.seen, "struck": standing.struck}


def _error(text: str) -> _Named | str:
    from nova import exception

    name, _colon, message = text.partition(":")
    name, message = name.strip(), message.strip() or f"{name.strip()}, as a fault rule says"
    found = getattr(exception, name, None) or getattr(builtins, name, None)
    if not isinstance(found, type) or not issubclass(found, Exception):
        return text
    # nova's take their text by a name, since most of them make one of other values.
    key = {"message": message} if issubclass(found, exception.NovaException) else None
    return _Named(text, partial(found, **key) if key else partial(found, message))
