"""What passes with time, and what becomes of messages that nobody takes."""

import asyncio
import threading

import pytest
from rabbit_kit import Client

from nova_fakes.clock import ManualClock
from nova_fakes.rabbit import Broker, SoftError
from nova_fakes.rabbit.ticker import Ticker
from nova_fakes.rabbit.timers import Timers

DEAD = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}


def test_messages_end_after_their_time(client: Client, clock: ManualClock) -> None:
    client.do("queue_declare", "q", arguments={"x-message-ttl": 3_600_000})
    client.publish("q", "long", expiration="7200000")
    client.publish("q", "short", expiration="60000")
    clock.advance(3599)
    assert client.waiting("q") == 2  # what is behind the head waits for it
    clock.advance(2)
    assert client.waiting("q") == 0


def test_expired_messages_are_dead_lettered_by_the_timer_alone(
    client: Client, clock: ManualClock, broker: Broker
) -> None:
    client.do("queue_declare", "dead")
    client.do("consume", "dead", "t", no_ack=True)
    client.do("queue_declare", "q", arguments=DEAD | {"x-message-ttl": 1000})
    client.publish("q", "a")
    clock.advance(1.5)
    with broker:
        pass
    (delivery,) = client.inbox.deliveries
    kind, (event,) = delivery.message.properties.headers["x-death"]
    assert kind == "A"
    assert event[1]["reason"] == ("S", "expired")
    assert event[1]["time"] == ("T", int(clock.now()))


def test_an_unused_queue_ends_and_use_renews_it(client: Client, clock: ManualClock) -> None:
    client.do("queue_declare", "q", arguments={"x-expires": 10_000})
    for _ in range(3):
        clock.advance(8)
        client.get("q")
    client.do("consume", "q", "t")
    clock.advance(100)
    assert client.waiting("q") == 0
    client.do("cancel", "t")
    clock.advance(9)
    client.waiting("q")
    clock.advance(11)
    with pytest.raises(SoftError, match="NOT_FOUND"):
        client.waiting("q")


def test_the_history_of_deaths_counts_and_goes_round_but_once_unrejected(client: Client, clock: ManualClock) -> None:
    client.do("queue_declare", "wait", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "work"})
    client.do("queue_declare", "work", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "wait"})
    client.publish("work", "job")
    for round_ in range(3):
        got = client.get("work", no_ack=False)
        client.do("reject", got.delivery_tag, False)
        tag = client.get("wait", no_ack=False).delivery_tag
        client.do("reject", tag, False)
        got = client.get("work", no_ack=False)
        counts = {event[1]["queue"][1]: event[1]["count"][1] for event in got.message.properties.headers["x-death"][1]}
        assert counts == {"wait": round_ + 1, "work": round_ + 1}
        client.do("nack", got.delivery_tag)


def test_a_message_that_nobody_rejects_does_not_go_in_circles(client: Client, clock: ManualClock) -> None:
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q", "x-message-ttl": 1000}
    client.do("queue_declare", "q", arguments=arguments)
    client.publish("q")
    clock.advance(5)
    assert client.waiting("q") == 0


def test_a_delivery_that_is_never_acknowledged_closes_its_channel(client: Client, clock: ManualClock) -> None:
    client.do("queue_declare", "q")
    client.do("consume", "q", "t")
    other = Client(client.broker)
    for body in "ab":
        client.publish("q", body)
    for minute in range(29):
        clock.advance(60)
        if minute == 10:
            client.do("ack", 1)
        other.waiting("q")
    assert not client.inbox.closings
    for _ in range(3):
        clock.advance(60)
        other.waiting("q")
    (error,) = client.inbox.closings
    assert str(error) == (
        "(406) PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms. "
        "This timeout value can be configured, see consumers doc guide to learn more"
    )
    assert other.bodies("q") == ["b"]


def test_a_delivery_that_is_acknowledged_late_closes_nothing(client: Client, clock: ManualClock) -> None:
    client.do("queue_declare", "q")
    client.do("consume", "q", "t")
    for number in range(4):
        client.publish("q")
        for _ in range(28):
            clock.advance(60)
            client.waiting("q")
        client.do("ack", number + 1)
    assert not client.inbox.closings


def test_a_full_queue_drops_its_head_or_refuses(client: Client) -> None:
    client.do("queue_declare", "dead")
    client.do("queue_declare", "drop", arguments=DEAD | {"x-max-length": 2})
    client.do("queue_declare", "refuse", arguments=DEAD | {"x-max-length": 2, "x-overflow": "reject-publish-dlx"})
    for queue in ("drop", "refuse"):
        for body in "abcd":
            client.publish(queue, body)
    assert client.bodies("drop") == ["c", "d"]
    assert client.bodies("refuse") == ["a", "b"]
    assert client.bodies("dead") == ["a", "b", "c", "d"]


def test_a_stopped_broker_comes_back_with_what_is_durable(client: Client, broker: Broker) -> None:
    client.do("exchange_declare", "kept", durable=True)
    client.do("exchange_declare", "lost")
    client.do("queue_declare", "kept", durable=True)
    client.do("queue_declare", "lost")
    client.do("queue_declare", "quorum", durable=True, arguments={"x-queue-type": "quorum"})
    client.do("queue_bind", "kept", "kept", "k")
    client.do("queue_bind", "kept", "lost", "k")
    client.publish("k", "persistent", exchange="kept", delivery_mode=2)
    client.publish("kept", "held", delivery_mode=2)
    client.publish("kept", "transient")
    client.publish("quorum", "any")
    client.get("kept", no_ack=False)
    with broker:
        broker.stop()
    assert client.inbox.closings == [None]
    with broker:
        broker.start()
    state = broker.snapshot()["vhosts"]["/"]
    assert (set(state["queues"]), set(state["exchanges"])) == ({"kept", "quorum"}, {"kept"})
    other = Client(broker)
    got = other.get("kept")
    assert (got.message.body, got.redelivered) == (b"persistent", True)
    other.publish("k", "again", exchange="kept")
    assert other.bodies("kept") == ["held", "again"]
    assert other.bodies("quorum") == ["any"]


def test_reset_leaves_a_new_broker(client: Client, broker: Broker) -> None:
    before = Broker(clock=broker.clock).snapshot()["vhosts"]
    client.do("queue_declare", "q", durable=True)
    with broker:
        broker.add_user("ann", "x")
        broker.reset()
    assert broker.snapshot()["vhosts"] == before
    assert broker.users.get("ann") is None
    assert Client(broker).do("queue_declare", "q").message_count == 0


def test_a_timer_whose_action_fails_leaves_the_broker_to_others() -> None:
    broker = Broker(clock=ManualClock())
    broker.timers.after(0.0, lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError), broker:
        pass
    entered = threading.Event()

    def enter() -> None:
        with broker:
            entered.set()

    thread = threading.Thread(target=enter, daemon=True)
    thread.start()
    assert entered.wait(30)
    thread.join()


def test_the_ticker_looks_at_the_timers_in_turns_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    broker, loop, turns = Broker(), asyncio.new_event_loop(), []

    class Watched(Timers):
        @property
        def next_due_s(self) -> float | None:
            turns.append(broker._depth)
            return super().next_due_s

    monkeypatch.setattr(broker, "timers", Watched(broker.clock))
    ticker = Ticker(broker, loop)
    ticker.start()
    broker.timers.after(0.001, loop.stop)
    loop.run_forever()
    ticker.stop()
    loop.close()
    assert set(turns) == {1}
