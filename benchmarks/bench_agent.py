"""Instances through the agent at concurrency 8, beside the same realizer in process.

Both plug and unplug the same instances, each a namespace with one interface on a bridge; wall time an instance. In
process is one thread that calls the realizer, which is the fastest it gets: more threads wait for the kernel's rtnl
lock. Through the agent, eight threads of another process ask. Runs alternate, and each figure is the median of its
runs. Needs root; prints a JSON list of objects with name, unit, ours, other, other_is and ratio (ours / other).
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


def in_process(state, count):
    """Milliseconds an instance to plug and to unplug, by one thread that calls the realizer."""
    ledger = Ledger(state / "ledger")
    with ledger, Fabric(ledger, directory=state / "netns", namespace="fabric") as fabric:
        realizer = BridgeRealizer("host", fabric)
        realizer.plug(str(uuid.UUID(int=0)), [vif(count)])  # the bridge

        everyone = instances(count)

        def timed(call):
            began = time.perf_counter()
            for name, one in everyone:
                call(name, one)
            return (time.perf_counter() - began) / count * 1000

        return timed(lambda name, one: realizer.plug(name, [one])), timed(lambda name, one: realizer.unplug(name))


def through_the_agent(state, count):
    """The same, by eight threads that ask an agent."""
    argv = [sys.executable, "-m", "nova_fakes", "agent", "--socket", state / "s", "--state", state]
    argv += ["--netns", state / "netns", "--fabric", "fabric"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as agent:
        agent.stdout.readline()
        try:
            realizer = registry.load("remote", host="host", socket=state / "s")
            realizer.plug(str(uuid.UUID(int=0)), [vif(count)])
            everyone = instances(count)

            def timed(call):
                def work(part):
                    for name, one in part:
                        call(name, one)

                threads = [
                    threading.Thread(target=work, args=(everyone[number::CONCURRENCY],))
                    for number in range(CONCURRENCY)
                ]
                began = time.perf_counter()
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                return (time.perf_counter() - began) / count * 1000

            plug = timed(lambda name, one: realizer.plug(name, [one]))
            assert realizer.namespace(everyone[-1][0]) is not None
            return plug, timed(lambda name, one: realizer.unplug(name))
        finally:
            agent.terminate()
            agent.wait()
            with Ledger(state / "ledger") as ledger:
                cleanup(ledger)


def measure(function, count):
    state = Path(tempfile.mkdtemp(prefix="nf-bench-"))
    try:
        return function(state, count)
    finally:
        shutil.rmtree(state)


def main():
    quick = "--quick" in sys.argv[1:]
    count, runs = (100, 3) if quick else (INSTANCES, RUNS)
    ours, theirs = [], []
    for _ in range(runs):
        theirs.append(measure(in_process, count))
        ours.append(measure(through_the_agent, count))
    figures = []
    for position, name in enumerate(("plug", "unplug")):
        mine, other = (statistics.median(run[position] for run in results) for results in (ours, theirs))
        figures.append(
            {
                "name": f"{name} through the agent, {CONCURRENCY} clients: wall an instance",
                "unit": "ms",
                "ours": mine,
                "other": other,
                "other_is": "in process, one thread",
                "ratio": mine / other,
            }
        )
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
