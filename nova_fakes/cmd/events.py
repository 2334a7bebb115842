"""`nova-fakes events`: what the hypervisors of a running sandbox did."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from nova_fakes.cmd import exits
from nova_fakes.cmd.selection import pass_sandboxes, pick_host, pick_instance, state_option
from nova_fakes.scenario.sandboxes import Sandboxes

__all__ = ["events"]


@click.command()
@click.option("--host", help="Only of this host.")
@click.option("--instance", help="Only of this instance: its name or UUID.")
@click.option("--operation", help="Only these: spawn, pause, vif_plugged, …")
@click.option("-n", "--count", type=click.IntRange(1), default=50, show_default=True, help="How many, the latest.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@state_option
@pass_sandboxes
def events(
    sandboxes: Sandboxes,
    host: str | None,
    instance: str | None,
    operation: str | None,
    count: int,
    as_json: bool,
    state: Path | None,
) -> int:
    """Show what the hypervisors did, oldest first: time, host, operation, outcome, instance."""
    client = sandboxes.client(state)
    if host is not None:
        pick_host(client.status(), host)
    guest = None if instance is None else pick_instance(client.instances(), instance)["uuid"]
    for event in client.events(host=host, guest=guest, operation=operation)[-count:]:
        click.echo(json.dumps(event) if as_json else _line(event))
    return exits.OK


def _line(event: Mapping[str, Any]) -> str:
    time = datetime.fromtimestamp(event["time"], UTC).strftime("%H:%M:%S.%f")[:-3]
    details = " ".join(f"{name}={value}" for name, value in event["details"].items())
    whom = event["name"] or event["guest"] or "-"
    return f"{time}  {event['host']:<16} {event['operation']:<24} {event['outcome']:<24} {whom}  {details}".rstrip()
