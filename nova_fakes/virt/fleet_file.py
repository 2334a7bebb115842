"""A fleet in a TOML file: hosts that differ, workloads, faults.

A wrong file is refused as a whole, with the file, the line, the key, the value and what was expected.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path
from typing import cast

from nova_fakes.clock import Clock
from nova_fakes.exceptions import InvalidInput
from nova_fakes.faults import FaultRule, Faults
from nova_fakes.virt.fault_file import read_rule
from nova_fakes.virt.fleet import DEFAULT_BANDWIDTH_MB_S, Fleet
from nova_fakes.virt.inventory import Inventory, NumaCell, PciDevice, PmemNamespace, Provider
from nova_fakes.virt.journal import Journal
from nova_fakes.virt.toml_file import TOP, Place, Table, TomlFile, is_int
from nova_fakes.virt.workload import Workload

__all__ = ["FleetPlan", "HostAggregate", "load"]

#: Tables below a host's: the inventory's field that they make, and of what.
_HOST_TABLES: Mapping[str, tuple[str, type]] = {
    "provider": ("providers", Provider),
    "pci": ("pci", PciDevice),
    "numa": ("numa", NumaCell),
    "pmem": ("pmem", PmemNamespace),
}
#: What a host's table may hold besides the fields of the inventory that it makes.
_HOST_EXTRAS = ("name", "count", "latency", "fault", *_HOST_TABLES)
#: Fields that come as tables of their own.
_NOT_KEYS = frozenset(field for field, _ in _HOST_TABLES.values())
_LARGEST_COUNT = 10_000
#: What stands above all tables.
_SETTINGS = ("seed", "shared_storage", "migration_bandwidth_mb_s")


@dataclass(frozen=True)
class HostAggregate:
    """A host aggregate of nova's.

    :param hosts: names of its hosts; in a file shell patterns of them
    :param availability_zone: that it makes of them; None: none
    """

    name: str
    hosts: tuple[str, ...]
    availability_zone: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FleetPlan:
    """What a file says.

    :param hosts: what each host is equipped with, by name, in the file's order
    :param aggregates: that a sandbox makes of the hosts
    :param nova: settings for the nova.conf of a sandbox: ``group/option`` and value
    """

    hosts: Mapping[str, Inventory] = field(default_factory=dict)
    seed: int = 0
    shared_storage: bool = True
    migration_bandwidth_mb_s: float = DEFAULT_BANDWIDTH_MB_S
    workloads: tuple[Workload, ...] = ()
    faults: tuple[FaultRule, ...] = ()
    aggregates: tuple[HostAggregate, ...] = ()
    nova: Mapping[str, str] = field(default_factory=dict)

    def make_fleet(self, clock: Clock | None = None, journal: Journal | None = None) -> Fleet:
        """Make the fleet without its hosts, which need realizers."""
        faults = Faults(clock, self.seed)
        faults.extend(self.faults)
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
    file = TomlFile(path, "fleet file")
    content = file.content
    file.only(TOP, content, (*_SETTINGS, "workload", "host", "fault", "aggregate", "nova"))
    hosts: dict[str, Inventory] = {}
    faults = [read_rule(file, place, table) for place, table in file.tables(TOP, content, "fault")]
    for place, table in file.tables(TOP, content, "host"):
        inventory = _inventory(file, place, table)
        for name in _names(file, place, table):
            if name in hosts:
                file.refuse(place, "name", name, "give a name that no other host has")
            hosts[name] = inventory
            faults += _faults(file, place, table, name)
    if not hosts:
        file.refuse(TOP, "host", None, "write one [[host]] table at least")
    return FleetPlan(
        hosts=hosts,
        workloads=_workloads(file),
        faults=tuple(faults),
        aggregates=_aggregates(file, hosts),
        nova=_nova(file),
        **file.values(TOP, content, FleetPlan, {one.name for one in fields(FleetPlan)} - set(_SETTINGS)),
    )


def _aggregates(file: TomlFile, hosts: Collection[str]) -> tuple[HostAggregate, ...]:
    """Make the aggregates, each with the hosts that its patterns name."""
    found: dict[str, HostAggregate] = {}
    for place, table in file.tables(TOP, file.content, "aggregate"):
        one = cast(HostAggregate, file.object(place, table, HostAggregate))
        if one.name in found:
            file.refuse(place, "name", one.name, "give a name that no other aggregate has")
        for pattern in one.hosts:
            if not any(fnmatchcase(host, pattern) for host in hosts):
                file.refuse(
                    place, "hosts", pattern, f"name hosts of this file, or patterns of them: {', '.join(hosts)}"
                )
        members = tuple(host for host in hosts if any(fnmatchcase(host, pattern) for pattern in one.hosts))
        for other in found.values():
            zones = {one.availability_zone, other.availability_zone}
            if None not in zones and len(zones) > 1 and set(members) & set(other.hosts):
                shared = ", ".join(sorted(set(members) & set(other.hosts)))
                file.refuse(
                    place, "availability_zone", one.availability_zone, f"{shared} are in {other.availability_zone}"
                )
        found[one.name] = replace(one, hosts=members)
    return tuple(found.values())


def _names(file: TomlFile, place: Place, table: Table) -> list[str]:
    """Return the names of the hosts that a table describes."""
    pattern, count = table.get("name"), table.get("count", 1)
    if not isinstance(pattern, str) or not pattern:
        file.refuse(place, "name", pattern, "give a text")
    if not is_int(count) or not 1 <= count <= _LARGEST_COUNT:
        file.refuse(place, "count", count, f"give a whole number from 1 to {_LARGEST_COUNT}")
    try:
        names = [pattern.format(n=number) for number in range(1, count + 1)]
    except (KeyError, IndexError, ValueError):
        file.refuse(place, "name", pattern, "give a text in which {n} or {n:03} is the host's number")
    if count > 1 and pattern in names:
        file.refuse(place, "name", pattern, "put {n} into the name of hosts that there are several of")
    return names


def _inventory(file: TomlFile, place: Place, table: Table) -> Inventory:
    keys = {one.name for one in fields(Inventory)} - _NOT_KEYS
    file.only(place, table, (*sorted(keys), *_HOST_EXTRAS))
    values = file.values(place, table, Inventory, _NOT_KEYS)
    for key, (name, cls) in _HOST_TABLES.items():
        values[name] = tuple(file.object(below, one, cls) for below, one in file.tables(place, table, key))
    return cast(Inventory, file.made(place, Inventory, **values))


def _faults(file: TomlFile, place: Place, table: Table, host: str) -> Iterator[FaultRule]:
    """Make the rules of one host: its latency, and what stands below its table."""
    this = escape(host)
    if "latency" in table:
        yield FaultRule("*", host=this, delay=file.value(place, table, "latency", "Delay | None"))
    for below, one in file.tables(place, table, "fault"):
        yield read_rule(file, below, one, host=this)


def _workloads(file: TomlFile) -> tuple[Workload, ...]:
    tables = file.content.get("workload", {})
    if not isinstance(tables, dict) or not all(isinstance(values, dict) for values in tables.values()):
        file.refuse(TOP, "workload", tables, "write tables, [workload.NAME]")
    return tuple(
        file.made((f"workload.{name}", 0), Workload.from_mapping, name, values) for name, values in tables.items()
    )


def _nova(file: TomlFile) -> Mapping[str, str]:
    settings = file.content.get("nova", {})
    if not isinstance(settings, dict):
        file.refuse(TOP, "nova", settings, "write a table, [nova]")
    for key, value in settings.items():
        if key.count("/") != 1 or not isinstance(value, str):
            file.refuse(("nova", 0), key, value, 'write "group/option" = "value"')
    return settings
