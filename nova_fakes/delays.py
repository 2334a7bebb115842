"""How long something is delayed: always the same, or drawn from a distribution.

As text, on the command line and in files: ``0.5``, ``uniform:0.1,0.5``, ``normal:1,0.2``, ``lognormal:1,0.5``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from random import Random
from types import MappingProxyType

from nova_fakes.exceptions import InvalidInput

__all__ = ["Constant", "Delay", "LogNormal", "Normal", "Uniform", "parse"]

#: Three decades; clocks count no further than some centuries.
_LONGEST_S = 1e9
_LARGEST_SIGMA = 10


class Delay(ABC):
    """A distribution of delays; its text is what :func:`parse` takes."""

    @abstractmethod
    def draw(self, chance: Random) -> float:
        """Return a delay, seconds, 0 or more.

        :param chance: the generator that decides; one seed gives one sequence
        """


@dataclass(frozen=True, slots=True)
class Constant(Delay):
    """Always the same delay, seconds."""

    seconds: float

    def __post_init__(self) -> None:
        _check(self, "seconds")

    def draw(self, chance: Random) -> float:
        """Return it; nothing is left to chance."""
        return self.seconds

    def __str__(self) -> str:
        return _text(self.seconds)


@dataclass(frozen=True, slots=True)
class Uniform(Delay):
    """Any delay between two, seconds, all as likely."""

    low_s: float
    high_s: float

    def __post_init__(self) -> None:
        _check(self, "low_s", "high_s")
        if self.high_s < self.low_s:
            raise InvalidInput("high_s", self.high_s, f"give {_text(self.low_s)}, which is low_s, or more")

    def draw(self, chance: Random) -> float:
        """Return a delay between the two."""
        return chance.uniform(self.low_s, self.high_s)

    def __str__(self) -> str:
        return _form("uniform", self)


@dataclass(frozen=True, slots=True)
class Normal(Delay):
    """Delays around a mean, by a standard deviation, seconds; those that would be negative are none at all."""

    mean_s: float
    deviation_s: float

    def __post_init__(self) -> None:
        _check(self, "mean_s", "deviation_s")

    def draw(self, chance: Random) -> float:
        """Return a delay near the mean."""
        return max(0.0, chance.normalvariate(self.mean_s, self.deviation_s))

    def __str__(self) -> str:
        return _form("normal", self)


@dataclass(frozen=True, slots=True)
class LogNormal(Delay):
    """Mostly short delays and a few long ones: half of them are below the median, seconds.

    :param sigma: standard deviation of the logarithm: 0.5 makes one in twenty more than 2.3 times the median, 1 makes
        it more than five times
    """

    median_s: float
    sigma: float

    def __post_init__(self) -> None:
        _check(self, "median_s", "sigma")
        if self.median_s == 0:
            raise InvalidInput("median_s", self.median_s, "give seconds above 0")
        if self.sigma > _LARGEST_SIGMA:
            raise InvalidInput("sigma", self.sigma, f"give at most {_LARGEST_SIGMA}: 1 makes some delays long already")

    def draw(self, chance: Random) -> float:
        """Return a delay, seldom a long one."""
        return min(_LONGEST_S, chance.lognormvariate(math.log(self.median_s), self.sigma))

    def __str__(self) -> str:
        return _form("lognormal", self)


_DISTRIBUTIONS: Mapping[str, type[Uniform | Normal | LogNormal]] = MappingProxyType(
    {"uniform": Uniform, "normal": Normal, "lognormal": LogNormal}
)
_CURE = "write seconds, as 0.5, or uniform:LOW,HIGH, normal:MEAN,DEVIATION or lognormal:MEDIAN,SIGMA"


def parse(value: str | float) -> Delay:
    """Return the delay that a number of seconds or a text means.

    :raises InvalidInput: it means none
    """
    name, colon, numbers = str(value).partition(":")
    try:
        if not colon:
            return Constant(float(name))
        first, second = (float(number) for number in numbers.split(","))
        return _DISTRIBUTIONS[name.strip()](first, second)
    except InvalidInput as error:
        raise InvalidInput("delay", value, f"{error.field} is {error.value}: {error.cure}") from error
    except (KeyError, ValueError):
        raise InvalidInput("delay", value, _CURE) from None


def _check(delay: Delay, *names: str) -> None:
    for name in names:
        value = getattr(delay, name)
        if not 0 <= value <= _LONGEST_S:
            raise InvalidInput(name, value, f"give a number from 0 to {_text(_LONGEST_S)}")


def _form(name: str, delay: Uniform | Normal | LogNormal) -> str:
    return f"{name}:{','.join(_text(number) for number in astuple(delay))}"


def _text(number: float) -> str:
    return repr(float(number)).removesuffix(".0")
