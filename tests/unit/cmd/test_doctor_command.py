"""`nova-fakes doctor --instances`: what fits, and what breaks next."""

import json

import pytest
from click.testing import CliRunner

from nova_fakes.cmd.doctor import doctor
from nova_fakes.virt.vif import capabilities, limits
from nova_fakes.virt.vif.capabilities import Finding
from nova_fakes.virt.vif.limits import Capacity


@pytest.fixture
def run(monkeypatch):
    findings = [Finding(name, "ok", "made") for name in ("namespaces", "veth", "bridge", "Open vSwitch")]
    monkeypatch.setattr(capabilities, "probe", lambda: list(findings))

    def capacities(hosts):
        return [
            Capacity("mounts", "5000", 5000, "one each", lambda n: f"raise to {n}", always=True),
            Capacity("ports", "1023", 1023 * hosts, "one each", lambda n: f"spread {n}", always=True),
            Capacity("daemons", "128", 128, "where each has one", lambda n: f"raise to {n}"),
        ]

    monkeypatch.setattr(limits, "capacities", capacities)
    return lambda *arguments: CliRunner().invoke(doctor, arguments, standalone_mode=False)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--instances", "100"], "100 instances fit; what breaks next is ports, beyond 1,023"),
        (["--instances", "4000", "--hosts", "10"], "4,000 instances fit; what breaks next is mounts, beyond 5,000"),
        (["--instances", "2000"], "2,000 instances meet limits: ports"),
        (["--instances", "9000"], "9,000 instances meet limits: mounts, ports"),
    ],
)
def test_it_names_what_breaks_next(run, arguments, says):
    assert run(*arguments).output.splitlines()[-1] == says


def test_each_limit_is_a_finding_with_its_cure(run):
    found = {one["name"]: one for one in json.loads(run("--json", "--instances", "2000").output)}
    assert found["mounts for 2,000"]["status"] == "ok"
    assert found["ports for 2,000"] == {
        "name": "ports for 2,000",
        "status": "warning",
        "value": "1023: room for 1,023",
        "cure": "spread 2000 (one each)",
    }
    assert found["daemons for 2,000"]["cure"] == "raise to 2000 (where each has one)"


def test_a_cure_is_whole_however_narrow_the_terminal(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    lines = run("--instances", "2000").output.splitlines()
    assert "  daemons for 2,000: raise to 2000 (where each has one)" in lines
    assert "what to do:" not in run("--instances", "100").output


def test_without_a_number_limits_are_not_asked(run):
    assert "mounts" not in run().output
    assert "breaks next" not in run().output
