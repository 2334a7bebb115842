"""`nova-fakes up`, `down` and `cleanup`: the life of a sandbox."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nova_fakes.cmd import exits
from nova_fakes.cmd.selection import pass_sandboxes, state_option
from nova_fakes.exceptions import InvalidInput, NotRunning, StateInUse, UnknownRealizer
from nova_fakes.scenario.sandboxes import Sandboxes

if TYPE_CHECKING:
    from nova_fakes.sandbox.client import Client
    from nova_fakes.sandbox.spec import Progress

__all__ = ["cleanup", "down", "hosts_option", "named_hosts", "progress_line", "realizer_option", "up"]

MAXIMUM_HOSTS = 1000

hosts_option = click.option(
    "--hosts",
    type=click.IntRange(1, MAXIMUM_HOSTS),
    default=2,
    show_default=True,
    help="How many hypervisors, named compute-1, compute-2 and so on.",
)


def _known_realizer(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Refuse a realizer that no installed package offers, before anything is started with it."""
    from nova_fakes.virt.vif.registry import names

    if value not in names():
        raise UnknownRealizer("realizer", value, f"use one of {', '.join(names())}")
    return value


realizer_option = click.option(
    "--realizer",
    metavar="NAME",
    callback=_known_realizer,
    default="bridge",
    show_default=True,
    help="bridge: each server is a network namespace and answers ping. ovs: the same on an Open vSwitch. "
    "null: servers have no real interfaces.",
)


def named_hosts(count: int) -> tuple[str, ...]:
    """Return the names of `count` hosts: compute-1, compute-2, …"""
    return tuple(f"compute-{number}" for number in range(1, count + 1))


def progress_line(progress: Progress) -> str | None:
    """Return what to print for a step of the start, or None where it is not worth a line."""
    if progress.state == "starting":
        return None
    mark = click.style(f"{progress.state:<6}", fg="red" if progress.state == "failed" else "green")
    return f"{progress.seconds:8.2f} s  {mark}  {progress.service:<24} {progress.detail}".rstrip()


@click.command()
@hosts_option
@realizer_option
@state_option
@click.option(
    "--fleet",
    "fleet",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A TOML file that describes the hypervisors, in place of --hosts.",
)
@click.option(
    "--faults",
    "faults",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A TOML file of fault rules that are in force from the beginning.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="TCP port on 127.0.0.1. Default: a free one.")
@click.option(
    "--fallback-null",
    is_flag=True,
    help="Where this machine lacks what the realizer needs, go on with the null realizer instead of refusing.",
)
@click.option(
    "--processes",
    is_flag=True,
    help="A broker, nova-api, nova-conductor, nova-scheduler and the nova-computes as processes of their own. "
    "Real interfaces are made by an agent beside them.",
)
@click.option(
    "--cinder",
    "cinder_url",
    metavar="URL",
    help="Endpoint of a Cinder that takes the place of the volume service: http://HOST:PORT/volume/v3.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, the status, when the sandbox is up.")
@pass_sandboxes
def up(
    sandboxes: Sandboxes,
    hosts: int,
    realizer: str,
    state: Path | None,
    fleet: Path | None,
    faults: Path | None,
    port: int,
    fallback_null: bool,
    processes: bool,
    cinder_url: str | None,
    as_json: bool,
) -> int:
    """Start a sandbox: nova, placement and the APIs around them.

    It runs on in the background until `nova-fakes down`. Servers, networks and volumes of an earlier run on the same
    state directory are there again. Without root the sandbox makes itself a user namespace first.
    """
    from nova_fakes.sandbox.spec import SandboxSpec
    from nova_fakes.scenario.states import reclaim_demos
    from nova_fakes.virt import fault_file, fleet_file

    wanted_state = state if state is not None else sandboxes.default_state()
    plan = None if fleet is None else fleet_file.load(fleet)
    if faults is not None:
        fault_file.load(faults)
    spec = SandboxSpec(
        state=wanted_state,
        hosts=named_hosts(hosts) if plan is None else tuple(plan.hosts),
        realizer=realizer,
        port=port,
        fallback_null=fallback_null,
        processes=processes,
        cinder_url=cinder_url,
        options={} if plan is None else plan.nova,
        fleet_file=None if fleet is None else fleet.absolute(),
        fault_file=None if faults is None else faults.absolute(),
    )
    for abandoned in reclaim_demos(sandboxes):
        click.echo(f"removed what an interrupted demo left in {abandoned}", err=True)
    client = sandboxes.up(spec, _nothing if as_json else _echo_progress)
    if as_json:
        click.echo(json.dumps(client.status(), indent=2))
    else:
        _print_usage(client, state)
    return exits.OK


def _nothing(progress: Progress) -> None:
    """With --json only the result is printed."""


def _echo_progress(progress: Progress) -> None:
    line = progress_line(progress)
    if line is not None:
        click.echo(line)


def _print_usage(client: Client, state: Path | None) -> None:
    found = client.status()
    option = f" --state {found['state_dir']}" if state is not None else ""
    hosts = ", ".join(host["name"] for host in found["hosts"])
    click.echo(f"\nA nova with {len(found['hosts'])} hypervisors ({hosts}) answers at {found['url']}.")
    click.echo(f'\n  eval "$(nova-fakes env{option})"    # the openstack client and openstacksdk then find it')
    click.echo("  openstack server create --image nova-fakes --flavor m1.tiny --network private --wait web")
    click.echo(f"  nova-fakes exec{option} web ip address")
    click.echo(f"  nova-fakes status{option}    nova-fakes down{option}")


@click.command()
@state_option
@click.option("--purge", is_flag=True, help="Remove the state directory too: databases, logs, images.")
@pass_sandboxes
def down(sandboxes: Sandboxes, state: Path | None, purge: bool) -> int:
    """Stop the sandbox and remove what it made outside its state directory.

    The state directory stays, so that the next `up` finds everything again, unless --purge is given.
    """
    directory = state if state is not None else sandboxes.default_state()
    try:
        sandboxes.client(directory).down()
    except NotRunning:
        # To purge what an earlier `down` left is a sensible wish; to stop what does not run is a mistake.
        if not purge or not directory.exists():
            raise
        sandboxes.cleanup(directory)
    click.echo("sandbox stopped")
    if purge:
        purge_state(directory)
        click.echo(f"removed {directory}")
    return exits.OK


def purge_state(directory: Path) -> None:
    """Remove a state directory with all it holds.

    Raises InvalidInput for a directory that no sandbox was started on, and StateInUse while one runs.
    """
    from nova_fakes.sandbox.state import StateDirectory

    state = StateDirectory(directory)
    if not state.spec.is_file():
        raise InvalidInput("state", str(directory), "it is no sandbox's state directory, and will not be removed")
    if state.in_use():
        raise StateInUse(f"state directory {directory} is in use by a running sandbox; it was not removed")
    shutil.rmtree(state.root)


@click.command()
@state_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list of what was removed.")
@pass_sandboxes
def cleanup(sandboxes: Sandboxes, state: Path | None, as_json: bool) -> int:
    """Remove what a killed sandbox, demo or test left behind.

    Only what its ledger names is removed. What demos, fixtures and APIs had for one run is found without being named.
    """
    from nova_fakes.scenario.states import reclaim_abandoned

    directory = state if state is not None else sandboxes.default_state()
    removed: list[dict[str, str]] = []
    if directory.exists():
        removed += [{"kind": entry.kind, "name": entry.name} for entry in sandboxes.cleanup(directory)]
    if state is None:
        for kind, paths in reclaim_abandoned(sandboxes).items():
            removed += [{"kind": kind, "name": str(path)} for path in paths]
    _print_removed(removed, as_json, click.echo)
    return exits.OK


def _print_removed(removed: list[dict[str, str]], as_json: bool, echo: Callable[[str], None]) -> None:
    if as_json:
        echo(json.dumps(removed, indent=2))
        return
    for entry in removed:
        echo(f"removed {entry['kind']} {entry['name']}")
    if not removed:
        echo("nothing was left behind")
