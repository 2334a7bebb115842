"""kombu's entities over the transport in process, and the same over py-amqp and our server: they answer alike."""

import threading

import amqp
import kombu
import oslo_messaging
import pytest
from kombu.exceptions import OperationalError
from oslo_config import cfg

from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import Conflict
from nova_fakes.faults import FaultRule
from nova_fakes.rabbit import Broker, HardError, Server, SoftError
from nova_fakes.rabbit.transport import BROKERS, Brokers

PATIENCE_S = 10


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def broker(clock):
    return Broker(clock=clock, seed=1)


@pytest.fixture(params=["in process", "wire"])
def url(request, broker):
    if request.param == "in process":
        with BROKERS.lent(broker) as url:
            yield url
    else:
        with Server(broker) as server:
            yield f"amqp://guest:guest@127.0.0.1:{server.port}//"


@pytest.fixture
def connection(url):
    with kombu.Connection(url) as connection:
        yield connection


@pytest.fixture
def confirming(url):
    options = {"confirm_publish": True, "client_properties": {"capabilities": {"consumer_cancel_notify": True}}}
    with kombu.Connection(url, transport_options=options) as connection:
        yield connection


def drain(connection):
    connection.drain_events(timeout=PATIENCE_S)


def consume(connection, queue, count=1, **options):
    """Take that many messages, and acknowledge them."""
    taken = []
    with connection.Consumer(
        queue, callbacks=[lambda body, message: (taken.append(message), message.ack())], **options
    ):
        while len(taken) < count:
            drain(connection)
    return taken


def test_a_message_arrives_as_it_was_sent(connection):
    queue = connection.SimpleQueue("jobs")
    queue.put({"do": ["this", 1, None]}, headers={"a": 1, "b": {"c": "ü"}}, correlation_id="7", priority=3)
    message = queue.get(timeout=PATIENCE_S)
    assert message.payload == {"do": ["this", 1, None]}
    assert message.headers == {"a": 1, "b": {"c": "ü"}}
    assert (message.properties["correlation_id"], message.properties["priority"]) == ("7", 3)
    assert {key: message.delivery_info[key] for key in ("exchange", "routing_key", "redelivered")} == {
        "exchange": "jobs",
        "routing_key": "jobs",
        "redelivered": False,
    }
    message.ack()
    queue.close()


@pytest.mark.parametrize("body", [b"\x00\xff", "text ü", {"a": 1}], ids=["octets", "text", "mapping"])
def test_bodies_of_all_kinds(connection, body):
    queue = kombu.Queue("bodies")
    connection.Producer().publish(body, routing_key="bodies", declare=[queue])
    (message,) = consume(connection, queue, accept=None)
    assert message.payload == body


@pytest.mark.parametrize(
    ("type", "binding", "key", "reached"),
    [
        ("direct", "a", "a", True),
        ("direct", "a", "b", False),
        ("topic", "a.*", "a.b", True),
        ("topic", "a.*", "a.b.c", False),
        ("fanout", "", "anything", True),
    ],
)
def test_exchanges_route(connection, type, binding, key, reached):
    exchange = kombu.Exchange("routes", type=type)
    queue = kombu.Queue("routed", exchange, routing_key=binding)(connection.default_channel)
    queue.declare()
    connection.Producer().publish("x", exchange=exchange, routing_key=key)
    found = queue.get(no_ack=True)
    assert (found is not None) is reached


def test_headers_and_exchanges_bound_to_exchanges(connection):
    channel = connection.default_channel
    inner = kombu.Exchange("inner", type="headers")
    outer = kombu.Exchange("outer", type="topic")
    kombu.Queue("chosen", inner, binding_arguments={"x-match": "all", "a": 1})(channel).declare()
    outer(channel).declare()
    inner(channel).bind_to(outer, routing_key="#")
    producer = connection.Producer(exchange=outer)
    producer.publish("no", headers={"a": 2})
    producer.publish("yes", headers={"a": 1})
    assert [message.payload for message in consume(connection, kombu.Queue("chosen"))] == ["yes"]
    inner(channel).unbind_from(outer, routing_key="#")
    producer.publish("late", headers={"a": 1})
    assert kombu.Queue("chosen")(channel).get() is None


def test_what_waits_is_counted_purged_and_deleted(connection):
    queue = kombu.Queue("counted", durable=True)(connection.default_channel)
    queue.declare()
    for number in range(3):
        connection.Producer().publish(number, routing_key="counted")
    assert queue.queue_declare(passive=True) == ("counted", 3, 0)
    assert queue.purge() == 3
    connection.Producer().publish(0, routing_key="counted")
    assert queue.delete() == 1


def test_unanswered_messages_come_again_in_their_order(connection):
    queue = kombu.Queue("again")(connection.default_channel)
    queue.declare()
    for number in range(3):
        connection.Producer().publish(number, routing_key="again")
    first = queue.get()
    first.requeue()
    seen = [(message.payload, message.delivery_info["redelivered"]) for message in (queue.get() for _ in range(3))]
    assert seen == [(0, True), (1, False), (2, False)]


def test_prefetch_holds_back_what_is_not_acknowledged(connection):
    queue = kombu.Queue("few")
    taken = []
    with connection.Consumer(queue, callbacks=[lambda body, message: taken.append(message)]) as consumer:
        consumer.qos(prefetch_count=2)
        consumer.cancel()
        consumer.consume()
        for number in range(3):
            connection.Producer().publish(number, routing_key="few")
        while len(taken) < 2:
            drain(connection)
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0.05)
        taken[0].ack()
        while len(taken) < 3:
            drain(connection)
    assert [message.payload for message in taken] == [0, 1, 2]


def refusals(connection):
    """Things that a broker refuses, each with what py-amqp raises: class, code and the method that it names."""
    channel = connection.channel()
    kombu.Queue("there", durable=True)(channel).declare()
    kombu.Exchange("there", type="topic")(channel).declare()
    message = channel.prepare_message(b"x")
    return {
        "no queue": lambda: channel.queue_declare("nowhere", passive=True),
        "another queue": lambda: channel.queue_declare("there", durable=False),
        "another exchange": lambda: channel.exchange_declare("there", "fanout", auto_delete=False, durable=True),
        "unknown type": lambda: channel.exchange_declare("odd", "odd"),
        "unknown tag": lambda: (channel.basic_ack(99), drain(connection)),
        "no exchange": lambda: (channel.basic_publish(message, "nowhere", "x"), drain(connection)),
        "later": lambda: (channel.basic_publish(message, "nowhere", "x"), channel.queue_declare("there", passive=True)),
        "immediate": lambda: (channel.basic_publish(message, "", "x", immediate=True), drain(connection)),
        "in use": lambda: (channel.basic_consume("there"), channel.queue_delete("there", if_unused=True)),
    }


def outcomes(connection, name):
    with pytest.raises((amqp.ChannelError, amqp.ConnectionError)) as caught:
        refusals(connection)[name]()
    error = caught.value
    return type(error).__name__, error.reply_code, error.reply_text, error.method_name


@pytest.mark.parametrize("name", ["no queue", "another queue", "another exchange", "unknown type", "unknown tag",
                                  "no exchange", "later", "immediate", "in use"])  # fmt: skip
def test_refusals_are_py_amqps(name):
    found = []
    for face in ("in process", "wire"):
        broker = Broker(seed=1)
        if face == "wire":
            with Server(broker) as server, kombu.Connection(f"amqp://127.0.0.1:{server.port}//") as connection:
                found.append(outcomes(connection, name))
        else:
            with BROKERS.lent(broker) as url, kombu.Connection(url) as connection:
                found.append(outcomes(connection, name))
    assert found[0] == found[1]


def test_a_channel_that_was_refused_something_goes_on(connection):
    channel = connection.channel()
    with pytest.raises(amqp.NotFound):
        channel.queue_declare("nowhere", passive=True)
    assert channel.queue_declare("somewhere").queue == "somewhere"


def test_a_confirmed_message_is_there(confirming):
    queue = kombu.Queue("sure")(confirming.default_channel)
    queue.declare()
    confirming.Producer().publish("x", routing_key="sure")
    assert queue.queue_declare(passive=True).message_count == 1


def test_a_refused_message_is_told(confirming):
    queue = kombu.Queue("full", max_length=1, queue_arguments={"x-overflow": "reject-publish"})
    queue(confirming.default_channel).declare()
    confirming.Producer().publish("x", routing_key="full")
    with pytest.raises(amqp.exceptions.MessageNacked):
        confirming.Producer().publish("y", routing_key="full")


def test_a_mandatory_message_comes_back_before_its_confirm(confirming):
    returned = []
    producer = confirming.Producer(on_return=lambda *what: returned.append(what))
    producer.publish("x", routing_key="nowhere", mandatory=True)
    ((error, exchange, routing_key, message),) = returned
    assert (error.reply_code, exchange, routing_key, message.body) == (312, "", "nowhere", "x")


def test_without_a_handler_a_returned_message_is_an_error(confirming):
    with pytest.raises(amqp.ChannelError, match="NO_ROUTE"):
        confirming.Producer().publish("x", routing_key="nowhere", mandatory=True)


def test_a_deleted_queue_ends_its_consumer(confirming):
    queue = kombu.Queue("gone")
    ended = []
    channel = confirming.channel()
    queue(channel).declare()
    channel.basic_consume("gone", "me", on_cancel=ended.append)
    queue(confirming.channel()).delete()
    while not ended:
        drain(confirming)
    assert ended == ["me"]


def test_who_waits_is_woken_by_what_comes(url):
    with kombu.Connection(url) as one, kombu.Connection(url) as two:
        queue = kombu.Queue("woken")
        queue(one.default_channel).declare()
        sender = threading.Timer(0.05, lambda: two.Producer().publish("now", routing_key="woken"))
        sender.start()
        assert [message.payload for message in consume(one, queue)] == ["now"]
        sender.join()


def test_nothing_comes_in_time(connection):
    kombu.Queue("quiet")(connection.default_channel).declare()
    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=0.01)


def test_transactions(connection):
    channel = connection.channel()
    queue = kombu.Queue("held")(connection.channel())
    queue.declare()
    channel.tx_select()
    channel.basic_publish(channel.prepare_message(b"1"), "", "held")
    assert queue.queue_declare(passive=True).message_count == 0
    channel.tx_rollback()
    channel.basic_publish(channel.prepare_message(b"2"), "", "held")
    channel.tx_commit()
    assert queue.get(no_ack=True).body == b"2"


def test_time_passes_by_the_brokers_clock(connection, clock, broker):
    queue = kombu.Queue("short", message_ttl=60, queue_arguments={"x-dead-letter-exchange": "",
                                                                  "x-dead-letter-routing-key": "dead"})  # fmt: skip
    queue(connection.default_channel).declare()
    dead = kombu.Queue("dead")
    dead(connection.default_channel).declare()
    connection.Producer().publish("x", routing_key="short")
    connection.default_channel.queue_declare("short", passive=True)  # the broker has the message once it answers
    clock.advance(61)
    (message,) = consume(connection, dead)
    assert message.headers["x-death"][0]["reason"] == "expired"


def test_a_broker_that_dies_is_noticed_and_comes_back_with_what_is_durable(url, broker):
    with kombu.Connection(url) as connection:
        queue = kombu.Queue("durable")
        queue(connection.default_channel).declare()
        connection.Producer().publish("kept", routing_key="durable", delivery_mode=2)
        connection.default_channel.queue_declare("durable", passive=True)
        with broker:
            broker.stop()
        with pytest.raises(connection.connection_errors):
            drain(connection)
        with pytest.raises(OperationalError):
            connection.clone().ensure_connection(max_retries=1, interval_start=0, interval_step=0)
        with broker:
            broker.start()
        with connection.clone() as again:
            assert [message.payload for message in consume(again, queue)] == ["kept"]


def test_a_connection_that_is_thrown_out_is_told_why(connection, broker):
    channel = connection.channel()
    with broker:
        broker.drop(HardError("CONNECTION_FORCED", "CLOSED via management plugin", (0, 0)))
    with pytest.raises(amqp.ConnectionForced, match="CLOSED via management plugin"):
        drain(connection)
    with pytest.raises(connection.recoverable_connection_errors):
        channel.queue_declare("more")


def test_a_fault_rule_closes_the_channel(connection, broker):
    broker.faults.add(FaultRule("queue.declare", error=SoftError("RESOURCE_LOCKED", "by a rule"), times=1))
    channel = connection.channel()
    with pytest.raises(amqp.ResourceLocked):
        channel.queue_declare("unlucky")
    assert channel.queue_declare("unlucky").queue == "unlucky"


def test_a_password_that_is_wrong_and_a_virtual_host_that_is_not_there():
    broker = Broker()
    with BROKERS.lent(broker) as url:
        place = url.removeprefix("fakerabbit://")
        with pytest.raises(amqp.AccessRefused), kombu.Connection(f"fakerabbit://guest:wrong@{place}") as connection:
            connection.connect()
        with pytest.raises(amqp.NotAllowed), kombu.Connection(url.rstrip("/") + "/elsewhere") as connection:
            connection.connect()


def test_a_blocked_broker_is_waited_for(broker):
    with BROKERS.lent(broker) as url, kombu.Connection(url, transport_options={"confirm_publish": True}) as connection:
        kombu.Queue("after")(connection.default_channel).declare()
        with broker:
            broker.block("memory")
        with pytest.raises(amqp.RecoverableConnectionError):
            connection.default_channel.basic_publish(amqp.Message(b"x"), "", "after", timeout=0.05)

        def unblock():
            with broker:
                broker.unblock()

        timer = threading.Timer(0.05, unblock)
        timer.start()
        connection.default_channel.basic_publish(amqp.Message(b"x"), "", "after", timeout=PATIENCE_S)
        timer.join()
        assert connection.default_channel.queue_declare("after", passive=True).message_count == 1


def test_brokers_are_apart_and_can_be_made_anew():
    brokers = Brokers()
    one = brokers.get("one")
    assert brokers.get("one") is one
    assert brokers.get() is not one
    with pytest.raises(Conflict, match="one"):
        brokers.add("one", Broker())
    brokers.reset_all()
    assert brokers.get("one") is not one
    brokers.reset_all()


def test_threads_of_brokers_end_with_them():
    brokers = Brokers()
    before = threading.active_count()
    brokers.get("one")
    assert threading.active_count() == before + 1
    brokers.remove("one")
    assert threading.active_count() == before


class Endpoint:
    def double(self, context, number):
        return 2 * number


def test_oslo_messaging_calls_go_on_over_the_broker_that_a_url_names(broker):
    with BROKERS.lent(broker) as url:
        transport = oslo_messaging.get_rpc_transport(cfg.CONF, f"kombu+{url}")
        target = oslo_messaging.Target(topic="numbers", server="one")
        server = oslo_messaging.get_rpc_server(transport, target, [Endpoint()])
        server.start()
        client = oslo_messaging.get_rpc_client(transport, target, timeout=30, retry=3)
        assert client.call({}, "double", number=1) == 2
        broker.stop()
        broker.start()
        broker.wait_for_consumers("numbers.one")
        assert client.call({}, "double", number=2) == 4
        server.stop()
        server.wait()
        transport.cleanup()
