"""Writes docs/reference/compliance.md: what the compliance suite for virt drivers finds in nova's own fake driver.

Usage: driver_gaps.py [--check]   --check writes nothing, and fails where the page is not what it would write.
"""

import os
import re
import sys
import unittest
from importlib import metadata
from pathlib import Path

os.environ.setdefault("OS_NOVA_DISABLE_EVENTLET_PATCHING", "true")

from nova.virt import fake

from nova_fakes.fixtures import compliance

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "compliance.md"

HEAD = """# Compliance of virt drivers

`nova_fakes.fixtures.compliance.VirtDriverCompliance` holds {count} tests of what `nova/virt/driver.py` and nova's
manager ask of a driver: every method over the life of an instance, on two hosts, with nova's own objects and no
database. A driver's own tests subclass it:

<!-- test: run -->
```python
<!-- example -->
```

Where the driver says by its capabilities that it cannot do something, or leaves a method to nova's base class, the
tests of that skip and say so. `make_vif`, `make_connection_info`, `make_flavor`, `hosts` and `waits_for_vif_plugged`
are there to be overridden; the parts (`PowerTests`, `VolumeTests`, …) can be used alone.

These methods the suite does not call:

| method | why |
|---|---|
{left_out}

Ours passes. nova {release}'s `nova.virt.fake.FakeDriver`, which nova's own tests use, does not do what follows. This
page is written by `scripts/driver_gaps.py`, which runs the suite on it; the second column is what the suite said.

| what a driver does | nova.virt.fake |
|---|---|
"""

EXAMPLE = """import unittest
from nova.virt import fake
from nova_fakes.fixtures.compliance import VirtDriverCompliance


class ComplianceTest(VirtDriverCompliance, unittest.TestCase):
    def make_driver(self, virtapi, host):
        return fake.FakeDriver(virtapi)"""


class StockDriverTest(compliance.VirtDriverCompliance, unittest.TestCase):
    """nova's own fake under the suite."""

    def make_driver(self, virtapi, host):
        """Return nova's fake."""
        return fake.FakeDriver(virtapi)


class Gaps(unittest.TestResult):
    """Keeps what failed: the test's name and the last words of each of its failures."""

    def __init__(self):
        super().__init__()
        self.found = {}

    def _note(self, test, error):
        kind, value, _ = error
        lines = str(value).strip().splitlines() or [""]
        # A message of the test's own stands last, after the differences.
        words = f"{lines[-1].lstrip(' :')}: {lines[0]}" if lines[-1].startswith(" :") else lines[0]
        if not issubclass(kind, AssertionError):
            words = f"{kind.__name__}: {words}"
        self.found.setdefault(test._testMethodName, []).append(words)

    def addFailure(self, test, err):
        """Keep a failure."""
        self._note(test, err)

    def addError(self, test, err):
        """Keep an error."""
        self._note(test, err)

    def addSubTest(self, test, subtest, err):
        """Keep what failed in a part of a test."""
        if err is not None:
            self._note(test, err)


def page():
    """Return the page's text."""
    tests = unittest.defaultTestLoader.loadTestsFromTestCase(StockDriverTest)
    count = tests.countTestCases()
    gaps = Gaps()
    tests.run(gaps)
    left_out = "\n".join(f"| `{name}` | {reason} |" for name, reason in compliance.LEFT_OUT.items())
    lines = [
        HEAD.format(count=count, release=metadata.version("nova"), left_out=left_out).replace(
            "<!-- example -->", EXAMPLE
        )
    ]
    for name, words in sorted(gaps.found.items()):
        said = "; ".join(dict.fromkeys(words))
        said = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "…", said)
        said = re.sub(r" at 0x[0-9a-f]+", "", said).replace("|", "\\|")
        lines.append(f"| {name.removeprefix('test_').replace('_', ' ')} | {said} |\n")
    return "".join(lines)


def main():
    """Write the page, or check it."""
    text = page()
    if "--check" in sys.argv[1:]:
        if PAGE.read_text(encoding="utf-8") != text:
            sys.exit(f"{PAGE.relative_to(ROOT)} is not up to date: run scripts/driver_gaps.py")
        return
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
