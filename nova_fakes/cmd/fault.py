"""`nova-fakes fault`: let operations of the hypervisors fail or dawdle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from nova_fakes.cmd import exits
from nova_fakes.cmd.selection import pass_sandboxes, pick_instance, state_option
from nova_fakes.scenario.sandboxes import Sandboxes
from nova_fakes.virt.operations import check_pattern

__all__ = ["fault"]


@click.group()
def fault() -> None:
    """Let operations of the hypervisors fail, or take longer."""


@fault.command()
@click.argument("operation")
@click.option("--host", help="Only on this host; a shell pattern.")
@click.option("--instance", help="Only for this instance: its name or UUID.")
@click.option("--error", help="An exception of nova's or Python's by its name, `NAME: TEXT`, or any text.")
@click.option("--after", type=click.IntRange(0), default=0, help="Calls that pass unharmed first.")
@click.option("--times", type=click.IntRange(1), help="How often it strikes. Default: always.")
@click.option("--times-per-guest", type=click.IntRange(1), help="How often it strikes one guest.")
@click.option("--probability", type=click.FloatRange(0, 1), default=1.0, help="Of striking.")
@click.option("--delay", "delay_s", type=click.FloatRange(0), default=0.0, help="Seconds that pass first.")
@state_option
@pass_sandboxes
def add(sandboxes: Sandboxes, /, operation: str, instance: str | None, state: Path | None, **values: Any) -> int:
    """Put a rule in force for OPERATION, a name or a shell pattern: spawn, power_on, "live_migration*".

    Without --error and --delay the operation fails, and says that a rule did it.
    """
    check_pattern(operation)
    client = sandboxes.client(state)
    if instance is not None:
        values["guest"] = pick_instance(client.instances(), instance)["uuid"]
    made = client.add_fault(operation=operation, **{name: value for name, value in values.items() if value is not None})
    click.echo(f"rule {made['number']} is in force: {_summary(made)}")
    return exits.OK


@fault.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
@state_option
@pass_sandboxes
def list_(sandboxes: Sandboxes, as_json: bool, state: Path | None) -> int:
    """Show the rules in force and how often each has struck."""
    rules = sandboxes.client(state).faults()
    if as_json:
        click.echo(json.dumps(rules, indent=2))
        return exits.OK
    for rule in rules:
        click.echo(f"{rule['number']:>3}  struck {rule['struck']} of {rule['matched']}  {_summary(rule)}")
    if not rules:
        click.echo("no rule is in force")
    return exits.OK


@fault.command()
@click.argument("number", type=int)
@state_option
@pass_sandboxes
def remove(sandboxes: Sandboxes, number: int, state: Path | None) -> int:
    """Take the rule of that NUMBER out of force; those behind it move up."""
    sandboxes.client(state).remove_fault(number)
    click.echo(f"rule {number} is gone")
    return exits.OK


@fault.command()
@state_option
@pass_sandboxes
def clear(sandboxes: Sandboxes, state: Path | None) -> int:
    """Take every rule out of force."""
    sandboxes.client(state).clear_faults()
    click.echo("no rule is in force")
    return exits.OK


def _summary(rule: Mapping[str, Any]) -> str:
    where = f" on {rule['host']}" if rule["host"] else ""
    whom = f" for {rule['guest']}" if rule["guest"] else ""
    late = f", {rule['delay_s']:g} s late" if rule["delay_s"] else ""
    fails = f" fails: {rule['error']}" if rule["error"] else "" if rule["delay_s"] else " fails"
    often = f", {rule['times']} times" if rule["times"] else ""
    chance = f", with probability {rule['probability']:g}" if rule["probability"] < 1 else ""
    return f"{rule['operation']}{where}{whom}{fails}{late}{often}{chance}"
