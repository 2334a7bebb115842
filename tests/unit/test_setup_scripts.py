"""scripts/setup.sh and scripts/packages.sh, with stand-ins for uv, dpkg-query and apt-get first in PATH."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

UV = """#!/bin/sh
[ "$1" = --version ] && exit 0
echo "$@" >>"$UV_LOG"
[ -z "${UV_FAILS:-}" ] || exit 1
mkdir -p "$UV_PROJECT_ENVIRONMENT/bin" && ln -sf /bin/true "$UV_PROJECT_ENVIRONMENT/bin/python"
"""


class Tree:
    """A copy of what setup.sh reads, with a uv that only notes how it was called."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.root = place / "tree"
        for name in ("pyproject.toml", "uv.lock", "packaging", "scripts"):
            target = self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
            elif name == "uv.lock":
                target.write_text("version = 1\n")
            else:
                shutil.copy(ROOT / name, target)
        programs = place / "bin"
        programs.mkdir()
        (programs / "uv").write_text(UV)
        (programs / "uv").chmod(0o755)
        self.log = place / "uv.log"
        self.environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "UV_LOG": str(self.log)}

    def setup(self, level: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.root / "scripts" / "setup.sh", level],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def syncs(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_setup_syncs_from_the_lock_once(tree: Tree) -> None:
    assert tree.setup("run").returncode == 0
    assert tree.setup("run").returncode == 0
    (call,) = tree.syncs()
    assert "sync" in call
    assert "--frozen" in call
    assert "--extra sandbox" in call


@pytest.mark.parametrize("name", ["pyproject.toml", "uv.lock", "packaging/hatch_build.py"])
def test_setup_syncs_again_when_what_decides_has_changed(tree: Tree, name: str) -> None:
    tree.setup("run")
    with (tree.root / name).open("a") as file:
        file.write("\n# changed\n")
    assert tree.setup("run").returncode == 0
    assert len(tree.syncs()) == 2


def test_setup_never_takes_a_developers_tools_away(tree: Tree) -> None:
    tree.setup("run")
    tree.setup("dev")
    assert "--group dev" in tree.syncs()[1]
    tree.setup("run")
    assert len(tree.syncs()) == 2
    (tree.root / "uv.lock").write_text("version = 2\n")
    tree.setup("run")
    assert "--group dev" in tree.syncs()[2]


def test_setup_makes_the_environment_anew_in_a_moved_tree(tree: Tree) -> None:
    tree.setup("dev")
    (tree.root / ".venv" / "old").touch()
    tree.root = tree.root.rename(tree.place / "moved")
    assert tree.setup("dev").returncode == 0
    assert len(tree.syncs()) == 2
    assert not (tree.root / ".venv" / "old").exists()


def test_setup_that_failed_is_tried_again(tree: Tree) -> None:
    failed = tree.setup("run", UV_FAILS="1")
    assert failed.returncode == 1
    assert "uv sync --frozen" in failed.stderr
    assert tree.setup("run").returncode == 0
    assert len(tree.syncs()) == 2


def test_setup_refuses_an_unknown_level(tree: Tree) -> None:
    refused = tree.setup("everything")
    assert refused.returncode == 2
    assert "usage" in refused.stderr
    assert tree.syncs() == []


BINDEP = """
# a comment
always
here [platform:dpkg]  # another
elsewhere [platform:rpm]
tested [platform:dpkg test]
tested-elsewhere [platform:rpm test]
documented [doc]
present [platform:dpkg test]
"""


class Machine:
    """Where only the package "present" is installed."""

    def __init__(self, place: Path, user: int) -> None:
        self.bindep = place / "bindep.txt"
        self.bindep.write_text(BINDEP)
        self.log = place / "apt.log"
        self.policy = place / "policy-rc.d"
        self.programs = place / "bin"
        self.programs.mkdir()
        self.program("dpkg-query", 'case "$*" in *" present") echo "ii ";; *) exit 1;; esac')
        self.program("apt-get", 'echo "$DEBIAN_FRONTEND $*" >>"$APT_LOG"; exit "${APT_EXIT:-0}"')
        self.program("id", f"echo {user}")
        self.program("sudo", "exit 1")

    def program(self, name: str, text: str) -> None:
        (self.programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.programs / name).chmod(0o755)

    def packages(self, *profiles: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.programs}:{os.environ['PATH']}"
        return subprocess.run(
            [ROOT / "scripts" / "packages.sh", *profiles],
            env={**os.environ, "PATH": path, "APT_LOG": str(self.log), "BINDEP_FILE": str(self.bindep)}
            | {"POLICY_FILE": str(self.policy)}
            | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def installs(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


def test_packages_installs_what_the_profile_wants_and_the_machine_lacks(tmp_path: Path) -> None:
    machine = Machine(tmp_path, user=0)
    assert machine.packages("test").returncode == 0
    update, install = machine.installs()
    assert update == "noninteractive update -qq"
    assert install.split("--no-install-recommends ")[1].split() == ["always", "here", "tested"]


def test_packages_without_root_names_the_command_and_goes_on(tmp_path: Path) -> None:
    machine = Machine(tmp_path, user=1000)
    done = machine.packages("test")
    assert done.returncode == 0
    assert "sudo apt-get install --no-install-recommends always here tested" in done.stderr
    assert machine.installs() == []


def test_packages_uses_sudo_where_it_asks_no_password(tmp_path: Path) -> None:
    machine = Machine(tmp_path, user=1000)
    machine.program("sudo", 'shift; exec "$@"')
    assert machine.packages("doc").returncode == 0
    assert machine.installs()[1].split("--no-install-recommends ")[1].split() == ["always", "here", "documented"]


def test_packages_goes_on_where_apt_fails(tmp_path: Path) -> None:
    machine = Machine(tmp_path, user=0)
    done = machine.packages("test", APT_EXIT="100")
    assert done.returncode == 0
    assert "apt-get failed" in done.stderr


@pytest.mark.parametrize("exit_code", ["0", "100"])
def test_packages_lets_no_service_start_meanwhile(tmp_path: Path, exit_code: str) -> None:
    machine = Machine(tmp_path, user=0)
    machine.program("apt-get", '"$POLICY_FILE" openvswitch-switch start; echo "$1 $?" >>"$APT_LOG"; exit "$APT_EXIT"')
    assert machine.packages("test", APT_EXIT=exit_code).returncode == 0
    assert machine.installs()[0] == "update 101"
    assert not machine.policy.exists()


def test_packages_leaves_a_machines_own_policy_alone(tmp_path: Path) -> None:
    machine = Machine(tmp_path, user=0)
    machine.policy.write_text("#!/bin/sh\nexit 104\n")
    machine.program("apt-get", 'echo "$1 $(cat "$POLICY_FILE" | tail -1)" >>"$APT_LOG"')
    assert machine.packages("test").returncode == 0
    assert machine.installs() == ["update exit 104", "install exit 104"]
    assert machine.policy.read_text() == "#!/bin/sh\nexit 104\n"


def test_packages_takes_away_what_an_interrupted_run_left(tmp_path: Path) -> None:
    machine = Machine(tmp_path, user=0)
    machine.program("apt-get", 'cp "$POLICY_FILE" "$POLICY_FILE.left"')
    assert machine.packages("test").returncode == 0
    left = machine.policy.with_suffix(".d.left")
    machine.policy.write_text(left.read_text())
    assert machine.packages("test").returncode == 0
    assert not machine.policy.exists()


def test_packages_refuses_a_selector_that_it_does_not_understand(tmp_path: Path) -> None:
    machine = Machine(tmp_path, user=0)
    machine.bindep.write_text("odd [!test]\n")
    done = machine.packages("test")
    assert done.returncode != 0
    assert "negation" in done.stderr
    assert machine.installs() == []


def test_packages_has_nothing_to_do_where_all_is_there(tmp_path: Path) -> None:
    machine = Machine(tmp_path, user=1000)
    machine.bindep.write_text("present [test]\n")
    done = machine.packages("test")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_projects_own_list_is_understood(tmp_path: Path) -> None:
    machine = Machine(tmp_path, user=0)
    assert machine.packages("test", BINDEP_FILE=str(ROOT / "bindep.txt")).returncode == 0
    assert "iproute2" in machine.installs()[1].split()
