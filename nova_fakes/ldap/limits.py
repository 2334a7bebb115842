"""How many entries a search gives to whom, and how long it may take (slapd.conf(5), `limits`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap.access import Identity

__all__ = ["Limit", "Limits"]

NAMES = ("anonymous", "users", "*")
UNLIMITED = 1 << 62


@dataclass(frozen=True, slots=True)
class Limit:
    """What somebody's searches are limited to.

    :param who: `anonymous`, `users`, `*` or a DN
    :param size: how many entries; None for no end
    :param time_s: how many seconds; None for no end
    """

    who: str
    size: int | None = None
    time_s: float | None = None

    def __post_init__(self) -> None:
        for field, value in (("size", self.size), ("time_s", self.time_s)):
            if value is not None and value <= 0:
                raise InvalidInput(field, value, "give a number above 0, or None for no end")


class Limits:
    """The limits of a directory; the root DN has none but what it asks for itself.

    :param rules: the first that is about whoever searches counts
    :param default: where none is
    :param key: gives what a DN compares by
    """

    def __init__(self, rules: Iterable[Limit], default: Limit, key: Callable[[str], str]) -> None:
        self._rules = [(rule.who if rule.who in NAMES else key(rule.who), rule) for rule in rules]
        self._default = default

    def _of(self, who: Identity) -> Limit:
        for name, rule in self._rules:
            if name == "*" or (name == "anonymous" if who.is_anonymous else name in ("users", who.dn.key)):
                return rule
        return self._default

    def size(self, who: Identity, asked: int) -> int:
        """Return how many entries a search may give that asks for so many; 0 asks for all."""
        allowed = None if who.is_root else self._of(who).size
        return min(asked or UNLIMITED, allowed or UNLIMITED)

    def time_s(self, who: Identity, asked_s: float) -> float | None:
        """Return how many seconds a search may take that asks for so many; 0 asks for no end, and so stands None."""
        allowed = None if who.is_root else self._of(who).time_s
        return min((one for one in (asked_s, allowed) if one), default=None)
