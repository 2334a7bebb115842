"""Consumers, answers, confirms and transactions of the engine."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from rabbit_kit import Client

from nova_fakes.clock import ManualClock
from nova_fakes.rabbit import Broker, HardError, SoftError


def test_consumers_take_turns_and_higher_priorities_come_first(client: Client) -> None:
    client.do("queue_declare", "q")
    for tag, priority in (("low", 0), ("one", 5), ("two", 5)):
        client.do("consume", "q", tag, no_ack=True, arguments={"x-priority": priority})
    for _ in range(4):
        client.publish("q")
    assert [delivery.consumer_tag for delivery in client.inbox.deliveries] == ["one", "two", "one", "two"]


def test_a_full_consumer_leaves_its_turn_to_the_next(client: Client) -> None:
    client.do("queue_declare", "q")
    client.do("qos", 1)
    client.do("consume", "q", "high", arguments={"x-priority": 5})
    client.do("consume", "q", "low")
    for body in "abc":
        client.publish("q", body)
    assert client.delivered() == ["a", "b"]
    client.do("ack", 2)
    assert client.delivered() == ["c"]


def test_what_comes_back_goes_to_its_place(client: Client) -> None:
    client.do("queue_declare", "q")
    for body in "abcde":
        client.publish("q", body)
    for _ in range(4):
        client.get("q", no_ack=False)
    client.do("nack", 3)
    client.do("nack", 1)
    got = client.get("q", no_ack=False)
    assert (got.message.body, got.redelivered) == (b"a", True)
    assert client.bodies("q") == ["c", "e"]


def test_a_closing_channel_gives_back_what_it_holds_in_order(client: Client, broker: Broker) -> None:
    client.do("queue_declare", "q")
    client.do("consume", "q", "t")
    for body in "abc":
        client.publish("q", body)
    other = Client(broker)
    client.do("ack", 2)
    client.do("close")
    assert other.bodies("q") == ["a", "c"]


def test_a_paused_session_is_delivered_nothing_until_it_reads_again(client: Client, broker: Broker) -> None:
    client.do("queue_declare", "q")
    client.do("consume", "q", "t", no_ack=True)
    client.session.pause()
    client.publish("q", "a")
    assert (client.delivered(), client.waiting("q")) == ([], 1)
    with broker:
        client.session.resume()
    assert client.delivered() == ["a"]


def test_acknowledging_many_looks_at_each_tag_once(client: Client) -> None:
    client.do("queue_declare", "q")
    client.do("consume", "q", "t")
    for number in range(10):
        client.publish("q", str(number))
    client.do("ack", 3)
    client.do("ack", 5, multiple=True)
    client.do("ack", 0, multiple=True)
    assert client.channel.unacked_count == 0
    with pytest.raises(SoftError, match="unknown delivery tag 7"):
        client.do("ack", 7, multiple=True)


def test_confirms_are_joined_where_nothing_open_is_among_them(client: Client, broker: Broker) -> None:
    client.do("queue_declare", "q", arguments={"x-max-length": 2, "x-overflow": "reject-publish"})
    client.do("confirm_select")
    with broker:
        for _ in range(4):
            client.publish("q")
    assert sorted(client.inbox.confirms) == [(2, True, True), (3, False, False), (4, False, False)]


def test_a_returned_message_comes_before_its_confirm(client: Client) -> None:
    client.do("confirm_select")
    client.publish("nowhere", mandatory=True)
    assert [found.text for found in client.inbox.returns] == ["NO_ROUTE"]
    assert list(client.inbox.confirms) == [(1, False, True)]


def test_a_transaction_holds_messages_and_answers(client: Client, broker: Broker) -> None:
    client.do("queue_declare", "q")
    client.publish("q", "old")
    client.do("tx_select")
    tag = client.get("q", no_ack=False).delivery_tag
    client.do("ack", tag)
    client.publish("q", "new")
    other = Client(broker)
    assert other.waiting("q") == 0
    client.do("tx_rollback")
    client.do("ack", tag)
    client.publish("q", "newer")
    client.do("tx_commit")
    assert other.bodies("q") == ["newer"]


def test_direct_answers_reach_whoever_asked(client: Client, broker: Broker) -> None:
    client.do("consume", "amq.rabbitmq.reply-to", "answers", no_ack=True)
    server = Client(broker)
    server.do("queue_declare", "requests")
    client.publish("requests", "question", reply_to="amq.rabbitmq.reply-to")
    reply_to = server.get("requests").message.properties.reply_to
    server.publish(reply_to, "answer")
    assert client.delivered() == ["answer"]
    client.do("cancel", "answers")
    server.publish(reply_to, "late")
    assert client.delivered() == []


def test_an_exclusive_queue_goes_with_its_owner(client: Client, broker: Broker) -> None:
    client.do("queue_declare", "q", exclusive=True)
    other = Client(broker)
    with pytest.raises(SoftError, match="RESOURCE_LOCKED"):
        other.do("queue_declare", "q", passive=True)
    with broker:
        client.session.close()
    with pytest.raises(SoftError, match="no queue 'q'"):
        other.do("queue_declare", "q", passive=True)


def test_consumers_are_told_that_their_queue_is_gone(client: Client, broker: Broker) -> None:
    deaf = Client(broker, capabilities=())
    for each in (client, deaf):
        each.do("queue_declare", "q")
        each.do("consume", "q", "t")
    Client(broker).do("queue_delete", "q")
    assert (list(client.inbox.cancels), list(deaf.inbox.cancels)) == (["t"], [])


def test_quorum_queues_count_what_comes_back_and_bury_what_comes_too_often(client: Client) -> None:
    client.do("queue_declare", "dead")
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": 1,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "dead",
    }
    client.do("queue_declare", "q", durable=True, arguments=arguments)
    client.do("consume", "q", "t")
    client.publish("q")
    assert "x-delivery-count" not in client.inbox.deliveries[0].message.properties.headers
    client.do("nack", 1)
    assert client.inbox.deliveries[1].message.properties.headers["x-delivery-count"] == ("l", 1)
    client.do("nack", 2)
    headers = client.get("dead").message.properties.headers
    assert headers["x-first-death-reason"] == ("S", "delivery_limit")
    assert "x-delivery-count" not in headers


def test_streams_are_read_from_where_a_consumer_asks(client: Client, clock: ManualClock) -> None:
    client.do("queue_declare", "s", durable=True, arguments={"x-queue-type": "stream", "x-max-age": "1h"})
    client.do("qos", 100)
    for body in "abc":
        client.publish("s", body)
        clock.advance(60)
    for tag, offset, expected in (
        ("first", "first", ["a", "b", "c"]),
        ("last", "last", ["c"]),
        ("next", "next", []),
        ("one", 1, ["b", "c"]),
        ("time", ("T", int(clock.now()) - 100), ["c"]),
        ("ago", "2m", ["b", "c"]),
    ):
        client.do("consume", "s", tag, arguments={"x-stream-offset": offset})
        assert client.delivered() == expected, tag
    clock.advance(3600)
    client.publish("s", "d")
    client.delivered()
    client.do("consume", "s", "again", arguments={"x-stream-offset": "first"})
    assert client.delivered() == ["d"]
    with pytest.raises(HardError, match=r"basic\.get not supported"):
        client.get("s")


def test_a_stream_is_delivered_by_chunks_as_long_as_there_is_credit(client: Client, broker: Broker) -> None:
    client.do("queue_declare", "s", durable=True, arguments={"x-queue-type": "stream"})
    with broker:  # what comes in one turn is written together
        for number in range(300):
            client.publish("s", str(number))
    client.do("qos", 1)
    client.do("consume", "s", "t", arguments={"x-stream-offset": 5})
    assert client.delivered() == [str(number) for number in range(5, 128)]
    client.do("ack", 0, multiple=True)
    assert client.delivered() == [str(number) for number in range(128, 256)]


def test_what_is_written_in_a_turn_is_a_chunk_of_a_stream(client: Client, broker: Broker, clock: ManualClock) -> None:
    client.do("queue_declare", "s", durable=True, arguments={"x-queue-type": "stream"})
    client.do("qos", 10)
    client.publish("s", "a")
    with broker:
        client.publish("s", "b")
        client.publish("s", "c")
    client.do("consume", "s", "t", arguments={"x-stream-offset": "last"})
    assert client.delivered() == ["b", "c"]
    assert client.waiting("s") == 0  # which RabbitMQ counts some seconds later
    clock.advance(5)
    assert client.waiting("s") == 3
    with pytest.raises(HardError, match="INTERNAL_ERROR"):
        client.do("recover")
    assert client.do("queue_delete", "s") == 0


def test_a_quorum_queue_refuses_from_above_its_limit_until_there_is_room(client: Client) -> None:
    arguments = {"x-queue-type": "quorum", "x-max-length": 5, "x-overflow": "reject-publish"}
    client.do("queue_declare", "q", durable=True, arguments=arguments)
    client.do("confirm_select")
    for _ in range(8):
        client.publish("q")
    taken = [tag for tag, _multiple, is_taken in client.inbox.confirms if is_taken]
    assert taken == [1, 2, 3, 4, 5, 6]
    client.inbox.confirms.clear()
    for _ in range(2):
        client.get("q")
        client.publish("q")
    assert [is_taken for _tag, _multiple, is_taken in client.inbox.confirms] == [False, True]


def test_a_quorum_queue_that_is_not_used_ends_at_a_tick(client: Client, broker: Broker, clock: ManualClock) -> None:
    client.do("queue_declare", "q", durable=True, arguments={"x-queue-type": "quorum", "x-expires": 300})
    for seconds, is_there in ((4.5, True), (0.6, False)):
        clock.advance(seconds)
        with broker:
            assert ("q" in broker.vhosts["/"].queues) is is_there


def test_an_alternate_exchange_without_a_name_takes_nothing(client: Client) -> None:
    client.do("queue_declare", "q")
    client.do("exchange_declare", "x", arguments={"alternate-exchange": ""})
    client.publish("q", exchange="x", mandatory=True)
    assert client.inbox.returns.pop().text == "NO_ROUTE"


def test_a_queue_with_messages_and_consumers_is_refused_for_its_messages(client: Client) -> None:
    client.do("queue_declare", "q")
    client.do("qos", 1)
    client.do("consume", "q")
    client.publish("q")
    client.publish("q")
    with pytest.raises(SoftError, match="not empty"):
        client.do("queue_delete", "q", if_unused=True, if_empty=True)


def test_tables_in_headers_are_equal_where_their_fields_come_in_the_same_order(client: Client) -> None:
    client.do("queue_declare", "q")
    client.do("queue_bind", "q", "amq.headers", arguments={"h": {"a": 1, "b": [{"c": 2, "d": 3}]}})
    client.publish("", "same", exchange="amq.headers", headers={"h": {"a": 1, "b": [{"c": 2, "d": 3}]}})
    client.publish("", "turned", exchange="amq.headers", headers={"h": {"b": [{"c": 2, "d": 3}], "a": 1}})
    client.publish("", "inside", exchange="amq.headers", headers={"h": {"a": 1, "b": [{"d": 3, "c": 2}]}})
    assert client.bodies("q") == ["same"]


class Keeping:
    """A store in memory, which counts what it is told."""

    def __init__(self) -> None:
        self.entries: dict[str, list[str]] = {}
        self.told: list[str] = []
        self.commits = 0

    def entry_added(self, queue: Any, entry: Any) -> None:
        entry.record = entry.message.body.decode()
        self.entries.setdefault(queue.name, []).append(entry.record)

    def entry_removed(self, queue: Any, entry: Any) -> None:
        self.entries[queue.name].remove(entry.record)

    def commit(self) -> None:
        self.commits += 1

    def __getattr__(self, name: str) -> Any:
        return lambda *_things: self.told.append(name)


def test_a_store_is_told_of_all_that_is_durable_before_any_confirm() -> None:
    store = Keeping()
    client = Client(Broker(clock=ManualClock(), seed=1, store=store))
    client.inbox.on_event = lambda: store.told.append(f"flushed after {store.commits} commits")
    client.do("exchange_declare", "x", durable=True)
    for name, durable in (("kept", True), ("passing", False)):
        client.do("queue_declare", name, durable=durable)
        client.do("queue_bind", name, "x", "k")
    assert store.told == ["exchange_declared", "queue_declared", "bound"]
    client.do("confirm_select")
    commits = store.commits
    client.publish("k", "one", exchange="x", delivery_mode=2)
    assert store.told[-1] == f"flushed after {commits + 1} commits"
    client.publish("kept", "two", delivery_mode=2)
    client.publish("kept", "passing")
    client.publish("kept", "three", delivery_mode=2)
    assert store.entries == {"kept": ["one", "two", "three"]}
    client.get("kept")
    tag = client.get("kept", no_ack=False).delivery_tag
    assert store.entries == {"kept": ["two", "three"]}
    client.do("ack", tag)
    client.do("consume", "kept", "t", no_ack=True)
    assert store.entries == {"kept": []}
    client.do("queue_delete", "kept")
    client.do("exchange_delete", "x")
    assert [name for name in store.told if "flushed" not in name][3:] == [
        "queue_deleted",
        "unbound",
        "exchange_deleted",
    ]


class Answering(RuleBasedStateMachine):
    """One queue, several channels: what is published is somewhere once, and comes in order."""

    def __init__(self) -> None:
        super().__init__()
        self.broker = Broker(clock=ManualClock(), seed=1)
        self.clients = [Client(self.broker) for _ in range(3)]
        self.clients[0].do("queue_declare", "q")
        self.next = 0
        self.settled: set[int] = set()
        self.held: list[dict[int, int]] = [{}, {}, {}]

    def _note(self, index: int) -> None:
        client = self.clients[index]
        while client.inbox.deliveries:
            delivery = client.inbox.deliveries.popleft()
            self.held[index][delivery.delivery_tag] = int(delivery.message.body)

    @rule()
    def publish(self) -> None:
        self.clients[0].publish("q", str(self.next))
        self.next += 1

    @rule(index=st.integers(0, 2))
    def get(self, index: int) -> None:
        got = self.clients[index].get("q", no_ack=False)
        if got is not None:
            self.held[index][got.delivery_tag] = int(got.message.body)

    @rule(index=st.integers(0, 2), prefetch=st.integers(0, 3))
    def consume(self, index: int, prefetch: int) -> None:
        self.clients[index].do("qos", prefetch)
        self.clients[index].do("consume", "q")

    @rule(index=st.integers(0, 2))
    def cancel(self, index: int) -> None:
        for tag in list(self.clients[index].channel.consumers)[:1]:
            self.clients[index].do("cancel", tag)

    @precondition(lambda self: any(self.held))
    @rule(data=st.data(), multiple=st.booleans(), answer=st.sampled_from(["ack", "requeue", "discard"]))
    def answer(self, data: st.DataObject, multiple: bool, answer: str) -> None:
        index = data.draw(st.sampled_from([index for index in range(3) if self.held[index]]))
        held = self.held[index]
        tag = data.draw(st.sampled_from(sorted(held)))
        gone = [held.pop(other) for other in sorted(held) if other == tag or (multiple and other < tag)]
        if answer == "ack":
            self.clients[index].do("ack", tag, multiple)
        else:
            self.clients[index].do("nack", tag, multiple, answer == "requeue")
        if answer != "requeue":
            self.settled |= set(gone)

    @rule(index=st.integers(0, 2))
    def reopen(self, index: int) -> None:
        self.clients[index].do("close")
        self.held[index].clear()
        self.clients[index] = Client(self.broker)

    @invariant()
    def every_message_is_somewhere_once(self) -> None:
        for index in range(3):
            self._note(index)
        queue = self.broker.vhosts["/"].queues["q"]
        waiting = [int(entry.message.body) for entry in queue.backlog]
        held = [number for one in self.held for number in one.values()]
        assert waiting == sorted(waiting)
        assert sorted([*waiting, *held, *self.settled]) == list(range(self.next))
        assert queue.unacked == len(held)
        assert not waiting or not any(consumer.can_take for consumer in queue.consumers)


TestAnswering = Answering.TestCase
TestAnswering.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
