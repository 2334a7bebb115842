"""Calls that share a request: who waits, who sends, and what each gets."""

import threading
import time
import uuid

import pytest

from nova_fakes.agent import flights
from nova_fakes.agent.flights import Flights
from nova_fakes.agent.protocol import Migrate, Namespace

DEADLINE_S = 60.0


def soon(seconds=DEADLINE_S):
    return time.monotonic() + seconds


def request(number):
    return Namespace("h1", str(uuid.UUID(int=number)))


class Agent:
    """Answers with what it was asked; the first request waits until it is let go."""

    def __init__(self):
        self.requests = []
        self.entered, self.gate = threading.Event(), threading.Event()
        self.error = None
        self.again = set()
        self.flights = Flights(self.alone, self.together)

    def alone(self, request, until):
        self.requests.append([request])
        if len(self.requests) == 1:
            self.entered.set()
            self.gate.wait(DEADLINE_S)
        return request.instance

    def together(self, passengers):
        self.requests.append([passenger.request for passenger in passengers])
        if self.error is not None:
            raise self.error
        for passenger in passengers:
            passenger.again = passenger.request in self.again
            passenger.result = passenger.request.instance

    def held(self, calls, until=None):
        """Make the calls while the first is under way; returns what each got, by its number."""
        got = {}

        def call(number, one):
            try:
                got[number] = self.flights.fly(one, until or soon())
            except BaseException as error:
                got[number] = error

        threads = [threading.Thread(target=call, args=(0, request(0)))]
        threads[0].start()
        assert self.entered.wait(DEADLINE_S)
        for number, one in enumerate(calls, start=1):
            threads.append(threading.Thread(target=call, args=(number, one)))
            threads[-1].start()
            wanted = number
            while len(self.flights._waiting) < wanted and number not in got and len(self.requests) == 1:
                time.sleep(0.001)
        self.gate.set()
        for thread in threads:
            thread.join()
        return got


@pytest.fixture
def agent(monkeypatch):
    monkeypatch.setattr(flights, "_PATIENCE_S", DEADLINE_S)
    agent = Agent()
    yield agent
    agent.gate.set()


def test_what_comes_meanwhile_is_one_request(agent):
    got = agent.held([request(number) for number in range(1, 6)])
    assert [len(one) for one in agent.requests] == [1, 5]
    assert got == {number: request(number).instance for number in range(6)}
    assert agent.flights.fly(request(9), soon()) == request(9).instance
    assert len(agent.requests) == 3


def test_nobody_waits_long_for_a_slow_request(agent, monkeypatch):
    monkeypatch.setattr(flights, "_PATIENCE_S", 0.001)
    threading.Thread(target=agent.flights.fly, args=(request(0), soon())).start()
    assert agent.entered.wait(DEADLINE_S)
    assert agent.flights.fly(request(1), soon()) == request(1).instance
    assert not agent.gate.is_set()


def test_what_may_not_be_said_twice_goes_alone(agent):
    move = Migrate("h2", str(uuid.UUID(int=1)), (), "h1")
    threading.Thread(target=agent.flights.fly, args=(request(0), soon())).start()
    assert agent.entered.wait(DEADLINE_S)
    assert agent.flights.fly(move, soon()) == move.instance
    assert agent.requests[1] == [move]


def test_a_lost_request_is_told_to_each(agent):
    agent.error = ConnectionResetError("lost")
    got = agent.held([request(number) for number in range(1, 4)])
    assert got == {0: request(0).instance, 1: agent.error, 2: agent.error, 3: agent.error}


def test_who_sends_for_others_is_interrupted_alone(agent):
    agent.error = KeyboardInterrupt()
    got = agent.held([request(1), request(2)])
    assert got == {0: request(0).instance, 1: agent.error, 2: request(2).instance}


def test_what_the_agent_left_undone_is_sent_again(agent):
    agent.again = {request(2)}
    got = agent.held([request(1), request(2), request(3)])
    assert got == {number: request(number).instance for number in range(4)}
    assert agent.requests[-1] == [request(2)]


def test_whose_time_is_over_goes_nowhere(agent):
    threading.Thread(target=agent.flights.fly, args=(request(0), soon())).start()
    assert agent.entered.wait(DEADLINE_S)
    with pytest.raises(TimeoutError):
        agent.flights.fly(request(1), soon(0.01))
    agent.gate.set()
    assert agent.flights.fly(request(2), soon()) == request(2).instance
    assert [request(1)] not in agent.requests
