"""Runs modules of another project's tests in one process.

Usage: unittest_worker.py DRIVER RESULTS NAME...   The driver only names the results. PYTHONPATH leads to the tests, and
to what takes the place of something that they import.
"""

import sys
import unittest
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

from outcomes import Recorder  # noqa: E402


def main(driver: str, results: str, *names: str) -> int:
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    with Path(results).open("a") as output:
        suite.run(Recorder(output))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
