"""A worker that does together what many callers want at once.

A job is a generator. It yields an operation that is cheaper together with others', and is resumed when that is done.
While the worker waits for one burst, further jobs queue up; they run up to what they yield, and make the next burst. So
a single caller waits for nobody, and many share one transaction, without a timer.

Like things done in a row are also cheaper by themselves: interpreter and kernel find in the processor's caches what
they had there for the one before.
"""

from _queue import Empty
from collections import deque
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Protocol, TypeVar

from greenlet import getcurrent, greenlet

from nova_fakes.virt.vif.plan import Operation
from nova_fakes.virt.vif.worker import Job, Worker

__all__ = ["GatheringWorker", "outcome"]

T = TypeVar("T")
Steps = Generator[Operation, None, None]


class _Finish(Protocol):
    """What is told that a job is over."""

    def release(self) -> None:
        """Let whoever waits for it go on."""


class _Staged(Job):
    """A job in stages. `key` is what it concerns: two jobs of one key are never under way together."""

    __slots__ = ("key", "steps")

    def __init__(self, key: str, steps: Steps, finished: _Finish) -> None:
        super().__init__(lambda: None, finished)
        self.key = key
        self.steps = steps


class _Turns:
    """Calls in one thread of which some wait: each is a greenlet, and who need not wait any more has a turn."""

    def __init__(self) -> None:
        self._hub = getcurrent()
        self._ready: deque[greenlet] = deque()

    def add(self, call: Callable[[], None]) -> None:
        """Have a call made."""
        self._ready.append(greenlet(call))

    def take(self) -> None:
        """Let everybody go on who can, until all wait or are done."""
        while self._ready:
            self._ready.popleft().switch()

    def wait(self) -> None:
        """Let the others go on until the calling one's turn comes again."""
        self._hub.switch()

    def turn(self) -> "_Turn":
        """Return the calling one's next turn."""
        return _Turn(self._ready, getcurrent())


class _Turn:
    """The next turn of a call that waits."""

    def __init__(self, ready: deque[greenlet], waiting: greenlet) -> None:
        self._ready = ready
        self._waiting = waiting

    def release(self) -> None:
        """Let it come."""
        self._ready.append(self._waiting)


class GatheringWorker(Worker):
    """A worker with bursts.

    :param commit: does operations together; returns for each None, or why it failed
    :param after: called after each stage of each job
    :param idle: called after jobs in stages, when there is nothing more to do for now
    :param limit: operations in one burst at most, so that the first caller does not wait for ever
    """

    def __init__(
        self,
        name: str,
        commit: Callable[[Sequence[Operation]], Sequence[BaseException | None]],
        after: Callable[[], None] = lambda: None,
        idle: Callable[[], None] = lambda: None,
        limit: int = 128,
    ) -> None:
        self._commit = commit
        self._after = after
        self._idle = idle
        self._pending: dict[str, tuple[_Staged, Operation]] = {}
        self._limit = limit
        self._began = False
        self._turns: _Turns | None = None
        super().__init__(name)

    def call(self, function: Callable[[], T]) -> T:
        """Run the function in the worker's thread, after what was asked for before it, and return what it returns.

        :raises RealizerError: the worker is closed
        :raises Exception: whatever the function raises
        """
        if self._threading.get_ident() == self._thread.ident:
            self._burst()
        return super().call(function)

    def gather(self, key: str, steps: Steps) -> None:
        """Run the steps in the worker's thread, what they yield together with others'; return when they are done.

        From that thread they are run at once and alone, but for the calls of `together`.

        :raises RealizerError: the worker is closed
        :raises Exception: whatever the steps raise
        """
        if self._threading.get_ident() != self._thread.ident:
            finished = self._threading.Lock()
            finished.acquire()
            job = _Staged(key, steps, finished)
            self._put(job)
            finished.acquire()
        elif self._turns is not None:
            job = _Staged(key, steps, self._turns.turn())
            self._begin(job)
            self._turns.wait()
        else:
            self._alone(steps)
            return
        if job.error is not None:
            raise job.error

    def together(self, calls: Sequence[Callable[[], object]]) -> list[object]:
        """Make calls in the worker's thread, side by side where they `gather` something.

        :returns: of each call what it returned or the exception that it raised; one that fails stops no other
        """
        return self.call(lambda: self._side_by_side(calls))

    def _side_by_side(self, calls: Sequence[Callable[[], object]]) -> list[object]:
        outcomes: list[object] = [None] * len(calls)

        def make(place: int, call: Callable[[], object]) -> None:
            outcomes[place] = outcome(call)

        above, self._turns = self._turns, _Turns()
        try:
            for place, call in enumerate(calls):
                self._turns.add(partial(make, place, call))
            self._turns.take()
            while self._pending:
                self._burst()
                self._turns.take()
        finally:
            self._turns = above
        return outcomes

    def _run(self) -> None:
        job = self._jobs.get()
        while job is not None:
            self._begin(job)
            del job
            try:
                job = self._jobs.get_nowait()
            except Empty:
                self._round_off()
                job = self._jobs.get()
        self._round_off()

    def _round_off(self) -> None:
        self._burst()
        if self._began:
            self._began = False
            self._idle()

    def _begin(self, job: Job) -> None:
        if not isinstance(job, _Staged):
            self._burst()  # what it concerns is not known
            job.run()
            return
        self._began = True
        if len(self._pending) >= self._limit or job.key in self._pending:
            self._burst()
        self._advance(job, job.steps.__next__)

    def _alone(self, steps: Steps) -> None:
        """Run steps to their end, committing each operation on its own."""
        try:
            operation = next(steps)
            while True:
                (failure,) = self._outcomes([operation])
                operation = next(steps) if failure is None else steps.throw(failure)
        except StopIteration:
            return
        finally:
            self._after()

    def _outcomes(self, operations: Sequence[Operation]) -> Sequence[BaseException | None]:
        try:
            return self._commit(operations)
        except BaseException as error:
            return [error] * len(operations)

    def _burst(self) -> None:
        while self._pending:
            pending, self._pending = self._pending.values(), {}
            failures = self._outcomes([operation for _job, operation in pending])
            for (job, _operation), failure in zip(pending, failures, strict=True):
                self._advance(job, job.steps.__next__ if failure is None else partial(job.steps.throw, failure))

    def _advance(self, job: _Staged, step: Callable[[], Operation]) -> None:
        try:
            try:
                operation = step()
            finally:
                self._after()
            self._pending[job.key] = job, operation
            return
        except StopIteration:
            pass
        except BaseException as error:
            job.error = error
        job.finished.release()


def outcome(call: Callable[[], object]) -> object:
    """Make a call, and return what it returned or the exception that it raised."""
    try:
        return call()
    except Exception as error:
        return error
