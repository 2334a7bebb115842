"""Instances through the agent at concurrency 8, beside the same realizer in process.

All plug and unplug the same instances, each a namespace with one interface on a bridge; wall time an instance. Through
the agent, eight threads of another process ask; in process, one thread calls the realizer, or eight do. Runs alternate,
each figure is the median of its runs, and a ratio the median of the runs' ratios. Needs root; prints a JSON list of
objects with name, unit, ours, other, other_is and ratio (ours / other).
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

from bench_realizer import vif

from nova_fakes.virt.vif import registry
from nova_fakes.virt.vif.bridge import BridgeRealizer
from nova_fakes.virt.vif.cleanup import cleanup
from nova_fakes.virt.vif.fabric import Fabric
from nova_fakes.virt.vif.ledger import Ledger

CONCURRENCY = 8
INSTANCES = 250
RUNS = 7


def instances(count):
    return [(str(uuid.UUID(int=number + 1)), vif(number)) for number in range(count)]


def by_threads(call, everyone, threads):
    """Milliseconds an instance of a call for everyone, shared out among threads."""

    def work(part):
        for name, one in part:
            call(name, one)

    workers = [threading.Thread(target=work, args=(everyone[number::threads],)) for number in range(threads)]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return (time.perf_counter() - began) / len(everyone) * 1000


def there_and_back(realizer, count, threads):
    """Milliseconds an instance to plug, to unplug, and of both."""
    realizer.plug(str(uuid.UUID(int=0)), [vif(count)])  # the bridge
    everyone = instances(count)
    plug = by_threads(lambda name, one: realizer.plug(name, [one]), everyone, threads)
    assert realizer.namespace(everyone[-1][0]) is not None
    unplug = by_threads(lambda name, one: realizer.unplug(name), everyone, threads)
    return plug, unplug, plug + unplug


def in_process(state, count, threads):
    """The realizer called in this process."""
    ledger = Ledger(state / "ledger")
    with ledger, Fabric(ledger, directory=state / "netns", namespace="fabric") as fabric:
        return there_and_back(BridgeRealizer("host", fabric), count, threads)


def through_the_agent(state, count, threads):
    """The same, by way of an agent."""
    argv = [sys.executable, "-m", "nova_fakes", "agent", "--socket", state / "s", "--state", state]
    argv += ["--netns", state / "netns", "--fabric", "fabric"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as agent:
        agent.stdout.readline()
        try:
            return there_and_back(registry.load("remote", host="host", socket=state / "s"), count, threads)
        finally:
            agent.terminate()
            agent.wait()
            with Ledger(state / "ledger") as ledger:
                cleanup(ledger)


def measure(function, count, threads):
    state = Path(tempfile.mkdtemp(prefix="nf-bench-"))
    try:
        return function(state, count, threads)
    finally:
        shutil.rmtree(state)


def main():
    quick = "--quick" in sys.argv[1:]
    count, runs = (100, 3) if quick else (INSTANCES, RUNS)
    peers = {"in process, one thread": 1, f"in process, {CONCURRENCY} threads": CONCURRENCY}
    ours, theirs = [], {name: [] for name in peers}
    for _ in range(runs):
        for name, threads in peers.items():
            theirs[name].append(measure(in_process, count, threads))
        ours.append(measure(through_the_agent, count, CONCURRENCY))
    figures = []
    for position, name in enumerate(("plug", "unplug", "plug and unplug")):
        mine = [run[position] for run in ours]
        for peer, results in theirs.items():
            other = [run[position] for run in results]
            figures.append(
                {
                    "name": f"{name} through the agent, {CONCURRENCY} clients: wall an instance",
                    "unit": "ms",
                    "ours": statistics.median(mine),
                    "other": statistics.median(other),
                    "other_is": peer,
                    "ratio": statistics.median(m / o for m, o in zip(mine, other, strict=True)),
                }
            )
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
