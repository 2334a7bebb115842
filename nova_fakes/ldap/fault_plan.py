"""Fault rules of a directory from a TOML file.

::

    seed = 7

    [[fault]]
    operation = "ldap.search"
    identity = "uid=slow,*"
    delay = "lognormal:0.5,1"

    [[fault]]
    operation = "ldap.*"
    error = "busy: come back later"
    probability = 0.1
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nova_fakes.ldap.misfortune import DirectoryFault
from nova_fakes.virt.fault_file import FaultPlan
from nova_fakes.virt.toml_file import TOP, TomlFile

__all__ = ["load"]

# What a directory has not, and a rule of its file may not say.
ELSEWHERE: dict[str, Any] = {"host": None, "guest": None, "flavor": None}


def load(path: Path) -> FaultPlan:
    """Read a plan.

    :raises InvalidInput: it cannot be read, or something in it is wrong
    """
    file = TomlFile(path, "fault file")
    file.only(TOP, file.content, ("seed", "fault"))
    seed = file.value(TOP, file.content, "seed", "int") if "seed" in file.content else None
    rules = tuple(
        file.object(place, table, DirectoryFault, **ELSEWHERE)
        for place, table in file.tables(TOP, file.content, "fault")
    )
    if not rules:
        file.refuse(TOP, "fault", None, "write one [[fault]] table at least")
    return FaultPlan(rules, seed)
