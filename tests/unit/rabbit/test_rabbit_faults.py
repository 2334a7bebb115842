"""Faults, history, users and virtual hosts of the engine."""

import threading

import pytest
from rabbit_kit import Client

from nova_fakes.clock import ManualClock
from nova_fakes.delays import Constant
from nova_fakes.exceptions import InvalidInput, NotInTime
from nova_fakes.faults import FaultRule
from nova_fakes.rabbit import Broker, HardError, Permission, SoftError, User


def test_a_rule_closes_a_channel_with_its_own_code(client: Client, broker: Broker) -> None:
    broker.faults.add(FaultRule("queue.declare", error=SoftError("RESOURCE_LOCKED", "busy"), times=1))
    with pytest.raises(SoftError, match="RESOURCE_LOCKED - busy"):
        client.do("queue_declare", "q")
    assert client.do("queue_declare", "q").queue == "q"


def test_confirms_are_late_or_refused_as_rules_say(client: Client, broker: Broker, clock: ManualClock) -> None:
    client.do("queue_declare", "q")
    client.do("confirm_select")
    broker.faults.add(FaultRule("confirm", delay=Constant(5.0), times=1))
    client.publish("q")
    client.publish("q")
    assert list(client.inbox.confirms) == [(2, False, True)]
    clock.advance(6)
    broker.faults.clear()
    broker.faults.add(FaultRule("confirm", times=1))
    client.publish("q")
    assert list(client.inbox.confirms) == [(2, False, True), (3, False, False), (1, False, True)]


def test_a_broker_tells_of_its_calls(client: Client, broker: Broker) -> None:
    history = broker.record()
    client.do("queue_declare", "q")
    client.publish("q")
    client.do("ack", 0, multiple=True)
    assert [call.operation for call in history] == ["queue.declare", "basic.publish", "basic.ack"]
    assert history.of("basic.p*")[0].arguments == {"exchange": "", "routing_key": "q"}


def test_a_session_or_channel_is_ended_from_outside(client: Client, broker: Broker) -> None:
    client.do("queue_declare", "q")
    error = SoftError("PRECONDITION_FAILED", "a test says so")
    with broker:
        client.channel.end(error)
    assert client.inbox.closings == [error]
    other = Client(broker)
    with broker:
        other.session.end()
    assert other.inbox.closings == [None]
    assert other.session not in broker.sessions


def test_a_blocked_broker_tells_its_sessions(client: Client, broker: Broker) -> None:
    with broker:
        broker.block("low on memory")
    assert client.inbox.blocked_by == "low on memory"
    with broker:
        broker.unblock()
    assert client.inbox.blocked_by is None


def test_brokers_in_one_process_know_nothing_of_each_other() -> None:
    one, two = Broker(seed=1), Broker(seed=1)
    Client(one).do("queue_declare", "q")
    with pytest.raises(SoftError, match="no queue"):
        Client(two).do("queue_declare", "q", passive=True)


def test_permissions_are_those_of_the_names(broker: Broker) -> None:
    broker.users.add(User("ann", "x", permissions={"/": Permission(configure="^mine", write="^(mine|amq)", read="^$")}))
    ann = Client(broker, user="ann")
    ann.do("queue_declare", "mine")
    with pytest.raises(SoftError, match=r"access to queue 'other' in vhost '/' refused for user 'ann'"):
        ann.do("queue_declare", "other")
    with pytest.raises(SoftError, match=r"access to queue 'mine' in vhost '/' refused"):
        ann.get("mine")
    ann.publish("mine")
    with pytest.raises(SoftError, match=r"access to exchange 'amq\.topic'"):
        ann.do("queue_bind", "mine", "amq.topic", "#")


def test_topics_may_be_refused(broker: Broker) -> None:
    user = broker.add_user("ann", "x")
    user.topic_permissions["/", "amq.topic"] = Permission(write="^mine", read=".*")
    ann = Client(broker, user="ann")
    ann.publish("mine.a", exchange="amq.topic")
    with pytest.raises(SoftError, match=r"access to topic 'other' in exchange 'amq.topic' in vhost '/' refused"):
        ann.publish("other", exchange="amq.topic")


def test_a_virtual_host_is_entered_by_its_users_alone(broker: Broker) -> None:
    broker.add_vhost("other")
    with pytest.raises(HardError, match="access to vhost 'other' refused for user 'guest'"):
        Client(broker, vhost="other")
    with pytest.raises(HardError, match="vhost missing not found"):
        Client(broker, vhost="missing")


def test_a_permission_is_a_regular_expression() -> None:
    with pytest.raises(InvalidInput):
        Permission(write="(")


def test_who_waits_for_a_consumer_is_woken_when_it_comes(client: Client, broker: Broker) -> None:
    waits, found = threading.Event(), threading.Event()

    def condition() -> bool:
        waits.set()
        return "q" in broker.vhosts["/"].queues

    def wait() -> None:
        if broker.wait_until(condition):
            broker.wait_for_consumers("q")
            found.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert waits.wait(30)
    client.do("queue_declare", "q")
    client.do("consume", "q")
    waiter.join()
    assert found.is_set()


def test_what_a_waiter_finds_instead_is_named(client: Client, broker: Broker) -> None:
    client.do("queue_declare", "other")
    client.do("consume", "other")
    with pytest.raises(NotInTime, match=r"'q' in vhost '/' has 0 consumers after 0 s, not 2; .* 'other' with 1"):
        broker.wait_for_consumers("q", 2, patience_s=0)
    with pytest.raises(NotInTime, match="queues there: none"):
        broker.wait_for_consumers("q", vhost="nowhere", patience_s=0)
    with broker, pytest.raises(InvalidInput, match="outside of a turn"):
        broker.wait_for_consumers("q")
