"""A plan of faults: what the file says becomes rules; what is wrong in it is told by line, key and value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nova_fakes.clock import ManualClock
from nova_fakes.delays import Constant, Uniform
from nova_fakes.exceptions import InjectedFault, InvalidInput
from nova_fakes.faults import FaultRule, Faults
from nova_fakes.virt.fault_file import load, make_rule, values_of

WHOLE = """
seed = 7

[[fault]]
operation = "spawn*"
host = "edge-*"
guest = "web-*"
flavor = "gpu.*"
error = "BuildAbortException: no such device"
after = 1
times = 5
times_per_guest = 2
probability = 0.5
delay = "uniform:0.5,2"

[[fault]]
operation = "pause"
delay = 2
"""

RULES = (
    FaultRule(
        "spawn*",
        host="edge-*",
        guest="web-*",
        flavor="gpu.*",
        error="BuildAbortException: no such device",
        after=1,
        times=5,
        times_per_guest=2,
        probability=0.5,
        delay=Uniform(0.5, 2),
    ),
    FaultRule("pause", delay=Constant(2)),
)


@pytest.fixture
def write(tmp_path: Path):
    path = tmp_path / "faults.toml"

    def write(text: str) -> Path:
        path.write_text(text)
        return path

    return write


def test_all_of_it(write) -> None:
    plan = load(write(WHOLE))
    assert (plan.faults, plan.seed) == (RULES, 7)


def test_a_plan_adds_to_what_is_in_force_and_decides_chance(write) -> None:
    plan = load(write('seed = 3\n[[fault]]\noperation = "spawn"\nprobability = 0.5'))

    def run(seed: int) -> list[bool]:
        faults = Faults(ManualClock(), seed)
        other = faults.add(FaultRule("pause"))
        plan.put_in_force(faults)
        assert faults.rules == (other, *plan.faults)
        found = []
        for _ in range(50):
            try:
                faults.check("spawn", "a")
                found.append(False)
            except InjectedFault:
                found.append(True)
        return found

    assert run(1) == run(2)
    assert set(run(1)) == {True, False}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_goes_through_json(rule: FaultRule) -> None:
    assert make_rule(values_of(rule)) == rule


@pytest.mark.parametrize(("error", "text"), [(OSError("no kernel"), "OSError: no kernel"), (OSError, "OSError")])
def test_an_error_of_python_is_told_by_its_name(error: Any, text: str) -> None:
    assert values_of(FaultRule("spawn", error=error)) == {"operation": "spawn", "error": text}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[fault]", "no TOML.*line 1"),
        ("", r"line 1: fault: None.*\[\[fault\]\]"),
        ("[fault]\noperation = 'spawn'", r"line 1: fault: .*write tables, \[\[fault\]\]"),
        ("[[faults]]\noperation = 'spawn'", "line 1: faults: .*did you mean fault"),
        ("seed = 'x'\n[[fault]]\noperation = 'spawn'", "line 1: seed: 'x'.*whole number"),
        ("[[fault]]\nhost = 'a'", "line 1: operation: None.*cannot be left out"),
        ("[[fault]]\nhost = 'a'\noperation = 'spwan'", "line 3: operation: 'spwan'.*use one of"),
        ("[[fault]]\noperation = 'spawn'\n[[fault]]\noperation = 'spawn'\nflavour = 'x'", "line 5: flavour.*flavor"),
        ("[[fault]]\noperation = 'spawn'\ntimes = 1.5", "line 3: times: 1.5.*whole number"),
        ("[[fault]]\noperation = 'spawn'\ntimes = 0", "line 3: times: 0.*1 or more"),
        ("[[fault]]\noperation = 'spawn'\nprobability = '1'", "line 3: probability: '1'.*a number"),
        ("[[fault]]\noperation = 'spawn'\nerror = 5", "line 3: error: 5.*a text"),
        ("[[fault]]\noperation = 'spawn'\ndelay = true", "line 3: delay: True.*uniform:0.1,0.5"),
        ("[[fault]]\noperation = 'spawn'\ndelay = 'uniform:2,1'", "line 3: delay: 'uniform:2,1'.*high_s is 1.0"),
    ],
)
def test_what_is_wrong_is_told_by_line_key_and_value(write, text: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told) as caught:
        load(write(text))
    assert "faults.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"operation": "spawn", "delay_s": 1}, "delay_s: 1.*did you mean delay"),
        ({"operation": "spawn", "times": "1"}, "times: '1'.*whole number"),
        ({"times": 1}, "operation: None"),
    ],
)
def test_values_that_make_no_rule_are_refused(values, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        make_rule(values)
