"""`nova-fakes events`: what the hypervisors of a running sandbox did, to its end or as it happens."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nova_fakes.cmd import exits
from nova_fakes.cmd.selection import pass_sandboxes, pick_host, pick_instance, state_option
from nova_fakes.scenario.sandboxes import Sandboxes

if TYPE_CHECKING:
    from nova_fakes.clock import Clock
    from nova_fakes.sandbox.client import Client

__all__ = ["events"]

POLL_S = 0.2
#: How many events are shown where nobody said.
LATEST = 50

_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
#: Details that have no place on a line: a secret, and what is shown apart.
_NOT_SHOWN = frozenset({"password", "contents", "message"})


def _since(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Read a time, or how long ago it was; return seconds since the epoch."""
    from nova_fakes.clock import SystemClock

    if value is None:
        return None
    now_s = SystemClock().now()
    ago = _AGO.fullmatch(value)
    if ago is not None:
        return now_s - float(ago[1]) * _SECONDS[ago[2]]
    today = datetime.fromtimestamp(now_s, UTC).date().isoformat()
    for text in (value, f"{today} {value}"):
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            continue
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    raise click.BadParameter(f"{value!r} is no time: give 90s, 5m, 2h or 1d, 14:30 or 2026-01-31T14:30 (UTC)")


@click.command()
@click.option("--host", help="Only of this host.")
@click.option("--instance", help="Only of this instance: its name or UUID; of one that is gone, its UUID.")
@click.option("--operation", help="Only these: spawn, pause, vif_plugged, …")
@click.option(
    "--since",
    "since_s",
    metavar="TIME",
    callback=_since,
    help="Only later ones: 90s, 5m, 2h or 1d ago, or since a time (UTC).",
)
@click.option(
    "-n", "--count", type=click.IntRange(0), help=f"How many, the latest. Default: {LATEST}; with --since, all."
)
@click.option("--all", "everything", is_flag=True, help="Every event that is kept.")
@click.option("-f", "--follow", is_flag=True, help="Go on printing what happens, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, with all that a replay needs.")
@state_option
@pass_sandboxes
def events(
    sandboxes: Sandboxes,
    host: str | None,
    instance: str | None,
    operation: str | None,
    since_s: float | None,
    count: int | None,
    everything: bool,
    follow: bool,
    as_json: bool,
    state: Path | None,
) -> int:
    """Show what the hypervisors did, oldest first: time, host, operation, outcome, instance.

    What they did before the sandbox's last start is kept too.
    """
    client = sandboxes.client(state)
    if host is not None:
        pick_host(client.status(), host)
    ask = partial(
        client.events_after,
        host=host,
        guest=None if instance is None else _uuid(client, instance),
        operation=operation,
    )
    if count is None and since_s is None and not everything:
        count = LATEST
    latest, found = ask(0, count=None if everything else count, since_s=since_s)
    _print(found, as_json)
    if follow:
        from nova_fakes.clock import SystemClock

        _follow(ask, latest, as_json, SystemClock())
    return exits.OK


def _uuid(client: Client, instance: str) -> str:
    """Return the UUID of an instance; of one that is gone nothing else is known."""
    try:
        return str(uuid.UUID(instance))
    except ValueError:
        return str(pick_instance(client.instances(), instance)["uuid"])


def _follow(ask: Callable[[int], tuple[int, list[dict[str, Any]]]], latest: int, as_json: bool, clock: Clock) -> None:
    """Print what happens after that event, for ever."""
    while True:
        clock.sleep(POLL_S)
        latest, found = ask(latest)
        _print(found, as_json)


def _print(found: Iterable[Mapping[str, Any]], as_json: bool) -> None:
    for event in found:
        click.echo(json.dumps(event) if as_json else _line(event))


def _line(event: Mapping[str, Any]) -> str:
    time = datetime.fromtimestamp(event["time"], UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    shown = [
        f"{name}={value}"
        for name, value in event["details"].items()
        if name not in _NOT_SHOWN and isinstance(value, (str, int, float))
    ]
    message = " ".join(str(event["details"].get("message", "")).split())
    details = " ".join([*shown, message] if message else shown)
    whom = event["name"] or event["guest"] or "-"
    return f"{time}  {event['host']:<16} {event['operation']:<24} {event['outcome']:<24} {whom}  {details}".rstrip()
