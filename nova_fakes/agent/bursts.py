"""Runs what clients ask for, in the order in which it came: what came together is done in one go.

While one burst is done the next gathers, so that nobody waits who comes alone; a fabric that gains by it (Open vSwitch
examines all its ports at each change) asks for a moment of waiting besides. Realizers that share no fabric are called
side by side by several threads, but for one instance one after the other.

A job that nobody waits for any more is not begun. One that was begun is finished: what is half done helps nobody.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from nova_fakes.exceptions import AgentBusy, DeadlineExceeded

__all__ = ["Bursts", "Job"]

#: How many jobs are done in one go; the others wait for the next, so that none waits for very many.
_BURST_LIMIT = 64
_SIDE_BY_SIDE = 16


class Job:
    """Something to be done, and what came of it."""

    def __init__(self, function: Callable[[], Any], key: str | None = None) -> None:
        self.born = time.monotonic()
        self.key = key
        self._function = function
        self._lock = threading.Lock()
        self._finished = threading.Event()
        self._begun = self._abandoned = False
        self._result: Any = None
        self._error: Exception | None = None

    def run(self) -> None:
        """Do it, unless nobody waits for it any more; its error is kept for the one who waits."""
        with self._lock:
            if self._abandoned:
                return
            self._begun = True
        try:
            self._result = self._function()
        except Exception as error:
            self._error = error

    def fail(self, error: Exception) -> None:
        """Let it fail without having been done."""
        self._error = error

    def finish(self) -> None:
        """Wake the one who waits."""
        self._finished.set()

    def done_by(self, until: float) -> bool:
        """Wait until it is done or a moment of the monotonic clock has come; True where it is done."""
        return self._finished.wait(max(0.0, until - time.monotonic()))

    def wait(self, until: float) -> Any:
        """Wait for the result until a moment of the monotonic clock.

        :raises DeadlineExceeded: it is not done by then
        :raises Exception: whatever the function raised
        """
        if not self._finished.wait(max(0.0, until - time.monotonic())):
            with self._lock:
                if not self._begun:
                    self._abandoned = True
                    raise DeadlineExceeded("the agent did not come to it in time; nothing was changed")
            if not self._finished.is_set():
                raise DeadlineExceeded("the agent is not done in time; it goes on with it, so ask again")
        if self._error is not None:
            raise self._error
        return self._result


class Together(Protocol):
    """Does several calls in one go; what they return is of no interest, since jobs keep it."""

    def __call__(self, calls: Sequence[Callable[[], object]]) -> object:
        """Do them in order."""


class Bursts:
    """Runs jobs.

    :param together: does several calls in one go; None calls them side by side
    :param gather_s: how long the first of a burst waits for others, seconds
    :param limit: how many jobs may be waiting or running
    """

    def __init__(self, together: Together | None, *, gather_s: float = 0.0, limit: int = 64) -> None:
        self._together = together
        self._gather_s = gather_s
        self._limit = limit
        self._gate = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._unfinished: dict[Job, None] = {}
        self._running: set[str] = set()
        self._closed = False
        #: How many bursts were done, and how many jobs in them.
        self.bursts = self.jobs = 0
        count = _SIDE_BY_SIDE if together is None else 1
        self._threads = [
            threading.Thread(target=self._run, name=f"burst-{number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def do(self, function: Callable[[], Any], until: float, key: str | None = None) -> Any:
        """Have something done and return what it returns.

        :param until: the moment of the monotonic clock at which the caller stops waiting
        :param key: what is done for the same one, is done in the order in which it came
        :raises AgentBusy: too much is waiting already
        :raises DeadlineExceeded: it is not done by then
        """
        return self.submit(function, key).wait(until)

    def submit(self, function: Callable[[], Any], key: str | None = None) -> Job:
        """Have something done, for somebody who waits for it later; see `do`.

        :raises AgentBusy: too much is waiting already
        """
        job = Job(function, key)
        with self._gate:
            if self._closed or len(self._unfinished) >= self._limit:
                reason = "is ending" if self._closed else f"has {self._limit} requests waiting"
                raise AgentBusy(f"the agent {reason}; nothing was changed, ask again")
            self._unfinished[job] = None
            self._waiting.append(job)
            self._gate.notify()
        return job

    @property
    def waiting(self) -> int:
        """How many jobs wait or run."""
        return len(self._unfinished)

    def oldest_s(self) -> float:
        """Return the age of the oldest job that is not done, seconds; 0 where there is none."""
        with self._gate:
            oldest = next(iter(self._unfinished), None)
            return 0.0 if oldest is None else time.monotonic() - oldest.born

    def close(self, timeout_s: float) -> bool:
        """Take nothing more in and finish what there is; False where a job hangs beyond the timeout, in seconds."""
        with self._gate:
            self._closed = True
            self._gate.notify_all()
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        following = self._next_alone if self._together is None else self._next
        while burst := following():
            self.bursts += 1
            self.jobs += len(burst)
            if self._together is None:
                self._do(burst[0])
                continue
            try:
                self._together([partial(self._do, job) for job in burst])
            except Exception as error:
                for job in [job for job in burst if job in self._unfinished]:
                    job.fail(error)
                    self._finish(job)

    def _do(self, job: Job) -> None:
        try:
            job.run()
        finally:
            self._finish(job)

    def _finish(self, job: Job) -> None:
        with self._gate:
            del self._unfinished[job]
            if job.key in self._running:
                self._running.discard(job.key)
                self._gate.notify_all()
        job.finish()

    def _next(self) -> list[Job]:
        """Wait for jobs and take those of a burst; empty when there will be no more."""
        with self._gate:
            self._gate.wait_for(lambda: self._waiting or self._closed)
            if self._gather_s:
                self._gate.wait_for(lambda: len(self._waiting) >= _BURST_LIMIT or self._closed, self._gather_s)
            return [self._waiting.popleft() for _ in range(min(_BURST_LIMIT, len(self._waiting)))]

    def _next_alone(self) -> list[Job]:
        """Wait for a job for which nothing that came before it is still running; empty when there will be no more."""
        with self._gate:
            while True:
                for job in self._waiting:
                    if job.key not in self._running:
                        self._waiting.remove(job)
                        if job.key is not None:
                            self._running.add(job.key)
                        return [job]
                if self._closed and not self._waiting:
                    return []
                self._gate.wait()
