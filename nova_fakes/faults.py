"""Faults as data: which operation fails or dawdles, where, when and how often.

Chance comes from one seeded generator, so that a run can be repeated.
"""

from __future__ import annotations

import builtins
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

from nova_fakes import exceptions
from nova_fakes.clock import Clock, SystemClock
from nova_fakes.delays import Delay
from nova_fakes.exceptions import InjectedFault, InvalidInput

__all__ = ["ErrorMaker", "FaultRule", "Faults", "Standing", "Target", "named_error"]

#: Makes the exception of a name with a message; None where nothing has that name.
ErrorMaker = Callable[[str, str], BaseException | None]


class Target(Protocol):
    """The guest that an operation is for."""

    @property
    def uuid(self) -> str:
        """UUID of the instance."""

    @property
    def name(self) -> str:
        """The name by which the hypervisor knows it."""

    @property
    def display_name(self) -> str | None:
        """The name that its user gave it."""

    @property
    def flavor(self) -> str | None:
        """Name of the flavor that it was made by."""


def named_error(name: str, message: str) -> BaseException | None:
    """Make an exception of nova-fakes' own or of Python's, by its name; None where neither has one."""
    found = getattr(exceptions, name, None) or getattr(builtins, name, None)
    if not isinstance(found, type) or not issubclass(found, Exception):
        return None
    try:
        return found(message)
    except TypeError:  # one that is made of other things than a text
        return None


@dataclass(frozen=True, slots=True)
class FaultRule:
    """One fault.

    :param operation: name of the operation, as the hypervisor documents it (``spawn``, ``spawn.plug``, ``pause`` …);
        a shell pattern
    :param host: name of the host, a shell pattern; None: every host
    :param guest: UUID or name of the guest, the user's or the hypervisor's, a shell pattern; None: every guest
    :param flavor: name of the guest's flavor, a shell pattern; None: every flavor
    :param error: what is raised: an exception, a class of exceptions, a function that makes one of the guest's UUID
        (None where there is no guest), or a text: the name of an exception, with a colon and a message behind it if one
        is wanted, else the message of an :class:`InjectedFault`; None raises an InjectedFault that names the operation,
        unless the rule only delays
    :param after: how many matching calls pass unharmed first
    :param times: how often the rule strikes; None: without end
    :param times_per_guest: how often it strikes one guest; None: without end
    :param probability: of striking, 0 to 1
    :param delay: what passes before the operation goes on or fails; drawn anew each time
    """

    operation: str
    host: str | None = None
    guest: str | None = None
    flavor: str | None = None
    error: BaseException | type[BaseException] | Callable[[str | None], BaseException] | str | None = None
    after: int = 0
    times: int | None = None
    times_per_guest: int | None = None
    probability: float = 1.0
    delay: Delay | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise InvalidInput("probability", self.probability, "give a number from 0 to 1")
        if self.after < 0:
            raise InvalidInput("after", self.after, "give the number of calls to let pass, 0 or more")
        for name in ("times", "times_per_guest"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidInput(name, value, "give how often the rule strikes, 1 or more, or None")
        if self.delay is not None and not isinstance(self.delay, Delay):
            raise InvalidInput("delay", self.delay, "give one of nova_fakes.delays: Constant(0.5), Uniform(0.1, 0.5) …")

    def concerns(self, host: str) -> bool:
        """Tell whether the rule is for the host."""
        return self.host is None or fnmatchcase(host, self.host)

    def matches(self, operation: str, guest: Target | None = None) -> bool:
        """Tell whether the rule is for an operation on a guest; one for certain guests is for no other operation."""
        if not fnmatchcase(operation, self.operation):
            return False
        if self.guest is None and self.flavor is None:
            return True
        if guest is None:
            return False
        if self.flavor is not None and not (guest.flavor is not None and fnmatchcase(guest.flavor, self.flavor)):
            return False
        names = (guest.uuid, guest.name, guest.display_name)
        return self.guest is None or any(known is not None and fnmatchcase(known, self.guest) for known in names)

    def failure(
        self, operation: str, host: str, uuid: str | None = None, make_error: ErrorMaker = named_error
    ) -> BaseException | None:
        """Return what a call that the rule strikes raises; None when it only takes longer.

        :param make_error: makes the exception that a text names
        """
        if isinstance(self.error, str):
            name, _colon, message = (part.strip() for part in self.error.partition(":"))
            return make_error(name, message or f"{name}, as a fault rule says") or InjectedFault(self.error)
        if isinstance(self.error, BaseException):
            return self.error
        if self.error is not None:
            made: BaseException = self.error() if isinstance(self.error, type) else self.error(uuid)
            return made
        if self.delay is not None:
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
    :param seed: of the generator that decides about probabilities and delays
    """

    def __init__(self, clock: Clock | None = None, seed: int = 0) -> None:
        self._clock: Clock = clock or SystemClock()
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._standing: tuple[Standing, ...] = ()
        self._by_host: dict[str, tuple[Standing, ...]] = {}
        #: Makes the exceptions that rules name; an adapter puts in what knows its service's.
        self.make_error: ErrorMaker = named_error
        #: Whether there is any rule: callers on a fast path look here first.
        self.active = False

    @property
    def rules(self) -> tuple[FaultRule, ...]:
        """The rules in the order in which they were added."""
        return tuple(standing.rule for standing in self._standing)

    @property
    def standing(self) -> tuple[Standing, ...]:
        """The rules with how far they have come, in that order."""
        return self._standing

    def add(self, rule: FaultRule) -> FaultRule:
        """Put a rule in force and return it."""
        self.extend([rule])
        return rule

    def extend(self, rules: Iterable[FaultRule]) -> None:
        """Put rules in force, all at once."""
        with self._lock:
            self._put((*self._standing, *(Standing(rule) for rule in rules)))

    def remove(self, rule: FaultRule) -> None:
        """Take a rule out of force.

        :raises InvalidInput: it was not in force
        """
        with self._lock:
            for index, standing in enumerate(self._standing):
                if standing.rule is rule or standing.rule == rule:
                    self._put(self._standing[:index] + self._standing[index + 1 :])
                    return
        raise InvalidInput("rule", rule, "give a rule that is in force; Faults.rules lists them")

    def clear(self) -> None:
        """Take every rule out of force."""
        with self._lock:
            self._put(())

    def reseed(self, seed: int) -> None:
        """Let chance begin anew."""
        with self._lock:
            self._random.seed(seed)

    def check(self, operation: str, host: str, guest: Target | None = None) -> None:
        """Let the operation pass, late or not at all.

        Every matching rule that strikes delays the call; the first that has an error to raise ends it.

        :param guest: for which it is; None: it concerns the host
        :raises BaseException: what the rule's ``error`` says
        """
        if not self.active:
            return
        for delay_s, failure in self.strikes(operation, host, guest):
            if delay_s:
                self._clock.sleep(delay_s)
            if failure is not None:
                raise failure

    def struck(self, operation: str, host: str) -> tuple[float, BaseException | None]:
        """Return what rules do to an operation, for a caller that cannot wait: the delay in seconds, and the error."""
        total_s = 0.0
        for delay_s, failure in self.strikes(operation, host):
            total_s += delay_s
            if failure is not None:
                return total_s, failure
        return total_s, None

    def strikes(
        self, operation: str, host: str, guest: Target | None = None
    ) -> Iterator[tuple[float, BaseException | None]]:
        """Give for each rule that strikes the delay, in seconds, and the failure, or None: for who waits by himself.

        The rules behind one that fails the call are not asked: do not go on after a failure.
        """
        uuid = None if guest is None else guest.uuid
        for standing in self._concerning(host):
            rule = standing.rule
            if not rule.matches(operation, guest):
                continue
            delay_s = self._strike(standing, uuid)
            if delay_s is not None:
                yield delay_s, rule.failure(operation, host, uuid, self.make_error)

    def _put(self, standing: tuple[Standing, ...]) -> None:
        # In this order: who finds the new dictionary finds the new rules too.
        self._standing = standing
        self._by_host = {}
        self.active = bool(standing)

    def _concerning(self, host: str) -> tuple[Standing, ...]:
        """Return the rules for a host: a fleet may have one or more for each of a thousand."""
        by_host = self._by_host
        found = by_host.get(host)
        if found is None:
            found = by_host[host] = tuple(standing for standing in self._standing if standing.rule.concerns(host))
        return found

    def _strike(self, standing: Standing, uuid: str | None) -> float | None:
        """Return for how long the rule delays the call, seconds; None where it lets the call pass."""
        rule = standing.rule
        with self._lock:
            standing.seen += 1
            if standing.seen <= rule.after:
                return None
            if rule.times is not None and standing.struck >= rule.times:
                return None
            if rule.times_per_guest is not None and standing.guests[uuid] >= rule.times_per_guest:
                return None
            if rule.probability < 1.0 and self._random.random() >= rule.probability:
                return None
            standing.struck += 1
            if rule.times_per_guest is not None:
                standing.guests[uuid] += 1
            return 0.0 if rule.delay is None else rule.delay.draw(self._random)
