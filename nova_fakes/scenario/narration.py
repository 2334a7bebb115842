"""The demo as the terminal shows it: each service and step as it happens, the ping matrix, the table at the end."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nova_fakes.scenario.demo import DemoResult
from nova_fakes.scenario.mesh import Mesh
from nova_fakes.scenario.probes import Echoes
from nova_fakes.scenario.stage import DemoPlan, Stage
from nova_fakes.scenario.steps import Outcome, StepResult

if TYPE_CHECKING:
    from nova_fakes.sandbox.spec import Progress

__all__ = ["Narration"]

COLOURS = {
    Outcome.OK: "green",
    Outcome.FAILED: "bold red",
    Outcome.NOT_APPLICABLE: "yellow",
    Outcome.SKIPPED: "dim",
}
# A matrix with more columns than this tears in a terminal; the report has it whole.
WIDEST_MATRIX = 12


class Narration:
    """Tells of a demo while it runs. Use it in a `with`: the spinner ends with it.

    :param console: where to write; the terminal where none is given
    """

    stage: Stage | None = None

    def __init__(self, plan: DemoPlan, console: Console | None = None) -> None:
        self._plan = plan
        self._console = console if console is not None else Console(highlight=False)
        self._status = self._console.status("")

    def __enter__(self) -> Narration:
        plan = self._plan
        told = f"{len(plan.hosts)} hosts, {plan.servers} servers, realizer {escape(plan.realizer)}"
        self._console.print(f"[bold]nova-fakes demo[/]: {told}")
        self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._status.stop()

    def progress(self, progress: Progress) -> None:
        """Tell of a service that comes up."""
        if progress.state == "starting":
            self._status.update(f"{escape(progress.service)} is starting")
            return
        colour = "bold red" if progress.state == "failed" else "dim"
        line = f"{progress.seconds:8.2f} s  {progress.service} {progress.state} {progress.detail}".rstrip()
        # Whole lines: a terminal folds them itself, and what reads a pipe wants them so.
        self._console.print(f"[{colour}]{escape(line)}[/]", soft_wrap=True)

    def started(self, title: str) -> None:
        """Show what is being done."""
        self._status.update(escape(title))

    def finished(self, result: StepResult) -> None:
        """Print a step's line, and after the ping mesh its matrix."""
        outcome = f"[{COLOURS[result.outcome]}]{result.outcome.value:<14}[/]"
        title = f"[bold]{escape(result.title)}[/]"
        self._console.print(f"{result.seconds:8.2f} s  {outcome} {title}: {escape(result.detail)}", soft_wrap=True)
        if result.key == "mesh" and self.stage is not None and self.stage.mesh is not None:
            self._print_matrix(self.stage.mesh)

    def conclude(self, result: DemoResult) -> None:
        """Print the table of all steps, and the verdict."""
        self._status.stop()
        table = Table("step", "result", box=None, pad_edge=False, header_style="bold", title_justify="left")
        table.add_column("seconds", justify="right")
        for step in result.steps:
            colour = COLOURS[step.outcome]
            table.add_row(escape(step.title), f"[{colour}]{step.outcome.value}[/]", f"{step.seconds:.2f}")
        table.add_section()
        verdict = "[green]ok[/]" if result.ok else "[bold red]failed[/]"
        table.add_row("[bold]all[/]", verdict, f"[bold]{result.seconds:.2f}[/]")
        self._console.print()
        self._console.print(table)
        if self._plan.keep and result.stage.is_up:
            state = escape(str(self._plan.state))
            self._console.print(f"\nThe sandbox runs on: [bold]nova-fakes status --state {state}[/]", soft_wrap=True)
            self._console.print(f"and ends with: [bold]nova-fakes down --purge --state {state}[/]", soft_wrap=True)

    def _print_matrix(self, mesh: Mesh) -> None:
        if len(mesh.names) > WIDEST_MATRIX:
            self._console.print(f"the matrix of {len(mesh.names)} by {len(mesh.names)} servers is in the report")
            return
        table = Table("ms, IPv4 / IPv6", *mesh.names, header_style="bold")
        for source in mesh.names:
            cells = ["·" if source == target else _cell(mesh.between(source, target)) for target in mesh.names]
            table.add_row(f"[bold]{escape(source)}[/]", *cells)
        self._console.print(table)


def _cell(heard: dict[int, Echoes]) -> str:
    return " / ".join(_mean(heard.get(family)) for family in (4, 6))


def _mean(echoes: Echoes | None) -> str:
    if echoes is None:
        return "[red]none[/]"
    if echoes.mean_ms is None:
        return "[bold red]lost[/]"
    text = f"{echoes.mean_ms:.2f}"
    return f"[yellow]{text}, {echoes.lost} lost[/]" if echoes.lost else f"[green]{text}[/]"
