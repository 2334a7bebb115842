import base64
import json
from urllib.parse import quote

import pytest

from nova_fakes.clock import ManualClock
from nova_fakes.rabbit import Broker, Inbox, Properties
from nova_fakes.rabbit.management import create_app
from nova_fakes.rabbit.users import hashed

LOOK = {"count": 10, "ackmode": "ack_requeue_true", "encoding": "auto"}


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def broker(clock):
    return Broker(clock=clock, seed=1)


@pytest.fixture
def inbox():
    return Inbox()


@pytest.fixture
def channel(broker, inbox):
    with broker:
        return broker.connect(inbox, name="me").open_channel(inbox)


class Asking:
    """A client who asks as a user, and gets back what JSON says."""

    def __init__(self, broker):
        self._client = create_app(broker).test_client()

    def __call__(self, method, path, body=None, *, user="guest:guest", status=None, headers=()):
        login = {"Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"} if user else {}
        answer = self._client.open(path, method=method, json=body, headers={**login, **dict(headers)})
        assert answer.status_code == (status or {"GET": 200, "PUT": 201, "DELETE": 204, "POST": 200}[method]), (
            answer.text
        )
        return answer if answer.mimetype != "application/json" else answer.get_json()


@pytest.fixture
def ask(broker):
    return Asking(broker)


@pytest.fixture
def jobs(ask):
    """A queue bound to an exchange."""
    ask("PUT", "/api/queues/%2F/jobs", {"arguments": {"x-max-priority": 3}})
    ask("PUT", "/api/exchanges/%2F/work", {"type": "topic"})
    ask("POST", "/api/bindings/%2F/e/work/q/jobs", {"routing_key": "a.*"}, status=201)


def published(body="hello", **changes):
    return {"routing_key": "a.b", "properties": {}, "payload": body, "payload_encoding": "string", **changes}


@pytest.mark.parametrize("user", [None, "guest:wrong", "nobody:x"])
def test_who_is_not_known_is_not_let_in(ask, user):
    assert ask("GET", "/api/overview", user=user, status=401)["reason"] == "Login failed"


def test_who_has_no_tag_may_not_look_and_who_monitors_changes_nothing(ask, broker):
    broker.add_user("plain", "x")
    broker.add_user("watcher", "x", tags=("monitoring",))
    assert ask("GET", "/api/overview", user="plain:x", status=401)["reason"] == "Not management user"
    ask("GET", "/api/overview", user="watcher:x")
    ask("PUT", "/api/vhosts/more", user="watcher:x", status=401)
    ask("PUT", "/api/users/more", {"password": "x"}, user="watcher:x", status=401)


def test_a_page_from_elsewhere_is_refused(ask):
    ask("GET", "/api/overview", headers={"Sec-Fetch-Site": "cross-site"}, status=403)


def test_the_overview_counts(ask, jobs, channel):
    ask("POST", "/api/exchanges/%2F/work/publish", published())
    told = ask("GET", "/api/overview")
    assert told["queue_totals"] == {"messages": 1, "messages_ready": 1, "messages_unacknowledged": 0}
    counts = told["object_totals"]
    assert (counts["queues"], counts["connections"], counts["channels"], counts["consumers"]) == (1, 1, 1, 0)


def test_rates_are_of_the_last_seconds(ask, jobs, clock):
    ask("GET", "/api/queues/%2F/jobs")
    clock.advance(2)
    for _ in range(4):
        ask("POST", "/api/exchanges/%2F/work/publish", published())
    statistics = ask("GET", "/api/queues/%2F/jobs")["message_stats"]
    assert (statistics["publish"], statistics["publish_details"]) == (4, {"rate": 2.0})
    clock.advance(60)
    ask("GET", "/api/queues/%2F/jobs")
    clock.advance(5)
    assert ask("GET", "/api/queues/%2F/jobs")["message_stats"]["publish_details"] == {"rate": 0.0}


def test_a_message_is_published_looked_at_and_taken(ask, jobs):
    assert ask("POST", "/api/exchanges/%2F/work/publish", published(properties={"priority": 1})) == {"routed": True}
    assert ask("POST", "/api/exchanges/%2F/work/publish", published(routing_key="elsewhere")) == {"routed": False}
    (message,) = ask("POST", "/api/queues/%2F/jobs/get", LOOK)
    assert message == {
        "payload_bytes": 5,
        "redelivered": False,
        "exchange": "work",
        "routing_key": "a.b",
        "message_count": 0,
        "properties": {"priority": 1},
        "payload": "hello",
        "payload_encoding": "string",
    }
    (again,) = ask("POST", "/api/queues/%2F/jobs/get", {**LOOK, "ackmode": "ack_requeue_false"})
    assert again["redelivered"]
    assert ask("POST", "/api/queues/%2F/jobs/get", LOOK) == []


def test_octets_are_base64_and_long_bodies_are_cut(ask, jobs):
    octets = base64.b64encode(b"\xff\xfe").decode()
    ask(
        "POST",
        "/api/exchanges/%2F/amq.default/publish",
        published(octets, routing_key="jobs", payload_encoding="base64"),
    )
    ask("POST", "/api/exchanges/%2F/amq.default/publish", published("x" * 100, routing_key="jobs"))
    one, two = ask("POST", "/api/queues/%2F/jobs/get", {**LOOK, "truncate": 10})
    assert (one["payload"], one["payload_encoding"]) == (octets, "base64")
    assert (two["payload"], two["payload_bytes"]) == ("x" * 10, 100)


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/api/exchanges/%2F/work/publish", {}, "routing_key"),
        ("/api/exchanges/%2F/work/publish", published(payload_encoding="rot13"), "payload_encoding"),
        ("/api/exchanges/%2F/work/publish", published("%", payload_encoding="base64"), "payload"),
        ("/api/exchanges/%2F/work/publish", published(properties={"colour": "red"}), "property"),
        ("/api/exchanges/%2F/nowhere/publish", published(), "no exchange 'nowhere' in vhost '/'"),
        ("/api/queues/%2F/jobs/get", {}, "count"),
        ("/api/queues/%2F/jobs/get", {**LOOK, "ackmode": "maybe"}, "ackmode"),
        ("/api/queues/%2F/jobs/get", {**LOOK, "count": "many"}, "count"),
        ("/api/queues/%2F/jobs/get", {**LOOK, "encoding": "morse"}, "encoding"),
    ],
)
def test_what_cannot_be_is_refused_with_its_name(ask, jobs, path, body, reason):
    told = ask("POST", path, body, status=400)
    assert told["error"] == "bad_request"
    assert reason in told["reason"]


def test_a_queue_that_is_there_and_otherwise_is_refused_in_the_brokers_words(ask, jobs):
    told = ask("PUT", "/api/queues/%2F/jobs", {"durable": False, "arguments": {"x-max-priority": 3}}, status=400)
    assert (
        told["reason"]
        == "inequivalent arg 'durable' for queue 'jobs' in vhost '/': received 'false' but current is 'true'"
    )
    ask("PUT", "/api/queues/%2F/jobs", {"durable": "true", "arguments": {"x-max-priority": 3}}, status=204)
    assert "give true or false" in ask("PUT", "/api/queues/%2F/more", {"durable": "perhaps"}, status=400)["reason"]


@pytest.mark.parametrize(
    "path",
    [
        "/api/queues/%2F/nowhere",
        "/api/queues/nowhere",
        "/api/queues/nowhere/x",
        "/api/exchanges/%2F/nowhere",
        "/api/vhosts/nowhere",
        "/api/users/nobody",
        "/api/permissions/%2F/nobody",
        "/api/connections/nobody",
        "/api/bindings/nowhere",
        "/api/bindings/%2F/e/work/x/jobs",
        "/api/bindings/%2F/e/work/q/jobs/none",
        "/api/nothing",
    ],
)
def test_what_is_not_there_is_not_found(ask, jobs, path):
    assert ask("GET", path, status=404) == {"error": "Object Not Found", "reason": "Not Found"}


def test_bindings_are_found_by_their_ends_and_taken_away_by_their_key(ask, jobs):
    answer = ask("POST", "/api/bindings/%2F/e/work/q/jobs", {"routing_key": "a.*", "arguments": {"n": 1}}, status=201)
    keys = [binding["properties_key"] for binding in ask("GET", "/api/bindings/%2F/e/work/q/jobs")]
    assert keys[0] == "a.%2A"
    assert answer.headers["Location"] == f"jobs/{keys[1]}"
    for key in keys:
        path = f"/api/bindings/%2F/e/work/q/jobs/{quote(key, safe='')}"
        assert ask("GET", path)["routing_key"] == "a.*"
        ask("DELETE", path)
    assert ask("GET", "/api/exchanges/%2F/work/bindings/source") == []
    assert [b["routing_key"] for b in ask("GET", "/api/queues/%2F/jobs/bindings")] == ["jobs"]


def test_exchanges_are_bound_to_exchanges(ask, jobs):
    ask("PUT", "/api/exchanges/%2F/inner", {"type": "fanout"})
    ask("POST", "/api/bindings/%2F/e/work/e/inner", {}, status=201)
    assert ask("GET", "/api/exchanges/%2F/inner/bindings/destination")[0]["properties_key"] == "~"
    ask("DELETE", "/api/bindings/%2F/e/work/e/inner/~")
    assert ask("GET", "/api/exchanges/%2F/inner/bindings/destination") == []


def test_deletions_have_conditions(ask, jobs):
    ask("POST", "/api/exchanges/%2F/work/publish", published())
    assert "not empty" in ask("DELETE", "/api/queues/%2F/jobs?if-empty=true", status=400)["reason"]
    assert "in use" in ask("DELETE", "/api/exchanges/%2F/work?if-unused=true", status=400)["reason"]
    ask("DELETE", "/api/queues/%2F/jobs/contents")
    ask("DELETE", "/api/queues/%2F/jobs?if-empty=true")
    ask("DELETE", "/api/exchanges/%2F/work")
    assert ask("GET", "/api/queues") == []


def test_a_connection_is_told_why_it_is_closed(ask, channel, inbox):
    (connection,) = ask("GET", "/api/connections")
    assert (connection["name"], connection["user"], connection["channels"]) == ("me", "guest", 1)
    ask("DELETE", "/api/connections/me", headers={"X-Reason": "go home"})
    assert [error.text for error in inbox.closings if error] == ["CONNECTION_FORCED - go home"]
    assert ask("GET", "/api/connections") == []


def test_consumers_and_channels_are_shown(ask, jobs, channel, broker):
    with broker:
        channel.qos(5)
        channel.consume("jobs", "tag")
    (consumer,) = ask("GET", "/api/consumers/%2F")
    assert (consumer["consumer_tag"], consumer["prefetch_count"], consumer["queue"]["name"]) == ("tag", 5, "jobs")
    (shown,) = ask("GET", "/api/channels")
    assert (shown["name"], shown["consumer_count"]) == ("me (1)", 1)
    assert ask("GET", "/api/queues/%2F/jobs")["consumer_details"][0]["consumer_tag"] == "tag"


def test_users_and_virtual_hosts_come_and_go(ask, broker):
    ask("PUT", "/api/vhosts/a%2Fb")
    ask("PUT", "/api/users/bob", {"password": "x", "tags": "management,monitoring"})
    ask("PUT", "/api/permissions/a%2Fb/bob", {"configure": "^c", "write": ".*", "read": ".*"})
    assert ask("GET", "/api/users/bob/permissions") == [
        {"user": "bob", "vhost": "a/b", "configure": "^c", "write": ".*", "read": ".*"}
    ]
    ask("PUT", "/api/queues/a%2Fb/c1", {}, user="bob:x")
    assert "refused" in ask("PUT", "/api/queues/a%2Fb/d1", {}, user="bob:x", status=400)["reason"]
    ask("PUT", "/api/queues/%2F/c1", {}, user="bob:x", status=401)
    ask("PUT", "/api/users/bob", {"tags": "management"}, status=204)
    ask("GET", "/api/whoami", user="bob:x")
    ask("DELETE", "/api/permissions/a%2Fb/bob")
    ask("DELETE", "/api/vhosts/a%2Fb")
    ask("DELETE", "/api/users/bob")
    assert [user["name"] for user in ask("GET", "/api/users")] == ["guest"]
    assert [vhost["name"] for vhost in ask("GET", "/api/vhosts")] == ["/"]


def test_definitions_are_the_same_in_another_broker(ask, jobs):
    ask("PUT", "/api/vhosts/two")
    document = ask("GET", "/api/definitions")
    other = Asking(Broker())
    other("POST", "/api/definitions", document, status=204)
    again = other("GET", "/api/definitions")
    assert [user.pop("password_hash") for user in again["users"]] == [
        user.pop("password_hash") for user in document["users"]
    ]
    assert again == document


def test_definitions_that_lack_something_are_refused(ask):
    assert "queues.vhost" in ask("POST", "/api/definitions", {"queues": [{"name": "x"}]}, status=400)["reason"]
    ask(
        "POST",
        "/api/definitions",
        {"users": [{"name": "eve", "password_hash": hashed("x"), "tags": ["management"]}]},
        status=204,
    )
    ask("GET", "/api/whoami", user="eve:x")
    ask("GET", "/api/whoami", user="eve:y", status=401)


def test_lists_are_sorted_cut_and_searched(ask):
    for name in ("b", "a", "c1", "c2"):
        ask("PUT", f"/api/queues/%2F/{name}", {})
    assert ask("GET", "/api/queues?columns=name&sort=name&sort_reverse=true")[0] == {"name": "c2"}
    page = ask("GET", "/api/queues?page=2&page_size=1&name=c&sort=name&columns=name,message_stats.publish")
    assert page["items"] == [{"name": "c2", "message_stats": {"publish": 0}}]
    assert (page["total_count"], page["filtered_count"], page["page_count"]) == (4, 2, 2)
    assert len(ask("GET", "/api/queues?name=^c.$&use_regex=true")) == 2
    for query in ("page=9", "page=x", "page=1&page_size=1000", "name=(&use_regex=true"):
        assert ask("GET", f"/api/queues?{query}", status=400)["error"] == "bad_request"


def test_the_broker_is_well_until_it_is_blocked(ask, broker):
    assert ask("GET", "/api/aliveness-test/%2F") == {"status": "ok"}
    assert ask("GET", "/api/health/checks/alarms") == {"status": "ok"}
    with broker:
        broker.block("memory")
    assert ask("GET", "/api/health/checks/alarms", status=503)["reason"] == "memory"
    assert ask("GET", "/api/nodes")[0]["mem_alarm"] is True


def test_the_page_escapes_names(ask):
    ask("PUT", f"/api/queues/%2F/{quote('<script>alert(1)</script>', safe='')}", {})
    page = ask("GET", "/").text
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page


def test_what_json_has_no_form_for_is_text(ask, channel, broker):
    with broker:
        channel.queue_declare("q")
        channel.publish("", "q", Properties.of(headers={"octets": b"\xff"}), b"x")
    (message,) = ask("POST", "/api/queues/%2F/q/get", LOOK)
    assert json.loads(json.dumps(message))["properties"]["headers"]["octets"] == "\ufffd"
