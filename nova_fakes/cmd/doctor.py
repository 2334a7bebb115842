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
    from nova_fakes.virt.vif.limits import Capacity

__all__ = ["doctor"]

_COLOURS = {"ok": "green", "warning": "yellow", "missing": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list of findings.")
@click.option("--instances", metavar="N", type=click.IntRange(min=1), help="Tell too whether N instances fit.")
@click.option(
    "--hosts", metavar="N", type=click.IntRange(min=1), default=1, show_default=True, help="Over so many hosts here."
)
def doctor(as_json: bool, instances: int | None, hosts: int) -> int:
    """Tell what this machine allows, each lack with its cure.

    With --instances it goes through the machine's limits, and names the one that breaks next.
    Ends with 6 where servers cannot have real interfaces here.
    """
    from nova_fakes.virt.vif.capabilities import can_realize_bridges, can_realize_switches, probe
    from nova_fakes.virt.vif.limits import capacities

    findings = probe()
    limits = [] if instances is None else capacities(hosts)
    findings += [_fits(limit, instances or 0) for limit in limits]
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
        if instances is not None:
            click.echo(_verdict(limits, instances))
    return exits.OK if bridges else exits.NOT_ALLOWED


def _fits(limit: Capacity, instances: int) -> Finding:
    from nova_fakes.virt.vif.capabilities import Finding

    room = "" if limit.instances is None else f": room for {limit.instances:,}"
    if limit.allows(instances):
        return Finding(f"{limit.name} for {instances:,}", "ok", f"{limit.value}{room}")
    cure = f"{limit.cure(instances)} ({limit.why})"
    return Finding(f"{limit.name} for {instances:,}", "warning", f"{limit.value}{room}", cure)


def _verdict(limits: list[Capacity], instances: int) -> str:
    """Say which limits so many instances meet, or what would break next."""
    from nova_fakes.virt.vif.limits import next_to_break

    met = [limit.name for limit in limits if limit.always and not limit.allows(instances)]
    if met:
        return f"{instances:,} instances meet limits: {', '.join(met)}"
    following = next_to_break(limits)
    if following is None:
        return f"{instances:,} instances fit"
    return f"{instances:,} instances fit; what breaks next is {following.name}, beyond {following.instances:,}"


def _print_table(findings: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("what", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("found")
    for finding in findings:
        colour = _COLOURS.get(finding.status, "default")
        table.add_row(finding.name, f"[{colour}]{escape(finding.status)}[/]", escape(str(finding.value)))
    Console(highlight=False).print(table)
    cures = [finding for finding in findings if finding.cure]
    if cures:
        # Whole and on a line each: they are commands to be copied, which a column would break.
        click.echo("\nwhat to do:")
    for finding in cures:
        click.echo(f"  {finding.name}: {finding.cure}")
