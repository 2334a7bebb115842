"""Entry point of the `nova-fakes` command: the list of commands, and errors turned into messages and exit codes."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import click

import nova_fakes
from nova_fakes.cmd import exits
from nova_fakes.exceptions import NovaFakesError
from nova_fakes.scenario.sandboxes import Sandboxes

__all__ = ["cli", "main"]

#: The commands in the order in which a newcomer needs them, each with its module and what it is called there.
_COMMANDS = {
    "demo": ("demo", "demo"),
    "up": ("lifecycle", "up"),
    "status": ("status", "status"),
    "env": ("status", "env"),
    "logs": ("logs", "logs"),
    "exec": ("inside", "execute"),
    "ping": ("inside", "ping"),
    "host": ("host", "host"),
    "guest": ("guest", "guest"),
    "fault": ("fault", "fault"),
    "events": ("events", "events"),
    "down": ("lifecycle", "down"),
    "cleanup": ("lifecycle", "cleanup"),
    "doctor": ("doctor", "doctor"),
    "agent": ("agent", "agent"),
    "replay": ("agent", "replay"),
    "ldap": ("ldap", "ldap"),
    "rabbit": ("rabbit", "rabbit"),
    "api": ("api", "api"),
}


class Commands(click.Group):
    """A group that imports a command's module when the command is asked for: who serves a broker needs no other."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in their order."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; None where there is none of that name."""
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"nova_fakes.cmd.{module}"), name)
        return command


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit codes: 0 done, 1 failed, 2 wrong command line, 3 no sandbox runs, 4 no such host or instance, "
        "5 state directory or port in use, 6 namespaces not allowed, 130 interrupted."
    ),
)
@click.version_option(nova_fakes.__version__, prog_name="nova-fakes")
def cli() -> None:
    """Run a compute cloud without hypervisors.

    A real nova and a real placement, whose servers are network namespaces that answer ping. Begin with
    `nova-fakes demo`, or with `nova-fakes up` followed by `eval "$(nova-fakes env)"` and the openstack client.
    """


def main(argv: Sequence[str] | None = None, sandboxes: Sandboxes | None = None) -> int:
    """Run one command line (sys.argv where none is given) and return its exit code."""
    try:
        result = cli.main(
            args=None if argv is None else list(argv),
            prog_name="nova-fakes",
            standalone_mode=False,
            obj=sandboxes if sandboxes is not None else Sandboxes(),
        )
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("nova-fakes: interrupted", err=True)
        return exits.INTERRUPTED
    except NovaFakesError as error:
        click.echo(f"nova-fakes: {error}", err=True)
        return exits.exit_code(error)
    return result if isinstance(result, int) else exits.OK
