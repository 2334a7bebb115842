"""What a test pays for the fixtures: the import of each module that has one, and a whole nova.

Prints a JSON list of objects with name, unit, ours, other, other_is and ratio (ours / other). An import is measured in
processes of its own, in turns with `import fixtures`, the library that each needs: CPU seconds of the user, medians.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

from nova_fakes import fixtures

LIBRARY = "import fixtures"
NOVA_AIM_S = 5.0


def cpu_s(program: str) -> float:
    """Return what a program of Python takes of the processor, without the kernel's part."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run([sys.executable, "-c", program], check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def imports(rounds: int) -> list[dict[str, Any]]:
    """Return the figures of the imports, the start of Python in them."""
    owners: dict[str, list[str]] = {}
    for name in fixtures.__all__:
        owners.setdefault(getattr(fixtures, name).__module__, []).append(name)
    programs = {module: f"from nova_fakes.fixtures import {names[0]}" for module, names in sorted(owners.items())}
    taken: dict[str, list[float]] = {program: [] for program in (LIBRARY, *programs.values())}
    for _ in range(rounds):
        for program, took in taken.items():
            took.append(cpu_s(program))
    library = statistics.median(taken[LIBRARY])
    return [
        figure(f"import of {module}: CPU", statistics.median(taken[program]), library, f"`{LIBRARY}` alone")
        for module, program in programs.items()
    ]


def nova(rounds: int) -> list[dict[str, Any]]:
    """Return the figures of a whole nova, each time one of its own."""
    ready, gone = [], []
    for _ in range(rounds):
        fixture = fixtures.NovaFixture()
        begun = time.perf_counter()
        fixture.setUp()
        ready.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        fixture.cleanUp()
        gone.append(time.perf_counter() - begun)
    return [
        figure("NovaFixture: ready", statistics.median(ready), NOVA_AIM_S, "the aim"),
        figure("NovaFixture: gone again", statistics.median(gone), NOVA_AIM_S, "the aim"),
    ]


def figure(name: str, ours: float, other: float, other_is: str) -> dict[str, Any]:
    ratio = round(ours / other, 3)
    return {
        "name": name,
        "unit": "s",
        "ours": round(ours, 4),
        "other": round(other, 4),
        "other_is": other_is,
        "ratio": ratio,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true")
    rounds = 2 if parser.parse_args().quick else 7
    print(json.dumps(imports(rounds) + nova(rounds), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
