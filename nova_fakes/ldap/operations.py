"""What surrounds each operation of a directory: fault rules before it, all or nothing in it, the log behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from nova_fakes.clock import Clock
from nova_fakes.faults import Faults
from nova_fakes.ldap.access import ANONYMOUS, Identity
from nova_fakes.ldap.history import History, Mark
from nova_fakes.ldap.misfortune import Subject, as_ldap_error, ldap_error
from nova_fakes.ldap.operation_log import OperationLog
from nova_fakes.ldap.options import Entries, SearchRequest
from nova_fakes.ldap.results import LdapError, ResultCode

__all__ = ["Call", "Operations", "operation"]

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Call:
    """An operation that somebody asks for.

    :param operation: its name: `search`, `modify` …
    :param dn: of the entry, or the base of a search
    :param request: what else was asked: of a search the request, of others their arguments
    """

    __slots__ = ("dn", "failure", "operation", "request", "who")

    def __init__(self, operation: str, who: Identity, dn: str, request: object = None) -> None:
        self.operation = operation
        self.who = who
        self.dn = dn
        self.request = request
        #: What a fault rule ends a search with once it has found so many entries.
        self.failure: LdapError | None = None


class Operations:
    """Carries out the operations of a directory, one at a time.

    :param directory_name: what fault rules know the directory by
    :param clock: by which rules delay operations
    :param faults: the rules; those of the directory alone where none are given
    :param history: keeps what an operation changes, to write it or to undo it
    """

    def __init__(
        self, directory_name: str, clock: Clock, history: History, log: OperationLog, faults: Faults | None = None
    ) -> None:
        if faults is None:
            faults = Faults(clock)
            faults.make_error = ldap_error
        self.faults = faults
        self.log = log
        self.clock = clock
        self._name = directory_name
        self._history = history
        self._lock = threading.RLock()
        self._depth = 0
        self._owner = 0

    def is_inside(self) -> bool:
        """Tell whether an operation is being carried out in this thread: what it calls is a part of it."""
        return self._depth > 0 and self._owner == threading.get_ident()

    def pauses(self, call: Call) -> Iterator[float]:
        """Give the delays before an operation, in seconds; who carries it out waits for each.

        :raises LdapError: where a fault rule ends it
        """
        if not self.faults.active:
            return
        subject = Subject(call.dn, call.who.dn.text)
        for delay_s, failure in self.faults.strikes(f"ldap.{call.operation}", self._name, subject):
            if delay_s:
                yield delay_s
            if failure is None:
                continue
            error = as_ldap_error(failure)
            if isinstance(failure, LdapError) and failure.after is not None and call.operation == "search":
                error.after = failure.after
                call.failure = error
                return
            self._note(call, error.code, error.text)
            raise error

    def wait(self, call: Call) -> None:
        """Let the delays before an operation pass in this thread.

        :raises LdapError: where a fault rule ends it
        """
        for delay_s in self.pauses(call):
            self.clock.sleep(delay_s)

    def carry_out(self, call: Call, work: Callable[[], Result]) -> Result:
        """Do an operation: all that it changes holds, or nothing does where it raises anything.

        :raises LdapError: what the operation ends with
        """
        with self.atomic():
            try:
                result = work()
                if call.failure is not None and isinstance(result, Entries):
                    raise _cut(call.failure, result)
            except LdapError as error:
                self._note(call, error.code, error.text, error.partial)
                raise
        self._note(call, *_ending(result))
        return result

    def atomic(self) -> AbstractContextManager[None]:
        """Begin a context in which operations of this thread are one: where it raises, none of them holds."""
        return _Atomic(self)

    def enter(self) -> Mark:
        """Begin what is to hold as a whole; return where the history is."""
        self._lock.acquire()
        self._owner = threading.get_ident()
        self._depth += 1
        return self._history.begin()

    def leave(self, mark: Mark, *, failed: bool) -> None:
        """End it: let it hold, or undo it."""
        try:
            if failed:
                self._history.roll_back(mark)
            if self._depth == 1:
                self._history.commit()
        finally:
            self._depth -= 1
            self._lock.release()

    def _note(self, call: Call, code: ResultCode, text: str = "", found: Entries | None = None) -> None:
        count = len(found.found) if found is not None else 0
        self.log.add(self.clock.now(), call.operation, call.dn, call.who.dn.text, code, text, count, call.request)

    def note(self, call: Call) -> None:
        """Write an operation that asks nothing of the directory into the log."""
        self._note(call, ResultCode.SUCCESS)


class _Atomic(AbstractContextManager[None]):
    """A context in which operations are one."""

    __slots__ = ("_mark", "_operations")

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._mark: Mark = (0, 0)

    def __enter__(self) -> None:
        self._mark = self._operations.enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._operations.leave(self._mark, failed=kind is not None)


def _cut(failure: LdapError, result: Entries) -> LdapError:
    """Return a failure with the entries that were found before it."""
    del result.found[failure.after :]
    result.references.clear()
    failure.partial = result
    return failure


def _ending(result: object) -> tuple[ResultCode, str, Entries | None]:
    """Return what the log says of an operation that raised nothing."""
    if isinstance(result, Entries):
        return result.code, "", result
    if isinstance(result, bool):
        return (ResultCode.COMPARE_TRUE if result else ResultCode.COMPARE_FALSE), "", None
    return ResultCode.SUCCESS, "", None


class Surrounded(Protocol):
    """What has operations."""

    operations: Operations


Self = TypeVar("Self", bound=Surrounded)


def operation(
    name: str,
) -> Callable[[Callable[Concatenate[Self, Given], Result]], Callable[Concatenate[Self, Given], Result]]:
    """Surround a method of a directory that takes who asks and a DN, or a search request, before all else."""

    def decorate(method: Callable[Concatenate[Self, Given], Result]) -> Callable[Concatenate[Self, Given], Result]:
        @wraps(method)
        def run(self: Self, /, *args: Given.args, **named: Given.kwargs) -> Result:
            around = self.operations
            if around.is_inside():
                return method(self, *args, **named)
            call = _call(name, args, named)
            if around.faults.active:
                around.wait(call)
            return around.carry_out(call, lambda: method(self, *args, **named))

        return run

    return decorate


def _call(name: str, args: tuple[Any, ...], named: dict[str, Any]) -> Call:
    """Describe a call by the arguments of the method that does it."""
    if name == "bind":
        return Call(name, ANONYMOUS, args[0] if args else named["text"])
    who = args[0] if args else named["who"]
    if name == "search":
        request: SearchRequest = args[1] if len(args) > 1 else named["request"]
        return Call(name, who, request.base, request)
    dn = args[1] if len(args) > 1 else named["text"]
    if name == "add":
        # Values would be kept as long as the log keeps the operation.
        return Call(name, who, dn)
    return Call(name, who, dn if dn is not None else who.dn.text, (*args[2:], *named.values()))
