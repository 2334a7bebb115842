"""What the agent does: each verb on the realizer of the host that it names, by its deadline, counted and audited."""

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, runtime_checkable

import nova_fakes
from nova_fakes.agent import calls, failures, neighbour, protocol
from nova_fakes.agent.audit import Audit
from nova_fakes.agent.bursts import Bursts, Job
from nova_fakes.agent.execution import Executor
from nova_fakes.agent.hosts import Hosts
from nova_fakes.agent.metrics import Metrics
from nova_fakes.agent.peers import Peer
from nova_fakes.exceptions import InvalidInput, NovaFakesError
from nova_fakes.virt.nic import Departing
from nova_fakes.virt.vif.base import VIF, Realizer

__all__ = ["Service", "Taking"]

LOG = logging.getLogger(__name__)

#: A request older than this says that something hangs.
STUCK_S = 60.0
#: How long the calls of a batch wait for each other, seconds.
_PATIENCE_S = 0.25
#: Between the end of a command and its client's deadline, seconds.
_ANSWER_S = 1.0


@runtime_checkable
class Taking(Protocol):
    """A realizer that can take an instance over with its namespace."""

    def take(self, instance: str, vifs: Sequence[VIF], source: str | None) -> None:
        """Take it over from the namespace at that path, or make it anew where None; and announce it."""


class Service:
    """Serves requests; used by many threads at once.

    :param gather_s: how long the first of a burst waits for others; None leaves that to the fabric
    :param limit: how many requests may wait
    :param allow_exec: whether commands are run inside instances
    """

    def __init__(
        self, hosts: Hosts, audit: Audit, *, gather_s: float | None = None, limit: int = 64, allow_exec: bool = False
    ) -> None:
        fabric = hosts.fabric
        if gather_s is None:
            gather_s = float(getattr(fabric, "gather_s", 0.0))
        together = None if fabric is None else fabric.together
        self._hosts = hosts
        self._audit = audit
        self._executor = Executor(allow_exec)
        self._bursts = Bursts(together, gather_s=gather_s, limit=limit)
        self._began = time.monotonic()
        self.metrics = Metrics(version=nova_fakes.__version__, protocol=str(protocol.PROTOCOL), realizer=hosts.name)

    def serve(self, peer: Peer, call: calls.Call) -> Any:
        """Do what a call asks and return its result as JSON carries it.

        :raises NovaFakesError: it failed
        """
        began = time.monotonic()
        if isinstance(call.request, protocol.Execute):
            # Beside the changes, which it must not hold up.
            command = partial(self._execute, peer, call.request, began + call.deadline_s)
            return self._answer(call, began, partial(self._audited, peer, call, command))
        if isinstance(call.request, protocol.TakeOver):
            return self._answer(call, began, partial(self._take_over, peer, call, call.request, began))
        return self._answer(call, began, lambda: self._begin(peer, call)(began + call.deadline_s))

    def serve_batch(self, peer: Peer, batch: Sequence[calls.Call | InvalidInput]) -> list[dict[str, Any] | None]:
        """Do what several calls ask, and return their answers; see `protocol` for those that are not done soon."""
        began = time.monotonic()
        under_way = [self._begun(peer, call) for call in batch]
        patience = began + _PATIENCE_S
        answers: list[dict[str, Any] | None] = []
        for call, job in zip(batch, under_way, strict=True):
            if isinstance(call, InvalidInput):
                answers.append({"error": failures.encode(call, calls.BATCH)})
            elif isinstance(job, Job) and not job.done_by(min(patience, began + call.deadline_s)):
                answers.append(None)
            else:
                answers.append(self._batch_answer(call, began, job))
        return answers

    def _begun(self, peer: Peer, call: calls.Call | InvalidInput) -> Any:
        """Have a call of a batch begun: a `Job`, or what makes its result or raises."""
        if isinstance(call, InvalidInput):
            return None
        try:
            return self._submit(peer, call)
        except NovaFakesError as error:
            return error

    def _batch_answer(self, call: calls.Call, began: float, job: Job | NovaFakesError | None) -> dict[str, Any]:
        def result() -> Any:
            if isinstance(job, Job):
                return job.wait(began)
            if job is not None:
                raise job
            return self.health()

        try:
            return {"result": self._answer(call, began, result)}
        except Exception as error:
            if not isinstance(error, NovaFakesError):
                LOG.exception("%s failed", call.request.verb)
            return {"error": failures.encode(error, call.request.verb)}

    def _answer(self, call: calls.Call, began: float, result: Callable[[], Any]) -> Any:
        outcome = "done"
        try:
            return call.request.encode_result(result())
        except Exception as error:
            outcome = type(error).__name__
            raise
        finally:
            self.metrics.count(call.request.verb, outcome, time.monotonic() - began)

    def refused(self, peer: Peer, path: str) -> None:
        """Write down that somebody asked who may not."""
        self.metrics.count("none", "PeerRefused", 0.0)
        self._audit.refused(peer, path)

    def health(self) -> protocol.HealthReport:
        """Tell how the agent is; the status is ``stuck`` where a request does not end."""
        oldest_s = self._bursts.oldest_s()
        return protocol.HealthReport(
            status="stuck" if oldest_s > STUCK_S else "ok",
            protocol=protocol.PROTOCOL,
            version=nova_fakes.__version__,
            realizer=self._hosts.name,
            pid=os.getpid(),
            uptime_s=round(time.monotonic() - self._began, 3),
            instances=self._hosts.instances(),
            waiting=self._bursts.waiting,
            oldest_s=round(oldest_s, 3),
            audit_lines_lost=self._audit.lost,
        )

    def render_metrics(self) -> str:
        """Return the metrics as text."""
        return self.metrics.render(
            {
                "instances": ("Instances that have interfaces here.", self._hosts.instances()),
                "waiting": ("Requests that wait or run.", self._bursts.waiting),
                "oldest_seconds": ("Age of the oldest of them.", self._bursts.oldest_s()),
                "bursts_total": ("Bursts: requests that came together are done in one go.", self._bursts.bursts),
                "jobs_total": ("Requests that were done in bursts.", self._bursts.jobs),
                "uptime_seconds": ("Since the agent started.", time.monotonic() - self._began),
                "audit_lines_lost_total": ("Lines of the audit log that could not be written.", self._audit.lost),
            }
        )

    def close(self, timeout_s: float = 10.0) -> None:
        """Finish what was begun and give everything up, but leave the instances' interfaces."""
        if self._bursts.close(timeout_s):
            self._hosts.close()
        else:
            LOG.error("something hangs in the realizer; the next agent on this ledger takes over what is there")
        self._audit.close()

    def _begin(self, peer: Peer, call: calls.Call) -> Callable[[float], Any]:
        job = self._submit(peer, call)
        return job.wait if job is not None else lambda _until: self.health()

    def _submit(self, peer: Peer, call: calls.Call) -> Job | None:
        """Have a call done; None for one that is answered at once."""
        if isinstance(call.request, protocol.Health):
            return None
        perform = partial(self._perform, call.request)
        job = partial(self._audited, peer, call, perform) if call.request.changes else perform
        return self._bursts.submit(job, getattr(call.request, "instance", None))

    def _take_over(self, peer: Peer, call: calls.Call, request: protocol.TakeOver, began: float) -> None:
        # The other agent is asked in this thread: while it waits for an answer, nobody waits for it.
        source = neighbour.namespace_of(request.source_socket, request.source, request.instance, call.deadline_s / 2)

        def take() -> None:
            realizer = self._hosts.realizer(request.host)
            if isinstance(realizer, Taking):
                realizer.take(request.instance, request.vifs, source)
            else:
                realizer.plug(request.instance, request.vifs)

        job = self._bursts.submit(partial(self._audited, peer, call, take), request.instance)
        job.wait(began + call.deadline_s)

    def _execute(self, peer: Peer, request: protocol.Execute, until: float) -> protocol.Execution:
        # In time for the answer to arrive.
        until -= min(_ANSWER_S, (until - time.monotonic()) / 10)
        namespace = self._hosts.realizer(request.host).namespace(request.instance)
        return self._executor.run(peer, namespace, request.argv, until)

    def _audited(self, peer: Peer, call: calls.Call, perform: Callable[[], Any]) -> Any:
        began = time.monotonic()
        failure: Exception | None = None
        try:
            return perform()
        except Exception as error:
            failure = error
            raise
        finally:
            self._audit.change(peer, call, failure, time.monotonic() - began)

    def _perform(self, request: protocol.Request) -> Any:
        match request:
            case protocol.Migrate(host, instance, vifs, source):
                return self._hosts.realizer(host).migrate(instance, vifs, self._hosts.realizer(source))
        return _ON_REALIZER[type(request)](self._hosts.realizer(request.host), request)  # type: ignore[attr-defined]


def _unplug(realizer: Realizer, request: protocol.Unplug) -> None:
    if request.moved and isinstance(realizer, Departing):
        realizer.depart(request.instance, request.some_vifs)
    else:
        realizer.unplug(request.instance, request.some_vifs)


_ON_REALIZER: Mapping[type[protocol.Request], Callable[[Realizer, Any], Any]] = {
    protocol.Plug: lambda realizer, r: realizer.plug(r.instance, r.vifs, up=r.up),
    protocol.Unplug: _unplug,
    protocol.SetLink: lambda realizer, r: realizer.set_link(r.instance, r.up),
    protocol.PrepareMigration: lambda realizer, r: realizer.prepare_migration(r.instance, r.vifs),
    protocol.AbortMigration: lambda realizer, r: realizer.abort_migration(r.instance, r.vifs),
    protocol.Counters: lambda realizer, r: realizer.counters(r.instance),
    protocol.Namespace: lambda realizer, r: realizer.namespace(r.instance),
    protocol.Describe: lambda realizer, r: realizer.describe(),
}
