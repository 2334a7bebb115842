"""A worker that does together what many callers want at once."""

import threading

import pytest

from nova_fakes.exceptions import RealizerError
from nova_fakes.virt.vif.gathering import GatheringWorker

LIMIT = 64


class Gathered:
    """A worker whose bursts are kept; `fail` names the operations that fail."""

    def __init__(self):
        self.bursts = []
        self.fail = set()
        self.stages = 0
        self.worker = GatheringWorker("test", self.commit, self.after, limit=LIMIT)

    def commit(self, operations):
        self.bursts.append(list(operations))
        return [RealizerError(f"{one} failed") if one in self.fail else None for one in operations]

    def after(self):
        self.stages += 1

    def held(self, jobs):
        """Let threads hand in jobs while the worker is busy, then let it go; returns what each raised."""
        go, busy = threading.Event(), threading.Event()
        holder = threading.Thread(target=lambda: self.worker.call(lambda: (busy.set(), go.wait())))
        holder.start()
        busy.wait()
        outcomes = [None] * len(jobs)

        def run(number, key, steps):
            try:
                self.worker.gather(key, steps)
            except Exception as error:
                outcomes[number] = error

        threads = []
        for number, (key, steps) in enumerate(jobs):
            threads.append(threading.Thread(target=run, args=(number, key, steps)))
            threads[-1].start()
            while self.worker.waiting() < number + 1:
                pass
        go.set()
        for thread in [*threads, holder]:
            thread.join()
        return outcomes


@pytest.fixture
def gathered():
    gathered = Gathered()
    yield gathered
    gathered.worker.close()


def steps(log, name, *operations):
    for operation in operations:
        try:
            yield operation
        except RealizerError:
            log.append(f"{name} undone")
            raise
    log.append(f"{name} done")


def test_many_callers_share_a_burst(gathered):
    log = []
    outcomes = gathered.held([(f"i{n}", steps(log, f"i{n}", n)) for n in range(50)])
    assert outcomes == [None] * 50
    assert gathered.bursts == [list(range(50))]
    assert log == [f"i{n} done" for n in range(50)]


def test_one_that_fails_is_told_alone(gathered):
    log = []
    gathered.fail = {1}
    outcomes = gathered.held([(f"i{n}", steps(log, f"i{n}", n)) for n in range(3)])
    assert [None if error is None else str(error) for error in outcomes] == [None, "1 failed", None]
    assert log == ["i0 done", "i1 undone", "i2 done"]


def test_a_burst_that_fails_as_a_whole_is_told_to_all(gathered):
    gathered.worker._commit = lambda operations: 1 // 0
    outcomes = gathered.held([("a", steps([], "a", 1)), ("b", steps([], "b", 2))])
    assert [type(error) for error in outcomes] == [ZeroDivisionError, ZeroDivisionError]


def test_two_jobs_of_one_key_follow_each_other(gathered):
    log = []
    gathered.held([("i", steps(log, "first", 1)), ("j", steps(log, "other", 2)), ("i", steps(log, "second", 3))])
    assert gathered.bursts == [[1, 2], [3]]
    assert log == ["first done", "other done", "second done"]


def test_a_job_may_yield_again_or_not_at_all(gathered):
    log = []
    gathered.held([("i", steps(log, "twice", 1, 2)), ("j", steps(log, "once", 3)), ("k", steps(log, "never"))])
    assert gathered.bursts == [[1, 3], [2]]
    assert log == ["never done", "once done", "twice done"]


def test_a_burst_has_a_limit(gathered):
    gathered.held([(f"i{n}", steps([], "", n)) for n in range(LIMIT + 1)])
    assert [len(burst) for burst in gathered.bursts] == [LIMIT, 1]


def test_what_enters_a_namespace_leaves_it_after_each_stage(gathered):
    gathered.worker.gather("i", steps([], "i", 1, 2))
    assert gathered.stages == 3


def test_calls_are_answered_while_a_burst_is_open(gathered):
    assert gathered.worker.call(lambda: 7) == 7
    gathered.worker.close()
    with pytest.raises(RealizerError, match="closed"):
        gathered.worker.gather("i", steps([], "i"))


def test_from_the_workers_own_thread_steps_are_run_at_once(gathered):
    log = []
    gathered.fail = {"b"}

    def job():
        gathered.worker.gather("1", steps(log, "first", "a", "c"))
        with pytest.raises(RealizerError):
            gathered.worker.gather("2", steps(log, "second", "b"))

    gathered.worker.call(job)
    assert gathered.bursts == [["a"], ["c"], ["b"]]
    assert log == ["first done", "second undone"]


def test_it_is_told_when_there_is_nothing_more_to_do():
    idle = []
    worker = GatheringWorker("test", lambda operations: [None] * len(operations), idle=lambda: idle.append(True))
    worker.call(lambda: None)
    assert idle == []
    worker.gather("1", steps([], "job", "a"))
    worker.close()
    assert idle == [True]


def test_calls_together_share_bursts_and_go_on_one_after_the_other(gathered):
    log = []

    def call(name):
        gathered.worker.gather(name, steps(log, name, f"{name}1", f"{name}2"))
        log.append(f"{name} returns")
        return name

    assert gathered.worker.together([lambda n=n: call(n) for n in ("a", "b")]) == ["a", "b"]
    assert gathered.bursts == [["a1", "b1"], ["a2", "b2"]]
    assert log == ["a done", "b done", "a returns", "b returns"]


def test_of_calls_together_one_that_fails_stops_no_other(gathered):
    gathered.fail = {"a"}
    names = ("a", "b")
    calls = [lambda n=n: gathered.worker.gather(n, steps([], n, n)) for n in names]
    failed, fine, raised = gathered.worker.together([*calls, lambda: 1 // 0])
    assert (str(failed), fine, type(raised)) == ("a failed", None, ZeroDivisionError)
    assert gathered.bursts == [["a", "b"]]


def test_what_is_called_after_something_gathered_finds_it_done(gathered):
    log = []
    seen = []
    calls = [
        lambda: gathered.worker.gather("i", steps(log, "first", 1, 2)),
        lambda: gathered.worker.gather("i", steps(log, "second", 3)),
        lambda: gathered.worker.call(lambda: seen.extend(log)),
    ]
    assert gathered.worker.together(calls) == [None, None, None]
    assert seen == ["first done", "second done"]


def test_calls_together_within_others_together(gathered):
    def inner(n):
        return gathered.worker.gather(f"i{n}", steps([], "", n))

    def outer():
        return gathered.worker.together([lambda n=n: inner(n) for n in (2, 3)])

    assert gathered.worker.together([lambda: inner(1), outer]) == [None, [None, None]]
    assert gathered.bursts == [[1], [2, 3]]
