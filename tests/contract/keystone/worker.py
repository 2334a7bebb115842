"""Runs modules of keystone's own tests in one process, with keystone's fake directory or with ours in its place.

Usage: worker.py keystone|ours RESULTS NAME...   NAME is a module, a class or a test, as unittest takes it.
"""

import logging
import os
import sys
import unittest
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

from outcomes import Recorder  # noqa: E402


def main(driver: str, results: str, *names: str) -> int:
    if driver == "ours":
        from nova_fakes.ldap import keystone_fakeldap

        keystone_fakeldap.replace_keystone_fakeldap()
    logging.disable(logging.CRITICAL)
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    with Path(results).open("a") as output:
        suite.run(Recorder(output))
    return 0


if __name__ == "__main__":
    status = main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(status)
