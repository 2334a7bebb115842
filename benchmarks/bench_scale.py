"""One host with 100,000 guests: what goes over all of them, what must not depend on how many there are, how much memory
each takes up, and what its counters cost. Beside nova's own fake driver.

Prints a JSON list of objects with name, unit, ours, other, other_is and ratio (ours / other). The drivers take turns,
and times are the medians of their rounds. Where nova's fake searches a list of all guests for each of them it does so
for some, evenly spread, and the row says so.
"""

import argparse
import gc
import json
import statistics
import tracemalloc
from functools import partial
from uuid import UUID

import peers
from nova.compute.provider_tree import ProviderTree
from peers import cpu_s, cpu_us, destroy, figure, instance, spawn, vif

from nova_fakes.clock import ManualClock
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.guest import GuestSpec
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.nic import read_nics
from nova_fakes.virt.workload import WORKLOADS

GUESTS, QUICK_GUESTS = 100_000, 10_000
ROUNDS = 5
SEARCHED = 100
REPEATED = 1_000
#: What nova's fake goes over all guests for, and how often it then does for one figure.
GOES_OVER_ALL, SELDOM = frozenset({"get_num_instances", "destroy of a missing guest"}), 20
CALLS = 1_000
MEMORY_AIM = 4_096
YEAR_S = 365 * 86_400


def each(call, instances):
    for one in instances:
        call(one)


#: Called with a driver and instances.
OVER_ALL = {
    "list_instances": lambda driver, instances: driver.list_instances(),
    "list_instance_uuids": lambda driver, instances: driver.list_instance_uuids(),
    "power sync, get_info of all": lambda driver, instances: each(driver.get_info, instances),
    "instance_exists of all": lambda driver, instances: each(driver.instance_exists, instances),
    "get_diagnostics of all": lambda driver, instances: each(driver.get_diagnostics, instances),
    "get_instance_diagnostics of all": lambda driver, instances: each(driver.get_instance_diagnostics, instances),
}

#: Called with a driver, a provider tree that has its node, and an instance that it does not have.
AT_ONCE = {
    "get_num_instances": lambda driver, tree, missing: driver.get_num_instances(),
    "get_available_resource": lambda driver, tree, missing: driver.get_available_resource(peers.HOST),
    "update_provider_tree": lambda driver, tree, missing: driver.update_provider_tree(tree, peers.HOST),
    "destroy of a missing guest": lambda driver, tree, missing: destroy(driver, missing),
}


def in_turns(ours, other, times=(1, 1)):
    """Return the medians of the seconds of CPU that a call takes."""
    rounds = [(cpu_s(ours, times[0]), cpu_s(other, times[1])) for _ in range(ROUNDS)]
    return [statistics.median(taken) for taken in zip(*rounds, strict=True)]


def over_all(ours, other, residents):
    for name, task in OVER_ALL.items():
        theirs, other_is = residents, peers.OTHER_IS
        if name == "instance_exists of all":
            theirs = residents[:: len(residents) // SEARCHED]
            other_is += f" ({len(theirs)} of them, scaled)"
        our_s, other_s = in_turns(partial(task, ours, residents), partial(task, other, theirs))
        yield figure(name, "s of CPU", our_s, other_s * len(residents) / len(theirs), other_is)


def at_once(ours, other, missing):
    trees = ProviderTree(), ProviderTree()
    for tree in trees:
        tree.new_root(peers.HOST, str(UUID(int=9)))
    for name, task in AT_ONCE.items():
        calls = [partial(task, driver, tree, missing) for driver, tree in zip((ours, other), trees, strict=True)]
        times = REPEATED, SELDOM if name in GOES_OVER_ALL else REPEATED
        yield figure(name, "us of CPU per call", *(taken_s * 1_000_000 for taken_s in in_turns(*calls, times)))


def bytes_per_guest(cls, size, wired):
    """Return what a driver holds on to when nova has let go of the Instance; strings that it took from it count."""
    driver = peers.make(cls)
    gc.collect()
    tracemalloc.start()
    for number in range(size):
        spawn(driver, instance(number), [vif(number)] if wired else ())
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / size


def memory(size):
    for name, wired in (("memory of a guest", False), ("memory of a guest with nova's VIF", True)):
        ours, other = (bytes_per_guest(cls, size, wired) for cls in (peers.OURS, peers.OTHER))
        yield figure(name, "bytes", ours, other)
        yield figure(name, "bytes", ours, MEMORY_AIM, "the aim")


def counters(size, other, resident):
    """Measure a guest's statistics by workload and age: one processor, one disk, one interface."""
    clock = ManualClock()
    host = Fleet(clock).add(Hypervisor(peers.HOST))
    names = sorted(WORKLOADS)
    for number in range(size):
        spec = GuestSpec(str(UUID(int=number + 1)), "guest", 1, 512, 1, workload=names[number % len(names)])
        host.spawn(spec, read_nics([vif(number)]))
    constants_us = cpu_us(other.get_diagnostics, [resident] * CALLS)
    for age, passed_s in (("second", 1), ("year", YEAR_S)):
        clock.advance(passed_s)
        for first, workload in enumerate(names):
            uuids = list(host.guests)[first :: len(names)]
            sample = uuids[:: max(1, len(uuids) // CALLS)][:CALLS]
            name = f"statistics of a guest, workload {workload}, after a {age}"
            other_is = f"{peers.OTHER_IS}.get_diagnostics, constants"
            yield figure(name, "us of CPU per call", cpu_us(host.statistics, sample), constants_us, other_is)


def figures(size):
    yield from memory(size)
    ours, other = (peers.make(cls) for cls in (peers.OURS, peers.OTHER))
    residents = [instance(number) for number in range(size)]
    for driver in (ours, other):
        each(partial(spawn, driver), residents)
    yield from over_all(ours, other, residents)
    yield from at_once(ours, other, instance(size))
    yield from counters(size, other, residents[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition(".")[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_GUESTS:,} guests")
    size = QUICK_GUESTS if parser.parse_args().quick else GUESTS
    with peers.configured():
        rows = [row | {"name": f"{row['name']}, at {size:,} guests"} for row in figures(size)]
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
