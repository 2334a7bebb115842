"""`nova-fakes host`: crash a hypervisor, let it hang, bring it back."""

from __future__ import annotations

from pathlib import Path

import click

from nova_fakes.cmd import exits
from nova_fakes.cmd.selection import pass_sandboxes, pick_host, state_option
from nova_fakes.scenario.sandboxes import Sandboxes
from nova_fakes.virt.hang import DEFAULT_DEADLINE_S

__all__ = ["host"]


@click.group()
def host() -> None:
    """Crash a host, let it hang, or bring it back."""


@host.command()
@click.argument("name", metavar="HOST")
@state_option
@pass_sandboxes
def down(sandboxes: Sandboxes, name: str, state: Path | None) -> int:
    """Crash HOST: its guests and its compute service die.

    nova sees the service down within seconds; `openstack server evacuate` then rebuilds its servers elsewhere.
    """
    client = sandboxes.client(state)
    client.host_down(pick_host(client.status(), name))
    click.echo(f"{name} is down; its servers can be evacuated as soon as `openstack compute service list` says so")
    return exits.OK


@host.command()
@click.argument("name", metavar="HOST")
@click.option(
    "--deadline",
    "deadline_s",
    type=click.FloatRange(0, min_open=True),
    default=DEFAULT_DEADLINE_S,
    show_default=True,
    help="Seconds that an operation waits before it fails.",
)
@state_option
@pass_sandboxes
def hang(sandboxes: Sandboxes, name: str, deadline_s: float, state: Path | None) -> int:
    """Let HOST hang: its guests go on, but it does nothing that it is asked for until it is up again.

    Operations wait for it; those that reach the deadline fail. nova sees the compute service down within seconds.
    """
    client = sandboxes.client(state)
    client.host_hang(pick_host(client.status(), name), deadline_s)
    click.echo(f"{name} hangs; `nova-fakes host up {name}` lets it go on")
    return exits.OK


@host.command()
@click.argument("name", metavar="HOST")
@state_option
@pass_sandboxes
def up(sandboxes: Sandboxes, name: str, state: Path | None) -> int:
    """Bring HOST and its compute service back, after a crash or a hang."""
    client = sandboxes.client(state)
    client.host_up(pick_host(client.status(), name))
    click.echo(f"{name} is up")
    return exits.OK
