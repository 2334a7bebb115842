"""The list of operations knows each that the code checks."""

import re
from pathlib import Path

import pytest

import nova_fakes.virt
from nova_fakes.exceptions import InvalidInput
from nova_fakes.virt.guest import TRANSITIONS
from nova_fakes.virt.operations import OPERATIONS, check_pattern

SOURCES = Path(nova_fakes.virt.__file__).parent
#: Where the text after an instance or its UUID, or alone, names an operation.
CALLS = re.compile(r"""\b(?:check|_alive|guest|_guest|_boot|boot|change)\((?:[\w.]+, )?"([a-z_.]+)"[,)]""")


def test_every_operation_that_is_checked_is_listed() -> None:
    elsewhere = {"connection.py", "drop_in.py", "drop_in_base.py"}
    named = {
        name
        for path in [*SOURCES.glob("*.py"), *(SOURCES / "driver").glob("*.py")]
        if path.name not in elsewhere
        for name in CALLS.findall(path.read_text())
    }
    assert len(named) > 30
    assert named - OPERATIONS == set()


def test_every_change_of_a_power_state_is_listed() -> None:
    # What a dead host does to its guests is not asked for.
    assert TRANSITIONS.keys() - OPERATIONS == {"power_loss"}


def test_patterns() -> None:
    for pattern in ("spawn", "spawn*", "*", "live_migration.[ps]*"):
        check_pattern(pattern)
    with pytest.raises(InvalidInput, match=r"'spwan'.*attach_interface, "):
        check_pattern("spwan")
