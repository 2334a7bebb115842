import sqlite3

import pytest

from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import InvalidInput
from nova_fakes.rabbit import Broker, Inbox, Properties, typed
from nova_fakes.rabbit.sqlite_store import SqliteStore

KEPT = Properties.of(delivery_mode=2, headers={"a": 1, "b": {"c": "ü"}}, priority=1)
LOST = Properties.of(delivery_mode=1)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "broker.sqlite"


class Kept:
    """A broker over the file, with one channel."""

    def __init__(self, path, clock):
        self.store = SqliteStore(path)
        self.broker = Broker(clock=clock, seed=1)
        self.store.load(self.broker)
        self.inbox = Inbox()
        with self.broker:
            self.channel = self.broker.connect(self.inbox).open_channel(self.inbox)

    def __enter__(self):
        self.broker.__enter__()
        return self.channel

    def __exit__(self, *error):
        self.broker.__exit__(*error)

    def die(self):
        """Lose the process: what no turn has committed is gone."""
        self.store._file.close()


@pytest.fixture
def again(path, clock):
    """Begin anew with the file, as often as it is called; the one before is lost without a word."""
    running = []

    def begin():
        for kept in running:
            kept.die()
        running[:] = [Kept(path, clock)]
        return running[0]

    yield begin
    for kept in running:
        kept.die()


def bodies(kept, queue):
    with kept as channel:
        found = []
        while (got := channel.get(queue, no_ack=False)) is not None:
            found.append(got.message.body)
    return found


def test_durable_places_and_persistent_messages_come_back(again):
    with again() as channel:
        channel.exchange_declare("kept", "topic", durable=True, arguments=typed({"alternate-exchange": "other"}))
        channel.exchange_declare("lost", "fanout")
        channel.queue_declare("kept", durable=True, arguments=typed({"x-max-priority": 3}))
        channel.queue_declare("lost")
        channel.queue_bind("kept", "kept", "a.#", arguments=typed({"n": 1}))
        channel.queue_bind("lost", "kept", "a.#")
        channel.queue_bind("kept", "amq.fanout")
        channel.publish("kept", "a.b", KEPT, b"kept")
        channel.publish("kept", "a.b", LOST, b"lost")
    kept = again()
    vhost = kept.broker.snapshot()["vhosts"]["/"]
    assert set(vhost["exchanges"]) == {"kept"}
    assert vhost["exchanges"]["kept"]["arguments"] == {"alternate-exchange": "other"}
    assert set(vhost["queues"]) == {"kept"}
    assert {(binding["source"], binding["routing_key"]) for binding in vhost["bindings"]} == {
        ("kept", "a.#"),
        ("amq.fanout", ""),
    }
    with kept as channel:
        got = channel.get("kept")
    assert (got.message.body, got.message.exchange, got.message.routing_key) == (b"kept", "kept", "a.b")
    assert got.message.properties.raw == KEPT.raw


def test_what_was_acknowledged_does_not_come_back_and_what_was_not_does_in_its_place(again):
    with again() as channel:
        channel.queue_declare("jobs", durable=True)
        for number in range(4):
            channel.publish("", "jobs", KEPT, b"%d" % number)
    kept = again()
    with kept as channel:
        tags = [channel.get("jobs").delivery_tag for _ in range(3)]
        channel.ack(tags[1])
        channel.reject(tags[2], requeue=False)
    assert bodies(again(), "jobs") == [b"0", b"3"]


def test_a_message_that_went_out_in_the_turn_in_which_it_came_is_kept_until_it_is_acknowledged(again):
    kept = again()
    with kept as channel:
        channel.queue_declare("jobs", durable=True)
        channel.consume("jobs", "me")
    with kept as channel:
        channel.publish("", "jobs", KEPT, b"x")
    (delivery,) = kept.inbox.deliveries
    kept = again()
    assert bodies(kept, "jobs") == [b"x"]
    assert delivery.message.body == b"x"


def test_what_is_deleted_stays_away(again):
    with again() as channel:
        for name in ("a", "b"):
            channel.exchange_declare(name, "direct", durable=True)
            channel.queue_declare(name, durable=True)
            channel.queue_bind(name, name, "k")
            channel.publish("", name, KEPT, b"x")
        channel.exchange_bind("b", "a", "k")
    with again() as channel:
        channel.exchange_delete("a")
        channel.queue_delete("a")
        channel.queue_unbind("b", "b", "k")
        channel.queue_purge("b")
    kept = again()
    vhost = kept.broker.snapshot()["vhosts"]["/"]
    assert (set(vhost["exchanges"]), set(vhost["queues"]), vhost["bindings"]) == ({"b"}, {"b"}, [])
    assert bodies(kept, "b") == []


def test_a_transaction_that_fails_in_a_queue_declared_and_deleted_leaves_nothing(again):
    with again() as channel:
        channel.queue_declare("short", durable=True)
        channel.publish("", "short", KEPT, b"x")
        channel.queue_delete("short")
        channel.queue_declare("short", durable=True)
    assert bodies(again(), "short") == []


def test_time_goes_on_while_nobody_serves(again, clock):
    with again() as channel:
        channel.queue_declare("short", durable=True, arguments=typed({"x-message-ttl": 60_000}))
        channel.publish("", "short", KEPT, b"first")
    clock.advance(50)
    with again() as channel:
        channel.publish("", "short", KEPT, b"second")
    clock.advance(20)
    assert bodies(again(), "short") == [b"second"]


@pytest.mark.parametrize("kind", ["quorum", "stream"])
def test_replicated_queues_keep_all(again, kind):
    with again() as channel:
        channel.queue_declare("all", durable=True, arguments=typed({"x-queue-type": kind}))
        for number in range(3):
            channel.publish("", "all", LOST, b"%d" % number)
    kept = again()
    if kind == "quorum":
        assert bodies(kept, "all") == [b"0", b"1", b"2"]
        return
    with kept as channel:
        channel.qos(10)
        channel.consume("all", "me", arguments=typed({"x-stream-offset": "first"}))
    assert [delivery.message.body for delivery in kept.inbox.deliveries] == [b"0", b"1", b"2"]


def test_a_stream_forgets_in_the_file_too(again):
    with again() as channel:
        channel.queue_declare("log", durable=True, arguments=typed({"x-queue-type": "stream", "x-max-length-bytes": 4}))
        for number in range(5):
            channel.publish("", "log", LOST, b"%d%d" % (number, number))
    rows = again().store._file.execute("SELECT body FROM messages ORDER BY position").fetchall()
    assert rows == [(b"33",), (b"44",)]


def test_virtual_hosts_come_back(path, clock):
    store = SqliteStore(path)
    broker = Broker(clock=clock)
    broker.add_vhost("two")
    broker.add_user("guest", "guest")
    store.load(broker)
    inbox = Inbox()
    with broker:
        broker.connect(inbox, vhost="two").open_channel(inbox).queue_declare("there", durable=True)
    store.close()
    with SqliteStore(path) as store:
        store.load(broker := Broker(clock=clock))
        assert set(broker.vhosts["two"].queues) == {"there"}


def test_a_file_that_somebody_uses_is_refused(path):
    with SqliteStore(path), pytest.raises(InvalidInput, match="another process uses it"):
        SqliteStore(path)


def test_a_file_of_another_program_is_left_alone(path):
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE notes (text TEXT)")
    other.close()
    with pytest.raises(InvalidInput, match="another program"):
        SqliteStore(path)
    path.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(InvalidInput, match="give another name"):
        SqliteStore(path)


def test_with_a_full_disk_nothing_is_confirmed_until_there_is_room(again, clock, caplog):
    kept = again()
    with kept as channel:
        channel.queue_declare("jobs", durable=True)
        channel.queue_declare("old", durable=True)
        channel.publish("", "jobs", KEPT, b"first")
        channel.publish("", "old", KEPT, b"old")
        channel.confirm_select()
    file = kept.store._file
    (pages,) = file.execute("PRAGMA page_count").fetchone()
    file.execute(f"PRAGMA max_page_count = {pages}")
    with kept as channel:
        channel.queue_declare("new", durable=True)
        channel.publish("", "new", KEPT, b"second" * 10_000)
        channel.queue_delete("old")
    assert kept.inbox.blocked_by == kept.broker.blocked_by == "low on disk"
    with kept as channel:
        channel.publish("", "jobs", KEPT, b"third")
    assert not kept.inbox.confirms
    assert not file.in_transaction
    assert file.execute("SELECT name FROM queues ORDER BY name").fetchall() == [("jobs",), ("old",)]
    file.execute(f"PRAGMA max_page_count = {pages + 1000}")
    with kept as channel:
        channel.ack(channel.get("jobs").delivery_tag)
    assert list(kept.inbox.confirms) == [(2, True, True)]
    assert kept.inbox.blocked_by is None
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    kept = again()
    assert set(kept.broker.snapshot()["vhosts"]["/"]["queues"]) == {"jobs", "new"}
    assert bodies(kept, "new") == [b"second" * 10_000]
    assert bodies(kept, "jobs") == [b"third"]


def test_it_looks_for_room_by_itself(again, clock):
    kept = again()
    with kept as channel:
        channel.queue_declare("jobs", durable=True)
        channel.confirm_select()
    file = kept.store._file
    (pages,) = file.execute("PRAGMA page_count").fetchone()
    file.execute(f"PRAGMA max_page_count = {pages}")
    with kept as channel:
        channel.publish("", "jobs", KEPT, b"x" * 100_000)
    file.execute(f"PRAGMA max_page_count = {pages + 1000}")
    assert kept.broker.timers.next_due_s == clock.monotonic() + 1
    clock.advance(1)
    with kept.broker:
        assert not kept.inbox.confirms
    assert list(kept.inbox.confirms) == [(1, False, True)]


def test_a_block_of_another_reason_stays(again):
    kept = again()
    kept.broker.block("because")
    file = kept.store._file
    (pages,) = file.execute("PRAGMA page_count").fetchone()
    file.execute(f"PRAGMA max_page_count = {pages}")
    with kept as channel:
        channel.queue_declare("jobs" * 60, durable=True)
        channel.queue_declare("more" * 60, durable=True, arguments=typed({"x-a" * 30: "b" * 9000}))
    assert kept.broker.blocked_by == "because"
    file.execute(f"PRAGMA max_page_count = {pages + 1000}")
    with kept:
        pass
    assert kept.broker.blocked_by == "because"
    assert file.execute("SELECT count(*) FROM queues").fetchone() == (2,)


def test_what_there_was_no_room_for_at_the_end_is_told(again, caplog):
    kept = again()
    file = kept.store._file
    (pages,) = file.execute("PRAGMA page_count").fetchone()
    file.execute(f"PRAGMA max_page_count = {pages}")
    with kept as channel:
        channel.queue_declare("jobs", durable=True)
        channel.publish("", "jobs", KEPT, b"x" * 100_000)
    kept.store.close()
    assert "the latest of the broker is lost" in caplog.text
