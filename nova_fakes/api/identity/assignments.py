"""Who holds which role where: grants to users and groups on projects, domains and the system."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from typing import Any

__all__ = ["Assignments", "Grant"]


@dataclass(frozen=True, slots=True)
class Grant:
    """One role of one actor on one target.

    Attributes:
        actor_type: "user" or "group".
        actor_id: its id.
        target_type: "project", "domain" or "system".
        target_id: its id; "all" for the system.
        role_id: the role.
        inherited: whether it counts for the projects below the target instead of the target itself.
    """

    actor_type: str
    actor_id: str
    target_type: str
    target_id: str
    role_id: str
    inherited: bool = False


class Assignments:
    """All grants, found by actor. Not locked: the service that owns them is."""

    def __init__(self) -> None:
        self._grants: dict[tuple[str, str], dict[Grant, None]] = {}

    def __iter__(self) -> Iterator[Grant]:
        for grants in list(self._grants.values()):
            yield from list(grants)

    def __contains__(self, grant: Grant) -> bool:
        return grant in self._grants.get((grant.actor_type, grant.actor_id), ())

    def add(self, grant: Grant) -> None:
        """Add a grant; nothing happens if it is there."""
        self._grants.setdefault((grant.actor_type, grant.actor_id), {})[grant] = None

    def remove(self, grant: Grant) -> bool:
        """Remove a grant; False if it was not there."""
        grants = self._grants.get((grant.actor_type, grant.actor_id), {})
        if grant not in grants:
            return False
        del grants[grant]
        return True

    def of(self, actor_type: str, actor_ids: Iterable[str]) -> Iterator[Grant]:
        """Yield the grants of these actors."""
        for actor_id in actor_ids:
            yield from list(self._grants.get((actor_type, actor_id), ()))

    def forget(self, kind: str, row_id: str) -> None:
        """Remove all grants that mention a resource that is going away.

        Args:
            kind: "user", "group", "project", "domain" or "role".
            row_id: its id.
        """
        if kind in ("user", "group"):
            self._grants.pop((kind, row_id), None)
            return
        for grant in self:
            if (kind == "role" and grant.role_id == row_id) or (grant.target_type, grant.target_id) == (kind, row_id):
                self.remove(grant)

    def dump(self) -> list[list[Any]]:
        """Return all grants as JSON-able data."""
        return [list(astuple(grant)) for grant in self]

    def load(self, grants: list[list[Any]]) -> None:
        """Replace all grants by what `dump` returned."""
        self._grants = {}
        for values in grants:
            self.add(Grant(*values))
