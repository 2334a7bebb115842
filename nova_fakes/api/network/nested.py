"""Collections within a resource: what hangs on one floating IP, one policy, and is reached through it alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.collection import Collection
from nova_fakes.api.network.query import Page, Query
from nova_fakes.api.network.table import Record

__all__ = ["Nested"]


class Nested(Collection):
    """One kind of resource within resources of another kind, whose `create` takes the parent's id in the body."""

    parent_key: ClassVar[str]
    """Attribute that names the parent; requests name it in their path."""

    @property
    @abstractmethod
    def parents(self) -> Collection:
        """The collection that these are within."""

    def create_within(self, caller: Caller, parent_id: str, body: Mapping[str, Any]) -> Record:
        """Make one within a parent; ApiError as `create`, and 404 without such a parent."""
        with self.state.transaction():
            self.parents.find(caller, parent_id)
            return self.create(caller, {**body, self.parent_key: parent_id})

    def list_within(self, caller: Caller, parent_id: str, query: Query) -> Page:
        """Return those of a parent that `query` asks for; ApiError 404 without such a parent."""
        with self.state.lock:
            self.parents.find(caller, parent_id)
            filters = {**query.filters, self.parent_key: [parent_id]}
            return self.list(caller, Query(filters, query.fields, query.sort, query.limit, query.marker, query.reverse))

    def within(self, caller: Caller, parent_id: str, record_id: str) -> str:
        """Return the id of one if it is within this parent; ApiError 404."""
        with self.state.lock:
            self.parents.find(caller, parent_id)
            record = self.table.get(record_id)
            if record is None or record[self.parent_key] != parent_id:
                raise self.missing(record_id)
            return record_id

    def visible(self, caller: Caller, record: Record) -> bool:
        """Whether the caller may see the parent."""
        parent = self.parents.table.get(record[self.parent_key])
        return parent is not None and self.parents.visible(caller, parent)
