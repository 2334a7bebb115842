"""The test programs of the documentation pass."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
# Each a process that imports much; what they take on a machine that has much else to do.
DEADLINE_S = 500
SLOW = {"nova_with_ping"}


def names() -> list[str]:
    return sorted(path.stem for path in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in names()]
)
def test_it_passes(name: str, request: pytest.FixtureRequest) -> None:
    if name == "people_in_ldap":
        pytest.importorskip("ldap", reason="needs python-ldap")
    if name == "nova_with_ping":
        request.getfixturevalue("needs_packets")
    program = [sys.executable, str(EXAMPLES / f"{name}.py"), "--verbose"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stderr
    if "OK (skipped=" in done.stderr:
        pytest.skip(next(line for line in done.stderr.splitlines() if " skipped " in line))
