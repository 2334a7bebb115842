"""Runs modules of nova's own tests in one process, with nova's fake driver or with ours in its place.

Usage: worker.py nova|ours RESULTS NAME...   NAME is a module, a class or a test, as unittest takes it. Appends one JSON
object a test to RESULTS: its id, how it ended (ok, failed, skipped) and, where it failed, why.
"""

import os
import sys
import unittest
import warnings
from pathlib import Path
from typing import Any

# What nova's tox.ini sets, and that no test takes for ever.
os.environ |= {
    "OS_NOVA_DISABLE_EVENTLET_PATCHING": "false",
    "OS_STDERR_CAPTURE": "1",
    "OS_STDOUT_CAPTURE": "1",
    "OS_TEST_TIMEOUT": "160",
}

from nova import monkey_patch

monkey_patch.patch()

from outcomes import Recorder  # noqa: E402


def use_the_wheels_paste_file() -> None:
    """nova's fixture looks for api-paste.ini in a source tree; its wheel installs it below the prefix."""
    from nova.tests.fixtures import conf

    set_up = conf.ConfFixture.setUp

    def set_up_with_paste_file(self: Any) -> None:
        set_up(self)
        self.conf.set_default("api_paste_config", f"{sys.prefix}/etc/nova/api-paste.ini", group="wsgi")

    conf.ConfFixture.setUp = set_up_with_paste_file


def bear_a_newer_sqlalchemy() -> None:
    """nova's fixture makes errors of deprecations that its own release knew of; ours may be newer."""
    from nova.tests.fixtures import WarningsFixture
    from sqlalchemy.exc import SADeprecationWarning

    set_up = WarningsFixture.setUp

    def set_up_and_bear(self: Any) -> None:
        set_up(self)
        warnings.filterwarnings("ignore", category=SADeprecationWarning)

    WarningsFixture.setUp = set_up_and_bear


def main(driver: str, results: str, *names: str) -> int:
    if driver == "ours":
        from nova_fakes.virt import drop_in

        drop_in.replace_nova_virt_fake()
    use_the_wheels_paste_file()
    bear_a_newer_sqlalchemy()
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    with Path(results).open("a") as output:
        suite.run(Recorder(output))
    return 0


if __name__ == "__main__":
    status = main(*sys.argv[1:])
    sys.stdout.flush()
    # Threads of services that a failed test left running would keep the process.
    os._exit(status)
