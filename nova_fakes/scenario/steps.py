"""A scenario's steps: small functions in a list, run in order, each with its result and time.

A step whose needs were not met is skipped, one that cannot be judged here says so, and one that tidies up always runs,
also after Ctrl-C. A step never ends the run: what it raises becomes its result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from nova_fakes.clock import Clock
from nova_fakes.exceptions import NovaFakesError
from nova_fakes.scenario.interruption import Interruption

__all__ = ["NotApplicable", "Observer", "Outcome", "Step", "StepResult", "run_steps"]

Context = TypeVar("Context")


class Outcome(StrEnum):
    """How a step ended."""

    OK = "ok"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"
    SKIPPED = "skipped"


class NotApplicable(NovaFakesError):
    """Raised by a step that cannot be judged on this sandbox; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Step(Generic[Context]):
    """One thing that a scenario does.

    :param key: short name, by which other steps need it
    :param title: what the user reads
    :param run: does it; returns what is worth telling, raises NotApplicable or any error
    :param needs: keys of the steps that must have succeeded
    :param always: run also after an interrupt: this step tidies up
    """

    key: str
    title: str
    run: Callable[[Context], str]
    needs: tuple[str, ...] = ()
    always: bool = False


@dataclass(frozen=True, slots=True)
class StepResult:
    """How one step went.

    :param started_s: seconds from the beginning of the scenario
    :param seconds: how long it took
    :param detail: what the step tells, or the reason why it failed or did not run
    """

    key: str
    title: str
    outcome: Outcome
    started_s: float
    seconds: float
    detail: str


class Observer(Protocol):
    """Is told of each step as it happens."""

    def started(self, title: str) -> None:
        """A step begins."""

    def finished(self, result: StepResult) -> None:
        """A step ended, or was passed over."""


def run_steps(
    steps: Sequence[Step[Context]],
    context: Context,
    clock: Clock,
    observer: Observer,
    interruption: Interruption,
) -> list[StepResult]:
    """Run the steps in order; return a result for each."""
    begun = clock.monotonic()
    results: dict[str, StepResult] = {}
    for step in steps:
        started_s = clock.monotonic() - begun
        refusal = _refusal(step, results, interruption.asked)
        if refusal is not None:
            outcome, detail = refusal
        else:
            observer.started(step.title)
            try:
                with interruption.exposed():
                    outcome, detail = Outcome.OK, step.run(context)
            except NotApplicable as reason:
                outcome, detail = Outcome.NOT_APPLICABLE, str(reason)
            except KeyboardInterrupt:
                outcome, detail = Outcome.FAILED, "interrupted"
            except Exception as error:
                outcome, detail = Outcome.FAILED, _reason(error)
        seconds = clock.monotonic() - begun - started_s
        results[step.key] = StepResult(step.key, step.title, outcome, started_s, seconds, detail)
        observer.finished(results[step.key])
    return list(results.values())


def _refusal(step: Step[Context], results: dict[str, StepResult], interrupted: bool) -> tuple[Outcome, str] | None:
    """Tell why the step cannot run; None if it can."""
    if interrupted and not step.always:
        return Outcome.SKIPPED, "interrupted"
    for key in step.needs:
        needed = results[key]
        if needed.outcome is Outcome.NOT_APPLICABLE:
            return Outcome.NOT_APPLICABLE, needed.detail
        if needed.outcome is not Outcome.OK:
            return Outcome.SKIPPED, f"needs '{needed.title}', which {_past(needed.outcome)}"
    return None


def _past(outcome: Outcome) -> str:
    return "failed" if outcome is Outcome.FAILED else "did not run"


def _reason(error: Exception) -> str:
    text = str(error).strip() or repr(error)
    # An error of ours explains itself; one of a library needs its class's name to be understood.
    return text if isinstance(error, NovaFakesError) else f"{type(error).__name__}: {text}"
