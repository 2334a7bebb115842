"""What a guest is busy with: the rates of its counters, and how they swing.

A profile gives ranges; where in them a guest lies follows from its seed. Rates swing around their mean, gently or in
bursts, and their integral is a closed form, so that a counter costs the same after a second and after a year.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any
from zlib import crc32

from nova_fakes.exceptions import InvalidInput

__all__ = ["DEFAULT", "WORKLOADS", "Range", "Workload", "fraction"]

Range = tuple[float, float]

_FULL = 2.0**32
#: A guest's own load stays below this share of a processor: its boot needs the rest.
_BUSIEST = 0.87


def fraction(seed: int, what: str) -> float:
    """Return a number in [0, 1) that depends on nothing but the seed and the name."""
    return crc32(what.encode(), seed) / _FULL


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Workload:
    """A profile.

    :param cpu: mean use of each virtual processor, as a share of it
    :param memory: the share of its memory that the guest comes to use
    :param disk_read: bytes a second from each disk
    :param disk_write: bytes a second to each disk
    :param received: bytes a second through each interface
    :param sent: bytes a second through each interface
    :param request_bytes: mean size of a disk request
    :param packet_bytes: mean size of a packet
    :param dirty: MiB a second of memory that it writes to while it is live-migrated
    :param swing: how far rates swing around their mean, 0 to 1; what `burst` does instead where it is below 1
    :param burst: the share of the time in which it does all its work; 1: it works all the time
    :param period: seconds of one swing, or from burst to burst
    """

    name: str
    cpu: Range = (0.01, 0.25)
    memory: Range = (0.35, 0.75)
    disk_read: Range = (2_000.0, 62_000.0)
    disk_write: Range = (4_000.0, 124_000.0)
    received: Range = (3_000.0, 93_000.0)
    sent: Range = (2_000.0, 72_000.0)
    request_bytes: int = 16_384
    packet_bytes: int = 420
    dirty: Range = (5.0, 50.0)
    swing: float = 0.8
    burst: float = 1.0
    period: Range = (180.0, 3780.0)

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidInput("name of a workload", self.name, "give it a name, by which guests choose it")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple) and not 0 <= value[0] <= value[1]:
                self._refuse(field.name, value, "give the lowest and the highest, 0 or more")
        for name in ("request_bytes", "packet_bytes"):
            if getattr(self, name) < 1:
                self._refuse(name, getattr(self, name), "give 1 or more")
        if not 0 <= self.swing <= 1:
            self._refuse("swing", self.swing, "give a number from 0 to 1")
        if not 0 < self.burst <= 1:
            self._refuse("burst", self.burst, "give a share of the time, above 0 and at most 1")
        if self.period[0] <= 0:
            self._refuse("period", self.period, "give seconds above 0")
        if self.memory[1] > 1:
            self._refuse("memory", self.memory, "give shares, at most 1")
        peak = 1 / self.burst if self.burst < 1 else 1 + self.swing
        if self.cpu[1] * peak > _BUSIEST:
            self._refuse("cpu", self.cpu, f"at its busiest that is more than {_BUSIEST} of a processor; give less")

    def _refuse(self, name: str, value: Any, cure: str) -> None:
        raise InvalidInput(f"{name} of workload {self.name}", value, cure)

    @classmethod
    def from_mapping(cls, name: str, values: Mapping[str, Any]) -> Workload:
        """Make a profile of what a file says of it.

        :raises InvalidInput: a key that no profile has, or a value that does not fit
        """
        defaults = {field.name: field.default for field in fields(cls) if field.name != "name"}
        taken: dict[str, Any] = {}
        for key, value in values.items():
            what = f"{key} of workload {name}"
            if key not in defaults:
                near = get_close_matches(key, defaults, 1)
                raise InvalidInput(what, value, f"did you mean {near[0]}?" if near else f"use {', '.join(defaults)}")
            if isinstance(defaults[key], tuple):
                if not isinstance(value, (list, tuple)) or len(value) != 2 or not all(map(_is_number, value)):
                    raise InvalidInput(what, value, "give the lowest and the highest, [1.0, 2.0]")
                taken[key] = tuple(value)
            elif _is_number(value):
                taken[key] = value
            else:
                raise InvalidInput(what, value, "give one number")
        return cls(name, **taken)

    def pick(self, bounds: Range, seed: int, what: str) -> float:
        """Return where between the bounds a guest lies."""
        return bounds[0] + (bounds[1] - bounds[0]) * fraction(seed, what)

    def busy_s(self, active_s: float, seed: int, what: str) -> float:
        """Return the integral of a rate that swings around 1: it grows as the time does, at the workload's rhythm."""
        phase = fraction(seed, what)
        period_s = self.pick(self.period, seed, what + "/period")
        if self.burst < 1.0:
            begun_s = phase * period_s
            worked_s = self._bursts_s(begun_s + active_s, period_s) - self._bursts_s(begun_s, period_s)
            return worked_s / self.burst
        angle, frequency = phase * math.tau, math.tau / period_s
        return active_s + self.swing * (math.cos(angle) - math.cos(frequency * active_s + angle)) / frequency

    def _bursts_s(self, passed_s: float, period_s: float) -> float:
        whole, rest_s = divmod(passed_s, period_s)
        burst_s = self.burst * period_s
        return whole * burst_s + min(rest_s, burst_s)


#: What a guest is busy with where nobody chose.
DEFAULT = Workload("web")

#: The profiles that every fleet has, by name.
WORKLOADS: Mapping[str, Workload] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            DEFAULT,
            Workload(
                "idle",
                cpu=(0.001, 0.008),
                memory=(0.1, 0.2),
                disk_read=(0.0, 400.0),
                disk_write=(200.0, 4_000.0),
                received=(50.0, 600.0),
                sent=(20.0, 300.0),
                packet_bytes=120,
                dirty=(0.1, 1.0),
            ),
            Workload(
                "batch",
                cpu=(0.55, 0.8),
                memory=(0.6, 0.95),
                disk_read=(200_000.0, 8_000_000.0),
                disk_write=(100_000.0, 4_000_000.0),
                received=(1_000.0, 20_000.0),
                sent=(1_000.0, 20_000.0),
                request_bytes=131_072,
                dirty=(100.0, 1_500.0),
                swing=0.05,
            ),
            Workload(
                "bursty",
                cpu=(0.03, 0.1),
                disk_read=(5_000.0, 200_000.0),
                disk_write=(5_000.0, 200_000.0),
                received=(10_000.0, 400_000.0),
                sent=(10_000.0, 400_000.0),
                packet_bytes=900,
                dirty=(20.0, 300.0),
                burst=0.15,
                period=(60.0, 900.0),
            ),
        )
    }
)
