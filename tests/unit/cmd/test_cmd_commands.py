"""Each command: what it asks of the sandbox, what it prints, and the code it ends with."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from nova_fakes import exceptions
from nova_fakes.cmd import exits
from nova_fakes.cmd.main import cli

NAMES = cli.list_commands(click.Context(cli))
# The instances of the recording client in conftest.py.
WEB = "11111111-1111-4111-8111-111111111111"
TWINS = ("22222222-2222-4222-8222-222222222222", "33333333-3333-4333-8333-333333333333")


def test_help_lists_every_command_and_the_exit_codes(run):
    ran = run("--help")
    assert ran.code == 0
    for name in NAMES:
        assert f"  {name}" in ran.out
    assert "3 no sandbox runs" in " ".join(ran.out.split())


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help(run, name):
    ran = run(name, "--help")
    assert ran.code == 0
    assert "Usage: nova-fakes" in ran.out


def test_help_imports_nothing_heavy():
    program = (
        "import sys; from nova_fakes.cmd.main import main; main(['--help']); "
        "heavy = {'nova', 'flask', 'werkzeug', 'openstack', 'jinja2', 'rich', 'keystoneauth1', 'oslo_config'}; "
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (exceptions.InvalidInput("a", 1, "b"), exits.USAGE),
        (exceptions.UnknownRealizer("vif_realizer", "x", "use null"), exits.USAGE),
        (exceptions.NotRunning("no"), exits.NOT_RUNNING),
        (exceptions.HostNotFound("no"), exits.NOT_FOUND),
        (exceptions.GuestNotFound("no"), exits.NOT_FOUND),
        (exceptions.StateInUse("no"), exits.CONFLICT),
        (exceptions.PortTaken("no"), exits.CONFLICT),
        (exceptions.NamespacesUnavailable("no"), exits.NOT_ALLOWED),
        (exceptions.SandboxError("no"), exits.FAILED),
        (exceptions.RealizerError("no"), exits.FAILED),
    ],
)
def test_exit_codes(error, code):
    assert exits.exit_code(error) == code


def test_wrong_option_is_a_usage_error(run):
    ran = run("up", "--no-such-option")
    assert ran.code == exits.USAGE
    assert "--no-such-option" in ran.err


class TestUp:
    def test_defaults(self, run, sandboxes, tmp_path):
        ran = run("up")
        assert ran.code == 0
        (spec,) = sandboxes.specs
        assert spec.state == tmp_path / "default"
        assert spec.hosts == ("compute-1", "compute-2")
        assert (spec.realizer, spec.port, spec.fallback_null) == ("bridge", 0, False)

    def test_prints_progress_and_how_to_use_it(self, run, tmp_path):
        ran = run("up", "--state", str(tmp_path / "mine"))
        assert "0.25 s" in ran.out
        assert "http://127.0.0.1:8774/identity" in ran.out
        assert f'eval "$(nova-fakes env --state {tmp_path / "mine"})"' in ran.out

    def test_options_reach_the_sandbox(self, run, sandboxes, tmp_path):
        state = tmp_path / "s"
        ran = run(
            *("up", "--hosts", "3", "--realizer", "null", "--port", "9000", "--fallback-null", "--state", str(state))
        )
        assert ran.code == 0
        (spec,) = sandboxes.specs
        assert spec.hosts == ("compute-1", "compute-2", "compute-3")
        assert (spec.state, spec.realizer, spec.port, spec.fallback_null) == (state, "null", 9000, True)

    def test_json_prints_the_status_alone(self, run):
        ran = run("up", "--json")
        assert json.loads(ran.out)["url"] == "http://127.0.0.1:8774"

    @pytest.mark.parametrize(("option", "value"), [("--hosts", "0"), ("--hosts", "two"), ("--port", "70000")])
    def test_refuses_numbers_out_of_range(self, run, sandboxes, option, value):
        ran = run("up", option, value)
        assert ran.code == exits.USAGE
        assert option in ran.err
        assert not sandboxes.specs

    def test_unknown_realizer_names_the_known_ones(self, run, sandboxes):
        ran = run("up", "--realizer", "brigde")
        assert ran.code == exits.USAGE
        assert "brigde" in ran.err
        assert "bridge" in ran.err
        assert "null" in ran.err
        assert not sandboxes.specs

    @pytest.mark.parametrize(
        ("failure", "code"),
        [
            (exceptions.StateInUse("state directory /s is in use"), exits.CONFLICT),
            (exceptions.PortTaken("port 9000 is taken"), exits.CONFLICT),
            (exceptions.NamespacesUnavailable("set kernel.x"), exits.NOT_ALLOWED),
            (exceptions.SandboxError("did not come up"), exits.FAILED),
            (KeyboardInterrupt(), exits.INTERRUPTED),
        ],
    )
    def test_failures_are_told_and_coded(self, run, sandboxes, failure, code):
        sandboxes.failure = failure
        ran = run("up")
        assert ran.code == code
        assert (str(failure) or "interrupted") in ran.err


class TestStatus:
    def test_table(self, run):
        ran = run("status")
        assert ran.code == 0
        assert "nova-api" in ran.out
        assert "compute-2" in ran.out
        assert "3 namespace" in ran.out
        assert "0 device" not in ran.out

    def test_json_is_the_whole_status(self, run, client):
        assert json.loads(run("status", "--json").out) == client.status()

    def test_dead_service_is_a_failure(self, run, client):
        client.services_state = "down"
        assert run("status").code == exits.FAILED

    def test_not_running(self, run, client):
        client.running = False
        ran = run("status")
        assert ran.code == exits.NOT_RUNNING
        assert "no sandbox runs" in ran.err
        assert ran.out == ""


class TestEnv:
    def test_a_shell_reads_it_back(self, run, client):
        ran = run("env")
        shell = subprocess.run(
            ["sh", "-c", ran.out + 'printf "%s\\n" "$OS_CLOUD" "$OS_CLIENT_CONFIG_FILE"'],
            capture_output=True,
            text=True,
            check=True,
        )
        assert shell.stdout.splitlines() == ["nova-fakes", client.environment()["OS_CLIENT_CONFIG_FILE"]]

    def test_not_running(self, run, client):
        client.running = False
        ran = run("env")
        assert ran.code == exits.NOT_RUNNING
        assert ran.out == ""

    def test_fish(self, run, client):
        quoted = client.environment()["OS_CLIENT_CONFIG_FILE"].replace("'", "\\'")
        assert run("env", "--fish").out == (
            f"set -gx OS_CLIENT_CONFIG_FILE '{quoted}'\nset -gx OS_CLOUD 'nova-fakes'\n"
        )

    def test_json(self, run, client):
        assert json.loads(run("env", "--json").out) == client.environment()


class TestLogs:
    @pytest.fixture(autouse=True)
    def log(self, client):
        path = client.log_path("nova-api")
        path.parent.mkdir(parents=True)
        path.write_text("one\ntwo\nthree\n")

    def test_whole(self, run):
        assert run("logs", "nova-api").out == "one\ntwo\nthree\n"

    def test_last_lines(self, run):
        assert run("logs", "nova-api", "-n", "2").out == "two\nthree\n"
        assert run("logs", "nova-api", "-n", "0").out == ""

    def test_names(self, run):
        assert run("logs").out == "nova-api\nplacement\n"

    def test_unknown_service_names_the_known_ones(self, run):
        ran = run("logs", "nova-apy")
        assert ran.code == exits.USAGE
        assert "nova-api, placement" in ran.err

    def test_log_that_is_not_there_yet(self, run):
        ran = run("logs", "placement")
        assert ran.code == exits.FAILED
        assert "placement" in ran.err

    def test_follow_prints_what_is_added_until_interrupted(self, client, capsys):
        from nova_fakes.cmd.logs import _follow

        path = client.log_path("nova-api")

        class Script:
            """A clock on which things happen to the file while its reader sleeps."""

            def __init__(self) -> None:
                self.acts = [lambda: self.append("four\n"), lambda: path.write_text("anew\n"), self.interrupt]

            def append(self, text: str) -> None:
                with path.open("a") as log:
                    log.write(text)

            def interrupt(self) -> None:
                raise KeyboardInterrupt

            def sleep(self, duration_s: float) -> None:
                assert duration_s > 0
                self.acts.pop(0)()

        with path.open() as log:
            log.read()
            with pytest.raises(KeyboardInterrupt):
                _follow(log, Script())
        assert capsys.readouterr().out == "four\nanew\n"


class TestHost:
    @pytest.mark.parametrize("verb", ["down", "up"])
    def test_verb_reaches_the_sandbox(self, run, client, verb):
        assert run("host", verb, "compute-2").code == 0
        assert client.calls == [(f"host_{verb}", "compute-2")]

    @pytest.mark.parametrize(("options", "deadline_s"), [((), 60), (("--deadline", "2.5"), 2.5)])
    def test_hang_has_a_deadline(self, run, client, options, deadline_s):
        ran = run("host", "hang", "compute-2", *options)
        assert ran.code == 0
        assert "nova-fakes host up compute-2" in ran.out
        assert client.calls == [("host_hang", "compute-2", deadline_s)]

    def test_a_deadline_of_nothing_is_refused(self, run, client):
        ran = run("host", "hang", "compute-2", "--deadline", "0")
        assert ran.code == exits.USAGE
        assert "--deadline" in ran.err
        assert client.calls == []

    @pytest.mark.parametrize("verb", ["down", "hang", "up"])
    def test_unknown_host_names_the_known_ones(self, run, client, verb):
        ran = run("host", verb, "compute-9")
        assert ran.code == exits.NOT_FOUND
        assert "compute-1, compute-2" in ran.err
        assert client.calls == []


class TestGuest:
    @pytest.mark.parametrize("wanted", ["web", WEB])
    def test_crash_by_name_or_uuid(self, run, client, wanted):
        ran = run("guest", "crash", wanted)
        assert (ran.code, ran.out) == (0, "web has crashed on compute-1\n")
        assert client.calls == [("guest_crash", WEB)]

    def test_unknown_instance(self, run, client):
        assert run("guest", "crash", "wbe").code == exits.NOT_FOUND
        assert client.calls == []


class TestFault:
    PLAN = """
seed = 7
[[fault]]
operation = "spawn"
host = "compute-*"
flavor = "gpu.*"
error = "OSError: no"
after = 1
delay = "uniform:0.1,0.5"
[[fault]]
operation = "pause"
times = 2
times_per_guest = 1
probability = 0.5
"""

    def test_add(self, run, client):
        ran = run("fault", "add", "spawn", "--flavor", "m1.*", "--instance", "web", "--delay", "normal: 1,0.20")
        assert ran.code == 0
        assert ran.out == f"rule 1 is in force: spawn for {WEB} of flavor m1.*, normal:1,0.2 s late\n"
        ((_name, (rule,), seed),) = client.calls
        assert (rule["operation"], rule["delay"], seed) == ("spawn", "normal:1,0.2", None)

    def test_a_wrong_delay_is_refused_before_anything_is_asked(self, run, client):
        ran = run("fault", "add", "spawn", "--delay", "uniform:2,1")
        assert ran.code == exits.USAGE
        assert "high_s" in ran.err
        assert client.calls == []

    def test_load(self, run, client, tmp_path):
        path = tmp_path / "faults.toml"
        path.write_text(self.PLAN)
        ran = run("fault", "load", str(path))
        assert ran.code == 0
        first, second = ran.out.splitlines()
        assert first.endswith(
            "spawn on compute-* of flavor gpu.* fails: OSError: no, uniform:0.1,0.5 s late, after 1 pass"
        )
        assert second.endswith("rule 2 is in force: pause fails, 2 times, 1 times for each, with probability 0.5")
        ((_name, rules, seed),) = client.calls
        assert ([rule["operation"] for rule in rules], seed) == (["spawn", "pause"], 7)

    def test_a_wrong_file_is_refused_as_a_whole(self, run, client, tmp_path):
        path = tmp_path / "faults.toml"
        path.write_text(self.PLAN + "tmies = 1\n")
        ran = run("fault", "load", str(path))
        assert ran.code == exits.USAGE
        assert f"{path}, line 15: tmies" in ran.err
        assert client.calls == []

    def test_up_takes_a_file_of_faults(self, run, sandboxes, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        path = tmp_path / "faults.toml"
        path.write_text(self.PLAN)
        assert run("up", "--faults", "faults.toml").code == 0
        (spec,) = sandboxes.specs
        assert spec.fault_file == path
        assert type(spec).from_json(spec.to_json()) == spec

    def test_up_refuses_a_wrong_one(self, run, sandboxes, tmp_path):
        assert run("up", "--faults", str(tmp_path / "nothing.toml")).code == exits.USAGE
        assert not sandboxes.specs


class TestInstances:
    def test_unknown_name_lists_the_known_ones(self, run):
        ran = run("exec", "wbe", "true")
        assert ran.code == exits.NOT_FOUND
        assert "wbe" in ran.err
        assert "twin, twin, web" in ran.err

    def test_ambiguous_name_lists_the_uuids(self, run):
        ran = run("exec", "twin", "true")
        assert ran.code == exits.USAGE
        assert all(uuid in ran.err for uuid in TWINS)

    def test_instance_without_namespace(self, run, client):
        ran = run("exec", TWINS[1], "true")
        assert ran.code == exits.FAILED
        assert "--realizer bridge" in ran.err
        assert client.calls == []

    @pytest.mark.parametrize("wanted", ["web", WEB, WEB.upper()])
    def test_exec_joins_the_namespace_and_becomes_the_command(self, run, client, monkeypatch, wanted):
        became = []
        monkeypatch.setattr("os.execvp", lambda file, argv: became.append((file, tuple(argv), list(client.calls))))
        run("exec", wanted, "ip", "-6", "address", "--json")
        assert became == [("ip", ("ip", "-6", "address", "--json"), [("enter", WEB)])]

    def test_exec_of_a_command_that_is_not_there(self, run):
        ran = run("exec", "web", "no-such-command-anywhere")
        assert ran.code == 127
        assert "no-such-command-anywhere" in ran.err

    def test_exec_of_a_file_that_may_not_be_executed(self, run, tmp_path):
        path = tmp_path / "data"
        path.write_text("")
        assert run("exec", "web", str(path)).code == 126

    def test_exec_without_command(self, run):
        assert run("exec", "web").code == exits.USAGE


class TestDown:
    @pytest.fixture
    def state(self, client) -> Path:
        client.state.mkdir()
        (client.state / "sandbox.json").write_text("{}")
        return client.state

    def test_keeps_the_state_directory(self, run, client, state):
        assert run("down").code == 0
        assert client.calls == [("down",)]
        assert state.is_dir()

    def test_purge_removes_it(self, run, state):
        assert run("down", "--purge").code == 0
        assert not state.exists()

    def test_not_running(self, run, client, state):
        client.running = False
        assert run("down").code == exits.NOT_RUNNING

    def test_purge_of_one_that_does_not_run(self, run, client, sandboxes, state):
        client.running = False
        assert run("down", "--purge").code == 0
        assert sandboxes.cleaned == [state]
        assert not state.exists()

    def test_purge_never_removes_a_directory_of_another_kind(self, run, sandboxes, tmp_path):
        precious = tmp_path / "home"
        precious.mkdir()
        (precious / "thesis.txt").write_text("…")
        sandboxes.client(precious).running = False
        ran = run("down", "--purge", "--state", str(precious))
        assert ran.code == exits.USAGE
        assert (precious / "thesis.txt").exists()


class TestCleanup:
    def test_nothing_to_do(self, run):
        ran = run("cleanup")
        assert ran.code == 0
        assert ran.out == "nothing was left behind\n"

    def test_tells_what_was_removed(self, run, client, sandboxes):
        client.state.mkdir()
        assert run("cleanup").out == "removed namespace fake-1\n"
        assert sandboxes.cleaned == [client.state]

    def test_json(self, run, client):
        client.state.mkdir()
        assert json.loads(run("cleanup", "--json").out) == [{"kind": "namespace", "name": "fake-1"}]


class TestDemoArguments:
    @pytest.mark.parametrize("arguments", [("--servers", "1"), ("--hosts", "0"), ("--realizer", "nope")])
    def test_refused_before_anything_starts(self, run, sandboxes, arguments):
        assert run("demo", *arguments).code == exits.USAGE
        assert not sandboxes.specs

    @pytest.mark.parametrize("option", ["--report", "--json"])
    def test_file_in_a_directory_that_is_not_there(self, run, sandboxes, tmp_path, option):
        ran = run("demo", option, str(tmp_path / "nowhere" / "file"))
        assert ran.code == exits.USAGE
        assert "nowhere" in ran.err
        assert not sandboxes.specs
        assert list(tmp_path.iterdir()) == []
