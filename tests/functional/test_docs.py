"""The documentation's examples are run, and its reference names what there is."""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import flask
import pytest

from nova_fakes import conf
from nova_fakes.api import compute, identity, image, network, volume
from nova_fakes.clock import SystemClock
from nova_fakes.cmd.main import cli
from nova_fakes.fixtures import __all__ as FIXTURES
from nova_fakes.fixtures import pytest_plugin
from nova_fakes.virt import fault_file, fleet_file
from nova_fakes.virt.fleet_file import FleetPlan
from nova_fakes.virt.vif import capabilities

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"^(?:<!-- test: (?P<mark>.*?) -->\n)?```(?P<kind>python|console)\n(?P<text>.*?)^```$"
    r"(?:\n\n```text\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
NAMESPACES_NOT_ALLOWED = 6
VERBS = ("run", "sandbox", "root", "pytest", "pytest-root")
INTERPRETERS = {"python": [sys.executable, "-c"], "console": ["bash", "-c"]}
# How long an example may take on a machine that has much else to do.
DEADLINE_S = 500


@dataclass(frozen=True)
class Example:
    page: Path
    line: int
    kind: str
    mark: str | None
    text: str
    output: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def program(self) -> str:
        """The commands of a console block, or the whole of a Python block."""
        if self.kind == "python":
            return self.text
        return "set -e\n" + "\n".join(line[2:] for line in self.text.splitlines() if line.startswith("$ "))

    @property
    def expected(self) -> list[str]:
        if self.kind == "python":
            return self.output.splitlines()
        return [line for line in self.text.splitlines() if not line.startswith("$ ")]


def examples() -> Iterator[Example]:
    for page in PAGES:
        text = page.read_text()
        for found in FENCE.finditer(text):
            line = text.count("\n", 0, found.start("kind")) + 1
            yield Example(page, line, found["kind"], found["mark"], found["text"], found["output"] or "")


def check_output(expected: list[str], printed: str) -> None:
    """Find the expected lines in what was printed, in order; "..." stands for any text."""
    lines = iter(printed.splitlines())
    for line in expected:
        if line.strip() in ("", "..."):
            continue
        pattern = re.compile(".*?".join(re.escape(part) for part in line.split("...")))
        assert any(pattern.fullmatch(got.rstrip()) for got in lines), f"{line!r} is not in, or not in order:\n{printed}"


def environment(state: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    kept |= {"PATH": f"{Path(sys.executable).parent}:{kept['PATH']}", "COLUMNS": "160", "NOVA_FAKES_STATE": str(state)}
    return kept | more


def nova_fakes(*arguments: str, state: Path) -> subprocess.CompletedProcess[str]:
    program = [str(Path(sys.executable).parent / "nova-fakes"), *arguments]
    return subprocess.run(
        program, env=environment(state), capture_output=True, text=True, check=False, timeout=DEADLINE_S
    )


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a sandbox that is up for this module's examples."""
    state = tmp_path_factory.mktemp("docs") / "state"
    started = nova_fakes("up", state=state)
    if started.returncode == NAMESPACES_NOT_ALLOWED:
        pytest.skip(started.stderr.strip())
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        variables = nova_fakes("env", state=state).stdout
        found = dict(re.findall(r"^export (\w+)=(?:'|\")?(.*?)(?:'|\")?;?$", variables, re.MULTILINE))
        yield environment(state, **found)
    finally:
        nova_fakes("down", "--purge", state=state)


@functools.cache
def may_make_namespaces() -> bool:
    return os.geteuid() == 0 and capabilities.can_realize_bridges(capabilities.probe())


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What went wrong in each of the examples that pytest runs, all in one process; empty where nothing did."""
    directory = tmp_path_factory.mktemp("pytest")
    report = directory / "report.xml"
    ended: dict[str, str] = {}
    chosen = [example for example in examples() if example.mark in VERBS and "pytest" in example.mark]
    for number, example in enumerate(one for one in chosen if one.mark == "pytest" or may_make_namespaces()):
        (directory / f"test_{number}.py").write_text(example.text)
        ended[f"test_{number}"] = str(example)
    options = ["-q", "-p", "no:cacheprovider", "-p", "nova_fakes.fixtures.pytest_plugin", "-c", "/dev/null"]
    command = [sys.executable, "-m", "pytest", *options, f"--rootdir={directory}", f"--junit-xml={report}"]
    # Where nova-fakes is installed, pytest finds the plugin by itself; here it is named.
    variables = environment(directory / "state", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    done = subprocess.run(
        command, cwd=directory, env=variables, capture_output=True, text=True, check=False, timeout=DEADLINE_S
    )
    assert report.exists(), done.stdout + done.stderr
    found = dict.fromkeys(ended.values(), "pytest did not run it")
    for case in ElementTree.parse(report).iter("testcase"):
        module = case.get("classname") or case.get("name") or ""
        found[ended[module]] = "".join(part.text or "" for part in case if part.tag != "properties")
    return found


@pytest.mark.parametrize("example", list(examples()), ids=str)
def test_example(example: Example, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    assert example.mark is not None, "mark it as run, sandbox or skip; docs/contributor/testing.md tells how"
    verb, _, reason = example.mark.partition(" ")
    if verb == "skip":
        assert reason, "a skipped example says why"
        pytest.skip(reason)
    assert verb in VERBS, f"unknown mark {example.mark!r}"
    if verb.endswith("root") and not may_make_namespaces():
        pytest.skip("needs root, and a machine that allows network namespaces")
    if verb.startswith("pytest"):
        failed = request.getfixturevalue("failures")[str(example)]
        assert not failed, failed
        return
    variables = request.getfixturevalue("sandbox") if verb == "sandbox" else environment(tmp_path / "state")
    directory = tmp_path / "here"
    directory.mkdir()
    done = subprocess.run(
        [*INTERPRETERS[example.kind], example.program],
        cwd=directory,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stdout
    check_output(example.expected, done.stdout)


def test_output_that_is_missing_or_out_of_order_is_noticed() -> None:
    check_output(["a", "...", "c...e"], "a\nb\ncde\n")
    for expected, printed in ((["b", "a"], "a\nb\n"), (["c"], "a\nb\n"), (["a"], "ab\n")):
        with pytest.raises(AssertionError, match="not in order"):
            check_output(expected, printed)


@pytest.mark.parametrize(("page", "load"), [("faults", fault_file.load), ("fleet-file", fleet_file.load)])
def test_files_that_are_shown_can_be_read(page: str, load: Callable[[Path], Any], tmp_path: Path) -> None:
    text = (ROOT / "docs" / "user" / f"{page}.md").read_text()
    (shown,) = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    path = tmp_path / "shown.toml"
    path.write_text(shown)
    assert len(load(path).faults) >= 3


def test_every_option_is_in_the_configuration_reference() -> None:
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", page, re.MULTILINE))
    options = {option.name: option.default for option in conf.OPTIONS}
    assert set(options) == set(rows) - {"NOVA_FAKES_STATE", "OS_NOVA_DISABLE_EVENTLET_PATCHING"}
    for name, default in options.items():
        shown = rows[name].strip("`")
        if default in (None, {}):
            assert shown == "none"
        elif isinstance(default, bool):
            assert shown == str(default).lower()
        elif isinstance(default, int | float):
            assert float(shown) == default
        else:
            assert shown == default


def commands(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        if not isinstance(found, click.Group) or found.invoke_without_command:
            yield f"{before}{name}", found
        if isinstance(found, click.Group):
            yield from commands(found, f"{before}{name} ")


def test_every_command_and_option_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "cli.md").read_text()
    rows = [row for row in page.splitlines() if row.startswith("| `")]
    for name, found in commands(cli):
        row = next((row for row in rows if re.search(rf"`{name}[ `]", row)), None)
        assert row is not None, f"{name} is not in docs/reference/cli.md"
        for parameter in found.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert any(option in row for option in parameter.opts), f"{name} {parameter.opts[-1]}"


def test_command_lines_to_type_are_right() -> None:
    known = dict(commands(cli))
    makefile = (ROOT / "Makefile").read_text()
    seen = 0
    for page in PAGES:
        for block in re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
            for line in block.splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == ["make"]:
                    assert f"\n{words[1]}:" in makefile, line
                elif words[:1] == ["nova-fakes"]:
                    name = next((name for name in (" ".join(words[1:3]), words[1]) if name in known), None)
                    assert name is not None, line
                    options = {option for parameter in known[name].params for option in parameter.opts}
                    if name != "exec":  # what follows the instance is another program's
                        assert {word for word in words if word.startswith("-")} <= options, line
                else:
                    continue
                seen += 1
    assert seen


def test_every_collection_of_the_fakes_is_in_the_reference(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "reference" / "api-fakes.md").read_text()
    clock = SystemClock()
    users = identity.IdentityService(clock)
    applications: dict[str, flask.Flask] = {
        "identity": identity.create_app(users),
        "image": image.create_app(image.ImageService(clock, tmp_path), users),
        "network": network.create_app(network.NetworkService(), users),
        "volume": volume.create_app(volume.VolumeService(), users),
        "compute": compute.create_app(compute.ComputeService(FleetPlan()), users),
    }
    for name, application in applications.items():
        (row,) = (row for row in page.splitlines() if f"`nova_fakes.api.{name}`" in row)
        for rule in application.url_map.iter_rules():
            parts = [part for part in rule.rule.split("/") if part and not part.startswith("<project:")]
            parts = [part for part in parts if not re.fullmatch(r"v\d[\d.]*", part)]
            if parts:
                assert f"`{parts[0]}`" in row, f"{name}: {rule.rule}"


def test_every_fixture_has_an_example_that_is_run() -> None:
    page = ROOT / "docs" / "user" / "fixtures.md"
    run = [example for example in examples() if example.page == page]
    for verbs, names in ((("run", "root"), FIXTURES), (("pytest", "pytest-root"), _plugin_fixtures())):
        shown = "\n".join(example.text for example in run if example.mark in verbs)
        assert {name for name in names if not re.search(rf"\b{name}\b", shown)} == set()


def _plugin_fixtures() -> list[str]:
    return [name for name in pytest_plugin.__all__ if not name.startswith("nova_fakes_make_")]
