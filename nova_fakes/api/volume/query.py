"""Lists: filtered, sorted and cut into pages by the request's query, as Cinder does."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import flask

from nova_fakes.api.auth import Token
from nova_fakes.api.volume.refusals import invalid_input
from nova_fakes.api.wsgi import paginate
from nova_fakes.exceptions import ApiError

__all__ = ["flag", "page"]

T = TypeVar("T")
Version = tuple[int, int]

MAX_LIMIT = 1000
GENERAL_FILTERS = (3, 31)
LIKE_FILTERS = (3, 34)
TIME_FILTERS = (3, 60)
# Not filters.
RESERVED = frozenset({"all_tenants", "limit", "marker", "offset", "sort", "sort_dir", "sort_key", "with_count"})
TIMES = frozenset({"created_at", "updated_at"})
COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "eq": operator.eq,
    "neq": operator.ne,
    "lt": operator.lt,
    "lte": operator.le,
}
TRUE = frozenset({"true", "1", "on", "yes", "y", "t"})
FALSE = frozenset({"false", "0", "off", "no", "n", "f"})


def flag(name: str, default: bool = False) -> bool:
    """Return a boolean of the present request's query.

    Raises:
        ApiError: 400, it is no boolean.
    """
    value = flask.request.args.get(name)
    if value is None:
        return default
    if value.strip().lower() not in TRUE | FALSE:
        raise ApiError(400, f"Value '{value}' for '{name}' is not valid.")
    return value.strip().lower() in TRUE


def page(
    records: Sequence[T],
    token: Token,
    version: Version,
    *,
    fields: Mapping[str, Callable[[T], Any]],
    public: Collection[str],
    missing: Callable[[str], ApiError],
) -> tuple[Sequence[T], bool, int]:
    """Return the page of `records` that the present request asks for.

    Args:
        records: in the order that holds where none is asked for, the newest first.
        token: who asks: users may only filter by `public`; others' filters are dropped silently before version 3.31
            and refused from then on. For an administrator an unknown filter matches nothing.
        version: the request's microversion.
        fields: by name, what is filtered and sorted by.
        public: names that every user may filter by.
        missing: the refusal of a marker that names nothing.

    Returns:
        The records, whether more follow, and how many passed the filters.

    Raises:
        ApiError: 400, a filter, sort key or limit is refused; 404, the marker.
    """
    filters = {name: value for name, value in flask.request.args.items() if name not in RESERVED}
    if not token.is_admin:
        refused = [name for name in filters if _bare(name, version) not in public]
        if refused and version >= GENERAL_FILTERS:
            raise ApiError(400, f"Invalid filters {','.join(refused)} are found in query options.")
        filters = {name: value for name, value in filters.items() if name not in refused}
    rows: Sequence[T] = records
    for name, value in filters.items():
        getter = fields.get(_bare(name, version))
        if getter is None:
            rows = []
            break
        matches = _matcher(name, value, version)
        rows = [row for row in rows if matches(getter(row))]
    rows = _sorted(rows, fields)
    limit = min(_number("limit", MAX_LIMIT), MAX_LIMIT)
    offset = _number("offset", 0)
    total = len(rows)
    marker = flask.request.args.get("marker")
    found, more = paginate(
        rows[offset:], marker=marker, limit=limit, key=lambda row: fields["id"](row), missing=missing
    )
    return found, more, total


def _bare(name: str, version: Version) -> str:
    return name.removesuffix("~") if version >= LIKE_FILTERS else name


def _matcher(name: str, text: str, version: Version) -> Callable[[Any], bool]:
    if name.endswith("~") and version >= LIKE_FILTERS:
        return lambda value: value is not None and text.lower() in str(value).lower()
    if name in TIMES and version >= TIME_FILTERS:
        return _time_matcher(name, text)
    if name == "metadata":
        wanted = _mapping(text)
        return lambda value: all(value.get(key) == str(member) for key, member in wanted.items())

    def equal(value: Any) -> bool:
        if isinstance(value, bool):
            if text.lower() not in TRUE | FALSE:
                raise invalid_input(f"Invalid value for '{name}': '{text}'")
            return value == (text.lower() in TRUE)
        return (value is None and text in ("", "None")) or (value is not None and str(value) == text)

    return equal


def _time_matcher(name: str, text: str) -> Callable[[Any], bool]:
    conditions: list[tuple[Callable[[float, float], bool], float]] = []
    for part in text.split(","):
        symbol, colon, moment = part.partition(":")
        if not colon or symbol not in COMPARISONS:
            symbol, moment = "eq", part
        try:
            when = datetime.fromisoformat(moment)
        except ValueError:
            raise invalid_input(f"The value '{moment}' of filter '{name}' is no ISO 8601 time.") from None
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        conditions.append((COMPARISONS[symbol], when.timestamp()))
    return lambda value: value is not None and all(compare(value, limit) for compare, limit in conditions)


def _mapping(text: str) -> Mapping[str, Any]:
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        value = None
    if not isinstance(value, dict):
        raise invalid_input(f"Filter 'metadata' must be a dictionary such as {{'key': 'value'}}, not '{text}'.")
    return value


def _sorted(rows: Sequence[T], fields: Mapping[str, Callable[[T], Any]]) -> Sequence[T]:
    arguments = flask.request.args
    if "sort" in arguments:
        pairs = [part.strip().partition(":") for part in arguments["sort"].split(",")]
        keys = [(key, direction or "desc") for key, _, direction in pairs]
    elif "sort_key" in arguments or "sort_dir" in arguments:
        keys = [(arguments.get("sort_key", "created_at"), arguments.get("sort_dir", "desc"))]
    else:
        return rows
    rows = list(rows)
    # Sorting is stable: the last key first.
    for key, direction in reversed(keys):
        getter = fields.get(key)
        if getter is None:
            raise invalid_input(f"Sort key '{key}' is unknown; there are: {', '.join(sorted(fields))}.")
        if direction not in ("asc", "desc"):
            raise invalid_input("Unknown sort direction, must be 'desc' or 'asc'.")
        rows.sort(key=lambda row, get=getter: _order(get(row)), reverse=direction == "desc")  # type: ignore[misc]
    return rows


def _order(value: Any) -> tuple[bool, Any]:
    """Return what sorts None before everything, as databases do."""
    return value is not None, str(value) if isinstance(value, dict) else value


def _number(name: str, default: int) -> int:
    text = flask.request.args.get(name)
    if text is None:
        return default
    try:
        value = int(text)
    except ValueError:
        raise ApiError(400, f"{name} param must be an integer") from None
    if value < 0:
        raise ApiError(400, f"{name} param must be positive")
    return value
