"""`nova-fakes logs`: a service's log, to its end or as it grows."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from nova_fakes.cmd import exits
from nova_fakes.cmd.selection import pass_sandboxes, state_option
from nova_fakes.exceptions import InvalidInput, SandboxError
from nova_fakes.scenario.sandboxes import Sandboxes

if TYPE_CHECKING:
    from nova_fakes.clock import Clock

__all__ = ["logs"]

POLL_S = 0.2


@click.command()
@click.argument("service", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on printing what is added, until Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(min=0), default=None, help="Begin with the last N lines only.")
@state_option
@pass_sandboxes
def logs(sandboxes: Sandboxes, service: str | None, follow: bool, lines: int | None, state: Path | None) -> int:
    """Print the log of SERVICE, or, without SERVICE, the names of the logs."""
    client = sandboxes.client(state)
    names = client.log_names()
    if service is None:
        for name in names:
            click.echo(name)
        return exits.OK
    if service not in names:
        raise InvalidInput("service", service, f"the logs are: {', '.join(names) or 'none yet'}")
    path = client.log_path(service)
    if not path.exists():
        raise SandboxError(f"{service} has written no log yet: {path} is not there")
    with path.open(encoding="utf-8", errors="replace") as log:
        _print_present(log, lines)
        if follow:
            from nova_fakes.clock import SystemClock

            _follow(log, SystemClock())
    return exits.OK


def _print_present(log: TextIO, lines: int | None) -> None:
    for line in log if lines is None else deque(log, maxlen=lines):
        click.echo(line, nl=False)


def _follow(log: TextIO, clock: Clock) -> None:
    """Print what is appended to the file, for ever; begin anew where it was truncated."""
    while True:
        text = log.read()
        if text:
            click.echo(text, nl=False)
            continue
        if Path(log.name).stat().st_size < log.tell():
            log.seek(0)
            continue
        clock.sleep(POLL_S)
