"""Whether a driver's methods still take what the installed nova passes."""

from __future__ import annotations

import inspect
from typing import Any

from nova_fakes.exceptions import SignatureMismatch

__all__ = ["check_signatures", "mismatches"]

Parameter = tuple[str, str, bool]


def _parameters(function: Any) -> list[Parameter]:
    return [
        (parameter.name, parameter.kind.description, parameter.default is not inspect.Parameter.empty)
        for parameter in inspect.signature(function).parameters.values()
    ]


def mismatches(cls: type, base: type) -> list[str]:
    """Return one sentence for each public method of the class that differs from the base's of that name.

    Names, order, kinds and the presence of defaults count; annotations and the defaults' values do not.
    """
    found = []
    for name, method in sorted(vars(cls).items()):
        inherited = getattr(base, name, None)
        if name.startswith("_") or not inspect.isfunction(method) or not inspect.isfunction(inherited):
            continue
        ours, theirs = _parameters(method), _parameters(inherited)
        if ours == theirs:
            continue
        missing = [one[0] for one in theirs if one not in ours]
        surplus = [one[0] for one in ours if one not in theirs]
        parts = [f"{cls.__name__}.{name}{inspect.signature(method)} is called as {name}{inspect.signature(inherited)}"]
        if missing:
            parts.append(f"differs in or lacks: {', '.join(missing)}")
        if surplus:
            parts.append(f"differs in or has besides: {', '.join(surplus)}")
        if not missing and not surplus:
            parts.append("the order differs")
        found.append("; ".join(parts))
    return found


def check_signatures(cls: type, base: type) -> None:
    """Refuse a driver that nova would call with arguments that it does not take.

    :raises SignatureMismatch: names every method and argument
    """
    found = mismatches(cls, base)
    if found:
        raise SignatureMismatch(
            "the installed nova calls the driver otherwise than it was written for, install a nova that nova-fakes "
            "supports:\n" + "\n".join(found)
        )
