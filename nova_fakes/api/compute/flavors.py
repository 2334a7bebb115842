"""The sizes that servers can have."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from nova_fakes.api.auth import Token
from nova_fakes.api.compute.records import Flavor, dump, load
from nova_fakes.exceptions import ApiError

__all__ = ["DEFAULT_FLAVORS", "Flavors"]

#: DevStack's: id, name, virtual processors, memory in MiB, root disk in GiB.
DEFAULT_FLAVORS = (
    ("42", "m1.nano", 1, 192, 1),
    ("84", "m1.micro", 1, 256, 1),
    ("1", "m1.tiny", 1, 512, 1),
    ("2", "m1.small", 1, 2048, 20),
    ("3", "m1.medium", 2, 4096, 40),
    ("4", "m1.large", 4, 8192, 80),
    ("5", "m1.xlarge", 8, 16384, 160),
)


class Flavors:
    """All flavors, in the order in which they were made. Not locked: the compute service that owns them is.

    Args:
        flavors: that are there from the beginning.
    """

    def __init__(self, flavors: Iterable[tuple[str, str, int, int, int]]) -> None:
        self.rows: dict[str, Flavor] = {one[0]: Flavor(*one) for one in flavors}

    def visible(self, token: Token) -> list[Flavor]:
        """Return the flavors that the caller may use."""
        return [one for one in self.rows.values() if self._usable(token, one)]

    def get(self, token: Token, flavor_id: str) -> Flavor:
        """Return a flavor.

        Raises:
            ApiError: 404, it is not there, or the caller may not use it.
        """
        found = self.rows.get(flavor_id)
        if found is None or not (token.is_admin or self._usable(token, found)):
            raise ApiError(404, f"Flavor {flavor_id} could not be found.")
        return found

    def create(self, values: Mapping[str, Any]) -> Flavor:
        """Make a flavor.

        Args:
            values: fields of a `Flavor`; "id" None for a new one.

        Raises:
            ApiError: 409, its name or id is taken.
        """
        flavor_id = values.get("id")
        made = Flavor(**{**values, "id": str(uuid.uuid4()) if flavor_id in (None, "auto") else str(flavor_id)})
        if any(one.name == made.name for one in self.rows.values()):
            raise ApiError(409, f"Flavor with name {made.name} already exists.")
        if made.id in self.rows:
            raise ApiError(409, f"Flavor with ID {made.id} already exists.")
        self.rows[made.id] = made
        return made

    def delete(self, flavor_id: str) -> None:
        """Delete a flavor; servers keep what they have of it. ApiError 404."""
        if self.rows.pop(flavor_id, None) is None:
            raise ApiError(404, f"Flavor {flavor_id} could not be found.")

    def dump(self) -> list[dict[str, Any]]:
        """Return all flavors as JSON-able data."""
        return [dump(one) for one in self.rows.values()]

    def load(self, data: Iterable[dict[str, Any]]) -> None:
        """Take over what `dump` returned."""
        made = [load(Flavor, one) for one in data]
        self.rows = {one.id: one for one in made}

    @staticmethod
    def _usable(token: Token, flavor: Flavor) -> bool:
        return flavor.is_public or token.project_id in flavor.projects
