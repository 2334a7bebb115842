"""How other projects' own tests ended: a worker process writes one JSON object a test, and its starter reads them."""

import json
import os
import subprocess
import sys
import unittest
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO


class Result(NamedTuple):
    """How one test ended: ok, failed or skipped, and why."""

    outcome: str
    reason: str


def failed(results: dict[str, Result]) -> list[str]:
    """Return the ids of the tests that failed."""
    return [name for name, result in results.items() if result.outcome == "failed"]


def told(reasons: dict[str, str]) -> str:
    """Write what went wrong, test by test."""
    return "\n\n".join(f"{name}:\n{reason}" for name, reason in reasons.items())


def run(
    worker: Path,
    driver: str,
    names: Iterable[str],
    directory: Path,
    timeout_s: float,
    *paths: Path | None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Result]:
    """Run tests in a process of their own.

    :param worker: a script that takes the driver, a file for results, and the names
    :param driver: whose fake the tests shall use, as the worker calls it
    :param names: of modules, classes or tests
    :param directory: where the results and what the process printed are kept
    :param paths: where the tests are, if they are not installed, and what takes the place of things that they import
    :param environment: what the process finds in its environment besides
    :returns: each test's result by its id; where the process was ended for taking too long, what it got to
    """
    results, output = directory / f"{driver}.jsonl", directory / f"{driver}.out"
    results.touch()
    places = [*(str(path) for path in paths if path), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    variables = {**os.environ, **(environment or {}), "PYTHONPATH": os.pathsep.join(filter(None, places))}
    with output.open("w") as log:
        command = [sys.executable, str(worker), driver, str(results), *names]
        try:
            subprocess.run(command, stdout=log, stderr=log, timeout=timeout_s, check=True, env=variables)
        except subprocess.TimeoutExpired:
            print(f"\nended after {timeout_s:.0f} s", file=log)
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"the worker ended with {error.returncode}: {output.read_text()[-3000:]}") from None
    records = [json.loads(line) for line in results.read_text().splitlines()]
    return {record["id"]: Result(record["outcome"], record["reason"]) for record in records}


class Recorder(unittest.TestResult):
    """Writes each result as it comes: what a killed process found out is not lost."""

    def __init__(self, output: TextIO) -> None:
        super().__init__()
        self._output = output

    def _record(self, test: Any, outcome: str, reason: str = "") -> None:
        print(json.dumps({"id": test.id(), "outcome": outcome, "reason": reason}), file=self._output, flush=True)

    def addSuccess(self, test: Any, **details: Any) -> None:
        self._record(test, "ok")

    def addSkip(self, test: Any, reason: str = "", **details: Any) -> None:
        self._record(test, "skipped", reason)

    def addExpectedFailure(self, test: Any, error: Any = None, **details: Any) -> None:
        self._record(test, "ok")

    def addUnexpectedSuccess(self, test: Any, **details: Any) -> None:
        self._record(test, "failed", "it succeeds, and its author expects it to fail")

    def addError(self, test: Any, error: Any = None, **details: Any) -> None:
        self._fail(test, error, details)

    def addFailure(self, test: Any, error: Any = None, **details: Any) -> None:
        self._fail(test, error, details)

    def addSubTest(self, test: Any, subtest: Any, error: Any) -> None:
        if error is not None:
            self._fail(subtest, error, {})

    def _fail(self, test: Any, error: Any, details: Any) -> None:
        if error is not None:
            self._record(test, "failed", self._exc_info_to_string(error, test)[-4000:])
            return
        found = details.get("details", {})
        traces = [content.as_text() for name, content in found.items() if "traceback" in name]
        self._record(test, "failed", "\n".join(traces)[-4000:])
