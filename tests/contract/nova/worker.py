"""Runs modules of nova's own tests in one process, with nova's fake driver or with ours in its place.

Usage: worker.py nova|ours RESULTS NAME...   NAME is a module, a class or a test, as unittest takes it. Appends one JSON
object a test to RESULTS: its id, how it ended (ok, failed, skipped) and, where it failed, why.
"""

import json
import os
import sys
import unittest
import warnings
from pathlib import Path
from typing import Any, TextIO

# What nova's tox.ini sets, and that no test takes for ever.
os.environ |= {
    "OS_NOVA_DISABLE_EVENTLET_PATCHING": "false",
    "OS_STDERR_CAPTURE": "1",
    "OS_STDOUT_CAPTURE": "1",
    "OS_TEST_TIMEOUT": "160",
}

from nova import monkey_patch

monkey_patch.patch()


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

    def _fail(self, test: Any, error: Any, details: Any) -> None:
        if error is not None:
            self._record(test, "failed", self._exc_info_to_string(error, test)[-4000:])
            return
        found = details.get("details", {})
        traces = [content.as_text() for name, content in found.items() if "traceback" in name]
        self._record(test, "failed", "\n".join(traces)[-4000:])


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
