"""The demo's report: one mapping for machines, and one HTML page that needs nothing but a browser."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from nova_fakes.scenario.charts import Matrix, migration_chart, ping_matrix
from nova_fakes.scenario.stage import Migration
from nova_fakes.scenario.steps import Outcome

if TYPE_CHECKING:
    from nova_fakes.scenario.demo import DemoResult

__all__ = ["SCHEMA", "render", "to_mapping"]

SCHEMA = 1
"""Version of the mapping: raised when a key changes its meaning or goes, not when one is added."""

_PACKAGES = ("nova-fakes", "nova", "openstack-placement", "openstacksdk")


def to_mapping(result: DemoResult) -> dict[str, Any]:
    """Return everything that a demo found, as what json.dumps takes. Times are in seconds unless a key says other."""
    stage = result.stage
    return {
        "schema": SCHEMA,
        "ok": result.ok,
        "interrupted": result.interrupted,
        "started_at": datetime.fromtimestamp(result.started_at, UTC).isoformat(timespec="seconds"),
        "seconds": result.seconds,
        "hosts": list(stage.plan.hosts),
        "realizer": stage.status.get("realizer", stage.plan.realizer),
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
        "machine": {
            "system": platform.platform(),
            "python": platform.python_version(),
            "processors": os.cpu_count(),
            "root": os.geteuid() == 0,
        },
        "services": [asdict(progress) for progress in stage.services if progress.state != "starting"],
        "servers": [asdict(server) for server in stage.servers],
        "steps": [asdict(step) for step in result.steps],
        "mesh": stage.mesh.to_mapping() if stage.mesh is not None else None,
        "migration": _migration(stage.migration),
        "counters": stage.counters,
        "leaks": stage.leaks.to_mapping() if stage.leaks is not None else None,
        "errors": stage.errors,
    }


def render(mapping: Mapping[str, Any]) -> str:
    """Return the HTML page of what `to_mapping` returned, also after it was read back from JSON."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("nova_fakes.scenario"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    counts = {outcome.value: sum(step["outcome"] == outcome for step in mapping["steps"]) for outcome in Outcome}
    return environment.get_template("report.html.j2").render(
        report=mapping,
        counts=counts,
        matrices=_matrices(mapping["mesh"]),
        chart=migration_chart(mapping["migration"]),
    )


def _matrices(mesh: Mapping[str, Any] | None) -> list[Matrix]:
    return [ping_matrix(mesh, family) for family in (4, 6)] if mesh is not None else []


def _migration(migration: Migration | None) -> dict[str, Any] | None:
    return asdict(migration) if migration is not None else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
