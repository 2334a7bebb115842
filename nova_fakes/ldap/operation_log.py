"""What a directory was asked and what it answered, in order, to look through and to assert."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from itertools import count, islice
from typing import NamedTuple

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap.dn import Dn
from nova_fakes.ldap.options import Modification, SearchRequest
from nova_fakes.ldap.results import ResultCode

__all__ = ["KEPT", "Operation", "OperationLog"]

KEPT = 5_000
SHOWN = 20
SECRET = ("passwd", "bind")


class Operation(NamedTuple):
    """One operation: what was asked, by whom, and how it ended.

    :param time_s: when it ended, seconds since the epoch by the directory's clock
    :param name: `search`, `modify` …
    :param dn: the entry's, or the base of a search, as the client wrote it
    :param identity: DN of who asked; empty for anonymous
    :param entries: how many a search gave
    :param request: of a search the request, of a modification its changes among other arguments
    """

    number: int
    time_s: float
    name: str
    dn: str
    identity: str
    code: ResultCode
    text: str
    entries: int
    request: object

    @property
    def result(self) -> str:
        """The result code's name, `no such object`."""
        return self.code.name.lower().replace("_", " ")

    def __str__(self) -> str:
        parts = [f"{self.number:>5}  {self.name:<8}", self.dn or '""', f"by {self.identity or 'anonymous'}:"]
        found = f", {self.entries} entries" if self.name == "search" else ""
        parts.append(f"{self.result}{found}{f' ({self.text})' if self.text else ''}")
        details = describe(self)
        return " ".join((*parts, f" {details}")) if details else " ".join(parts)


def describe(operation: Operation) -> str:
    """Write what an operation asked, without values, which may be secrets."""
    asked = operation.request
    if isinstance(asked, SearchRequest):
        return " ".join((asked.scope.name.lower(), str(asked.filter), *asked.attributes))
    if not isinstance(asked, tuple) or not asked or operation.name in SECRET:
        return ""
    first = asked[0]
    if isinstance(first, str):
        return first
    if isinstance(first, (list, tuple)):
        return ", ".join(map(_named, first))
    return ""


def _named(part: object) -> str:
    if isinstance(part, Modification):
        return f"{part.change.name.lower()} {part.attribute}"
    return ""


class OperationLog:
    """The last operations of a directory.

    :param parse: reads a DN; raises ValueError
    :param keep: how many are kept; 0 for none
    """

    def __init__(self, parse: Callable[[str], Dn], keep: int = KEPT) -> None:
        if keep < 0:
            raise InvalidInput("keep", keep, "give how many operations to keep, 0 or more")
        self._parse = parse
        self._operations: deque[Operation] = deque(maxlen=keep)
        self._numbers = count(1)

    def add(
        self,
        time_s: float,
        name: str,
        dn: str,
        identity: str,
        code: ResultCode,
        text: str,
        entries: int,
        request: object,
    ) -> None:
        """Add an operation at the end."""
        self._operations.append(
            Operation(next(self._numbers), time_s, name, dn, identity, code, text, entries, request)
        )

    def clear(self) -> None:
        """Forget all operations; those to come are numbered from 1."""
        self._operations.clear()
        self._numbers = count(1)

    def __len__(self) -> int:
        return len(self._operations)

    def __iter__(self) -> Iterator[Operation]:
        return iter(tuple(self._operations))

    def __str__(self) -> str:
        return "\n".join(map(str, self))

    def matching(
        self,
        operation: str | None = None,
        *,
        dn: str | None = None,
        subtree: str | None = None,
        identity: str | None = None,
        result: str | int | None = None,
    ) -> list[Operation]:
        """Return the operations that fit all that is given.

        :param operation: its name, a shell pattern
        :param dn: of the entry; it is compared as DNs are
        :param subtree: DN of the entry or of one above it
        :param identity: DN of who asked; empty for anonymous
        :param result: a result code or its name
        :raises InvalidInput: where a DN or a result's name is none
        """
        wanted_dn = None if dn is None else self._dn("dn", dn)
        wanted_above = None if subtree is None else self._dn("subtree", subtree)
        wanted_identity = None if identity is None else self._dn("identity", identity)
        code = None if result is None else _code(result)
        return [
            one
            for one in self
            if (operation is None or fnmatchcase(one.name, operation))
            and (code is None or one.code == code)
            and (wanted_dn is None or self._try_dn(one.dn) == wanted_dn)
            and (wanted_identity is None or self._try_dn(one.identity) == wanted_identity)
            and (wanted_above is None or self._is_below(one.dn, wanted_above))
        ]

    def _dn(self, field: str, text: str) -> Dn:
        try:
            return self._parse(text)
        except ValueError:
            raise InvalidInput(field, text, "give a DN, such as uid=ann,dc=example,dc=com") from None

    def _try_dn(self, text: str) -> Dn | None:
        try:
            return self._parse(text)
        except ValueError:
            return None

    def _is_below(self, text: str, above: Dn) -> bool:
        dn = self._try_dn(text)
        return dn is not None and dn.is_below(above)

    def assert_any(self, operation: str | None = None, **wanted: str | int | None) -> Operation:
        """Return the first operation that fits, as in :meth:`matching`.

        :raises AssertionError: there is none
        """
        found = self._found(operation, wanted)
        if not found:
            raise AssertionError(f"no operation was {_words(operation, wanted)}\n{self._last()}")
        return found[0]

    def assert_none(self, operation: str | None = None, **wanted: str | int | None) -> None:
        """Hold that no operation fits.

        :raises AssertionError: there is one
        """
        found = self._found(operation, wanted)
        if found:
            raise AssertionError(
                f"no operation was expected to be {_words(operation, wanted)}; {len(found)} were:\n{_lines(found)}"
            )

    def assert_count(self, number: int, operation: str | None = None, **wanted: str | int | None) -> list[Operation]:
        """Return the operations that fit, of which there are so many.

        :raises AssertionError: there are more or fewer
        """
        found = self._found(operation, wanted)
        if len(found) != number:
            expected = f"{number} operations were expected to be {_words(operation, wanted)}; {len(found)} were"
            raise AssertionError(f"{expected}:\n{_lines(found)}" if found else f"{expected}\n{self._last()}")
        return found

    def _found(self, operation: str | None, wanted: dict[str, str | int | None]) -> list[Operation]:
        return self.matching(operation, **wanted)  # type: ignore[arg-type]

    def _last(self) -> str:
        if not self._operations:
            return "there was no operation at all"
        last = list(islice(reversed(self._operations), SHOWN))[::-1]
        return f"the last {len(last)} of {len(self)} operations:\n{_lines(last)}"


def _code(result: str | int) -> ResultCode:
    """Return a result code by its number or name.

    :raises InvalidInput: where there is none
    """
    try:
        if isinstance(result, int):
            return ResultCode(result)
        return ResultCode[result.strip().replace(" ", "_").upper()]
    except (KeyError, ValueError):
        known = ", ".join(code.name.lower().replace("_", " ") for code in ResultCode)
        raise InvalidInput("result", result, f"give one of {known}") from None


def _words(operation: str | None, wanted: dict[str, str | int | None]) -> str:
    parts = [f"{name}={value!r}" for name, value in wanted.items() if value is not None]
    return ", ".join(([operation] if operation is not None else []) + parts) or "at all"


def _lines(operations: Iterable[Operation]) -> str:
    shown = list(operations)
    rest = f"\n  … and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
    return "\n".join(map(str, shown[:SHOWN])) + rest
