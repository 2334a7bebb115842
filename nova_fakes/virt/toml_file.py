"""Tables of a TOML file read into objects; what is wrong is told by file, line, key, value and what was expected."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from nova_fakes import delays
from nova_fakes.exceptions import InvalidInput

__all__ = ["TOP", "Place", "Table", "TableReader", "TomlFile", "is_int"]

Table = Mapping[str, Any]
#: A table's name and its number among all of that name in the file.
Place = tuple[str, int]
_Expected = tuple[str, Callable[[Any], bool], Callable[[Any], Any]]

#: The place of what stands above all tables.
TOP: Place = ("", 0)


def is_int(value: Any) -> bool:
    """Tell whether a value is a whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return is_int(value) or isinstance(value, float)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_metadata(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


def _is_totals(value: Any) -> bool:
    return isinstance(value, dict) and all(is_int(one) for one in value.values())


_WHOLE: _Expected = ("a whole number", is_int, int)
_NUMBER: _Expected = ("a number", _is_number, float)
_TEXT: _Expected = ("a text", _is_text, str)

#: By a field's annotation: what to write, how to tell, what to make of it. Of a field that may be more than a file can
#: say, the text.
_TYPES: Mapping[str, _Expected] = {
    "int": _WHOLE,
    "int | None": _WHOLE,
    "float": _NUMBER,
    "float | None": _NUMBER,
    "bool": ("true or false", lambda value: isinstance(value, bool), bool),
    "frozenset[str]": ("a list of texts", _is_texts, frozenset),
    "tuple[str, ...]": ("a list of texts", _is_texts, tuple),
    "Mapping[str, int]": ("a table of whole numbers, { CUSTOM_GOLD = 4 }", _is_totals, MappingProxyType),
    "Mapping[str, str]": ('a table of texts, { gold = "true" }', _is_metadata, MappingProxyType),
    "Delay | None": (
        'seconds, or a text: "uniform:0.1,0.5"',
        lambda value: _is_text(value) or _is_number(value),
        delays.parse,
    ),
}


class TableReader:
    """Makes objects of tables, whoever wrote them."""

    def only(self, place: Place, table: Table, known: Collection[str]) -> None:
        """Refuse keys that are not known, with the one that was perhaps meant.

        :raises InvalidInput: there is one
        """
        for key, value in table.items():
            if key not in known:
                near = get_close_matches(key, known, 1)
                self.refuse(place, key, value, f"did you mean {near[0]}?" if near else f"use {', '.join(known)}")

    def value(self, place: Place, table: Table, key: str, annotation: str) -> Any:
        """Return a value as a field of that annotation takes it.

        :raises InvalidInput: it is of another type
        """
        wanted, fits, make = _TYPES.get(annotation, _TEXT)
        value = table[key]
        if not fits(value):
            self.refuse(place, key, value, f"give {wanted}")
        try:
            return make(value)
        except InvalidInput as error:
            self.refuse(place, key, value, error.cure)

    def values(self, place: Place, table: Table, cls: type, without: Collection[str] = ()) -> dict[str, Any]:
        """Return those values of a table that fields of a class have.

        :raises InvalidInput: one is of another type than its field
        """
        return {
            one.name: self.value(place, table, one.name, str(one.type))
            for one in fields(cls)
            if one.name in table and one.name not in without
        }

    def object(self, place: Place, table: Table, cls: type, **given: Any) -> Any:
        """Make an object of a table that has nothing but the object's fields.

        :param given: values of fields that the table may not have
        :raises InvalidInput: a key that no field has, a value that does not fit, a field that is missing
        """
        named = [one for one in fields(cls) if one.name not in given]
        self.only(place, table, [one.name for one in named])
        values = self.values(place, table, cls)
        for one in named:
            if one.default is MISSING and one.default_factory is MISSING and one.name not in values:
                wanted = _TYPES.get(str(one.type), _TEXT)[0]
                self.refuse(place, one.name, None, f"give {wanted}: it cannot be left out")
        return self.made(place, cls, **given, **values)

    def made(self, place: Place, make: Callable[..., Any], *args: Any, **values: Any) -> Any:
        """Return what is made of values, or refuse what its maker refuses."""
        try:
            return make(*args, **values)
        except InvalidInput as error:
            self.refuse(place, error.field, error.value, error.cure)

    def refuse(self, place: Place, key: str, value: Any, cure: str) -> NoReturn:
        """Refuse a value.

        :raises InvalidInput: always
        """
        raise InvalidInput(key, value, cure)


class TomlFile(TableReader):
    """A file and what stands in it.

    :param path: of the file
    :param kind: what the file is, for messages
    :raises InvalidInput: it cannot be read
    """

    def __init__(self, path: Path, kind: str) -> None:
        self._path = path
        try:
            text = path.read_text(encoding="utf-8")
            self.content: Table = tomllib.loads(text)
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(kind, str(path), f"it cannot be read: {error}") from error
        except tomllib.TOMLDecodeError as error:
            raise InvalidInput(kind, str(path), f"it is no TOML: {error}") from error
        self._lines = _lines_of_keys(text)

    def tables(self, place: Place, content: Table, key: str) -> Iterator[tuple[Place, Table]]:
        """List the tables of an array below a table, each with its place.

        :raises InvalidInput: it is something else than tables
        """
        tables = content.get(key, [])
        whole = f"{place[0]}.{key}" if place[0] else key
        if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
            self.refuse(place, key, tables, f"write tables, [[{whole}]]")
        first = self._lines.first(whole, place[1]) if place[0] else 0
        return (((whole, number), one) for number, one in enumerate(tables, first))

    def refuse(self, place: Place, key: str, value: Any, cure: str) -> NoReturn:
        """Refuse a value, with the file and the line.

        :raises InvalidInput: always
        """
        raise InvalidInput(f"{self._path}, line {self._lines.of(place, key)}: {key}", value, cure)


class _Lines:
    """Where tables and keys stand in a file."""

    def __init__(self) -> None:
        self.headers: dict[Place, int] = {}
        self.keys: dict[tuple[str, int, str], int] = {}
        self.parents: dict[Place, int] = {}

    def of(self, place: Place, key: str) -> int:
        """Return the line of a key, or else of its table, or else the first."""
        # "cpu of workload database": the first word is the key.
        return self.keys.get((*place, key.partition(" ")[0])) or self.headers.get(place) or 1

    def first(self, table: str, parent: int) -> int:
        """Return the number of the first table of that name below a parent's table, among all of the name."""
        below = [number for (name, number), above in self.parents.items() if name == table and above == parent]
        return min(below, default=0)


def _lines_of_keys(text: str) -> _Lines:
    found = _Lines()
    table, number, counts = "", 0, dict[str, int]()
    for line, content in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[{1,2}\s*([^\]]+?)\s*\]{1,2}", content):
            table = header[1].replace(" ", "")
            number = counts.get(table, 0)
            counts[table] = number + 1
            found.headers[table, number] = line
            above = table.rpartition(".")[0]
            if above in counts:
                found.parents[table, number] = counts[above] - 1
        elif key := re.match(r"\s*([\"']?)([^\"'=\s]+)\1\s*=", content):
            found.keys.setdefault((table, number, key[2]), line)
    return found
