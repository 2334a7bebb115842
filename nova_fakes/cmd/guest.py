"""`nova-fakes guest`: what happens to an instance without anybody asking nova for it."""

from __future__ import annotations

from pathlib import Path

import click

from nova_fakes.cmd import exits
from nova_fakes.cmd.selection import pass_sandboxes, pick_instance, state_option
from nova_fakes.scenario.sandboxes import Sandboxes

__all__ = ["guest"]


@click.group()
def guest() -> None:
    """Crash an instance."""


@guest.command()
@click.argument("instance")
@state_option
@pass_sandboxes
def crash(sandboxes: Sandboxes, instance: str, state: Path | None) -> int:
    """Crash INSTANCE (a name or uuid), as a kernel panic does.

    nova hears of it at once and takes it for a server that shut itself down: `openstack server start` boots it again.
    """
    client = sandboxes.client(state)
    found = pick_instance(client.instances(), instance)
    client.guest_crash(found["uuid"])
    click.echo(f"{found['name']} has crashed on {found['host']}")
    return exits.OK
