"""The one thread in which a fabric works.

Entering a namespace moves a thread, not a process, so a fabric does everything in a thread of its own. More threads
would not help: the kernel's rtnl lock takes one at a time. State that only this thread touches needs no lock either.
"""

from _queue import SimpleQueue
from collections.abc import Callable
from typing import Any, TypeVar

from nova_fakes.exceptions import RealizerError
from nova_fakes.virt.vif import namespaces

__all__ = ["Job", "Worker"]

T = TypeVar("T")


class Job:
    """A function on its way to the worker, and what came of it."""

    __slots__ = ("error", "finished", "function", "result")

    def __init__(self, function: Callable[[], Any], finished: Any) -> None:
        self.function = function
        self.result: Any = None
        self.error: BaseException | None = None
        self.finished = finished

    def run(self) -> None:
        """Call the function and let the caller go on."""
        try:
            self.result = self.function()
        except BaseException as error:
            self.error = error
        self.finished.release()


class Worker:
    """A thread of the operating system that runs what it is given, in order.

    :param name: the thread's name
    """

    def __init__(self, name: str) -> None:
        self._threading = namespaces.native_threading()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._gate = self._threading.Lock()
        self._closed = False
        # A daemon: a process that forgets to close still ends, and the ledger knows what it left.
        self._thread = self._threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, function: Callable[[], T]) -> T:
        """Run the function in the worker's thread and return what it returns; from that thread, at once.

        :raises RealizerError: the worker is closed
        :raises Exception: whatever the function raises
        """
        if self._threading.get_ident() == self._thread.ident:
            return function()
        finished = self._threading.Lock()
        finished.acquire()
        job = Job(function, finished)
        self._put(job)
        finished.acquire()
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    def close(self) -> None:
        """End the thread after what it was given before; a second time does nothing."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
            self._jobs.put(None)
        self._thread.join()

    def waiting(self) -> int:
        """Return how many jobs nobody has begun."""
        return self._jobs.qsize()

    def _put(self, job: "Job") -> None:
        with self._gate:
            if self._closed:
                raise RealizerError("the fabric is closed; make a new one")
            self._jobs.put(job)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()
            del job  # it may hold the last reference to a closed instance
