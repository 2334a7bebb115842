"""Records by id, with secondary indexes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any

__all__ = ["Record", "Table", "by_attribute"]

Record = dict[str, Any]
"""A resource in the shape that the API gives it."""

Keys = Callable[[Record], Iterable[Hashable]]


def by_attribute(name: str) -> Keys:
    """Return an index function over the value of one attribute."""
    return lambda record: (record[name],)


class Table:
    """A dictionary of records that can also be looked up by what `indexes` make of them.

    A record that is in the table is never changed: `update` puts a new one in its place. So whoever got a record may
    go on reading it, and hand it out, without a lock or a copy.

    Args:
        indexes: functions by index name; each returns the keys under which a record is to be found. Looking one up
            costs the same however many records there are.
    """

    def __init__(self, indexes: Mapping[str, Keys] | None = None) -> None:
        self._records: dict[str, Record] = {}
        self._functions = dict(indexes or {})
        self._indexes: dict[str, dict[Hashable, dict[str, None]]] = {name: {} for name in self._functions}

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(list(self._records.values()))

    def __contains__(self, record_id: str) -> bool:
        return record_id in self._records

    def get(self, record_id: str) -> Record | None:
        """Return the record of that id, or None."""
        return self._records.get(record_id)

    def __getitem__(self, record_id: str) -> Record:
        return self._records[record_id]

    def insert(self, record: Record) -> Record:
        """Add a record under its "id"."""
        record_id = record["id"]
        self._records[record_id] = record
        self._index(record_id, record)
        return record

    def update(self, record_id: str, changes: Mapping[str, Any]) -> Record:
        """Replace a record by one with `changes`; it keeps its place in the order."""
        old = self._records[record_id]
        new = {**old, **changes}
        self._unindex(record_id, old)
        self._records[record_id] = new
        self._index(record_id, new)
        return new

    def delete(self, record_id: str) -> Record:
        """Remove a record and return it."""
        record = self._records.pop(record_id)
        self._unindex(record_id, record)
        return record

    def find(self, index: str, key: Hashable) -> list[Record]:
        """Return the records under `key` of an index, oldest first."""
        return [self._records[record_id] for record_id in self._indexes[index].get(key, ())]

    def find_any(self, index: str, keys: Iterable[Hashable]) -> list[Record]:
        """Return the records under any of `keys`, each once."""
        found: dict[str, None] = {}
        for key in keys:
            found.update(self._indexes[index].get(key, {}))
        return [self._records[record_id] for record_id in found]

    def count(self, index: str, key: Hashable) -> int:
        """Return how many records are under `key` of an index."""
        return len(self._indexes[index].get(key, ()))

    def has_index(self, name: str) -> bool:
        """Whether there is an index of that name."""
        return name in self._indexes

    def _index(self, record_id: str, record: Record) -> None:
        for name, function in self._functions.items():
            index = self._indexes[name]
            for key in function(record):
                index.setdefault(key, {})[record_id] = None

    def _unindex(self, record_id: str, record: Record) -> None:
        for name, function in self._functions.items():
            index = self._indexes[name]
            for key in function(record):
                members = index.get(key)
                if members is not None:
                    members.pop(record_id, None)
                    if not members:
                        del index[key]
