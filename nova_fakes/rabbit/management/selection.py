"""What a request wants of a list: columns, an order, a part of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nova_fakes.exceptions import InvalidInput

__all__ = ["select"]

PAGE_SIZE = 100
PAGE_LIMIT = 500


def select(items: list[dict[str, Any]], wanted: Mapping[str, str]) -> Any:
    """Return a list as the query wants it, or the page of it that the query asks for.

    :param wanted: `columns`, `sort`, `sort_reverse`, `name`, `use_regex`, `page`, `page_size`
    :raises InvalidInput: for a page that cannot be, or a regular expression that is none
    """
    total = len(items)
    if name := wanted.get("name"):
        items = [item for item in items if _matches(str(item.get("name", "")), name, wanted)]
    if sort := wanted.get("sort"):
        items = sorted(items, key=lambda item: _key(_at(item, sort)), reverse=wanted.get("sort_reverse") == "true")
    if "page" in wanted:
        return _page(items, total, wanted)
    return _columns(items, wanted)


def _columns(items: list[dict[str, Any]], wanted: Mapping[str, str]) -> list[dict[str, Any]]:
    if not (columns := wanted.get("columns")):
        return items
    chosen = []
    for item in items:
        part: dict[str, Any] = {}
        for column in columns.split(","):
            value = _at(item, column)
            if value is None:
                continue
            *above, last = column.split(".")
            place = part
            for name in above:
                place = place.setdefault(name, {})
            place[last] = value
        chosen.append(part)
    return chosen


def _page(items: list[dict[str, Any]], total: int, wanted: Mapping[str, str]) -> dict[str, Any]:
    page, size = _number(wanted, "page", 1), _number(wanted, "page_size", PAGE_SIZE)
    if size > PAGE_LIMIT:
        raise InvalidInput("page_size", size, f"give at most {PAGE_LIMIT}")
    count = max(1, -(-len(items) // size))
    if page > count:
        raise InvalidInput("page", page, f"there are {count}")
    part = items[(page - 1) * size : page * size]
    return {
        "total_count": total,
        "filtered_count": len(items),
        "item_count": len(part),
        "page": page,
        "page_size": size,
        "page_count": count,
        "items": _columns(part, wanted),
    }


def _number(wanted: Mapping[str, str], name: str, default: int) -> int:
    text = wanted.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise InvalidInput(name, text, "give a number from 1")
    return int(text)


def _matches(value: str, name: str, wanted: Mapping[str, str]) -> bool:
    if wanted.get("use_regex") != "true":
        return name in value
    try:
        return re.search(name, value) is not None
    except re.error as error:
        raise InvalidInput("name", name, f"give a regular expression ({error})") from None


def _at(item: dict[str, Any], column: str) -> Any:
    """Return what stands at a path of names with dots."""
    found: Any = item
    for name in column.split("."):
        if not isinstance(found, dict) or name not in found:
            return None
        found = found[name]
    return found


def _key(value: Any) -> tuple[int, Any]:
    """Order numbers before texts, and what is missing first."""
    if value is None:
        return 0, 0
    if isinstance(value, int | float):
        return 1, value
    return 2, str(value)
