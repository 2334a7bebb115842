"""Run every benchmark, print one table and write build/bench.json.

A benchmark is a program ``benchmarks/bench_*.py`` that prints a JSON list of figures on standard output, each with
name, unit, ours, other, other_is and ratio, and that accepts ``--quick``.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FIELDS = frozenset({"name", "unit", "ours", "other", "other_is", "ratio"})
NUMBERS = ("ours", "other", "ratio")


class BenchmarkFailed(Exception):
    """A benchmark ended badly or printed something else than a list of figures."""


def run(program: Path, *, quick: bool) -> list[dict[str, Any]]:
    """Run one benchmark and return its figures; its standard error goes to ours."""
    command = [sys.executable, str(program), *(["--quick"] if quick else [])]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, check=False)
    if done.returncode != 0:
        raise BenchmarkFailed(f"{program.name}: exit code {done.returncode}")
    try:
        figures = json.loads(done.stdout)
    except ValueError as error:
        raise BenchmarkFailed(f"{program.name}: what it printed is not JSON: {error}") from error
    if not isinstance(figures, list):
        raise BenchmarkFailed(f"{program.name}: printed a JSON {type(figures).__name__}, not a list")
    for figure in figures:
        if not isinstance(figure, dict) or not set(figure) >= FIELDS:
            raise BenchmarkFailed(f"{program.name}: a figure needs {', '.join(sorted(FIELDS))}: {figure!r}")
    return figures


def medians(runs: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the figures of several runs of one benchmark as one list."""
    return [
        {**row[0], **{key: statistics.median(one[key] for one in row) for key in NUMBERS if row[0][key] is not None}}
        for row in zip(*runs, strict=True)
    ]


def table(figures: list[dict[str, Any]]) -> str:
    """Lay the figures out for a terminal."""

    def cell(value: object) -> str:
        return f"{value:,.4g}" if isinstance(value, float) else "" if value is None else str(value)

    rows = [("figure", "unit", "ours", "other", "ratio", "other is")]
    rows += [tuple(cell(f[key]) for key in ("name", "unit", "ours", "other", "ratio", "other_is")) for f in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def main(arguments: list[str] | None = None) -> int:
    """Run what the arguments name; the exit code tells whether all benchmarks ended well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a short run: smaller sizes, fewer repetitions")
    parser.add_argument("--runs", type=int, default=1, help="how often; the medians are written")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "bench.json")
    parser.add_argument("names", nargs="*", help="only these benchmarks, as in `driver` for bench_driver.py")
    options = parser.parse_args(arguments)
    if options.runs < 1:
        parser.error(f"--runs {options.runs}: give 1 or more")
    programs = sorted((ROOT / "benchmarks").glob("bench_*.py"))
    if options.names:
        unknown = set(options.names) - {program.stem.removeprefix("bench_") for program in programs}
        if unknown:
            parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
        programs = [program for program in programs if program.stem.removeprefix("bench_") in options.names]
    figures: list[dict[str, Any]] = []
    failures: list[str] = []
    for program in programs:
        print(f"{program.name} ...", file=sys.stderr, flush=True)
        try:
            figures += medians([run(program, quick=options.quick) for _ in range(options.runs)])
        except BenchmarkFailed as error:
            failures.append(str(error))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(figures, indent=2) + "\n")
    print(table(figures))
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
