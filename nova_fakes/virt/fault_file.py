"""Fault rules as files and commands say them: each a table of plain values; a file of them is a plan.

::

    seed = 7

    [[fault]]
    operation = "spawn"
    flavor = "gpu.*"
    error = "BuildAbortException: no such device"
    delay = "uniform:0.5,2"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

from nova_fakes.faults import FaultRule, Faults
from nova_fakes.virt.operations import check_pattern
from nova_fakes.virt.toml_file import TOP, Place, Table, TableReader, TomlFile

__all__ = ["FaultPlan", "load", "make_rule", "read_rule", "values_of"]

_NOWHERE = TableReader()


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """What a file says.

    :param faults: the rules, in the file's order
    :param seed: from which chance is to begin anew; None: it goes on
    """

    faults: tuple[FaultRule, ...] = ()
    seed: int | None = None

    def put_in_force(self, faults: Faults) -> None:
        """Add the rules to those in force."""
        if self.seed is not None:
            faults.reseed(self.seed)
        faults.extend(self.faults)


def load(path: Path) -> FaultPlan:
    """Read a plan.

    :raises InvalidInput: it cannot be read, or something in it is wrong
    """
    file = TomlFile(path, "fault file")
    file.only(TOP, file.content, ("seed", "fault"))
    seed = file.value(TOP, file.content, "seed", "int") if "seed" in file.content else None
    rules = tuple(read_rule(file, place, table) for place, table in file.tables(TOP, file.content, "fault"))
    if not rules:
        file.refuse(TOP, "fault", None, "write one [[fault]] table at least")
    return FaultPlan(rules, seed)


def read_rule(reader: TableReader, place: Place, table: Table, **given: Any) -> FaultRule:
    """Make a rule of a table.

    :param given: what the table may not say, since it is known
    :raises InvalidInput: a name or a value that no rule has
    """
    rule = cast(FaultRule, reader.object(place, table, FaultRule, **given))
    reader.made(place, check_pattern, rule.operation)
    return rule


def make_rule(values: Mapping[str, Any]) -> FaultRule:
    """Make a rule of values by the names of :class:`FaultRule`.

    :raises InvalidInput: a name or a value that no rule has
    """
    return read_rule(_NOWHERE, TOP, values)


def values_of(rule: FaultRule) -> dict[str, Any]:
    """Return what :func:`make_rule` takes, ready for JSON, without what is left at its default."""
    given = {field.name: getattr(rule, field.name) for field in fields(rule)}
    return {field.name: _plain(given[field.name]) for field in fields(rule) if given[field.name] != field.default}


def _plain(value: Any) -> Any:
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    if isinstance(value, type):
        return value.__name__
    return value if isinstance(value, (str, int, float)) else str(value)
