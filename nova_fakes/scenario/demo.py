"""The demo: a whole cloud is started, put through its paces, and taken away again, in under a minute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nova_fakes.scenario import building, exercises, teardown
from nova_fakes.scenario.interruption import Interruption
from nova_fakes.scenario.stage import DemoPlan, DemoServer, Stage
from nova_fakes.scenario.steps import Observer, Outcome, Step, StepResult, run_steps

__all__ = ["DemoResult", "demo_steps", "run_demo"]


def _subject(number: int) -> Callable[[Stage], DemoServer]:
    return lambda stage: stage.subject(number)


def demo_steps(plan: DemoPlan) -> list[Step[Stage]]:
    """Return the steps of the demo, in order."""
    migrated, changed, stopped = _subject(0), _subject(1), _subject(2)
    steps = [
        Step("up", f"Start a sandbox with {len(plan.hosts)} hypervisors", building.start_sandbox),
        Step("image", "Upload an image, make two flavors", building.make_image_and_flavors, ("up",)),
        Step("network", "Make a network with an IPv4 and an IPv6 subnet", building.make_networks, ("up",)),
        Step("boot", f"Boot {plan.servers} servers", building.boot_servers, ("image", "network")),
        Step("mesh", "Ping every server from every other one", exercises.ping_everybody, ("boot",)),
        Step("reading", "Read a server's diagnostics", exercises.first_reading, ("boot",)),
        Step("counters", "Ping it, read them again: counted", exercises.counters_grew, ("reading",)),
        Step("migrate", "Live-migrate a server", exercises.live_migrate, ("boot",)),
        Step("seamless", "Count the pings lost meanwhile", exercises.migration_was_seamless, ("migrate",)),
        Step("pause", "Pause a server", exercises.pause, ("boot",)),
        Step("paused", "It answers no ping", exercises.is_silent(changed), ("pause",)),
        Step("unpause", "Unpause it", exercises.unpause, ("pause",)),
        Step("unpaused", "It answers again", exercises.answers(changed), ("unpause",)),
        Step("resize", "Resize it", exercises.resize, ("unpause",)),
        Step("confirm", "Confirm the resize", exercises.confirm_resize, ("resize",)),
        Step("resized", "It answers on its new size", exercises.answers(changed), ("confirm",)),
        Step("stop", "Stop a server", exercises.stop, ("boot",)),
        Step("stopped", "It answers no ping", exercises.is_silent(stopped), ("stop",)),
        Step("start", "Start it", exercises.start, ("stop",)),
        Step("started", "It answers again", exercises.answers(stopped), ("start",)),
        Step("migrated", "The migrated server still answers", exercises.answers(migrated), ("migrate",)),
        Step("floating", "Give a server a floating IP", building.make_floating_ip, ("boot",)),
        Step("volume", "Attach a volume", building.attach_volume, ("boot",)),
    ]
    if not plan.keep:
        steps += [
            Step("delete", "Delete everything", teardown.delete_everything, ("up",)),
            Step("down", "Stop the sandbox", teardown.stop_sandbox, always=True),
            Step("leaks", "Look for anything left behind", teardown.check_leaks, always=True),
        ]
    return steps


@dataclass(frozen=True)
class DemoResult:
    """How a demo went.

    :param seconds: from its first step to its last one's end
    :param started_at: seconds since the epoch
    """

    stage: Stage
    steps: tuple[StepResult, ...]
    interrupted: bool
    started_at: float
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every step succeeded or could not be judged here."""
        return all(step.outcome in (Outcome.OK, Outcome.NOT_APPLICABLE) for step in self.steps)


def run_demo(stage: Stage, observer: Observer, interruption: Interruption | None = None) -> DemoResult:
    """Run all steps; what fails is told in the result, and everything is taken down in any case."""
    interruption = interruption or Interruption()
    started_at, began = stage.clock.now(), stage.clock.monotonic()
    steps = run_steps(demo_steps(stage.plan), stage, stage.clock, observer, interruption)
    return DemoResult(stage, tuple(steps), interruption.asked, started_at, stage.clock.monotonic() - began)
