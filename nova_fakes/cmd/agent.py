"""`nova-fakes agent` and `nova-fakes replay`: the privileged agent, how it is, and its audit log made again."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nova_fakes.cmd import exits
from nova_fakes.exceptions import InvalidInput, UnknownRealizer

if TYPE_CHECKING:
    from nova_fakes.agent.protocol import HealthReport

__all__ = ["agent", "replay"]

DEFAULT_SOCKET = Path("/run/nova-fakes/agent.sock")
DEFAULT_STATE = Path("/run/nova-fakes/agent")

socket_option = click.option(
    "--socket",
    "socket_path",
    metavar="PATH",
    type=click.Path(readable=False, path_type=Path),
    default=DEFAULT_SOCKET,
    show_default=True,
    help="The agent's unix socket.",
)


def _realizer(context: click.Context, parameter: click.Parameter, value: str) -> str:
    from nova_fakes.virt.vif.registry import names

    if value == "remote" or value not in names():
        known = ", ".join(name for name in names() if name != "remote")
        raise UnknownRealizer("realizer", value, f"use one of {known}")
    return value


def _mode(context: click.Context, parameter: click.Parameter, value: str) -> int:
    try:
        mode = int(value, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:
        raise InvalidInput("mode", value, "give permissions as octal digits, such as 660")
    return mode


def _uids(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> frozenset[int]:
    import pwd

    found = set()
    for value in values:
        try:
            found.add(int(value) if value.isdecimal() else pwd.getpwnam(value).pw_uid)
        except KeyError:
            raise InvalidInput("allow-uid", value, "there is no such user; give a name or a number") from None
    return frozenset(found)


def _options(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    for name, equals, _value in pairs:
        if not name.isidentifier() or not equals:
            raise InvalidInput("option", name, "give NAME=VALUE")
    return {name: value for name, _equals, value in pairs}


@click.group(invoke_without_command=True)
@socket_option
@click.option(
    "--mode", metavar="OCTAL", default="600", show_default=True, callback=_mode, help="The socket's permissions."
)
@click.option("--group", metavar="GROUP", help="The socket's group, by name or number.")
@click.option(
    "--allow-uid",
    "allowed",
    metavar="USER",
    multiple=True,
    callback=_uids,
    help="Serve this user, by name or number; may be repeated. Default: the agent's own user alone.",
)
@click.option(
    "--state",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_STATE,
    show_default=True,
    help="Where the ledger is kept: what the agent made, for the one after it and for `nova-fakes cleanup`.",
)
@click.option("--realizer", default="bridge", show_default=True, callback=_realizer, help="What makes the interfaces.")
@click.option(
    "--option", "options", metavar="NAME=VALUE", multiple=True, callback=_options, help="An option of the realizer."
)
@click.option(
    "--netns",
    "directory",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where instances' namespaces get their names. Default: /run/netns.",
)
@click.option(
    "--fabric",
    "namespace",
    metavar="NAME",
    help="Keep bridges and host ends in a namespace of this name, not in our own.",
)
@click.option(
    "--audit",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write every change here, a line each.",
)
@click.option(
    "--gather",
    "gather_ms",
    metavar="MS",
    type=click.FloatRange(0, 1000),
    help="How long the first change of a burst waits for others. Default: what the realizer gains by.",
)
@click.option("--allow-exec", is_flag=True, help="Run commands inside instances, each as the user who asks for it.")
@click.pass_context
def agent(
    context: click.Context,
    socket_path: Path,
    mode: int,
    group: str | None,
    allowed: frozenset[int],
    state: Path,
    realizer: str,
    options: dict[str, str],
    directory: Path | None,
    namespace: str | None,
    audit: Path | None,
    gather_ms: float | None,
    allow_exec: bool,
) -> int | None:
    """Make the interfaces for a nova-compute that may not, until SIGTERM.

    nova-compute then uses `vif_realizer = remote`. What the agent makes stays when it ends; the next one on the same
    state directory has it again. SIGHUP opens the audit log anew.
    """
    if context.invoked_subcommand is not None:
        context.obj = socket_path
        return None
    from nova_fakes.agent.daemon import Settings, serve

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    serve(
        Settings(
            socket=socket_path,
            state=state,
            realizer=realizer,
            options=options,
            mode=mode,
            group=group,
            allowed=allowed,
            audit=audit,
            directory=directory,
            namespace=namespace,
            gather_s=None if gather_ms is None else gather_ms / 1000,
            allow_exec=allow_exec,
        ),
        on_ready=lambda: click.echo(f"agent is ready on {socket_path}"),
    )
    return exits.OK


@agent.command()
@socket_option
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(0.01, 600), default=5.0, show_default=True, help="Seconds."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def health(socket_path: Path, timeout_s: float, as_json: bool) -> int:
    """Tell how the agent is.

    Ends with 1 where there is none, or a request has been under way for a minute.
    """
    from nova_fakes.agent import protocol
    from nova_fakes.agent.client import Client

    report: protocol.HealthReport = Client(socket_path, deadline_s=timeout_s).call(protocol.Health())
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
    else:
        click.echo(_in_words(report))
    return exits.OK if report.status == "ok" else exits.FAILED


def _in_words(report: HealthReport) -> str:
    instances = "" if report.instances is None else f" with {report.instances:,} instances"
    waiting = "no request waits"
    if report.waiting:
        waiting = f"{report.waiting} requests wait, the oldest for {_duration(report.oldest_s)}"
    lost = f"; {report.audit_lines_lost} lines of the audit log are lost" if report.audit_lines_lost else ""
    return (
        f"{report.status}: nova-fakes {report.version}, protocol {report.protocol}, "
        f"realizer {report.realizer}{instances}, process {report.pid}, up {_duration(report.uptime_s)}; {waiting}{lost}"
    )


def _duration(seconds: float) -> str:
    """Write a duration in the two largest units that it has."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours, days = (int(seconds // unit) for unit in (60, 3600, 86_400))
    if not hours:
        return f"{minutes} min {int(seconds) % 60} s"
    return f"{hours} h {minutes % 60} min" if not days else f"{days} d {hours % 24} h"


@agent.command()
@socket_option
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(0.01, 600), default=5.0, show_default=True, help="Seconds."
)
def metrics(socket_path: Path, timeout_s: float) -> int:
    """Print what the agent counts, in Prometheus' text format."""
    from nova_fakes.agent.client import Client

    click.echo(Client(socket_path, deadline_s=timeout_s).metrics(), nl=False)
    return exits.OK


@agent.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@socket_option
@click.option("--host", metavar="NAME", help="The hypervisor on which the instance is. Default: this machine's name.")
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(0.1, 600), default=30.0, show_default=True, help="Seconds."
)
@click.argument("instance", metavar="UUID")
@click.argument("command", metavar="CMD...", nargs=-1, required=True, type=click.UNPROCESSED)
def execute(socket_path: Path, host: str | None, timeout_s: float, instance: str, command: tuple[str, ...]) -> int:
    """Run CMD in the network namespace of the instance UUID, by an agent with --allow-exec.

    CMD runs as this user, without a terminal, and is killed before the timeout. Ends with CMD's exit code.
    """
    import platform

    from nova_fakes.agent import protocol
    from nova_fakes.agent.client import Client

    client = Client(socket_path, deadline_s=timeout_s)
    done: protocol.Execution = client.call(protocol.Execute(host or platform.node(), instance, command))
    sys.stdout.buffer.write(done.stdout)
    sys.stderr.buffer.write(done.stderr)
    if done.truncated:
        click.echo("nova-fakes: the output was longer; the rest is left out", err=True)
    return done.exit_code


@click.command()
@click.argument("audit", metavar="AUDIT", type=click.Path(dir_okay=False, path_type=Path))
@socket_option
@click.option(
    "--pace",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="1 waits between two as it was; 0 does not.",
)
def replay(audit: Path, socket_path: Path, pace: float) -> int:
    """Make the changes of an agent's audit log again, on the agent of a test host.

    Names each whose outcome is another than then, and ends with 1 where there are any.
    """
    from nova_fakes.agent.audit import read
    from nova_fakes.agent.client import Client
    from nova_fakes.agent.replay import replay as replay_records

    records = list(read(audit))
    different = 0
    for number, done in enumerate(replay_records(records, Client(socket_path), pace=pace), start=1):
        if not done.same:
            different += 1
            now = f"{done.error}: {done.message}" if done.error else "done"
            click.echo(f"change {number}, {done.record.request.verb}: {now}; then: {done.record.error or 'done'}")
    click.echo(f"{len(records)} changes made again, {different} with another outcome")
    return exits.FAILED if different else exits.OK
