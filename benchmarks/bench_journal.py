"""Guests whose host keeps a journal: how many a second are made and destroyed, how soon a restart has found them all.

Beside the same without a journal, and beside SQLite alone: the statements, records and pragmas of the journal and
nothing else. Prints a JSON list of objects with name, unit, ours, other, other_is and ratio (ours / other). All take
turns with as many guests in their files, and a figure is the median of its rounds, by the wall clock: SQLite writes.
"""

import argparse
import json
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

import peers
from peers import destroy, figure, instance, spawn

from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.journal import Journal

GUESTS, QUICK_GUESTS = 100_000, 10_000
ROUNDS = 5
PAIRS = 2_000
AIM = 2_000.0
SQLITE_IS = "sqlite3 alone, the same records and pragmas"


def fleet(journal=None):
    made = Fleet(journal=journal)
    made.add(Hypervisor(peers.HOST))
    return made


def driver_of(fleet, residents):
    with fleet.activate():
        driver = peers.make(peers.OURS)
    for one in residents:
        spawn(driver, one)
    return driver


class Store:
    """A journal's file without the journal."""

    def __init__(self, path, like):
        self._store = sqlite3.connect(path)
        with sqlite3.connect(like) as original:
            original.backup(self._store)
        original.close()
        self._store.execute("PRAGMA journal_mode = WAL")
        self._store.execute("PRAGMA synchronous = NORMAL")
        self._record = self._store.execute("SELECT record FROM guests LIMIT 1").fetchone()[0]

    def save(self, uuid):
        with self._store:
            row = (peers.HOST, uuid, "guest", self._record)
            self._store.execute("INSERT OR REPLACE INTO guests VALUES (?, ?, ?, ?)", row)

    def forget(self, uuid):
        with self._store:
            key = (peers.HOST, uuid, "guest")
            self._store.execute("DELETE FROM guests WHERE host = ? AND uuid = ? AND role = ?", key)

    def records(self):
        rows = self._store.execute("SELECT uuid, record FROM guests WHERE host = ? AND role = 'guest'", (peers.HOST,))
        return {uuid: json.loads(record) for uuid, record in rows.fetchall()}

    def close(self):
        self._store.close()


def pairs_per_second(make, take, things):
    """Make and take away one thing after the other; return how many a second."""
    begun = time.perf_counter()
    for one in things:
        make(one)
        take(one)
    return len(things) / (time.perf_counter() - begun)


def seconds(call):
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def driven(driver, things):
    return pairs_per_second(lambda one: spawn(driver, one), lambda one: destroy(driver, one), things)


def medians(rounds):
    return [statistics.median(taken) for taken in zip(*rounds, strict=True)]


def rates(kept, store, residents):
    """Measure how many a second are made and taken away, each time the same ones."""
    unkept = driver_of(fleet(), residents)
    size = len(residents)
    fresh = [instance(size + number) for number in range(PAIRS)]
    uuids = [one.uuid for one in fresh]
    journal, without, floor = medians(
        (driven(kept, fresh), driven(unkept, fresh), pairs_per_second(store.save, store.forget, uuids))
        for _ in range(ROUNDS)
    )
    name, unit = "spawn and destroy with a journal", "pairs/s"
    yield figure(name, unit, journal, floor, SQLITE_IS)
    yield figure(name, unit, journal, without, "the same without a journal")
    yield figure(name, unit, journal, AIM, "the aim")


def restart(path, store):
    """Measure the start of a host that finds its guests again."""

    def found():
        journal = Journal(path)
        fleet(journal)
        journal.close()

    ours, floor = medians((seconds(found), seconds(store.records)) for _ in range(ROUNDS))
    yield figure("restart, all guests found again", "s", ours, floor, "sqlite3 and json alone")


def figures(directory, size):
    path = directory / "journal"
    residents = [instance(number) for number in range(size)]
    kept = fleet(Journal(path))
    driver = driver_of(kept, residents)
    store = Store(directory / "floor", path)
    yield from rates(driver, store, residents)
    kept.close()
    # A restart begins without them.
    del driver, kept, residents
    yield from restart(path, store)
    store.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_GUESTS:,} guests")
    size = QUICK_GUESTS if parser.parse_args().quick else GUESTS
    with peers.configured(), tempfile.TemporaryDirectory(prefix="nova-fakes-bench-") as directory:
        rows = [row | {"name": f"{row['name']}, at {size:,} guests"} for row in figures(Path(directory), size)]
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
