"""Asks the agent, with httplib2 over its unix socket.

Every call has a deadline, whatever the agent does: not listening, not answering, answering byte by byte. Within it a
call is said again where that is safe: always when it cannot have reached the agent, or the agent said that it had not
begun, and for idempotent verbs also when the connection was lost. An agent that is restarted meanwhile is not noticed.
"""

from __future__ import annotations

import errno
import http.client
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nova_fakes.agent import calls, failures, protocol
from nova_fakes.agent.flights import Flights, Passenger
from nova_fakes.agent.peers import peer_of
from nova_fakes.exceptions import AgentBusy, AgentUnreachable, DeadlineExceeded, InvalidInput, NovaFakesError

__all__ = ["DEFAULT_DEADLINE_S", "DEFAULT_SOCKET", "Client"]

DEFAULT_SOCKET = Path("/run/nova-fakes/agent.sock")
DEFAULT_DEADLINE_S = 30.0
#: Between two attempts, seconds: the first wait, and the longest.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 0.5
#: Connections that are kept open for the next call.
_SPARE = 32
_AUTHORITY = "agent"

_REASONS = {
    errno.ENOENT: "there is no such socket; start it with `nova-fakes agent`, or correct the option socket",
    errno.ECONNREFUSED: "nobody listens there; start it with `nova-fakes agent`",
    errno.EACCES: "this user may not connect to it; start it with --group or --mode that allows that",
    errno.EPERM: "this user may not connect to it; start it with --group or --mode that allows that",
}


class _NotSent(Exception):
    """The agent cannot have got the request."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


class _WrongOwner(PermissionError):
    """Who listens there is another user's."""


class _Lost(Exception):
    """The connection ended after the request had been sent, in part or whole."""


class _Socket(socket.socket):
    """A socket whose every wait ends at one moment of the monotonic clock."""

    until = 0.0

    def _rest(self) -> None:
        rest = self.until - time.monotonic()
        if rest <= 0:
            raise TimeoutError("the deadline has passed")
        self.settimeout(rest)

    def recv_into(self, *arguments: Any) -> int:
        """Receive, within the deadline."""
        self._rest()
        return super().recv_into(*arguments)

    def sendall(self, *arguments: Any) -> None:
        """Send, within the deadline."""
        self._rest()
        super().sendall(*arguments)


class _Channel:
    """One connection to the agent, made when it is first used."""

    def __init__(self, path: Path, owner: int | None) -> None:
        import httplib2

        channel = self

        class Connection(_Connection):
            def __init__(self, host: str, **_options: Any) -> None:
                super().__init__(host, channel)

        self.path = path
        self.owner = owner
        self.until = 0.0
        self.fresh = True
        self._connection = Connection
        self._http = httplib2.Http()
        self._http.follow_redirects = False

    def call(self, verb: str, body: bytes, until: float) -> tuple[int, bytes]:
        """Send one request and return the answer's status and body.

        :raises _NotSent: the agent did not get it
        :raises _Lost: it may have
        :raises TimeoutError: there was no answer in time
        """
        headers = {"content-type": "application/json"}
        return self._ask(f"v{protocol.PROTOCOL}/{verb}", "POST", body, headers, until)

    def get(self, path: str, until: float) -> tuple[int, bytes]:
        """Read something at the agent; the same is returned and raised."""
        return self._ask(path, "GET", None, {}, until)

    def _ask(
        self, path: str, method: str, body: bytes | None, headers: dict[str, str], until: float
    ) -> tuple[int, bytes]:
        self.until = until
        self.fresh = True
        uri = f"http://{_AUTHORITY}/{path}"
        try:
            answer, content = self._http.request(uri, method, body, headers, connection_type=self._connection)
        except (TimeoutError, _NotSent, _Lost):
            self.close()
            raise
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise _Lost(str(error) or type(error).__name__) from error
        return answer.status, content

    def close(self) -> None:
        """Close the connection; the next call makes another."""
        for connection in self._http.connections.values():
            connection.close()
        self._http.connections.clear()


class _Connection(http.client.HTTPConnection):
    """What httplib2 talks through. It would repeat a request by itself; whether that is right, the client decides."""

    def __init__(self, host: str, channel: _Channel) -> None:
        super().__init__(host)
        self._channel = channel
        self._unix: _Socket | None = None
        self._parts: list[bytes] | None = None

    def connect(self) -> None:
        """Connect to the agent's socket, once a call."""
        if not self._channel.fresh:
            raise _Lost("the agent closed the connection")
        self._channel.fresh = False
        sock = _Socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(max(0.001, self._channel.until - time.monotonic()))
            sock.connect(os.fspath(self._channel.path))
            self._check_owner(sock)
        except TimeoutError:
            sock.close()
            raise
        except OSError as error:
            sock.close()
            raise _NotSent(error) from error
        self._unix = self.sock = sock

    def _check_owner(self, sock: socket.socket) -> None:
        owner = self._channel.owner
        if owner is not None and peer_of(sock).uid != owner:
            raise _WrongOwner(errno.EPERM, f"its process belongs to user {peer_of(sock).uid}, not {owner}")

    def request(self, *arguments: Any, **options: Any) -> None:
        """Send a request, within the deadline of the call."""
        if self._unix is not None:
            self._unix.until = self._channel.until
        parts: list[bytes] = []
        self._parts = parts
        try:
            super().request(*arguments, **options)
        finally:
            self._parts = None
        self._channel.fresh = False
        super().send(b"".join(parts))

    def send(self, data: Any) -> None:
        """Keep head and body together: sent one by one, they would wake the agent twice."""
        if self._parts is None:
            super().send(data)
        else:
            self._parts.append(data)

    def close(self) -> None:
        """Close the socket."""
        self._unix = None
        super().close()


class Client:
    """Calls an agent; may be used by many threads at once.

    :param path: the agent's socket
    :param deadline_s: how long a call may take, seconds
    :param owner: the user id that the agent has to have; None asks whoever listens there
    :raises InvalidInput: the deadline is none
    """

    def __init__(
        self,
        path: str | os.PathLike[str] = DEFAULT_SOCKET,
        *,
        deadline_s: float = DEFAULT_DEADLINE_S,
        owner: int | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not 0 < deadline_s <= calls.MAX_DEADLINE_S:
            raise InvalidInput("deadline_s", deadline_s, f"give seconds, at most {calls.MAX_DEADLINE_S:g}")
        import httplib2  # noqa: F401  # it has a hundred modules: not only when the first deadline runs already

        self.path = Path(path)
        self.deadline_s = deadline_s
        self._owner = owner
        self._sleep = sleep
        self._lock = threading.Lock()
        self._spare: list[_Channel] = []
        self._flights = Flights(self._attempt, self._attempt_together)

    def call(self, request: protocol.Request) -> Any:
        """Have the agent do something and return what it returned.

        :raises AgentUnreachable: there is no agent, or it was lost on the way
        :raises DeadlineExceeded: it did not answer in time
        :raises NovaFakesError: whatever went wrong there
        """
        until = time.monotonic() + self.deadline_s
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return self._flights.fly(request, until)
            except (_NotSent, AgentBusy) as error:
                failure: Exception = error
            except _Lost as error:
                failure = error
                if not request.idempotent:
                    raise self._unreachable(request.verb, error) from error
            except TimeoutError as error:
                raise self._late(request.verb) from error
            if time.monotonic() + pause_s >= until or not _passing(failure):
                raise self._unreachable(request.verb, failure) from failure
            self._sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def metrics(self) -> str:
        """Return what the agent counts, in Prometheus' text format.

        :raises AgentUnreachable: there is no agent, or it was lost on the way
        :raises DeadlineExceeded: it did not answer in time
        :raises PeerRefused: it does not serve this user
        """
        channel = _Channel(self.path, self._owner)
        try:
            status, content = channel.get("metrics", time.monotonic() + self.deadline_s)
        except (_NotSent, _Lost) as error:
            raise self._unreachable("metrics", error) from error
        except TimeoutError as error:
            raise self._late("metrics") from error
        finally:
            channel.close()
        if status != http.client.OK:
            answer = self._read(status, content)
            raise failures.decode(answer.get("error"))
        return content.decode()

    def close(self) -> None:
        """Close the connections; a later call makes new ones."""
        with self._lock:
            spare, self._spare = self._spare, []
        for channel in spare:
            channel.close()

    def _attempt(self, request: protocol.Request, until: float) -> Any:
        body = calls.encode_call(_call(request, until))
        status, content = self._send(request.verb, body, until, idempotent=request.idempotent)
        return self._result(request, status, content)

    def _attempt_together(self, passengers: Sequence[Passenger]) -> None:
        """Send several calls as one request; what it leaves undone is sent again alone."""
        now = time.monotonic()
        waiting = [passenger for passenger in passengers if passenger.until > now]
        for passenger in passengers:
            if passenger.until <= now:
                passenger.error = TimeoutError()
        body = calls.encode_batch([_call(passenger.request, passenger.until) for passenger in waiting])
        answers: list[Any] = [None] * len(waiting)
        if waiting and len(body) <= calls.MAX_BODY_BYTES:
            until = max(passenger.until for passenger in waiting)
            status, content = self._send(calls.BATCH, body, until, idempotent=True)
            answers = self._listed(status, content, len(waiting))
        for passenger, answer in zip(waiting, answers, strict=True):
            try:
                passenger.again = answer is None
                if not passenger.again:
                    passenger.result = self._answered(passenger.request, answer)
            except Exception as error:
                passenger.error = error

    def _send(self, verb: str, body: bytes, until: float, *, idempotent: bool) -> tuple[int, bytes]:
        channel = self._take(idempotent)
        answer = channel.call(verb, body, until)
        self._give_back(channel)
        return answer

    def _take(self, idempotent: bool) -> _Channel:
        with self._lock:
            # The agent may have closed one that was idle, which only shows when it is too late to say it again.
            if self._spare and idempotent:
                return self._spare.pop()
        return _Channel(self.path, self._owner)

    def _give_back(self, channel: _Channel) -> None:
        with self._lock:
            if len(self._spare) < _SPARE:
                self._spare.append(channel)
                return
        channel.close()

    def _result(self, request: protocol.Request, status: int, content: bytes) -> Any:
        return self._answered(request, self._read(status, content))

    def _listed(self, status: int, content: bytes, count: int) -> list[Any]:
        answer = self._read(status, content)
        if "error" in answer:
            raise failures.decode(answer["error"])
        listed = answer["result"]
        if not isinstance(listed, list) or len(listed) != count or not all(map(_is_answer, listed)):
            raise AgentUnreachable(f"the agent at {self.path} answered {len(content)} bytes that are no batch's answer")
        return listed

    def _read(self, status: int, content: bytes) -> Mapping[str, Any]:
        try:
            answer = calls.load_json(content)
        except InvalidInput:
            answer = None
        if isinstance(answer, dict) and ("error" in answer or (status == http.client.OK and "result" in answer)):
            return answer
        text = ascii(content[:200].decode(errors="replace"))
        raise AgentUnreachable(f"what listens on {self.path} is no agent: it answered {status} {text}")

    def _answered(self, request: protocol.Request, answer: Mapping[str, Any]) -> Any:
        if "error" in answer:
            raise failures.decode(answer["error"])
        return request.decode_result(answer["result"])

    def _late(self, verb: str) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"the agent at {self.path} has not answered {verb} within {self.deadline_s:g} s; "
            "see its log, and `nova-fakes agent health`"
        )

    def _unreachable(self, verb: str, failure: Exception) -> NovaFakesError:
        if isinstance(failure, AgentBusy):
            return failure
        reason = f"the connection was lost ({failure})"
        if isinstance(failure, _NotSent):
            reason = _REASONS.get(failure.error.errno or 0, str(failure.error))
            if isinstance(failure.error, _WrongOwner):
                reason = str(failure.error.strerror)
        return AgentUnreachable(f"{verb} failed: no agent at {self.path}: {reason}")


def _is_answer(value: object) -> bool:
    return value is None or (isinstance(value, dict) and ("error" in value or "result" in value))


def _call(request: protocol.Request, until: float) -> calls.Call:
    rest = until - time.monotonic()
    if rest <= 0:
        raise TimeoutError
    return calls.Call(os.urandom(8).hex(), rest, request)


def _passing(failure: Exception) -> bool:
    """Tell whether another attempt may fare better: an agent that is being restarted, not one that refuses us."""
    return not (isinstance(failure, _NotSent) and failure.error.errno in (errno.EACCES, errno.EPERM, errno.ENOTSOCK))
