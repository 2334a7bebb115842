"""The interface of 2011, and what was wrong with it."""

import threading

import pytest

from nova_fakes.exceptions import Conflict, InvalidInput
from nova_fakes.rabbit import HardError, SoftError, fakerabbit

PATIENCE_S = 10.0


@pytest.fixture
def backend(broker):
    made = fakerabbit.Backend(broker=broker)
    yield made
    made.close()


def declare(backend, type, exchange, **keys):
    backend.exchange_declare(exchange=exchange, type=type)
    for queue, key in keys.items():
        backend.queue_declare(queue=queue)
        backend.queue_bind(queue=queue, exchange=exchange, routing_key=key)


def bodies(backend, queue):
    found = []
    while (message := backend.get(queue, no_ack=True)) is not None:
        found.append(message.body)
    return found


@pytest.mark.parametrize(
    ("type", "reached"),
    [("direct", ["exact"]), ("topic", ["exact", "star"]), ("fanout", ["exact", "star", "other"])],
)
def test_exchanges_route_by_their_type(backend, type, reached):
    declare(backend, type, "nova", exact="compute.host1", star="compute.*", other="network")
    backend.publish("m", exchange="nova", routing_key="compute.host1")
    assert [queue for queue in ("exact", "star", "other") if bodies(backend, queue)] == reached


def test_an_exchange_of_another_type_is_refused_and_the_next_call_works(backend):
    backend.exchange_declare("nova", "topic")
    with pytest.raises(SoftError, match="inequivalent arg 'type'"):
        backend.exchange_declare("nova", "fanout")
    backend.exchange_declare("nova", "topic")


def test_a_prepared_message_comes_as_it_was_sent(backend):
    backend.queue_declare("jobs")
    message = backend.prepare_message('{"a": 1}', 2, "application/json", "utf-8", priority=3)
    assert message[:3] == ('{"a": 1}', "application/json", "utf-8")
    backend.publish(message, exchange="", routing_key="jobs", headers={"x": "y"})
    found = backend.get("jobs")
    assert (found.body, found.payload, found.headers) == ('{"a": 1}', {"a": 1}, {"x": "y"})
    assert (found.content_type, found.content_encoding) == ("application/json", "utf-8")
    assert found.delivery_info["routing_key"] == "jobs"
    assert backend.get("jobs") is None


@pytest.mark.parametrize("value", ["text", "ü", b"\xff\x00", {"a": [1, None]}, ("latin \xe9", "text/plain", "latin-1")])
def test_values_come_back_as_they_are(backend, value):
    backend.queue_declare("jobs")
    backend.publish(value, "", "jobs")
    assert backend.get("jobs").payload == (value[0] if isinstance(value, tuple) else value)


@pytest.mark.parametrize(
    "message", [object(), ({"a": 1}, "text/plain", None), ("ü", None, "ascii"), ("a", None, "no-such")]
)
def test_what_cannot_be_written_is_refused(backend, message):
    with pytest.raises(InvalidInput):
        backend.publish(message, "", "jobs")


def test_what_was_pickled_is_not_loaded(backend):
    backend.queue_declare("jobs")
    backend.publish((b"cos\nsystem\n", "application/x-python-serialize", "binary"), "", "jobs")
    assert backend.get("jobs").payload == b"cos\nsystem\n"


def test_what_is_not_acknowledged_comes_again(broker, backend):
    backend.queue_declare("jobs")
    for body in ("one", "two", "three"):
        backend.publish(body, "", "jobs")
    other = fakerabbit.Backend(broker=broker)
    other.get("jobs").ack()
    assert other.get("jobs").body == "two"
    other.close()
    again = backend.get("jobs")
    assert (again.body, again.delivery_info["redelivered"]) == ("two", True)
    again.requeue()
    backend.get("jobs").reject()
    assert bodies(backend, "jobs") == ["three"]


def test_a_message_is_answered_once(backend):
    backend.queue_declare("jobs")
    backend.publish("one", "", "jobs")
    message = backend.get("jobs")
    message.ack()
    assert message.acknowledged
    with pytest.raises(message.MessageStateError, match="ACK"):
        message.requeue()


def test_a_tag_of_a_lost_channel_means_no_later_message(backend):
    backend.queue_declare("jobs")
    backend.publish("one", "", "jobs")
    old = backend.get("jobs")
    with pytest.raises(SoftError, match="no queue 'nowhere'"):
        backend.get("nowhere")
    new = backend.get("jobs")
    assert (new.body, new.delivery_tag) == ("one", old.delivery_tag + 1)
    with pytest.raises(SoftError, match="unknown delivery tag"):
        old.ack()


def test_consume_calls_the_consumers_up_to_a_limit(backend):
    backend.queue_declare("a")
    backend.queue_declare("b")
    found = []
    backend.declare_consumer(queue="a", no_ack=True, callback=found.append, consumer_tag="1", nowait=True)
    backend.declare_consumer(queue="b", no_ack=True, callback=found.append, consumer_tag="2")
    for queue in ("a", "b", "a"):
        backend.publish(queue, "", queue)
    assert list(backend.consume(limit=2)) == [None, None]
    assert [message.body for message in found] == ["a", "b"]
    list(backend.consume(limit=1))
    assert [message.body for message in found] == ["a", "b", "a"]


def test_consume_ends_with_its_last_consumer_and_what_it_did_not_take_goes_back(backend):
    backend.queue_declare("jobs")
    for body in ("one", "two"):
        backend.publish(body, "", "jobs")

    def once(message):
        message.ack()
        backend.cancel("me")

    backend.declare_consumer("jobs", once, "me")
    assert len(list(backend.consume())) == 1
    assert bodies(backend, "jobs") == ["two"]


def waiting_consumer(backend, queue, limit=None):
    """Consume in a thread of its own; return it and what it was called with."""
    found = []
    backend.declare_consumer(queue, lambda message: (found.append(message.body), message.ack()))
    thread = threading.Thread(target=lambda: list(backend.consume(limit)), daemon=True)
    thread.start()
    return thread, found


def test_consume_sleeps_until_something_comes(broker, backend, clock):
    backend.queue_declare("jobs")
    thread, found = waiting_consumer(fakerabbit.Backend(broker=broker), "jobs", limit=1)
    assert clock.wait_for_sleepers(1, PATIENCE_S)
    backend.publish("woken", "", "jobs")
    thread.join(PATIENCE_S)
    assert (thread.is_alive(), found) == (False, ["woken"])


def test_consume_sees_what_becomes_due(broker, backend, clock):
    backend.queue_declare("jobs")
    arguments = {"x-message-ttl": 5000, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "jobs"}
    backend.queue_declare("delay", arguments=arguments)
    thread, found = waiting_consumer(fakerabbit.Backend(broker=broker), "jobs", limit=1)
    assert clock.wait_for_sleepers(1, PATIENCE_S)
    backend.publish("late", "", "delay")
    clock.advance(5)
    thread.join(PATIENCE_S)
    assert (thread.is_alive(), found) == (False, ["late"])


def test_close_ends_consume(broker, backend, clock):
    backend.queue_declare("jobs")
    client = fakerabbit.Backend(broker=broker)
    thread, _found = waiting_consumer(client, "jobs")
    assert clock.wait_for_sleepers(1, PATIENCE_S)
    client.close()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    with pytest.raises(Conflict, match="closed"):
        client.get("jobs")


def test_consume_tells_why_the_broker_ended_it(broker, backend):
    backend.queue_declare("jobs")
    backend.declare_consumer("jobs", print)
    with broker:
        broker.drop(HardError("CONNECTION_FORCED", "bye"))
    with pytest.raises(HardError, match="bye"):
        next(backend.consume())


def test_mandatory_and_immediate(backend):
    backend.publish("m", "", "nowhere", mandatory=True)
    assert [returned.text for returned in backend.returns] == ["NO_ROUTE"]
    with pytest.raises(HardError, match="NOT_IMPLEMENTED"):
        backend.publish("m", "", "nowhere", immediate=True)


def test_a_queue_by_itself(broker):
    queue = fakerabbit.Queue("jobs", broker)
    for value in ("one", {"two": 2}):
        queue.push(value, routing_key="any")
    assert (repr(queue), queue.size()) == ("<Queue: jobs>", 2)
    assert [queue.pop(), queue.pop(), queue.size()] == ["one", {"two": 2}, 0]


def test_pop_waits(broker, clock):
    found = []
    queue = fakerabbit.Queue("jobs", broker)
    thread = threading.Thread(target=lambda: found.append(queue.pop()), daemon=True)
    thread.start()
    assert clock.wait_for_sleepers(1, PATIENCE_S)
    fakerabbit.Queue("jobs", broker).push("m")
    thread.join(PATIENCE_S)
    assert found == ["m"]


def test_an_exchange_by_itself_calls_who_is_bound(broker, backend, caplog):
    exchange = fakerabbit.Exchange("nova", "topic", broker)
    found = []
    queue = fakerabbit.Queue("jobs", broker)
    exchange.bind(lambda message, routing_key: 1 / 0, "compute.#")
    exchange.bind(lambda message, routing_key: found.append((message, routing_key)), "compute.#")
    exchange.bind(queue.push, "*.host1")
    exchange.publish({"a": 1}, "compute.host1")
    backend.publish("m", "nova", "compute")
    exchange.publish("m", "network")
    assert found == [({"a": 1}, "compute.host1"), ("m", "compute")]
    assert queue.pop() == {"a": 1}
    assert "a callback of exchange nova failed" in caplog.text


def test_backends_share_a_broker_until_it_is_reset():
    fakerabbit.reset_all()
    first, second = fakerabbit.Backend(), fakerabbit.Backend(connection=None)
    first.queue_declare("jobs")
    second.publish("m", "", "jobs")
    assert first.get("jobs", no_ack=True).body == "m"
    thread, _found = waiting_consumer(second, "jobs")
    fakerabbit.reset_all()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert not first.queue_exists("jobs")
    first.queue_declare("jobs")
    first.publish("m", "", "jobs")
    assert second.queue_purge("jobs") == 1
    fakerabbit.reset_all()


def test_brokers_of_ones_own_know_nothing_of_each_other(backend):
    backend.queue_declare("jobs")
    assert not fakerabbit.Backend().queue_exists("jobs")
