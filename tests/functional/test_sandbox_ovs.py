"""A sandbox whose servers are ports of an Open vSwitch of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_sandbox_lifecycle import answers, boot, kill, look, nothing_stands

from nova_fakes.cmd import exits
from nova_fakes.exceptions import OpenVSwitchMissing
from nova_fakes.sandbox import launcher
from nova_fakes.sandbox.launcher import SandboxSpec
from nova_fakes.virt.vif import ovs_service

COMMAND = [sys.executable, "-m", "nova_fakes"]


@pytest.fixture
def needs_switch(needs_packets: None) -> None:
    lack = ovs_service.missing()
    if lack is not None:
        pytest.skip(f"no Open vSwitch here: {lack[0]} ({lack[1]})")


@pytest.mark.usefixtures("needs_switch")
def test_servers_on_two_hosts_ping_each_other_and_a_kill_leaves_nothing(state: Path) -> None:
    client = launcher.up(SandboxSpec(state=state, realizer="ovs"))
    one = boot(client, "one", host="compute-1")
    two = boot(client, "two", host="compute-2")
    assert {look(client, server).compute_host for server in (one, two)} == {"compute-1", "compute-2"}
    assert answers(client, one, two)
    assert answers(client, two, one)
    kill(client)
    removed = launcher.cleanup(state)
    assert {entry.name for entry in removed if entry.kind == "process"} >= {"ovsdb-server", "ovs-vswitchd"}
    assert nothing_stands(state)
    assert not (state / "ovs").exists()


@pytest.fixture
def without(tmp_path: Path) -> dict[str, str]:
    """The environment of a program that finds no Open vSwitch: another module looks in its place."""
    (tmp_path / "sitecustomize.py").write_text(
        "from nova_fakes.virt.vif import ovs_service\novs_service._PROGRAMS = ('ovs-none',)\n"
    )
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}


def run(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_a_machine_without_it_is_told_the_cure(state: Path, without: dict[str, str]) -> None:
    refused = run("up", "--realizer", "ovs", "--state", str(state), environment=without)
    assert refused.returncode == exits.NOT_ALLOWED, refused.stdout + refused.stderr
    assert "apt-get install openvswitch-switch" in refused.stderr
    assert "--realizer null" in refused.stderr
    assert nothing_stands(state)
    found = run("doctor", environment=without)
    assert "no ovs-none" in found.stdout
    assert "realizer ovs does not work here" in found.stdout


def test_the_error_is_of_its_own_type(state: Path, without: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", without["PYTHONPATH"])
    with pytest.raises(OpenVSwitchMissing, match="no ovs-none"):
        launcher.up(SandboxSpec(state=state, realizer="ovs"))


def test_without_it_the_null_realizer_is_used_where_that_was_asked_for(
    state: Path, without: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", without["PYTHONPATH"])
    client = launcher.up(SandboxSpec(state=state, hosts=("compute-1",), realizer="ovs", fallback_null=True))
    assert client.status()["realizer"] == "null"
