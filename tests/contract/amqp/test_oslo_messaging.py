"""oslo.messaging's own functional tests over the transport in process."""

import os
import subprocess
import sys
from xml.etree import ElementTree

import oslo_messaging
import pytest

URL = "kombu+fakerabbit://"
TESTS = os.path.join(os.path.dirname(oslo_messaging.__file__), "tests", "functional", "test_functional.py")
# MetricsTestCase asks for a collector of metrics, and fails over every transport where there is none.
QUICK = "CallTestCase and (test_exception or test_specific_server or test_different_exchanges)"


def outcomes(directory, *options):
    """Run the tests; return the outcome of each by its class and name."""
    report = directory / "report.xml"
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "nova_fakes.rabbit.transport", "-p", "no:cacheprovider", TESTS]
    argv += ["-W", "ignore", "-c", os.devnull, f"--rootdir={directory}", f"--junit-xml={report}", *options]
    environment = {**os.environ, "RPC_TRANSPORT_URL": URL, "NOTIFY_TRANSPORT_URL": URL}
    environment.pop("OS_NOVA_DISABLE_EVENTLET_PATCHING", None)
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert report.exists(), done.stdout + done.stderr
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        part = next((part for part in case if part.tag in ("failure", "error", "skipped")), None)
        name = f"{case.get('classname').rpartition('.')[2]}.{case.get('name')}"
        found[name] = ("passed", "") if part is None else (part.tag, part.get("message") or part.text)
    return found


@pytest.mark.parametrize(
    ("selection", "count"), [(QUICK, 3), pytest.param("not Metrics", 18, marks=pytest.mark.slow)], ids=["quick", "all"]
)
def test_they_pass(tmp_path, selection, count):
    found = outcomes(tmp_path, "-k", selection)
    assert {name: text for name, (kind, text) in found.items() if kind not in ("passed", "skipped")} == {}
    assert sum(kind == "passed" for kind, _ in found.values()) == count
