"""`nova-fakes status` and `nova-fakes env`: what runs, and how to talk to it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from nova_fakes.cmd import exits
from nova_fakes.cmd.selection import pass_sandboxes, state_option
from nova_fakes.scenario.sandboxes import Sandboxes

__all__ = ["env", "status"]


@click.command()
@state_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_sandboxes
def status(sandboxes: Sandboxes, state: Path | None, as_json: bool) -> int:
    """Show services, hosts and what the sandbox made.

    Ends with 3 where no sandbox runs and with 1 where one of its services does not.
    """
    found = sandboxes.client(state).status()
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _print_tables(found)
    return exits.OK if all(service["state"] in ("ready", "up") for service in found["services"]) else exits.FAILED


def _print_tables(found: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console.print(f"[bold]{found['url']}[/]  process {found['pid']}, realizer {found['realizer']}", soft_wrap=True)
    console.print(f"state in {found['state_dir']}\n", soft_wrap=True, markup=False)
    services = Table("service", "host", "state", "url", box=None, pad_edge=False, header_style="bold")
    for service in found["services"]:
        colour = "green" if service["state"] in ("ready", "up") else "red"
        state = f"[{colour}]{service['state']}[/]"
        services.add_row(service["name"], service.get("host") or "", state, service.get("url") or "")
    console.print(services)
    console.print()
    hosts = Table("host", "state", "guests", box=None, pad_edge=False, header_style="bold")
    for host in found["hosts"]:
        colour = "green" if host["state"] == "up" else "red"
        hosts.add_row(host["name"], f"[{colour}]{host['state']}[/]", str(host["guests"]))
    console.print(hosts)
    made = ", ".join(f"{count} {kind}" for kind, count in sorted(found["ledger"].items()) if count)
    console.print(f"\nmade outside the process: {made or 'nothing'}")


@click.command()
@state_option
@click.option("--fish", is_flag=True, help="Print fish syntax rather than that of sh.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_sandboxes
def env(sandboxes: Sandboxes, state: Path | None, fish: bool, as_json: bool) -> int:
    """Print the variables that OpenStack clients need.

    Use it as `eval "$(nova-fakes env)"`, or `nova-fakes env --fish | source`.
    """
    client = sandboxes.client(state)
    # Variables that point to nothing would only make the client that reads them fail, and tell less.
    client.status()
    variables = client.environment()
    if as_json:
        click.echo(json.dumps(variables, indent=2))
        return exits.OK
    for name, value in sorted(variables.items()):
        click.echo(f"set -gx {name} {_fish_quote(value)}" if fish else f"export {name}={shlex.quote(value)}")
    return exits.OK


def _fish_quote(value: str) -> str:
    # fish knows two escapes inside single quotes: the quote and the backslash.
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
