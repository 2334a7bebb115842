"""Listing images: the query's filters, operators, order and page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from nova_fakes.api.image.record import VISIBILITIES, Image
from nova_fakes.exceptions import ApiError

__all__ = ["Query"]

SORT_KEYS = ("name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at")
DEFAULT_LIMIT = 25
LIMIT_MAX = 1000
PAGING = frozenset(
    ("limit", "marker", "sort", "sort_key", "sort_dir", "visibility", "member_status", "tag", "os_hidden")
)
LISTED = frozenset(("id", "name", "status", "container_format", "disk_format"))
NUMBERS = frozenset(("min_disk", "min_ram", "size"))
TIMES = frozenset(("created_at", "updated_at"))
TEXTS = frozenset(("owner", "checksum", "os_hash_algo", "os_hash_value"))

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {"gt": gt, "gte": ge, "eq": eq, "neq": ne, "lt": lt, "lte": le}


class Query:
    """A request for a list of images, checked.

    Args:
        pairs: name and value of each of the query's parameters, in order.

    Raises:
        ApiError: 400, a value cannot be understood.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self.pairs = list(pairs)
        single = dict(self.pairs)
        self.visibility = single.get("visibility")
        if self.visibility not in (None, "all", *VISIBILITIES):
            raise ApiError(400, f"Invalid visibility value: {self.visibility}.")
        self.member_status = single.get("member_status", "accepted")
        if self.member_status not in ("pending", "accepted", "rejected", "all"):
            raise ApiError(400, f"Invalid status: {self.member_status}.")
        self.hidden = _boolean("os_hidden", single.get("os_hidden", "false"))
        self.tags = [value for name, value in self.pairs if name == "tag"]
        self.marker = single.get("marker")
        self.limit = self._limit(single.get("limit"))
        self.order = self._order(single.get("sort"))
        self._tests = [_test(name, value) for name, value in single.items() if name not in PAGING]

    def matches(self, image: Image) -> bool:
        """Tell whether an image fits all filters but those on who may see it."""
        if self.visibility not in (None, "all", image.visibility) or image.os_hidden is not self.hidden:
            return False
        return all(tag in image.tags for tag in self.tags) and all(test(image) for test in self._tests)

    def sort(self, images: list[Image]) -> None:
        """Bring images into the order that was asked for; without one, the newest come first."""
        images.sort(key=lambda image: image.sequence, reverse=True)
        for key, descending in reversed(self.order):
            # Nothing sorts before everything, as NULL does in Glance's databases.
            images.sort(key=lambda image: _sortable(getattr(image, key)), reverse=descending)

    def _limit(self, text: str | None) -> int:
        if text is None:
            return DEFAULT_LIMIT
        if not text.isdigit():
            what = "limit param must be positive" if re.fullmatch(r"-\d+", text) else "limit param must be an integer"
            raise ApiError(400, what)
        return min(int(text), LIMIT_MAX)

    def _order(self, sort: str | None) -> list[tuple[str, bool]]:
        keys = [value for name, value in self.pairs if name == "sort_key"]
        directions = [value for name, value in self.pairs if name == "sort_dir"]
        if sort is not None:
            if keys or directions:
                raise ApiError(400, "Old and new sorting syntax cannot be combined")
            parts = [part.strip().partition(":") for part in sort.split(",")]
            keys = [key for key, _, _ in parts]
            directions = [direction or "desc" for _, _, direction in parts]
        elif not keys and directions:
            keys = ["created_at"]
        if len(directions) > 1 and len(directions) != len(keys):
            raise ApiError(400, "Number of sort dirs does not match the number of sort keys")
        for key in keys:
            if key not in SORT_KEYS:
                raise ApiError(
                    400, f"Invalid sort key: {key}. It must be one of the following: {', '.join(SORT_KEYS)}."
                )
        for direction in directions:
            if direction not in ("asc", "desc"):
                raise ApiError(400, f"Invalid sort direction: {direction}.")
        if len(directions) < len(keys):
            directions = [(directions or ["desc"])[0]] * len(keys)
        return [(key, direction == "desc") for key, direction in zip(keys, directions, strict=True)]


def _sortable(value: Any) -> tuple[bool, Any]:
    return (False, 0) if value is None else (True, value)


def _boolean(name: str, text: str) -> bool:
    lowered = text.lower()
    if lowered not in ("true", "false", "1", "0"):
        raise ApiError(
            400, f"Invalid value '{text}' for '{name}' filter. Valid values are case insensitive 'true' and 'false'."
        )
    return lowered in ("true", "1")


def _test(name: str, text: str) -> Callable[[Image], bool]:
    """Return the function that tells whether an image passes one filter."""
    if name in LISTED:
        wanted = _alternatives(text)
        return lambda image: getattr(image, name) in wanted
    if name == "protected":
        protected = _boolean(name, text)
        return lambda image: image.protected is protected
    if name in ("size_min", "size_max"):
        bound = _integer(name, text)
        compare = ge if name == "size_min" else le
        return lambda image: image.size is not None and bool(compare(image.size, bound))
    if name in NUMBERS:
        number = _integer(name, text)
        return lambda image: bool(getattr(image, name) == number)
    if name in TIMES:
        operator, moment = _moment(name, text)
        return lambda image: operator(int(getattr(image, name)), moment)
    if name in TEXTS:
        return lambda image: getattr(image, name) == text
    return lambda image: image.properties.get(name) == text


def _alternatives(text: str) -> set[str]:
    """Return the values of "in:a,b", where one with a comma may be in double quotes; else the text itself."""
    if not text.startswith("in:"):
        return {text}
    return {quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|([^",]+)', text[3:])}


def _integer(name: str, text: str) -> int:
    if not text.isdigit():
        raise ApiError(400, f"Invalid value '{text}' for filter '{name}': it must be an integer from 0.")
    return int(text)


def _moment(name: str, text: str) -> tuple[Callable[[Any, Any], bool], float]:
    operator, colon, rest = text.partition(":")
    if not colon or operator not in _OPERATORS:
        operator, rest = "eq", text
    try:
        moment = datetime.fromisoformat(rest)
    except ValueError:
        raise ApiError(400, f"Invalid time format '{rest}' for filter '{name}'.") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return _OPERATORS[operator], moment.timestamp()
