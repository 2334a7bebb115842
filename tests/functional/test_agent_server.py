"""The server in this process: requests that never end, requests that hang, and its end in the middle of them."""

import os
import socket
import threading
import time
import uuid

import pytest

from nova_fakes.agent import protocol, server, service
from nova_fakes.agent.audit import Audit
from nova_fakes.agent.client import Client
from nova_fakes.agent.hosts import Hosts
from nova_fakes.exceptions import AgentUnreachable, DeadlineExceeded, InvalidInput
from nova_fakes.virt.vif.ledger import Ledger

DEADLINE_S = 60.0
INSTANCE = str(uuid.UUID(int=5))
PLUG = protocol.Plug("h1", INSTANCE, (), True)


class Running:
    """A server over the null realizer, in a thread."""

    def __init__(self, directory):
        self.path = directory / "s"
        self.service = service.Service(Hosts("null", Ledger()), Audit(directory / "audit"))
        self.server = server.Server(server.listen(self.path), self.service, {os.geteuid()})
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()

    def hang(self):
        """Let the host's realizer hang in `plug` until the event is set; the other event tells that it does."""
        gate, entered = threading.Event(), threading.Event()

        def plug(instance, vifs, *, up):
            entered.set()
            gate.wait(DEADLINE_S)

        self.service._hosts.realizer("h1").plug = plug
        return gate, entered

    def stop(self):
        self.server.stop()
        self.thread.join(DEADLINE_S)
        self.server.drain(DEADLINE_S)
        self.service.close()


@pytest.fixture
def running(tmp_path):
    running = Running(tmp_path)
    yield running
    if running.thread.is_alive():
        running.stop()


def test_a_new_socket_is_closed_to_others_until_it_has_its_group(tmp_path, monkeypatch):
    given, seen = server._give, []

    def look(path, gid, mode):
        seen.append(path.stat().st_mode & 0o777)
        given(path, gid, mode)

    monkeypatch.setattr(server, "_give", look)
    before = os.umask(0)
    try:
        server.listen(tmp_path / "s", mode=0o660).close()
    finally:
        os.umask(before)
    assert (seen, (tmp_path / "s").stat().st_mode & 0o777) == ([0], 0o660)


def test_who_takes_the_sockets_place_gets_nothing_by_it(tmp_path, monkeypatch):
    """In a directory that others may write to, the name may lead to a file of root's when it is to be given away."""
    victim, path = tmp_path / "shadow", tmp_path / "s"
    victim.write_text("secret")
    victim.chmod(0o600)
    given = server._give

    def swap(place, gid, mode):
        path.unlink()
        path.symlink_to(victim)
        given(place, gid, mode)

    monkeypatch.setattr(server, "_give", swap)
    with pytest.raises(InvalidInput, match="taken its place"):
        server.listen(path, mode=0o666, group=str(os.getgid() + 1))
    assert (victim.stat().st_mode & 0o777, victim.stat().st_gid) == (0o600, os.getgid())


def drip(sock):
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        sock.sendall(b"X")
        time.sleep(0.01)


def test_a_request_that_does_not_end_is_given_up(running, monkeypatch):
    monkeypatch.setattr(server, "_REQUEST_S", 0.2)
    running.server.adj.cleanup_interval = 0
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(DEADLINE_S)
        sock.connect(str(running.path))
        sock.sendall(b"POST /v2/plug HTTP/1.1\r\n")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            drip(sock)
    assert Client(running.path).call(protocol.Health()).status == "ok"


def test_an_idle_connection_is_closed_and_the_client_does_not_mind(running):
    client = Client(running.path)
    client.call(PLUG)
    running.server.adj.channel_timeout = -1
    running.server.adj.cleanup_interval = running.server.next_channel_cleanup = 0
    until = time.monotonic() + DEADLINE_S
    while running.server.active_channels and time.monotonic() < until:
        running.server.pull_trigger()
        time.sleep(0.01)
    running.server.adj.channel_timeout = 60
    client.call(PLUG)
    assert running.service.metrics._requests["plug", "done"] == 2


def test_a_realizer_that_hangs_is_told_and_does_not_stop_the_rest(running, monkeypatch):
    gate, entered = running.hang()
    with pytest.raises(DeadlineExceeded):
        Client(running.path, deadline_s=0.3).call(PLUG)
    assert entered.is_set()
    monkeypatch.setattr(service, "STUCK_S", 0.0)
    report = Client(running.path).call(protocol.Health())
    assert (report.status, report.waiting) == ("stuck", 1)
    assert Client(running.path).call(protocol.Describe("h1")).name == "null"
    gate.set()


def test_what_is_under_way_at_the_end_is_answered(running):
    gate, entered = running.hang()
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(Client(running.path).call(PLUG)))
    thread.start()
    assert entered.wait(DEADLINE_S)
    stopping = threading.Thread(target=running.stop)
    stopping.start()
    running.thread.join(DEADLINE_S)
    with pytest.raises(AgentUnreachable):
        Client(running.path, deadline_s=0.1).call(PLUG)
    gate.set()
    thread.join(DEADLINE_S)
    stopping.join(DEADLINE_S)
    assert outcomes == [None]


def test_the_end_does_not_wait_for_what_hangs(running, caplog):
    gate, entered = running.hang()
    with pytest.raises(DeadlineExceeded):
        Client(running.path, deadline_s=0.3).call(PLUG)
    assert entered.is_set()
    running.server.stop()
    running.thread.join(DEADLINE_S)
    running.server.drain(DEADLINE_S)
    running.service.close(0.1)
    assert "something hangs in the realizer" in caplog.text
    gate.set()
