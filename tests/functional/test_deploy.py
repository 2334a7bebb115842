"""What is under deploy/: the unit, the container recipe and the playbook say what the agent understands."""

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nova_fakes.cmd.agent import agent

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
PLAYBOOK = DEPLOY / "ansible" / "agent.yml"
UNIT = DEPLOY / "systemd" / "nova-fakes-agent.service"


def unit(path):
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read(path)
    return parser["Service"]


def accepts(arguments):
    """Whether the command has all these options."""
    known = {option for parameter in agent.params for option in parameter.opts}
    return {word for word in arguments if word.startswith("-")} <= known


def verify(path, tmp_path):
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / "nova-fakes-agent.service"
    copy.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", path.read_text(), flags=re.MULTILINE))
    return subprocess.run([tool, "verify", copy], capture_output=True, text=True, check=False, timeout=60)


def test_systemd_understands_the_unit(tmp_path):
    done = verify(UNIT, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_starts_what_there_is():
    command = shlex.split(unit(UNIT)["ExecStart"])
    assert command[:2] == ["/opt/nova-fakes/bin/nova-fakes", "agent"]
    assert accepts(command[2:])


def test_the_unit_keeps_the_hosts_mounts():
    """Any of these gives a service a mount namespace, in which /run/netns would be its own."""
    private = ("Protect", "Private", "ReadOnly", "ReadWrite", "Inaccessible", "Bind", "Root", "Temporary", "Mount")
    assert [name for name in unit(UNIT) if name.startswith(private)] == []


def test_the_container_starts_what_there_is():
    text = (DEPLOY / "container" / "Containerfile").read_text()
    entry, command, health = (
        json.loads(re.search(rf"^{word} (\[.*)$", text, re.MULTILINE)[1])
        for word in ("ENTRYPOINT", "CMD", "HEALTHCHECK CMD")
    )
    assert entry == ["/opt/nova-fakes/bin/nova-fakes", "agent"]
    assert accepts(command)
    assert health[1:] == ["agent", "health"]


@pytest.fixture
def playbook(tmp_path):
    """Run the playbook against this machine, with its files in the test's directory; returns what it printed."""
    beside = Path(sys.executable).with_name("ansible-playbook")
    tool = str(beside) if beside.exists() else shutil.which("ansible-playbook")
    if tool is None:
        pytest.skip("ansible-playbook is not installed")
    values = {
        "nova_fakes_hosts": "localhost",
        "nova_fakes_become": False,
        "nova_fakes_prefix": str(tmp_path / "opt"),
        "nova_fakes_socket": str(tmp_path / "s"),
        "nova_fakes_user": "root",
        "nova_fakes_unit_directory": str(tmp_path),
        "nova_fakes_nova_directory": str(tmp_path / "nova.conf.d"),
        "ansible_python_interpreter": sys.executable,
    }
    home, ansible = tmp_path / "home", tmp_path / "ansible"
    environment = {**os.environ, "HOME": str(home), "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1"}
    # What it runs on the host it puts below the user's home, also where that is this machine.
    environment |= {"ANSIBLE_HOME": str(ansible), "ANSIBLE_REMOTE_TMP": str(ansible / "remote")}

    def run(*options):
        argv = [tool, "-i", "localhost,", "-c", "local", "-e", json.dumps(values), *options, str(PLAYBOOK)]
        done = subprocess.run(
            argv,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert not home.exists(), "it leaves something in the user's home"
        return done.stdout

    return run


def test_the_playbook_is_sound(playbook):
    assert "agent.yml" in playbook("--syntax-check")


def test_the_playbook_runs_in_check_mode_and_changes_nothing(playbook, tmp_path):
    assert re.search(r"failed=0 .*", playbook("--check", "--diff"))
    assert {path.name for path in tmp_path.iterdir()} <= {"ansible"}


def test_the_playbook_configures_this_machine_once(playbook, tmp_path):
    assert re.search(r"changed=3 .*failed=0", playbook("--tags", "configure"))
    assert re.search(r"changed=0 .*failed=0", playbook("--tags", "configure"))
    nova = configparser.ConfigParser()
    nova.read(tmp_path / "nova.conf.d" / "nova-fakes.conf")
    assert nova["nova_fakes"]["vif_realizer"] == "remote"
    assert nova["nova_fakes"]["vif_realizer_options"] == f"socket:{tmp_path / 's'},deadline_s:30"
    written = unit(tmp_path / "nova-fakes-agent.service")
    assert accepts(shlex.split(written["ExecStart"])[2:])
    assert {**unit(UNIT), "ExecStart": ""} == {**written, "ExecStart": ""}
    done = verify(tmp_path / "nova-fakes-agent.service", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
