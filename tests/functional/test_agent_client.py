"""The client: nothing that an agent does, or leaves undone, makes it hang or say twice what may be said once."""

import json
import os
import shutil
import socket
import tempfile
import threading
import time
import uuid
from pathlib import Path

import pytest

from nova_fakes.agent import failures, protocol
from nova_fakes.agent.client import Client
from nova_fakes.exceptions import (
    AgentBusy,
    AgentUnreachable,
    DeadlineExceeded,
    InvalidInput,
    PeerRefused,
    ProtocolMismatch,
    RealizerError,
)
from nova_fakes.virt.vif import registry
from nova_fakes.virt.vif.remote import RemoteRealizer

INSTANCE = str(uuid.UUID(int=5))
PLUG = protocol.Plug("h1", INSTANCE, (), True)
MIGRATE = protocol.Migrate("h2", INSTANCE, (), "h1")


def answer(value, status=200):
    body = json.dumps(value).encode()
    return b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body


def error(exception):
    return answer({"error": failures.encode(exception, "plug")}, failures.status(exception).value)


DONE = answer({"result": None})


class Scripted:
    """Answers each request with the next of `script`: bytes, or a function of the connection; None closes it."""

    def __init__(self, *script):
        self.path = Path(tempfile.mkdtemp(prefix="agent-")) / "s"
        self.requests = 0
        self._script = list(script)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._socks = []
        self.over = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._socks:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended by itself
        for thread in self._threads:
            thread.join(30)
        shutil.rmtree(self.path.parent)

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._socks.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock):
        with sock, sock.makefile("rb") as reader:
            while True:
                length = 0
                while (line := reader.readline()).strip():
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                if not line:
                    return
                reader.read(length)
                self.requests += 1
                step = self._script.pop(0)
                if step is None:
                    return
                if callable(step):
                    step(self, sock)
                    return
                sock.sendall(step)


def drip(agent, sock):
    """Answer byte by byte, for ever."""
    sock.sendall(b"HTTP/1.1 200 x\r\nX-Slow: ")
    while not agent.over.wait(0.02):
        try:
            sock.sendall(b"x")
        except OSError:
            return


def hang(agent, sock):
    agent.over.wait(60)


@pytest.mark.parametrize("behaviour", [hang, drip])
@pytest.mark.parametrize("request_", [PLUG, MIGRATE], ids=lambda request: request.verb)
def test_an_agent_that_does_not_answer_is_not_waited_for(behaviour, request_):
    with Scripted(behaviour, behaviour) as agent:
        with pytest.raises(DeadlineExceeded, match=rf"{agent.path}.*{request_.verb}.*0\.2 s"):
            Client(agent.path, deadline_s=0.2).call(request_)
        assert agent.requests == 1


def test_an_agent_that_does_not_accept_is_not_waited_for():
    with tempfile.TemporaryDirectory(prefix="agent-") as directory, socket.socket(socket.AF_UNIX) as listener:
        path = Path(directory) / "s"
        listener.bind(str(path))
        listener.listen(0)
        for _ in range(3):  # the kernel's queue takes one or two, and lets the others wait
            with pytest.raises((DeadlineExceeded, AgentUnreachable), match=str(path)):
                Client(path, deadline_s=0.2).call(PLUG)


def test_no_agent_is_told_as_such(tmp_path):
    path = tmp_path / "s"
    with pytest.raises(AgentUnreachable, match=r"plug failed: no agent at .*no such socket.*nova-fakes agent"):
        Client(path, deadline_s=2.0).call(PLUG)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    with pytest.raises(AgentUnreachable, match=r"nobody listens"):
        Client(path, deadline_s=2.0).call(PLUG)
    (tmp_path / "file").touch()
    with pytest.raises(AgentUnreachable):
        Client(tmp_path / "file", deadline_s=2.0).call(PLUG)


def test_what_may_be_said_twice_is_said_again():
    with Scripted(None, None, DONE) as agent:
        Client(agent.path, deadline_s=30).call(PLUG)
        assert agent.requests == 3


def test_what_may_not_is_not():
    with Scripted(DONE, None, DONE) as agent:
        client = Client(agent.path, deadline_s=30)
        client.call(PLUG)
        with pytest.raises(AgentUnreachable, match=r"migrate failed: .*connection was lost"):
            client.call(MIGRATE)
        assert agent.requests == 2


def test_a_busy_agent_is_asked_again_for_anything():
    with Scripted(error(AgentBusy("64 wait")), error(AgentBusy("64 wait")), DONE) as agent:
        Client(agent.path, deadline_s=30).call(MIGRATE)
        assert agent.requests == 3
    with Scripted(*[error(AgentBusy("64 wait"))] * 1000) as agent, pytest.raises(AgentBusy, match="64 wait"):
        Client(agent.path, deadline_s=0.2, sleep=lambda _: time.sleep(0.01)).call(PLUG)


def test_an_idle_connection_that_was_closed_is_replaced():
    with Scripted(DONE, DONE) as agent:
        client = Client(agent.path, deadline_s=30)
        client.call(PLUG)
        (channel,) = client._spare
        next(iter(channel._http.connections.values())).sock.shutdown(socket.SHUT_RDWR)
        client.call(PLUG)
        assert agent.requests == 2


def test_connections_are_kept_and_shared():
    with Scripted(*[DONE] * 50) as agent:
        client = Client(agent.path, deadline_s=30)
        for _ in range(50):
            client.call(PLUG)
        assert len(client._spare) == 1
        client.close()
        assert client._spare == []


@pytest.mark.parametrize(
    "exception",
    [
        ProtocolMismatch("the agent speaks protocol 2, the client 1"),
        PeerRefused("not you"),
        RealizerError("no"),
        DeadlineExceeded("later"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_agents_errors_are_raised_and_nothing_is_said_again(exception):
    with Scripted(error(exception)) as agent:
        with pytest.raises(type(exception), match=str(exception)):
            Client(agent.path, deadline_s=30).call(PLUG)
        assert agent.requests == 1


@pytest.mark.parametrize(
    "reply", [answer("hello"), answer({"result": None}, 500), b"HTTP/1.1 200 x\r\nContent-Length: 2\r\n\r\nhi"]
)
def test_something_else_on_the_socket_is_told_as_such(reply):
    with Scripted(reply) as agent, pytest.raises(AgentUnreachable, match="is no agent: it answered"):
        Client(agent.path, deadline_s=30).call(PLUG)


def test_nonsense_on_the_socket_is_told_as_such():
    with Scripted(*[b"no HTTP at all\r\n\r\n"] * 1000) as agent, pytest.raises(AgentUnreachable, match="was lost"):
        Client(agent.path, deadline_s=0.2).call(PLUG)


def test_a_result_of_another_shape_is_refused():
    with Scripted(answer({"result": {"x": 1}})) as agent, pytest.raises(InvalidInput):
        Client(agent.path, deadline_s=30).call(protocol.Counters("h1", INSTANCE))


def test_an_agent_of_another_user_is_told_nothing():
    """As where an agent asks its neighbour, which has to be of its own user."""
    with Scripted(DONE) as agent:
        with pytest.raises(AgentUnreachable, match=f"its process belongs to user {os.geteuid()}, not 4242"):
            Client(agent.path, deadline_s=30, owner=4242).call(PLUG)
        assert agent.requests == 0
        Client(agent.path, deadline_s=30, owner=os.geteuid()).call(PLUG)
        assert agent.requests == 1


def test_options_of_the_realizer_are_text_in_the_configuration():
    realizer = registry.load("remote", host="h1", socket="/run/s", deadline_s="2.5")
    assert isinstance(realizer, RemoteRealizer)
    assert (realizer._client.path, realizer._client.deadline_s) == (Path("/run/s"), 2.5)
    for value in ("soon", "0", "-1", "nan", "601"):
        with pytest.raises(InvalidInput, match="deadline_s"):
            RemoteRealizer("h1", deadline_s=value)
