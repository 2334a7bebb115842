"""Runs modules of python-ldap's own tests in one process, against our server or against slapd.

Usage: worker.py ours|slapd RESULTS NAME...   NAME is a module. PYTHONPATH leads to the tests.
"""

import sys
import unittest
from pathlib import Path

if sys.argv[1] != "ours":
    # The script's directory has the module that starts our server.
    sys.path.remove(str(Path(__file__).parent))

from outcomes import Recorder


def main(driver: str, results: str, *names: str) -> int:
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    with Path(results).open("a") as output:
        suite.run(Recorder(output))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
