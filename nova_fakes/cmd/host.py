"""`nova-fakes host`: crash a hypervisor, and bring it back."""

from __future__ import annotations

from pathlib import Path

import click

from nova_fakes.cmd import exits
from nova_fakes.cmd.selection import pass_sandboxes, pick_host, state_option
from nova_fakes.scenario.sandboxes import Sandboxes

__all__ = ["host"]


@click.group()
def host() -> None:
    """Crash a host, or bring it back."""


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
@state_option
@pass_sandboxes
def up(sandboxes: Sandboxes, name: str, state: Path | None) -> int:
    """Bring a crashed HOST and its compute service back."""
    client = sandboxes.client(state)
    client.host_up(pick_host(client.status(), name))
    click.echo(f"{name} is up")
    return exits.OK
