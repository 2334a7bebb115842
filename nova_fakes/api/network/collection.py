"""What all collections of the API have in common: create, list, show, update, delete, and who may."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from nova_fakes.api.network import values
from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.query import Page, Query, select
from nova_fakes.api.network.refusals import bad_request, forbidden, not_found, over_quota
from nova_fakes.api.network.schema import Schema
from nova_fakes.api.network.state import State
from nova_fakes.api.network.table import Record, Table
from nova_fakes.exceptions import ApiError

__all__ = ["Collection", "Matcher"]

Matcher = Callable[[Record, Sequence[str]], bool]


class Collection(ABC):
    """One kind of resource.

    The public methods take the caller and plain request bodies, check them, and return records as the caller may see
    them. Subclasses do the work in `_create`, `_update` and `_delete`, which run inside a transaction with checked
    values.

    Args:
        state: the service's tables.
    """

    schema: Schema
    kind: ClassVar[str]
    """What the type of its 404 begins with ("Network")."""
    filters: ClassVar[tuple[str, ...]] = ()
    """Filters beside attributes."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.matchers: dict[str, Matcher] = {}

    @property
    def name(self) -> str:
        """Singular name, which wraps bodies."""
        return self.schema.name

    @property
    def plural(self) -> str:
        """Plural name, which wraps lists."""
        return f"{self.schema.name}s"

    @property
    def path(self) -> str:
        """Path of the collection below the version's."""
        return self.plural.replace("_", "-")

    @property
    @abstractmethod
    def table(self) -> Table:
        """The records of this kind."""

    @abstractmethod
    def _create(self, caller: Caller, values: Record) -> Record: ...

    @abstractmethod
    def _update(self, caller: Caller, old: Record, values: Record) -> Record: ...

    @abstractmethod
    def _delete(self, caller: Caller, record: Record) -> None: ...

    # What a request does.

    def create(self, caller: Caller, body: Mapping[str, Any]) -> Record:
        """Make one.

        Raises:
            ApiError: the request is wrong, not allowed, or in conflict with what there is; nothing was made.
        """
        with self.state.transaction():
            return self.view(caller, self._checked_create(caller, body))

    def create_many(self, caller: Caller, bodies: Sequence[Mapping[str, Any]]) -> list[Record]:
        """Make several, or none if one of them cannot be made.

        Raises:
            ApiError: as `create`.
        """
        if not bodies:
            raise bad_request("Resources required")
        with self.state.transaction():
            made: list[Record] = []
            try:
                for body in bodies:
                    made.append(self._checked_create(caller, body))
            except Exception:
                for record in reversed(made):
                    self._delete(caller, record)
                raise
            return [self.view(caller, self.table[record["id"]]) for record in made]

    def get(self, caller: Caller, record_id: str) -> Record:
        """Return one.

        Raises:
            ApiError: 404, there is none that the caller may see.
        """
        with self.state.lock:
            return self.view(caller, self.find(caller, record_id))

    def list(self, caller: Caller, query: Query | None = None) -> Page:
        """Return those that the caller may see and `query` asks for.

        Raises:
            ApiError: 404, the marker names none.
        """
        query = query or Query()
        filters = {{"tenant_id": "project_id"}.get(name, name): wanted for name, wanted in query.filters.items()}
        query = Query(filters, query.fields, query.sort, query.limit, query.marker, query.reverse)
        with self.state.lock:
            self._before_list(caller)
            candidates = (record for record in self._candidates(query) if self.visible(caller, record))
            page = select(candidates, query, self.matchers, self.missing)
            return Page([self.view(caller, record) for record in page.records], page.has_next, page.has_previous)

    def update(self, caller: Caller, record_id: str, body: Mapping[str, Any]) -> Record:
        """Change one.

        Raises:
            ApiError: the request is wrong, not allowed, or in conflict with what there is; nothing was changed.
        """
        with self.state.transaction():
            record = self.find(caller, record_id)
            self.authorize(caller, "update", record)
            return self.view(caller, self._update(caller, record, self.schema.for_update(caller, body, record)))

    def delete(self, caller: Caller, record_id: str) -> None:
        """Remove one.

        Raises:
            ApiError: 404 unknown, 403 not allowed, 409 in use.
        """
        with self.state.transaction():
            record = self.find(caller, record_id)
            self.authorize(caller, "delete", record)
            self._delete(caller, record)

    def set_tags(self, caller: Caller, record_id: str, tags: Iterable[str]) -> Sequence[str]:
        """Give a resource exactly these tags, and return them.

        Raises:
            ApiError: 404 unknown, 403 not allowed, 400 no tags.
        """
        with self.state.transaction():
            record = self.find(caller, record_id)
            self.authorize(caller, "update", record)
            try:
                checked = values.tags(list(tags))
            except ValueError as error:
                raise bad_request(f"Invalid input for tags. Reason: {error}.") from None
            self.state.update(self.table, record_id, {"tags": checked})
            return checked

    # Who sees what.

    def visible(self, caller: Caller, record: Record) -> bool:
        """Whether the caller may see a record."""
        return caller.owns(record["project_id"])

    def view(self, caller: Caller, record: Record) -> Record:
        """Return a record as the caller may see it."""
        if caller.is_privileged or not self.schema.hidden:
            return record
        return {name: value for name, value in record.items() if name not in self.schema.hidden}

    def find(self, caller: Caller, record_id: str) -> Record:
        """Return a record in full.

        Raises:
            ApiError: 404, there is none that the caller may see.
        """
        record = self.table.get(record_id)
        if record is None or not self.visible(caller, record):
            raise self.missing(record_id)
        return record

    def missing(self, record_id: str) -> ApiError:
        """Return the error of an id that names none."""
        return not_found(f"{self.kind}NotFound", f"{self.kind} {record_id} could not be found.")

    def authorize(self, caller: Caller, action: str, record: Record) -> None:
        """Check that the caller may change a record that he sees.

        Raises:
            ApiError: 403, he may not.
        """
        if not caller.may_write or not caller.owns(record["project_id"]):
            raise forbidden(f"{action}_{self.name}")

    # Parts for subclasses.

    def _checked_create(self, caller: Caller, body: Mapping[str, Any]) -> Record:
        if not caller.may_write:
            raise forbidden(f"create_{self.name}")
        return self._create(caller, self.schema.for_create(caller, body))

    def _before_list(self, caller: Caller) -> None:  # noqa: B027 - most kinds have nothing to do
        """Make what listing brings into being."""

    def _candidates(self, query: Query) -> Iterable[Record]:
        """Return few records among which are all that match; ids and indexes spare the walk through the whole table."""
        if "id" in query.filters:
            found = (self.table.get(record_id) for record_id in dict.fromkeys(query.filters["id"]))
            return [record for record in found if record is not None]
        for name in ("device_id", "name", "network_id", "binding:host_id", "project_id"):
            if name in query.filters and self.table.has_index(name):
                return self.table.find_any(name, query.filters[name])
        return self.table

    def _enforce_quota(self, project_id: str, resource: str | None = None) -> None:
        resource = resource or self.name
        limit = self.state.quota(project_id, resource)
        if limit >= 0 and self.state.usage(project_id, resource) >= limit:
            raise over_quota(resource)

    @staticmethod
    def _new_id() -> str:
        return str(uuid.uuid4())

    def _record(self, wanted: Mapping[str, Any], **more: Any) -> Record:
        """Return a new record of `wanted`, with what every record of its kind has."""
        project = wanted["project_id"]
        record = {"id": self._new_id(), **wanted, "tenant_id": project}
        if not self.schema.standard:
            return {**record, **more}
        now = self.state.stamp()
        return {
            **record,
            "tags": [],
            "created_at": now,
            "updated_at": now,
            "revision_number": 0,
            **more,
        }
