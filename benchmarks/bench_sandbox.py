"""A sandbox's start and its boots, beside a whole nova with its own fakes in one process (floor_nova.py).

Prints a JSON list of objects with name, unit, ours, other, other_is and ratio (ours / other). All are up at once and
boot in turns, some servers a round, so that whatever else the machine does meets them alike; a figure is the median of
its rounds, its ratio the median of the rounds' ratios. CPU is the daemon's, user and system, around the boots and the
deletions between them; the client is not counted.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import openstack

from nova_fakes.sandbox import launcher
from nova_fakes.sandbox.client import Client
from nova_fakes.sandbox.launcher import SandboxSpec
from nova_fakes.virt.vif import capabilities

HERE = Path(__file__).parent
FLOOR_IS = "nova in one process with its own fake driver and stubbed neutron, glance and cinder"
TICKS = os.sysconf("SC_CLK_TCK")
POLL_S = 0.05
# Frames of the standard library are on account of whoever called them.
OURS = ("nova_fakes", "flask", "werkzeug")


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Sandbox:
    def __init__(self, realizer: str) -> None:
        self.state = Path(tempfile.mkdtemp(prefix="nova-fakes-bench-"))
        begun = time.perf_counter()
        self.client: Client = launcher.up(SandboxSpec(state=self.state, realizer=realizer))
        self.up_s = time.perf_counter() - begun
        self.pid = int(self.client.status()["pid"])
        config = openstack.config.OpenStackConfig(config_files=[str(self.client.state.clouds)], load_envvars=False)
        self.compute = openstack.connection.Connection(config=config.get_one(cloud="nova-fakes")).compute
        self.image = openstack.connection.Connection(config=config.get_one(cloud="nova-fakes")).image.find_image(
            "nova-fakes"
        )
        self.flavor = self.compute.find_flavor("m1.nano")
        self.count = 0

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *exc: object) -> None:
        self.client.down()
        shutil.rmtree(self.state)

    def boot(self, poll_s: float = POLL_S) -> str:
        """Ask for a server and wait until it is ACTIVE; return its id."""
        self.count += 1
        server = self.compute.create_server(
            name=f"bench-{self.count}", image_id=self.image.id, flavor_id=self.flavor.id, networks="auto"
        )
        return self._until(server.id, "ACTIVE", poll_s)

    def _until(self, server_id: str, status: str, poll_s: float) -> str:
        while True:
            found = self.compute.get_server(server_id)
            if found.status == status:
                return server_id
            if found.status == "ERROR":
                raise RuntimeError(f"{found.name}: {found.fault}")
            time.sleep(poll_s)

    def delete(self, server_ids: list[str]) -> None:
        for server_id in server_ids:
            self.compute.delete_server(server_id)
        while list(self.compute.servers(details=False)):
            time.sleep(POLL_S)


def boots_per_minute(sandbox: Sandbox, concurrency: int, boots: int) -> float:
    with ThreadPoolExecutor(concurrency) as pool:
        begun = time.perf_counter()
        # However many clients wait, they look as often as one does: a look costs as much as a tenth of a boot.
        booted = list(pool.map(sandbox.boot, [concurrency * POLL_S] * boots))
        rate = boots / (time.perf_counter() - begun) * 60
    sandbox.delete(booted)
    return rate


class Cost(NamedTuple):
    """Seconds of a boot, and CPU seconds of one with its deletion."""

    boot_s: float
    cpu_s: float


def cost(sandbox: Sandbox, boots: int) -> Cost:
    """Boot and delete some servers, one after the other."""
    taken = []
    before = cpu_s(sandbox.pid)
    for _ in range(boots):
        begun = time.perf_counter()
        booted = sandbox.boot()
        taken.append(time.perf_counter() - begun)
        sandbox.delete([booted])
    return Cost(statistics.median(taken), (cpu_s(sandbox.pid) - before) / boots)


def own_share(sandbox: Sandbox, boots: int) -> float:
    """Return the share of the daemon's running samples whose innermost known frame is ours, and no other library's."""
    with tempfile.NamedTemporaryFile(suffix=".raw") as raw:
        profiler = [str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(sandbox.pid)]
        options = ["--format", "raw", "--full-filenames", "--rate", "200", "--output", raw.name]
        with subprocess.Popen([*profiler, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as recording:
            for _ in range(boots):
                sandbox.delete([sandbox.boot()])
            recording.send_signal(signal.SIGINT)
        stacks = [line.rpartition(" ") for line in Path(raw.name).read_text().splitlines()]
    counts = {True: 0, False: 0}
    for stack, _, count in stacks:
        counts[_is_ours(stack.split(";"))] += int(count)
    return counts[True] / (counts[True] + counts[False])


def _is_ours(frames: list[str]) -> bool:
    for frame in reversed(frames):
        if any(f"/{package}/" in frame for package in OURS):
            return True
        if "/site-packages/" in frame:
            return False
    return False


class Floor:
    """The process of floor_nova.py."""

    def __enter__(self) -> "Floor":
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "floor_nova.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answer()
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.communicate()

    def cost(self, boots: int) -> Cost:
        """Return what :func:`cost` returns, of the floor."""
        assert self._process.stdin is not None
        print(boots, file=self._process.stdin, flush=True)
        return Cost(**self._answer())

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                answer: dict[str, float] = json.loads(line)
                return answer
        raise RuntimeError("floor_nova.py ended early")


def figure(name: str, unit: str, ours: float, other: float | None, other_is: str) -> dict[str, Any]:
    ratio = None if not other else round(ours / other, 3)
    rounded = None if other is None else round(other, 3)
    return {"name": name, "unit": unit, "ours": round(ours, 3), "other": rounded, "other_is": other_is, "ratio": ratio}


def beside_floor(name: str, unit: str, ours: Sequence[float], floor: Sequence[float]) -> dict[str, Any]:
    ratio = statistics.median(mine / its for mine, its in zip(ours, floor, strict=True))
    return figure(name, unit, statistics.median(ours), statistics.median(floor), FLOOR_IS) | {"ratio": round(ratio, 3)}


def start(realizer: str, figures: list[dict[str, Any]]) -> Sandbox:
    sandbox = Sandbox(realizer)
    figures.append(figure(f"sandbox, {realizer}: up until the API answers", "s", sandbox.up_s, 12.0, "the aim"))
    begun = time.perf_counter()
    first = sandbox.boot()
    took = time.perf_counter() - begun
    figures.append(figure(f"sandbox, {realizer}: first server ACTIVE", "s", took, 3.0, "the aim"))
    sandbox.delete([first])
    return sandbox


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true")
    rounds, boots = (2, 2) if parser.parse_args().quick else (5, 5)
    realizers = ["null", "bridge"] if capabilities.can_realize_bridges(capabilities.probe()) else ["null"]
    figures: list[dict[str, Any]] = []
    with ExitStack() as stack:
        sandboxes = {realizer: stack.enter_context(start(realizer, figures)) for realizer in realizers}
        floor = stack.enter_context(Floor())
        costs: dict[str, list[Cost]] = {name: [] for name in ("floor", *realizers)}
        for _ in range(rounds):
            costs["floor"].append(floor.cost(boots))
            for realizer, sandbox in sandboxes.items():
                costs[realizer].append(cost(sandbox, boots))
        boot_s, base_cpu_s = zip(*costs["floor"], strict=True)
        for realizer, sandbox in sandboxes.items():
            mine_s, mine_cpu_s = zip(*costs[realizer], strict=True)
            figures.append(beside_floor(f"sandbox, {realizer}: a boot", "s", mine_s, boot_s))
            figures.append(
                beside_floor(f"sandbox, {realizer}: CPU of a boot and its deletion", "s", mine_cpu_s, base_cpu_s)
            )
            share = own_share(sandbox, 2 * boots)
            figures.append(figure(f"sandbox, {realizer}: share of CPU that is ours", "", share, 0.1, "the aim"))
            for concurrency in (1, 5, 10):
                rate = boots_per_minute(sandbox, concurrency, 2 * boots)
                name = f"sandbox, {realizer}: boots at concurrency {concurrency}"
                alone = 60 / statistics.median(boot_s)
                figures.append(figure(name, "1/min", rate, alone, f"{FLOOR_IS}, one at a time"))
    print(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
