"""What a list request asks for: filters, fields, order and page (`neutron/api/api_common.py`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nova_fakes.api.network.refusals import bad_request
from nova_fakes.api.network.schema import Schema
from nova_fakes.api.network.table import Record
from nova_fakes.api.network.values import boolean
from nova_fakes.exceptions import ApiError

__all__ = ["Page", "Query", "select"]

_RESERVED = frozenset({"fields", "sort_key", "sort_dir", "limit", "marker", "page_reverse"})
_SINCE = "changed_since"
_TAGS = frozenset({"tags", "tags-any", "not-tags", "not-tags-any"})


@dataclass(frozen=True, slots=True)
class Query:
    """A list request.

    `filters` holds the accepted values by attribute: a record must match each attribute by one of its values. `sort`
    holds (attribute, ascending) pairs, the most significant first. `limit` None means all.
    """

    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fields: frozenset[str] = frozenset()
    sort: Sequence[tuple[str, bool]] = ()
    limit: int | None = None
    marker: str | None = None
    reverse: bool = False

    @classmethod
    def parse(cls, args: Mapping[str, Sequence[str]], schema: Schema, extra: Iterable[str] = ()) -> Query:
        """Read a query string.

        Args:
            args: all values by name.
            schema: whose attributes may be asked for.
            extra: further names to filter by.

        Raises:
            ApiError: 400, there is no such filter or order, or a number is none.
        """
        allowed = (
            {name for name, attribute in schema.attributes.items() if attribute.filters} | _TAGS | {_SINCE} | set(extra)
        )
        filters = {name: list(values) for name, values in args.items() if name not in _RESERVED}
        unknown = [name for name in filters if name not in allowed]
        if unknown:
            raise bad_request(f"{unknown} is invalid attribute for filtering")
        if "tenant_id" in filters and "project_id" in filters:
            raise bad_request("Both tenant_id and project_id passed as filters.", "TenantIdProjectIdFilterConflict")
        return cls(
            filters,
            frozenset(name for value in args.get("fields", ()) for name in value.split(",") if name),
            cls._order(args, schema),
            cls._number(args),
            next(iter(args.get("marker", ())), None),
            next(iter(args.get("page_reverse", ())), "").lower() == "true",
        )

    @staticmethod
    def _order(args: Mapping[str, Sequence[str]], schema: Schema) -> list[tuple[str, bool]]:
        keys, directions = list(args.get("sort_key", ())), list(args.get("sort_dir", ()))
        if directions and len(keys) != len(directions):
            raise bad_request("The number of sort_keys and sort_dirs must be same")
        absent = [key for key in keys if key not in schema.attributes or not schema.attributes[key].filters]
        if absent:
            raise bad_request(f"{absent} is invalid attribute for sort_keys")
        invalid = [direction for direction in directions if direction not in ("asc", "desc")]
        if invalid:
            raise bad_request(f"{invalid} is invalid value for sort_dirs, valid value is 'asc' and 'desc'")
        return list(zip(keys, (d == "asc" for d in directions or ["asc"] * len(keys)), strict=True))

    @staticmethod
    def _number(args: Mapping[str, Sequence[str]]) -> int | None:
        text = (args.get("limit") or ["0"])[0]
        try:
            limit = int(text)
        except ValueError:
            limit = -1
        if limit < 0:
            raise bad_request(f"Limit must be an integer 0 or greater and not '{text}'")
        return limit or None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of records, and whether others come before and behind it."""

    records: list[Record]
    has_next: bool = False
    has_previous: bool = False


def select(
    records: Iterable[Record],
    query: Query,
    special: Mapping[str, Callable[[Record, Sequence[str]], bool]],
    missing: Callable[[str], ApiError],
) -> Page:
    """Return the page of `records` that `query` asks for, with all their attributes.

    Args:
        records: in the order that holds where the query names none.
        query: the request.
        special: how to match filters that are not plain comparisons.
        missing: makes the error of a marker that names no record.
    """
    rows = [record for record in records if _matches(record, query.filters, special)]
    for key, ascending in reversed(query.sort):
        rows.sort(key=lambda record, key=key: _sortable(record.get(key)), reverse=not ascending)  # type: ignore[misc]
    if query.limit is None:
        return Page(rows)
    position = None
    if query.marker is not None:
        position = next((n for n, record in enumerate(rows) if record["id"] == query.marker), None)
        if position is None:
            raise missing(query.marker)
    if query.reverse:
        end = len(rows) if position is None else position
        start = max(0, end - query.limit)
    else:
        start = 0 if position is None else position + 1
        end = start + query.limit
    return Page(rows[start:end], end < len(rows), start > 0)


def _sortable(value: Any) -> tuple[bool, Any]:
    return (value is not None, value if isinstance(value, int | float | str) else str(value))


def _matches(
    record: Record,
    filters: Mapping[str, Sequence[str]],
    special: Mapping[str, Callable[[Record, Sequence[str]], bool]],
) -> bool:
    for name, wanted in filters.items():
        if name in special:
            if not special[name](record, wanted):
                return False
        elif name in _TAGS:
            if not _tagged(record, name, wanted):
                return False
        elif name == _SINCE:
            if record["updated_at"] < wanted[-1]:
                return False
        elif not _equals(record.get(name), wanted, name):
            return False
    return True


def _equals(value: Any, wanted: Sequence[str], name: str) -> bool:
    if isinstance(value, bool):
        try:
            return any(boolean(text) == value for text in wanted)
        except ValueError as error:
            raise bad_request(f"Invalid input for {name}. Reason: {error}.") from None
    if isinstance(value, list):
        return any(str(item) in wanted for item in value)
    if value is None:
        return False
    return str(value) in wanted


def _tagged(record: Record, how: str, wanted: Sequence[str]) -> bool:
    tags = set(record.get("tags", ()))
    asked = {tag for text in wanted for tag in text.split(",")}
    if how == "tags":
        return asked <= tags
    if how == "tags-any":
        return bool(asked & tags)
    if how == "not-tags":
        return not asked <= tags
    return not asked & tags
