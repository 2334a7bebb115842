"""The driver against every call that Cinder makes: its own check of drivers finds no methods on Python 3."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

needs_cinder = pytest.mark.skipif(
    importlib.util.find_spec("cinder") is None, reason="cinder is missing: uv sync --group contract"
)


@needs_cinder
def test_driver_has_every_method_that_is_called_with_these_arguments():
    script = Path(__file__).with_name("driver_calls.py")
    answer = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=False)
    assert answer.returncode == 0, answer.stderr
    report = json.loads(answer.stdout)
    assert report["found"] == {}
    # The scan does find calls.
    assert {"create_volume", "failover_replication", "get_manageable_snapshots"} <= set(report["asked"])
    assert len(report["asked"]) > 70
