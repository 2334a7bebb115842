"""A dictionary whose keys are equal whatever their case, as names of attributes are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Generic, TypeVar

__all__ = ["cidict", "strlist_intersection", "strlist_minus", "strlist_union"]

Value = TypeVar("Value")


class cidict(MutableMapping[str, Value], Generic[Value]):
    """A dictionary that finds keys in any case, and keeps the spelling that was last used to set them."""

    __slots__ = ("_held",)

    def __init__(self, default: Mapping[str, Value] | Iterable[tuple[str, Value]] | None = None) -> None:
        self._held: dict[str, tuple[str, Value]] = {}
        if default:
            self.update(default)

    def __getitem__(self, key: str) -> Value:
        return self._held[key.lower()][1]

    def __setitem__(self, key: str, value: Value) -> None:
        self._held[key.lower()] = (key, value)

    def __delitem__(self, key: str) -> None:
        del self._held[key.lower()]

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in self._held.values())

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower() in self._held

    def has_key(self, key: str) -> bool:
        """Tell whether there is a key."""
        return key in self

    def copy(self) -> cidict[Value]:
        """Return another one with the same keys and values."""
        return cidict(self)

    __copy__ = copy

    def __repr__(self) -> str:
        return repr(dict(self))


def _spelled(names: Iterable[str]) -> cidict[str]:
    return cidict((name, name) for name in names)


def strlist_minus(a: Iterable[str], b: Iterable[str]) -> list[str]:
    """Return the strings of the first list that are not in the second."""
    there = _spelled(b)
    return [name for name in a if name not in there]


def strlist_intersection(a: Iterable[str], b: Iterable[str]) -> list[str]:
    """Return the strings of the second list that are in the first, as they are spelled there."""
    there = _spelled(a)
    return [there[name] for name in b if name in there]


def strlist_union(a: Iterable[str], b: Iterable[str]) -> Any:
    """Return the strings that are in either list."""
    return _spelled([*a, *b]).values()
