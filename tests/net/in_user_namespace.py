"""Run a Python module as root of a user and mount namespace: ``in_user_namespace.py pytest ARGUMENTS``."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from nova_fakes.virt.vif.namespaces import enter_user_namespace

HERE = Path(__file__).parent


def inside(nodes, report, *options, prefix=()):
    """Run tests in a user namespace and return what the run printed; `report` gets the outcomes as JUnit XML."""
    argv = [*prefix, sys.executable, str(HERE / "in_user_namespace.py"), "pytest", "-q", "-p", "no:cacheprovider"]
    argv += ["-o", "junit_family=xunit1", f"--junit-xml={report}", *options, *nodes]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(argv, cwd=HERE.parent.parent, env=environment, capture_output=True, text=True, check=False)


def outcomes(report):
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        text = next((part for part in case if part.tag in ("failure", "error", "skipped")), None)
        kind = "passed" if text is None else text.tag
        found[case.get("name")] = (kind, "" if text is None else text.text or text.get("message") or "")
    return found


if __name__ == "__main__":
    enter_user_namespace()
    os.execv(sys.executable, [sys.executable, "-m", *sys.argv[1:]])
