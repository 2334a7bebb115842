"""Geometry of the report's charts: numbers become positions here, the template only draws."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Cell", "Chart", "Matrix", "Point", "Tick", "migration_chart", "ping_matrix"]

# The drawing area of the migration chart, in SVG user units.
LEFT, TOP, WIDTH, HEIGHT = 48.0, 10.0, 840.0, 180.0
# Steps of a scale that a reader can count in.
_NICE = (1.0, 2.0, 5.0, 10.0)
MAXIMUM_TICKS = 8


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a ping matrix: what it says, and how it looks.

    :param kind: "self", "answer", "partial" or "lost"
    :param weight: 0 for the quickest mean reply of the matrix, 1 for the slowest
    """

    kind: str
    text: str
    hint: str
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Matrix:
    """A ping matrix of one family."""

    family: int
    names: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Point:
    """One reply, where it is drawn."""

    x: float
    y: float
    hint: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Round-trip times over time, with the span of the migration."""

    left: float
    top: float
    width: float
    height: float
    points: tuple[Point, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    span_from: float
    span_width: float


def ping_matrix(mesh: Mapping[str, Any], family: int) -> Matrix:
    """Lay out one family of a mesh: a row for each source, a column for each target."""
    heard = {(pair["source"], pair["target"]): pair["echoes"] for pair in mesh["pairs"] if pair["family"] == family}
    means = {key: sum(echoes["rtts_ms"]) / len(echoes["rtts_ms"]) for key, echoes in heard.items() if echoes["rtts_ms"]}
    low, high = min(means.values(), default=0.0), max(means.values(), default=0.0)

    def cell(source: str, target: str) -> Cell:
        if source == target:
            return Cell("self", "", source)
        echoes = heard.get((source, target))
        if echoes is None:
            return Cell("lost", "none", f"{source} did not ping {target}")
        mean = means.get((source, target))
        hint = f"{source} → {target}: {echoes['received']} of {echoes['sent']} replies"
        if mean is None:
            return Cell("lost", "lost", hint)
        kind = "partial" if echoes["lost"] else "answer"
        weight = (mean - low) / (high - low) if high > low else 0.0
        return Cell(kind, f"{mean:.3f}", f"{hint}, mean {mean:.3f} ms", weight)

    names = tuple(mesh["names"])
    return Matrix(family, names, tuple(tuple(cell(source, target) for target in names) for source in names))


def migration_chart(migration: Mapping[str, Any] | None) -> Chart | None:
    """Lay out the pings of a migration; None where none were sent."""
    if migration is None or migration["echoes"] is None or not migration["echoes"]["rtts_ms"]:
        return None
    rtts: list[float] = list(migration["echoes"]["rtts_ms"])
    interval_s: float = migration["interval_s"]
    end_s: float = max(migration["echoes"]["sent"] * interval_s, migration["ended_s"])
    top_ms = _ceiling(max(rtts))

    def x(seconds: float) -> float:
        return round(LEFT + WIDTH * min(max(seconds / end_s, 0.0), 1.0), 2)

    def y(milliseconds: float) -> float:
        return round(TOP + HEIGHT * (1 - milliseconds / top_ms), 2)

    points = tuple(
        Point(x(number * interval_s), y(rtt), f"{number * interval_s:.2f} s: {rtt:.3f} ms")
        for number, rtt in enumerate(rtts)
    )
    began, ended = x(migration["began_s"]), x(migration["ended_s"])
    return Chart(
        left=LEFT,
        top=TOP,
        width=WIDTH,
        height=HEIGHT,
        points=points,
        x_ticks=tuple(Tick(x(value), f"{value:g} s") for value in _scale(end_s)),
        y_ticks=tuple(Tick(y(value), f"{value:g}") for value in _scale(top_ms)),
        span_from=began,
        span_width=round(ended - began, 2),
    )


def _ceiling(value: float) -> float:
    """Return the next number above that reads well: 1, 2 or 5 times a power of ten."""
    power: float = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next((step * power for step in _NICE if step * power >= value), 10.0 * power)


def _scale(end: float) -> list[float]:
    """Return marks from 0 to at most `end`, evenly spaced at steps that read well."""
    step = _ceiling(end / MAXIMUM_TICKS)
    return [round(step * number, 9) for number in range(int(end / step + 1e-9) + 1)]
