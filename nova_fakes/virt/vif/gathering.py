"""A worker that does together what many callers want at once.

A job is a generator. It yields an operation that is cheaper together with others', and is resumed when that is done.
While the worker waits for one burst, further jobs queue up; they run up to what they yield, and make the next burst. So
a single caller waits for nobody, and many share one transaction, without a timer.
"""

from _queue import Empty
from collections.abc import Callable, Generator, Sequence

from nova_fakes.virt.vif.plan import Operation
from nova_fakes.virt.vif.worker import Job, Worker

__all__ = ["GatheringWorker"]

#: Operations in one burst at most, so that the first caller does not wait for ever.
BURST_LIMIT = 128

Steps = Generator[Operation, None, None]


class _Staged(Job):
    """A job in stages. `key` is what it concerns: two jobs of one key are never under way together."""

    __slots__ = ("key", "steps")

    def __init__(self, key: str, steps: Steps, finished: object) -> None:
        super().__init__(lambda: None, finished)
        self.key = key
        self.steps = steps


class GatheringWorker(Worker):
    """A worker with bursts.

    :param commit: does operations together; returns for each None, or why it failed
    :param after: called after each stage of each job
    :param idle: called after jobs in stages, when there is nothing more to do for now
    """

    def __init__(
        self,
        name: str,
        commit: Callable[[Sequence[Operation]], Sequence[BaseException | None]],
        after: Callable[[], None] = lambda: None,
        idle: Callable[[], None] = lambda: None,
    ) -> None:
        self._commit = commit
        self._after = after
        self._idle = idle
        self._pending: list[tuple[_Staged, Operation]] = []
        self._began = False
        super().__init__(name)

    def gather(self, key: str, steps: Steps) -> None:
        """Run the steps in the worker's thread, what they yield together with others'; return when they are done.

        From that thread they are run at once and alone.

        :raises RealizerError: the worker is closed
        :raises Exception: whatever the steps raise
        """
        if self._threading.get_ident() == self._thread.ident:
            self._alone(steps)
            return
        finished = self._threading.Lock()
        finished.acquire()
        job = _Staged(key, steps, finished)
        self._put(job)
        finished.acquire()
        if job.error is not None:
            raise job.error

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
        if len(self._pending) >= BURST_LIMIT or any(job.key == other.key for other, _operation in self._pending):
            self._burst()
        self._advance(job, lambda: next(job.steps))

    def _alone(self, steps: Steps) -> None:
        """Run steps to their end, committing each operation on its own."""
        try:
            operation = next(steps)
            while True:
                (outcome,) = self._outcomes([operation])
                operation = next(steps) if outcome is None else steps.throw(outcome)
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
            pending, self._pending = self._pending, []
            outcomes = self._outcomes([operation for _job, operation in pending])
            for (job, _operation), outcome in zip(pending, outcomes, strict=True):
                self._resume(job, outcome)

    def _resume(self, job: _Staged, outcome: BaseException | None) -> None:
        if outcome is None:
            self._advance(job, lambda: next(job.steps))
        else:
            self._advance(job, lambda: job.steps.throw(outcome))

    def _advance(self, job: _Staged, step: Callable[[], Operation]) -> None:
        try:
            try:
                operation = step()
            finally:
                self._after()
            self._pending.append((job, operation))
            return
        except StopIteration:
            pass
        except BaseException as error:
            job.error = error
        job.finished.release()
