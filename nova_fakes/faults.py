"""Faults as data: which operation fails or dawdles, where, when and how often.

Chance comes from one seeded generator, so that a run can be repeated.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from nova_fakes.clock import Clock, SystemClock
from nova_fakes.exceptions import InjectedFault, InvalidInput

__all__ = ["FaultRule", "Faults", "Standing"]


@dataclass(frozen=True, slots=True)
class FaultRule:
    """One fault.

    :param operation: name of the operation, as the hypervisor documents it (``spawn``, ``spawn.plug``, ``pause`` …);
        a shell pattern
    :param host: name of the host, a shell pattern; None: every host
    :param guest: UUID or name of the guest, a shell pattern; None: every guest
    :param error: what is raised: an exception, a class of exceptions, a function that makes one of the guest's UUID
        (None where there is no guest), or the text of an :class:`InjectedFault`; None raises an InjectedFault that
        names the operation, unless the rule only delays
    :param after: how many matching calls pass unharmed first
    :param times: how often the rule strikes; None: without end
    :param times_per_guest: how often it strikes one guest; None: without end
    :param probability: of striking, 0 to 1
    :param delay_s: seconds that pass before the operation goes on or fails
    """

    operation: str
    host: str | None = None
    guest: str | None = None
    error: BaseException | type[BaseException] | Callable[[str | None], BaseException] | str | None = None
    after: int = 0
    times: int | None = None
    times_per_guest: int | None = None
    probability: float = 1.0
    delay_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise InvalidInput("probability", self.probability, "give a number from 0 to 1")
        if self.after < 0:
            raise InvalidInput("after", self.after, "give the number of calls to let pass, 0 or more")
        for name in ("times", "times_per_guest"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidInput(name, value, "give how often the rule strikes, 1 or more, or None")
        if self.delay_s < 0:
            raise InvalidInput("delay_s", self.delay_s, "give seconds, 0 or more")

    def matches(self, operation: str, host: str, uuid: str | None, name: str | None) -> bool:
        """Tell whether the rule concerns this call."""
        if not fnmatchcase(operation, self.operation):
            return False
        if self.host is not None and not fnmatchcase(host, self.host):
            return False
        if self.guest is None:
            return True
        return any(known is not None and fnmatchcase(known, self.guest) for known in (uuid, name))

    def failure(self, operation: str, host: str, uuid: str | None = None) -> BaseException | None:
        """Return what a call that the rule strikes raises; None when it only takes longer."""
        if isinstance(self.error, str):
            return InjectedFault(self.error)
        if isinstance(self.error, BaseException):
            return self.error
        if self.error is not None:
            made: BaseException = self.error() if isinstance(self.error, type) else self.error(uuid)
            return made
        if self.delay_s:
            return None
        return InjectedFault(f"{operation} on {host} fails, a fault rule says so: remove it to let the call pass")


class Standing:
    """How far one rule has come: calls that it matched, calls that it struck."""

    __slots__ = ("guests", "rule", "seen", "struck")

    def __init__(self, rule: FaultRule) -> None:
        self.rule = rule
        self.seen = 0
        self.struck = 0
        #: How often each guest was struck; kept for rules that limit it.
        self.guests: Counter[str | None] = Counter()


class Faults:
    """The rules in force. Without rules a check costs an attribute look-up.

    :param clock: by which delays pass
    :param seed: of the generator that decides about probabilities
    """

    def __init__(self, clock: Clock | None = None, seed: int = 0) -> None:
        self._clock: Clock = clock or SystemClock()
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._standing: list[Standing] = []
        #: Whether there is any rule: callers on a fast path look here first.
        self.active = False

    @property
    def rules(self) -> tuple[FaultRule, ...]:
        """The rules in the order in which they were added."""
        return tuple(standing.rule for standing in self._standing)

    @property
    def standing(self) -> tuple[Standing, ...]:
        """The rules with how far they have come, in that order."""
        return tuple(self._standing)

    def add(self, rule: FaultRule) -> FaultRule:
        """Put a rule in force and return it."""
        with self._lock:
            self._standing = [*self._standing, Standing(rule)]
            self.active = True
        return rule

    def remove(self, rule: FaultRule) -> None:
        """Take a rule out of force.

        :raises InvalidInput: it was not in force
        """
        with self._lock:
            for index, standing in enumerate(self._standing):
                if standing.rule is rule or standing.rule == rule:
                    self._standing = self._standing[:index] + self._standing[index + 1 :]
                    self.active = bool(self._standing)
                    return
        raise InvalidInput("rule", rule, "give a rule that is in force; Faults.rules lists them")

    def clear(self) -> None:
        """Take every rule out of force."""
        with self._lock:
            self._standing = []
            self.active = False

    def check(self, operation: str, host: str, uuid: str | None = None, name: str | None = None) -> None:
        """Let the operation pass, late or not at all.

        Every matching rule that strikes delays the call; the first that has an error to raise ends it.

        :raises BaseException: what the rule's ``error`` says
        """
        if not self.active:
            return
        for standing in self._standing:
            rule = standing.rule
            if not rule.matches(operation, host, uuid, name) or not self._strikes(standing, uuid):
                continue
            if rule.delay_s:
                self._clock.sleep(rule.delay_s)
            failure = rule.failure(operation, host, uuid)
            if failure is not None:
                raise failure

    def _strikes(self, standing: Standing, uuid: str | None) -> bool:
        rule = standing.rule
        with self._lock:
            standing.seen += 1
            if standing.seen <= rule.after:
                return False
            if rule.times is not None and standing.struck >= rule.times:
                return False
            if rule.times_per_guest is not None and standing.guests[uuid] >= rule.times_per_guest:
                return False
            if rule.probability < 1.0 and self._random.random() >= rule.probability:
                return False
            standing.struck += 1
            if rule.times_per_guest is not None:
                standing.guests[uuid] += 1
            return True
