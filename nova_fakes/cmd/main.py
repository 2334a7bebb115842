"""Entry point of the `nova-fakes` command: the list of commands, and errors turned into messages and exit codes."""

from __future__ import annotations

from collections.abc import Sequence

import click

import nova_fakes
from nova_fakes.cmd import exits
from nova_fakes.cmd.agent import agent, replay
from nova_fakes.cmd.api import api
from nova_fakes.cmd.demo import demo
from nova_fakes.cmd.doctor import doctor
from nova_fakes.cmd.events import events
from nova_fakes.cmd.fault import fault
from nova_fakes.cmd.guest import guest
from nova_fakes.cmd.host import host
from nova_fakes.cmd.inside import execute, ping
from nova_fakes.cmd.ldap import ldap
from nova_fakes.cmd.lifecycle import cleanup, down, up
from nova_fakes.cmd.logs import logs
from nova_fakes.cmd.rabbit import rabbit
from nova_fakes.cmd.status import env, status
from nova_fakes.exceptions import NovaFakesError
from nova_fakes.scenario.sandboxes import Sandboxes

__all__ = ["cli", "main"]


class OrderedGroup(click.Group):
    """A group that lists its commands in the order in which a newcomer needs them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names as they were added."""
        return list(self.commands)


@click.group(
    cls=OrderedGroup,
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


_COMMANDS = (
    demo, up, status, env, logs, execute, ping, host, guest, fault, events, down, cleanup, doctor, agent, replay, ldap,
    rabbit,
    api,
)  # fmt: skip
for command in _COMMANDS:
    cli.add_command(command)


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
