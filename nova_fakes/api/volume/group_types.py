"""Types of groups of volumes, and their specs."""

from __future__ import annotations

from collections.abc import Mapping

from nova_fakes.api.auth import Token
from nova_fakes.api.volume.records import GroupType
from nova_fakes.api.volume.refusals import not_found
from nova_fakes.api.volume.store import Store
from nova_fakes.exceptions import ApiError

__all__ = ["GroupTypes"]

Specs = Mapping[str, str | None]


class GroupTypes:
    """The group types of one volume service. Administrators make them; users see those that are public."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, token: Token, type_id: str) -> GroupType:
        """Return the type of that id.

        Raises:
            ApiError: 404, there is none, or it is not public.
        """
        found = self._store.group_types.get(type_id)
        if found is None or not (token.is_admin or found.is_public):
            raise not_found("Group type", type_id)
        return found

    def find(self, token: Token, reference: str) -> GroupType:
        """Return the type of that id or name; ApiError 404."""
        with self._store.lock:
            named = self._named(reference)
            if reference in self._store.group_types or named is None:
                return self.get(token, reference)
            return self.get(token, named.id)

    def visible(self, token: Token, *, is_public: bool | None = True) -> list[GroupType]:
        """Return the types, the newest first.

        Args:
            token: who asks.
            is_public: for an administrator: only public ones, only others, or all (None).
        """
        wanted = is_public if token.is_admin else True
        with self._store.lock:
            found = [one for one in self._store.group_types.values() if wanted in (None, one.is_public)]
        return found[::-1]

    def create(
        self, name: str, description: str | None = None, *, is_public: bool = True, specs: Specs | None = None
    ) -> GroupType:
        """Make a type.

        Args:
            name: unlike every other.
            description: free text.
            is_public: whether users see it.
            specs: values by key; {"consistent_group_snapshot_enabled": "<is> True"} says what every group here does.

        Raises:
            ApiError: 409, the name is taken.
        """
        with self._store.lock:
            self._require_free(name)
            made = GroupType(
                id=self._store.new_id(),
                name=name,
                description=description,
                is_public=is_public,
                specs=dict(specs or {}),
            )
            self._store.group_types[made.id] = made
            return made

    def update(
        self, type_id: str, *, name: str | None = None, description: str | None = None, is_public: bool | None = None
    ) -> GroupType:
        """Change what is not None of a type.

        Raises:
            ApiError: 404, there is none; 409, the name is taken; 400, the name is empty or nothing is to be changed.
        """
        if name is not None and not name.strip():
            raise ApiError(400, "Group type name can not be empty.")
        if name is None and description is None and is_public is None:
            raise ApiError(400, "Specify group type name, description or a combination thereof.")
        with self._store.lock:
            found = self._require(type_id)
            if name is not None and name != found.name:
                self._require_free(name)
                found.name = name
            if description is not None:
                found.description = description
            if is_public is not None:
                found.is_public = is_public
            return found

    def delete(self, type_id: str) -> None:
        """Forget a type.

        Raises:
            ApiError: 404, there is none; 400, groups have it.
        """
        with self._store.lock:
            self._require(type_id)
            if any(one.group_type_id == type_id for one in self._store.groups.values()):
                raise ApiError(400, "Target group type is still in use.")
            del self._store.group_types[type_id]

    def set_specs(self, type_id: str, specs: Specs) -> None:
        """Add to a type's specs, replacing those of the same keys; ApiError 404."""
        with self._store.lock:
            self._require(type_id).specs.update(specs)

    def spec(self, type_id: str, key: str) -> str | None:
        """Return one of a type's specs; ApiError 404."""
        with self._store.lock:
            specs = self._require(type_id).specs
            if key not in specs:
                raise ApiError(404, f"Group Type {type_id} has no extra spec with key {key}.")
            return specs[key]

    def unset_spec(self, type_id: str, key: str) -> None:
        """Remove one of a type's specs; ApiError 404."""
        with self._store.lock:
            specs = self._require(type_id).specs
            if key not in specs:
                raise ApiError(404, f"Group Type {type_id} has no specs with key {key}.")
            del specs[key]

    def _named(self, name: str) -> GroupType | None:
        return next((one for one in self._store.group_types.values() if one.name == name), None)

    def _require(self, type_id: str) -> GroupType:
        if type_id not in self._store.group_types:
            raise not_found("Group type", type_id)
        return self._store.group_types[type_id]

    def _require_free(self, name: str) -> None:
        if self._named(name) is not None:
            raise ApiError(409, f"Group Type {name} already exists.")
