"""The test programs of the documentation pass."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


@pytest.mark.parametrize("name", ["service_on_fakes", "people_in_ldap", "broker_that_dies"])
def test_it_passes(name: str) -> None:
    if name == "people_in_ldap":
        pytest.importorskip("ldap", reason="needs python-ldap")
    program = [sys.executable, str(EXAMPLES / f"{name}.py")]
    done = subprocess.run(program, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_nova_with_ping_passes(needs_packets: None) -> None:
    program = [sys.executable, str(EXAMPLES / "nova_with_ping.py")]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        program, capture_output=True, text=True, timeout=250, check=False, env={**os.environ, "PATH": path}
    )
    assert done.returncode == 0, done.stderr
