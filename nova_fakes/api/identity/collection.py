"""One kind of identity resource: rows by id, their fields checked, their names unique where Keystone wants them so."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nova_fakes.exceptions import ApiError

__all__ = ["Collection", "Field", "Row"]

Row = dict[str, Any]

NAME_LIMIT = 255

_COMPARATORS: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda have, want: want in have,
    "icontains": lambda have, want: want.lower() in have.lower(),
    "startswith": lambda have, want: have.startswith(want),
    "istartswith": lambda have, want: have.lower().startswith(want.lower()),
    "endswith": lambda have, want: have.endswith(want),
    "iendswith": lambda have, want: have.lower().endswith(want.lower()),
}


@dataclass(frozen=True, slots=True)
class Field:
    """What a resource's attribute may be.

    Attributes:
        types: JSON types it may have; `type(None)` where it may be null.
        required: whether a new resource must bring it.
        default: value where it is not given; copied.
        immutable: whether it stays as it was created.
        choices: the only strings allowed, if any.
    """

    types: tuple[type, ...]
    required: bool = False
    default: Any = None
    immutable: bool = False
    choices: tuple[str, ...] = ()


class Collection:
    """All resources of one kind.

    Rows are dictionaries in the shape that the API shows; attributes that no field describes are kept as they come, as
    Keystone does. Not locked: the service that owns the collection is.

    Args:
        singular: name of one ("user"), the member that wraps it in a body.
        plural: name of many ("users"), the path segment.
        fields: attributes by name.
        unique: attributes that together may occur once.
    """

    def __init__(self, singular: str, plural: str, fields: Mapping[str, Field], unique: tuple[str, ...] = ()) -> None:
        self.singular = singular
        self.plural = plural
        self.fields = dict(fields)
        self.rows: dict[str, Row] = {}
        self._unique = unique
        self._index: dict[tuple[Any, ...], str] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, row_id: object) -> bool:
        return row_id in self.rows

    def __iter__(self) -> Iterator[Row]:
        return iter(list(self.rows.values()))

    def create(self, values: Mapping[str, Any], row_id: str | None = None) -> Row:
        """Add a resource and return it.

        Raises:
            ApiError: 400, an attribute is missing or of the wrong type; 409, its name is taken.
        """
        for name, field in self.fields.items():
            if field.required and name not in values:
                raise ApiError(400, f"'{name}' is a required property of a {self.singular}.")
        self._check(values)
        row: Row = {"id": row_id or uuid.uuid4().hex}
        if row["id"] in self.rows:
            raise self._conflict("id", row["id"])
        for name, field in self.fields.items():
            row[name] = copy.deepcopy(field.default)
        row |= {name: value for name, value in values.items() if name not in ("id", "links")}
        key = self._key(row)
        if key in self._index:
            raise self._duplicate(row)
        self.rows[row["id"]] = row
        if self._unique:
            self._index[key] = row["id"]
        return row

    def get(self, row_id: str) -> Row:
        """Return the resource of that id.

        Raises:
            ApiError: 404, there is none.
        """
        try:
            return self.rows[row_id]
        except KeyError:
            raise self.missing(row_id) from None

    def find(self, *key: Any) -> Row | None:
        """Return the resource whose unique attributes are `key`, None if there is none."""
        row_id = self._index.get(key)
        return None if row_id is None else self.rows[row_id]

    def update(self, row_id: str, changes: Mapping[str, Any]) -> Row:
        """Change attributes of a resource and return it.

        Raises:
            ApiError: 404, there is none; 400, an attribute is of the wrong type or cannot be changed; 409, the new name
                is taken.
        """
        row = self.get(row_id)
        self._check(changes)
        changes = {name: value for name, value in changes.items() if name != "links"}
        for name, value in changes.items():
            fixed = name == "id" or (name in self.fields and self.fields[name].immutable)
            if fixed and value != row.get(name):
                raise ApiError(400, f"Cannot change the {name} of {self.singular} {row_id}.")
        new = row | changes
        before, after = self._key(row), self._key(new)
        if before != after:
            if after in self._index:
                raise self._duplicate(new)
            del self._index[before]
            self._index[after] = row_id
        # A new dictionary rather than a changed one: readers without the lock see one state or the other.
        self.rows[row_id] = new
        return new

    def delete(self, row_id: str) -> Row:
        """Remove a resource and return what it was.

        Raises:
            ApiError: 404, there is none.
        """
        row = self.get(row_id)
        del self.rows[row_id]
        self._index.pop(self._key(row), None)
        return row

    def select(self, filters: Mapping[str, str]) -> list[Row]:
        """Return the resources that match all `filters`: "name", "enabled" or comparisons such as "name__contains".

        Filters on what no resource of this kind has are passed over, as Keystone does.
        """
        tests = [(name, value) for name, value in filters.items() if name.partition("__")[0] in self.fields]
        return [row for row in self if all(_matches(row, name, value) for name, value in tests)]

    def missing(self, row_id: str) -> ApiError:
        """Return the error that says that there is no such resource."""
        return ApiError(404, f"Could not find {self.singular}: {row_id}.")

    def dump(self) -> list[Row]:
        """Return all rows as JSON-able data."""
        return copy.deepcopy(list(self.rows.values()))

    def load(self, rows: list[Row]) -> None:
        """Replace all rows by what `dump` returned."""
        self.rows = {row["id"]: dict(row) for row in rows}
        self._index = {self._key(row): row["id"] for row in rows} if self._unique else {}

    def _key(self, row: Row) -> tuple[Any, ...]:
        return tuple(row.get(name) for name in self._unique) if self._unique else ("id", row["id"])

    def _check(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            field = self.fields.get(name)
            if field is None:
                continue
            # bool is a subclass of int, but true is no number
            if not isinstance(value, field.types) or (isinstance(value, bool) and bool not in field.types):
                names = " or ".join(sorted(_json_name(kind) for kind in field.types))
                raise ApiError(400, f"Invalid input for field '{name}': {value!r} is not of type {names}.")
            if field.choices and value not in field.choices:
                raise ApiError(400, f"Invalid input for field '{name}': {value!r} is not one of {list(field.choices)}.")
            if isinstance(value, str) and name in ("name", "type"):
                if not value.strip():
                    raise ApiError(400, f"Invalid input for field '{name}': {value!r} is too short.")
                if len(value) > NAME_LIMIT:
                    raise ApiError(400, f"Invalid input for field '{name}': longer than {NAME_LIMIT} characters.")

    def _duplicate(self, row: Row) -> ApiError:
        return self._conflict("name", row.get("name"), row.get("domain_id"))

    def _conflict(self, what: str, value: object, domain_id: object = None) -> ApiError:
        where = f" at domain ID {domain_id}" if domain_id is not None else ""
        found = f"Duplicate entry found with {what} {value}{where}."
        return ApiError(409, f"Conflict occurred attempting to store {self.singular} - {found}")


def _matches(row: Row, name: str, want: str) -> bool:
    attribute, _, comparator = name.partition("__")
    have = row.get(attribute)
    if isinstance(have, bool):
        return have == (want.lower() not in ("false", "0", "no", "off"))
    if comparator:
        compare = _COMPARATORS.get(comparator)
        return compare is None or (isinstance(have, str) and compare(have, want))
    return ("" if have is None else str(have)) == want


def _json_name(kind: type) -> str:
    return {str: "string", bool: "boolean", dict: "object", list: "array", int: "integer", type(None): "null"}[kind]
