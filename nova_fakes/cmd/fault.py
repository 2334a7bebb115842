"""`nova-fakes fault`: let operations of the hypervisors fail or dawdle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from nova_fakes import delays
from nova_fakes.cmd import exits
from nova_fakes.cmd.selection import pass_sandboxes, pick_instance, state_option
from nova_fakes.scenario.sandboxes import Sandboxes
from nova_fakes.virt import fault_file
from nova_fakes.virt.operations import check_pattern

__all__ = ["fault"]


def _delay(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse what is no delay before anybody is asked to wait so long."""
    return None if value is None else str(delays.parse(value))


@click.group()
def fault() -> None:
    """Let operations of the hypervisors fail, or take longer."""


@fault.command()
@click.argument("operation")
@click.option("--host", help="Only on this host; a shell pattern.")
@click.option("--instance", help="Only for this instance: its name or UUID.")
@click.option("--flavor", help="Only for instances of this flavor; a shell pattern.")
@click.option("--error", help="An exception of nova's or Python's by its name, `NAME: TEXT`, or any text.")
@click.option("--after", type=click.IntRange(0), default=0, help="Calls that pass unharmed first.")
@click.option("--times", type=click.IntRange(1), help="How often it strikes. Default: always.")
@click.option("--times-per-guest", type=click.IntRange(1), help="How often it strikes one guest.")
@click.option("--probability", type=click.FloatRange(0, 1), default=1.0, help="Of striking.")
@click.option(
    "--delay",
    metavar="DELAY",
    callback=_delay,
    help="Seconds that pass first: 0.5, uniform:0.1,0.5 (lowest, highest), normal:1,0.2 (mean, standard deviation), "
    "lognormal:1,0.5 (median, sigma).",
)
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
    given = {name: value for name, value in values.items() if value is not None}
    _echo_made(client.add_faults([{"operation": operation, **given}]))
    return exits.OK


@fault.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@state_option
@pass_sandboxes
def load(sandboxes: Sandboxes, file: Path, state: Path | None) -> int:
    """Put the rules of a TOML FILE in force, all or none, besides those that are.

    Each is a table, [[fault]], with operation, host, guest, flavor, error, after, times, times_per_guest, probability
    and delay.
    """
    plan = fault_file.load(file)
    _echo_made(sandboxes.client(state).add_faults([fault_file.values_of(rule) for rule in plan.faults], plan.seed))
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


def _echo_made(rules: Sequence[Mapping[str, Any]]) -> None:
    for rule in rules:
        click.echo(f"rule {rule['number']} is in force: {_summary(rule)}")


def _summary(rule: Mapping[str, Any]) -> str:
    fails = f" fails: {rule['error']}" if "error" in rule else "" if "delay" in rule else " fails"
    parts = (
        ("host", " on {}"),
        ("guest", " for {}"),
        ("flavor", " of flavor {}"),
        (None, fails),
        ("delay", ", {} s late"),
        ("after", ", after {} pass"),
        ("times", ", {} times"),
        ("times_per_guest", ", {} times for each"),
        ("probability", ", with probability {:g}"),
    )
    said = (text if name is None else text.format(rule[name]) for name, text in parts if name is None or name in rule)
    return f"{rule['operation']}{''.join(said)}"
