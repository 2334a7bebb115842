"""A fleet in a TOML file: hosts that differ, workloads, faults.

A wrong file is refused as a whole, with the file, the line, the key, the value and what was expected.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from nova_fakes.clock import Clock
from nova_fakes.exceptions import InvalidInput
from nova_fakes.faults import FaultRule, Faults
from nova_fakes.virt.fleet import DEFAULT_BANDWIDTH_MB_S, Fleet
from nova_fakes.virt.inventory import Inventory, NumaCell, PciDevice, PmemNamespace, Provider
from nova_fakes.virt.journal import Journal
from nova_fakes.virt.workload import Workload

__all__ = ["FleetPlan", "load"]

#: What a table of an array may hold besides the fields of the class that it makes.
_HOST_TABLES = {
    "provider": ("providers", Provider),
    "pci": ("pci", PciDevice),
    "numa": ("numa", NumaCell),
    "pmem": ("pmem", PmemNamespace),
}
_HOST_EXTRAS = ("name", "count", *_HOST_TABLES)
#: Fields that come as tables of their own.
_NOT_KEYS = {"Inventory": {field for field, _ in _HOST_TABLES.values()}}
_LARGEST_COUNT = 10_000

Table = Mapping[str, Any]
_Expected = tuple[str, Callable[[Any], bool], Callable[[Any], Any]]


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_int(value) or isinstance(value, float)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_totals(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_int(one) for one in value.values())


#: By a field's annotation: what to write, how to tell, what to make of it.
_TYPES: Mapping[str, _Expected] = {
    "int": ("a whole number", _is_int, int),
    "int | None": ("a whole number", _is_int, int),
    "float": ("a number", _is_number, float),
    "float | None": ("a number", _is_number, float),
    "str": ("a text", lambda value: isinstance(value, str), str),
    "str | None": ("a text", lambda value: isinstance(value, str), str),
    "bool": ("true or false", lambda value: isinstance(value, bool), bool),
    "frozenset[str]": ("a list of texts", _is_texts, frozenset),
    "tuple[str, ...]": ("a list of texts", _is_texts, tuple),
    "Mapping[str, int]": ("a table of whole numbers, { CUSTOM_GOLD = 4 }", _is_totals, MappingProxyType),
}


@dataclass(frozen=True)
class FleetPlan:
    """What a file says.

    :param hosts: what each host is equipped with, by name, in the file's order
    :param nova: settings for the nova.conf of a sandbox: ``group/option`` and value
    """

    hosts: Mapping[str, Inventory] = field(default_factory=dict)
    seed: int = 0
    shared_storage: bool = True
    migration_bandwidth_mb_s: float = DEFAULT_BANDWIDTH_MB_S
    workloads: tuple[Workload, ...] = ()
    faults: tuple[FaultRule, ...] = ()
    nova: Mapping[str, str] = field(default_factory=dict)

    def make_fleet(self, clock: Clock | None = None, journal: Journal | None = None) -> Fleet:
        """Make the fleet without its hosts, which need realizers."""
        faults = Faults(clock, self.seed)
        for rule in self.faults:
            faults.add(rule)
        return Fleet(
            clock,
            faults,
            journal,
            self.seed,
            migration_bandwidth_mb_s=self.migration_bandwidth_mb_s,
            shared_storage=self.shared_storage,
            workloads=self.workloads,
        )

    def inventory(self, host: str) -> Inventory:
        """Return what a host is equipped with.

        :raises InvalidInput: the file has no such host
        """
        try:
            return self.hosts[host]
        except KeyError:
            raise InvalidInput("host", host, f"the fleet file has {', '.join(self.hosts)}") from None


def load(path: Path) -> FleetPlan:
    """Read a fleet's file.

    :raises InvalidInput: it cannot be read, or something in it is wrong
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput("fleet file", str(path), f"it cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput("fleet file", str(path), f"it is no TOML: {error}") from error
    return _Reader(path, text).read(content)


class _Reader:
    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = _lines_of_keys(text)

    def read(self, content: Table) -> FleetPlan:
        known = ("seed", "shared_storage", "migration_bandwidth_mb_s", "workload", "host", "fault", "nova")
        self._only((), content, known)
        plan = self._values((), content, FleetPlan, ("hosts", "workloads", "faults", "nova"))
        hosts: dict[str, Inventory] = {}
        for number, table in self._tables((), content, "host"):
            for name, inventory in self._hosts(("host", number), table):
                if name in hosts:
                    self._refuse(("host", number), "name", name, "give a name that no other host has")
                hosts[name] = inventory
        if not hosts:
            self._refuse((), "host", None, "write one [[host]] table at least")
        workloads = content.get("workload", {})
        if not isinstance(workloads, dict):
            self._refuse((), "workload", workloads, "write tables, [workload.NAME]")
        nova = content.get("nova", {})
        if not isinstance(nova, dict):
            self._refuse((), "nova", nova, "write a table, [nova]")
        for key, value in nova.items():
            if key.count("/") != 1 or not isinstance(value, str):
                self._refuse(("nova", 0), key, value, 'write "group/option" = "value"')
        return FleetPlan(
            hosts=hosts,
            workloads=tuple(
                self._made((f"workload.{name}", 0), Workload.from_mapping, name, values)
                for name, values in workloads.items()
            ),
            faults=tuple(
                self._object(("fault", number), table, FaultRule)
                for number, table in self._tables((), content, "fault")
            ),
            nova=nova,
            **plan,
        )

    def _hosts(self, place: tuple[str, int], table: Table) -> Iterator[tuple[str, Inventory]]:
        names = {one.name for one in fields(Inventory)} - _NOT_KEYS["Inventory"]
        self._only(place, table, (*sorted(names), *_HOST_EXTRAS))
        pattern, count = table.get("name"), table.get("count", 1)
        if not isinstance(pattern, str) or not pattern:
            self._refuse(place, "name", pattern, "give a text")
        if not _is_int(count) or not 1 <= count <= _LARGEST_COUNT:
            self._refuse(place, "count", count, f"give a whole number from 1 to {_LARGEST_COUNT}")
        values = self._values(place, table, Inventory, _NOT_KEYS["Inventory"])
        for key, (name, cls) in _HOST_TABLES.items():
            values[name] = tuple(
                self._object((f"host.{key}", number), one, cls) for number, one in self._tables(place, table, key)
            )
        inventory = self._made(place, Inventory, **values)
        for number in range(1, count + 1):
            try:
                name = pattern.format(n=number)
            except (KeyError, IndexError, ValueError):
                self._refuse(place, "name", pattern, "give a text in which {n} or {n:03} is the host's number")
            if count > 1 and name == pattern:
                self._refuse(place, "name", pattern, "put {n} into the name of hosts that there are several of")
            yield name, inventory

    def _tables(self, place: tuple[Any, ...], content: Table, key: str) -> Iterator[tuple[int, Table]]:
        """List the tables of an array, each with its number among all of that name in the file."""
        tables = content.get(key, [])
        whole = f"{place[0]}.{key}" if place else key
        if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
            self._refuse(place, key, tables, f"write tables, [[{whole}]]")
        first = self._lines.first(whole, place[1]) if place else 0
        return iter(list(enumerate(tables, first)))

    def _object(self, place: tuple[str, int], table: Table, cls: type) -> Any:
        self._only(place, table, [one.name for one in fields(cls)])
        values = self._values(place, table, cls, ())
        for one in fields(cls):
            if one.default is MISSING and one.default_factory is MISSING and one.name not in values:
                self._refuse(place, one.name, None, f"give {_expected(str(one.type))[0]}: it cannot be left out")
        return self._made(place, cls, **values)

    def _values(self, place: tuple[Any, ...], table: Table, cls: type, without: Collection[str]) -> dict[str, Any]:
        found = {}
        for one in fields(cls):
            if one.name in table and one.name not in without:
                wanted, fits, make = _expected(str(one.type))
                if not fits(table[one.name]):
                    self._refuse(place, one.name, table[one.name], f"give {wanted}")
                found[one.name] = make(table[one.name])
        return found

    def _only(self, place: tuple[Any, ...], table: Table, known: Collection[str]) -> None:
        for key, value in table.items():
            if key not in known:
                near = get_close_matches(key, known, 1)
                self._refuse(place, key, value, f"did you mean {near[0]}?" if near else f"use {', '.join(known)}")

    def _made(self, place: tuple[Any, ...], make: Callable[..., Any], *args: Any, **values: Any) -> Any:
        try:
            return make(*args, **values)
        except InvalidInput as error:
            line = self._lines.of(place, "")
            raise InvalidInput(f"{self._path}, line {line}", place[0], str(error)) from error

    def _refuse(self, place: tuple[Any, ...], key: str, value: Any, cure: str) -> NoReturn:
        line = self._lines.of(place, key)
        raise InvalidInput(f"{self._path}, line {line}: {key}", value, cure)


def _expected(annotation: str) -> _Expected:
    """Return what a field of that annotation takes; of one that may be more than a file can say, the text."""
    return _TYPES.get(annotation, _TYPES["str"])


class _Lines:
    """Where tables and keys stand in a file."""

    def __init__(self) -> None:
        self.headers: dict[tuple[str, int], int] = {}
        self.keys: dict[tuple[str, int, str], int] = {}
        self.parents: dict[tuple[str, int], int] = {}

    def of(self, place: tuple[Any, ...], key: str) -> int:
        """Return the line of a key, or else of its table, or else the first."""
        table, number = place or ("", 0)
        return self.keys.get((table, number, key)) or self.headers.get((table, number)) or 1

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
