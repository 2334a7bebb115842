"""Volume types: the default one, and those that an administrator makes."""

from __future__ import annotations

from collections.abc import Mapping

from nova_fakes.api.auth import Token
from nova_fakes.api.volume.quotas import Quotas
from nova_fakes.api.volume.records import VolumeType
from nova_fakes.api.volume.refusals import key_not_found, not_found
from nova_fakes.api.volume.store import Store
from nova_fakes.exceptions import ApiError

__all__ = ["DEFAULT_TYPE", "VolumeTypes"]

DEFAULT_TYPE = "__DEFAULT__"


class VolumeTypes:
    """The types of one volume service, which begins with the default type."""

    def __init__(self, store: Store, quotas: Quotas) -> None:
        self._store = store
        self._quotas = quotas
        self._add(DEFAULT_TYPE, "Default Volume Type", True, {})

    @property
    def default(self) -> VolumeType:
        """The type of volumes that are made without naming one."""
        return next(record for record in self._store.types.values() if record.name == DEFAULT_TYPE)

    def default_of(self, project_id: str | None) -> VolumeType:
        """Return the type of a project's volumes that are made without naming one."""
        with self._store.lock:
            own = self._store.default_types.get(project_id or "")
            return self.default if own is None else self._store.types[own]

    def project_defaults(self) -> dict[str, str]:
        """Return the types' ids of the projects that have a default of their own."""
        with self._store.lock:
            return dict(self._store.default_types)

    def set_default(self, token: Token, project_id: str, reference: str) -> str:
        """Give a project a default of its own, by id or name; return the type's id; ApiError 400, it is unknown."""
        with self._store.lock:
            try:
                type_id = self.find(token, reference).id
            except ApiError as error:
                raise ApiError(400, error.message) from error
            self._store.default_types[project_id] = type_id
            return type_id

    def unset_default(self, project_id: str) -> None:
        """Give a project everybody's default again."""
        with self._store.lock:
            self._store.default_types.pop(project_id, None)

    def get(self, token: Token, type_id: str) -> VolumeType:
        """Return the type of that id.

        Raises:
            ApiError: 404, there is none or the project may not use it.
        """
        with self._store.lock:
            record = self._store.types.get(type_id)
            if record is None or not self._may_use(token, record):
                raise not_found("Volume type", type_id)
            return record

    def find(self, token: Token, reference: str) -> VolumeType:
        """Return the type of that id or name.

        Raises:
            ApiError: 404, there is none or the project may not use it.
        """
        with self._store.lock:
            record = self._store.types.get(reference) or self._named(reference)
            if record is None or not self._may_use(token, record):
                raise ApiError(404, f"Volume type with name {reference} could not be found.")
            return record

    def visible(self, token: Token, *, is_public: bool | None = True) -> list[VolumeType]:
        """Return the types that the project may use, the newest first.

        Args:
            token: who asks.
            is_public: for an administrator: only public ones, only others, or all (None).
        """
        with self._store.lock:
            records = [record for record in self._store.types.values() if self._may_use(token, record)]
        if token.is_admin and is_public is not None:
            records = [record for record in records if record.is_public == is_public]
        return records[::-1]

    def create(
        self,
        name: str,
        description: str | None = None,
        *,
        is_public: bool = True,
        specs: Mapping[str, str] | None = None,
    ) -> VolumeType:
        """Make a type.

        Args:
            name: unique.
            description: free text.
            is_public: whether every project may use it.
            specs: extra specs; {"multiattach": "<is> True"} makes its volumes attachable to several servers.

        Raises:
            ApiError: 400 for an empty name, 409 for one that is taken.
        """
        with self._store.lock:
            if not name.strip():
                raise ApiError(400, "Volume type name can not be empty.")
            if self._named(name) is not None:
                raise ApiError(409, f"Volume Type {name} already exists.")
            return self._add(name, description, is_public, specs or {})

    def update(
        self, type_id: str, *, name: str | None = None, description: str | None = None, is_public: bool | None = None
    ) -> VolumeType:
        """Change what is not None of a type.

        Raises:
            ApiError: 404, there is none; 409, the name is taken; 400, the name is empty or nothing is to be changed.
        """
        with self._store.lock:
            record = self._require(type_id)
            if name is None and description is None and is_public is None:
                raise ApiError(400, "Specify volume type name, description, is_public or a combination thereof.")
            if name is not None and name != record.name:
                if not name.strip():
                    raise ApiError(400, "Volume type name can not be empty.")
                if self._named(name) is not None:
                    raise ApiError(409, f"Volume Type {name} already exists.")
                if record.name == DEFAULT_TYPE:
                    raise ApiError(400, f"The volume type {type_id} is a default volume type and cannot be renamed.")
                self._quotas.rename_type(record.name, name)
                record.name = name
            if description is not None:
                record.description = description
            if is_public is not None:
                record.is_public = is_public
            return record

    def delete(self, type_id: str) -> None:
        """Forget a type.

        Raises:
            ApiError: 404, there is none; 400, volumes have it, or it is a default.
        """
        with self._store.lock:
            record = self._require(type_id)
            if record.name == DEFAULT_TYPE or type_id in self._store.default_types.values():
                raise ApiError(400, f"The volume type {type_id} is a default volume type and cannot be deleted.")
            if self._store.type_is_used(type_id):
                raise ApiError(400, "Target volume type is still in use.")
            del self._store.types[type_id]

    def set_specs(self, type_id: str, specs: Mapping[str, str]) -> VolumeType:
        """Add to a type's extra specs, replacing those of the same keys.

        Raises:
            ApiError: 404, there is no such type.
        """
        with self._store.lock:
            record = self._require(type_id)
            record.extra_specs.update(specs)
            return record

    def unset_spec(self, type_id: str, key: str) -> None:
        """Remove one of a type's extra specs.

        Raises:
            ApiError: 404, there is no such type or key.
        """
        with self._store.lock:
            record = self._require(type_id)
            if record.extra_specs.pop(key, None) is None:
                raise key_not_found("Volume Type", type_id, key)

    def grant(self, type_id: str, project_id: str) -> None:
        """Let a project use a type that is not public.

        Raises:
            ApiError: 404, there is no such type; 409, it is public or the project may use it already.
        """
        with self._store.lock:
            record = self._require(type_id)
            if record.is_public:
                raise ApiError(409, "Type access modification is not applicable to public volume type.")
            if project_id in record.projects:
                raise ApiError(409, f"Volume type access for {type_id} / {project_id} combination already exists.")
            record.projects.append(project_id)

    def revoke(self, type_id: str, project_id: str) -> None:
        """Take from a project the use of a type that is not public.

        Raises:
            ApiError: 404, there is no such type or grant; 409, the type is public.
        """
        with self._store.lock:
            record = self._require(type_id)
            if record.is_public:
                raise ApiError(409, "Type access modification is not applicable to public volume type.")
            if project_id not in record.projects:
                raise ApiError(404, f"Volume type access not found for {type_id} / {project_id} combination.")
            record.projects.remove(project_id)

    def _add(self, name: str, description: str | None, is_public: bool, specs: Mapping[str, str]) -> VolumeType:
        record = VolumeType(
            id=self._store.new_id(), name=name, description=description, is_public=is_public, extra_specs=dict(specs)
        )
        self._store.types[record.id] = record
        return record

    def _require(self, type_id: str) -> VolumeType:
        record = self._store.types.get(type_id)
        if record is None:
            raise not_found("Volume type", type_id)
        return record

    def _named(self, name: str) -> VolumeType | None:
        return next((record for record in self._store.types.values() if record.name == name), None)

    @staticmethod
    def _may_use(token: Token, record: VolumeType) -> bool:
        return record.is_public or token.is_admin or token.project_id in record.projects
