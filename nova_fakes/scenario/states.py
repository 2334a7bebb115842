"""State directories that were made for one run: of demos, beside the default state directory, and of fixtures."""

from __future__ import annotations

from pathlib import Path

from nova_fakes import temporary
from nova_fakes.exceptions import NotRunning
from nova_fakes.scenario.sandboxes import Sandboxes

__all__ = ["demos_directory", "reclaim", "reclaim_abandoned", "reclaim_demos"]


def demos_directory(default_state: Path) -> Path:
    """Return the directory in which demos make theirs."""
    return default_state.with_name(default_state.name + "-demos")


def reclaim_demos(sandboxes: Sandboxes) -> list[Path]:
    """Stop and remove what killed demos left; return the state directories that were removed."""
    return reclaim(sandboxes, demos_directory(sandboxes.default_state()))


def reclaim_abandoned(sandboxes: Sandboxes) -> dict[str, list[Path]]:
    """Do the same for all that was killed; return what was removed by its kind."""
    removed = {"demo": reclaim_demos(sandboxes)}
    for kind in temporary.KINDS:
        removed[kind] = reclaim(sandboxes, temporary.home(kind))
    return removed


def reclaim(sandboxes: Sandboxes, parent: Path) -> list[Path]:
    """Do the same for one directory of state directories."""

    def clear(state: Path) -> None:
        try:
            sandboxes.client(state).down()
        except NotRunning:
            pass
        sandboxes.cleanup(state)

    return list(temporary.reclaim(parent, clear))
