"""`nova-fakes doctor`: what this machine and this user allow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from nova_fakes.cmd import exits

if TYPE_CHECKING:
    from nova_fakes.virt.vif.capabilities import Finding

__all__ = ["doctor"]

_COLOURS = {"ok": "green", "warning": "yellow", "missing": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list of findings.")
def doctor(as_json: bool) -> int:
    """Tell what this machine allows, each lack with its cure.

    Ends with 6 where servers cannot have real interfaces here.
    """
    from nova_fakes.virt.vif.capabilities import can_realize_bridges, can_realize_switches, probe

    findings = probe()
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _print_table(findings)
    bridges = can_realize_bridges(findings)
    if not as_json:
        click.echo(
            "\nrealizer bridge works here: servers answer ping"
            if bridges
            else "\nrealizer bridge does not work here; --realizer null, or up --fallback-null, does"
        )
        works = "works here too" if can_realize_switches(findings) else "does not work here"
        click.echo(f"realizer ovs {works}")
    return exits.OK if bridges else exits.NOT_ALLOWED


def _print_table(findings: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("what", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("found")
    table.add_column("cure")
    for finding in findings:
        colour = _COLOURS.get(finding.status, "default")
        status = f"[{colour}]{escape(finding.status)}[/]"
        table.add_row(finding.name, status, escape(str(finding.value)), escape(finding.cure or ""))
    Console(highlight=False).print(table)
