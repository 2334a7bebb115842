"""`nova-fakes demo`: shows a whole cloud at work, step by step, and takes it away again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nova_fakes.cmd import exits
from nova_fakes.cmd.lifecycle import hosts_option, named_hosts, realizer_option
from nova_fakes.cmd.selection import pass_sandboxes
from nova_fakes.exceptions import InvalidInput
from nova_fakes.scenario.sandboxes import Sandboxes

if TYPE_CHECKING:
    from nova_fakes.scenario.demo import DemoResult
    from nova_fakes.scenario.interruption import Interruption
    from nova_fakes.scenario.stage import DemoPlan
    from nova_fakes.temporary import TemporaryDirectory

__all__ = ["demo"]

MAXIMUM_SERVERS = 100


@click.command()
@hosts_option
@click.option(
    "--servers", type=click.IntRange(2, MAXIMUM_SERVERS), default=4, show_default=True, help="How many servers to boot."
)
@realizer_option
@click.option("--fallback-null", is_flag=True, help="Use the null realizer where the machine lacks what another needs.")
@click.option("--keep", is_flag=True, help="Leave the sandbox running, with its servers.")
@click.option(
    "--state",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="State directory, which then stays. Default: a temporary one.",
)
@click.option(
    "--report",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="Where to write the report: one HTML file that needs no network.",
)
@click.option(
    "--json", "json_file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write results here."
)
@pass_sandboxes
def demo(
    sandboxes: Sandboxes,
    hosts: int,
    servers: int,
    realizer: str,
    fallback_null: bool,
    keep: bool,
    state: Path | None,
    report: Path,
    json_file: Path | None,
) -> int:
    """Start a cloud, put it through its paces, and take it away again.

    Boots servers on several hypervisors, pings between all of them, live-migrates, pauses, resizes, stops and starts
    them, attaches what can be attached, deletes everything and looks for leaks. Ends with 1 where a step failed.
    """
    from nova_fakes.scenario.interruption import Interruption
    from nova_fakes.scenario.stage import DemoPlan
    from nova_fakes.scenario.states import demos_directory, reclaim_demos
    from nova_fakes.temporary import TemporaryDirectory

    for option, path in (("report", report), ("json", json_file)):
        if path is not None and not path.absolute().parent.is_dir():
            raise InvalidInput(option, str(path), f"there is no directory {path.absolute().parent}")
    for abandoned in reclaim_demos(sandboxes):
        click.echo(f"removed what an interrupted demo left in {abandoned}", err=True)
    temporary = None if state is not None else TemporaryDirectory(demos_directory(sandboxes.default_state()))
    plan = DemoPlan(
        state=temporary.path if temporary is not None else Path(state or "").absolute(),
        hosts=named_hosts(hosts),
        servers=servers,
        realizer=realizer,
        keep=keep,
        temporary=temporary is not None,
        fallback_null=fallback_null,
    )
    with Interruption() as interruption:
        result = _run(sandboxes, plan, temporary, interruption)
        _write_reports(result, report, json_file)
    if result.interrupted:
        return exits.INTERRUPTED
    return exits.OK if result.ok else exits.FAILED


def _run(
    sandboxes: Sandboxes, plan: DemoPlan, temporary: TemporaryDirectory | None, interruption: Interruption
) -> DemoResult:
    from nova_fakes.clock import SystemClock
    from nova_fakes.scenario.demo import run_demo
    from nova_fakes.scenario.narration import Narration
    from nova_fakes.scenario.probes import Prober
    from nova_fakes.scenario.stage import Stage, connect

    with Narration(plan) as narration:
        stage = Stage(
            plan=plan,
            sandboxes=sandboxes,
            clock=SystemClock(),
            on_progress=narration.progress,
            connect=connect,
            discard=temporary.remove if temporary is not None else _nothing,
            prober=Prober(plan.state),
        )
        narration.stage = stage
        result = run_demo(stage, narration, interruption)
        if plan.keep and stage.is_up and temporary is not None:
            temporary.release()
        elif temporary is not None:
            temporary.remove()
        narration.conclude(result)
    return result


def _nothing() -> None:
    """Leave the state directory: it is the user's."""


def _write_reports(result: DemoResult, report: Path, json_file: Path | None) -> None:
    import json

    from nova_fakes.scenario.report import render, to_mapping

    mapping = to_mapping(result)
    report.write_text(render(mapping), encoding="utf-8")
    click.echo(f"report: {report.absolute()}")
    if json_file is not None:
        json_file.write_text(json.dumps(mapping, indent=2) + "\n", encoding="utf-8")
        click.echo(f"results: {json_file.absolute()}")
